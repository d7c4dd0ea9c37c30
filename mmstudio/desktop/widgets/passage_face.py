"""A text, large, with its relevance behind its letters, whatever script they are of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QPainter,
    QPaintEvent,
    QRegion,
    QResizeEvent,
    QTextLayout,
    QTextLine,
    QTextOption,
)

from mmstudio.desktop import heat
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import colours
from mmstudio.desktop.widgets.faces import Face
from mmstudio.encoders.base import Positions
from mmstudio.explain import letters
from mmstudio.explain.overlay import owners

MOST_TOKENS = 12
LONGEST_WORD = 40
MOST_LETTERS = 20_000
"""More would not be seen: a widget is not endlessly high."""
BRIGHT = 0.62
"""Share of relevance from which on letters are dark on its colour."""


class PassageFace(Face):
    """A text whose letters are coloured. Qt shapes it as its script wants; it is plain text, never rich text."""

    LINE = 1.75

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._tokens: Positions | None = None
        self._layout = QTextLayout()
        self._heads = self._owner = np.zeros(0, np.int64)
        self._units = np.zeros(1, np.int64)

    def show_text(self, text: str) -> None:
        """The beginning of a very long one."""
        self._text = letters.visible(text[:MOST_LETTERS])
        self._heads = letters.heads(self._text)
        wide = np.array([1 + (letter > "\uffff") for letter in self._text], np.int64)
        self._units = np.append(0, np.cumsum(wide))  # where each character begins in UTF-16, in which Qt counts
        self._map_changed()
        self._lay_out()
        self.update()

    def show_tokens(self, tokens: Positions | None) -> None:
        """How the encoder cuts this text, told where the pointer rests on a word."""
        self._tokens = tokens if tokens is not None and tokens.kind == "character" else None

    def _map_changed(self) -> None:
        of_text = self.map is not None and self.map.positions.kind == "character"
        self._owner = owners(self.map, self._heads) if self.map is not None and of_text else np.full_like(
            self._heads, -1)

    def sizeHint(self) -> QSize:
        return QSize(320, 120)

    def heightForWidth(self, width: int) -> int:
        last = self._layout.lineAt(self._layout.lineCount() - 1)
        return int(last.y() + last.height() + 20) if last.isValid() else 60

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        font = self.font()
        font.setPixelSize(16)
        self.setFont(font)
        option = QTextOption()
        option.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._layout = QTextLayout(self._text.replace("\n", "\u2028"), font)
        self._layout.setTextOption(option)
        self._layout.beginLayout()
        y, height = 10.0, QFontMetricsF(font).height() * self.LINE
        while (line := self._layout.createLine()).isValid():
            line.setLineWidth(max(20, self.width() - 20))
            line.setPosition(QPointF(10, y))
            y += height
        self._layout.endLayout()
        self.setMinimumHeight(min(4000, self.heightForWidth(self.width())))

    def boxes_of(self, start: int, end: int) -> list[QRectF]:
        """Where the characters ``start`` to ``end`` are drawn: a box on every line, or several where they are read in
        both directions.
        """
        first, last = int(self._units[start]), int(self._units[end])
        found = list[QRectF]()
        for number in range(self._layout.lineForTextPosition(first).lineNumber(), self._layout.lineCount()):
            line = self._layout.lineAt(number)
            a, b = max(first, line.textStart()), min(last, line.textStart() + line.textLength())
            if a >= last:
                break
            boxes = [run.boundingRect() for run in line.glyphRuns(a, b - a)] if b > a else []
            found += [QRectF(box.left(), line.y() - 2, box.width(), line.height() + 4) for box in boxes]
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        bright, seen = QRegion(), event.rect()
        with QPainter(self) as painter:
            first, last = self._characters(self._lines_at(seen.top(), seen.bottom()))
            edges = np.flatnonzero(np.diff(self._owner[first:last])) + first + 1
            for start, end in pairwise(sorted({first, *edges.tolist(), last})):
                if self._owner[start] < 0:
                    continue
                share = float(self._shares[self._owner[start]])
                for box in self.boxes_of(start, end):
                    painter.fillRect(box, heat.colour(share, 0.25 + 0.65 * share))
                    if share > BRIGHT:
                        bright += box.toAlignedRect()
            for region, ink in ((QRegion(seen) - bright, colours().text), (bright, "#111111")):
                painter.setClipRegion(region)
                painter.setPen(QColor(ink))
                self._layout.draw(painter, QPointF(0, 0), [], QRectF(seen))

    def position_at(self, at: QPointF) -> int | None:
        index = self._character_at(at)
        place = -1 if index is None else int(self._owner[index])
        return place if place >= 0 else None

    def _lines_at(self, top: float, bottom: float) -> list[QTextLine]:
        lines = (self._layout.lineAt(number) for number in range(self._layout.lineCount()))
        return [line for line in lines if line.y() - 2 <= bottom and top <= line.y() + line.height() + 2]

    def _characters(self, lines: Sequence[QTextLine]) -> tuple[int, int]:
        """The first character of some lines that follow upon one another, and that after the last."""
        if not lines:
            return 0, 0
        units = lines[0].textStart(), lines[-1].textStart() + lines[-1].textLength()
        first, last = np.searchsorted(self._units, units).tolist()
        return first, last

    def _character_at(self, at: QPointF) -> int | None:
        """The first character of the letter under the pointer."""
        first, last = self._characters(self._lines_at(at.y(), at.y())[:1])
        for start, end in pairwise(sorted({*self._heads[first:last].tolist(), last})):
            if any(box.contains(at) for box in self.boxes_of(start, end)):
                return int(start)
        return None

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
