"""A brush in the filter bar's words: it lets exactly its bars pass, and leaves the person's words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmstudio.library.brush import brushed, narrowed, terms_about, unshown, words
from mmstudio.library.histogram import histogram, rows_in
from mmstudio.library.query import QueryError, parse
from mmstudio.library.query_match import Kind, matches

RNG = np.random.default_rng(1)
NAMES: dict[str, Kind] = {"w": "number", "tag": "tags", "modality": "category", "my column": "number"}


class Table:
    """Columns of Arrow arrays."""

    def __init__(self, **columns: tuple[Kind, Any]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))[1])

    def names(self) -> Mapping[str, Kind]:
        return {name: kind for name, (kind, _) in self._columns.items()}

    def column(self, name: str) -> Any:
        return self._columns[name][1]

    def searched(self) -> Sequence[Any]:
        return []


@pytest.mark.parametrize(("kind", "values"), [
    ("number", RNG.normal(size=800)), ("number", RNG.integers(-50, 4000, 800)),
    ("number", np.round(RNG.random(800), 1)),
    ("number", 10.0 ** RNG.uniform(-4, 6, 800)), ("number", [-1.7e308, 0.0, 1.7e308]),
    ("date", datetime(2026, 3, 18, 15, 30).timestamp() - RNG.random(800) * 3000),
    ("date", datetime(2026, 3, 18).timestamp() - RNG.random(800) * 3e5),
    ("date", datetime(2026, 3, 18).timestamp() - RNG.random(800) * 2e6),
    ("date", datetime(2026, 3, 18).timestamp() - RNG.random(800) * 5e7),
    ("date", datetime(2026, 3, 18).timestamp() - RNG.random(800) * 9e8),
])
@pytest.mark.parametrize("log", [False, True])
def test_a_brush_lets_exactly_its_bars_pass_and_is_read_back(kind: Kind, values: Any, log: bool) -> None:
    table = Table(**{"my column": (kind, pa.array(values))})
    shown = histogram(table, "my column", log=log)
    for first, last in ((0, 0), (0, len(shown) - 1), (len(shown) // 3, len(shown) // 2), (len(shown) - 1,) * 2):
        bars = frozenset(range(first, last + 1))
        text = words(shown, bars)
        assert np.array_equal(matches(parse(text), table), rows_in(table, "my column", sorted(bars), shown.log)), text
        assert brushed(shown, terms_about(text, "my column", table.names())) == bars


def test_a_brush_over_categories_quotes_what_must_be_quoted() -> None:
    values = ["plain", "two words", 'a "quote"', "a,b", "star*", "OR", "-x", "é", "x" * 5000, "two\nlines", "1..5"]
    table = Table(tag=("tags", pa.array([[value] for value in values])))
    shown = histogram(table, "tag")
    for bar in range(len(shown)):
        text = words(shown, [bar])
        assert len(text) < 300
        assert np.array_equal(matches(parse(text), table), rows_in(table, "tag", [bar])), text
        assert brushed(shown, terms_about(text, "tag", NAMES)) == {bar}
    together = words(shown, range(len(shown)))
    assert matches(parse(together), table).all()
    assert words(shown, []) == ""


def test_the_bar_of_the_others_is_no_word() -> None:
    shown = histogram(Table(tag=("tags", pa.array([[f"t{i}"] for i in range(30)]))), "tag")
    assert len(shown) == 21
    assert words(shown, [20]) == ""
    terms = terms_about("tag:t0,t29,t2*", "tag", NAMES)
    assert brushed(shown, terms) == {0, 2}
    assert [str(value) for value in unshown(shown, terms)] == ["t29"]
    assert words(shown, [0], unshown(shown, terms)) == "tag:t0,t29"


@pytest.mark.parametrize(("before", "after", "cleared"), [
    ("", "w:7", ""), ("dog", "dog w:7", "dog"), ("  dog  ", "dog w:7", "dog"), ("w:1..5 dog", "w:7 dog", "dog"),
    ("dog w>=1 cat w<5", "dog w:7 cat", "dog cat"), ("cat OR dog", "(cat OR dog) w:7", "cat OR dog"),
    ("(cat OR dog) w:5", "(cat OR dog) w:7", "cat OR dog"),
    ("(cat OR dog) w:5 x", "(cat OR dog) w:7 x", "(cat OR dog) x"),
    ("a AND w:1 AND b", "a AND w:7 b", "a AND b"), ("a AND w:1", "a w:7", "a"), ("w:1 AND w:2", "w:7", ""),
    ("w:1 AND w:2 AND a", "w:7 a", "a"), ("-w:5", "-w:5 w:7", "-w:5"), ("NOT w:5 W<3", "NOT w:5 w:7", "NOT w:5"),
    ("(w:5 dog)", "(w:5 dog) w:7", "w:5 dog"), ("w!=5", "w!=5 w:7", "w!=5"),
    ("has:w tag:w", "has:w tag:w w:7", "has:w tag:w"),
    ('"w:5" \'w', '"w:5" \'w w:7', '"w:5" \'w'), ("(a)w:5(b)", "(a) w:7 (b)", "(a) (b)"),
    ("👍 w:5 dog", "👍 w:7 dog", "👍 dog"), ("w : 5", None, None),
])
def test_a_brush_replaces_what_was_said_about_its_column_and_nothing_else(
    before: str, after: str | None, cleared: str | None,
) -> None:
    if after is None:
        with pytest.raises(QueryError):
            narrowed(before, "w", NAMES, "w:7")
        return
    assert narrowed(before, "w", NAMES, "w:7") == after
    assert narrowed(before, "w", NAMES, "") == cleared
    parse(after)
    parse(str(cleared))


def test_fields_are_known_by_their_other_names() -> None:
    assert narrowed("type:photo Tags:x", "modality", NAMES, "modality:text") == "modality:text Tags:x"
    assert narrowed("tags:x", "tag", NAMES, "tag:y") == "tag:y"
    table = Table(modality=("category", pa.array(["image", "text", "text"])))
    assert brushed(histogram(table, "modality"), terms_about("type:Photo", "modality", NAMES)) == {1}


def test_a_text_that_is_no_query_has_no_brush_and_is_not_touched() -> None:
    assert terms_about("w:5 OR dog", "w", NAMES) == []
    assert terms_about('w<x "open', "w", NAMES) == []
    shown = histogram(Table(w=("number", pa.array([1, 5, 9]))), "w")
    assert brushed(shown, terms_about("w:dog", "w", NAMES)) == frozenset()
    with pytest.raises(QueryError):
        narrowed('dog "open', "w", NAMES, "w:7")


@pytest.mark.parametrize(("text", "bars"), [
    ("w<3", {0, 1}), ("w<=3", {0, 1, 2}), ("w>8", {8}), ("w>=8", {7, 8}), ("w=5", {4}), ("w:2,4..5", {1, 3, 4}),
    ("w:..2", {0, 1}), ("w>2 w<4", {2}), ("w>20", set()),
])
def test_what_a_person_typed_is_shown_as_a_brush(text: str, bars: set[int]) -> None:
    shown = histogram(Table(w=("number", pa.array(range(1, 10)))), "w")
    assert brushed(shown, terms_about(text, "w", NAMES)) == bars
