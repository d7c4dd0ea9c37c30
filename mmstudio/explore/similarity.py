"""How near vectors are: cosine, dot, Euclid, Pearson and angle; the nearest of many, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import SpaceMismatch
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Measure = Literal["cosine", "dot", "euclid", "pearson", "angular"]
MEASURES: tuple[Measure, ...] = ("cosine", "dot", "euclid", "pearson", "angular")
BLOCK = 8192


@dataclass(frozen=True)
class Hit:
    """One found row: its ``index`` in the searched table and its ``score``; higher is nearer, distances are negated."""

    index: int
    score: float


def scores(table: Floats, query: Floats, measure: Measure = "cosine") -> Floats:
    """``(n,)`` float32 nearness of each row of ``table (n, dim)`` to ``query (dim,)``; higher is nearer.

    Cosine and Pearson lie in -1..1, dot is not bounded, Euclid is the negated distance, and angular the negated angle
    in half turns, -1..0, which unlike one minus cosine is a distance. Read block by block, so that a
    table mapped into memory may be larger than it. Raises SpaceMismatch where dimensions differ.
    """
    _require_one_space(table, query[None])
    out = np.empty(len(table), np.float32)
    for start in range(0, len(table), BLOCK):
        out[start : start + BLOCK] = score_matrix(table[start : start + BLOCK], query[None], measure)[:, 0]
    return out


def score_matrix(rows: Floats, columns: Floats, measure: Measure = "cosine") -> Floats:
    """``(n, m)`` float32 nearness of ``rows (n, dim)`` to ``columns (m, dim)``, as ``scores`` has it."""
    _require_one_space(rows, columns)
    if measure == "dot":
        return (rows @ columns.T).astype(np.float32)
    if measure == "euclid":
        squared = _squares(rows)[:, None] + _squares(columns) - 2 * (rows @ columns.T)
        return -np.sqrt(np.maximum(squared, 0)).astype(np.float32)
    if measure == "pearson":
        rows = rows - rows.mean(axis=1, keepdims=True)
        columns = columns - columns.mean(axis=1, keepdims=True)
    lengths = np.sqrt(_squares(rows))[:, None] * np.sqrt(_squares(columns))
    cosines = (rows @ columns.T / np.maximum(lengths, 1e-12)).astype(np.float32)
    return -np.arccos(cosines.clip(-1, 1)) / np.float32(np.pi) if measure == "angular" else cosines


def _squares(rows: Floats) -> Floats:
    return np.einsum("ij,ij->i", rows, rows)


def _require_one_space(rows: Floats, columns: Floats) -> None:
    if rows.ndim != 2 or columns.ndim != 2 or rows.shape[1] != columns.shape[1]:
        raise SpaceMismatch(
            f"Vectors of {columns.shape[-1]} and {rows.shape[-1]} dimensions lie in different spaces and cannot be "
            "compared.")


def nearest(values: Floats, k: int, within: NDArray[np.bool_] | None = None) -> list[Hit]:
    """The ``k`` rows of highest score, best first, only where ``within`` is True."""
    candidates = np.arange(len(values)) if within is None else np.flatnonzero(within)
    k = min(k, len(candidates))
    if k < 1:
        return []
    chosen = values[candidates]
    top = np.argpartition(-chosen, k - 1)[:k]
    top = top[np.argsort(-chosen[top], kind="stable")]
    return [Hit(int(candidates[i]), float(chosen[i])) for i in top]


def neighbour_graph(vectors: Floats, k: int, block: int = 512) -> Work[tuple[NDArray[np.int64], Floats]]:
    """Exact ``k`` nearest other rows by Euclid: ``(n, k)`` indices, nearest first, and ``(n, k)`` distances; a step per
    ``block`` of rows.
    """
    n = len(vectors)
    k = min(k, n - 1)
    squares = (vectors**2).sum(axis=1)
    indices, distances = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        squared = squares[rows, None] + squares[None] - 2 * (vectors[rows] @ vectors.T)
        squared[np.arange(squared.shape[0]), np.arange(rows.start, rows.stop)] = np.inf
        near = np.argpartition(squared, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(squared, near, axis=1)
        order = np.argsort(found, axis=1)
        indices[rows] = np.take_along_axis(near, order, axis=1)
        distances[rows] = np.sqrt(np.maximum(np.take_along_axis(found, order, axis=1), 0))
        yield Progress(rows.stop, n, "finding neighbours")
    return indices, distances
