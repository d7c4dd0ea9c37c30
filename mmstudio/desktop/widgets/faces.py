"""One item, large, with its relevance over it. A click asks about one position. Here: what the faces of a picture, a
sound and a text share.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QToolTip, QWidget

from mmstudio.desktop.text import tr
from mmstudio.explain.maps import RelevanceMap, to_unit


class Face(QWidget):
    """What the three faces share: a map over the item, and picking one of its positions."""

    positionPicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.map: RelevanceMap | None = None
        self._shares = np.zeros(0, np.float32)
        self.picked: int | None = None
        self.setMouseTracking(True)

    def show_map(self, found: RelevanceMap | None) -> None:
        """Draw this map, or none."""
        self.map = found
        if found is not None:
            self._shares = to_unit(found)[0]
        self._map_changed()
        self.update()

    def _map_changed(self) -> None:
        pass

    def position_at(self, at: QPointF) -> int | None:
        """The map's position under the pointer, or None; each face knows its own geometry."""
        return None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pick(event.position())

    def _pick(self, at: QPointF) -> None:
        found = self.position_at(at)
        if found is not None:
            self.picked = found
            self.positionPicked.emit(found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        text = self.told_at(event.position())
        if text:
            # What comes from a file or a vocabulary (such as “<s>”) is no mark-up.
            QToolTip.showText(event.globalPosition().toPoint(), text.replace("<", "‹"), self)

    def told_at(self, at: QPointF) -> str:
        """What is under the pointer: its name and its number on the map."""
        found = self.position_at(at)
        if found is None or self.map is None:
            return ""
        name = self.map.positions.label(found).strip()
        text = f"{self.map.weights[found]:.3f} {tr(self.map.unit)}"
        return f"{name} · {text}" if name else text
