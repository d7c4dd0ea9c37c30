"""A grid of items, or a list of them with columns, whose header sorts and is dragged wider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QWidget

from mmstudio.desktop.item_view import Action, Index, ItemView, Row
from mmstudio.desktop.text import tr

LEAST_WIDTH = 40
Cell = tuple[int, int, int]
"""A column, where in the viewport it begins and how wide it is, in pixels."""


class RowPainter(Protocol):
    """Draws rows all at once. A call of Qt waits for Python's lock where other threads work, and a delegate takes a
    dozen for each cell.
    """

    def draw_cards(self, painter: QPainter, rows: Iterable[Row]) -> None:
        """Rows of a grid."""

    def draw_lines(self, painter: QPainter, rows: Iterable[Row], cells: Sequence[Cell]) -> None:
        """Rows of a list."""


class ColumnView(ItemView):
    """Where cells do not wrap, each row is cut into the model's columns. A row is selected whole."""

    def __init__(self, row_painter: RowPainter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row_painter = row_painter
        self.header = QHeaderView(Qt.Orientation.Horizontal, self)
        self.header.setSectionsClickable(True)
        self.header.setHighlightSections(False)
        self.header.setStretchLastSection(True)
        self.header.setMinimumSectionSize(LEAST_WIDTH)
        self.header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.header.setToolTip(tr("Click to sort, right-click to choose the columns"))
        self.header.hide()
        self.header.sectionResized.connect(lambda *_: self._resized())
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed
                             | QAbstractItemView.EditTrigger.DoubleClicked)

    @property
    def has_columns(self) -> bool:
        return not self._wraps

    def setModel(self, model: QAbstractItemModel | None) -> None:
        super().setModel(model)
        self.header.setModel(model)

    def set_cells(self, size: QSize, wraps: bool) -> None:
        self.setViewportMargins(0, 0 if wraps else self.header.sizeHint().height(), 0, 0)
        self.header.setVisible(not wraps)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff if wraps
                                          else Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        super().set_cells(size, wraps)

    # ---- where cells lie ----------------------------------------------------------------------------------------

    def _cell_rect(self, row: int, column: int) -> QRect:
        lines = self._rect(row)
        return QRect(self.header.sectionViewportPosition(column), lines.top(), self.header.sectionSize(column),
                     lines.height())

    def visualRect(self, index: Index) -> QRect:
        if self._wraps or not index.isValid():
            return super().visualRect(index)
        return self._cell_rect(index.row(), index.column())

    def indexAt(self, point: QPoint) -> QModelIndex:
        row = super().indexAt(point).row()
        if self._wraps or row < 0:
            return super().indexAt(point)
        return self.model().index(row, max(0, self.header.logicalIndexAt(point.x())))

    def horizontalOffset(self) -> int:
        return 0 if self._wraps else self.header.offset()

    def updateGeometries(self) -> None:
        super().updateGeometries()
        if self._wraps:
            return
        place, bar = self.viewport().geometry(), self.horizontalScrollBar()
        height = self.header.sizeHint().height()
        self.header.setGeometry(place.left(), place.top() - height, place.width(), height)
        bar.setRange(0, max(0, self.header.length() - place.width()))
        bar.setPageStep(place.width())
        bar.setSingleStep(LEAST_WIDTH)

    def _resized(self) -> None:
        self.updateGeometries()
        self.viewport().update()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        if dx and not self._wraps:
            self.header.setOffset(self.horizontalScrollBar().value())
            self.viewport().update()
        super().scrollContentsBy(0, dy)

    def scrollTo(self, index: Index, hint: Any = QAbstractItemView.ScrollHint.EnsureVisible) -> None:
        super().scrollTo(index, hint)
        if not self._wraps and index.isValid():
            rect, bar, width = self.visualRect(index), self.horizontalScrollBar(), self.viewport().width()
            bar.setValue(bar.value() + max(0, rect.right() + 1 - width))
            bar.setValue(bar.value() + min(0, self.visualRect(index).left()))

    def moveCursor(self, action: Action, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        """Left and right lead from column to column, all else from row to row."""
        now = self.currentIndex()
        if self._wraps or not now.isValid():
            return super().moveCursor(action, modifiers)
        side = {Action.MoveLeft: -1, Action.MoveRight: 1}.get(action, 0)
        row = now.row() if side else super().moveCursor(action, modifiers).row()
        column = min(max(now.column() + side, 0), self.model().columnCount() - 1)
        return self.model().index(row, column)

    # ---- drawing ------------------------------------------------------------------------------------------------

    def paint_rows(self, painter: QPainter, rows: Iterable[Row]) -> None:
        if self._wraps:
            self.row_painter.draw_cards(painter, rows)
            return
        header, width = self.header, self.viewport().width()
        cells = ((column, header.sectionViewportPosition(column), header.sectionSize(column))
                 for column in range(self.model().columnCount()))
        seen = [cell for cell in cells if cell[1] + cell[2] > 0 and cell[1] < width]
        self.row_painter.draw_lines(painter, rows, seen)
