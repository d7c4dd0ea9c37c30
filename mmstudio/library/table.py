"""The vectors of one space in memory, row by row, with the items they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.item import Item
from mmstudio.library.kept_vectors import room
from mmstudio.library.vectors import SpaceKey

_BLOCK = 1 << 16


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
    """A view stays as it was while the table grows: by doubling or, where its rows are just those of the cache's mapped
    ``matrix``, with that. Large tables of their own lie in files in ``folder``.
    """

    def __init__(self, key: SpaceKey, folder: Path | None = None) -> None:
        self.key, self._folder = key, folder
        self._count = 0
        self._ids = np.empty(0, np.int64)
        self._vectors = np.empty((0, key.dim), np.float32)
        self._modalities = np.empty(0, "<U5")
        self._rows: dict[int, int] = {}
        self._mapped = True

    @classmethod
    def of(cls, key: SpaceKey, ids: NDArray[np.int64], modalities: NDArray[np.str_], rows: NDArray[np.intp],
           matrix: NDArray[np.float32], folder: Path | None = None) -> VectorTable:
        """A table of items ``(n,)`` whose vectors are ``rows (n,)`` of the cache's ``matrix (m, dim)``, sorted."""
        out, order = cls(key, folder), np.argsort(rows, kind="stable")
        ids, modalities, rows = ids[order], modalities[order], rows[order]
        out._mapped = len(rows) == len(matrix) and bool(np.array_equal(rows, np.arange(len(rows))))
        out._ids, out._modalities, out._count = ids, modalities, len(ids)
        out._vectors = matrix if out._mapped else _taken(matrix, rows, folder)
        out._rows = dict(zip(ids.tolist(), range(len(ids)), strict=True))
        return out

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item_id: int) -> bool:
        return item_id in self._rows

    @property
    def ids(self) -> NDArray[np.int64]:
        return self._ids[: self._count]

    def append(self, items: Sequence[Item], vectors: NDArray[np.float32], matrix: NDArray[np.float32] | None = None,
               ) -> None:
        """Add ``(m, dim)`` vectors of ``m`` items that are not in the table yet; ``matrix`` is all that the cache has
        now, these last.
        """
        end = self._count + len(items)
        if end > len(self._ids):
            size = max(end, 2 * len(self._ids), 256)
            self._ids, self._modalities = _grown(self._ids, size), _grown(self._modalities, size)
        self._ids[self._count : end] = [item.id for item in items]
        self._modalities[self._count : end] = [item.modality for item in items]
        if self._mapped and matrix is not None and len(matrix) == end:
            self._vectors = matrix
        else:
            self._copy_in(vectors, end)
        self._rows.update((item.id, self._count + i) for i, item in enumerate(items))
        self._count = end

    def _copy_in(self, vectors: NDArray[np.float32], end: int) -> None:
        if self._mapped or end > len(self._vectors):
            grown = room((max(end, 2 * len(self._vectors), 256), self.key.dim), self._folder)
            for start in range(0, self._count, _BLOCK):
                stop = min(start + _BLOCK, self._count)
                grown[start:stop] = self._vectors[start:stop]
            self._vectors, self._mapped = grown, False
        self._vectors[self._count : end] = vectors

    def without(self, item_ids: set[int]) -> VectorTable:
        """A table without these items."""
        keep = np.flatnonzero(~np.isin(self.ids, list(item_ids)))
        if len(keep) == self._count:
            return self
        return VectorTable.of(self.key, self.ids[keep], self._modalities[keep], keep, self._vectors[: self._count],
                              self._folder)

    def view(self) -> VectorView:
        """What the table holds now."""
        n = self._count
        return VectorView(self.key, self._ids[:n], self._vectors[:n], self._modalities[:n], self._rows)


def _taken(matrix: NDArray[np.float32], rows: NDArray[np.intp], folder: Path | None) -> NDArray[np.float32]:
    out = room((len(rows), matrix.shape[1]), folder)
    for start in range(0, len(rows), _BLOCK):
        out[start : start + _BLOCK] = matrix[rows[start : start + _BLOCK]]
    return out


def _grown(array: NDArray, size: int) -> NDArray:  # type: ignore[type-arg]
    out = np.empty((size, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
