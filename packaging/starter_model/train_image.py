"""Trains the picture tower against the frozen bank of concept vectors. Resumable: run it again to go on.

    python train_image.py --pictures 300000

Loss: softmax over all concepts (scenes: uniform over what they show; held-out concepts masked) + cosine to the text's
vector + softmax over concepts and background for labelled patches + captions of the batch against its pictures + once
the sound tower has left vectors, the same concepts' sounds.
"""

from __future__ import annotations

import argparse
from random import Random

import numpy as np
import torch
import world
from ahead import Ahead, workers
from common import DEVICE, LeftVectors, bank_path, config, device_name, save_array, say, text_bank
from course import Course, Ranking
from draw import IGNORED, Picture, draw
from shelf import load_student
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.starter_towers import ImageTower

CONCEPTS = world.concepts()
DRAWN = [i for i, c in enumerate(CONCEPTS) if not c.held_out]
WEIGHT = np.array([{"emoji": 1.0, "shape": 2.0, "digit": 7.0}[CONCEPTS[i].kind] for i in DRAWN])
BATCH = {32: 64, 48: 64, 64: 48, 96: 24}  # pictures a step, by their size in pixels
SIZES = (  # until so many pictures were seen, how often each size is drawn
    (50_000, (0.75, 0.25, 0.0, 0.0)),
    (160_000, (0.35, 0.45, 0.20, 0.0)),
    (float("inf"), (0.10, 0.30, 0.45, 0.15)),
)
PATCHES_PER_PICTURE = 12


