"""How a column is spread: every count against plain numpy, with gaps, dates, tags and hostile values."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmstudio.library import histogram as module
from mmstudio.library.bins import MOST, date_bins, number_bins, places
from mmstudio.library.histogram import MOST_VALUES, drawable, histogram, rows_in, varying
from mmstudio.library.query_match import Kind

RNG = np.random.default_rng(0)


class Table:
    """Columns of Arrow arrays."""

    def __init__(self, **columns: tuple[Kind, Any]) -> None:
        self._kinds = {name: kind for name, (kind, _) in columns.items()}
        self._columns = {name: column for name, (_, column) in columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def names(self) -> Mapping[str, Kind]:
        return self._kinds

    def column(self, name: str) -> Any:
        return self._columns[name]

    def searched(self) -> Sequence[Any]:
        return []


def numbers(values: Any, *, mask: Any = None, pieces: int = 1) -> Table:
    column = pa.array(values, mask=mask)
    cuts = np.linspace(0, len(column), pieces + 1).astype(int)
    whole = pa.chunked_array([column[a:b] for a, b in pairwise(cuts)], column.type)
    return Table(x=("number", whole))


@pytest.mark.parametrize("values", [
    RNG.normal(size=5000), RNG.normal(size=5000).astype(np.float32) * 1e-3, RNG.integers(0, 4000, 5000),
    RNG.integers(-7, 9, 5000).astype(np.int32), np.round(RNG.random(5000), 1), np.full(9, 0.3), np.zeros(4), [1e300],
    [1e16, 1e16 + 2, 1e16 + 4], [-1.7e308, 0.0, 1.7e308], [5e-324, 1e-323], np.arange(41) / 40, [2**60, 1, -(2**60)],
])
def test_the_bars_of_numbers_are_counted_as_numpy_counts_them(values: Any) -> None:
    found = histogram(numbers(values, pieces=3), "x")
    assert found.bins is not None
    edges = found.bins.edges
    assert np.all(np.diff(edges) > 0)
    assert len(found) <= MOST + 1
    plain = np.asarray(values, np.float64)
    by_hand = [np.count_nonzero((plain >= a) & (plain < b)) for a, b in pairwise(edges)]
    assert found.every.tolist() == by_hand
    assert found.every.sum() == len(plain)
    assert (found.missing, found.beyond) == (0, 0)
    assert found.every[0]
    assert found.every[-1]  # no bar is wasted at the ends


@pytest.mark.parametrize(("low", "high", "whole", "first", "last"), [
    (0.3, 0.3, False, "0.3", "0.35"), (0, 1, False, "0", "1.05"), (48, 59, True, "48", "59"), (3, 3, True, "3", "3"),
    (0, 3999, True, "0", "3999"), (-5, 17.3, False, "-5", "18"), (0.1, 0.3, False, "0.1", "0.31"),
])
def test_edges_are_numbers_that_a_person_would_choose(
    low: float, high: float, whole: bool, first: str, last: str,
) -> None:
    bins = number_bins(low, high, whole)
    assert (bins.first[0], bins.last[-1]) == (first, last)
    assert all(float(word) == edge for word, edge in zip(bins.first, bins.edges, strict=False))
    assert all(len(word) <= 6 for word in (*bins.first, *bins.last))


def test_what_has_no_number_or_an_infinite_one_is_told_and_in_no_bar() -> None:
    values = np.array([1, 2, math.nan, math.inf, -math.inf, 9, 9])
    found = histogram(numbers(values, mask=np.array([0, 0, 0, 0, 0, 0, 1], bool)), "x")
    assert (found.every.sum(), found.missing, found.beyond) == (3, 2, 2)
    nothing = histogram(numbers([math.nan, math.inf, None]), "x")
    assert (len(nothing), nothing.missing, nothing.beyond) == (0, 2, 1)
    assert not rows_in(numbers([math.nan]), "x", [0]).any()


def test_a_log_scale_is_offered_for_more_than_three_decades_and_never_below_zero() -> None:
    wide = numbers(10.0 ** RNG.uniform(-2, 5, 3000))
    assert histogram(wide, "x").log_fits
    assert not histogram(wide, "x").log
    found = histogram(wide, "x", log=True)
    assert found.log
    assert found.bins is not None
    assert {word.strip("0.")[0] for word in found.bins.first} <= set("125")
    plain = np.asarray(wide.column("x"))
    assert found.every.tolist() == np.histogram(plain, found.bins.edges)[0].tolist()
    assert np.count_nonzero(found.every) > 15
    for values in ([1, 2, 900], [-1, 1e6], [0, 0], []):
        narrow = histogram(numbers(np.array(values, np.float64)), "x", log=True)
        assert not narrow.log
        assert not narrow.log_fits


def test_zeros_have_a_bar_on_a_log_scale() -> None:
    found = histogram(numbers([0, 0, 1, 10, 100_000]), "x", log=True)
    assert found.bins is not None
    assert found.log
    assert (found.bins.first[0], found.every[0], found.every.sum()) == ("0", 2, 5)


@pytest.mark.parametrize("spread", [1e-300, 1e3, 1e9, 1e300])
def test_a_log_scale_has_no_more_bars_than_another(spread: float) -> None:
    low, high = sorted((1.0, spread))
    bins = number_bins(low, high, log=True)
    assert len(bins) <= MOST + 1
    assert places(np.array([low, high]), bins).tolist() == [0, len(bins) - 1]


@pytest.mark.parametrize(("seconds", "first", "step"), [
    (20, "2026-03-18T15:30", 60), (900, "2026-03-18T15:15", 60), (3 * 86400, "2026-03-15T14", 2 * 3600),
    (30 * 86400, "2026-02-16", 86400), (200 * 86400, "2025-08-25", 7 * 86400), (3 * 365 * 86400, "2023-03", None),
    (60 * 365 * 86400, "1966", None),
])
def test_dates_are_counted_in_minutes_hours_days_weeks_months_or_years(
    seconds: float, first: str, step: float | None,
) -> None:
    now = datetime(2026, 3, 18, 15, 30, 50).timestamp()
    when = now - np.append(RNG.random(1000), [0, 1]) * seconds
    found = histogram(Table(added=("date", pa.array(when))), "added")
    assert found.bins is not None
    assert found.bins.first[0] == first
    assert found.every.tolist() == np.histogram(when, found.bins.edges)[0].tolist()
    assert found.every.sum() == 1002
    if step:
        assert set(np.diff(found.bins.edges)) <= {step, step - 3600, step + 3600}  # the clocks may be changed


def test_dates_that_no_calendar_has_are_out_of_range() -> None:
    column = pa.array([0.0, 1e9, math.nan, math.inf, -1e300, 1e18, None])
    found = histogram(Table(added=("date", column)), "added")
    assert (found.every.sum(), found.missing, found.beyond) == (2, 2, 3)
    stamps = pa.array([0, 10**9, None], pa.timestamp("s"))
    assert histogram(Table(added=("date", stamps)), "added").every.sum() == 2
    assert len(histogram(Table(added=("date", pa.array([math.nan]))), "added")) == 0


def test_a_missing_hour_in_spring_leaves_the_edges_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        begin = datetime(2026, 3, 29, 1, 45).timestamp()
        bins = date_bins(begin, begin + 1800)
        assert np.all(np.diff(bins.edges) >= 0)
        assert places(begin + np.arange(0, 1800, 60.0), bins).max() < len(bins)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("encode", [False, True])
def test_categories_come_most_frequent_first_and_the_rare_together(encode: bool) -> None:
    values = [f"value {i}" for i in range(30) for _ in range(40 - i)] + ["", None]
    column = pa.array(values)
    found = histogram(Table(x=("category", column.dictionary_encode() if encode else column)), "x")
    assert found.values == tuple(f"value {i}" for i in range(MOST_VALUES))
    assert found.every.tolist() == [*range(40, 20, -1), sum(range(11, 21))]
    assert (found.others, found.missing) == (10, 2)


def test_an_item_counts_once_in_each_bar_of_its_tags() -> None:
    tags = [["Dog", "dog", "cat"], ["dog"], [], None, [""], ["é"], ["É"]]
    tags += [[f"rare {i}", f"rarer {i}"] for i in range(30)]
    found = histogram(Table(tag=("tags", pa.array(tags))), "tag")
    counts = dict(zip(found.values, found.every.tolist(), strict=False))
    assert counts["dog"] == 2
    assert found.missing == 3
    assert found.others == 63 - MOST_VALUES
    assert found.every[-1] <= 30 + 7
    in_dog = rows_in(Table(tag=("tags", pa.array(tags))), "tag", [found.values.index("dog")])
    assert np.flatnonzero(in_dog).tolist() == [0, 1]


def test_random_tags_are_counted_as_a_loop_counts_them() -> None:
    words = [f"tag {i}" for i in range(35)]
    tags = [sorted(set(RNG.choice(words, RNG.integers(0, 5)))) for _ in range(2000)]
    passing, selected = RNG.random(2000) < 0.5, RNG.random(2000) < 0.1
    table = Table(tag=("tags", pa.chunked_array([pa.array(tags[:700]), pa.array(tags[700:])])))
    found = histogram(table, "tag", passing, selected)
    for mask, counts in ((np.ones(2000, bool), found.every), (passing, found.passing), (selected, found.selected)):
        by_hand = Counter(tag for tag, wanted in zip(tags, mask, strict=True) if wanted for tag in tag)
        assert counts[:MOST_VALUES].tolist() == [by_hand[tag] for tag in found.values]
        rest = set(words) - set(found.values)
        assert counts[-1] == sum(bool(rest & set(tag)) for tag, wanted in zip(tags, mask, strict=True) if wanted)
    assert found.missing == sum(not tag for tag in tags)


def test_three_layers_of_numbers_agree_with_the_rows_of_their_bars() -> None:
    values = RNG.normal(size=3000)
    passing, selected = RNG.random(3000) < 0.4, RNG.random(3000) < 0.2
    table = numbers(values)
    found = histogram(table, "x", passing, selected)
    for bar in range(len(found)):
        rows = rows_in(table, "x", [bar])
        assert (rows.sum(), (rows & passing).sum(), (rows & selected).sum()) == (
            found.every[bar], found.passing[bar], found.selected[bar])
    assert rows_in(table, "x", range(-3, len(found) + 3)).all()
    assert histogram(table, "x").passing.tolist() == found.every.tolist()
    assert not histogram(table, "x").selected.any()


def test_huge_and_foreign_strings_are_values_like_others() -> None:
    values = ["x" * 1_000_000, "שלום", "nul\0byte", "<b>bold</b>", "two\nlines", "👍🏽"] * 2
    found = histogram(Table(x=("category", pa.array(values))), "x")
    assert set(found.values) == set(values)
    assert found.every.tolist() == [2] * 6


def test_only_columns_of_numbers_dates_and_few_values_are_drawn_and_varying_ones_are_found() -> None:
    table = Table(text=("text", pa.array(["a", "b"])), width=("number", pa.array([5, 5])),
                  tag=("tags", pa.array([[], []], pa.list_(pa.string()))),
                  own=("number", pa.array([1, 7])), flag=("flag", pa.array([True, False])),
                  modality=("category", pa.array(["image", "text"])), late=("number", pa.array([1, 9])))
    assert list(drawable(table.names())) == ["modality", "tag", "width", "own", "late"]
    assert varying(table, 1, ("modality",)) == ["own"]
    assert varying(table, 9) == ["modality", "own", "late"]
    assert varying(table, 0) == []
    with pytest.raises(KeyError):
        histogram(table, "nothing")


def test_no_items_have_empty_histograms() -> None:
    table = Table(x=("number", pa.array([], pa.float64())), tag=("tags", pa.array([], pa.list_(pa.string()))))
    assert [len(histogram(table, name)) for name in table.names()] == [0, 0]


def test_what_is_reckoned_for_a_column_is_forgotten_with_it() -> None:
    before = len(module._KNOWN)
    table = numbers(10.0 ** RNG.uniform(-2, 5, 100))
    histogram(table, "x", log=True)
    assert len(module._KNOWN) == before + 2
    known = module._rows_of(table, "x", True)
    assert module._rows_of(table, "x", True) is known
    del table, known
    gc.collect()
    assert len(module._KNOWN) == before
