"""Projections keep what they promise to keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from mmstudio.errors import StudioError
from mmstudio.explore import kernels
from mmstudio.explore import pacmap as pacmap_module
from mmstudio.explore.clusters import on_map
from mmstudio.explore.neighbours import neighbours
from mmstudio.explore.projection import METHODS, Wish, along, on_axes, pacmap, pca, placed_among, project
from mmstudio.explore.similarity import neighbour_graph
from mmstudio.explore.umap import curve, fuzzy_graph
from mmstudio.progress import finish

DIGITS = load_digits()
VECTORS = DIGITS.data[:900].astype(np.float32)
CLASSES = DIGITS.target[:900].astype(np.int64)


def test_pca_agrees_with_scikit_learn() -> None:
    ours = pca(VECTORS).place(VECTORS)
    theirs = PCA(2).fit_transform(VECTORS)
    for axis in (0, 1):
        assert abs(np.corrcoef(ours[:, axis], theirs[:, axis])[0, 1]) > 0.999
    assert np.allclose(ours.std(axis=0), theirs.std(axis=0), rtol=1e-3)


@pytest.mark.parametrize(("method", "least"), [("umap", 0.96), ("pacmap", 0.955), ("tsne", 0.98)])
def test_a_map_keeps_neighbours_far_better_than_pca(method: str, least: float) -> None:
    vectors = VECTORS[:400]
    places = finish(project(vectors, Wish(method, metric="euclid", seed=1)))  # type: ignore[arg-type]
    ours = trustworthiness(vectors, places, n_neighbors=10)
    assert ours > least
    assert ours > trustworthiness(vectors, along(vectors, 2), n_neighbors=10) + 0.1


@pytest.mark.parametrize("method", ["umap", "pacmap", "tsne"])
def test_a_map_is_the_same_for_the_same_seed_and_tells_partial_results(method: str) -> None:
    wish, steps = Wish(method, seed=3), []  # type: ignore[arg-type]
    work = project(VECTORS[:150], wish)
    try:
        while True:
            steps.append(next(work))
    except StopIteration as stop:
        places = stop.value
    assert sum(step.fresh is not None for step in steps) > 20
    assert np.array_equal(places, finish(project(VECTORS[:150], wish)))


@pytest.mark.parametrize("method", METHODS)
def test_few_and_equal_vectors_are_no_trouble(method: str) -> None:
    for n in (2, 3, 9, 15):
        assert np.isfinite(finish(project(VECTORS[:n], Wish(method)))).all()  # type: ignore[arg-type]
    assert np.isfinite(finish(project(np.ones((30, 8), np.float32), Wish(method)))).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["umap", "pacmap", "pca"])
def test_maps_may_have_three_dimensions_but_not_by_t_sne(method: str) -> None:
    places = finish(project(VECTORS[:200], Wish(method, axes=3)))  # type: ignore[arg-type]
    assert places.shape == (200, 3)
    assert np.linalg.matrix_rank(places - places.mean(axis=0)) == 3
    with pytest.raises(StudioError, match="two dimensions"):
        finish(project(VECTORS[:200], Wish("tsne", axes=3)))


def test_the_metric_decides_what_is_near() -> None:
    rng = np.random.default_rng(0)
    directions = np.repeat(np.eye(4, 8, dtype=np.float32), 60, axis=0) + rng.normal(0, 0.02, (240, 8))
    lengths = np.tile([1.0, 10.0], 120)
    vectors = (directions * lengths[:, None]).astype(np.float32)
    by_angle = finish(project(vectors, Wish("umap", metric="cosine")))
    by_distance = finish(project(vectors, Wish("umap", metric="euclid")))

    def purity(places: np.ndarray, groups: np.ndarray) -> float:
        indices, _ = finish(neighbours(places, 5))
        return float((groups[indices] == groups[:, None]).mean())

    assert purity(by_angle, np.arange(240) // 60) > 0.99
    assert purity(by_angle, lengths) < 0.7
    assert purity(by_distance, lengths) > 0.95


def test_a_tag_pulls_a_supervised_map_apart_and_strength_nought_point_nine_more_than_none() -> None:
    rng = np.random.default_rng(0)
    vectors, target = rng.normal(size=(300, 10)).astype(np.float32), np.arange(300) % 2
    target[:20] = -1

    def together(places: np.ndarray) -> float:
        indices, _ = finish(neighbours(places, 10))
        return float((target[indices[20:]] == target[20:, None]).mean())

    plain = together(finish(project(vectors, Wish("umap"))))
    told = together(finish(project(vectors, Wish("umap"), target, 0.9)))
    assert plain < 0.6
    assert told > 0.85


def test_each_neighbourhood_of_the_fuzzy_graph_weighs_log2_of_its_size_and_the_union_is_symmetric() -> None:
    indices, distances = finish(neighbour_graph(VECTORS[:300], 15))
    nearest = distances[:, :1]
    graph = fuzzy_graph(indices, distances)
    assert abs(graph - graph.T).max() < 1e-12
    assert graph.max() <= 1 + 1e-9
    assert np.allclose(graph[np.arange(300), indices[:, 0]], 1)  # of its nearest each is sure
    row = 7
    width = _width(distances[row] - nearest[row], np.log2(15))
    one = {int(j): np.exp(-(d - nearest[row, 0]) / width) for j, d in zip(indices[row], distances[row], strict=True)}
    other = int(indices[row, 5])
    back = 0.0
    if row in indices[other]:
        wide = _width(distances[other] - nearest[other], np.log2(15))
        back = float(np.exp(-(distances[other][indices[other] == row][0] - nearest[other, 0]) / wide))
    assert graph[row, other] == pytest.approx(one[other] + back - one[other] * back, abs=1e-4)


def _width(beyond: np.ndarray, wanted: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(lambda s: np.exp(-beyond / s).sum() - wanted, 1e-6, 1e6))


def test_the_curve_of_the_map_is_that_of_the_paper() -> None:
    assert curve(0.1) == pytest.approx((1.577, 0.895), abs=0.01)  # as published for these defaults
    assert curve(0.001)[0] > curve(0.5)[0]


def test_the_compiled_gradient_of_pacmap_is_the_plain_one_in_two_and_three_dimensions() -> None:
    rng = np.random.default_rng(0)
    for axes in (2, 3):
        y = rng.normal(size=(50, axes)).astype(np.float32)
        partners = tuple(rng.integers(0, 50, (50, size)) for size in (10, 5, 20))
        plain = pacmap_module._gradient(y, partners, (2.0, 30.0, 1.0))
        assert np.allclose(pacmap_module._compiled_gradient(y, partners, (2.0, 30.0, 1.0)), plain, atol=1e-3)


def test_the_quick_map_needs_nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(kernels, "least")
    assert np.isfinite(finish(pacmap(VECTORS[:200]))).all()


def test_neighbours_are_exact_by_blocks_and_nearly_so_by_cells() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(40, 12))[rng.integers(0, 40, 3000)] + rng.normal(0, 0.4, (3000, 12))).astype(np.float32)
    want, far = finish(neighbour_graph(vectors, 10))
    found, distances = finish(neighbours(vectors, 10))
    assert (found == want).mean() > 0.999  # two may be as far as rounding can tell
    assert np.allclose(distances, far, atol=1e-3)
    by_cells, _ = finish(neighbours(vectors, 10, exact=False))
    assert (by_cells != np.arange(3000)[:, None]).all()
    assert np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(by_cells, want, strict=True)]) > 0.95


def test_a_new_point_lies_among_its_neighbours_and_many_are_placed_as_one_is() -> None:
    places = finish(pacmap(VECTORS[:500], seed=1))
    unit = VECTORS[:600] / np.linalg.norm(VECTORS[:600], axis=1, keepdims=True)
    near = placed_among(unit[42], unit[:500], places)
    assert np.linalg.norm(near - places[42]) < 0.25 * places.std()
    many = placed_among(unit[500:], unit[:500], places)
    assert np.allclose(many[7], placed_among(unit[507], unit[:500], places), atol=1e-5)
    right = [(CLASSES[finish(neighbours(np.vstack([places, p]), 5))[0][-1]] == c).mean()
             for p, c in zip(many[:20], CLASSES[500:520], strict=True)]
    assert np.mean(right) > 0.75


def test_axes_from_words_are_the_cosines_to_the_two_questions() -> None:
    x, y = 3 * VECTORS[0], VECTORS[1]
    places = on_axes(VECTORS[:50], x, y)
    cosine = VECTORS[5] @ y / np.linalg.norm(VECTORS[5]) / np.linalg.norm(y)
    assert places[5, 1] == pytest.approx(cosine, abs=1e-5)
    assert places[0, 0] == pytest.approx(1, abs=1e-5)


def test_few_neighbours_make_a_local_and_many_a_global_map() -> None:
    rng = np.random.default_rng(0)
    line = np.stack([np.linspace(0, 20, 400), *rng.normal(0, 0.05, (4, 400))], axis=1).astype(np.float32)
    wish = Wish("umap", metric="euclid")

    def whole(count: int) -> float:
        places = finish(project(line, replace(wish, neighbours=count)))
        one, other = rng.integers(0, 400, (2, 4000))
        true, drawn = (np.linalg.norm(a[one] - a[other], axis=1) for a in (line, places))
        return float(np.corrcoef(true, drawn)[0, 1])

    assert whole(100) > whole(3)


def test_clusters_of_the_map_are_found_largest_first() -> None:
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(c, 0.05, (n, 2)) for c, n in (((0, 0), 60), ((3, 0), 120), ((0, 3), 30))])
    found = on_map(places.astype(np.float32))
    assert (found[60:180] == 0).mean() > 0.9
    assert (found[:60] == 1).mean() > 0.9
    assert on_map(np.zeros((4, 2), np.float32)).tolist() == [-1] * 4
