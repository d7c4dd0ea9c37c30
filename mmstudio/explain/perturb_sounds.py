"""Changes to a sound: a clip of the same rate with as many windows, float32 in -1..1.

A window that a change would push beyond ±1 is turned down as a whole, which keeps its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.media import AudioClip

Samples = NDArray[np.float32]
TOP_HZ = 24_000.0
"""The highest cut-off of the low-pass: half of 48 kHz, above which no encoder listens."""
ORDER = 8
"""Of the low-pass: 48 dB per octave."""
WINDOW_S = 0.06
"""About how long the phase vocoder's frames are: long enough to part a voice's harmonics."""
OVERLAP = 4


def pitch(clip: AudioClip, semitones: float, seed: int = 0) -> AudioClip:
    """Higher by so many semitones at the same duration; 0 is the clip. Played faster and stretched back in time, in
    the order in which less is stretched.
    """
    ratio = 2 ** (semitones / 12)

    def moved(wave: Samples) -> Samples:
        if ratio > 1:
            return _length(stretched(resampled(wave, ratio), ratio, clip.rate_hz), len(wave))
        return _length(resampled(stretched(wave, ratio, clip.rate_hz), ratio), len(wave))
    return _each(clip, moved)


def speed(clip: AudioClip, factor: float, seed: int = 0) -> AudioClip:
    """Played ``factor`` times as fast, pitch and all, like a tape: windows become shorter by that; 1 is the clip."""
    return _each(clip, lambda wave: _length(resampled(wave, factor), max(1, round(len(wave) / factor))))


def add_noise(clip: AudioClip, level: float, seed: int = 0) -> AudioClip:
    """White noise whose root mean square is ``level`` times that of each window: a signal-to-noise ratio of
    -20 log10(level) dB. 0 is the clip, and silence stays silent. One seed gives one noise, which grows.
    """
    rng = np.random.default_rng(seed)

    def noisy(wave: Samples) -> Samples:
        hiss = rng.standard_normal(len(wave), np.float32)
        return wave + hiss * (level * _loudness(wave) / max(_loudness(hiss), 1e-12))
    return _each(clip, noisy)


def low_pass(clip: AudioClip, cut_off_hz: float, seed: int = 0) -> AudioClip:
    """Magnitudes of a Butterworth filter (1930) without its delay, half the power at ``cut_off_hz``. From half the
    clip's rate on it is the clip.
    """
    return clip if cut_off_hz >= clip.rate_hz / 2 else _each(clip, lambda w: _filtered(w, cut_off_hz, clip.rate_hz))


def clipping(clip: AudioClip, share: float, seed: int = 0) -> AudioClip:
    """Each window cut off at ± ``share`` of its peak, and not made louder again; 1 is the clip."""
    def cut(wave: Samples) -> Samples:
        most = share * np.abs(wave).max(initial=0)
        return np.clip(wave, -most, most)
    return _each(clip, cut)


def stretched(wave: Samples, ratio: float, rate_hz: int) -> Samples:
    """``(n,)`` → about ``(n * ratio,)`` at the same pitch, by a phase vocoder.

    Frames are laid down every hop and taken every hop / ratio. A peak's phase goes on from the frame laid down
    before as it does over one hop of the sound itself, and the bins around a peak turn with it, so that partials
    keep their shape (identity phase locking: Laroche & Dolson 1999; advance over one hop: Puckette 1995).
    """
    size = 1 << max(4, round(np.log2(WINDOW_S * rate_hz)))
    hop = size // OVERLAP
    number = np.arange(-(OVERLAP // 2), int(np.ceil(len(wave) * ratio / hop)) + OVERLAP // 2 + 1)
    middle = (number * (hop / ratio)).round().astype(int)
    ahead = size // 2 + hop - int(middle[0])
    padded = np.pad(wave, (ahead, max(0, int(middle[-1]) + size - len(wave))))
    at = middle + ahead - size // 2
    window = np.hanning(size + 1)[:size].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)
    now, before = (np.fft.rfft(frames[start] * window, axis=1) for start in (at, at - hop))
    laid = np.fft.irfft(_locked(now, before), size, axis=1).astype(np.float32) * window
    return _overlapped(laid, hop)[size:][: max(1, round(len(wave) * ratio))]


def _locked(now: NDArray[Any], before: NDArray[Any]) -> NDArray[Any]:
    """``(frames, bins)`` complex spectra, and those one hop before each → spectra whose phases go on."""
    owners = _nearest_peaks(np.abs(now))
    out = np.empty_like(now)
    out[0] = last = now[0]
    for frame in range(1, len(now)):
        turn = last * before[frame].conj()
        length = np.abs(turn)
        turn = np.where(length > 1e-20, turn / np.maximum(length, 1e-20), 1)[owners[frame]]
        out[frame] = last = now[frame] * turn
    return out


def _nearest_peaks(sizes: NDArray[Any]) -> NDArray[np.int64]:
    """``(frames, bins)`` magnitudes → for each bin the nearest one that is greater than its two neighbours on either
    side; itself where a frame has none.
    """
    bins = sizes.shape[1]
    around = np.pad(sizes, ((0, 0), (2, 2)))
    peak = np.logical_and.reduce([sizes > around[:, shift : shift + bins] for shift in (0, 1, 3, 4)])
    number = np.arange(bins)
    left = np.maximum.accumulate(np.where(peak, number, -2 * bins), axis=1)
    right = np.minimum.accumulate(np.where(peak, number, 4 * bins)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(number - left <= right - number, left, right)
    return np.where(peak.any(axis=1)[:, None], nearest, number)


def _overlapped(frames: Samples, hop: int) -> Samples:
    """``(count, size)`` frames, each windowed twice by Hann's window, summed a ``hop`` apart. A quarter apart those
    squares sum to 1.5.
    """
    count = len(frames)
    blocks = np.zeros((count + OVERLAP - 1, hop), np.float32)
    for part in range(OVERLAP):
        blocks[part : part + count] += frames[:, part * hop : (part + 1) * hop]
    return blocks.ravel() / 1.5


def resampled(wave: Samples, factor: float) -> Samples:
    """Played ``factor`` times as fast: about ``(n / factor,)``, band-limited."""
    import soxr

    out: Samples = soxr.resample(wave, factor, 1.0)
    return out


def _filtered(wave: Samples, cut_off_hz: float, rate_hz: int) -> Samples:
    padded = 1 << (len(wave) + rate_hz // 10).bit_length()  # behind the end its ringing dies away
    hertz = np.fft.rfftfreq(padded, 1 / rate_hz)
    gain = (1 / np.sqrt(1 + (hertz / cut_off_hz) ** (2 * ORDER))).astype(np.float32)
    return np.fft.irfft(np.fft.rfft(wave, padded) * gain, padded)[: len(wave)].astype(np.float32)


def _each(clip: AudioClip, change: Callable[[Samples], Samples]) -> AudioClip:
    return AudioClip(tuple(_turned_down(change(wave)) for wave in clip.windows), clip.rate_hz)


def _turned_down(wave: Samples) -> Samples:
    peak = float(np.abs(wave).max(initial=0))
    return np.asarray(np.clip(wave / peak, -1, 1) if peak > 1 else wave, np.float32)


def _length(wave: Samples, samples: int) -> Samples:
    """Exactly so many samples, cut or filled with silence."""
    return np.pad(wave[:samples], (0, max(0, samples - len(wave))))


def _loudness(wave: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
