"""A line of text that takes the room there is: what does not fit is elided, and then the tooltip tells all of it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel

from mmstudio.desktop.text import plain_tip

FEWEST = 8
"""Characters: where there is room for less, nothing is shown."""


class ShortLabel(QLabel):
    """Plain text that never makes a window wider. ``whole`` is what it was given, ``text()`` what is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)

    def setText(self, text: str) -> None:
        self.whole = text
        self._fit()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self.whole) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics, whole = self.fontMetrics(), self.whole
        shown = metrics.elidedText(whole, Qt.TextElideMode.ElideRight, self.width())
        if shown != whole and self.width() < metrics.horizontalAdvance(whole[:FEWEST]):
            shown = ""
        super().setText(shown)
        self.setToolTip(plain_tip(self.whole) if shown != self.whole else "")
