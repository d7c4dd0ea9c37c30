"""An item's tags and the person's own columns, changed where they stand."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QLineEdit,
    QStyledItemDelegate,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from mmstudio.desktop.text import column_value, tr
from mmstudio.desktop.theme import THEME, colours
from mmstudio.library import Item

ROW_PIXELS = 26
Index = QModelIndex | QPersistentModelIndex


class ColumnsTable(QTableWidget):
    """Names and values of one item: its tags, its columns, and a row that adds one.

    ``valueWanted`` (name, value) asks for another value, None to empty it; ``tagsWanted`` (new, gone) for other tags.
    What is shown is what the item holds: after a wish, until it is shown anew, the old.
    """

    valueWanted = Signal(str, object)
    tagsWanted = Signal(list, list)

    def __init__(self) -> None:
        super().__init__(0, 2)
        self._item: Item | None = None
        self._new_name = ""
        self._show_later = False
        self.setItemDelegate(_Delegate(self))
        self.horizontalHeader().hide()
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.setColumnWidth(0, 130)
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked
                             | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setTabKeyNavigation(False)
        self.setAccessibleName(tr("Columns"))
        self.setToolTip(tr("Double-click or F2 changes a value; nothing empties it"))
        THEME.changed.connect(self._fill)

    def show_item(self, item: Item | None) -> None:
        """Show what this item holds. Where a value of it is being typed, the typing goes on and this comes after."""
        same = item is not None and self._item is not None and item.id == self._item.id
        self._item = item
        if same and self.state() == QAbstractItemView.State.EditingState:
            self._show_later = True
            return
        self._new_name = ""
        if not same:
            self.setCurrentCell(-1, -1)
        self._fill()

    def _fill(self) -> None:
        self._show_later = False
        item, at = self._item, (self.currentRow(), self.currentColumn())
        rows = [] if item is None else [
            (tr("Tags"), ", ".join(item.tags)),
            *((name, shown(item.columns[name])) for name in sorted(item.columns, key=str.casefold)),
            (self._new_name or tr("Add a column…"), "")]
        self.setRowCount(0)  # closes an editor that is left over
        self.setRowCount(len(rows))
        for row, (name, value) in enumerate(rows):
            adds = row == len(rows) - 1
            self.setItem(row, 0, self._cell(name, editable=adds, faint=row == 0 or (adds and not self._new_name)))
            self.setItem(row, 1, self._cell(value, editable=not adds or bool(self._new_name)))
        self.setCurrentCell(*at)
        self.setFixedHeight(ROW_PIXELS * len(rows) + 2)

    def _cell(self, text: str, editable: bool, faint: bool = False) -> QTableWidgetItem:
        cell = QTableWidgetItem(text)
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        cell.setFlags(flags | Qt.ItemFlag.ItemIsEditable if editable else flags)
        cell.setForeground(QColor(colours().faint if faint else colours().text))
        return cell

    @property
    def adding(self) -> int:
        """The row that adds a column."""
        return self.rowCount() - 1

    def _text(self, row: int) -> str:
        return str(self.model().index(row, 0).data())

    def typed(self, row: int, column: int, text: str) -> None:
        """What was typed into a cell and confirmed."""
        if self._item is None or row < 0:
            return
        if row == self.adding and column == 0:
            self._name_typed(" ".join(text.split()))
        elif row == 0:
            new = dict.fromkeys(filter(None, (tag.strip() for tag in text.split(","))))
            fresh, gone = [t for t in new if t not in self._item.tags], [t for t in self._item.tags if t not in new]
            if fresh or gone:
                self.tagsWanted.emit(fresh, gone)
        else:
            self._value_typed(self._new_name if row == self.adding else self._text(row), text)

    def _name_typed(self, name: str) -> None:
        """A name is followed by its value; that of a column which is there leads to it."""
        known = [self._text(row) for row in range(1, self.adding)]
        row = 1 + known.index(name) if name in known else self.adding
        if name and row == self.adding:
            self._new_name = name
        if name:
            QTimer.singleShot(0, self, lambda: self._go_on(row))

    def _go_on(self, row: int) -> None:
        self._fill()
        self.setCurrentCell(row, 1)
        self.edit(self.model().index(row, 1))

    def _value_typed(self, name: str, text: str) -> None:
        assert self._item is not None
        before = self._item.columns.get(name)
        if text.strip() != ("" if before is None else shown(before)):
            self.valueWanted.emit(name, column_value(text))

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        """A name that got no value is forgotten; what came while one typed is shown."""
        valued = self._new_name and self.currentRow() == self.adding and self.currentColumn() == 1
        super().closeEditor(editor, hint)
        if valued or self._show_later:
            self._new_name = ""
            QTimer.singleShot(0, self, self._fill)


class _Delegate(QStyledItemDelegate):
    """Hands what was typed to the table, which shows it when the item holds it."""

    @property
    def _table(self) -> ColumnsTable:
        table = self.parent()
        assert isinstance(table, ColumnsTable)
        return table

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        if isinstance(editor, QLineEdit) and index.row() == self._table.adding:
            editor.setPlaceholderText(tr("Name") if index.column() == 0 else tr("A number or a text"))
            editor.clear()
        else:
            super().setEditorData(editor, index)

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        if isinstance(editor, QLineEdit):
            self._table.typed(index.row(), index.column(), editor.text())

    def updateEditorGeometry(self, editor: QWidget, option: object, index: Index) -> None:
        editor.setGeometry(self._table.visualRect(index))  # type: ignore[arg-type]
        editor.setStyleSheet("padding: 0 2px; min-height: 0; border-radius: 0;")


def shown(value: str | float) -> str:
    """A value as it can be typed again: whole numbers without a point, others with all their digits."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
