"""The film of a run shows what its vectors do from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.stats import ortho_group
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training import film
from mmstudio.training.examples import VALIDATION, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train

Make = Callable[..., Path]


def test_what_separates_over_the_epochs_separates_on_the_film() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), 40)
    noise, centres = rng.normal(0, 1, (120, 16)), rng.normal(0, 1, (3, 16))
    places = film.laid_out(np.stack([noise + reach * centres[classes] for reach in (0, 1, 2, 4, 8)]))
    apart = [silhouette_score(frame, classes) for frame in places]
    assert apart == sorted(apart)
    assert apart[0] < 0.1
    assert apart[-1] > 0.8
    last = PCA(2).fit_transform(noise + 8 * centres[classes])
    assert procrustes(last, places[-1])[2] < 1e-9


def test_frames_of_a_space_that_only_turns_and_mirrors_lie_on_each_other() -> None:
    rng = np.random.default_rng(1)
    still = rng.normal(0, 1, (50, 2)) * (3, 1)
    turned = [still @ ortho_group.rvs(2, random_state=seed) + seed for seed in range(6)]
    places = film.laid_out(np.stack([*turned, still]))
    assert np.abs(places - places[-1]).max() < 1e-4
    assert places.std((0, 1)) == pytest.approx(still.std(0), rel=0.2)


def test_a_film_that_became_longer_lies_as_it_lay_before() -> None:
    rng = np.random.default_rng(2)
    keys, places = np.arange(30), rng.normal(0, 1, (3, 30, 2)).astype(np.float32)
    short = film.Film(keys, keys, keys, np.array([1, 2]), places[:2])
    longer = film.Film(keys, keys, keys, np.array([1, 2, 3]), places[:, :, ::-1] * np.float32([1, -1]))
    turned = longer.like(short)
    assert np.allclose(turned.places[:2], places[:2], atol=0.2)
    assert turned.places.shape == (3, 30, 2)
    assert longer.like(None) is longer


@pytest.mark.parametrize(("task", "points"), [("classification", 100), ("regression", 100), ("alignment", 0)])
def test_a_run_keeps_the_map_of_each_epoch(make_run: Make, digits: Examples, task: str, points: int) -> None:
    targets = {"classification": digits.targets, "regression": digits.targets.astype(np.float64),
               "alignment": np.zeros(600, np.int64)}[task]
    examples = replace(digits, targets=targets)
    folder = make_run(examples, task=task, epochs=4, **({} if task == "classification" else {"classes": ()}))
    job = TrainingJob(task=task, classes=("0", "1"), modalities=("image", "audio", "text"))  # type: ignore[arg-type]
    assert film.load(folder, job) is None
    finish(train(folder))
    made = film.load(folder, job)
    assert made is not None
    held = digits.parts == VALIDATION
    assert made.epochs.tolist() == [1, 2, 3, 4]
    assert made.places.shape == (4, points or digits.present[held].sum(), 2)
    assert set(made.keys.tolist()) == set(digits.keys[held].tolist())
    assert np.isfinite(made.places).all()
    if task == "classification":
        assert silhouette_score(made.places[-1], made.targets) > silhouette_score(made.places[0], made.targets)
    if task == "regression":
        assert made.plain
        assert np.allclose(made.places[-1][:, 1], made.targets)
    if task == "alignment":
        assert set(made.modalities.tolist()) == {0, 1, 2}


def test_of_more_epochs_than_two_hundred_every_second_is_dropped(tmp_path: Path) -> None:
    film.begin(tmp_path, np.arange(2), np.ones((2, 1), bool), np.zeros(2, np.int64))
    for epoch in range(1, 451):
        film.write(tmp_path, epoch, np.full((2, 2), epoch, np.float32))
        if epoch == 200:
            assert len(list(tmp_path.glob("film/0*.npy"))) == 200
    made = film.load(tmp_path, TrainingJob(classes=("a", "b")))
    assert made is not None
    assert made.epochs.tolist() == [*range(4, 449, 4), 450]
    assert film.newest(tmp_path) == 450


def test_wide_vectors_are_of_fewer_examples_and_huge_ones_stay_finite(tmp_path: Path) -> None:
    assert film.most(np.zeros((5000, 10))) == 2000
    assert film.most(np.zeros((5000, 3, 512))) == 104
    film.begin(tmp_path, np.arange(3), np.ones((3, 1), bool), np.arange(3))
    film.write(tmp_path, 1, np.array([[1e30, -1e30], [0, 1], [2, 3]], np.float32))
    made = film.load(tmp_path, TrainingJob(classes=("a", "b")))
    assert made is not None
    assert np.isfinite(made.places).all()


def test_a_torn_film_is_told(tmp_path: Path) -> None:
    film.begin(tmp_path, np.arange(2), np.ones((2, 1), bool), np.zeros(2, np.int64))
    (tmp_path / "film" / "00001.npy").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="cannot be read"):
        film.load(tmp_path, TrainingJob(classes=("a", "b")))
