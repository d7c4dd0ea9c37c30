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

from mmstudio.desktop.arranging import FusedPlace, Layout
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.fusing import WAYS
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.placing import Kept, Known, SamplePlaces
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure.beside import Reckoning
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.plain_table import fill_row
from mmstudio.explore.sample_fusion import Disagreement, Fuser, Fusion, disagreements, product_of_experts
from mmstudio.library import Sample, VectorView
from mmstudio.media import MODALITIES

WHOM = (("current", "the sample in the inspector"), ("selection", "the selection"), ("all", "all samples"))
STEPS, NEAREST, MOST_TOLD = 200, 8, 500
_VECTOR = ("While a slider moves, a sample lies between its items; let go, where the items nearest to its fused vector "
           "are. Searches use that vector.")
NOTES: dict[Fusion, str] = {
    "mean": _VECTOR,
    "geodesic": _VECTOR + " What Why tells of a sample is of its weighted mean.",
    "concatenated": (
        "While a slider moves, a sample lies between its items, roughly as they share its cosines; let go, where the "
        "items of its nearest samples are. Searches and Why use the weighted mean."),
    "experts": (
        "While a slider moves, a sample lies between its items, roughly as they are weighed; let go, where the items "
        "of the samples with the best product of scores are. There is no vector: searches and Why use the weighted "
        "mean."),
}


@dataclass(frozen=True)
class Ready:
    """What the sliders need at hand, and which samples disagree."""

    known: Known
    fuser: Fuser
    disagreements: list[Disagreement]

    @property
    def ids(self) -> NDArray[np.int64]:
        return self.known.ids


