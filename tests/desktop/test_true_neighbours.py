"""The nearest of one point among all vectors as the map saw them: what looking at every pair finds."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.desktop.arranging import Arrangement, Layout
from mmstudio.desktop.structure.true_neighbours import Seen
from mmstudio.explore.fusion import centred
from mmstudio.library import SpaceKey, VectorView

COUNT, DIM = 70_000, 8
"""More rows than are looked at in one go."""


@pytest.fixture(scope="module")
def view() -> VectorView:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, DIM)).astype(np.float32)
    modalities = np.array(["audio", "image", "text"])[rng.integers(0, 3, COUNT)]
    vectors += (modalities == "text")[:, None] * np.float32(2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(1, COUNT + 1)
    rows = {key: key - 1 for key in ids.tolist()}
    return VectorView(SpaceKey("made", "1", "1", DIM), ids, vectors, modalities, rows)


@pytest.mark.parametrize("closes_gap", [True, False])
@pytest.mark.parametrize("shuffled", [False, True])
def test_they_are_what_looking_at_all_vectors_finds(view: VectorView, closes_gap: bool, shuffled: bool) -> None:
    rng = np.random.default_rng(1)
    keys = rng.permutation(view.ids) if shuffled else view.ids
    layout = Layout(keys, view.modalities[keys - 1], np.zeros((COUNT, 2), np.float32), "PCA",
                    arrangement=Arrangement(closes_gap=closes_gap))
    seen = Seen.of(view, layout)
    want = centred(view.vectors, view.modalities) if closes_gap else view.vectors
    assert np.allclose(seen.vectors(), want[keys - 1], atol=1e-4)
    for key in rng.choice(view.ids, 5, replace=False).tolist():
        squared = ((want - want[key - 1]) ** 2).sum(axis=1)
        squared[key - 1] = np.inf
        near = seen.near(key, 6)
        assert np.allclose(np.sort(squared)[:6], squared[near - 1], atol=1e-4)
        assert key not in near


def test_a_point_without_a_vector_has_none_and_is_left_out(view: VectorView) -> None:
    layout = Layout(np.array([3, COUNT + 7, 5]), np.full(3, "text"), np.zeros((3, 2), np.float32), "PCA")
    seen = Seen.of(view, layout)
    assert seen.keys.tolist() == [3, 5]
    assert len(seen.near(COUNT + 7, 3)) == 0
    assert seen.near(3, 3).tolist() == [5]
