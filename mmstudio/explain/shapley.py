"""Shapley values (Shapley 1953): what each player adds to a game, on the mean of all orders of joining."""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Coalitions = NDArray[np.bool_]
Value = Callable[[Coalitions], Doubles]
"""``(m, players)`` who is there → ``(m,)`` what they achieve."""
MOST_EXACT = 12


def all_coalitions(players: int) -> Coalitions:
    """``(2 ** players, players)``: nobody first, everybody last."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def exact(value: Value, players: int) -> Doubles:
    """``(players,)``, by all coalitions: they sum to what everybody achieves minus what nobody does."""
    there = all_coalitions(players)
    values = np.asarray(value(there), np.float64)
    sizes = there.sum(axis=1)
    out = np.zeros(players)
    for player in range(players):
        without = np.flatnonzero(~there[:, player])
        share = np.array([factorial(s) * factorial(players - s - 1) for s in sizes[without]]) / factorial(players)
        out[player] = share @ (values[without + (1 << player)] - values[without])
    return out


def kernel(value: Value, players: int, budget: int, seed: int = 0, batch: int = 32) -> Generator[Doubles, None, None]:
    """``(players,)`` again and again, each better: KernelSHAP (Lundberg & Lee 2017) from at most about ``budget``
    coalitions, in pairs with their complements (Covert & Lee 2021); by all of them, and exact, where that are few.

    The values are those of the weighted linear game that is nearest to the game on the coalitions that were looked at,
    under the condition that they sum to what everybody achieves minus what nobody does; until enough were looked at,
    all alike.
    """
    ends = value(np.array([[False] * players, [True] * players]))
    nobody, gain = float(ends[0]), float(ends[1] - ends[0])
    if players == 1:
        yield np.array([gain])
        return
    plan, weights = _plan(players, budget, seed)
    seen = np.zeros(0)
    for start in range(0, len(plan), batch):
        seen = np.concatenate([seen, value(plan[start : start + batch]) - nobody])
        enough = len(seen) >= min(2 * players, len(plan))
        yield _solved(plan[: len(seen)], seen, weights[: len(seen)], gain) if enough else np.full(players,
                                                                                                  gain / players)


def _plan(players: int, budget: int, seed: int) -> tuple[Coalitions, Doubles]:
    """Coalitions and their weights, without nobody and everybody: all with Shapley's kernel, or drawn by it."""
    if players <= MOST_EXACT and 2**players - 2 <= budget:
        there = all_coalitions(players)[1:-1]
        sizes = there.sum(axis=1)
        return there, np.array([(players - 1) / (comb(players, s) * s * (players - s)) for s in sizes])
    rng = np.random.default_rng(seed)
    share = np.array([1 / (s * (players - s)) for s in range(1, players)])
    sizes = rng.choice(np.arange(1, players), max(players, budget // 2), p=share / share.sum())
    drawn = rng.random((len(sizes), players)).argsort(axis=1) < sizes[:, None]
    return np.stack([drawn, ~drawn], axis=1).reshape(-1, players), np.ones(2 * len(sizes))


def _solved(there: Coalitions, values: Doubles, weights: Doubles, gain: float) -> Doubles:
    """Weighted least squares under the sum: the last player's value is what the others leave."""
    features = there[:, :-1].astype(np.float64) - there[:, -1:]
    wanted, root = values - there[:, -1] * gain, np.sqrt(weights)
    found = np.linalg.lstsq(features * root[:, None], wanted * root, rcond=None)[0]
    return np.append(found, gain - found.sum())

