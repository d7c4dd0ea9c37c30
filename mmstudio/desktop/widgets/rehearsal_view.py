"""What a trial of a run told: how long, how much memory, and the first batch as it is learned from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget
from shiboken6 import isValid

from mmstudio.desktop import heat
from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, duration, megabytes, modality_name, tr
from mmstudio.desktop.theme import colours
from mmstudio.desktop.widgets.seen import sound_image
from mmstudio.encoders.base import Encoder, Seen, SeenPicture, SeenSound
from mmstudio.errors import StudioError
from mmstudio.library import Item
from mmstudio.media import Limits, load
from mmstudio.training.rehearsing import Rehearsal

FACE, GAP = 44, 8
MOST_ITEMS = 3
"""Items of one sample that are shown one below another."""


class RehearsalView(QWidget):
    """A sentence and a strip of examples; empty until something was told."""

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self.told = QLabel(wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.batch = BatchStrip(session, previews)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.told)
        layout.addWidget(self.batch)
        self.hide()

    def wait(self) -> None:
        self.told.setText(tr("A few steps are being tried…"))
        self.batch.show_batch([])
        self.show()

    def tell(self, found: Rehearsal | StudioError) -> None:
        """The trial's figures, or why it failed."""
        if isinstance(found, StudioError):
            self.told.setText(str(found))
            return
        parts = found.parts
        self.told.setText(tr(
            "At most {} for {} steps of {:.0f} ms on {}, and {} of memory. {} of {} weights learn, from {} examples; "
            "{} tell when to stop and {} how good it is. {}").format(
                duration(found.seconds), count(found.steps), 1000 * found.seconds_per_step, found.device,
                megabytes(found.memory_bytes), count(found.learning), count(found.weights), count(parts["train"]),
                count(parts["validation"]), count(parts["test"]), _reads(found.reads)))
        self.batch.show_batch(found.batch, as_seen=found.reads == "media")


def _reads(what: str) -> str:
    if what == "media":
        return tr("The first batch as the model sees it, each item cut and scaled to its size:")
    if what == "own":
        return tr("The first batch, which the run prepares for encoders of its own:")
    return tr("The first batch, of which vectors are learned from that are computed already:")


class BatchStrip(QWidget):
    """The examples of a batch side by side: their items, or what the encoder in use makes of them, and below what is to
    be told of them.
    """

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session, self._previews = session, previews
        self._batch: list[tuple[list[Item], str, str]] = []
        self.seen: dict[int, Seen] = {}
        """What the encoder makes of the items, by their ids."""
        self._asked = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        previews.arrived.connect(self._arrived)  # a method, which goes with its dialog; previews stay

    def _arrived(self, _: object) -> None:
        self.update()

    def show_batch(self, batch: list[dict[str, Any]], as_seen: bool = False) -> None:
        """Examples as a Rehearsal tells them, as they lie in the library or ``as_seen`` by the encoder in use."""
        self._batch = [(items, one["told"], ", ".join(modality_name(m) for m in one["sees"]))
                       for one in batch if (items := self._items(one["key"], one["sees"]))]
        self.setToolTip("\n".join(f"{told or '–'} · {sees}" for _, told, sees in self._batch))
        self.seen, self._asked = {}, self._asked + 1
        if as_seen:
            self._look()
        self.updateGeometry()
        self.update()

    def _look(self) -> None:
        """Ask what the encoder makes of the items, on the models' lane."""
        session, asked = self._session, self._asked
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            return
        items = [item for some, _, _ in self._batch for item in some]

        def seen(found: dict[int, Seen]) -> None:
            if isValid(self) and asked == self._asked:  # its dialog may be gone
                self.seen = found
                self.update()

        session.models.ask(lambda: _seen(encoder, project.limits, items), on_done=seen,
                           on_failed=session.failed.emit)

    def _items(self, key: int, sees: list[str]) -> list[Item]:
        sample = self._session.samples.get(-key)
        members = sample.item_ids if sample else (key,)
        items = self._session.items
        return [items[i] for i in members if i in items and items[i].modality in sees][:MOST_ITEMS]

    @property
    def _rows(self) -> int:
        return max((len(items) for items, _, _ in self._batch), default=0)

    def sizeHint(self) -> QSize:
        line = self.fontMetrics().lineSpacing()
        return QSize(200, self._rows * (FACE + GAP) + line if self._batch else 0)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            line = self.fontMetrics().lineSpacing()
            for column, (items, told, _) in enumerate(self._batch):
                left = column * (FACE + GAP)
                if left + FACE > self.width():
                    break
                for row, item in enumerate(items):
                    box = QRect(left, row * (FACE + GAP), FACE, FACE)
                    if item.id in self.seen:
                        _draw_seen(painter, box, self.seen[item.id])
                    else:
                        draw_item(painter, box, item, self._previews.get(item))
                painter.setPen(QColor(colours().faint))
                text = self.fontMetrics().elidedText(told, Qt.TextElideMode.ElideRight, FACE)
                painter.drawText(QRect(left, self._rows * (FACE + GAP) - GAP // 2, FACE, line),
                                 int(Qt.AlignmentFlag.AlignHCenter), text)


def _seen(encoder: Encoder, limits: Limits, items: list[Item]) -> dict[int, Seen]:
    """What an encoder makes of items, by their ids; one that cannot be read is left out, as training itself told."""
    found: dict[int, Seen] = {}
    for item in items:
        with suppress(StudioError):
            media = load(item.ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
            found[item.id] = encoder.seen(media, item.modality)
    return found


def _draw_seen(painter: QPainter, box: QRect, seen: Seen) -> None:
    """A picture's pixels, a sound's bands, a text's tokens without the marks."""
    if isinstance(seen, SeenPicture):
        painter.drawImage(box, heat.as_image(seen.pixels))
        return
    if isinstance(seen, SeenSound):
        painter.drawImage(box, sound_image(seen))
        return
    painter.fillRect(box, QColor(colours().line))
    painter.setPen(QColor(colours().text))
    painter.save()
    font = painter.font()
    font.setPixelSize(9)
    painter.setFont(font)
    text = " ".join(token.text for token in seen.tokens if not token.special)
    painter.drawText(box.adjusted(2, 1, -2, -1), int(Qt.TextFlag.TextWrapAnywhere), text)
    painter.restore()
