"""The gap between modalities: where each lies, how spread it is, what belongs together, and what closing it does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.measured_gap import Gap, measured
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.marks import Arrow, Name, Overlay
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.sample_rows import SampleRows, links_of
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning, aside_if_many
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.plain_table import fill_row, plain_table
from mmstudio.explore.aside import Aside
from mmstudio.library import Sample, VectorView
from mmstudio.progress import Work

NOTE = ("A model puts each modality into a narrow cone of its own (Liang et al. 2022). Closing the gap moves each "
        "around the middle. Uniformity is lower where vectors are more even, about -4 at best; alignment is the mean "
        "squared distance of what belongs together, lower is better (Wang and Isola 2020).")
NO_SAMPLES = ("There are no samples of several modalities: group what belongs together (Ctrl+G) to see what closing "
              "the gap does.")
MODAL = ("Modality", "Items", "Length of the centre", "Uniformity")
PAIRS = ("Modalities", "Gap", "Pairs", "Alignment", "By chance", "Recall@1, closed", "Back, closed")


class GapPage(QWidget):
    """Modalities above, pairs of them below, and what is drawn of it on the map."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._behind, self._centring = Behind(session), Behind(session)
        self.found: Gap | None = None
        self.start, self.progress = QPushButton(tr("Measure")), Reckoning(session)
        self.start.setProperty("primary", True)
        self.links = QCheckBox(tr("Lines between the items of each sample on the map"))
        self.centres = QCheckBox(tr("Centres and the gaps between them on the map"))
        self.closed = QCheckBox(tr("Close the gap on the map"), checked=session.arrangement.closes_gap)
        self.searched = QCheckBox(tr("Close the gap in searches"), checked=session.asking.closes_gap)
        session.asking.changed.connect(self._follow_search)
        self.told, self.joint = QLabel(tr(NOTE), wordWrap=True), QLabel(wordWrap=True)
        self.told.setProperty("faint", True)
        self.modal, self.pairs = (plain_table([tr(title) for title in titles]) for titles in (MODAL, PAIRS))
        self.modal.setAccessibleName(tr("Modalities"))
        self.pairs.setAccessibleName(tr("Pairs of modalities"))
        left = QVBoxLayout()
        for widget in (self.start, self.links, self.centres, self.closed, self.searched, self.told):
            left.addWidget(widget)
        left.addStretch(1)
        left.addWidget(self.progress)
        right = QVBoxLayout()
        right.addWidget(self.modal, 2)
        right.addWidget(self.pairs, 2)
        right.addWidget(self.joint)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 1)
        layout.addLayout(right, 3)
        self.start.clicked.connect(self.measure)
        self.links.toggled.connect(lambda _: self._draw_links())
        self.centres.toggled.connect(lambda _: self._draw_centres())
        self.closed.toggled.connect(self._close_on_map)
        self.searched.toggled.connect(session.asking.close_gap)
        session.samplesChanged.connect(self._draw_links)
        session.layoutChanged.connect(lambda layout: self._laid_out())
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)

    def _clear(self) -> None:
        self.found = None
        self.modal.setRowCount(0)
        self.pairs.setRowCount(0)
        self.joint.clear()

    def measure(self) -> None:
        """Measure beside the window."""
        view, samples = self._session.view, list(self._session.samples.values())
        if view is None or len(view) < 2:
            self._session.noted.emit(tr("It needs items with vectors."))
            return
        self.progress.start(partial(_measured, self._session.aside, view, samples), self._show)

    def _follow_search(self) -> None:
        """Another project or model is searched as it was."""
        self.searched.blockSignals(True)
        self.searched.setChecked(self._session.asking.closes_gap)
        self.searched.blockSignals(False)

    def _show(self, found: Gap) -> None:
        self.found = found
        self.modal.setRowCount(len(found.modal))
        for row, one in enumerate(found.modal):
            fill_row(self.modal, row, [modality_name(one.name), count(one.count), f"{one.narrow:.3f}",
                                    f"{one.uniformity:.2f}"])
        by_way = {(one.one, one.other): one for one in found.closing}
        self.pairs.setRowCount(len(found.between))
        for row, pair in enumerate(found.between):
            there, back = by_way.get((pair.one, pair.other)), by_way.get((pair.other, pair.one))
            cells = [f"{modality_name(pair.one)} – {modality_name(pair.other)}", f"{pair.length:.3f}",
                     count(pair.links), _number(pair.alignment), f"{pair.chance:.3f}"]
            for way in (there, back):
                cells.append(f"{way.before:.3f}, {way.after:.3f}" if way else "–")
            fill_row(self.pairs, row, cells)
        before, after = found.joint
        told = tr(NO_SAMPLES) if np.isnan(before) else tr(
            "Among all modalities at once, what belongs to an item is its nearest in {:.1%} of cases, and in {:.1%} "
            "with the gap closed.").format(before, after)
        if found.recalled < found.samples:
            told += tr(" Recall is of {} of {} samples, drawn at random.").format(count(found.recalled),
                                                                                 count(found.samples))
        self.joint.setText(told)
        self._draw_centres()

    def _close_on_map(self, wanted: bool) -> None:
        self._session.mapping.anew(replace(self._session.arrangement, closes_gap=wanted))

    def _laid_out(self) -> None:
        """Another page may have said otherwise."""
        self.closed.blockSignals(True)
        self.closed.setChecked(self._session.arrangement.closes_gap)
        self.closed.blockSignals(False)
        self._draw_centres()

    def _draw_links(self) -> None:
        self._behind.forget()
        if not self.links.isChecked():
            self._map.marks.put("gap", None)
            return
        items, samples = self._session.items.copy(), list(self._session.samples.values())
        self._behind.ask(partial(links_of, items, samples),
                         lambda links: self._map.marks.put("gap", Overlay(links=links)))


    def _draw_centres(self) -> None:
        """Where each modality's middle is on the map, and arrows from one to another with the gap's true length."""
        self._centring.forget()
        layout = self._session.layout
        if not self.centres.isChecked() or layout is None or not layout.final:
            self._map.marks.put("centres", None)
            return
        lengths = {(pair.one, pair.other): pair.length for pair in self.found.between} if self.found else {}
        self._centring.ask(partial(_centres, layout, lengths), lambda found: self._map.marks.put("centres", found))


def _centres(layout: Layout, lengths: dict[tuple[str, str], float]) -> Overlay:
    """In the pool."""
    names = sorted(set(np.unique(layout.modalities).tolist()))
    at = {name: tuple(layout.places[layout.modalities == name].mean(axis=0).tolist()) for name in names}
    titles = [Name(modality_name(name), place, len(layout.keys), moves=True) for name, place in at.items()]
    arrows = []
    for one, other in combinations(names, 2):
        arrows.append(Arrow(at[one], at[other]))
        if (one, other) in lengths:
            middle = (at[one][0] + at[other][0]) / 2, (at[one][1] + at[other][1]) / 2
            titles.append(Name(tr("gap {:.2f}").format(lengths[one, other]), middle, 0, moves=True))
    return Overlay(names=tuple(titles), arrows=tuple(arrows))


def _measured(aside: Aside, view: VectorView, samples: list[Sample]) -> Work[Gap]:
    rows = SampleRows.of(view, samples)
    return (yield from aside_if_many(aside, len(view), measured, view.vectors, view.modalities, rows))


def _number(value: float) -> str:
    return f"{value:.3f}" if not np.isnan(value) else "–"


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return GapPage(session, map_)
