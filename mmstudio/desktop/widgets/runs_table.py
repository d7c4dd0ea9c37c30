"""The runs of a project as a table: sorted, starred, renamed and noted in place, its columns hidden or shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import escape

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QAction, QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QMenu, QStyledItemDelegate, QTableView, QWidget

from mmstudio.desktop.text import clock, count, tr
from mmstudio.desktop.theme import THEME, colours
from mmstudio.desktop.widgets.result_table import ROW_PIXELS, SORT_ROLE, TABLE_STYLE
from mmstudio.training.overview import best_of, held_out, trained
from mmstudio.training.runs import Run

Index = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()
STATUS = {"waiting": "waits its turn", "running": "learns", "paused": "paused", "stopped": "stopped", "done": "done",
          "failed": "failed", "interrupted": "was interrupted"}
WIDEST, WIDEST_NAME, STATUS_WIDTH, STAR_WIDTH = 200, 280, 100, 30
"""Pixels: what a column takes by itself at most, the run's too, and two that do not go by what stands in them now."""


@dataclass(frozen=True)
class Column:
    """``shown`` is what a cell says, ``value`` what it is sorted by."""

    name: str
    title: str
    shown: Callable[[Run], str]
    value: Callable[[Run], str | float]


def _text(name: str, title: str, shown: Callable[[Run], str]) -> Column:
    return Column(name, title, shown, lambda run: shown(run).casefold())


def _number(name: str, title: str, shown: Callable[[float], str], value: Callable[[Run], float]) -> Column:
    """What is no number sorts below all and is not shown."""
    return Column(name, title, lambda run: "" if math.isnan(value(run)) else shown(value(run)),
                  lambda run: -math.inf if math.isnan(value(run)) else value(run))


def _best(run: Run) -> float:
    value = best_of(run)[1] if run.results else None
    return math.nan if value is None else value


def _held_out(run: Run) -> str:
    return "" if math.isnan(_best(run)) else f"{best_of(run)[0]} {_best(run):.3f}"


def _status(run: Run) -> str:
    if run.state.status == "stopped" and run.trial is not None and run.trial.pruned:
        return tr("pruned")
    share = f" · {100 * run.state.step // max(1, run.state.steps)} %"
    return tr(STATUS[run.state.status]) + (share if run.state.status in ("running", "paused") else "")


COLUMNS = (
    Column("starred", "★", lambda run: "★" if run.starred else "☆", lambda run: float(run.starred)),
    Column("name", "Run", lambda run: f"{run.number} · {run.name}", lambda run: float(run.number)),
    _text("status", "State", _status),
    Column("best", "Held out", _held_out, lambda run: -math.inf if math.isnan(_best(run)) else _best(run)),
    _number("loss", "Loss", lambda loss: f"{loss:.4g}",
            lambda run: math.nan if run.state.best is None else run.state.best),
    _number("epoch", "Best epoch", lambda epoch: count(int(epoch)),
            lambda run: run.state.best_epoch + 1 if run.state.best_epoch >= 0 else math.nan),
    _text("task", "Task", lambda run: tr(run.job.task)),
    _text("target", "Learns", lambda run: "" if run.job.task == "alignment" else run.job.target),
    _text("modalities", "Reads", lambda run: " + ".join(map(tr, run.job.modalities))),
    _text("fusion", "Fusion", lambda run: tr(run.job.fusion) if len(run.job.modalities) > 1 else ""),
    _text("trained", "Trains", lambda run: tr("baseline" if run.beside is not None else trained(run.job))),
    _number("examples", "Examples", lambda n: count(int(n)), lambda run: run.provenance.examples or math.nan),
    _number("duration", "Took", clock, lambda run: run.state.seconds or math.nan),
    _number("created", "Made", lambda made: f"{datetime.fromtimestamp(made):%Y-%m-%d %H:%M}",
            lambda run: run.provenance.created or math.nan),
    _text("note", "Note", lambda run: run.note.replace("\n", " ")),
)
PLACES = {column.name: place for place, column in enumerate(COLUMNS)}
EDITABLE = (PLACES["name"], PLACES["note"])
_TO_THE_RIGHT = [PLACES[name] for name in ("loss", "epoch", "examples", "duration")]


