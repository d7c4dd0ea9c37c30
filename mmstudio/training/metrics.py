"""How well one class of several is told: tables, curves and areas from labels and probabilities.

``labels (n,)`` int64 are 0..classes-1, ``probabilities (n, classes)`` any float. The lowest of equally
likely classes is told. What is undefined (a class that never occurs) is nan; nothing to measure, labels outside the
classes, probabilities that are not numbers: ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
Table = NDArray[np.int64]
SMALLEST = 1e-15
"""The least probability that a logarithm is taken of."""


@dataclass(frozen=True)
class PerClass:
    """``(classes,)`` each: ``precision`` is nan where a class was never told, ``recall`` where it never occurs, ``f1``
    where it neither occurs nor was told; ``support`` int64 is how often it occurs.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Labels


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 of all classes together, each 0..1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Roc:
    """``(k,)`` rates of false and true alarms by falling ``thresholds`` (the first is infinite), the ``area`` below;
    rates and area are nan where only one kind of example occurs.
    """

    false_rate: Floats
    true_rate: Floats
    thresholds: Floats
    area: float


@dataclass(frozen=True)
class PrecisionRecall:
    """``(k,)`` precision and recall by falling ``thresholds`` and the ``average`` precision (a sum over steps, not
    interpolated); recall and average are nan where no example is positive.
    """

    precision: Floats
    recall: Floats
    thresholds: Floats
    average: float


