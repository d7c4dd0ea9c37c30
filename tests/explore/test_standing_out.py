"""Outliers, near-duplicates and typical items against scikit-learn and planted answers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from mmstudio.explore import standing_out
from mmstudio.explore.neighbours import neighbours
from mmstudio.explore.standing_out import far_from_all, local_outlier_factor, most_typical, near_duplicates
from mmstudio.progress import finish

RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.normal(0, 1, (150, 4)), RNG.normal(8, 0.3, (60, 4)), [[4, 4, 4, 4]]]).astype(np.float32)


def test_outlier_measures_are_scikit_learns_and_find_the_stray() -> None:
    indices, distances = finish(neighbours(ROWS, 12))
    theirs = LocalOutlierFactor(n_neighbors=12).fit(ROWS)
    assert np.allclose(local_outlier_factor(indices, distances), -theirs.negative_outlier_factor_, rtol=1e-3)
    far, _ = NearestNeighbors(n_neighbors=13).fit(ROWS).kneighbors(ROWS)
    assert np.allclose(far_from_all(distances), far[:, 1:].mean(axis=1), atol=2e-3)
    assert far_from_all(distances).argmax() == 210
    assert local_outlier_factor(indices, distances).argmax() == 210


def test_typical_items_lie_densest_and_apart() -> None:
    indices, distances = finish(neighbours(ROWS, 12))
    found = most_typical(indices, distances, 30)
    assert found[0] == far_from_all(distances).argmin()
    assert 210 not in found
    assert not any(b in indices[a] for at, a in enumerate(found) for b in found[at + 1 :])
    assert (found < 150).any()  # not all from the denser group


def test_near_duplicates_are_all_pairs_above_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_out, "_BLOCK", 64)
    unit = RNG.normal(size=(200, 16))
    unit[50], unit[120], unit[7] = unit[3] + 0.01, unit[3] - 0.01, unit[199] * 2
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    found = finish(near_duplicates(unit, 0.6))
    want = {(a, b) for a, b in zip(*np.nonzero(np.triu(unit @ unit.T >= 0.6, 1)), strict=True)}
    assert set(zip(found.one.tolist(), found.other.tolist(), strict=True)) == want
    assert (np.diff(found.similarity) <= 0).all()
    strict = finish(near_duplicates(unit, 0.99))
    assert [group.tolist() for group in strict.groups(200)] == [[3, 50, 120], [7, 199]]
    kinds = np.array(["image", "text"] * 100)
    within, across = (finish(near_duplicates(unit, 0.6, kinds, side)) for side in (False, True))
    assert (kinds[within.one] == kinds[within.other]).all()
    assert (kinds[across.one] != kinds[across.other]).all()
    assert len(within.one) + len(across.one) == len(want)


def test_of_very_many_rows_the_nearest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = RNG.normal(size=(300, 16))
    unit[50] = unit[3]
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    exact = finish(near_duplicates(unit, 0.95))
    monkeypatch.setattr(standing_out, "EXACT_BELOW", 100)
    found = finish(near_duplicates(unit, 0.95))
    assert found.one.tolist() == exact.one.tolist() == [3]
    assert found.similarity == pytest.approx(exact.similarity, abs=1e-3)


def test_nothing_alike_is_an_empty_answer() -> None:
    found = finish(near_duplicates(np.eye(5, dtype=np.float32), 0.9))
    assert len(found.one) == 0
    assert found.groups(5) == []
