"""A small plot of curves, bars or points, drawn in the theme's colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from mmstudio.desktop.theme import THEME, colours

Floats = NDArray[np.float64]
RIGHT, ABOVE, BELOW, REACH = 12, 22, 36, 14
"""Pixels around the plot, and how far from a point a click still means it."""


@dataclass(frozen=True)
class Line:
    """``xs (k,)`` and ``ys (k,)`` as a polyline of a colour; the theme's accent where none is named."""

    xs: Floats
    ys: Floats
    colour: str = ""
    width: float = 1.6
    dashed: bool = False
    name: str = ""
    """Of the legend at the lower right, where it has one."""


@dataclass(frozen=True)
class Drawing:
    """What a plot shows: lines, bars between ``edges (b + 1,)`` of ``heights (b,)`` (nan: none), points ``(k,)``."""

    title: str = ""
    across: str = ""
    up: str = ""
    lines: tuple[Line, ...] = ()
    edges: Floats | None = None
    heights: Floats | None = None
    xs: Floats | None = None
    ys: Floats | None = None
    span: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest of both axes."""


class Plot(QWidget):
    """Draws a ``Drawing``; a click near a point gives its place in the list."""

    pointChosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.drawing = Drawing()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(150, 120)
        THEME.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(280, 220)

    def show_drawing(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.setAccessibleName(drawing.title)
        self.setCursor(Qt.CursorShape.PointingHandCursor if drawing.xs is not None else Qt.CursorShape.ArrowCursor)
        self.update()

    # ---- geometry -----------------------------------------------------------------------------------------------

    def _field(self) -> QRectF:
        """Where the curves lie."""
        left = 24 + max(self.fontMetrics().horizontalAdvance(word) for _, word in self._ticks())
        field = QRectF(self.rect()).adjusted(left, ABOVE, -RIGHT, -BELOW)
        return QRectF(field.left(), field.top(), max(1.0, field.width()), max(1.0, field.height()))

    def _ticks(self) -> list[tuple[float, str]]:
        """Shares of an axis and their words."""
        low, high = self.drawing.span
        return [(share, _word(low + share * (high - low))) for share in (0.0, 0.5, 1.0)]

    def _places(self, xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
        """``(k,)`` and ``(k,)`` pixels."""
        (low, high), field = self.drawing.span, self._field()
        scale = max(high - low, 1e-300)
        return (field.left() + (xs - low) / scale * field.width(),
                field.bottom() - (ys - low) / scale * field.height())

    def place_of(self, point: int) -> QPointF:
        """Where a point is drawn."""
        drawing = self.drawing
        assert drawing.xs is not None
        assert drawing.ys is not None
        x, y = self._places(drawing.xs[point:point + 1], drawing.ys[point:point + 1])
        return QPointF(float(x[0]), float(y[0]))

    # ---- drawing ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw_axes(painter)
            painter.setClipRect(self._field().adjusted(-2, -2, 2, 2))
            self._draw_bars(painter)
            for line in self.drawing.lines:
                dash = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
                painter.setPen(QPen(QColor(line.colour or colours().accent), line.width, dash))
                painter.drawPolyline(self._polygon(line.xs, line.ys))
            if self.drawing.xs is not None and self.drawing.ys is not None:
                colour = QColor(colours().accent)
                colour.setAlpha(170 if len(self.drawing.xs) < 1000 else 80)
                painter.setPen(QPen(colour, 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
                painter.drawPoints(self._polygon(self.drawing.xs, self.drawing.ys))
            self._draw_legend(painter)

    def _polygon(self, xs: Floats, ys: Floats) -> QPolygonF:
        x, y = self._places(xs, ys)
        return QPolygonF([QPointF(*place) for place in zip(x.tolist(), y.tolist(), strict=True)])

    def _draw_axes(self, painter: QPainter) -> None:
        c, field, metrics = colours(), self._field(), self.fontMetrics()
        painter.setPen(QColor(c.text))
        elide = Qt.TextElideMode.ElideRight
        painter.drawText(QRectF(field.left(), 2, self.width() - field.left(), ABOVE - 4),
                         int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
                         metrics.elidedText(self.drawing.title, elide, int(self.width() - field.left())))
        for share, word in self._ticks():
            x, y = field.left() + share * field.width(), field.bottom() - share * field.height()
            painter.setPen(QColor(c.line))
            painter.drawLine(QPointF(x, field.top()), QPointF(x, field.bottom()))
            painter.drawLine(QPointF(field.left(), y), QPointF(field.right(), y))
            painter.setPen(QColor(c.faint))
            wide = metrics.horizontalAdvance(word) + 4
            painter.drawText(QRectF(min(x - wide / 2, self.width() - wide), field.bottom() + 3, wide, 16),
                             int(Qt.AlignmentFlag.AlignHCenter), word)
            painter.drawText(QRectF(0, y - (13 if share == 0 else 8), field.left() - 5, 16),
                             int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), word)
        painter.drawText(QRectF(field.left(), field.bottom() + 17, field.width(), 17),
                         int(Qt.AlignmentFlag.AlignHCenter),
                         metrics.elidedText(self.drawing.across, elide, int(field.width())))
        painter.save()
        painter.translate(2, field.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, field.height(), 15), int(Qt.AlignmentFlag.AlignHCenter),
                         metrics.elidedText(self.drawing.up, elide, int(field.height())))
        painter.restore()

    def _draw_legend(self, painter: QPainter) -> None:
        """Names of lines from the bottom upwards, where all have room."""
        field, metrics = self._field(), self.fontMetrics()
        named = [line for line in self.drawing.lines if line.name]
        if len(named) * metrics.height() > field.height() * 0.8:
            return
        room = int(field.width() * 0.55)
        for number, line in enumerate(reversed(named)):
            name = metrics.elidedText(line.name, Qt.TextElideMode.ElideRight, room)
            bottom = field.bottom() - 4 - number * metrics.height()
            left = field.right() - 6 - metrics.horizontalAdvance(name)
            painter.setPen(QPen(QColor(line.colour or colours().accent), 2))
            middle = bottom - metrics.height() / 2
            painter.drawLine(QPointF(left - 18, middle), QPointF(left - 5, middle))
            painter.setPen(QColor(colours().text))
            painter.drawText(QPointF(left, bottom - metrics.descent()), name)

    def _draw_bars(self, painter: QPainter) -> None:
        edges, heights = self.drawing.edges, self.drawing.heights
        if edges is None or heights is None:
            return
        xs, ys = self._places(edges, np.append(heights, 0.0))
        fill = QColor(colours().accent)
        fill.setAlpha(110)
        painter.setPen(QColor(colours().accent))
        painter.setBrush(fill)
        for left, right, top in zip(xs[:-1].tolist(), xs[1:].tolist(), ys[:-1].tolist(), strict=True):
            if math.isfinite(top):
                painter.drawRect(QRectF(left + 1, top, right - left - 2, self._field().bottom() - top))

    # ---- choosing -----------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.drawing.xs is None or self.drawing.ys is None or not len(self.drawing.xs):
            return
        x, y = self._places(self.drawing.xs, self.drawing.ys)
        far = np.hypot(x - event.position().x(), y - event.position().y())
        nearest = int(far.argmin())
        if event.button() == Qt.MouseButton.LeftButton and far[nearest] <= REACH:
            self.pointChosen.emit(nearest)


def _word(value: float) -> str:
    """A number of an axis: without an exponent where it is of a usual size."""
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}" if abs(value) < 1e-3 or abs(
        value) >= 1e7 else f"{value:,.0f}"
