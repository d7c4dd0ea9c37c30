"""Where a run comes from and what it takes to repeat it, as ``provenance.json`` in its folder."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import mmstudio
from mmstudio import paths
from mmstudio.errors import TrainingError

_FILE = "provenance.json"
_PACKAGES = ("torch", "numpy", "accelerate", "transformers", "mmstudio")


@dataclass(frozen=True)
class Environment:
    """What a run was trained with: versions by name, the system, the device, and the git ``commit`` of the studio's
    code where that is a checkout (“-dirty” where files differ from it).
    """

    versions: dict[str, str]
    platform: str
    device: str
    commit: str = ""


@dataclass(frozen=True)
class Provenance:
    """``created`` is in seconds since 1970; ``examples`` says how many there are, ``fingerprint`` which, ``left_out``
    what was not taken. A run that went on elsewhere has several ``environments``, in their order.
    """

    created: float = 0.0
    examples: int = 0
    fingerprint: str = ""
    left_out: str = ""
    environments: tuple[Environment, ...] = ()


def of(folder: Path) -> Provenance:
    """A run's provenance; of a run that has none written down, what its other files say."""
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        made = Provenance(**{**told, "environments": tuple(Environment(**one) for one in told["environments"])})
        if not isinstance(made.created, float | int) or not isinstance(made.examples, int):
            raise TypeError("it is not a provenance")
        return made
    except (OSError, ValueError, KeyError, TypeError):
        return _of_older(folder)


def _of_older(folder: Path) -> Provenance:
    try:
        told = json.loads((folder / "examples" / "examples.json").read_text(encoding="utf-8"))
        count = len(np.load(folder / "examples" / "keys.npy", mmap_mode="r", allow_pickle=False))
        return Provenance((folder / "job.json").stat().st_mtime, count, told["fingerprint"], told["note"])
    except (OSError, ValueError, KeyError, TypeError):
        return Provenance()


def write(folder: Path, provenance: Provenance) -> None:
    """Raises OSError."""
    paths.write_atomically(folder / _FILE, json.dumps(asdict(provenance), ensure_ascii=False, indent=1).encode())


def trained_on(folder: Path, device: Any) -> None:
    """Note that the run is trained here, on this torch ``device``. Raises TrainingError where it cannot be written."""
    known, here = of(folder), _here(device)
    if here not in known.environments[-1:]:
        try:
            write(folder, replace(known, environments=(*known.environments, here)))
        except OSError as error:
            raise TrainingError(f"The run's provenance could not be written ({error.strerror}).", path=folder,
                                hint="Free some space.") from error


def _here(device: Any) -> Environment:
    import torch

    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    name = f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return Environment(versions, platform.platform(), f"{processes} × {name}" if processes > 1 else name,
                       commit_of(Path(mmstudio.__file__).parents[1]))


def commit_of(checkout: Path) -> str:
    """The git commit of a checkout, “-dirty” where its files differ; "" where it is none or git is not there."""
    if not (checkout / ".git").exists():
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        ask = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(ask, capture_output=True, check=True, text=True, timeout=5).stdout.strip()
    return ""
