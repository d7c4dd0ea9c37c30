"""Points sorted into the cells of a grid once, so that what lies somewhere is found without looking at all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.desktop.plots.raster import Longs, every
from mmstudio.desktop.plots.transform import inside_polygon

Mask = NDArray[np.bool_]
POINTS_PER_CELL, MOST_CELLS = 4, 2048
"""Points in a cell on the average, and cells along a side."""
_EDGE = 1e-6  # cells: as much as rounding may put a line into the wrong one
_SAMPLED = 100_000


@dataclass(frozen=True)
class Grid:
    """``side`` x ``side`` cells, a row of them after the other from ``low (2,)`` on, ``per_unit (2,)`` cells to the
    map's unit. ``places (n, 2)`` are sorted by cell, ``rows (n,)`` says which points they were, and cell ``c`` holds
    ``starts[c]`` up to ``starts[c + 1]``. What lies outside belongs to the cell at the border that is nearest.
    """

    side: int
    low: NDArray[np.float64]
    per_unit: NDArray[np.float64]
    places: NDArray[np.float32]
    rows: Longs
    starts: Longs

    @classmethod
    def of(cls, places: NDArray[np.float32], rows: Longs, is_sorted: bool = True) -> Grid:
        """Of the ``rows (m,)`` of ``places``; with one cell alone, which takes no time, unless it is to be sorted.
        Places that are no numbers are left out.
        """
        chosen = places if len(rows) == len(places) else places[rows]
        if not np.isfinite(chosen.sum()):  # sums are quick, and tell of most that is wrong
            finite = np.isfinite(chosen).all(axis=1)
            rows, chosen = rows[finite], chosen[finite]
        side = int(np.clip(math.sqrt(len(rows) / POINTS_PER_CELL), 1, MOST_CELLS)) if is_sorted else 1
        low, high = bounds(chosen)
        per_unit = side / np.maximum(high - low, 1e-9)
        if side == 1:
            return cls(1, low, per_unit, np.ascontiguousarray(chosen), rows, np.array([0, len(rows)]))
        columns, lines = (((chosen[:, axis] - low[axis]) * per_unit[axis]).clip(0, side - 1).astype(np.int32)
                          for axis in (0, 1))
        cells = lines * side + columns
        order = np.argsort(cells, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=side * side))])
        return cls(side, low, per_unit, chosen[order], rows[order], starts)

    def runs(self, left: float, bottom: float, right: float, top: float) -> tuple[Longs, Longs]:
        """The first, and one more than the last, of the sorted points of each row of cells that the box touches."""
        first, last = (np.clip(np.floor((np.array(corner) - self.low) * self.per_unit), 0, self.side - 1).astype(int)
                       for corner in ((left, bottom), (right, top)))
        lines = np.arange(first[1], last[1] + 1) * self.side
        return self.starts[lines + first[0]], self.starts[lines + last[0] + 1]

    def nearest(self, x: float, y: float, reach: float, among: Mask) -> int | None:
        """The nearest sorted point within ``reach`` of a place, of those in ``among (n,)``; of equally near ones that
        of the last row.
        """
        for radius in (reach / 6, reach):  # most that is looked for is very near
            near = every(*self.runs(x - radius, y - radius, x + radius, y + radius))
            near = near[among[near]]
            squared = ((self.places[near] - np.array([x, y])) ** 2).sum(axis=1)
            if len(near) and squared.min() <= radius**2:
                nearest = near[squared == squared.min()]
                return int(nearest[self.rows[nearest].argmax()])
        return None

    def inside(self, outline: NDArray[np.float64]) -> Longs:
        """The sorted points within a closed polygon ``(m, 2)``, by the even-odd rule. Cells that no line crosses are
        inside or outside as a whole; only points of the others are looked at one by one.
        """
        if self.side == 1:
            return np.flatnonzero(inside_polygon(self.places, outline))
        corners = (outline - self.low) * self.per_unit
        crossed = _crossed(corners, self.side)
        lengths = np.diff(self.starts)
        whole = _centres_inside(corners, self.side) & ~crossed
        single = every(self.starts[:-1][crossed.ravel()], self.starts[1:][crossed.ravel()])
        within = np.repeat(whole.ravel(), lengths)
        within[single[inside_polygon(self.places[single], outline)]] = True
        return np.flatnonzero(within)


def bounds(places: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners ``(2,)`` of a box around all points but strays."""
    if not len(places):
        return np.zeros(2), np.ones(2)
    some = places[:: max(1, len(places) // _SAMPLED)]
    low, high = np.percentile(some, [0.2, 99.8], axis=0)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _sides(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The beginning and the end of each line of a closed polygon, the lower one first."""
    ends = np.roll(corners, -1, axis=0)
    falls = (corners[:, 1] > ends[:, 1])[:, None]
    return np.where(falls, ends, corners), np.where(falls, corners, ends)


def _lines(first: NDArray[np.float64], last: NDArray[np.float64], side: int) -> tuple[Longs, Longs]:
    """Pairs of a line of the polygon and a row of cells, where ``first (m,)`` up to ``last (m,)`` are its rows."""
    low, high = (np.clip(end, 0, side).astype(np.int64) for end in (first, last))
    rows = every(low, np.maximum(high, low))
    return np.repeat(np.arange(len(low)), np.maximum(high - low, 0)), rows


def _at(lower: NDArray[np.float64], upper: NDArray[np.float64], y: NDArray[np.floating]) -> NDArray[np.float64]:
    """Where each line is at a height, which is brought into the line's own."""
    rise = np.maximum(upper[:, 1] - lower[:, 1], 1e-12)
    share = np.clip((y - lower[:, 1]) / rise, 0, 1)
    return lower[:, 0] + share * (upper[:, 0] - lower[:, 0])


def _crossed(corners: NDArray[np.float64], side: int) -> Mask:
    """``(side, side)`` the cells that a line of the polygon touches, and all at the border."""
    lower, upper = _sides(corners)
    line, row = _lines(np.floor(lower[:, 1] - _EDGE), np.floor(upper[:, 1] + _EDGE) + 1, side)
    enters, leaves = (_at(lower[line], upper[line], row + height) for height in (0.0, 1.0))
    first = np.floor(np.minimum(enters, leaves) - _EDGE).clip(0, side).astype(np.int64)
    last = np.floor(np.maximum(enters, leaves) + _EDGE).clip(-1, side - 1).astype(np.int64)
    flips = np.zeros((side, side + 1), np.int32)
    np.add.at(flips, (row, first), 1)
    np.add.at(flips, (row, last + 1), -1)
    crossed = np.cumsum(flips, axis=1)[:, :side] > 0
    crossed[[0, -1]] = True
    crossed[:, [0, -1]] = True
    return crossed


def _centres_inside(corners: NDArray[np.float64], side: int) -> Mask:
    """``(side, side)`` whether each cell's middle is inside: from the left, every line that is crossed changes it."""
    lower, upper = _sides(corners)
    line, row = _lines(np.ceil(lower[:, 1] - 0.5), np.ceil(upper[:, 1] - 0.5), side)
    column = np.ceil(_at(lower[line], upper[line], row + 0.5) - 0.5).clip(0, side).astype(np.int64)
    flips = np.zeros((side, side + 1), np.int32)
    np.add.at(flips, (row, column), 1)
    return np.cumsum(flips, axis=1)[:, :side] % 2 == 1
