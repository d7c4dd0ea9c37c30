"""What is written and drawn over a map's points: names of clusters, links, rings, titles of axes and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QLineF, QObject, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.plots.scatter import Scatter
from mmstudio.desktop.theme import colours

Keys = NDArray[np.int64]
MOST_LINKS = 20_000
"""Lines that are drawn; of more, these many evenly taken."""
WIDEST = 220
"""Pixels of a name."""
_ROOM = 4
_STEPS = sorted(((x / 2, y / 2) for x in range(-8, 9) for y in range(-12, 13)),
                key=lambda at: 4 * at[0] ** 2 + at[1] ** 2)
"""How far aside a name may be written, in halves of its width and in lines, the nearest first."""
_HEAD = 11
"""Pixels of an arrow's head."""


@dataclass(frozen=True)
class Name:
    """A cluster's name, at a ``place (2,)`` of the map; names of more ``members`` come first where room is short. One
    that ``moves`` is written near by then, with a line to its place.
    """

    text: str
    place: tuple[float, float]
    members: int
    moves: bool = False


@dataclass(frozen=True)
class Arrow:
    """From one place of the map to another."""

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Overlay:
    """All there is to draw. ``links (m, 2)`` are keys that a line joins, ``rings (r,)`` keys with a ring around."""

    names: tuple[Name, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    links: Keys = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    rings: Keys = field(default_factory=lambda: np.zeros(0, np.int64))
    axes: tuple[str, str] | None = None
    figures: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.arrows or len(self.links) or len(self.rings) or self.axes or self.figures)


