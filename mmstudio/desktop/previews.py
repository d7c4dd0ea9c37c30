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
MOST_WAITING, AT_A_TIME = 300, 2
"""Previews that are waited for: what was seen before these has been scrolled away."""
Preview: TypeAlias = QPixmap | NDArray[np.float32]


class Previews(QObject):
    """``get`` gives a QPixmap for pictures, ``(bins, 2)`` peaks for sounds, or None until ``arrived`` says it is there.

    They are read in the pool, those seen last first. A preview that the project has lost is made again from its file,
    one after the other. What cannot be made is not tried again as long as the project is open and no file is found
    again.
    """

    arrived = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._kept: OrderedDict[str, Preview] = OrderedDict()
        self._wanted: OrderedDict[str, Item] = OrderedDict()
        self._lost: OrderedDict[str, Item] = OrderedDict()
        self._reading: set[str] = set()
        self._unreadable: set[str] = set()
        self._making = ""
        session.projectOpened.connect(self._opened)
        session.places.missingChanged.connect(self._try_again)

    def _opened(self) -> None:
        for told in (self._kept, self._wanted, self._lost, self._reading, self._unreadable):
            told.clear()
        self._making = ""

    def _try_again(self) -> None:
        self._unreadable.clear()

    def get(self, item: Item) -> Preview | None:
        """The preview if it is at hand; else it is fetched behind the window."""
        content = item.content_hash
        if content in self._kept:
            self._kept.move_to_end(content)
            return self._kept[content]
        waits = content in self._reading or content in self._lost or content == self._making
        if item.modality != "text" and not waits and content not in self._unreadable:
            _put(self._wanted, content, item)
            self._read_next()
        return None

    def _read_next(self) -> None:
        """Ask for no more than are read at a time: the others may be out of view before it is their turn."""
        project = self._session.project
        while project is not None and self._wanted and len(self._reading) < AT_A_TIME:
            content, item = self._wanted.popitem()
            self._reading.add(content)
            self._ask(project, item)

    def _ask(self, project: Project, item: Item) -> None:
        def read(found: QImage | NDArray[np.float32] | None) -> None:
            if project is not self._session.project:
                return
            self._reading.discard(item.content_hash)
            self._arrived(project, item, found)
            self._read_next()

        self._session.pool.ask(lambda: _read(item, project.preview(item.content_hash)), read, lambda _: read(None))

    def _arrived(self, project: Project, item: Item, found: QImage | NDArray[np.float32] | None) -> None:
        content = item.content_hash
        if found is None:
            _put(self._lost, content, item)
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
        self._making = content

        def made(found: QImage | NDArray[np.float32] | None) -> None:
            if project is not self._session.project:
                return
            self._making = ""
            if found is None:
                self._unreadable.add(content)
            else:
                self._arrived(project, item, found)
            self._make_next(project)

        self._session.pool.ask(lambda: _read(item, project.remake_preview(item)), made, lambda _: made(None))


def _put(waiting: OrderedDict[str, Item], content: str, item: Item) -> None:
    """What is asked for again is the newest; the oldest are given up, and asked for again if they are seen again."""
    waiting[content] = item
    waiting.move_to_end(content)
    while len(waiting) > MOST_WAITING:
        waiting.popitem(last=False)


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
