"""Parallel coordinates (Inselberg 1985): one line a trial over an axis for each setting and one for its metric.
Dragging along axes brushes them; what passes all brushes is chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QLinearGradient,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, colours

ABOVE, BELOW, SIDE, BAR = 28, 14, 62, 8
"""Pixels above, below and beside the axes, and how broad the metric's is."""
REACH, NEAR, STILL = 12, 7, 4
"""Pixels: from an axis that is brushed, from a line that is clicked, and what a hand moves in a click."""
MANY = 60


@dataclass(frozen=True)
class Axis:
    """``ticks`` are shares of the axis, from its foot, with their words."""

    title: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Strand:
    """A trial: where it crosses each axis, as shares, the last of which it may not reach; ``worth`` 0..1 is the metric,
    1 the best. ``told`` is plain text.
    """

    key: int
    shares: tuple[float, ...]
    worth: float | None = None
    dashed: bool = False
    told: str = ""


class ParallelPlot(QWidget):
    """``chosen`` gives keys: those that pass the brushes, or the one whose line was clicked; none when all brushes are
    taken away.
    """

    chosen = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.axes: tuple[Axis, ...] = ()
        self.strands: tuple[Strand, ...] = ()
        self.brushes: dict[int, tuple[float, float]] = {}
        self._best_is_high = True
        self._bold: frozenset[int] = frozenset()
        self._drag: tuple[int, float] | None = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 120)
        self.setAccessibleName(tr("Trials over their settings"))
        THEME.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(520, 240)

    def show_strands(self, axes: Sequence[Axis], strands: Sequence[Strand], best_is_high: bool) -> None:
        """Draw these; brushes of the same axes stay. On the last axis the best is at the top or at the foot."""
        if [axis.title for axis in axes] != [axis.title for axis in self.axes]:
            self.brushes = {}
        self.axes, self.strands, self._best_is_high = tuple(axes), tuple(strands), best_is_high
        self.update()

    def show_bold(self, keys: Collection[int]) -> None:
        """Draw these above the others."""
        self._bold = frozenset(keys)
        self.update()

    def passing(self) -> list[int]:
        """Keys of the lines that cross every brushed axis within its brush."""
        return [one.key for one in self.strands if all(
            axis < len(one.shares) and low <= one.shares[axis] <= high for axis, (low, high) in self.brushes.items())]

    # ---- geometry -----------------------------------------------------------------------------------------------

    def place(self, axis: int, share: float) -> QPointF:
        """Where a share of an axis lies."""
        wide = max(1, self.width() - 2 * SIDE)
        high = max(1, self.height() - ABOVE - BELOW)
        return QPointF(SIDE + wide * axis / max(1, len(self.axes) - 1), ABOVE + high * (1 - share))

    def _share(self, y: float) -> float:
        return float(np.clip(1 - (y - ABOVE) / max(1, self.height() - ABOVE - BELOW), 0, 1))

    def _axis_at(self, at: QPointF) -> int | None:
        gaps = [abs(self.place(axis, 0).x() - at.x()) for axis in range(len(self.axes))]
        return int(np.argmin(gaps)) if gaps and min(gaps) <= REACH else None

    def _strand_at(self, at: QPointF) -> Strand | None:
        """The line that is nearest to a place between two axes."""
        gaps = [(abs(y - at.y()), place) for place, one in enumerate(self.strands)
                if (y := self._height_of(one, at.x())) is not None]
        return self.strands[min(gaps)[1]] if gaps and min(gaps)[0] <= NEAR else None

    def _height_of(self, one: Strand, x: float) -> float | None:
        places = [self.place(axis, share) for axis, share in enumerate(one.shares)]
        xs = [place.x() for place in places]
        return float(np.interp(x, xs, [place.y() for place in places])) if xs and xs[0] <= x <= xs[-1] else None

    # ---- drawing ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self.strands:
                self._draw(painter)
            else:
                painter.setPen(QColor(colours().faint))
                painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, tr("No trial has begun yet."))

    def _draw(self, painter: QPainter) -> None:
        passing = frozenset(self.passing())
        for one in sorted(self.strands, key=lambda one: (one.key in passing, one.key in self._bold, one.worth or 0.0)):
            self._draw_strand(painter, one, one.key in passing)
        for place in range(len(self.axes)):
            self._draw_axis(painter, place)

    def _draw_strand(self, painter: QPainter, one: Strand, passes: bool) -> None:
        colour = QColor(colours().dim) if one.worth is None else shade(one.worth)
        bold = one.key in self._bold and passes
        colour.setAlpha(255 if bold else 45 if not passes else 220 if len(self.strands) <= MANY else 120)
        dash = Qt.PenStyle.DashLine if one.dashed else Qt.PenStyle.SolidLine
        painter.setPen(QPen(colour, 3.2 if bold else 1.5, dash))
        painter.drawPolyline(QPolygonF([self.place(axis, share) for axis, share in enumerate(one.shares)]))

    def _draw_axis(self, painter: QPainter, place: int) -> None:
        axis, c, metrics = self.axes[place], colours(), self.fontMetrics()
        top, foot = self.place(place, 1), self.place(place, 0)
        last = place == len(self.axes) - 1
        if last:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._gradient(foot, top))
            painter.drawRect(QRectF(top.x() - BAR / 2, top.y(), BAR, foot.y() - top.y()))
        else:
            painter.setPen(QPen(QColor(c.faint), 1.4))
            painter.drawLine(top, foot)
        self._draw_brush(painter, place)
        apart = (self.width() - 2 * SIDE) / max(1, len(self.axes) - 1)
        for share, word in axis.ticks:
            room = SIDE - 12 if last or not place else max(SIDE - 12, apart * 0.6)
            self._draw_word(painter, self.place(place, share), word, room, last)
        painter.setPen(QColor(c.text))
        title = metrics.elidedText(axis.title, Qt.TextElideMode.ElideRight, int(apart - 8))
        wide = metrics.horizontalAdvance(title) + 2
        left = min(max(2.0, top.x() - wide / 2), self.width() - wide - 2)
        painter.drawText(QRectF(left, 3, wide, 18), int(Qt.AlignmentFlag.AlignCenter), title)

    def _draw_word(self, painter: QPainter, at: QPointF, word: str, most: float, right: bool) -> None:
        """A tick's word beside its axis, over what it covers."""
        metrics = self.fontMetrics()
        word = metrics.elidedText(word, Qt.TextElideMode.ElideRight, int(most))
        wide = metrics.horizontalAdvance(word) + 6
        room = QRectF(at.x() + 8 if right else at.x() - 6 - wide, at.y() - 8, wide, 16)
        behind = QColor(colours().window)
        behind.setAlpha(190)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(behind)
        painter.drawRoundedRect(room, 3, 3)
        painter.setPen(QColor(colours().faint))
        painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), word)

    def _draw_brush(self, painter: QPainter, place: int) -> None:
        if place not in self.brushes:
            return
        low, high = (self.place(place, share) for share in self.brushes[place])
        fill = QColor(colours().accent)
        painter.setPen(fill)
        fill.setAlpha(90)
        painter.setBrush(fill)
        painter.drawRect(QRectF(low.x() - 7, high.y(), 14, low.y() - high.y()))

    def _gradient(self, foot: QPointF, top: QPointF) -> QLinearGradient:
        made = QLinearGradient(foot, top)
        for step in range(11):
            made.setColorAt(step / 10, shade(step / 10 if self._best_is_high else 1 - step / 10))
        return made

    # ---- what a person does -------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        axis = self._axis_at(event.position())
        if event.button() != Qt.MouseButton.LeftButton or not self.strands:
            return
        if axis is not None:
            self._drag = axis, event.position().y()
        elif (one := self._strand_at(event.position())) is not None:
            self.chosen.emit([one.key])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is None:
            axis, strand = self._axis_at(event.position()), self._strand_at(event.position())
            shape = Qt.CursorShape
            self.setCursor(shape.SizeVerCursor if axis is not None and self.strands else
                           shape.PointingHandCursor if strand is not None else shape.ArrowCursor)
            return
        axis, began = self._drag
        ends = sorted((self._share(began), self._share(event.position().y())))
        self.brushes[axis] = ends[0], ends[1]
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._drag is None:
            return
        axis, began = self._drag
        self._drag = None
        if abs(event.position().y() - began) < STILL:
            self.brushes.pop(axis, None)
        self.update()
        self.chosen.emit(self.passing() if self.brushes else [])

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            one = self._strand_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), one.told if one is not None else tr(
                "Drag along an axis to choose the trials that cross it there; a click on it takes that away."), self)
            return True
        return super().event(event)


def shade(worth: float) -> QColor:
    """The colour of 0 (worst) to 1 (best), which stands out most; a part of a perceptually uniform map that is seen on
    the theme's ground.
    """
    return heat.colour(0.3 + 0.7 * worth if colours().dark else 0.8 * (1 - worth))
