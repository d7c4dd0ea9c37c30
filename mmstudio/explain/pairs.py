"""Why two items have the score they have: both sides at once, part by part, and which modality carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Encoder, Explanation, Positions, Vectors
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain import shapley
from mmstudio.explain.gradients import chefer
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.subject import Subject
from mmstudio.explore.fusion import item_weights, weighted_mean
from mmstudio.media import Media, Modality
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Side = tuple[Media, Modality]
MOST_PLAYERS, COALITIONS, AT_ONCE = 32, 128, 4
"""Words that count apart, combinations of them that are read, and how many of those in one step of the work."""


@dataclass(frozen=True)
class Pair:
    """Two items, each explained by its nearness to the other. ``between (ta, tb)`` is the cosine of every position of
    the first with every one of the second, None where one of them has no vectors for its positions.
    """

    sides: tuple[Subject, Subject]
    score: float
    between: Floats | None

    def pointed(self, side: int, position: int) -> RelevanceMap:
        """How near a position of one side is to every position of the other. Raises AttentionUnavailable."""
        between, other = self._between(), self.sides[1 - side].explanation
        row = between[position] if side == 0 else between[:, position]
        return _map(other, row, "Similarity to it")

    def weighted(self, side: int, position: int) -> Work[RelevanceMap]:
        """What in the other side carries its nearness to a position of one side: gradient-weighted attention (Chefer et
        al. 2021) towards that position's own vector. Raises AttentionUnavailable.
        """
        tokens, other = self.sides[side].explanation.tokens, self.sides[1 - side]
        if tokens is None:
            raise AttentionUnavailable("This model gives no vectors for parts of an item.")
        found = yield from chefer(other.towards(tokens[position]))
        return replace(found, title="Gradient × attention")

    def best(self, side: int) -> RelevanceMap:
        """For each position of one side, the similarity of the nearest of the other (late interaction: Khattab &
        Zaharia 2020). Raises AttentionUnavailable.
        """
        between = self._between() if side == 0 else self._between().T
        there = self.sides[1 - side].explanation.token_positions
        return _map(self.sides[side].explanation, between[:, there.placed if there else slice(None)].max(axis=1),
                    "Nearest part of the other")

    def _between(self) -> Floats:
        if self.between is None:
            raise AttentionUnavailable("This model gives no vectors for parts of an item.")
        return self.between


def _map(side: Explanation, weights: Floats, title: str) -> RelevanceMap:
    assert side.token_positions is not None
    return RelevanceMap(weights.astype(np.float32), side.token_positions, title, "cosine")


def pair_of(encoder: Encoder, one: Side, other: Side) -> Pair:
    """Read both. Raises WrongModality, EncoderError."""
    vectors = [encoder.forward([encoder.prepare(media, modality)])[0] for media, modality in (one, other)]
    sides = Subject(encoder, *one, vectors[1]), Subject(encoder, *other, vectors[0])
    tokens = [side.explanation.tokens for side in sides]
    between = None if tokens[0] is None or tokens[1] is None else tokens[0] @ tokens[1].T
    return Pair(sides, float(vectors[0] @ vectors[1]), between)


def nearest_token(tokens: Positions, places: Positions, place: int) -> int:
    """The token that a place of any map over the same item belongs to: that whose middle is nearest to its own."""
    def middles(extents: Floats) -> Floats:
        if tokens.kind == "patch":
            return np.asarray((extents[..., :2] + extents[..., 2:]) / 2, np.float32)
        return np.asarray(extents[..., :2].mean(axis=-1, keepdims=True), np.float32)

    if len(tokens) == len(places):
        return place
    far = ((middles(tokens.extents) - middles(places.extents[place])) ** 2).sum(axis=-1)
    return int(np.nanargmin(far))


def word_shares(subject: Subject, most: int = MOST_PLAYERS, budget: int = COALITIONS) -> Work[RelevanceMap]:
    """What each word adds to the score of a text: Shapley values by KernelSHAP (Lundberg & Lee 2017), which sum to its
    score minus that of no words; exact up to seven words. Of a text of more than ``most`` words, neighbours are one
    player together, so that no text takes more than about ``budget`` readings. Raises AttentionUnavailable.
    """
    if subject.modality != "text":
        raise AttentionUnavailable("Only a text has words.")
    parts, done = subject.parts, 0
    words = len(parts.positions)
    players = min(words, most)
    player = np.arange(words) * players // words
    positions = _stretches(parts.positions, player)

    def value(there: NDArray[np.bool_]) -> NDArray[np.float64]:
        return subject.scores([parts.kept(row[player].astype(np.float32)) for row in there])

    found = None
    for shares in shapley.kernel(value, players, budget, batch=AT_ONCE):
        done += AT_ONCE
        found = RelevanceMap(shares.astype(np.float32), positions, "Share of each word in the score", "score")
        yield Progress(min(done, budget), budget, fresh=found)
    assert found is not None
    return found


def _stretches(words: Positions, player: NDArray[np.int64]) -> Positions:
    """The words of each player as one place, named by its first and its last."""
    first = np.flatnonzero(np.diff(player, prepend=-1))
    last = np.append(first[1:], len(player)) - 1
    names = [words.label(a) if a == b else f"{words.label(a)} … {words.label(b)}"
             for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    return Positions("character", np.stack([words.extents[first, 0], words.extents[last, 1]], axis=1), tuple(names))


def modality_shares(vectors: Vectors, modalities: Sequence[str], weights: dict[str, float], query: Vectors,
                    ) -> dict[str, float]:
    """What each modality of a fused sample adds to its cosine with ``query (dim,)``: exact Shapley values over its
    modalities, which sum to the whole sample's score; nothing has the score 0. ``vectors (m, dim)`` are its items'.
    """
    players, kinds = sorted(set(modalities)), np.array(modalities)

    def value(there: NDArray[np.bool_]) -> NDArray[np.float64]:
        out = np.zeros(len(there))
        for number, row in enumerate(there):
            inside = np.isin(kinds, [name for name, is_there in zip(players, row, strict=True) if is_there])
            if inside.any():
                shares = item_weights(kinds[inside].tolist(), weights)
                out[number] = weighted_mean(vectors[inside], shares) @ query
        return out

    return dict(zip(players, shapley.exact(value, len(players)).tolist(), strict=True))
