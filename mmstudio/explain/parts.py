"""An item cut into cells that can be taken away: squares of a picture, words, squares of time and frequency.

Whatever an encoder is, it reads an item of which parts are left out; the methods of ``leaving_out`` and the tests of
``trust`` need nothing more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Positions
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.perturb import modality_of
from mmstudio.explain.perturb_texts import MASK
from mmstudio.media import AudioClip, Media

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Floats = NDArray[np.float32]
CELLS = 28
"""Cells along a picture's longer side."""
PIXELS = 224
"""Along a picture's longer side where parts are taken away, at most."""
REGIONS = 40
"""About so many superpixels, or blocks of a sound."""
CELL_SECONDS, MOST_COLUMNS, BANDS = 0.1, 48, 8
FFT = 512
_BY_ITSELF = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Kana, Han and Hangul: written without spaces."""


@dataclass(frozen=True)
class Parts:
    """An item cut into k cells.

    ``positions`` are theirs; ``shape`` is (rows, columns) of the grid in which they lie row by row, or (words,).
    ``regions`` ``(k,)`` int64 says to which superpixel, word or block a cell belongs. ``kept`` makes the item of which
    only a share ``(k,)`` in 0..1 of each cell is there: a picture's cell turns to the picture's mean colour, a sound's
    to silence, a word is gone from 0.5 down.
    """

    positions: Positions
    shape: tuple[int, ...]
    regions: NDArray[np.int64]
    kept: Callable[[Floats], Media]

    @property
    def region_count(self) -> int:
        return int(self.regions.max(initial=-1)) + 1

    def with_regions(self, there: NDArray[np.bool_]) -> Media:
        """The item of which only some regions are there: ``(regions,)``."""
        return self.kept(there[self.regions].astype(np.float32))

    def on_cells(self, found: RelevanceMap) -> Floats:
        """``(k,)`` the relevance of each cell: the mean over the map's places that share area with it, by that area;
        the mean of all where none does.
        """
        placed = found.positions.placed
        there, weights = found.positions.extents[placed], found.weights[placed]
        cells = self.positions.extents
        if there.shape[1] == 2 and cells.shape[1] == 4:  # the map knows time alone
            cells = cells[:, :2]
        shared = np.ones((len(cells), len(there)), np.float64)
        boxes = found.positions.kind == "patch"
        axes = [(0, 2), (1, 3)] if boxes else [(at, at + 1) for at in range(0, there.shape[1], 2)]
        for low, high in axes:
            shared *= np.clip(np.minimum(cells[:, None, high], there[None, :, high])
                              - np.maximum(cells[:, None, low], there[None, :, low]), 0, None)
        total = shared.sum(axis=1)
        mean = float(weights.mean()) if len(weights) else 0.0
        return np.where(total > 0, shared @ weights / np.maximum(total, 1e-12), mean).astype(np.float32)


def parts_of(media: Media, size: tuple[int, int] | None = None) -> Parts:
    """The item's cells. A picture is brought to ``size``, width and height, before parts are taken away, or to at most
    ``PIXELS`` along its longer side. Raises AttentionUnavailable for a text without words.
    """
    modality = modality_of(media)
    if modality == "text":
        return _of_text(str(media))
    return _of_sound(media) if isinstance(media, AudioClip) else _of_picture(media, size or within(media, PIXELS))


# ---- pictures -------------------------------------------------------------------------------------------------------


def within(picture: Any, most: int) -> tuple[int, int]:
    """A picture's width and height, reduced to at most ``most`` along the longer side."""
    shrunk = min(1.0, most / max(picture.size))
    return max(1, round(picture.width * shrunk)), max(1, round(picture.height * shrunk))


def _of_picture(picture: Any, size: tuple[int, int]) -> Parts:
    from PIL import Image

    small = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    rows, columns = (max(1, round(CELLS * side / max(picture.size))) for side in (picture.height, picture.width))
    mean = np.asarray(small, np.float32).reshape(-1, 3).mean(axis=0)
    nothing = Image.new("RGB", small.size, tuple(np.rint(mean).astype(int).tolist()))

    def kept(share: Floats) -> Picture:
        grid = Image.fromarray(np.rint(255 * share.reshape(rows, columns)).astype(np.uint8))
        hard = bool(((share == 0) | (share == 1)).all())
        way = Image.Resampling.NEAREST if hard else Image.Resampling.BILINEAR
        return Image.composite(small, nothing, grid.resize(size, way))

    cells = np.asarray(small.resize((columns, rows), Image.Resampling.BOX), np.float32)
    return Parts(_grid(rows, columns), (rows, columns), superpixels(cells, REGIONS), kept)


def _grid(rows: int, columns: int) -> Positions:
    top, left = np.divmod(np.arange(rows * columns), columns)
    boxes = np.stack([left / columns, top / rows, (left + 1) / columns, (top + 1) / rows], axis=1)
    return Positions("patch", boxes.astype(np.float32))


