"""What a run's model told of its examples, as its folder keeps it."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.calibration import sigmoid, softmax
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import Task
from mmstudio.training.metrics import Floats, Labels

_KINDS = {"keys": "iu", "outputs": "f", "alone": "f", "targets": "iuf", "parts": "iu", "present": "b"}
_TORN = (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Told:
    """What a run's model told of all ``n`` examples, as ``outputs.npz`` keeps it.

    ``keys (n,)`` int64 name an item, or a sample negated; ``outputs (n, outputs)`` float32 are logits or amounts
    (aligned vectors ``(n, m, width)``; of captions their loss and the share of right words), ``alone (n, m, outputs)``
    those of each modality by itself (nan of a baseline, which tells nothing of the kind); ``targets``, ``parts`` and
    ``present`` are as in ``Examples``. ``captions`` are some examples' wanted and told ones, by key.
    """

    keys: Labels
    outputs: NDArray[np.float32]
    alone: NDArray[np.float32]
    targets: NDArray[Any]
    parts: NDArray[np.int8]
    present: NDArray[np.bool_]
    captions: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, *parts: int) -> Labels:
        """``(k,)`` rows of some parts, ascending."""
        return np.flatnonzero(np.isin(self.parts, parts))

    @property
    def held_out(self) -> int:
        """The part that is looked at: test, else validation, else what was learned from."""
        return next((part for part in (TEST, VALIDATION) if (self.parts == part).any()), TRAIN)


def save(folder: Path, outputs: NDArray[np.float32], alone: NDArray[np.float32], examples: Examples) -> None:
    """Keep what was told of all examples, for ``load``. Raises TrainingError."""
    arrays = {name: np.asarray(getattr(examples, name)) for name in ("keys", "targets", "parts", "present")}
    try:
        np.savez(folder / "outputs.npz", outputs=outputs, alone=alone, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise TrainingError(f"What the model tells could not be written ({error.strerror}).", path=folder,
                            hint="Free some space and continue.") from error


def load(folder: Path) -> Told:
    """What the model of a finished run told. Raises TrainingError where it is missing or not whole."""
    file = folder / "outputs.npz"
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as found:
            arrays = {name: found[name] for name in _KINDS}
    except FileNotFoundError as error:
        raise TrainingError("The run has told nothing yet.", path=file, hint="Let it train to its end.") from error
    except _TORN as error:
        raise TrainingError(f"What the model told cannot be read ({error}).", path=file,
                            hint="Train the run anew.") from error
    told = Told(**arrays, captions=_captions(folder))
    if _is_torn(told):
        raise TrainingError("What the model told does not fit together.", path=file, hint="Train the run anew.")
    return told


def _captions(folder: Path) -> dict[int, tuple[str, str]]:
    """The captions that a run has told, where it has."""
    try:
        lines = json.loads((folder / "results.json").read_text(encoding="utf-8")).get("captions", ())
        return {int(line["key"]): (str(line["wanted"]), str(line["told"])) for line in lines}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_torn(told: Told) -> bool:
    arrays = {name: getattr(told, name) for name in _KINDS}
    if any(array.ndim < 1 or array.dtype.kind not in _KINDS[name]
           for name, array in arrays.items()):
        return True
    n = len(told)
    return (any(len(array) != n for array in arrays.values()) or not n
            or told.keys.ndim != 1 or told.parts.ndim != 1 or told.present.ndim != 2 or told.targets.ndim > 2
            or told.outputs.ndim not in (2, 3) or told.alone.shape[:2] != told.present.shape
            or not np.isfinite(told.outputs).all())


def probabilities(told: Told, task: Task, rows: Labels, temperature: float = 1.0) -> Floats:
    """``(k, classes)`` of some rows: of one class of several, or of each label by itself."""
    logits = told.outputs[rows].astype(np.float64) / temperature
    return softmax(logits) if task == "classification" else sigmoid(logits)
