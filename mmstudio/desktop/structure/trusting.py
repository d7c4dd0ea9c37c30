"""Where the map lies: trust of each point as a colour, figures of the whole, and true neighbours under the pointer."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.colouring import Colouring, by_number
from mmstudio.desktop.plots.marks import Overlay
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.text import count, tr
from mmstudio.explore import fusion
from mmstudio.explore.aside import Aside
from mmstudio.explore.trust import NEAR, Trust, trust
from mmstudio.library import VectorView
from mmstudio.progress import Work

NOTE = ("Trustworthiness is 1 where all that lies near a point on the map is near it in truth; continuity is 1 where "
        "all that is near in truth lies near on the map (Venna and Kaski 2001). Stress is how far the map's distances "
        "are from the true ones, 0 for not at all. Dark points are not to be believed.")
SHOWN = (("trustworthiness", "Trustworthiness"), ("continuity", "Continuity"))


class TrustPage(QWidget):
    """Reckons on demand; the answer stays until the map is another."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._found: tuple[Layout, Trust] | None = None
        self._row_of: dict[int, int] = {}
        self.near = QSpinBox(minimum=1, maximum=200, value=NEAR)
        self.shown = QComboBox()
        for name, title in SHOWN:
            self.shown.addItem(tr(title), name)
        self.lines = QCheckBox(tr("Lines to the true neighbours of the point under the pointer"), checked=True)
        self.start, self.told, self.note = QPushButton(tr("Look")), QLabel(), QLabel(tr(NOTE), wordWrap=True)
        self.start.setProperty("primary", True)
        self.note.setProperty("faint", True)
        self.progress = Reckoning(session)
        form = QFormLayout()
        form.addRow(tr("Neighbours that count"), self.near)
        form.addRow(tr("Colour by"), self.shown)
        form.addRow("", self.lines)
        form.addRow("", self.start)
        side = QVBoxLayout()
        for widget in (self.note, self.told):
            side.addWidget(widget)
        side.addStretch(1)
        side.addWidget(self.progress)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(form, 1)
        layout.addSpacing(16)
        layout.addLayout(side, 1)
        self.start.clicked.connect(self.look)
        self.shown.currentIndexChanged.connect(lambda _: self._colour())
        session.layoutChanged.connect(self._laid_out)
        session.projectOpened.connect(self._forget)
        map_.marks.neighbours_of = self._neighbours_of

    def look(self) -> None:
        """Compare the map with the vectors, beside the window."""
        view, layout = self._session.view, self._session.layout
        if view is None or layout is None or not layout.final or len(layout.keys) < 4:
            self._session.noted.emit(tr("There is no finished map yet."))
            return
        self.progress.start(partial(_trust, self._session.aside, view, layout, self.near.value()),
                            lambda found: self._show(layout, found))

    def _show(self, layout: Layout, found: Trust) -> None:
        if layout is not self._session.layout:
            return
        self._found = layout, found
        self._row_of = dict(zip(layout.keys[found.rows].tolist(), range(len(found.rows)), strict=True))
        figures = [tr("Trustworthiness {:.3f}").format(found.trustworthiness.mean()),
                   tr("Continuity {:.3f}").format(found.continuity.mean()),
                   tr("{:.0%} of the {} nearest are kept").format(found.kept.mean(), found.k),
                   tr("Stress {:.3f}").format(found.stress)]
        if len(found.rows) < len(layout.keys):
            figures.append(tr("by {} points").format(count(len(found.rows))))
        self.told.setText("\n".join(figures))
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self._map.marks.put("trust", Overlay(figures=tuple(figures)))
        self._colour()

    def _colour(self) -> None:
        if self._found is None:
            return
        layout, found = self._found
        solid = layout.solid if layout.solid is not None else layout.places
        values = found.spread(solid)[self.shown.currentIndex()]
        title = self.shown.currentText()

        def colouring(keys: NDArray[np.int64]) -> Colouring:
            known = dict(zip(layout.keys.tolist(), values.tolist(), strict=True))
            return by_number(np.array([known.get(key, np.nan) for key in keys.tolist()]), title)

        self._map.colour_by.give("trust", tr("Trust"), colouring)

    def _neighbours_of(self, key: int) -> list[int]:
        row = self._row_of.get(key)
        if row is None or self._found is None or not self.lines.isChecked():
            return []
        layout, found = self._found
        return [int(other) for other in layout.keys[found.neighbours[row]]]

    def _laid_out(self, layout: Layout) -> None:
        """Another map deserves other trust; what it had is told of no more."""
        if self._found is not None and not (layout.solid is not None and layout.solid is self._found[0].solid):
            self._forget()

    def _forget(self) -> None:
        self._found, self._row_of = None, {}
        self.told.clear()
        self._map.marks.put("trust", None)
        self._map.colour_by.forget("trust")


def _trust(aside: Aside, view: VectorView, layout: Layout, near: int) -> Work[Trust]:
    """Against the vectors as the map saw them, in all their dimensions."""
    rows = np.array([view.rows[key] for key in layout.keys.tolist()], np.int64)
    vectors, arrangement = view.vectors[rows], layout.arrangement
    if arrangement is None or arrangement.closes_gap:
        vectors = fusion.centred(vectors, layout.modalities)
    places = layout.solid if layout.solid is not None else layout.places
    return (yield from aside.run(trust, vectors, places, near))


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return TrustPage(session, map_)
