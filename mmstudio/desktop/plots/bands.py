"""Many dense lines as pixels, in time that does not grow with their heights.

In every column of pixels a line covers one band, from its least to its greatest height there. The bands of up to 16
lines are toggled into one plane of bits, a running exclusive-or from the top fills them all at once, and a table turns
the bits of a pixel into its colour. What a band covers of its outermost pixels is blended in: this smooths the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mmstudio.desktop.plots.trace import Floats

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int, int]
_MOST = 10


@dataclass
class Band:
    """``low`` and ``high (width,)`` are pixels from the top, NaN where there is no line; ``colour`` is red, green,
    blue, alpha.
    """

    low: Floats
    high: Floats
    colour: Colour


def columns(x: Floats, y: Floats, width: int) -> tuple[Floats, Floats]:
    """The least and the greatest ``(width,)`` of the line through ``x (n,)``, ``y (n,)``, pixels, in every column. Open
    where ``y`` is NaN.
    """
    if not len(x):
        return np.full(width, np.nan), np.full(width, np.nan)
    edges = np.interp(np.arange(width + 1), x, y, left=np.nan, right=np.nan)
    low, high = np.fmin(edges[:-1], edges[1:]), np.fmax(edges[:-1], edges[1:])
    column = np.floor(x)
    inside = (column >= 0) & (column < width) & (y == y)
    column, y = column[inside].astype(np.int64), y[inside]
    np.fmin.at(low, column, y)
    np.fmax.at(high, column, y)
    return low, high


def dashed(low: Floats, high: Floats, on: float, off: float) -> tuple[Floats, Floats]:
    """Leave out ``off`` after every ``on`` pixels of the line's length; what is steep stays."""
    length = np.cumsum(1 + np.nan_to_num(high - low))
    out = (length % (on + off) >= on) & ~(high - low > on)
    return np.where(out, np.nan, low), np.where(out, np.nan, high)


def painted(width: int, height: int, faint: list[Band], planes: list[list[Band]], thick: float) -> Pixels:
    """``(height, width, 4)`` blue, green, red, alpha, premultiplied. ``faint`` bands are one pixel thick at least and
    shine through each other; those of later ``planes`` lie above, ``thick`` pixels with smooth edges.
    """
    table = _blended(tuple(band.colour for band in faint[:_MOST]))
    layer = table[_filled(width, height, [_rounded(band) for band in faint[:_MOST]])]
    for bands in planes:
        spans = [(band.low - thick / 2, band.high + thick / 2) for band in bands[:_MOST]]
        bits = _filled(width, height, [(np.ceil(low), np.floor(high)) for low, high in spans])
        table = _blended(tuple(band.colour for band in bands[:_MOST]))
        np.copyto(layer, table[bits], where=bits > 0)
        for number, (band, (low, high)) in enumerate(zip(bands, spans, strict=False)):
            _smooth_edge(layer, bits, number, band.colour, np.ceil(low) - 1, np.ceil(low) - low)
            _smooth_edge(layer, bits, number, band.colour, np.floor(high), high - np.floor(high))
    return layer.view(np.uint8).reshape(height, width, 4)


def _rounded(band: Band) -> tuple[Floats, Floats]:
    return np.floor(band.low), np.floor(band.high) + 1


def _filled(width: int, height: int, spans: Sequence[tuple[Floats, Floats]]) -> NDArray[np.uint16]:
    """``(height, width)``: bit ``k`` where a pixel lies from the first to before the last row of span ``k``."""
    toggles = np.zeros((height + 1, width), np.uint16)
    for number, (low, high) in enumerate(spans):
        at = np.flatnonzero(high > low)
        for rows in (low, high):
            toggles[np.clip(rows[at], 0, height).astype(np.int64), at] ^= np.uint16(1 << number)
    for row in range(1, height):  # row by row: four times as fast as accumulate
        np.bitwise_xor(toggles[row - 1], toggles[row], out=toggles[row])
    return toggles[:height]


@lru_cache(16)
def _blended(given: tuple[Colour, ...]) -> NDArray[np.uint32]:
    """``(2 ** k,)`` the colour of every set of lines, the later above the earlier."""
    found = np.zeros((1 << len(given), 4))
    bits = np.arange(len(found))
    for number, colour in enumerate(given):
        hit = bits >> number & 1 == 1
        found[hit] = found[hit] * (1 - colour[3] / 255) + _premultiplied(colour)
    return np.ascontiguousarray(found.round().astype(np.uint8)).view(np.uint32)[:, 0]


def _premultiplied(colour: Colour) -> Floats:
    red, green, blue, alpha = colour
    return np.array([blue, green, red, 255]) * (alpha / 255)


def _smooth_edge(layer: NDArray[np.uint32], bits: NDArray[np.uint16], number: int, colour: Colour, rows: Floats,
                 cover: Floats) -> None:
    """Blend a line's colour into one pixel of every column, unless a line above it is there."""
    at = np.flatnonzero((rows >= 0) & (rows < len(layer)) & (cover > 0.02))
    row = rows[at].astype(np.int64)
    free = bits[row, at] < 1 << number
    row, at = row[free], at[free]
    before = np.ascontiguousarray(layer[row, at]).view(np.uint8).reshape(-1, 4)
    share = cover[at, None]
    after = before * (1 - share * (colour[3] / 255)) + _premultiplied(colour) * share
    layer[row, at] = after.astype(np.uint8).view(np.uint32)[:, 0]
