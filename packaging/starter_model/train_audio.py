"""Trains the sound tower on synthetic speech and sounds against the frozen concept bank. Resumable.

    python train_audio.py --clips 210000

Loss: softmax over all concepts + cosine to the vector of the text that was said + phonemes of every 40 ms (without it
the tower stays at chance for long) + captions of the batch against its clips + softmax over pictures of all concepts,
which makes speech find pictures directly.
"""

from __future__ import annotations

import argparse
from functools import partial

import flite
import numpy as np
import sounds
import speak
import torch
from ahead import Ahead, workers
from clips import (
    BATCH,
    CONCEPTS,
    HIDDEN,
    IGNORED,
    INDEX,
    PHONEMES,
    SPOKEN,
    Clip,
    Source,
    after,
    disturb,
    draw_clips,
    lay_out,
    to_mel,
)
from common import DEVICE, LeftVectors, bank_path, config, device_name, save_array, say, text_bank
from course import Course, Ranking
from shelf import Student, load_student
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.starter_towers import AudioTower


class Objective(Ranking):
    """The losses with their learned parts: the softmax scale and the phoneme classifier."""

    def __init__(self, bank: Tensor, width: int) -> None:
        super().__init__(bank, HIDDEN)
        self.project_phonemes = nn.Linear(width, PHONEMES)


def means(clips: list[Clip]) -> Tensor:
    """(n, concepts): uniform over what each clip is about."""
    wanted = torch.zeros(len(clips), len(CONCEPTS))
    for row, clip in enumerate(clips):
        wanted[row, list(clip.meant)] = 1 / max(1, len(clip.meant))
    return wanted.to(DEVICE)


def said_vectors(clips: list[Clip], bank: Tensor, student: Student) -> Tensor:
    """(n, 384): the text tower's vectors of the words; a plain name's are in the bank already."""
    vectors = bank[[c.meant[0] if c.meant else 0 for c in clips]].clone()
    rows = [i for i, c in enumerate(clips) if not c.meant or c.text != CONCEPTS[c.meant[0]].name]
    if rows:
        vectors[rows] = student([clips[i].text for i in rows])
    return vectors


def validation_set() -> dict[str, list[Clip]]:
    """Fixed clips: names in held-out variants, accents and in flite's held-out voice, and new takes of the sounds."""
    rng = np.random.default_rng(77)
    found = {}
    for name, accents, variants in (
        ("variants", speak.ACCENTS, speak.HELD_OUT_VARIANTS),
        ("accents", speak.HELD_OUT_ACCENTS, speak.variants()),
    ):
        clips = []
        for i in rng.choice(SPOKEN, 400, replace=False):
            voice = speak.Voice(str(rng.choice(accents)), str(rng.choice(variants)), int(rng.integers(140, 200)), 50)
            mel = to_mel(speak.speak(CONCEPTS[i].name, voice).wave)
            clips.append(Clip(mel, np.full(mel.shape[1], IGNORED), (int(i),), CONCEPTS[i].name))
        found[name] = clips
    words = [int(i) for i in rng.choice(SPOKEN, 150, replace=False)]
    mels = [(i, to_mel(flite.speak(CONCEPTS[i].name, flite.HELD_OUT_VOICE))) for i in words]
    found["flite"] = [Clip(m, np.full(m.shape[1], IGNORED), (i,), CONCEPTS[i].name) for i, m in mels]
    mels = [(INDEX[s], to_mel(sounds.make(s, rng))) for s in sounds.SOUNDS for _ in range(5)]
    found["sounds"] = [Clip(m, np.full(m.shape[1], IGNORED), (i,), "") for i, m in mels]
    return found


@torch.no_grad()
@torch.autocast(DEVICE.type, torch.bfloat16)
def encode(tower: AudioTower, clips: list[Clip]) -> Tensor:
    """Clips -> (n, 384)."""
    tower.eval()
    order = sorted(range(len(clips)), key=lambda i: clips[i].mel.shape[1])
    out = torch.empty(len(clips), 384, device=DEVICE)
    for start in range(0, len(order), 50):
        rows = order[start : start + 50]
        mel, mask, _ = lay_out([clips[i] for i in rows], None)
        out[rows] = tower(mel.to(DEVICE), mask.to(DEVICE)).vectors.float()
    return out


