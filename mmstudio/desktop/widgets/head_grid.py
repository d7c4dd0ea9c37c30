"""All heads of a layer small, each with its entropy; a click chooses one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from mmstudio.desktop import heat
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, colours

SIDE, CAPTION, GAP = 76, 18, 6


class HeadGrid(QWidget):
    """``chosen`` is the head that is larger elsewhere, -1 the mean of heads, which comes first."""

    headChosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.chosen = -1
        self._images: list[QImage] = []
        self._entropies: list[float] = []
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Heads"))
        THEME.changed.connect(self.update)

    def show_heads(self, pictures: Sequence[NDArray[np.float32]], entropies: Sequence[float]) -> None:
        """``(rows, columns)`` in 0..1 for the mean and each head; entropies in 0..1 of each head."""
        self._images = [heat.picture(np.asarray(grid, np.float32), 1.0) for grid in pictures]
        self._entropies = [float(np.mean(entropies)) if len(entropies) else 0.0, *map(float, entropies)]
        self.chosen = min(self.chosen, len(self._images) - 2)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(320, SIDE + CAPTION)

    @property
    def _columns(self) -> int:
        return max(1, (self.width() + GAP) // (SIDE + GAP))

    def _fit(self) -> None:
        self.setFixedHeight(-(-max(1, len(self._images)) // self._columns) * (SIDE + CAPTION + GAP))
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def box_of(self, number: int) -> QRect:
        """Where a thumbnail is: 0 the mean, then the heads."""
        row, column = divmod(number, self._columns)
        return QRect(column * (SIDE + GAP), row * (SIDE + CAPTION + GAP), SIDE, SIDE)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            for number, image in enumerate(self._images):
                box = self.box_of(number)
                painter.fillRect(box, QColor("#101216"))
                painter.drawImage(_fitted(box, image), image)
                if number - 1 == self.chosen:
                    painter.setPen(QPen(QColor(colours().accent), 2))
                    painter.drawRect(box.adjusted(1, 1, -1, -1))
                painter.setPen(QColor(colours().faint))
                name = tr("mean") if number == 0 else str(number)
                painter.drawText(QRect(box.left(), box.bottom() + 1, SIDE, CAPTION), int(Qt.AlignmentFlag.AlignCenter),
                                 f"{name} · {self._entropies[number]:.2f}")

    def _choose(self, number: int) -> None:
        if -1 <= number < len(self._images) - 1:
            self.chosen = number
            self.update()
            self.headChosen.emit(number)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        for number in range(len(self._images)):
            if self.box_of(number).contains(at):
                self._choose(number - 1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -self._columns,
                Qt.Key.Key_Down: self._columns}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self._choose(self.chosen + step)


def _fitted(box: QRect, image: QImage) -> QRect:
    size = image.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
    out = QRect(box.topLeft(), size)
    out.moveCenter(box.center())
    return out
