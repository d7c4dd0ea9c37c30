"""Digits spoken by a small formant synthesiser (Klatt 1980, three resonances): each time by another voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
# Resonances in Hz, how much is voice (the rest is noise), and how long at most, in seconds.
SOUNDS = {
    "i": ((300, 2300, 3000), 1.0, 0.10), "e": ((530, 1850, 2500), 1.0, 0.09), "a": ((730, 1100, 2450), 1.0, 0.10),
    "o": ((500, 850, 2400), 1.0, 0.11), "u": ((320, 800, 2250), 1.0, 0.11), "n": ((250, 1200, 2300), 0.8, 0.07),
    "r": ((350, 1200, 1650), 1.0, 0.06), "w": ((300, 650, 2200), 1.0, 0.06), "v": ((250, 1100, 2100), 0.5, 0.06),
    "s": ((4500, 5500, 6500), 0.0, 0.10), "f": ((1500, 4000, 7000), 0.0, 0.08), "t": ((3500, 4500, 5500), 0.0, 0.04),
    "k": ((1800, 2500, 3500), 0.0, 0.04), "z": ((300, 4500, 5500), 0.4, 0.08), "h": ((600, 1500, 2500), 0.0, 0.07),
}
SPELLED = ("ziro", "wan", "tu", "hri", "for", "faiv", "siks", "sevan", "eit", "nain")


def say(digit: int, rng: np.random.Generator, noise: float = 0.03) -> NDArray[np.float32]:
    """``(n,)`` at 16 kHz, a third of a second or so, in ``noise`` of that deviation (the voice peaks at 1)."""
    pitch, size, speed = rng.uniform(90, 240), rng.uniform(0.9, 1.15), rng.uniform(0.8, 1.2)
    pieces = [_sound(*SOUNDS[letter], pitch, size, speed, rng) for letter in SPELLED[digit]]
    wave = np.concatenate(pieces)
    noisy = wave / np.abs(wave).max() + rng.normal(0, noise, len(wave))
    return (0.3 * noisy).astype(np.float32)


def _sound(tones: tuple[int, ...], voice: float, seconds: float, pitch: float, size: float, speed: float,
           rng: np.random.Generator) -> NDArray[np.float64]:
    n = int(seconds / speed * RATE_HZ)
    frequencies = np.fft.rfftfreq(2 * n, 1 / RATE_HZ)
    gain = sum(1 / (1 + ((frequencies - size * tone) / (60 + 0.04 * tone)) ** 2) for tone in tones)
    pulses = np.zeros(2 * n)
    pulses[:: max(1, int(RATE_HZ / pitch))] = 1.0
    source = voice * pulses + (1 - voice) * rng.normal(0, 0.1, 2 * n)
    return np.fft.irfft(np.fft.rfft(source) * gain)[:n] * np.hanning(n) ** 0.3
