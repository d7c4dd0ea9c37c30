"""Names with numbers as bars to both sides of zero."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QToolTip, QWidget

from mmstudio.desktop.theme import THEME, colours

ROW, NAME, NUMBER = 22, 150, 64
FOR, AGAINST = "#E69F00", "#56B4E9"
"""Of the Okabe-Ito palette: what speaks for, and what speaks against."""


class Shares(QWidget):
    """One row for each name. ``chosen`` gives the row of a click."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, float]] = []
        self.setMouseTracking(True)
        THEME.changed.connect(self.update)

    def show_shares(self, rows: Sequence[tuple[str, float]], most: int = 40) -> None:
        """The first ``most`` of these."""
        self.rows = list(rows[:most])
        self.setFixedHeight(ROW * len(self.rows))
        self.setVisible(bool(self.rows))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, ROW * len(self.rows))

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            low, high = (edge(0.0, *(value for _, value in self.rows)) for edge in (min, max))
            room = max(1, self.width() - NAME - NUMBER - 16)
            for number, (name, value) in enumerate(self.rows):
                top = number * ROW
                painter.setPen(QColor(colours().text))
                painter.drawText(QRectF(0, top, NAME, ROW), int(Qt.AlignmentFlag.AlignVCenter), self._shown(name))
                start, end = ((at - low) / max(high - low, 1e-12) * room for at in sorted((0.0, value)))
                painter.fillRect(QRectF(NAME + 8 + start, top + 5, max(1.0, end - start), ROW - 10),
                                 QColor(FOR if value >= 0 else AGAINST))
                painter.setPen(QColor(colours().faint))
                painter.drawText(QRectF(self.width() - NUMBER, top, NUMBER, ROW),
                                 int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), f"{value:+.3f}")

    def _shown(self, name: str) -> str:
        return self.fontMetrics().elidedText(name.replace("\n", " "), Qt.TextElideMode.ElideRight, NAME)

    def _row_at(self, event: QMouseEvent) -> int | None:
        row = int(event.position().y()) // ROW
        return row if 0 <= row < len(self.rows) else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event)
        if row is not None:
            QToolTip.showText(event.globalPosition().toPoint(), self.rows[row][0][:300].replace("<", "‹"), self)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event)
        if row is not None:
            self.chosen.emit(row)
