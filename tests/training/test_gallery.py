"""What a run notes of its validation examples after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training import evaluating, gallery, runs, told
from mmstudio.training.examples import VALIDATION, Examples
from mmstudio.training.gallery import Validated
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train

Make = Callable[..., Path]


def _noted(folder: Path) -> Validated:
    found = gallery.read(folder)
    assert found is not None
    return found


def test_the_last_epochs_losses_are_those_of_the_curve_and_the_epoch_before_is_beside_them(
    make_run: Make, digits: Examples,
) -> None:
    import json

    folder = make_run(epochs=3)
    assert gallery.read(folder) is None
    finish(train(folder))
    found = _noted(folder)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["validation"]["loss"] for line in lines if "validation" in line]
    assert found.epoch == 3
    assert np.array_equal(found.keys, digits.keys[digits.parts == VALIDATION])
    assert found.loss.mean() == pytest.approx(losses[2], rel=1e-5)
    assert found.before.mean() == pytest.approx(losses[1], rel=1e-5)
    right = ~found.wrong
    accuracy = next(line["validation"]["accuracy"] for line in reversed(lines) if "validation" in line)
    assert right.mean() == pytest.approx(accuracy)
    assert np.allclose(found.sure[right], np.exp(-found.loss[right]), rtol=1e-4)
    orders = found.orders()
    assert found.loss[orders["worst"][0]] == found.loss.max()
    assert found.loss[orders["best"][0]] == found.loss.min()
    assert abs(found.change[orders["changed"][0]]) == np.abs(found.change).max()


@pytest.mark.parametrize("task", ["multi-label", "regression", "alignment"])
def test_every_task_tells_each_example_as_its_evaluation_does(make_run: Make, digits: Examples, task: str) -> None:
    targets = {"multi-label": np.eye(10, dtype=np.float32)[digits.targets.astype(int)],
               "regression": digits.targets.astype(np.float64), "alignment": np.zeros(600, np.int64)}[task]
    parts = np.where(digits.parts == VALIDATION, VALIDATION, 0).astype(np.int8)
    changed = replace(digits, targets=targets, parts=parts)
    job = {"classes": ()} if task != "multi-label" else {}
    folder = make_run(changed, task=task, epochs=1, **job)
    finish(train(folder))
    found = _noted(folder)
    outputs = told.load(folder)
    judged = evaluating.evaluated(outputs, runs.look(folder).job)
    worst = {one.key: one.loss for one in judged.worst}
    mine = dict(zip(found.keys.tolist(), found.loss.tolist(), strict=True))
    assert len(worst) > 50
    assert all(mine[key] == pytest.approx(loss, rel=1e-3) for key, loss in worst.items())
    assert np.isnan(found.before).all()
    assert not len(found.orders()["changed"])


def test_of_captions_only_the_loss_is_told() -> None:
    outputs = np.array([[0.5, 0.9], [2.0, 0.1]], np.float32)
    found = gallery.told_of(TrainingJob(task="captioning"), 1, np.array([1, 2]), outputs, np.ones((2, 3)),
                            np.ones((2, 1), bool), None)
    assert found.loss.tolist() == [0.5, 2.0]
    assert not found.wrong.any()
    assert np.isnan(found.sure).all()


def test_of_many_examples_two_thousand_are_kept_evenly() -> None:
    places = gallery.spread(np.arange(10_001))
    assert len(places) == gallery.MOST == len(set(places.tolist()))
    assert (places[0], places[-1]) == (0, 10_000)
    assert np.diff(places).max() <= 6


def test_an_epoch_that_is_told_anew_keeps_what_was_before_it() -> None:
    job = TrainingJob(classes=("a", "b"))
    keys, given, present = np.array([3, 4]), np.array([0, 1]), np.ones((2, 1), bool)
    last = None
    for epoch, margin in ((1, 0.0), (2, 1.0), (2, 1.0)):
        outputs = margin * np.array([[1.0, -1.0], [-1.0, 1.0]])
        last = gallery.told_of(job, epoch, keys, outputs, given, present, last)
    assert last is not None
    assert np.allclose(last.before, np.log(2), atol=1e-6)
    assert np.allclose(last.loss, np.log1p(np.exp(-2)), atol=1e-6)
    later = gallery.told_of(job, 4, keys, outputs, given, present, last)
    assert np.isnan(later.before).all()


def test_a_torn_file_is_told_and_does_not_stop_the_run(make_run: Make) -> None:
    folder = make_run(epochs=1)
    (folder / gallery.FILE).write_bytes(b"PK\3\4 torn")
    with pytest.raises(TrainingError, match="cannot be read"):
        gallery.read(folder)
    finish(train(folder))
    assert _noted(folder).epoch == 1
