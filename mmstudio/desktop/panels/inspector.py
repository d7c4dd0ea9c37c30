"""The inspector: the item, what the encoder attended to, its neighbours in every modality, its vector."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLabel, QPushButton, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from mmstudio.desktop.arranging import FusedPlace
from mmstudio.desktop.audio import Player
from mmstudio.desktop.faces_media import PictureView, SoundView, picture_of, sound_of
from mmstudio.desktop.panels.fusion import FusionSliders
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import clock, count, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.attention_view import AttentionView
from mmstudio.desktop.widgets.columns import ColumnsTable
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.faces import Face
from mmstudio.desktop.widgets.film import Film
from mmstudio.desktop.widgets.fold import Details, Fold
from mmstudio.desktop.widgets.hits import HitsView
from mmstudio.desktop.widgets.passage_face import PassageFace
from mmstudio.desktop.widgets.picture_face import PictureFace
from mmstudio.desktop.widgets.save_map import SaveMap, Shown
from mmstudio.desktop.widgets.sound_bar import SoundBar
from mmstudio.desktop.widgets.sound_face import SoundFace
from mmstudio.desktop.widgets.strip import VectorStrip
from mmstudio.encoders.base import Explanation
from mmstudio.errors import StudioError
from mmstudio.explain.figure import Caption
from mmstudio.explain.maps import RelevanceMap
from mmstudio.library import Item
from mmstudio.media import load
from mmstudio.media.scan import printable

FACE_PIXELS = {"image": 300, "audio": 220, "text": 170}


class InspectorPanel(QWidget):
    """Follows the session's current item or sample."""

    opened = Signal(int)
    failed = Signal(object)

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.player = Player(self)
        self._heard: SoundView | None = None
        self._play_when_ready = False
        self._showing = 0
        self.title, self._facts = QLabel(), QLabel()
        self.columns, self.details = ColumnsTable(), Details()
        self.columns_part = Fold(tr("Columns"), self.columns, opened=True)
        self.details_part = Fold(tr("Details"), self.details, opened=False)
        self.picture, self.sound, self.passage = PictureFace(), SoundFace(), PassageFace()
        self._faces = QStackedWidget()
        self.sound_bar = SoundBar(self.player)
        self.watch = QPushButton(tr("Watch the video"), checkable=True)
        self.film = Film(session.pool, self.player)
        self.attention, self.save = AttentionView(session.pool.ask), SaveMap(session)
        self.attention.below.addWidget(self.save)
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
        for label in (self.title, self._facts):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.title.setProperty("heading", True)
        self._facts.setProperty("faint", True)
        for face in (self.picture, self.sound, self.passage):
            self._faces.addWidget(face)
        self._faces.setMinimumHeight(120)
        self._vector_title = _heading(tr("Vector"))
        for part in (self.title, self._facts, self.columns_part, self._faces, self.sound_bar, self.watch, self.film,
                     self.attention, self.details_part, self.fusion, _heading(tr("Nearest")), self.hits,
                     self._vector_title, self.vector):
            layout.addWidget(part)
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

    def _connect(self) -> None:
        session = self._session
        session.currentChanged.connect(self._show_current)
        session.explained.connect(self._explained)
        session.neighboursFound.connect(self.hits.show_hits)
        session.fusedMoved.connect(self._fused)
        session.answered.connect(lambda _: self.attention.show_query(self._query()))
        session.projectOpened.connect(self._show_current)
        session.encoderChanged.connect(lambda: session.focus(session.current))
        session.vectorsChanged.connect(self._late_vector)
        session.itemsChanged.connect(self._show_words)
        session.failed.connect(lambda _: self._show_words())  # a value that was refused is the old one again
        self.hits.opened.connect(self.opened)
        self.attention.mapChanged.connect(self._show_map)
        for face in (self.picture, self.sound, self.passage):
            face.positionPicked.connect(self.attention.show_position)
        self.columns.valueWanted.connect(self._set_value)
        self.columns.tagsWanted.connect(self._set_tags)
        self.sound.seekWanted.connect(self._seek_sound)
        self.sound.marked.connect(self._mark)
        self.sound_bar.playWanted.connect(self.toggle_play)
        self.player.moved.connect(self._played)
        self.player.failed.connect(self.failed)
        self.watch.toggled.connect(lambda _: self._show_film())
        self.film.projector.moved.connect(self._film_moved)
        THEME.changed.connect(self._icons)

    def _icons(self) -> None:
        self.watch.setIcon(icon("film"))

    # ---- the item ---------------------------------------------------------------------------------------------

    @property
    def _item(self) -> Item | None:
        return self._session.items.get(self._session.current or 0)

    def _show_current(self) -> None:
        self._showing += 1  # what was asked for before is not shown any more, though it be of the same item
        self._heard = None
        self.film.close_film()
        self.player.load(np.zeros(0, np.float32), 16_000)
        key = self._session.current
        self._stack.setCurrentIndex(0 if key is None else 1)
        if key is None:
            return
        is_sample = key < 0
        for of_items in (self._faces, self.attention, self.columns_part):
            of_items.setVisible(not is_sample)
        for of_some in (self.sound_bar, self.watch, self.film, self.details_part):
            of_some.setVisible(False)
        self.fusion.setVisible(is_sample)
        self.hits.show_hits({})
        self.passage.show_tokens(None)
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
        self._show_words()
        face: Face = {"image": self.picture, "audio": self.sound, "text": self.passage}[item.modality]
        self._faces.setCurrentWidget(face)
        self._faces.setFixedHeight(FACE_PIXELS[item.modality])
        face.picked = None
        face.show_map(None)
        self.attention.forget(
            tr("The model is looking at it…") if self._session.encoder else tr("No model is ready yet."))
        self._late_vector()
        self._show_media(item)
        self.watch.setVisible(_of_video(item))
        self._show_film()

    def _show_words(self) -> None:
        """Title, facts and columns as they are now; what is seen and heard stays."""
        item = self._item
        if item is not None:
            self.title.setText(item.title)
            self._facts.setText(_facts(item))
            self._facts.setToolTip(printable(item.path).replace("<", "‹"))
        self.columns.show_item(item)

    def _show_media(self, item: Item) -> None:
        project, encoder, asked = self._session.project, self._session.encoder, self._showing
        if item.modality == "text":
            self.passage.show_text(item.text)
        elif project and item.modality == "image":
            self.picture.show_picture(None)
            limits = project.limits
            self._session.pool.ask(lambda: picture_of(item, limits),
                                   lambda view: self._picture_ready(asked, view),
                                   lambda error: self._media_failed(asked, error))
        elif project:
            rate, window = (encoder.sample_rate_hz, encoder.window_seconds) if encoder else (16_000, 10.0)
            self._session.pool.ask(lambda: sound_of(item, rate, window), lambda view: self._sound_ready(asked, view),
                                   lambda error: self._media_failed(asked, error))

    def _sound_ready(self, asked: int, view: SoundView) -> None:
        if self._showing != asked:
            return
        self._heard = view
        self.sound.show_sound(view.mel, view.peaks, view.seconds, view.shown_rate_hz)
        if self._watching:
            return
        self.player.load(view.samples, view.rate_hz)
        self.sound_bar.setVisible(True)
        if self._play_when_ready:
            self._play_when_ready = False
            self.toggle_play()

    def _picture_ready(self, asked: int, view: PictureView) -> None:
        if self._showing == asked:
            self.picture.show_picture(view)
            self.details.show_details(view.details)
            self.details_part.set_title(tr("Details ({})").format(len(view.details)))
            self.details_part.setVisible(bool(view.details))

    def _media_failed(self, asked: int, error: StudioError) -> None:
        if self._showing == asked:
            self.attention.tell(str(error))
            self.attention.setVisible(True)

    def _late_vector(self) -> None:
        """Show the vector, also when it comes after the item was opened."""
        key, view = self._session.current, self._session.view
        if key is None or key < 0:
            return
        vector = view.vector(key) if view else None
        self.vector.show_vector(vector)
        if view is not None and vector is not None:
            self._vector_title.setText(tr("Vector · {} · {} dimensions").format(view.key.space, view.key.dim))

    def _set_value(self, name: str, value: str | float | None) -> None:
        if self._item is not None:
            self._session.set_column([self._item.id], name, value)

    def _set_tags(self, new: list[str], gone: list[str]) -> None:
        if self._item is None:
            return
        for tag in gone:
            self._session.untag([self._item.id], tag)
        for tag in new:
            self._session.tag([self._item.id], tag)

    # ---- playing ----------------------------------------------------------------------------------------------

    @property
    def _watching(self) -> bool:
        """Whether the person wants to see the video that the item is of."""
        return self.watch.isChecked() and self._item is not None and _of_video(self._item)

    def _show_film(self) -> None:
        """Open the video at the item's time, or go back to the item alone."""
        item, project = self._item, self._session.project
        instead = self._watching and item is not None and item.modality == "image"
        for still in (self._faces, self.attention):
            still.setVisible(item is not None and not instead)
        self.film.setVisible(self._watching)
        self.watch.setText(tr("Close the video") if self._watching else tr("Watch the video"))
        if item is None or project is None:
            return
        if self._watching:
            self.sound_bar.setVisible(False)
            self.film.open(item.path, project.limits, item.facts.get("seconds", 0.0))
        elif self.film.projector.opened:
            self.film.close_film()
            self.player.load(np.zeros(0, np.float32), 16_000)
            if self._heard is not None:
                self._sound_ready(self._showing, self._heard)

    def toggle_play(self) -> None:
        """Play or pause the sound or the video that is shown."""
        if self._watching:
            self.film.toggle()
            return
        try:
            self.player.toggle()
        except StudioError as error:
            self.failed.emit(error)
        self.sound_bar.show_state()

    def seek_share(self, share: float) -> None:
        """Go to 0..1 of what is played."""
        if self._watching:
            self.film.projector.seek(share * self.film.projector.seconds)
        else:
            self.player.seek(share * self.player.seconds)

    def play(self, key: int) -> None:
        """Show a sound and play it as soon as it is decoded."""
        self._play_when_ready = True
        self.opened.emit(key)

    def _seek_sound(self, seconds: float) -> None:
        if self._watching:
            self.film.projector.seek(seconds + self.film.projector.sound_from)
        else:
            self.player.seek(seconds)

    def _mark(self, mark: tuple[float, float] | None) -> None:
        if not self._watching:
            self.player.mark = mark

    def _played(self, seconds: float | None) -> None:
        if not self._watching:
            self.sound.show_position(seconds)
            self.sound_bar.show_state()

    def _film_moved(self, seconds: float) -> None:
        self.sound.show_position(max(0.0, seconds - self.film.projector.sound_from))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Comma and full stop go through a video's frames from everywhere in the panel."""
        if self._watching and event.key() in (Qt.Key.Key_Comma, Qt.Key.Key_Period):
            self.film.keyPressEvent(event)
        else:
            super().keyPressEvent(event)

    # ---- attention --------------------------------------------------------------------------------------------

    def _explained(self, found: Explanation | StudioError) -> None:
        self.attention.show_explanation(found, self._query())
        self.passage.show_tokens(self.attention.tokens)

    def _query(self) -> np.ndarray | None:
        return self._session.answer.query if self._session.answer else None

    def _show_map(self, found: RelevanceMap | None) -> None:
        face = self._faces.currentWidget()
        if isinstance(face, Face):
            face.show_map(found)
        self.save.offer(self._saved(found) if found is not None else None)

    def _saved(self, found: RelevanceMap) -> Shown | None:
        """The map with what it is of; its score where it is told by what was searched for."""
        session, item = self._session, self._item
        project, encoder, answer, view = session.project, session.encoder, session.answer, session.view
        if item is None or project is None or encoder is None:
            return None
        limits, rate, window = project.limits, encoder.sample_rate_hz, encoder.window_seconds
        vector = view.vector(item.id) if view is not None else None
        asked = self.attention.show_what.currentData() == "similarity" and answer is not None
        score = None
        if asked and answer is not None and vector is not None:
            score = float(vector @ answer.query / max(1e-12, float(np.linalg.norm(answer.query))))
        return Shown(found, Caption.of(encoder, item.title, answer.title if asked and answer else "", score),
                     lambda: load(item.ref, limits, rate_hz=rate, window_seconds=window))

    def _fused(self, found: FusedPlace) -> None:
        if self._session.current == -found.sample_id:
            self.hits.show_hits(found.hits)
            self.vector.show_vector(found.vector)
            self.fusion.show_sample(self._session.samples[found.sample_id])
            title = tr("Fused vector · {} dimensions") if self._session.fusing.has_vector else tr(
                "Weighted mean · {} dimensions")
            self._vector_title.setText(title.format(len(found.vector)))


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("heading", True)
    return label


def _of_video(item: Item) -> bool:
    """A frame's part is its time, and the part of a video's sound says that it is one."""
    return bool(item.part) if item.modality == "image" else item.modality == "audio" and item.part == "sound"


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
