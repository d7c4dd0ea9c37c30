"""A gallery of validation examples while a run learns: the worst, the best, and what has changed most."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QItemSelectionModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.item_view import ItemView
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.run_reader import RunReader
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, plain_tip, tr
from mmstudio.desktop.theme import THEME, colours
from mmstudio.desktop.widgets.example_faces import draw_example, ids_of, select_examples
from mmstudio.library import Item
from mmstudio.training import gallery
from mmstudio.training.gallery import Validated
from mmstudio.training.job import TrainingJob
from mmstudio.training.runs import Run

FACE, EDGE, LINE = 104, 8, 16
Index = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()
TILE_ROLE = int(Qt.ItemDataRole.UserRole)


class Tiles(QAbstractListModel):
    """Examples in an order; the tile of a row is ``(items, lines, whether it is told wrong)``."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._found: Validated | None = None
        self._job = TrainingJob()
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)
        self._wrong: NDArray[np.bool_] | None = None
        self._items: dict[int, list[Item]] = {}
        for signal in (session.itemsChanged, session.itemsRemoved, session.samplesChanged, session.projectOpened):
            signal.connect(lambda *_: self._items.clear())

    def show_order(self, job: TrainingJob, found: Validated | None, order: NDArray[np.int64]) -> None:
        self.beginResetModel()
        self._job, self._found, self._order = job, found, order
        self._wrong = None if found is None else found.wrong
        self.endResetModel()

    @property
    def keys(self) -> list[int]:
        """Of all rows."""
        return [] if self._found is None else [int(key) for key in self._found.keys[self._order]]

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._order)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if self._found is None or self._wrong is None or not index.isValid():
            return None
        place = int(self._order[index.row()])
        lines = tile_lines(self._job, self._found, place)
        if role == TILE_ROLE:
            return self._members(int(self._found.keys[place])), lines, bool(self._wrong[place])
        shown = (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.DisplayRole)
        if role in shown:
            titles = [item.title for item in self._members(int(self._found.keys[place]))]
            text = "\n".join(filter(None, (*titles, *lines)))
            return plain_tip(text) if role == Qt.ItemDataRole.ToolTipRole else text
        return None

    def _members(self, key: int) -> list[Item]:
        if key not in self._items:
            self._items[key] = [self._session.items[i] for i in ids_of(self._session, key)]
        return self._items[key]


def tile_lines(job: TrainingJob, found: Validated, place: int) -> tuple[str, str, str]:
    """What is given, what is told, and the loss with how it changed."""
    given, told = (_word(job, array[place]) for array in (found.given, found.told))
    sure = float(found.sure[place])
    if told and not math.isnan(sure):
        told = f"{told} · {sure:.0%}"
    change = float(found.change[place])
    name = tr("off by") if job.task == "regression" else tr("rank") if job.task == "alignment" else tr("loss")
    moved = "" if math.isnan(change) or not change else f" {'▲' if change > 0 else '▼'} {_short(abs(change))}"
    return given, f"→ {told}" if told else "", f"{name} {_short(float(found.loss[place]))}{moved}"


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.3g}"


def _word(job: TrainingJob, value: Any) -> str:
    if job.task == "classification":
        return job.classes[int(value)]
    if job.task == "multi-label":
        return ", ".join(job.classes[c] for c in np.flatnonzero(value)) or "–"
    return f"{float(value):.4g}" if job.task == "regression" else ""


class TileDelegate(QStyledItemDelegate):
    """Draws an example's items with its lines below; what is told wrong stands in the colour of errors."""

    def __init__(self, previews: Previews, parent: QWidget) -> None:
        super().__init__(parent)
        self._previews = previews

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        items, lines, wrong = index.data(TILE_ROLE)
        box: QRect = option.rect  # type: ignore[attr-defined]
        state, c = option.state, colours()  # type: ignore[attr-defined]
        selected = bool(state & QStyle.StateFlag.State_Selected)
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(box, QColor(c.accent if selected else c.line))
        face = QRect(box.left() + EDGE - 2, box.top() + EDGE - 2, FACE, FACE)
        draw_example(painter, face, items, self._previews)
        painter.save()
        font = painter.font()
        font.setPixelSize(12)
        painter.setFont(font)
        shades = (c.faint, c.error if wrong else c.text, c.faint)
        top = face.bottom() + 3
        for line, shade in zip(lines, shades, strict=True):
            if line:
                painter.setPen(QColor(c.accent_text if selected else shade))
                text = painter.fontMetrics().elidedText(line.replace("\n", " "), Qt.TextElideMode.ElideRight, FACE)
                painter.drawText(QRect(face.left(), top, FACE, LINE), int(Qt.AlignmentFlag.AlignVCenter), text)
                top += LINE
        painter.restore()


