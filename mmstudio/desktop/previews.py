"""Small pictures of items, read and decoded in the pool, kept in a bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage, QPixmap

from mmstudio.desktop import heat
from mmstudio.desktop.session import Session
from mmstudio.library import Item

if TYPE_CHECKING:
    from mmstudio.project import Project

KEPT = 3000
MOST_LOST = 300
"""Lost previews that are waited for: what was seen before these has been scrolled away."""
Preview: TypeAlias = QPixmap | NDArray[np.float32]


class Previews(QObject):
    """``get`` gives a QPixmap for pictures, ``(bins, 2)`` peaks for sounds, or None until ``arrived`` says it is there.

    A preview that the project has lost is made again from its file, one after the other, those seen last first. What
    cannot be made is not tried again as long as the project is open and no file is found again.
    """

    arrived = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._kept: OrderedDict[str, Preview | None] = OrderedDict()
        self._lost: OrderedDict[str, Item] = OrderedDict()
        self._unreadable: set[str] = set()
        self._making = False
        session.projectOpened.connect(self._opened)
        session.places.missingChanged.connect(self._try_again)

    def _opened(self) -> None:
        self._kept.clear()
        self._lost.clear()
        self._unreadable.clear()

    def _try_again(self) -> None:
        for content in self._unreadable:
            self._kept.pop(content, None)
        self._unreadable.clear()

    def get(self, item: Item) -> Preview | None:
        """The preview if it is at hand; else it is fetched behind the window."""
        content = item.content_hash
        if content in self._kept:
            self._kept.move_to_end(content)
            return self._kept[content]
        project = self._session.project
        if project is None or item.modality == "text" or content in self._unreadable:
            return None
        self._kept[content] = None
        self._session.pool.ask(lambda: _read(item, project.preview(content)),
                               lambda found: self._arrived(project, item, found))
        return None

    def _arrived(self, project: Project, item: Item, found: QImage | NDArray[np.float32] | None) -> None:
        if project is not self._session.project:
            return
        content = item.content_hash
        if found is None:
            self._lost[content] = item
            while len(self._lost) > MOST_LOST:
                self._kept.pop(self._lost.popitem(last=False)[0], None)  # out of view; asked for again when it is seen
            self._make_next(project)
            return
        self._kept[content] = QPixmap.fromImage(found) if isinstance(found, QImage) else found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        self.arrived.emit(content)

    def _make_next(self, project: Project) -> None:
        if self._making or not self._lost:
            return
        content, item = self._lost.popitem()
        self._making = True

        def made(found: QImage | NDArray[np.float32] | None) -> None:
            self._making = False
            if found is None and project is self._session.project:
                self._unreadable.add(content)
            elif found is not None:
                self._arrived(project, item, found)
            if self._session.project is not None:
                self._make_next(self._session.project)

        self._session.pool.ask(lambda: _read(item, project.remake_preview(item)), made, lambda _: made(None))


def _read(item: Item, raw: bytes) -> QImage | NDArray[np.float32] | None:
    return _picture(raw) if item.modality == "image" else _peaks(raw)


def _picture(raw: bytes) -> QImage | None:
    """By Pillow: Qt's readers are no work for a thread, see ``worker``."""
    from PIL import Image

    try:
        with Image.open(BytesIO(raw)) as picture:
            return heat.as_image(np.asarray(picture.convert("RGB")))
    except (OSError, SyntaxError, ValueError):  # as Pillow tells of damaged files
        return None


def _peaks(raw: bytes) -> NDArray[np.float32] | None:
    return np.frombuffer(raw, np.float32).reshape(-1, 2) if raw and len(raw) % 8 == 0 else None
