"""Groups that a person sees on the map: hills of its density, found in milliseconds and without blocking a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CELLS = 112
SADDLE = 0.72
"""Two hills are one where the saddle between them is higher than this share of the lower peak."""
FOOT = 0.06
"""Points where the density is below this share of their hill's peak belong to no cluster."""

Density = NDArray[np.float64]
Cells = NDArray[np.int64]


def on_map(places: NDArray[np.float32]) -> NDArray[np.int64]:
    """``(n,)`` cluster of each point of a map ``(n, 2)``, largest cluster 0, -1 where a point belongs to none.

    A kernel density on a grid; every cell climbs to its highest neighbour until a peak (mode seeking, Fukunaga &
    Hostetler 1975, on a grid); hills with a high saddle between them are merged.
    """
    n = len(places)
    if n < 10:
        return np.full(n, -1, np.int64)
    cell, density = _density(places)
    peak_of = _climbed(density)
    peak_of = _merged(density, peak_of)
    peaks = peak_of[cell]
    lonely = density.ravel()[cell] < FOOT * density.ravel()[peaks]
    names, counts = np.unique(peaks[~lonely], return_counts=True)
    large = counts >= max(5, n // 200)
    names = names[large][np.argsort(-counts[large], kind="stable")]
    labels = np.full(CELLS * CELLS, -1, np.int64)
    labels[names] = np.arange(len(names))
    return np.where(lonely, -1, labels[peaks])


def _density(places: NDArray[np.float32]) -> tuple[Cells, Density]:
    """Each point's cell ``(n,)`` and the smoothed density ``(CELLS, CELLS)``; bandwidth after Scott (1992), narrowed
    because maps have many small hills.
    """
    low, high = np.percentile(places, [0.5, 99.5], axis=0)
    span = max(float((high - low).max()), 1e-9) * 1.15
    at = ((places - (low + high) / 2) / span + 0.5) * CELLS
    grid = np.clip(at, 0, CELLS - 1).astype(np.int64)
    cell = grid[:, 1] * CELLS + grid[:, 0]
    counts = np.bincount(cell, minlength=CELLS * CELLS).reshape(CELLS, CELLS).astype(float)
    spread = float(np.std(at, axis=0).mean())
    width = max(1.0, 0.36 * spread * len(places) ** (-1 / 6))
    offset = np.arange(CELLS)[:, None] - np.arange(CELLS)
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    return cell, kernel @ counts @ kernel


def _climbed(density: Density) -> Cells:
    """``(cells,)`` the peak that each cell climbs to."""
    padded = np.pad(density, 1, constant_values=-1)
    shifted = np.stack([padded[1 + dy : 1 + dy + CELLS, 1 + dx : 1 + dx + CELLS]
                        for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    best = shifted.argmax(axis=0)
    rows, columns = np.indices((CELLS, CELLS))
    higher = ((rows + best // 3 - 1) * CELLS + columns + best % 3 - 1).ravel()
    stays = density.ravel() >= shifted.max(axis=0).ravel()
    higher = np.where(stays, np.arange(CELLS * CELLS), higher)
    while not np.array_equal(higher, higher[higher]):
        higher = higher[higher]
    return higher


def _merged(density: Density, peak_of: Cells) -> Cells:
    """Peaks joined over high saddles, highest saddle first."""
    flat, grid = density.ravel(), np.arange(CELLS * CELLS).reshape(CELLS, CELLS)
    left = np.concatenate([grid[:, :-1].ravel(), grid[:-1].ravel()])
    right = np.concatenate([grid[:, 1:].ravel(), grid[1:].ravel()])
    border = (peak_of[left] != peak_of[right]) & (np.minimum(flat[left], flat[right]) > 1e-6 * flat.max())
    left, right = left[border], right[border]
    saddle = np.minimum(flat[left], flat[right])
    joined = {int(peak): int(peak) for peak in np.unique(peak_of)}

    def root(peak: int) -> int:
        while joined[peak] != peak:
            peak = joined[peak]
        return peak

    for index in np.argsort(-saddle):
        a, b = root(int(peak_of[left[index]])), root(int(peak_of[right[index]]))
        if a != b and saddle[index] > SADDLE * min(flat[a], flat[b]):
            lower, upper = (a, b) if flat[a] < flat[b] else (b, a)
            joined[lower] = upper
    table = np.arange(CELLS * CELLS)
    for peak in joined:
        table[peak] = root(peak)
    return table[peak_of]
