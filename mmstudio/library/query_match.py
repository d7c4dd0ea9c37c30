"""A filter query over the library's columns: which rows match, and what could be typed next.

Columns are Arrow arrays, and a million rows are answered within a keystroke: terms are tried from the cheapest to the
dearest, and once few rows are undecided only those are looked at. Categories and tags are compared once per different
value. Letters compare by Unicode's simple case folding, one to one ("É" is "é", "ß" is not "ss"), which is RE2's.
A missing value answers no to every question, so ``-width<5`` holds for an item without a width and ``width!=5`` not.
"""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.query import (
    DATE_WORDS,
    And,
    Compare,
    Match,
    Not,
    Or,
    Query,
    QueryError,
    Value,
    Word,
    clean,
    quoted,
    shortened,
    span,
    under,
)

Kind = Literal["text", "category", "number", "date", "tags", "flag"]
Strings: TypeAlias = Any  # a pyarrow Array or ChunkedArray, as all that ``Columns`` gives; pyarrow has no types
Mask: TypeAlias = NDArray[np.bool_]

_ALIASES = {"type": "modality", "tag": "tags", "tags": "tag"}
_MODALITIES = {"picture": "image", "photo": "image", "sound": "audio"}
_ANSWERS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
# Values against one number, or against the first and the last moment of a day, month or year. NaN fails them all.
_COMPARISONS: dict[str, Callable[[NDArray[Any], float, float], Mask]] = {
    "<": lambda values, first, last: values < first,
    "<=": lambda values, first, last: values <= last,
    ">": lambda values, first, last: values > last,
    ">=": lambda values, first, last: values >= first,
    "=": lambda values, first, last: (values >= first) & (values <= last),
    "!=": lambda values, first, last: (values < first) | (values > last),
}
_OPERATORS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least", "=": "equal to",
              "!=": "other than"}
_PATTERN = 300  # characters; RE2 may need minutes for more of one repeated letter, so Python compares the rest
_NARROW = 0.7  # of the rows undecided: from here on, copying their texts is cheaper than searching through all
_COMMONEST = 20_000  # values that completion looks through


class Columns(Protocol):
    """A table of ``n`` rows. It should give the same array object as long as the values are the same: what is known
    about an array's values is kept until the array is gone.
    """

    def __len__(self) -> int: ...

    def names(self) -> Mapping[str, Kind]: ...

    def column(self, name: str) -> Strings:
        """``(n,)``. text, category: string or large_string, or a dictionary of these. number: integers or floats. date:
        timestamp (without a zone it is UTC) or float64 seconds since the epoch. tags: list of string or of a dictionary
        of strings. flag: bool. All may hold nulls.
        """

    def searched(self) -> Sequence[Strings]:
        """The ``(n,)`` string columns that a bare word is looked for in; tags columns are searched in any case. One
        column of joined texts is faster than several.
        """


@dataclass(frozen=True)
class Completion:
    """Replacing ``text[start:end]`` by ``text_to_insert`` types what the label shows."""

    text_to_insert: str
    start: int
    end: int
    label: str
    detail: str


def matches(query: Query, columns: Columns, now: datetime | None = None) -> Mask:
    """Whether each row matches: ``(n,)`` bool. Words such as ``today`` are as of ``now``, or the clock's local time.

    Raises ``QueryError`` for a field that is not there or is of another kind than its value.
    """
    with np.errstate(over="ignore"):  # a number beyond float32 is infinite to a float32 column
        return _evaluate(query, _View(columns, now or datetime.now()))


class _View:
    """Some rows of the columns, ascending; at first all."""

    def __init__(self, columns: Columns, now: datetime, rows: NDArray[np.intp] | None = None) -> None:
        self.columns, self.now, self._rows = columns, now, rows
        self.names = columns.names()

    def __len__(self) -> int:
        return len(self.columns) if self._rows is None else len(self._rows)

    def narrowed(self, rows: NDArray[np.intp]) -> _View:
        """These rows of this view's."""
        return _View(self.columns, self.now, rows if self._rows is None else self._rows[rows])

    @cached_property
    def _mask(self) -> Strings:
        import pyarrow as pa

        mask = np.zeros(len(self.columns), np.bool_)
        mask[self._rows] = True
        return pa.array(mask)

    def values(self, column: Strings) -> Strings:
        """The column's values in these rows. (Arrow's filter is faster than its take on chunked strings.)"""
        return column if self._rows is None else column.filter(self._mask)

    def answers(self, mask: Mask) -> Mask:
        """Those of all rows' answers that are for these rows."""
        return mask if self._rows is None else mask[self._rows]

    def field(self, name: str, position: int) -> tuple[str, Kind, Strings]:
        """The column that was meant: its name, kind and all its values."""
        found = find_field(name, self.names)
        if found is None:
            raise _not_there(name, self.names, position)
        return found, self.names[found], self.columns.column(found)


