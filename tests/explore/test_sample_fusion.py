"""Fusing many samples at once gives what fusing each by itself does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from mmstudio.explore.fusion import item_weights, weighted_mean
from mmstudio.explore.sample_fusion import Fuser, Parts, disagreements, product_of_experts

RNG = np.random.default_rng(0)
KINDS = np.tile(["audio", "image", "text"], 40)
VECTORS = RNG.normal(size=(120, 16)) + 0.8
VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)
SAMPLES = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(40)]


def test_the_weighted_mean_of_all_is_that_of_each_also_with_several_items_and_without_a_modality() -> None:
    samples = [[0, 1, 2], [1, 4, 5], [3], [6, 8]]
    fuser = Fuser(Parts.of(VECTORS, KINDS, samples))
    weights = {"audio": 0.3, "image": 1.0, "text": 0.6}
    found = fuser.vectors(fuser.coefficients([weights[m] for m in fuser.parts.modalities]))
    for row, sample in zip(found, samples, strict=True):
        want = weighted_mean(VECTORS[sample], item_weights([str(m) for m in KINDS[sample]], weights))
        assert np.allclose(row, want, atol=1e-5)


def test_the_geodesic_of_two_is_the_slerp() -> None:
    fuser = Fuser(Parts.of(VECTORS, KINDS, [[i, i + 1] for i in range(0, 120, 3)]))
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        found = fuser.vectors(fuser.coefficients([1 - share, share], "geodesic"))
        for row, i in zip(found, range(0, 120, 3), strict=True):
            a, b = VECTORS[i].astype(float), VECTORS[i + 1].astype(float)
            angle = np.arccos(a @ b)
            want = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
            assert np.allclose(row, want, atol=2e-3)


def test_the_geodesic_of_three_has_the_least_sum_of_squared_angles() -> None:
    fuser, weights = Fuser(Parts.of(VECTORS, KINDS, SAMPLES)), np.array([0.2, 0.5, 0.3])
    found = fuser.vectors(fuser.coefficients(weights, "geodesic"))
    parts = VECTORS[:3].astype(float)

    def spread(x: np.ndarray) -> float:
        return float(weights @ np.arccos(np.clip(parts @ x / np.linalg.norm(x), -1, 1)) ** 2)

    best = minimize(spread, parts.mean(axis=0), method="BFGS").x
    assert np.allclose(found[0], best / np.linalg.norm(best), atol=2e-3)
    assert spread(found[0]) <= spread(parts.mean(axis=0)) + 1e-9


def test_each_sample_may_have_weights_of_its_own_and_none_count_as_equal() -> None:
    fuser = Fuser(Parts.of(VECTORS, KINDS, SAMPLES))
    own = np.zeros((3, 40), np.float32)
    own[1, 0] = 1
    found = fuser.vectors(fuser.coefficients(own))
    assert np.allclose(found[0], VECTORS[1], atol=1e-5)
    assert np.allclose(found[1], weighted_mean(VECTORS[3:6], [1, 1, 1]), atol=1e-5)


def test_points_between_the_modalities_places_follow_the_weights() -> None:
    fuser = Fuser(Parts.of(VECTORS, KINDS, SAMPLES))
    places = RNG.normal(size=(3, 40, 2)).astype(np.float32)
    assert np.allclose(fuser.between(places, fuser.coefficients([0, 0, 1])), places[2], atol=1e-5)
    middle = fuser.between(places, fuser.coefficients([1, 1, 1]))
    assert np.allclose(middle, places.mean(axis=0), atol=1e-5)


def test_experts_multiply_and_one_that_is_missing_neither_helps_nor_harms() -> None:
    scores = np.array([[0.1, 0.3, 0.2], [0.4, 0.1, 0.2]], np.float32)
    found = product_of_experts(scores, [1.0, 0.5], 0.1)
    each = np.exp(scores / 0.1)
    each /= each.sum(axis=1, keepdims=True)
    want = each[0] * each[1] ** 0.5
    assert np.allclose(np.exp(found), want / want.sum(), atol=1e-5)
    alone = product_of_experts(scores[:1], [1.0], 0.1)
    silent = product_of_experts(np.stack([scores[0], np.full(3, np.nan, np.float32)]), [1.0, 1.0], 0.1)
    assert np.allclose(alone, silent, atol=1e-6)


def test_swapped_captions_float_up() -> None:
    meaning = RNG.normal(size=(200, 96))
    kinds = np.repeat(["image", "text", "audio"], 200)
    rows = np.concatenate([meaning + RNG.normal(0, 0.6, meaning.shape) + 4 * np.eye(96)[m] for m in range(3)])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    samples = [[i, 200 + i, 400 + i] for i in range(200)]
    swapped = [(5, 90), (17, 150), (40, 41)]
    for one, other in swapped:
        samples[one][1], samples[other][1] = samples[other][1], samples[one][1]
    found = disagreements(Parts.of(rows, kinds, samples))
    assert {worst.sample for worst in found[:6]} == {row for pair in swapped for row in pair}
    assert all("text" in (worst.one, worst.other) for worst in found[:6])
    assert len(found) == 200
    assert found[0].deviations == pytest.approx(min(worst.deviations for worst in found))
