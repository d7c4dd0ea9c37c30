"""A task of three modalities that no one of them solves: handwritten digits, and made sounds and words of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudio.training import runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob

DIM = 64
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(autouse=True)
def quick(one_thread: None) -> None:
    """What is trained here is small."""


@pytest.fixture(scope="session")
def digits() -> Examples:
    """600 scans of digits as their pixels; a sound that mixes up pairs of digits, a word that mixes up halves."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    found = load_digits()
    chosen = rng.permutation(len(found.data))[:600]
    classes = found.target[chosen].astype(np.int64)
    vectors = np.zeros((600, 3, DIM), np.float32)
    vectors[:, 0] = found.data[chosen] - 8 + rng.normal(0, 9, (600, DIM))
    for m, groups in ((1, classes // 2), (2, classes % 5)):
        centres = rng.normal(0, 1, (5, DIM))
        vectors[:, m] = centres[groups] + rng.normal(0, 1.6, (600, DIM))
    present = rng.random((600, 3)) > 0.1
    present[~present.any(1), 0] = True
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors *= present[..., None]
    parts = np.repeat(np.array([0, 1, 2], np.int8), [400, 100, 100])
    return Examples(np.arange(1, 601), vectors.astype(np.float32), present, classes, parts)


@pytest.fixture
def job() -> TrainingJob:
    return TrainingJob(classes=WORDS, modalities=("image", "audio", "text"), epochs=12, batch=50, lr=5e-3, patience=0,
                       dropout=0.0, width=32)


@pytest.fixture
def make_run(tmp_path: Path, digits: Examples, job: TrainingJob) -> Callable[..., Path]:
    """A run of the digits with some settings changed."""

    def make(examples: Examples | None = None, **changes: Any) -> Path:
        return runs.make(tmp_path / "runs", replace(job, **changes), examples or digits)

    return make
