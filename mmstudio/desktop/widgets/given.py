"""What a person drops or pastes where one thing is asked for: a file, or a picture without one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QMimeData
from PySide6.QtGui import QImage

from mmstudio.desktop.heat import as_pixels
from mmstudio.desktop.text import tr
from mmstudio.errors import StudioError


def is_given(mime: QMimeData) -> bool:
    """Whether there is a file or a picture."""
    return mime.hasUrls() or mime.hasImage()


def given(mime: QMimeData) -> tuple[Path, str] | None:
    """The first file and its name, or the picture as a file for the while; None for anything else. Raises StudioError.
    """
    urls = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
    if urls:
        return Path(urls[0]), Path(urls[0]).name
    if mime.hasImage():
        with tempfile.NamedTemporaryFile(prefix="mmstudio-", suffix=".png", delete=False) as file:
            pass
        return save_image(as_pixels(QImage(mime.imageData())), Path(file.name)), tr("pasted picture")
    return None


def save_image(pixels: NDArray[np.uint8], file: Path) -> Path:
    """A pasted picture, ``(h, w, 4)`` RGBA, as a PNG, in any thread. Raises StudioError."""
    from PIL import Image

    try:
        Image.fromarray(pixels).save(file)
    except OSError as error:
        raise StudioError("The pasted picture could not be written.", path=file, hint="Is the disk full?") from error
    return file
