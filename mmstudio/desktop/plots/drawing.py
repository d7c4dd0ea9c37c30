"""Draws a cloud of points: far away as density, nearer as shapes, and nearer still as pictures of what they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from mmstudio.desktop.plots.apart import REACH, apart, ranks
from mmstudio.desktop.plots.cloud import Behind, Cloud
from mmstudio.desktop.plots.density import COMPILED, Density, Frame, Look, Scene, scene_of
from mmstudio.desktop.plots.flight import Flight
from mmstudio.desktop.plots.outlines import Outlines
from mmstudio.desktop.plots.raster import Dots, Longs
from mmstudio.desktop.plots.sprites import SHAPES, Sprites
from mmstudio.desktop.plots.transform import Floats, Transform
from mmstudio.desktop.theme import colours

Face = Callable[[QPainter, QRect, int], None]
"""Draws the picture of a key's point into a box."""
MOST_SHAPES = 4000
"""Points on the screen that are drawn as shapes; more are drawn as density."""
MOST_NEAR, NEAR = 2000, 2.5
"""Points become pictures where at most so many are seen, and the map is so many times larger than when all is seen."""
PICTURE, GAP = 72, 6
"""Pixels of the smallest picture's cell, of which the gap is left free. It grows with the map to twice that; then there
is room for more."""
NEARER = np.float32(1.5)
"""How many times larger the nearest point of a deep map is drawn than one in the middle, and that than the furthest."""
_DETAIL = 2.5e6
"""Pixels of a picture of density; a larger screen's are drawn coarser."""
_SAMPLE = SHAPES.index("sample")


