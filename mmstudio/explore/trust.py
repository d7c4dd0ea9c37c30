"""Where a map lies: how well each point's neighbourhood is kept, and how far distances are from the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
NEAR = 15
MOST_PAIRS, MOST_SAMPLED = 2.5e9, 4000
"""Pairs of points that are all looked at; of more points a sample of rows is compared with all others."""
STRESSED = 200_000
_BLOCK = 512


@dataclass(frozen=True)
class Trust:
    """Of the points ``rows (m,)``: ``trustworthiness (m,)``, 1 where all that lies near on the map is near in truth;
    ``continuity (m,)``, 1 where all that is near in truth lies near on the map; ``kept (m,)``, the share of the ``k``
    true ``neighbours (m, k)`` that are among the ``k`` nearest on the map. Means over all are those of Venna and Kaski
    (2001). ``stress`` is Kruskal's first (1964), with the map scaled as suits it best.
    """

    k: int
    rows: Rows
    trustworthiness: Floats
    continuity: Floats
    kept: Floats
    neighbours: Rows
    stress: float

    def spread(self, places: Floats) -> tuple[Floats, Floats]:
        """``trustworthiness (n,)`` and ``continuity (n,)`` of all points: of those that were not looked at, the mean of
        the five nearest that were.
        """
        if len(self.rows) == len(places):
            return self.trustworthiness, self.continuity
        from scipy.spatial import cKDTree

        _, near = cKDTree(places[self.rows]).query(places, 5)
        told = self.trustworthiness[near].mean(axis=1), self.continuity[near].mean(axis=1)
        told[0][self.rows], told[1][self.rows] = self.trustworthiness, self.continuity
        return told


def trust(vectors: Floats, places: Floats, k: int = NEAR, seed: int = 0, sample: int = 0) -> Work[Trust]:
    """Compare the neighbourhoods of ``vectors (n, dim)``, by Euclid, and of ``places (n, 2 or 3)``; of all points, or
    of a random ``sample``.
    """
    from scipy.spatial import cKDTree

    from mmstudio.explore import kernels

    n, rng = len(vectors), np.random.default_rng(seed)
    k = max(1, min(k, (n - 1) // 2))
    sample = sample or (n if n * n <= MOST_PAIRS else MOST_SAMPLED)
    rows = np.arange(n) if sample >= n else np.sort(rng.choice(n, sample, replace=False))
    vectors, places = (np.ascontiguousarray(a, np.float32) for a in (vectors, places))
    squares = np.einsum("ij,ij->i", vectors, vectors)
    _, on_map = cKDTree(places).query(places[rows], k + 1)
    on_map = _without(on_map, rows)
    true, values = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)
    in_truth, there = np.empty_like(true), np.empty_like(true)
    for start in range(0, len(rows), _BLOCK):
        some = slice(start, min(start + _BLOCK, len(rows)))
        dots = vectors[rows[some]] @ vectors.T
        kernels.least(dots, squares, rows[some], true[some], values[some])
        kernels.ranks(dots, squares, rows[some], on_map[some], in_truth[some])
        kernels.map_ranks(places, rows[some], true[some], there[some])
        yield Progress(some.stop, len(rows), "comparing neighbourhoods")
    worst = k * (2 * n - 3 * k - 1) / 2
    one, other = (1 - np.maximum(r - k, 0).sum(axis=1) / max(worst, 1) for r in (in_truth, there))
    kept = (in_truth <= k).mean(axis=1)
    return Trust(k, rows, one.astype(np.float32), other.astype(np.float32), kept.astype(np.float32), true,
                 stress(vectors, places, rng))


def _without(found: Rows, rows: Rows) -> Rows:
    """``(m, k)`` of ``found (m, k + 1)``, each without its own row, or without the last where that is not there."""
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    return np.ascontiguousarray(found[~own].reshape(len(rows), -1), np.int64)


def stress(vectors: Floats, places: Floats, rng: np.random.Generator) -> float:
    """Kruskal's stress-1 of all pairs, or of ``STRESSED`` drawn at random, the map's distances scaled by what makes it
    least.
    """
    n = len(vectors)
    if n * (n - 1) // 2 <= STRESSED:
        one, other = np.triu_indices(n, 1)
    else:
        one, other = rng.integers(0, n, (2, STRESSED))
        one, other = one[one != other], other[one != other]
    true, drawn = (np.concatenate([np.linalg.norm(a[one[s : s + 8192]] - a[other[s : s + 8192]], axis=1)
                                   for s in range(0, len(one), 8192)] or [np.zeros(0)]) for a in (vectors, places))
    scale = (true @ drawn) / max(float(drawn @ drawn), 1e-12)
    return float(np.sqrt(((true - scale * drawn) ** 2).sum() / max(float((true**2).sum()), 1e-12)))
