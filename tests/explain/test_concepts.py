"""Concepts: directions that are there are found, and those that are not are said to be chance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmstudio.encoders.base import normalised
from mmstudio.errors import StudioError
from mmstudio.explain.concepts import DIRECTIONS, concept, linear_cav, mean_difference, tcav


def groups(shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Thirty rows whose first value is greater by ``shift``, and forty others."""
    rng = np.random.default_rng(seed)
    inside, outside = rng.normal(size=(30, 20)), rng.normal(size=(40, 20))
    inside[:, 0] += shift
    return normalised(inside), normalised(outside)


@pytest.mark.parametrize("way", list(DIRECTIONS))
def test_a_concept_that_is_there_is_found_and_more_than_chance(way: str) -> None:
    found = concept(*groups(4), way)
    assert found.significant
    assert found.accuracy > 0.85
    assert found.direction.argmax() == 0
    assert np.linalg.norm(found.direction) == pytest.approx(1, abs=1e-5)


def test_each_way_is_tested_by_itself() -> None:
    """A great common variance leads the difference of means astray, and the classifier not."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 20))
    rows[:, 1] *= 12
    rows[:30, 0] += 3
    inside, outside = rows[:30].astype(np.float32), rows[30:].astype(np.float32)
    means, classifier = (concept(inside, outside, way) for way in ("mean difference", "linear CAV"))
    assert classifier.accuracy > means.accuracy + 0.1
    assert classifier.p < means.p


def test_tcav_is_the_share_whose_cosine_rises_by_a_small_step() -> None:
    rng = np.random.default_rng(1)
    vectors, query, direction = (normalised(rng.normal(size=shape)) for shape in ((50, 12), 12, 12))
    moved = normalised(vectors.astype(np.float64) + 1e-2 * direction)
    assert tcav(vectors, query, direction) == pytest.approx(float((moved @ query > vectors @ query).mean()), abs=0.05)
    assert tcav(vectors, direction, direction) == 1
    assert tcav(vectors, -direction, direction) == 0


def test_groups_without_meaning_are_chance() -> None:
    found = [concept(*groups(0, seed)) for seed in range(6)]
    assert sum(one.significant for one in found) <= 1
    assert 0.3 < np.mean([one.accuracy for one in found]) < 0.7


def test_directions_are_their_definitions() -> None:
    inside, outside = groups(2)
    assert np.allclose(mean_difference(inside, outside), normalised(inside.mean(axis=0) - outside.mean(axis=0)))
    model = LogisticRegression(max_iter=500).fit(np.concatenate([inside, outside]), [1] * 30 + [0] * 40)
    assert linear_cav(inside, outside) @ normalised(model.coef_[0]) == pytest.approx(1, abs=1e-5)


def test_two_items_are_no_concept() -> None:
    inside, outside = groups(2)
    with pytest.raises(StudioError, match="at least 3"):
        concept(inside[:2], outside)
