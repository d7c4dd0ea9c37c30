"""The confusion matrix: which classes are told as which. Cells are chosen with the mouse or the keyboard."""

from __future__ import annotations

import html

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QToolTip, QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import THEME, colours

Cell = tuple[int, int]
WIDEST_NAME, GAP = 130, 6
LEAST_SIDES = ((24, 18), (60, 13), (200, 6))
"""Pixels of a cell at least, up to so many classes; ``LEAST`` for more."""
LEAST, MOST = 3, 96
NARROWEST_LEVEL = 48
"""Pixels of a cell under which a longer name stands upright."""


class ConfusionMatrix(QAbstractScrollArea):
    """Rows are true classes, columns told ones; the colour is the share of the row. Names stay while cells scroll.

    ``cellsChosen`` gives all chosen cells (true, told): a click or Enter chooses one alone, Ctrl adds or takes away.
    """

    cellsChosen = Signal(list)
    pointed = Signal(str)
    """What the cell under the mouse or the keyboard's cell says; empty where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._table: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        self._names: tuple[str, ...] = ()
        self._shares: NDArray[np.float64] = np.zeros((0, 0))
        self._image = QImage()
        self._zoom = 1.0
        self._widest = 0
        self.chosen: list[Cell] = []
        self._cursor: Cell = (0, 0)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Confusion matrix"))
        self.viewport().setMouseTracking(True)
        THEME.changed.connect(self._draw_image)

    def show_table(self, table: NDArray[np.integer], names: tuple[str, ...]) -> None:
        """Counts ``(classes, classes)``, true classes in rows."""
        self._table, self._names = np.asarray(table, np.int64), names
        self._shares = self._table / np.maximum(self._table.sum(1, keepdims=True), 1)
        self._zoom, self.chosen, self._cursor = 1.0, [], (0, 0)
        widest = max((self.fontMetrics().horizontalAdvance(_one_line(name)) for name in names), default=0)
        self._widest = min(widest, WIDEST_NAME)
        self._draw_image()
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(480, 300)

    # ---- geometry -----------------------------------------------------------------------------------------------

    def _corner(self) -> QPoint:
        """Where the cells begin: right of the true names and under the told ones."""
        high = self._widest if self._is_rotated() else self.fontMetrics().height()
        line = self.fontMetrics().height() + GAP
        left = max(self._widest, self.fontMetrics().horizontalAdvance(tr("true ↓"))) + 2 * GAP
        return QPoint(min(left, self.viewport().width() // 3),
                      min(high, self.viewport().height() // 3) + GAP + line)

    def _is_rotated(self) -> bool:
        """Told names stand upright where they are wider than a cell may be."""
        wide = (self.viewport().width() - self._widest - 3 * GAP) / max(1, len(self._names))
        return wide * self._zoom < min(self._widest + 4, NARROWEST_LEVEL)

    def _side(self) -> QSize:
        """A cell's width and height; few cells are wider than they are high."""
        size = max(1, len(self._names))
        least = next((side for most, side in LEAST_SIDES if size <= most), LEAST)
        corner = self._corner()
        wide = (self.viewport().width() - corner.x() - GAP) // size
        high = (self.viewport().height() - corner.y() - GAP) // size
        high = max(least, min(high, MOST))
        wide = max(least, min(wide, MOST * 2, high * 4))
        return QSize(round(wide * self._zoom), round(high * self._zoom))

    def _fit(self) -> None:
        """Scroll bars reach as far as there are cells."""
        side, corner, size = self._side(), self._corner(), len(self._names)
        room = QSize(self.viewport().width() - corner.x() - GAP, self.viewport().height() - corner.y() - GAP)
        for bar, whole, page, step in ((self.horizontalScrollBar(), side.width() * size, room.width(), side.width()),
                                       (self.verticalScrollBar(), side.height() * size, room.height(), side.height())):
            bar.setRange(0, max(0, whole - page))
            bar.setPageStep(max(1, page))
            bar.setSingleStep(max(1, step))
        self.viewport().update()

    def _origin(self) -> QPoint:
        """The place of the first cell, maybe scrolled away."""
        return self._corner() - QPoint(self.horizontalScrollBar().value(), self.verticalScrollBar().value())

    def box_of(self, cell: Cell) -> QRect:
        """Where a cell lies in the viewport."""
        side, origin = self._side(), self._origin()
        return QRect(origin.x() + cell[1] * side.width(), origin.y() + cell[0] * side.height(),
                     side.width(), side.height())

    def cell_at(self, place: QPoint) -> Cell | None:
        """The cell (true, told) under a point of the viewport."""
        corner, origin, side = self._corner(), self._origin(), self._side()
        if place.x() < corner.x() or place.y() < corner.y():
            return None
        row, column = (place.y() - origin.y()) // side.height(), (place.x() - origin.x()) // side.width()
        return (row, column) if row < len(self._names) and column < len(self._names) else None

    def _shown(self) -> tuple[range, range]:
        """Rows and columns that are at least partly seen."""
        side, origin, corner, size = self._side(), self._origin(), self._corner(), len(self._names)
        top, left = (corner.y() - origin.y()) // side.height(), (corner.x() - origin.x()) // side.width()
        bottom = (self.viewport().height() - origin.y()) // side.height() + 1
        right = (self.viewport().width() - origin.x()) // side.width() + 1
        return range(max(0, top), min(size, bottom)), range(max(0, left), min(size, right))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    # ---- drawing ------------------------------------------------------------------------------------------------

    def _draw_image(self) -> None:
        """One pixel a cell: right ones grow towards the accent, wrong ones towards the error colour."""
        self._image = heat.as_image(_tinted(self._shares)) if len(self._names) else QImage()
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not len(self._names):
            return
        with QPainter(self.viewport()) as painter:
            corner = self._corner()
            cells = QRect(corner, self.viewport().rect().bottomRight())
            painter.save()
            painter.setClipRect(cells)
            self._draw_cells(painter)
            painter.restore()
            self._draw_names(painter, corner)
            painter.setPen(QColor(colours().faint))
            line = self.fontMetrics().height()
            painter.drawText(QRect(GAP, corner.y() - line - 2, corner.x() - 2 * GAP, line),
                             int(Qt.AlignmentFlag.AlignRight), tr("true ↓"))
            painter.drawText(QRect(corner.x(), 0, self.viewport().width() - corner.x(), line),
                             int(Qt.AlignmentFlag.AlignLeft), tr("told →"))

    def _draw_cells(self, painter: QPainter) -> None:
        rows, columns = self._shown()
        if not rows or not columns:
            return
        side = self._side()
        seen = self.box_of((rows[0], columns[0])).united(self.box_of((rows[-1], columns[-1])))
        painter.drawImage(QRectF(seen), self._image, QRectF(columns[0], rows[0], len(columns), len(rows)))
        if min(side.width(), side.height()) >= 8:
            self._draw_grid(painter, rows, columns, seen)
        if side.height() >= self.fontMetrics().height() - 2 and self._fits_counts(rows, columns):
            self._draw_counts(painter, rows, columns)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for cell in self.chosen:
            painter.setPen(QPen(QColor(colours().text), 2))
            painter.drawRect(self.box_of(cell).adjusted(0, 0, -1, -1))
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours().text), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.box_of(self._cursor).adjusted(2, 2, -3, -3))

    def _draw_grid(self, painter: QPainter, rows: range, columns: range, seen: QRect) -> None:
        painter.setPen(QColor(colours().base))
        for row in rows:
            y = self.box_of((row, 0)).bottom()
            painter.drawLine(seen.left(), y, seen.right(), y)
        for column in columns:
            x = self.box_of((0, column)).right()
            painter.drawLine(x, seen.top(), x, seen.bottom())

    def _fits_counts(self, rows: range, columns: range) -> bool:
        most = int(self._table[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].max())
        return self.fontMetrics().horizontalAdvance(str(most)) + 2 <= self._side().width()

    def _draw_counts(self, painter: QPainter, rows: range, columns: range) -> None:
        """Numbers where there are any, dark on light cells and light on dark ones."""
        for row in rows:
            for column in columns:
                if number := int(self._table[row, column]):
                    back = self._image.pixelColor(column, row)
                    painter.setPen(_readable(back))
                    painter.drawText(self.box_of((row, column)), int(Qt.AlignmentFlag.AlignCenter), str(number))

    def _draw_names(self, painter: QPainter, corner: QPoint) -> None:
        rows, columns = self._shown()
        side, metrics = self._side(), self.fontMetrics()
        painter.setPen(QColor(colours().text))
        elide, right = Qt.TextElideMode.ElideRight, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        room = corner.x() - 2 * GAP
        painter.save()
        painter.setClipRect(QRect(0, corner.y() - GAP, corner.x(), self.viewport().height()))
        step = -(-(metrics.height() - 2) // side.height())
        for row in rows[(-rows.start) % step::step] if rows else ():
            box = self.box_of((row, 0))
            place = QRect(GAP, box.center().y() - metrics.height() // 2, room, metrics.height())
            painter.drawText(place, int(right), metrics.elidedText(_one_line(self._names[row]), elide, room))
        painter.restore()
        painter.save()
        painter.setClipRect(QRect(corner.x() - GAP, 0, self.viewport().width(), corner.y()))
        if self._is_rotated():
            self._draw_upright(painter, corner, columns)
        else:
            for column in columns:
                box = self.box_of((0, column))
                name = metrics.elidedText(_one_line(self._names[column]), elide, side.width() - 2)
                painter.drawText(QRect(box.left(), corner.y() - metrics.height() - 2, side.width(), metrics.height()),
                                 int(Qt.AlignmentFlag.AlignCenter), name)
        painter.restore()

    def _draw_upright(self, painter: QPainter, corner: QPoint, columns: range) -> None:
        """Told names from bottom to top, as many as there is room for."""
        metrics, side = self.fontMetrics(), self._side()
        room = corner.y() - metrics.height() - 2 * GAP
        step = -(-(metrics.height() - 2) // side.width())
        for column in columns[(-columns.start) % step::step] if columns else ():
            name = metrics.elidedText(_one_line(self._names[column]), Qt.TextElideMode.ElideRight, room)
            painter.save()
            painter.translate(self.box_of((0, column)).center().x() + 1, corner.y() - 4)
            painter.rotate(-90)
            painter.drawText(QRect(0, -metrics.height() // 2, room, metrics.height()),
                             int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
            painter.restore()

    # ---- words --------------------------------------------------------------------------------------------------

    def told(self, cell: Cell) -> str:
        """“cat told as dog: 4 of 32 (12.5 %)”"""
        true, said = cell
        number, whole = int(self._table[true, said]), int(self._table[true].sum())
        text = tr("{} told as {}: {} of {}").format(_one_line(self._names[true]), _one_line(self._names[said]),
                                                    count(number), count(whole))
        return text + (f" ({100 * number / whole:.1f} %)" if whole else "")

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            cell = self.cell_at(event.pos())
            QToolTip.showText(event.globalPos(), _plain(self.told(cell)) if cell else "", self.viewport())
            return True
        return super().viewportEvent(event)

    # ---- choosing -----------------------------------------------------------------------------------------------

    def _choose(self, cell: Cell, adds: bool) -> None:
        self._cursor = cell
        if adds:
            self.chosen = [one for one in self.chosen if one != cell] if cell in self.chosen else [*self.chosen, cell]
        else:
            self.chosen = [cell]
        self._tell()
        self.viewport().update()
        self.cellsChosen.emit(list(self.chosen))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and cell:
            self._choose(cell, bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position().toPoint())
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if cell else Qt.CursorShape.ArrowCursor)
        self.pointed.emit(self.told(cell) if cell else "")

    def leaveEvent(self, event: QEvent) -> None:
        self.pointed.emit("")

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Ctrl zooms at the pointer; else it scrolls."""
        if not event.modifiers() & Qt.KeyboardModifier.ControlModifier or not len(self._names):
            super().wheelEvent(event)
            return
        before, place, side = self._origin(), event.position().toPoint(), self._side()
        largest = max(1.0, MOST / max(1, min(side.width(), side.height())) * self._zoom)
        self._zoom = float(np.clip(self._zoom * 1.25 ** (event.angleDelta().y() / 120), 1.0, largest))
        self._fit()
        after = self._side()
        for bar, at, start, corner, old, new in (
            (self.horizontalScrollBar(), place.x(), before.x(), self._corner().x(), side.width(), after.width()),
            (self.verticalScrollBar(), place.y(), before.y(), self._corner().y(), side.height(), after.height()),
        ):
            bar.setValue(round((at - start) / old * new - (at - corner)))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        key = Qt.Key(event.key())
        if key in moves and len(self._names):
            self._move(*moves[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and len(self._names):
            self._choose(self._cursor, bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
        else:
            super().keyPressEvent(event)

    def _move(self, down: int, right: int) -> None:
        last = len(self._names) - 1
        self._cursor = (max(0, min(self._cursor[0] + down, last)), max(0, min(self._cursor[1] + right, last)))
        self._reveal()
        self._tell()
        self.viewport().update()

    def _reveal(self) -> None:
        """Scroll until the keyboard's cell is seen."""
        box, corner = self.box_of(self._cursor), self._corner()
        for bar, low, high, first, last in (
            (self.horizontalScrollBar(), box.left(), box.right(), corner.x(), self.viewport().width() - GAP),
            (self.verticalScrollBar(), box.top(), box.bottom(), corner.y(), self.viewport().height() - GAP),
        ):
            bar.setValue(bar.value() + min(0, low - first) + max(0, high - last))

    def _tell(self) -> None:
        text = self.told(self._cursor)
        self.viewport().setAccessibleDescription(text)
        self.setAccessibleDescription(text)
        self.pointed.emit(text)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if len(self._names):
            self._tell()
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.viewport().update()


class ConfusionScale(QWidget):
    """The legend: the colours of right and wrong cells from none to all of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(66)
        self.setAccessibleName(tr("Colours of the confusion matrix"))
        THEME.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            wide, left = 80, self.width() - 82
            shares = np.linspace(0, 1, wide)
            for row, (name, right) in enumerate(((tr("told right"), True), (tr("told wrong"), False))):
                line = heat.as_image(_mixed(shares[None], np.array([[right]])))
                painter.drawImage(QRectF(left, 4 + 22 * row, wide, 12), line)
                painter.setPen(QColor(colours().line))
                painter.drawRect(QRectF(left - 0.5, 3.5 + 22 * row, wide, 13))
                painter.setPen(QColor(colours().faint))
                painter.drawText(QRectF(0, 2 + 22 * row, left - 6, 16), int(Qt.AlignmentFlag.AlignVCenter), name)
            painter.drawText(QRectF(0, 46, left - 6, 18), int(Qt.AlignmentFlag.AlignVCenter), tr("of the row"))
            for flag, word in ((Qt.AlignmentFlag.AlignLeft, "0"), (Qt.AlignmentFlag.AlignRight, "100 %")):
                painter.drawText(QRectF(left, 46, wide, 18), int(flag | Qt.AlignmentFlag.AlignVCenter), word)


def _tinted(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """``(n, n, 3)`` RGB of the shares of rows, right ones on the diagonal."""
    return _mixed(shares, np.eye(len(shares), dtype=bool))


def _mixed(shares: NDArray[np.float64], is_right: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``(r, c, 3)`` RGB: from the theme's background to its accent where right, else to its error colour; by the square
    root of the share, so that a few errors are seen.
    """
    c = colours()
    base, right, wrong = (_rgb(name) for name in (c.raised if c.dark else c.window, c.accent, c.error))
    ends = np.where(is_right[..., None], right, wrong)
    return np.round(base + (ends - base) * np.sqrt(shares)[..., None]).astype(np.uint8)


def _rgb(name: str) -> NDArray[np.float64]:
    colour = QColor(name)
    return np.array([colour.red(), colour.green(), colour.blue()], np.float64)


def _readable(back: QColor) -> QColor:
    """Black or white, what differs more from the background (WCAG's relative luminance)."""
    parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
             for v in (back.redF(), back.greenF(), back.blueF())]
    light = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return QColor("#000000" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff")


def _one_line(name: str) -> str:
    return name[:200].replace("\n", " ")


def _plain(text: str) -> str:
    """A tooltip that shows a text from a file as it is, and never as rich text."""
    return f"<p style='white-space:pre'>{html.escape(text)}</p>" if text else ""
