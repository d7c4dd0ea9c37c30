"""Fusion without learning: the vectors of a sample's items become one vector of the same space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import SpaceMismatch

Floats = NDArray[np.float32]


def weighted_mean(vectors: Floats, weights: NDArray[np.floating] | Sequence[float]) -> Floats:
    """``(dim,)`` normalised weighted mean of ``(m, dim)`` unit vectors (intermediate fusion in a joint space).

    Only proportions of the weights matter; all zero weights count as equal. Raises SpaceMismatch where the number of
    weights is not ``m``.
    """
    share = np.maximum(np.asarray(weights, np.float32), 0)
    if vectors.ndim != 2 or len(vectors) != len(share):
        raise SpaceMismatch("There must be one weight per vector, and the vectors must share one space.")
    if not share.any():
        share = np.ones_like(share)
    mean = (share / share.sum()) @ vectors
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)


def item_weights(modalities: Sequence[str], by_modality: Mapping[str, float]) -> Floats:
    """``(m,)`` weights of items from the weights of their modalities: a modality's weight is shared by its items, so
    three pictures do not outvote one sound.
    """
    counts = {m: modalities.count(m) for m in set(modalities)}
    return np.array([by_modality.get(m, 1.0) / counts[m] for m in modalities], np.float32)


def centred(vectors: Floats, groups: NDArray[np.generic]) -> Floats:
    """Each group's mean subtracted and rows normalised again: closes the modality gap (Liang et al. 2022)."""
    out = np.array(vectors, np.float32)
    for group in np.unique(groups):
        rows = groups == group
        if rows.sum() > 1:
            out[rows] -= out[rows].mean(axis=0)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
