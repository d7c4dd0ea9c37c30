"""Points on their way from one projection to another; of very many only some fly, and the rest is there after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEasingCurve, QElapsedTimer

from mmstudio.desktop.plots.cloud import Points

GLIDE_MS = 500
MOST_FLYING = 100_000


class Flight:
    """``rows (m,)`` of the points fly from where they were; points that are new wait at their places."""

    def __init__(self, old_keys: NDArray[np.int64], old: NDArray[np.float32], points: Points) -> None:
        self.rows = np.arange(0, len(points.keys), -(-len(points.keys) // MOST_FLYING))
        self.share = len(points.keys) / len(self.rows)
        self._target = points.places[self.rows]
        self._start = _starting_places(old_keys, old, points.keys[self.rows], self._target)
        self._clock = QElapsedTimer()
        self._clock.start()

    @property
    def over(self) -> bool:
        return self._clock.elapsed() >= GLIDE_MS

    def now(self) -> NDArray[np.float32]:
        """The places ``(m, 2)`` at this moment."""
        return self.at(min(1.0, self._clock.elapsed() / GLIDE_MS))

    def at(self, share: float) -> NDArray[np.float32]:
        """The places ``(m, 2)`` after a share of the time."""
        if share >= 1:
            return self._target
        eased = np.float32(QEasingCurve(QEasingCurve.Type.InOutCubic).valueForProgress(share))
        return self._start + (self._target - self._start) * eased

    def redirect(self, row: int, place: NDArray[np.float32]) -> None:
        """Put one point elsewhere at once."""
        at = int(np.searchsorted(self.rows, row))
        if at < len(self.rows) and self.rows[at] == row:
            self._start[at] = self._target[at] = place


def _starting_places(old_keys: NDArray[np.int64], old: NDArray[np.float32], keys: NDArray[np.int64],
                     target: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where each point was; points that are new start at their own place."""
    order = np.argsort(old_keys, kind="stable")
    ascending = old_keys[order]
    at = np.searchsorted(ascending, keys).clip(max=len(order) - 1)
    known = ascending[at] == keys
    start = target.copy()
    start[known] = old[order[at[known]]]
    return start
