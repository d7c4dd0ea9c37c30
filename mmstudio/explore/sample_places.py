"""Where samples belong on a map by each way of fusing them: at the places of what that finds nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore.sample_fusion import TEMPERATURE, Fuser, Parts
from mmstudio.explore.side_by_side import SideBySide
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
NEAR = 8
MOST_PAIRS, DRAWN = 400_000_000, 20_000
"""Of more pairs not all are looked at: every sample is compared with so many drawn at random."""
MOST_WEIGHINGS = 200
"""Side by side every other weighing has a PCA of its own."""
_AT_ONCE = 1 << 23
_NOT = np.float32(-1e30)
"""The score of what counts only where there is nothing else."""


class Kin(Protocol):
    """What may be near to samples ``rows (q,)``, weighed by ``weights (m, q)``."""

    @property
    def count(self) -> int: ...

    def own(self, rows: Rows) -> Rows:
        """Which are looked at even where others are drawn."""

    def scores(self, rows: Rows, weights: Floats, among: Rows) -> Floats:
        """``(q, c)`` how near those ``among (c,)``, ascending, are: on the scale of cosines."""

    def places(self, near: Rows, weights: Floats) -> Floats:
        """``(q, k, 2)`` where those ``near (q, k)`` lie."""


@dataclass(frozen=True)
class Items:
    """Items as kin of samples that have a fused vector. ``parts`` are of samples whose items are the rows ``members``
    of ``vectors (n, dim)``, which lie at ``on_map (n, 2)`` where ``there (n,)``.
    """

    parts: Parts
    members: Sequence[Sequence[int]]
    how: Literal["mean", "geodesic"]
    vectors: Floats
    on_map: Floats
    there: NDArray[np.bool_]

    @property
    def count(self) -> int:
        return len(self.vectors)

    def own(self, rows: Rows) -> Rows:
        return np.fromiter(chain.from_iterable(self.members[row] for row in rows.tolist()), np.int64)

    def scores(self, rows: Rows, weights: Floats, among: Rows) -> Floats:
        fuser = Fuser(self.parts.some(rows))
        found = fuser.vectors(fuser.coefficients(weights, self.how)) @ _taken(self.vectors, among).T
        found[:, ~self.there[among]] = _NOT
        return found

    def places(self, near: Rows, weights: Floats) -> Floats:
        return self.on_map[near]


@dataclass(frozen=True)
class _Others:
    """The other samples as kin, each between the places of its own modalities, ``on_map (m, n, 2)``, as the weights of
    the sample that looks for its neighbours share them.
    """

    parts: Parts
    on_map: Floats

    @property
    def count(self) -> int:
        return len(self.parts)

    def own(self, rows: Rows) -> Rows:
        return rows[:0]

    def places(self, near: Rows, weights: Floats) -> Floats:
        here = self.parts.present[:, near]
        shares = weights[:, :, None] * here
        shares = np.where(shares.any(axis=0), shares, here)
        return np.einsum("mqk,mqkd->qkd", shares / shares.sum(axis=0), self.on_map[:, near])


@dataclass(frozen=True)
class BesideOthers(_Others):
    """Other samples by the cosine of what stands side by side."""

    beside: SideBySide

    def scores(self, rows: Rows, weights: Floats, among: Rows) -> Floats:
        found = np.empty((len(rows), len(among)), np.float32)
        for one in np.unique(weights, axis=1).T:
            here, vectors = (weights == one[:, None]).all(axis=0), self.beside.vectors(one)
            found[here] = vectors[rows[here]] @ _taken(vectors, among).T
        return _without_themselves(found, rows, among)


@dataclass(frozen=True)
class OfExperts(_Others):
    """Other samples by the product of their modalities' scores, see ``product_of_experts``. But for what is the same
    of all, its logarithm is linear: a softmax is its score less a sum, and what an expert says on average is a score.
    """

    def scores(self, rows: Rows, weights: Floats, among: Rows) -> Floats:
        parts = self.parts
        vectors, known = _taken(parts.vectors, among), parts.present[:, among]
        asked = parts.vectors[rows] * weights.T[:, :, None]
        found = (asked.reshape(len(rows), -1) @ vectors.reshape(len(vectors), -1).T).astype(np.float32, copy=False)
        itself = np.isin(rows, among)
        for at in np.flatnonzero(~known.all(axis=1)):
            counted = known[at].sum() - (itself & parts.present[at, rows])
            total = asked[:, at] @ vectors[known[at], at].sum(axis=0)
            total -= itself * weights[at] * parts.gram[at, at, rows]
            found[:, ~known[at]] += (total / np.maximum(counted, 1)).astype(np.float32)[:, None]
        return _without_themselves(found, rows, among)


def _taken(table: Floats, among: Rows) -> Floats:
    """These rows, without a copy where they are all."""
    return table if len(among) == len(table) else table[among]


def _without_themselves(scores: Floats, rows: Rows, among: Rows) -> Floats:
    at = np.searchsorted(among, rows).clip(max=len(among) - 1)
    itself = among[at] == rows
    scores[itself, at[itself]] = _NOT
    return scores


def placed(kin: Kin, rows: Rows, weights: Floats, seed: int = 0) -> Work[Floats]:
    """``(q, 2)`` where samples ``rows (q,)`` belong by their ``weights (m, q)``, as ``Parts.counted`` gives them: at
    the places of their ``NEAR`` nearest, which count e times less for a score so much lower as ``TEMPERATURE``.
    """
    count = kin.count
    among = everyone = np.arange(count)
    if drawn := drawn_of(count, len(rows)):
        everyone = np.sort(np.random.default_rng(seed).choice(count, drawn, replace=False))
    out, order = np.empty((len(rows), 2), np.float32), np.lexsort(weights[::-1])
    step = max(16, _AT_ONCE // len(everyone))
    for start in range(0, len(rows), step):
        if start:
            yield Progress(start, len(rows), "placing samples")
        at = order[start : start + step]
        if drawn:
            among = np.union1d(everyone, kin.own(rows[at]))
        near, shares = _nearest(kin.scores(rows[at], weights[:, at], among))
        out[at] = np.einsum("qk,qkd->qd", shares, kin.places(among[near], weights[:, at]))
    return out


def drawn_of(count: int, rows: int) -> int:
    """How many are drawn of so many kin for so many samples; 0 where all are looked at."""
    return DRAWN if count > DRAWN and rows * count > MOST_PAIRS else 0


def _nearest(scores: Floats) -> tuple[Rows, Floats]:
    """``(q, k)`` columns of the greatest scores, and what each counts, 1 together."""
    k = min(NEAR, scores.shape[1])
    near = np.argpartition(scores, -k, axis=1)[:, -k:]
    found = np.take_along_axis(scores, near, axis=1)
    counted = np.exp((found - found.max(axis=1, keepdims=True)) / TEMPERATURE)
    return near, counted / counted.sum(axis=1, keepdims=True)


def few_weighings(weights: Floats) -> Floats:
    """``weights (m, q)`` as shares, which are all that matters side by side. Where more than ``MOST_WEIGHINGS`` differ
    they are rounded to tenths, of which three modalities have fewer.
    """
    shares = np.round(weights / weights.sum(axis=0), 4)
    return shares if len(np.unique(shares, axis=1).T) <= MOST_WEIGHINGS else np.round(shares, 1)
