"""Changes to a picture: RGB in, RGB of the same size out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CELLS = 10
"""Occlusion covers cells of a grid of this many rows and columns."""
WHITE = (255, 255, 255)
"""What comes free is white, as what is transparent is where the studio opens a file."""


def greyscale(picture: Picture, share: float, seed: int = 0) -> Picture:
    """Blended with its luma (ITU-R BT.601, Pillow's mode L); 0 is the picture, 1 has no colour."""
    from PIL import Image

    return Image.blend(picture, picture.convert("L").convert("RGB"), share)


def edges(picture: Picture, share: float, seed: int = 0) -> Picture:
    """Blended with its edges, white on black; 0 is the picture, 1 the edges alone."""
    from PIL import Image

    outlines = Image.fromarray(edge_map(np.asarray(picture.convert("L"))))
    return Image.blend(picture, outlines.convert("RGB"), share)


def edge_map(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(h, w)`` → ``(h, w)``: length of the gradient by Sobel's masks (Sobel & Feldman 1968), a full step of black to
    white being 1020 there and anything from a quarter of that white here.
    """
    wide = np.pad(grey, 1, mode="edge").astype(np.int16)
    smooth_down = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    smooth_across = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    across = (smooth_down[:, 2:] - smooth_down[:, :-2]).astype(np.float32)
    down = (smooth_across[2:] - smooth_across[:-2]).astype(np.float32)
    return np.minimum(np.hypot(across, down), 255).astype(np.uint8)


def blur(picture: Picture, percent: float, seed: int = 0) -> Picture:
    """Gaussian whose standard deviation is ``percent`` of the shorter side; 0 is the picture. Pillow makes it of
    three box blurs (Gwosdek et al. 2011), so that its cost does not grow with the radius.
    """
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(percent / 100 * min(picture.size)))


def crop(picture: Picture, kept: float, seed: int = 0) -> Picture:
    """The middle ``kept`` of both sides, enlarged (bicubic) to the picture's size; 1 is the picture."""
    from PIL import Image

    width, height = picture.size
    left, top = width * (1 - kept) / 2, height * (1 - kept) / 2
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box=(left, top, width - left, height - top))


def rotate(picture: Picture, degrees: float, seed: int = 0) -> Picture:
    """Turned counter-clockwise about its middle (bicubic), cut to its size, free corners white; 0 is the picture."""
    from PIL import Image

    return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=WHITE)


def noise(picture: Picture, sigma: float, seed: int = 0) -> Picture:
    """Gaussian noise of standard deviation ``sigma`` of white on every value, cut to 0..255; 0 is the picture.

    One seed gives one pattern, which grows with the strength.
    """
    from PIL import Image

    values = np.asarray(picture, np.float32)
    pattern = np.random.default_rng(seed).standard_normal(values.shape, np.float32)
    return Image.fromarray(np.clip(np.rint(values + 255 * sigma * pattern), 0, 255).astype(np.uint8))


def occlude(picture: Picture, share: float, seed: int = 0) -> Picture:
    """A ``share`` of the CELLS² cells of a grid, in an order drawn by ``seed``, in the picture's mean grey (after
    Zeiler & Fergus 2014); 0 is the picture.
    """
    from PIL import Image

    pixels = np.array(picture)
    grey = round(float(np.asarray(picture.convert("L")).mean()))
    tops, lefts = (np.linspace(0, side, CELLS + 1).round().astype(int) for side in pixels.shape[:2])
    for cell in np.random.default_rng(seed).permutation(CELLS * CELLS)[: round(share * CELLS * CELLS)]:
        row, column = divmod(int(cell), CELLS)
        pixels[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]] = grey
    return Image.fromarray(pixels)
