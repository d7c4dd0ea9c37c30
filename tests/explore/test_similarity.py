"""Similarity against numpy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from mmstudio.errors import SpaceMismatch
from mmstudio.explore.similarity import nearest, neighbour_graph, scores
from mmstudio.progress import finish

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(200, 16)).astype(np.float32)
QUERY = RNG.normal(size=16).astype(np.float32)


def test_cosine_euclid_pearson_and_angle_are_what_they_are_called() -> None:
    cosine = [float(row @ QUERY / np.linalg.norm(row) / np.linalg.norm(QUERY)) for row in TABLE]
    assert np.allclose(scores(TABLE, QUERY, "cosine"), cosine, atol=1e-5)
    assert np.allclose(scores(TABLE, QUERY, "euclid"), -np.linalg.norm(TABLE - QUERY, axis=1), atol=1e-4)
    pearson = [np.corrcoef(row, QUERY)[0, 1] for row in TABLE]
    assert np.allclose(scores(TABLE, QUERY, "pearson"), pearson, atol=1e-5)
    assert np.allclose(scores(TABLE, QUERY, "angular"), -np.arccos(cosine) / np.pi, atol=1e-5)


def test_vectors_of_different_spaces_are_an_error_and_never_a_number() -> None:
    with pytest.raises(SpaceMismatch, match="different spaces"):
        scores(TABLE, QUERY[:8])


def test_nearest_is_sorted_and_stays_within() -> None:
    values = scores(TABLE, QUERY)
    within = np.arange(200) % 2 == 0
    hits = nearest(values, 10, within)
    assert [h.index for h in hits] == sorted(np.flatnonzero(within), key=lambda i: -values[i])[:10]
    assert nearest(values, 5, np.zeros(200, bool)) == []


def test_the_neighbour_graph_is_exact() -> None:
    indices, distances = finish(neighbour_graph(TABLE, 7, block=33))
    want_d, want_i = NearestNeighbors(n_neighbors=8, algorithm="brute").fit(TABLE).kneighbors(TABLE)
    assert (indices == want_i[:, 1:]).all()
    assert np.allclose(distances, want_d[:, 1:], atol=1e-3)