class Marks(QWidget):
    """Lies over the canvas and follows it; the mouse goes through it. ``shown`` are what several pages want drawn."""

    def __init__(self, canvas: Scatter) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.shown: dict[str, Overlay] = {}
        self.written: list[tuple[QRectF, str]] = []
        """The boxes of the names that were drawn last."""
        self._rays: tuple[int, list[int]] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        canvas.installEventFilter(self)
        self.hide()

    def put(self, of: str, overlay: Overlay | None) -> None:
        """What the page ``of`` wants drawn from now on; None for nothing."""
        if overlay:
            self.shown[of] = overlay
        else:
            self.shown.pop(of, None)
        self._fit()

    def show_rays(self, key: int | None, near: Sequence[int] = ()) -> None:
        """Draw lines from the point of this key to those near it in truth, or none."""
        self._rays = (key, list(near)) if key is not None and len(near) else None
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self._fit()
        return False

    def _fit(self) -> None:
        self.setGeometry(self._canvas.rect())
        self.setVisible(bool(self.shown) or self._rays is not None)
        self.lower()  # the legend and the card of a point lie above it
        self.update()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            accent = QColor(colours().accent)
            for overlay in self.shown.values():
                self._draw_links(painter, overlay.links)
                self._draw_rings(painter, overlay.rings)
            if self._rays is not None:
                key, near = self._rays
                painter.setPen(QPen(accent, 1.6))
                painter.drawLines(self._lines(np.array([(key, other) for other in near], np.int64)))
            for overlay in self.shown.values():
                self._draw_arrows(painter, overlay.arrows)
            self._draw_names(painter, [name for overlay in self.shown.values() for name in overlay.names])
            for overlay in self.shown.values():
                if overlay.axes:
                    self._draw_axes(painter, overlay.axes)
            self._draw_figures(painter, [line for overlay in self.shown.values() for line in overlay.figures])

    def _pixels(self, keys: Keys) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Where keys are ``(m, 2)``, and which are to be seen."""
        canvas, points = self._canvas, self._canvas.points
        order = np.argsort(points.keys, kind="stable")
        at = order[np.searchsorted(points.keys, keys, sorter=order).clip(max=max(0, len(order) - 1))]
        there = (points.keys[at] == keys) & ~canvas.hidden[at]
        return canvas.transform.to_pixels(canvas.drawing.places(at), canvas.width(), canvas.height()), there

    def _lines(self, links: Keys) -> list[QLineF]:
        if not len(links) or not len(self._canvas.points.keys):
            return []
        pixels, there = self._pixels(links.ravel())
        ends = pixels.reshape(-1, 4)[there.reshape(-1, 2).all(axis=1)]
        return [QLineF(*end) for end in ends.tolist()]

    def _draw_links(self, painter: QPainter, links: Keys) -> None:
        links = links[:: max(1, -(-len(links) // MOST_LINKS))]
        colour = QColor(colours().text)
        colour.setAlpha(int(np.clip(9000 / max(len(links), 1), 26, 140)))
        painter.setPen(QPen(colour, 1.1))
        painter.drawLines(self._lines(links))

    def _draw_rings(self, painter: QPainter, rings: Keys) -> None:
        if not len(rings) or not len(self._canvas.points.keys):
            return
        painter.setPen(QPen(QColor(colours().accent), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        pixels, there = self._pixels(rings)
        for x, y in pixels[there].tolist():
            painter.drawEllipse(QPointF(x, y), 9, 9)

    def _draw_arrows(self, painter: QPainter, arrows: Sequence[Arrow]) -> None:
        colour = QColor(colours().text)
        painter.setPen(QPen(colour, 2.4))
        painter.setBrush(colour)
        for arrow in arrows:
            ends = self._canvas.transform.to_pixels(np.array([arrow.start, arrow.end], np.float32), self.width(),
                                                    self.height())
            line = QLineF(*ends.ravel().tolist())
            painter.drawEllipse(line.p1(), 4, 4)
            if line.length() > _HEAD:
                painter.drawLine(line)
                wings = [QLineF.fromPolar(_HEAD, line.angle() + turn).p2() for turn in (155, 205)]
                painter.drawPolygon([line.p2(), *(line.p2() + wing for wing in wings)])

    def _draw_names(self, painter: QPainter, names: list[Name]) -> None:
        """Larger clusters first, and none over another: the nearer the map, the more there is room for."""
        c, canvas = colours(), self._canvas
        font = QFont(self.font())
        font.setBold(True)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        self.written, taken = [], self._taken(metrics.height() + 3)
        for name in sorted(names, key=lambda name: -name.members):
            x, y = canvas.transform.to_pixels(np.array([name.place], np.float32), self.width(), self.height())[0]
            text = metrics.elidedText(name.text, Qt.TextElideMode.ElideRight, WIDEST)
            size, place = QSizeF(metrics.horizontalAdvance(text) + 12, metrics.height() + 4), QPointF(x, y)
            box = self._free(place, size, taken, name.moves)
            if box is not None:
                taken.append(box)
                self.written.append((box, text))
                if not box.contains(place):
                    painter.setPen(QPen(QColor(c.text), 1))
                    painter.drawLine(place, box.center())
        for box, text in self.written:
            self._write(painter, box, text)
        painter.setFont(self.font())

    def _free(self, place: QPointF, size: QSizeF, taken: list[QRectF], moves: bool) -> QRectF | None:
        """Where a plate of this size fits, in the middle of its place or, if it may move, as near as can be."""
        seen = QRectF(self.rect())
        for x, y in _STEPS if moves and seen.contains(place) else _STEPS[:1]:
            box = QRectF(QPointF(), size)
            box.moveCenter(place + QPointF(x * (size.width() / 2 + _ROOM), y * (size.height() + _ROOM)))
            room = box.adjusted(-_ROOM, -_ROOM, _ROOM, _ROOM)
            if seen.contains(box) and not any(room.intersects(other) for other in taken):
                return box
        return None

    def _taken(self, line: int) -> list[QRectF]:
        """Where the legend is, and the figures."""
        above = [child for child in self._canvas.children() if isinstance(child, QWidget) and child is not self]
        taken = [QRectF(child.geometry()) for child in above if child.isVisible()]
        lines = sum(len(overlay.figures) for overlay in self.shown.values())
        return [*taken, QRectF(self.width() - WIDEST, 0, WIDEST, line * lines + 20)] if lines else taken

    def _draw_plate(self, painter: QPainter, box: QRectF) -> None:
        back = QColor(colours().raised)
        back.setAlpha(225)
        painter.setPen(QColor(colours().line))
        painter.setBrush(back)
        painter.drawRoundedRect(box, 4, 4)

    def _draw_axes(self, painter: QPainter, axes: tuple[str, str]) -> None:
        """At the ends of the axes, where the legend is not."""
        metrics = painter.fontMetrics()
        wide = [metrics.elidedText(title, Qt.TextElideMode.ElideRight, 260) for title in axes]
        width = metrics.horizontalAdvance(wide[0]) + 16
        self._write(painter, QRectF(self.width() - width - 8, self.height() - 30, width, 22), wide[0])
        width = metrics.horizontalAdvance(wide[1]) + 16
        painter.save()
        painter.translate(4, width + 8)
        painter.rotate(-90)
        self._write(painter, QRectF(0, 0, width, 22), wide[1])
        painter.restore()

    def _write(self, painter: QPainter, box: QRectF, text: str) -> None:
        self._draw_plate(painter, box)
        painter.setPen(QColor(colours().text))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)

    def _draw_figures(self, painter: QPainter, figures: list[str]) -> None:
        if not figures:
            return
        metrics = painter.fontMetrics()
        width, line = max(metrics.horizontalAdvance(text) for text in figures) + 20, metrics.height() + 3
        box = QRectF(self.width() - width - 10, 10, width, line * len(figures) + 10)
        self._draw_plate(painter, box)
        painter.setPen(QColor(colours().text))
        for at, text in enumerate(figures):
            painter.drawText(QRectF(box.left() + 10, box.top() + 5 + at * line, width, line),
                             int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text)
