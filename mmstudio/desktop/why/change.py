"""What if? Parts of the item are taken away, words written anew, and the score follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QHideEvent, QMouseEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from mmstudio.desktop.audio import Player
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.why.newest import Newest, at_once
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.encoders.base import Encoder, encode
from mmstudio.errors import StudioError
from mmstudio.explain.counterfactual import Flip, smallest_flip
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.parts import Parts, parts_of
from mmstudio.library import Item
from mmstudio.media import AudioClip, Media, load
from mmstudio.progress import Progress

CANDIDATES = 20_000


@dataclass(frozen=True)
class Tried:
    """An item of which ``gone`` cells are taken away, and its score against the words now and before."""

    media: Media
    parts: Parts
    score: float | None
    before: float | None


class ChangePage(QWidget):
    """Follows the session's current item while it is visible. Dragging over the item takes its cells away, with Shift
    gives them back; a text is written anew.
    """

    def __init__(self, session: Session, player: Player) -> None:
        super().__init__()
        self._session, self._player = session, player
        self._work, self._search = Newest(session, self._failed), Newest(session, self._failed, self._search_ended)
        self._key: tuple[int, object] | None = None
        self._original: Media | None = None
        self._parts: Parts | None = None
        self._gone: NDArray[np.bool_] = np.zeros(0, bool)
        self._tried: Tried | None = None
        self._wanted = False
        self.words = QLineEdit(placeholderText=tr("Words to compare with"))
        self.text = QPlainTextEdit()
        self.face = ItemFace(session)
        self.face.scale.setVisible(False)
        self.score, self.told = QLabel(), QLabel(wordWrap=True)
        self.back, self.listen = QPushButton(tr("Put all back")), QPushButton(tr("Listen"))
        self.flip, self.stop = QPushButton(tr("What flips the nearest?")), QPushButton(tr("Stop"))
        self._build()
        for signal in (session.currentChanged, session.encoderChanged, session.projectOpened):
            signal.connect(self.ask)
        self.words.textChanged.connect(lambda _: self.try_it())
        self.text.textChanged.connect(self.try_it)
        self.back.clicked.connect(self.put_back)
        self.listen.clicked.connect(self.play)
        self.flip.clicked.connect(self.find_flip)
        self.stop.clicked.connect(self._search.cancel)
        for face in (self.face.picture, self.face.sound, self.face.passage):
            face.installEventFilter(self)

    def _build(self) -> None:
        self.text.setAccessibleName(tr("The text, to be changed"))
        self.text.setMaximumHeight(90)
        self.score.setProperty("heading", True)
        self.told.setProperty("faint", True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        buttons = QHBoxLayout()
        for widget in (self.back, self.listen, self.flip, self.stop):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for part in (self.words, self.score, self.text):
            layout.addWidget(part)
        layout.addWidget(self.face, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.told)
        self._clear()

    def _clear(self) -> None:
        self._key = self._parts = self._tried = self._original = None
        self._work.cancel()
        self._search.cancel()
        self._show_controls(None)
        self.score.clear()
        self.told.setText(tr("Click an item: paint parts of a picture away, mute a band or a second of a sound, write "
                             "a text anew, and see the score change."))

    def _show_controls(self, modality: str | None) -> None:
        self.text.setVisible(modality == "text")
        self.listen.setVisible(modality == "audio")
        for widget in (self.words, self.face, self.back, self.flip):
            widget.setVisible(modality is not None)
        self.stop.setVisible(False)

    def showEvent(self, event: QShowEvent) -> None:
        self.ask()

    def hideEvent(self, event: QHideEvent) -> None:
        self._search.cancel()

    @property
    def _item(self) -> Item | None:
        return self._session.items.get(self._session.current or 0)

    def ask(self) -> None:
        """Show the current item whole, if it is seen."""
        project, encoder, item = self._session.project, self._session.encoder, self._item
        if not self.isVisible() or (item and self._key == (item.id, encoder)):
            return
        self._clear()
        if item is None or project is None or encoder is None:
            return
        limits = project.limits

        def loaded(found: tuple[Media, Parts]) -> None:
            self._original, self._parts = found
            self._key = item.id, encoder
            self._show_controls(item.modality)
            self.text.blockSignals(True)
            self.text.setPlainText(item.text)
            self.text.blockSignals(False)
            self.told.setText(tr("Drag over it to take parts away; with Shift they come back.")
                              if item.modality != "text" else tr("Click words to leave them out, or write it anew."))
            self.put_back()

        def load_it() -> tuple[Media, Parts]:
            media = load(item.ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
            return media, parts_of(media)

        self._work.run(at_once(load_it), loaded, urgent=True)

    # ---- taking away --------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A stroke over the face takes cells away; the face itself is not to move or play meanwhile."""
        kinds = (QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease)
        if watched is not self.face.face or event.type() not in kinds or not isinstance(event, QMouseEvent):
            return False
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.stroke(self.face.face.position_at(event.position()),
                        bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        return bool(event.buttons() & Qt.MouseButton.LeftButton) or event.type() != QEvent.Type.MouseMove

    def stroke(self, cell: int | None, back: bool = False) -> None:
        """Take the cells at and next to this one away, or give them back; of a text the one word."""
        if cell is None or self._parts is None:
            return
        near = np.zeros(len(self._gone), bool)
        near[cell] = True
        if len(self._parts.shape) == 2:
            rows, columns = np.indices(self._parts.shape).reshape(2, -1)
            reach = 1 if self._parts.positions.kind == "patch" else 0
            near = np.maximum(np.abs(rows - rows[cell]), np.abs(columns - columns[cell])) <= reach
        changed = np.where(near, not back, self._gone)
        if (changed != self._gone).any():
            self._gone = changed
            self.try_it()

    def put_back(self) -> None:
        """The whole item, as it was."""
        if self._parts is not None:
            self._gone = np.zeros(len(self._parts.positions), bool)
            item = self._item
            if item is not None and item.modality == "text" and self.text.toPlainText() != item.text:
                self.text.setPlainText(item.text)  # which tries it
            else:
                self.try_it()

    def try_it(self) -> None:
        """See what becomes of the score; of many changes while one is computed, only the newest is done next."""
        self._wanted = True
        if not self._work.busy:
            self._try_newest()

    def _try_newest(self) -> None:
        encoder, item, original, parts = self._session.encoder, self._item, self._original, self._parts
        self._wanted = False
        if encoder is None or item is None or original is None or parts is None:
            return
        words, gone = self.words.text().strip(), self._gone
        written = self.text.toPlainText() if item.modality == "text" else None

        def question() -> Tried:
            return _tried(encoder, item, original, parts, gone, words, written)

        self._work.run(at_once(question), self._show, urgent=True)

    def _show(self, tried: Tried) -> None:
        self._tried = tried
        if tried.parts is not self._parts:
            self._parts, self._gone = tried.parts, np.zeros(len(tried.parts.positions), bool)
        self.face.show_media(tried.media if self._gone.any() and not isinstance(tried.media, str)
                             else tried.parts.kept(np.ones(len(self._gone), np.float32)))
        self.face.show_map(RelevanceMap(self._gone.astype(np.float32), tried.parts.positions, tr("Taken away"), ""))
        if tried.score is None or tried.before is None:
            self.score.setText(tr("Write words above, and the score is here."))
        else:
            self.score.setText(tr("Cosine {:.3f}, before {:.3f} ({:+.3f})").format(
                tried.score, tried.before, tried.score - tried.before))
        if self._wanted:
            self._try_newest()

    def play(self) -> None:
        """Hear what is left of a sound."""
        media = self._tried.media if self._tried else None
        if isinstance(media, AudioClip):
            try:
                self._player.load(media.windows[0], media.rate_hz)
                self._player.toggle()
            except StudioError as error:
                self._failed(error)

    def _failed(self, error: StudioError) -> None:
        self.told.setText(str(error))

    # ---- what flips the nearest ---------------------------------------------------------------------------------

    def find_flip(self) -> None:
        """Leave out as little as possible until another item of the other modalities is nearest."""
        encoder, item, view, media = self._session.encoder, self._item, self._session.view, self._original
        if encoder is None or item is None or view is None or media is None:
            return
        rows = np.flatnonzero(view.modalities != item.modality)[:CANDIDATES]
        titles = [self._session.items[int(key)].title for key in view.ids[rows]]
        vectors = view.vectors[rows]

        def step(progress: Progress) -> None:
            self.told.setText(tr("{} of {} parts are gone…").format(progress.done, progress.total))
            if isinstance(progress.fresh, Flip):
                self._show_flip(progress.fresh)

        def done(found: Flip) -> None:
            self._show_flip(found)
            self.told.setText(
                tr("Without {:.0f} % of it the nearest is “{}” and no longer “{}”.").format(
                    100 * found.share, titles[found.after], titles[found.before]) if found.flipped
                else tr("Whatever is gone, “{}” stays the nearest.").format(titles[found.before]))

        self._search.run(lambda: smallest_flip(encoder, media, item.modality, vectors), done, step)
        self.stop.setVisible(True)
        self.flip.setEnabled(False)

    def _show_flip(self, found: Flip) -> None:
        self._parts, self._gone = found.parts, found.gone[found.parts.regions]
        self.try_it()

    def _search_ended(self) -> None:
        self.stop.setVisible(False)
        self.flip.setEnabled(True)


def _tried(encoder: Encoder, item: Item, original: Media, parts: Parts, gone: NDArray[np.bool_], words: str,
           written: str | None) -> Tried:
    """On the models' lane. A text that was written anew is cut anew."""
    whole: Any = original
    if written is not None and written != str(original) and written.strip():
        whole, parts = written, parts_of(written)
        gone = gone if len(gone) == len(parts.positions) else np.zeros(len(parts.positions), bool)
    media = parts.kept((~gone).astype(np.float32)) if gone.any() else whole
    if not words:
        return Tried(media, parts, None, None)
    query = encode(encoder, [words], "text")[0]
    rows = [encode(encoder, [one], item.modality)[0] for one in (media, original)]
    return Tried(media, parts, float(rows[0] @ query), float(rows[1] @ query))
