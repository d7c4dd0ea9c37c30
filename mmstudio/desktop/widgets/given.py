"""What a person drops or pastes where one thing is asked for: a file, or a picture without one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QImage

from mmstudio.desktop.heat import as_pixels
from mmstudio.desktop.text import tr
from mmstudio.errors import StudioError

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session


def is_given(mime: QMimeData) -> bool:
    """Whether there is a file or a picture."""
    return mime.hasUrls() or mime.hasImage()


def take(session: Session, mime: QMimeData, then: Callable[[Path, str], None]) -> bool:
    """Give the first file and its name, or the picture, once it is written to a file that goes with the studio; False
    where it is neither.
    """
    urls = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
    if urls:
        then(Path(urls[0]), Path(urls[0]).name)
    elif mime.hasImage():
        pixels = as_pixels(QImage(mime.imageData()))
        session.pool.ask(lambda: _kept_for_now(pixels), lambda file: then(file, tr("pasted picture")),
                         session.failed.emit)
    return bool(urls) or mime.hasImage()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """What is in it is deleted when the studio ends."""
    return tempfile.TemporaryDirectory(prefix="mmstudio-", ignore_cleanup_errors=True)


def _kept_for_now(pixels: NDArray[np.uint8]) -> Path:
    """In the pool."""
    try:
        return save_image(pixels, Path(_folder().name) / f"{uuid4().hex}.png")
    except OSError as error:
        raise StudioError("The pasted picture could not be written.", hint="Is the disk full?") from error


def save_image(pixels: NDArray[np.uint8], file: Path) -> Path:
    """A pasted picture, ``(h, w, 4)`` RGBA, as a PNG, in any thread. Raises StudioError."""
    from PIL import Image

    try:
        Image.fromarray(pixels).save(file)
    except OSError as error:
        raise StudioError("The pasted picture could not be written.", path=file, hint="Is the disk full?") from error
    return file
