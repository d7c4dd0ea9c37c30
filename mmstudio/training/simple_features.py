"""Numbers that a picture or a sound has without any model: what a trained one must beat."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from mmstudio.media import AudioClip

Floats = NDArray[np.float32]
SIDE, CELLS, DIRECTIONS, TONES = 32, 4, 8, 4
PICTURE_DIM = (SIDE // 2) ** 2 * 3 + TONES**3 + CELLS**2 * DIRECTIONS
BANDS, LOW_HZ, HIGH_HZ, MOST_FRAMES = 40, 40.0, 8000.0, 1000
SOUND_DIM = 4 * BANDS


def of_picture(picture: Image) -> Floats:
    """``(PICTURE_DIM,)`` float32, about 0..1: 16 x 16 colours, a histogram of ``TONES`` tones a channel, and directions
    of edges in ``CELLS`` x ``CELLS`` cells (after Dalal & Triggs 2005).
    """
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    pixels = np.asarray(rgb.resize((SIDE, SIDE), Resampling.BOX), np.float32) / 255
    colours = pixels.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(1, 3))
    tone = np.minimum(pixels * TONES, TONES - 1).astype(np.int64) @ np.array([TONES**2, TONES, 1])
    histogram = np.bincount(tone.ravel(), minlength=TONES**3) / SIDE**2
    return np.concatenate([colours.ravel(), histogram, _edges(pixels.mean(axis=2))]).astype(np.float32)


def of_sound(clip: AudioClip) -> Floats:
    """``(SOUND_DIM,)`` float32 decibels: mean, spread, 90 % quantile and spread of the change from frame to frame of
    each of ``BANDS`` mel bands of ``LOW_HZ`` to ``HIGH_HZ``, over all windows of the clip. An empty clip is silence.
    """
    frames = [_decibels(window, clip.rate_hz) for window in clip.windows] or [_decibels(np.zeros(1), clip.rate_hz)]
    every = np.concatenate(frames)
    change = np.concatenate([np.diff(one, axis=0) for one in frames])
    moved = change.std(axis=0) if len(change) else np.zeros(BANDS)
    return np.concatenate([every.mean(axis=0), every.std(axis=0), np.quantile(every, 0.9, axis=0), moved]).astype(
        np.float32)


def _edges(grey: Floats) -> Floats:
    """``(CELLS² * DIRECTIONS,)`` strength of unsigned directions in each cell, of length 1 or 0."""
    down, across = np.gradient(grey)
    turn = (np.arctan2(down, across) % np.pi) / np.pi * DIRECTIONS
    direction = turn.astype(np.int64) % DIRECTIONS
    cell = np.arange(SIDE) * CELLS // SIDE
    place = (cell[:, None] * CELLS + cell) * DIRECTIONS + direction
    found = np.bincount(place.ravel(), np.hypot(down, across).ravel(), CELLS**2 * DIRECTIONS)
    return (found / max(float(np.linalg.norm(found)), 1e-6)).astype(np.float32)


def _decibels(samples: NDArray[np.floating], rate_hz: int) -> NDArray[np.float64]:
    """``(frames, BANDS)`` power of full scale in decibels, -100 at least; frames of 25 ms each 10 ms, at most
    ``MOST_FRAMES`` of them.
    """
    heard = np.nan_to_num(np.asarray(samples, np.float64))
    size = max(16, rate_hz // 40)
    hop = max(1, rate_hz // 100, -(-len(heard) // MOST_FRAMES))
    padded = np.pad(heard, (0, max(0, size - len(heard))))
    starts = np.arange(0, len(padded) - size + 1, hop)
    window = np.hanning(size)
    power = np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(size)] * window) / window.sum()) ** 2
    return 10 * np.log10(np.maximum(power @ _filters(rate_hz, size).T, 1e-10))


@lru_cache(maxsize=16)
def _filters(rate_hz: int, size: int) -> NDArray[np.float64]:
    """``(BANDS, size // 2 + 1)`` triangles on the mel scale; bands above half the rate are 0."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (LOW_HZ, HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / rate_hz)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    for band in np.flatnonzero((triangles.sum(axis=1) == 0) & (edges[1:-1] <= rate_hz / 2)):
        triangles[band, np.abs(bins - edges[band + 1]).argmin()] = 1  # narrower than a bin: the bin nearest to it
    return triangles
