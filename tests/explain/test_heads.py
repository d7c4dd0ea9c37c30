"""Heads at a glance, also of thousands of positions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from mmstudio.encoders.base import AttentionLayer, Explanation, Positions
from mmstudio.explain import heads, maps


def positions(count: int) -> Positions:
    return Positions("time", np.stack([np.arange(count), np.arange(count) + 1], axis=1).astype(np.float32))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x)
    return (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def windowed() -> AttentionLayer:
    weights = softmax(3 * np.random.default_rng(0).normal(size=(2, 3, 4, 4)))
    return AttentionLayer(weights, np.array([[0, 2, 4, 6], [1, 3, 5, 7]]), positions(8)).verified()


def test_entropy_is_that_of_the_rows_between_one_place_and_all_alike(windowed: AttentionLayer) -> None:
    wanted = [entropy(windowed.weights[:, head], axis=-1).mean() / np.log(4) for head in range(3)]
    assert np.allclose(heads.entropies(windowed), wanted, atol=1e-5)
    alike = AttentionLayer.dense(np.full((1, 5, 5), 0.2, np.float32), positions(5))
    assert heads.entropies(alike) == pytest.approx([1], abs=1e-5)
    assert heads.entropies(AttentionLayer.dense(np.eye(5, dtype=np.float32)[None], positions(5))) == pytest.approx([0])


def test_a_windowed_head_is_drawn_as_the_matrix_it_stands_for(windowed: AttentionLayer) -> None:
    assert np.allclose(heads.head_matrix(windowed, 1), windowed.matrix(1))
    assert np.allclose(heads.head_matrix(windowed, 1, side=4), heads.shrunk(windowed.matrix(1), 4))


def test_a_thin_diagonal_is_still_seen_when_it_is_small() -> None:
    found = heads.shrunk(np.eye(1000, dtype=np.float32), 50)
    assert found.shape == (50, 50)
    assert np.array_equal(found, np.eye(50))


def test_rollout_is_the_product_of_the_layers_matrices(windowed: AttentionLayer) -> None:
    dense = AttentionLayer.dense(softmax(np.random.default_rng(1).normal(size=(2, 8, 8))), positions(8))
    flow = np.eye(8)
    for layer in (dense, windowed, dense):
        flow = (layer.matrix() + np.eye(8)) / 2 @ flow
    layers, vector = (dense, windowed, dense), np.ones(3, np.float32)
    shares = softmax(np.arange(8.0))
    for explanation, wanted in (
            (Explanation(vector, attention=layers), flow.mean(axis=0)),
            (Explanation(vector, attention=layers, pooling_query=3), flow[3]),
            (Explanation(vector, attention=layers, pooling=shares), shares @ flow),
            (Explanation(vector, attention=layers, pooling=np.full(3, 1 / 3, np.float32)), flow.mean(axis=0))):
        assert np.allclose(maps.rollout_map(explanation).weights, wanted, atol=1e-6)


def test_two_thousand_positions_are_looked_at_without_a_matrix_for_each_head() -> None:
    weights = softmax(np.random.default_rng(0).normal(size=(4, 2048, 2048)).astype(np.float32))
    layer = AttentionLayer.dense(weights, positions(2048))
    found = maps.rollout_map(Explanation(np.ones(3, np.float32), attention=(layer,) * 6, pooling_query=0))
    assert found.weights.sum() == pytest.approx(1, abs=1e-3)
    assert heads.head_matrix(layer, 3).shape == (heads.SIDE, heads.SIDE)
