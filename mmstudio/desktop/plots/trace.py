"""One curve of any length: grows, is smoothed, and is seen at the screen's resolution without losing a spike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]
_FINEST = 16
"""Points of the smallest bucket that is kept; smaller ones are made when looked at."""
_BLOCK = 64
"""Points that are smoothed by one matrix."""


class Grown:
    """Rows that are appended in pieces: ``(n, *shape)``. Room grows by half, so that a row costs O(1)."""

    def __init__(self, kind: type[np.generic] = np.float64, shape: tuple[int, ...] = ()) -> None:
        self._room = np.empty((64, *shape), kind)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[np.generic]:
        """A view of what is there; good until the next change."""
        return self._room[: self._count]

    def extend(self, more: NDArray[np.generic]) -> None:
        needed = self._count + len(more)
        if needed > len(self._room):
            room = np.empty((max(needed, len(self._room) * 3 // 2), *self._room.shape[1:]), self._room.dtype)
            room[: self._count] = self._room[: self._count]
            self._room = room
        self._room[self._count : needed] = more
        self._count = needed

    def cut(self, count: int) -> None:
        """Keep the first ``count`` rows."""
        self._count = min(self._count, count)


class Pyramid:
    """Where in every bucket of 16, 32, 64, … values the least and the greatest lie. Values that are no numbers, or not
    above ``floor``, are passed over.
    """

    def __init__(self, floor: float = -math.inf) -> None:
        self._floor = floor
        self._levels: list[tuple[Grown, Grown]] = []

    def renew(self, values: Floats, first: int) -> None:
        """Take in ``values (n,)``, of which those from ``first`` on are new."""
        level, bucket = 0, first // _FINEST
        while len(values) > _FINEST << level or not level:
            if level == len(self._levels):
                self._levels.append((Grown(np.int32), Grown(np.int32)))
                bucket = 0
            made = self._leaves(values, bucket) if not level else self._joined(values, level, bucket)
            for kept, more in zip(self._levels[level], made, strict=True):
                kept.cut(bucket)
                kept.extend(more)
            level, bucket = level + 1, bucket // 2
        del self._levels[level:]

    def _leaves(self, values: Floats, bucket: int) -> tuple[Indices, Indices]:
        return _extremes(values, bucket * _FINEST, len(values), _FINEST, self._floor)

    def _joined(self, values: Floats, level: int, bucket: int) -> tuple[Indices, Indices]:
        """Buckets of a level from ``bucket`` on, two of the level below in each."""
        lows, highs = (np.asarray(kept.rows[2 * bucket :]) for kept in self._levels[level - 1])
        if len(lows) % 2:
            lows, highs = np.append(lows, lows[-1]), np.append(highs, highs[-1])
        left, right = values[lows[::2]], values[lows[1::2]]
        low = np.where(~(left > self._floor) | (right < left) & (right > self._floor), lows[1::2], lows[::2])
        left, right = values[highs[::2]], values[highs[1::2]]
        high = np.where(~(left > self._floor) | (right > left), highs[1::2], highs[::2])
        return low, high

    def seen(self, values: Floats, start: int, stop: int, most: int) -> Indices:
        """Indices of at most ``2 * most + 4`` of ``values[start:stop]``, in order: two of every bucket."""
        size = 1
        while (stop - start) > size * most:
            size *= 2
        start, stop = start // size * size, min(len(values), -(-stop // size) * size)
        if size < _FINEST:
            low, high = _extremes(values, start, stop, size, self._floor)
        else:
            lows, highs = self._levels[size.bit_length() - _FINEST.bit_length()]
            low = np.asarray(lows.rows[start // size : -(-stop // size)], np.int32)
            high = np.asarray(highs.rows[start // size : -(-stop // size)], np.int32)
        found = np.empty(2 * len(low), np.int32)
        np.minimum(low, high, out=found[::2])
        np.maximum(low, high, out=found[1::2])
        return found


def _extremes(values: Floats, start: int, stop: int, size: int, floor: float) -> tuple[Indices, Indices]:
    """Where the least and the greatest of every ``size`` of ``values[start:stop]`` lie."""
    buckets = -(-(stop - start) // size)
    padded = np.full(buckets * size, np.nan)
    padded[: stop - start] = values[start:stop]
    table = padded.reshape(buckets, size)
    good = table > floor
    first = start + size * np.arange(buckets, dtype=np.int32)
    low = np.where(good, table, np.inf).argmin(1).astype(np.int32)
    high = np.where(good, table, -np.inf).argmax(1).astype(np.int32)
    return first + low, first + high


class Trace:
    """Points ``x (n,)``, which never falls, and ``y (n,)`` with NaN where there is a gap; both float64.

    ``log`` is for a logarithmic scale: what is not above zero is seen as a gap.
    """

    def __init__(self, smoothing: float = 0.0, log: bool = False) -> None:
        self.log = log
        self.smoothing = _weight(smoothing)
        self.clear()

    def clear(self) -> None:
        self._x, self._y, self._smooth = Grown(), Grown(), Grown()
        floor = 0.0 if self.log else -math.inf
        self._pyramid, self._smooth_pyramid = Pyramid(floor), Pyramid(floor)
        self._average, self._counted = 0.0, 0

    def __len__(self) -> int:
        return len(self._x)

    @property
    def x(self) -> Floats:
        return np.asarray(self._x.rows, np.float64)

    @property
    def y(self) -> Floats:
        return np.asarray(self._y.rows, np.float64)

    @property
    def smoothed(self) -> Floats:
        """``(n,)`` the moving average, NaN where ``y`` is."""
        return np.asarray(self._smooth.rows, np.float64) if self.smoothing else self.y

    def add(self, x: Floats, y: Floats) -> None:
        """Append points ``(k,)``. An ``x`` behind the last is drawn at the last; one that is no number is a gap."""
        first, x, y = len(self), np.array(x, np.float64), np.array(y, np.float64)
        if not len(x):
            return
        good = np.isfinite(x)
        y[~(np.isfinite(y) & good)] = np.nan
        x[~good] = -np.inf
        x[0] = max(x[0], self.x[-1] if first else x[good].min(initial=np.inf))
        self._x.extend(np.maximum.accumulate(np.where(np.isposinf(x), 0.0, x)))
        self._y.extend(y)
        self._pyramid.renew(self.y, first)
        self._smooth_more(first)

    def smooth(self, smoothing: float) -> None:
        """Smooth by another weight of what was: 0 (not at all) to 0.999."""
        if _weight(smoothing) != self.smoothing:
            self.smoothing = _weight(smoothing)
            self._smooth, self._smooth_pyramid = Grown(), Pyramid(0.0 if self.log else -math.inf)
            self._average, self._counted = 0.0, 0
            self._smooth_more(0)

    def _smooth_more(self, first: int) -> None:
        """Average the points from ``first`` on. Begun at zero and divided by the weights so far, as in Adam (Kingma &
        Ba 2015), so that the first points are not pulled to zero. Gaps are passed over.
        """
        if not self.smoothing or first == len(self):
            return
        y = self.y[first:]
        good = np.isfinite(y)
        found = np.full(len(y), np.nan)
        if good.any():
            sums = _recurrence((1 - self.smoothing) * y[good], self.smoothing, self._average)
            numbers = self._counted + np.arange(1, len(sums) + 1)
            found[good] = sums / -np.expm1(numbers * math.log(self.smoothing))
            self._average, self._counted = float(sums[-1]), int(numbers[-1])
        self._smooth.extend(found)
        self._smooth_pyramid.renew(self.smoothed, first)

    def seen(self, low: float, high: float, pixels: int, smoothed: bool = False) -> tuple[Floats, Floats]:
        """At most some ``4 * pixels`` points ``x (k,)``, ``y (k,)`` from ``low`` to ``high`` and one on either side,
        so that lines leave the view. Where there are more, the least and the greatest of every bucket.
        """
        x, y = self.x, self.smoothed if smoothed else self.y
        start = max(0, int(np.searchsorted(x, low)) - 1)
        stop = min(len(x), int(np.searchsorted(x, high, "right")) + 1)
        most = 2 * max(1, pixels)
        if stop - start > 2 * most:
            pyramid = self._smooth_pyramid if smoothed and self.smoothing else self._pyramid
            rows = pyramid.seen(y, start, stop, most)
            x, y = x[rows], y[rows]
        else:
            x, y = x[start:stop], y[start:stop]
        return x, np.where(y > 0, y, np.nan) if self.log else y

    def nearest(self, x: float) -> int | None:
        """The row of the point nearest to ``x``, of those with a value; None where there is none beside it."""
        at = int(np.searchsorted(self.x, x))
        beside = [row for row in (at - 1, at) if 0 <= row < len(self) and math.isfinite(self.y[row])]
        return min(beside, key=lambda row: abs(self.x[row] - x), default=None)


def _weight(smoothing: float) -> float:
    return min(max(smoothing, 0.0), 0.999)


def _recurrence(values: Floats, weight: float, before: float) -> Floats:
    """``s[k] = weight * s[k - 1] + values[k]`` with ``s[-1] = before``: inside blocks by a matrix, then from block to
    block by itself. No step by step, no division, thus as exact as a loop.
    """
    count = len(values)
    blocks = -(-count // _BLOCK)
    table = np.zeros(blocks * _BLOCK)
    table[:count] = values
    power = np.arange(_BLOCK)[:, None] - np.arange(_BLOCK)
    within = table.reshape(blocks, _BLOCK) @ np.where(power >= 0, weight ** np.maximum(power, 0), 0.0).T
    step = weight**_BLOCK
    carried = np.array([before])
    if blocks > 1:
        carried = np.append(carried, _recurrence(within[:-1, -1], step, before))
    return (within + carried[:, None] * weight ** np.arange(1, _BLOCK + 1)).reshape(-1)[:count]
