"""Which measures are metrics, against what is known and every triple looked at by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mmstudio.explore.metric_axioms import AXIOMS, broken, distances

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 5))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
BY_NAME = {distance.name: distance for distance in distances()}


@pytest.mark.parametrize(("name", "theirs"), [
    ("euclid", "euclidean"), ("cosine", "cosine"), ("pearson", "correlation")])
def test_distances_are_scipys(name: str, theirs: str) -> None:
    assert np.allclose(BY_NAME[name].of(VECTORS), cdist(VECTORS, VECTORS, theirs), atol=1e-7)


def test_the_proper_conversions_are_the_angle_and_the_chord() -> None:
    cosine = 1 - cdist(VECTORS, VECTORS, "cosine")
    assert np.allclose(np.cos(np.pi * BY_NAME["angular"].of(VECTORS)), cosine)
    assert np.allclose(BY_NAME["chord"].of(VECTORS), cdist(VECTORS, VECTORS), atol=1e-7)


@pytest.mark.parametrize(("name", "fails"), [
    ("dot", {"non-negativity", "identity", "triangle inequality"}), ("cosine", {"triangle inequality"}),
    ("pearson", {"triangle inequality"}), ("euclid", set()), ("angular", set()), ("chord", set())])
def test_each_measure_breaks_what_it_is_known_to_break_and_its_example_shows_it(name: str, fails: set[str]) -> None:
    table = BY_NAME[name].of(VECTORS)
    found = broken(table, VECTORS)
    assert list(found) == list(AXIOMS)
    assert {axiom for axiom, example in found.items() if example} == fails
    example = found["triangle inequality"]
    if example:
        start, over, end = example.rows
        assert example.distances == (table[start, end], table[start, over], table[over, end])
        excess = max(table[i, k] - table[i, j] - table[j, k] for i, j, k in product(range(40), repeat=3))
        assert example.distances[0] - example.distances[1] - example.distances[2] == pytest.approx(excess)


def test_different_things_without_distance_and_ways_of_two_lengths_are_shown() -> None:
    shifted = np.concatenate([VECTORS, VECTORS[:1] + 0.5])  # Pearson's r does not see what is added to all numbers
    example = broken(BY_NAME["pearson"].of(shifted), shifted)["identity"]
    assert example is not None
    assert set(example.rows) == {0, 40}
    skew = cdist(VECTORS, VECTORS)
    skew[3, 7] += 0.1
    uneven = broken(skew, VECTORS)["symmetry"]
    assert uneven is not None
    assert set(uneven.rows) == {3, 7}
