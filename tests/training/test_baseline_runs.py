"""Baselines become runs of their own: on the run's examples and parts, evaluated and compared as what any run told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mmstudio.errors import TrainingError
from mmstudio.library.query import parse
from mmstudio.library.query_match import matches
from mmstudio.media import MediaRef
from mmstudio.progress import finish
from mmstudio.training import baseline_runs, baselines, overview, runs
from mmstudio.training.evaluating import evaluated
from mmstudio.training.evaluation import comparison
from mmstudio.training.examples import Examples
from mmstudio.training.export_run import export_run
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.told import load, probabilities

Make = Callable[..., Path]


def _flat(digits: Examples) -> np.ndarray:
    return np.asarray(digits.vectors).reshape(600, -1)


def _by_name(folders: list[Path]) -> dict[str, Path]:
    return {runs.look(folder).beside.model: folder for folder in folders}  # type: ignore[union-attr]


def test_baselines_of_a_run_are_told_measured_and_compared_like_any_run(make_run: Make, digits: Examples) -> None:
    folder = make_run(epochs=6)
    finish(train(folder))
    made = finish(baseline_runs.on_vectors(folder))
    run, (first, *others) = runs.look(folder), map(runs.look, made)
    assert [one.job.name for one in (first, *others)] == [f"baseline: {name}" for name in baselines.ON_VECTORS]
    assert {one.state.status for one in others} == {"done"}
    assert {one.provenance.fingerprint for one in others} == {run.provenance.fingerprint}
    parts, targets = np.asarray(digits.parts), np.asarray(digits.targets)
    near = _by_name(made)["nearest neighbours"]
    told, job = load(near), runs.look(near).job
    model = KNeighborsClassifier(10, metric="cosine", algorithm="brute").fit(_flat(digits)[parts == 0],
                                                                             targets[parts == 0])
    shares = (10 * model.predict_proba(_flat(digits)) + 0.1) / 11
    assert np.allclose(probabilities(told, job.task, np.arange(600)), shares, atol=1e-5)
    found, mine = evaluated(told, job), evaluated(load(folder), run.job)
    assert np.array_equal(found.said, shares[parts == 2].argmax(1))
    assert found.metrics["accuracy"].low < found.metrics["accuracy"].value < found.metrics["accuracy"].high
    assert found.table is not None
    assert found.table.sum() == len(found.worst) == 100
    both = comparison(mine, found)
    right = mine.said == mine.given, found.said == found.given
    assert both.n == 100
    assert both.test is not None
    assert both.test.only_first == (right[0] & ~right[1]).sum()
    assert both.difference.value == pytest.approx(right[0].mean() - right[1].mean())
    assert overview.best_of(runs.look(near)) == ("accuracy", pytest.approx(right[1].mean()))


def test_the_table_of_runs_finds_baselines_and_says_how_they_differ(make_run: Make) -> None:
    folder = make_run(epochs=1)
    finish(train(folder))
    assert baseline_runs.lacking(runs.look(folder), runs.runs(folder.parent)) == (True, True)
    made = finish(baseline_runs.on_vectors(folder))
    found = runs.runs(folder.parent)
    assert baseline_runs.lacking(runs.look(folder), found) == (False, True)
    assert baseline_runs.lacking(found[0], found) == (False, False)
    mask = matches(parse("is:baseline accuracy>0.5"), overview.RunColumns(found))
    assert {run.beside.model for run, passes in zip(found, mask, strict=True)  # type: ignore[union-attr]
            if passes} == set(baselines.ON_VECTORS[1:])
    differ = {one.name: one.values for one in overview.differences([runs.look(folder), found[0]])}
    assert differ["baseline"] == (None, "nearest neighbours")
    assert differ["lr"] == (5e-3, None)
    assert "fingerprint" not in differ
    runs.remove(folder)  # the baselines keep their examples
    assert len(Examples.load(made[0] / "examples")) == 600
    with pytest.raises(TrainingError, match="not trained"):
        runs.again(made[0])
    with pytest.raises(TrainingError, match="no weights"):
        finish(export_run(made[0], folder.parent / "out"))
    with pytest.raises(TrainingError, match="beside a run"):
        finish(baseline_runs.on_vectors(made[0]))


def test_of_several_labels_each_is_fitted_against_the_rest(make_run: Make, digits: Examples) -> None:
    classes, parts = np.asarray(digits.targets), np.asarray(digits.parts)
    labels = np.stack([classes % 2 == 0, classes < 5], 1)
    folder = make_run(replace(digits, targets=labels.astype(np.float32)), task="multi-label", epochs=1,
                      classes=("even", "small"))
    finish(train(folder))
    made = _by_name(finish(baseline_runs.on_vectors(folder)))
    assert list(made) == ["frequency of each label", *baselines.ON_VECTORS[1:]]
    told, job = load(made["logistic regression"]), runs.look(made["logistic regression"]).job
    vectors = StandardScaler().fit(_flat(digits)[parts == 0]).transform(_flat(digits))
    shares = probabilities(told, job.task, np.arange(600))
    for c in range(2):
        fits = [LogisticRegression(C=strength, max_iter=2000).fit(vectors[parts == 0], labels[parts == 0, c])
                for strength in baselines.STRENGTHS]
        assert any(np.allclose(fit.predict_proba(vectors)[:, 1], shares[:, c], atol=1e-3) for fit in fits)
    often = probabilities(load(made["frequency of each label"]), job.task, np.arange(1))[0]
    assert often == pytest.approx(labels[parts == 0].mean(0), abs=1e-6)
    assert evaluated(told, job).metrics["micro F1"].value > 0.5


def test_amounts_are_told_by_a_ridge_and_by_neighbours(make_run: Make, digits: Examples) -> None:
    amounts, parts = np.asarray(digits.targets) * 10.0, np.asarray(digits.parts)
    folder = make_run(replace(digits, targets=amounts.astype(np.float32)), task="regression", classes=(), epochs=1)
    finish(train(folder))
    made = _by_name(finish(baseline_runs.on_vectors(folder)))
    assert list(made) == ["mean amount", "ridge regression", "nearest neighbours"]
    told = load(made["ridge regression"])
    vectors = StandardScaler().fit(_flat(digits)[parts == 0]).transform(_flat(digits))
    fits = [Ridge(alpha=1 / strength).fit(vectors[parts == 0], amounts[parts == 0]).predict(vectors)
            for strength in baselines.STRENGTHS]
    errors = [np.abs(fit - told.outputs[:, 0]).max() for fit in fits]
    assert min(errors) < 0.01
    chosen = int(np.argmin(errors))
    off = [((fit - amounts)[parts == 1] ** 2).sum() for fit in fits[:chosen + 2]]
    assert int(np.argmin(off)) == chosen
    assert np.allclose(load(made["mean amount"]).outputs, amounts[parts == 0].mean(), atol=1e-3)
    found = evaluated(told, runs.look(made["ridge regression"]).job)
    assert found.metrics["R²"].value > 0.2


# ---- on media -------------------------------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path: Path) -> tuple[Path, list[str]]:
    """A run of 60 texts, trained."""
    rng = np.random.default_rng(1)
    words = [f"{('sun', 'moon')[n % 2 if rng.random() < 0.8 else 1 - n % 2]} picture {rng.integers(100)}"
             for n in range(60)]
    examples = Examples(np.arange(1, 61), rng.normal(0, 1, (60, 1, 4)).astype(np.float32), np.ones((60, 1), bool),
                        np.arange(60) % 2, np.repeat(np.array([0, 1, 2], np.int8), 20))
    made = runs.make(tmp_path / "runs", TrainingJob(classes=("day", "night"), modalities=("text",), epochs=1), examples)
    finish(train(made))
    return made, words


def _media(words: list[str]) -> dict[int, list[MediaRef]]:
    return {n: [MediaRef(Path("table.csv"), "text", f"row {n}", word)] for n, word in enumerate(words, 1)}


def test_words_alone_are_told_on_the_runs_parts(texts: tuple[Path, list[str]]) -> None:
    folder, words = texts
    made = finish(baseline_runs.on_media(folder, _media(words)))
    examples = Examples.load(folder / "examples")
    targets, parts = np.asarray(examples.targets), np.asarray(examples.parts)
    features = finish(baselines.described("text", words, parts))
    alone = finish(baselines.on_features(features, targets, parts, 2, "text"))[1:]
    assert [one.name for one in alone] == ["TF-IDF + logistic regression", "TF-IDF + linear SVM"]
    assert list(_by_name(made)) == [one.name for one in alone]
    for kept, one in zip(made, alone, strict=True):
        shares = probabilities(load(kept), "classification", examples.rows(2))
        assert np.allclose(shares, one.test, atol=1e-5)
        assert runs.look(kept).beside.source == "text"  # type: ignore[union-attr]
    assert baseline_runs.lacking(runs.look(folder), runs.runs(folder.parent)) == (True, False)


def test_examples_without_media_are_left_out_and_without_any_it_is_said(texts: tuple[Path, list[str]]) -> None:
    folder, words = texts
    some: dict[int, Any] = {key: refs for key, refs in _media(words).items() if key % 4}
    made = finish(baseline_runs.on_media(folder, some))
    assert sorted(load(made[0]).keys.tolist()) == sorted(some)
    with pytest.raises(TrainingError, match="at hand"):
        finish(baseline_runs.on_media(folder, {}))


def test_media_of_several_modalities_are_also_told_together(tmp_path: Path) -> None:
    rng, colours = np.random.default_rng(2), ("red", "blue")
    targets = np.arange(60) % 2
    media: dict[int, list[MediaRef]] = {}
    for key, target in enumerate(targets, 1):
        Image.new("RGB", (16, 16), colours[target if rng.random() < 0.8 else 1 - target]).save(tmp_path / f"{key}.png")
        media[key] = [MediaRef(tmp_path / f"{key}.png", "image")]
        if key % 5:
            media[key].append(MediaRef(Path("table.csv"), "text", f"row {key}", f"{('sun', 'moon')[target]} {key}"))
    examples = Examples(np.arange(1, 61), rng.normal(0, 1, (60, 2, 4)).astype(np.float32), np.ones((60, 2), bool),
                        targets, np.repeat(np.array([0, 1, 2], np.int8), 20))
    folder = runs.make(tmp_path / "runs", TrainingJob(classes=("day", "night"), modalities=("image", "text"), epochs=1,
                                                      fusion="concatenate"), examples)
    finish(train(folder))
    made = _by_name(finish(baseline_runs.on_media(folder, media)))
    assert list(made) == ["pixels + linear SVM", "TF-IDF + logistic regression", "TF-IDF + linear SVM",
                          "pixels + TF-IDF + linear SVM"]
    both = runs.look(made["pixels + TF-IDF + linear SVM"])
    assert (both.beside.source, both.job.modalities) == ("image + text", ("image", "text"))  # type: ignore[union-attr]
    assert len(load(both.folder).keys) == 60
    assert len(load(made["TF-IDF + linear SVM"]).keys) == 48
    accuracy = {name: overview.best_of(runs.look(one))[1] for name, one in made.items()}  # type: ignore[index]
    assert accuracy["pixels + TF-IDF + linear SVM"] >= accuracy["pixels + linear SVM"]
    assert baseline_runs.lacking(runs.look(folder), runs.runs(folder.parent)) == (True, False)
