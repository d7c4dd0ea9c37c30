"""What a trial of a run told: how long, how much memory, and the first batch as it is learned from."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, duration, megabytes, modality_name, tr
from mmstudio.desktop.theme import colours
from mmstudio.errors import StudioError
from mmstudio.library import Item
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
            "{} tell when to stop and {} how good it is. The first batch:").format(
                duration(found.seconds), count(found.steps), 1000 * found.seconds_per_step, found.device,
                megabytes(found.memory_bytes), count(found.learning), count(found.weights), count(parts["train"]),
                count(parts["validation"]), count(parts["test"])))
        self.batch.show_batch(found.batch)


class BatchStrip(QWidget):
    """The examples of a batch side by side: their items, and below what is to be told of them."""

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session, self._previews = session, previews
        self._batch: list[tuple[list[Item], str, str]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        previews.arrived.connect(self._arrived)  # a method, which goes with its dialog; previews stay

    def _arrived(self, _: object) -> None:
        self.update()

    def show_batch(self, batch: list[dict[str, Any]]) -> None:
        """Examples as a Rehearsal tells them."""
        self._batch = [(items, one["told"], ", ".join(modality_name(m) for m in one["sees"]))
                       for one in batch if (items := self._items(one["key"], one["sees"]))]
        self.setToolTip("\n".join(f"{told or '–'} · {sees}" for _, told, sees in self._batch))
        self.updateGeometry()
        self.update()

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
        painter = QPainter(self)
        line = self.fontMetrics().lineSpacing()
        for column, (items, told, _) in enumerate(self._batch):
            left = column * (FACE + GAP)
            if left + FACE > self.width():
                break
            for row, item in enumerate(items):
                draw_item(painter, QRect(left, row * (FACE + GAP), FACE, FACE), item, self._previews.get(item))
            painter.setPen(QColor(colours().faint))
            text = self.fontMetrics().elidedText(told, Qt.TextElideMode.ElideRight, FACE)
            painter.drawText(QRect(left, self._rows * (FACE + GAP) - GAP // 2, FACE, line),
                             int(Qt.AlignmentFlag.AlignHCenter), text)