class RunRows(QAbstractTableModel):
    """Runs, newest first. ``said`` gives a run's folder and what the person typed of it; it is shown once it is kept.
    """

    said = Signal(str, dict)

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []
        self._starting: frozenset[str] = frozenset()

    def show_runs(self, runs: Sequence[Run], starting: Collection[str]) -> None:
        """Only what has changed is drawn anew, so that what is chosen or being typed stays."""
        names = {run.folder.name for run in runs}
        for row in reversed(range(len(self.runs))):
            if self.runs[row].folder.name not in names:
                self.beginRemoveRows(NO_INDEX, row, row)
                del self.runs[row]
                self.endRemoveRows()
        moved, self._starting = self._starting ^ frozenset(starting), frozenset(starting)
        for row, run in enumerate(runs):
            if row == len(self.runs) or self.runs[row].folder.name != run.folder.name:
                self.beginInsertRows(NO_INDEX, row, row)
                self.runs.insert(row, run)
                self.endInsertRows()
            elif self.runs[row] != run or run.folder.name in moved:
                self.runs[row] = run
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return tr(COLUMNS[section].title)
        return _side(section) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        editable = Qt.ItemFlag.ItemIsEditable if index.column() in EDITABLE else Qt.ItemFlag.NoItemFlags
        return super().flags(index) | editable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        run, column = self.runs[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            starting = column.name == "status" and self.is_starting(run)
            return tr("starts …") if starting else column.shown(run)[:200].replace("\n", " ")
        if role == Qt.ItemDataRole.EditRole:
            return run.name if column.name == "name" else run.note
        if role == SORT_ROLE:
            return column.value(run)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(run, column.name)
        if role == Qt.ItemDataRole.ForegroundRole:
            return _ink(run, column.name)
        return _side(index.column()) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def is_starting(self, run: Run) -> bool:
        """Whether its process loads what it needs."""
        return run.folder.name in self._starting and run.state.status != "running"

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        run, text = self.runs[index.row()], str(value).strip()
        if COLUMNS[index.column()].name == "note":
            told = {"note": text} if text != run.note else {}
        else:
            told = {"name": text or run.job.name} if text != run.name else {}
        if told:
            self.said.emit(run.folder.name, told)
        return bool(told)


def _side(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _TO_THE_RIGHT else Qt.AlignmentFlag.AlignLeft
    return (Qt.AlignmentFlag.AlignHCenter if column == 0 else side) | Qt.AlignmentFlag.AlignVCenter


def _tip(run: Run, column: str) -> str | None:
    """As plain text: a name or note is never read as rich text."""
    if column == "starred":
        return tr("Star (S)")
    told = {"best": "\n".join(f"{name} {value:.4g}" for name, value in held_out(run).items()),
            "status": run.state.error, "note": run.note, "name": run.name}.get(column, "")
    return "<qt>{}</qt>".format(escape(told).replace("\n", "<br>")) if told else None


def _ink(run: Run, column: str) -> QColor | None:
    if column == "starred":
        return QColor(colours().accent if run.starred else colours().dim)
    return QColor(colours().error) if column == "status" and run.state.status == "failed" else None


class _Order(QSortFilterProxyModel):
    """The rows that pass a filter, sorted."""

    def __init__(self, rows: RunRows) -> None:
        super().__init__()
        self.rows = rows
        self.passing: frozenset[str] | None = None
        self.setSourceModel(rows)
        self.setSortRole(SORT_ROLE)

    def pass_only(self, names: frozenset[str] | None) -> None:
        self.passing = names
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        return self.passing is None or self.rows.runs[row].folder.name in self.passing


class RunsTable(QTableView):
    """``chosenChanged`` when others are chosen, ``removeWanted`` on Delete, ``columnsHidden`` with the names of the
    columns that are hidden now.
    """

    chosenChanged = Signal()
    said = Signal(str, dict)
    removeWanted = Signal()
    columnsHidden = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.rows = RunRows()
        self._order = _Order(self.rows)
        self.setModel(self._order)
        self.setItemDelegate(_Delegate(self))
        self.setAccessibleName(tr("Runs"))
        self.setToolTip(tr("S stars, F2 renames, Delete deletes; a double click on a name or note changes it. "
                           "Several that are chosen are compared."))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setShowGrid(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        for mode in (self.setVerticalScrollMode, self.setHorizontalScrollMode):
            mode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setStyleSheet(TABLE_STYLE)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        self._build_header(self.horizontalHeader())
        self.rows.said.connect(self.said)
        self.clicked.connect(self._clicked)
        self._changing = False
        self.selectionModel().selectionChanged.connect(self._selected)
        THEME.changed.connect(self.viewport().update)

    def _build_header(self, header: QHeaderView) -> None:
        header.setHighlightSections(False)
        header.setSectionsMovable(True)
        header.setStretchLastSection(True)
        header.setResizeContentsPrecision(12)  # lines that are looked at for a width
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(lambda at: self.column_menu().popup(header.mapToGlobal(QPoint(at))))
        self.setSortingEnabled(True)
        self.sortByColumn(PLACES["name"], Qt.SortOrder.DescendingOrder)

    # ---- what is shown ------------------------------------------------------------------------------------------

    def show_runs(self, runs: Sequence[Run], starting: Collection[str]) -> None:
        before = len(self.rows.runs)
        with self._change():
            self.rows.show_runs(runs, starting)
        if not before and runs:
            self.resizeColumnsToContents()
            for place in range(len(COLUMNS) - 1):
                self.setColumnWidth(place, min(self.columnWidth(place) + 8, WIDEST))
            self.setColumnWidth(PLACES["starred"], STAR_WIDTH)
            self.setColumnWidth(PLACES["status"], STATUS_WIDTH)
        if len(runs) > before:
            wanted = min(self.sizeHintForColumn(PLACES["name"]) + 8, WIDEST_NAME)
            self.setColumnWidth(PLACES["name"], max(self.columnWidth(PLACES["name"]), wanted))

    def pass_only(self, names: frozenset[str] | None) -> None:
        """Show these runs alone; None shows all."""
        if names != self._order.passing:
            with self._change():
                self._order.pass_only(names)
            self.viewport().update()

    def hide_columns(self, names: Collection[str]) -> None:
        for name, place in PLACES.items():
            self.setColumnHidden(place, name in names)

    def column_menu(self) -> QMenu:
        """Which columns are shown; the run itself always is."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name, place in PLACES.items():
            if name != "name":
                action = QAction(tr("Star") if name == "starred" else tr(COLUMNS[place].title), menu, checkable=True)
                action.setChecked(not self.isColumnHidden(place))
                action.toggled.connect(lambda shown, place=place: self._toggle_column(place, shown))
                menu.addAction(action)
        return menu

    def _toggle_column(self, place: int, shown: bool) -> None:
        self.setColumnHidden(place, not shown)
        self.columnsHidden.emit([name for name, at in PLACES.items() if self.isColumnHidden(at)])

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.rows.runs and not self._order.rowCount():
            with QPainter(self.viewport()) as painter:
                painter.setPen(QColor(colours().faint))
                painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, tr("No run passes the filter."))

    # ---- choosing -----------------------------------------------------------------------------------------------

    def chosen(self) -> list[Run]:
        """The chosen runs as they stand, topmost first."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self.run(row) for row in rows]

    def run(self, row: int) -> Run:
        """The run of a row as it is shown."""
        return self.rows.runs[self._order.mapToSource(self._order.index(row, 0)).row()]

    def choose(self, names: Collection[str]) -> None:
        """Choose these alone, and bring the first of them to sight."""
        rows = [row for row in range(self._order.rowCount()) if self.run(row).folder.name in names]
        selection, flags = QItemSelection(), QItemSelectionModel.SelectionFlag
        for row in rows:
            selection.select(self._order.index(row, 0), self._order.index(row, len(COLUMNS) - 1))
        self.selectionModel().select(selection, flags.ClearAndSelect)
        if rows:
            first = self._order.index(rows[0], PLACES["name"])
            self.selectionModel().setCurrentIndex(first, flags.NoUpdate)
            self.scrollTo(first)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Rows come and go; afterwards is told whether others are chosen."""
        before, self._changing = [run.folder for run in self.chosen()], True
        yield
        self._changing = False
        if before != [run.folder for run in self.chosen()]:
            self.chosenChanged.emit()

    def _selected(self) -> None:
        if not self._changing:
            self.chosenChanged.emit()

    def cell(self, row: int, column: str) -> str:
        """What stands in a cell."""
        return str(self._order.index(row, PLACES[column]).data())

    # ---- what a person does -------------------------------------------------------------------------------------

    def _clicked(self, index: QModelIndex) -> None:
        if index.column() == PLACES["starred"]:
            self._star([self.run(index.row())])

    def _star(self, runs: list[Run]) -> None:
        """All get a star, or lose it where all have one."""
        starred = not all(run.starred for run in runs)
        for run in runs:
            if run.starred != starred:
                self.said.emit(run.folder.name, {"starred": starred})

    def keyPressEvent(self, event: QKeyEvent) -> None:
        chosen = self.chosen()
        if event.key() == Qt.Key.Key_S and chosen and not event.modifiers():
            self._star(chosen)
        elif event.key() == Qt.Key.Key_Delete and chosen:
            self.removeWanted.emit()
        elif event.key() == Qt.Key.Key_F2 and chosen:
            here = self.currentIndex()
            self.edit(here if here.column() in EDITABLE else here.siblingAtColumn(PLACES["name"]))
        else:
            super().keyPressEvent(event)


class _Delegate(QStyledItemDelegate):
    """An editor as high as its row, in which what is being typed stays when there is news of the run."""

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        if not editor.property("begun"):
            editor.setProperty("begun", True)
            super().setEditorData(editor, index)

    def updateEditorGeometry(self, editor: QWidget, option: object, index: Index) -> None:
        table = self.parent()
        assert isinstance(table, RunsTable)
        editor.setGeometry(table.visualRect(index))  # type: ignore[arg-type]
        editor.setStyleSheet("padding: 0 2px; min-height: 0; border-radius: 0;")
