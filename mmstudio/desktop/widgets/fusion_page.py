"""What a run's fusion looked at: the modalities' weights in each class, and in the selected example."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from mmstudio.desktop.run_reader import RunReader
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.widgets.attention_grid import AttentionGrid, Looks
from mmstudio.desktop.widgets.example_faces import ids_of
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.desktop.widgets.weight_bars import WeightBars
from mmstudio.errors import StudioError
from mmstudio.explain.maps import RelevanceMap
from mmstudio.training.attended import Attended, Reading
from mmstudio.training.runs import Run


class FusionPage(QWidget):
    """Weights of the modalities on the left, and of the fusion “attention” who looks at what; on the right the same of
    the selected example, and of a fusion over all tokens where in it the reading position looked.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.found: Attended | None = None
        self.shown: int | None = None
        """The key of the example that is looked into."""
        self.bars, self.example, self.told = WeightBars(), WeightBars(), QLabel(wordWrap=True)
        self.looks, self.looks_in_example = AttentionGrid(), AttentionGrid()
        self._who = QLabel(wordWrap=True, margin=6)
        self.faces: list[ItemFace] = []
        self._titles: list[QLabel] = []
        self._said, self._stack = QLabel(wordWrap=True), QStackedWidget()
        self._places = QWidget()
        self._build()
        self._reader = RunReader(session, self, partial(partial, _read), self._show,
                                 lambda error: self._say(str(error)))
        session.selectionChanged.connect(self._look_into)

    def _build(self) -> None:
        for label in (self.told, self._said, self._who):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self._said.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._said.setMargin(24)
        self._who.setProperty("faint", True)
        self.told.setProperty("faint", True)
        self.told.setMargin(6)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 8)
        column.addWidget(self.told)
        column.addWidget(self.example)
        column.addWidget(self.looks_in_example)
        faces = QVBoxLayout(self._places)
        faces.setContentsMargins(8, 0, 8, 0)
        for _ in range(3):
            title, face = QLabel(), ItemFace(self._session)
            title.setProperty("faint", True)
            faces.addWidget(title)
            faces.addWidget(face, 1)
            self._titles.append(title)
            self.faces.append(face)
        column.addWidget(self._places)
        column.addStretch(1)
        split = QSplitter()
        for widget in (_at_top(self.bars, self._who, self.looks), right):
            area = QScrollArea(widgetResizable=True)
            area.setFrameShape(QFrame.Shape.NoFrame)
            area.setWidget(widget)
            split.addWidget(area)
        split.setSizes([400, 400])
        self._stack.addWidget(self._said)
        self._stack.addWidget(split)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look_into()

    def show_run(self, run: Run | None) -> None:
        """A run as it is now."""
        if self._reader.about(run):
            self.found = None
            self._say(tr("What the fusion looked at is being computed…"))

    def _say(self, sentence: str) -> None:
        self._said.setText(sentence)
        self._stack.setCurrentIndex(0)

    def _show(self, found: Attended) -> None:
        run = self._reader.run
        if run is None:
            return
        self.found = found
        self.bars.show_rows(run.job.modalities, [(name or tr("All held out"), number, weights.tolist())
                                                 for name, number, weights in found.classes])
        self.looks.show_looks(*_looks(run, found.looked()))
        self.looks.setVisible(bool(found.looks))
        self._who.setVisible(bool(found.looks))
        self._who.setText(_who_looks(len(found.looks)))
        self._stack.setCurrentIndex(1)
        self._look_into()

    # ---- one example --------------------------------------------------------------------------------------------

    def _look_into(self) -> None:
        """Show the first of the run's examples that is selected, as a whole or by an item of its own."""
        found, run, chosen = self.found, self._reader.run, self._session.selection
        if found is None or run is None or not self.isVisible():
            return
        place = next((place for place, key in enumerate(found.keys.tolist()) if key in chosen or any(
            i in chosen for i in ids_of(self._session, key))), -1) if len(chosen) else -1
        self.shown = int(found.keys[place]) if place >= 0 else None
        self.example.setVisible(place >= 0)
        self.looks_in_example.setVisible(place >= 0 and bool(found.looks))
        self._show_places(())
        if self.shown is None:
            self.told.setText(tr("Select a held-out example, here or anywhere, to see what was looked at in it."))
            return
        key, session = self.shown, self._session
        sample = session.samples.get(-key)
        name = sample.name if sample else session.items[key].title if key in session.items else ""
        self.told.setText(tr("In the selected example “{}” the fusion weighs:").format(name))
        self.example.show_rows(run.job.modalities, [(name, 0, found.weights[place].tolist())])
        self.looks_in_example.show_looks(*_looks(run, found.looked(place)))
        if run.job.fusion == "tokens":
            session.pool.ask(lambda: _reading(run, key), lambda some: self._show_places(some, key),
                             lambda error: self._failed(error, key))

    def _failed(self, error: StudioError, key: int) -> None:
        if key == self.shown:
            self.told.setText(str(error))

    def _show_places(self, some: tuple[Reading, ...], key: int | None = None) -> None:
        run, session = self._reader.run, self._session
        if key != self.shown and some:
            return
        known = [one for one in some if one.positions is not None]
        self._places.setVisible(bool(known))
        for place, (title, face) in enumerate(zip(self._titles, self.faces, strict=True)):
            one = known[place] if place < len(known) and run is not None else None
            items = [session.items[i] for i in ids_of(session, key)] if one and key is not None else []
            of = next((item for item in items if one and run and item.modality == run.job.modalities[one.modality]),
                      None)
            title.setVisible(of is not None)
            face.setVisible(of is not None)
            if of is not None and one is not None and one.positions is not None:
                title.setText(f"{modality_name(of.modality)} · {of.title}")
                face.show_item(of)
                face.show_map(RelevanceMap(one.weights, one.positions, tr("Attention"), tr("share")))


def _looks(run: Run, layers: Sequence[NDArray[np.float32]]) -> tuple[list[str], list[Looks]]:
    """What is looked at, and of each layer who looks: the mean of the heads, then each of them."""
    shown = []
    for number, layer in enumerate(layers, 1):
        of = tr("Layer {}, {{}}").format(number) if len(layers) > 1 else "{}"
        shown.append(Looks(_capital(of.format(tr("mean of the heads"))), layer.mean(0)))
        shown += [Looks(_capital(of.format(tr("head {}").format(head))), one) for head, one in enumerate(layer, 1)]
    return [tr("Result"), *map(modality_name, run.job.modalities)], shown


def _who_looks(layers: int) -> str:
    text = tr("Attention, mean over the held-out examples: each line is who looks, its shares are at what.")
    last = tr("The result is read from a position of its own, which alone looks in the last layer.")
    one = tr("With one layer the modalities do not look at each other; with two hidden layers or more they do.")
    return f"{text} {last if layers > 1 else one}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _at_top(*widgets: QWidget) -> QWidget:
    around = QWidget()
    layout = QVBoxLayout(around)
    layout.setContentsMargins(0, 4, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    return around


def _read(run: Run, stamp: int) -> tuple[int, Any] | None:
    """Once for each share of the best weights."""
    from mmstudio.training.attended import attended

    now = 1 + round(1000 * run.share)
    return None if now == stamp else (now, attended(run.folder, run.share))


def _reading(run: Run, key: int) -> tuple[Reading, ...]:
    from mmstudio.training.attended import reading

    return reading(run.folder, key, run.share)
