"""The nearest rows of every row: exactly by blocks, or, of very many, within the nearest cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
EXACT_BELOW = 80_000
"""Rows: of fewer all pairs are looked at."""
PROBES = 24
"""Cells that are looked into around each cell, of as many as the root of the number of rows."""
_BLOCK = 512


def neighbours(vectors: Floats, k: int, exact: bool | None = None, seed: int = 0) -> Work[tuple[Rows, Floats]]:
    """The ``k`` nearest other rows by Euclid of each row of ``vectors (n, dim)``, nearest first: ``(n, k)`` indices and
    ``(n, k)`` distances. Exact below ``EXACT_BELOW`` rows unless asked for otherwise, else by an inverted file (Jégou
    et al. 2011) that misses few.
    """
    from mmstudio.explore import kernels

    n, k = len(vectors), min(k, len(vectors) - 1)
    vectors = np.ascontiguousarray(vectors, np.float32)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    indices, values = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    if exact or (exact is None and n < EXACT_BELOW) or n < 4 * PROBES**2:
        for start in range(0, n, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, n))
            kernels.least(vectors[rows] @ vectors.T, squares, rows, indices[rows[0] : rows[-1] + 1],
                          values[rows[0] : rows[-1] + 1])
            yield Progress(int(rows[-1]) + 1, n, "finding neighbours")
    else:
        yield from _by_cells(vectors, squares, indices, values, seed)
    return indices, np.sqrt(np.maximum(values + squares[:, None], 0))


def _by_cells(vectors: Floats, squares: Floats, indices: Rows, values: Floats, seed: int) -> Work[None]:
    from sklearn.cluster import MiniBatchKMeans

    from mmstudio.explore import kernels

    n, k = indices.shape
    cells = round(n**0.5)
    yield Progress(0, n, "sorting into cells")
    sample = np.random.default_rng(seed).choice(n, min(n, 64 * cells), replace=False)
    means = MiniBatchKMeans(cells, batch_size=4096, n_init=1, max_iter=5, random_state=seed, init="random")
    centres = means.fit(vectors[np.sort(sample)]).cluster_centers_.astype(np.float32)
    cell = np.concatenate([(vectors[s : s + 8192] @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
                           for s in range(0, n, 8192)])
    order = np.argsort(cell, kind="stable")
    bounds = np.searchsorted(cell[order], np.arange(cells + 1))
    near = np.argsort((centres**2).sum(axis=1) - 2 * centres @ centres.T, axis=1)
    done = 0
    for own in range(cells):
        rows = order[bounds[own] : bounds[own + 1]]
        if not len(rows):
            continue
        looked_at, among = PROBES, rows[:0]
        while len(among) <= 2 * k and len(among) < n:  # small cells hold too few
            among = np.concatenate([order[bounds[c] : bounds[c + 1]] for c in near[own, :looked_at]])
            looked_at *= 2
        place = np.full(len(rows), -1)
        by_row = np.argsort(among)
        at = np.searchsorted(among[by_row], rows).clip(max=len(among) - 1)
        same = among[by_row[at]] == rows
        place[same] = by_row[at[same]]
        columns, found = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)
        kernels.least(vectors[rows] @ vectors[among].T, squares[among], place, columns, found)
        indices[rows], values[rows] = among[columns], found
        done += len(rows)
        yield Progress(done, n, "finding neighbours")
