"""A few steps of a run without learning anything for good: how long it will take, how much memory, and on what."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.progress import Progress, Work
from mmstudio.training import loop, memory
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob, job_of
from mmstudio.training.rehearsing import Rehearsal

STEPS = 4
"""The first is not counted: it makes the optimiser's state and warms caches."""
MOST_SEEN = 24
"""Examples of the first batch that are shown."""
VALIDATED = 128
"""Held-out examples whose cost stands for all."""


def rehearse(folder: Path) -> Work[Rehearsal]:
    """Make a few steps of a run's folder, whose files stay as they are. Raises TrainingError as training would."""
    job, examples = job_of(folder), Examples.load(folder / "examples")
    with loop.threads(job):
        return (yield from _rehearsed(folder, job, examples))


def _rehearsed(folder: Path, job: TrainingJob, examples: Examples) -> Work[Rehearsal]:
    training = loop.Training(job, examples, folder, loop.accelerator(job))
    learner, device = training.learner, training.accelerator.device
    order = training.order(0)
    seconds = []
    for step in range(STEPS):
        yield Progress(step, STEPS, "trying")
        rows = order[(step * training.batch) % len(order):][: training.batch]
        learner.ahead(rows)
        began = time.perf_counter()
        training.step(rows)
        seconds.append(time.perf_counter() - began)
    held_out = examples.rows(VALIDATION)
    began = time.perf_counter()
    learner.outputs(training.inner, held_out[:VALIDATED])
    validating = (time.perf_counter() - began) * len(held_out) / max(1, min(len(held_out), VALIDATED))
    each = statistics.median(seconds[1:])
    parameters = list(training.inner.parameters())
    training.close()
    return Rehearsal(
        each, training.steps, training.steps * each + job.epochs * validating, list(memory.peaks(device).values())[-1],
        sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters),
        {name: len(examples.rows(part)) for name, part in (("train", TRAIN), ("validation", VALIDATION),
                                                           ("test", TEST))},
        _batch(job, examples, order[:MOST_SEEN].cpu().numpy()), str(device),
        "own" if job.trains == "scratch" else "media" if job.reads_media else "vectors")


def _batch(job: TrainingJob, examples: Examples, rows: Any) -> list[dict[str, Any]]:
    from mmstudio.training.words import text

    def told(row: int) -> str:
        target = np.asarray(examples.targets[row])
        if job.task == "classification":
            return job.classes[int(target)]
        if job.task == "multi-label":
            return ", ".join(name for name, on in zip(job.classes, target, strict=True) if on > 0.5)
        if job.task == "captioning":
            return text(target.tolist(), examples.words)
        return f"{float(target):g}" if job.task == "regression" else ""

    return [{"key": int(examples.keys[row]), "told": told(int(row)),
             "sees": [m for m, there in zip(job.modalities, examples.present[row], strict=True) if there]}
            for row in rows]
