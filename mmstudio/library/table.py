"""The vectors of one space in memory, row by row, with the items they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.store import Item
from mmstudio.library.vectors import SpaceKey


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
    """Grows by doubling; a view stays as it was while the table grows."""

    def __init__(self, key: SpaceKey) -> None:
        self.key = key
        self._count = 0
        self._ids = np.empty(256, np.int64)
        self._vectors = np.empty((256, key.dim), np.float32)
        self._modalities = np.empty(256, "<U5")
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item_id: int) -> bool:
        return item_id in self._rows

    def append(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
        """Add ``(m, dim)`` vectors of ``m`` items that are not in the table yet."""
        end = self._count + len(items)
        if end > len(self._ids):
            size = max(end, 2 * len(self._ids))
            self._ids = _grown(self._ids, size)
            self._vectors = _grown(self._vectors, size)
            self._modalities = _grown(self._modalities, size)
        self._ids[self._count : end] = [item.id for item in items]
        self._vectors[self._count : end] = vectors
        self._modalities[self._count : end] = [item.modality for item in items]
        self._rows.update((item.id, self._count + i) for i, item in enumerate(items))
        self._count = end

    def without(self, item_ids: set[int]) -> VectorTable:
        """A table without these items."""
        out = VectorTable(self.key)
        keep = ~np.isin(self._ids[: self._count], list(item_ids))
        out._ids, out._vectors = self._ids[: self._count][keep], self._vectors[: self._count][keep]
        out._modalities, out._count = self._modalities[: self._count][keep], int(keep.sum())
        out._rows = {int(identity): row for row, identity in enumerate(out._ids)}
        return out

    def view(self) -> VectorView:
        """What the table holds now."""
        n = self._count
        return VectorView(self.key, self._ids[:n], self._vectors[:n], self._modalities[:n], self._rows)


def _grown(array: NDArray, size: int) -> NDArray:  # type: ignore[type-arg]
    out = np.empty((size, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
