"""Small pictures of items, read and decoded in the pool, kept in a bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage, QPixmap

from mmstudio.desktop import heat
from mmstudio.desktop.session import Session
from mmstudio.library import Item

KEPT = 3000
Preview: TypeAlias = QPixmap | NDArray[np.float32]


class Previews(QObject):
    """``get`` gives a QPixmap for pictures, ``(bins, 2)`` peaks for sounds, or None until ``arrived`` says it is there.
    """

    arrived = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._kept: OrderedDict[str, Preview | None] = OrderedDict()
        session.projectOpened.connect(self._kept.clear)

    def get(self, item: Item) -> Preview | None:
        """The preview if it is at hand; else it is fetched behind the window."""
        content = item.content_hash
        if content in self._kept:
            self._kept.move_to_end(content)
            return self._kept[content]
        project = self._session.project
        if project is None or item.modality == "text":
            return None
        self._kept[content] = None
        read = _read_picture if item.modality == "image" else _read_peaks
        self._session.pool.ask(lambda: read(project.preview, content), lambda found: self._arrived(content, found))
        return None

    def _arrived(self, content: str, found: QImage | NDArray[np.float32] | None) -> None:
        if found is None:
            return
        self._kept[content] = QPixmap.fromImage(found) if isinstance(found, QImage) else found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        self.arrived.emit(content)


def _read_picture(read: Callable[[str], bytes], content: str) -> QImage | None:
    """By Pillow: Qt's readers are no work for a thread, see ``worker``."""
    from PIL import Image

    try:
        with Image.open(BytesIO(read(content))) as picture:
            return heat.as_image(np.asarray(picture.convert("RGB")))
    except OSError:
        return None


def _read_peaks(read: Callable[[str], bytes], content: str) -> NDArray[np.float32] | None:
    raw = read(content)
    return np.frombuffer(raw, np.float32).reshape(-1, 2) if raw and len(raw) % 8 == 0 else None
