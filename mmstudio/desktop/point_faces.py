"""What a point of a map looks like from near: its item's picture, waveform or words, and its name."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter

from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.library import Item

MOST_FACES = 4000
"""Items whose pictures are on the maps are kept at hand."""


class PointFaces:
    """Looked up by a point's key: an item's id, or minus a sample's."""

    def __init__(self, session: Session, previews: Previews) -> None:
        self._session, self._previews = session, previews
        self._known: dict[int, Item | None] = {}
        for changed in (session.itemsChanged, session.samplesChanged, session.projectOpened):
            changed.connect(self._known.clear)

    def item(self, key: int) -> Item | None:
        """The item of a point; of a sample its picture, if it has one."""
        if key not in self._known:
            if len(self._known) >= MOST_FACES:
                self._known.clear()
            items, sample = self._session.items, self._session.samples.get(-key)
            members = (items.get(i) for i in sample.item_ids) if sample else ()
            self._known[key] = items.get(key) or next((i for i in members if i and i.modality == "image"), None)
        return self._known[key]

    def title(self, key: int) -> str:
        """A sample's name or an item's."""
        item, sample = self.item(key), self._session.samples.get(-key)
        return sample.name if sample else item.title if item else ""

    def draw(self, painter: QPainter, box: QRect, key: int) -> None:
        """Draw it into a box."""
        item, sample = self.item(key), self._session.samples.get(-key)
        if item is not None:
            draw_item(painter, box, item, self._previews.get(item))
        elif sample is not None:
            painter.drawText(box, int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignCenter), sample.name)
