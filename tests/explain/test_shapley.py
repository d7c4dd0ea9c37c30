"""Shapley values against their definition, and KernelSHAP against them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from mmstudio.explain import shapley


def game(there: np.ndarray) -> np.ndarray:
    """Six players who help and hinder each other."""
    x = there.astype(float)
    alone = x @ np.array([0.3, -0.2, 0.0, 0.5, 0.1, 0.05])
    return alone + 0.4 * x[:, 0] * x[:, 3] - 0.3 * x[:, 1] * x[:, 2] * x[:, 5] + 7


def by_definition(players: int) -> np.ndarray:
    """The mean of what each adds over all orders of joining."""
    out = np.zeros(players)
    for order in (orders := list(permutations(range(players)))):
        there = np.zeros((players + 1, players), bool)
        for step, player in enumerate(order, 1):
            there[step] = there[step - 1]
            there[step, player] = True
        out[list(order)] += np.diff(game(there))
    return out / len(orders)


def test_exact_values_are_the_mean_over_all_orders_and_efficient() -> None:
    found = shapley.exact(game, 6)
    assert np.allclose(found, by_definition(6), atol=1e-12)
    assert found.sum() == pytest.approx(float(np.diff(game(np.array([[False] * 6, [True] * 6])))[0]))


def test_kernel_of_all_coalitions_is_exact() -> None:
    *_, found = shapley.kernel(game, 6, budget=100, batch=64)
    assert np.allclose(found, shapley.exact(game, 6), atol=1e-9)


def test_kernel_of_some_coalitions_is_near_and_always_efficient() -> None:
    answers = list(shapley.kernel(game, 6, budget=60, seed=1, batch=16))
    assert len(answers) > 1
    assert all(np.isclose(found.sum(), shapley.exact(game, 6).sum()) for found in answers)
    assert np.abs(answers[-1] - shapley.exact(game, 6)).max() < 0.1


def test_a_single_player_gains_all() -> None:
    assert list(shapley.kernel(lambda there: there[:, 0] * 2.0, 1, 10)) == [pytest.approx([2.0])]
