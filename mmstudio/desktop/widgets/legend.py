"""The map's legend: a click hides a category, a double-click shows it alone."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.plots.sprites import draw_shape
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import colours

LINE = 22
MOST_LINES = 14


class Legend(QWidget):
    """Lines of (name, shape, colour, number)."""

    hiddenChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.hidden: frozenset[str] = frozenset()
        self._lines: list[tuple[str, str, QColor, int]] = []
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(tr("Click hides, double-click shows alone"))

    def show_lines(self, lines: list[tuple[str, str, QColor, int]]) -> None:
        self._lines = lines[:MOST_LINES]
        self.hidden &= {line[0] for line in lines}
        self.setVisible(bool(lines))
        self.resize(self.sizeHint())
        self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        widest = max((metrics.horizontalAdvance(f"{n[:24]}  {count(k)}") for n, _, _, k in self._lines), default=0)
        return QSize(widest + 44, LINE * len(self._lines) + 10)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        c = colours()
        back = QColor(c.raised)
        back.setAlpha(225)
        painter.setBrush(back)
        painter.setPen(QColor(c.line))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 6, 6)
        for row, (name, shape, colour, number) in enumerate(self._lines):
            y = 5 + row * LINE + LINE / 2
            hidden = name in self.hidden
            draw_shape(painter, shape, QPointF(16, y), 6, QColor(c.dim) if hidden else colour, QColor(c.raised))
            painter.setPen(QColor(c.dim if hidden else c.text))
            painter.drawText(30, int(y + self.fontMetrics().ascent() / 2 - 1), name[:24])
            painter.setPen(QColor(c.faint))
            text = count(number)
            painter.drawText(self.width() - 10 - self.fontMetrics().horizontalAdvance(text),
                             int(y + self.fontMetrics().ascent() / 2 - 1), text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        name = self._name_at(event.position().y())
        if name is not None:
            self._set_hidden(self.hidden ^ {name})

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        name = self._name_at(event.position().y())
        if name is not None:
            others = frozenset(line[0] for line in self._lines) - {name}
            self._set_hidden(frozenset() if self.hidden == others or self.hidden >= others else others)

    def _name_at(self, y: float) -> str | None:
        row = int((y - 5) // LINE)
        return self._lines[row][0] if 0 <= row < len(self._lines) else None

    def _set_hidden(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden
        self.update()
        self.hiddenChanged.emit(hidden)
