"""Measures the shipped model on what it never met, prints the table, and with --write puts it into the model card.

    python evaluate.py --write

Drawings come from paint.py (training uses draw.py); voices, accents and digits are those that training left out.
Retrieval is by plain cosine. All numbers come from fixed seeds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from functools import cache
from itertools import permutations
from pathlib import Path

import card
import flite
import numpy as np
import paint
import sounds
import speak
import torch
import world
from card import Row, share
from common import REPOSITORY, RUN, write_json
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mmstudio.encoders.starter_towers import StarterModel

STARTER, SAMPLES = REPOSITORY / "resources" / "starter", REPOSITORY / "resources" / "samples"
CONCEPTS = world.concepts()
INDEX = {c.name: i for i, c in enumerate(CONCEPTS)}
DRAWN = [i for i, c in enumerate(CONCEPTS) if not c.held_out]
SPOKEN = [i for i, c in enumerate(CONCEPTS) if not c.unspoken]


class Bench:
    """The model under test with its own bank of the concepts' names."""

    def __init__(self, folder: Path) -> None:
        self.model = StarterModel.load(folder)
        self.size = self.model.config.image_size
        self.bank = self.texts([c.name for c in CONCEPTS])

    def texts(self, texts: list[str]) -> Tensor:
        """-> (n, 384)."""
        parts = []
        for start in range(0, len(texts), 100):
            ids, mask, _ = self.model.tokenize(texts[start : start + 100])
            parts.append(self.model.encode_text(ids, mask).vectors)
        return torch.cat(parts)

    def pictures(self, pixels: list[np.ndarray]) -> Tensor:
        """Pictures (3, s, s) of one size -> (n, 384)."""
        stack = torch.from_numpy(np.stack(pixels))
        return torch.cat([self.model.encode_image(stack[i : i + 50]).vectors for i in range(0, len(stack), 50)])

    def clips(self, waves: list[np.ndarray]) -> Tensor:
        """Mono 16-kHz waves of any length -> (n, 384)."""
        out = torch.empty(len(waves), self.model.config.dim)
        order = sorted(range(len(waves)), key=lambda i: len(waves[i]))
        for start in range(0, len(order), 40):
            rows = order[start : start + 40]
            padded = np.zeros((len(rows), len(waves[rows[-1]])), np.float32)
            for row, i in enumerate(rows):
                padded[row, : len(waves[i])] = waves[i]
            mask = self.model.token_mask([len(waves[i]) for i in rows])
            out[rows] = self.model.encode_audio(self.model.log_mel(torch.from_numpy(padded)), mask).vectors
        return out


def ranked(queries: Tensor, bank: Tensor, right: list[int], k: int) -> int:
    """How many queries have their right row among the k nearest of the bank."""
    near = (queries @ bank.T).topk(k, dim=1).indices
    return int((near == torch.tensor(right)[:, None]).any(1).sum())


def single_pictures(bench: Bench) -> list[Row]:
    """Emoji, clean icons, digits and coloured shapes, against all concepts' names."""
    rng, rows = np.random.default_rng(501), []
    emoji = [i for i in DRAWN if CONCEPTS[i].kind == "emoji"]
    vectors = bench.pictures([paint.picture([CONCEPTS[i]], bench.size, rng)[0] for i in emoji])
    rows.append(
        share("single emoji, unseen drawing, top-1", ranked(vectors, bench.bank, emoji, 1), len(emoji), 0.75, 0.85)
    )
    rows.append(share("single emoji, unseen drawing, top-5", ranked(vectors, bench.bank, emoji, 5), len(emoji), 0.92))
    vectors = bench.pictures([paint.icon(CONCEPTS[i], bench.size) for i in emoji])
    rows.append(share("clean icon on white, top-1", ranked(vectors, bench.bank, emoji, 1), len(emoji), 0.85, 0.92))
    for kind, each, must in (("digit", 40, 0.6), ("shape", 4, 0.7)):
        chosen = [i for i, c in enumerate(CONCEPTS) if c.kind == kind] * each
        vectors = bench.pictures([paint.picture([CONCEPTS[i]], bench.size, rng)[0] for i in chosen])
        what = "digits, unseen handwriting, top-1" if kind == "digit" else "coloured shapes, top-1"
        rows.append(share(what, ranked(vectors, bench.bank, chosen, 1), len(chosen), must, 0.85))
    return rows


