"""Cells of one size, as a grid or as lines. Where a row lies is reckoned, never laid out: millions cost what one
does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from PySide6.QtCore import QEvent, QItemSelection, QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QCursor, QKeyEvent, QPainter, QPaintEvent, QRegion
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyleOptionViewItem, QWidget

MOST_DRAGGED = 1000
"""Items that other programs are given at once: their files are listed one by one."""
Action = QAbstractItemView.CursorAction
Index = QModelIndex | QPersistentModelIndex


class Row(NamedTuple):
    """A row to be drawn, and where in the viewport it lies."""

    number: int
    rect: QRect
    selected: bool
    hovered: bool


class ItemView(QAbstractItemView):
    """A view of a list model. Keys that the window knows - search, play, jump - stay the window's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cell, self._wraps, self._columns = QSize(100, 100), True, 1
        self.setFrameShape(QAbstractItemView.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setMouseTracking(True)

    def event(self, event: QEvent) -> bool:
        """Home, which is the map's elsewhere, leads to the first item here."""
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) \
                and event.key() == Qt.Key.Key_Home:
            event.accept()
            return True
        return super().event(event)

    # ---- where rows lie ---------------------------------------------------------------------------------------

    def set_cells(self, size: QSize, wraps: bool) -> None:
        """Cells of this size side by side, or under each other and as wide as the view."""
        top = self.near()[0]
        self._cell, self._wraps = size, wraps
        self.updateGeometries()
        self.verticalScrollBar().setValue(top // self._columns * size.height())
        self.viewport().update()

    def _count(self) -> int:
        return self.model().rowCount() if self.model() else 0

    def near(self) -> tuple[int, int]:
        """The first row and the end of those that are seen."""
        first = self.verticalOffset() // self._cell.height()
        lines = self.viewport().height() // self._cell.height() + 2
        return min(first * self._columns, self._count()), min((first + lines) * self._columns, self._count())

    def _rect(self, row: int) -> QRect:
        line, column = divmod(row, self._columns)
        width = self._cell.width() if self._wraps else self.viewport().width()
        return QRect(column * width, line * self._cell.height() - self.verticalOffset(), width, self._cell.height())

    def _row_at(self, point: QPoint) -> int:
        """The row whose cell holds a point of the viewport, or would if it were wider; it may not be there."""
        line = (point.y() + self.verticalOffset()) // self._cell.height()
        column = point.x() // self._cell.width() if self._wraps else 0
        return line * self._columns + min(max(column, 0), self._columns - 1)

    def visualRect(self, index: Index) -> QRect:
        return self._rect(index.row()) if index.isValid() else QRect()

    def indexAt(self, point: QPoint) -> QModelIndex:
        row = self._row_at(point)
        there = 0 <= row < self._count() and self._rect(row).contains(point)
        return self.model().index(row, 0) if there else QModelIndex()

    def horizontalOffset(self) -> int:
        return 0

    def verticalOffset(self) -> int:
        return self.verticalScrollBar().value()

    def isIndexHidden(self, index: Index) -> bool:
        return False

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:
        return QRegion(self.viewport().rect())

    def updateGeometries(self) -> None:
        """What is at the top stays there where the view becomes wider."""
        top = self.near()[0]
        columns = max(1, self.viewport().width() // self._cell.width()) if self._wraps else 1
        bar, height, page = self.verticalScrollBar(), self._cell.height(), self.viewport().height()
        bar.setRange(0, max(0, -(-self._count() // columns) * height - page))
        bar.setPageStep(page)
        bar.setSingleStep(max(1, height // 3))
        if columns != self._columns:
            self._columns = columns
            bar.setValue(top // columns * height)
            self.viewport().update()
        super().updateGeometries()

    def rowsInserted(self, parent: Index, start: int, end: int) -> None:
        super().rowsInserted(parent, start, end)
        self.updateGeometries()
        self.viewport().update()

    # ---- moving and choosing ----------------------------------------------------------------------------------

    def scrollTo(self, index: Index, hint: Any = QAbstractItemView.ScrollHint.EnsureVisible) -> None:
        """Show a row, in the middle where it was not seen."""
        rect, bar = self.visualRect(index), self.verticalScrollBar()
        if hint == QAbstractItemView.ScrollHint.EnsureVisible and -self._cell.height() < rect.top() < bar.pageStep():
            bar.setValue(bar.value() + min(0, rect.top()) + max(0, rect.bottom() + 1 - bar.pageStep()))
        elif rect.isValid():
            bar.setValue(bar.value() + rect.center().y() - bar.pageStep() // 2)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().scroll(0, dy)

    def moveCursor(self, action: Action, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        page = max(1, self.viewport().height() // self._cell.height()) * self._columns
        count, now = self._count(), self.currentIndex().row()
        steps = {Action.MoveLeft: -1, Action.MoveRight: 1, Action.MovePrevious: -1, Action.MoveNext: 1,
                 Action.MoveUp: -self._columns, Action.MoveDown: self._columns, Action.MovePageUp: -page,
                 Action.MovePageDown: page, Action.MoveHome: -count, Action.MoveEnd: count}
        row = min(max(now + steps[action], 0), count - 1) if now >= 0 else 0
        return self.model().index(row, 0) if count else QModelIndex()

    def setSelection(self, rect: QRect, command: Any) -> None:
        """Select from the cell in one corner to that in the other, as one reads."""
        first, last = sorted((self._row_at(rect.topLeft()), self._row_at(rect.bottomRight())))
        chosen = QItemSelection()
        if last >= 0 and first < self._count():
            last = min(last, self._count() - 1)
            chosen.select(self.model().index(max(first, 0), 0), self.model().index(last, 0))
        self.selectionModel().select(chosen, command)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.text() in ("/", " ") or event.text().isdigit():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Names are looked for in the filter bar: Qt would read all of them, one by one."""

    def startDrag(self, actions: Qt.DropAction) -> None:
        chosen = self.selectionModel().selection()
        if sum(part.height() for part in chosen) <= MOST_DRAGGED:  # type: ignore[attr-defined]
            super().startDrag(actions)

    # ---- drawing ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        area = event.rect()
        with QPainter(self.viewport()) as painter:
            under = self.viewport().mapFromGlobal(QCursor.pos())
            hovered = self._row_at(under) if self.viewport().underMouse() else -1
            model, is_selected = self.model(), self.selectionModel().isSelected
            rows = ((row, self._rect(row)) for row in range(*self.near()))
            edge = 2 if self._wraps else 0
            self.paint_rows(painter, (
                Row(row, rect.adjusted(edge, edge, -edge, -edge), is_selected(model.index(row, 0)), row == hovered)
                for row, rect in rows if rect.intersects(area)))

    def paint_rows(self, painter: QPainter, rows: Iterable[Row]) -> None:
        """Draw the rows that are seen, by the delegate."""
        option, style = QStyleOptionViewItem(), QStyle.StateFlag
        self.initViewItemOption(option)
        state = option.state  # type: ignore[attr-defined]
        for row in rows:
            option.rect = row.rect  # type: ignore[attr-defined]
            option.state = state | (style.State_Selected if row.selected else style.State_None) | (  # type: ignore[attr-defined]
                style.State_MouseOver if row.hovered else style.State_None)
            self.itemDelegate().paint(painter, option, self.model().index(row.number, 0))
