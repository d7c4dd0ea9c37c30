"""The map of a run's own vectors at each epoch: kept while it learns, and laid out so that it can be watched.

``film/keys.npy``, ``present.npy``, ``targets.npy`` say what is on it; ``film/00012.npy`` are the vectors after the
twelfth epoch. They are for looking at, so nothing of the run depends on them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.gallery import MOST, replace_array_file
from mmstudio.training.job import TrainingJob

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
FOLDER = "film"
MOST_FRAMES = 200
FRAME_NUMBERS = 160_000
"""Numbers of one frame, which bound a whole film to 64 MB: of wide vectors fewer examples are kept."""


@dataclass(frozen=True)
class Film:
    """``p`` points in ``f`` frames: ``places (f, p, 2)`` float32 after ``epochs (f,)`` (from 1).

    ``keys (p,)`` name an item, or a sample negated; ``modalities (p,)`` is a point's place in the job's modalities, -1
    where all are read together; ``targets`` are those of the points as in ``Examples``. ``plain`` says that the axes
    are an amount as it is told (across) and as it is.
    """

    keys: Labels
    modalities: Labels
    targets: NDArray[Any]
    epochs: Labels
    places: NDArray[np.float32]
    plain: bool = False

    def like(self, other: Film | None) -> Film:
        """Turned and mirrored as a whole to lie as an ``other`` film of the same points, shorter by some epochs, does.
        """
        if other is None or self.plain or not np.array_equal(self.keys, other.keys):
            return self
        common = np.intersect1d(self.epochs, other.epochs)
        if not len(common):
            return self
        mine = self.places[np.searchsorted(self.epochs, common[-1])].astype(np.float64)
        theirs = other.places[np.searchsorted(other.epochs, common[-1])].astype(np.float64)
        turn = _turn(mine - mine.mean(0), theirs - theirs.mean(0))
        return replace(self, places=(self.places @ turn).astype(np.float32))


def has_film(job: TrainingJob) -> bool:
    """Whether a run of this job has vectors of its own; of captions only losses are told."""
    return job.task != "captioning"


def most(outputs: Floats) -> int:
    """How many examples of ``outputs (n, …)`` are kept."""
    return min(MOST, max(1, FRAME_NUMBERS // max(1, int(np.prod(outputs.shape[1:])))))


def begin(folder: Path, keys: Labels, present: NDArray[np.bool_], targets: NDArray[Any]) -> None:
    """Say what will be on the film; one of other examples is thrown away. Raises OSError."""
    room = folder / FOLDER
    try:
        known = np.array_equal(np.load(room / "keys.npy", allow_pickle=False), keys)
    except (OSError, ValueError, EOFError):
        known = False
    if known:
        return
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    for name, array in (("present", present), ("targets", targets), ("keys", keys)):
        replace_array_file(room / f"{name}.npy", lambda file, array=array: np.save(file, array))  # type: ignore[misc]


def write(folder: Path, epoch: int, outputs: Floats) -> None:
    """Keep a frame; of more than ``MOST_FRAMES`` epochs every second, fourth … one, and the last. Raises OSError."""
    limit = np.finfo(np.float16).max
    frame = np.clip(outputs, -limit, limit).astype(np.float16)
    replace_array_file(_file(folder, epoch), lambda file: np.save(file, frame))
    apart = _apart(epoch)
    before = range(1, epoch) if apart != _apart(epoch - 1) else (epoch - 1,)
    for other in before:
        if other % apart:
            _file(folder, other).unlink(missing_ok=True)


def _apart(epoch: int) -> int:
    """How many epochs lie between two frames when so many are done."""
    apart = 1
    while epoch // apart > MOST_FRAMES:
        apart *= 2
    return apart


def _file(folder: Path, epoch: int) -> Path:
    return folder / FOLDER / f"{epoch:05}.npy"


def _frames(folder: Path) -> list[tuple[int, Path]]:
    """Epochs and files, from the first on."""
    return sorted((int(path.stem), path) for path in (folder / FOLDER).glob("*.npy") if path.stem.isdecimal())


def newest(folder: Path) -> int:
    """The last epoch on film; 0 where there is none."""
    return max((epoch for epoch, _ in _frames(folder)), default=0)


def load(folder: Path, job: TrainingJob) -> Film | None:
    """The film so far, laid out; None where there is none yet. Raises TrainingError where it is not whole."""
    room, frames = folder / FOLDER, _frames(folder)
    try:
        keys, present, targets = (np.load(room / f"{name}.npy", allow_pickle=False)
                                  for name in ("keys", "present", "targets"))
        kept = [(epoch, vectors) for epoch, path in frames if (vectors := _frame(path)) is not None]
        if not kept:
            return None
        vectors = np.stack([one for _, one in kept]).astype(np.float32)
        epochs = np.array([epoch for epoch, _ in kept], np.int64)
        if job.task == "alignment":  # a point for each modality that is there
            points, modalities = np.nonzero(present)
            return Film(keys[points], modalities, targets[points], epochs, laid_out(vectors[:, points, modalities]))
        alike = np.full(len(keys), -1)
        if job.task == "regression":
            true = np.broadcast_to(targets.astype(np.float32), vectors.shape[:2])
            return Film(keys, alike, targets, epochs, np.stack([vectors[..., 0], true], 2), plain=True)
        return Film(keys, alike, targets, epochs, laid_out(vectors))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise TrainingError(f"The run's film cannot be read ({error}).", path=room) from error


def _frame(path: Path) -> NDArray[np.float16] | None:
    """A frame; None where the run has thrown it away meanwhile."""
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None


def laid_out(vectors: Floats) -> NDArray[np.float32]:
    """``vectors (f, p, dim)`` to ``(f, p, 2)``: all by the two main directions of the last frame, then from the last
    frame back each one turned, mirrored and moved onto the one behind it as near as can be (orthogonal Procrustes,
    Schönemann 1966), because a space that turns as a whole has learned nothing. Sizes stay as they are.
    """
    last = vectors[-1].astype(np.float64)
    middle = last.mean(0)
    axes = np.linalg.svd(last - middle, full_matrices=False)[2][:2].T
    flat = (vectors.astype(np.float64) - middle) @ axes
    if axes.shape[1] < 2:
        flat = np.concatenate([flat, np.zeros_like(flat)], 2)
    for frame in range(len(flat) - 2, -1, -1):
        flat[frame] = _onto(flat[frame], flat[frame + 1])
    return flat.astype(np.float32)


def _onto(points: Floats, others: Floats) -> Floats:
    """``points (p, 2)`` turned, mirrored and moved to lie as near to ``others (p, 2)`` as can be."""
    middle, goal = points.mean(0), others.mean(0)
    return (points - middle) @ _turn(points - middle, others - goal) + goal


def _turn(points: Floats, others: Floats) -> Floats:
    """``(2, 2)`` orthogonal, which brings centred ``points (p, 2)`` nearest to ``others``."""
    left, _, right = np.linalg.svd(points.T @ others)
    return left @ right