class GalleryPage(QWidget):
    """Validation examples of a run, as it told them last; it follows a run that learns. A click selects the items."""

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.found: Validated | None = None
        self.tiles, self.list = Tiles(session), ItemView()
        self.which, self.told, self._said = QComboBox(), QLabel(), QLabel(wordWrap=True)
        self._stack = QStackedWidget()
        self._build(previews)
        self._reader = RunReader(session, self, partial(partial, _read), self._show,
                                 lambda error: self._say(str(error)))
        self.show_run(None)

    def _build(self, previews: Previews) -> None:
        self.which.setAccessibleName(tr("Order"))
        for name, title in (("worst", tr("Worst first")), ("best", tr("Best first")),
                            ("changed", tr("Most changed since the last epoch"))):
            self.which.addItem(title, name)
        self.which.currentIndexChanged.connect(lambda _: self._fill(keep=False))
        for label in (self.told, self._said):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self._said.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._said.setMargin(24)
        self.list.setModel(self.tiles)
        self.list.setItemDelegate(TileDelegate(previews, self.list))
        self.list.setAccessibleName(tr("Validation examples"))
        self.list.selectionModel().selectionChanged.connect(lambda *_: self._select())
        redraw = self.list.viewport().update
        previews.arrived.connect(lambda _: redraw())
        THEME.changed.connect(redraw)
        top, page = QHBoxLayout(), QWidget()
        top.setContentsMargins(8, 4, 8, 4)
        top.setSpacing(8)
        top.addWidget(self.which)
        top.addWidget(self.told, 1)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.list, 1)
        self._stack.addWidget(self._said)
        self._stack.addWidget(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)

    def show_run(self, run: Run | None) -> None:
        """A run as it is now."""
        if self._reader.about(run) or run is None:
            self.found = None
            self.tiles.show_order(TrainingJob(), None, np.zeros(0, np.int64))
            self._say(tr("Choose a run to see what it tells of its validation examples.") if run is None else
                      tr("After its first epoch this run shows here what it tells of its validation examples."))

    def _say(self, sentence: str) -> None:
        self._said.setText(sentence)
        self._stack.setCurrentIndex(0)

    def _show(self, found: Validated) -> None:
        self.found = found
        self._fill(keep=True)

    def _fill(self, keep: bool) -> None:
        """Show the order that is chosen; what is selected and scrolled to stays where a new epoch came."""
        found, run = self.found, self._reader.run
        if found is None or run is None:
            return
        job = run.job
        chosen, top = set(self._chosen()), self.list.verticalScrollBar().value()
        rows = 1 + sum(bool(line) for line in tile_lines(job, found, 0)) if len(found.keys) else 1
        self.list.set_cells(QSize(FACE + 2 * EDGE, FACE + 2 * EDGE + rows * LINE), wraps=True)
        selection = self.list.selectionModel()
        selection.blockSignals(True)
        self.tiles.show_order(job, found, found.orders()[self.which.currentData()])
        for row, key in enumerate(self.tiles.keys if chosen else ()):
            if key in chosen:
                selection.select(self.tiles.index(row), QItemSelectionModel.SelectionFlag.Select)
        selection.blockSignals(False)
        self.list.updateGeometries()
        self.list.verticalScrollBar().setValue(top if keep else 0)
        told = tr("Epoch {} · {} validation examples").format(count(found.epoch), count(len(found.keys)))
        if job.classes:
            told += " · " + tr("{} told wrong").format(count(int(found.wrong.sum())))
        elif not self.tiles.rowCount():
            told += " · " + tr("none changed")
        self.told.setText(told)
        self._stack.setCurrentIndex(1)

    def _chosen(self) -> list[int]:
        keys = self.tiles.keys
        return [keys[index.row()] for index in self.list.selectionModel().selectedIndexes()]

    def _select(self) -> None:
        select_examples(self._session, self._chosen())


def _read(run: Run, stamp: int) -> tuple[int, Validated] | None:
    try:
        now = (run.folder / gallery.FILE).stat().st_mtime_ns
    except OSError:
        return None
    found = gallery.read(run.folder) if now != stamp else None
    return None if found is None else (now, found)
