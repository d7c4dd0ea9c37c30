"""Relevance from what becomes of the score when parts are left out. It needs nothing of the encoder but its vectors.

Each method yields its map so far, and each map is better than the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.explain import shapley
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.parts import Parts
from mmstudio.explain.subject import BATCH, Subject
from mmstudio.media import Media
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
WINDOW = 4
"""Cells along the side of the window that occlusion slides."""
RISE_MASKS, RISE_GRID, RISE_SHARE = 1000, 7, 0.5
COALITIONS = 600


def occlusion(subject: Subject) -> Work[RelevanceMap]:
    """By how much the score falls where a window that slides over the item hides it (Zeiler & Fergus 2014), on the
    mean of the windows that hide a cell; of a text word by word.
    """
    parts = subject.parts
    hidden = _windows(parts.shape)
    fell, covered = np.zeros(len(parts.positions)), np.zeros(len(parts.positions))
    batches = [hidden[start : start + BATCH] for start in range(0, len(hidden), BATCH)]
    done = 0
    for rows, scores in zip(batches, _scores(subject, [~rows for rows in batches]), strict=True):
        fell, covered, done = fell + (subject.score - scores) @ rows, covered + rows.sum(axis=0), done + len(rows)
        yield Progress(done, len(hidden), fresh=_map(parts, fell / np.maximum(covered, 1), "Occlusion"))
    return _map(parts, fell / np.maximum(covered, 1), "Occlusion")


def _windows(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``(windows, k)`` which cells each window hides; windows overlap by half."""
    if len(shape) == 1:
        return np.eye(shape[0], dtype=bool)
    sides = [min(WINDOW, side) for side in shape]
    starts = [sorted({*range(0, side - long + 1, max(1, long // 2)), side - long})
              for side, long in zip(shape, sides, strict=True)]
    out = np.zeros((len(starts[0]) * len(starts[1]), *shape), bool)
    for number, (top, left) in enumerate((top, left) for top in starts[0] for left in starts[1]):
        out[number, top : top + sides[0], left : left + sides[1]] = True
    return out.reshape(len(out), -1)


def rise(subject: Subject, masks: int = RISE_MASKS, seed: int = 0) -> Work[RelevanceMap]:
    """RISE (Petsiuk et al. 2018): the mean of random smooth masks weighted by the score of what they leave, as the
    difference to the mean score, so that cells that do not matter are near zero.
    """
    parts, rng = subject.parts, np.random.default_rng(seed)
    rows = random_masks(parts.shape, masks, rng)
    times, batches = np.ones(masks, np.int64), _batches(np.arange(masks))
    if len(parts.shape) == 1:
        rows, times = _each_once(rows)
        batches = _of_like_length(rows, rng)
    weighted, summed, total, done = np.zeros(len(parts.positions)), np.zeros(len(parts.positions)), 0.0, 0
    for batch, scores in zip(batches, _scores(subject, [rows[batch] for batch in batches]), strict=True):
        often = times[batch]
        weighted, summed = weighted + (often * scores) @ rows[batch], summed + often @ rows[batch]
        total, done = total + float(often @ scores), done + int(often.sum())
        found = _map(parts, weighted / np.maximum(summed, 1e-9) - total / done, "RISE")
        yield Progress(done, masks, fresh=found)
    return found


def _batches(order: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def _of_like_length(masks: Floats, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Batches of texts that are about as long, for a model reads each of a batch as long as the longest; in any order,
    so that the first of them tell of short ones as of long.
    """
    batches = _batches(np.argsort(masks.sum(axis=1), kind="stable"))
    return [batches[number] for number in rng.permutation(len(batches))]


def _each_once(masks: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """``(n, k)`` → the masks that differ, in their order, and how often each was drawn: of few words many are alike."""
    _, first, times = np.unique(masks, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    return masks[first[order]], times[order]


def _scores(subject: Subject, batches: Sequence[NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
    """Of each batch ``(n, k)`` the scores ``(n,)`` of what its shares leave of the item."""
    def left(rows: NDArray[Any]) -> list[Media]:
        return [subject.parts.kept(row.astype(np.float32)) for row in rows]

    return subject.scores_in_turn([partial(left, rows) for rows in batches])


def random_masks(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Floats:
    """``(count, k)`` float32 in 0..1: a coarse random grid, enlarged bilinearly and moved at random; of words each is
    there or not.
    """
    if len(shape) == 1:
        return (rng.random((count, *shape)) < RISE_SHARE).astype(np.float32)
    coarse = [min(RISE_GRID, side) for side in shape]
    long = [-(-side // cells) for side, cells in zip(shape, coarse, strict=True)]
    grid = (rng.random((count, coarse[0] + 1, coarse[1] + 1)) < RISE_SHARE).astype(np.float32)
    for axis in (1, 2):
        at = rng.uniform(0, 1, count)[:, None] + np.arange(shape[axis - 1]) / long[axis - 1]
        low = np.minimum(at.astype(int), coarse[axis - 1] - 1)
        share = (at - low).clip(0, 1).astype(np.float32)
        shown = np.expand_dims(low, 3 - axis), np.expand_dims(share, 3 - axis)
        grid = (np.take_along_axis(grid, shown[0], axis) * (1 - shown[1])
                + np.take_along_axis(grid, shown[0] + 1, axis) * shown[1])
    return grid.reshape(count, -1)


def kernel_shap(subject: Subject, coalitions: int = COALITIONS, seed: int = 0) -> Work[RelevanceMap]:
    """Shapley values of superpixels, words, or blocks of time and frequency (KernelSHAP: Lundberg & Lee 2017), each
    shared by its cells.
    """
    parts, done = subject.parts, 0
    sizes = np.bincount(parts.regions)

    def value(there: NDArray[np.bool_]) -> NDArray[np.float64]:
        nonlocal done
        done += len(there)
        return subject.scores([parts.with_regions(row) for row in there])

    found = None
    values: Iterator[NDArray[np.float64]] = shapley.kernel(value, parts.region_count, coalitions, seed, BATCH)
    for shares in values:
        found = _map(parts, (shares / sizes)[parts.regions], "KernelSHAP")
        yield Progress(min(done, coalitions), coalitions, fresh=found)
    assert found is not None
    return found


def _map(parts: Parts, weights: NDArray[np.float64], title: str) -> RelevanceMap:
    return RelevanceMap(weights.astype(np.float32), parts.positions, title, "score")