def validate(tower: AudioTower, sets: dict[str, list[Clip]], bank: Tensor, pictures: Tensor | None) -> str:
    """One line: top-1/top-5 by text, the cosine, and top-1 among pictures (clean / disturbed) by plain cosine."""
    parts = []
    for name, clips in sets.items():
        vectors, right = encode(tower, clips), torch.tensor([c.meant[0] for c in clips], device=DEVICE)
        if name == "sounds":
            few = torch.tensor([INDEX[s] for s in sounds.SOUNDS], device=DEVICE)
            parts.append(f"sounds {(few[(vectors @ bank[few].T).argmax(1)] == right).float().mean():.3f}")
            continue
        best = (vectors @ bank.T).topk(5).indices == right[:, None]
        parts.append(f"{name} {best[:, 0].float().mean():.3f}/{best.any(1).float().mean():.3f} "
                     f"cos {(vectors * bank[right]).sum(-1).mean():.2f}")  # fmt: skip
        if pictures is not None and name == "variants":
            drawn = pictures[:, 0].norm(dim=-1) > 0.5
            hits = [
                ((vectors @ pictures[:, k].T).masked_fill(~drawn, -9).argmax(1) == right)[drawn[right]] for k in (0, 1)
            ]
            parts.append(f"to pictures {hits[0].float().mean():.3f} clean {hits[1].float().mean():.3f} disturbed")
    return "  ".join(parts)


def leave_vectors(tower: AudioTower, source: Source, takes: int = 3) -> None:
    """Vectors of names said by training voices, for the picture tower: (concepts, k, 384) float16."""
    rng = np.random.default_rng(13)
    found = np.zeros((len(CONCEPTS), takes, 384), np.float16)
    for k in range(takes):
        found[:, k] = encode(tower, [source.spoken(c.name, (i,), rng) for i, c in enumerate(CONCEPTS)]).cpu().numpy()
    save_array(bank_path("audio"), found)


def one_step(
    tower: AudioTower,
    objective: Objective,
    clips: list[Clip],
    student: Student,
    rng: np.random.Generator,
    strength: float,
    pictures: Tensor | None,
) -> Tensor:
    """The loss of a batch of clips, disturbed with the given strength."""
    mel, mask, phonemes = lay_out(clips, rng)
    mel, mask, phonemes = disturb(mel, rng, strength).to(DEVICE), mask.to(DEVICE), phonemes.to(DEVICE)
    with torch.autocast(DEVICE.type, torch.bfloat16):
        heard = tower.listen(mel, mask)
        out = tower.understand(heard, mask)
        guesses = objective.project_phonemes(heard)
    vectors, wanted = out.vectors.float(), means(clips)
    said = said_vectors(clips, objective.bank, student)
    loss = objective.ranked(vectors, objective.bank, wanted)
    loss = loss + 1.0 * (1 - (vectors * said).sum(-1)).mean()
    loss = loss + 0.6 * F.cross_entropy(guesses.float().flatten(0, 1), phonemes.flatten(), ignore_index=IGNORED)
    rivals = torch.tensor([[a.text == b.text and i != j for j, b in enumerate(clips)] for i, a in enumerate(clips)],
                          device=DEVICE)
    loss = loss + 0.2 * objective.matched(vectors, said, rivals)
    if pictures is not None:
        shown = pictures[torch.arange(len(CONCEPTS)), torch.randint(pictures.shape[1], (len(CONCEPTS),))]
        hidden = objective.hidden | (shown.norm(dim=-1) < 0.5)
        loss = loss + 0.5 * objective.ranked(vectors, shown, wanted, hidden)
    return loss


def main() -> None:
    """Trains until --clips were heard."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--clips", type=int, default=210_000)
    ask.add_argument("--every", type=int, default=200, help="CPU-seconds between checkpoints")
    told = ask.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(6)
    sizes = config()
    tower = AudioTower(sizes)
    bank, name = text_bank()
    objective = Objective(bank, sizes.audio_stem[1])
    course = Course("audio", tower, objective, told.clips, final_share=0.4, every=told.every)
    ahead = Ahead(partial(draw_clips, known=course.more.setdefault("phonemes", {})), after, min(1, workers()))
    student, sets, pictures = load_student(), validation_set(), LeftVectors("image")
    say(f"bank: {name}; from clip {course.seen} to {told.clips} on {device_name()}", "audio")
    waiting: list[list[Clip]] = []
    while course.seen < told.clips:
        if not waiting:
            waiting, course.more["phonemes"] = ahead.at(course.step, course.seen)
        tower.train()
        rng, strength = np.random.default_rng([6, course.step]), min(1.0, 0.25 + course.seen / 120_000)
        loss = one_step(tower, objective, waiting.pop(), student, rng, strength, pictures.latest())
        course.learn(loss, BATCH)
        if course.due():
            course.save()
            judge = course.judged()
            facts = f"{course.seen} clips in {course.spent:.0f} CPU-s  loss {course.loss:.3f}"
            say(f"{facts}  {validate(judge, sets, bank, pictures.latest())}", "audio")
            if course.time_to_leave_vectors():
                leave_vectors(judge, Source(dict(course.more["phonemes"])))
    ahead.close()


if __name__ == "__main__":
    main()
