"""A table of names and numbers that sorts by its headings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableView

from mmstudio.desktop.text import count
from mmstudio.training.compared import Interval

Index = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()
SORT_ROLE = int(Qt.ItemDataRole.UserRole)
ROW_PIXELS = 24
Value = str | int | float
TABLE_STYLE = """
QTableView::item { padding: 0 8px; }
QHeaderView { background: palette(base); }
QHeaderView::section { padding: 3px 8px; border: 0; border-bottom: 1px solid palette(mid); background: palette(base);
    color: palette(placeholder-text); }
"""


class Rows(QAbstractTableModel):
    """Lines of names and numbers; what is no number is shown as “–” and sorts below all."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[str] = []
        self.lines: Sequence[tuple[Value, ...]] = ()

    def show_lines(self, heads: list[str], lines: Sequence[tuple[Value, ...]]) -> None:
        self.beginResetModel()
        self.heads, self.lines = heads, lines
        self.endResetModel()

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.heads[section]
        return self._side(section) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def _side(self, column: int) -> Qt.AlignmentFlag:
        """Numbers stand to the right."""
        is_text = not self.lines or isinstance(self.lines[0][column], str)
        side = Qt.AlignmentFlag.AlignLeft if is_text else Qt.AlignmentFlag.AlignRight
        return side | Qt.AlignmentFlag.AlignVCenter

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        value = self.lines[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return as_text(value)
        if role == SORT_ROLE:
            if isinstance(value, str):
                return value.casefold()
            return -math.inf if math.isnan(value) else float(value)
        return self._side(index.column()) if role == Qt.ItemDataRole.TextAlignmentRole else None


class ResultsTable(QTableView):
    """A table that sorts by its headings; ``rowsChosen`` gives the lines that the person has selected."""

    rowsChosen = Signal(list)

    def __init__(self, name: str, sortable: bool = True) -> None:
        super().__init__()
        self.lines = Rows()
        self._order = QSortFilterProxyModel(self)
        self._order.setSourceModel(self.lines)
        self._order.setSortRole(SORT_ROLE)
        self.setModel(self._order)
        self.setAccessibleName(name)
        self.setSortingEnabled(sortable)
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setStyleSheet(TABLE_STYLE)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.horizontalHeader().setResizeContentsPrecision(40)  # lines that are looked at for a width
        self.selectionModel().selectionChanged.connect(self._tell)

    def show_lines(self, heads: list[str], lines: Sequence[tuple[Value, ...]], wide: Sequence[int] = (0,)) -> None:
        """The columns in ``wide`` share what the others leave; lines come in the given order until one sorts."""
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._order.sort(-1)
        self.lines.show_lines(heads, lines)
        for column in range(len(heads)):
            mode = QHeaderView.ResizeMode.Stretch if column in wide else QHeaderView.ResizeMode.ResizeToContents
            self.horizontalHeader().setSectionResizeMode(column, mode)
        self.scrollToTop()

    def _tell(self) -> None:
        chosen = self.selectionModel().selectedRows()
        self.rowsChosen.emit(sorted(self._order.mapToSource(index).row() for index in chosen))


def as_text(value: Value) -> str:
    """A value as a person reads it."""
    if isinstance(value, str):
        return value[:200].replace("\n", " ")
    if isinstance(value, int):
        return count(value)
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.6g}"


def with_bounds(found: Interval) -> str:
    """“0.910 (0.880 – 0.940)”, the value alone where its bounds are undefined."""
    return f"{as_text(found.value)} ({bounds(found)})" if bounds(found) else as_text(found.value)


def bounds(found: Interval) -> str:
    """“0.880 – 0.940”, or nothing where they are undefined."""
    return "" if math.isnan(found.low) else f"{as_text(found.low)} – {as_text(found.high)}"
