"""The gap between modalities: where each lies in the joint space, how spread it is, and what closing the gap does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore.fusion import centred

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
MOST_PAIRS = 1_000_000
_BLOCK = 1024


@dataclass(frozen=True)
class Modal:
    """One modality: ``count`` items, the ``centre (dim,)``, how ``narrow`` its cone is (the length of the centre, 1
    where all vectors are one), and its ``uniformity``: lower is more even, -4 is about that of an even sphere.
    """

    name: str
    count: int
    centre: Floats
    narrow: float
    uniformity: float


@dataclass(frozen=True)
class Between:
    """Two modalities: the ``gap (dim,)`` from the centre of ``one`` to that of the ``other`` and its ``length``;
    ``alignment`` is the mean squared distance of linked pairs, lower is better, ``chance`` that of unlinked ones; NaN
    without links.
    """

    one: str
    other: str
    gap: Floats
    length: float
    links: int
    alignment: float
    chance: float


@dataclass(frozen=True)
class Closing:
    """Recall@1 of linked pairs from one modality to the other, as it is ``before`` and ``after`` the gap is closed."""

    one: str
    other: str
    pairs: int
    before: float
    after: float


def modal(vectors: Floats, modalities: NDArray[np.str_], seed: int = 0) -> list[Modal]:
    """Centre and uniformity of each modality of unit ``vectors (n, dim)``."""
    out = []
    for name in np.unique(modalities):
        own = vectors[modalities == name]
        centre = own.mean(axis=0)
        out.append(Modal(str(name), len(own), centre, float(np.linalg.norm(centre)), uniformity(own, seed)))
    return out


def uniformity(vectors: Floats, seed: int = 0) -> float:
    """The logarithm of the mean over pairs of exp(-2 d²) (Wang and Isola 2020, with t = 2); of very many pairs, a
    million drawn at random. NaN for fewer than two vectors.
    """
    n = len(vectors)
    if n < 2:
        return float("nan")
    if n * (n - 1) // 2 <= MOST_PAIRS:
        one, other = np.triu_indices(n, 1)
    else:
        one, other = np.random.default_rng(seed).integers(0, n, (2, MOST_PAIRS))
        one, other = one[one != other], other[one != other]
    total = sum(float(np.exp(-2 * _squared(vectors, one[s : s + 8192], other[s : s + 8192])).sum())
                for s in range(0, len(one), 8192))
    return float(np.log(total / len(one)))


def between(vectors: Floats, modalities: NDArray[np.str_], samples: Sequence[Sequence[int]]) -> list[Between]:
    """Gap and alignment (Liang et al. 2022; Wang and Isola 2020, with a = 2) of every two modalities. ``samples`` are
    rows that belong together: those of two modalities are linked.
    """
    out = []
    for one, other in combinations([str(name) for name in np.unique(modalities)], 2):
        first, second = vectors[modalities == one], vectors[modalities == other]
        gap = second.mean(axis=0) - first.mean(axis=0)
        links = linked(modalities, samples, one, other)
        apart = float(_squared(vectors, links[:, 0], links[:, 1]).mean()) if len(links) else float("nan")
        # The mean over all pairs of |x - y|² by the means alone.
        chance = float((first**2).sum(axis=1).mean() + (second**2).sum(axis=1).mean()
                       - 2 * first.mean(axis=0) @ second.mean(axis=0))
        out.append(Between(one, other, gap, float(np.linalg.norm(gap)), len(links), apart, chance))
    return out


def linked(modalities: NDArray[np.str_], samples: Sequence[Sequence[int]], one: str, other: str) -> Rows:
    """``(p, 2)`` rows of the two modalities that are in one sample."""
    pairs = {(a, b) for rows in samples for a in rows if modalities[a] == one
             for b in rows if modalities[b] == other}
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def closing(vectors: Floats, modalities: NDArray[np.str_], samples: Sequence[Sequence[int]]) -> list[Closing]:
    """What mean-centring each modality does to recall@1 of linked pairs, in every direction: candidates are all rows of
    the other modality.
    """
    closed = centred(vectors, modalities)
    out = []
    for one, other in permutations([str(name) for name in np.unique(modalities)], 2):
        links = linked(modalities, samples, one, other)
        if len(links):
            among = np.flatnonzero(modalities == other)
            out.append(Closing(one, other, len(np.unique(links[:, 0])), _first(vectors, links, among),
                               _first(closed, links, among)))
    return out


def joint_recall(vectors: Floats, modalities: NDArray[np.str_], samples: Sequence[Sequence[int]],
                 ) -> tuple[float, float]:
    """Recall@1 before and after where all items but the question are candidates, so that the gap itself decides."""
    ways = permutations(np.unique(modalities).tolist(), 2)
    links = np.concatenate([np.zeros((0, 2), np.int64), *(linked(modalities, samples, a, b) for a, b in ways)])
    if not len(links):
        return float("nan"), float("nan")
    every = np.arange(len(vectors))
    return _first(vectors, links, every), _first(centred(vectors, modalities), links, every)


def _first(vectors: Floats, links: Rows, among: Rows) -> float:
    """The share of questions whose nearest is a partner."""
    questions, partners, hits = np.unique(links[:, 0]), _by(links), 0
    for start in range(0, len(questions), _BLOCK):
        some = questions[start : start + _BLOCK]
        near = vectors[some] @ vectors[among].T
        near[some[:, None] == among] = -np.inf
        best = among[near.argmax(axis=1)]
        hits += sum(int(b) in partners[int(q)] for q, b in zip(some, best, strict=True))
    return hits / len(questions)


def _by(links: Rows) -> dict[int, set[int]]:
    """The partners of each question."""
    out: dict[int, set[int]] = {}
    for one, other in links.tolist():
        out.setdefault(one, set()).add(other)
    return out


def _squared(vectors: Floats, one: Rows, other: Rows) -> Floats:
    return ((vectors[one] - vectors[other]) ** 2).sum(axis=1)
