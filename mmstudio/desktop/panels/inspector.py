"""The inspector: the item, what the encoder attended to, its neighbours in every modality, its vector."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import FusedPlace
from mmstudio.desktop.audio import Player
from mmstudio.desktop.faces_media import SoundView, picture_of, sound_of
from mmstudio.desktop.panels.fusion import FusionSliders
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import clock, count, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.faces import Face, PassageFace, PictureFace, SoundFace
from mmstudio.desktop.widgets.heat_scale import HeatScale
from mmstudio.desktop.widgets.hits import HitsView
from mmstudio.desktop.widgets.strip import VectorStrip
from mmstudio.encoders.base import Explanation
from mmstudio.errors import StudioError
from mmstudio.explain import maps
from mmstudio.library import Item
from mmstudio.media.scan import printable

VIEW_NAMES = {
    "none": "Nothing", "similarity": "Similarity to the search", "pooling": "Pooling weights",
    "received": "Attention received", "query": "Attention of one position", "rollout": "Attention rollout",
}


class InspectorPanel(QWidget):
    """Follows the session's current item or sample."""

    opened = Signal(int)
    failed = Signal(object)

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.player = Player(self)
        self._explanation: Explanation | None = None
        self._position: int | None = None
        self._play_when_ready = False
        self.title, self._facts, self._why = QLabel(), QLabel(), QLabel()
        self.picture, self.sound, self.passage = PictureFace(), SoundFace(), PassageFace()
        self._faces = QStackedWidget()
        self.show_what, self.layer, self.head = QComboBox(), QComboBox(), QComboBox()
        self.scale = HeatScale()
        self._play = QToolButton(toolTip=tr("Play or pause (Space)"))
        self._clock = QLabel()
        self.fusion = FusionSliders(session)
        self.hits = HitsView(session, previews)
        self.vector = VectorStrip()
        self._stack = QStackedWidget()
        self._build()
        self._connect()

    def _build(self) -> None:
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(8, 4, 8, 8)
        layout.setSpacing(8)
        for label in (self.title, self._facts, self._why):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.title.setProperty("heading", True)
        self._facts.setProperty("faint", True)
        self._why.setProperty("faint", True)
        layout.addWidget(self.title)
        layout.addWidget(self._facts)
        for face in (self.picture, self.sound, self.passage):
            self._faces.addWidget(face)
        self._faces.setMinimumHeight(120)
        layout.addWidget(self._faces)
        self._player_row = self._row([self._play, self._clock])
        layout.addWidget(self._player_row)
        self._attention = QFrame()
        inner = QVBoxLayout(self._attention)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self._row([self.show_what, self.layer, self.head], stretch_first=True))
        inner.addWidget(self.scale)
        inner.addWidget(self._why)
        layout.addWidget(self._attention)
        layout.addWidget(self.fusion)
        self._neighbours = self._heading(tr("Nearest"))
        layout.addWidget(self._neighbours)
        layout.addWidget(self.hits)
        self._vector_title = self._heading(tr("Vector"))
        layout.addWidget(self._vector_title)
        layout.addWidget(self.vector)
        layout.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._stack.addWidget(EmptyState(tr("Click a point or an item to see it here: what it is, what the model "
                                            "looked at, and what is nearest to it in every modality.")))
        self._stack.addWidget(scroll)
        outer.addWidget(self._stack)
        self._icons()

    @staticmethod
    def _heading(text: str) -> QLabel:
        label = QLabel(text)
        label.setProperty("heading", True)
        return label

    @staticmethod
    def _row(widgets: list[QWidget], stretch_first: bool = False) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        for number, widget in enumerate(widgets):
            layout.addWidget(widget, 1 if stretch_first and number == 0 else 0)
        if not stretch_first:
            layout.addStretch(1)
        return row

    def _connect(self) -> None:
        session = self._session
        session.currentChanged.connect(self._show_current)
        session.explained.connect(self._explained)
        session.neighboursFound.connect(self.hits.show_hits)
        session.fusedMoved.connect(self._fused)
        session.answered.connect(lambda _: self._offer_views())
        session.projectOpened.connect(self._show_current)
        session.encoderChanged.connect(lambda: session.focus(session.current))
        session.vectorsChanged.connect(self._late_vector)
        self.hits.opened.connect(self.opened)
        for face in (self.picture, self.sound, self.passage):
            face.positionPicked.connect(self._position_picked)
        self.sound.seekWanted.connect(self.player.seek)
        self.player.moved.connect(self._played)
        self._play.clicked.connect(self.toggle_play)
        self.show_what.activated.connect(lambda _: self._draw_map())
        self.layer.activated.connect(lambda _: self._layer_changed())
        self.head.activated.connect(lambda _: self._draw_map())
        THEME.changed.connect(self._icons)

    def _icons(self) -> None:
        self._play.setIcon(icon("pause" if self.player.playing else "play"))

    # ---- the item ---------------------------------------------------------------------------------------------

    def _show_current(self) -> None:
        self.player.load(np.zeros(0, np.float32), 16_000)
        key = self._session.current
        self._explanation, self._position = None, None
        self._stack.setCurrentIndex(0 if key is None else 1)
        if key is None:
            return
        is_sample = key < 0
        for part in (self._faces, self._attention):
            part.setVisible(not is_sample)
        self._player_row.setVisible(False)
        self.fusion.setVisible(is_sample)
        self.hits.show_hits({})
        if is_sample:
            self._show_sample(-key)
        else:
            self._show_item(self._session.items[key])

    def _show_sample(self, sample_id: int) -> None:
        sample = self._session.samples[sample_id]
        self.title.setText(sample.name)
        self._facts.setText(tr("Sample of {} items · fused vector").format(len(sample.item_ids)))
        self.fusion.show_sample(sample)
        self.vector.show_vector(None)

    def _show_item(self, item: Item) -> None:
        self.title.setText(item.title)
        self._facts.setText(_facts(item))
        self._facts.setToolTip(printable(item.path).replace("<", "‹"))
        face = {"image": self.picture, "audio": self.sound, "text": self.passage}[item.modality]
        self._faces.setCurrentWidget(face)
        self._faces.setFixedHeight({"image": 280, "audio": 220, "text": 170}[item.modality])
        face.picked = None
        face.show_map(None)
        self._why.setText(tr("The model is looking at it…") if self._session.encoder else tr("No model is ready yet."))
        self._set_controls(False)
        self._late_vector()
        project, encoder, key = self._session.project, self._session.encoder, item.id
        if item.modality == "text":
            self.passage.show_text(item.text)
        elif project and item.modality == "image":
            self.picture.show_image(QImage())
            limits = project.limits
            self._session.pool.ask(lambda: picture_of(item, limits),
                                   lambda image: self._picture_ready(key, image),
                                   lambda error: self._media_failed(key, error))
        elif project:
            rate, window = (encoder.sample_rate_hz, encoder.window_seconds) if encoder else (16_000, 10.0)
            self._session.pool.ask(lambda: sound_of(item, rate, window), lambda view: self._sound_ready(key, view),
                                   lambda error: self._media_failed(key, error))

    def _sound_ready(self, key: int, view: SoundView) -> None:
        if self._session.current != key:
            return
        self.sound.show_sound(view.mel, view.peaks, view.seconds, view.shown_rate_hz)
        self.player.load(view.samples, view.rate_hz)
        self._player_row.setVisible(True)
        self._played(None)
        if self._play_when_ready:
            self._play_when_ready = False
            self.toggle_play()

    def _picture_ready(self, key: int, image: QImage) -> None:
        if self._session.current == key:
            self.picture.show_image(image)

    def _media_failed(self, key: int, error: StudioError) -> None:
        if self._session.current == key:
            self._why.setText(str(error))
            self._attention.setVisible(True)

    def _late_vector(self) -> None:
        """Show the vector, also when it comes after the item was opened."""
        key, view = self._session.current, self._session.view
        if key is None or key < 0:
            return
        vector = view.vector(key) if view else None
        self.vector.show_vector(vector)
        if view is not None and vector is not None:
            self._vector_title.setText(tr("Vector · {} · {} dimensions").format(view.key.space, view.key.dim))

    # ---- playing ----------------------------------------------------------------------------------------------

    def toggle_play(self) -> None:
        """Play or pause the sound that is shown."""
        try:
            self.player.toggle()
        except StudioError as error:
            self.failed.emit(error)
        self._icons()

    def play(self, key: int) -> None:
        """Show a sound and play it as soon as it is decoded."""
        self._play_when_ready = True
        self.opened.emit(key)

    def _played(self, seconds: float | None) -> None:
        self.sound.show_position(seconds)
        self._clock.setText(f"{clock(seconds or 0)} / {clock(self.player.seconds)}")
        self._icons()

    # ---- attention --------------------------------------------------------------------------------------------

    def _explained(self, found: Explanation | StudioError) -> None:
        if isinstance(found, StudioError):
            self._why.setText(str(found))
            return
        self._explanation = found
        self._why.setText(found.note)
        self._offer_views()

    def _offer_views(self) -> None:
        explanation = self._explanation
        if explanation is None:
            return
        before = self.show_what.currentData()
        offered = [v for v in maps.views(explanation) if v != "similarity" or self._query() is not None]
        self._set_controls(bool(offered))
        self.show_what.clear()
        for view in [*offered, "none"]:
            self.show_what.addItem(tr(VIEW_NAMES[view]), view)
        wanted = "similarity" if "similarity" in offered else before
        self.show_what.setCurrentIndex(max(0, self.show_what.findData(wanted)))
        self._fill(self.layer, [tr("Layer {}").format(i + 1) for i in range(len(explanation.attention))], last=True)
        self._fill_heads()
        if not offered:
            self._why.setText(explanation.note or tr("This model tells nothing about parts of an item."))
        self._draw_map()

    def _layer_changed(self) -> None:
        self._fill_heads()
        self._position = None
        self._draw_map()

    def _fill_heads(self) -> None:
        layers = self._explanation.attention if self._explanation else ()
        heads = layers[max(0, self.layer.currentIndex())].heads if layers else 0
        self._fill(self.head, [tr("Mean of heads"), *(tr("Head {}").format(i + 1) for i in range(heads))])

    @staticmethod
    def _fill(box: QComboBox, names: list[str], last: bool = False) -> None:
        if [box.itemText(i) for i in range(box.count())] != names:
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(len(names) - 1 if last else 0)

    def _query(self) -> np.ndarray | None:
        return self._session.answer.query if self._session.answer else None

    def _draw_map(self) -> None:
        explanation, view = self._explanation, self.show_what.currentData()
        if explanation is None:
            return
        by_layer = view in ("received", "query")
        self.layer.setVisible(by_layer)
        self.head.setVisible(by_layer)
        try:
            found = self._map(explanation, view)
        except StudioError as error:
            self._why.setText(str(error))
            found = None
        face = self._faces.currentWidget()
        if isinstance(face, Face):
            face.show_map(found)
        self.scale.show_map(found)

    def _map(self, explanation: Explanation, view: str) -> maps.RelevanceMap | None:
        layer, head = max(0, self.layer.currentIndex()), self.head.currentIndex() - 1
        query = self._query()
        if view == "similarity" and query is not None:
            return maps.similarity_map(explanation, query)
        if view == "pooling":
            return maps.pooling_map(explanation)
        if view == "received":
            return maps.attention_map(explanation, layer, head)
        if view == "rollout":
            return maps.rollout_map(explanation)
        if view == "query":
            position = self._position if self._position is not None else explanation.pooling_query
            count = len(explanation.attention[layer].positions)
            if position is None or position >= count:
                position = int(np.argmax(explanation.attention[layer].received()))
            self._why.setText(tr("Click a place in the item to see what it attends to."))
            return maps.attention_map(explanation, layer, head, position)
        return None

    def _position_picked(self, position: int) -> None:
        self._position = position
        index = self.show_what.findData("query")
        if index >= 0:
            self.show_what.setCurrentIndex(index)
        self._draw_map()

    def _set_controls(self, on: bool) -> None:
        for control in (self.show_what, self.layer, self.head, self.scale):
            control.setVisible(on)

    def _fused(self, found: FusedPlace) -> None:
        if self._session.current == -found.sample_id:
            self.hits.show_hits(found.hits)
            self.vector.show_vector(found.vector)
            self._vector_title.setText(tr("Fused vector · {} dimensions").format(len(found.vector)))


def _facts(item: Item) -> str:
    """“640 × 480 · dog, animal · /folder”"""
    f = item.facts
    parts = []
    if "width" in f:
        parts.append(f"{int(f['width'])} × {int(f['height'])}")
    if "duration_s" in f:
        parts.append(f"{clock(f['duration_s'])} · {f['rate_hz'] / 1000:g} kHz")
    if item.modality == "text":
        parts.append(tr("{} characters").format(count(len(item.text))))
    if item.part:
        parts.append(item.part)
    if item.tags:
        parts.append(", ".join(item.tags))
    return " · ".join([*parts, "…/" + "/".join(printable(part) for part in item.path.parent.parts[-2:])])
