"""Fusion of many samples on live sliders, what each modality does to a sample's neighbours, and which disagree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSlider,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.plain_table import fill_row
from mmstudio.explore.sample_fusion import (
    Disagreement,
    Fuser,
    Parts,
    concatenated,
    disagreements,
    product_of_experts,
)
from mmstudio.library import Sample, VectorView
from mmstudio.media import MODALITIES

HOW = (("mean", "Weighted mean"), ("geodesic", "Geodesic (along the sphere)"),
       ("concatenated", "Side by side, then PCA"), ("experts", "Product of experts (of scores)"))
WHOM = (("current", "the sample in the inspector"), ("selection", "the selection"), ("all", "all samples"))
STEPS, NEAREST, MOST_TOLD = 200, 8, 500
NOTE = ("The map follows the weighted mean and the geodesic while a slider moves; when it is let go, the weights are "
        "kept and each sample goes to where the neighbours of its fused vector are.")


@dataclass(frozen=True)
class Ready:
    """What the sliders need at hand: samples ``ids (n,)`` ascending, with their parts; ``places (m, n, 2)`` where each
    modality of a sample lies on the map; and which disagree.
    """

    ids: NDArray[np.int64]
    fuser: Fuser
    places: NDArray[np.float32]
    disagreements: list[Disagreement]


class FusionPage(QWidget):
    """Sliders left; right what they do to the neighbours of one sample, and the samples that disagree most."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._preparing, self._looking = Behind(session), Behind(session)
        self.ready: Ready | None = None
        self._weights = np.ones((len(MODALITIES), 0), np.float32)
        self.how, self.whom = QComboBox(), QComboBox()
        self.sliders = {m: QSlider(Qt.Orientation.Horizontal, maximum=STEPS, value=STEPS // 2) for m in MODALITIES}
        self.told, self.note = QLabel(wordWrap=True), QLabel(tr(NOTE), wordWrap=True)
        self.ablation, self.disagreeing = QTableWidget(0, 0), QTableWidget(0, 4)
        self._build()
        for slider in self.sliders.values():
            slider.valueChanged.connect(lambda _: self._moved())
            slider.sliderReleased.connect(self._released)
        self.how.currentIndexChanged.connect(lambda _: self._look())
        self.ablation.cellClicked.connect(self._choose)
        self.disagreeing.cellClicked.connect(self._choose_disagreeing)
        session.currentChanged.connect(self._current_changed)
        for changed in (session.samplesChanged, session.vectorsChanged, session.encoderChanged, session.projectOpened):
            changed.connect(self.prepare)
        session.layoutChanged.connect(lambda layout: self.prepare() if layout.final else None)
        self.prepare()

    def _build(self) -> None:
        for box, choices in ((self.how, HOW), (self.whom, WHOM)):
            for name, title in choices:
                box.addItem(tr(title), name)
        form = QFormLayout()
        form.addRow(tr("Fusion"), self.how)
        form.addRow(tr("Weights of"), self.whom)
        for modality, slider in self.sliders.items():
            slider.setAccessibleName(tr("Weight of {}").format(modality_name(modality)))
            form.addRow(modality_name(modality), slider)
        left = QVBoxLayout()
        left.addLayout(form)
        for label in (self.told, self.note):
            label.setProperty("faint", True)
            left.addWidget(label)
        left.addStretch(1)
        self.disagreeing.setHorizontalHeaderLabels([tr("Sample"), tr("Disagree"), tr("Cosine"), tr("Below others")])
        for table, name in ((self.ablation, tr("Neighbours without a modality")),
                            (self.disagreeing, tr("Disagreement"))):
            table.verticalHeader().hide()
            table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
            table.setAccessibleName(name)
        header = self.disagreeing.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        tabs = QTabWidget()
        tabs.addTab(self.disagreeing, tr("Most disagreeing samples"))
        tabs.addTab(self.ablation, tr("Neighbours without a modality"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 1)
        layout.addWidget(tabs, 2)

    # ---- preparing --------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Put at hand what the sliders need, behind the window."""
        view, samples, layout = self._session.view, dict(self._session.samples), self._session.layout
        if view is None or not samples:
            self.ready = None
            self._preparing.forget()
            self.told.setText(tr("There are no samples yet. Group what belongs together (Ctrl+G)."))
            self.disagreeing.setRowCount(0)
            return
        self._preparing.ask(partial(_prepared, view, samples, layout), self._take)

    def _take(self, ready: Ready | None) -> None:
        self.ready = ready
        if ready is None:
            return
        names = ready.fuser.parts.modalities
        self._weights = np.array([[self._session.samples[i].weights.get(m, 1.0) if i in self._session.samples else 1.0
                                   for i in ready.ids.tolist()] for m in names], np.float32)
        self.told.setText(tr("{} samples of {}").format(count(len(ready.ids)),
                                                        ", ".join(modality_name(m) for m in names)))
        self._show_disagreements(ready.disagreements[:MOST_TOLD])
        self._look()

    def _show_disagreements(self, found: list[Disagreement]) -> None:
        assert self.ready is not None
        self.disagreeing.setRowCount(len(found))
        for row, one in enumerate(found):
            sample = self._session.samples.get(int(self.ready.ids[one.sample]))
            cells = [sample.name.replace("\n", " ") if sample else "",
                     f"{modality_name(one.one)} – {modality_name(one.other)}", f"{one.cosine:.3f}",
                     f"{one.deviations:+.1f} σ"]
            fill_row(self.disagreeing, row, cells)

    # ---- moving -----------------------------------------------------------------------------------------------

    def _scope(self) -> NDArray[np.bool_]:
        """Which of the samples the sliders are for."""
        assert self.ready is not None
        if self.whom.currentData() == "all":
            return np.ones(len(self.ready.ids), bool)
        keys = [self._session.current] if self.whom.currentData() == "current" else self._session.selection
        return np.isin(self.ready.ids, [-key for key in keys if key is not None and key < 0])

    def _moved(self) -> None:
        """One frame: the samples' points follow the slider."""
        if self.ready is None:
            return
        scope = self._scope()
        for row, modality in enumerate(self.ready.fuser.parts.modalities):
            self._weights[row, scope] = self.sliders[modality].value() * 2 / STEPS  # type: ignore[index]
        how = self.how.currentData()
        if how in ("mean", "geodesic") and scope.any():
            coefficients = self.ready.fuser.coefficients(self._weights, how)
            self._map.move_samples(self.ready.ids[scope],
                                   self.ready.fuser.between(self.ready.places, coefficients)[scope])
        if not any(slider.isSliderDown() for slider in self.sliders.values()):
            self._released()
        self._look()

    def _released(self) -> None:
        """The weights are kept."""
        if self.ready is None:
            return
        names, rows = self.ready.fuser.parts.modalities, np.flatnonzero(self._scope()).tolist()
        self._session.set_weights_of({int(self.ready.ids[row]): {
            name: float(weight) for name, weight in zip(names, self._weights[:, row], strict=True)} for row in rows})

    def _current_changed(self) -> None:
        """The sliders show the weights of the sample that is looked at."""
        current = self._session.current
        sample = self._session.samples.get(-current) if current is not None else None
        if sample is not None and self.whom.currentData() == "current":
            for modality, slider in self.sliders.items():
                slider.blockSignals(True)
                slider.setValue(round(sample.weights.get(modality, 1.0) * STEPS / 2))
                slider.blockSignals(False)
        self._look()

    # ---- neighbours -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The neighbours of the sample that is looked at, with all its modalities and without each."""
        current, ready = self._session.current, self.ready
        row = np.flatnonzero(ready.ids == -(current or 0)) if ready is not None else np.zeros(0, np.int64)
        if ready is None or not len(row):
            self._looking.forget()
            self.ablation.setRowCount(0)
            self.ablation.setColumnCount(1)
            self.ablation.setHorizontalHeaderLabels([tr("Choose a sample on the map to see its neighbours")])
            self.ablation.horizontalHeader().setStretchLastSection(True)
            return
        self._looking.ask(partial(ablated, ready.fuser.parts, self._weights.copy(), int(row[0]),
                                  self.how.currentData()), self._show_ablated)

    def _show_ablated(self, found: dict[str, list[tuple[int, float]]]) -> None:
        assert self.ready is not None
        self.ablation.setColumnCount(len(found))
        self.ablation.setHorizontalHeaderLabels([tr("with everything") if not without else tr("without {}").format(
            modality_name(without).lower()) for without in found])
        self.ablation.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.ablation.setRowCount(max((len(near) for near in found.values()), default=0))
        whole = {row for row, _ in found.get("", [])}
        for column, near in enumerate(found.values()):
            for line, (row, score) in enumerate(near):
                sample = self._session.samples.get(int(self.ready.ids[row]))
                cell = QTableWidgetItem(f"{score:.3f}  {sample.name if sample else ''}".replace("\n", " "))
                cell.setData(Qt.ItemDataRole.UserRole, int(self.ready.ids[row]))
                font = cell.font()
                font.setBold(row not in whole)  # what only comes near without it
                cell.setFont(font)
                self.ablation.setItem(line, column, cell)

    def _choose(self, row: int, column: int) -> None:
        cell = self.ablation.item(row, column)
        if cell is not None:
            self._session.select([-int(cell.data(Qt.ItemDataRole.UserRole))])

    def _choose_disagreeing(self, row: int, column: int) -> None:
        if self.ready is not None:
            key = -int(self.ready.ids[self.ready.disagreements[row].sample])
            self._session.select([key])
            self._session.focus(key)


def _prepared(view: VectorView, samples: dict[int, Sample], layout: Layout | None) -> Ready | None:
    """In the pool."""
    rows = {i: [view.rows[item] for item in samples[i].item_ids if view.rows.get(item, len(view)) < len(view)]
            for i in sorted(samples)}
    known = {i: own for i, own in rows.items() if own}
    if not known:
        return None
    parts = Parts.of(view.vectors, view.modalities, list(known.values()))
    places = np.zeros((len(parts.modalities), len(parts), 2), np.float32)
    if layout is not None:
        at = dict(zip(layout.keys.tolist(), range(len(layout.keys)), strict=True))
        for column, own in enumerate(known.values()):
            for m, name in enumerate(parts.modalities):
                on_map = [at[key] for key in view.ids[own].tolist()
                          if key in at and view.modalities[view.rows[key]] == name]
                if on_map:
                    places[m, column] = layout.places[on_map].mean(axis=0)
    return Ready(np.fromiter(known, np.int64, len(known)), Fuser(parts), places, disagreements(parts))


def ablated(parts: Parts, weights: NDArray[np.float32], row: int, how: str) -> dict[str, list[tuple[int, float]]]:
    """The nearest samples of one, as (row, score), best first: under "" with all its modalities, and under each
    modality's name without that one. ``weights (m, n)``.
    """
    own = [m for m in range(len(parts.modalities)) if parts.present[m, row]]
    found = {"": nearest(parts, weights, row, how)}
    for m in own if len(own) > 1 else []:
        less = weights.copy()
        less[m, row] = 0
        found[parts.modalities[m]] = nearest(parts, less, row, how, without=m)
    return found


def nearest(parts: Parts, weights: NDArray[np.float32], row: int, how: str, without: int = -1,
            ) -> list[tuple[int, float]]:
    """The samples nearest to one by the fusion ``how``."""
    if how == "experts":
        scores = np.einsum("md,nmd->mn", parts.vectors[row], parts.vectors)
        heard = parts.present[:, row].copy()
        if without >= 0:
            heard[without] = False
        scores = np.where(parts.present & heard[:, None], scores, np.nan)
        scores[:, row] = np.nan
        values = product_of_experts(scores, weights[:, row])
    elif how == "concatenated":
        fused = concatenated(parts, weights[:, row])
        values = fused @ fused[row]
    else:
        fuser = Fuser(parts)
        fused = fuser.vectors(fuser.coefficients(weights, how))  # type: ignore[arg-type]
        values = fused @ fused[row]
    values[row] = -np.inf
    best = np.argsort(-values, kind="stable")[: min(NEAREST, len(values) - 1)]
    return [(int(at), float(values[at])) for at in best]


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return FusionPage(session, map_)
