"""Samples as rows of vectors, as what is measured on them needs them: all of them, or some drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmstudio.library import Items, Sample, VectorView

Rows = list[list[int]]


def rows_of(view: VectorView, samples: Sequence[Sample]) -> Rows:
    """The rows of each sample's items that have a vector, where it has two or more."""
    found = [[view.rows[i] for i in sample.item_ids if view.rows.get(i, len(view)) < len(view)] for sample in samples]
    return [rows for rows in found if len(rows) > 1]


def drawn(rows: Rows, most: int, seed: int = 0) -> Rows:
    """At most so many of the samples, always the same ones."""
    if len(rows) <= most:
        return rows
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
    return [rows[at] for at in chosen.tolist()]


def links_of(items: Items, samples: Sequence[Sample]) -> NDArray[np.int64]:
    """``(m, 2)`` ids of two items of different modalities in one sample. Of very many samples it takes a moment."""
    pairs = np.array([pair for sample in samples for pair in combinations(sample.item_ids, 2)],
                     np.int64).reshape(-1, 2)
    pairs = pairs[np.isin(pairs, items.ids()).all(axis=1)]
    kinds = items.modalities_of(pairs.ravel()).reshape(-1, 2)
    return pairs[kinds[:, 0] != kinds[:, 1]]
