"""Curves over one axis: drawn at the screen's resolution, panned, zoomed, and read by a line under the pointer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from mmstudio.desktop.plots.bands import Band, columns, dashed, painted
from mmstudio.desktop.plots.curve_runs import Axis, Curve
from mmstudio.desktop.plots.ticks import log_ticks, ticks
from mmstudio.desktop.plots.trace import Floats
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import colours

_FAR = 20_000.0
"""Pixels beyond which a place is as good as outside."""
_FAINT, _THICK = 80, 1.7
"""Alpha of what is smoothed; pixels of a line."""
_MARKED = 60
"""So many points of a validation at most are marked by dots."""
_SEEN = tuple[Floats, Floats]


@dataclass
class Span:
    """What of the axis the plots show together, and whether it follows what comes."""

    low: float = 0.0
    high: float = 1.0
    following: bool = True


@dataclass
class Drawn:
    """One run's curves in one plot, or one of several quantities that are drawn together, with its ``label``."""

    key: str
    title: str
    colour: QColor
    curves: list[Curve]
    label: str = ""


@dataclass
class How:
    """How both plots draw."""

    axis: Axis = "step"
    log: bool = False
    smoothing: float = 0.9


@dataclass
class _Seen:
    """A curve as this frame shows it: ``raw`` thin, ``strong`` thick; either may be missing."""

    colour: QColor
    dashed: bool
    strong: _SEEN
    raw: _SEEN | None = None
    heights: list[Floats] = field(default_factory=list)


