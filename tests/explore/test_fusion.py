"""Fusion without learning."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.errors import SpaceMismatch
from mmstudio.explore.fusion import centred, item_weights, weighted_mean

AXES = np.eye(4, dtype=np.float32)


def test_the_weighted_mean_is_normalised_and_only_proportions_matter() -> None:
    a = weighted_mean(AXES[:2], [1, 3])
    assert np.allclose(a, weighted_mean(AXES[:2], [10, 30]))
    assert np.allclose(a, np.array([1, 3, 0, 0]) / np.sqrt(10), atol=1e-6)


def test_one_weight_alone_gives_that_vector_and_no_weights_count_as_equal() -> None:
    assert np.allclose(weighted_mean(AXES[:3], [0, 1, 0]), AXES[1])
    assert np.allclose(weighted_mean(AXES[:3], [0, 0, 0]), weighted_mean(AXES[:3], [1, 1, 1]))


def test_three_pictures_do_not_outvote_one_sound() -> None:
    assert np.allclose(item_weights(["image", "image", "audio"], {"image": 1.0, "audio": 1.0}), [0.5, 0.5, 1.0])


def test_a_wrong_number_of_weights_is_an_error() -> None:
    with pytest.raises(SpaceMismatch):
        weighted_mean(AXES[:2], [1, 2, 3])


def test_centring_closes_the_gap_between_modalities() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(50, 8))
    vectors = np.concatenate([base + 4 * np.eye(8)[0], base + 4 * np.eye(8)[1]]).astype(np.float32)
    groups = np.repeat(["image", "text"], 50)
    closed = centred(vectors, groups)
    gap = np.linalg.norm(closed[:50].mean(axis=0) - closed[50:].mean(axis=0))
    assert gap < 0.05
    assert np.allclose(closed[:50], closed[50:], atol=1e-3)
