"""The true neighbours of one point of a map of very many: all vectors are looked at, and none is copied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.plots.colouring import places_in
from mmstudio.library import VectorView

Floats = NDArray[np.float32]
_BLOCK = 1 << 15


@dataclass(frozen=True, eq=False)
class Seen:
    """The vectors as the map saw them: ``keys (n,)`` of its points and their ``rows (n,)`` of the view; the ``means (m,
    dim)`` that are taken off where the gap between modalities is closed, zeros where it is not, which of them each
    point has, ``group (n,)``, and the ``lengths (n,)`` of what is left.
    """

    view: VectorView
    keys: NDArray[np.int64]
    rows: NDArray[np.intp]
    means: Floats
    group: NDArray[np.intp]
    lengths: Floats

    @classmethod
    def of(cls, view: VectorView, layout: Layout) -> Seen:
        """Of the map's points that have a vector still."""
        rows = places_in(layout.keys, view.ids)
        keys, rows = layout.keys[rows >= 0], rows[rows >= 0]
        names, group = np.unique(view.modalities[rows], return_inverse=True)
        means = np.zeros((len(names), view.key.dim), np.float32)
        if layout.arrangement is None or layout.arrangement.closes_gap:
            for number in range(len(names)):
                own = rows[group == number]
                if len(own) > 1:
                    means[number] = np.sum([view.vectors[some].sum(axis=0, dtype=np.float64) for some in _blocks(own)],
                                           axis=0) / len(own)
        lengths = np.concatenate([np.linalg.norm(_taken(view.vectors, some) - means[which], axis=1)
                                  for some, which in zip(_blocks(rows), _blocks(group), strict=True)])
        return cls(view, keys, rows, means, group, np.maximum(lengths, np.float32(1e-12)))

    def vectors(self) -> Floats:
        """``(n, dim)`` of all points, each as long as 1."""
        return (self.view.vectors[self.rows] - self.means[self.group]) / self.lengths[:, None]

    def near(self, key: int, k: int) -> NDArray[np.int64]:
        """The keys ``(k,)`` of the points nearest to this one, nearest first; none where it has no vector."""
        own = int(places_in(np.array([key]), self.keys)[0])
        if own < 0:
            return self.keys[:0]
        asked = self.view.vectors[self.rows[own]] - self.means[self.group[own]]
        scores = np.concatenate([_taken(self.view.vectors, some) @ asked for some in _blocks(self.rows)])
        scores = (scores - (self.means @ asked)[self.group]) / self.lengths
        scores[own] = -np.inf
        k = min(k, len(scores) - 1)
        best = np.argpartition(-scores, k - 1)[:k] if k else np.zeros(0, np.intp)
        return self.keys[best[np.argsort(-scores[best], kind="stable")]]


def _taken(vectors: Floats, rows: NDArray[np.intp]) -> Floats:
    """These rows; where they lie side by side, as they mostly do, without a copy."""
    side_by_side = rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
    return vectors[rows[0] : rows[-1] + 1] if side_by_side else vectors[rows]


def _blocks(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
