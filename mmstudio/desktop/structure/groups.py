"""Clusters of the map or of the vectors, named by themselves, as colours and as words on the map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.filtering import Rows
from mmstudio.desktop.naming import SAID, Vocabulary, together, vocabulary, words_of, words_to_try
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.colouring import MOST_CATEGORIES, Colouring, places_in
from mmstudio.desktop.plots.marks import Name, Overlay
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.text import count, tr
from mmstudio.explore import fusion
from mmstudio.explore.aside import Aside
from mmstudio.explore.clustering import Labels, hdbscan, k_means
from mmstudio.explore.naming import nearest_words
from mmstudio.library import VectorView
from mmstudio.progress import Progress, Work, finish


class GroupsPage(QWidget):
    """Controls left, a table of clusters right; a row selects its items."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._behind, self._writing, self._rows = Behind(session), Behind(session), Rows(session, self)
        self._vocabulary: Vocabulary | None = None
        self.keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self.labels: NDArray[np.int64] = np.zeros(0, np.int64)
        self.names: dict[int, str] = {}
        self.method, self.over = QComboBox(), QComboBox()
        self.least = QSpinBox(minimum=2, maximum=100_000, value=15)
        self.number = QSpinBox(minimum=2, maximum=500, value=12)
        self.start, self.hide_button = QPushButton(tr("Find clusters")), QPushButton(tr("Take the names off the map"))
        self.told, self.table = QLabel(wordWrap=True), QTableWidget(0, 2)
        self.progress = Reckoning(session)
        self._build()
        self.method.currentIndexChanged.connect(lambda _: self._method_chosen())
        self.start.clicked.connect(self.look)
        self.hide_button.clicked.connect(self._take_off)
        self.table.cellClicked.connect(lambda row, _: session.select(self.keys[self.labels == row]))
        session.layoutChanged.connect(self._laid_out)
        session.projectOpened.connect(self._forget)
        session.encoderChanged.connect(self._forget)
        self._method_chosen()
        self._forget()

    def _build(self) -> None:
        for name, title in (("hdbscan", tr("HDBSCAN: as many as there are")), ("k_means", tr("k-means: so many"))):
            self.method.addItem(title, name)
        for name, title in (("map", tr("the map")), ("vectors", tr("the vectors"))):
            self.over.addItem(title, name)
        self.start.setProperty("primary", True)
        self.told.setProperty("faint", True)
        self.table.setHorizontalHeaderLabels([tr("About"), tr("Items")])
        self.table.horizontalHeader().setStretchLastSection(False)
        self.table.horizontalHeader().setSectionResizeMode(0, self.table.horizontalHeader().ResizeMode.Stretch)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setAccessibleName(tr("Clusters"))
        self._form = QFormLayout()
        self._form.addRow(tr("Method"), self.method)
        self._form.addRow(tr("Of"), self.over)
        self._form.addRow(tr("At least so many in one"), self.least)
        self._form.addRow(tr("Number"), self.number)
        left = QVBoxLayout()
        left.addLayout(self._form)
        for widget in (self.start, self.hide_button, self.told):
            left.addWidget(widget)
        left.addStretch(1)
        left.addWidget(self.progress)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 1)
        layout.addWidget(self.table, 2)

    def _method_chosen(self) -> None:
        counted = self.method.currentData() == "k_means"
        self._form.setRowVisible(self.least, not counted)
        self._form.setRowVisible(self.number, counted)

    def _forget(self) -> None:
        self._behind.forget()
        self.keys, self.labels, self.names = self.keys[:0], self.labels[:0], {}
        self.table.setRowCount(0)
        self.told.setText(tr("Clusters are named by the words that set their texts apart, and by the words that lie "
                             "nearest to their pictures and sounds in the model's space."))
        self._take_off()
        self._map.colour_by.forget("groups")

    def _take_off(self) -> None:
        self._writing.forget()
        self._map.marks.put("groups", None)

    # ---- finding and naming -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Find clusters beside the window, then name them."""
        view, layout = self._session.view, self._session.layout
        if view is None or layout is None or not layout.final:
            self._session.noted.emit(tr("There is no finished map yet."))
            return
        of_map = self.over.currentData() == "map"
        method, number = (k_means, self.number) if self.method.currentData() == "k_means" else (hdbscan, self.least)
        self.progress.start(partial(_grouped, self._session.aside, layout if of_map else view, method, number.value()),
                            partial(self._found, layout.keys if of_map else view.ids))

    def _found(self, keys: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        self.keys, self.labels = keys, labels
        number, rest = int(labels.max(initial=-1)) + 1, int((labels < 0).sum())
        self.told.setText(tr("{} clusters; {} items belong to none.").format(count(number), count(rest)))
        self.names = {at: tr("Cluster {}").format(at + 1) for at in range(number)}
        self._show()
        self._rows.ask(partial(words_of, keys=keys, labels=labels), self._read, self._session.failed.emit)

    def _read(self, found: tuple[dict[int, list[str]], list[str]]) -> None:
        """What the texts say is shown at once; the pictures' and sounds' words have to be read by the model first."""
        terms, own = found
        session, view = self._session, self._session.view
        project, encoder = session.project, session.encoder
        self._name(terms)
        if project is None or encoder is None or view is None or "text" not in encoder.modalities:
            return
        words, known = words_to_try(own), self._vocabulary
        keys, labels = self.keys, self.labels

        def name() -> tuple[Vocabulary, dict[int, list[str]]]:
            used = known if known and known.encoder is encoder and known.words == words else \
                finish(vocabulary(encoder, words, project.limits))
            return used, _nearest(view, keys, labels, used)

        def named(answer: tuple[Vocabulary, dict[int, list[str]]]) -> None:
            self._vocabulary, near = answer
            self._name({at: together(near.get(at, []), terms.get(at, [])) for at in self.names})

        self._behind.ask(name, named, by_model=True)

    def _name(self, words: dict[int, list[str]]) -> None:
        for at in self.names:
            if words.get(at):
                self.names[at] = ", ".join(words[at][:SAID])
        self._show()

    # ---- showing ----------------------------------------------------------------------------------------------

    def _show(self) -> None:
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(self.names))
        self.table.setRowCount(len(self.names))
        for at, name in self.names.items():
            self.table.setItem(at, 0, QTableWidgetItem(name))
            cell = QTableWidgetItem(count(int(counts[at])))
            cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(at, 1, cell)
        self._map.colour_by.give("groups", tr("Named clusters"),
                                 partial(_colouring, self.keys, self.labels, list(self.names.values())))
        self._write()

    def _write(self) -> None:
        """The names at the middles of their clusters, as they lie on the map now; of a million that takes a moment."""
        layout = self._session.layout
        if layout is not None and len(self.keys):
            self._writing.ask(partial(_middles, self.keys, self.labels, layout), self._put)

    def _put(self, middles: list[tuple[int, tuple[float, float], int]]) -> None:
        names = tuple(Name(self.names[at], place, members) for at, place, members in middles)
        self._map.marks.put("groups", Overlay(names=names))

    def _laid_out(self, layout: Layout) -> None:
        if "groups" in self._map.marks.shown:
            self._write()


