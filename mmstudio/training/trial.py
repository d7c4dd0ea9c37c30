"""What a run knows of the sweep that it is a trial of: ``trial.json`` in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmstudio import paths

_FILE = "trial.json"


@dataclass(frozen=True)
class Trial:
    """``sweep`` is the name of the sweep's folder, ``number`` counts from 0, ``settings`` are those that vary.
    ``value`` is the sweep's metric once the trial is over, of one that was ``pruned`` the best until then; ``pruned``
    says why.
    """

    sweep: str
    number: int
    settings: dict[str, Any] = field(default_factory=dict)
    value: float | None = None
    pruned: str = ""


def of(folder: Path) -> Trial | None:
    """What a run's folder says; None where the run is no trial."""
    try:
        made = Trial(**json.loads((folder / _FILE).read_text(encoding="utf-8"), parse_constant=lambda _: None))
    except (OSError, ValueError, TypeError):
        return None
    right = (isinstance(made.sweep, str) and made.sweep.isdecimal() and isinstance(made.number, int)
             and isinstance(made.settings, dict) and isinstance(made.value, float | int | None)
             and isinstance(made.pruned, str))
    return made if right else None


def write(folder: Path, trial: Trial) -> None:
    """Raises OSError."""
    paths.write_atomically(folder / _FILE, json.dumps(asdict(trial), ensure_ascii=False, indent=1).encode())
