"""Concepts as directions of a space, learned from two groups of items, and whether they are more than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Vectors, normalised
from mmstudio.errors import StudioError

Floats = NDArray[np.float32]
FOLDS, SHUFFLES = 5, 40
LEAST = 3


@dataclass(frozen=True)
class Concept:
    """A direction ``(dim,)`` of length 1 from one group to the other. ``accuracy`` is how well it tells them apart on
    items it was not made from; ``p`` the probability of that where groups mean nothing.
    """

    direction: Vectors
    accuracy: float
    p: float

    @property
    def significant(self) -> bool:
        return self.p < 0.05


def mean_difference(inside: Vectors, outside: Vectors) -> Vectors:
    """``(dim,)`` of length 1: from the mean of ``outside (m, dim)`` to that of ``inside (n, dim)``."""
    return normalised(inside.mean(axis=0) - outside.mean(axis=0))


def linear_cav(inside: Vectors, outside: Vectors) -> Vectors:
    """``(dim,)`` of length 1: the normal of a logistic regression (concept activation vector: Kim et al. 2018)."""
    from sklearn.linear_model import LogisticRegression

    rows, labels = _rows(inside, outside)
    return normalised(LogisticRegression(max_iter=500).fit(rows, labels).coef_[0])


DIRECTIONS = {"mean difference": mean_difference, "linear CAV": linear_cav}


def concept(inside: Vectors, outside: Vectors, way: str = "mean difference", seed: int = 0) -> Concept:
    """A direction found by ``way`` with that way's accuracy over ``FOLDS`` folds, balanced over the groups, and the
    p-value of that among ``SHUFFLES`` groups drawn at random from the same items, (r + 1) / (n + 1) (after Kim et al.
    2018, who compare with random concepts). Raises StudioError for fewer than three items in a group.
    """
    if min(len(inside), len(outside)) < LEAST:
        raise StudioError(f"A concept needs at least {LEAST} items in each group.")
    from threadpoolctl import threadpool_limits

    rng, (rows, labels) = np.random.default_rng(seed), _rows(inside, outside)
    with threadpool_limits(1, "blas"):  # hundreds of small fits: several threads would wait for each other
        accuracy = _accuracy(rows, labels, way, rng)
        chance = [_accuracy(rows, rng.permutation(labels), way, rng) for _ in range(SHUFFLES)]
    p = (1 + sum(one >= accuracy for one in chance)) / (1 + SHUFFLES)
    return Concept(DIRECTIONS[way](inside, outside), accuracy, p)


def _accuracy(rows: Vectors, labels: NDArray[np.bool_], way: str, rng: np.random.Generator) -> float:
    """Of directions found by ``way`` on the other folds, whose threshold lies half-way: balanced over both groups."""
    fold = np.empty(len(labels), np.int64)
    for group in (labels, ~labels):
        fold[group] = rng.permutation(int(group.sum())) % min(FOLDS, int(group.sum()))
    told = np.zeros(len(labels), bool)
    for number in range(int(fold.max()) + 1):
        rest, here = fold != number, fold == number
        inside, outside = rows[rest & labels], rows[rest & ~labels]
        direction = DIRECTIONS[way](inside, outside)
        threshold = ((inside @ direction).mean() + (outside @ direction).mean()) / 2
        told[here] = rows[here] @ direction > threshold
    return float((told[labels].mean() + (~told)[~labels].mean()) / 2)


def tcav(vectors: Vectors, query: Vectors, direction: Vectors) -> float:
    """The share of ``vectors (n, dim)`` of length 1 whose cosine with ``query (dim,)`` rises along ``direction
    (dim,)``: TCAV (Kim et al. 2018) where the layer is the space itself, so that the slope has a closed form.
    """
    slopes = direction @ query - (vectors @ query) * (vectors @ direction)
    return float((slopes > 0).mean())


def _rows(inside: Vectors, outside: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
    return np.concatenate([inside, outside]), np.arange(len(inside) + len(outside)) < len(inside)
