"""How the values of a column are spread: all items, those that pass the filter, and those that are selected.

The bar of every row is reckoned once for a column (``Columns`` gives the same array while its values are the same), so
that another filter or selection only counts: a million items in a few milliseconds.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.bins import CALENDAR, WHOLE, Bins, date_bins, number_bins, places
from mmstudio.library.query_match import Columns, Kind, Mask, coded, numbers_of

DRAWN: tuple[Kind, ...] = ("category", "tags", "number", "date")
"""The kinds of columns that have a histogram."""
MOST_VALUES = 20
"""Bars of a category; what is rarer is in one more."""
_LOG_SPREAD = 1000.0
_KNOWN: dict[tuple[int, bool], tuple[weakref.ref[Any], _Rows]] = {}
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Histogram:
    """A column in ``b`` bars: either ``bins``, or the ``values`` of a category, most frequent first. Where ``others``
    counts values that have no bar of their own, one more bar counts their items: ``b`` is ``len(values) + 1``.

    ``every``, ``passing`` and ``selected`` ``(b,)`` int64 are items in each bar; ``missing`` are items without a value,
    ``beyond`` with an infinite one or a date that no calendar has. ``log_fits`` where a log scale would show more.
    """

    name: str
    kind: Kind
    every: Counts
    passing: Counts
    selected: Counts
    bins: Bins | None = None
    values: tuple[str, ...] = ()
    others: int = 0
    missing: int = 0
    beyond: int = 0
    log: bool = False
    log_fits: bool = False

    def __len__(self) -> int:
        return len(self.every)


@dataclass(frozen=True)
class _Rows:
    """The bar of every row, ``codes (n,)`` uint8 with ``bars`` where there is none; or, for lists, of every pair of a
    bar and one of its ``rows (m,)``.
    """

    bars: int
    codes: NDArray[np.uint8]
    rows: NDArray[np.int32] | None = None
    bins: Bins | None = None
    values: tuple[str, ...] = ()
    others: int = 0
    missing: int = 0
    beyond: int = 0
    log_fits: bool = False

    def count(self, mask: Mask | None) -> Counts:
        """Rows in each bar ``(bars,)``, of all rows or of those in the mask ``(n,)``."""
        chosen = mask if mask is None or self.rows is None else mask[self.rows]
        return np.bincount(self.codes, chosen, self.bars + 1)[: self.bars].astype(np.int64)

    def holding(self, bars: Iterable[int], count: int) -> Mask:
        """Whether each of ``count`` rows is in one of the bars."""
        wanted = np.zeros(self.bars + 1, np.bool_)
        wanted[[bar for bar in bars if 0 <= bar < self.bars]] = True
        hit: Mask = wanted[self.codes]
        if self.rows is None:
            return hit
        out = np.zeros(count, np.bool_)
        out[self.rows[hit]] = True
        return out


def drawable(names: Mapping[str, Kind]) -> dict[str, Kind]:
    """The columns that have a histogram: modality and tags, then as they come."""
    first = [name for name in ("modality", "tag") if name in names]
    return {name: names[name] for name in [*first, *names] if names[name] in DRAWN}


def varying(columns: Columns, most: int, without: Iterable[str] = ()) -> list[str]:
    """The first columns in which not all items are alike."""
    found: list[str] = []
    for name in drawable(columns.names()):
        if len(found) >= most:
            break
        if name not in without and np.count_nonzero(_rows_of(columns, name, False).count(None)) > 1:
            found.append(name)
    return found


def histogram(columns: Columns, name: str, passing: Mask | None = None, selected: Mask | None = None,
              log: bool = False) -> Histogram:
    """Count a column of one of the kinds in ``DRAWN``. ``passing`` (None for all) and ``selected`` (None for none) are
    ``(n,)`` bool. ``log`` is left aside where it does not fit.

    Raises ``KeyError`` for a column that is not there.
    """
    log = log and _rows_of(columns, name, False).log_fits
    rows = _rows_of(columns, name, log)
    every = rows.count(None)
    return Histogram(
        name, columns.names()[name], every, every if passing is None else rows.count(passing),
        np.zeros_like(every) if selected is None else rows.count(selected), rows.bins, rows.values, rows.others,
        rows.missing, rows.beyond, log, rows.log_fits)


def rows_in(columns: Columns, name: str, bars: Sequence[int], log: bool = False) -> Mask:
    """Whether each row ``(n,)`` is in one of these bars of the column's histogram."""
    return _rows_of(columns, name, log).holding(bars, len(columns))


