"""Shares of modalities as stacked bars, a row for each name."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.text import count, modality_name
from mmstudio.desktop.theme import MODALITY_COLOURS, THEME, colours
from mmstudio.media import Modality

ROW, NAME, NUMBER, EDGE = 22, 120, 48, 8
WRITTEN = 40
"""Pixels of a bar from which its share is written into it."""
ON_BARS = "#08121d"


class WeightBars(QWidget):
    """``rows`` are a name, a number of examples (0: not written) and the shares of the modalities, of sum 1."""

    def __init__(self) -> None:
        super().__init__()
        self.modalities: tuple[Modality, ...] = ()
        self.rows: list[tuple[str, int, list[float]]] = []
        THEME.changed.connect(self.update)

    def show_rows(self, modalities: tuple[Modality, ...], rows: Sequence[tuple[str, int, list[float]]]) -> None:
        self.modalities, self.rows = modalities, list(rows)
        self.setFixedHeight(self.sizeHint().height())
        self.setAccessibleDescription("\n".join(
            f"{name}: " + ", ".join(f"{modality_name(m)} {share:.0%}" for m, share in zip(
                modalities, shares, strict=True)) for name, _, shares in rows))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(360, ROW * (len(self.rows) + 1) + EDGE)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colours()
        with QPainter(self) as painter:
            left, wide = EDGE + NAME + EDGE, max(40, self.width() - NAME - NUMBER - 4 * EDGE)
            upright = int(Qt.AlignmentFlag.AlignVCenter)
            at = float(EDGE)
            for modality in self.modalities:  # the legend
                painter.fillRect(QRectF(at, 6, 10, 10), QColor(MODALITY_COLOURS[modality]))
                painter.setPen(QColor(c.faint))
                painter.drawText(QRectF(at + 14, 0, 120, ROW), upright, modality_name(modality))
                at += 30 + self.fontMetrics().horizontalAdvance(modality_name(modality))
            for place, (name, number, shares) in enumerate(self.rows, 1):
                top, at = place * ROW, float(left)
                painter.setPen(QColor(c.text))
                shown = self.fontMetrics().elidedText(name.replace("\n", " "), Qt.TextElideMode.ElideRight, NAME)
                painter.drawText(QRectF(EDGE, top, NAME, ROW), upright, shown)
                for modality, share in zip(self.modalities, shares, strict=True):
                    bar = QRectF(at, top + 3, wide * share, ROW - 6)
                    painter.fillRect(bar, QColor(MODALITY_COLOURS[modality]))
                    if bar.width() >= WRITTEN:
                        painter.setPen(QColor(ON_BARS))
                        painter.drawText(bar, int(Qt.AlignmentFlag.AlignCenter), f"{share:.0%}")
                    at += bar.width()
                if number:
                    painter.setPen(QColor(c.faint))
                    painter.drawText(QRectF(left + wide + EDGE, top, NUMBER, ROW),
                                     upright | int(Qt.AlignmentFlag.AlignRight), count(number))
