"""Groups of examples on which a run errs more than elsewhere are found and named, and none is made up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmstudio.training import error_slices
from mmstudio.training.error_slices import in_common, slices

GROUPS, EACH = 5, 60


def _made(seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64], list[frozenset[str]]]:
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(GROUPS), EACH))
    vectors = rng.normal(0, 4, (GROUPS, 12))[group] + rng.normal(0, 1, (len(group), 12))
    words = [frozenset({f"tag {g}", "all"} | ({"noise"} if rng.random() < 0.3 else set())) for g in group]
    return group, vectors, words


def test_a_planted_bad_slice_is_found_with_its_rate_its_interval_and_its_name() -> None:
    group, vectors, words = _made()
    errs = np.random.default_rng(1).random(len(group)) < np.where(group == 3, 0.6, 0.1)
    keys = np.arange(1, len(group) + 1)
    (found,) = slices(keys, errs, vectors, words)
    assert set(found.keys.tolist()) == set(keys[group == 3].tolist())
    assert found.words[0] == "tag 3"
    assert "all" not in found.words
    hits, n, z = int(errs[group == 3].sum()), EACH, 1.959964
    rate = hits / n
    middle, half = (rate + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(
        rate * (1 - rate) / n + z**2 / 4 / n**2)  # Wilson 1927, by hand
    assert found.rate.value == pytest.approx(rate)
    assert (found.rate.low, found.rate.high) == pytest.approx((middle - half, middle + half), abs=1e-5)
    assert found.rest == pytest.approx(errs[group != 3].mean())
    assert found.lift == pytest.approx(rate / errs[group != 3].mean())


def test_where_errors_fall_by_chance_hardly_a_slice_is_told() -> None:
    group, vectors, words = _made()
    keys, told = np.arange(len(group)), 0
    for seed in range(12):
        told += bool(slices(keys, np.random.default_rng(seed).random(len(group)) < 0.2, vectors, words))
    assert told <= 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_all_is_right_or_all_is_wrong_there_is_no_slice(share: float) -> None:
    group, vectors, words = _made()
    assert slices(np.arange(len(group)), np.full(len(group), share > 0), vectors, words) == ()


def test_examples_that_are_all_alike_or_few_are_one_group() -> None:
    assert not error_slices.groups(np.ones((30, 4))).any()
    assert slices(np.arange(4), np.array([True, False, True, False]), np.eye(4), [frozenset()] * 4) == ()


def test_groups_are_named_by_what_few_others_have() -> None:
    mask = np.array([True] * 4 + [False] * 4)
    words = [{"dark", "cat"}, {"dark", "cat"}, {"dark"}, {"dark", "rare"}, {"cat"}, {"cat"}, set(), {"other"}]
    assert in_common(mask, words) == ("dark",)
