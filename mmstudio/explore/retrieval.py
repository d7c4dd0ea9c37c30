"""How well one modality finds another: ranks of what belongs together, against chance, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from mmstudio.progress import Progress, Work

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
KS = (1, 5, 10)
DRAWS = 1000
_BLOCK = 512


@dataclass(frozen=True)
class Estimate:
    """A value, the ends of its 95 % interval, and what chance gives."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Direction:
    """Items of one modality as ``questions`` to all ``candidates`` of another: ``recall`` at each of ``KS``, the mean
    reciprocal rank and the median rank (1 is best) of the best partner.
    """

    asked_with: str
    found: str
    questions: int
    candidates: int
    recall: dict[int, Estimate]
    mrr: Estimate
    median_rank: Estimate


def report(vectors: NDArray[np.float32], modalities: NDArray[np.str_], samples: Iterable[Sequence[int]], seed: int = 0,
           ) -> Work[list[Direction]]:
    """All directions between modalities in which there are partners. ``samples`` are the rows of ``vectors (n, dim)``
    that belong together; candidates are all rows of the modality that is looked for, in samples or not.
    """
    members = [np.array(sorted(set(sample)), np.int64) for sample in samples]
    names = [str(name) for name in np.unique(modalities)]
    out = []
    ways = list(permutations(names, 2))
    for number, (asked, found) in enumerate(ways):
        pairs = _pairs(members, modalities, asked, found)
        yield Progress(number, len(ways), f"{asked} → {found}")
        if len(pairs):
            out.append((yield from _direction(vectors, np.flatnonzero(modalities == found), pairs, asked, found, seed)))
    return out


def _pairs(members: list[Rows], modalities: NDArray[np.str_], asked: str, found: str) -> Rows:
    """``(p, 3)`` of question, partner and sample; each pair once, with its first sample."""
    pairs: dict[tuple[int, int], int] = {}
    for number, rows in enumerate(members):
        partners = rows[modalities[rows] == found].tolist()
        for question in rows[modalities[rows] == asked].tolist():
            for partner in partners:
                pairs.setdefault((question, partner), number)
    return np.array([(*pair, number) for pair, number in pairs.items()], np.int64).reshape(-1, 3)


def _direction(vectors: NDArray[np.float32], candidates: Rows, pairs: Rows, asked: str, found: str, seed: int,
               ) -> Work[Direction]:
    questions, first, partners = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    ranks = np.empty(len(questions))
    order = np.argsort(pairs[:, 0], kind="stable")
    bounds = np.concatenate([[0], np.cumsum(partners)])
    columns = np.searchsorted(candidates, pairs[order, 1])
    for start in range(0, len(questions), _BLOCK):
        near = vectors[questions[start : start + _BLOCK]] @ vectors[candidates].T
        for row, scores in enumerate(near, start):
            ranks[row] = _rank(scores, columns[bounds[row] : bounds[row + 1]])
        yield Progress(start, len(questions), f"{asked} → {found}")
    return _summary(ranks, partners, pairs[first, 2], len(candidates), asked, found, seed)


def _rank(scores: NDArray[np.float32], partners: Rows) -> float:
    """The place of the best partner among all but the other partners; of equal scores, the middle place."""
    best, others = scores[partners].max(), np.ones(len(scores), bool)
    others[partners] = False
    return float(1 + (scores[others] > best).sum() + (scores[others] == best).sum() / 2)


def _summary(ranks: Floats, partners: Rows, sample: Rows, candidates: int, asked: str, found: str, seed: int,
             ) -> Direction:
    """Intervals are percentiles of ``DRAWS`` draws of whole samples with replacement, because questions of one sample
    rise and fall together (Efron and Tibshirani 1993).
    """
    rng = np.random.default_rng(seed)
    _, group = np.unique(sample, return_inverse=True)
    number = int(group.max()) + 1
    weights = rng.multinomial(number, np.full(number, 1 / number), DRAWS)[:, group]
    chance = _chance(partners, candidates)

    def mean(values: Floats, by_chance: float) -> Estimate:
        return _estimate(float(values.mean()), weights @ values / np.maximum(weights.sum(axis=1), 1), by_chance)

    recall = {k: mean((ranks <= k).astype(float), float(chance[:k].sum())) for k in KS}
    mrr = mean(1 / ranks, float((chance / np.arange(1, len(chance) + 1)).sum()))
    order = np.argsort(ranks)
    reached = np.cumsum(weights[:, order], axis=1)
    medians = ranks[order][(2 * reached >= reached[:, -1:]).argmax(axis=1)]
    median = _estimate(float(np.median(ranks)), medians, float(np.searchsorted(np.cumsum(chance), 0.5 - 1e-12) + 1))
    return Direction(asked, found, len(ranks), candidates, recall, mrr, median)


def _estimate(value: float, drawn: Floats, chance: float) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), chance)


def _chance(partners: Rows, candidates: int) -> Floats:
    """``(candidates,)`` the probability of each rank of the best of m partners where the order is random: that of the
    first of m balls drawn without replacement, averaged over the questions.
    """
    out = np.zeros(candidates)
    for m, share in zip(*np.unique(partners, return_counts=True), strict=True):
        others = candidates - m
        places = np.arange(others + 1)
        # P(rank > r) = C(n - r, m) / C(n, m); what is left after each place, times the chance of a partner there.
        left = np.concatenate([[1.0], np.cumprod((others - places[:-1]) / (candidates - places[:-1]))])
        out[: others + 1] += share / len(partners) * left * m / (candidates - places)
    return out