class FusionPage(QWidget):
    """Sliders left; right what they do to the neighbours of one sample, and the samples that disagree most."""

    def __init__(self, session: Session, map_: MapPanel) -> None:
        super().__init__()
        self._session, self._map = session, map_
        self._preparing, self._looking = Behind(session), Behind(session)
        self.ready: Ready | None = None
        self._weights, self._drawn = np.ones((len(MODALITIES), 0), np.float32), 0
        self.how, self.whom = QComboBox(), QComboBox()
        self.sliders = {m: QSlider(Qt.Orientation.Horizontal, maximum=STEPS, value=STEPS // 2) for m in MODALITIES}
        self.told, self.note = QLabel(wordWrap=True), QLabel(wordWrap=True)
        self.ablation, self.disagreeing = QTableWidget(0, 0), QTableWidget(0, 4)
        self.progress = Reckoning(session)
        self._build()
        self._show_way()
        for slider in self.sliders.values():
            slider.valueChanged.connect(lambda _: self._moved())
            slider.sliderReleased.connect(self._released)
        self.how.currentIndexChanged.connect(lambda _: session.fusing.fuse_by(self.how.currentData()))
        self.progress.stop_button.clicked.connect(session.fusing.cancel)
        self.ablation.cellClicked.connect(self._choose)
        self.disagreeing.cellClicked.connect(self._choose_disagreeing)
        session.currentChanged.connect(self._current_changed)
        session.fusedMoved.connect(self._weighed)
        session.samplesPlaced.connect(self._placed)
        session.fusing.changed.connect(self._show_way)
        session.fusing.placing.connect(self.progress.show_step)
        for changed in (session.samplesChanged, session.vectorsChanged, session.encoderChanged, session.projectOpened):
            changed.connect(self.prepare)
        session.layoutChanged.connect(lambda layout: self.prepare() if layout.final else None)
        self.prepare()

    def _build(self) -> None:
        for box, choices in ((self.how, tuple(WAYS.items())), (self.whom, WHOM)):
            for name, title in choices:
                box.addItem(tr(title), name)
        self.how.setToolTip(tr("One way for all samples of the project, kept with it as their weights are"))
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
        left.addWidget(self.progress)
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
        self._preparing.ask(partial(_prepared, self._session.fusing.kept, view, samples, layout), self._take)

    def _take(self, ready: Ready | None) -> None:
        self.ready = ready
        if ready is None:
            return
        names, samples = ready.known.parts.modalities, self._session.samples
        self._weights = np.ones((len(names), len(ready.ids)), np.float32)
        for column, i in enumerate(ready.ids.tolist()):
            if i in samples and samples[i].weights:
                self._weights[:, column] = [samples[i].weights.get(m, 1.0) for m in names]
        self._tell()
        self._show_disagreements(ready.disagreements[:MOST_TOLD])
        self._current_changed()

    def _tell(self) -> None:
        """What there is, and where not all pairs were looked at."""
        assert self.ready is not None
        number = count(len(self.ready.ids))
        self.told.setText(tr("{} samples, too many for all pairs: placed by the nearest of {} drawn at random").format(
            number, count(self._drawn)) if self._drawn else tr("{} samples of {}").format(
            number, ", ".join(modality_name(m) for m in self.ready.known.parts.modalities)))

    def _show_disagreements(self, found: list[Disagreement]) -> None:
        assert self.ready is not None
        self.disagreeing.setRowCount(len(found))
        for row, one in enumerate(found):
            sample = self._session.samples.get(int(self.ready.ids[one.sample]))
            cells = [sample.name.replace("\n", " ") if sample else "",
                     f"{modality_name(one.one)} – {modality_name(one.other)}", f"{one.cosine:.3f}",
                     f"{one.deviations:+.1f} σ"]
            fill_row(self.disagreeing, row, cells)

    def _show_way(self) -> None:
        """What the project's samples are fused by."""
        how = self._session.fusing.how
        self.how.setCurrentIndex(self.how.findData(how))
        self.note.setText(tr(NOTES[how]))
        self._look()

    # ---- moving -----------------------------------------------------------------------------------------------

    def _scope(self) -> NDArray[np.intp] | slice:
        """Which of the samples the sliders are for."""
        assert self.ready is not None
        if self.whom.currentData() == "all":
            return slice(None)
        one = self.whom.currentData() == "current"
        keys = np.array([self._session.current or 0]) if one else self._session.selection.keys
        return np.flatnonzero(np.isin(self.ready.ids, -keys))

    def _moved(self) -> None:
        """One frame: the samples' points follow the slider."""
        if self.ready is None:
            return
        scope, slid = self._scope(), self._slid()
        for row, name in enumerate(self.ready.known.parts.modalities):
            self._weights[row, scope] = slid[name]
        ids = self.ready.ids[scope]
        if len(ids):
            self._session.fusing.hold()
            shares = self.ready.fuser.shares(self._weights, self._session.fusing.how)
            self._map.move_samples(ids, self.ready.fuser.between(self.ready.known.places, shares)[scope])
        if not self._is_moving():
            self._released()
        self._look()

    def _released(self) -> None:
        """The weights are kept, and the samples go to where they belong."""
        if self.ready is not None:
            self._session.fusing.weigh_all(self.ready.ids[self._scope()].tolist(), self._slid())

    def _slid(self) -> dict[str, float]:
        """The weights that the sliders show, of the modalities that samples have."""
        assert self.ready is not None
        return {str(name): slider.value() * 2 / STEPS for name, slider in self.sliders.items()
                if name in self.ready.known.parts.modalities}

    def _placed(self, found: SamplePlaces) -> None:
        if found.whole or found.drawn:
            self._drawn = found.drawn
        if self.ready is not None:
            self._tell()

    def _weighed(self, found: FusedPlace) -> None:
        """A sample may have been weighed elsewhere."""
        sample, ready = self._session.samples.get(found.sample_id), self.ready
        if ready is None or sample is None or self._is_moving():
            return
        now = np.array([[sample.weights.get(m, 1.0)] for m in ready.known.parts.modalities], np.float32)
        if (self._weights[:, ready.ids == sample.id] != now).any():
            self._weights[:, ready.ids == sample.id] = now
            self._current_changed()

    def _is_moving(self) -> bool:
        return any(slider.isSliderDown() for slider in self.sliders.values())

    def _current_changed(self) -> None:
        """The sliders show the weights of the sample that is looked at."""
        current = self._session.current
        sample = self._session.samples.get(-current) if current is not None else None
        if sample is not None and self.whom.currentData() == "current" and not self._is_moving():
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
        self._looking.ask(partial(ablated, ready.known, self._weights.copy(), int(row[0]), self._session.fusing.how),
                          self._show_ablated)

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


def _prepared(kept: Kept, view: VectorView, samples: dict[int, Sample], layout: Layout | None) -> Ready | None:
    """In the pool."""
    known = kept.known(view, layout, samples)
    return Ready(known, Fuser(known.parts), disagreements(known.parts)) if known is not None else None


def ablated(known: Known, weights: NDArray[np.float32], row: int, how: Fusion) -> dict[str, list[tuple[int, float]]]:
    """The nearest samples of one, as (row, score), best first: under "" with all its modalities, and under each
    modality's name without that one. ``weights (m, n)``.
    """
    own = np.flatnonzero(known.parts.present[:, row]).tolist()
    found = {"": nearest(known, weights, row, how)}
    for m in own if len(own) > 1 else []:
        less = weights.copy()
        less[m, row] = 0
        if not less[own, row].any():
            less[[other for other in own if other != m], row] = 1
        found[known.parts.modalities[m]] = nearest(known, less, row, how)
    return found


def nearest(known: Known, weights: NDArray[np.float32], row: int, how: Fusion) -> list[tuple[int, float]]:
    """The samples nearest to one by the fusion ``how``."""
    parts = known.parts
    own = parts.counted(weights[:, [row]], np.array([row]))[:, 0]
    if how == "experts":
        scores = np.einsum("md,nmd->mn", parts.vectors[row], parts.vectors)
        scores = np.where(parts.present & (own > 0)[:, None], scores, np.nan)
        scores[:, row] = np.nan
        values = product_of_experts(scores, own)
    else:
        if how == "concatenated":
            fused = known.beside.vectors(own)
        else:
            fuser = Fuser(parts)
            fused = fuser.vectors(fuser.coefficients(weights, how))
        values = fused @ fused[row]
    values[row] = -np.inf
    best = np.argsort(-values, kind="stable")[: min(NEAREST, len(values) - 1)]
    return [(int(at), float(values[at])) for at in best]


def make(session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    """The page."""
    return FusionPage(session, map_)
