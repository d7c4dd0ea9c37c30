"""Relevance as colour: one perceptually uniform colour map for all heat, strongest where the number is largest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QImage

from mmstudio.colour_maps import colour_map

Floats = NDArray[np.float32]
HEAT = "linear_bmy_10_95_c78"
"""From blue over red to yellow."""


def colour(share: float, alpha: float = 1.0) -> QColor:
    """The colour of 0..1."""
    red, green, blue = (int(v) for v in colour_map(HEAT)[int(np.clip(share, 0, 1) * 255)])
    return QColor(red, green, blue, int(255 * np.clip(alpha, 0, 1)))


def picture(grid: Floats, strongest_alpha: float) -> QImage:
    """``(rows, columns)`` of 0..1 as an image whose opacity grows with the number, so that what matters is seen."""
    rgba = np.empty((*grid.shape, 4), np.uint8)
    rgba[..., :3] = colour_map(HEAT)[(np.clip(grid, 0, 1) * 255).astype(np.uint8)]
    rgba[..., 3] = (255 * strongest_alpha * (0.12 + 0.88 * np.clip(grid, 0, 1))).astype(np.uint8)
    return as_image(rgba)


def as_image(pixels: NDArray[np.uint8]) -> QImage:
    """``(h, w, 4)`` RGBA or ``(h, w, 3)`` RGB uint8 as a QImage with its own memory."""
    pixels = np.ascontiguousarray(pixels)
    kind = QImage.Format.Format_RGBA8888 if pixels.shape[2] == 4 else QImage.Format.Format_RGB888
    return QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.strides[0], kind).copy()


def as_pixels(image: QImage) -> NDArray[np.uint8]:
    """A QImage as ``(h, w, 4)`` RGBA uint8 with its own memory."""
    image = image.convertToFormat(QImage.Format.Format_RGBA8888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4).copy()


def grey(table: Floats) -> QImage:
    """``(rows, columns)`` of 0..1 in the colours of a spectrogram."""
    return as_image(colour_map("linear_kbc_5_95_c73")[(np.clip(table, 0, 1) * 255).astype(np.uint8)])
