"""Clusters of the map or of the vectors, named by themselves, as colours and as words on the map."""

from __future__ import annotations

from functools import partial

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
from mmstudio.desktop.plots.colouring import MOST_CATEGORIES, Colouring
from mmstudio.desktop.plots.marks import Name, Overlay
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.text import count, tr
from mmstudio.explore import fusion
from mmstudio.explore.clustering import hdbscan, k_means
from mmstudio.explore.naming import nearest_words
from mmstudio.library import VectorView
from mmstudio.progress import finish


class GroupsPage(QWidget):
    """Controls left, a table of clusters right; a row selects its items."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._behind, self._rows = Behind(session), Rows(session, self)
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
        self.hide_button.clicked.connect(lambda: self._map.marks.put("groups", None))
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
        self.keys, self.labels, self.names = self.keys[:0], self.labels[:0], {}
        self.table.setRowCount(0)
        self.told.setText(tr("Clusters are named by the words that set their texts apart, and by the words that lie "
                             "nearest to their pictures and sounds in the model's space."))
        self._map.marks.put("groups", None)
        self._map.colour_by.forget("groups")

    # ---- finding and naming -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Find clusters beside the window, then name them."""
        view, layout = self._session.view, self._session.layout
        if view is None or layout is None or not layout.final:
            self._session.noted.emit(tr("There is no finished map yet."))
            return
        if self.over.currentData() == "map":
            keys, rows = layout.keys, layout.solid if layout.solid is not None else layout.places
        else:
            keys, rows = view.ids, fusion.centred(view.vectors, view.modalities)
        if self.method.currentData() == "k_means":
            work = partial(self._session.aside.run, k_means, rows, self.number.value())
        else:
            work = partial(self._session.aside.run, hdbscan, rows, self.least.value())
        self.progress.start(work, partial(self._found, keys))

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
        self._map.colour_by.give("groups", tr("Named clusters"), self._colouring)
        self._write()

    def _colouring(self, keys: NDArray[np.int64]) -> Colouring:
        """The largest clusters have colours of their own."""
        known = dict(zip(self.keys.tolist(), self.labels.tolist(), strict=True))
        found = np.array([known.get(key, -1) for key in keys.tolist()], np.int64)
        shown = min(len(self.names), MOST_CATEGORIES)
        names = [f"{at + 1}. {self.names[at]}" for at in range(shown)]
        codes = np.where(found < 0, shown + 1, np.minimum(found, shown))
        return Colouring(codes, (*names, tr("others"), tr("none")), grey=2)

    def _write(self) -> None:
        """The names at the middles of their clusters, as they lie on the map now."""
        layout = self._session.layout
        if layout is None or not len(self.keys):
            return
        known = dict(zip(self.keys.tolist(), self.labels.tolist(), strict=True))
        labels = np.array([known.get(key, -1) for key in layout.keys.tolist()], np.int64)
        names = []
        for at, name in self.names.items():
            own = layout.places[labels == at]
            if len(own):
                x, y = np.median(own, axis=0).tolist()
                names.append(Name(name, (x, y), len(own)))
        self._map.marks.put("groups", Overlay(names=tuple(names)))

    def _laid_out(self, layout: Layout) -> None:
        if "groups" in self._map.marks.shown:
            self._write()


def _nearest(view: VectorView, keys: NDArray[np.int64], labels: NDArray[np.int64], words: Vocabulary,
             ) -> dict[int, list[str]]:
    """For each cluster the words nearest to its pictures and sounds; each modality around its own mean."""
    rows = np.array([view.rows.get(int(key), len(view)) for key in keys])
    here = rows < len(view)
    heard = here.copy()
    heard[here] = view.modalities[rows[here]] != "text"
    if not heard.any():
        return {}
    vectors = fusion.centred(view.vectors, view.modalities)[rows[heard]]
    return nearest_words(vectors, labels[heard], words.words, words.vectors)


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return GroupsPage(session, map_)
