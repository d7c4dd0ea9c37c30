"""Items that stand out: far from all others, typical of many, or nearly the same as another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore.neighbours import EXACT_BELOW, neighbours
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
_BLOCK = 1024
MOST_PAIRS = 200_000


def far_from_all(distances: Floats) -> Floats:
    """``(n,)`` the mean distance to the ``k`` nearest, ``distances (n, k)``: large for outliers, and small where items
    are typical of many.
    """
    return distances.mean(axis=1)


def local_outlier_factor(indices: Rows, distances: Floats) -> Floats:
    """``(n,)`` how much thinner it is around an item than around its neighbours, ``(n, k)``; about 1 for one among
    others (Breunig et al. 2000).
    """
    reach = np.maximum(distances, distances[:, -1][indices])
    density = 1 / (reach.mean(axis=1) + 1e-10)
    return (density[indices].mean(axis=1) / density).astype(np.float32)


def most_typical(indices: Rows, distances: Floats, number: int) -> Rows:
    """Rows in the densest places, densest first, none among the neighbours of one before it, so that they do not all
    come from one place.
    """
    taken, out = np.zeros(len(indices), bool), list[int]()
    for row in np.argsort(far_from_all(distances), kind="stable").tolist():
        if not taken[row]:
            out.append(row)
            taken[row] = True
            taken[indices[row]] = True
            if len(out) == number:
                break
    return np.array(out, np.int64)


@dataclass(frozen=True)
class Alike:
    """Pairs of rows ``one (p,)`` and ``other (p,)`` and their ``similarity (p,)``, the most alike first."""

    one: Rows
    other: Rows
    similarity: Floats

    def groups(self, number: int) -> list[Rows]:
        """Rows that hang together through pairs, of ``number`` rows, the largest group first."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        edges = coo_matrix((np.ones(len(self.one)), (self.one, self.other)), (number, number))
        _, label = connected_components(edges, directed=False)
        order = np.argsort(label, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
        return sorted((part for part in parts if len(part) > 1), key=lambda part: -len(part))


def near_duplicates(vectors: Floats, threshold: float, modalities: NDArray[np.str_] | None = None,
                    across: bool = False) -> Work[Alike]:
    """All pairs of unit ``vectors (n, dim)`` whose cosine is at least ``threshold``; with ``modalities (n,)``, only of
    one modality, or only ``across`` two. At most ``MOST_PAIRS``, and of very many rows those among the nearest 16.
    """
    n, found = len(vectors), list[tuple[Rows, Rows, Floats]]()

    def keep(one: Rows, other: Rows, similarity: Floats) -> None:
        wanted = (one < other) & (similarity >= threshold)
        if modalities is not None:
            wanted &= (modalities[one] != modalities[other]) == across
        found.append((one[wanted], other[wanted], similarity[wanted]))

    if n >= EXACT_BELOW:
        indices, distances = yield from neighbours(vectors, 16)
        low, high = np.minimum(np.arange(n)[:, None], indices), np.maximum(np.arange(n)[:, None], indices)
        pairs, at = np.unique(np.stack([low.ravel(), high.ravel()]), axis=1, return_index=True)
        keep(pairs[0], pairs[1], (1 - distances.ravel()[at] ** 2 / 2).astype(np.float32))
    else:
        for start in range(0, n, _BLOCK):
            near = vectors[start : start + _BLOCK] @ vectors[start:].T
            one, other = np.nonzero(near >= threshold)
            keep(one + start, other + start, near[one, other])
            yield Progress(min(start + _BLOCK, n), n, "comparing items")
            if sum(len(part[0]) for part in found) > MOST_PAIRS:
                break
    one, other = (np.concatenate([np.zeros(0, np.int64), *(part[at] for part in found)]) for at in (0, 1))
    similarity = np.concatenate([np.zeros(0, np.float32), *(part[2] for part in found)])
    order = np.argsort(-similarity, kind="stable")[:MOST_PAIRS]
    return Alike(one[order], other[order], similarity[order])
