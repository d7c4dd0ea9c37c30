"""The filter bar's language: what is typed, which items match, and what is offered meanwhile."""

from __future__ import annotations

import gc
import math
import random
import string
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmstudio.errors import StudioError
from mmstudio.library import query_match
from mmstudio.library.query import And, Compare, Match, Not, Or, Query, QueryError, Value, Word, days, names_flag, parse
from mmstudio.library.query_match import Completion, Kind, complete, matches

NOW = datetime(2026, 3, 18, 15, 30)
KINDS: dict[str, Kind] = {
    "name": "text", "path": "text", "text": "text", "note": "text", "modality": "category", "label": "category",
    "size": "category", "tag": "tags", "score": "number", "width": "number", "duration": "number",
    "my column": "number", "added": "date", "taken": "date", "caption": "flag", "sample": "flag", "missing": "flag",
    "selected": "flag",
}
SEARCHED = ("text", "name", "note")
WORDS = ["dog", "Cat", "beach", "É", "é", "straße", "Собака", "שלום", "👍🏽", "a.b", "(x)", "[a-z]*", "50%", "C:\\new",
         "-x", "OR", '"', "two words", "full text", "nul\0byte", "a,b", "x=1", "$^|?+{2}", "cat*"]
Row = dict[str, Any]


class Table:
    """Columns made of plain rows; ``encode`` and ``pieces`` choose how Arrow keeps them."""

    def __init__(self, rows: Sequence[Row], kinds: Mapping[str, Kind] = KINDS, *, encode: bool = False,
                 pieces: int = 1) -> None:
        self._size, self._kinds = len(rows), kinds
        self._columns = {name: _column([row[name] for row in rows], name, kind, encode, pieces)
                         for name, kind in kinds.items()}

    def __len__(self) -> int:
        return self._size

    def names(self) -> Mapping[str, Kind]:
        return self._kinds

    def column(self, name: str) -> Any:
        return self._columns[name]

    def searched(self) -> Sequence[Any]:
        return [self._columns[name] for name in SEARCHED if name in self._columns]