def pick_concepts(count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """`count` different concepts that training may draw."""
    chosen = rng.choice(len(DRAWN), count, replace=False, p=WEIGHT / WEIGHT.sum())
    return tuple(DRAWN[i] for i in chosen)


def begun(step: int, seen: int) -> tuple[np.random.Generator, int]:
    """Where one step's chance begins, and the size of its pictures."""
    rng = np.random.default_rng([7, step])
    chances = next(c for limit, c in SIZES if seen < limit)
    return rng, int(rng.choice(list(BATCH), p=chances))


def after(step: int, seen: int) -> tuple[int, int]:
    """The next step, and how many pictures were seen before it."""
    return step + 1, seen + BATCH[begun(step, seen)[1]]


def draw_batch(step: int, seen: int) -> list[Picture]:
    """The pictures of one step: their size, number of objects and difficulty depend on how many were seen."""
    rng, size = begun(step, seen)
    single = 0.85 if seen < 50_000 else 0.62
    easy = max(0.1, 1 - seen / 60_000)
    counts = rng.choice([1, 2, 3], BATCH[size], p=[single, (1 - single) * 0.65, (1 - single) * 0.35])
    return [draw(pick_concepts(int(k), rng), size, rng, min(1.0, easy * rng.random() * 1.3)) for k in counts]


class Captions:
    """The student's vectors of captions, made on the fly; before the student exists, the mean of the names' vectors."""

    def __init__(self, bank: Tensor, source: str) -> None:
        self.bank, self.student = bank, load_student() if source == "student" else None

    @torch.no_grad()
    def vectors(self, pictures: list[Picture], seed: int) -> Tensor:
        """(n, 384): half of the single pictures keep their plain name."""
        if self.student is None:
            return F.normalize(torch.stack([self.bank[list(p.shown)].mean(0) for p in pictures]), dim=-1)
        rng = Random(seed)
        texts = [world.caption([CONCEPTS[i].name for i in p.shown], rng) for p in pictures]
        vectors = self.student(texts)
        for row, picture in enumerate(pictures):
            if len(picture.shown) == 1 and rng.random() < 0.5:
                vectors[row] = self.bank[picture.shown[0]]
        return vectors


class Objective(Ranking):
    """The losses, with two learned parts: the softmax scale and the background's vector."""

    def __init__(self, bank: Tensor) -> None:
        super().__init__(bank, torch.tensor([c.held_out for c in CONCEPTS]))
        self.background_project = nn.Parameter(torch.randn(bank.shape[1]) * 0.05)

    def patches(self, tokens: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of some labelled patches (n, t, 384) with labels (n, t) over concepts and background."""
        chance = torch.rand(labels.shape, generator=generator).to(labels.device)
        chance = torch.where(labels == len(CONCEPTS), chance * 0.6, chance).masked_fill(labels == IGNORED, -1)
        rows = chance.topk(min(PATCHES_PER_PICTURE, labels.shape[1]), dim=1).indices
        chosen = labels.gather(1, rows).flatten()
        vectors = tokens.gather(1, rows.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])).flatten(0, 1)
        vectors, chosen = vectors[chosen != IGNORED], chosen[chosen != IGNORED]
        bank = torch.cat([self.bank, F.normalize(self.background_project, dim=0)[None]])
        hidden = F.pad(self.hidden, (0, 1))
        return F.cross_entropy((self.scale() * vectors @ bank.T).masked_fill(hidden, -1e4), chosen)


def soft_targets(pictures: list[Picture]) -> Tensor:
    """(n, concepts): uniform over what each picture shows."""
    wanted = torch.zeros(len(pictures), len(CONCEPTS))
    for row, picture in enumerate(pictures):
        wanted[row, list(picture.shown)] = 1 / len(picture.shown)
    return wanted.to(DEVICE)


def to_pixels(pictures: list[Picture]) -> Tensor:
    """(n, 3, s, s) float32 in 0..1, channels last in memory."""
    pixels = torch.from_numpy(np.stack([p.pixels for p in pictures])).float() / 255
    return pixels.to(DEVICE, memory_format=torch.channels_last)


def validation_set() -> dict[str, list[Picture]]:
    """Fixed pictures: single drawings, clean icons, scenes of two; all of 64 pixels."""
    rng = np.random.default_rng(1_000_003)
    emoji = [i for i in DRAWN if CONCEPTS[i].kind == "emoji"]
    other = [i for i in DRAWN if CONCEPTS[i].kind != "emoji"]
    return {
        "single": [draw((int(i),), 64, rng) for i in rng.choice(emoji, 500, replace=False)],
        "clean": [draw((int(i),), 64, rng, 1.0) for i in rng.choice(emoji, 300, replace=False)],
        "shapes+digits": [draw((i,), 64, rng) for i in other * 2],
        "scenes": [draw(pick_concepts(2, rng), 64, rng) for _ in range(250)],
    }


@torch.no_grad()
@torch.autocast(DEVICE.type, torch.bfloat16)
def encode(tower: ImageTower, pictures: list[Picture]) -> Tensor:
    """Pictures of one size -> (n, 384)."""
    tower.eval()
    found = [tower(to_pixels(pictures[i : i + 50])).vectors.float() for i in range(0, len(pictures), 50)]
    return torch.cat(found)


def validate(tower: ImageTower, sets: dict[str, list[Picture]], bank: Tensor) -> str:
    """One line: top-1 and top-5 of single pictures, top-1 of the others, recall of both objects of scenes."""
    parts = []
    for name, pictures in sets.items():
        vectors = encode(tower, pictures)
        best = (vectors @ bank.T).topk(5).indices.tolist()
        hits5 = np.mean([set(p.shown) <= set(b) for p, b in zip(pictures, best, strict=True)])
        hits1 = np.mean([b[0] in p.shown for p, b in zip(pictures, best, strict=True)])
        cosine = (vectors * bank[[p.shown[0] for p in pictures]]).sum(-1).mean()
        parts.append(f"{name} {hits1:.3f}/{hits5:.3f}" + (f" cos {cosine:.2f}" if name == "single" else ""))
    return "  ".join(parts)


def leave_vectors(tower: ImageTower, per_concept: int = 4) -> None:
    """Vectors of fresh drawings of every trained concept, for the sound tower: (concepts, k, 384) float16."""
    rng = np.random.default_rng(11)
    found = np.zeros((len(CONCEPTS), per_concept, 384), np.float16)
    for k in range(per_concept):
        easy = 1.0 if k == 0 else 0.0
        found[DRAWN, k] = encode(tower, [draw((i,), 64, rng, easy) for i in DRAWN]).cpu().numpy()
    save_array(bank_path("image"), found)


def one_step(
    tower: ImageTower, objective: Objective, captions: Captions, pictures: list[Picture], step: int,
    sounds: Tensor | None,
) -> Tensor:
    """The loss of a batch."""
    with torch.autocast(DEVICE.type, torch.bfloat16):
        out = tower(to_pixels(pictures))
    vectors, tokens = out.vectors.float(), out.tokens.float()
    wanted, said = soft_targets(pictures), captions.vectors(pictures, step)
    loss = objective.ranked(vectors, objective.bank, wanted) + 1.0 * (1 - (vectors * said).sum(-1)).mean()
    labels = torch.from_numpy(np.stack([p.patches.ravel() for p in pictures])).to(DEVICE)
    loss = loss + 0.5 * objective.patches(tokens, labels, torch.Generator().manual_seed(step))
    loss = loss + 0.1 * objective.matched(vectors, said)
    if sounds is not None:
        heard = sounds[torch.arange(len(CONCEPTS)), torch.randint(sounds.shape[1], (len(CONCEPTS),))]
        loss = loss + 0.2 * objective.ranked(vectors, heard, wanted)
    return loss


def freeze_norms(tower: ImageTower) -> None:
    """Batch norm with its running statistics: what it will use when the tower is at work."""
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def main() -> None:
    """Trains until --pictures were seen."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--pictures", type=int, default=300_000)
    ask.add_argument("--every", type=int, default=200, help="CPU-seconds between checkpoints")
    told = ask.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(5)
    tower = ImageTower(config()).to(DEVICE, memory_format=torch.channels_last)
    bank, source = text_bank()
    objective = Objective(bank)
    course = Course("image", tower, objective, told.pictures, every=told.every)
    captions, sets, sounds = Captions(bank, source), validation_set(), LeftVectors("audio")
    ahead = Ahead(draw_batch, after, workers())
    say(f"bank: {source}; from picture {course.seen} to {told.pictures} on {device_name()}", "image")
    while course.seen < told.pictures:
        if source == "teacher" and bank_path("student").exists():
            bank, source = text_bank()
            objective.bank, captions = bank, Captions(bank, source)
            say(f"bank: {source}, from picture {course.seen}", "image")
        tower.train()
        if course.seen > 0.88 * told.pictures:
            freeze_norms(tower)
        pictures = ahead.at(course.step, course.seen)
        loss = one_step(tower, objective, captions, pictures, course.step, sounds.latest())
        course.learn(loss, len(pictures))
        if course.due():
            course.save()
            judge = course.judged()
            facts = f"{course.seen} pictures in {course.spent:.0f} CPU-s  loss {course.loss:.3f}"
            say(f"{facts}  {validate(judge, sets, bank)}", "image")
            if course.time_to_leave_vectors():
                leave_vectors(judge)
    ahead.close()


if __name__ == "__main__":
    main()
