"""An encoder's attention at a glance: every head of a layer small, with its entropy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import AttentionLayer

Floats = NDArray[np.float32]
SIDE = 64


def entropies(layer: AttentionLayer) -> Floats:
    """``(heads,)`` float32: the entropy of what a position attends to, on the mean of positions, as a share of that of
    attending to all alike: 0 looks at one place, 1 at everything.
    """
    keys = layer.weights.shape[-1]
    if keys < 2:
        return np.zeros(layer.heads, np.float32)
    out = np.zeros(layer.heads, np.float32)
    for head in range(layer.heads):
        rows = np.maximum(layer.weights[:, head], 0)
        out[head] = -np.sum(rows * np.log(np.maximum(rows, 1e-12)), axis=-1).mean() / np.log(keys)
    return out


def shrunk(matrix: Floats, side: int = SIDE) -> Floats:
    """``(q, k)`` → at most ``(side, side)``: the largest of each block, so that a thin diagonal is still seen."""
    for axis in (0, 1):
        if matrix.shape[axis] > side:
            starts = np.linspace(0, matrix.shape[axis], side, endpoint=False).astype(int)
            matrix = np.maximum.reduceat(matrix, starts, axis=axis)
    return np.asarray(matrix, np.float32)


def head_matrix(layer: AttentionLayer, head: int, side: int = SIDE) -> Floats:
    """One head's attention, queries down and keys across, at most ``(side, side)``; of windowed attention block by
    block, without making the dense matrix.
    """
    count = len(layer.positions)
    small = min(side, count)
    if len(layer.weights) == 1 and np.array_equal(layer.index[0], np.arange(count)):
        return shrunk(layer.weights[0, head], small)
    out = np.zeros((small, small), np.float32)
    for block, index in zip(layer.weights[:, head], layer.index * small // count, strict=True):
        np.maximum.at(out, (index[:, None], index[None]), block)
    return out
