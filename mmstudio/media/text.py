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
from mmstudio.media.sniff import regular_size


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
        raise UnreadableMedia(f"The text could not be read ({error.strerror}).", path=path) from error
    return decode(raw)


def decode(raw: bytes) -> str:
    """Bytes to text: a byte-order mark, else UTF-8, else what charset detection says, else Latin-1 (which always
    decodes). A text cut in the middle of a UTF-8 character loses only that character.
    """
    for mark, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if raw.startswith(mark):
            return raw.decode(name, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(raw) - 3:
            return raw[: error.start].decode("utf-8")
    from charset_normalizer import from_bytes

    best = from_bytes(raw[:65_536]).best()
    if best:
        try:
            return raw.decode(best.encoding)
        except (UnicodeDecodeError, LookupError):
            pass
    return raw.decode("latin-1")


def passages(path: Path, limits: Limits) -> tuple[list[Passage], str]:
    """All passages of a file, and a sentence about what was left out ("" when nothing was).

    Raises UnreadableMedia where there is no letter or digit in it.
    """
    text = read_text(path, limits)
    if path.suffix.lower() in (".csv", ".tsv"):
        found = _cells(text, "\t" if path.suffix.lower() == ".tsv" else ",", limits)
    elif _is_json_lines(text):
        found = _json_strings(text, limits)
    else:
        found = _plain(text, limits)
    kept = list(itertools.islice(found, limits.max_passages))
    if not kept:
        raise UnreadableMedia("The text holds no words.", path=path)
    left_out = next(found, None) is not None
    return kept, f"Only the first {limits.max_passages:,} passages were taken." if left_out else ""


def _plain(text: str, limits: Limits) -> Iterator[Passage]:
    pieces = (p for p in split(text, limits.passage_characters) if any(c.isalnum() for c in p))
    first = next(pieces, None)
    second = next(pieces, None)
    if first is None:
        return
    if second is None:
        yield Passage("", first)
        return
    for number, piece in enumerate(itertools.chain((first, second), pieces), 1):
        yield Passage(f"passage {number}", piece)


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
        rest = sentence
        while len(rest) > length:
            cut = rest.rfind(" ", 1, length)
            cut = cut if cut > 0 else length
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        if rest:
            yield rest


def _cells(text: str, default: str, limits: Limits) -> Iterator[Passage]:
    try:
        delimiter = csv.Sniffer().sniff(text[:8192], ",;\t|").delimiter
    except csv.Error:
        delimiter = default
    rows = csv.reader(io.StringIO(text.replace("\0", "")), delimiter=delimiter)
    try:
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row, 1):
                if any(c.isalpha() for c in cell):
                    yield Passage(f"row {number}, column {column}", cell.strip()[: limits.passage_characters])
    except csv.Error:
        return


def _is_json_lines(text: str) -> bool:
    lines = [line for line in text[:16_384].splitlines()[:3] if line.strip()]
    if not lines or not lines[0].lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(lines[0]), dict)
    except ValueError:
        return False


def _json_strings(text: str, limits: Limits) -> Iterator[Passage]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        for key, value in row.items() if isinstance(row, dict) else ():
            if isinstance(value, str) and any(c.isalpha() for c in value):
                yield Passage(f"line {number}, {key}", value.strip()[: limits.passage_characters])
