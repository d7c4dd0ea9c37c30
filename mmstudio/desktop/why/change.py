"""What if? Parts of the item are taken away, words written anew, and the score follows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, QTimer
from PySide6.QtGui import QHideEvent, QMouseEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from mmstudio.desktop.audio import Player
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.why.newest import Newest, at_once
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.encoders.base import Encoder, Vectors, encode
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain.counterfactual import Flip, smallest_flip
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.methods import METHODS
from mmstudio.explain.parts import Parts, parts_of
from mmstudio.explain.subject import Subject
from mmstudio.library import Item
from mmstudio.media import AudioClip, Media, load
from mmstudio.progress import Progress, Work

CANDIDATES = 20_000
SETTLED_MS = 150
"""So long after the last change what is left is explained."""
STROKE_PIXELS = 2
ROW, COLUMN = 0, 1


@dataclass(frozen=True)
class Tried:
    """An item of which ``gone`` cells are taken away, and its score against the ``target (dim,)`` now and before."""

    media: Media
    parts: Parts
    target: Vectors | None = None
    score: float | None = None
    before: float | None = None


class ChangePage(QWidget):
    """Follows the session's current item while it is visible. Dragging over the item takes its cells away, with Shift
    gives them back; a text is written anew. Of a sound, dragging with Ctrl mutes whole bands, and dragging over the
    wave whole moments. The score is against words, else against the other one of two selected items; beside it is what
    speaks for it in what is left.
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
        self.face, self.left = ItemFace(session), ItemFace(session)
        self.face.scale.setVisible(False)
        self._explaining = Newest(session, self._failed)
        self._settled = QTimer(self, singleShot=True, interval=SETTLED_MS)
        self._settled.timeout.connect(self.explain)
        self._stroke_at: QPointF | None = None
        self.score, self.told = QLabel(), QLabel(wordWrap=True)
        self.back, self.listen = QPushButton(tr("Put all back")), QPushButton(tr("Listen"))
        self.flip, self.stop = QPushButton(tr("What flips the nearest?")), QPushButton(tr("Stop"))
        self._build()
        for signal in (session.currentChanged, session.encoderChanged, session.projectOpened):
            signal.connect(self.ask)
        session.selectionChanged.connect(self._other_chosen)
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
        sides = QHBoxLayout()
        sides.addWidget(self.face, 1)
        sides.addWidget(self.left, 1)
        layout.addLayout(sides, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.told)
        self._clear()

    def _clear(self) -> None:
        self._key = self._parts = self._tried = self._original = None
        for work in (self._work, self._search, self._explaining):
            work.cancel()
        self._settled.stop()
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
        self.left.setVisible(False)

    def showEvent(self, event: QShowEvent) -> None:
        self.ask()

    def hideEvent(self, event: QHideEvent) -> None:
        self._search.cancel()
        self._explaining.cancel()
        self._settled.stop()

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
            self.told.setText(_hint(item.modality))
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
        held = bool(event.buttons() & Qt.MouseButton.LeftButton)
        if held:
            start = self._stroke_at if event.type() == QEvent.Type.MouseMove else None
            self._draw(start or event.position(), event.position(), event.modifiers())
        self._stroke_at = event.position() if held else None
        return held or event.type() != QEvent.Type.MouseMove

    def _draw(self, start: QPointF, end: QPointF, keys: Qt.KeyboardModifier) -> None:
        """A line of the stroke: all cells that it crosses, however far apart the mouse was seen."""
        face, sound, whole = self.face.face, self.face.sound, None
        if face is sound:
            if end.y() < sound.WAVE:  # over the wave, which stands above the columns
                start, end, whole = QPointF(start.x(), sound.WAVE + 1), QPointF(end.x(), sound.WAVE + 1), COLUMN
            elif keys & Qt.KeyboardModifier.ControlModifier:
                whole = ROW
        steps = max(1, int((end - start).manhattanLength() / STROKE_PIXELS))
        places = (start + (end - start) * (step / steps) for step in range(steps + 1))
        self.stroke({cell for place in places if (cell := face.position_at(place)) is not None},
                    bool(keys & Qt.KeyboardModifier.ShiftModifier), whole)

    def stroke(self, cells: Collection[int], back: bool = False, whole: int | None = None) -> None:
        """Take these cells and those next to them away, or give them back; of a sound without the next, of a text the
        words; of a ``whole`` row or column all.
        """
        if not cells or self._parts is None:
            return
        touched = np.zeros(len(self._gone), bool)
        touched[list(cells)] = True
        if len(self._parts.shape) == 2:
            grid: NDArray[Any] = touched.reshape(self._parts.shape)
            if whole is not None:
                grid = np.broadcast_to(grid.any(axis=1 - whole, keepdims=True), grid.shape)
            elif self._parts.positions.kind == "patch":
                around = np.pad(grid, 1)
                grid = np.asarray(np.lib.stride_tricks.sliding_window_view(around, (3, 3)).any(axis=(2, 3)))
            touched = grid.ravel()
        changed = np.where(touched, not back, self._gone)
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

    def _other_chosen(self) -> None:
        """Another item to compare with."""
        if self._key is not None and self.isVisible() and self._item is not None:
            self.try_it()

    def _target(self) -> str | Vectors | None:
        """The words, else the vector of the other one of two selected items."""
        words, view = self.words.text().strip(), self._session.view
        others = [key for key in self._session.selection.items[:3].tolist() if key != self._session.current]
        if words or view is None or len(others) != 1:
            return words or None
        return view.vector(others[0])

    def _try_newest(self) -> None:
        encoder, item, original, parts = self._session.encoder, self._item, self._original, self._parts
        self._wanted = False
        if encoder is None or item is None or original is None or parts is None:
            return
        wanted, gone = self._target(), self._gone
        written = self.text.toPlainText() if item.modality == "text" else None

        def question() -> Tried:
            return _tried(encoder, item, original, parts, gone, wanted, written)

        self._work.run(at_once(question), self._show, urgent=True)

    def _show(self, tried: Tried) -> None:
        self._tried = tried
        if tried.parts is not self._parts:
            self._parts, self._gone = tried.parts, np.zeros(len(tried.parts.positions), bool)
        self.face.show_media(tried.media if self._gone.any() and not isinstance(tried.media, str)
                             else tried.parts.kept(np.ones(len(self._gone), np.float32)))
        self.face.show_map(RelevanceMap(self._gone.astype(np.float32), tried.parts.positions, tr("Taken away"), ""))
        if tried.score is None or tried.before is None:
            self.score.setText(tr("Write words above or select a second item, and the score is here."))
            self.left.setVisible(False)
        else:
            self.score.setText(tr("Cosine {:.3f}, before {:.3f} ({:+.3f})").format(
                tried.score, tried.before, tried.score - tried.before))
            self._settled.start()
        if self._wanted:
            self._try_newest()

    def explain(self) -> None:
        """What speaks for the score in what is left, by the first quick method that the model allows."""
        encoder, item, tried = self._session.encoder, self._item, self._tried
        if encoder is None or item is None or tried is None or tried.target is None or not self.isVisible():
            return
        subject = Subject(encoder, tried.media, item.modality, tried.target)

        def show(found: RelevanceMap) -> None:
            if tried is self._tried:
                self.left.setVisible(True)
                self.left.show_media(subject.media)
                self.left.show_map(found)

        self._explaining.run(lambda: _quick_map(subject), show)

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


