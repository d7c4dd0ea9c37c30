"""The legend of a relevance map: its colours, its range and what the numbers are."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import colours
from mmstudio.explain.maps import RelevanceMap, to_unit


class HeatScale(QWidget):
    """Title, a bar of colours, lowest and highest with the unit."""

    def __init__(self) -> None:
        super().__init__()
        self._map: RelevanceMap | None = None
        self.setFixedHeight(34)

    def sizeHint(self) -> QSize:
        return QSize(300, 34)

    def show_map(self, found: RelevanceMap | None) -> None:
        self._map = found
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._map is None:
            return
        with QPainter(self) as painter:
            _, low, high = to_unit(self._map)
            bar = QRectF(0, 0, self.width(), 8)
            for x in range(self.width()):
                painter.fillRect(QRectF(x, bar.top(), 1, bar.height()), heat.colour(x / max(1, self.width() - 1)))
            painter.setPen(QColor(colours().faint))
            line = QRectF(0, 11, self.width(), 20)
            tiny = 1e-6 * max(abs(low), abs(high))
            lowest, highest = f"{low if abs(low) > tiny else 0:.3g}", f"{high:.3g} {tr(self._map.unit)}"
            painter.drawText(line, int(Qt.AlignmentFlag.AlignLeft), lowest)
            painter.drawText(line, int(Qt.AlignmentFlag.AlignRight), highest)
            metrics = painter.fontMetrics()
            left, right = (metrics.horizontalAdvance(text) + 8 for text in (lowest, highest))
            room = line.adjusted(left, 0, -right, 0)
            title = metrics.elidedText(self._map.title, Qt.TextElideMode.ElideRight, int(room.width()))
            painter.drawText(room, int(Qt.AlignmentFlag.AlignHCenter), title)
