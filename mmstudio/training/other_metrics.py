"""How well several labels at once, amounts and pairs are told; nan where undefined, ValueError for no example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.training.metrics import Floats, known_mean, precision_recall, ratio

Bools = NDArray[np.bool_]
BLOCK_CELLS = 1 << 22


@dataclass(frozen=True)
class MultiLabel:
    """``f1``, ``precision``, ``recall`` and ``average_precision`` of each class ``(classes,)``, nan where undefined;
    the rest 0..1. ``subset_accuracy`` is the share of examples with all labels right, ``hamming`` that of wrong labels.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    average_precision: Floats
    micro_f1: float
    macro_f1: float
    mean_average_precision: float
    subset_accuracy: float
    hamming: float


@dataclass(frozen=True)
class Regression:
    """``mae`` and ``rmse`` in the target's unit; ``r2`` is nan where the truth is one amount, ``pearson`` and
    ``spearman`` also where one amount is told.
    """

    mae: float
    rmse: float
    r2: float
    pearson: float
    spearman: float


@dataclass(frozen=True)
class Retrieval:
    """``recall`` at each k, the mean reciprocal rank and the median rank (1 is best), each beside what chance gives."""

    recall: dict[int, float]
    mrr: float
    median_rank: float
    chance_recall: dict[int, float]
    chance_mrr: float
    chance_median_rank: float


def fit_thresholds(truth: Bools, probabilities: NDArray[np.floating]) -> Floats:
    """``(classes,)`` the threshold of each class with the highest F1 on validation, ``(n, classes)`` both; what is at
    least as probable is told.

    It lies half way to the next lower probability; of equally good ones the nearest to 0.5 is taken, and 0.5 for a
    class that never occurs.
    """
    labels, given = _labels(truth, probabilities)
    return np.array([_threshold(labels[:, c], given[:, c]) for c in range(labels.shape[1])])


def multi_label(truth: Bools, probabilities: NDArray[np.floating],
                thresholds: NDArray[np.floating] | float = 0.5) -> MultiLabel:
    """Scores of ``probabilities (n, classes)`` for ``truth (n, classes)``, told from ``thresholds (classes,)`` on.

    The macro F1 is over classes that occur or are told, the mean average precision over classes that occur.
    """
    labels, given = _labels(truth, probabilities)
    told = given >= np.asarray(thresholds, np.float64)
    hits, occurs, said = (labels & told).sum(axis=0), labels.sum(axis=0), told.sum(axis=0)
    average = np.array([precision_recall(labels[:, c], given[:, c]).average for c in range(labels.shape[1])])
    f1 = ratio(2 * hits, occurs + said)
    return MultiLabel(
        ratio(hits, said), ratio(hits, occurs), f1, average,
        float(ratio(2 * hits.sum(), (occurs + said).sum())), known_mean(f1), known_mean(average),
        float((labels == told).all(axis=1).mean()), float((labels != told).mean()))


def regression(truth: NDArray[np.floating], told: NDArray[np.floating]) -> Regression:
    """Errors and correlations of ``told (n,)`` with ``truth (n,)``; Spearman's ranks are means of equal amounts."""
    wanted, given = np.asarray(truth, np.float64), np.asarray(told, np.float64)
    if wanted.ndim != 1 or wanted.shape != given.shape or not len(wanted):
        raise ValueError("there is one told amount for each true one, and at least one")
    if not (np.isfinite(wanted).all() and np.isfinite(given).all()):
        raise ValueError("some amounts are not numbers")
    errors = given - wanted
    r2 = float("nan") if np.ptp(wanted) == 0 else 1 - (_length(errors) / _length(wanted - wanted.mean())) ** 2
    return Regression(float(np.abs(errors).mean()), _length(errors) / len(errors) ** 0.5, r2,
                      _correlation(wanted, given), _correlation(ranks(wanted), ranks(given)))


def ranks(values: NDArray[np.floating]) -> Floats:
    """``(n,)`` float64 ranks from 1, the mean rank for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def retrieval(similarity: NDArray[np.floating], ks: Sequence[int] = (1, 5, 10)) -> Retrieval:
    """How well each row of ``similarity (n, n)`` finds its partner on the diagonal among all columns.

    Equal similarities are broken by chance, and the expected value of that is given: a matrix of one number scores as
    chance does. Raises ValueError where it is not square, empty or not of numbers.
    """
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or not len(similarity):
        raise ValueError("pairs need a square matrix of similarities")
    n, (above, ties) = len(similarity), _above(similarity)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    reciprocal = (harmonic[above + ties + 1] - harmonic[above]) / (ties + 1)
    recall = {k: float(np.clip((k - above) / (ties + 1), 0, 1).mean()) for k in ks}
    return Retrieval(recall, float(reciprocal.mean()), float(np.median(above + 1 + ties / 2)),
                     {k: min(max(k, 0), n) / n for k in ks}, float(harmonic[n] / n), (n + 1) / 2)


def _above(similarity: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``(n,)`` how many others of a row are more similar than its partner, and how many just as similar."""
    n = len(similarity)
    above, ties = np.empty(n, np.int64), np.empty(n, np.int64)
    block = max(1, BLOCK_CELLS // n)
    for start in range(0, n, block):
        rows = similarity[start:start + block]
        if np.isnan(rows).any():
            raise ValueError("some similarities are not numbers")
        own = rows[np.arange(len(rows)), np.arange(start, start + len(rows))][:, None]
        above[start:start + block] = (rows > own).sum(axis=1)
        ties[start:start + block] = (rows == own).sum(axis=1) - 1
    return above, ties


def _labels(truth: Bools, probabilities: NDArray[np.floating]) -> tuple[Bools, Floats]:
    labels, given = np.asarray(truth), np.asarray(probabilities, np.float64)
    if labels.ndim != 2 or labels.shape != given.shape or not labels.size:
        raise ValueError(f"truth and probabilities are both (n, classes): {labels.shape}, {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError(f"the probabilities of {int((~np.isfinite(given)).any(axis=1).sum())} rows are not numbers")
    return labels.astype(bool), given


def _threshold(positive: Bools, given: Floats) -> float:
    if not positive.any():
        return 0.5
    curve = precision_recall(positive, given)
    found = curve.recall * positive.sum()
    # Of those told at a threshold, found / precision in number: F1 without a 0 / 0.
    told = np.append(np.flatnonzero(np.diff(np.sort(given)[::-1])), len(given) - 1) + 1
    f1 = 2 * found / (told + positive.sum())
    lower = np.append(curve.thresholds[1:], curve.thresholds[-1])
    middle = (curve.thresholds + lower) / 2
    middle = np.where(middle > lower, middle, curve.thresholds)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middle[best[np.abs(middle[best] - 0.5).argmin()]])


def _length(values: Floats) -> float:
    """Euclid's length, scaled so that squares of large amounts do not overflow."""
    most = float(np.abs(values).max())
    return most * float(np.sqrt(((values / most) ** 2).sum())) if most > 0 else 0.0


def _correlation(a: Floats, b: Floats) -> float:
    """Pearson's r, nan where either is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a / _length(a)) @ (b / _length(b)), -1, 1))
