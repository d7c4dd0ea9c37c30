"""Zero-shot labels and the order by clusters, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from mmstudio.errors import StudioError
from mmstudio.explore.ordering import by_clusters
from mmstudio.explore.zero_shot import fitted_temperature, probabilities, prompts

RNG = np.random.default_rng(0)


def test_probabilities_are_the_softmax_of_cosines_over_the_temperature() -> None:
    vectors, classes = RNG.normal(size=(20, 6)).astype("f4"), RNG.normal(size=(4, 6)).astype("f4")
    cosine = (vectors @ classes.T) / np.linalg.norm(vectors, axis=1)[:, None] / np.linalg.norm(classes, axis=1)
    assert np.allclose(probabilities(vectors, classes, 0.07), softmax(cosine / 0.07, axis=1), atol=1e-5)
    assert np.isfinite(probabilities(vectors, classes, 1e-4)).all()


def test_the_fitted_temperature_is_the_one_at_which_labels_were_drawn() -> None:
    vectors, classes = RNG.normal(size=(3000, 6)).astype("f4"), RNG.normal(size=(4, 6)).astype("f4")
    truth = probabilities(vectors, classes, 0.2)
    labels = (truth.cumsum(axis=1) > RNG.random((3000, 1))).argmax(axis=1)
    assert fitted_temperature(vectors, classes, labels) == pytest.approx(0.2, rel=0.12)


def test_prompts_put_names_into_the_sentence_and_refuse_what_cannot_work() -> None:
    assert prompts(["cat", "dog"], "a photo of a {}") == ["a photo of a cat", "a photo of a dog"]
    with pytest.raises(StudioError, match="at least two"):
        prompts(["cat", "cat"], "{}")
    with pytest.raises(StudioError, match="no place"):
        prompts(["cat", "dog"], "a photo")


def test_what_is_alike_lies_side_by_side() -> None:
    own = np.arange(30) % 3
    vectors = np.eye(3, dtype=np.float32)[own] + 0.05 * RNG.normal(size=(30, 3)).astype("f4")
    order = by_clusters(vectors)
    assert sorted(order.tolist()) == list(range(30))
    assert (np.diff(own[order]) != 0).sum() == 2
    assert by_clusters(vectors[:2]).tolist() == [0, 1]