def superpixels(cells: Floats, count: int, compactness: float = 12.0, rounds: int = 10) -> NDArray[np.int64]:
    """``(rows, columns, 3)`` colours in 0..255 → ``(rows * columns,)`` regions of like colour that lie together, about
    ``count``: k-means over colour and place, as in SLIC (Achanta et al. 2012), over all cells, since they are few.
    """
    rows, columns = cells.shape[:2]
    step = max(1.0, np.sqrt(rows * columns / count))
    y, x = np.divmod(np.arange(rows * columns), columns)
    points = np.column_stack([cells.reshape(-1, 3) / 255 * 100, y / step * compactness, x / step * compactness])
    ys, xs = (np.arange(step / 2, side, step).astype(int) for side in (rows, columns))
    middles = points[(ys[:, None] * columns + xs).ravel()]
    owner = np.zeros(len(points), np.int64)
    for _ in range(rounds):
        owner = ((points[:, None] - middles[None]) ** 2).sum(axis=2).argmin(axis=1)
        for number in np.unique(owner):
            middles[number] = points[owner == number].mean(axis=0)
    return np.unique(owner, return_inverse=True)[1].astype(np.int64)


# ---- texts ----------------------------------------------------------------------------------------------------------


def _of_text(text: str) -> Parts:
    spans = words_of(text)
    if not spans:
        raise AttentionUnavailable("This text has no words that could be left out.")

    def kept(share: Floats) -> str:
        out = list(text)
        for (start, end), there in zip(spans, share, strict=True):
            if there <= 0.5:
                out[start:end] = [""] * (end - start)
        return " ".join("".join(out).split()) or MASK if (share <= 0.5).any() else text

    positions = Positions("character", np.array(spans, np.float32), tuple(text[a:b] for a, b in spans))
    return Parts(positions, (len(spans),), np.arange(len(spans)), kept)


def words_of(text: str) -> list[tuple[int, int]]:
    """Start and end of each word: what stands between white space, and each letter of a script without spaces. Marks
    that combine with a letter stay with it.
    """
    spans: list[tuple[int, int]] = []
    for at, letter in enumerate(text):
        if letter.isspace():
            continue
        joins = bool(spans) and spans[-1][1] == at
        alone = bool(_BY_ITSELF.match(letter)) or (joins and bool(_BY_ITSELF.match(text[spans[-1][0]])))
        if joins and (not alone or unicodedata.category(letter).startswith("M")):
            spans[-1] = spans[-1][0], at + 1
        else:
            spans.append((at, at + 1))
    return spans


# ---- sounds ---------------------------------------------------------------------------------------------------------


def _of_sound(clip: AudioClip) -> Parts:
    """Of several windows the first; the others stay whole."""
    from scipy import fft, signal

    wave, rate = clip.windows[0], clip.rate_hz
    seconds = len(wave) / rate
    columns = int(np.clip(np.ceil(seconds / CELL_SECONDS), 1, MOST_COLUMNS))
    edges = band_edges(rate, BANDS)
    size = min(FFT, max(16, len(wave) // 4 * 4))
    hop = size // 4
    filled = np.pad(wave, (0, max(0, size - len(wave))))
    hertz, at, spectrum = signal.stft(filled, rate, nperseg=size, noverlap=size - hop)
    spectrum = spectrum.astype(np.complex64)
    window = signal.get_window("hann", size).astype(np.float32)[:, None]
    weight = _overlapped(np.repeat(window**2, spectrum.shape[1], axis=1), hop)
    back = window.sum() / np.maximum(weight, 1e-6)
    band = np.clip(np.searchsorted(edges, hertz, side="right") - 1, 0, BANDS - 1)
    column = np.clip((at / seconds * columns).astype(int), 0, columns - 1)
    spoken = []  # of each column with frames: where its first begins, and ``(BANDS, n)`` what each band adds from there
    for first, last in ((start, end) for start, end in zip(*_stretches(column), strict=True)):
        frames = spectrum[:, first:last]
        alone = [_overlapped(fft.irfft(np.where((band == b)[:, None], frames, 0), size, axis=0) * window, hop)
                 for b in range(BANDS)]
        start = first * hop
        spoken.append((column[first], start, np.stack(alone) * back[start : start + len(alone[0])]))

    def kept(share: Floats) -> AudioClip:
        if (share == 1).all():
            return clip
        heard, gain = np.zeros(len(back), np.float32), share.reshape(BANDS, columns)
        for cell, start, bands in spoken:
            heard[start : start + bands.shape[1]] += gain[:, cell] @ bands
        return AudioClip((heard[size // 2 : size // 2 + len(wave)], *clip.windows[1:]), rate)

    row, cell = np.divmod(np.arange(BANDS * columns), columns)
    long = seconds / columns
    extents = np.stack([cell * long, (cell + 1) * long, edges[row], edges[row + 1]], axis=1)
    blocks = max(1, min(columns, 2 * REGIONS // BANDS))
    regions = (row // 2) * blocks + cell * blocks // columns
    return Parts(Positions("time-frequency", extents.astype(np.float32)), (BANDS, columns), regions, kept)


def _stretches(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of equal labels begins, and where it has ended."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    return np.append(0, edges), np.append(edges, len(labels))


def _overlapped(frames: Floats, hop: int) -> Floats:
    """``(size, n)`` frames ``hop`` samples apart, added up: of windowed ones, divided by the same of the squared
    window, the inverse of a short-time Fourier transform (Griffin & Lim 1984).
    """
    size, count = frames.shape
    out = np.zeros((count - 1) * hop + size, np.float32)
    for start in range(0, size, hop):
        out[start : start + count * hop] += frames[start : start + hop].T.ravel()
    return out


def band_edges(rate_hz: int, bands: int) -> NDArray[np.float64]:
    """``(bands + 1,)`` Hz from 0 to half the rate, equally far apart in mel (O'Shaughnessy 1987)."""
    top = 2595 * np.log10(1 + rate_hz / 2 / 700)
    return 700 * (10 ** (np.linspace(0, top, bands + 1) / 2595) - 1)
