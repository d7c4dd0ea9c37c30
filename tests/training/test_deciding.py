"""What a run tells is as sure as validation says it may be, and decided from where a person asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import f1_score

from mmstudio.progress import finish
from mmstudio.training import deciding, exported, runs, told
from mmstudio.training.examples import TEST, VALIDATION, Examples
from mmstudio.training.export_run import export_run
from mmstudio.training.loop import train
from mmstudio.training.predict import Predictor

Make = Callable[..., Path]


def test_the_temperature_that_validation_fits_best_is_what_a_run_tells_with(make_run: Make, digits: Examples) -> None:
    folder = make_run(fusion="concatenate", epochs=25, width=64)
    results = finish(train(folder))
    kept = told.load(folder)
    rows = kept.rows(VALIDATION)
    logits, classes = kept.outputs[rows].astype(float), kept.targets[rows]

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), 1)[np.arange(len(rows)), classes].mean())

    best = float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-8}).x))
    assert results["deciding"]["temperature"] == pytest.approx(best, rel=1e-3)
    assert abs(best - 1) > 0.02  # else nothing is tested
    predictor = Predictor(folder)
    predictor.see(digits.vectors, digits.present)
    assert predictor.outputs() == pytest.approx(softmax(kept.outputs.astype(float) / best, 1), abs=1e-4)
    assert [one["class"] for one in predictor.named()] == [
        predictor.job.classes[c] for c in kept.outputs.argmax(1).tolist()]


@pytest.mark.parametrize("task", ["multi-label", "classification"])
def test_thresholds_of_the_best_f1_on_validation_are_used_where_they_are_asked_for(
    task: str, make_run: Make, digits: Examples, tmp_path: Path,
) -> None:
    digit = np.asarray(digits.targets)
    if task == "multi-label":
        examples = replace(digits, targets=np.stack([digit == 3, digit % 4 == 0], 1).astype(np.float32))
        folder = make_run(examples, task=task, classes=("three", "fours"), epochs=6)
    else:
        examples = replace(digits, targets=(digit == 3).astype(np.int64))
        folder = make_run(examples, classes=("others", "three"), epochs=6)
    finish(train(folder))
    run, kept = runs.look(folder), told.load(folder)
    rows, held = kept.rows(VALIDATION), kept.rows(TEST)
    logits = kept.outputs.astype(float)
    shares = expit(logits) if task == "multi-label" else softmax(logits / run.deciding.temperature, 1)[:, 1:]
    truth = examples.targets > 0.5 if task == "multi-label" else examples.targets[:, None] == 1
    for c, threshold in enumerate(run.deciding.thresholds):
        each = [f1_score(truth[rows, c], shares[rows, c] >= at, zero_division=0) for at in np.linspace(0, 1, 201)]
        assert f1_score(truth[rows, c], shares[rows, c] >= threshold, zero_division=0) >= max(each) - 1e-12
    assert len(run.deciding.thresholds) == truth.shape[1]
    predictor = Predictor(folder)
    predictor.see(digits.vectors[held], digits.present[held])
    plain = predictor.decided(predictor.outputs())
    runs.choose_thresholds(folder, True)
    predictor = Predictor(folder)
    predictor.see(digits.vectors[held], digits.present[held])
    chosen = predictor.decided(predictor.outputs())
    over = shares[held] >= np.array(run.deciding.thresholds)
    if task == "classification":
        over = np.concatenate([~over, over], 1)
    assert chosen == [tuple(np.array(predictor.job.classes)[row]) for row in over]
    assert chosen != plain
    finish(export_run(folder, tmp_path / "left"))
    assert "from these on" in (tmp_path / "left/README.md").read_text()
    assert exported.load(tmp_path / "left").decide(digits.vectors[held], digits.present[held]) == chosen
    runs.choose_thresholds(folder, False)
    assert not runs.look(folder).deciding.asked


def test_damaged_or_older_results_decide_as_usual(make_run: Make) -> None:
    folder = make_run()
    for said in ({}, {"deciding": 5}, {"deciding": {"temperature": "hot"}}):
        (folder / "results.json").write_text(json.dumps({"parts": {}, "of": "test", **said}))
        assert runs.look(folder).deciding == deciding.Deciding()
