"""One item, large, with its relevance over it: a picture, a sound, a text. A click asks about one position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QToolTip, QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.paint import draw_waveform
from mmstudio.desktop.text import clock, tr
from mmstudio.desktop.theme import colours
from mmstudio.explain.maps import RelevanceMap, as_grid, to_unit


class Face(QWidget):
    """What the three faces share: a map over the item, and picking one of its positions."""

    positionPicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.map: RelevanceMap | None = None
        self._shares = np.zeros(0, np.float32)
        self.picked: int | None = None
        self.setMouseTracking(True)

    def show_map(self, found: RelevanceMap | None) -> None:
        """Draw this map, or none."""
        self.map = found
        if found is not None:
            self._shares = to_unit(found)[0]
        self._map_changed()
        self.update()

    def _map_changed(self) -> None:
        pass

    def position_at(self, at: QPointF) -> int | None:
        """The map's position under the pointer, or None; each face knows its own geometry."""
        return None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.position_at(event.position())
        if found is not None:
            self.picked = found
            self.positionPicked.emit(found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.position_at(event.position())
        if found is not None and self.map is not None:
            name = self.map.positions.label(found)
            text = f"{self.map.weights[found]:.3f} {tr(self.map.unit)}"
            QToolTip.showText(event.globalPosition().toPoint(), f"{name} · {text}" if name else text, self)


class PictureFace(Face):
    """A picture with its patches coloured."""

    def __init__(self) -> None:
        super().__init__()
        self._image = QImage()
        self._heat = QImage()
        self._covered = (0.0, 0.0, 1.0, 1.0)

    def show_image(self, image: QImage) -> None:
        self._image = image
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, 260)

    def _map_changed(self) -> None:
        self._heat = QImage()
        if self.map is not None and self.map.positions.kind == "patch" and self.map.positions.placed.any():
            unit = RelevanceMap(self._shares, self.map.positions, self.map.title, self.map.unit)
            grid, self._covered = as_grid(unit)
            self._heat = heat.picture(grid, 0.72)

    def _box(self) -> QRectF:
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        return QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2, size.width(),
                      size.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._image.isNull():
            return
        box = self._box()
        painter.drawImage(box, self._image)
        if not self._heat.isNull():
            left, top, right, bottom = self._covered
            painter.drawImage(QRectF(box.left() + left * box.width(), box.top() + top * box.height(),
                                     (right - left) * box.width(), (bottom - top) * box.height()), self._heat)
        if self.picked is not None and self.map is not None and self.picked < len(self.map.positions):
            painter.setPen(QPen(QColor("#ffffff"), 2))
            painter.drawRect(self._patch(self.picked))

    def _patch(self, position: int) -> QRectF:
        assert self.map is not None
        box = self._box()
        left, top, right, bottom = (float(v) for v in self.map.positions.extents[position])
        return QRectF(box.left() + left * box.width(), box.top() + top * box.height(), (right - left) * box.width(),
                      (bottom - top) * box.height())

    def position_at(self, at: QPointF) -> int | None:
        if self.map is None or self.map.positions.kind != "patch" or self._image.isNull():
            return None
        box = self._box()
        x, y = (at.x() - box.left()) / box.width(), (at.y() - box.top()) / box.height()
        e = self.map.positions.extents
        with np.errstate(invalid="ignore"):
            hits = np.flatnonzero((e[:, 0] <= x) & (x < e[:, 2]) & (e[:, 1] <= y) & (y < e[:, 3]))
        return int(hits[0]) if len(hits) else None


class SoundFace(Face):
    """Waveform above, mel spectrogram below, with its seconds (and bands) coloured and the place of playing."""

    seekWanted = Signal(float)
    WAVE = 56
    AXIS = 18

    def __init__(self) -> None:
        super().__init__()
        self._mel = QImage()
        self._peaks = np.zeros((1, 2), np.float32)
        self._seconds = 1.0
        self._top_hz = 8000
        self._at: float | None = None

    def show_sound(self, mel: QImage, peaks: NDArray[np.float32], seconds: float, rate_hz: int) -> None:
        self._mel, self._peaks, self._seconds, self._top_hz = mel, peaks, max(seconds, 1e-3), rate_hz // 2
        self._at = None
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
        painter = QPainter(self)
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
        painter.setPen(QColor("#ffffff"))
        painter.drawText(6, body.top() + 15, f"{self._top_hz / 1000:g} kHz")
        if self._at is not None:
            painter.setPen(QPen(QColor(c.text), 2))
            painter.drawLine(QPointF(self._x(self._at), 0), QPointF(self._x(self._at), body.bottom()))

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

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        self.seekWanted.emit(event.position().x() / max(1, self.width()) * self._seconds)


class PassageFace(Face):
    """A text whose characters are coloured. Drawn character by character as plain text, never as rich text."""

    LINE = 1.75

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._boxes: list[QRectF] = []

    def show_text(self, text: str) -> None:
        self._text = text
        self._lay_out()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, 120)

    def heightForWidth(self, width: int) -> int:
        return int(self._boxes[-1].bottom() + 12) if self._boxes else 60

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay_out()

    def _font_metrics(self) -> QFontMetricsF:
        font = self.font()
        font.setPixelSize(16)
        self.setFont(font)
        return QFontMetricsF(font)

    def _lay_out(self) -> None:
        """A box for every character, wrapped at words."""
        metrics = self._font_metrics()
        line = metrics.height() * self.LINE
        x, y, self._boxes = 10.0, 10.0, []
        index = 0
        while index < len(self._text):
            end = index + 1
            while end < len(self._text) and not self._text[end].isspace() and not self._text[end - 1].isspace():
                end += 1
            word = self._text[index:end]
            if (x + metrics.horizontalAdvance(word.rstrip()) > self.width() - 10 and x > 10) or word == "\n":
                x, y = 10.0, y + line
            for character in word:
                width = 0.0 if character == "\n" else metrics.horizontalAdvance(character)
                if x + width > self.width() - 6 and x > 10:
                    x, y = 10.0, y + line
                self._boxes.append(QRectF(x, y, width, metrics.height() * 1.3))
                x += width
            index = end
        self.setMinimumHeight(min(4000, self.heightForWidth(self.width())))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        plain = QColor(colours().text)
        inks = [plain] * len(self._text)
        if self.map is not None and self.map.positions.kind == "character":
            for extent, share in zip(self.map.positions.extents, self._shares, strict=True):
                if np.isnan(extent).any():
                    continue
                for index in range(int(extent[0]), min(int(extent[1]), len(self._boxes))):
                    painter.fillRect(self._boxes[index], heat.colour(float(share), 0.25 + 0.65 * float(share)))
                    inks[index] = QColor("#111111") if share > 0.62 else plain
        for character, box, ink in zip(self._text, self._boxes, inks, strict=True):
            painter.setPen(ink)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), character)

    def position_at(self, at: QPointF) -> int | None:
        if self.map is None:
            return None
        index = next((i for i, box in enumerate(self._boxes) if box.contains(at)), None)
        if index is None:
            return None
        e = self.map.positions.extents
        with np.errstate(invalid="ignore"):
            hits = np.flatnonzero((e[:, 0] <= index) & (index < e[:, 1]))
        return int(hits[0]) if len(hits) else None
