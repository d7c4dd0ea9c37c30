"""Which measures are metrics on the person's own items, with a counterexample where one is not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.plain_table import plain_table
from mmstudio.explore.metric_axioms import AXIOMS, Axiom, Counterexample, broken, distances
from mmstudio.library import VectorView

SAMPLE = 400
"""Items: every triple of them is looked at."""
NAMES = {"dot": "Dot product, negated", "cosine": "One minus cosine", "pearson": "One minus Pearson's r",
         "euclid": "Euclidean distance", "angular": "Angle: cosine made a distance",
         "chord": "Euclidean distance of unit vectors, from the cosine"}


@dataclass(frozen=True)
class Verdict:
    """One distance, and the counterexamples with ids in the place of rows."""

    name: str
    formula: str
    broken: dict[Axiom, Counterexample | None]


class MeasuresPage(QWidget):
    """A table: measures down, axioms across; a click on a counterexample selects its items."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._behind = session, Behind(session)
        self._verdicts: list[Verdict] = []
        self.look_button = QPushButton(tr("Look"))
        self.told = QLabel(wordWrap=True)
        self.told.setProperty("faint", True)
        self.table = plain_table([tr("As a distance"), *(tr(axiom.capitalize()) for axiom in AXIOMS)],
                                 tr("Measures and the axioms of a metric"), stretch=True)
        self.table.setWordWrap(True)
        top = QHBoxLayout()
        top.addWidget(self.look_button)
        top.addWidget(self.told, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 4)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        self.look_button.clicked.connect(self.look)
        self.table.cellClicked.connect(self._choose)
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)
        self._clear()

    def _clear(self) -> None:
        self._verdicts = []
        self.table.setRowCount(0)
        self.told.setText(tr("A similarity is often turned into a distance that is none: the way round may be shorter. "
                             "See which of them are distances on your own items."))

    def look(self) -> None:
        """Look at the selection, or at everything, behind the window."""
        view, chosen = self._session.view, self._session.selection.items
        if view is None or len(view) < 3:
            self.told.setText(tr("It needs at least three items with vectors."))
            return
        self.told.setText(tr("Looking at every triple …"))
        self._behind.ask(partial(_verdicts, view, chosen if len(chosen) > 2 else None), self._show)

    def _show(self, found: tuple[int, list[Verdict]]) -> None:
        number, self._verdicts = found
        self.told.setText(tr("All triples of {} items. A click on a counterexample selects its items.").format(
            count(number)))
        self.table.setRowCount(len(self._verdicts))
        for row, verdict in enumerate(self._verdicts):
            self.table.setItem(row, 0, QTableWidgetItem(f"{tr(NAMES[verdict.name])}\n{verdict.formula}"))
            for column, axiom in enumerate(AXIOMS, 1):
                self.table.setItem(row, column, QTableWidgetItem(self._words(axiom, verdict.broken[axiom])))
        self.table.resizeRowsToContents()

    def _words(self, axiom: Axiom, example: Counterexample | None) -> str:
        if example is None:
            return tr("holds")
        names = [self._title(key) for key in example.rows]
        shown = [f"{distance:.3f}" for distance in example.distances]
        if axiom == "triangle inequality":
            start, over, end = names
            return tr("fails: {} to {} is {}, but over {} it is {} + {}").format(start, end, shown[0], over, *shown[1:])
        if len(names) == 1:
            return tr("fails: {} to itself is {}").format(names[0], shown[0])
        if axiom == "symmetry":
            return tr("fails: {} to {} is {}, back it is {}").format(*names, *shown)
        return tr("fails: {} to {} is {}").format(*names, shown[0])

    def _title(self, key: int) -> str:
        item = self._session.items.get(key)
        return "“" + (item.title.replace("\n", " ")[:30] if item else str(key)) + "”"

    def _choose(self, row: int, column: int) -> None:
        example = self._verdicts[row].broken[AXIOMS[column - 1]] if column else None
        if example:
            self._session.select(example.rows)


def _verdicts(view: VectorView, chosen: NDArray[np.int64] | None) -> tuple[int, list[Verdict]]:
    """In the pool: of a random sample, all distances and their counterexamples."""
    rows = np.arange(len(view)) if chosen is None else np.flatnonzero(np.isin(view.ids, chosen))
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
    vectors = view.vectors[rows].astype(np.float64)
    out = []
    for distance in distances():
        found = broken(distance.of(vectors), vectors)
        named = {axiom: example and Counterexample(tuple(int(view.ids[rows[at]]) for at in example.rows),
                                                   example.distances) for axiom, example in found.items()}
        out.append(Verdict(distance.name, distance.formula, named))
    return len(rows), out
