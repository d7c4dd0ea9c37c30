"""Who looks at what: small matrices of shares, one beside the other as far as there is room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from mmstudio.desktop.theme import THEME, colours

CELL, ROW, NAME, EDGE, GAP = 58, 24, 72, 8, 16
STRONGEST = 0.85
"""Of a share of 1: its colour does not hide what is written on it."""


@dataclass(frozen=True)
class Looks:
    """``shares (asking, looked at)`` of 0..1 under a title; nan is nothing."""

    title: str
    shares: NDArray[np.float32]


class AttentionGrid(QWidget):
    """``names`` are of what is looked at; the first of them ask, as many as a matrix has rows."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.shown: list[Looks] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        THEME.changed.connect(self.update)

    def show_looks(self, names: Sequence[str], shown: Sequence[Looks]) -> None:
        self.names, self.shown = list(names), list(shown)
        lines = [(one.title, asks, row) for one in shown for asks, row in zip(names, one.shares.tolist(), strict=False)]
        self.setAccessibleDescription("\n".join(f"{title}, {asks}: " + ", ".join(
            f"{name} {_percent(share)}" for name, share in zip(names, row, strict=True)) for title, asks, row in lines))
        self._fit()
        self.update()

    # ---- geometry -----------------------------------------------------------------------------------------------

    @property
    def _wide(self) -> int:
        return NAME + CELL * len(self.names) + GAP

    def _places(self) -> list[tuple[int, int]]:
        """The upper left corner of each matrix, and at last of one more line."""
        across = max(1, (self.width() - EDGE) // self._wide)
        found, top, highest = list[tuple[int, int]](), 0, 0
        for place, one in enumerate(self.shown):
            if place and place % across == 0:
                top, highest = top + highest, 0
            highest = max(highest, ROW * (2 + len(one.shares)) + EDGE)
            found.append((EDGE + place % across * self._wide, top))
        return [*found, (0, top + highest)]

    def _fit(self) -> None:
        if self.height() != self._places()[-1][1]:
            self.setFixedHeight(self._places()[-1][1])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(self._wide + EDGE, self._places()[-1][1])

    def minimumSizeHint(self) -> QSize:
        return QSize(self._wide + EDGE if self.shown else 0, 0)

    # ---- drawing ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            for (left, top), one in zip(self._places(), self.shown, strict=False):
                self._draw(painter, left, top, one)

    def _draw(self, painter: QPainter, left: int, top: int, one: Looks) -> None:
        c, middle = colours(), int(Qt.AlignmentFlag.AlignCenter)
        beside = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(left, top, self._wide - GAP, ROW), beside, one.title)
        painter.setPen(QColor(c.faint))
        for column, name in enumerate(self.names):
            painter.drawText(QRectF(left + NAME + column * CELL, top + ROW, CELL, ROW), middle, self._short(name, CELL))
        for row, (asks, shares) in enumerate(zip(self.names, one.shares.tolist(), strict=False)):
            y = top + (2 + row) * ROW
            painter.setPen(QColor(c.faint))
            painter.drawText(QRectF(left, y, NAME, ROW), beside, self._short(asks, NAME))
            for column, share in enumerate(shares):
                cell = QRectF(left + NAME + column * CELL, y, CELL - 2, ROW - 2)
                fill = QColor(c.accent)
                fill.setAlphaF(0.0 if math.isnan(share) else STRONGEST * min(1.0, max(0.0, share)))
                painter.fillRect(cell, fill)
                painter.setPen(QColor(c.line))
                painter.drawRect(cell)
                painter.setPen(QColor(c.text))
                painter.drawText(cell, middle, _percent(share))

    def _short(self, name: str, wide: int) -> str:
        return self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, wide - 4)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.0%}"