class Drawing:
    """What is on the canvas but for its gestures. ``pictures`` are the boxes and rows of those that were drawn last."""

    def __init__(self, behind: Behind | None, changed: Callable[[], None], parent: QObject) -> None:
        self._behind = behind
        self.cloud = Cloud(behind, changed)
        self.outlines = Outlines(self.cloud, behind, changed)
        self.density = Density(behind, changed, parent)
        self.transform = Transform()
        self.flight: Flight | None = None
        self.palette: list[QColor] = []
        self.current: int | None = None
        self.pointed: int | None = None
        self.links: list[int] = []
        self.face: Face | None = None
        self.shows_pictures = True
        self.pictures: list[tuple[QRect, int]] = []
        self._sprites: Sprites | None = None
        self._flying_as = -1, np.zeros(0, np.uint16), np.zeros(0, np.uint8)  # of a version of the cloud: codes, shapes

    def use_palette(self, palette: list[QColor]) -> None:
        """Draw in these colours."""
        if [c.rgba() for c in palette] != [c.rgba() for c in self.palette]:
            self.palette = palette
            self.forget_colours()

    def forget_colours(self) -> None:
        """The theme is another."""
        self._sprites = None
        self.cloud.version += 1

    # ---- painting -----------------------------------------------------------------------------------------------

    def paint(self, painter: QPainter, width: int, height: int, ratio: float) -> None:
        """Draw all points and what belongs to them; ``ratio`` is the screen's pixels to one of the widget's."""
        cloud = self.cloud
        self.pictures = []
        scene = self._flying() if self.flight else scene_of(cloud, self.transform, width, height, 16)
        if scene.count > MOST_SHAPES:
            COMPILED.want(self._behind)
            self._draw_density(painter, scene, width, height, ratio)
            front = cloud.few_in_front(MOST_SHAPES)
            if self.flight:  # of very many only some fly, and the others are not seen before they have arrived
                front = front[np.isin(front, self.flight.rows)]
            rows = self._in_front_last(np.concatenate([front, cloud.visible_loose()]))
        else:
            painter.fillRect(0, 0, width, height, QColor(colours().base))
            rows = self._in_front_last(self.flight.rows[~cloud.hidden[self.flight.rows]] if self.flight
                                       else cloud.within(scene.runs))
        if self.outlines.wanted and not self.flight:
            self.outlines.update()
            self.outlines.draw(painter, self.transform, width, height, self.palette, QColor(colours().text))
        self._draw_shapes(painter, rows, scene.count, width, height)
        if self._is_near(scene.count, width, height):
            self._draw_pictures(painter, width, height)
        self._draw_ring(painter, self.current, QColor(colours().text), scene.count, width, height)
        if self.pointed != self.current:
            self._draw_ring(painter, self.pointed, QColor(colours().accent), scene.count, width, height)

    def _flying(self) -> Scene:
        assert self.flight is not None
        rows, cloud = self.flight.rows, self.cloud
        if self._flying_as[0] != cloud.version:
            self._flying_as = cloud.version, cloud.codes_of(rows), cloud.points.shapes[rows].astype(np.uint8)
        dots = Dots(self.flight.now(), *self._flying_as[1:])
        shown = int(np.count_nonzero(~cloud.hidden[rows]) * self.flight.share)
        return Scene(dots, (np.array([0]), np.array([len(rows)])), shown, self.flight.share)

    def _draw_density(self, painter: QPainter, scene: Scene, width: int, height: int, ratio: float) -> None:
        c, at = colours(), self.transform
        fine = ratio * min(1.0, math.sqrt(_DETAIL / max(width * height * ratio**2, 1)))
        look = Look(tuple(self.palette), QColor(c.dim), QColor(c.base), self.cloud.stands_out, self.cloud.greys_out)
        key = object() if self.flight else (self.cloud.version, at.x, at.y, at.scale, width, height, fine)
        self.density.draw(painter, QRectF(0, 0, width, height), key,
                          lambda: Frame.of(scene, look, self.cloud, at, (width, height), fine))

    def _in_front_last(self, rows: Longs) -> Longs:
        """In an order that prefers none, or the nearer where the map is deep, but samples lie under their items."""
        points = self.cloud.points
        order = ranks(points.keys[rows]) if points.near is None else self._nearness(rows)
        return rows[np.lexsort((order, points.shapes[rows] != _SAMPLE))]

    def _nearness(self, rows: Longs) -> Floats:
        """Of 0..1; what has no depth is in the middle."""
        near = self.cloud.points.near
        if near is None:
            return np.full(len(rows), 0.5, np.float32)
        return np.where(rows < len(near), near[np.minimum(rows, len(near) - 1)], np.float32(0.5))

    def _draw_shapes(self, painter: QPainter, rows: Longs, count: int, width: int, height: int) -> None:
        if self._sprites is None:
            c = colours()
            self._sprites = Sprites([*self.palette, QColor(c.dim)], QColor(c.base))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        shapes, columns = self.cloud.points.shapes[rows], self.cloud.points.columns[rows]
        pixels = self.transform.to_pixels(self.places(rows), width, height)
        sizes = np.float32(self._size(count)) * np.where(shapes == _SAMPLE, np.float32(1.25), np.float32(1))
        sizes *= NEARER ** (2 * self._nearness(rows) - 1)
        codes = self.cloud.codes_of(rows)
        front = (codes >= self.cloud.number) & (codes < self.cloud.grey)
        rest = ~front
        drawn = np.where(codes == self.cloud.grey, len(self.palette), columns)
        self._sprites.draw(painter, pixels[rest], shapes[rest], drawn[rest], sizes[rest],
                           0.55 if self.cloud.greys_out else 0.9)
        self._draw_links(painter, width, height)
        self._sprites.draw(painter, pixels[front], shapes[front], columns[front], sizes[front] * 1.25, 1.0)

    @staticmethod
    def _size(count: int) -> float:
        """Pixels of a point; fewer points are drawn larger."""
        return float(np.clip(26 - 4.2 * np.log10(max(count, 1)), 5, 15))

    def _draw_links(self, painter: QPainter, width: int, height: int) -> None:
        origin = self.pixel_of(self.cloud.row(self.current), width, height)
        if origin is None or not self.links:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(colours().accent)
        colour.setAlpha(150)
        painter.setPen(QPen(colour, 1.3))
        for key in self.links:
            row = self.cloud.row(key)
            if row is not None and not self.cloud.hidden[row]:
                painter.drawLine(origin, self.pixel_of(row, width, height) or origin)

    def _draw_ring(self, painter: QPainter, key: int | None, colour: QColor, count: int, width: int,
                   height: int) -> None:
        row = self.cloud.row(key)
        at = self.pixel_of(row, width, height)
        if at is None or self.cloud.hidden[row] or any(row == pictured for _, pictured in self.pictures):
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        radius = self._size(count) * (1.25 if self.cloud.points.shapes[row] == _SAMPLE else 1) * 0.62 + 4
        painter.drawEllipse(at, radius, radius)

    # ---- pictures -----------------------------------------------------------------------------------------------

    def _is_near(self, count: int, width: int, height: int) -> bool:
        if self.face is None or not self.shows_pictures or self.flight or not 0 < count <= MOST_NEAR:
            return False
        extent = self.cloud.grid.side / self.cloud.grid.per_unit
        return self.transform.scale >= NEAR * min(width / extent[0], height / extent[1])

    def picture_boxes(self, width: int, height: int) -> list[tuple[QRect, int]]:
        """Boxes, none of which overlap, around points, and the points' rows."""
        cell = PICTURE * 2 ** (math.log2(self.transform.scale / PICTURE) % 1)
        scene = scene_of(self.cloud, self.transform, width, height, REACH * cell)
        rows = self.cloud.within(scene.runs)
        places = self.cloud.points.places[rows]
        chosen = apart(places, ranks(self.cloud.points.keys[rows]), cell / self.transform.scale)
        side = int(cell - GAP) // 8 * 8
        boxes = []
        for (x, y), row in zip(self.transform.to_pixels(places[chosen], width, height).tolist(), rows[chosen].tolist(),
                               strict=True):
            box = QRect(round(x) - side // 2, round(y) - side // 2, side, side)
            if box.intersects(QRect(0, 0, width, height)):
                boxes.append((box, row))
        return boxes

    def _draw_pictures(self, painter: QPainter, width: int, height: int) -> None:
        assert self.face is not None
        c = colours()
        self.pictures = self.picture_boxes(width, height)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        codes = self.cloud.codes_of(np.array([row for _, row in self.pictures], np.int64))
        for (box, row), code in zip(self.pictures, codes.tolist(), strict=True):
            greyed = code == self.cloud.grey
            is_current = row == self.cloud.row(self.current)
            frame = QColor(c.text) if is_current else QColor(c.dim) if greyed else \
                self.palette[int(self.cloud.points.columns[row])]
            painter.setPen(QPen(frame, 3 if is_current else 2))
            painter.setBrush(QColor(c.base))
            painter.drawRoundedRect(box, 4, 4)
            painter.setOpacity(0.35 if greyed else 1.0)
            self.face(painter, box.adjusted(3, 3, -3, -3), int(self.cloud.points.keys[row]))
            painter.setOpacity(1.0)

    # ---- where points are ---------------------------------------------------------------------------------------

    def places(self, rows: Longs) -> Floats:
        """Where points are at this moment of a flight; those that do not fly are where they will be."""
        places = self.cloud.points.places[rows]
        if self.flight is not None:
            at = np.searchsorted(self.flight.rows, rows).clip(max=len(self.flight.rows) - 1)
            flies = self.flight.rows[at] == rows
            places[flies] = self.flight.now()[at[flies]]
        return places

    def pixel_of(self, row: int | None, width: int, height: int) -> QPointF | None:
        """Where a point is drawn now."""
        if row is None:
            return None
        x, y = self.transform.to_pixels(self.places(np.array([row])), width, height)[0].tolist()
        return QPointF(x, y)

    def row_at(self, at: QPointF, reach: float, width: int, height: int) -> int | None:
        """The point whose picture is there, else the nearest that is drawn within ``reach`` pixels."""
        pictured = next((row for box, row in self.pictures if box.contains(at.toPoint())), None)
        if pictured is not None:
            return pictured
        x, y = self.transform.to_place(at.x(), at.y(), width, height)
        reach /= self.transform.scale
        if self.flight is None:
            return self.cloud.nearest(x, y, reach)
        squared = ((self.flight.now() - np.array([x, y])) ** 2).sum(axis=1)
        squared[self.cloud.hidden[self.flight.rows]] = np.inf
        nearest = int(squared.argmin())
        return int(self.flight.rows[nearest]) if squared[nearest] <= reach**2 else None
