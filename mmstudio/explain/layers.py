"""What happens between an encoder's layers: how neighbours change, and how alike two encoders see the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Encoder, Vectors, normalised
from mmstudio.errors import StudioError
from mmstudio.explain import inside
from mmstudio.media import Media, Modality
from mmstudio.progress import Progress, Work

NEIGHBOURS = 5


@dataclass(frozen=True)
class LayerNeighbours:
    """``near (layers, k)`` int64 are the rows nearest to an item, nearest first, and ``cosines`` theirs, after what
    enters the layers, each of them, and last in the encoder's own space. ``shared (layers,)`` is the share of them
    that are neighbours there too.
    """

    near: NDArray[np.int64]
    cosines: Vectors
    shared: Vectors


def layer_states(encoder: Encoder, items: Sequence[Media], modality: Modality) -> Work[list[Vectors]]:
    """Per layer ``(n, width)`` of length 1: each item's states on the mean of its positions, after what enters the
    layers, each of them, and last the vectors. Each item goes alone, so that no padding is in the mean. Raises
    AttentionUnavailable.
    """
    rows: list[list[Vectors]] = []
    for number, media in enumerate(items, 1):
        prepared = encoder.prepare(media, modality)
        vector, seen = inside.vectors(encoder, [prepared])
        states = [state.detach().float().reshape(-1, state.shape[-1]).mean(dim=0) for state in seen.states]
        rows.append([part.cpu().numpy() for part in (*states, vector[0].detach().float())])
        yield Progress(number, len(items))
    return [normalised(np.stack(layer)) for layer in zip(*rows, strict=True)]


def neighbours(states: Sequence[Vectors], row: int, k: int = NEIGHBOURS) -> LayerNeighbours:
    """Of one row among all, layer by layer; a layer's mean is taken off first, for states share a large part."""
    near, cosines = [], []
    for number, layer in enumerate(states):
        rows = layer if number == len(states) - 1 else normalised(layer - layer.mean(axis=0))
        scores = rows @ rows[row]
        scores[row] = -np.inf
        best = np.argsort(-scores, kind="stable")[: min(k, len(rows) - 1)]
        near.append(best)
        cosines.append(scores[best])
    last = set(near[-1].tolist())
    shared = [len(last & set(found.tolist())) / max(1, len(last)) for found in near]
    return LayerNeighbours(np.array(near), np.array(cosines, np.float32), np.array(shared, np.float32))


def linear_cka(one: Vectors, other: Vectors) -> float:
    """Linear centred kernel alignment of ``(n, p)`` and ``(n, q)``, rows of the same items (Kornblith et al. 2019):
    0..1, the same for rotations and scales of either. Raises StudioError where rows differ in number.
    """
    if len(one) != len(other):
        raise StudioError("Both must hold the same items.")
    x, y = (np.asarray(rows, np.float64) - np.asarray(rows, np.float64).mean(axis=0) for rows in (one, other))
    length = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / length) if length else 0.0