def find_field(name: str, names: Mapping[str, Kind]) -> str | None:
    """The column of exactly this name, or of the name in other case, or under an alias."""
    if name in names:
        return name
    folded = {known.casefold(): known for known in names}
    short = name.casefold()
    return folded.get(short, folded.get(_ALIASES.get(short, short)))


def _not_there(name: str, names: Iterable[str], position: int) -> QueryError:
    if name.casefold() == "score":
        own = " A column of your own is called 'score_column'." if "score_column" in names else ""
        return QueryError("Nothing is searched for, so no item has a score.", position, f"Search for something.{own}")
    folded = {other.casefold(): other for other in (*names, "has", "is")}
    nearest = difflib.get_close_matches(name.casefold()[:100], folded, n=1, cutoff=0)
    return QueryError(f"There is no field '{shortened(name)}'.", position, f"Did you mean '{folded[nearest[0]]}'?")


def _evaluate(query: Query, view: _View) -> Mask:
    match query:
        case Word():
            return _word(query.text, view)
        case Match(name=name) if name.casefold() in ("has", "is"):
            return _any(view, (_is_set(value.text, query, view) for value in query.values))
        case Match():
            return _match(query, view)
        case Compare():
            return _compare(query, view)
        case Not():
            return ~_evaluate(query.term, view)
        case And():
            return _joined(query.terms, view, np.logical_and, True)
        case Or():
            return _joined(query.terms, view, np.logical_or, False)


def _joined(terms: Sequence[Query], view: _View, join: Callable[[Mask, Mask], Mask], undecided: bool) -> Mask:
    """A row is decided by the first no of an And, the first yes of an Or; later terms see undecided rows only."""
    out = np.full(len(view), undecided)
    rows: slice | NDArray[np.intp] = slice(None)
    part = view
    for term in sorted(terms, key=lambda term: _cost(term, view)):
        out[rows] = join(out[rows], _evaluate(term, part))
        left = np.flatnonzero(out == undecided)
        if len(left) < _NARROW * len(part):
            rows, part = left, view.narrowed(left)
    return out


def _cost(query: Query, view: _View) -> int:
    """How dear a term is beside others: the sum of its leaves. (A loop: recursion is for ``_evaluate`` to spend.)"""
    total, terms = 0, [query]
    while terms:
        match terms.pop():
            case And() | Or() as group:
                terms.extend(group.terms)
            case Not(term=term):
                terms.append(term)
            case Word():
                total += 20
            case Match(name=name) if name.casefold() in ("has", "is"):
                total += 1
            case Match() | Compare() as leaf:
                total += {"text": 10, "tags": 3, "category": 2}.get(view.field(leaf.name, leaf.position)[1], 1)
    return total


def _any(view: _View, masks: Iterable[Mask]) -> Mask:
    out = np.zeros(len(view), np.bool_)
    for mask in masks:
        out |= mask
    return out


def _word(text: str, view: _View) -> Mask:
    if not text:
        return np.ones(len(view), np.bool_)
    tags = [view.columns.column(name) for name, kind in view.names.items() if kind == "tags"]
    return _any(view, (_search(column, Value(text), "text", view) for column in [*tags, *view.columns.searched()]))


def _match(query: Match, view: _View) -> Mask:
    name, kind, column = view.field(query.name, query.position)
    if kind == "flag":
        flags = _bools(view.values(column))
        return _any(view, (flags == _answer(value, query) for value in query.values))
    if kind in ("number", "date"):
        numbers = numbers_of(view.values(column))
        typed = (value.text + "*" * value.prefix for value in query.values)  # a star is no part of a number: an error
        return _any(view, (_COMPARISONS["="](numbers, *_limits(text, kind, query, view)) for text in typed))
    values = [meant(value) for value in query.values] if name == "modality" else query.values
    return _any(view, (_search(column, value, kind, view) for value in values))


