"""Whether a score is higher than chance makes it: “no match” is an answer.

A question's scores over items that have nothing to do with it are the null distribution. Some of the items may match,
and matches lie above; so the middle and the spread are told from the bulk, and the tail from the side where there are
no matches (an empirical null: Efron 2004, “Large-scale simultaneous hypothesis testing”). Everything resembles a few
things a little, so scores lean to their upper side also without a match; the tail is stretched by as much as even those
questions lean that lean the least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LEAST = 30
"""Scores: from fewer no spread can be told."""
TAIL = 250
"""So many of the largest deviations tell how fast the tail falls."""
MOST_LEANING = 1.15
"""A tail is stretched by no more: what is clearly a match must not be lost among what leans."""
_FAR = 0.02
_BELOW, _ABOVE = 0.158655, 0.841345  # one standard deviation of a normal distribution


@dataclass(frozen=True)
class Null:
    """The ``middle`` and ``spread`` of a question's scores where nothing matches, and ``tail (t,)`` float32, ascending:
    how many spreads the scores of this question and of others lie below their middle, of those that lie below it,
    stretched as the others lean.
    """

    middle: float
    spread: float
    tail: Floats

    def deviations(self, scores: Floats) -> Floats:
        """``(n,)`` how many spreads above the middle each score lies: scores of different modalities compare so."""
        return ((np.asarray(scores, np.float32) - self.middle) / self.spread).astype(np.float32)

    def p_values(self, scores: Floats) -> NDArray[np.float64]:
        """``(n,)`` the probability of so high a score where nothing matches, never zero.

        Within the tail it is counted, as (r + 1) / (t + 1); beyond its last ``TAIL`` values it falls exponentially, as
        the excess over a high threshold does, or slower than it (Pickands 1975; Knijnenburg et al. 2009).
        """
        z = self.deviations(scores).astype(np.float64)
        share = self._share_beyond(np.abs(z)) / 2
        return np.where(z >= 0, share, 1 - share)

    def _share_beyond(self, deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n,)`` the share of the tail at or beyond each deviation."""
        number = len(self.tail)
        counted = (number - np.searchsorted(self.tail, deviation) + 1) / (number + 1)
        last = max(1, min(TAIL, number // 10))
        threshold = float(self.tail[-last])
        falls_by = max(float(self.tail[-last:].mean()) - threshold, 1e-3)
        fitted = (last + 1) / (number + 1) * np.exp(-(deviation - threshold) / falls_by)
        return np.where(deviation > threshold, np.maximum(fitted, 1e-300), counted)


def null_of(scores: Floats, others: Floats) -> Null | None:
    """The null of a question from its ``scores (n,)`` over a random background, and from the scores of random ``others
    (m, n)`` over the same; None where there are fewer than ``LEAST``, or all are alike.
    """
    if len(scores) < LEAST:
        return None
    rows = np.concatenate([np.asarray(scores)[None], others]) if len(others) else np.asarray(scores)[None]
    low, middle, high = np.quantile(rows, [_BELOW, 0.5, _ABOVE], axis=1)
    spread = np.maximum(middle - low, high - middle)
    if spread[0] <= 1e-9:
        return None
    known = spread > 1e-9
    below = (middle[known, None] - rows[known]) / spread[known, None]
    tail = np.sort(below[below >= 0]) * _leaning(rows[1:])
    return Null(float(middle[0]), float(spread[0]), tail.astype(np.float32))


def _leaning(others: Floats) -> float:
    """How much further scores reach above their middle than below it, of the quarter of questions ``(m, n)`` where that
    is least: most of the others have matches of their own. Never less than 1.
    """
    if not len(others):
        return 1.0
    low, middle, high = np.quantile(others, [_FAR, 0.5, 1 - _FAR], axis=1)
    return float(np.clip(np.quantile((high - middle) / np.maximum(middle - low, 1e-9), 0.25), 1, MOST_LEANING))


def discoveries(p_values: NDArray[np.float64], tested: int, level: float = 0.05) -> int:
    """How many of the smallest p-values, ascending, of ``tested`` ones are discoveries of which at most a share
    ``level`` is expected to be false (Benjamini and Hochberg 1995).
    """
    passes = np.flatnonzero(p_values <= level * np.arange(1, len(p_values) + 1) / max(1, tested))
    return int(passes[-1]) + 1 if len(passes) else 0
