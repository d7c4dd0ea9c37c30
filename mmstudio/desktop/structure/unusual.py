"""Items that stand out: outliers, near-duplicates and the most typical, as a list and as marks on the map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.marks import Overlay
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.plain_table import fill_row
from mmstudio.explore import fusion
from mmstudio.explore.aside import Aside
from mmstudio.explore.neighbours import neighbours
from mmstudio.explore.standing_out import far_from_all, local_outlier_factor, most_typical, near_duplicates
from mmstudio.library import VectorView
from mmstudio.progress import Work

KINDS = (("far", "Outliers: far from all others", "Mean distance to the {} nearest"),
         ("thin", "Outliers: thinner around than around their neighbours", "Local outlier factor of {} neighbours"),
         ("typical", "Most typical: in the midst of many alike", "Mean distance to the {} nearest"),
         ("within", "Near-duplicates of one modality", "Cosine"),
         ("across", "Near-duplicates across modalities, the gap closed", "Cosine"))
MOST_LISTED = 1000


@dataclass(frozen=True)
class Listed:
    """``keys (n, 1 or 2)`` of items or pairs, and the ``values (n,)`` by which they were found, first things first."""

    keys: NDArray[np.int64]
    values: NDArray[np.float32]


class UnusualPage(QWidget):
    """What to look for left, what was found right; a click selects and opens."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self.found: Listed | None = None
        self.kind = QComboBox()
        for name, title, _ in KINDS:
            self.kind.addItem(tr(title), name)
        self.near = QSpinBox(minimum=2, maximum=200, value=15)
        self.most = QSpinBox(minimum=1, maximum=MOST_LISTED, value=50)
        self.threshold = QDoubleSpinBox(minimum=0.3, maximum=1, singleStep=0.01, decimals=3, value=0.95)
        self.start, self.choose_all = QPushButton(tr("Find")), QPushButton(tr("Select them all"))
        self.marked = QCheckBox(tr("Mark them on the map"), checked=True)
        self.told, self.table = QLabel(wordWrap=True), QTableWidget(0, 2)
        self.progress = Reckoning(session)
        self._build()
        self.kind.currentIndexChanged.connect(lambda _: self._kind_chosen())
        self.start.clicked.connect(self.look)
        self.choose_all.clicked.connect(lambda: session.select(self.found.keys.ravel()) if self.found else None)
        self.marked.toggled.connect(lambda _: self._mark())
        self.table.cellClicked.connect(self._choose)
        session.projectOpened.connect(self._forget)
        session.encoderChanged.connect(self._forget)
        self._kind_chosen()

    def _build(self) -> None:
        self._form = QFormLayout()
        for title, field in ((tr("Look for"), self.kind), (tr("Neighbours"), self.near), (tr("At most"), self.most),
                             (tr("Cosine at least"), self.threshold)):
            self._form.addRow(title, field)
        self.start.setProperty("primary", True)
        self.told.setProperty("faint", True)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setAccessibleName(tr("What was found"))
        left = QVBoxLayout()
        left.addLayout(self._form)
        for widget in (self.marked, self.start, self.choose_all, self.told):
            left.addWidget(widget)
        left.addStretch(1)
        left.addWidget(self.progress)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 1)
        layout.addWidget(self.table, 2)

    @property
    def _pairs(self) -> bool:
        return self.kind.currentData() in ("within", "across")

    def _kind_chosen(self) -> None:
        self._form.setRowVisible(self.near, not self._pairs)
        self._form.setRowVisible(self.threshold, self._pairs)
        self.threshold.setValue(0.98 if self.kind.currentData() == "within" else 0.8)
        self._forget()

    def _forget(self) -> None:
        self.found = None
        self.table.setRowCount(0)
        self.told.setText(tr("Each modality is looked at around its own mean, so that the gap between modalities makes "
                             "none of them unusual."))
        self._mark()

    def look(self) -> None:
        """Find them beside the window."""
        view = self._session.view
        if view is None or len(view) < 4:
            self._session.noted.emit(tr("It needs at least four items with vectors."))
            return
        self.progress.start(partial(_found, self._session.aside, view, self.kind.currentData(), self.near.value(),
                                    self.most.value(), self.threshold.value()), self._show)

    def _show(self, found: Listed) -> None:
        self.found = found
        kind = self.kind.currentIndex()
        value = tr(KINDS[kind][2]).format(self.near.value())
        titles = [tr("Item"), tr("Nearly the same"), value] if self._pairs else [tr("Item"), value]
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        header = self.table.horizontalHeader()
        for column in range(len(titles)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch if column < len(titles) - 1
                                        else QHeaderView.ResizeMode.ResizeToContents)
        self.table.setRowCount(len(found.keys))
        for row, (keys, number) in enumerate(zip(found.keys.tolist(), found.values.tolist(), strict=True)):
            fill_row(self.table, row, [*(self._title(key) for key in keys), f"{number:.3f}"])
        self.told.setText(tr("{} found. A click selects, and opens in the inspector.").format(count(len(found.keys)))
                          if len(found.keys) else tr("None was found."))
        self._mark()

    def _title(self, key: int) -> str:
        item = self._session.items.get(key)
        return item.title.replace("\n", " ") if item else ""

    def _mark(self) -> None:
        keys = self.found.keys if self.found is not None and self.marked.isChecked() else np.zeros((0, 1), np.int64)
        links = keys if keys.shape[1] == 2 else np.zeros((0, 2), np.int64)
        self._map.marks.put("unusual", Overlay(rings=keys.ravel(), links=links))

    def _choose(self, row: int, column: int) -> None:
        if self.found is not None:
            keys = self.found.keys[row]
            self._session.select(keys)
            self._session.focus(int(keys[min(column, len(keys) - 1)]))


def _found(aside: Aside, view: VectorView, kind: str, near: int, most: int, threshold: float) -> Work[Listed]:
    """Of each modality around its own mean; near-duplicates of one modality as they are."""
    if kind in ("within", "across"):
        vectors = view.vectors if kind == "within" else fusion.centred(view.vectors, view.modalities)
        alike = yield from aside.run(near_duplicates, vectors, threshold, view.modalities, kind == "across")
        pairs = np.stack([view.ids[alike.one], view.ids[alike.other]], axis=1)
        return Listed(pairs[:most], alike.similarity[:most])
    indices, distances = yield from aside.run(neighbours, fusion.centred(view.vectors, view.modalities), near)
    if kind == "typical":
        rows = most_typical(indices, distances, most)
        return Listed(view.ids[rows][:, None], far_from_all(distances)[rows])
    values = far_from_all(distances) if kind == "far" else local_outlier_factor(indices, distances)
    rows = np.argsort(-values, kind="stable")[:most]
    return Listed(view.ids[rows][:, None], values[rows])


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return UnusualPage(session, map_)
