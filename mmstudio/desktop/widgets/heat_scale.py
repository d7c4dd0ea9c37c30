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
        painter = QPainter(self)
        _, low, high = to_unit(self._map)
        bar = QRectF(0, 0, self.width(), 8)
        for x in range(self.width()):
            painter.fillRect(QRectF(x, bar.top(), 1, bar.height()), heat.colour(x / max(1, self.width() - 1)))
        painter.setPen(QColor(colours().faint))
        line = QRectF(0, 11, self.width(), 20)
        painter.drawText(line, int(Qt.AlignmentFlag.AlignLeft), f"{low:.3g}")
        painter.drawText(line, int(Qt.AlignmentFlag.AlignRight), f"{high:.3g} {tr(self._map.unit)}")
        painter.drawText(line, int(Qt.AlignmentFlag.AlignHCenter), self._map.title)
