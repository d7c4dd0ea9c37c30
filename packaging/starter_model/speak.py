"""Synthetic English speech from espeak-ng, called through its C library (speak_lib.h): fast, and with phoneme times."""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soxr

RATE = 16_000
ACCENTS = ("en-US", "en", "en-GB-x-rp", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-029")
HELD_OUT_ACCENTS = ("en-GB-scotland", "en-US-nyc")
HELD_OUT_VARIANTS = ("f2", "m3", "Alicia", "adam", "belinda", "david", "Hugo", "linda", "pedro", "rob", "steph2", "zac")
_ODD_VARIANTS = ("Demonic", "UniRobot", "Mr serious", "whisper", "whisperf", "croak", "fast", "robosoft", "announcer")

_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8 = 2, 1, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_LIST_END, _PHONEME = 0, 7


class _Event(ctypes.Structure):
    """espeak_EVENT."""

    _fields_ = [
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position_ms", ctypes.c_int), ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p), ("phoneme", ctypes.c_char * 8),
    ]  # fmt: skip


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Utterance:
    """wave (samples,) float32 at 16 kHz; phonemes as (start in seconds, espeak's name of it)."""

    wave: np.ndarray
    phonemes: list[tuple[float, str]]


@dataclass(frozen=True)
class Voice:
    """How it is said: an accent (language file), a variant (timbre), words per minute, pitch and its range 0..100."""

    accent: str
    variant: str
    rate: int = 175
    pitch: int = 50
    liveliness: int = 50


class _Espeak:
    """The library, opened once per process; `parts` collects what the callback receives."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(find_library("espeak-ng") or "libespeak-ng.so.1")
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        self.parts: list[np.ndarray] = []
        self.phonemes: list[tuple[float, str]] = []
        self.callback = _Callback(self._receive)  # kept: ctypes does not
        self.library.espeak_SetSynthCallback(self.callback)
        self.voice = ""

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if count > 0:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        row = 0
        while events[row].type != _LIST_END:
            if events[row].type == _PHONEME:
                name = events[row].phoneme.decode("utf-8", "ignore")
                self.phonemes.append((events[row].audio_position_ms / 1000, name))
            row += 1
        return 0


@cache
def _espeak() -> _Espeak:
    return _Espeak()


@cache
def data_folder() -> Path:
    """Where espeak-ng keeps its voices."""
    found = ctypes.c_char_p()
    _espeak().library.espeak_Info.restype = ctypes.c_char_p
    _espeak().library.espeak_Info(ctypes.byref(found))
    return Path((found.value or b"").decode())


@cache
def variants() -> tuple[str, ...]:
    """The timbres heard in training."""
    every = sorted(p.name for p in (data_folder() / "voices" / "!v").iterdir())
    return tuple(v for v in every if v not in HELD_OUT_VARIANTS and v not in _ODD_VARIANTS)


def speak(text: str, voice: Voice) -> Utterance:
    """Says a text; silence at the end is cut to at most a tenth of a second."""
    espeak = _espeak()
    name = f"gmw/{voice.accent}+{voice.variant}"
    if espeak.voice != name:
        if espeak.library.espeak_SetVoiceByName(name.encode()):
            raise ValueError(f"espeak-ng has no voice {name}")
        espeak.voice = name
    for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.liveliness)):
        espeak.library.espeak_SetParameter(parameter, value, 0)
    espeak.parts, espeak.phonemes = [], []
    encoded = text.encode()
    espeak.library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
    wave = np.concatenate(espeak.parts or [np.zeros(800, np.int16)]).astype(np.float32) / 32768
    wave = soxr.resample(wave, espeak.rate, RATE, quality="LQ").astype(np.float32)
    loud = np.flatnonzero(np.abs(wave) > 0.003)
    end = min(len(wave), (int(loud[-1]) if len(loud) else 0) + RATE // 10)
    return Utterance(wave[: max(end, 800)], list(espeak.phonemes))


def random_voice(rng: np.random.Generator) -> Voice:
    """A voice that training may use."""
    accent, variant = ACCENTS[rng.integers(len(ACCENTS))], variants()[rng.integers(len(variants()))]
    return Voice(accent, variant, int(rng.integers(115, 225)), int(rng.integers(20, 85)), int(rng.integers(25, 80)))
