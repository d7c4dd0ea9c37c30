"""What a run tells of its validation examples now, and how much that has changed since the epoch before.

One file, ``validation.npz``, which is replaced as a whole when epochs have ended. It is for looking at, not for going
on from: whoever loses it to a full disk or a power cut has the next one an epoch later.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.calibration import sigmoid, softmax
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import SMALLEST

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
FILE = "validation.npz"
MOST = 2000
"""Examples that are kept."""


@dataclass(frozen=True)
class Validated:
    """``n`` validation examples after ``epoch`` (from 1) epochs.

    ``loss (n,)`` float32 is in nats (an amount's absolute error, the rank of an aligned example's partner from 1, mean
    of all directions, nan without one), ``before (n,)`` what it was an epoch ago, nan where that is not known.
    ``given`` and ``told`` are classes ``(n,)``, labels ``(n, classes)`` bool, amounts ``(n,)``, or zeros where nothing
    is told apart; ``sure (n,)`` is the probability of what is told, nan where there is none.
    """

    epoch: int
    keys: Labels
    loss: Floats
    before: Floats
    given: NDArray[Any]
    told: NDArray[Any]
    sure: Floats

    @property
    def change(self) -> Floats:
        """``(n,)`` how much the loss has grown since the epoch before; nan where that is not known."""
        return self.loss - self.before

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """``(n,)`` whether another class, or another set of labels, is told than given."""
        differs = self.given != self.told
        return differs.any(1) if differs.ndim == 2 else differs

    def orders(self) -> dict[str, Labels]:
        """Places of the examples, the worst first, the best first, and those that changed most first; what has no loss,
        or did not change, is in none.
        """
        known = np.flatnonzero(np.isfinite(self.loss))
        rising = known[np.argsort(self.loss[known], kind="stable")]
        changed = np.flatnonzero(np.nan_to_num(self.change))
        changed = changed[np.argsort(-np.abs(self.change[changed]), kind="stable")]
        return {"worst": rising[::-1], "best": rising, "changed": changed}


def spread(rows: Labels, most: int = MOST) -> Labels:
    """``(at most most,)`` places in ``rows``, evenly over all."""
    return np.arange(len(rows)) if len(rows) <= most else np.linspace(0, len(rows) - 1, most).astype(np.int64)


def told_of(job: TrainingJob, epoch: int, keys: Labels, outputs: Floats, targets: NDArray[Any],
            present: NDArray[np.bool_], last: Validated | None) -> Validated:
    """From ``outputs (n, …)`` as ``Learner.outputs`` gives them and what an epoch before was told of the same keys."""
    loss, given, told, sure = _TASKS[job.task](outputs, targets, present)
    before: Floats = np.full(len(keys), np.nan)
    if last is not None and last.epoch in (epoch - 1, epoch) and np.array_equal(last.keys, keys):
        before = last.loss if last.epoch < epoch else last.before  # an epoch that was cut off is told anew
    return Validated(epoch, keys, loss.astype(np.float32), before.astype(np.float32), given, told,
                     sure.astype(np.float32))


Each = tuple[Floats, NDArray[Any], NDArray[Any], Floats]


def _classes(outputs: Floats, targets: NDArray[Any], present: NDArray[np.bool_]) -> Each:
    shares = softmax(outputs)
    rows, given = np.arange(len(shares)), targets.astype(np.int64)
    return -np.log(np.maximum(shares[rows, given], SMALLEST)), given, shares.argmax(1), shares.max(1, initial=0)


def _labels(outputs: Floats, targets: NDArray[Any], present: NDArray[np.bool_]) -> Each:
    shares, given = sigmoid(outputs), targets > 0.5
    told = shares >= 0.5
    own = np.clip(np.where(given, shares, 1 - shares), 1e-12, 1)
    return -np.log(own).mean(1), given, told, np.where(told, shares, 1 - shares).prod(1)


def _amounts(outputs: Floats, targets: NDArray[Any], present: NDArray[np.bool_]) -> Each:
    given, told = targets.astype(np.float64), outputs[:, 0].astype(np.float64)
    return np.abs(told - given), given, told, np.full(len(told), np.nan)


def _pairs(outputs: Floats, targets: NDArray[Any], present: NDArray[np.bool_]) -> Each:
    """What is just as near as the partner counts as nearer."""
    ranks, seen = np.zeros(len(outputs)), np.zeros(len(outputs))
    for a, b in combinations(range(present.shape[1]), 2):
        both = np.flatnonzero(present[:, a] & present[:, b])
        near = outputs[both, a] @ outputs[both, b].T
        own = np.diag(near)
        ranks[both] += np.count_nonzero(near >= own[:, None], 1) + np.count_nonzero(near >= own, 0)
        seen[both] += 2
    nothing = np.zeros(len(ranks), np.int64)
    mean = np.divide(ranks, seen, out=np.full(len(ranks), np.nan), where=seen > 0)
    return mean, nothing, nothing, np.full(len(ranks), np.nan)


def _captions(outputs: Floats, targets: NDArray[Any], present: NDArray[np.bool_]) -> Each:
    nothing = np.zeros(len(outputs), np.int64)
    return outputs[:, 0], nothing, nothing, np.full(len(outputs), np.nan)


_TASKS: dict[str, Callable[[Floats, NDArray[Any], NDArray[np.bool_]], Each]] = {
    "classification": _classes, "multi-label": _labels, "regression": _amounts, "alignment": _pairs,
    "captioning": _captions}


def write(folder: Path, found: Validated) -> None:
    """Replace the run's file. Raises OSError."""
    arrays: dict[str, Any] = {one.name: getattr(found, one.name) for one in fields(found)}
    replace_array_file(folder / FILE, lambda file: np.savez(file, **arrays))


def replace_array_file(path: Path, save: Callable[[Any], None]) -> None:
    """Write by ``save`` into an open file that takes the place of ``path`` when it is whole. Not synced to the disk: it
    would take longer than an epoch. Raises OSError.
    """
    beside = path.with_name(f".{path.name}.tmp")
    with open(beside, "wb") as file:
        save(file)
    os.replace(beside, path)


def read(folder: Path) -> Validated | None:
    """What the run last told, or None where it has told nothing yet. Raises TrainingError where it is not whole."""
    try:
        with open(folder / FILE, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Validated(**{one.name: arrays[one.name] for one in fields(Validated)})
    except FileNotFoundError:
        return None
    except Exception as error:  # a torn or foreign file makes numpy raise nearly anything
        raise TrainingError(f"What the run tells of validation cannot be read ({error}).", path=folder) from error
    if any(len(getattr(found, name)) != len(found.keys) for name in ("loss", "before", "given", "told", "sure")):
        raise TrainingError("What the run tells of validation does not fit together.", path=folder)
    return replace(found, epoch=int(found.epoch))
