"""Speech from flite (Debian package flite: libflite and its voices), called through its C library: voices built from
recordings of people, which eSpeak's rules are not. The speed changes pitch and timbre with the tempo, as on a tape."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import soxr

RATE = 16_000
VOICES = ("rms", "awb", "kal16")
HELD_OUT_VOICE = "slt"


class _Wave(ctypes.Structure):
    """cst_wave."""

    _fields_ = [
        ("type", ctypes.c_char_p), ("sample_rate", ctypes.c_int), ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int), ("samples", ctypes.POINTER(ctypes.c_short)),
    ]  # fmt: skip


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libflite.so.1", ctypes.RTLD_GLOBAL)
    for part in ("libflite_cmulex.so.1", "libflite_usenglish.so.1"):
        ctypes.CDLL(part, ctypes.RTLD_GLOBAL)
    library.flite_init()
    library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    library.flite_text_to_wave.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    library.delete_wave.argtypes = (ctypes.POINTER(_Wave),)
    return library


@cache
def _voice(name: str) -> ctypes.c_void_p:
    _library()
    register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
    register.restype = ctypes.c_void_p
    return ctypes.c_void_p(register(None))


def speak(text: str, voice: str, speed: float = 1.0) -> np.ndarray:
    """(samples,) float32 at 16 kHz, without the silence around it."""
    said = _library().flite_text_to_wave(text.encode(), _voice(voice))
    held = said.contents
    wave = np.ctypeslib.as_array(held.samples, (held.num_samples,)).astype(np.float32) / 32768
    rate = held.sample_rate
    _library().delete_wave(said)
    wave = soxr.resample(wave, rate * speed, RATE, quality="LQ")
    loud = np.flatnonzero(np.abs(wave) > 0.004)
    first, last = (int(loud[0]), int(loud[-1])) if len(loud) else (0, RATE // 2)
    return np.asarray(wave[max(0, first - 320) : last + 1600], np.float32)
