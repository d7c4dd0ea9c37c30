"""Training clips: names and captions said by training voices, and sounds; laid out and disturbed as log-mel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

import common  # noqa: F401 - puts the studio on the path
import flite
import numpy as np
import sounds
import speak
import torch
import world
from torch import Tensor

from mmstudio.encoders.starter_towers import StarterConfig, StarterModel

CONCEPTS = world.concepts()
INDEX = {c.name: i for i, c in enumerate(CONCEPTS)}
SPOKEN = [i for i, c in enumerate(CONCEPTS) if not c.unspoken]
SPOKEN_WEIGHT = np.array([0.6 if CONCEPTS[i].kind == "shape" else 1.0 for i in SPOKEN])
HIDDEN = torch.tensor([c.unspoken and c.name not in sounds.SOUNDS for c in CONCEPTS])
_UNSPOKEN = {c.name for c in CONCEPTS if c.unspoken}
KEYWORDS = sorted({k for c in CONCEPTS for k in c.keywords} - {c.name for c in CONCEPTS} - _UNSPOKEN)
WORDS = [w for w in world.dictionary_words() if w not in _UNSPOKEN and not world.is_unseen_word(w)]
EARS = StarterModel(StarterConfig())  # for its log_mel only
IGNORED, PHONEMES = -100, 128
BATCH, SORTED, POOL, FRESH = 64, 8, 9_000, 16


@dataclass(frozen=True)
class Clip:
    """mel (64, frames) float16; phoneme of every frame (frames,) or IGNORED; what it means, and in which words.

    A word that names no concept has `meant` empty: it is learned by its text's vector alone.
    """

    mel: np.ndarray
    phonemes: np.ndarray
    meant: tuple[int, ...]
    text: str


def to_mel(wave: np.ndarray) -> np.ndarray:
    """(samples,) float32 -> (64, frames) float16."""
    return EARS.log_mel(torch.from_numpy(wave)[None])[0].half().numpy()


class Source:
    """Makes clips and keeps a pool of them: each is used a few times, differently disturbed."""

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known  # espeak's phoneme names -> class
        self.pool: list[Clip] = []

    def spoken(self, text: str, meant: tuple[int, ...], rng: np.random.Generator) -> Clip:
        """A text said by a random training voice, of eSpeak (with its phonemes) or of flite (without)."""
        if rng.random() < 0.3:
            voice, speed = flite.VOICES[rng.integers(len(flite.VOICES))], float(rng.uniform(0.85, 1.25))
            mel = to_mel(flite.speak(text, voice, speed))
            return Clip(mel, np.full(mel.shape[1], IGNORED), meant, text)
        said = speak.speak(text, speak.random_voice(rng))
        mel = to_mel(said.wave)
        labels = np.full(mel.shape[1], IGNORED)
        for start, name in said.phonemes:
            if name not in self.known and len(self.known) < PHONEMES:
                self.known[name] = len(self.known)
            labels[int(start * 100) :] = self.known.get(name, IGNORED)
        return Clip(mel, labels, meant, text)

    def make(self, rng: np.random.Generator, plain: bool) -> Clip:
        """A sound, a word that names no concept, a concept's name (mostly), a phrase, or a caption of two or three."""
        kind = rng.random()
        if kind < 0.1:
            name = list(sounds.SOUNDS)[rng.integers(len(sounds.SOUNDS))]
            mel = to_mel(sounds.make(name, rng, rng.uniform(1.0, 2.5)))
            return Clip(mel, np.full(mel.shape[1], IGNORED), (INDEX[name],), name)
        if kind < 0.32 and not plain:
            words = KEYWORDS if rng.random() < 0.6 else WORDS
            return self.spoken(words[rng.integers(len(words))], (), rng)
        count = 1 if plain or kind < 0.88 else int(rng.choice([2, 2, 3]))
        meant = tuple(SPOKEN[i] for i in rng.choice(len(SPOKEN), count, False, SPOKEN_WEIGHT / SPOKEN_WEIGHT.sum()))
        names = [CONCEPTS[i].name for i in meant]
        phrase = count > 1 or (not plain and kind > 0.77)
        text = world.caption(names, Random(int(rng.integers(1 << 30)))) if phrase else names[0]
        return self.spoken(text, meant, rng)

    def draw(self, step: int, seen: int) -> list[list[Clip]]:
        """Several batches of clips of similar length; part of the pool is made anew."""
        rng = np.random.default_rng([5, step])
        plain = seen < 25_000
        wanted = FRESH * SORTED if len(self.pool) == POOL else 700 if self.pool else 2_000
        for _ in range(wanted):
            clip = self.make(rng, plain)
            if len(self.pool) < POOL:
                self.pool.append(clip)
            else:
                self.pool[rng.integers(POOL)] = clip
        chosen = [self.pool[i] for i in rng.choice(len(self.pool), BATCH * SORTED, False)]
        chosen.sort(key=lambda clip: clip.mel.shape[1])
        return [chosen[i * BATCH : (i + 1) * BATCH] for i in rng.permutation(SORTED)]


