"""The items of the library as Qt's table model, filtered and edited in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QAbstractTableModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QUrl,
)

from mmstudio.desktop.filtering import Filter, Shown
from mmstudio.desktop.list_columns import ListColumns, own_name
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.session import Session
from mmstudio.errors import ProjectError
from mmstudio.library import Item

Index = QModelIndex | QPersistentModelIndex
AT_ONCE, MOST_READ = 32, 1024
NO_INDEX = QModelIndex()


class ItemList(QAbstractTableModel):
    """The items that pass the filter, in the order of adding or as they were sorted; a row is read when it is seen. A
    grid shows its first column alone.
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.filter, self.columns = Filter(session, self), ListColumns(session, self)
        self._shown = Shown.of(np.zeros(0, np.int64))
        self._read: dict[int, Item] = {}  # those that are near what is seen
        session.projectOpened.connect(self._opened)
        session.itemsAdded.connect(lambda _: self._show_all())
        session.itemsRemoved.connect(self._forget)
        session.itemsChanged.connect(self._redraw)
        self.filter.passed.connect(self._show)
        self._shown_columns = self.columns.shown
        self.columns.changed.connect(self._columns_changed)

    def _opened(self) -> None:
        """Ids of another project mean nothing in this one: with a filter, nothing is shown until it is answered."""
        self._show(Shown.of(np.zeros(0, np.int64)))
        self._show_all()

    def _show_all(self) -> None:
        if self.filter.wish.is_plain:
            self._show(Shown.of(self._session.items.ids()))

    def _show(self, shown: Shown) -> None:
        """Rows that only come behind the others do not disturb what is scrolled to and selected."""
        now, count = self._shown.ids, len(shown.ids)
        self._read = {}
        if count > len(now) and np.array_equal(shown.ids[: len(now)], now):
            self.beginInsertRows(QModelIndex(), len(now), count - 1)
            self._shown = shown
            self.endInsertRows()
        elif not np.array_equal(shown.ids, now):
            self.beginResetModel()
            self._shown = shown
            self.endResetModel()

    def _forget(self, gone: list[int]) -> None:
        self._show(self._shown.without(gone))

    def _redraw(self) -> None:
        self._read = {}
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, self.columnCount() - 1))

    def _columns_changed(self) -> None:
        """Those that stay keep their places in the selection and under the eye."""
        wanted = self.columns.shown
        for place in reversed(range(len(self._shown_columns))):
            if self._shown_columns[place] not in wanted:
                self.beginRemoveColumns(NO_INDEX, place, place)
                self._shown_columns = self._shown_columns[:place] + self._shown_columns[place + 1 :]
                self.endRemoveColumns()
        for place, name in enumerate(wanted):
            if self._shown_columns[place : place + 1] != (name,):
                self.beginInsertColumns(NO_INDEX, place, place)
                self._shown_columns = (*self._shown_columns[:place], name, *self._shown_columns[place:])
                self.endInsertColumns()
        self._redraw()

    @property
    def shown(self) -> NDArray[np.int64]:
        """The ids of all rows, ascending."""
        return self._shown.ascending

    def rows_of(self, selection: Selection) -> NDArray[np.intp]:
        """The rows, ascending, of what is selected; what the filter hides has none."""
        places = selection.rows_in(self._shown.ascending)
        return places if self._shown.row is None else np.sort(self._shown.row[places])

    def keys_of(self, first: int, end: int) -> NDArray[np.int64]:
        """The ids of the rows from ``first`` up to ``end``."""
        return self._shown.ids[first:end]

    def key_at(self, row: int) -> int:
        return int(self._shown.ids[row])

    def item_at(self, row: int) -> Item | None:
        """The item of a row. Those around it are read with it, which takes no longer than one alone."""
        found = self._read.get(self.key_at(row))
        if found is None:
            start = row // AT_ONCE * AT_ONCE
            near = self._session.items.some(np.sort(self._shown.ids[start : start + AT_ONCE]))
            self._read = {**(self._read if len(self._read) < MOST_READ else {}), **{item.id: item for item in near}}
            found = self._read.get(self.key_at(row))
        return found

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._shown.ids)

    def columnCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._shown_columns)

    def index(self, row: int, column: int, parent: Index = NO_INDEX) -> QModelIndex:
        """Qt's own asks for both counts in turn, which takes three times as long."""
        there = 0 <= row < len(self._shown.ids) and 0 <= column < len(self._shown_columns)
        return self.createIndex(row, column) if there and not parent.isValid() else QModelIndex()

    def name_of(self, column: int) -> str:
        """What a column shows."""
        return self._shown_columns[column]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        return self.columns.title(self.name_of(section)) if section < len(self._shown_columns) else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        item = self.item_at(index.row())
        if item is None:
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.EditRole):
            return self.columns.text(item, self.name_of(index.column()))
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Change one of the person's own columns, in a step that can be undone."""
        item, name = self.item_at(index.row()), self.name_of(index.column())
        if item is None or str(value).strip() == self.columns.text(item, name):
            return False
        try:
            wanted = self.columns.typed(name, str(value))
        except ProjectError as error:
            self._session.failed.emit(error)
            return False
        self._session.set_column([item.id], own_name(item, name), wanted)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        own = index.isValid() and self.columns.is_own(self.name_of(index.column()))
        more = Qt.ItemFlag.ItemIsDragEnabled | (Qt.ItemFlag.ItemIsEditable if own else Qt.ItemFlag.NoItemFlags)
        return super().flags(index) | more

    def mimeTypes(self) -> list[str]:
        return ["text/uri-list"]

    def mimeData(self, indexes: Any) -> QMimeData:
        """Dragged items are their files: they can be dropped on the search box, or outside."""
        mime = QMimeData()
        items = [self._session.items[self.key_at(index.row())] for index in indexes]
        mime.setUrls([QUrl.fromLocalFile(str(item.path)) for item in items])
        return mime
