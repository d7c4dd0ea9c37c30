"""An item's media decoded for the inspector, in the pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from mmstudio.desktop import heat
from mmstudio.explain.spectrogram import mel_spectrogram
from mmstudio.library import Item
from mmstudio.media import Limits, load
from mmstudio.media.audio import peaks_of, read
from mmstudio.media.exif import exif_of
from mmstudio.media.image import open_pixels

OVERVIEW_PIXELS = 1400
HEARD_SECONDS = 600


@dataclass(frozen=True)
class SoundView:
    """What a sound shows and plays: the window that the encoder saw as a spectrogram, all of it (ten minutes) to hear.
    """

    mel: QImage
    peaks: NDArray[np.float32]
    seconds: float
    shown_rate_hz: int
    samples: NDArray[np.float32]
    rate_hz: int


@dataclass(frozen=True)
class PictureView:
    """A picture to look at: its own upright ``pixels`` ``(h, w, 3)`` or ``(h, w, 4)`` uint8 in sRGB, the same memory as
    ``image``, and a small ``overview`` of at most OVERVIEW_PIXELS a side. ``details`` are its EXIF.
    """

    pixels: NDArray[np.uint8]
    image: QImage
    overview: QImage
    details: list[tuple[str, str]]


def picture_of(item: Item, limits: Limits) -> PictureView:
    """The upright picture in full, and what the camera wrote into it. Raises MediaError."""
    if item.part:
        return picture_view(np.array(load(item.ref, limits)), [])
    return picture_view(open_pixels(item.path, limits), exif_of(item.path, limits))


def picture_view(pixels: NDArray[np.uint8], details: list[tuple[str, str]]) -> PictureView:
    """Moves pixels only, so any thread may ask."""
    pixels = np.ascontiguousarray(pixels)
    kind = QImage.Format.Format_RGBA8888 if pixels.shape[2] == 4 else QImage.Format.Format_RGB888
    image = QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.strides[0], kind)
    side = max(image.width(), image.height())
    overview = image.copy() if side <= OVERVIEW_PIXELS else image.scaled(
        OVERVIEW_PIXELS, OVERVIEW_PIXELS, Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation)
    return PictureView(pixels, image, overview, details)


def sound_of(item: Item, rate_hz: int, window_seconds: float) -> SoundView:
    """Decode a sound once: its beginning as the encoder reads it, and what is played. Raises MediaError."""
    samples, own_rate = read(item.path, 0, HEARD_SECONDS)
    seen, _ = read(item.path, rate_hz, window_seconds)
    mel, seconds = mel_spectrogram(seen, rate_hz)
    image = heat.grey(np.ascontiguousarray((mel[::-1] + 80) / 80))
    return SoundView(image, peaks_of(seen), seconds, rate_hz, samples, own_rate)
