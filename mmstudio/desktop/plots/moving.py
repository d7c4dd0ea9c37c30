"""Points that move from frame to frame: the map of a run's vectors as a film."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from mmstudio.desktop.text import plain_tip
from mmstudio.desktop.theme import THEME, colours
from mmstudio.training.film import Film

REACH, EDGE, DOT, RING = 14, 18, 6.0, 11.0
"""Pixels: how far from a point the pointer still means it, around the picture, and the size of points."""
Places = NDArray[np.float64]


class MovingPoints(QWidget):
    """``chosen`` gives the place of the point that was clicked. ``name_of`` names a point by its place."""

    chosen = Signal(int)

    def __init__(self, name_of: Callable[[int], str]) -> None:
        super().__init__()
        self._name_of = name_of
        self.film: Film | None = None
        self.codes: NDArray[np.int64] = np.zeros(0, np.int64)
        self.palette_: list[QColor] = []
        self.hidden: NDArray[np.bool_] = np.zeros(0, bool)
        self.selected: NDArray[np.bool_] = np.zeros(0, bool)
        self.at = 0.0
        """The frame that is shown; between two of them, what lies between."""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 120)
        self.setMouseTracking(True)
        THEME.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(400, 260)

    def show_film(self, film: Film | None, codes: NDArray[np.int64]) -> None:
        """Another film, or one that has become longer; ``codes (p,)`` are places in ``palette_``."""
        self.film, self.codes = film, codes
        self.hidden, self.selected = np.zeros(len(codes), bool), np.zeros(len(codes), bool)
        self.update()

    def go_to(self, at: float) -> None:
        if at != self.at:
            self.at = at
            self.update()

    # ---- geometry -----------------------------------------------------------------------------------------------

    def placed(self) -> Places:
        """``(p, 2)`` pixels of all points now."""
        film = self.film
        if film is None:
            return np.zeros((0, 2))
        first = int(np.clip(np.floor(self.at), 0, len(film.places) - 1))
        behind = min(first + 1, len(film.places) - 1)
        share = float(np.clip(self.at - first, 0, 1))
        share = share * share * (3 - 2 * share)  # starts and stops softly
        return self._pixels((1 - share) * film.places[first].astype(float) + share * film.places[behind], film)

    def _pixels(self, places: Places, film: Film) -> Places:
        """All frames fit; across and up are alike unless they are amounts of their own."""
        low, high = film.places.min((0, 1)).astype(float), film.places.max((0, 1)).astype(float)
        field = QRectF(self.rect()).adjusted(EDGE, EDGE, -EDGE, -EDGE)
        room = np.maximum([field.width(), field.height()], 1.0)
        scale = room / np.maximum(high - low, 1e-12)
        if film.plain:
            span = np.array([min(low), max(high)])
            low, high = span[[0, 0]], span[[1, 1]]
            scale = room / max(span[1] - span[0], 1e-12)
        else:
            scale = np.repeat(scale.min(), 2)
        middle = np.array([field.center().x(), field.center().y()])
        return middle + (places - (low + high) / 2) * scale * (1, -1)

    def point_at(self, position: QPointF) -> int:
        """The nearest visible point within reach, or -1."""
        away = np.linalg.norm(self.placed() - (position.x(), position.y()), axis=1)
        away[self.hidden] = np.inf
        return int(away.argmin()) if len(away) and away.min() <= REACH else -1

    # ---- drawing and pointing -----------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.film is None:
            return
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            places, c = self.placed(), colours()
            if self.film.plain:
                ends = np.repeat([[self.film.places.min()], [self.film.places.max()]], 2, 1)
                low, high = self._pixels(ends, self.film)
                painter.setPen(QPen(QColor(c.dim), 1, Qt.PenStyle.DashLine))
                painter.drawLine(QPointF(*low), QPointF(*high))
            some = bool(self.selected.any())
            shown = ~self.hidden
            for code, colour in enumerate(self.palette_):
                mine = shown & (self.codes == code)
                if some:
                    _dots(painter, places[mine & ~self.selected], QColor(c.dim), DOT)
                else:
                    _dots(painter, places[mine], colour, DOT)
            for code in np.unique(self.codes[self.selected]) if some else ():
                mine = shown & self.selected & (self.codes == code)
                _dots(painter, places[mine], QColor(c.text), RING)
                _dots(painter, places[mine], self.palette_[code], RING - 3)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        point = self.point_at(event.position())
        self.setCursor(Qt.CursorShape.PointingHandCursor if point >= 0 else Qt.CursorShape.ArrowCursor)
        if point >= 0:
            QToolTip.showText(event.globalPosition().toPoint(), plain_tip(self._name_of(point)), self)
        else:
            QToolTip.hideText()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        point = self.point_at(event.position())
        if point >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(point)


def _dots(painter: QPainter, places: Places, colour: QColor, size: float) -> None:
    painter.setPen(QPen(colour, size, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawPoints(QPolygonF([QPointF(x, y) for x, y in places.tolist()]))