def _tried(encoder: Encoder, item: Item, original: Media, parts: Parts, gone: NDArray[np.bool_],
           wanted: str | Vectors | None, written: str | None) -> Tried:
    """On the models' lane. A text that was written anew is cut anew."""
    whole: Any = original
    if written is not None and written != str(original) and written.strip():
        whole, parts = written, parts_of(written)
        gone = gone if len(gone) == len(parts.positions) else np.zeros(len(parts.positions), bool)
    media = parts.kept((~gone).astype(np.float32)) if gone.any() else whole
    if wanted is None:
        return Tried(media, parts)
    target = encode(encoder, [wanted], "text")[0] if isinstance(wanted, str) else wanted
    rows = [encode(encoder, [one], item.modality)[0] for one in (media, original)]
    return Tried(media, parts, target, float(rows[0] @ target), float(rows[1] @ target))


def _quick_map(subject: Subject) -> Work[RelevanceMap]:
    """On the models' lane. Raises AttentionUnavailable where no quick method works."""
    quick = [method for method in METHODS if method.quick]
    for method in quick[:-1]:
        try:
            return (yield from method.run(subject))
        except AttentionUnavailable:
            continue
    return (yield from quick[-1].run(subject))


def _hint(modality: str) -> str:
    if modality == "text":
        return tr("Click words to leave them out, or write it anew.")
    drag = tr("Drag over it to take parts away; with Shift they come back.")
    return drag if modality == "image" else " ".join([drag, tr(
        "With Ctrl a whole band is muted; over the wave at the top, a whole moment.")])
