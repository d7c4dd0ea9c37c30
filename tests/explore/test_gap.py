"""The gap between modalities, measured against definitions on made vectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from mmstudio.explore.gap import between, closing, joint_recall, linked, modal, uniformity

RNG = np.random.default_rng(0)
MEANING = RNG.normal(size=(80, 12))


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


IMAGES = _unit(MEANING + 9 * np.eye(12)[0])
TEXTS = _unit(MEANING + RNG.normal(0, 0.2, MEANING.shape) + 9 * np.eye(12)[1])
VECTORS = np.concatenate([IMAGES, TEXTS])
MODALITIES = np.repeat(["image", "text"], 80)
SAMPLES = [[i, 80 + i] for i in range(80)]


def test_centres_gap_and_uniformity_are_those_of_their_definitions() -> None:
    image, text = modal(VECTORS, MODALITIES)
    assert (image.name, image.count, text.name) == ("image", 80, "text")
    assert np.allclose(image.centre, IMAGES.mean(axis=0), atol=1e-6)
    assert image.narrow == pytest.approx(np.linalg.norm(IMAGES.mean(axis=0)), abs=1e-6)
    assert image.uniformity == pytest.approx(np.log(np.exp(-2 * pdist(IMAGES) ** 2).mean()), abs=1e-5)
    (found,) = between(VECTORS, MODALITIES, SAMPLES)
    assert found.length == pytest.approx(np.linalg.norm(TEXTS.mean(axis=0) - IMAGES.mean(axis=0)), abs=1e-6)


def test_alignment_is_the_mean_squared_distance_of_linked_pairs_and_chance_that_of_all() -> None:
    (found,) = between(VECTORS, MODALITIES, SAMPLES)
    assert found.links == 80
    assert found.alignment == pytest.approx(((IMAGES - TEXTS) ** 2).sum(axis=1).mean(), abs=1e-5)
    every = ((IMAGES[:, None] - TEXTS[None]) ** 2).sum(axis=2).mean()
    assert found.chance == pytest.approx(every, abs=1e-4)
    assert np.isnan(between(VECTORS, MODALITIES, [])[0].alignment)


def test_an_even_sphere_is_as_uniform_as_theory_says_and_a_point_not_at_all() -> None:
    sphere = _unit(RNG.normal(size=(3000, 64)))
    assert uniformity(sphere) == pytest.approx(-4 + 2 * 4 / 64, abs=0.02)  # d² is 2 on average, with variance 4 / dim
    assert uniformity(np.tile(sphere[:1], (50, 1))) == pytest.approx(0, abs=1e-5)


def test_closing_the_gap_lets_partners_be_found_among_everything() -> None:
    before, after = joint_recall(VECTORS, MODALITIES, SAMPLES)
    assert before < 0.1
    assert after > 0.9
    found = closing(VECTORS, MODALITIES, SAMPLES)
    assert [(f.one, f.other) for f in found] == [("image", "text"), ("text", "image")]
    near = IMAGES @ TEXTS.T
    assert found[0].before == pytest.approx((near.argmax(axis=1) == np.arange(80)).mean())
    assert found[0].after >= found[0].before
    assert np.isnan(joint_recall(VECTORS, MODALITIES, [])[0])


def test_links_are_all_pairs_of_two_modalities_within_a_sample() -> None:
    assert linked(MODALITIES, [[0, 1, 80], [2, 3]], "image", "text").tolist() == [[0, 80], [1, 80]]
