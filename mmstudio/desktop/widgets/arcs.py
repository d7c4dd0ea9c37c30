"""Which token attends to which: tokens twice, side by side, with a line for each weight (after BertViz: Vig 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, colours

ROW, MOST, LINES, NAME = 20, 64, 500, 110


class Arcs(QWidget):
    """Left what looks, right what is looked at. Pointing at a token on the left shows its lines alone; a click tells it
    by ``picked``.
    """

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._weights: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._names: list[str] = []
        self._others: list[str] = []
        self._first = 0
        self._pointed: int | None = None
        self.setMouseTracking(True)
        self.setAccessibleName(tr("Attention between tokens"))
        THEME.changed.connect(self.update)

    def show_weights(self, weights: NDArray[np.float32], names: list[str], others: list[str], first: int = 0) -> None:
        """``(k, l)`` at most ``MOST`` of each, what looks down. ``first`` is which token the first that looks is."""
        self._weights, self._names, self._others, self._first = weights, names, others, first
        self._pointed = None
        self.setFixedHeight(ROW * max(len(names), len(others)) + 8)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, ROW * max(len(self._names), len(self._others)) + 8)

    def _y(self, number: int) -> float:
        return 4 + ROW * (number + 0.5)

    def _left(self) -> float:
        return max(NAME, self.width() / 2 - 160)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            left, right = self._left(), self.width() - self._left()
            shown = np.zeros_like(self._weights)
            rows = slice(None) if self._pointed is None else slice(self._pointed, self._pointed + 1)
            shown[rows] = self._weights[rows]
            strongest = np.argsort(-shown, axis=None)[:LINES]
            for at in strongest:
                source, target = divmod(int(at), len(self._others))
                strength = float(shown[source, target])
                if strength > 0.01:
                    colour = QColor(colours().accent)
                    colour.setAlphaF(min(1.0, strength))
                    painter.setPen(QPen(colour, 1 + 2 * strength))
                    painter.drawLine(QPointF(left + 6, self._y(source)), QPointF(right - 6, self._y(target)))
            middle = Qt.AlignmentFlag.AlignVCenter
            ending = int(middle | Qt.AlignmentFlag.AlignRight)
            for number, name in enumerate(self._names):
                painter.setPen(QColor(colours().accent if number == self._pointed else colours().text))
                painter.drawText(QRectF(0, self._y(number) - ROW / 2, left, ROW), ending, name)
            painter.setPen(QColor(colours().text))
            for number, name in enumerate(self._others):
                painter.drawText(QRectF(right, self._y(number) - ROW / 2, self.width() - right, ROW), int(middle), name)

    def _row_at(self, event: QMouseEvent) -> int | None:
        row = int((event.position().y() - 4) // ROW)
        return row if 0 <= row < len(self._names) else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        pointed = self._row_at(event) if event.position().x() < self.width() / 2 else None
        if pointed != self._pointed:
            self._pointed = pointed
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._pointed = None
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        on_left = event.position().x() < self.width() / 2
        row = self._row_at(event) if on_left else None
        if row is not None:
            self.picked.emit(self._first + row)
