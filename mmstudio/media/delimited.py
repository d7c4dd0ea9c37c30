"""Tables that are texts: CSV and its relatives (RFC 4180 and looser), and JSON lines, read line by line."""

from __future__ import annotations

import csv
import functools
import itertools
import json
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.cells import (
    MAX_COLUMNS,
    SAMPLE_ROWS,
    Broken,
    Cells,
    Column,
    Reading,
    Table,
    flat,
    sampled,
    unique_names,
)
from mmstudio.media.limits import Limits
from mmstudio.media.textlines import TextSource, beginning, encoding_of, lines_of
from mmstudio.media.written import number_of, typed, written_kind

COUNTED_BYTES = 8_000_000
"""The rows of a text up to this size are counted at once."""
DELIMITERS = "\t;,|"
_NAMED = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_LINES_NAMES = (".jsonl", ".ndjson", ".jsonlines")
_LINES_LOOKED_AT = 50
_END = "\0"
"""A last line that no text holds, zero characters being left out: a quote that is never closed swallows it."""


def written_table(source: TextSource, limits: Limits) -> Table | None:
    """The table that a text is, None where it is none. Raises MediaError where it is broken."""
    encoding = encoding_of(source.open)
    lines = functools.partial(lines_of, source, encoding, limits)
    start = list(beginning(lines(), _LINES_LOOKED_AT, len))
    if not any(line.strip() for line in start):
        raise UnreadableMedia("The table holds no rows.", path=source.path)
    if _is_json_lines(start, source.name):
        return _json_lines(source, lines)
    delimiter = delimiter_of(start, source.name)
    return _delimited(source, lines, delimiter) if delimiter else None


def _length(row: list[str] | Broken) -> int:
    return 0 if isinstance(row, Broken) else sum(map(len, row))


def delimiter_of(lines: Sequence[str], name: str) -> str:
    """What separates the cells: the character that gives most rows the same number of cells, "" for no table.

    A name that ends in .csv or .tsv makes it a table in any case; other texts need four rows of equal width.
    """
    named = _NAMED.get(PurePosixPath(name).suffix.lower(), "")
    if said := _SAYS.fullmatch(lines[0].strip("\ufeff\r\n")):
        return said[1]
    best, score = named, (0.0, False, 0)
    for delimiter in DELIMITERS:
        widths = _widths(lines, delimiter)
        width = statistics.mode(widths) if widths else 0
        share = widths.count(width) / max(1, len(widths))
        table = width >= 2 if named else width >= 3 and share == 1 and len(widths) >= 4
        if table and (share, delimiter == named, width) > score:
            best, score = delimiter, (share, delimiter == named, width)
    return best


