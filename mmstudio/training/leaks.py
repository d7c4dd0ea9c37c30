"""Near-duplicates that lie in two parts, which would make a test easier than what comes after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.progress import Progress, Work
from mmstudio.training.splits import TRAIN, Parts

NEAR = 0.98
BLOCK = 2048
"""So many rows are compared with so many at once: 16 MB of cosines however many rows there are."""
MOST = 10_000
"""So many pairs are kept to be shown; all are counted, and all make groups."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Leaks:
    """``pairs (k, 2)`` int64 of examples in different parts, the lower first, their ``cosine (k,)`` float32 (nan where
    only hashes were compared), the ``count`` of all such pairs, and ``group (n,)`` int64: the lowest row of the
    near-duplicates that an example hangs together with where these lie in several parts, else -1.
    """

    pairs: Indices
    cosine: NDArray[np.float32]
    count: int
    group: Indices


def find(parts: Parts, vectors: NDArray[np.float32] | None = None, hashes: Sequence[str | None] | None = None,
         near: float = NEAR) -> Work[Leaks]:
    """All pairs of ``n`` examples in different parts whose ``vectors (n, dim)`` have a cosine of at least ``near``, or
    whose content hashes are equal; a step for each block of rows.

    Every row is compared with every other, block by block. A row of zeros and a hash of None or "" are near to
    nothing. Near-duplicates hang together through others, also of their own part. Raises TrainingError for vectors that
    are not numbers, and where the lengths differ.
    """
    n = len(parts)
    rows, codes = np.arange(n), None if hashes is None else _codes(hashes)
    if any(len(given) != n for given in (vectors, hashes) if given is not None):
        raise TrainingError("Each example needs a part, and a vector or a hash where these are compared.")
    unit = None if vectors is None else _unit(vectors)
    if unit is None and codes is not None:
        rows = np.flatnonzero(np.bincount(codes)[codes] > 1)  # a hash of its own is equal to none
    elif unit is None:
        rows = rows[:0]
    root, pairs, cosine, count = np.arange(n), [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)], 0
    for start in range(0, len(rows), BLOCK):
        for later in range(start, len(rows), BLOCK):
            left, right, shown = _near(rows, start, later, unit, codes, near)
            join(root, left, right)
            apart = parts[left] != parts[right]
            keep = np.flatnonzero(apart)[:max(MOST - count, 0)]
            pairs.append(np.stack([left[keep], right[keep]], axis=1))
            cosine.append(shown[keep])
            count += int(apart.sum())
        yield Progress(min(start + BLOCK, len(rows)), len(rows), "looking for duplicates")
    return Leaks(np.concatenate(pairs), np.concatenate(cosine), count, _spanning(root, parts))


def moved_to_train(parts: Parts, leaks: Leaks, groups: Indices) -> Parts:
    """``(n,)`` int8: every set of near-duplicates that lay in several parts is train's, with all that is of a group, by
    ``groups (n,)``, with one of them. What was taken along may leave a leak behind.
    """
    taken = np.isin(groups, groups[leaks.group >= 0])
    return np.where(taken, np.int8(TRAIN), parts).astype(np.int8)


def _codes(hashes: Sequence[str | None]) -> NDArray[np.int32]:
    """``(n,)`` equal where hashes are, each missing one its own."""
    seen: dict[str | int, int] = {}
    return np.array([seen.setdefault(one or index, len(seen)) for index, one in enumerate(hashes)], np.int32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    given = np.asarray(vectors, np.float32)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise TrainingError("Some vectors are not numbers, so that duplicates cannot be found.",
                            hint="Encode the items again.")
    return given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12)


def _near(rows: Indices, start: int, later: int, unit: NDArray[np.float32] | None,
          codes: NDArray[np.int32] | None, near: float) -> tuple[Indices, Indices, NDArray[np.float32]]:
    """Near pairs of the blocks of ``rows`` from ``start`` and from ``later``: lower row, higher row, cosine (k,)."""
    lower, higher = rows[start:start + BLOCK], rows[later:later + BLOCK]
    cosine = None if unit is None else unit[start:start + BLOCK] @ unit[later:later + BLOCK].T
    found = np.zeros((len(lower), len(higher)), bool) if cosine is None else cosine >= near
    if codes is not None:
        found |= codes[lower, None] == codes[higher]
    if start == later:
        found = np.triu(found, 1)
    i, j = np.nonzero(found)
    shown = np.full(len(i), np.nan, np.float32) if cosine is None else cosine[i, j]
    return lower[i], higher[j], shown


def join(root: Indices, left: Indices, right: Indices) -> None:
    """Make one set of each pair's two: ``root (n,)`` names a set by its lowest row, in place."""
    while True:
        a, b = root[left], root[right]
        apart = a != b
        if not apart.any():
            return
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(root, root[root]):
            root[:] = root[root]


def _spanning(root: Indices, parts: Parts) -> Indices:
    """``(n,)`` the root of a set that lies in several parts, -1 elsewhere."""
    lowest, highest = parts.copy(), parts.copy()
    np.minimum.at(lowest, root, parts)
    np.maximum.at(highest, root, parts)
    return np.where((lowest < highest)[root], root, -1)
