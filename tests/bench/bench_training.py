"""A head on cached vectors against the same head with the encoder run at each step, and how soon a run learns.

``python tests/bench/bench_training.py [seconds]``. The peer is the same loop, batch and head; its vectors are computed
anew from decoded pictures by the starter model at each step, as training without a cache does.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.training import runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.learner import Learner

PICTURES, BATCH, CLASSES = 256, 64, 10


def main() -> None:
    """Print both step times with their ratio, and the time from starting a run to its first step."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (160, 160, 3), np.uint8)) for _ in range(PICTURES)]
    encoder = load_encoder("starter", "cpu")
    vectors = np.concatenate([encode(encoder, pictures[at : at + BATCH], "image") for at in range(0, PICTURES, BATCH)])
    job = TrainingJob(classes=tuple(map(str, range(CLASSES))), batch=BATCH, epochs=200, patience=0, space=encoder.space,
                      dim=encoder.dim)
    examples = Examples(np.arange(1, PICTURES + 1), vectors[:, None], np.ones((PICTURES, 1), bool),
                        rng.integers(0, CLASSES, PICTURES), np.repeat(np.array([0, 1], np.int8), [192, 64]))
    learner = Learner(job, examples, torch.device("cpu"))
    optimizer = torch.optim.AdamW(learner.model.parameters(), lr=1e-3)

    def step(number: int, anew: bool) -> None:
        rows = torch.from_numpy((np.arange(BATCH) + number * BATCH) % 192)
        if anew:
            learner.vectors[rows, 0] = torch.from_numpy(encode(encoder, [pictures[i] for i in rows.tolist()], "image"))
        optimizer.zero_grad()
        loss, _ = learner.loss(learner.model, rows, rows, learner.present[rows], learner.present[rows])
        loss.backward()
        optimizer.step()

    figures = {}
    for anew in (False, True):
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds / 2:
            step(count, anew)
            count += 1
        figures[anew] = (time.perf_counter() - started) / count
    print(f"step of {BATCH}: cached {1000 * figures[False]:.3f} ms, encoder each time {1000 * figures[True]:.1f} ms, "
          f"ratio {figures[True] / figures[False]:.0f} x (bar 50)")
    with tempfile.TemporaryDirectory() as folder:
        run = runs.make(Path(folder) / "runs", job, examples)
        for made_ready in (False, True):
            if made_ready:
                run = runs.make(Path(folder) / "runs", job, examples)
                runs.get_ready()
                time.sleep(6)  # as long as a person chooses
            started = time.perf_counter()
            runs.start(run)
            while not (run / "metrics.jsonl").is_file() or not (run / "metrics.jsonl").stat().st_size:
                time.sleep(0.005)
            first = time.perf_counter() - started
            for child in list(runs._CHILDREN):
                child.wait()
            print(f"{'made ready with the dialog' if made_ready else 'started cold'}: first line of the curve "
                  f"{first:.2f} s after Train (bar 2), all 200 epochs {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
