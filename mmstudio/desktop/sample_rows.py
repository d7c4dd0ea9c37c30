"""Samples as rows of vectors, as what is measured on them needs them: all of them, or some drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from mmstudio.library import Items, Sample, VectorView


@dataclass(frozen=True, eq=False)
class SampleRows:
    """The ``rows (m,)`` of a view, one sample's after another's, and where each of n samples begins and the last ends,
    ``bounds (n + 1,)``. As arrays, because a list for each of 300,000 samples holds up the window.
    """

    rows: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, view: VectorView, samples: Sequence[Sample]) -> SampleRows:
        """Of the items that have a vector, of samples in which two or more have one."""
        ids = np.fromiter((i for sample in samples for i in sample.item_ids), np.int64)
        sizes = np.fromiter((len(sample.item_ids) for sample in samples), np.int64)
        order = np.argsort(view.ids, kind="stable")
        at = np.searchsorted(view.ids, ids, sorter=order).clip(max=max(0, len(order) - 1))
        rows = order[at] if len(order) else np.zeros(len(ids), np.int64)
        there = view.ids[rows] == ids if len(order) else np.zeros(len(ids), bool)
        owner = np.repeat(np.arange(len(samples)), sizes)
        there &= (np.bincount(owner[there], minlength=len(samples)) > 1)[owner]
        counts = np.bincount(owner[there], minlength=len(samples))
        return cls(rows[there].astype(np.int64), np.append(0, np.cumsum(counts[counts > 0])))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def drawn(self, most: int, seed: int = 0) -> SampleRows:
        """At most so many of the samples, always the same ones."""
        if len(self) <= most:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        parts = [self.rows[self.bounds[at] : self.bounds[at + 1]] for at in chosen.tolist()]
        return SampleRows(np.concatenate(parts), np.append(0, np.cumsum([len(part) for part in parts])))

    def lists(self) -> list[list[int]]:
        """The rows of each sample."""
        ends = self.bounds.tolist()
        return [self.rows[start:end].tolist() for start, end in pairwise(ends)]


def links_of(items: Items, samples: Sequence[Sample]) -> NDArray[np.int64]:
    """``(m, 2)`` ids of two items of different modalities in one sample. Of very many samples it takes a moment."""
    pairs = np.array([pair for sample in samples for pair in combinations(sample.item_ids, 2)],
                     np.int64).reshape(-1, 2)
    pairs = pairs[np.isin(pairs, items.ids()).all(axis=1)]
    kinds = items.modalities_of(pairs.ravel()).reshape(-1, 2)
    return pairs[kinds[:, 0] != kinds[:, 1]]