def _column(values: list[Any], name: str, kind: Kind, encode: bool, pieces: int) -> Any:
    string_type = pa.large_string() if name == "note" and not encode else pa.string()
    words = pa.dictionary(pa.int32(), pa.string()) if encode else string_type
    kinds = {"text": words if name == "note" else string_type, "category": words, "tags": pa.list_(words),
             "flag": pa.bool_(), "number": pa.int32() if name == "width" else pa.float64(),
             "date": pa.timestamp("ms", "UTC") if name == "added" else pa.float64()}
    if name == "added":
        values = [None if value is None else round(value * 1000) for value in values]
    kept = pa.float32() if name == "score" else kinds[kind]
    if pieces == 1:
        return pa.array(values, kept)
    edges = [len(values) * i // pieces for i in range(pieces + 1)]
    return pa.chunked_array([pa.array(values[a:b], kept) for a, b in pairwise(edges)], kept)


def _row(**values: Any) -> Row:
    flags = dict.fromkeys(("caption", "sample", "missing", "selected"), False)
    return {**dict.fromkeys(KINDS), "tag": [], **flags, **values}


def _rows(count: int = 300) -> list[Row]:
    rng = random.Random(1)

    def maybe(value: Any, share: float = 0.85) -> Any:
        return value if rng.random() < share else None

    return [_row(
        name=f"{rng.choice(WORDS)} {number}.{rng.choice(['jpg', 'PNG', 'wav'])}",
        path=f"/Home/{rng.choice(WORDS)}/{number}",
        text=maybe(" ".join(rng.choices(WORDS, k=rng.randrange(5)))), note=maybe(rng.choice(WORDS), 0.3),
        modality=rng.choice(["image", "audio", "text"]), label=maybe(rng.choice([*WORDS, "cat food", "Dog"])),
        size=rng.choice(["small", "large"]), tag=maybe(rng.sample([*WORDS, "blurry"], rng.randrange(4)), 0.95),
        score=maybe(rng.choice([0.3, 0.5, math.nan, rng.random()])),
        width=maybe(rng.choice([100, 640, rng.randrange(2000)])),
        duration=maybe(rng.choice([0.3, 5.0, 120.0, rng.random() * 9000])),
        **{"my column": maybe(rng.randrange(-5, 10))},
        added=(NOW - timedelta(hours=rng.choice([3, 30, 24 * 8, 24 * 40, 24 * 500]) * rng.random())).timestamp(),
        taken=maybe((NOW - timedelta(days=rng.randrange(900))).timestamp()),
        **{flag: rng.random() < 0.4 for flag in ("caption", "sample", "missing", "selected")})
        for number in range(count)]


ROWS = _rows()
TABLES = {"plain": Table(ROWS), "encoded": Table(ROWS, encode=True), "in pieces": Table(ROWS, pieces=7),
          "encoded, in pieces": Table(ROWS, encode=True, pieces=7)}


# What the language means, one row at a time.


def _holds(query: Query, row: Row) -> bool:
    match query:
        case Word(text=text):
            places = [row[name] for name in SEARCHED] + list(row["tag"] or [])
            return any(text.lower() in place.lower() for place in places if place is not None) or not text
        case Not(term=term):
            return not _holds(term, row)
        case And(terms=terms):
            return all(_holds(term, row) for term in terms)
        case Or(terms=terms):
            return any(_holds(term, row) for term in terms)
        case Match(name="has" | "is", values=values):
            held = [row[value.text] for value in values]
            return any(_known(one) and one is not False and one != "" and one != [] for one in held)
        case Compare(name=name, operator=operator, operand=operand):
            return _known(row[name]) and _compared(name, row[name], operator, operand)
        case Match(name=name, values=values):
            return any(_equal(name, row[name], value) for value in values)


def _known(value: Any) -> bool:
    return value is not None and value == value


def _equal(name: str, held: Any, value: Value) -> bool:
    kind, text = KINDS[name], value.text.lower()
    if not _known(held):
        return False
    if kind == "flag":
        return held == (text == "yes")
    if kind in ("number", "date"):
        low, dots, high = value.text.partition("..")
        if not dots:
            return _compared(name, held, "=", low)
        return (not low or _compared(name, held, ">=", low)) and (not high or _compared(name, held, "<=", high))
    text = {"photo": "image", "picture": "image", "sound": "audio"}.get(text, text) if name == "modality" else text
    if kind == "text":
        return held.lower().startswith(text) if value.prefix else text in held.lower()
    return any(one.lower().startswith(text) if value.prefix else one.lower() == text
               for one in (held if kind == "tags" else [held]))


def _compared(name: str, held: Any, operator: str, operand: str) -> bool:
    side = _beside_date(held, operand) if KINDS[name] == "date" else _beside_number(name, held, operand)
    return {"<": side < 0, "<=": side <= 0, ">": side > 0, ">=": side >= 0, "=": side == 0, "!=": side != 0}[operator]


def _beside_number(name: str, held: float, operand: str) -> int:
    digits = operand.rstrip(string.ascii_letters)
    number = float(digits) * {"": 1, "ms": 0.001, "s": 1, "min": 60, "h": 3600}[operand[len(digits):]]
    if name == "score":
        held, number = np.float32(held), np.float32(number)
    return int(held > number) - int(held < number)


def _beside_date(held: float, operand: str) -> int:
    day = datetime.fromtimestamp(held).date()
    if operand[0].isdigit():
        wanted = tuple(map(int, operand.split("-")))
        ours = (day.year, day.month, day.day)[:len(wanted)]
        return (ours > wanted) - (ours < wanted)
    ago = (NOW.date() - day).days
    ages = {"today": (0, 0), "yesterday": (1, 1), "week": (0, 6), "month": (0, 29), "year": (0, 364)}
    youngest, oldest = ages[operand]
    return (ago < youngest) - (ago > oldest)


def _operand(name: str, rng: random.Random) -> str:
    if KINDS[name] == "date":
        return rng.choice(["today", "yesterday", "week", "month", "year", "2025", "2026-01", "2026-02-28", "2026-3-1"])
    if name == "duration":
        return rng.choice(["5s", "2min", "1.5h", "300ms", "5", ".5h", "1e3"])
    return rng.choice(["0.3", "100", "640", "-1", "0", "5", "+7", "1e9999"])


def _value(name: str, rng: random.Random) -> Value:
    if KINDS[name] == "flag":
        return Value(rng.choice(["yes", "no"]))
    if KINDS[name] in ("number", "date"):
        low, high = _operand(name, rng), _operand(name, rng)
        return Value(rng.choice([low, f"{low}..{high}", f"{low}..", f"..{high}"]))
    if name == "modality":
        return Value(rng.choice(["image", "Photo", "picture", "SOUND", "text", "none"]))
    text = rng.choice([*WORDS, "small", "LARGE", "blurry", "home", "jpg", "ca", ""])
    return Value(text, rng.random() < 0.3)


def _random_query(rng: random.Random, depth: int) -> Query:
    choice = rng.random()
    if depth and choice < 0.6:
        terms = tuple(_random_query(rng, depth - 1) for _ in range(rng.randrange(2, 4)))
        return Not(terms[0]) if choice < 0.15 else And(terms) if choice < 0.4 else Or(terms)
    if choice < 0.7:
        return Word(rng.choice([*WORDS, "zzz", "DOG", "собака", "jpg", "NOT", "o"]))
    if choice < 0.75:
        return Match("has", tuple(Value(rng.choice(list(KINDS))) for _ in range(rng.randrange(1, 3))))
    if choice < 0.8:
        return Match("is", (Value(rng.choice(["missing", "selected", "caption"])),))
    name = rng.choice(list(KINDS))
    if KINDS[name] in ("number", "date") and rng.random() < 0.6:
        return Compare(name, rng.choice(["<", "<=", ">", ">=", "=", "!="]), _operand(name, rng))
    return Match(name, tuple(_value(name, rng) for _ in range(rng.randrange(1, 3))))


def _found(text: str, table: Table, now: datetime = NOW) -> list[int]:
    found = matches(parse(text), table, now)
    assert found.dtype == np.bool_
    assert found.shape == (len(table),)
    return np.flatnonzero(found).tolist()


@pytest.mark.parametrize("kept", TABLES)
def test_three_hundred_random_queries_find_what_a_loop_over_the_items_finds(kept: str) -> None:
    rng, telling = random.Random(2), 0
    for _ in range(300):
        query = _random_query(rng, rng.randrange(4))
        wanted = [_holds(query, row) for row in ROWS]
        assert matches(query, TABLES[kept], NOW).tolist() == wanted, str(query)
        telling += 0 < sum(wanted) < len(ROWS)
    assert telling > 200


def test_a_query_written_out_reads_as_the_same_query() -> None:
    rng = random.Random(3)
    for _ in range(1500):
        query = _random_query(rng, rng.randrange(5))
        assert parse(str(query)) == query, str(query)
        assert str(parse(str(query))) == str(query)


def test_any_typed_characters_give_a_query_that_reads_back_or_a_query_error() -> None:
    rng, read = random.Random(4), 0
    for _ in range(4000):
        text = "".join(rng.choices('ab1 "():<>=!,*-.\0é👍ש\ud800', k=rng.randrange(12)))
        try:
            query = parse(text)
        except QueryError as error:
            refused = 0 <= error.position <= len(text) and error.what.endswith(".")
        else:
            read += 1
            refused = False
        assert refused or parse(str(query)) == query, text
    assert read > 500


ITEMS = Table([
    _row(name="beach.jpg", path="/photos/beach.jpg", modality="image", tag=["dog", "Beach"], width=640, score=0.3,
         label="cat", size="large", caption=True, sample=True, added=datetime(2026, 3, 18, 9).timestamp(),
         **{"my column": 5.0}),
    _row(name="RÉSUMÉ.txt", path="/texts/RÉSUMÉ.txt", modality="text", text="The full text of a Cat", tag=["two words"],
         label="cat food", size="Large", sample=True, added=datetime(2026, 3, 17, 23, 59).timestamp()),
    _row(name="bark.wav", path="/sounds/bark.wav", modality="audio", duration=4.9, tag=["dog", "blurry"], label="dog",
         text="", added=datetime(2026, 1, 31, 12).timestamp(), missing=True),
    _row(name="a+b(1).png", path="C:\\new\\a+b(1).png", modality="image", tag=None, width=99, score=math.nan,
         duration=90, note="text full", label="scatter", added=datetime(2025, 12, 31).timestamp(), selected=True),
])


@pytest.mark.parametrize(("text", "found"), [
    ("", [0, 1, 2, 3]), ("   ", [0, 1, 2, 3]), ('""', [0, 1, 2, 3]),
    # words
    ('"full text"', [1]), ("full text", [1, 3]), ("FULL", [1, 3]), ("résumé", [1]), ("blurr", [2]), ("two", [1]),
    (".", [0, 1, 2, 3]), ("a+b", [3]), ('"b(1)"', [3]), (".*", []), ("wow!", []), ("- dog", []),
    # logic
    ("dog beach", [0]), ("dog AND beach", [0]), ("cat OR dog", [0, 1, 2]), ("or", [1]), ("-dog", [1, 3]),
    ("NOT dog", [1, 3]),
    ("--dog", [0, 2]), ("NOT -dog", [0, 2]), ("-(cat OR dog)", [3]), ("dog beach OR cat", [0, 1]),
    ("dog (beach OR cat)", [0]), ("(dog)(beach)", [0]), ("-tag:dog tag:\"two words\"", [1]), ('-"full text" text', [3]),
    # equality
    ("modality:image", [0, 3]), ("modality:IMAGE", [0, 3]), ("modality:photo", [0, 3]), ("modality:Picture", [0, 3]),
    ("modality:sound", [2]), ("type:audio", [2]), ("Modality:image,audio", [0, 2, 3]), ("modality:image,", [0, 3]),
    ("tag:dog", [0, 2]), ("tags:DOG", [0, 2]), ("tag:do", []), ('tag:"two words"', [1]), ("tag:b*", [0, 2]),
    ("tag:*", [0, 1, 2]),
    ('tag:blurry,"two words"', [1, 2]), ("label:cat", [0]), ("label:cat*", [0, 1]), ('label:"cat f"*', [1]),
    ('label:"cat*"', []), ("size:large", [0, 1]),
    # substring
    ("name:beach.jpg", [0]), ("name:EACH", [0]), ("name:b*", [0, 2]), ("path:/", [0, 1, 2]), ("path:C:\\new\\", [3]),
    ("text:full", [1]), ("name:résumé", [1]), ("name:jpg,wav", [0, 2]),
    # numbers
    ("score>0.3", []), ("score>=0.3", [0]), ("score=0.3", [0]), ("score:0.3", [0]), ("score!=1", [0]),
    ("score<1e300", [0]),
    ("width>=640", [0]), ("width > 99", [0]), ("width<=99", [3]), ("width:100..700", [0]), ("width:99..640", [0, 3]),
    ("width:..640", [0, 3]), ("width:640..", [0]), ("width:99,640", [0, 3]), ("-width<100", [0, 1, 2]),
    ("width!=99", [0]),
    ('"my column":5', [0]), ('"My Column">4.5', [0]), ("duration<5s", [2]), ("duration<2min", [2, 3]),
    ("duration>0.02h", [3]), ("duration>4899ms", [2, 3]), ("duration:4900ms..1.5min", [2, 3]),
    # dates
    ("added:today", [0]), ("added:Yesterday", [1]), ("added:week", [0, 1]), ("added:month", [0, 1]),
    ("added:year", [0, 1, 2, 3]),
    ("added:2026-01-31", [2]), ("added:2026-01", [2]), ("added:2026", [0, 1, 2]), ("added>2026-01-31", [0, 1]),
    ("added>=2026-01-31", [0, 1, 2]), ("added<2026", [3]), ("added<=2026-01", [2, 3]), ("added!=2026", [3]),
    ("added:2025-12..2026-01", [2, 3]), ("added:2026-03..", [0, 1]), ("added<week", [2, 3]), ("added>yesterday", [0]),
    ("added:today,2025", [0, 3]),
    # what is there
    ("has:text", [1]), ("has:tag", [0, 1, 2]), ("has:width", [0, 3]), ("has:score", [0]), ("has:caption", [0]),
    ("has:sample", [0, 1]), ("has:width,text", [0, 1, 3]), ('has:"my column"', [0]), ("has:label", [0, 1, 2, 3]),
    ("has:size", [0, 1]), ("has:added", [0, 1, 2, 3]), ("is:missing", [2]), ("is:missing,selected", [2, 3]),
    ("-is:missing", [0, 1, 3]), ("missing:yes", [2]), ("missing:no", [0, 1, 3]),
    ("modality:image tag:dog score>=0.3 has:caption added:today -tag:blurry (cat OR dog) width>=640 name:beach.jpg",
     [0]),
])
def test_every_form_of_the_language_finds_the_right_items(text: str, found: list[int]) -> None:
    assert _found(text, ITEMS) == found


@pytest.mark.parametrize(("text", "position", "what"), [
    ("(cat", 0, "never closed"), ("cat)", 3, "never opened"), ("((a) b", 0, "never closed"), (")(", 0, "never opened"),
    ('say "cat', 4, "quote is never closed"), ('tag:"cat', 4, "quote is never closed"),
    ('"""', 0, "quote is never closed"),
    ("width<", 6, "compared with nothing"), ("width < ", 8, "compared with nothing"),
    ("width<wide", 6, "'wide' is not a number"),
    ("score>0,3", 6, "'0,3' is not a number"), ("x=1.2.3", 2, "not a number"),
    ("width>(5)", 6, "compared with nothing"),
    ("duration<5parsecs", 9, "'parsecs' is not a unit"), ("duration>=5m", 10, "'m' is not a unit"),
    ("added>2026-13-01", 6, "'2026-13-01' is not a date"), ("x<2026-02-30", 2, "not a date"),
    ("added:soon", 0, "'soon' is not a date"),
    ("added:2026-01..never", 0, "'never' is not a date"), ("added:9999", 0, "not a date"),
    ("added:today*", 0, "not a date"),
    ("a OR", 4, "OR needs a term on both sides"), ("OR a", 0, "OR needs"), ("(a OR) b", 5, "OR needs"),
    ("a OR OR b", 5, "OR needs"),
    ("(OR)", 1, "OR needs"), ("a AND", 5, "AND needs"), ("NOT", 3, "nothing to negate"),
    ("(NOT)", 4, "nothing to negate"),
    ("a ()", 3, "nothing between"), ("tag:", 4, "Nothing follows 'tag:'"), ("tag: dog", 4, "Nothing follows"),
    ("tag:,", 4, "Nothing follows"), ("a :)", 2, "Nothing stands before the ':'"),
    ("< 3", 0, "Nothing stands before the '<'"),
])
def test_a_wrong_query_is_refused_with_a_sentence_and_its_place(text: str, position: int, what: str) -> None:
    with pytest.raises(QueryError, match=what) as caught:
        parse(text)
    assert isinstance(caught.value, StudioError)
    assert caught.value.position == position


@pytest.mark.parametrize(("text", "position", "sentence"), [
    ("cat widht>5", 4, "There is no field 'widht'. Did you mean 'width'?"),
    ("Tga:dog", 0, "There is no field 'Tga'. Did you mean 'tag'?"),
    ("cat OR has:captoin", 7, "There is no field 'captoin'. Did you mean 'caption'?"),
    ("label>5", 0, "'label' has no numbers to compare. Write label:5"),
    ("width:wide", 0, "'wide' is not a number."), ("width:6*", 0, "'6*' is not a number."),
    ("taken:5s", 0, "'5s' is not a date. Write 2026-01-31, 2026-01, 2026, today, yesterday, week, month, year."),
    ("is:width", 0, "'width' is not a yes or no. Write has:width"),
    ("missing:perhaps", 0, "'missing' is not 'perhaps' but yes or no."),
    ("tag:nowhere width:wide", 12, "'wide' is not a number."),
])
def test_a_query_that_does_not_fit_the_items_is_refused_whichever_of_them_match(
        text: str, position: int, sentence: str) -> None:
    query = parse(text)
    with pytest.raises(QueryError) as caught:
        matches(query, ITEMS, NOW)
    assert (str(caught.value), caught.value.position) == (sentence, position)


@pytest.mark.parametrize("text", ["(" * 10_000 + "a" + ")" * 10_000, "-" * 10_000 + "a", "NOT " * 10_000 + "a",
                                  "(-" * 60 + "a" + ")" * 60], ids=["groups", "minuses", "nots", "both"])
def test_nesting_without_end_is_refused_before_it_overflows(text: str) -> None:
    with pytest.raises(QueryError, match="nested"):
        parse(text)


def test_a_hundred_levels_are_read_written_and_answered() -> None:
    for text in ("(" * 100 + "dog" + ")" * 100, "-" * 100 + "dog", "(tag:dog OR x " * 100 + "dog" + ")" * 100):
        query = parse(text)
        assert parse(str(query)) == query
        assert _found(text, ITEMS) == [0, 2]


def test_a_long_query_of_ten_thousand_terms_is_read_at_once() -> None:
    assert parse(" OR ".join(["width>5"] * 10_000)) == Or((Compare("width", ">", "5"),) * 10_000)
    assert parse(" " * 100_000 + '"' * 20_000) == Word('"' * 9_999)


@pytest.mark.parametrize("word", [
    "a.*b", "[x]", "^$", "\\d", "(?i)", "nul\0byte", "👍🏽", "👨\u200d👩\u200d👧", "שלום עולם", "\u202eabc", "é",
    "Ǆ", 'say "hi"',
    "line\nbreak", pytest.param("x" * 10_000, id="long"), pytest.param("К" * 10_000, id="long, not ASCII")])
def test_a_word_is_taken_literally_whatever_its_characters(word: str) -> None:
    table = Table([_row(name="other", text="axxb d (i)"), _row(name=f"before {word} after", tag=[word], label=word)])
    typed = '"' + word.replace('"', '""') + '"'
    for text in (typed, f"name:{typed}", f"tag:{typed}", f"label:{typed}", f"label:{typed}*", f"other:yes OR {typed}"):
        assert parse(text) == parse(str(parse(text)))
        if "other" not in text:
            assert _found(text, table) == [1], text


def test_a_word_of_any_length_is_found_as_it_is_or_not_at_all() -> None:
    long = "Abc " * 250_000
    table = Table([_row(text=f"say {long}!", label=long), _row(text=long[:-1], label=long + "!"),
                   _row(text="abc", tag=[long])])
    assert _found(f'"{long.upper()}"', table) == [0, 2]
    assert _found(f'label:"{long}"', table) == [0]
    assert _found(f'label:"{long.lower()}"*', table) == [0, 1]
    assert _found(f'text:"{long}"', table) == [0]
    assert _found(f'text:"{long[:-1]}"*', table) == [1]
    assert _found(f'"{long}x"', table) == []


def test_letters_compare_without_case_one_to_one() -> None:
    table = Table([_row(name=name, label=name) for name in ("École", "STRASSE", "ΣΟΦΟΣ", "ЁЛКА", "ﬁn")])
    assert [_found(f"{field}{word}", table) for word in ("éCOLE", "straße", "σοφος", "ёлка", "fin")
            for field in ("", "label:")] == [[0], [0], [], [], [2], [2], [3], [3], [], []]


def test_a_lone_surrogate_is_looked_for_as_the_store_keeps_it() -> None:
    assert _found("bad\ud800", Table([_row(name="bad?"), _row(name="bad")])) == [0]


@pytest.mark.parametrize(("text", "first", "last"), [
    ("2026-01-31T14", "2026-01-31 14:00", "2026-01-31 15:00"),
    ("2026-1-31t14:05", "2026-01-31 14:05", "2026-01-31 14:06"),
    ("2026-12-31T23:59", "2026-12-31 23:59", "2027-01-01 00:00"), ("2025-12", "2025-12-01 00:00", "2026-01-01 00:00"),
])
def test_hours_and_minutes_are_dates_too(text: str, first: str, last: str) -> None:
    begin, end = (datetime.fromisoformat(moment).timestamp() for moment in (first, last))
    assert days(text, NOW) == (begin, math.nextafter(end, -math.inf))
    parse(f"added:{text}..{text} added>={text}")
    for wrong in ("2026-01-31T24", "2026-01-31T1:5", "2026-01T14", "2026-01-31T", "2026-00"):
        with pytest.raises(QueryError):
            days(wrong, NOW)


@pytest.mark.parametrize(("text", "asks"), [
    ("is:selected", True), ("dog (cat OR -has:Selected)", True), ("selected:no", True), ("is:sample,selected", True),
    ("selected", False), ("tag:selected", False), ("", False), ("width<5 -x", False),
])
def test_whether_a_query_is_about_a_flag_is_told(text: str, asks: bool) -> None:
    assert names_flag(parse(text), "selected") is asks


def test_days_begin_at_midnight_of_the_given_time_zone() -> None:
    tokyo = timezone(timedelta(hours=9))
    midnight = datetime(2026, 3, 18, tzinfo=tokyo).timestamp()
    table = Table([_row(added=midnight + seconds) for seconds in (-1, 0, 86399, 86400)])
    now = datetime(2026, 3, 18, 1, tzinfo=tokyo)
    assert _found("added:today", table, now) == [1, 2]
    assert _found("added:2026-03-18", table, now) == [1, 2]
    assert _found("added<today", table, now) == [0]
    assert _found("added>today", table, now) == [3]


def test_today_is_the_clocks_when_no_time_is_given() -> None:
    table = Table([_row(added=datetime.now().timestamp()), _row(added=datetime.now().timestamp() - 3 * 86400)])
    assert matches(parse("added:today"), table).tolist() == [True, False]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_every_resolution_are_the_same_dates(unit: str) -> None:
    table = Table([_row()], {"added": "date"})
    moment = datetime(2026, 1, 31, 12)
    table._columns["added"] = pa.array([moment.astimezone(UTC)], pa.timestamp(unit, "UTC"))
    assert _found("added:2026-01-31", table) == [0]


def test_nothing_matches_in_an_empty_library_and_nothing_fails() -> None:
    for kept in (Table([]), Table([], encode=True), Table([], pieces=3)):
        for text in ("", "dog", "tag:dog cat", "width>5 OR has:text", "-added:today", "label:cat* name:x is:missing"):
            assert _found(text, kept) == []
        assert complete("tag:", 4, kept) == []


def test_an_exact_name_wins_over_an_alias_or_another_case() -> None:
    kinds: dict[str, Kind] = {"Type": "category", "type": "category", "modality": "category"}
    table = Table([{"Type": "a", "type": "b", "modality": "image"}], kinds)
    assert [_found(text, table) for text in ("Type:a", "Type:b", "type:b", "type:image")] == [[0], [], [0], []]


def test_what_is_known_of_a_column_is_forgotten_with_it() -> None:
    gc.collect()
    before = len(query_match._KNOWN)
    table = Table(ROWS)
    _found("tag:dog label:cat*", table)
    assert len(query_match._KNOWN) == before + 2
    del table
    gc.collect()
    assert len(query_match._KNOWN) == before


def test_a_costly_search_sees_only_the_rows_that_cheaper_terms_left(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    holds = query_match._holds

    def counting(strings: Any, value: Value, whole: bool) -> Any:
        seen.append(len(strings) if value.text == "full" else 0)
        return holds(strings, value, whole)

    monkeypatch.setattr(query_match, "_holds", counting)
    table = Table([_row(name="full", width=number) for number in range(1000)])
    assert _found("full width<10", table) == list(range(10))
    assert max(seen) == 10
    assert _found("full OR -width<10", table) == list(range(1000))
    assert max(seen) == 10


def _labels(text: str, columns: Table = ITEMS, limit: int = 12) -> list[str]:
    cursor = text.index("|")
    return [found.label for found in complete(text.replace("|", ""), cursor, columns, limit)]


def _typed(text: str, choose: Callable[[Completion], bool] = lambda _: True) -> str:
    """The text after the first fitting completion at the bar."""
    cursor, text = text.index("|"), text.replace("|", "")
    found = next(one for one in complete(text, cursor, ITEMS) if choose(one))
    return text[:found.start] + found.text_to_insert + text[found.end:]


def test_fields_are_offered_by_their_beginning_then_by_what_they_contain() -> None:
    assert _labels("s|") == ["size:", "score:", "has:", "is:"]
    assert _labels("t|")[:3] == ["text:", "tag:", "taken:"]
    assert _labels("cat -ta|") == ["tag:", "taken:"]
    assert _labels("(MOD|") == ["modality:"]
    assert _labels('"my c|') == ["my column:"]
    assert len(_labels("|", limit=30)) == len([kind for kind in KINDS.values() if kind != "flag"]) + 2
    assert _labels("|", limit=3) == ["name:", "path:", "text:"]
    assert _labels("nowhere|") == []


def test_operators_are_offered_after_a_field_of_numbers_or_dates() -> None:
    assert _labels("width|") == ["width:", "width<", "width<=", "width>", "width>=", "width=", "width!="]
    assert _labels("added|")[:2] == ["added:", "added<"]
    assert _labels("label|") == ["label:"]


def test_values_are_offered_by_frequency_with_their_count() -> None:
    found = [(one.label, one.detail) for one in complete("tag:", 4, ITEMS)]
    assert found == [("dog", "2"), ("Beach", "1"), ("two words", "1"), ("blurry", "1")]
    assert _labels("tag:B|") == ["Beach", "blurry"]
    assert _labels("tag:dog,bl|") == ["blurry"]
    assert _labels("label:cat|") == ["cat", "cat food", "scatter"]
    assert _labels("label:Cat|", limit=2) == ["cat", "cat food"]
    assert _labels("modality:|") == ["image", "text", "audio"]
    assert _labels("type:p|") == ["picture", "photo"]
    many = Table([_row(tag=["common"])] * 1200)
    assert complete("tag:", 4, many)[0].detail == "1,200"


def test_flags_fields_and_dates_are_offered_as_values() -> None:
    assert _labels("has:ca|") == ["caption"]
    assert _labels("has:s|") == ["size", "score", "sample", "selected", "missing"]
    assert _labels("is:|") == ["caption", "sample", "missing", "selected"]
    assert _labels("added:|") == ["today", "yesterday", "week", "month", "year"]
    assert _labels("added>=t|") == ["today", "yesterday", "month"]
    assert complete("added:we", 8, ITEMS)[0].detail == "last 7 days"
    assert _labels("missing:|") == ["yes", "no"]
    assert _labels("width:|") == _labels("name:b|") == _labels("unknown:x|") == []


@pytest.mark.parametrize(("before", "after"), [
    ("ta|", "tag:"), ("ta|g:dog cat", "tag:dog cat"), ("wid|th<5", "width<5"), ("tag:tw|", 'tag:"two words"'),
    ('tag:"two w|', 'tag:"two words"'), ('tag:"two w|"', 'tag:"two words"'),
    ('tag:"two w|ords" x', 'tag:"two words" x'),
    ("tag:bl|urr OR cat", "tag:blurry OR cat"), ("tag:dog,bl|", "tag:dog,blurry"), ('"my|', '"my column":'),
    ("-(tag:d|)", "-(tag:dog)"), ("added>to|", "added>today"), ('has:my|', 'has:"my column"'), ("cat |", "cat name:"),
    ("|cat", "name:cat"), ("tag:|dog", "tag:dog"),
])
def test_a_completion_replaces_the_token_under_the_cursor(before: str, after: str) -> None:
    assert _typed(before) == after


def test_completing_never_fails_whatever_is_typed() -> None:
    rng = random.Random(5)
    parts = [*'"():<!=,*- \0\ud800', "tag", "d", "is", "OR"]
    for _ in range(1500):
        text = "".join(rng.choices(parts, k=rng.randrange(10)))
        for found in complete(text, rng.randrange(len(text) + 2), ITEMS):
            assert found.start <= found.end
    assert complete("tag:" + "x" * 1_000_000, 1_000_004, ITEMS) == []
    assert complete("x" * 1_000_000, 1_000_000, ITEMS) == []


def test_reading_a_query_needs_no_arrow() -> None:
    check = ("import sys; import mmstudio.library.query_match as m; from mmstudio.library.query import parse; "
             "parse('tag:dog added>2026'); sys.exit('pyarrow' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", check], timeout=60).returncode == 0
