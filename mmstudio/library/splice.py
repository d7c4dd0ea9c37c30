"""New rows put into a sorted table without copying the old ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_PIECES = 1500
"""Beyond, a column of so many pieces is slower to read than to copy once."""


class Splice:
    """How rows of ids ``new (m,)`` replace and join rows of ids ``old (n,)``, both ascending, less those ``gone``."""

    def __init__(self, old: NDArray[np.int64], new: NDArray[np.int64], gone: NDArray[np.int64]) -> None:
        self._old_rows = np.searchsorted(old, new)
        inside = self._old_rows < len(old)
        self._replaces = np.zeros(len(new), np.bool_)
        self._replaces[inside] = old[self._old_rows[inside]] == new[inside]
        self._same_rows = bool(self._replaces.all()) and not len(gone)
        drop = np.concatenate([self._old_rows[self._replaces], np.searchsorted(old, gone)])
        keep = np.ones(len(old), np.bool_)
        keep[drop] = False
        self._count, self._keep = len(old), keep
        self._order = np.argsort(np.concatenate([old[keep], new]), kind="stable")
        self._pieces = self._runs() if len(drop) + np.count_nonzero(~inside) + inside.sum() < _MOST_PIECES else None

    def _runs(self) -> list[tuple[bool, int, int]]:
        """Runs of rows to take, as (whether from the new, first, end)."""
        kept = np.flatnonzero(self._keep)
        is_new = self._order >= len(kept)
        rows = np.where(is_new, self._order - len(kept), 0)
        rows[~is_new] = kept[self._order[~is_new]]
        if not len(rows):
            return []
        starts = np.flatnonzero(np.concatenate([[True], (np.diff(rows) != 1) | (np.diff(is_new.view(np.int8)) != 0)]))
        ends = np.append(starts[1:], len(rows))
        return [(bool(is_new[a]), int(rows[a]), int(rows[b - 1]) + 1) for a, b in zip(starts, ends, strict=True)]

    def __call__(self, old: Any, new: Any) -> Any:
        """A column's new rows among its old ones: a ChunkedArray, the old one itself where nothing differs."""
        import pyarrow as pa

        if self._same_rows and new.equals(old.take(self._old_rows)):
            return old
        if self._pieces is None:
            both = pa.chunked_array([*old.filter(self._keep).chunks, *new.chunks], type=old.type)
            sorted_already = bool(np.all(np.diff(self._order) == 1))
            return _one(both if sorted_already else both.take(self._order))
        chunks = [chunk for is_new, first, end in self._pieces
                  for chunk in (new if is_new else old).slice(first, end - first).chunks if len(chunk)]
        out = pa.chunked_array(chunks, type=old.type)
        return _one(out) if out.num_chunks > _MOST_PIECES else out


def _one(column: Any) -> Any:
    import pyarrow as pa

    return pa.chunked_array([column.combine_chunks()], type=column.type) if column.num_chunks > 1 else column
