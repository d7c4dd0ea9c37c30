"""What is told of a finished run is what scikit-learn tells of the same outputs, or what a hand works out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training import runs
from mmstudio.training.calibration import softmax
from mmstudio.training.evaluating import evaluated
from mmstudio.training.evaluation import MEAN, TABLE_METRICS, Evaluation, comparison, modality_rows
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.told import Told, load, probabilities

Make = Callable[..., Path]
CLASSES = ("ant", "bee", "cow", "dog")
JOB = TrainingJob(classes=CLASSES)


def told_of(outputs: np.ndarray, targets: np.ndarray, parts: np.ndarray | None = None, keys: np.ndarray | None = None,
            modalities: int = 1) -> Told:
    """Made outputs; all of the test part where nothing else is said."""
    n = len(outputs)
    return Told(np.arange(1, n + 1) if keys is None else keys, outputs.astype(np.float32),
                np.zeros((n, modalities, outputs.shape[-1]), np.float32), targets,
                np.full(n, TEST, np.int8) if parts is None else parts.astype(np.int8), np.ones((n, modalities), bool))


def made(n: int = 240, classes: int = 4, seed: int = 0, truth: int = 0) -> Told:
    """A third each of train, validation and test; right more often than not, and too sure of it."""
    targets = np.random.default_rng(truth).integers(0, classes, n)
    rng = np.random.default_rng(seed + 100)
    outputs = 3 * (rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[targets])
    return told_of(outputs, targets, np.arange(n) % 3)


def saved(folder: Path, told: Told, **changes: np.ndarray) -> Path:
    arrays = {name: getattr(told, name) for name in ("keys", "outputs", "alone", "targets", "parts", "present")}
    np.savez(folder / "outputs.npz", **{**arrays, **changes})
    return folder


# ---- reading --------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(tmp_path: Path) -> None:
    told = made()
    again = load(saved(tmp_path, told))
    for name in ("keys", "outputs", "alone", "targets", "parts", "present"):
        assert np.array_equal(getattr(again, name), getattr(told, name))


def test_missing_and_torn_files_are_errors_that_say_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing yet"):
        load(tmp_path)
    whole = saved(tmp_path, made()) / "outputs.npz"
    content = whole.read_bytes()
    for broken in (b"", b"no archive", content[: len(content) // 2], content[:-30],
                   content[:300] + bytes(300) + content[600:]):
        whole.write_bytes(broken)
        with pytest.raises(TrainingError, match="cannot be read"):
            load(tmp_path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").replace(whole)
    with pytest.raises(TrainingError, match="cannot be read"):
        load(tmp_path)


def test_arrays_that_are_missing_pickled_or_do_not_fit_are_errors(tmp_path: Path) -> None:
    told = made()
    np.savez(tmp_path / "outputs.npz", keys=told.keys)
    with pytest.raises(TrainingError, match="cannot be read"):
        load(tmp_path)
    saved(tmp_path, told, keys=np.array([object()] * len(told), object))
    with pytest.raises(TrainingError, match="cannot be read"):
        load(tmp_path)
    bad = told.outputs.copy()
    bad[3, 1] = np.nan
    for change in ({"keys": told.keys[:-1]}, {"outputs": bad}, {"outputs": told.outputs[:, 0]},
                   {"alone": told.alone[:, :0]}, {"keys": told.keys.astype(str)}, {"parts": np.float32(1)},
                   {name: getattr(told, name)[:0] for name in ("keys", "outputs", "alone", "targets", "parts",
                                                               "present")}):
        saved(tmp_path, told, **change)
        with pytest.raises(TrainingError, match="does not fit"):
            load(tmp_path)


def test_outputs_of_another_job_are_an_error() -> None:
    with pytest.raises(TrainingError, match="not of this job"):
        evaluated(made(classes=3), JOB)
    with pytest.raises(TrainingError, match="not of this job"):
        evaluated(made(), TrainingJob(task="multi-label", classes=CLASSES))
    told = made()
    with pytest.raises(TrainingError, match="cannot be measured"):
        evaluated(replace(told, targets=told.targets + 1), JOB)


# ---- one class of several -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    told = made(seed=seed)
    found, rows = evaluated(told, JOB), told.rows(TEST)
    truth, shares = told.targets[rows], softmax(told.outputs[rows])
    said = shares.argmax(1)
    assert found.part == "test"
    assert np.array_equal(found.keys, told.keys[rows])
    assert np.array_equal(found.table, sk.confusion_matrix(truth, said))
    wanted = {"accuracy": sk.accuracy_score(truth, said), "balanced accuracy": sk.balanced_accuracy_score(truth, said),
              "macro F1": sk.f1_score(truth, said, average="macro"),
              "micro F1": sk.f1_score(truth, said, average="micro"), "log loss": sk.log_loss(truth, shares),
              "ROC AUC": sk.roc_auc_score(truth, shares, multi_class="ovr"),
              "average precision": sk.average_precision_score(np.eye(4)[truth], shares)}
    for name, value in wanted.items():
        assert found.metrics[name].value == pytest.approx(value), name
    for name in ("accuracy", "balanced accuracy", "macro F1", "micro F1", "log loss", "Brier score"):
        one = found.metrics[name]
        assert one.low < one.value < one.high
        assert one.high - one.low < max(0.3, one.value)
    each = found.per_class
    assert each is not None
    for mine, theirs in zip((each.precision, each.recall, each.f1, each.support),
                            sk.precision_recall_fscore_support(truth, said), strict=True):
        assert np.allclose(mine, theirs)


def test_intervals_are_as_wide_as_the_normal_approximation_says() -> None:
    told = made(n=3000)
    found = evaluated(told, JOB).metrics["accuracy"]
    share, n = found.value, len(told.rows(TEST))
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / n), rel=0.1)


def test_thinned_curves_keep_their_areas() -> None:
    told = made(n=3000)
    found, rows = evaluated(told, JOB), told.rows(TEST)
    shares = softmax(told.outputs[rows])
    for c, curve in enumerate(found.curves):
        positive = told.targets[rows] == c
        assert curve.area == pytest.approx(sk.roc_auc_score(positive, shares[:, c]))
        assert np.trapezoid(curve.true_rate, curve.false_rate) == pytest.approx(curve.area, abs=1e-3)
        assert len(curve.true_rate) <= 400
        assert curve.average == pytest.approx(sk.average_precision_score(positive, shares[:, c]))
        assert (curve.true_rate[0], curve.false_rate[-1], curve.recall[-1]) == (0, 1, 1)


def test_a_class_that_never_occurs_has_no_curve_and_disturbs_no_other() -> None:
    told = made()
    found = evaluated(replace(told, targets=np.where(told.targets == 2, 1, told.targets)), JOB)
    assert np.isnan(found.curves[2].area)
    assert not len(found.curves[2].true_rate)
    assert not any(np.isnan(found.curves[c].area) for c in (0, 1, 3))
    assert np.isfinite(found.metrics["ROC AUC"].value)


def test_temperature_is_fitted_on_validation_and_lessens_the_error_of_test() -> None:
    found = evaluated(made(n=3000), JOB).calibration
    assert found is not None
    assert found.after is not None
    assert found.temperature > 1.5
    assert found.after.error < found.before.error / 2


def test_without_a_test_part_validation_is_looked_at_and_nothing_is_fitted_on_it() -> None:
    told = made()
    found = evaluated(replace(told, parts=np.minimum(told.parts, VALIDATION)), JOB)
    assert found.part == "validation"
    assert found.calibration is not None
    assert found.calibration.after is None
    learned = evaluated(replace(told, parts=np.zeros(len(told), np.int8)), JOB)
    assert learned.part == "train"
    assert learned.errors == ()


def test_cells_hold_the_keys_of_their_examples() -> None:
    outputs = np.array([[2, 0, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 9, 0, 0.0]])
    keys, parts = np.array([5, -3, 8, 9, 7]), np.array([TEST, TEST, TEST, TEST, VALIDATION])
    told = told_of(outputs, np.array([0, 0, 0, 2, 0]), parts, keys)
    found = evaluated(told, JOB)
    assert found.cells([(0, 1)]) == [-3, 8]
    assert found.cells([(0, 0), (2, 2), (3, 3)]) == [5, 9]
    assert found.of_classes([0]) == [5, -3, 8]
    assert found.of_classes([]) == found.cells([]) == []


def test_wrong_labels_are_found_among_validation_and_test_only() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    outputs = rng.normal(0, 0.3, (300, 4)) + 5 * np.eye(4)[truth]
    parts, wrong = np.arange(300) % 3, np.array([3, 4, 5, 31, 32, 33])
    given = truth.copy()
    given[wrong] = (truth[wrong] + 1) % 4
    found = evaluated(told_of(outputs, given, parts), JOB)
    keys = {one.key for one in found.errors}
    assert keys <= {int(row) + 1 for row in wrong if parts[row] != TRAIN}
    assert len(keys) >= 3
    for one in found.errors:
        assert (one.given, one.told) == (CLASSES[given[one.key - 1]], CLASSES[truth[one.key - 1]])
        assert one.sure > 0.9


def test_worst_and_best_examples_are_those_of_the_highest_and_lowest_loss() -> None:
    told = made(n=900)
    found, rows = evaluated(told, JOB), told.rows(TEST)
    losses = -np.log(softmax(told.outputs[rows])[np.arange(len(rows)), told.targets[rows]])
    assert [one.key for one in found.worst] == told.keys[rows][np.argsort(losses)[::-1][:200]].tolist()
    assert found.worst[0].loss == pytest.approx(losses.max())
    assert found.best[0].loss == pytest.approx(losses.min())
    assert len(found.best) == 200


# ---- other tasks ----------------------------------------------------------------------------------------------------


def test_several_labels_at_once_are_scored_as_by_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((300, 3)) < 0.4).astype(np.float32)
    outputs = rng.normal(0, 1.5, (300, 3)) + 4 * truth - 2
    told, job = told_of(outputs, truth, np.arange(300) % 3), TrainingJob(task="multi-label", classes=CLASSES[:3])
    found, rows = evaluated(told, job), told.rows(TEST)
    shares = probabilities(told, "multi-label", rows)
    assert np.allclose(shares, 1 / (1 + np.exp(-told.outputs[rows].astype(float))))
    said = shares >= 0.5
    assert found.table is None
    for average in ("micro", "macro"):
        one = found.metrics[f"{average} F1"]
        assert one.value == pytest.approx(sk.f1_score(truth[rows], said, average=average))
        assert one.low < one.value < one.high < one.low + 0.2
    assert found.metrics["subset accuracy"].value == pytest.approx(sk.accuracy_score(truth[rows], said))
    assert found.metrics["mean average precision"].value == pytest.approx(
        sk.average_precision_score(truth[rows], shares))
    assert found.of_classes([1]) == told.keys[rows][truth[rows, 1] > 0].tolist()
    assert found.errors
    first = found.errors[0]
    assert {first.given, first.told} in [{name, f"not {name}"} for name in job.classes]
    assert (first.given in job.classes) == bool(truth[first.key - 1, job.classes.index(first.given.split()[-1])])


def test_amounts_have_their_pairs_and_scores() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 20, 300).astype(np.float32)
    outputs = (truth + rng.normal(0, 5, 300))[:, None]
    told = told_of(outputs, truth, np.arange(300) % 3)
    found, rows = evaluated(told, TrainingJob(task="regression")), told.rows(TEST)
    assert np.allclose(found.given, truth[rows])
    assert np.allclose(found.said, told.outputs[rows, 0])
    assert found.metrics["MAE"].value == pytest.approx(sk.mean_absolute_error(truth[rows], told.outputs[rows]))
    assert found.metrics["R²"].value == pytest.approx(sk.r2_score(truth[rows], told.outputs[rows]))
    for name in ("MAE", "RMSE", "R²"):
        assert found.metrics[name].low < found.metrics[name].value < found.metrics[name].high
    assert found.worst[0].loss == pytest.approx(np.abs(outputs[rows, 0] - truth[rows]).max(), rel=1e-4)


def test_pairs_are_found_in_both_directions() -> None:
    vectors = np.zeros((6, 2, 3), np.float32)
    vectors[:, 0] = vectors[:, 1] = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    vectors[0, 1], vectors[1, 1] = [0, 1, 0], [1, 0, 0]
    job = TrainingJob(task="alignment", modalities=("image", "text"), width=3)
    told = replace(told_of(vectors, np.zeros(6, np.int64), np.array([2, 2, 2, 0, 0, 1]), modalities=2), alone=vectors)
    found = evaluated(told, job)
    assert set(found.directions) == {"image → text", "text → image"}
    assert found.directions["image → text"].recall[1] == pytest.approx(1 / 3)
    assert [(one.key, one.loss) for one in found.worst[-1:]] == [(3, 1.0)]
    assert {one.key for one in found.worst[:2]} == {1, 2}


# ---- two runs -------------------------------------------------------------------------------------------------------


def test_runs_are_compared_on_what_both_have_held_out() -> None:
    truth = np.array([0, 1, 2, 3, 0, 1])
    first = evaluated(told_of(5 * np.eye(4)[truth], truth, keys=np.array([1, 2, 3, 4, 5, 6])), JOB)
    other_truth = np.array([1, 2, 3, 0, 1, 0])  # of the keys 2 to 7, where class 2 of the key 5 was changed to 1
    said = np.array([1, 0, 3, 0, 0, 0])
    names = replace(JOB, classes=("ant", "bee", "cow", "dog"))
    second = evaluated(told_of(5 * np.eye(4)[said], other_truth, keys=np.array([2, 3, 4, 5, 6, 7])), names)
    found = comparison(first, second)
    assert (found.n, found.left_out) == (5, 0)
    assert found.test is not None
    assert (found.test.only_first, found.test.only_second) == (2, 0)
    assert found.test.p == pytest.approx(0.5)  # 2 of 2, two-sided
    assert found.difference.value == pytest.approx(0.4)
    assert found.difference.low <= 0.4 <= found.difference.high
    renamed = replace(second, classes=("ant", "wasp", "cow", "dog"))
    assert (comparison(first, renamed).n, comparison(first, renamed).left_out) == (3, 2)


def test_runs_that_cannot_be_compared_say_why() -> None:
    one = evaluated(made(), JOB)
    with pytest.raises(TrainingError, match="kinds"):
        comparison(one, replace(one, task="regression"))
    with pytest.raises(TrainingError, match="held out by both"):
        comparison(one, replace(one, keys=one.keys + 10_000))
    with pytest.raises(TrainingError, match="kept no examples"):
        comparison(one, replace(one, part="train"))


def test_amounts_and_labels_are_compared_too() -> None:
    truth = np.arange(10, dtype=np.float32)
    job = TrainingJob(task="regression")
    found = comparison(evaluated(told_of((truth + 1)[:, None], truth), job),
                       evaluated(told_of((truth + 3)[:, None], truth), job))
    assert (found.measure, found.difference.value, found.test) == ("MAE", pytest.approx(-2), None)
    labels = np.tile(np.eye(3, dtype=np.float32), (5, 1))
    several = TrainingJob(task="multi-label", classes=CLASSES[:3])
    turned = replace(several, classes=several.classes[::-1])
    same = comparison(evaluated(told_of(4 * labels - 2, labels), several),
                      evaluated(told_of(4 * labels[:, ::-1] - 2, labels[:, ::-1]), turned))
    assert (same.n, same.left_out, same.difference.value) == (15, 0, 0)


# ---- the whole ------------------------------------------------------------------------------------------------------


def test_a_trained_run_is_told_as_its_results_say(make_run: Make, job: TrainingJob) -> None:
    folder = make_run(epochs=6)
    results = finish(train(folder))
    run = runs.look(folder)
    found = evaluated(load(folder), run.job)
    for name in ("accuracy", "balanced accuracy", "macro F1", "ROC AUC", "average precision", "log loss"):
        assert found.metrics[name].value == pytest.approx(results["parts"]["test"][name], rel=1e-6), name
    bounds = found.metrics["accuracy"]
    assert [bounds.low, bounds.high] == pytest.approx(results["intervals"]["accuracy"])
    assert sum(len(found.cells([(a, b)])) for a in range(10) for b in range(10)) == len(found.keys) == 100
    rows = modality_rows(run.results, "classification")
    assert [row.name for row in rows if row.alone] == ["image", "audio", "text", MEAN]
    assert [row.name for row in rows[3:5]] == [MEAN, "image + audio"]
    assert rows[7].name == "image + audio + text"
    assert rows[7].values[0].value == found.metrics["accuracy"].value
    for mean, singles in ((rows[3], rows[:3]), (rows[11], rows[8:11])):
        for value, each in zip(mean.values, zip(*(row.values for row in singles), strict=True), strict=True):
            assert value.value == pytest.approx(np.mean([one.value for one in each]), rel=1e-6)
            assert value.low < value.value < value.high
    for row in rows:
        table = results["means"] if row.name == MEAN else results
        line = table["alone" if row.alone else "modalities"]
        line = line if row.name == MEAN else line[row.name]
        for metric, value in zip(TABLE_METRICS["classification"], row.values, strict=True):
            assert value.value == pytest.approx(line[metric], rel=1e-6)
            assert value.low < value.high


@pytest.mark.parametrize("task", ["multi-label", "regression", "alignment"])
def test_trained_runs_of_other_tasks_agree_with_their_results(make_run: Make, digits: Examples, task: str) -> None:
    classes = np.asarray(digits.targets)
    targets = {"multi-label": np.stack([classes % 2 == 0, classes < 5], 1).astype(np.float32),
               "regression": classes.astype(np.float32), "alignment": np.zeros(600, np.int64)}[task]
    folder = make_run(replace(digits, targets=targets), task=task, epochs=2,
                      classes=("even", "small") if task == "multi-label" else ())
    results = finish(train(folder))["parts"]["test"]
    found = evaluated(load(folder), runs.look(folder).job)
    if task == "alignment":
        mean = np.mean([one.recall[5] for one in found.directions.values()])
        assert mean == pytest.approx(results["recall at 5"], abs=1e-6)
    else:
        for name in ("micro F1", "macro F1") if task == "multi-label" else ("MAE", "RMSE", "R²"):
            assert found.metrics[name].value == pytest.approx(results[name], rel=1e-4), name


@pytest.mark.parametrize("results", [None, [], {"modalities": 3, "alone": {"image": 4}}, {"modalities": {"a": {}}}])
def test_results_of_any_shape_are_survived(results: object) -> None:
    for row in modality_rows(results, "classification"):
        assert (row.name, row.n) == ("a", 0)
        assert all(np.isnan([one.value, one.low, one.high]).all() for one in row.values)


def test_looking_up_what_was_chosen_takes_no_time_a_person_notices() -> None:
    found: Evaluation = evaluated(made(n=30_000, classes=4), JOB)
    began = time.perf_counter()
    keys = found.cells([(a, b) for a in range(4) for b in range(4)])
    found.of_classes([0, 1])
    assert time.perf_counter() - began < 0.5  # about 2 ms
    assert len(keys) == 10_000
