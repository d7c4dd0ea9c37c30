"""The points of a map: where they are, how each is drawn, which are hidden, selected or let pass, and which lies
where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.desktop.plots.grid import Grid
from mmstudio.desktop.plots.raster import Dots, Longs, every
from mmstudio.desktop.plots.transform import inside_polygon

AT_ONCE = 50_000
"""Points that are sorted while the person waits; more are sorted behind the window and drawn unsorted until then."""
_SAMPLED = 100_000
Behind = Callable[[Callable[[], Any], Callable[[Any], None]], None]
"""Does something in another thread, then tells this one."""


@dataclass
class Points:
    """What is drawn: ``keys (n,)``, ``places (n, 2)`` float32, ``shapes (n,)`` and ``columns (n,)`` int64, the rows of
    the shapes and of the colours. ``near (m,)`` of 0..1 is how near the first m of them are, where the map is deep.
    """

    keys: NDArray[np.int64]
    places: NDArray[np.float32]
    shapes: NDArray[np.int64]
    columns: NDArray[np.int64]
    near: NDArray[np.float32] | None = None

    @classmethod
    def none(cls) -> Points:
        empty = np.empty(0, np.int64)
        return cls(empty, np.empty((0, 2), np.float32), empty, empty)


class Cloud:
    """Keeps the points sorted by place. ``dots`` are the sorted points; their codes are the column of a colour, plus
    ``number`` where selected points stand out in front, then one for grey and one for what is not drawn.

    ``version`` is another after each change; ``changed`` is called where one came from behind.
    """

    def __init__(self, behind: Behind | None, changed: Callable[[], None]) -> None:
        self._behind, self._changed = behind, changed
        self.points = Points.none()
        self.number = 0
        self.hidden = np.zeros(0, bool)
        self.selected: NDArray[np.int64] = np.zeros(0, np.int64)
        self.passing: NDArray[np.bool_] | None = None
        self.loose: list[int] = []
        self.version = 0
        self._sorting = self._stale = False
        self._by_key: NDArray[np.intp] | None = None
        self._in_front: tuple[Dots, int, Longs] | None = None  # of these dots, where there are no more than so many
        self._take(Grid.of(self.points.places, np.arange(0)))

    # ---- what is shown ----------------------------------------------------------------------------------------

    def show(self, points: Points, number: int) -> None:
        """Other points, in ``number`` colours; where they are as many as before, what is hidden or passes stays so."""
        self.points, self.number, self.loose, self._by_key = points, number, [], None
        if len(self.hidden) != len(points.keys):
            self.hidden, self.passing = np.zeros(len(points.keys), bool), None
        self._sort()

    def recolour(self, columns: NDArray[np.int64], number: int) -> None:
        """The same points in other colours."""
        self.points.columns, self.number = columns, number
        self._columns = columns.astype(np.uint16)[self.grid.rows]
        self._recode()

    def place(self, places: NDArray[np.float32], near: NDArray[np.float32] | None = None) -> None:
        """Put the first ``len(places)`` points elsewhere."""
        self.points.near = near
        self.points.places = np.concatenate([places, self.points.places[len(places):]])  # the old may be being sorted
        self._sort()

    def loosen(self, row: int, place: NDArray[np.float32]) -> None:
        """Put one point elsewhere. From then on it is looked at by itself, so that it can move at every frame."""
        self.points.places[row] = place
        if row not in self.loose:
            self.loose.append(row)
            self._leave_out()
        self.version += 1

    def hide(self, hidden: NDArray[np.bool_]) -> None:
        """Leave these points ``(n,)`` out: not drawn, not picked."""
        self.hidden = hidden
        self._leave_out()

    def select(self, keys: NDArray[np.int64]) -> None:
        """One selected point is drawn in front; of several the rest turns grey."""
        self.selected = np.sort(keys)
        self._recode()

    def let_pass(self, passing: NDArray[np.bool_] | None) -> None:
        """These points ``(n,)`` are drawn in front and the rest turns grey; None lets all pass. Where several points
        are selected, these stand out instead.
        """
        self.passing = passing
        self._recode()

    @property
    def stands_out(self) -> bool:
        """Whether some points are drawn in front."""
        return len(self.selected) > 0 or self.passing is not None

    @property
    def greys_out(self) -> bool:
        """Whether the rest is grey: a single selected point is only ringed."""
        return len(self.selected) > 1 or self.passing is not None

    def _sort(self) -> None:
        count = len(self.points.keys)
        at_once = count <= AT_ONCE or self._behind is None
        self._take(Grid.of(self.points.places, np.arange(count), at_once))
        if self._sorting or at_once:
            self._stale = self._sorting
        elif self._behind:
            self._sorting, places = True, self.points.places
            self._behind(lambda: Grid.of(places, np.arange(count)), self._sorted)

    def _sorted(self, grid: Grid) -> None:
        self._sorting, stale, self._stale = False, self._stale, False
        if stale:
            self._sort()
        else:
            self._take(grid)
        self._changed()

    def _take(self, grid: Grid) -> None:
        """All that is looked at for every point is kept in the order of the grid, for looking it up takes longer."""
        points, self.grid = self.points, grid
        self._keys = points.keys[grid.rows]
        self._columns = points.columns.astype(np.uint16)[grid.rows]
        self._shapes = points.shapes.astype(np.uint8)[grid.rows]
        self._leave_out()

    def _leave_out(self) -> None:
        """Which dots are drawn, and how many up to each."""
        drawn = ~self.hidden
        drawn[self.loose] = False
        self.drawn = drawn[self.grid.rows]
        self._drawn_before = np.concatenate([[0], np.cumsum(self.drawn)])
        self._drawn_at = np.flatnonzero(self.drawn)
        self._recode()

    def _recode(self) -> None:
        codes = self._codes(self._keys, self._columns, self.grid.rows)
        self.dots = Dots(self.grid.places, np.where(self.drawn, codes, np.uint16(self.grey + 1)), self._shapes)
        self.version += 1

    def _codes(self, keys: NDArray[np.int64], columns: NDArray[np.uint16], rows: Longs) -> NDArray[np.uint16]:
        """How points are drawn that are."""
        if not self.stands_out:
            return columns
        front = _among(keys, self.selected) if len(self.selected) else np.zeros(len(keys), bool)
        if self.passing is not None and len(self.selected) < 2:
            front |= self.passing[rows]
        return np.where(front, columns + np.uint16(self.number), np.uint16(self.grey) if self.greys_out else columns)

    def codes_of(self, rows: Longs) -> NDArray[np.uint16]:
        """How some points are drawn, as the dots' codes say."""
        codes = self._codes(self.points.keys[rows], self.points.columns[rows].astype(np.uint16), rows)
        return np.where(self.hidden[rows], np.uint16(self.grey + 1), codes)

    @property
    def grey(self) -> int:
        return 2 * self.number

    @property
    def is_sorted(self) -> bool:
        return self.grid.side > 1 or len(self.points.keys) < AT_ONCE

    # ---- what lies where --------------------------------------------------------------------------------------

    def row(self, key: int | None) -> int | None:
        """The row of a key. The first call after other points are shown sorts their keys."""
        keys = self.points.keys
        if key is None or not len(keys):
            return None
        if self._by_key is None:
            self._by_key = np.argsort(keys, kind="stable")
        at = min(int(np.searchsorted(keys, key, sorter=self._by_key)), len(keys) - 1)
        return int(self._by_key[at]) if keys[self._by_key[at]] == key else None

    def visible_loose(self) -> Longs:
        """Rows that are drawn by themselves."""
        return np.array([row for row in self.loose if not self.hidden[row]], np.int64)

    def few_in_front(self, most: int) -> Longs:
        """Rows of the dots that are drawn in front of the rest; none where there are more than ``most``."""
        dots, known = self.dots, self._in_front
        if known is None or known[0] is not dots or known[1] != most:
            front = (dots.codes >= self.number) & (dots.codes < self.grey) if self.stands_out else np.zeros(0, bool)
            few = 0 < np.count_nonzero(front) <= most
            self._in_front = known = dots, most, self.grid.rows[np.flatnonzero(front)] if few else np.zeros(0, np.int64)
        return known[2]

    def count(self, runs: tuple[Longs, Longs]) -> int:
        """How many dots in these runs are drawn."""
        return int((self._drawn_before[runs[1]] - self._drawn_before[runs[0]]).sum())

    @property
    def total(self) -> int:
        """How many dots are drawn wherever they are."""
        return int(self._drawn_before[-1])

    def within(self, runs: tuple[Longs, Longs]) -> Longs:
        """The rows of dots that are drawn in these runs, and the loose ones."""
        at = self._drawn_at[every(self._drawn_before[runs[0]], self._drawn_before[runs[1]])]
        return np.concatenate([self.grid.rows[at], self.visible_loose()])

    def nearest(self, x: float, y: float, reach: float) -> int | None:
        """The row of the nearest point that is drawn within ``reach`` (map units)."""
        loose = self.visible_loose()
        at = self.grid.nearest(x, y, reach, self.drawn)
        rows = np.append(loose, self.grid.rows[at]) if at is not None else loose
        squared = ((self.points.places[rows] - np.array([x, y])) ** 2).sum(axis=1)
        if not len(rows) or squared.min() > reach**2:
            return None
        return int(rows[squared.argmin()])

    def places_of_all(self) -> NDArray[np.float32]:
        """The places of all points that are drawn, or of many of them."""
        every_other = max(1, len(self.points.keys) // _SAMPLED)
        return self.points.places[::every_other][~self.hidden[::every_other]]

    def inside(self, outline: NDArray[np.float64]) -> Longs:
        """The rows that are drawn within a polygon ``(m, 2)``."""
        at = self.grid.inside(outline)
        loose = self.visible_loose()
        return np.concatenate([self.grid.rows[at[self.drawn[at]]],
                               loose[inside_polygon(self.points.places[loose], outline)]])


def _among(keys: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the ``keys (n,)`` are among ``chosen (m,)``, ascending."""
    if len(keys) > len(chosen):
        return np.isin(keys, chosen)
    return chosen[np.searchsorted(chosen, keys).clip(max=len(chosen) - 1)] == keys
