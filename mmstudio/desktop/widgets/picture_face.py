"""A picture, large, with its patches coloured: zoomed by the wheel, moved by dragging, its pixels told in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QApplication

from mmstudio.desktop import heat
from mmstudio.desktop.faces_media import PictureView
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import colours
from mmstudio.desktop.widgets.faces import Face
from mmstudio.explain.boxes import Box
from mmstudio.explain.maps import RelevanceMap, as_grid

LARGEST = 32.0
"""Device pixels that one pixel of the picture may fill."""
SQUARES_FROM = 3.0
"""From this size on pixels are drawn as the squares they are."""


class PictureFace(Face):
    """Shows a PictureView. Points of the picture are in its own pixels, the rest in the widget's."""

    boxDrawn = Signal(object)
    """A Box that a person drew; None where the press was no more than a click."""
    STRIP = 20

    def __init__(self) -> None:
        super().__init__()
        self._view: PictureView | None = None
        self._heat = QImage()
        self._covered = (0.0, 0.0, 1.0, 1.0)
        self._zoom: float | None = None
        self._centre = QPointF()
        self._pressed: QPointF | None = None
        self._dragged = False
        self._pixel: tuple[int, int] | None = None
        self.boxes: tuple[Box, ...] = ()
        self.draws_boxes = False
        self._corner: QPointF | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Picture"))
        self.setAccessibleDescription(tr("Wheel, plus and minus zoom; dragging and arrows move; 0 changes between fit "
                                         "and 100 %"))

    def show_picture(self, view: PictureView | None) -> None:
        """Show all of this picture, or none."""
        self._view, self._zoom, self._pixel, self._pressed, self._corner = view, None, None, None, None
        self._set_cursor()
        self.update()

    def show_boxes(self, boxes: Sequence[Box]) -> None:
        """Outline these parts of the picture."""
        self.boxes = tuple(boxes)
        self.update()

    def let_draw(self, on: bool) -> None:
        """Whether dragging draws a box instead of moving the picture."""
        self.draws_boxes, self._corner = on, None
        self._set_cursor()

    def sizeHint(self) -> QSize:
        return QSize(320, 260)

    def _map_changed(self) -> None:
        self._heat = QImage()
        if self.map is not None and self.map.positions.kind == "patch" and self.map.positions.placed.any():
            unit = RelevanceMap(self._shares, self.map.positions, self.map.title, self.map.unit)
            grid, self._covered = as_grid(unit)
            self._heat = heat.picture(grid, 0.72)

    # ---- where things are -------------------------------------------------------------------------------------

    @property
    def _area(self) -> QRectF:
        return QRectF(0, 0, self.width(), max(1, self.height() - self.STRIP))

    @property
    def _own(self) -> float:
        """The scale of 100 %: a pixel of the picture is one of the screen."""
        return 1 / self.devicePixelRatioF()

    @property
    def _fit(self) -> float:
        if self._view is None:
            return 1.0
        return min(self._area.width() / self._view.image.width(), self._area.height() / self._view.image.height())

    @property
    def scale(self) -> float:
        """The widget's pixels for one of the picture."""
        return self._fit if self._zoom is None else self._zoom

    def box(self) -> QRectF:
        """Where the whole picture lies; it may reach beyond the widget, but leaves no gap that it could fill."""
        if self._view is None:
            return QRectF()
        area, scale = self._area, self.scale
        width, height = self._view.image.width() * scale, self._view.image.height() * scale
        return QRectF(_placed(area.width(), width, area.width() / 2 - self._centre.x() * scale),
                      _placed(area.height(), height, area.height() / 2 - self._centre.y() * scale), width, height)

    def point_at(self, at: QPointF) -> QPointF:
        """The picture's point under a place of the widget."""
        box = self.box()
        return QPointF((at.x() - box.left()) / self.scale, (at.y() - box.top()) / self.scale)

    def _within(self, extents: tuple[float, float, float, float]) -> QRectF:
        """Where shares of the picture lie: left, top, right, bottom in 0..1."""
        box = self.box()
        left, top, right, bottom = extents
        return QRectF(box.left() + left * box.width(), box.top() + top * box.height(), (right - left) * box.width(),
                      (bottom - top) * box.height())

    def position_at(self, at: QPointF) -> int | None:
        if self.map is None or self.map.positions.kind != "patch" or self._view is None or not self._area.contains(at):
            return None
        box = self.box()
        x, y = (at.x() - box.left()) / box.width(), (at.y() - box.top()) / box.height()
        e = self.map.positions.extents
        with np.errstate(invalid="ignore"):
            hits = np.flatnonzero((e[:, 0] <= x) & (x < e[:, 2]) & (e[:, 1] <= y) & (y < e[:, 3]))
        return int(hits[0]) if len(hits) else None

    # ---- zooming and moving -----------------------------------------------------------------------------------

    def zoom_at(self, at: QPointF, scale: float | None) -> None:
        """Change the scale and keep the point under ``at`` where it is; None fits the picture into the widget."""
        if self._view is None:
            return
        under = self.point_at(at)
        low, high = min(self._fit, self._own), max(self._fit, LARGEST * self._own)
        wanted = self._fit if scale is None else min(max(scale, low), high)
        self._zoom = None if abs(wanted / self._fit - 1) < 1e-3 else wanted
        middle = self._area.center()
        self._centre = under + (middle - at) / self.scale
        self._centre = self.point_at(middle)  # what the border took off is not kept, else moving back would stick
        self._tell_pixel(at)
        self._set_cursor()
        self.update()

    def toggle_zoom(self, at: QPointF | None = None) -> None:
        """Between all of the picture and 100 %."""
        self.zoom_at(at or self._area.center(), self._own if self._zoom is None else None)

    def _move(self, by: QPointF) -> None:
        self._centre = self.point_at(self._area.center() - by)
        self._centre = self.point_at(self._area.center())
        self.update()

    def _set_cursor(self) -> None:
        box = self.box()
        movable = box.width() > self._area.width() + 1 or box.height() > self._area.height() + 1
        shapes = Qt.CursorShape
        self.setCursor(shapes.CrossCursor if self.draws_boxes else shapes.ClosedHandCursor if self._dragged else
                       shapes.OpenHandCursor if movable else shapes.ArrowCursor)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """A picture that is as small as can be leaves the wheel to the panel around it."""
        turned = event.angleDelta().y()
        if self._view is None or not turned or (turned < 0 and self.scale <= min(self._fit, self._own) * 1.001):
            event.ignore()
            return
        wanted, before = self.scale * 1.0015**turned, self.scale
        stops = [stop for stop in (self._fit, self._own) if min(before, wanted) < stop * 0.999 < max(before, wanted)]
        self.zoom_at(event.position(), stops[0] if stops and abs(stops[0] / before - 1) > 1e-3 else wanted)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self.draws_boxes and self._view is not None:
            self._corner = event.position()
        elif event.button() is Qt.MouseButton.LeftButton:
            self._pressed, self._dragged = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        if self._corner is not None:
            self.show_boxes([self._box_to(at)])
            return
        if self._pressed is None:
            self._tell_pixel(at)
            super().mouseMoveEvent(event)
            return
        moved = at - self._pressed
        if self._dragged or moved.manhattanLength() >= QApplication.startDragDistance():
            self._dragged, self._pressed = True, at
            self._set_cursor()
            self._move(moved)

    def _box_to(self, at: QPointF) -> Box:
        """From the corner where the drag began, as far as it is on the picture."""
        box, start = self.box(), self._corner or at
        xs = sorted(min(1.0, max(0.0, (x - box.left()) / box.width())) for x in (start.x(), at.x()))
        ys = sorted(min(1.0, max(0.0, (y - box.top()) / box.height())) for y in (start.y(), at.y()))
        return Box((xs[0], ys[0], xs[1], ys[1]))

    def _end_box(self, at: QPointF) -> None:
        far = self._corner is not None and (at - self._corner).manhattanLength() >= QApplication.startDragDistance()
        drawn = self._box_to(at) if far else None
        if drawn is not None and (drawn.edges[0] == drawn.edges[2] or drawn.edges[1] == drawn.edges[3]):
            drawn = None  # all of it lay beside the picture
        self._corner = None
        self.show_boxes([drawn] if drawn else [])
        self.boxDrawn.emit(drawn)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._corner is not None:
            self._end_box(event.position())
            return
        clicked = self._pressed is not None and not self._dragged
        self._pressed, self._dragged = None, False
        self._set_cursor()
        self._tell_pixel(event.position())
        if clicked:
            self._pick(event.position())
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.toggle_zoom(event.position())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        factors = {Qt.Key.Key_Plus: 1.25, Qt.Key.Key_Equal: 1.25, Qt.Key.Key_Minus: 0.8}
        steps = {Qt.Key.Key_Left: (1, 0), Qt.Key.Key_Right: (-1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_0 and self._view is not None:
            self.toggle_zoom()
        elif key in factors:
            self.zoom_at(self._area.center(), self.scale * factors[key])
        elif key in steps and self._zoom is not None:
            self._move(QPointF(*steps[key]) * 40)
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._pixel = None
        self.update()

    # ---- telling and painting ---------------------------------------------------------------------------------

    def _tell_pixel(self, at: QPointF) -> None:
        """Find the pixel under the pointer, and show it in the strip."""
        self._pixel = None
        if self._view is not None and self._area.contains(at) and self.box().contains(at):
            point, (height, width) = self.point_at(at), self._view.pixels.shape[:2]
            self._pixel = min(int(point.x()), width - 1), min(int(point.y()), height - 1)
        self.update()

    @property
    def told(self) -> str:
        """“x 12  y 30   R 200  G 30  B 20”: the pixel under the pointer, in the file's own pixels as 8-bit sRGB."""
        if self._view is None or self._pixel is None:
            return ""
        x, y = self._pixel
        values = "  ".join(f"{name} {value}" for name, value in zip("RGBA", self._view.pixels[y, x], strict=False))
        return f"x {count(x)}  y {count(y)}   {values}"

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._view is None:
            return
        with QPainter(self) as painter:
            self._paint_strip(painter, self._view)
            painter.setClipRect(self._area)
            box = self.box()
            if self._view.image.hasAlphaChannel():
                painter.fillRect(box, QColor("#ffffff"))
            coarse = self.scale * self.devicePixelRatioF() <= self._view.overview.width() / self._view.image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.scale / self._own < SQUARES_FROM)
            self._paint_part(painter, box, self._view.overview if coarse else self._view.image)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            if not self._heat.isNull():
                self._paint_part(painter, self._within(self._covered), self._heat)
            if self.picked is not None and self.map is not None and self.picked < len(self.map.positions):
                painter.setPen(QPen(QColor("#ffffff"), 2))
                left, top, right, bottom = (float(v) for v in self.map.positions.extents[self.picked])
                painter.drawRect(self._within((left, top, right, bottom)))

            self._paint_boxes(painter)

    def _paint_boxes(self, painter: QPainter) -> None:
        """White within black, so that they are seen on any picture; their labels above them."""
        for one in self.boxes:
            where = self._within(one.edges)
            for colour, width in (("#000000", 4), ("#ffffff", 2)):
                painter.setPen(QPen(QColor(colour), width))
                painter.drawRect(where)
            if one.label:
                name = QRectF(where.left(), where.top(), painter.fontMetrics().horizontalAdvance(one.label) + 8, 16)
                painter.fillRect(name, QColor(0, 0, 0, 170))
                painter.drawText(name, int(Qt.AlignmentFlag.AlignCenter), one.label)

    def _paint_part(self, painter: QPainter, box: QRectF, image: QImage) -> None:
        """Of an image that fills ``box``, draw what is seen."""
        seen = box.intersected(self._area)
        across, down = image.width() / max(box.width(), 1e-9), image.height() / max(box.height(), 1e-9)
        painter.drawImage(seen, image, QRectF((seen.left() - box.left()) * across, (seen.top() - box.top()) * down,
                                              seen.width() * across, seen.height() * down))

    def _paint_strip(self, painter: QPainter, view: PictureView) -> None:
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(colours().faint))
        line = QRectF(0, self.height() - self.STRIP, self.width(), self.STRIP)
        flags = Qt.AlignmentFlag.AlignVCenter
        size = (tr("fit · {} %") if self._zoom is None else tr("{} %")).format(round(100 * self.scale / self._own))
        painter.drawText(line, int(flags | Qt.AlignmentFlag.AlignRight), size)
        if self._pixel is None:
            painter.drawText(line, int(flags), tr("Wheel: zoom · double-click: 100 %"))
            return
        x, y = self._pixel
        painter.fillRect(QRectF(0, line.top() + 5, 10, 10), QColor(*(int(v) for v in view.pixels[y, x])))
        painter.drawText(line.adjusted(16, 0, 0, 0), int(flags), self.told)


def _placed(room: float, size: float, wanted: float) -> float:
    """Where something begins: in the middle where there is room for it, else as wanted but without a gap."""
    return (room - size) / 2 if size <= room else min(0.0, max(room - size, wanted))
