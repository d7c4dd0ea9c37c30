"""Maps over an item: dense and windowed attention, similarity, rollout."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.encoders import AttentionLayer, Encoder, Explanation, Positions
from mmstudio.errors import AttentionUnavailable, SpaceMismatch
from mmstudio.explain import maps
from mmstudio.explain.spectrogram import BANDS, band_hz, hz_band, mel_spectrogram


def _positions(count: int) -> Positions:
    return Positions("time", np.stack([np.arange(count), np.arange(count) + 1], axis=1).astype(np.float32))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x)
    return (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_windowed_attention_is_the_block_matrix_it_stands_for() -> None:
    rng = np.random.default_rng(0)
    weights = _softmax(rng.normal(size=(2, 3, 4, 4)))
    index = np.array([[0, 2, 4, 6], [1, 3, 5, 7]])
    layer = AttentionLayer(weights, index, _positions(8)).verified()
    dense = np.zeros((3, 8, 8), np.float32)
    for window in range(2):
        for head in range(3):
            dense[head][np.ix_(index[window], index[window])] = weights[window, head]
    assert np.allclose(layer.matrix(1), dense[1])
    assert np.allclose(layer.row(5), dense.mean(axis=0)[5])
    assert np.allclose(layer.received(2)[index[0]], dense[2][index[0]].mean(axis=0)[index[0]])


@pytest.mark.parametrize("bad", [
    np.ones((1, 2, 3, 3), np.float32), np.full((1, 2, 3, 4), 0.25, np.float32),
    np.full((1, 2, 3, 3), np.nan, np.float32)])
def test_what_is_not_attention_is_refused_and_never_drawn(bad: np.ndarray) -> None:
    with pytest.raises(AttentionUnavailable):
        AttentionLayer(bad, np.arange(bad.shape[-1])[None], _positions(3)).verified()


def test_rollout_of_uniform_layers_is_uniform_and_sums_to_one() -> None:
    layer = AttentionLayer.dense(np.full((2, 5, 5), 0.2, np.float32), _positions(5))
    found = maps.rollout_map(Explanation(np.ones(3, np.float32), attention=(layer, layer)))
    assert np.allclose(found.weights, 0.2, atol=1e-6)


def test_similarity_compares_only_within_one_space(starter: Encoder) -> None:
    found = starter.explain("a red car", "text")
    with pytest.raises(SpaceMismatch):
        maps.similarity_map(found, np.ones(7, np.float32))
    weights = maps.similarity_map(found, found.vector).weights
    assert np.abs(weights).max() <= 1 + 1e-5


def test_patches_become_a_grid_in_reading_order() -> None:
    boxes = np.array([[x / 3, y / 2, (x + 1) / 3, (y + 1) / 2] for y in range(2) for x in range(3)], np.float32)
    boxes = np.concatenate([np.full((1, 4), np.nan, np.float32), boxes])
    grid, covered = maps.as_grid(maps.RelevanceMap(np.arange(7, dtype=np.float32), Positions("patch", boxes), "", ""))
    assert grid.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert covered == pytest.approx((0, 0, 1, 1))


def test_a_tone_is_bright_in_its_band() -> None:
    rate = 16_000
    mel, seconds = mel_spectrogram(np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32), rate)
    assert seconds == 1.0
    assert abs(mel.mean(axis=1).argmax() - hz_band(rate, 1000)) <= 1
    assert band_hz(rate, hz_band(rate, 1000)) == pytest.approx(1000, rel=0.01)
    assert mel.shape[0] == BANDS
    assert mel_spectrogram(np.zeros(3, np.float32), rate)[0].shape[0] == BANDS
