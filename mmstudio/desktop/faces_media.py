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

SHOWN_PIXELS = 1400
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


def picture_of(item: Item, limits: Limits) -> QImage:
    """The upright picture, at most SHOWN_PIXELS a side. Raises MediaError."""
    picture = load(item.ref, limits)
    pixels = np.asarray(picture)
    image = heat.as_image(pixels)
    if max(image.width(), image.height()) > SHOWN_PIXELS:
        image = image.scaled(SHOWN_PIXELS, SHOWN_PIXELS, Qt.AspectRatioMode.KeepAspectRatio,
                             Qt.TransformationMode.SmoothTransformation)
    return image


def sound_of(item: Item, rate_hz: int, window_seconds: float) -> SoundView:
    """Decode a sound once: its beginning as the encoder reads it, and what is played. Raises MediaError."""
    samples, own_rate = read(item.path, 0, HEARD_SECONDS)
    seen, _ = read(item.path, rate_hz, window_seconds)
    mel, seconds = mel_spectrogram(seen, rate_hz)
    image = heat.grey(np.ascontiguousarray((mel[::-1] + 80) / 80))
    return SoundView(image, peaks_of(seen), seconds, rate_hz, samples, own_rate)
