"""Baselines on a run's media are fitted on its parts and stand beside those on its vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmstudio.errors import TrainingError
from mmstudio.media import MediaRef
from mmstudio.progress import finish
from mmstudio.training import baselines, raw_baselines, runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import accuracy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of 60 texts, with results as a finished one has."""
    rng = np.random.default_rng(0)
    labels, parts = np.arange(60) % 2, np.repeat(np.array([0, 1, 2], np.int8), 20)
    examples = Examples(np.arange(1, 61), rng.normal(0, 1, (60, 1, 4)).astype(np.float32), np.ones((60, 1), bool),
                        labels, parts)
    made = runs.make(tmp_path / "runs", TrainingJob(classes=("day", "night"), modalities=("text",)), examples)
    (made / "results.json").write_text(json.dumps({"of": "test", "parts": {}, "baselines": {"linear SVM": 0.5}}))
    return made


def _texts() -> list[str]:
    rng = np.random.default_rng(1)
    return [f"{('sun', 'moon')[n % 2 if rng.random() < 0.8 else 1 - n % 2]} picture {rng.integers(100)}"
            for n in range(60)]


def test_words_alone_are_measured_on_the_runs_parts(folder: Path) -> None:
    texts = _texts()
    media = {n: [MediaRef(Path("table.csv"), "text", f"row {n}", text)] for n, text in enumerate(texts, 1)}
    told = finish(raw_baselines.beside(folder, media))
    examples = Examples.load(folder / "examples")
    labels, parts = np.asarray(examples.targets).astype(np.int64), np.asarray(examples.parts)
    alone = finish(baselines.on_texts(texts, labels, parts, 2))
    wanted = {one.name: accuracy(labels[parts == 2], one.test) for one in alone[1:]}
    assert told == wanted
    assert set(told) == set(raw_baselines.names(("text",)))
    assert runs.look(folder).results["baselines"] == {"linear SVM": 0.5, **wanted}


def test_without_media_it_is_said(folder: Path) -> None:
    with pytest.raises(TrainingError, match="at hand"):
        finish(raw_baselines.beside(folder, {}))
