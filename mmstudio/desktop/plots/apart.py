"""Which points may show a picture, so that no two pictures overlap and none comes or goes while the map is panned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REACH = 4
"""Cells beyond what is seen within which points take part in the choice, for it depends on neighbours of neighbours."""


def ranks(keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """An order ``(n,)`` of points that has nothing to do with where or what they are, and is the same every time: the
    mixing step of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
    """
    mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(27))


def apart(places: NDArray[np.float32], order: NDArray[np.uint64], side: float) -> NDArray[np.intp]:
    """Points whose squares of ``side`` (map units) around them do not overlap.

    In each cell of a grid that is fixed to the map only the point that is first in ``order (n,)`` may be chosen. Of
    every four cells the first are chosen from, then the second where there is still room, and so on.
    """
    if not len(places):
        return np.zeros(0, np.intp)
    cells = np.floor(places.astype(np.float64) / side).astype(np.int64)
    by_cell = np.lexsort((order, cells[:, 0], cells[:, 1]))
    lead = np.ones(len(places), bool)
    lead[1:] = (np.diff(cells[by_cell], axis=0) != 0).any(axis=1)
    firsts = by_cell[lead]
    chosen: dict[tuple[int, int], int] = {}
    for phase in ((0, 0), (1, 1), (1, 0), (0, 1)):
        for point in firsts[(cells[firsts] % 2 == phase).all(axis=1)].tolist():
            column, row = cells[point].tolist()
            around = [chosen[cell] for x in (-1, 0, 1) for y in (-1, 0, 1) if (cell := (column + x, row + y)) in chosen]
            if not around or np.abs(places[around] - places[point]).max(axis=1).min() >= side:
                chosen[column, row] = point
    return np.array(sorted(chosen.values()), np.intp)
