"""The map's legend: a click hides a category, a double-click shows it alone; or a scale of numbers as a bar."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QLinearGradient, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.plots.colouring import Scale
from mmstudio.desktop.plots.sprites import draw_shape
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import colours

LINE, MARGIN = 22, 5
MOST_LINES, FEWEST_LINES = 12, 3
"""Lines at a time, but no higher than half of what the legend lies on; the wheel brings the others."""
MOST_CHARACTERS, FEWEST_CHARACTERS, WIDEST = 24, 8, 0.4
"""Of a name, as long as the legend is no broader than this share of what it lies on."""
BAR = QSize(200, 10)


@dataclass(frozen=True)
class Line:
    """One category."""

    name: str
    shape: str
    colour: QColor
    number: int


class Legend(QWidget):
    """Lines of categories, or a scale. ``hidden`` are the names that are not shown on the map."""

    hiddenChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.hidden: frozenset[str] = frozenset()
        self._lines: list[Line] = []
        self._first = 0
        self._scale: Scale | None = None
        self._bar: list[QColor] = []

    def show_lines(self, lines: list[Line]) -> None:
        """Show categories, most frequent first or as they come."""
        self._lines, self._scale = lines, None
        self.hidden &= {line.name for line in lines}
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(tr("Click hides, double-click shows alone"))
        self._shown(bool(lines))

    def show_scale(self, scale: Scale, bar: list[QColor]) -> None:
        """Show what numbers the colours of a bar stand for."""
        self._lines, self._scale, self._bar, self.hidden = [], scale, bar, frozenset()
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.setToolTip(tr("Grey points have no value"))
        self._shown(True)

    def _shown(self, visible: bool) -> None:
        self.setVisible(visible)
        self.fit()

    def fit(self) -> None:
        """Take the room that suits what the legend lies on."""
        self._first = min(self._first, self._rest)
        self.resize(self.sizeHint())
        self.update()

    @property
    def _most(self) -> int:
        below = self.parentWidget()
        return MOST_LINES if below is None else max(FEWEST_LINES, min(MOST_LINES, below.height() // (2 * LINE)))

    @property
    def _longest(self) -> int:
        below = self.parentWidget()
        fit = MOST_CHARACTERS if below is None else int(WIDEST * below.width()) // self.fontMetrics().averageCharWidth()
        return max(FEWEST_CHARACTERS, min(MOST_CHARACTERS, fit - 12))

    @property
    def _rest(self) -> int:
        """Lines that are not seen now."""
        return max(0, len(self._lines) - self._most)

    def _name(self, line: Line) -> str:
        longest = self._longest
        return line.name if len(line.name) <= longest else line.name[: longest - 1] + "…"

    def _told(self, first: int) -> str:
        last = min(first + self._most - 1, len(self._lines))
        return tr("{}–{} of {}, wheel for more").format(first, last, len(self._lines))

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        if self._scale:
            ends = metrics.horizontalAdvance(f"{self._scale.low}      {self._scale.high}")
            title = metrics.horizontalAdvance(self._scale.title[: 2 * self._longest])
            return QSize(max(BAR.width(), ends, title) + 24, 2 * LINE + BAR.height() + 10)
        widest = max((metrics.horizontalAdvance(f"{self._name(line)}  {count(line.number)}")
                      for line in self._lines), default=0)
        rows = min(len(self._lines), self._most) + bool(self._rest)
        rest = metrics.horizontalAdvance(self._told(len(self._lines))) if self._rest else 0
        return QSize(max(widest + 44, rest + 24), LINE * rows + 2 * MARGIN)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            c = colours()
            back = QColor(c.raised)
            back.setAlpha(240)
            painter.setBrush(back)
            painter.setPen(QColor(c.line))
            painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 6, 6)
            if self._scale:
                self._draw_scale(painter, self._scale)
            for row, line in enumerate(self._lines[self._first : self._first + self._most]):
                self._draw_line(painter, row, line)
            if self._rest:
                painter.setPen(QColor(c.faint))
                painter.drawText(12, self._baseline(self._most), self._told(self._first + 1))

    def _baseline(self, row: int) -> int:
        return int(MARGIN + (row + 0.5) * LINE + self.fontMetrics().ascent() / 2 - 1)

    def _draw_line(self, painter: QPainter, row: int, line: Line) -> None:
        c, hidden = colours(), line.name in self.hidden
        draw_shape(painter, line.shape, QPointF(16, MARGIN + (row + 0.5) * LINE), 6,
                   QColor(c.dim) if hidden else line.colour, QColor(c.raised))
        painter.setPen(QColor(c.dim if hidden else c.text))
        painter.drawText(30, self._baseline(row), self._name(line))
        painter.setPen(QColor(c.faint))
        text = count(line.number)
        painter.drawText(self.width() - 10 - self.fontMetrics().horizontalAdvance(text), self._baseline(row), text)

    def _draw_scale(self, painter: QPainter, scale: Scale) -> None:
        c = colours()
        bar = QRectF(12, LINE + 4, self.width() - 24, BAR.height())
        painter.setPen(QColor(c.text))
        painter.drawText(12, self._baseline(0), scale.title[: 2 * self._longest])
        gradient = QLinearGradient(bar.topLeft(), bar.topRight())
        for step, colour in enumerate(self._bar):
            gradient.setColorAt(step / max(1, len(self._bar) - 1), colour)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(gradient)
        painter.drawRoundedRect(bar, 2, 2)
        painter.setPen(QColor(c.faint))
        ends = QRectF(bar.left(), bar.bottom() + 1, bar.width(), LINE)
        painter.drawText(ends, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), scale.low)
        painter.drawText(ends, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), scale.high)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not self._rest:
            super().wheelEvent(event)
            return
        step = -1 if event.angleDelta().y() > 0 else 1
        self._first = min(max(0, self._first + 3 * step), self._rest)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        name = self._name_at(event.position().y())
        if name is not None:
            self._set_hidden(self.hidden ^ {name})

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        name = self._name_at(event.position().y())
        if name is not None:
            others = frozenset(line.name for line in self._lines) - {name}
            self._set_hidden(frozenset() if self.hidden >= others else others)

    def _name_at(self, y: float) -> str | None:
        row = int((y - MARGIN) // LINE)
        seen = self._lines[self._first : self._first + self._most]
        return seen[row].name if 0 <= row < len(seen) else None

    def _set_hidden(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden
        self.update()
        self.hiddenChanged.emit(hidden)
