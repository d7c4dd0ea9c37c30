"""Every fusion and every way of learning on one task of three modalities: handwritten digits, spoken and written about.

``python tests/bench/bench_digits.py [count] [epochs]``. scikit-learn's scans of handwritten digits, the digits spoken
by a made voice in noise, and a remark that tells half of it (“it is odd and small”), one in ten of each left out, are
read by the starter model. Printed is the accuracy on held-out digits with its 95 % interval, together and of each
modality.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import soundfile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from training.spoken import RATE_HZ, say

from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.media import Limits, MediaRef, load
from mmstudio.progress import finish
from mmstudio.training import runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import Fusion, TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.words import vocabulary

MODALITIES = ("image", "audio", "text")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LEFT_OUT, NOISE = 0.1, 0.35
WAYS: dict[str, dict[str, Any]] = {
    "clip adapter": {"trains": "clip adapter"}, "tip adapter": {"trains": "tip adapter"},
    "LoRA": {"trains": "lora", "fusion": "gated"}, "last blocks": {"trains": "last blocks", "fusion": "gated"},
    "LP-FT": {"trains": "everything", "probe_epochs": 2, "fusion": "gated"},
    "from scratch": {"trains": "scratch", "fusion": "gated", "width": 64},
    "from scratch, all tokens": {"trains": "scratch", "fusion": "tokens", "width": 64, "layers": 1},
}


def main() -> None:
    """Print a line for each fusion of heads on vectors, then one for each other way."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as name:
        examples = _examples(Path(name), count)
        print(f"{count} digits, {int((examples.parts == 2).sum())} of them held out")
        print(f"{'':28}{'together':>22}{'picture':>10}{'sound':>10}{'text':>10}{'seconds':>10}")
        for fusion in get_args(Fusion):
            if fusion != "tokens":
                _line(Path(name), examples, fusion, {"fusion": fusion, "epochs": 60, "layers": 1, "width": 96})
        for title, settings in WAYS.items():
            media = settings["trains"] not in ("clip adapter", "tip adapter")
            more = {"epochs": epochs, "encoder_lr": 5e-4, "lr": 3e-3} if media else {"epochs": 60}
            _line(Path(name), examples, title, more | settings)


def _examples(folder: Path, count: int) -> Examples:
    from sklearn.datasets import load_digits

    rng, found = np.random.default_rng(0), load_digits()
    chosen = rng.permutation(len(found.data))[:count]
    classes = found.target[chosen].astype(np.int64)
    present = rng.random((count, 3)) > LEFT_OUT
    present[~present.any(1), 0] = True
    media = []
    for place, (row, digit) in enumerate(zip(chosen, classes.tolist(), strict=True)):
        picture, sound = folder / f"{place}.png", folder / f"{place}.wav"
        Image.fromarray((255 - found.images[row] * 15.9).astype(np.uint8)).resize((48, 48)).save(picture)
        soundfile.write(sound, say(digit, rng, NOISE), RATE_HZ)
        remark = f"it is {'odd' if digit % 2 else 'even'} and {'small' if digit < 5 else 'large'}"
        refs = MediaRef(picture, "image"), MediaRef(sound, "audio"), MediaRef(Path(""), "text", "", remark)
        media.append(tuple((m, ref) for m, ref in enumerate(refs) if present[place, m]))
    starter = load_encoder("starter", "cpu")
    vectors = np.zeros((count, 3, starter.dim), np.float32)
    for m, modality in enumerate(MODALITIES):
        rows = np.flatnonzero(present[:, m])
        refs = [dict(media[row])[m] for row in rows]
        batches = ([load(ref, Limits()) for ref in refs[at : at + 64]] for at in range(0, len(refs), 64))
        vectors[rows, m] = np.concatenate([encode(starter, batch, modality) for batch in batches])
    parts = np.repeat(np.array([0, 1, 2], np.int8), [count - 2 * (count // 5), count // 5, count // 5])
    words = vocabulary(ref.text for one in media for m, ref in one if m == 2)
    return Examples(np.arange(1, count + 1), vectors, present, classes, parts, words=words, media=tuple(media),
                    anchors=encode(starter, list(WORDS), "text"))


def _line(folder: Path, examples: Examples, title: str, settings: dict[str, Any]) -> None:
    job = TrainingJob(**{"classes": WORDS, "modalities": MODALITIES, "dim": 384, "batch": 32, "patience": 0,
                         "modality_dropout": 0.1} | settings)
    began = time.perf_counter()
    found = finish(train(runs.make(folder / "runs", job, examples)))
    taken = time.perf_counter() - began
    low, high = found["intervals"]["accuracy"]
    alone = [found["modalities"][name]["accuracy"] for name in MODALITIES]
    together = found["parts"]["test"]["accuracy"]
    print(f"{title:28}{f'{together:.3f} ({low:.3f} - {high:.3f})':>22}" + "".join(f"{one:>10.3f}" for one in alone)
          + f"{taken:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
