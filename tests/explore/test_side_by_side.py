"""What stands side by side compares as the sum of its parts does."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from mmstudio.explore.sample_fusion import Parts
from mmstudio.explore.side_by_side import SideBySide

RNG = np.random.default_rng(0)
KINDS = np.tile(["audio", "image", "text"], 40)
VECTORS = RNG.normal(size=(120, 16)) + 0.8
VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)


def _around_means(at: int) -> np.ndarray:
    own = VECTORS[at::3].astype(float)
    return own - own.mean(axis=0)


def test_it_is_the_pca_of_what_stands_side_by_side() -> None:
    weights = np.array([0.5, 1.0, 2.0], np.float32)
    beside = SideBySide(Parts.of(VECTORS, KINDS, np.arange(120).reshape(-1, 3).tolist()))
    found = beside.vectors(weights, 5)
    beside_each_other = np.concatenate([np.sqrt(w) * _around_means(at) for at, w in enumerate(weights)], axis=1)
    want = PCA(5).fit_transform(beside_each_other)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    assert found.shape == (40, 5)
    assert np.allclose(found @ found.T, want @ want.T, atol=1e-4)


def test_with_enough_components_its_cosine_is_the_weighted_sum_of_the_modalities_own() -> None:
    beside = SideBySide(Parts.of(VECTORS, KINDS, np.arange(120).reshape(-1, 3).tolist()))
    for weights in ([0.5, 1.0, 2.0], [1.0, 0.0, 0.0], [0.1, 1.9, 0.7]):
        found = beside.vectors(np.array(weights, np.float32))
        sums = sum(w * _around_means(at) @ _around_means(at).T for at, w in enumerate(weights))
        lengths = np.sqrt(np.diag(sums))
        assert np.allclose(found @ found.T, sums / np.outer(lengths, lengths), atol=1e-4)


def test_what_a_sample_lacks_says_nothing_of_it() -> None:
    samples = [[0, 1], [3, 4], [6, 7, 8], [9, 11], [12, 13, 14]]
    found = SideBySide(Parts.of(VECTORS, KINDS, samples)).vectors(np.ones(3, np.float32))
    alike = np.zeros((5, 5))
    for at in range(3):
        here = [number for number, sample in enumerate(samples) if any(row % 3 == at for row in sample)]
        own = np.stack([VECTORS[3 * (samples[number][0] // 3) + at] for number in here]).astype(float)
        own -= own.mean(axis=0)
        alike[np.ix_(here, here)] += own @ own.T
    lengths = np.sqrt(np.diag(alike))
    assert np.allclose(found @ found.T, alike / np.outer(lengths, lengths), atol=1e-4)


def test_long_vectors_lose_little_by_being_shortened_first() -> None:
    meaning = RNG.normal(size=(300, 20)) @ RNG.normal(size=(20, 200)) + 0.2 * RNG.normal(size=(3, 300, 200))
    rows = meaning.transpose(1, 0, 2).reshape(-1, 200)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    parts = Parts.of(rows, np.tile(["audio", "image", "text"], 300), np.arange(900).reshape(-1, 3).tolist())
    found = SideBySide(parts).vectors(np.ones(3, np.float32))
    whole = (rows.reshape(300, 3, 200) - rows.reshape(300, 3, 200).mean(axis=0)).reshape(300, -1)
    want = PCA(64).fit_transform(whole)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    assert np.abs(found @ found.T - want @ want.T).max() < 0.01