class CurvePlot(QWidget):
    """Draws the curves of runs; wheel and drag move the span that it shares with its neighbour."""

    zoomed = Signal()
    fitWanted = Signal()
    hovered = Signal(object)
    """The place on the axis under the pointer, a float; None as it leaves."""

    def __init__(self, span: Span, how: How, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.nothing = "", ""
        self.drawn: list[Drawn] = []
        self._span, self._how = span, how
        self._heights: tuple[float, float] | None = None
        """What the person zoomed to; None fits what is seen."""
        self._low, self._high = 0.0, 1.0
        self._picture: QPixmap | None = None
        self._hover: float | None = None
        self._pointer: QPointF | None = None
        self._pressed: QPointF | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 90)
        self._measure()

    def sizeHint(self) -> QSize:
        return QSize(420, 220)

    # ---- what is shown ------------------------------------------------------------------------------------------

    def show_curves(self, title: str, drawn: list[Drawn]) -> None:
        if title != self.title:
            self._heights = None
        self.title, self.drawn = title, drawn
        self.setAccessibleName(title)

    def renew(self) -> None:
        """Take in what came since."""
        for curve in (curve for one in self.drawn for curve in one.curves):
            curve.renew(self._how.axis, self._how.log, self._how.smoothing)
        self.redraw()

    def redraw(self) -> None:
        self._picture = None
        self.update()

    def extent(self) -> tuple[float, float] | None:
        """From the first to the last place of any curve."""
        found = [curve.trace.x for one in self.drawn for curve in one.curves if len(curve.trace)]
        return (min(float(x[0]) for x in found), max(float(x[-1]) for x in found)) if found else None

    def fit(self) -> None:
        """Show all heights again."""
        self._heights = None
        self.redraw()

    def show_hover(self, place: float | None) -> None:
        self._hover = place
        self.update()

    # ---- geometry -----------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Make room for numbers beside the curves, by size and font."""
        self._small = QFont(self.font())
        self._small.setPointSizeF(max(6.0, self._small.pointSizeF() * 0.88))
        metrics = QFontMetricsF(self._small)
        self._line = math.ceil(metrics.height())
        left = math.ceil(metrics.horizontalAdvance("-0.0000")) + 10
        self.area = QRectF(left, self._line + 6, max(10, self.width() - left - 8),
                           max(10, self.height() - 2 * self._line - 12))
        """Where curves are, in pixels."""
        self._picture = None

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._measure()

    def x_pixels(self, x: Floats) -> Floats:
        area, span = self.area, self._span
        return np.clip(area.left() + (x - span.low) * (area.width() / (span.high - span.low)), -_FAR, _FAR)

    def y_pixels(self, y: Floats) -> Floats:
        """NaN stays NaN."""
        area = self.area
        if self._how.log:
            y = np.log10(y, out=np.full(len(y), np.nan), where=y > 0)
        return np.clip(area.bottom() - (y - self._low) * (area.height() / (self._high - self._low)), -_FAR, _FAR)

    def place_at(self, pixel: float) -> float:
        area, span = self.area, self._span
        return span.low + (pixel - area.left()) / area.width() * (span.high - span.low)

    # ---- drawing ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._picture is None:
            self._picture = self._rendered()
        with QPainter(self) as painter:
            painter.drawPixmap(0, 0, self._picture)
            if self._hover is not None and self.drawn:
                self._draw_hover(painter, self._hover)
            if self.hasFocus():
                painter.setPen(QPen(QColor(colours().accent), 1))
                painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _rendered(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(QColor(colours().base))
        seen = [self._seen(one.colour, curve) for one in self.drawn for curve in one.curves if len(curve.trace)]
        self._fit_heights(seen)
        painter = QPainter(picture)
        try:
            self._draw_frame(painter, bool(seen))
            self._draw_lines(painter, seen)
            painter.setClipRect(self.area.adjusted(-4, -4, 4, 4))
            for one in seen:
                self._draw_marks(painter, one)
        finally:
            painter.end()  # a picture that is still painted on must not go
        return picture

    def _seen(self, colour: QColor, curve: Curve) -> _Seen:
        span, pixels = self._span, max(1, int(self.area.width() * self.devicePixelRatioF() / 2))
        raw = curve.trace.seen(span.low, span.high, pixels)
        if not curve.trace.smoothing:
            return _Seen(colour, curve.validates, raw, None, [raw[1]])
        strong = curve.trace.seen(span.low, span.high, pixels, smoothed=True)
        return _Seen(colour, curve.validates, strong, raw, [raw[1], strong[1]])

    def _fit_heights(self, seen: list[_Seen]) -> None:
        if self._heights is not None:
            self._low, self._high = self._heights
            return
        ends = [end for one in seen for y in one.heights if (end := _ends(y)) is not None]
        low, high = (min(a for a, _ in ends), max(b for _, b in ends)) if ends else (0.1, 1.0)
        if self._how.log:
            low, high = math.log10(low), math.log10(high)
        spare = (high - low) * 0.05 or max(abs(high) * 0.1, 1e-9)
        self._low, self._high = low - spare, high + spare

    def _draw_lines(self, painter: QPainter, seen: list[_Seen]) -> None:
        """All lines as one picture, of device pixels, over the grid."""
        area, ratio = self.area, self.devicePixelRatioF()
        width, height = max(1, int(area.width() * ratio)), max(1, int(area.height() * ratio))
        faint: list[Band] = []
        planes: list[list[Band]] = [[], []]
        for one in seen:
            if one.raw is not None:
                faint.append(self._band(one.raw, width, one.colour, _FAINT))
            band = self._band(one.strong, width, one.colour, 255)
            if one.dashed:
                band.low, band.high = dashed(band.low, band.high, 5 * ratio, 3 * ratio)
            planes[one.dashed].append(band)
        table = painted(width, height, faint, [plane for plane in planes if plane], _THICK * ratio)
        image = QImage(cast(Any, table.data), width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(ratio)
        painter.drawImage(area.topLeft(), image)

    def _band(self, points: _SEEN, width: int, colour: QColor, alpha: int) -> Band:
        area, ratio = self.area, self.devicePixelRatioF()
        low, high = columns((self.x_pixels(points[0]) - area.left()) * ratio,
                            (self.y_pixels(points[1]) - area.top()) * ratio, width)
        return Band(low, high, (colour.red(), colour.green(), colour.blue(), alpha))

    def _draw_marks(self, painter: QPainter, seen: _Seen) -> None:
        """Dots where a validation was, if they are few."""
        if seen.dashed and len(seen.strong[0]) <= _MARKED:
            x, y = self.x_pixels(seen.strong[0]), self.y_pixels(seen.strong[1])
            good = np.isfinite(y)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(seen.colour, 5.5, c=Qt.PenCapStyle.RoundCap))
            painter.drawPoints([QPointF(a, b) for a, b in zip(x[good].tolist(), y[good].tolist(), strict=True)])

    def _draw_frame(self, painter: QPainter, anything: bool) -> None:
        """Grid, numbers, titles."""
        c, area, line = colours(), self.area, self._line
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(self.font())
        painter.setPen(QColor(c.text))
        title = painter.fontMetrics().elidedText(self.title, Qt.TextElideMode.ElideRight, int(area.width()))
        painter.drawText(QRectF(area.left(), 2, area.width(), line + 2), int(middle), title)
        left = area.left() + painter.fontMetrics().horizontalAdvance(title) + 14
        painter.setFont(self._small)
        for label, colour in dict.fromkeys((one.label, one.colour.name()) for one in self.drawn if one.label):
            painter.setPen(QColor(colour))
            painter.drawText(QRectF(left, 2, area.right() - left, line + 2), int(middle), label)
            left += QFontMetricsF(self._small).horizontalAdvance(label) + 10
        if not anything:
            painter.setPen(QColor(c.faint))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), self.nothing)
            return
        self._draw_heights(painter)
        self._draw_places(painter)

    def _draw_heights(self, painter: QPainter) -> None:
        c, area, line = colours(), self.area, self._line
        most = max(2, int(area.height() / (2.2 * line)))
        found = log_ticks(self._low, self._high, most) if self._how.log else ticks(self._low, self._high, most)
        for value, text in found:
            y = float(self.y_pixels(np.array([value]))[0])
            painter.setPen(QPen(QColor(c.line), 0))
            painter.drawLine(QPointF(area.left(), round(y)), QPointF(area.right(), round(y)))
            painter.setPen(QColor(c.faint))
            painter.drawText(QRectF(0, y - line / 2, area.left() - 6, line),
                             int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), text)

    def _draw_places(self, painter: QPainter) -> None:
        c, area, line, metrics = colours(), self.area, self._line, QFontMetricsF(self._small)
        unit = _axis_word(self._how.axis)
        room = area.right() - metrics.horizontalAdvance(unit) - 8
        widest = metrics.horizontalAdvance(f"{self._span.high:,.0f}") + 28
        top = area.bottom() + 3
        painter.setPen(QColor(c.faint))
        painter.drawText(QRectF(area.left(), top, area.width(), line), int(Qt.AlignmentFlag.AlignRight), unit)
        for value, text in ticks(self._span.low, self._span.high, max(2, int(area.width() / widest))):
            x, half = float(self.x_pixels(np.array([value]))[0]), metrics.horizontalAdvance(text) / 2
            painter.setPen(QPen(QColor(c.line), 0))
            painter.drawLine(QPointF(round(x), area.top()), QPointF(round(x), area.bottom()))
            if x + half < room:
                painter.setPen(QColor(c.faint))
                painter.drawText(QPointF(x - half, top + metrics.ascent()), text)

    # ---- reading ------------------------------------------------------------------------------------------------

    def told(self, place: float) -> tuple[str, list[tuple[QColor, str, str]]]:
        """What the box says of a place: its heading, and of each run its colour, title and values."""
        if self._how.axis == "step":
            heading = tr("step {}").format(f"{round(place):,}")
        elif self._how.axis == "epoch":
            heading = tr("epoch {}").format(f"{place:.2f}")
        else:
            heading = tr("{} s").format(f"{place:,.1f}")
        return heading, [(one.colour, one.title, self._values(one, place)) for one in self.drawn]

    def _values(self, one: Drawn, place: float) -> str:
        """“0.412”, with a validation beside it “0.412 · validation 0.5”; “–” where the run has none."""
        words, reach = [], 6 / self.area.width() * (self._span.high - self._span.low)
        for curve in one.curves:
            trace = curve.trace
            row = trace.nearest(place)
            if row is None or not trace.x[0] - reach <= place <= trace.x[-1] + reach:
                continue
            value = f"{trace.smoothed[row]:.4g}"
            words.append(tr("validation {}").format(value) if curve.validates and len(one.curves) > 1 else value)
        return " · ".join(words) or "–"

    def _draw_hover(self, painter: QPainter, place: float) -> None:
        area = self.area
        x = float(self.x_pixels(np.array([place]))[0])
        if not area.left() <= x <= area.right():
            return
        painter.setPen(QPen(QColor(colours().faint), 0, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        if self._pointer is not None:
            self._draw_box(painter, x, *self.told(place))

    def _draw_box(self, painter: QPainter, x: float, heading: str, rows: list[tuple[QColor, str, str]]) -> None:
        c, metrics = colours(), QFontMetricsF(self._small)
        room = min(130, self.width() // 3)
        rows = [(colour, metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, room), text)
                for colour, title, text in rows]
        wide = max([metrics.horizontalAdvance(f"{title}    {text}") + 18 for _, title, text in rows],
                   default=0.0)
        wide = max(wide, metrics.horizontalAdvance(heading)) + 16
        line = min(metrics.height() + 1, (self.height() - 10) / (len(rows) + 1))
        high = line * (len(rows) + 1) + 8
        left = x + 12 if x + 12 + wide < self.width() else x - 12 - wide
        top = self._pointer.y() - high / 2 if self._pointer is not None else 0.0
        box = QRectF(max(1.0, left), max(1.0, min(top, self.height() - high - 2)), wide, high)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        back = QColor(c.raised)
        back.setAlpha(235)
        painter.setBrush(back)
        painter.setPen(QColor(c.line))
        painter.drawRoundedRect(box, 5, 5)
        painter.setFont(self._small)
        inner = QRectF(box.left() + 8, box.top() + 4, wide - 16, line)
        painter.setPen(QColor(c.faint))
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignVCenter), heading)
        for row in rows:
            inner.translate(0, line)
            _draw_row(painter, inner, *row)

    # ---- gestures -----------------------------------------------------------------------------------------------

    def _zoom(self, across: float, down: float, at: QPointF) -> None:
        """Show ``across`` and ``down`` times as much; what is under ``at`` stays there."""
        span, area = self._span, self.area
        share = (at.x() - area.left()) / area.width()
        place, wide = self.place_at(at.x()), (span.high - span.low) * across
        if across != 1 and 1e-9 * max(1.0, abs(place)) < wide < 1e15:
            span.low, span.high = place - share * wide, place + (1 - share) * wide
        share = (area.bottom() - at.y()) / area.height()
        height, high = self._low + share * (self._high - self._low), (self._high - self._low) * down
        if down != 1 and 1e-12 * max(1.0, abs(height)) < high < 1e15:
            self._heights = self._low, self._high = height - share * high, height + (1 - share) * high
        self._moved()

    def _pan(self, right: float, down: float) -> None:
        """Move the curves by pixels."""
        span, area = self._span, self.area
        across, up = right / area.width() * (span.high - span.low), down / area.height() * (self._high - self._low)
        span.low, span.high = span.low - across, span.high - across
        if down:
            self._heights = self._low, self._high = self._low + up, self._high + up
        self._moved()

    def _moved(self) -> None:
        self._span.following = False
        self.redraw()
        self.zoomed.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Both ways at the pointer; beside the curves only the axis under it."""
        at, area, turn = event.position(), self.area, event.angleDelta().y() or event.angleDelta().x()
        factor = 1.0015**-turn
        self._zoom(factor if at.x() >= area.left() else 1.0, factor if at.y() <= area.bottom() else 1.0, at)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._pressed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        if self._pressed is not None:
            moved = at - self._pressed
            if self.cursor().shape() == Qt.CursorShape.ClosedHandCursor or moved.manhattanLength() >= 5:
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
                self._pressed = at
                self._pan(moved.x(), moved.y())
        self._pointer = at if self.area.contains(at) else None
        place = self.place_at(at.x()) if self._pointer is not None else None
        self.hovered.emit(float(round(place)) if place is not None and self._how.axis == "step" else place)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._pressed = None
        self.unsetCursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.fitWanted.emit()

    def leaveEvent(self, event: QEvent) -> None:
        self._pointer = None
        self.hovered.emit(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        factors = {Qt.Key.Key_Plus: 0.8, Qt.Key.Key_Equal: 0.8, Qt.Key.Key_Minus: 1.25}
        steps = {Qt.Key.Key_Left: (60, 0), Qt.Key.Key_Right: (-60, 0), Qt.Key.Key_Up: (0, 40),
                 Qt.Key.Key_Down: (0, -40)}
        key = Qt.Key(event.key())
        if key in factors:
            self._zoom(factors[key], factors[key], self.area.center())
        elif key in steps:
            self._pan(*steps[key])
        elif key == Qt.Key.Key_Home:
            self.fitWanted.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._measure()


# ---- small things -----------------------------------------------------------------------------------------------


def _ends(y: Floats) -> tuple[float, float] | None:
    """The least and the greatest that is a number."""
    good = y[np.isfinite(y)]
    return (float(good.min()), float(good.max())) if len(good) else None


def _draw_row(painter: QPainter, box: QRectF, colour: QColor, title: str, text: str) -> None:
    """A run's line in the box."""
    middle = Qt.AlignmentFlag.AlignVCenter
    painter.setPen(QPen(colour, 2.5))
    painter.drawLine(QPointF(box.left(), box.center().y()), QPointF(box.left() + 11, box.center().y()))
    painter.setPen(QColor(colours().text))
    painter.drawText(box.adjusted(18, 0, 0, 0), int(middle), title)
    painter.drawText(box, int(middle | Qt.AlignmentFlag.AlignRight), text)


def _axis_word(axis: Axis) -> str:
    return {"step": tr("steps"), "epoch": tr("epochs"), "seconds": tr("seconds")}[axis]
