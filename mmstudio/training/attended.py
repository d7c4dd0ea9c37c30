"""What a run's fusion looked at: how much of each modality, and of all tokens which patch, word or stretch of sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from mmstudio.training.metrics import ratio
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

    Of the fusion “attention” ``looks`` has the attention of each layer, ``(k, heads, asking, 1 + m)`` float32 with rows
    of sum 1: the position that is read comes first, then the modalities. In the last layer only the first asks; of a
    modality that an example lacks its row is nan.
    """

    keys: Labels
    weights: Floats
    classes: tuple[tuple[str, int, Floats], ...]
    looks: tuple[Floats, ...] = ()

    def looked(self, place: int | None = None) -> tuple[Floats, ...]:
        """The attention of each layer ``(heads, asking, 1 + m)`` in one example, or the mean over those that have who
        asks; nan where none has.
        """
        if place is not None:
            return tuple(layer[place] for layer in self.looks)
        return tuple(ratio(np.nan_to_num(layer).sum(0), (~np.isnan(layer)).sum(0)).astype(np.float32)
                     for layer in self.looks)


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
    from mmstudio.training.learner import head_of

    examples, predictor = _of(folder, share)
    part = next(part for part in (TEST, VALIDATION, TRAIN) if len(examples.rows(part)))
    rows = examples.rows(part)
    rows = rows[spread(rows, MOST_MEDIA if predictor.job.reads_media else MOST)]
    with _one_at_a_time, _heard(head_of(predictor.learner.model)) as heard:
        weights = np.concatenate([_weights(predictor, rows[start : start + AT_ONCE])
                                  for start in range(0, len(rows), AT_ONCE)])
    looks = tuple(_of_who_is_there(np.concatenate(layer), np.asarray(examples.present)[rows]) for layer in heard)
    job, targets = predictor.job, np.asarray(examples.targets)[rows]
    has = targets > 0.5 if job.task == "multi-label" else targets[:, None] == np.arange(len(job.classes))
    each = [(name, int(mine.sum()), weights[mine].mean(0)) for name, mine in zip(job.classes, has.T, strict=True)
            if mine.any()]
    return Attended(np.asarray(examples.keys)[rows], weights, (("", len(rows), weights.mean(0)), *each), looks)


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


@contextmanager
def _heard(head: Any) -> Iterator[list[list[Floats]]]:
    """The attention of each layer of a head that is a ``CrossAttention``, of each batch that passes meanwhile. Without
    being asked a layer gives none.
    """
    from mmstudio.training.fusion import CrossAttention

    layers = list(head.mixer.attends) if isinstance(head, CrossAttention) else []
    heard: list[list[Floats]] = [[] for _ in layers]

    def ask(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return given, {**named, "need_weights": True, "average_attn_weights": False}

    hooks = [layer.register_forward_pre_hook(ask, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(lambda *told, kept=kept: kept.append(told[2][1].float().numpy()))
              for layer, kept in zip(layers, heard, strict=True)]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _of_who_is_there(attention: Floats, present: NDArray[np.bool_]) -> Floats:
    """``(k, heads, asking, 1 + m)`` with nan in the rows of modalities that are missing."""
    asks = np.pad(present, ((0, 0), (1, 0)), constant_values=True)[:, : attention.shape[2]]
    return np.where(asks[:, None, :, None], attention, np.float32(np.nan))


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
