"""The face of any item or text, which loads what it shows; tells which position the pointer is on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.faces_media import PictureView, SoundView, picture_of, picture_view, sound_of
from mmstudio.desktop.session import Session
from mmstudio.desktop.widgets.faces import Face
from mmstudio.desktop.widgets.heat_scale import HeatScale
from mmstudio.desktop.widgets.passage_face import PassageFace
from mmstudio.desktop.widgets.picture_face import PictureFace
from mmstudio.desktop.widgets.save_map import SaveMap, Shown
from mmstudio.desktop.widgets.sound_face import SoundFace
from mmstudio.explain.figure import Caption
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.spectrogram import mel_spectrogram
from mmstudio.library import Item
from mmstudio.media import AudioClip, Media, load
from mmstudio.media.audio import peaks_of


class ItemFace(QWidget):
    """``picked`` gives the position of a click, ``hovered`` the one under the pointer or None."""

    picked = Signal(int)
    hovered = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._asked = session, 0
        self._hovered: int | None = None
        self.shown: object = None
        self._media: Callable[[], Media] = str
        self.picture, self.sound, self.passage = PictureFace(), SoundFace(), PassageFace()
        self._stack, self.scale, self.save = QStackedWidget(), HeatScale(), SaveMap(session)
        for face in (self.picture, self.sound, self.passage):
            self._stack.addWidget(face)
            face.positionPicked.connect(self.picked)
            face.installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        below = QHBoxLayout()
        below.addWidget(self.scale, 1)
        below.addWidget(self.save)
        layout.addWidget(self._stack, 1)
        layout.addLayout(below)
        self.setMinimumSize(140, 150)  # two of them fit into the narrowest dock

    @property
    def face(self) -> Face:
        face = self._stack.currentWidget()
        assert isinstance(face, Face)
        return face

    def show_item(self, shown: Item | str) -> None:
        """Show an item, decoded behind the window, or a text; what is shown already stays."""
        if shown == self.shown:
            return
        self._asked += 1
        self.shown, asked = shown, self._asked
        text = shown if isinstance(shown, str) else shown.text
        modality = "text" if isinstance(shown, str) else shown.modality
        self._bring(modality)
        session = self._session
        if isinstance(shown, str) or modality == "text" or session.project is None:
            self._media = lambda: text
            self.passage.show_text(text)
            return
        limits, encoder = session.project.limits, session.encoder
        rate, window = (encoder.sample_rate_hz, encoder.window_seconds) if encoder else (16_000, 10.0)
        self._media = lambda: load(shown.ref, limits, rate_hz=rate, window_seconds=window)
        if modality == "image":
            self.picture.show_picture(None)
            session.pool.ask(lambda: picture_of(shown, limits), lambda view: self._picture_ready(asked, view),
                             session.failed.emit)
        else:
            session.pool.ask(lambda: sound_of(shown, rate, window), lambda view: self._sound_ready(asked, view),
                             session.failed.emit)

    def show_media(self, media: Media) -> None:
        """Show decoded media, such as an item of which parts are gone."""
        self._asked += 1
        self.shown, self._media = None, lambda: media
        if isinstance(media, str):
            self._bring("text")
            self.passage.show_text(media)
        elif isinstance(media, AudioClip):
            self._bring("audio")
            wave, rate = media.windows[0], media.rate_hz
            mel, seconds = mel_spectrogram(wave, rate)
            self.sound.show_sound(heat.grey(np.ascontiguousarray((mel[::-1] + 80) / 80)), peaks_of(wave), seconds, rate)
        else:
            self._bring("image")
            self.picture.show_picture(picture_view(np.array(media.convert("RGB")), []))

    def show_map(self, found: RelevanceMap | None, caption: Caption | None = None) -> None:
        """Draw this map over it, or none; with a caption it can be saved."""
        self.face.show_map(found)
        self.scale.show_map(found)
        self.save.offer(Shown(found, caption, self._media) if found is not None and caption is not None else None)

    def _bring(self, modality: str) -> None:
        self._stack.setCurrentWidget({"image": self.picture, "audio": self.sound, "text": self.passage}[modality])
        self.face.picked = None
        self.show_map(None)

    def _picture_ready(self, asked: int, view: PictureView) -> None:
        if asked == self._asked:
            self.picture.show_picture(view)

    def _sound_ready(self, asked: int, view: SoundView) -> None:
        if asked == self._asked:
            self.sound.show_sound(view.mel, view.peaks, view.seconds, view.shown_rate_hz)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.face and event.type() in (QEvent.Type.MouseMove, QEvent.Type.Leave):
            at = self.face.position_at(event.position()) if isinstance(event, QMouseEvent) else None
            if at != self._hovered:
                self._hovered = at
                self.hovered.emit(at)
        return False
