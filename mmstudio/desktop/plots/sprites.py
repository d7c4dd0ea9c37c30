"""Point shapes in all colours as one picture, and many of them drawn in one call."""

from __future__ import annotations

import math

import numpy as np
import shiboken6
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap, QPolygonF

SHAPES = ("image", "audio", "text", "sample")
CELL = 32
"""Pixels of a sprite's cell: large enough for the largest point at twice the resolution."""


def shapes_of(modalities: NDArray[np.str_]) -> NDArray[np.int64]:
    """The places in ``SHAPES`` of ``modalities (n,)``."""
    initials = np.ascontiguousarray(modalities).view(np.uint32).reshape(len(modalities), -1)[:, 0]
    rows = np.zeros(128, np.int64)
    rows[[ord(modality[0]) for modality in SHAPES]] = range(len(SHAPES))  # words take ten times as long
    return rows[initials]


class Sprites:
    """An atlas with one column per colour and one row per shape."""

    def __init__(self, colours: list[QColor], outline: QColor) -> None:
        self.pixmap = QPixmap(CELL * max(1, len(colours)), CELL * len(SHAPES))
        self.pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(self.pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for column, colour in enumerate(colours):
            for row, shape in enumerate(SHAPES):
                draw_shape(painter, shape, QPointF((column + 0.5) * CELL, (row + 0.5) * CELL), CELL * 0.40, colour,
                           outline)
        painter.end()

    def draw(
        self, painter: QPainter, pixels: NDArray[np.float32], shapes: NDArray[np.int64], columns: NDArray[np.int64],
        size: float | NDArray[np.float32], opacity: float,
    ) -> None:
        """Draw ``(n, 2)`` pixels; ``size`` is the point's diameter in pixels."""
        count = len(pixels)
        if not count:
            return
        table = np.empty((count, 10), np.float64)  # the memory layout of QPainter.PixmapFragment
        table[:, :2] = pixels
        table[:, 2] = columns * CELL
        table[:, 3] = shapes * CELL
        table[:, 4:6] = CELL
        table[:, 6] = table[:, 7] = np.asarray(size) / (CELL * 0.8)
        table[:, 8] = 0
        table[:, 9] = opacity
        first = shiboken6.wrapInstance(table.ctypes.data, QPainter.PixmapFragment)
        painter.drawPixmapFragments(first, count, self.pixmap)  # type: ignore[arg-type]


def draw_shape(painter: QPainter, shape: str, at: QPointF, radius: float, colour: QColor, outline: QColor) -> None:
    """Pictures are discs, sounds triangles, texts squares, samples stars."""
    painter.setPen(QPen(outline, radius * 0.14))
    painter.setBrush(colour)
    if shape == "image":
        painter.drawEllipse(at, radius * 0.92, radius * 0.92)
    elif shape == "text":
        side = radius * 0.82
        painter.drawRect(QRectF(at.x() - side, at.y() - side, 2 * side, 2 * side))
    else:
        corners, inner = (3, 0.0) if shape == "audio" else (5, 0.48)
        painter.drawPolygon(QPolygonF(_star(at, radius * 1.08, corners, inner)))


def _star(at: QPointF, radius: float, corners: int, inner: float) -> list[QPointF]:
    steps = corners * (2 if inner else 1)
    points = []
    for step in range(steps):
        angle = 2 * math.pi * step / steps - math.pi / 2
        reach = radius * (inner if inner and step % 2 else 1)
        points.append(QPointF(at.x() + reach * math.cos(angle), at.y() + reach * math.sin(angle)))
    return points
