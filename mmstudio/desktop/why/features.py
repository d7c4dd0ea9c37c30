"""Features: what a sparse autoencoder finds the project's vectors to be made of, by name, with their items."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.jobs import Job
from mmstudio.desktop.plots.colouring import Colouring, by_number
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.why.finding import Found, finding, kept, over
from mmstudio.desktop.widgets.colour_by import ColourBy
from mmstudio.desktop.widgets.feature_list import FeatureList, Row
from mmstudio.desktop.widgets.hits import HitRow
from mmstudio.desktop.widgets.shares import Shares
from mmstudio.desktop.worker import State
from mmstudio.errors import StudioError
from mmstudio.explain.sparse_features import LARGEST_K, MOST_FEATURES, Wish
from mmstudio.progress import Progress
from mmstudio.searching import Found as Hit

SETTLED_MS, FACES = 300, 24
COLOURING = "feature"


class FeaturesPage(QWidget):
    """Found in a job; kept with the project, and read again when it is opened. A click on a feature selects the items
    on which it fires.
    """

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews, colour_by: ColourBy) -> None:
        super().__init__()
        self._session, self._colour_by, self._behind = session, colour_by, Behind(session, self._failed)
        self._job: Job | None = None
        self._looked = ""
        self._settled = QTimer(self, singleShot=True, interval=SETTLED_MS)
        self.found: Found | None = None
        self.chosen: int | None = None
        self.number = QSpinBox(maximum=MOST_FEATURES, specialValueText=tr("as suits"))
        self.k = QSpinBox(maximum=LARGEST_K, specialValueText=tr("as suits"))
        self.start, self.told = QPushButton(tr("Find features")), QLabel(wordWrap=True)
        self.sought = QLineEdit(placeholderText=tr("Look for a name"), clearButtonEnabled=True)
        self.coloured = QCheckBox(tr("Colour the map"))
        self.list, self.faces = FeatureList(session, previews), HitRow(session, previews, 56, 2)
        self.title, self.current_title, self.current = QLabel(wordWrap=True), QLabel(wordWrap=True), Shares()
        self._split = QSplitter(Qt.Orientation.Vertical, childrenCollapsible=False)
        self._build()
        self._connect()
        self._clear()

    def _build(self) -> None:
        self.start.setProperty("primary", True)
        self.told.setProperty("faint", True)
        for label in (self.title, self.current_title):
            label.setProperty("heading", True)
        for label in (self.told, self.title, self.current_title):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.number.setToolTip(tr("How many features are looked for"))
        self.k.setToolTip(tr("How many features make one item"))
        self.sought.setAccessibleName(tr("Look for a name"))
        top, middle, inner, parts = QHBoxLayout(), QHBoxLayout(), QWidget(), QVBoxLayout()
        for title, box in ((tr("Features"), self.number), (tr("per item"), self.k)):
            box.setAccessibleName(box.toolTip())
            top.addWidget(QLabel(title))
            top.addWidget(box)
        top.addStretch(1)
        top.addWidget(self.start)
        middle.addWidget(self.sought, 1)
        middle.addWidget(self.coloured)
        parts.setContentsMargins(0, 0, 8, 0)
        for widget in (self.title, self.faces, self.current_title, self.current):
            parts.addWidget(widget)
        parts.addStretch(1)
        inner.setLayout(parts)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        upper, column = QWidget(), QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(middle)
        column.addWidget(self.list, 1)
        upper.setLayout(column)
        self._split.addWidget(upper)
        self._split.addWidget(scroll)
        self._split.setSizes([300, 240])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(top)
        layout.addWidget(self.told)
        layout.addWidget(self._split, 1)
        layout.addStretch(0)

    def _connect(self) -> None:
        session = self._session
        self.start.clicked.connect(self.look)
        self.sought.textChanged.connect(self._seek)
        self.coloured.toggled.connect(lambda _: self._colour())
        self.list.selectionModel().currentChanged.connect(lambda index, _: self._choose(index.row()))
        self.list.clicked.connect(lambda _: self._select())
        self.faces.opened.connect(self.opened)
        self.current.chosen.connect(self._choose_of_current)
        self._settled.timeout.connect(self._look)
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)
        session.vectorsChanged.connect(self._settled.start)
        session.currentChanged.connect(self._show_current)
        session.jobs.ended.connect(self._job_ended)

    def _clear(self) -> None:
        """What is shown is of another project or model."""
        self._behind.forget()
        self._looked = ""
        self._show(None)
        self._settled.start()

    # ---- finding, and reading what is kept --------------------------------------------------------------------

    def look(self) -> None:
        """Find the features in a job, or cancel the one that does."""
        session = self._session
        project, encoder, view = session.project, session.encoder, session.view
        if self._job is not None:
            self._job.cancel()
            return
        if project is None or encoder is None or view is None or not len(view):
            self.told.setText(tr("There are no vectors yet."))
            return
        wish = Wish.fitting(len(view), view.key.dim, self.number.value(), self.k.value())
        work = partial(finding, project.folder, encoder, project.limits, view, session.items.copy(), wish,
                       not project.read_only)

        def done(found: Found) -> None:
            job.finish(_outcome(found), [])
            if found.unkept:
                session.noted.emit(tr("The features are shown, but could not be kept: {}").format(found.unkept))
            if project is session.project and session.view is not None and session.view.key == view.key:
                self._behind.forget()
                self.chosen = None
                self._show(found)
                self._settled.start()

        self._job = job = session.jobs.start(tr("Finding features"), work, self._step, done, self._failed)
        self.start.setText(tr("Stop"))
        self.told.setText(tr("Learning…"))

    def _step(self, progress: Progress) -> None:
        self.told.setText(tr("Step {} of {}: {}").format(count(progress.done), count(progress.total), progress.text))

    def _failed(self, error: StudioError) -> None:
        self.told.setText(str(error))

    def _job_ended(self, job: Job) -> None:
        if job is not self._job:
            return
        self._job = None
        self.start.setText(tr("Find features"))
        if job.state is State.CANCELLED:
            job.finish(tr("Cancelled; nothing of it was kept"), [])
        if job.error is None:
            self._tell()

    def _look(self) -> None:
        """Read what is kept of this space; or, when that is shown, look whether the items are others."""
        project, view = self._session.project, self._session.view
        if project is None or view is None:
            return
        folder, found = project.folder, self.found
        if self._looked != view.key.digest:
            self._looked = view.key.digest
            self._behind.ask(lambda: kept(folder, view), self._show)
        elif found is not None and not np.array_equal(found.features.ids, view.ids):
            self._behind.ask(lambda: over(found.features, view), self._show)

    # ---- showing ----------------------------------------------------------------------------------------------

    def _show(self, found: Found | None) -> None:
        self.found = found
        self._split.setVisible(found is not None)
        rows = []
        if found is not None:
            order = np.argsort(-found.firings.counts, kind="stable")[: np.count_nonzero(found.firings.counts)]
            rows = [_row(found, at) for at in order.tolist()]
        if all(row.number != self.chosen for row in rows):
            self.chosen = None
        self.list.rows.show_rows(rows)
        self.list.mark(self.chosen)
        self._tell()
        self._show_chosen()
        self._show_current()

    def _tell(self) -> None:
        if self._job is None:
            self.told.setText(_outcome(self.found) if self.found is not None else tr(
                "A sparse autoencoder learns of which few directions each vector is made: features such as “dog” or "
                "“night”, which pictures, sounds and texts share. It takes seconds for hundreds of items and minutes "
                "for a million, as a job beside your work."))

    def _seek(self, words: str) -> None:
        self.list.rows.seek(words)
        self.list.mark(self.chosen)

    def _choose(self, at: int) -> None:
        """Show a feature, and select the items on which it fires."""
        if 0 <= at < len(self.list.rows.shown):
            self.chosen = self.list.rows.shown[at].number
            self._select()
            self._show_chosen()

    def _select(self) -> None:
        if self.found is not None and self.chosen is not None:
            self._session.select(self.found.firings.of(self.chosen)[0])

    def _show_chosen(self) -> None:
        found, chosen = self.found, self.chosen
        self.title.setVisible(chosen is not None)
        self.faces.setVisible(chosen is not None)
        if found is not None and chosen is not None:
            self.title.setText(tr("Strongest: {}").format(_name(found, chosen)))
            ids, strength = (part[:FACES].tolist() for part in found.firings.of(chosen))
            self.faces.show_hits([Hit(key, value) for key, value in zip(ids, strength, strict=True)
                                  if key in self._session.items])
        self._colour()

    def _colour(self) -> None:
        """Colour the map by how strongly the chosen feature fires."""
        if self.coloured.isChecked() and self.found is not None and self.chosen is not None:
            colouring = partial(_colouring, self.found, self.chosen)
            self._colour_by.give(COLOURING, tr("Feature"), colouring)
        else:
            self._colour_by.forget(COLOURING)

    def _fires_on_current(self) -> list[tuple[int, float]]:
        """The features that fire on the current item, strongest first."""
        found, view, key = self.found, self._session.view, self._session.current
        vector = view.vector(key) if view is not None and key is not None else None
        if found is None or view is None or key is None or vector is None:
            return []
        group = view.modalities[view.rows[key]]
        which, strength = found.features.learned.autoencoder.codes(vector[None], np.array([group]))
        return [(at, value) for at, value in zip(which[0].tolist(), strength[0].tolist(), strict=True) if value > 0]

    def _show_current(self) -> None:
        found, key, fires = self.found, self._session.current, self._fires_on_current()
        self.current_title.setVisible(bool(fires))
        self.current.show_shares([(_name(found, at), value) for at, value in fires] if found is not None else [])
        if fires and key is not None:
            self.current_title.setText(tr("In “{}”").format(self._session.items[key].title.replace("\n", " ")))

    def _choose_of_current(self, row: int) -> None:
        fires = self._fires_on_current()
        if row < len(fires):
            self.sought.clear()
            self.list.mark(fires[row][0])
            self._choose(self.list.rows.row_of(fires[row][0]))


def _name(found: Found, at: int) -> str:
    return found.features.names[at] or tr("Feature {}").format(at + 1)


def _row(found: Found, at: int) -> Row:
    items = int(found.firings.counts[at])
    return Row(at, _name(found, at), items, items / max(1, found.firings.total),
               tuple(found.firings.top[at].tolist()))


def _outcome(found: Found) -> str:
    learned = found.features.learned
    told = tr("{} features, up to {} to an item, explain {:.0f} % of the variance; {:.0f} % of them are dead.")
    return told.format(count(len(found.features.names)), learned.autoencoder.k, 100 * learned.explained,
                       100 * learned.dead)


def _colouring(found: Found, feature: int, keys: NDArray[np.int64]) -> Colouring:
    """How strongly a feature fires on each of the map's points; no number where it does not."""
    ids, strength = found.firings.of(feature)
    order = np.argsort(ids)
    values = np.full(len(keys), np.nan)
    if len(ids):
        at = np.searchsorted(ids[order], keys).clip(max=len(ids) - 1)
        fires = ids[order][at] == keys
        values[fires] = strength[order][at[fires]]
    return by_number(values, _name(found, feature))
