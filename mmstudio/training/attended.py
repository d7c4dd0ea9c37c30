"""What a run's fusion looked at: how much of each modality, and of all tokens which patch, word or stretch of sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Positions
from mmstudio.errors import StudioError, TrainingError
from mmstudio.media import Limits, load
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.gallery import spread
from mmstudio.training.job import TrainingJob
from mmstudio.training.predict import Predictor

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
WITHOUT = ("joint mean", "concatenate", "bilinear")
"""Fusions in which no modality has a weight."""
MOST, MOST_MEDIA = 2000, 128
"""Held-out examples that are looked at, by their vectors or by their media."""
AT_ONCE = 16
_one_at_a_time = Lock()
"""The model at hand is asked from several threads."""


@dataclass(frozen=True)
class Attended:
    """``weights (k, m)`` float32 of the job's modalities in held-out examples ``keys (k,)``, rows of sum 1; ``classes``
    are the mean weights ``(m,)`` with the number of examples, first of all of them, then of each class that occurs.
    """

    keys: Labels
    weights: Floats
    classes: tuple[tuple[str, int, Floats], ...]


@dataclass(frozen=True)
class Reading:
    """Of one example's modality (its place in the job) the ``weights (t,)`` of its tokens, which with those of the
    other modalities sum to 1; ``positions`` say where the tokens lie, None where the tower does not tell.
    """

    modality: int
    weights: Floats
    positions: Positions | None


def has_weights(job: TrainingJob) -> bool:
    """Whether a fusion of this job weighs its modalities."""
    return (len(job.modalities) > 1 and job.fusion not in WITHOUT and job.task not in ("alignment", "captioning"))


def attended(folder: Path, share: float = 1.0) -> Attended:
    """How a run that has weights fuses its held-out examples, told with this ``share`` of its best weights. Raises
    TrainingError.
    """
    examples, predictor = _of(folder, share)
    part = next(part for part in (TEST, VALIDATION, TRAIN) if len(examples.rows(part)))
    rows = examples.rows(part)
    rows = rows[spread(rows, MOST_MEDIA if predictor.job.reads_media else MOST)]
    with _one_at_a_time:
        weights = np.concatenate([_weights(predictor, rows[start : start + AT_ONCE])
                                  for start in range(0, len(rows), AT_ONCE)])
    job, targets = predictor.job, np.asarray(examples.targets)[rows]
    has = targets > 0.5 if job.task == "multi-label" else targets[:, None] == np.arange(len(job.classes))
    each = [(name, int(mine.sum()), weights[mine].mean(0)) for name, mine in zip(job.classes, has.T, strict=True)
            if mine.any()]
    return Attended(np.asarray(examples.keys)[rows], weights, (("", len(rows), weights.mean(0)), *each))


def reading(folder: Path, key: int, share: float = 1.0) -> tuple[Reading, ...]:
    """Which tokens the reading position of a run of the fusion “tokens” attended to in one of its examples: the mean
    over the heads of the last layer, without what it kept to itself. Nothing for other fusions. Raises TrainingError.
    """
    import torch

    examples, predictor = _of(folder, share)
    job, found = predictor.job, np.flatnonzero(np.asarray(examples.keys) == key)
    if job.fusion != "tokens" or not len(found):
        return ()
    learner, rows = predictor.learner, torch.as_tensor(found[:1])
    model: Any = learner.model.eval()
    with _one_at_a_time, torch.no_grad():
        tokens, there = model.towers.tokens(learner.inputs(rows))
        told = model.head(tokens, there, learner.present[rows])
    read = told.attention[0, :, 1:].mean(0)
    spans = (read / read.sum()).split([one.shape[1] for one in tokens])
    made = []
    for m, (span, mask) in enumerate(zip(spans, there, strict=True)):
        if bool(learner.present[rows[0], m]):
            weights = span[mask[0]].numpy()
            made.append(Reading(m, weights, _positions(model.towers.reads, examples, int(found[0]), m, len(weights))))
    return tuple(made)


def _of(folder: Path, share: float) -> tuple[Examples, Predictor]:
    try:
        return _opened(folder, share, (folder / "best.safetensors").stat().st_mtime_ns)
    except OSError as error:
        raise TrainingError("The run has no weights yet.", path=folder) from error


@lru_cache(maxsize=1)
def _opened(folder: Path, share: float, written: int) -> tuple[Examples, Predictor]:
    """The one that was asked for last stays at hand: a person looks at one example after another."""
    return Examples.load(folder / "examples"), Predictor(folder)


def _weights(predictor: Predictor, rows: Labels) -> Floats:
    import torch

    learner, some = predictor.learner, torch.as_tensor(rows)
    with torch.no_grad():
        told = learner.model.eval()(learner.inputs(some), learner.present[some])
    if told.weights is None:
        raise TrainingError("This fusion weighs no modalities.")
    return np.asarray(told.weights.float().numpy(), np.float32)


def _positions(tower: Any, examples: Examples, row: int, m: int, tokens: int) -> Positions | None:
    """Where an encoder's tokens lie in the first medium of a modality; towers from scratch do not tell."""
    ref = next((ref for place, ref in examples.media[row] if place == m), None)
    if ref is None or not hasattr(tower, "explain"):
        return None
    try:
        media = load(ref, Limits(), rate_hz=tower.sample_rate_hz, window_seconds=tower.window_seconds)
        found = tower.explain(media, ref.modality)
    except StudioError:
        return None
    positions = found.token_positions or (found.attention[-1].positions if found.attention else None)
    if positions is not None and len(positions) > tokens:  # what lies behind a sound is not learned from
        positions = positions.only(positions.placed)
    return positions if positions is not None and len(positions) == tokens else None