def _grouped(aside: Aside, over: Layout | VectorView, method: Callable[[NDArray[np.float32], int], Work[Labels]],
             number: int) -> Work[Labels]:
    """The cluster of each point of the map, as it lies in space, or of each vector around its modality's mean."""
    if isinstance(over, Layout):
        rows = over.solid if over.solid is not None else over.places
    else:
        yield Progress(0, 0, "looking at the vectors")
        rows = fusion.centred(over.vectors, over.modalities)
    return (yield from aside.run(method, rows, number))


def _colouring(known: NDArray[np.int64], labels: Labels, names: list[str], keys: NDArray[np.int64]) -> Colouring:
    """On the lane for maths. The largest clusters have colours of their own."""
    at, shown = places_in(keys, known), min(len(names), MOST_CATEGORIES)
    found = np.where(at >= 0, labels[at], -1)
    codes = np.where(found < 0, shown + 1, np.minimum(found, shown))
    return Colouring(codes, (*(f"{row + 1}. {names[row]}" for row in range(shown)), tr("others"), tr("none")), grey=2)


def _middles(keys: NDArray[np.int64], labels: Labels, layout: Layout) -> list[tuple[int, tuple[float, float], int]]:
    """In the pool: of each cluster that is on the map its number, its middle and how many members are there."""
    at = places_in(layout.keys, keys)
    found = np.where(at >= 0, labels[at], -1)
    order = np.argsort(found, kind="stable")
    bounds = np.searchsorted(found[order], np.arange(labels.max(initial=-1) + 2))
    parts = [layout.places[order[start:end]] for start, end in pairwise(bounds.tolist())]
    middles = [(number, np.median(own, axis=0).tolist(), len(own)) for number, own in enumerate(parts) if len(own)]
    return [(number, (x, y), members) for number, (x, y), members in middles]


def _nearest(view: VectorView, keys: NDArray[np.int64], labels: NDArray[np.int64], words: Vocabulary,
             ) -> dict[int, list[str]]:
    """For each cluster the words nearest to its pictures and sounds; each modality around its own mean."""
    rows = places_in(keys, view.ids)
    here = rows >= 0
    heard = here.copy()
    heard[here] = view.modalities[rows[here]] != "text"
    if not heard.any():
        return {}
    vectors = fusion.centred(view.vectors, view.modalities)[rows[heard]]
    return nearest_words(vectors, labels[heard], words.words, words.vectors)


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return GroupsPage(session, map_)
