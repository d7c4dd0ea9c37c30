"""A sound, large: waveform, spectrogram, relevance, the place of playing and what is marked to be repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen

from mmstudio.desktop import heat
from mmstudio.desktop.paint import draw_waveform
from mmstudio.desktop.text import clock, tr
from mmstudio.desktop.theme import colours
from mmstudio.desktop.widgets.faces import Face

SHORTEST_MARK_SECONDS = 0.02
_DARK = QColor(0, 0, 0, 150)


class SoundFace(Face):
    """Waveform above, mel spectrogram below, with its seconds (and bands) coloured and the place of playing."""

    seekWanted = Signal(float)
    marked = Signal(object)
    WAVE = 56
    AXIS = 18

    def __init__(self) -> None:
        super().__init__()
        self._mel = QImage()
        self._peaks = np.zeros((1, 2), np.float32)
        self._seconds = 1.0
        self._top_hz = 8000
        self._at: float | None = None
        self._mark: tuple[float, float] | None = None
        self._mark_from: float | None = None
        self.setToolTip(tr("Click to go there; drag with Shift to mark what is repeated"))

    def show_sound(self, mel: QImage, peaks: NDArray[np.float32], seconds: float, rate_hz: int) -> None:
        self._mel, self._peaks, self._seconds, self._top_hz = mel, peaks, max(seconds, 1e-3), rate_hz // 2
        self._at = self._mark = self._mark_from = None
        self.update()

    def show_position(self, seconds: float | None) -> None:
        """Where the player is."""
        self._at = seconds
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, 220)

    def _x(self, seconds: float) -> float:
        return seconds / self._seconds * self.width()

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            c = colours()
            body = QRect(0, self.WAVE, self.width(), self.height() - self.WAVE - self.AXIS)
            draw_waveform(painter, QRectF(0, 0, self.width(), self.WAVE), self._peaks)
            painter.drawImage(body, self._mel)
            self._paint_map(painter, body)
            painter.setPen(QColor(c.faint))
            base = self.height() - 4
            for share in (0.0, 0.25, 0.5, 0.75):
                painter.drawText(int(share * self.width()) + 3, base, clock(share * self._seconds))
            self._paint_top(painter, body)
            self._paint_mark(painter, body.bottom())
            if self._at is not None:
                for colour, width in ((_DARK, 5), (Qt.GlobalColor.white, 2)):  # seen on both themes and every colour
                    painter.setPen(QPen(colour, width))
                    painter.drawLine(QPointF(self._x(self._at), 0), QPointF(self._x(self._at), body.bottom()))

    def _paint_top(self, painter: QPainter, body: QRect) -> None:
        """The highest frequency, readable on every colour."""
        top = f"{self._top_hz / 1000:g} kHz"
        plate = painter.fontMetrics().boundingRect(top).adjusted(-4, -1, 4, 2)
        plate.moveTopLeft(body.topLeft() + QPoint(3, 3))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_DARK)
        painter.drawRoundedRect(plate, 3, 3)
        painter.setPen(Qt.GlobalColor.white)
        painter.drawText(plate, int(Qt.AlignmentFlag.AlignCenter), top)

    def _paint_mark(self, painter: QPainter, bottom: int) -> None:
        if self._mark is None:
            return
        accent = QColor(colours().accent)
        left, right = (self._x(at) for at in self._mark)
        painter.setPen(QPen(accent, 2))
        for x in (left, right):
            painter.drawLine(QPointF(x, 0), QPointF(x, bottom))
        accent.setAlpha(60)
        painter.fillRect(QRectF(left, 0, right - left, bottom), accent)

    def _paint_map(self, painter: QPainter, body: QRect) -> None:
        if self.map is None or self.map.positions.kind not in ("time", "time-frequency"):
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        in_time = self.map.positions.kind == "time"
        for extent, share in zip(self.map.positions.extents, self._shares, strict=True):
            if np.isnan(extent).any():
                continue
            left, right = self._x(float(extent[0])), self._x(float(extent[1]))
            top, bottom = (0.0, 0.22) if in_time else (1 - self._height(extent[3]), 1 - self._height(extent[2]))
            box = QRectF(left, body.top() + top * body.height(), max(1.0, right - left), (bottom - top) * body.height())
            painter.fillRect(box, heat.colour(float(share), 1.0 if in_time else 0.15 + 0.6 * float(share)))
            if in_time:  # a strip of colour on top, and a veil below that is thin where it matters
                veil = QColor(0, 0, 0, int(150 * (1 - float(share))))
                painter.fillRect(QRectF(left, box.bottom(), max(1.0, right - left), body.height() * 0.78), veil)

    def _height(self, hertz: float) -> float:
        """Where a frequency lies on the mel axis, 0 at the bottom."""
        mel = np.log10(1 + np.array([40.0, float(hertz), float(self._top_hz)]) / 700)
        return float(np.clip((mel[1] - mel[0]) / (mel[2] - mel[0]), 0, 1))

    def position_at(self, at: QPointF) -> int | None:
        if self.map is None:
            return None
        seconds = at.x() / max(1, self.width()) * self._seconds
        e = self.map.positions.extents
        with np.errstate(invalid="ignore"):
            inside = (e[:, 0] <= seconds) & (seconds < e[:, 1])
            if self.map.positions.kind == "time-frequency":
                body = self.height() - self.WAVE - self.AXIS
                share = 1 - (at.y() - self.WAVE) / max(1, body)
                inside &= np.array([self._height(a) <= share < self._height(b) for a, b in e[:, 2:]])
        hits = np.flatnonzero(inside)
        return int(hits[0]) if len(hits) else None

    def _seconds_at(self, x: float) -> float:
        return float(np.clip(x / max(1, self.width()), 0, 1)) * self._seconds

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = self._seconds_at(event.position().x())
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._mark_from = at
            return
        super().mousePressEvent(event)
        self.seekWanted.emit(at)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._mark_from is None:
            super().mouseMoveEvent(event)
            return
        start, end = sorted((self._mark_from, self._seconds_at(event.position().x())))
        self._mark = (start, end) if end - start > SHORTEST_MARK_SECONDS else None
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The mark is told when it is done; a click with Shift takes it away."""
        if self._mark_from is None:
            return
        self.mouseMoveEvent(event)
        self._mark_from = None
        self.marked.emit(self._mark)
        if self._mark is not None:
            self.seekWanted.emit(self._mark[0])