def _compare(query: Compare, view: _View) -> Mask:
    _, kind, column = view.field(query.name, query.position)
    if kind not in ("number", "date"):
        raise QueryError(f"'{shortened(query.name)}' has no numbers to compare.", query.position,
                         f"Write {quoted(shortened(query.name))}:{shortened(query.operand)}")
    limits = _limits(query.operand, kind, query, view)
    return _COMPARISONS[query.operator](numbers_of(view.values(column)), *limits)


def _limits(text: str, kind: Kind, query: Match | Compare, view: _View) -> tuple[float, float]:
    return span(text, view.now if kind == "date" else None, query.position)


def _is_set(name: str, query: Match, view: _View) -> Mask:
    """The flag is true; after ``has``, also: a value is there and not empty."""
    import pyarrow as pa

    _, kind, column = view.field(name, query.position)
    if kind == "flag":
        return _bools(view.values(column))
    if query.name.casefold() == "is":
        raise QueryError(f"'{shortened(name)}' is not a yes or no.", query.position,
                         f"Write has:{quoted(shortened(name))}")
    if kind in ("number", "date"):
        return ~np.isnan(numbers_of(view.values(column)))
    if kind == "text" and not pa.types.is_dictionary(column.type):
        return _filled(view.values(column))
    known = coded(column)
    return view.answers(known.mask(_filled(known.values)))


def _answer(value: Value, query: Match) -> bool:
    if value.text.casefold() not in _ANSWERS:
        raise QueryError(f"'{shortened(query.name)}' is not '{shortened(value.text)}' but yes or no.", query.position)
    return _ANSWERS[value.text.casefold()]


def meant(value: Value) -> Value:
    """The modality that a person called a photo, a picture, a sound."""
    return value if value.prefix else Value(_MODALITIES.get(value.text.casefold(), value.text))


def numbers_of(column: Strings) -> NDArray[Any]:
    """``(m,)`` numbers, or seconds since the epoch, as floats with NaN where missing, or as integers."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        return np.asarray(column)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return np.asarray(column.cast(pa.int64())) / per_second


def _bools(answers: Strings) -> Mask:
    """A null is a no."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(answers, False), np.bool_)


def _filled(strings: Strings) -> Mask:
    import pyarrow.compute as pc

    return _bools(pc.greater(pc.binary_length(strings), 0))


def _search(column: Strings, value: Value, kind: Kind, view: _View) -> Mask:
    """Where the strings begin with the value, or contain it in a text, or are it."""
    import pyarrow as pa

    if kind == "text" and not pa.types.is_dictionary(column.type) and not pa.types.is_nested(column.type):
        return _holds(view.values(column), value, whole=False)
    known = coded(column)
    return view.answers(known.mask(_holds(known.values, value, whole=kind != "text")))


def _holds(strings: Strings, value: Value, whole: bool) -> Mask:
    """RE2 takes the value literally; folding keeps the count of characters, so equal is: contained, and as long."""
    import pyarrow.compute as pc

    test = pc.starts_with if value.prefix else pc.match_substring
    found = _bools(test(strings, value.text[:_PATTERN], ignore_case=True))
    if whole and not value.prefix:
        found = found & _bools(pc.equal(pc.utf8_length(strings), len(value.text)))
    if len(value.text) <= _PATTERN:
        return found
    likely, folded = np.flatnonzero(found), value.text.casefold()
    places = [text.casefold().find(folded) for text in strings.take(likely).to_pylist()]
    out = np.zeros(len(found), np.bool_)
    out[likely] = [place == 0 or (place > 0 and not value.prefix) for place in places]
    return out


