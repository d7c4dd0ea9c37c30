"""Scores against chance: calibrated where nothing matches, found where something does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mmstudio.explore.significance import LEAST, Null, discoveries, null_of


def _unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _null(rng: np.random.Generator, table: np.ndarray, query: np.ndarray) -> Null:
    found = null_of(table @ query, _unit(rng, 64, table.shape[1]) @ table.T)
    assert found is not None
    return found


@pytest.mark.parametrize(("dim", "number"), [(64, 2000), (384, 300), (16, 1000)])
def test_where_nothing_matches_p_values_are_uniform(dim: int, number: int) -> None:
    rng, tests = np.random.default_rng(dim), []
    for _ in range(40):
        table, query = _unit(rng, number, dim), _unit(rng, dim)
        tests.append(stats.kstest(_null(rng, table, query).p_values(table @ query), "uniform").pvalue)
    # Of 40 calibrated runs few have a p below 0.05; middle and spread are fitted, which makes them fewer.
    assert sum(p < 0.05 for p in tests) <= 5
    assert np.median(tests) > 0.3


def test_where_nothing_matches_a_discovery_is_as_rare_as_the_level() -> None:
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(100):
        table, query = _unit(rng, 500, 128), _unit(rng, 128)
        p = np.sort(_null(rng, table, query).p_values(table @ query))
        wrong += discoveries(p, len(p)) > 0
    assert wrong <= 10


def test_what_is_planted_is_found_and_hardly_anything_else() -> None:
    rng = np.random.default_rng(2)
    table, query = _unit(rng, 1000, 128), _unit(rng, 128)
    table[:12] = 0.7 * query + 0.7 * table[:12]
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    scores = table @ query
    order = np.argsort(-scores)
    number = discoveries(_null(rng, table, query).p_values(scores[order]), 1000)
    assert set(range(12)) <= set(order[:number].tolist())
    assert number <= 14


def test_a_tenth_of_matches_does_not_hide_themselves() -> None:
    rng = np.random.default_rng(3)
    table, query = _unit(rng, 1000, 128), _unit(rng, 128)
    table[:100] = 0.6 * query + 0.8 * table[:100]
    scores = table @ query
    p = _null(rng, table, query).p_values(scores)
    assert discoveries(np.sort(p), 1000) >= 98


def test_scores_that_lean_upwards_without_a_match_are_no_matches() -> None:
    rng, wrong = np.random.default_rng(6), 0
    for _ in range(60):
        rows = stats.skewnorm.rvs(1.2, size=(65, 400), random_state=rng).astype(np.float32)
        null = null_of(rows[0], rows[1:])
        assert null is not None
        wrong += discoveries(np.sort(null.p_values(rows[0])), 400) > 0
    assert wrong <= 6


def test_p_values_fall_as_scores_rise_also_beyond_all_that_was_seen() -> None:
    rng = np.random.default_rng(4)
    table, query = _unit(rng, 400, 64), _unit(rng, 64)
    p = _null(rng, table, query).p_values(np.linspace(-1, 1, 300, dtype=np.float32))
    assert (np.diff(p) <= 1e-12).all()
    assert 0 < p[-1] < 1e-8


def test_the_line_is_benjamini_and_hochbergs() -> None:
    rng = np.random.default_rng(5)
    p = np.sort(np.concatenate([rng.random(180), rng.random(20) * 1e-4]))
    want = int((stats.false_discovery_control(p) <= 0.05).sum())
    assert discoveries(p, len(p)) == want
    assert discoveries(p[:25], len(p)) == min(want, 25)


def test_too_few_scores_or_scores_that_are_all_alike_tell_nothing() -> None:
    none = np.zeros((0, LEAST - 1), np.float32)
    assert null_of(np.linspace(0, 1, LEAST - 1, dtype=np.float32), none) is None
    assert null_of(np.ones(100, np.float32), np.zeros((0, 100), np.float32)) is None
