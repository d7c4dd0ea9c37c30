"""What is selected: a set of keys that costs eight bytes each, and nothing in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.ids import id_array, union

FEW = 1000


class Selection(Set[int]):
    """A set that never changes, of ``keys (n,)`` int64, ascending: samples, which are below 0, come first."""

    def __init__(self, keys: Iterable[int] = ()) -> None:
        if isinstance(keys, Selection):
            self.keys: NDArray[np.int64] = keys.keys
        else:
            self.keys = id_array(keys)

    @property
    def items(self) -> NDArray[np.int64]:
        """The ids ``(m,)`` of items, ascending."""
        return self.keys[np.searchsorted(self.keys, 1) :]

    def rows_in(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """The places of those of ``ids``, ascending, that are selected."""
        if len(self) > FEW:
            return np.flatnonzero(np.isin(ids, self.keys, assume_unique=True))
        at = np.searchsorted(ids, self.keys)
        there = at < len(ids)
        there[there] = ids[at[there]] == self.keys[there]
        return at[there]

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, (int, np.integer)):
            return False
        at = int(np.searchsorted(self.keys, key))
        return at < len(self.keys) and bool(self.keys[at] == key)

    def __iter__(self) -> Iterator[int]:
        return iter(self.keys.tolist())

    def __len__(self) -> int:
        return len(self.keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Set) and np.array_equal(self.keys, Selection(other).keys)

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.int64]:
        return np.array(self.keys, dtype, copy=copy)  # type: ignore[call-overload]

    def __and__(self, other: Iterable[int]) -> Selection:
        return Selection(np.intersect1d(self.keys, Selection(other).keys, assume_unique=True))

    def __or__(self, other: Iterable[int]) -> Selection:  # type: ignore[override]
        few, many = sorted((self.keys, Selection(other).keys), key=len)
        return Selection(union(many, few))

    def __sub__(self, other: Iterable[int]) -> Selection:
        return Selection(np.setdiff1d(self.keys, Selection(other).keys, assume_unique=True))

    def __xor__(self, other: Iterable[int]) -> Selection:  # type: ignore[override]
        return Selection(np.setxor1d(self.keys, Selection(other).keys, assume_unique=True))
