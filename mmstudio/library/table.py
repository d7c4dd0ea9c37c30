"""The vectors of one space in memory, row by row, with the items they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.item import Item
from mmstudio.library.kept_vectors import room
from mmstudio.library.vector_keys import content_keys
from mmstudio.library.vectors import SpaceKey, VectorCache

_BLOCK = 1 << 16
_MOST_MOVED = 0.25
"""Of all rows; where more lie otherwise than in the cache, a copy takes less memory than the pages that they touch."""


@dataclass(frozen=True)
class VectorView:
    """A snapshot that other threads may read: ``ids (n,)`` int64, ``vectors (n, dim)`` float32 normalised,
    ``modalities (n,)`` of "image", "audio", "text".
    """

    key: SpaceKey
    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    modalities: NDArray[np.str_]
    rows: dict[int, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def vector(self, item_id: int) -> NDArray[np.float32] | None:
        """The item's vector, or None while it has none."""
        row = self.rows.get(item_id, -1)
        return self.vectors[row] if 0 <= row < len(self.ids) else None


class VectorTable:
    """A view stays as it was while the table grows and shrinks. Where most rows lie as they do in the space's cache,
    the table lies over the cache's mapped file: removing some items copies only what fills the holes they leave. All
    other large tables lie in files in ``folder``.
    """

    def __init__(self, key: SpaceKey, cache: VectorCache, folder: Path | None = None) -> None:
        self.key, self._cache, self._folder = key, cache, folder
        self._count = 0
        self._ids = np.empty(0, np.int64)
        self._modalities = np.empty(0, "<U5")
        self._places = np.empty(0, np.intp)  # the row in the cache of each row
        self._vectors = np.empty((0, key.dim), np.float32)
        self._own = False  # else they are the cache's, and each row is where it is there
        self._rows: dict[int, int] = {}

    @classmethod
    def of(cls, key: SpaceKey, ids: NDArray[np.int64], modalities: NDArray[np.str_], places: NDArray[np.intp],
           cache: VectorCache, folder: Path | None = None) -> VectorTable:
        """A table of items ``(n,)`` whose vectors are the rows ``places (n,)`` of the cache."""
        out, order, matrix = cls(key, cache, folder), _order(places), cache.matrix(key)
        out._ids, out._modalities, out._places, out._count = ids[order], modalities[order], places[order], len(ids)
        moved = np.flatnonzero(out._places != np.arange(len(ids)))
        out._own = len(moved) > 0
        if len(moved) > _MOST_MOVED * len(ids):
            out._vectors = room((len(ids), key.dim), folder)
            moved = np.arange(len(ids))
        else:
            out._vectors = cache.own_matrix(key) if out._own else matrix
        for start in range(0, len(moved), _BLOCK):
            some = moved[start : start + _BLOCK]
            out._vectors[some] = matrix[out._places[some]]
        out._rows = dict(zip(out._ids.tolist(), range(len(ids)), strict=True))
        return out

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item_id: int) -> bool:
        return item_id in self._rows

    @property
    def ids(self) -> NDArray[np.int64]:
        return self._ids[: self._count]

    def append(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
        """Add ``(m, dim)`` vectors, which the cache has, of ``m`` items that are not in the table yet."""
        start, end = self._count, self._count + len(items)
        if end > len(self._ids):
            size = max(end, 2 * len(self._ids), 256)
            self._ids, self._modalities, self._places = (
                _grown(array, size) for array in (self._ids, self._modalities, self._places))
        self._ids[start:end] = [item.id for item in items]
        self._modalities[start:end] = [item.modality for item in items]
        self._places[start:end] = self._cache.rows(self.key, content_keys([item.content_hash for item in items]))
        if not self._own and np.array_equal(self._places[start:end], np.arange(start, end)):
            self._vectors = self._cache.matrix(self.key)
        else:
            self._make_room(end)
            self._vectors[start:end] = self._cache.matrix(self.key)[self._places[start:end]]
        self._rows.update((item.id, start + i) for i, item in enumerate(items))
        self._count = end

    def _make_room(self, end: int) -> None:
        """Vectors of the table's own: over the cache's file as long as that is long enough, then by doubling."""
        if not self._own and end <= len(self._cache.matrix(self.key)):
            self._vectors = self._cache.own_matrix(self.key)
        elif not self._own or end > len(self._vectors):
            grown = room((max(end, 2 * self._count, 256), self.key.dim), self._folder)
            for start in range(0, self._count, _BLOCK):
                stop = min(start + _BLOCK, self._count)
                grown[start:stop] = self._vectors[start:stop]
            self._vectors = grown
        self._own = True

    def without(self, item_ids: NDArray[np.int64]) -> VectorTable:
        """A table without these items."""
        keep = np.flatnonzero(~np.isin(self.ids, item_ids))
        if len(keep) == self._count:
            return self
        return VectorTable.of(self.key, self.ids[keep], self._modalities[keep], self._places[keep], self._cache,
                              self._folder)

    def view(self) -> VectorView:
        """What the table holds now."""
        n = self._count
        return VectorView(self.key, self._ids[:n], self._vectors[:n], self._modalities[:n], self._rows)


def _order(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """An order ``(n,)`` in which as many ``places (n,)`` as can stand where they say; the others fill the holes."""
    order = np.argsort(places, kind="stable")
    count = len(places)
    inside = int(np.searchsorted(places[order], count))
    out, hole = np.empty(count, np.intp), np.ones(count, np.bool_)
    out[places[order[:inside]]] = order[:inside]
    hole[places[order[:inside]]] = False
    out[hole] = order[inside:]
    return out


def _grown(array: NDArray, size: int) -> NDArray:  # type: ignore[type-arg]
    out = np.empty((size, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
