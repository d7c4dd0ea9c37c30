"""Trust figures are those of their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import trustworthiness

from mmstudio.explore.trust import stress, trust
from mmstudio.progress import finish

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(260, 6)).astype(np.float32)
PLACES = (VECTORS[:, :2] + RNG.normal(0, 0.3, (260, 2))).astype(np.float32)


def test_the_means_are_scikit_learns_trustworthiness_both_ways() -> None:
    for k in (1, 5, 15, 40):
        found = finish(trust(VECTORS, PLACES, k))
        assert found.trustworthiness.mean() == pytest.approx(trustworthiness(VECTORS, PLACES, n_neighbors=k), abs=1e-5)
        assert found.continuity.mean() == pytest.approx(trustworthiness(PLACES, VECTORS, n_neighbors=k), abs=1e-5)


def test_each_point_has_the_value_of_the_definition() -> None:
    found, k, n = finish(trust(VECTORS, PLACES, 7)), 7, 260
    true, drawn = (squareform(pdist(a)) for a in (VECTORS, PLACES))
    row = 31
    order = np.argsort(true[row])[1:]
    on_map = np.argsort(drawn[row])[1 : k + 1]
    late = sum(max(0, int(np.flatnonzero(order == j)[0]) + 1 - k) for j in on_map)
    assert found.trustworthiness[row] == pytest.approx(1 - 2 / (k * (2 * n - 3 * k - 1)) * late, abs=1e-5)
    assert found.neighbours[row].tolist() == order[:k].tolist()
    assert found.kept[row] == pytest.approx(len(np.intersect1d(order[:k], on_map)) / k)


def test_a_map_that_tells_all_is_trusted_wholly_and_one_torn_point_is_found() -> None:
    plane = RNG.normal(size=(200, 2)).astype(np.float32)
    found = finish(trust(plane, plane * 3, 10))
    assert (found.trustworthiness == 1).all()
    assert (found.continuity == 1).all()
    assert found.stress == pytest.approx(0, abs=1e-5)
    torn = plane.copy()
    torn[17] += 8
    found = finish(trust(plane, torn, 10))
    assert found.continuity.argmin() == 17
    assert found.kept[17] < 0.5


def test_a_sample_of_rows_says_what_all_would_and_the_others_take_their_neighbours_value() -> None:
    whole, some = (finish(trust(VECTORS, PLACES, 10, sample=size)) for size in (0, 120))
    assert len(some.rows) == 120
    assert np.array_equal(some.trustworthiness, whole.trustworthiness[some.rows])
    spread, _ = some.spread(PLACES)
    assert np.array_equal(spread[some.rows], some.trustworthiness)
    assert spread.min() >= some.trustworthiness.min()
    assert np.isfinite(spread).all()


def test_stress_is_kruskals_by_hand() -> None:
    true, drawn = pdist(VECTORS), pdist(PLACES)
    scale = (true * drawn).sum() / (drawn**2).sum()
    want = np.sqrt(((true - scale * drawn) ** 2).sum() / (true**2).sum())
    assert stress(VECTORS, PLACES, RNG) == pytest.approx(want, rel=1e-4)


def test_very_few_points_are_no_trouble() -> None:
    for n in (3, 4, 5):
        assert np.isfinite(finish(trust(VECTORS[:n], PLACES[:n])).trustworthiness).all()
