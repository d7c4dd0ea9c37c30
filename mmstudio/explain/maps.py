"""An explanation becomes one map over the item: a weight for each of its places."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Explanation, Positions
from mmstudio.errors import AttentionUnavailable, SpaceMismatch

Floats = NDArray[np.float32]
View = Literal["similarity", "pooling", "received", "query", "rollout"]
MEAN_OF_HEADS = -1


@dataclass(frozen=True)
class RelevanceMap:
    """``weights (k,)`` float32 over ``positions``; ``unit`` says what the numbers are, ``title`` what is shown."""

    weights: Floats
    positions: Positions
    title: str
    unit: str


def to_unit(found: RelevanceMap) -> tuple[Floats, float, float]:
    """Weights ``(k,)`` as 0..1 of their own range over real places, and that range."""
    inside = found.weights[found.positions.placed]
    if not len(inside):
        return np.zeros_like(found.weights), 0.0, 0.0
    low, high = float(inside.min()), float(inside.max())
    return np.clip((found.weights - low) / max(high - low, 1e-12), 0, 1).astype(np.float32), low, high


def views(explanation: Explanation) -> list[View]:
    """Which maps this explanation can give."""
    offered: list[View] = []
    if explanation.tokens is not None:
        offered.append("similarity")
    if explanation.pooling is not None:
        offered.append("pooling")
    if explanation.attention:
        offered += ["received", "query"]
        if joins(explanation):
            offered.append("rollout")
    return offered


def similarity_map(explanation: Explanation, query: Floats) -> RelevanceMap:
    """Cosine of every token with ``query (dim,)`` of the same space: which part of the item is near to it."""
    if explanation.tokens is None or explanation.token_positions is None:
        raise AttentionUnavailable("This model gives no vectors for parts of an item.")
    if explanation.tokens.shape[1] != len(query):
        raise SpaceMismatch("The query lies in another space than this item.")
    return RelevanceMap(explanation.tokens @ query, explanation.token_positions, "Similarity of parts", "cosine")


def pooling_map(explanation: Explanation) -> RelevanceMap:
    """The weights with which the tokens were pooled into the vector. Not conditioned on any query."""
    if explanation.pooling is None or explanation.token_positions is None:
        raise AttentionUnavailable("This model pools without weights of its own.")
    return RelevanceMap(explanation.pooling, explanation.token_positions, "Pooling weights", "weight")


def attention_map(
    explanation: Explanation, layer: int, head: int = MEAN_OF_HEADS, query: int | None = None,
) -> RelevanceMap:
    """Attention of one layer: what ``query`` attends to, or with None how much each place is attended to on the mean.

    ``head`` MEAN_OF_HEADS averages the heads.
    """
    if not explanation.attention:
        raise AttentionUnavailable("This model gives no attention.", hint=explanation.note)
    chosen = explanation.attention[layer]
    one = None if head == MEAN_OF_HEADS else head
    name = "mean of heads" if one is None else f"head {head + 1}"
    if query is None:
        return RelevanceMap(chosen.received(one), chosen.positions,
                            f"Attention received · layer {layer + 1} · {name}", "attention")
    where = chosen.positions.label(query) or f"position {query + 1}"
    return RelevanceMap(chosen.row(query, one), chosen.positions,
                        f"Attention of {where} · layer {layer + 1} · {name}", "attention")


def rollout_map(explanation: Explanation) -> RelevanceMap:
    """Attention rollout (Abnar & Zuidema 2020): heads averaged, half the residual identity, layers multiplied. Where
    positions are joined between layers, each gives its share to those it was joined from.
    """
    layers = explanation.attention
    if not layers or not joins(explanation):
        raise AttentionUnavailable("Rollout needs layers that share their positions.")
    weights = read_weights(explanation, len(layers[-1].positions))
    for layer in reversed(layers):  # one row through the layers, for products of whole matrices take very long
        weights = parted(weights, len(layer.positions))
        weights = 0.5 * weights + 0.5 * layer.read(weights)
    return RelevanceMap(weights.astype(np.float32), layers[0].positions, "Attention rollout", "attention")


def joins(explanation: Explanation) -> bool:
    """Whether every layer is there and has the positions of the one before it, or squares of four of them joined."""
    counts = [len(layer.positions) for layer in explanation.attention]
    tokens = explanation.token_positions
    if len(set(counts)) > 1 and (tokens is None or len(tokens) != counts[-1]):
        return False
    return all(here == then or (here == 4 * then and round(then**0.5) ** 2 == then)
               for here, then in pairwise(counts))


def read_weights(explanation: Explanation, count: int) -> Floats:
    """``(count,)`` how much each of the last layer's positions goes into the vector: by the pooling's weights, or
    the one position that is read, else all alike.
    """
    pooling, query = explanation.pooling, explanation.pooling_query
    if pooling is not None and len(pooling) < count and explanation.rows is not None:
        pooling = np.pad(pooling, (0, count - len(pooling)))
    if pooling is not None and len(pooling) == count:
        return pooling
    return np.full(count, 1 / count, np.float32) if query is None else np.eye(1, count, query, dtype=np.float32)[0]


def parted(weights: NDArray[Any], count: int) -> NDArray[Any]:
    """Weights of a square grid as those of the ``count`` positions that it was joined from, four by four in squares
    (patch merging: Liu et al. 2021); the same where they are as many.
    """
    while len(weights) < count:
        side = round(len(weights) ** 0.5)
        weights = np.repeat(np.repeat(weights.reshape(side, side) / 4, 2, axis=0), 2, axis=1).ravel()
    return weights


def as_grid(found: RelevanceMap) -> tuple[Floats, tuple[float, float, float, float]]:
    """Patches as a picture: ``(rows, columns)`` float32 and the box ``left, top, right, bottom`` (0..1) it covers."""
    placed = found.positions.placed
    boxes, weights = found.positions.extents[placed], found.weights[placed]
    lefts, columns = np.unique(np.round(boxes[:, 0], 5), return_inverse=True)
    tops, rows = np.unique(np.round(boxes[:, 1], 5), return_inverse=True)
    grid = np.zeros((len(tops), len(lefts)), np.float32)
    grid[rows, columns] = weights
    return grid, (float(boxes[:, 0].min()), float(boxes[:, 1].min()),
                  float(boxes[:, 2].max()), float(boxes[:, 3].max()))
