"""Lines of equal density around most of the points: each encloses a share of them in the smallest area.

Highest-density regions (R. J. Hyndman, The American Statistician 50, 1996) of counts smoothed by a Gaussian, followed
by marching squares (W. Lorensen, H. Cline, SIGGRAPH 1987, in two dimensions).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHARES = (0.25, 0.5, 0.75, 0.95)
"""Of the points, enclosed by one line each."""
SIDE = 160
_MANY_HILLS = 0.6
_FEW = 5
"""Points; fewer have no density to speak of."""
# The edges (0 below, 1 right, 2 above, 3 left) between which the line goes, by which corners of a square are high: 1
# the lower left, 2 the lower right, 4 the upper right, 8 the upper left. Saddles, 5 and 10, have two lines.
_LINES = {1: [(3, 0)], 2: [(0, 1)], 3: [(3, 1)], 4: [(1, 2)], 5: [(3, 2), (0, 1)], 6: [(0, 2)], 7: [(3, 2)],
          8: [(2, 3)], 9: [(2, 0)], 10: [(3, 0), (1, 2)], 11: [(2, 1)], 12: [(1, 3)], 13: [(1, 0)], 14: [(0, 3)]}


def contours(places: NDArray[np.float32], shares: tuple[float, ...] = SHARES) -> list[Floats]:
    """For each share the lines ``(m, 2, 2)``, from and to in map units, around that share of ``places (n, 2)``."""
    if len(places) < _FEW:
        return [np.zeros((0, 2, 2)) for _ in shares]
    density, low, step = smoothed(places)
    return [marching_squares(density, level) * step + low for level in levels(density, shares)]


def smoothed(places: NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """Counts in a grid ``(SIDE, SIDE)``, rows going up, smoothed; the place ``(2,)`` of the first, and their distances.

    The Gaussian's width is part of what Scott's rule (Multivariate Density Estimation, 1992) gives for the inner half
    of the points, for the rule is meant for one hill and a map has many.
    """
    quarters = np.percentile(places, [25, 75], axis=0)
    spread = np.maximum((quarters[1] - quarters[0]) / 1.349, 1e-9)
    width = _MANY_HILLS * spread * len(places) ** (-1 / 6)
    low, high = (np.percentile(places, [0.1, 99.9], axis=0) + [[-1], [1]] * (3 * width)).astype(np.float64)
    step = (high - low) / (SIDE - 1)
    columns, rows = np.rint((places - low) / step).astype(np.int64).T
    inside = (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
    counts = np.bincount(rows[inside] * SIDE + columns[inside], minlength=SIDE * SIDE).reshape(SIDE, SIDE)
    across, up = (_blurring(max(float(w), 0.7)) for w in width / step)
    return up @ counts @ across.T, low, step


def _blurring(width: float) -> Floats:
    """``(SIDE, SIDE)``: what of each place goes to each."""
    apart = np.arange(SIDE)[:, None] - np.arange(SIDE)
    weights = np.exp(-0.5 * (apart / width) ** 2)
    return weights / weights.sum(axis=0)


def levels(density: Floats, shares: tuple[float, ...]) -> list[float]:
    """The density above which each share of the whole lies."""
    ordered = np.sort(density, axis=None)[::-1]
    above = np.cumsum(ordered) / ordered.sum()
    return [float(ordered[min(np.searchsorted(above, share), len(ordered) - 1)]) for share in shares]


def marching_squares(heights: Floats, level: float) -> Floats:
    """Lines ``(m, 2, 2)`` from and to, as column and row, where ``heights (rows, columns)`` pass the level."""
    high = heights >= level
    kinds = high[:-1, :-1] + 2 * high[:-1, 1:] + 4 * high[1:, 1:] + 8 * high[1:, :-1]
    found = []
    for kind, lines in _LINES.items():
        rows, columns = np.nonzero(kinds == kind)
        for ends in lines:
            found.append(np.stack([_crossing(heights, level, rows, columns, edge) for edge in ends], axis=1))
    return np.concatenate(found)


def _crossing(heights: Floats, level: float, rows: NDArray[np.intp], columns: NDArray[np.intp], edge: int) -> Floats:
    """Where ``(m, 2)`` the height is the level on an edge of each square, by a straight line between its corners."""
    (y0, x0), (y1, x1) = (((0, 0), (0, 1)), ((0, 1), (1, 1)), ((1, 0), (1, 1)), ((0, 0), (1, 0)))[edge]
    first, last = heights[rows + y0, columns + x0], heights[rows + y1, columns + x1]
    share = (level - first) / (last - first)
    return np.stack([columns + x0 + share * (x1 - x0), rows + y0 + share * (y1 - y0)], axis=1)
