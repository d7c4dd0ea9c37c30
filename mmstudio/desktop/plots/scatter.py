"""The map's canvas: many points of several shapes and colours that pan, zoom, move and can be picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEasingCurve, QElapsedTimer, QEvent, QPoint, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.plots.sprites import SHAPES, Sprites
from mmstudio.desktop.plots.transform import Transform, inside_polygon
from mmstudio.desktop.theme import THEME, colours

Mode = Literal["pan", "lasso", "box"]
HOVER_PIXELS, HOVER_MS, GLIDE_MS = 14, 125, 500


@dataclass
class Points:
    """What is drawn: ``keys (n,)``, ``places (n, 2)`` float32, ``shapes (n,)`` and ``columns (n,)`` int64."""

    keys: NDArray[np.int64]
    places: NDArray[np.float32]
    shapes: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def none(cls) -> Points:
        empty = np.empty(0, np.int64)
        return cls(empty, np.empty((0, 2), np.float32), empty, empty)


class Scatter(QWidget):
    """Draws points; tells what the person picked. It knows nothing of items."""

    picked = Signal(object, object)
    lassoed = Signal(list, object)
    hovered = Signal(object)
    opened = Signal(object)
    cleared = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.transform = Transform()
        self.points = Points.none()
        self.mode: Mode = "pan"
        self.animated = True
        self._colours: list[QColor] = []
        self._sprites: Sprites | None = None
        self._hidden = np.zeros(0, bool)
        self._selected: frozenset[int] = frozenset()
        self._current: int | None = None
        self._links: list[int] = []
        self._from: NDArray[np.float32] | None = None
        self._glide = QElapsedTimer()
        self._tick = QTimer(self, interval=15)
        self._tick.timeout.connect(self._step)
        self._hover = QTimer(self, singleShot=True, interval=HOVER_MS)
        self._hover.timeout.connect(self._tell_hover)
        self._hover_key: int | None = None
        self._pressed: QPointF | None = None
        self._last = QPointF()
        self._lasso: list[QPointF] = []
        self._dragged = False
        self._fitted = True
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(200, 160)
        THEME.changed.connect(self._theme_changed)

    # ---- what is shown ----------------------------------------------------------------------------------------

    def show_points(self, points: Points, palette: list[QColor], glide: bool = True) -> None:
        """Show other points; those of known keys glide from where they are."""
        old_keys, old = self.points.keys, self._now()
        self.points = points
        if [c.rgba() for c in palette] != [c.rgba() for c in self._colours]:
            self._colours, self._sprites = palette, None
        if len(self._hidden) != len(points.keys):
            self._hidden = np.zeros(len(points.keys), bool)
        self._from = None
        if glide and self.animated and len(old) and len(points.keys):
            self._from = _starting_places(old_keys, old, points)
            self._glide.start()
            self._tick.start()
        if self._fitted:
            self.fit()
        self.update()

    def move_points(self, places: NDArray[np.float32]) -> None:
        """Put the first ``len(places)`` points elsewhere at once; those behind them (samples) stay."""
        self.points.places[: len(places)] = places
        self._from = None
        if self._fitted:
            self.fit()
        self.update()

    def hide_points(self, hidden: NDArray[np.bool_]) -> None:
        """Leave these points out: not drawn, not picked."""
        self._hidden = hidden
        self.update()

    def move_point(self, key: int, place: NDArray[np.float32]) -> None:
        """Put one point elsewhere at once."""
        rows = np.flatnonzero(self.points.keys == key)
        if len(rows):
            self.points.places[rows[0]] = place
            if self._from is not None:
                self._from[rows[0]] = place
            self.update()

    def show_selection(self, selected: frozenset[int], current: int | None) -> None:
        self._selected, self._current = selected, current
        self.update()

    def show_links(self, keys: list[int]) -> None:
        """Draw lines from the current point to these: its neighbours in the space."""
        self._links = keys
        self.update()

    def fit(self) -> None:
        """Show everything."""
        visible = self.points.places[~self._hidden] if len(self._hidden) else self.points.places
        self.transform.fit(visible, self.width(), self.height())
        self._fitted = True
        self.update()

    def pixel_of(self, key: int) -> QPointF | None:
        """Where a point is drawn now."""
        rows = np.flatnonzero(self.points.keys == key)
        if not len(rows):
            return None
        at = self.transform.to_pixels(self._now()[rows[:1]], self.width(), self.height())[0]
        return QPointF(float(at[0]), float(at[1]))

    def _now(self) -> NDArray[np.float32]:
        """Places at this moment of a glide."""
        if self._from is None:
            return self.points.places
        share = min(1.0, self._glide.elapsed() / GLIDE_MS)
        eased = QEasingCurve(QEasingCurve.Type.InOutCubic).valueForProgress(share)
        return (self._from + (self.points.places - self._from) * np.float32(eased)).astype(np.float32, copy=False)

    def _step(self) -> None:
        if self._glide.elapsed() >= GLIDE_MS:
            self._from = None
            self._tick.stop()
        self.update()

    def _theme_changed(self) -> None:
        self._sprites = None
        self.update()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        c = colours()
        painter.fillRect(self.rect(), QColor(c.base))
        if len(self.points.keys):
            self._draw_points(painter)
        if self._lasso:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(c.accent), 1.5, Qt.PenStyle.DashLine))
            fill = QColor(c.accent)
            fill.setAlpha(36)
            painter.setBrush(fill)
            painter.drawPolygon(QPolygonF(self._outline()))
        if self.hasFocus():
            painter.setPen(QPen(QColor(c.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _draw_points(self, painter: QPainter) -> None:
        if self._sprites is None:
            self._sprites = Sprites([*self._colours, QColor(colours().dim)], QColor(colours().base))
        pixels = self.transform.to_pixels(self._now(), self.width(), self.height())
        visible = ~self._hidden & (pixels[:, 0] > -20) & (pixels[:, 0] < self.width() + 20) \
            & (pixels[:, 1] > -20) & (pixels[:, 1] < self.height() + 20)
        size = self._point_size(int(visible.sum()))
        is_sample = self.points.shapes == SHAPES.index("sample")
        sizes = np.where(is_sample, size * 1.25, size).astype(np.float32)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        chosen = np.isin(self.points.keys, list(self._selected)) if self._selected else np.zeros(len(pixels), bool)
        grey = len(self._colours)
        greyed = len(self._selected) > 1  # one clicked point is ringed; several stand out against grey
        rest = np.flatnonzero(visible & ~chosen)
        rest = np.concatenate([rest[is_sample[rest]], rest[~is_sample[rest]]])  # samples lie under their items
        columns = np.full(len(rest), grey) if greyed else self.points.columns[rest]
        self._sprites.draw(painter, pixels[rest], self.points.shapes[rest], columns, sizes[rest],
                           0.55 if greyed else 0.9)
        self._draw_links(painter, pixels)
        front = np.flatnonzero(visible & chosen)
        self._sprites.draw(painter, pixels[front], self.points.shapes[front], self.points.columns[front],
                           sizes[front] * 1.25, 1.0)
        self._draw_ring(painter, pixels, sizes)

    @staticmethod
    def _point_size(count: int) -> float:
        """Fewer points are drawn larger."""
        return float(np.clip(26 - 4.2 * np.log10(max(count, 1)), 5, 15))

    def _draw_links(self, painter: QPainter, pixels: NDArray[np.float32]) -> None:
        start = self._row(self._current)
        if start is None or not self._links:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(colours().accent)
        colour.setAlpha(150)
        painter.setPen(QPen(colour, 1.3))
        origin = QPointF(*map(float, pixels[start]))
        for key in self._links:
            row = self._row(key)
            if row is not None and not self._hidden[row]:
                painter.drawLine(origin, QPointF(*map(float, pixels[row])))

    def _draw_ring(self, painter: QPainter, pixels: NDArray[np.float32], sizes: NDArray[np.float32]) -> None:
        row = self._row(self._current)
        if row is None or self._hidden[row]:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colours().text), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        radius = float(sizes[row]) * 0.62 + 4
        painter.drawEllipse(QPointF(*map(float, pixels[row])), radius, radius)

    def _row(self, key: int | None) -> int | None:
        if key is None:
            return None
        rows = np.flatnonzero(self.points.keys == key)
        return int(rows[0]) if len(rows) else None

    # ---- picking ----------------------------------------------------------------------------------------------

    def key_at(self, at: QPointF, reach: float = HOVER_PIXELS) -> int | None:
        """The nearest visible point within ``reach`` pixels."""
        if not len(self.points.keys):
            return None
        pixels = self.transform.to_pixels(self._now(), self.width(), self.height())
        squared = (pixels[:, 0] - at.x()) ** 2 + (pixels[:, 1] - at.y()) ** 2
        squared[self._hidden] = np.inf
        row = int(squared.argmin())
        return int(self.points.keys[row]) if squared[row] <= reach**2 else None

    def _inside_outline(self) -> list[int]:
        pixels = self.transform.to_pixels(self._now(), self.width(), self.height())
        outline = np.array([(p.x(), p.y()) for p in self._outline()], np.float32)
        return [int(k) for k in self.points.keys[inside_polygon(pixels, outline) & ~self._hidden]]

    def _outline(self) -> list[QPointF]:
        if self.mode != "box" or len(self._lasso) < 2:
            return self._lasso
        a, b = self._lasso[0], self._lasso[-1]
        return [a, QPointF(b.x(), a.y()), b, QPointF(a.x(), b.y())]

    # ---- gestures ---------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        self._pressed = self._last = event.position()
        self._dragged = False
        shifted = event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier)
        self._lasso = [event.position()] if shifted or self.mode != "pan" else []

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        if self._pressed is None:
            self._leave_hover_unless(at)
            self._hover.start()
            self._last = at
            return
        if not self._dragged and (at - self._pressed).manhattanLength() < 5:
            return
        self._dragged = True
        self._forget_hover()
        if self._lasso:
            self._lasso.append(at)
        else:
            self.transform.x -= (at.x() - self._last.x()) / self.transform.scale
            self.transform.y += (at.y() - self._last.y()) / self.transform.scale
            self._fitted = False
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        self._last = at
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            return
        self._pressed = None
        self.unsetCursor()
        if self._dragged and self._lasso:
            self.lassoed.emit(self._inside_outline(), event.modifiers())
        elif not self._dragged:
            key = self.key_at(event.position())
            if key is not None:
                self.picked.emit(key, event.modifiers())
            elif not event.modifiers():
                self.cleared.emit()
        self._lasso = []
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        key = self.key_at(event.position())
        if key is None:
            self.fit()
        else:
            self.opened.emit(key)

    def wheelEvent(self, event: QWheelEvent) -> None:
        at = event.position()
        self.transform.zoom_at(at.x(), at.y(), 1.0015 ** event.angleDelta().y(), self.width(), self.height())
        self._fitted = False
        self._forget_hover()
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        factors = {Qt.Key.Key_Plus: 1.25, Qt.Key.Key_Equal: 1.25, Qt.Key.Key_Minus: 0.8}
        steps = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
        key = Qt.Key(event.key())
        if key in factors:
            self.transform.zoom_at(self.width() / 2, self.height() / 2, factors[key], self.width(), self.height())
        elif key in steps:
            self.transform.x += steps[key][0] * 60 / self.transform.scale
            self.transform.y += steps[key][1] * 60 / self.transform.scale
        else:
            super().keyPressEvent(event)
            return
        self._fitted = False
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._fitted:
            self.fit()

    def leaveEvent(self, event: QEvent) -> None:
        self._forget_hover()

    def _tell_hover(self) -> None:
        key = self.key_at(self._last)
        if key != self._hover_key:
            self._hover_key = key
            self.hovered.emit(key)

    def _leave_hover_unless(self, at: QPointF) -> None:
        if self._hover_key is not None and self.key_at(at) != self._hover_key:
            self._forget_hover()

    def _forget_hover(self) -> None:
        self._hover.stop()
        if self._hover_key is not None:
            self._hover_key = None
            self.hovered.emit(None)

    def place_above(self, key: int, card: QWidget) -> None:
        """Put a card above a point, inside the canvas and never under the pointer."""
        at = self.pixel_of(key)
        if at is None:
            return
        size = card.sizeHint()
        x = min(max(4, int(at.x() - size.width() / 2)), max(4, self.width() - size.width() - 4))
        y = int(at.y() - size.height() - 18)
        card.setGeometry(x, y if y >= 4 else int(at.y() + 22), size.width(), size.height())

    def centre_on(self, key: int) -> None:
        """Move the map so that a point outside the view is in the middle."""
        at = self.pixel_of(key)
        if at is not None and not self.rect().contains(QPoint(int(at.x()), int(at.y()))):
            row = self._row(key)
            if row is not None:
                self.transform.x, self.transform.y = (float(v) for v in self.points.places[row])
                self.update()


def _starting_places(
    old_keys: NDArray[np.int64], old: NDArray[np.float32], points: Points,
) -> NDArray[np.float32]:
    """Where each new point was; points that are new start at their own place."""
    order = np.argsort(old_keys)
    at = np.searchsorted(old_keys[order], points.keys).clip(max=len(order) - 1)
    known = old_keys[order][at] == points.keys
    start = points.places.copy()
    start[known] = old[order[at[known]]]
    return start
