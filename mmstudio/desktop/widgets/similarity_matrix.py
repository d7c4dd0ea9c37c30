"""The similarities of items to items as a heat map, with their faces and titles along its sides."""

from __future__ import annotations

import html

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QToolTip

from mmstudio.desktop import heat
from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import MODALITY_COLOURS, THEME, colours
from mmstudio.library import Item

Cell = tuple[int, int]
FACE, SPOT, LEAST, MOST, GAP, TITLE = 30, 12, 6, 64, 4, 96
"""Pixels: an item's face, the spot in its place, a cell at least and at most, a gap, and what a title may take."""
WIDEST = 3
"""A cell may be so many times wider than high."""


class SimilarityMatrix(QAbstractScrollArea):
    """Rows and columns are items; the colour is their similarity, between the lowest and the highest that is shown.

    ``cellChosen`` gives the row and the column of a click or Enter, ``pointed`` what the cell under the pointer says.
    """

    cellChosen = Signal(int, int)
    pointed = Signal(str)

    def __init__(self, previews: Previews) -> None:
        super().__init__()
        self._previews = previews
        self._values: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._rows: list[Item] = []
        self._columns: list[Item] = []
        self._image = QImage()
        self.cursor_cell: Cell = (0, 0)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Similarity matrix"))
        self.viewport().setMouseTracking(True)
        previews.arrived.connect(lambda _: self.viewport().update())
        THEME.changed.connect(self.viewport().update)

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest value that is shown, an item's similarity to itself left out."""
        known = self._values[self._apart()]
        return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)

    def _apart(self) -> NDArray[np.bool_]:
        return np.array([[one.id != other.id for other in self._columns] for one in self._rows], bool).reshape(
            self._values.shape)

    def show_matrix(self, values: NDArray[np.float32], rows: list[Item], columns: list[Item]) -> None:
        """``values (rows, columns)``."""
        self._values, self._rows, self._columns, self.cursor_cell = values, rows, columns, (0, 0)
        low, high = self.span
        shares = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
        self._image = heat.picture(shares.astype(np.float32), 1.0) if values.size else QImage()
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(520, 320)

    # ---- geometry -----------------------------------------------------------------------------------------------

    def _corner(self) -> QPoint:
        return QPoint(FACE + TITLE + 2 * GAP, FACE + 2 * GAP)

    def _side(self) -> QSize:
        """A cell's width and height: as large as fits."""
        corner = self._corner()
        wide = (self.viewport().width() - corner.x() - GAP) // max(1, len(self._columns))
        high = (self.viewport().height() - corner.y() - GAP) // max(1, len(self._rows))
        high = max(LEAST, min(high, MOST))
        return QSize(max(LEAST, min(wide, WIDEST * high, MOST)), high)

    def _fit(self) -> None:
        side, corner, room = self._side(), self._corner(), self.viewport().size()
        for bar, whole, page, step in (
            (self.horizontalScrollBar(), len(self._columns) * side.width(), room.width() - corner.x() - GAP,
             side.width()),
            (self.verticalScrollBar(), len(self._rows) * side.height(), room.height() - corner.y() - GAP,
             side.height()),
        ):
            bar.setRange(0, max(0, whole - page))
            bar.setPageStep(max(1, page))
            bar.setSingleStep(step)
        self.viewport().update()

    def box_of(self, cell: Cell) -> QRect:
        """Where a cell lies in the viewport."""
        side, corner = self._side(), self._corner()
        return QRect(QPoint(corner.x() - self.horizontalScrollBar().value() + cell[1] * side.width(),
                            corner.y() - self.verticalScrollBar().value() + cell[0] * side.height()), side)

    def cell_at(self, place: QPoint) -> Cell | None:
        """The cell under a point of the viewport."""
        corner, first, side = self._corner(), self.box_of((0, 0)).topLeft(), self._side()
        if place.x() < corner.x() or place.y() < corner.y():
            return None
        row, column = (place.y() - first.y()) // side.height(), (place.x() - first.x()) // side.width()
        return (row, column) if row < len(self._rows) and column < len(self._columns) else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    # ---- drawing ------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._values.size:
            return
        corner, side = self._corner(), self._side()
        with QPainter(self.viewport()) as painter:
            whole = self.box_of((0, 0)).united(self.box_of((len(self._rows) - 1, len(self._columns) - 1)))
            painter.save()
            painter.setClipRect(QRect(corner, self.viewport().rect().bottomRight()))
            painter.drawImage(QRectF(whole), self._image)
            if side.width() >= 36 and side.height() >= 16:
                self._draw_values(painter)
            if self.hasFocus():
                painter.setPen(QPen(QColor(colours().text), 2))
                painter.drawRect(self.box_of(self.cursor_cell).adjusted(1, 1, -1, -1))
            painter.restore()
            self._draw_sides(painter, corner, side)

    def _draw_values(self, painter: QPainter) -> None:
        low, high = self.span
        for row, column in np.ndindex(self._values.shape):
            light = (self._values[row, column] - low) / max(high - low, 1e-9) > 0.6
            painter.setPen(QColor("#000000" if light else "#ffffff"))
            painter.drawText(self.box_of((row, column)), int(Qt.AlignmentFlag.AlignCenter),
                             f"{self._values[row, column]:.2f}")

    def _draw_sides(self, painter: QPainter, corner: QPoint, side: QSize) -> None:
        """Faces and titles left, faces above; as many as there is room for."""
        metrics = self.fontMetrics()
        high, wide = (min(max(pixels - 1, SPOT), FACE) for pixels in (side.height(), side.width()))
        step = -(-SPOT // side.height())
        painter.save()
        painter.setClipRect(QRect(0, corner.y(), corner.x(), self.viewport().height()))
        for row in range(0, len(self._rows), step):
            box, item = self.box_of((row, 0)), self._rows[row]
            title = metrics.elidedText(item.title.replace("\n", " "), Qt.TextElideMode.ElideRight, TITLE - GAP)
            painter.setPen(QColor(colours().text))
            painter.drawText(QRect(GAP, box.center().y() - 10, TITLE, 20), int(Qt.AlignmentFlag.AlignVCenter), title)
            self._draw_face(painter, QRect(TITLE + GAP, box.center().y() - high // 2, FACE, high), item)
        painter.restore()
        painter.setClipRect(QRect(corner.x(), 0, self.viewport().width(), corner.y()))
        for column in range(0, len(self._columns), -(-SPOT // side.width())):
            box = self.box_of((0, column))
            self._draw_face(painter, QRect(box.center().x() - wide // 2, GAP, wide, FACE), self._columns[column])

    def _draw_face(self, painter: QPainter, box: QRect, item: Item) -> None:
        """Small texts are a spot of their modality's colour: nobody could read them."""
        if min(box.width(), box.height()) < 20 or item.modality == "text":
            side = min(box.width(), box.height(), SPOT)
            spot = QRect(0, 0, side, side)
            spot.moveCenter(box.center())
            painter.fillRect(spot, QColor(MODALITY_COLOURS[item.modality]))
        else:
            draw_item(painter, box, item, self._previews.get(item))

    # ---- pointing and choosing ----------------------------------------------------------------------------------

    def told(self, cell: Cell) -> str:
        """“a dog ↔ dog.webp: 0.312”"""
        row, column = (items[at].title.replace("\n", " ")[:80] for items, at in
                       zip((self._rows, self._columns), cell, strict=True))
        return f"{row} ↔ {column}: {self._values[cell]:.3f}"

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            cell = self.cell_at(event.pos())
            text = f"<p style='white-space:pre'>{html.escape(self.told(cell))}</p>" if cell else ""
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        return super().viewportEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        self.pointed.emit(self.told(cell) if cell else "")

    def leaveEvent(self, event: QEvent) -> None:
        self.pointed.emit("")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        if cell and event.button() == Qt.MouseButton.LeftButton:
            self.cursor_cell = cell
            self.viewport().update()
            self.cellChosen.emit(*cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        key = Qt.Key(event.key())
        if key in moves and self._values.size:
            row, column = (int(np.clip(at + by, 0, size - 1)) for at, by, size in
                           zip(self.cursor_cell, moves[key], self._values.shape, strict=True))
            self.cursor_cell = (row, column)
            self.pointed.emit(self.told(self.cursor_cell))
            self.viewport().update()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._values.size:
            self.cellChosen.emit(*self.cursor_cell)
        else:
            super().keyPressEvent(event)
