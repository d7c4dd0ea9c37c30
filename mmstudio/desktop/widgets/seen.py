"""The input of a model as a person can look at it: pixels, log-mel patches, tokens."""

from __future__ import annotations

import itertools

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop import heat
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import colours
from mmstudio.encoders.base import Seen, SeenPicture, SeenSound, SeenText


class SeenView(QWidget):
    """Shows one Seen, with a line that says what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.tokens, self.told = SeenImage(), QTableWidget(0, 5), QLabel(wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self.tokens.setHorizontalHeaderLabels([tr("Position"), tr("Token"), tr("Id"), tr("Characters"), tr("Segment")])
        self.tokens.verticalHeader().hide()
        self.tokens.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tokens.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.tokens.verticalHeader().setDefaultSectionSize(24)
        for column in range(5):
            self.tokens.horizontalHeader().setSectionResizeMode(
                column, QHeaderView.ResizeMode.Stretch if column == 1 else QHeaderView.ResizeMode.ResizeToContents)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.image)
        self._stack.addWidget(self.tokens)
        self._stack.setFixedHeight(220)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        layout.addWidget(self.told)

    def show_seen(self, seen: Seen) -> None:
        """Draw it and say what it is."""
        self._stack.setCurrentWidget(self.tokens if isinstance(seen, SeenText) else self.image)
        if isinstance(seen, SeenPicture):
            height, width = seen.pixels.shape[:2]
            self.image.show_image(heat.as_image(seen.pixels), seen.patch, seen.patch)
            self.told.setText(tr("{} × {} pixels, read as {} × {} patches of {} pixels.").format(
                width, height, seen.grid[1], seen.grid[0], seen.patch))
        elif isinstance(seen, SeenSound):
            self._show_sound(seen)
        else:
            self._show_tokens(seen)

    def _show_sound(self, seen: SeenSound) -> None:
        if seen.kind == "waveform":
            self.image.show_image(sound_image(seen), 0, 0)
            self.told.setText(tr("{} samples of {:.1f} s, read as they are. {}").format(
                count(len(seen.values)), seen.seconds, seen.note).strip())
            return
        frames = seen.values.shape[1]
        self.image.show_image(sound_image(seen), seen.step[0],
                              max(1, round(seen.step[1] / max(seen.seconds, 1e-9) * frames)), stretched=True)
        self.told.setText(tr(
            "Log-mel: {} bands up to {:.1f} kHz, {} frames, {:.1f} s of which {:.1f} s are the sound. {}").format(
            seen.values.shape[0], seen.edges_hz[-1] / 1000, frames, seen.seconds, seen.sound_seconds,
            seen.note).strip())

    def _show_tokens(self, seen: SeenText) -> None:
        self.tokens.setRowCount(len(seen.tokens))
        self.tokens.setColumnHidden(4, all(token.segment is None for token in seen.tokens))
        for row, token in enumerate(seen.tokens):
            span = "" if token.special else f"{token.start}–{token.end}"
            segment = "" if token.segment is None else str(token.segment)
            for column, text in enumerate((str(token.position), token.text, str(token.id), span, segment)):
                cell = QTableWidgetItem(text)
                if token.special:
                    cell.setForeground(QColor(colours().dim))
                self.tokens.setItem(row, column, cell)
        words = sum(not token.special for token in seen.tokens)
        self.told.setText(tr("{} tokens and {} marks.").format(count(words), count(len(seen.tokens) - words))
                          + (" " + tr("The rest of the text is not read.") if seen.truncated else ""))


class SeenImage(QWidget):
    """A picture without smoothing, under the grid of what becomes one token."""

    def __init__(self) -> None:
        super().__init__()
        self._image, self._rows, self._columns, self._stretched = QImage(), 0, 0, False
        self.setAccessibleName(tr("What the model sees"))

    def show_image(self, image: QImage, rows: int, columns: int, stretched: bool = False) -> None:
        """``rows`` and ``columns`` are the pixels of one token, 0 for no grid."""
        self._image, self._rows, self._columns, self._stretched = image, rows, columns, stretched
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._image.isNull():
            return
        width, height = self._image.width(), self._image.height()
        across, down = self.width() / width, self.height() / height
        if not self._stretched:
            across = down = min(across, down)
        box = QRectF((self.width() - width * across) / 2, (self.height() - height * down) / 2, width * across,
                     height * down)
        with QPainter(self) as painter:
            painter.drawImage(box, self._image)
            painter.setPen(QPen(QColor(255, 255, 255, 60), 1))
            if self._columns and self._columns * across >= 4:
                for x in range(self._columns, width, self._columns):
                    painter.drawLine(round(box.left() + x * across), round(box.top()), round(box.left() + x * across),
                                     round(box.bottom()))
            if self._rows and self._rows * down >= 4:
                for y in range(height - self._rows, 0, -self._rows):
                    painter.drawLine(round(box.left()), round(box.top() + y * down), round(box.right()),
                                     round(box.top() + y * down))


def sound_image(seen: SeenSound) -> QImage:
    """A log-mel in greys, low bands at the bottom, or a waveform's envelope."""
    if seen.kind == "waveform":
        return _wave(seen.values)
    low, high = float(seen.values.min()), float(seen.values.max())
    return heat.grey(np.ascontiguousarray((seen.values[::-1] - low) / max(high - low, 1e-9)))


def _wave(values: np.ndarray) -> QImage:
    """A waveform's envelope, 600 × 120."""
    edges = np.linspace(0, len(values), 601).astype(int)
    peak = max(float(np.abs(values).max(initial=0)), 1e-9)
    loud = np.array([np.abs(values[a:b]).max(initial=0) / peak for a, b in itertools.pairwise(edges)])
    rows = np.abs(np.linspace(-1, 1, 120))[:, None]
    return heat.grey((rows <= loud[None]).astype(np.float32) * 0.8)