def mask_of(ids: NDArray[np.int64], some: NDArray[np.int64]) -> Mask:
    """Whether each of the ``ids (n,)`` is one of ``some (m,)``, which may hold others too."""
    return np.isin(ids, some)


def _rows_of(columns: Columns, name: str, log: bool) -> _Rows:
    """Reckoned once for every array object, and forgotten with it."""
    column, kind = columns.column(name), columns.names()[name]
    key = id(column), log
    known = _KNOWN.get(key)
    if known and known[0]() is column:
        return known[1]
    made: dict[Kind, Callable[[], _Rows]] = {
        "number": lambda: _numbers(numbers_of(column), log), "date": lambda: _dates(numbers_of(column))}
    found = made[kind]() if kind in made else _categories(column)
    _KNOWN[key] = weakref.ref(column, lambda _: _KNOWN.pop(key, None)), found
    return found


def _numbers(values: NDArray[Any], log: bool) -> _Rows:
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return _binned(values, None)
    low, high = float(finite.min()), float(finite.max())
    whole = max(-low, high) < WHOLE and bool(np.all(finite == np.floor(finite)))
    log_fits = low >= 0 < high and high / float(finite.min(where=finite > 0, initial=math.inf)) > _LOG_SPREAD
    return _binned(values, number_bins(low, high, whole, log and log_fits), log_fits)


def _dates(values: NDArray[Any]) -> _Rows:
    values = np.asarray(values, np.float64)
    known = values[(values >= CALENDAR[0]) & (values <= CALENDAR[1])]
    return _binned(values, date_bins(float(known.min()), float(known.max())) if len(known) else None)


def _binned(values: NDArray[np.float64], bins: Bins | None, log_fits: bool = False) -> _Rows:
    missing = int(np.count_nonzero(np.isnan(values)))
    if bins is None:
        return _Rows(0, np.zeros(len(values), np.uint8), missing=missing, beyond=len(values) - missing)
    codes = places(values, bins)
    beyond = int(np.count_nonzero(codes == len(bins))) - missing
    return _Rows(len(bins), codes, None, bins, missing=missing, beyond=beyond, log_fits=log_fits)


def _categories(column: Any) -> _Rows:
    """The most frequent values, each with all its spellings: the filter bar does not tell "Dog" from "dog"."""
    known = coded(column)
    groups, spelt, order = _spellings(known.values, known.codes)
    shown, rest = order[:MOST_VALUES], order[MOST_VALUES:]
    bars = len(shown) + bool(len(rest))
    bar_of = np.full(len(spelt) + 1, bars, np.uint8)  # the last is for -1, no value
    bar_of[shown] = np.arange(len(shown))
    bar_of[rest] = len(shown)
    codes, rows = bar_of[groups[known.codes]], known.rows
    if rows is not None:
        codes, rows = _each_once(codes, rows, bars)
    found = _Rows(bars, codes, rows, None, tuple(known.values.take(spelt[shown]).to_pylist()), len(rest))
    return replace(found, missing=int(np.count_nonzero(~found.holding(range(bars), known.size))))


def _spellings(values: Any, codes: NDArray[np.int32]) -> tuple[NDArray[np.intp], ...]:
    """The group of each of the ``values (v,)``, and one -1 behind them; the most frequent of each group; and the groups
    that hold an item and are not empty, most frequent first.
    """
    import pyarrow.compute as pc

    lowered = pc.utf8_lower(values).dictionary_encode()
    groups = np.append(np.asarray(pc.fill_null(lowered.indices, -1), np.intp), -1)
    uses = np.bincount(codes[codes >= 0], minlength=len(values))
    number = len(lowered.dictionary)
    first = np.zeros(number, np.intp)
    by_use = np.argsort(uses, kind="stable")
    first[groups[:-1][by_use]] = by_use  # the last to be written is the most frequent
    counts = np.bincount(groups[:-1], uses, number)
    order = np.argsort(-counts, kind="stable")
    empty = np.asarray(pc.equal(lowered.dictionary, ""), np.bool_)
    order = order[(counts[order] > 0) & ~empty[order]]
    return groups, first, order


def _each_once(codes: NDArray[np.uint8], rows: NDArray[np.int32], bars: int,
               ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The pairs of a bar and a row, without those that have no bar, and none twice."""
    order = np.argsort(codes, kind="stable")  # rows ascend, so that equal pairs come to lie beside each other
    codes, rows = codes[order], rows[order]
    new = np.ones(len(codes), np.bool_)
    new[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
    new &= codes < bars
    return codes[new], rows[new]