def scenes(bench: Bench) -> list[Row]:
    """Both objects found by name; pointing: the map of a name peaks inside that object's box."""
    rng, rows = np.random.default_rng(502), []
    stride = bench.model.config.image_stride
    for count, bars in ((2, (0.93, 0.97)), (3, (0.90, 0.95))):
        both = pointed = asked = 0
        for _ in range(300):
            shown = [int(i) for i in rng.choice(DRAWN, count, replace=False)]
            pixels, boxes = paint.picture([CONCEPTS[i] for i in shown], bench.size, rng)
            out = bench.model.encode_image(torch.from_numpy(pixels)[None])
            both += set(shown) <= set((out.vectors @ bench.bank.T)[0].topk(5).indices.tolist())
            for i, (left, top, right, bottom) in zip(shown, boxes, strict=True):
                peak = int((out.tokens[0] @ bench.bank[i]).argmax())
                x, y = (peak % (bench.size // stride) + 0.5) * stride, (peak // (bench.size // stride) + 0.5) * stride
                pointed += left <= x <= right and top <= y <= bottom
                asked += 1
        if count == 2:
            rows.append(share("two-object scene, both in top-5", both, 300, 0.60, 0.75))
        rows.append(share(f"pointing with a name, {count} objects", pointed, asked, *bars))
    return rows


def say_names(chosen: list[int], accents: tuple[str, ...], variants: tuple[str, ...], seed: int) -> list[np.ndarray]:
    """Each concept's name in a random voice out of the given."""
    rng = np.random.default_rng(seed)

    def voice() -> speak.Voice:
        rate, pitch = int(rng.integers(130, 201)), int(rng.integers(35, 66))
        return speak.Voice(str(rng.choice(accents)), str(rng.choice(variants)), rate, pitch)

    return [speak.speak(CONCEPTS[i].name, voice()).wave for i in chosen]


@cache
def held_out_names() -> list[np.ndarray]:
    """All spoken concepts in held-out variants of the training's accents."""
    return say_names(SPOKEN, speak.ACCENTS, speak.HELD_OUT_VARIANTS, 503)


def speech(bench: Bench) -> list[Row]:
    """Spoken names against all concepts' names; sounds against the 25 that sound."""
    vectors = bench.clips(held_out_names())
    rows = [
        share("spoken names, held-out voices, top-1", ranked(vectors, bench.bank, SPOKEN, 1), len(SPOKEN), 0.85, 0.92),
        share("spoken names, held-out voices, top-5", ranked(vectors, bench.bank, SPOKEN, 5), len(SPOKEN), 0.95),
    ]
    vectors = bench.clips(say_names(SPOKEN, speak.HELD_OUT_ACCENTS, speak.variants(), 504))
    rows.append(
        share("spoken names, held-out accents, top-1", ranked(vectors, bench.bank, SPOKEN, 1), len(SPOKEN), 0.72, 0.80)
    )
    rng, few = np.random.default_rng(505), [INDEX[s] for s in sounds.SOUNDS]
    right = [i for i in range(len(few)) for _ in range(20)]
    vectors = bench.clips([sounds.make(CONCEPTS[few[i]].name, rng) for i in right])
    rows.append(share("sounds, 25-way, new takes", ranked(vectors, bench.bank[few], right, 1), len(right), 0.95, 0.99))
    return rows


def speech_to_picture(bench: Bench) -> list[Row]:
    """A spoken name finds its concept's picture among one picture of every drawn concept."""
    both = [i for i in DRAWN if not CONCEPTS[i].unspoken]
    waves = dict(zip(SPOKEN, held_out_names(), strict=True))
    spoken, right = bench.clips([waves[i] for i in both]), [DRAWN.index(i) for i in both]
    rng = np.random.default_rng(506)
    unseen = bench.pictures([paint.picture([CONCEPTS[i]], bench.size, rng)[0] for i in DRAWN])
    clean = bench.pictures([paint.icon(CONCEPTS[i], bench.size) for i in DRAWN])
    what = "speech to picture by plain cosine"
    return [
        share(f"{what}, unseen drawings, top-1", ranked(spoken, unseen, right, 1), len(both), 0.50, 0.75),
        share(f"{what}, clean icons, top-1", ranked(spoken, clean, right, 1), len(both), 0.65, 0.85),
    ]


def example_project(bench: Bench) -> list[Row]:
    """Picture to text and back, over the samples that hold both; the gallery is every text (picture) of the project."""
    import json

    listed = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
    paths = {m: [i["path"] for i in listed["items"] if i["modality"] == m] for m in ("image", "text")}
    texts = bench.texts([(SAMPLES / p).read_text(encoding="utf-8").strip() for p in paths["text"]])
    pictures = torch.cat([bench.pictures([sample_pixels(SAMPLES / p, bench.size)]) for p in paths["image"]])
    pairs = [[next(p for p in s["items"] if p.startswith(f)) for f in ("pictures/", "texts/")]
             for s in listed["samples"] if any(p.startswith("texts/") for p in s["items"])]  # fmt: skip
    seen = [paths["image"].index(a) for a, _ in pairs]
    read = [paths["text"].index(b) for _, b in pairs]
    return [
        share(
            "example project, picture to text, top-1", ranked(pictures[seen], texts, read, 1), len(pairs), 0.80, 0.90
        ),
        share(
            "example project, text to picture, top-1", ranked(texts[read], pictures, seen, 1), len(pairs), 0.80, 0.90
        ),
    ]


def sample_pixels(path: Path, size: int) -> np.ndarray:
    """A square picture file at the model's size: (3, size, size) float32 in 0..1."""
    small = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / 255


def against_teacher(bench: Bench) -> list[Row]:
    """Cosine between the text tower, before whitening, and the teacher whose vectors teacher.py left in RUN."""
    rows = []
    for (kind, texts), bars in zip(world.validation_texts().items(), ((0.94, 0.96), (0.74, 0.78)), strict=True):
        teacher = torch.from_numpy(np.load(RUN / f"teacher_{kind.replace(' ', '_')}.npy"))
        ids, mask, _ = bench.model.tokenize(texts)
        own = F.normalize(bench.model.text.read(ids, mask, False)[0], dim=-1)
        rows.append(card.mean(f"text: cosine to the teacher, {kind}", (own * teacher).sum(-1).tolist(), *bars))
    return rows


def speed(bench: Bench) -> list[Row]:
    """Milliseconds of one input on one thread (median of 60 would hide nothing: the interval is of the mean)."""
    torch.set_num_threads(1)
    picture, wave = torch.rand(1, 3, 64, 64), torch.randn(1, 32_000) * 0.1
    mask = bench.model.token_mask([32_000])
    jobs = {
        "encode a text, one thread": (lambda: bench.texts(["a dog next to a red car"]), 5),
        "encode a 64-pixel picture, one thread": (lambda: bench.model.encode_image(picture), 15),
        "encode 2 s of sound, one thread": (lambda: bench.model.encode_audio(bench.model.log_mel(wave), mask), 10),
    }
    rows = []
    for what, (job, must) in jobs.items():
        times = []
        for _ in range(70):
            start = time.process_time()
            job()
            times.append((time.process_time() - start) * 1000)
        rows.append(card.mean(what, times[10:], must, None, " ms"))
    return rows


def never_met(bench: Bench) -> list[Row]:
    """Zero-shot: concepts never drawn, words never said, a voice of flite that is not among those heard."""
    rng, rows = np.random.default_rng(507), []
    hidden = [i for i, c in enumerate(CONCEPTS) if c.held_out]
    right = [k for k in range(len(hidden)) for _ in range(5)]
    vectors = bench.pictures([paint.picture([CONCEPTS[hidden[k]]], bench.size, rng)[0] for k in right])
    among = bench.bank[hidden]
    for k in (1, 5):
        rows.append(
            share(f"concepts never drawn, {len(hidden)}-way, top-{k}", ranked(vectors, among, right, k), len(right))
        )
    unspoken = [i for i, c in enumerate(CONCEPTS) if c.unspoken]
    vectors = bench.clips(say_names(unspoken, speak.ACCENTS, speak.HELD_OUT_VARIANTS, 508))
    among, right = bench.bank[unspoken], list(range(len(unspoken)))
    for k in (1, 5):
        rows.append(
            share(f"words never said, {len(unspoken)}-way, top-{k}", ranked(vectors, among, right, k), len(right))
        )
    chosen = [SPOKEN[i] for i in np.random.default_rng(509).choice(len(SPOKEN), 300, replace=False)]
    vectors = bench.clips([flite.speak(CONCEPTS[i].name, flite.HELD_OUT_VOICE) for i in chosen])
    for k in (1, 5):
        what = f"another synthesiser's held-out voice, top-{k}"
        rows.append(share(what, ranked(vectors, bench.bank, chosen, k), len(chosen)))
    return rows


def six_directions(bench: Bench) -> list[Row]:
    """One text, drawing and spoken name of 400 concepts: every modality searches every other; and the modality gap."""
    rng = np.random.default_rng(510)
    both = [i for i in DRAWN if not CONCEPTS[i].unspoken]
    chosen = [both[k] for k in rng.choice(len(both), 400, replace=False)]
    waves = dict(zip(SPOKEN, held_out_names(), strict=True))
    vectors = {
        "text": bench.bank[chosen],
        "picture": bench.pictures([paint.picture([CONCEPTS[i]], bench.size, rng)[0] for i in chosen]),
        "speech": bench.clips([waves[i] for i in chosen]),
    }
    right = list(range(len(chosen)))
    rows = [share(f"400 concepts, {a} to {b}, top-1", ranked(vectors[a], vectors[b], right, 1), len(right))
            for a, b in permutations(vectors, 2)]  # fmt: skip
    for a, b in (("text", "picture"), ("text", "speech"), ("picture", "speech")):
        rows.append(card.mean(f"cosine of a pair, {a} and {b}", (vectors[a] * vectors[b]).sum(-1).tolist()))
        gap = float((vectors[a].mean(0) - vectors[b].mean(0)).norm())
        rows.append(Row(f"modality gap (distance of the means), {a} and {b}", gap, gap, gap, len(chosen)))
    return rows


PARTS = {
    "pictures": single_pictures, "scenes": scenes, "speech": speech, "direct": speech_to_picture,
    "project": example_project, "text": against_teacher, "speed": speed, "never": never_met, "six": six_directions,
}  # fmt: skip


def main() -> None:
    """Prints the table; --write stores evaluation.json and updates the card."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--folder", type=Path, default=STARTER)
    ask.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    ask.add_argument("--write", action="store_true")
    told = ask.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        bench, rows = Bench(told.folder), []
        for name in told.only:
            rows += PARTS[name](bench)
    print(card.table(rows))
    missed = [r.what for r in rows if r.must is not None and (r.value > r.must if r.unit else r.value < r.must)]
    print(f"\nmissed: {', '.join(missed) or 'none'}")
    if told.write:
        write_json(told.folder / "evaluation.json", [asdict(r) for r in rows])
        path = told.folder / "README.md"
        path.write_text(card.with_table(path.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