def checked(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> tuple[Labels, Floats]:
    """Both as int64 and float64, or ValueError."""
    labels, given = np.asarray(labels), np.asarray(probabilities, np.float64)
    if given.ndim != 2 or labels.shape != given.shape[:1]:
        raise ValueError(f"labels (n,) and probabilities (n, classes) do not fit: {labels.shape}, {given.shape}")
    if not given.size:
        raise ValueError("there is nothing to measure")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= given.shape[1]:
        raise ValueError(f"labels are integers of 0 to {given.shape[1] - 1}")
    if not np.isfinite(given).all():
        raise ValueError(f"the probabilities of {int((~np.isfinite(given)).any(axis=1).sum())} rows are not numbers")
    return labels.astype(np.int64), given


def checked_shares(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> tuple[Labels, Floats]:
    """As ``checked``, and each row must sum to 1 within 0.01 (half precision) without a negative number."""
    classes, given = checked(labels, probabilities)
    if given.min() < 0 or np.abs(given.sum(axis=1) - 1).max() > 0.01:
        raise ValueError("the probabilities of each row must sum to 1")
    return classes, given


def confusion(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Table:
    """``(classes, classes)`` int64 counts: rows are true, columns told."""
    classes, given = checked(labels, probabilities)
    size = given.shape[1]
    return np.bincount(classes * size + given.argmax(axis=1), minlength=size * size).reshape(size, size)


def accuracy(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """The share of examples whose class is told."""
    classes, given = checked(labels, probabilities)
    return float((given.argmax(axis=1) == classes).mean())


def balanced_accuracy(table: Table) -> float:
    """The mean recall over the classes that occur in a confusion table (Brodersen et al. 2010)."""
    return known_mean(per_class(table).recall)


def per_class(table: Table) -> PerClass:
    """Precision, recall and F1 of each class of a confusion table."""
    hits, occurs, told = np.diag(table).astype(float), table.sum(axis=1), table.sum(axis=0)
    return PerClass(ratio(hits, told), ratio(hits, occurs), ratio(2 * hits, occurs + told), occurs.astype(np.int64))


def macro(table: Table) -> Averages:
    """The plain mean over classes that occur or are told; an undefined precision or recall among them counts as 0."""
    each = per_class(table)
    seen = ~np.isnan(each.f1)
    return Averages(*(known_mean(np.nan_to_num(part[seen])) for part in (each.precision, each.recall, each.f1)))


def micro(table: Table) -> Averages:
    """Over all decisions together; where every example has one class and is told one, all three are the accuracy."""
    right = float(ratio(np.trace(table), table.sum()))
    return Averages(right, right, right)


def roc(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> Roc:
    """The receiver operating characteristic of ``scores (n,)`` for ``positive (n,)``; equal scores are one step."""
    true, false, thresholds = _steps(positive, scores)
    true, false = np.concatenate([[0.0], true]), np.concatenate([[0.0], false])
    true_rate, false_rate = ratio(true, true[-1:]), ratio(false, false[-1:])
    area = float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1])).sum() / 2)
    return Roc(false_rate, true_rate, np.concatenate([[np.inf], thresholds]), area)


def precision_recall(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> PrecisionRecall:
    """Precision against recall of ``scores (n,)`` for ``positive (n,)``; equal scores are one step."""
    true, false, thresholds = _steps(positive, scores)
    precision, recall = true / (true + false), ratio(true, true[-1:])
    return PrecisionRecall(precision, recall, thresholds, float((np.diff(recall, prepend=0.0) * precision).sum()))


def roc_auc(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """The area under the ROC curve: of class 1 where there are two, else one class against the rest, the mean over
    classes that occur beside others; nan where none does.
    """
    classes, given = checked(labels, probabilities)
    if given.shape[1] == 2:
        return roc(classes == 1, given[:, 1]).area
    return known_mean(np.array([roc(classes == c, given[:, c]).area for c in range(given.shape[1])]))


def average_precision(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Average precision of class 1 where there are two, else the mean over classes that occur; nan where none does."""
    classes, given = checked(labels, probabilities)
    if given.shape[1] == 2:
        return precision_recall(classes == 1, given[:, 1]).average
    return known_mean(np.array([precision_recall(classes == c, given[:, c]).average for c in range(given.shape[1])]))


def top_k_accuracy(labels: NDArray[np.integer], probabilities: NDArray[np.floating], k: int) -> float:
    """The share of examples whose class is among the ``k`` likeliest; of equal ones the lowest classes come first."""
    return float(among_top_k(labels, probabilities, k).mean())


def among_top_k(labels: NDArray[np.integer], probabilities: NDArray[np.floating], k: int) -> NDArray[np.bool_]:
    """``(n,)`` whether each example's class is among the ``k`` likeliest, as ``top_k_accuracy`` counts it."""
    classes, given = checked(labels, probabilities)
    if k < 1:
        raise ValueError("k is at least 1")
    own = given[np.arange(len(given)), classes][:, None]
    before = (given > own) | ((given == own) & (np.arange(given.shape[1]) < classes[:, None]))
    return before.sum(axis=1) < k


def log_loss(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Mean negative log likelihood in nats; a probability of 0 counts as ``SMALLEST``."""
    classes, given = checked_shares(labels, probabilities)
    own = given[np.arange(len(given)), classes] / given.sum(axis=1)
    return float(-np.log(np.clip(own, SMALLEST, 1)).mean())


def brier(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Mean squared distance to the truth, summed over classes (Brier 1950): 0..2, for two classes twice the binary."""
    classes, given = checked_shares(labels, probabilities)
    return float(((given - np.eye(given.shape[1])[classes]) ** 2).sum(axis=1).mean())


def summary(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> dict[str, float]:
    """All single numbers of this file by name, in the order in which a person reads them."""
    table = confusion(labels, probabilities)
    return {
        "accuracy": accuracy(labels, probabilities),
        "balanced accuracy": balanced_accuracy(table),
        "macro precision": macro(table).precision,
        "macro recall": macro(table).recall,
        "macro F1": macro(table).f1,
        "top-5 accuracy": top_k_accuracy(labels, probabilities, 5),
        "ROC AUC": roc_auc(labels, probabilities),
        "average precision": average_precision(labels, probabilities),
        "log loss": log_loss(labels, probabilities),
        "Brier score": brier(labels, probabilities),
    }


def _steps(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
    """Counts ``(k,)`` of true and false alarms at each of the different scores, highest first, and these scores."""
    truth, given = np.asarray(positive, bool), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != given.shape or not len(truth):
        raise ValueError("a curve needs one score for each example, and an example")
    if np.isnan(given).any():
        raise ValueError("some scores are not numbers")
    order = np.argsort(-given, kind="stable")
    given, truth = given[order], truth[order]
    last = np.append(np.flatnonzero(given[1:] != given[:-1]), len(given) - 1)
    true = np.cumsum(truth)[last].astype(float)
    return true, last + 1 - true, given[last]


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """``part / whole`` of counts, nan where the whole is 0."""
    whole = np.broadcast_to(whole, np.shape(part))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def known_mean(values: Floats) -> float:
    """The mean of what is a number, nan where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
