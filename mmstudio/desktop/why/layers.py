"""Layers: how the neighbours of the item change from layer to layer, and how alike another model sees the items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.why.newest import Newest
from mmstudio.desktop.why.other_model import MODEL, OtherModel, offer
from mmstudio.desktop.widgets.plain_table import plain_table
from mmstudio.encoders.base import Encoder, Vectors, encode
from mmstudio.errors import StudioError
from mmstudio.explain.layers import NEIGHBOURS, LayerNeighbours, layer_states, linear_cka, neighbours
from mmstudio.library import Item
from mmstudio.media import Limits, Media, load
from mmstudio.progress import Progress, Work

ITEMS = 100
"""So many of the project's items are looked at; each goes through the model once."""


@dataclass(frozen=True)
class Seen:
    """Neighbours layer by layer among ``items``, and how like the last each layer arranges them (linear CKA)."""

    items: list[Item]
    found: LayerNeighbours
    alike: list[float]


class LayersPage(QWidget):
    """Reckons only when asked: every item goes through the model once more."""

    opened = Signal(int)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._work = session, Newest(session, self._failed, self._ended)
        self._seen: Seen | None = None
        self._model = OtherModel()
        self.look, self.stop, self.compare = (QPushButton(tr("Look into the layers")), QPushButton(tr("Stop")),
                                              QPushButton(tr("Compare")))
        numbers = (str(number + 1) for number in range(NEIGHBOURS))
        self.other, self.table = QComboBox(), plain_table(
            [tr("After"), *numbers, tr("CKA")], tr("Nearest items, layer by layer"), stretch=True)
        self.progress = QProgressBar(textVisible=False)
        self.alike, self.told = QLabel(wordWrap=True), QLabel(wordWrap=True)
        self._build()
        self.look.clicked.connect(self.look_in)
        self.compare.clicked.connect(self.compare_models)
        self.stop.clicked.connect(self._work.cancel)
        self.table.cellClicked.connect(self._choose)
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)
        session.modelsChanged.connect(self._offer)

    def _build(self) -> None:
        self.other.setAccessibleName(tr("Model to compare with"))
        for label in (self.alike, self.told):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        for button in (self.look, self.stop):
            top.addWidget(button)
        top.addStretch(1)
        bottom.addWidget(QLabel(tr("Another model:")))
        bottom.addWidget(self.other, 1)
        bottom.addWidget(self.compare)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(top)
        layout.addWidget(self.progress)
        layout.addWidget(self.told)
        layout.addWidget(self.table, 1)
        layout.addLayout(bottom)
        layout.addWidget(self.alike)
        self._clear()

    def _clear(self) -> None:
        self._work.cancel()
        self._ended()
        self._seen = None
        self.table.setRowCount(0)
        self.alike.clear()
        self.told.setText(tr("Click an item, then look: up to {} items of its kind go through the model once more, and "
                             "their neighbours are shown after each layer.").format(ITEMS))
        self._model.forget()
        self._offer()

    def _offer(self) -> None:
        offer(self.other, self._session)
        self.compare.setEnabled(self.other.count() > 0)
        if not self.other.count():
            self.other.addItem(tr("no other model is on this computer"), "")

    def _ended(self) -> None:
        self.progress.setVisible(False)
        self.stop.setVisible(False)

    def _failed(self, error: StudioError) -> None:
        self.told.setText(str(error))

    def _step(self, progress: Progress) -> None:
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)

    def _start(self) -> None:
        self.progress.setVisible(True)
        self.stop.setVisible(True)

    def _chosen(self, item: Item) -> list[Item]:
        """The item, and random others of its modality."""
        ids = self._session.items.ids()
        same = ids[self._session.items.modalities_of(ids) == item.modality]
        same = np.random.default_rng(0).permutation(same[same != item.id])[: ITEMS - 1]
        return [item, *(self._session.items[int(key)] for key in same)]

    def look_in(self) -> None:
        """Find neighbours of the current item after each layer."""
        project, encoder = self._session.project, self._session.encoder
        item = self._session.items.get(self._session.current or 0)
        if project is None or encoder is None or item is None:
            self.told.setText(tr("Click an item first."))
            return
        items, limits = self._chosen(item), project.limits
        self._work.run(lambda: _looking(encoder, items, limits), self._show, self._step)
        self._start()

    def _show(self, seen: Seen) -> None:
        self._seen = seen
        last = len(seen.found.near) - 1
        self.told.setText(tr("Nearest of {} to “{}”. CKA is how alike a layer arranges all of them as the model's own "
                             "space does, at most 1.").format(count(len(seen.items)), seen.items[0].title))
        self.table.setRowCount(last + 1)
        for layer, rows in enumerate(seen.found.near):
            name = tr("the input") if layer == 0 else tr("the model") if layer == last else str(layer)
            self.table.setItem(layer, 0, QTableWidgetItem(name))
            for column, row in enumerate(rows, 1):
                cell = QTableWidgetItem(seen.items[row].title)
                cell.setToolTip(f"{seen.found.cosines[layer, column - 1]:.3f}")
                self.table.setItem(layer, column, cell)
            self.table.setItem(layer, 1 + NEIGHBOURS, QTableWidgetItem(f"{seen.alike[layer]:.2f}"))

    def _choose(self, row: int, column: int) -> None:
        if self._seen is not None and 1 <= column <= self._seen.found.near.shape[1]:
            self.opened.emit(self._seen.items[self._seen.found.near[row, column - 1]].id)

    def compare_models(self) -> None:
        """How alike this and another model arrange the project's items, per modality that both read."""
        project, encoder, chosen = self._session.project, self._session.encoder, self.other.currentData()
        if project is None or encoder is None or not chosen:
            return
        view, limits, items = self._session.view, project.limits, self._session.items
        name, device = chosen.removeprefix(MODEL), self._session.settings["device"]
        some = [] if view is None else [items[int(key)] for key in np.random.default_rng(0).permutation(view.ids)[:200]]

        def show(found: dict[str, float]) -> None:
            self.alike.setText(tr("Linear CKA: {} (1: they see the same, 0: nothing alike)").format(
                ", ".join(f"{modality} {value:.2f}" for modality, value in found.items()) or "–"))

        self._work.run(lambda: _comparing(encoder, self._model.get(project, name, device), some, limits), show,
                       self._step)
        self._start()


def _media(encoder: Encoder, item: Item, limits: Limits) -> Media:
    return load(item.ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)


def _looking(encoder: Encoder, items: list[Item], limits: Limits) -> Work[Seen]:
    media = [_media(encoder, item, limits) for item in items]
    states = yield from layer_states(encoder, media, items[0].modality)
    return Seen(items, neighbours(states, 0), [linear_cka(layer, states[-1]) for layer in states])


def _comparing(encoder: Encoder, other: Encoder, items: list[Item], limits: Limits) -> Work[dict[str, float]]:
    out = dict[str, float]()
    for modality in sorted(encoder.modalities & other.modalities):
        rows: list[tuple[Vectors, Vectors]] = []
        chosen = [item for item in items if item.modality == modality]
        for number, item in enumerate(chosen, 1):
            one, two = (encode(model, [_media(model, item, limits)], modality)[0] for model in (encoder, other))
            rows.append((one, two))
            yield Progress(number, len(chosen))
        if len(rows) > 2:
            out[modality] = linear_cka(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))
    return out
