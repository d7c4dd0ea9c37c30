"""Points as density: each pixel mixes the colours of all points on it by their number, whatever the order of drawing.

After P. Cottam, A. Lumsdaine, P. Wang: Abstract Rendering (SPIE VDA 2014): numbers are gathered per pixel first and
made colours last. All sums are of whole numbers, so that the order of the points cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FULL = 15
"""The weight of a pixel that a stamp covers wholly; of a stamp of one pixel it is 1."""
_LOW = 0xFFFFFFFF
_OPACITIES = 1 << 13
Longs = NDArray[np.int64]
Pixels = NDArray[np.uint32]


@dataclass(frozen=True)
class Dots:
    """``places (n, 2)`` float32, ``codes (n,)`` uint16 rows of a palette, ``shapes (n,)`` uint8 rows of the stamps."""

    places: NDArray[np.float32]
    codes: NDArray[np.uint16]
    shapes: NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """What part of the map is drawn: its upper left corner in map units, and pixels per unit."""

    left: float
    top: float
    scale: float


class Loops(Protocol):
    """The two inner loops: this module in numpy, or ``kernels`` as machine code."""

    def splat(self, places: NDArray[np.float32], codes: NDArray[np.uint16], shapes: NDArray[np.uint8], firsts: Longs,
              lasts: Longs, step: int, left: float, top: float, scale: float, palette: Longs,
              masks: NDArray[np.uint8], sums: Longs) -> None:
        """Add every ``step``-th dot of the runs ``firsts[i]:lasts[i]`` to ``sums (layers, h, w, 2)``: a stamp
        ``masks[shape] (s, s)``, s odd, times the first two columns of ``palette (codes, 3)``; the third is the layer.
        """

    def shade(self, sums: Longs, opacities: NDArray[np.float32], out: Pixels) -> None:
        """Lay the mean colours of ``sums (h, w, 2)`` over ``out (h, w)``, and empty the sums."""


class NumpyLoops:
    """For the first frames, and where nothing can be compiled."""

    def splat(self, places: NDArray[np.float32], codes: NDArray[np.uint16], shapes: NDArray[np.uint8], firsts: Longs,
              lasts: Longs, step: int, left: float, top: float, scale: float, palette: Longs,
              masks: NDArray[np.uint8], sums: Longs) -> None:
        rows = every(firsts, lasts, step)
        _, height, width, _ = sums.shape
        half = masks.shape[1] // 2
        x = (places[rows, 0] - np.float64(left)) * scale
        y = (np.float64(top) - places[rows, 1]) * scale
        near = (x >= -half) & (x < width + half) & (y >= -half) & (y < height + half) & (palette[codes[rows], 0] != 0)
        rows, x, y = rows[near], (x[near] + half).astype(np.int64) - half, (y[near] + half).astype(np.int64) - half
        first, second, layer = palette[codes[rows]].T
        flat = sums.reshape(-1, 2)
        for row, column in np.ndindex(masks.shape[1:]):
            at_x, at_y = x + column - half, y + row - half
            share = masks[shapes[rows], row, column].astype(np.int64)
            inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height) & (share > 0)
            at = ((layer * height + at_y) * width + at_x)[inside]
            np.add.at(flat[:, 0], at, (share * first)[inside])
            np.add.at(flat[:, 1], at, (share * second)[inside])

    def shade(self, sums: Longs, opacities: NDArray[np.float32], out: Pixels) -> None:
        rows, columns = np.nonzero(sums[..., 0])
        first, second = sums[rows, columns].T
        under = out[rows, columns].astype(np.int64)
        weight = first >> 32
        opacity = opacities[np.minimum(weight, len(opacities) - 1)].astype(np.float64)
        share, rest = opacity / weight, 1 - opacity
        red, green, blue = (
            (old * rest + total * share + 0.5).astype(np.uint32) for old, total in (
                ((under >> 16) & 255, first & _LOW), ((under >> 8) & 255, second >> 32), (under & 255, second & _LOW)))
        out[rows, columns] = np.uint32(0xFF000000) | (red << 16) | (green << 8) | blue
        sums[rows, columns] = 0


class Raster:
    """Buffers of one picture's size; for one thread at a time."""

    def __init__(self) -> None:
        self._sums = np.zeros((2, 0, 0, 2), np.int64)

    def draw(self, loops: Loops, dots: Dots, runs: tuple[Longs, Longs], step: int, window: Window, palette: Longs,
             masks: NDArray[np.uint8], opacities: tuple[NDArray[np.float32], NDArray[np.float32]], out: Pixels) -> None:
        """Draw the runs of dots over ``out (h, w)``, 0xffRRGGBB: those of layer 0 under those of layer 1."""
        if self._sums.shape[1:3] != out.shape:
            self._sums = np.zeros((2, *out.shape, 2), np.int64)
        loops.splat(dots.places, dots.codes, dots.shapes, *runs, step, window.left, window.top, window.scale, palette,
                    masks, self._sums)
        for layer, curve in enumerate(opacities):
            if (palette[:, 0] != 0)[palette[:, 2] == layer].any():
                loops.shade(self._sums[layer], curve, out)


def palette_words(colours: NDArray[np.int64], weights: NDArray[np.int64], layers: NDArray[np.int64]) -> Longs:
    """``(k, 3)``: what a dot adds - its weight and red, green and blue of 0..255, two numbers to a word - and the layer
    it is added to. A weight of 0 is not drawn. Up to 16 million of weight can lie on one pixel.
    """
    red, green, blue = (colours * weights[:, None]).T
    return np.stack([(weights << 32) | red, (green << 32) | blue, layers], axis=1)


def opacity_curve(unit: int, alone: float, many: float, strength: float = 1.0) -> NDArray[np.float32]:
    """The opacity of each weight on a pixel: that of one dot is ``alone``, then it grows with the logarithm and is 1
    where ``many`` dots lie. ``unit`` is the weight of one dot; less of it is an edge.
    """
    dots = np.arange(_OPACITIES) / unit
    grown = alone + (1 - alone) * np.log(np.maximum(dots, 1)) / np.log(max(many, 2.0))
    return (strength * np.minimum(np.where(dots < 1, alone * dots, grown), 1)).astype(np.float32)


def every(firsts: Longs, lasts: Longs, step: int = 1) -> Longs:
    """The numbers in the runs ``firsts[i]:lasts[i]`` that ``step`` divides."""
    starts = -(-firsts // step)
    lengths = np.maximum(-(-lasts // step) - starts, 0)
    before = np.cumsum(lengths) - lengths
    return (np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)) * step
