"""A vector as a strip of colours: negative to positive around the theme's base."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QToolTip, QWidget

from mmstudio.colour_maps import colour_map
from mmstudio.desktop import heat
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, colours

ROWS = 6


class VectorStrip(QWidget):
    """``(dim,)`` float32 wrapped into a few rows; hovering tells a component's number and value."""

    def __init__(self) -> None:
        super().__init__()
        self._vector = np.zeros(0, np.float32)
        self._image = QImage()
        self.setMouseTracking(True)
        self.setMinimumHeight(ROWS * 9)
        THEME.changed.connect(self._redraw)

    def sizeHint(self) -> QSize:
        return QSize(320, ROWS * 9)

    def _redraw(self) -> None:
        self.show_vector(self._vector)

    def show_vector(self, vector: NDArray[np.float32] | None) -> None:
        self._vector = np.zeros(0, np.float32) if vector is None else vector
        self._image = QImage() if not len(self._vector) else self._drawn()
        self.update()

    def _columns(self) -> int:
        return -(-len(self._vector) // ROWS)

    def _drawn(self) -> QImage:
        name = "CET_D1" if not colours().dark else "CET_D1A"
        table = colour_map(name)
        most = max(float(np.abs(self._vector).max()), 1e-9)
        cells = np.zeros(ROWS * self._columns(), np.float32)
        cells[: len(self._vector)] = self._vector / most
        return heat.as_image(table[((cells + 1) / 2 * (len(table) - 1)).astype(int)].reshape(ROWS, -1, 3))

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            if self._image.isNull():
                painter.fillRect(QRect(0, 0, self.width(), self.height()), QColor(colours().line))
            else:
                painter.drawImage(self.rect(), self._image)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not len(self._vector):
            return
        row = min(ROWS - 1, max(0, int(event.position().y() / max(1, self.height()) * ROWS)))
        column = min(self._columns() - 1, max(0, int(event.position().x() / max(1, self.width()) * self._columns())))
        index = row * self._columns() + column
        if index < len(self._vector):
            QToolTip.showText(event.globalPosition().toPoint(),
                              tr("component {}: {}").format(index + 1, f"{self._vector[index]:+.4f}"), self)
