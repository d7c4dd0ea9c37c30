"""Whether a probability means what it says, and one number that makes it mean it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.training.metrics import Floats, Labels, checked, checked_shares

COLDEST, HOTTEST = 0.01, 100.0
"""Temperatures are looked for between these; what is told with no error at all has no best one and gets the coldest."""


@dataclass(frozen=True)
class Reliability:
    """``edges (bins + 1,)``, and of each bin ``(bins,)`` the mean ``confidence``, the ``accuracy`` (both nan where it
    is empty) and the ``count`` int64 of examples.
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    count: Labels

    @property
    def error(self) -> float:
        """Expected calibration error, 0..1: the mean gap between confidence and accuracy over examples."""
        held = self.count > 0
        gaps = np.abs(self.confidence[held] - self.accuracy[held])
        return float((gaps * self.count[held]).sum() / self.count.sum())


def reliability(labels: NDArray[np.integer], probabilities: NDArray[np.floating], bins: int = 15) -> Reliability:
    """Examples by the probability of the class told, in equal bins that hold their upper edge (Guo et al. 2017)."""
    classes, given = checked_shares(labels, probabilities)
    if bins < 1:
        raise ValueError("there is at least one bin")
    sure, right = np.minimum(given.max(axis=1), 1.0), given.argmax(axis=1) == classes
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    least = np.maximum(count, 1)
    confidence = np.bincount(place, sure, bins) / least
    accuracy = np.bincount(place, right, bins) / least
    empty = count == 0
    confidence[empty] = accuracy[empty] = np.nan
    return Reliability(edges, confidence, accuracy, count.astype(np.int64))


def calibration_error(labels: NDArray[np.integer], probabilities: NDArray[np.floating], bins: int = 15) -> float:
    """Expected calibration error, 0..1 (Naeini et al. 2015; Guo et al. 2017)."""
    return reliability(labels, probabilities, bins).error


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """``(n, classes)`` probabilities of logits divided by a temperature, without overflow."""
    given = np.asarray(logits, np.float64)
    powers = np.exp((given - given.max(axis=1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits: NDArray[np.floating]) -> Floats:
    """Probabilities of labels that may come together, without overflow."""
    return 1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64), -60, 60)))


def fit_temperature(labels: NDArray[np.integer], logits: NDArray[np.floating]) -> float:
    """The temperature under which validation ``logits (n, classes)`` have the least log loss (Guo et al. 2017).

    The loss is convex in 1 / temperature, so halving the interval in which its slope changes sign finds it. 1 where the
    logits of each row are equal. Raises ValueError as ``metrics.checked``.
    """
    classes, given = checked(labels, logits)
    given = given - given.max(axis=1, keepdims=True)
    if not given.any():
        return 1.0
    own = given[np.arange(len(given)), classes].mean()
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)

    def rises(log_inverse: float) -> bool:
        shares = softmax(given, float(np.exp(-log_inverse)))
        return float((shares * given).sum(axis=1).mean()) > own

    if rises(low):
        return HOTTEST
    if not rises(high):
        return COLDEST
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return float(np.exp(-(low + high) / 2))
