"""The language of the library's filter bar: ``modality:image tag:dog -tag:blurry (cat OR dog) duration<5s``.

Terms side by side must all hold; ``OR`` binds weaker; ``-`` or ``NOT`` negates what follows; parentheses group. A word
or "quoted phrase" is looked for in texts, names and tags. ``field:value`` compares with any of ``a,b``, a beginning
``a*`` or a range ``1..5``; ``field<5`` compares by size; ``is:selected`` asks for a yes, ``has:tag`` for any value. A
quote inside quotes is doubled. What fields there are is for the data to say (``query_match``), so an unknown one is not
the grammar's error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TypeAlias

from mmstudio.errors import StudioError

MAX_DEPTH = 100
UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}  # in seconds
DATE_WORDS = {"today": 0, "yesterday": 1, "week": 6, "month": 29, "year": 364}  # each begins so many days before today
_KEYWORDS = ("AND", "OR", "NOT")

# Possessive repeats (*+, ++) leave nothing to backtrack into: the time is linear in what was typed.
_QUOTED = r'"(?:[^"]|"")*+"'
_NAME = rf'(?:{_QUOTED}|(?:[^\s()":<>=!]|!(?!=))++)'
_VALUE = rf'(?:{_QUOTED}\*?|[^\s()",]++)'
_TOKEN = re.compile(rf"""
    (?P<open>\() | (?P<close>\)) | (?P<minus>-(?=[^\s)]))
    | (?P<keyword>(?:{"|".join(_KEYWORDS)})(?=[\s()"]|\Z))
    | (?P<term>(?P<name>{_NAME})
        (?: :(?P<values>(?:{_VALUE}(?:,++{_VALUE})*+,*+)?)
          | \s*+(?P<operator>[<>]=?|!=|=)\s*+(?P<operand>[^\s()"]*+) )?)
    | (?P<unclosed>"(?:[^"]|"")*+) | (?P<stray>\S)""", re.VERBOSE)
_VALUES = re.compile(_VALUE)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([^\W\d_]*)")
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:t(\d{1,2})(?::(\d{2}))?)?)?)?")
_SAFE_WORD = re.compile(rf"(?!-|(?:{'|'.join(_KEYWORDS)})\Z)[\w./+-]+")
_SAFE_VALUE = re.compile(r"[\w./+-]+")


class QueryError(StudioError):
    """What was typed is no query, or does not fit the data. ``position`` is the character where it goes wrong."""

    def __init__(self, what: str, position: int, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.position = position


@dataclass(frozen=True)
class Word:
    """A text somewhere in the item."""

    text: str
    position: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return quoted(self.text)


@dataclass(frozen=True)
class Value:
    """One right side of ``field:value``; ``prefix`` where a ``*`` ended it."""

    text: str
    prefix: bool = False

    def __str__(self) -> str:
        return quoted(self.text, _SAFE_VALUE) + "*" * self.prefix


@dataclass(frozen=True)
class Match:
    """The field has one of the values. ``has`` and ``is`` are fields too, whose values are names of fields."""

    name: str
    values: tuple[Value, ...]
    position: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{quoted(self.name)}:{','.join(map(str, self.values))}"


@dataclass(frozen=True)
class Compare:
    """The field is less, more, ... than a number (with a unit) or a date, kept as it was typed."""

    name: str
    operator: str
    operand: str
    position: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{quoted(self.name)}{self.operator}{self.operand}"


@dataclass(frozen=True)
class Not:
    """The term does not hold."""

    term: Query

    def __str__(self) -> str:
        return _written(self, (And, Or))


@dataclass(frozen=True)
class And:
    """All terms hold; with none, everything matches."""

    terms: tuple[Query, ...]

    def __str__(self) -> str:
        return _written(self, (And, Or))


@dataclass(frozen=True)
class Or:
    """One of the terms holds."""

    terms: tuple[Query, ...]

    def __str__(self) -> str:
        return _written(self, (And, Or))


Query: TypeAlias = Word | Match | Compare | Not | And | Or


def parse(text: str) -> Query:
    """Read a query. ``str`` of the answer is its canonical text, which reads as an equal query. An empty text matches
    everything.

    Raises ``QueryError`` for unbalanced quotes and parentheses, an ``OR`` or ``NOT`` without its terms, a comparison
    with no number or date, an unknown unit, and a date that does not exist.
    """
    tokens = list(scan(clean(text)))
    _check(tokens)
    return _Parser(tokens, len(text)).query()


def names_flag(query: Query, flag: str) -> bool:
    """Whether the query asks about a flag: ``is:flag``, ``has:flag``, ``flag:yes``."""
    terms = [query]
    while terms:
        match terms.pop():
            case And() | Or() as group:
                terms.extend(group.terms)
            case Not(term=term):
                terms.append(term)
            case Match(name=name, values=values):
                asked = [value.text for value in values] if name.casefold() in ("has", "is") else [name]
                if flag in map(str.casefold, asked):
                    return True
    return False


def clean(text: str) -> str:
    """The text with "?" for lone surrogates, as the store keeps it: of the same length, and Arrow can take it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def under(text: str, cursor: int) -> tuple[str | None, str, int, int]:
    """What is being typed at the cursor, in any text, right or wrong: the field of which it is a value, or None for a
    field or word itself; what is typed of it before the cursor; and from where to where it reaches.
    """
    tokens = list(scan(text[:cursor]))
    last = tokens[-1] if tokens and tokens[-1].end() == cursor else None
    if last is None or last.lastgroup not in ("term", "keyword", "unclosed") or last[0] == "-":
        return None, "", cursor, cursor
    name, typed, rest = None, last[0], r'[^\s()":<>=!]*'
    if last.lastgroup == "unclosed":
        before = tokens[-2] if len(tokens) > 1 and tokens[-2].end() == last.start() else last
        if before["values"] is not None and before["values"][-1:] in ("", ","):
            name = plain(before["name"])
        rest = r'[^\s"]*"?'
    elif last["values"] is not None or last["operator"]:
        name, rest = plain(last["name"]), r'[^\s()",]*'
        typed = last["operand"] if last["operator"] else _last(last["values"])
    reach = re.compile(rest).match(text, cursor)
    closed = typed + '"' * (last.lastgroup == "unclosed")
    return name, plain(closed), cursor - len(typed), reach.end() if reach else cursor


def _last(values: str) -> str:
    return "" if values[-1:] in ("", ",") else _VALUES.findall(values)[-1]


def scan(text: str) -> Iterator[re.Match[str]]:
    """The tokens: ``lastgroup`` is "open", "close", "minus", "keyword", "term" (of groups "name", and "values" or
    "operator" and "operand"), "unclosed" (a quote, to the end) or "stray".
    """
    return _TOKEN.finditer(text)


def quoted(text: str, safe: re.Pattern[str] = _SAFE_WORD) -> str:
    """The text as it has to be typed."""
    return text if safe.fullmatch(text) else '"' + text.replace('"', '""') + '"'


def plain(typed: str) -> str:
    """The text of a word that was typed with quotes or without."""
    return typed[1:-1].replace('""', '"') if typed.startswith('"') else typed


def shortened(text: str) -> str:
    """As much of a text as fits a message."""
    return text if len(text) <= 40 else text[:39] + "…"


def number(text: str, position: int = 0) -> float:
    """A number; with a unit of time, in seconds."""
    found = _NUMBER.fullmatch(text)
    if not found:
        raise QueryError(f"'{shortened(text)}' is not a number.", position)
    if found[2] not in UNITS:
        raise QueryError(f"'{shortened(found[2])}' is not a unit.", position,
                         f"Units are {', '.join(filter(None, UNITS))}.")
    return float(found[1]) * UNITS[found[2]]


def days(text: str, now: datetime, position: int = 0) -> tuple[float, float]:
    """First and last moment, in seconds since the epoch, of a day, month or year, of an hour (``2026-01-31T14``) or
    minute (``2026-01-31T14:05``), or of a word such as ``week`` (today and the six days before it). Days begin at
    midnight of ``now``'s time zone, or the local one.
    """
    try:
        begin, end = (moment.replace(tzinfo=now.tzinfo).timestamp() for moment in _dates(text.casefold(), now.date()))
    except (ValueError, OverflowError, OSError):  # the platform's calendar may end before Python's
        raise QueryError(f"'{shortened(text)}' is not a date.", position,
                         f"Write 2026-01-31, 2026-01, 2026, {', '.join(DATE_WORDS)}.") from None
    return begin, math.nextafter(end, -math.inf)


def span(text: str, now: datetime | None, position: int = 0) -> tuple[float, float]:
    """Least and greatest number that a value or range (``5``, ``1..5``, ``1..``, ``..5``) stands for, both included; of
    dates where ``now`` is given.
    """
    def ends(part: str) -> tuple[float, float]:
        if now is not None:
            return days(part, now, position)
        return (number(part, position),) * 2

    low, dots, high = text.partition("..")
    if not dots:
        return ends(text)
    return ends(low)[0] if low or not high else -math.inf, ends(high)[1] if high else math.inf


def _dates(text: str, today: date) -> tuple[datetime, datetime]:
    """The first moment, and the first after the last, in no time zone."""
    midnight, one_day = datetime.combine(today, time()), timedelta(1)
    if text in DATE_WORDS:
        return midnight - DATE_WORDS[text] * one_day, midnight + (text != "yesterday") * one_day
    found = _DATE.fullmatch(text)
    if not found:
        raise ValueError(text)
    parts = [int(part) for part in found.groups() if part is not None]
    year, month, day, hour, minute = (*parts, *(1, 1, 0, 0)[len(parts) - 1 :])
    first = datetime(year, month, day, hour, minute)
    if len(parts) > 2:
        return first, first + (one_day, timedelta(hours=1), timedelta(minutes=1))[len(parts) - 3]
    if len(parts) == 2 and month < 12:
        return first, first.replace(month=month + 1)
    return first, datetime(year + 1, 1, 1)


def _written(query: Query, bare: tuple[type, ...] = ()) -> str:
    """A node's text, in parentheses unless its kind stands bare in its place. One function for the whole tree: nodes
    that call ``str`` on each other would reach Python's recursion limit.
    """
    match query:
        case Not():
            return f"-{_written(query.term)}"
        case And():
            text = " ".join([_written(term) for term in query.terms])
        case Or():
            text = " OR ".join([_written(term, (And,)) for term in query.terms])
        case _:
            return str(query)
    return text if isinstance(query, bare) else f"({text})"


def _check(tokens: list[re.Match[str]]) -> None:
    """Quotes and parentheses balance and every operator follows a field."""
    opened = []
    for token in tokens:
        if token.lastgroup == "unclosed":
            raise QueryError("This quote is never closed.", token.start())
        if token.lastgroup == "stray":
            raise QueryError(f"Nothing stands before the '{token[0]}'.", token.start(),
                             'Put it in quotes to search for it: "…"')
        if token.lastgroup == "open":
            opened.append(token.start())
        elif token.lastgroup == "close":
            if not opened:
                raise QueryError("This parenthesis was never opened.", token.start())
            opened.pop()
    if opened:
        raise QueryError("This parenthesis is never closed.", opened[-1])


class _Parser:
    """Recursive descent over tokens whose parentheses balance."""

    def __init__(self, tokens: list[re.Match[str]], end: int) -> None:
        self._tokens, self._end = tokens, end
        self._at = self._depth = 0

    def query(self) -> Query:
        return self._any() if self._tokens else And(())

    def _kind(self, at: int) -> str:
        """A keyword itself, a token's kind, or "" beyond both ends."""
        if not 0 <= at < len(self._tokens):
            return ""
        token = self._tokens[at]
        return token[0] if token.lastgroup == "keyword" else str(token.lastgroup)

    def _any(self) -> Query:
        sides = [self._all()]
        while self._kind(self._at) == "OR":
            self._at += 1
            sides.append(self._all())
        return sides[0] if len(sides) == 1 else Or(tuple(sides))

    def _all(self) -> Query:
        terms = [self._term()]
        while (kind := self._kind(self._at)) not in ("", "OR", "close"):
            self._at += kind == "AND"
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _term(self) -> Query:
        kind = self._kind(self._at)
        if kind in ("", "AND", "OR", "close"):
            raise self._missing()
        token = self._tokens[self._at]
        self._at += 1
        return leaf(token) if kind == "term" else self._nested(kind, token.start())

    def _nested(self, kind: str, position: int) -> Query:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(f"More than {MAX_DEPTH} parentheses or negations are nested.", position)
        found = self._any() if kind == "open" else Not(self._term())
        self._at += kind == "open"  # its close
        self._depth -= 1
        return found

    def _missing(self) -> QueryError:
        """Why there is no term here."""
        before, here = self._kind(self._at - 1), self._kind(self._at)
        position = self._tokens[self._at].start() if here else self._end
        for keyword in (before, here):
            if keyword in ("AND", "OR"):
                return QueryError(f"{keyword} needs a term on both sides.", position)
        if before == "open":
            return QueryError("There is nothing between the parentheses.", position)
        return QueryError("There is nothing to negate.", position)


def leaf(token: re.Match[str]) -> Word | Match | Compare:
    """What a term says."""
    name, position = plain(token["name"]), token.start()
    values = tuple(_value(typed) for typed in _VALUES.findall(token["values"] or ""))
    if token["operator"]:
        _check_operand(name, token)
        return Compare(name, token["operator"], token["operand"], position)
    if token["values"] is None:
        return Word(name, position)
    if not values:
        raise QueryError(f"Nothing follows '{shortened(name)}:'.", token.end())
    if name.casefold() == "added":
        for value in values:
            span(str(value) if value.prefix else value.text, datetime.now(), position)
    return Match(name, values, position)


def _value(typed: str) -> Value:
    prefix = typed.endswith("*")
    return Value(plain(typed.removesuffix("*")), prefix)


def _check_operand(name: str, token: re.Match[str]) -> None:
    operand, position = token["operand"], token.start("operand")
    if not operand:
        raise QueryError(f"'{shortened(name)}' is compared with nothing.", position, "Write a number or a date.")
    if name.casefold() == "added" or operand.casefold() in DATE_WORDS or re.match(r"\d+-\d", operand):
        days(operand, datetime.now(), position)
    else:
        number(operand, position)
