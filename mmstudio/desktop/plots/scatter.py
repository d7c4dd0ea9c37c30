"""The map's canvas: what a person does to it - pan, zoom, hover, pick, lasso - and what it tells of that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.plots.cloud import Behind, Points
from mmstudio.desktop.plots.drawing import Drawing, Face
from mmstudio.desktop.plots.flight import Flight
from mmstudio.desktop.plots.transform import Transform
from mmstudio.desktop.theme import THEME, colours

Mode = Literal["pan", "lasso", "box", "turn"]
HOVER_PIXELS, HOVER_MS = 14, 125
PAN_PIXELS = 60
_STEPS = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
_FACTORS = {Qt.Key.Key_Plus: 1.25, Qt.Key.Key_Equal: 1.25, Qt.Key.Key_Minus: 0.8}
_WHOLE = (Qt.Key.Key_0, Qt.Key.Key_Home)


class Scatter(QWidget):
    """Draws points; tells what the person picked. It knows nothing of items.

    ``lassoed`` brings the keys ``(n,)`` int64 and the keyboard's modifiers, ``turned`` how many pixels to the right and
    down were dragged where that turns.
    """

    picked = Signal(object, object)
    lassoed = Signal(object, object)
    hovered = Signal(object)
    opened = Signal(object)
    cleared = Signal()
    turned = Signal(float, float)

    def __init__(self, parent: QWidget | None = None, behind: Behind | None = None) -> None:
        super().__init__(parent)
        self.drawing = Drawing(behind, self.update, self)
        self.mode: Mode = "pan"
        self.animated = True
        self._tick = QTimer(self, interval=15)
        self._tick.timeout.connect(self._step)
        self._hover = QTimer(self, singleShot=True, interval=HOVER_MS)
        self._hover.timeout.connect(self._tell_hover)
        self._hover_key: int | None = None
        self._selected: Iterable[int] = ()
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

    @property
    def transform(self) -> Transform:
        return self.drawing.transform

    @property
    def points(self) -> Points:
        return self.drawing.cloud.points

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """``(n,)`` which points are left out."""
        return self.drawing.cloud.hidden

    # ---- what is shown ----------------------------------------------------------------------------------------

    def show_points(self, points: Points, palette: list[QColor], glide: bool = True) -> None:
        """Show other points; those of known keys glide from where they are."""
        self._forget_hover()
        before, old = self.points, self.points.places
        if self.drawing.flight:
            old = self.drawing.places(np.arange(len(before.keys)))
        self.drawing.use_palette(palette)
        self.drawing.cloud.show(points, len(palette))
        self.drawing.flight = None
        if glide and self.animated and len(old) and len(points.keys):
            self.drawing.flight = Flight(before.keys, old, points)
            self._tick.start()
        self._fit_if_fitted()

    def recolour(self, columns: NDArray[np.int64], palette: list[QColor]) -> None:
        """The same points in other colours."""
        self.drawing.use_palette(palette)
        self.drawing.cloud.recolour(columns, len(palette))
        self.update()

    def move_points(self, places: NDArray[np.float32], fits: bool = True,
                    near: NDArray[np.float32] | None = None) -> None:
        """Put the first ``len(places)`` points elsewhere at once; those behind them (samples) stay. What is seen of the
        map ``fits`` all of it afterwards, if it did before.
        """
        self._forget_hover()
        self.drawing.flight = None
        self.drawing.cloud.place(places, near)
        if fits:
            self._fit_if_fitted()
        self.update()

    def move_point(self, key: int, place: NDArray[np.float32]) -> None:
        """Put one point elsewhere at once."""
        row = self.drawing.cloud.row(key)
        if row is not None:
            self.drawing.cloud.loosen(row, place)
            if self.drawing.flight:
                self.drawing.flight.redirect(row, place)
            self.update()

    def hide_points(self, hidden: NDArray[np.bool_]) -> None:
        """Leave these points out: not drawn, not picked."""
        self.drawing.cloud.hide(hidden)
        self.update()

    def let_pass(self, passing: NDArray[np.bool_] | None) -> None:
        """Draw these points ``(n,)`` in front and the rest grey; None lets all pass."""
        self.drawing.cloud.let_pass(passing)
        self.update()

    def show_selection(self, selected: Iterable[int], current: int | None) -> None:
        """Show these keys, an array or any other collection, as selected, and one as the current."""
        if selected is not self._selected:
            self._selected = selected
            keys = selected if isinstance(selected, np.ndarray) else np.fromiter(selected, np.int64)
            self.drawing.cloud.select(keys)
        self.drawing.current = current
        self.update()

    def show_links(self, keys: list[int]) -> None:
        """Draw lines from the current point to these: its neighbours in the space."""
        self.drawing.links = keys
        self.update()

    def show_pointed(self, key: int | None) -> None:
        """Draw a ring around the point of this key, which is pointed at here or elsewhere."""
        if key != self.drawing.pointed:
            self.drawing.pointed = key
            self.update()

    def show_contours(self, wanted: bool) -> None:
        """Draw lines around most of the points."""
        self.drawing.outlines.wanted = wanted
        self.update()

    def show_pictures(self, wanted: bool) -> None:
        """Draw near points as pictures."""
        self.drawing.shows_pictures = wanted
        self.update()

    def use_faces(self, face: Face) -> None:
        """Draw near points by this."""
        self.drawing.face = face

    def fit(self) -> None:
        """Show everything."""
        self._forget_hover()
        self.transform.fit(self.drawing.cloud.places_of_all(), self.width(), self.height())
        self._fitted = True
        self.update()

    def _fit_if_fitted(self) -> None:
        if self._fitted:
            self.fit()
        self.update()

    def pixel_of(self, key: int) -> QPointF | None:
        """Where a point is drawn now."""
        return self.drawing.pixel_of(self.drawing.cloud.row(key), self.width(), self.height())

    def _step(self) -> None:
        if self.drawing.flight is None or self.drawing.flight.over:
            self.drawing.flight = None
            self._tick.stop()
        self.update()

    def _theme_changed(self) -> None:
        self.drawing.forget_colours()
        self.update()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            c = colours()
            if len(self.points.keys):
                self.drawing.paint(painter, self.width(), self.height(), self.devicePixelRatioF())
            else:
                painter.fillRect(self.rect(), QColor(c.base))
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

    # ---- picking ----------------------------------------------------------------------------------------------

    def key_at(self, at: QPointF, reach: float = HOVER_PIXELS) -> int | None:
        """The point whose picture is there, else the nearest visible one within ``reach`` pixels."""
        row = self.drawing.row_at(at, reach, self.width(), self.height()) if len(self.points.keys) else None
        return None if row is None else int(self.points.keys[row])

    def keys_inside(self, outline: list[QPointF]) -> NDArray[np.int64]:
        """The visible points within a polygon of pixels, ``(n,)``."""
        corners = [self.transform.to_place(p.x(), p.y(), self.width(), self.height()) for p in outline]
        return self.points.keys[self.drawing.cloud.inside(np.array(corners, np.float64))]

    def _outline(self) -> list[QPointF]:
        if self.mode != "box" or len(self._lasso) < 2:
            return self._lasso
        return _box(self._lasso[0], self._lasso[-1])

    # ---- gestures ---------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        self._pressed = self._last = event.position()
        self._dragged = False
        shifted = event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier)
        self._lasso = [event.position()] if shifted or self.mode in ("lasso", "box") else []

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
        if self._lasso:
            self._forget_hover()
            self._lasso.append(at)
        else:
            if self.mode == "turn":
                self._forget_hover()
                self.turned.emit(at.x() - self._last.x(), at.y() - self._last.y())
            else:
                self._pan(self._last.x() - at.x(), at.y() - self._last.y())
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        self._last = at
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            return
        self._pressed = None
        self.unsetCursor()
        if self._dragged and self._lasso:
            self.lassoed.emit(self.keys_inside(self._outline()), event.modifiers())
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
        self._zoom(event.position(), 1.0015 ** event.angleDelta().y())

    def event(self, event: QEvent) -> bool:
        """Select-all belongs to the map while it has the keyboard, not to the library; so does Esc while something is
        dragged.
        """
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and (
                event.matches(QKeySequence.StandardKey.SelectAll)
                or (event.key() == Qt.Key.Key_Escape and self._pressed is not None)):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if event.matches(QKeySequence.StandardKey.SelectAll):
            self.lassoed.emit(self.keys_inside(_box(QPointF(0, 0), QPointF(self.width(), self.height()))),
                              Qt.KeyboardModifier.NoModifier)
        elif key in _FACTORS:
            self._zoom(QPointF(self.width() / 2, self.height() / 2), _FACTORS[key])
        elif key in _STEPS:
            self._pan(*(PAN_PIXELS * step for step in _STEPS[key]))
        elif key in _WHOLE:
            self.fit()
        elif key == Qt.Key.Key_Escape and self._pressed is not None:
            self._pressed, self._lasso = None, []
            self.unsetCursor()
            self.update()
        else:
            super().keyPressEvent(event)

    def _pan(self, right: float, up: float) -> None:
        """Look at what lies so many pixels to the right and above."""
        self._forget_hover()
        self.transform.x += right / self.transform.scale
        self.transform.y += up / self.transform.scale
        self._fitted = False
        self.update()

    def _zoom(self, at: QPointF, factor: float) -> None:
        self._forget_hover()
        self.transform.zoom_at(at.x(), at.y(), factor, self.width(), self.height())
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
        at, row = self.pixel_of(key), self.drawing.cloud.row(key)
        if at is not None and row is not None and not self.rect().contains(at.toPoint()):
            self.transform.x, self.transform.y = self.points.places[row].tolist()
            self.update()


def _box(a: QPointF, b: QPointF) -> list[QPointF]:
    return [a, QPointF(b.x(), a.y()), b, QPointF(a.x(), b.y())]
