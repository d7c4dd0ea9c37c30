"""A brush over a histogram is a part of the filter bar's text: written into it, read from it, taken out of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np

from mmstudio.library.histogram import Histogram
from mmstudio.library.query import Compare, Match, Or, QueryError, Value, clean, leaf, parse, plain, quoted, scan, span
from mmstudio.library.query_match import Kind, Mask, find_field, meant

_LONGEST = 200
"""Characters of a value that are written; of a longer one its beginning is asked for."""
Term = Match | Compare
Names = Mapping[str, Kind]


def words(shown: Histogram, bars: Iterable[int], also: Sequence[Value] = ()) -> str:
    """What one types to let these bars pass, of numbers all from the first to the last; ``also`` are more values."""
    name, chosen = quoted(shown.name), sorted(bars)
    if shown.bins is None:
        values = [*(_value(shown.values[bar]) for bar in chosen if bar < len(shown.values)), *also]
        return f"{name}:{','.join(map(str, values))}" if values else ""
    if not chosen:
        return ""
    first, last = shown.bins.first[chosen[0]], shown.bins.last[chosen[-1]]
    if shown.bins.closed:
        return f"{name}:{first}" if first == last else f"{name}:{first}..{last}"
    ends = ((">=", first, shown.bins.edges[chosen[0]]), ("<", last, shown.bins.edges[chosen[-1] + 1]))
    return " ".join(f"{name}{operator}{end}" for operator, end, edge in ends if math.isfinite(edge))


def brushed(shown: Histogram, terms: Sequence[Term]) -> frozenset[int]:
    """The bars of which something passes these terms; none where the terms cannot be understood."""
    if not terms:
        return frozenset()
    if shown.bins is None:
        values = [value for term in terms if isinstance(term, Match) for value in term.values]
        return frozenset(bar for bar, text in enumerate(shown.values)
                         if any(_means(value, text, shown.name) for value in values))
    try:
        passes = np.logical_and.reduce([_overlap(shown, term) for term in terms])
    except QueryError:
        return frozenset()
    return frozenset(np.flatnonzero(passes).tolist())


def unshown(shown: Histogram, terms: Sequence[Term]) -> list[Value]:
    """The values that are asked for and have no bar."""
    return [value for term in terms if isinstance(term, Match) for value in term.values
            if not any(_means(value, text, shown.name) for text in shown.values)]


def terms_about(text: str, name: str, names: Names) -> list[Term]:
    """The terms that hold for all that passes a filter's text and ask about a column: of a text that has none, or is no
    query, none. A negated term, a ``!=`` and what stands in parentheses or beside an OR are the person's own.
    """
    try:
        parse(text)
        return [term for token in _tokens_about(text, name, names)
                if isinstance(term := leaf(token), (Match, Compare))]
    except QueryError:
        return []


def narrowed(text: str, name: str, names: Names, by: str) -> str:
    """The filter's text with these words (or "", none) in the place of its terms about a column; all else stays.

    Raises ``QueryError`` for a text that is no query.
    """
    if isinstance(parse(text), Or):
        return f"({text.strip()}) {by}" if by else text
    tokens = list(scan(clean(text)))
    pieces, start = [], 0
    for token in _dropped(tokens, _tokens_about(text, name, names)):
        pieces.append(text[start : token.start()])
        start = token.end()
    pieces.append(text[start:])
    at = 1 if len(pieces) > 1 else len(pieces)
    left = " ".join(filter(None, (piece.strip() for piece in [*pieces[:at], by, *pieces[at:]])))
    return left if by else _unwrapped(left)


def _tokens_about(text: str, name: str, names: Names) -> list[re.Match[str]]:
    found, depth, before = [], 0, ""
    for token in scan(clean(text)):
        kind = token[0] if token.lastgroup == "keyword" else str(token.lastgroup)
        depth += (kind == "open") - (kind == "close")
        if depth == 0 and kind == "OR":
            return []
        asks = token["values"] or token["operator"] not in (None, "!=")
        if depth == 0 and kind == "term" and asks and before not in ("minus", "NOT") and \
                find_field(plain(token["name"]), names) == name:
            found.append(token)
        before = kind
    return found


def _dropped(tokens: Sequence[re.Match[str]], terms: Sequence[re.Match[str]]) -> Iterator[re.Match[str]]:
    """The terms, and of the ANDs beside each the one that would be left without a term."""
    starts, dropped = {token.start() for token in terms}, -1
    for at, token in enumerate(tokens):
        if token.start() not in starts:
            continue
        joins_next = at + 1 < len(tokens) and tokens[at + 1][0] == "AND"
        if not joins_next and at - 1 > dropped and tokens[at - 1][0] == "AND":
            yield tokens[at - 1]
        yield token
        if joins_next:
            dropped = at + 1
            yield tokens[dropped]


def _unwrapped(text: str) -> str:
    """Without parentheses around all of it."""
    depth, tokens = 0, list(scan(clean(text)))
    for token in tokens[:-1]:
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if depth == 0:
            return text
    return text[1:-1].strip() if depth == 1 and tokens[-1].lastgroup == "close" else text


def _value(text: str) -> Value:
    return Value(text) if len(text) <= _LONGEST else Value(text[:_LONGEST], prefix=True)


def _means(value: Value, text: str, name: str) -> bool:
    asked = (meant(value) if name == "modality" else value).text.casefold()
    return text.casefold().startswith(asked) if value.prefix else text.casefold() == asked


def _overlap(shown: Histogram, term: Term) -> Mask:
    """The bars ``(b,)`` that may hold a value of which the term is true."""
    assert shown.bins is not None
    bottom, top = shown.bins.edges[:-1], np.nextafter(shown.bins.edges[1:], -np.inf)
    if shown.kind == "number" and shown.bins.closed:
        top = shown.bins.edges[1:] - 1
    now = datetime.now() if shown.kind == "date" else None
    texts = [term.operand] if isinstance(term, Compare) else [f"{v.text}{'*' * v.prefix}" for v in term.values]
    out = np.zeros(len(shown), np.bool_)
    for text in texts:
        first, last = span(text, now, term.position)
        match term.operator if isinstance(term, Compare) else "=":
            case "<":
                out |= bottom < first
            case "<=":
                out |= bottom <= last
            case ">":
                out |= top > last
            case ">=":
                out |= top >= first
            case _:
                out |= (top >= first) & (bottom <= last)
    return out