_SAYS = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line with which spreadsheets tell the delimiter."""


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    whole = lines[:-1] if len(lines) == _LINES_LOOKED_AT else lines  # the last one may be cut inside quotes
    try:
        return [len(row) for row in csv.reader(whole, delimiter=delimiter, skipinitialspace=True) if row]
    except csv.Error:
        return []


def _delimited(source: TextSource, lines: Callable[[], Iterator[str]], delimiter: str) -> Table:
    """A table whose first row is its header, unless that row holds nothing but numbers or names a file that is there.

    Short rows are padded with None. What a row has beyond the header stands in columns "extra 1", "extra 2" ...
    """
    sample = list(beginning(_records(lines(), delimiter), SAMPLE_ROWS, _length))
    rows = [row for row in sample if not isinstance(row, Broken)]
    if not rows:
        why = next((row.reason for row in sample if isinstance(row, Broken)), "The table holds no rows.")
        raise UnreadableMedia(why, path=source.path)
    header = _is_header(rows[0], source.holds)
    body, width = rows[header:], max(map(len, rows))
    if width > MAX_COLUMNS:
        raise UnreadableMedia(f"The table has {width:,} columns, more than {MAX_COLUMNS:,}.", path=source.path)
    first = len(rows[0])
    names = unique_names([*(rows[0] if header else [""] * first), *(f"extra {n + 1}" for n in range(width - first))])
    comma = delimiter != ","
    kinds = [written_kind((row[place] for row in body if place < len(row)), True, comma) for place in range(width)]

    def read(start: int) -> Reading:
        records = _records(lines(), delimiter)
        if header:
            next((row for row in records if not isinstance(row, Broken)), None)
        for row in itertools.islice(records, start, None):
            yield row if isinstance(row, Broken) else _cells(row, names, first, kinds, comma)

    return Table(source.name, source.path, tuple(map(Column, names, kinds)), _count(source, read), read, source.folder)


def _is_header(row: list[str], holds: Callable[[str], bool]) -> bool:
    found = [cell.strip() for cell in row if cell.strip()]
    return not all(number_of(cell) is not None for cell in found) and not any(map(holds, found))


def _cells(row: list[str], names: list[str], first: int, kinds: Sequence[object], comma: bool) -> Cells | Broken:
    if len(row) > MAX_COLUMNS:
        return Broken(f"The row has {len(row):,} cells, more than {MAX_COLUMNS:,}.")
    made: Cells = dict.fromkeys(names[:first])
    for place, text in enumerate(row):
        name = names[place] if place < len(names) else f"extra {place - first + 1}"
        made[name] = typed(text, kinds[place], comma) if place < len(kinds) else text  # type: ignore[arg-type]
        if text == "":
            made[name] = None
    return made


def _records(lines: Iterator[str], delimiter: str) -> Iterator[list[str] | Broken]:
    """The rows of a text, empty lines left out. After a row that is broken it goes on with the next line."""
    begin = next(lines, "")
    if not _SAYS.fullmatch(begin.strip("\ufeff\r\n")):
        lines = itertools.chain((begin,), lines)
    reader = csv.reader(itertools.chain(lines, (_END,)), delimiter=delimiter, skipinitialspace=True)
    line = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Broken(f"The row at line {line + 1:,} has a cell of over {csv.field_size_limit():,} characters, "
                         "or a quote that is never closed.")
            row = []
        if row == [_END]:
            return
        if row and _END in row[-1]:
            yield Broken(f"A quote at line {line + 1:,} is never closed; what follows it was left out.")
            return
        line = reader.line_num
        if row:
            yield row


def _count(source: TextSource, read: Callable[[int], Reading]) -> int | None:
    """The number of rows, broken ones too; None where the text is long or ends with what cannot be read."""
    if source.size > COUNTED_BYTES:
        return None
    try:
        return sum(1 for _ in read(0))
    except MediaError:
        return None


def _is_json_lines(lines: Sequence[str], name: str) -> bool:
    """Most of the lines are objects; one is enough where the name says so."""
    written = [line for line in lines if line.strip()]
    objects = sum(not isinstance(_object(line, 0), Broken) for line in written)
    return objects > 0 and (objects * 2 >= len(written) or name.lower().endswith(_LINES_NAMES))


def _object(line: str, number: int) -> Cells | Broken:
    try:
        found = json.loads(line.strip("\ufeff"))
    except RecursionError:
        return Broken(f"Line {number:,} is nested too deeply.")
    except ValueError:
        return Broken(f"Line {number:,} is no JSON.")
    if not isinstance(found, dict):
        return Broken(f"Line {number:,} is no object with names and values.")
    cells = flat(found)
    if len(cells) > MAX_COLUMNS:
        return Broken(f"Line {number:,} has {len(cells):,} values, more than {MAX_COLUMNS:,}.")
    return cells


def _json_lines(source: TextSource, lines: Callable[[], Iterator[str]]) -> Table:
    """An object per line; objects inside it become dotted columns. Written dates become dates."""

    def plain(start: int) -> Reading:
        written = ((number, line) for number, line in enumerate(lines(), 1) if line.strip())
        for number, line in itertools.islice(written, start, None):
            yield _object(line, number)

    columns = sampled(plain, source.path, kind=written_kind)
    dates = [column.name for column in columns if column.kind == "date"]

    def read(start: int) -> Reading:
        for cells in plain(start):
            if not isinstance(cells, Broken):
                cells = cells | {name: typed(cells[name], "date") for name in dates if name in cells}
            yield cells

    return Table(source.name, source.path, columns, _count(source, read), read, source.folder)
