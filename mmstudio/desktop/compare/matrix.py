"""The similarity matrix of the selected pictures, texts and sounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.parts import Flow
from mmstudio.desktop.widgets.question_bar import MEASURE_NAMES
from mmstudio.desktop.widgets.similarity_matrix import SimilarityMatrix
from mmstudio.explore.ordering import by_clusters
from mmstudio.explore.similarity import MEASURES, Measure, score_matrix
from mmstudio.library import Item, VectorView
from mmstudio.media import MODALITIES

MOST = 200
"""Items along a side; of more the first are shown."""


@dataclass(frozen=True)
class Sides:
    """What lies along the sides of a matrix, as ids, and the similarities ``(rows, columns)``."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float32]


class MatrixPage(QWidget):
    """Follows the selection while it is seen. ``pairChosen`` gives the ids of a cell's items."""

    pairChosen = Signal(int, int)

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session, self._behind = session, Behind(session)
        self._shown: Sides | None = None
        self.rows, self.columns, self.measure = QComboBox(), QComboBox(), QComboBox()
        self.matrix = SimilarityMatrix(previews)
        self._told = QLabel(wordWrap=True)
        self._told.setTextFormat(Qt.TextFormat.PlainText)
        self._told.setProperty("faint", True)
        self._chosen: tuple[int, int] | None = None
        self._build()
        session.selectionChanged.connect(self._selection_changed)
        session.vectorsChanged.connect(self.reckon)
        session.projectOpened.connect(self.reckon)

    def _build(self) -> None:
        for box, name in ((self.rows, tr("Rows")), (self.columns, tr("Columns"))):
            box.addItem(tr("All selected"), "")
            for modality in MODALITIES:
                box.addItem(modality_name(modality), modality)
            box.setAccessibleName(name)
            box.activated.connect(self.reckon)
        for measure in MEASURES:
            self.measure.addItem(tr(MEASURE_NAMES[measure]), measure)
        self.measure.activated.connect(self.reckon)
        top = QWidget()
        flow = Flow(top)
        for label, box in ((tr("Rows"), self.rows), (tr("Columns"), self.columns), (tr("By"), self.measure)):
            flow.addWidget(_pair(QLabel(label), box))
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState(tr(
            "Select pictures, texts and sounds - on the map, or Ctrl+A for all - to see how similar each is to each.")))
        self._stack.addWidget(self.matrix)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 4)
        layout.addWidget(top)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self._told)
        self.matrix.pointed.connect(self._point)
        self.matrix.cellChosen.connect(self._choose)

    def _selection_changed(self) -> None:
        """A pair that was chosen here is looked at in the matrix that it was chosen in."""
        if self._chosen is None or set(self._chosen) != set(self._session.selection):
            self._chosen = None
            self.reckon()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.reckon()

    def reckon(self) -> None:
        """Reckon the matrix of the selection behind the window, while it is seen."""
        if not self.isVisible():
            return
        view, chosen = self._session.view, self._session.selection.items
        if view is None or len(chosen) < 2:
            self._behind.forget()
            self._stack.setCurrentIndex(0)
            self._told.clear()
            return
        self._behind.ask(partial(_sides, view, chosen, self.rows.currentData(), self.columns.currentData(),
                                 self.measure.currentData()), self._show)

    def _show(self, sides: Sides) -> None:
        if not sides.values.size:
            self._stack.setCurrentIndex(0)
            return
        self._shown = sides
        known: list[list[Item]] = [[self._session.items[key] for key in keys.tolist() if key in self._session.items]
                                   for keys in (sides.rows, sides.columns)]
        if (len(known[0]), len(known[1])) != sides.values.shape:
            return  # some were removed meanwhile, and the selection has changed with them
        self.matrix.show_matrix(sides.values, *known)
        self._stack.setCurrentIndex(1)
        self._point("")

    def _point(self, told: str) -> None:
        if self._shown is None:
            return
        low, high = self.matrix.span
        whole = tr("{} × {}, alike beside alike; from {:.2f} (dark) to {:.2f} (light)").format(
            count(len(self._shown.rows)), count(len(self._shown.columns)), low, high)
        self._told.setText(told or whole)

    def _choose(self, row: int, column: int) -> None:
        """A cell is a pair: select both, and have them explained."""
        if self._shown is not None:
            pair = int(self._shown.rows[row]), int(self._shown.columns[column])
            self._chosen = pair
            self._session.select(pair)
            self.pairChosen.emit(*pair)


def _pair(*widgets: QWidget) -> QWidget:
    """Side by side, and never on two lines."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 8, 0)
    for widget in widgets:
        row.addWidget(widget)
    return made


def _sides(view: VectorView, chosen: NDArray[np.int64], rows: str, columns: str, measure: Measure) -> Sides:
    """In the pool: what is selected and has a vector, each side in the order of its clusters."""
    of_view = np.flatnonzero(np.isin(view.ids, chosen))
    sides = []
    for modality in (rows, columns):
        side = of_view[view.modalities[of_view] == modality][:MOST] if modality else of_view[:MOST]
        sides.append(side[by_clusters(view.vectors[side])])
    values = score_matrix(view.vectors[sides[0]], view.vectors[sides[1]], measure)
    return Sides(view.ids[sides[0]], view.ids[sides[1]], values)
