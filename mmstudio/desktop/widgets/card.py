"""The card that appears above a point of the map."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.library import Item

SIDE = 128


class HoverCard(QFrame):
    """128 pixels of an item and its name. Lets the mouse through."""

    def __init__(self, previews: Previews, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._previews = previews
        self._item: Item | None = None
        self._title = ""
        previews.arrived.connect(self._preview_came)
        self.hide()

    def _preview_came(self, _: object) -> None:
        self.update()

    def show_item(self, item: Item | None, title: str) -> None:
        self._item, self._title = item, title
        self.show()
        self.raise_()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(SIDE + 16, (SIDE if self._item else 0) + 34)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        with QPainter(self) as painter:
            if self._item is not None:
                draw_item(painter, QRect(8, 8, SIDE, SIDE - 4), self._item, self._previews.get(self._item))
            box = QRect(8, self.height() - 26, self.width() - 16, 20)
            line = self._title.replace("\n", " ")
            text = painter.fontMetrics().elidedText(line, Qt.TextElideMode.ElideRight, box.width())
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)
