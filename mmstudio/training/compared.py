"""How sure a score is, whether two models differ, and which labels are likely wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.training.metrics import Floats, Labels, Table, checked_shares

BLOCK_DRAWS = 1 << 21
FEW = 25
"""Below so many discordant pairs McNemar's test is exact."""


@dataclass(frozen=True)
class Interval:
    """The statistic of all examples and its percentile bounds; nan where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class McNemar:
    """How many examples only the first and only the second model told right, and the two-sided ``p``."""

    only_first: int
    only_second: int
    p: float
    exact: bool


@dataclass(frozen=True)
class LabelErrors:
    """``rows (k,)`` int64 of likely wrong labels, the surest first, the class ``suggested (k,)`` for each and its
    ``margin (k,)`` (probability of the given class less the highest other, -1..1).

    ``joint (classes, classes)`` estimates how given (rows) and true classes (columns) occur together; it sums to 1.
    """

    rows: Labels
    suggested: Labels
    margin: Floats
    joint: Floats


def bootstrap(n: int, statistic: Callable[[Labels], float], resamples: int = 1000, level: float = 0.95,
              seed: int = 0) -> Interval:
    """Percentile interval (Efron 1979) of ``statistic(rows (n,) int64)`` over ``n`` examples drawn with replacement.

    Resamples in which it is nan are left out. Raises ValueError for nothing to draw from.
    """
    _check(n, resamples, level)
    rng = np.random.default_rng(seed)
    found = np.array([statistic(rng.integers(0, n, n)) for _ in range(resamples)])
    return interval_of(statistic(np.arange(n)), found, level)


def bootstrap_mean(values: NDArray[np.generic], resamples: int = 1000, level: float = 0.95, seed: int = 0) -> Interval:
    """As ``bootstrap`` for the mean of ``values (n,)``, one of each example (right or not, loss, reciprocal rank), and
    faster: for right or not, the number of right ones is drawn at once.
    """
    given = np.asarray(values, np.float64)
    n = len(given)
    _check(n, resamples, level)
    if np.isnan(given).any():
        raise ValueError("some values are not numbers")
    rng = np.random.default_rng(seed)
    if ((given == 0) | (given == 1)).all():
        return interval_of(given.mean(), rng.binomial(n, given.mean(), resamples) / n, level)
    block = max(1, BLOCK_DRAWS // n)
    found = [given[rng.integers(0, n, (min(block, resamples - start), n))].mean(axis=1)
             for start in range(0, resamples, block)]
    return interval_of(given.mean(), np.concatenate(found), level)


def bootstrap_table(table: Table, statistic: Callable[[Table], float], resamples: int = 1000, level: float = 0.95,
                    seed: int = 0) -> Interval:
    """As ``bootstrap`` for what follows from a confusion table ``(classes, classes)`` alone, as the macro F1 does:
    whole tables are drawn from the multinomial that drawing examples amounts to.
    """
    n = int(table.sum())
    _check(n, resamples, level)
    drawn = np.random.default_rng(seed).multinomial(n, table.ravel() / n, resamples)
    return interval_of(statistic(table), np.array([statistic(one.reshape(table.shape)) for one in drawn]), level)


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> McNemar:
    """Whether two models told the same ``(n,)`` examples equally well (McNemar 1947).

    Exact binomial below ``FEW`` discordant pairs, else chi-squared with continuity correction (Edwards 1948).
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError("both models must be told about the same examples, and at least one")
    a, b = int((first & ~second).sum()), int((second & ~first).sum())
    if a + b < FEW:
        tail = sum(math.comb(a + b, i) for i in range(min(a, b) + 1)) / 2 ** (a + b)
        return McNemar(a, b, min(1.0, 2 * tail), True)
    squared = max(abs(a - b) - 1, 0) ** 2 / (a + b)
    return McNemar(a, b, math.erfc(math.sqrt(squared / 2)), False)  # the upper tail of chi-squared with 1 degree


def label_errors(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> LabelErrors:
    """Likely label errors by confident learning (Northcutt, Jiang & Chuang 2021) from ``probabilities (n, classes)`` of
    models that did not learn from the example.

    An example is counted in a class where its probability reaches the mean self-confidence of that class's examples
    (the likeliest such class); those counted outside their own label are told, ranked by margin.
    """
    given, shares = checked_shares(labels, probabilities)
    n, size = shares.shape
    occurs = np.bincount(given, minlength=size)
    own = shares[np.arange(n), given]
    mean = np.bincount(given, own, size) / np.maximum(occurs, 1)
    # A class without examples has no threshold; equal numbers may differ in the last bit from their mean.
    reached = (shares >= mean - 1e-12) & (occurs > 0)
    counted = reached.any(axis=1)
    likeliest = np.where(reached, shares, -1.0).argmax(axis=1)
    # Where the given class is as likely as another, the label stands.
    stands = reached[np.arange(n), given] & (own >= shares[np.arange(n), likeliest])
    likeliest = np.where(stands, given, likeliest)
    rows = np.flatnonzero(counted & (likeliest != given))
    others = shares.copy()
    others[np.arange(n), given] = -np.inf
    margin = own - others.max(axis=1) if size > 1 else own
    rows = rows[np.argsort(margin[rows], kind="stable")]
    return LabelErrors(rows, likeliest[rows], margin[rows],
                       _joint(given[counted], likeliest[counted], occurs))


def _joint(given: Labels, likeliest: Labels, occurs: Labels) -> Floats:
    """Counts calibrated so that each row sums to how often its label occurs, of all (equation 3 of the paper)."""
    size = len(occurs)
    counts = np.bincount(given * size + likeliest, minlength=size * size).reshape(size, size).astype(float)
    bare = counts.sum(axis=1) == 0
    counts[bare, bare] = 1  # nothing was counted under this label: taken as right
    return counts / counts.sum(axis=1, keepdims=True) * occurs[:, None] / occurs.sum()


def _check(n: int, resamples: int, level: float) -> None:
    if n < 1 or resamples < 1 or not 0 < level < 1:
        raise ValueError("an interval needs an example, a resample and a level between 0 and 1")


def interval_of(value: float, found: Floats, level: float = 0.95) -> Interval:
    """A statistic with the percentile bounds of those of resamples; what is nan among them is left out."""
    known = found[~np.isnan(found)]
    if not len(known):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(value), float(low), float(high))
