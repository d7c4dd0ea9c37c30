"""Sets of ids as arrays: int64, ascending, each once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def id_array(item_ids: Iterable[int]) -> NDArray[np.int64]:
    """``(n,)``, ascending, each once."""
    ids = item_ids if isinstance(item_ids, np.ndarray) else np.fromiter(item_ids, np.int64)
    if np.any(ids[1:] <= ids[:-1]):
        ids = np.sort(ids)
        ids = ids[np.diff(ids, prepend=ids[0] - 1) > 0]
    return ids.astype(np.int64, copy=False)


def union(many: NDArray[np.int64], few: NDArray[np.int64]) -> NDArray[np.int64]:
    """All ids of both. ``few`` are put where they belong; to sort a million again holds up every thread of Python."""
    at = np.searchsorted(many, few)
    there = at < len(many)
    there[there] = many[at[there]] == few[there]
    return np.insert(many, at[~there], few[~there])
