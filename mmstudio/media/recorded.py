"""A guess whether a camera or a microphone made a picture or a sound, rather than a program.

By plain measurements, no model: a drawing is made of areas of one colour and few colours, a photograph is not; a
recording is never silent and never exact; speech is voiced, and its spectrum moves with its syllables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mmstudio.media.load import AudioClip

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Recorded = Literal["photographs", "recordings", "speech", ""]
LOOKED_AT_SIDE = 128
"""Pixels: small pictures have the noise of their compression averaged away."""
RECORDERS_HZ = 32_000
"""At this rate and above, recorders work; synthesisers of speech do not."""
FLOOR_DB = (-75.0, -15.0)
"""Below the loudest: the quiet parts of a recording are room and microphone."""
RATE_HZ, FRAME, HOP = 8_000, 256, 128
"""Samples a second, a frame, and from frame to frame, of what is looked at for speech."""
PITCH_HZ = (75.0, 400.0)


def recorded(media: object, rate_hz: int = 0) -> Recorded:
    """Of decoded media, a picture or a sound; of anything else "". ``rate_hz`` is that of a sound's file, if known."""
    from PIL import Image

    if isinstance(media, AudioClip):
        wave = np.concatenate(media.windows)
        if not by_microphone(wave, media.rate_hz, rate_hz):
            return ""
        return "speech" if speech(wave, media.rate_hz) else "recordings"
    return "photographs" if isinstance(media, Image.Image) and photograph(media) else ""


def photograph(picture: Picture) -> bool:
    """Whether few neighbours are of one colour and most pixels have a colour of their own."""
    small = picture.convert("RGB")
    small.thumbnail((LOOKED_AT_SIDE, LOOKED_AT_SIDE))
    pixels = np.asarray(small).astype(np.int16)
    if pixels.shape[0] < 8 or pixels.shape[1] < 8:
        return False
    same = (np.abs(np.diff(pixels, axis=1)).max(axis=2) <= 1).mean()
    own = len(np.unique(pixels.reshape(-1, 3), axis=0)) / pixels[..., 0].size
    return bool(same < 0.45 and own > 0.45)


def by_microphone(wave: NDArray[np.float32], rate_hz: int, file_rate_hz: int = 0) -> bool:
    """``wave (n,)`` of -1..1. Whether its file has the rate of a recorder, or it a floor of noise where it is quiet."""
    if file_rate_hz >= RECORDERS_HZ:
        return bool(np.any(wave))
    frames = wave[: len(wave) // (rate_hz // 50) * (rate_hz // 50)].reshape(-1, rate_hz // 50)
    if len(frames) < 5 or not frames.any():
        return False
    loud = 20 * np.log10(np.sqrt((frames**2).mean(axis=1)) + 1e-9)
    quiet = float(np.quantile(loud - loud.max(), 0.05))
    return bool(FLOOR_DB[0] < quiet < FLOOR_DB[1] and frames.any(axis=1).mean() > 0.99)


def speech(wave: NDArray[np.float32], rate_hz: int) -> bool:
    """Whether much of it has a voice's pitch, by autocorrelation (Boersma 1993), while its spectral centroid moves."""
    import soxr

    slow = soxr.resample(wave, rate_hz, RATE_HZ)
    if len(slow) < 8 * FRAME:
        return False
    frames = np.lib.stride_tricks.sliding_window_view(slow, FRAME)[::HOP]
    energy = (frames**2).mean(axis=1)
    frames = frames[energy > energy.max() * 1e-3]
    window = np.hanning(FRAME)
    power = np.abs(np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * window, 2 * FRAME)) ** 2
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * FRAME)) ** 2)
    shortest, longest = (int(RATE_HZ / hertz) for hertz in reversed(PITCH_HZ))
    alike = np.fft.irfft(power)
    alike = alike[:, shortest:longest] / (alike[:, :1] + 1e-12) / np.maximum(own / own[0], 0.15)[shortest:longest]
    centre = np.log((power * np.arange(power.shape[1])).sum(axis=1) / (power.sum(axis=1) + 1e-12) + 1e-3)
    voiced = (alike.max(axis=1) > 0.6).mean() > 0.35
    return bool(voiced and centre.std() > 0.33 and np.abs(np.diff(centre)).mean() > 0.12)
