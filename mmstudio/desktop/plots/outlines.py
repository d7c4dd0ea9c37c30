"""The contours of a map's density: reckoned behind the window, and drawn where the map is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shiboken6
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from mmstudio.desktop.plots.cloud import Behind, Cloud
from mmstudio.desktop.plots.contours import Floats, contours
from mmstudio.desktop.plots.transform import Transform

MOST_OUTLINED = 6
"""Categories that have contours of their own; of more, only all points together have."""
_SAMPLED = 300_000
_STRENGTHS = (255, 200, 150, 110)
"""Opacities of the lines, of 255, from the inner to the outer."""


class Outlines:
    """Lines of every category that is drawn, or of all points. ``wanted`` switches them on."""

    def __init__(self, cloud: Cloud, behind: Behind | None, changed: Callable[[], None]) -> None:
        self._cloud, self._behind, self._changed = cloud, behind, changed
        self.wanted = False
        self.lines: dict[int, list[Floats]] = {}
        """By category, -1 for all: for each share of the points ``(m, 2, 2)`` in map units."""
        self._key: tuple[object, ...] = ()
        self._reckoning = False

    def update(self) -> None:
        """Reckon anew where the points are others."""
        cloud = self._cloud
        key = cloud.grid, cloud.hidden, cloud.points.columns
        known = len(self._key) == len(key) and all(old is new for old, new in zip(self._key, key, strict=True))
        if not self.wanted or self._reckoning or known or not cloud.is_sorted:
            return
        self._key, self._reckoning = key, True
        rows = cloud.grid.rows[cloud.drawn][:: max(1, len(cloud.grid.rows) // _SAMPLED)]
        places, columns = cloud.points.places[rows], cloud.points.columns[rows]
        if self._behind is None:
            self._take(_lines(places, columns))
        else:
            self._behind(lambda: _lines(places, columns), self._take)

    def _take(self, lines: dict[int, list[Floats]]) -> None:
        self.lines, self._reckoning = lines, False
        self._changed()

    def draw(self, painter: QPainter, transform: Transform, width: int, height: int, palette: list[QColor],
             plain: QColor) -> None:
        """Draw what is known."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for column, shares in self.lines.items():
            for strength, lines in zip(_STRENGTHS, shares, strict=True):
                colour = QColor(palette[column] if 0 <= column < len(palette) else plain)
                colour.setAlpha(strength)
                painter.setPen(QPen(colour, 1.4, c=Qt.PenCapStyle.FlatCap))
                pixels = np.empty((len(lines), 2, 2))  # the memory layout of QLineF
                pixels[..., 0] = (lines[..., 0] - transform.x) * transform.scale + width / 2
                pixels[..., 1] = (transform.y - lines[..., 1]) * transform.scale + height / 2
                if len(pixels):
                    first = shiboken6.wrapInstance(pixels.ctypes.data, QLineF)
                    painter.drawLines(first, len(pixels))  # type: ignore[call-overload]


def _lines(places: NDArray[np.float32], columns: NDArray[np.int64]) -> dict[int, list[Floats]]:
    present = np.flatnonzero(np.bincount(columns))
    if not 0 < len(present) <= MOST_OUTLINED:
        return {-1: contours(places)}
    return {int(column): contours(places[columns == column]) for column in present}
