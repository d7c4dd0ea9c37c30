"""A column of the person's own whose values are dates is one of dates: to filter, and to draw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from mmstudio.library import Item, Items
from mmstudio.library.brush import words
from mmstudio.library.dates import moment
from mmstudio.library.histogram import drawable, histogram, rows_in
from mmstudio.library.item import item_rows
from mmstudio.library.query import QueryError, parse
from mmstudio.library.query_match import matches

TAKEN = ["2024-01-01", "2024-05-01T23:59:30", "2024-05-31 12:00", "2024-06-01", None, "2023-12-31T23:00:00"]


@pytest.fixture(params=["UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dates without a zone are local ones, wherever that is."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _items(values: list[str | float | None]) -> Items:
    return Items(item_rows([
        Item(i, Path(f"/{i}.png"), "", "image", f"{i:040x}", "", columns={} if value is None else {"taken": value})
        for i, value in enumerate(values, 1)]))


@pytest.mark.parametrize(("text", "found"), [
    ("taken>2024-01-01", [1, 2, 3]), ("taken>=2024-01-01", [0, 1, 2, 3]), ("taken<2024", [5]),
    ("taken:2024-05", [1, 2]), ("taken:2024", [0, 1, 2, 3]), ("taken:2024-05-01", [1]), ("Taken:2024-05-01T23", [1]),
    ("taken:2023-12..2024-01", [0, 5]), ("has:taken", [0, 1, 2, 3, 5]), ("-taken:2024", [4, 5]),
    ("taken!=2024-05", [0, 3, 5]), ("taken=2024-06-01", [3]),
])
def test_own_dates_are_asked_for_as_the_time_of_adding_is(zone: None, text: str, found: list[int]) -> None:
    assert np.flatnonzero(matches(parse(text), _items(TAKEN).columns())).tolist() == found


def test_own_dates_are_drawn_over_time_and_brushed(zone: None) -> None:
    columns = _items(TAKEN).columns()
    assert drawable(columns.names())["taken"] == "date"
    shown = histogram(columns, "taken")
    assert (shown.kind, int(shown.every.sum()), shown.missing) == ("date", 5, 1)
    for bar in np.flatnonzero(shown.every).tolist():
        brushed = matches(parse(words(shown, [bar])), columns)
        assert np.array_equal(brushed, rows_in(columns, "taken", [bar]))


@pytest.mark.parametrize("values", [
    ["2024-05-01", "soon"], ["2024-05-01", 3.0], ["2024-02-30"], ["20240501"], ["2024-05-01", "2024-05"], ["24-05-01"],
    ["2024-05-01", ""], ["2024-05-01T25:00"]])
def test_what_is_not_all_dates_is_no_column_of_dates(values: list[str | float | None]) -> None:
    columns = _items(values).columns()
    assert columns.names()["taken"] != "date"
    with pytest.raises(QueryError):
        matches(parse("taken>2024-01-01"), columns)


def test_moments_are_pythons_own_in_their_zone_or_the_local_one(zone: None) -> None:
    assert moment("2024-05-01") == datetime(2024, 5, 1).timestamp()
    assert moment("2024-05-01T14:30") == datetime(2024, 5, 1, 14, 30).timestamp()
    assert moment("2024-05-01T14:30:10.250Z") == datetime(2024, 5, 1, 14, 30, 10, 250_000, UTC).timestamp()
    east = timezone(timedelta(hours=2))
    assert moment("2024-05-01 14:30:00+02:00") == datetime(2024, 5, 1, 14, 30, tzinfo=east).timestamp()
    assert moment("0001-01-01T00:00:00+14:00") is None or moment("0001-01-01T00:00:00+14:00") < -6e10
    assert moment("２０２４-05-01") is None