@cache
def source() -> Source:
    """This process's pool of clips."""
    return Source({})


def draw_clips(step: int, seen: int, known: dict[str, int]) -> tuple[list[list[Clip]], dict[str, int]]:
    """Several batches, and the phonemes that are known by then; a pool that began elsewhere starts with those known."""
    source().known = known | source().known
    return source().draw(step, seen), dict(source().known)


def after(step: int, seen: int) -> tuple[int, int]:
    """The step at which the next clips are drawn, and how many were heard before it."""
    return step + SORTED, seen + SORTED * BATCH


def lay_out(clips: list[Clip], rng: np.random.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
    """Clips -> mel (n, 64, 8 t), token mask (n, t), phonemes of every 40 ms (n, 2 t); with rng, silence around."""
    before = [int(rng.integers(0, 36)) if rng is not None else 0 for _ in clips]
    after = [int(rng.integers(0, 26)) if rng is not None else 0 for _ in clips]
    tokens = [-(-(b + c.mel.shape[1] + a) // 8) for b, c, a in zip(before, clips, after, strict=True)]
    mel = np.full((len(clips), 64, 8 * max(tokens)), np.log(1e-6), np.float32)
    labels = np.full((len(clips), 8 * max(tokens)), IGNORED)
    for row, clip in enumerate(clips):
        mel[row, :, before[row] : before[row] + clip.mel.shape[1]] = clip.mel
        labels[row, before[row] : before[row] + clip.mel.shape[1]] = clip.phonemes
    mask = torch.arange(max(tokens)) < torch.tensor(tokens)[:, None]
    return torch.from_numpy(mel), mask, torch.from_numpy(labels[:, 2::4].copy())


def disturb(mel: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Other throats (frequency warp), other rooms and microphones (equaliser), noise, and gaps; mel (n, 64, t)."""
    n, bands, frames = mel.shape
    warp = torch.from_numpy(1 + strength * rng.uniform(-0.09, 0.09, (n, 1)).astype(np.float32))
    at = (torch.arange(bands) * warp).clamp(max=bands - 1)
    low = at.floor().long().clamp(max=bands - 2)
    part = (at - low)[..., None]
    take = low[..., None].expand(-1, -1, frames)
    mel = mel.gather(1, take) * (1 - part) + mel.gather(1, take + 1) * part
    x = np.linspace(0, np.pi, bands, dtype=np.float32)
    waves = np.stack([np.cos(k * x) for k in (1, 2, 3)])
    curve = (rng.normal(0, [0.9, 0.6, 0.4], (n, 3)) * strength).astype(np.float32) @ waves
    gain = rng.uniform(-3, 1.5, (n, 1)).astype(np.float32) * strength
    mel = mel + torch.from_numpy(curve + gain)[..., None]
    loud = mel.flatten(1).quantile(0.97, 1).numpy()[:, None]
    below = rng.uniform(2.5, 13, (n, 1))  # natural log of power: 11 to 56 dB under the loud parts
    floor = loud - np.maximum(below, (1 - strength) * 9) + rng.normal(0, [0.8, 0.5, 0.4], (n, 3)) @ waves
    flicker = torch.empty(n, bands, frames).exponential_().clamp(min=1e-3).log()
    noise = torch.from_numpy(floor.astype(np.float32))[..., None] + 0.7 * flicker
    mel = torch.logaddexp(mel, noise)
    for row in range(n):
        if rng.random() < 0.5 * strength:
            first = int(rng.integers(0, bands - 8))
            mel[row, first : first + int(rng.integers(1, 8))] = float(loud[row, 0]) - 6
        if rng.random() < 0.4 * strength:
            first = int(rng.integers(0, max(1, frames - 8)))
            mel[row, :, first : first + int(rng.integers(1, 7))] = float(loud[row, 0]) - 8
    return mel
