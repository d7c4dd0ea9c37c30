"""Texts: plain text, Markdown, cells of CSV/TSV tables and strings of JSON lines, as passages of bounded length."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmstudio.errors import MediaTooLarge, UnreadableMedia
from mmstudio.media.limits import Limits
from mmstudio.media.sniff import reason, regular_size, text_mark, unmarked_utf_16


@dataclass(frozen=True)
class Passage:
    """A piece of a file's text; ``part`` names where it stands ("" when it is the whole text)."""

    part: str
    text: str


def read_text(path: Path, limits: Limits) -> str:
    """The file's text, its encoding detected. Raises MediaTooLarge above ``limits.max_text_megabytes``."""
    size = regular_size(path)
    if size > limits.max_text_megabytes * 1_000_000:
        raise MediaTooLarge(
            f"The text has {size / 1e6:,.0f} MB.", path=path,
            hint=f"The limit is {limits.max_text_megabytes} MB (Settings ▸ Largest text).")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error
    return decode(raw)


def decode(raw: bytes) -> str:
    """Bytes to text: a byte-order mark, else UTF-8, else what charset detection says, else Latin-1 (which always
    decodes). A UTF-8 text cut inside a character, or with a few broken ones, loses only those.
    """
    encoding = text_mark(raw) or unmarked_utf_16(raw[:16_384])
    if encoding:
        return raw.decode(encoding, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(raw) - 3:
            return raw[: error.start].decode("utf-8")
    lenient = raw.decode("utf-8", "replace")
    if lenient.count("\ufffd") * 20 <= len(raw.translate(None, _ASCII)):
        return lenient
    from charset_normalizer import from_bytes

    best = from_bytes(raw[:65_536]).best()
    return raw.decode(best.encoding if best else "latin-1", "replace")


_ASCII = bytes(range(128))


def _storable(text: str) -> str:
    """Without what no database and no file of texts can hold: zero characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def passages(path: Path, limits: Limits) -> tuple[list[Passage], str]:
    """All passages of a file, and a sentence about what was left out ("" when nothing was).

    Raises UnreadableMedia where there is no letter or digit in it.
    """
    text = read_text(path, limits)
    notes: list[str] = []
    delimiter = _delimiter(text, path)
    if _is_json_lines(text):
        found = _json_strings(text, limits)
    elif delimiter:
        found = _cells(text, delimiter, limits, notes)
    else:
        found = _parts("", text, limits)
    kept = list(itertools.islice(found, limits.max_passages))
    if notes and not kept:  # broken from the beginning: then it is no table
        notes, found = [], _parts("", text, limits)
        kept = list(itertools.islice(found, limits.max_passages))
    if not kept:
        raise UnreadableMedia("The text holds no words.", path=path)
    kept = [Passage(_storable(passage.part), _storable(passage.text)) for passage in kept]
    if next(found, None) is not None:
        return kept, f"Only the first {limits.max_passages:,} passages were taken."
    return kept, " ".join(notes)


def _parts(where: str, text: str, limits: Limits) -> Iterator[Passage]:
    """One passage named ``where``, or, where the text is long, several that are numbered."""
    pieces = (p for p in split(text, limits.passage_characters) if any(c.isalnum() for c in p))
    first = next(pieces, None)
    second = next(pieces, None)
    if first is None:
        return
    if second is None:
        yield Passage(where, first)
        return
    for number, piece in enumerate(itertools.chain((first, second), pieces), 1):
        yield Passage(f"{where}, passage {number}" if where else f"passage {number}", piece)


def split(text: str, length: int) -> Iterator[str]:
    """Pieces of at most ``length`` characters: paragraphs are filled up together, long ones cut at sentence ends, then
    at spaces, and only a single longer word is cut inside.
    """
    held = ""
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _sentences(paragraph.strip(), length):
            if held and len(held) + 1 + len(sentence) > length:
                yield held
                held = ""
            held = f"{held} {sentence}" if held else sentence
        if len(held) > length // 2:
            yield held
            held = ""
    if held:
        yield held


def _sentences(paragraph: str, length: int) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.!?…。！？])\s+", paragraph) if len(paragraph) > length else [paragraph]:
        start = 0
        while start < len(sentence):  # by positions: cutting off pieces would copy the rest again and again
            end = start + length
            if end < len(sentence):
                space = sentence.rfind(" ", start + 1, end)
                end = space if space > 0 else end
            if piece := sentence[start:end].strip():
                yield piece
            start = end


def _delimiter(text: str, path: Path) -> str:
    """What separates the cells of a table: the character that stands equally often in all of the first lines. A name
    that ends in .csv or .tsv makes it a table in any case; "" when it is none.
    """
    named = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower(), "")
    whole = text[:8192].rpartition("\n")[0] if len(text) > 8192 else text
    for delimiter in "\t;,|":
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(whole, newline=None), delimiter=delimiter) if row]
        except csv.Error:
            continue
        if widths and set(widths) == {widths[0]} and widths[0] >= (2 if named else 3) and (named or len(widths) >= 4):
            return delimiter
    return named


def _cells(text: str, delimiter: str, limits: Limits, notes: list[str]) -> Iterator[Passage]:
    """The cells that hold words. Quoting that never ends leaves the rest out, with a note."""
    rows = csv.reader(io.StringIO(text.replace("\0", ""), newline=None), delimiter=delimiter)
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row, 1):
                if any(c.isalpha() for c in cell):
                    yield from _parts(f"row {number}, column {column}", cell, limits)
    except csv.Error:
        notes.append(f"The table is broken after row {number:,}; the rest was left out.")


def _is_json_lines(text: str) -> bool:
    first = next((line for line in text.split("\n", 3)[:3] if line.strip()), "")
    if not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _json_strings(text: str, limits: Limits) -> Iterator[Passage]:
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        for key, value in _strings(row):
            if any(c.isalpha() for c in value):
                yield from _parts(f"line {number}, {key}" if key else f"line {number}", value, limits)


def _strings(row: object) -> Iterator[tuple[str, str]]:
    """``(key, text)`` of all strings in an object, those inside it named by a dotted path."""
    stack = [("", row)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            stack.extend((f"{name}.{key}" if name else str(key), inner) for key, inner in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{name}.{place}", inner) for place, inner in reversed(list(enumerate(value, 1))))
