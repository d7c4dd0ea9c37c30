"""Where the bars of a histogram begin and end: at numbers and dates that a person would have chosen."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

MOST = 40
"""Bars of one histogram; a rounded edge may need one more."""
WHOLE = 2.0**53
"""Up to here a float is able to tell a whole number from the next."""
CALENDAR = (-3.0e10, 2.2e11)
"""The seconds since 1970 that are drawn: the years 1019 to 8941, in which every clock and calendar agrees."""

_SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "month": 30.4 * 86400, "year": 365 * 86400}
_PERIODS = (
    *(("minute", n) for n in (1, 2, 5, 10, 15, 30)), *(("hour", n) for n in (1, 2, 3, 6, 12)),
    *(("day", n) for n in (1, 2, 7)), *(("month", n) for n in (1, 2, 3, 6)),
    *(("year", n) for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
)
_WRITTEN = {"minute": 16, "hour": 13, "day": 10, "month": 7, "year": 4}
"""Characters of an ISO date that say the unit."""


@dataclass(frozen=True)
class Bins:
    """``b`` bars. ``edges (b + 1,)`` float64 never fall; bar i holds what is at least ``edges[i]`` and less than
    ``edges[i + 1]``. ``first`` and ``last`` are the words, as the filter bar reads them, with which each bar begins and
    ends; ``closed`` where the bar holds its last word, which otherwise begins the next bar.
    """

    edges: NDArray[np.float64]
    first: tuple[str, ...]
    last: tuple[str, ...]
    closed: bool

    def __len__(self) -> int:
        return len(self.first)


def number_bins(low: float, high: float, whole: bool = False, log: bool = False) -> Bins:
    """Bars that hold the finite numbers from ``low`` to ``high``. Those of ``whole`` numbers begin at whole numbers;
    ``log`` makes them widen by a factor, with one from zero where ``low`` is 0, and needs ``low`` >= 0 < ``high``.
    """
    edges = _log_edges(low, high) if log else _even_edges(low, high, whole)
    if whole:
        first = tuple(str(int(edge)) for edge in edges[:-1])
        last = tuple(str(int(edge) - 1) for edge in edges[1:])
    else:
        words = tuple(_word(edge) for edge in edges)
        first, last = words[:-1], words[1:]
    return Bins(np.array(edges), first, last, whole)


def date_bins(low: float, high: float) -> Bins:
    """Bars of minutes, hours, days, weeks, months or years of the local calendar that hold the seconds since 1970 from
    ``low`` to ``high``, both within ``CALENDAR``.
    """
    unit, count = next((unit, n) for unit, n in _PERIODS if (high - low) / (_SECONDS[unit] * n) <= MOST - 1)
    moments = [_begin(datetime.fromtimestamp(low), unit, count)]
    while moments[-1].timestamp() <= high:
        moments.append(_step(moments[-1], unit, count))
    edges = np.maximum.accumulate([moment.timestamp() for moment in moments])  # an hour may be missing in spring
    first = tuple(moment.isoformat()[: _WRITTEN[unit]] for moment in moments[:-1])
    last = tuple(_step(moment, unit, -1).isoformat()[: _WRITTEN[unit]] for moment in moments[1:])
    return Bins(edges, first, last, closed=True)


def places(values: NDArray[np.float64], bins: Bins) -> NDArray[np.uint8]:
    """The bar ``(n,)`` of each value; ``len(bins)`` where none holds it."""
    edges, count = bins.edges, len(bins)
    out = np.searchsorted(edges, values, "right") - 1 if _uneven(edges) else _even_places(values, edges)
    inside = (values >= edges[0]) & (values < edges[-1])  # no NaN is
    return np.where(inside, out, count).astype(np.uint8)


def _even_places(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Reckoned, which is five times faster than searching, then put right where rounding missed an edge by one."""
    count = len(edges) - 1
    with np.errstate(invalid="ignore", over="ignore"):
        shares = (values - edges[0]) * (count / (edges[-1] - edges[0]))
        out: NDArray[np.intp] = np.nan_to_num(np.clip(shares, 0, count - 1)).astype(np.intp)
        out -= values < edges[out]
        out += values >= edges[out + 1]
    return np.clip(out, 0, count - 1)


def _uneven(edges: NDArray[np.float64]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        widths = np.diff(edges)
    return not (np.isfinite(widths).all() and widths.min() > 0 and widths.max() < 1.001 * widths.min()
                and math.isfinite(edges[-1] - edges[0]))


def _even_edges(low: float, high: float, whole: bool) -> list[float]:
    least, greatest = _exact(low), _exact(high)
    step = _nice(least, greatest, whole)
    start, end = least // step, greatest // step + 1
    edges = [_rounded(step * k) for k in range(start, end + 1)]
    if edges[-1] <= high:
        edges.append(_rounded(step * (end + 1)))
    return edges


def _nice(low: Fraction, high: Fraction, whole: bool) -> Fraction:
    """The least of 1, 2, 5, 10, ... (and a tenth, ...) of which few enough steps reach from the low to the high."""
    largest = max(abs(low), abs(high))
    least = max((high - low) / MOST, Fraction(2 * math.ulp(float(largest))), Fraction(1 if whole else 0))
    if low == high and not whole:
        least = max(least, largest / 10 or Fraction(1))
    for exponent in itertools.count(math.floor(math.log10(float(least)))):
        for factor in (1, 2, 5):
            step = factor * Fraction(10) ** exponent
            if step >= least and high // step - low // step < MOST:
                return step
    raise AssertionError


def _log_edges(low: float, high: float) -> list[float]:
    """From the decade's ninths, thirds or whole decades, as many as there is room for."""
    positive = low or min(1.0, high / 1000)
    first, last = math.floor(math.log10(positive)), math.floor(math.log10(high))
    decades = last - first + 1
    factors = range(1, 10) if 9 * decades <= MOST else (1, 2, 5) if 3 * decades <= MOST else (1,)
    stride = -(-decades // MOST)
    found = [_rounded(factor * Fraction(10) ** exponent) for exponent in range(first, last + stride + 1, stride)
             for factor in factors]
    inside = [edge for edge, following in itertools.pairwise(found) if following > positive and edge <= high]
    edges = [*inside, found[found.index(inside[-1]) + 1]]
    return edges if low else [0.0, *edges]


def _exact(number: float) -> Fraction:
    """The number that a person reads, so that 0.3 is three tenths."""
    return Fraction(repr(float(number)))


def _rounded(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _word(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


def _begin(moment: datetime, unit: str, count: int) -> datetime:
    """The beginning of the period that holds a moment; weeks begin on Mondays."""
    if unit == "minute":
        return moment.replace(minute=moment.minute // count * count, second=0, microsecond=0)
    if unit == "hour":
        return moment.replace(hour=moment.hour // count * count, minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return day - timedelta(day.toordinal() % count if count != 7 else day.weekday())
    if unit == "month":
        return day.replace(month=(day.month - 1) // count * count + 1, day=1)
    return day.replace(year=max(1, day.year // count * count), month=1, day=1)


def _step(moment: datetime, unit: str, count: int) -> datetime:
    """So many periods later, from the beginning of one."""
    if unit in ("minute", "hour", "day"):
        return moment + timedelta(seconds=_SECONDS[unit] * count)
    months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "year" else 1)
    return moment.replace(year=months // 12, month=months % 12 + 1)
