"""One item, large, with its relevance over it. A click asks about one position. Here: what the faces of a picture, a
sound and a text share, and the text's.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QToolTip, QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import colours
from mmstudio.encoders.base import Positions
from mmstudio.explain.maps import RelevanceMap, to_unit

MOST_TOKENS = 12
LONGEST_WORD = 40


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
        self._pick(event.position())

    def _pick(self, at: QPointF) -> None:
        found = self.position_at(at)
        if found is not None:
            self.picked = found
            self.positionPicked.emit(found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        text = self.told_at(event.position())
        if text:
            # What comes from a file or a vocabulary (such as “<s>”) is no mark-up.
            QToolTip.showText(event.globalPosition().toPoint(), text.replace("<", "‹"), self)

    def told_at(self, at: QPointF) -> str:
        """What is under the pointer: its name and its number on the map."""
        found = self.position_at(at)
        if found is None or self.map is None:
            return ""
        name = self.map.positions.label(found).strip()
        text = f"{self.map.weights[found]:.3f} {tr(self.map.unit)}"
        return f"{name} · {text}" if name else text


class PassageFace(Face):
    """A text whose characters are coloured. Drawn character by character as plain text, never as rich text."""

    LINE = 1.75

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._tokens: Positions | None = None
        self._boxes: list[QRectF] = []

    def show_text(self, text: str) -> None:
        self._text = text
        self._lay_out()
        self.update()

    def show_tokens(self, tokens: Positions | None) -> None:
        """How the encoder cuts this text, told where the pointer rests on a word."""
        self._tokens = tokens if tokens is not None and tokens.kind == "character" else None

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
        index = self._character_at(at)
        if self.map is None or index is None:
            return None
        e = self.map.positions.extents
        with np.errstate(invalid="ignore"):
            hits = np.flatnonzero((e[:, 0] <= index) & (index < e[:, 1]))
        return int(hits[0]) if len(hits) else None

    def _character_at(self, at: QPointF) -> int | None:
        return next((i for i, box in enumerate(self._boxes) if box.contains(at)), None)

    def told_at(self, at: QPointF) -> str:
        """The tokens of the word under the pointer, and the number of the one that it is on."""
        pieces, weight = self._pieces_at(at), super().told_at(at)
        if not pieces:
            return weight
        named = tr("Token {}") if len(pieces) == 1 else tr("Tokens {}")
        number = weight.rpartition(" · ")[2]
        return " · ".join(filter(None, [named.format(" | ".join(f"“{piece}”" for piece in pieces)), number]))

    def _pieces_at(self, at: QPointF) -> list[str]:
        """The tokens that share characters with the word under the pointer. A word so long that it is none, as in
        writing without spaces, is its one character.
        """
        index = self._character_at(at)
        if index is None or self._tokens is None or self._text[index].isspace():
            return []
        start, end = index, index + 1
        while start > 0 and not self._text[start - 1].isspace():
            start -= 1
        while end < len(self._text) and not self._text[end].isspace():
            end += 1
        if end - start > LONGEST_WORD:
            start, end = index, index + 1
        e = self._tokens.extents
        with np.errstate(invalid="ignore"):
            hits = np.flatnonzero((e[:, 0] < end) & (e[:, 1] > start))[:MOST_TOKENS]
        return [self._tokens.label(int(hit)).strip() for hit in hits]
