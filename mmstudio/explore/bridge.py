"""A bridge from one space to another, by texts that the models of both have read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import SpaceMismatch

Floats = NDArray[np.float32]
Way = Literal["procrustes", "ridge"]
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
LEAST = 10


@dataclass(frozen=True)
class Bridge:
    """``turn (from, to)`` takes vectors less ``mean_from`` to those of the other space less ``mean_to``.

    Held out, by cross-validation on texts that the bridge was not made from: ``cosine`` of where a text lands and where
    it belongs, both less the mean; ``recall`` is how often the right one of the held-out texts is the nearest, and
    ``chance`` what that is for a random order.
    """

    way: Way
    turn: Floats
    mean_from: Floats
    mean_to: Floats
    cosine: float
    recall: float
    chance: float
    strength: float = 0.0

    def over(self, vectors: Floats) -> Floats:
        """``(n, to)`` unit vectors in the other space."""
        out = (vectors - self.mean_from) @ self.turn + self.mean_to
        return (out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def bridge(one: Floats, other: Floats, way: Way, folds: int = 5, seed: int = 0) -> Bridge:
    """From the same texts' vectors ``one (n, from)`` and ``other (n, to)``: the turn that brings them nearest
    (Schönemann 1966), or ridge regression (Hoerl and Kennard 1970) with the strength that holds best on texts left out.
    Raises SpaceMismatch for fewer than ten texts.
    """
    if len(one) != len(other) or len(one) < LEAST:
        raise SpaceMismatch(f"A bridge needs at least {LEAST} texts that both models have read.",
                            hint="Add texts, or encode them with the other model too.")
    fold = np.random.default_rng(seed).permutation(len(one)) % folds
    tried = [(*_held_out(one, other, way, strength, fold), strength)
             for strength in (STRENGTHS if way == "ridge" else (0.0,))]
    cosine, recall, chance, strength = max(tried)
    turn, mean_from, mean_to = _fitted(one, other, way, strength)
    return Bridge(way, turn, mean_from, mean_to, cosine, recall, chance, strength)


def _fitted(one: Floats, other: Floats, way: Way, strength: float) -> tuple[Floats, Floats, Floats]:
    mean_from, mean_to = one.mean(axis=0), other.mean(axis=0)
    a, b = (one - mean_from).astype(np.float64), (other - mean_to).astype(np.float64)
    if way == "procrustes":
        left, _, right = np.linalg.svd(a.T @ b, full_matrices=False)
        turn = left @ right
    else:
        spread = np.trace(a.T @ a) / a.shape[1]  # so that the strength means the same in every space
        turn = np.linalg.solve(a.T @ a + strength * spread * np.eye(a.shape[1]), a.T @ b)
    return turn.astype(np.float32), mean_from, mean_to


def _held_out(one: Floats, other: Floats, way: Way, strength: float, fold: NDArray[np.integer],
              ) -> tuple[float, float, float]:
    """Cosine, recall@1 and chance, each the mean over the texts."""
    cosines, hits, chances = list[float](), list[bool](), list[float]()
    for held in range(int(fold.max()) + 1):
        out = fold == held
        turn, mean_from, mean_to = _fitted(one[~out], other[~out], way, strength)
        landed, wanted = (one[out] - mean_from) @ turn, other[out] - mean_to
        landed, wanted = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12) for a in (landed, wanted))
        near = landed @ wanted.T
        cosines += np.diag(near).tolist()
        hits += (near.argmax(axis=1) == np.arange(len(near))).tolist()
        chances += [1 / len(near)] * len(near)
    return float(np.mean(cosines)), float(np.mean(hits)), float(np.mean(chances))
