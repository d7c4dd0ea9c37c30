"""What a baseline knows of the run that it stands beside: ``beside.json`` in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mmstudio import paths

_FILE = "beside.json"
VECTORS = "vectors"
ABOUT = ("task", "target", "classes", "modalities", "seed", "split")
"""A run's settings that mean something to a baseline: what it learns, and of which parts."""
MEANT = (*ABOUT, "model", "models", "space", "revision", "preprocessing", "dim")
"""With those that say of which vectors, where it is fitted on them."""


@dataclass(frozen=True)
class Beside:
    """``run`` is the name of the run's folder, ``model`` what was fitted, on ``source``: ``VECTORS``, or the
    modalities, “text + image”, whose media it read. ``note`` says what was chosen; scikit-learn's ``version`` fitted
    it.
    """

    run: str
    model: str
    source: str
    note: str = ""
    version: str = ""


def of(folder: Path) -> Beside | None:
    """What a run's folder says; None where the run is no baseline."""
    try:
        made = Beside(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return made if all(isinstance(value, str) for value in asdict(made).values()) else None


def write(folder: Path, beside: Beside) -> None:
    """Raises OSError."""
    paths.write_atomically(folder / _FILE, json.dumps(asdict(beside), ensure_ascii=False, indent=1).encode())
