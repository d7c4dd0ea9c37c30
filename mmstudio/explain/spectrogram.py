"""Sound as a picture: a mel spectrogram to look at (encoders compute their own)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BANDS = 96
LOW_HZ = 40.0


def mel_spectrogram(
    samples: NDArray[np.float32], rate_hz: int, columns: int = 800,
) -> tuple[NDArray[np.float32], float]:
    """``(BANDS, frames)`` float32 in decibels below the loudest, low band first, and its duration in seconds.

    At most ``columns`` frames: a longer sound gets a longer hop. Mel scale after O'Shaughnessy 1987.
    """
    window = min(1024, 1 << max(6, int(np.log2(max(rate_hz // 25, 64)))))
    hop = max(rate_hz // 100, -(-len(samples) // columns), 1)
    padded = np.pad(samples, (window // 2, window // 2 + hop))
    starts = np.arange(0, max(1, len(samples)), hop)
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float32) ** 2
    mel = power @ mel_filters(rate_hz, window).T
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    return np.maximum(decibels - decibels.max(), -80).T, len(samples) / rate_hz


def mel_filters(rate_hz: int, window: int) -> NDArray[np.float32]:
    """``(BANDS, window / 2 + 1)`` float32 triangles."""
    edges = _hertz(np.linspace(_mel(LOW_HZ), _mel(rate_hz / 2), BANDS + 2))
    bins = np.fft.rfftfreq(window, 1 / rate_hz)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    nearest = np.abs(bins[None] - edges[1:-1, None]).argmin(axis=1)
    thin = triangles.sum(axis=1) == 0
    triangles[np.flatnonzero(thin), nearest[thin]] = 1  # a band narrower than a bin takes the bin nearest to it
    return triangles.astype(np.float32)


def band_hz(rate_hz: int, band: float) -> float:
    """The frequency in the middle of a band (0..BANDS)."""
    return float(_hertz(np.interp(band + 1, [0, BANDS + 1], [_mel(LOW_HZ), _mel(rate_hz / 2)])))


def hz_band(rate_hz: int, hertz: float) -> float:
    """The band in whose middle a frequency lies."""
    return float(np.interp(_mel(hertz), [_mel(LOW_HZ), _mel(rate_hz / 2)], [0, BANDS + 1]) - 1)


def _mel(hertz: float) -> float:
    return 2595 * float(np.log10(1 + hertz / 700))


def _hertz(mel: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)
