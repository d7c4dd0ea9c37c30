"""Texts of any size, line by line: their encoding told from the whole of them, no line longer than fits into memory."""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmstudio.errors import MediaTooLarge
from mmstudio.media.blobs import Opener
from mmstudio.media.limits import Limits
from mmstudio.media.sniff import HEAD_BYTES, text_mark, unmarked_utf_16

T = TypeVar("T")
BEGINNING = 8_000_000


@dataclass(frozen=True)
class TextSource:
    """A text that can be opened again and again. ``holds`` tells whether a cell names a file beside it."""

    name: str
    path: Path
    size: int
    open: Opener
    folder: Path | None
    holds: Callable[[str], bool]


_WESTERN = frozenset("äöüßÄÖÜéèêëàâáçñîïíôóúûœæåÉÈÀÇÑÓÚÍÁ€„“”‚‘’–—…°§«»²³µ©®·´¿¡".encode("cp1252"))
_TOLD_OTHERWISE = ["utf_7", *(f"utf_{width}{order}" for width in (16, 32) for order in ("", "_be", "_le"))]


def encoding_of(open_text: Opener) -> str:
    """A byte-order mark, else UTF-8 where the whole text (or nearly all of it) is, else Windows-1252 where all that is
    not ASCII is a common Western letter standing alone, else what charset detection says, else Latin-1.
    """
    with open_text() as file:
        head = file.read(HEAD_BYTES)
        if encoding := text_mark(head) or unmarked_utf_16(head):
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            return "utf-8"
        except UnicodeDecodeError:
            pass
    return _without_mark(_foreign_lines(open_text))


def _foreign_lines(open_text: Opener) -> bytes:
    """The first 64 KiB of lines that are not ASCII: what can tell the encoding."""
    kept = bytearray()
    with open_text() as file:
        while len(kept) < 65_536 and (line := file.readline(65_536)):
            if not line.isascii():
                kept += line
    return bytes(kept)


def _without_mark(lines: bytes) -> str:
    foreign = re.findall(rb"[\x80-\xff]+", lines)
    total = sum(map(len, foreign))
    if lines.decode("utf-8", "replace").count("\ufffd") * 20 <= total:
        return "utf-8"
    if total <= 1.2 * len(foreign) and _WESTERN.issuperset(b"".join(foreign)):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(lines, cp_exclusion=_TOLD_OTHERWISE).best()
    return best.encoding if best else "latin-1"


def lines_of(source: TextSource, encoding: str, limits: Limits) -> Iterator[str]:
    """Lines with their ends and without zero characters. Raises MediaTooLarge at one that would not fit into memory."""
    longest = limits.max_text_megabytes * 1_000_000
    with source.open() as raw, io.TextIOWrapper(raw, encoding, errors="replace", newline="") as file:
        for number in itertools.count(1):
            line = file.readline(longest)
            if not line:
                return
            if len(line) >= longest:
                raise MediaTooLarge(f"Line {number:,} is longer than {limits.max_text_megabytes} MB.", path=source.path,
                                    hint="The limit is the one of texts (Settings ▸ Largest text).")
            yield line.replace("\0", "")


def beginning(found: Iterator[T], count: int, size: Callable[[T], int]) -> Iterator[T]:
    """The first ``count`` things, fewer where they are so long that together they have over 8 million characters."""
    total = 0
    for one in itertools.islice(found, count):
        yield one
        total += size(one)
        if total > BEGINNING:
            return
