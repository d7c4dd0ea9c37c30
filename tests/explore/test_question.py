"""Questions of several parts, and Rocchio's, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.errors import SpaceMismatch, StudioError
from mmstudio.explore.question import combined, reasons, rocchio

X, Y = np.array([2, 0, 0], np.float32), np.array([0, 3, 0], np.float32)


def test_parts_count_by_their_weight_and_not_by_their_length() -> None:
    assert np.allclose(combined(np.stack([X, Y]), [3, -4]), [0.6, -0.8, 0])


def test_parts_that_cancel_and_weights_that_do_not_fit_are_errors() -> None:
    with pytest.raises(StudioError, match="cancel"):
        combined(np.stack([X, X]), [1, -1])
    with pytest.raises(StudioError, match="cancel"):
        combined(X[None], [0])
    with pytest.raises(SpaceMismatch, match="one weight"):
        combined(np.stack([X, Y]), [1])


def test_rocchio_is_the_weighted_sum_of_the_query_and_the_means() -> None:
    rng = np.random.default_rng(0)
    liked, disliked, query = rng.normal(size=(4, 6)), rng.normal(size=(3, 6)), rng.normal(size=6)

    def mean(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)

    want = 1.0 * query / np.linalg.norm(query) + 0.5 * mean(liked) - 0.3 * mean(disliked)
    got = rocchio(liked.astype("f4"), disliked.astype("f4"), query.astype("f4"), 1.0, 0.5, 0.3)
    assert np.allclose(got, want / np.linalg.norm(want), atol=1e-6)


def test_rocchio_needs_something_to_go_towards() -> None:
    none = np.zeros((0, 3), np.float32)
    with pytest.raises(StudioError, match="nothing liked"):
        rocchio(none, X[None])
    with pytest.raises(StudioError, match="cancel"):
        rocchio(X[None], X[None], beta=0.5, gamma=0.5)


def test_the_reason_of_a_hit_is_the_liked_item_nearest_to_it() -> None:
    found = np.array([[1, 0.1, 0], [0, 1, 0]], np.float32)
    at, cosine = reasons(found, np.stack([X, Y]))
    assert at.tolist() == [0, 1]
    assert np.allclose(cosine, [1 / np.sqrt(1.01), 1])
