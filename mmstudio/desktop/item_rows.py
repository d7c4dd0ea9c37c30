"""How the library's items are drawn, as cards of the grid or as lines of the list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem, QWidget

from mmstudio.desktop.column_view import Cell, ColumnView
from mmstudio.desktop.item_list import ItemList
from mmstudio.desktop.item_view import Index, Row
from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.places import Places
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.theme import MODALITY_COLOURS, colours, icon
from mmstudio.library import Item

SIDE = 90
_FONT, _DOT = 12, 6
_MOST_DRAWN = 400
_UPRIGHT = int(Qt.AlignmentFlag.AlignVCenter)


class ItemRows:
    """Draws rows of an ItemList: as few calls of Qt as will do, see ``column_view.RowPainter``."""

    def __init__(self, items: ItemList, previews: Previews, places: Places) -> None:
        self._items, self._previews, self._places = items, previews, places

    def draw_cards(self, painter: QPainter, rows: Iterable[Row]) -> None:
        pen = _Pen(painter)
        for row in rows:
            item, box = self._items.item_at(row.number), row.rect
            pen.ground(box, row)
            if item is not None:
                self._face(pen, QRect(box.left() + 6, box.top() + 6, box.width() - 12, box.height() - 30), item)
                pen.title(QRect(box.left() + 18, box.bottom() - 21, box.width() - 24, 18), item)

    def draw_lines(self, painter: QPainter, rows: Iterable[Row], cells: Sequence[Cell]) -> None:
        pen, columns = _Pen(painter), self._items.columns
        names = [(self._items.name_of(column), left, width) for column, left, width in cells]
        for row in rows:
            item, top, height = self._items.item_at(row.number), row.rect.top(), row.rect.height()
            pen.ground(row.rect, row)
            if item is None:
                continue
            for name, left, width in names:
                if name == "name":
                    self._face(pen, QRect(left + 8, top + 4, 48, 32), item)
                    pen.title(QRect(left + 72, top, width - 80, height), item)
                else:
                    pen.line(QRect(left + 8, top, width - 16, height), columns.text(item, name))

    def _face(self, pen: _Pen, box: QRect, item: Item) -> None:
        missing = item.id in self._places.missing
        if missing:
            pen.painter.setOpacity(0.35)
        draw_item(pen.painter, box, item, self._previews.get(item))
        if missing:
            pen.painter.setOpacity(1.0)
            pen.missing.paint(pen.painter, QRect(box.right() - 18, box.top(), 18, 18))


class ItemEditor(QStyledItemDelegate):
    """Edits a cell in place, and draws what is dragged: all else the view has drawn at once."""

    def __init__(self, view: ColumnView) -> None:
        super().__init__(view)
        self._view = view

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect  # type: ignore[attr-defined]
        row = Row(index.row(), rect, selected=False, hovered=False)
        if self._view.has_columns:
            self._view.row_painter.draw_lines(painter, [row], [(index.column(), rect.left(), rect.width())])
        else:
            self._view.row_painter.draw_cards(painter, [row])

    def updateEditorGeometry(self, editor: QWidget, option: object, index: Index) -> None:
        editor.setGeometry(option.rect.adjusted(0, 4, 0, -4))  # type: ignore[attr-defined]
        editor.setStyleSheet("padding: 0 6px; min-height: 0;")


class _Pen:
    """What is the same for all rows of a frame."""

    def __init__(self, painter: QPainter) -> None:
        c = colours()
        self.painter, self._ratio = painter, painter.device().devicePixelRatio()
        self._text, self._selected_text = QColor(c.text), QColor(c.accent_text)
        self._selected, self._hovered = QColor(c.accent), QColor(c.line)
        font = painter.font()
        font.setPixelSize(_FONT)
        painter.setFont(font)
        painter.setPen(self._text)
        self._metrics, self._is_selected = painter.fontMetrics(), False
        self.missing: QIcon = icon("missing")

    def ground(self, box: QRect, row: Row) -> None:
        if row.selected or row.hovered:
            self.painter.fillRect(box, self._selected if row.selected else self._hovered)
        if row.selected != self._is_selected:
            self.painter.setPen(self._selected_text if row.selected else self._text)
            self._is_selected = row.selected

    def title(self, box: QRect, item: Item) -> None:
        """An item's name, with its modality's dot before it."""
        self.painter.drawPixmap(QPoint(box.left() - 10, box.center().y() - 2),
                                _dot(MODALITY_COLOURS[item.modality], self._ratio))
        self.line(box, item.title)

    def line(self, box: QRect, text: str) -> None:
        """One line, cut off where the box ends."""
        if not text:
            return
        if not text.isascii() or "\n" in text or len(text) * _FONT > box.width():  # else it fits without being measured
            text = self._metrics.elidedText(text[:_MOST_DRAWN].replace("\n", " "), Qt.TextElideMode.ElideRight,
                                            box.width())
        self.painter.drawText(box, _UPRIGHT, text)


@cache
def _dot(colour: str, ratio: float) -> QPixmap:
    dot = QPixmap(round((_DOT + 1) * ratio), round((_DOT + 1) * ratio))
    dot.setDevicePixelRatio(ratio)
    dot.fill(Qt.GlobalColor.transparent)
    painter = QPainter(dot)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(0, 0, _DOT, _DOT)
    painter.end()
    return dot
