"""Projections keep what they promise to keep."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from mmstudio.explore.clusters import on_map
from mmstudio.explore.projection import pacmap, pca, placed_among
from mmstudio.progress import finish

DIGITS = load_digits()
VECTORS = DIGITS.data[:900].astype(np.float32)


def test_pca_agrees_with_scikit_learn() -> None:
    ours = pca(VECTORS).place(VECTORS)
    theirs = PCA(2).fit_transform(VECTORS)
    for axis in (0, 1):
        assert abs(np.corrcoef(ours[:, axis], theirs[:, axis])[0, 1]) > 0.999
    assert np.allclose(ours.std(axis=0), theirs.std(axis=0), rtol=1e-3)


def test_pacmap_keeps_neighbours_far_better_than_pca() -> None:
    places = finish(pacmap(VECTORS, seed=1))
    ours = trustworthiness(VECTORS, places, n_neighbors=10)
    assert ours > 0.965
    assert ours > trustworthiness(VECTORS, pca(VECTORS).place(VECTORS), n_neighbors=10) + 0.1


def test_pacmap_is_the_same_for_the_same_seed_and_tells_partial_results() -> None:
    steps = []
    work = pacmap(VECTORS[:200], seed=3)
    try:
        while True:
            steps.append(next(work))
    except StopIteration as stop:
        places = stop.value
    assert sum(step.fresh is not None for step in steps) > 20
    assert np.array_equal(places, finish(pacmap(VECTORS[:200], seed=3)))


def test_starting_from_a_map_hardly_moves_it() -> None:
    first = finish(pacmap(VECTORS[:400], seed=1))
    again = finish(pacmap(VECTORS[:400], seed=2, start=first))
    def unit(p: np.ndarray) -> np.ndarray:
        return (p - p.mean(axis=0)) / p.std()
    assert np.median(np.linalg.norm(unit(first) - unit(again), axis=1)) < 0.35


def test_few_and_equal_vectors_are_no_trouble() -> None:
    for n in (2, 3, 7, 9, 15):
        assert np.isfinite(finish(pacmap(VECTORS[:n]))).all()
    assert np.isfinite(finish(pacmap(np.ones((30, 8), np.float32)))).all()


def test_a_new_point_lies_among_its_neighbours() -> None:
    places = finish(pacmap(VECTORS[:500], seed=1))
    unit = VECTORS[:500] / np.linalg.norm(VECTORS[:500], axis=1, keepdims=True)
    near = placed_among(unit[42], unit, places)
    assert np.linalg.norm(near - places[42]) < 0.25 * places.std()


def test_clusters_of_the_map_are_found_largest_first() -> None:
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(c, 0.05, (n, 2)) for c, n in (((0, 0), 60), ((3, 0), 120), ((0, 3), 30))])
    found = on_map(places.astype(np.float32))
    assert (found[60:180] == 0).mean() > 0.9
    assert (found[:60] == 1).mean() > 0.9
    assert on_map(np.zeros((4, 2), np.float32)).tolist() == [-1] * 4
