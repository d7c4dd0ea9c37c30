"""Where the map lies: trust of each point as a colour, figures of the whole, and true neighbours under the pointer."""

from __future__ import annotations

from dataclasses import dataclass
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
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.colouring import Colouring, by_number, places_in
from mmstudio.desktop.plots.marks import Overlay
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.structure.true_neighbours import Seen
from mmstudio.desktop.text import count, tr
from mmstudio.explore.aside import Aside
from mmstudio.explore.trust import NEAR, Trust, trust
from mmstudio.library import VectorView
from mmstudio.progress import Progress, Work

NOTE = ("Trustworthiness is 1 where all that lies near a point on the map is near it in truth; continuity is 1 where "
        "all that is near in truth lies near on the map (Venna and Kaski 2001). Stress is how far the map's distances "
        "are from the true ones, 0 for not at all. Dark points are not to be believed.")
SHOWN = (("trustworthiness", "Trustworthiness"), ("continuity", "Continuity"))


@dataclass(frozen=True, eq=False)
class Looked:
    """What came of a map: its trust, ``shown (2, n)`` of all points as ``SHOWN`` has them, their true neighbours."""

    layout: Layout
    trust: Trust
    shown: tuple[NDArray[np.float32], NDArray[np.float32]]
    seen: Seen


class TrustPage(QWidget):
    """Reckons on demand; the answer stays until the map is another."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._hovering = Behind(session)
        self._found: Looked | None = None
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
        map_.canvas.hovered.connect(self._hovered)
        map_.colour_by.currentIndexChanged.connect(lambda _: self._tell_on_map())

    def look(self) -> None:
        """Compare the map with the vectors, beside the window."""
        view, layout = self._session.view, self._session.layout
        if view is None or layout is None or not layout.final or len(layout.keys) < 4:
            self._session.noted.emit(tr("There is no finished map yet."))
            return
        self.progress.start(partial(_looked, self._session.aside, view, layout, self.near.value()), self._show)

    def _show(self, found: Looked) -> None:
        if found.layout is not self._session.layout:
            return
        self._found = found
        keys = found.seen.keys[found.trust.rows]
        self._row_of = dict(zip(keys.tolist(), range(len(keys)), strict=True))
        self.told.setText("\n".join(_figures(found)))
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self._colour()
        self._tell_on_map()

    def _colour(self) -> None:
        if self._found is not None:
            values, title = self._found.shown[self.shown.currentIndex()], self.shown.currentText()
            self._map.colour_by.give("trust", tr("Trust"), partial(_colouring, self._found.seen.keys, values, title))

    def _tell_on_map(self) -> None:
        """The figures stand on the map as long as it is coloured by them."""
        shown = self._found is not None and self._map.colour_by.currentData() == "trust"
        self._map.marks.put("trust", Overlay(figures=_figures(self._found)) if shown and self._found else None)

    def _hovered(self, key: int | None) -> None:
        """Lines to the true neighbours: those of many points are known, those of the others are looked for."""
        found = self._found
        self._hovering.forget()
        if key is None or found is None or not self.lines.isChecked():
            self._map.marks.show_rays(None)
        elif key in self._row_of:
            self._map.marks.show_rays(key, found.seen.keys[found.trust.neighbours[self._row_of[key]]].tolist())
        else:
            self._map.marks.show_rays(None)
            self._hovering.ask(partial(found.seen.near, key, found.trust.k),
                               lambda near: self._map.marks.show_rays(key, near.tolist()))

    def _laid_out(self, layout: Layout) -> None:
        """Another map deserves other trust; what it had is told of no more."""
        if self._found is not None and not (layout.solid is not None and layout.solid is self._found.layout.solid):
            self._forget()

    def _forget(self) -> None:
        self._found, self._row_of = None, {}
        self.told.clear()
        self._hovered(None)
        self._map.colour_by.forget("trust")
        self._tell_on_map()


def _looked(aside: Aside, view: VectorView, layout: Layout, near: int) -> Work[Looked]:
    """Against the vectors as the map saw them, in all their dimensions."""
    yield Progress(0, 0, "looking at the vectors")
    seen = Seen.of(view, layout)
    places = layout.solid if layout.solid is not None else layout.places
    places = places[places_in(seen.keys, layout.keys)]
    found = yield from aside.run(trust, seen.vectors(), places, near)
    return Looked(layout, found, found.spread(places), seen)


def _figures(found: Looked) -> tuple[str, ...]:
    trust = found.trust
    figures = (tr("Trustworthiness {:.3f}").format(trust.trustworthiness.mean()),
               tr("Continuity {:.3f}").format(trust.continuity.mean()),
               tr("{:.1%} of the {} nearest are kept").format(trust.kept.mean(), trust.k),
               tr("Stress {:.3f}").format(trust.stress))
    rest = (tr("by {} points").format(count(len(trust.rows))),) if len(trust.rows) < len(found.seen.keys) else ()
    return figures + rest


def _colouring(known: NDArray[np.int64], values: NDArray[np.float32], title: str, keys: NDArray[np.int64],
               ) -> Colouring:
    """On the lane for maths."""
    at = places_in(keys, known)
    return by_number(np.where(at >= 0, values[at], np.nan), title)


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return TrustPage(session, map_)