@dataclass(frozen=True)
class Coded:
    """A column of strings or of lists by its different values: ``values (v,)`` Arrow strings, ``codes (m,)`` integers
    into them with -1 for null, and for lists the row of each code, ``rows (m,)``.
    """

    size: int
    values: Strings
    codes: NDArray[np.int32]
    rows: NDArray[np.int32] | None

    def mask(self, wanted: Mask) -> Mask:
        """``(size,)``: the rows that have one of the wanted ``(v,)`` values."""
        hit = np.append(wanted, False)[self.codes]
        if self.rows is None:
            return hit
        out = np.zeros(self.size, np.bool_)
        out[self.rows[hit]] = True
        return out

    @cached_property
    def commonest(self) -> tuple[Strings, NDArray[np.intp]]:
        """Values from the most to the least frequent, and the count of each."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))
        order = np.argsort(-counts, kind="stable")[:_COMMONEST]
        order = order[(counts[order] > 0) & _filled(self.values.take(order))]
        return self.values.take(order), counts[order]


_KNOWN: dict[int, tuple[weakref.ref[Any], Coded]] = {}


def coded(column: Strings) -> Coded:
    """The column by its values; reckoned once for every array object, and forgotten with it."""
    known = _KNOWN.get(id(column))
    if known and known[0]() is column:
        return known[1]
    found, key = _encoded(column), id(column)
    _KNOWN[key] = weakref.ref(column, lambda _: _KNOWN.pop(key, None)), found
    return found


def _encoded(column: Strings) -> Coded:
    import pyarrow as pa
    import pyarrow.compute as pc

    size, rows = len(column), None
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()  # makes one dictionary of the chunks' several
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        rows = np.asarray(pc.list_parent_indices(column), np.int32)
        column = pc.list_flatten(column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return Coded(size, column.dictionary, np.asarray(pc.fill_null(column.indices, -1), np.int32), rows)


def complete(text: str, cursor: int, columns: Columns, limit: int = 12) -> list[Completion]:
    """What could stand at the cursor: fields, the operators of a field of numbers, or a field's values, the most
    frequent first. ``cursor`` counts characters (Qt counts UTF-16 units). Never raises for what was typed. The first
    call for a column counts its values.
    """
    text = clean(text)
    name, typed, start, end = under(text, cursor)
    if name is not None:
        found = _values(name, typed, columns, limit)
        return [Completion(quoted(value), start, end, value, detail) for value, detail in found[:limit]]
    after = text[end : end + 1]
    fields = _fields(typed, columns.names(), colon=not after or after not in "<>=!")
    return [Completion(quoted(known) + sign, start, end + (after == ":"), known + sign, detail)
            for known, sign, detail in fields[:limit]]


def _fields(typed: str, names: Mapping[str, Kind], colon: bool) -> list[tuple[str, str, str]]:
    """Name, sign after it, and detail."""
    kinds: dict[str, str] = {name: kind for name, kind in names.items() if kind != "flag"}
    found = [(name, ":" * colon, kind) for name, kind in _ranked(kinds | {"has": "field", "is": "flag"}, typed)]
    exact = find_field(typed, names)
    if colon and exact is not None and names[exact] in ("number", "date"):
        found[1:1] = [(exact, sign, meaning) for sign, meaning in _OPERATORS.items()]
    return found


def _values(name: str, typed: str, columns: Columns, limit: int) -> list[tuple[str, str]]:
    """Value and detail."""
    names = columns.names()
    if (short := name.casefold()) in ("has", "is"):
        return _ranked({known: kind for known, kind in names.items() if kind == "flag" or short == "has"}, typed)
    found = find_field(name, names)
    match None if found is None else names[found]:
        case "date":
            words = {word: f"last {back + 1} days" if back > 1 else "" for word, back in DATE_WORDS.items()}
            return _ranked(words, typed)
        case "flag":
            return _ranked({"yes": "", "no": ""}, typed)
        case "category" | "tags":
            aliases = {word: f"= {meant}" for word, meant in _MODALITIES.items() if typed and found == "modality"}
            return _counted(columns.column(str(found)), typed, limit) + _ranked(aliases, typed)
    return []


def _ranked(options: Mapping[str, str], typed: str) -> list[tuple[str, str]]:
    """Those that begin with what was typed, then those that contain it."""
    short = typed.casefold()
    hits = [(option, detail) for option, detail in options.items() if short in option.casefold()]
    return sorted(hits, key=lambda hit: not hit[0].casefold().startswith(short))


def _counted(column: Strings, typed: str, limit: int) -> list[tuple[str, str]]:
    values, counts = coded(column).commonest
    begins = _holds(values, Value(typed, prefix=True), whole=False)
    contains = _holds(values, Value(typed), whole=False) & ~begins
    hits = np.concatenate([np.flatnonzero(begins), np.flatnonzero(contains)])[:limit]
    return [(value, f"{count:,}") for value, count in zip(values.take(hits).to_pylist(), counts[hits], strict=True)]
