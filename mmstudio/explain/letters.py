"""Letters of any script as a person sees them, and how wide they are in the fonts of this computer.

What a person takes for one letter is a grapheme cluster (Unicode Standard Annex 29): a letter with its marks, a flag,
a family joined of several faces. Pillow draws without a window, one font at a time; here is which.
"""

from __future__ import annotations

import os
import struct
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("${WINDIR}/Fonts", "${LOCALAPPDATA}/Microsoft/Windows/Fonts"),
}
FIRST = ("dejavusans", "notosans-regular", "notosans", "arial", "segoeui", "helvetica", "liberationsans-regular")
"""Families that running text is set in, where they are there."""
SPECIAL = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "serif", "display", "math")
STRIKES = (109, 136, 128, 160)
"""Sizes in which fonts of coloured pictures come; they have no other."""
_NO_LETTER = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF),
                           "\ufffd") | {9: " ", 13: " "}


def visible(text: str) -> str:
    """The same text, character by character, without those that neither a page nor a picture can show."""
    return text.translate(_NO_LETTER)


def clusters(text: str) -> list[tuple[int, int]]:
    """Start and end of each letter as a person sees it."""
    import regex

    return [found.span() for found in regex.finditer(r"\X", text)]


def heads(text: str) -> NDArray[np.int64]:
    """``(n,)`` where the letter of each character begins."""
    starts = np.array([start for start, _ in clusters(text)], np.int64)
    return np.repeat(starts, np.diff(starts, append=len(text))) if len(starts) else starts


def leftward(text: str) -> bool:
    """Whether this is read from right to left: its first letter with a direction is (UAX 9, rules P2 and P3)."""
    strong = next((side for letter in text if (side := unicodedata.bidirectional(letter)) in ("L", "R", "AL")), "L")
    return strong != "L"


# ---- fonts ----------------------------------------------------------------------------------------------------------


@cache
def font_files() -> tuple[Path, ...]:
    """The fonts of this computer, those for running text first."""
    named = FOLDERS.get(sys.platform, FOLDERS["linux"])
    folders = [Path(os.path.expandvars(name)).expanduser() for name in named]
    found = [file for folder in folders for file in sorted(folder.rglob("*"))
             if file.suffix.lower() in (".ttf", ".otf", ".ttc")]
    return tuple(sorted(found, key=_rank))


def _rank(file: Path) -> tuple[int, int, str]:
    name = file.stem.lower()
    return (FIRST.index(name) if name in FIRST else len(FIRST), sum(word in name for word in SPECIAL), name)


@cache
def _covered(file: Path) -> NDArray[np.int64]:
    """``(n, 2)`` first and last code points of the stretches that a font has letters for, ascending: its ``cmap`` of
    format 4 or 12 (OpenType 1.9). None of a font that cannot be read.
    """
    try:
        with file.open("rb") as opened:
            def at(place: int, length: int) -> bytes:
                opened.seek(place)
                return opened.read(length)

            start = struct.unpack(">I", at(12, 4))[0] if at(0, 4) == b"ttcf" else 0
            count = struct.unpack(">H", at(start + 4, 2))[0]
            tables = [struct.unpack(">4sIII", at(start + 12 + 16 * row, 16)) for row in range(count)]
            _, _, place, length = next(table for table in tables if table[0] == b"cmap")
            return _stretches(at(place, length))
    except (OSError, struct.error, StopIteration, ValueError):
        return np.zeros((0, 2), np.int64)


def _stretches(cmap: bytes) -> NDArray[np.int64]:
    count = struct.unpack_from(">H", cmap, 2)[0]
    places = [struct.unpack_from(">HHI", cmap, 4 + 8 * row) for row in range(count)]
    formats = {struct.unpack_from(">H", cmap, place)[0]: place for platform, _, place in places if platform in (0, 3)}
    if 12 in formats:
        place = formats[12]
        rows = struct.unpack_from(">I", cmap, place + 12)[0]
        return np.frombuffer(cmap, ">u4", 3 * rows, place + 16).reshape(-1, 3)[:, :2].astype(np.int64)
    if 4 in formats:
        place = formats[4]
        rows = struct.unpack_from(">H", cmap, place + 6)[0] // 2
        last = np.frombuffer(cmap, ">u2", rows, place + 14)
        first = np.frombuffer(cmap, ">u2", rows, place + 16 + 2 * rows)
        return np.stack([first, last], axis=1).astype(np.int64)
    return np.zeros((0, 2), np.int64)


def _has(file: Path, letters: str) -> bool:
    stretches = _covered(file)
    codes = np.array([ord(letter) for letter in letters], np.int64)
    row = np.searchsorted(stretches[:, 0], codes, side="right") - 1
    return bool((row >= 0).all() and (codes <= stretches[row, 1]).all()) if len(stretches) else False


@lru_cache(4096)
def _file_for(cluster: str) -> Path | None:
    """The first font that has all of a cluster; None where there is none."""
    import regex

    letters = "".join(c for c in cluster if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f")
    files = font_files()
    if regex.search(r"\p{Emoji_Presentation}|\ufe0f", cluster):
        files = tuple(sorted(files, key=lambda file: "emoji" not in file.name.lower()))
    return next((file for file in files if _has(file, letters)), None)


@lru_cache(64)
def _font(file: Path | None, size: int) -> tuple[Any, float]:
    """A font, and how much its letters are to be enlarged to be of ``size`` pixels."""
    from PIL import ImageFont

    if file is None:
        return ImageFont.load_default(size), 1.0
    for strike in (size, *STRIKES):
        try:
            return ImageFont.truetype(file, strike), size / strike
        except OSError:
            continue
    return ImageFont.load_default(size), 1.0


def missing(text: str) -> list[str]:
    """The letters of a text for which this computer has no font."""
    shown = visible(text)
    found = {shown[start:end] for start, end in clusters(shown)}
    return sorted(letter for letter in found if not letter.isspace() and _file_for(letter) is None)


def shaped() -> bool:
    """Whether letters are joined and ordered as their script wants it, which Pillow needs libraqm for."""
    from PIL import features

    return bool(features.check("raqm"))


# ---- measuring and drawing ------------------------------------------------------------------------------------------


def _runs(text: str) -> Iterator[tuple[str, Path | None]]:
    """Stretches of one font each, in the order of reading; a space stays with what stands before it."""
    run, used = "", None
    for start, end in clusters(text):
        cluster = text[start:end]
        file = used if run and cluster.isspace() else _file_for(cluster)
        if run and file != used:
            yield run, used
            run = ""
        run, used = run + cluster, file
    if run:
        yield run, used


@lru_cache(16384)
def width(text: str, size: int) -> float:
    """Pixels that a stretch of text of one direction takes."""
    return sum(font.getlength(run) * scale for run, file in _runs(text) for font, scale in (_font(file, size),))


def draw(picture: Picture, left: float, baseline: float, text: str, size: int, colour: str) -> None:
    """A stretch of text of one direction onto an RGB picture."""
    from PIL import ImageDraw

    runs = list(_runs(text))
    for run, file in reversed(runs) if leftward(text) else runs:
        font, scale = _font(file, size)
        if scale == 1.0:
            ImageDraw.Draw(picture).text((left, baseline), run, colour, font, anchor="ls")
        else:
            _draw_scaled(picture, (left, baseline), run, font, scale)
        left += font.getlength(run) * scale


def _draw_scaled(picture: Picture, place: tuple[float, float], run: str, font: Any, scale: float) -> None:
    from PIL import Image, ImageDraw

    left, top, right, bottom = (round(edge) for edge in font.getbbox(run, anchor="ls"))
    if right <= left or bottom <= top:
        return
    large = Image.new("RGBA", (right - left, bottom - top))
    ImageDraw.Draw(large).text((-left, -top), run, font=font, anchor="ls", embedded_color=True)
    small = large.resize((max(1, round(scale * large.width)), max(1, round(scale * large.height))),
                         Image.Resampling.LANCZOS)
    picture.paste(small, (round(place[0] + scale * left), round(place[1] + scale * top)), small)


# ---- lines ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Placed:
    """A word, or a part of one that is longer than a line: the characters ``start`` to ``end`` of the text on ``line``,
    from ``left`` pixels on, ``wide``.
    """

    start: int
    end: int
    line: int
    left: float
    wide: float


def lines(text: str, size: int, room: float) -> list[Placed]:
    """The words of a text in lines of ``room`` pixels, each line in the order in which its words are seen."""
    import regex

    rows, used = list[list[tuple[int, int, float]]]([[]]), 0.0
    for found in regex.finditer(r"\n|[^\S\n]+|\S+", text):
        start, end, piece = found.start(), found.end(), found.group()
        if piece == "\n":
            rows, used = [*rows, []], 0.0
            continue
        wide = width(piece, size)
        if used and used + wide > room and not piece.isspace():
            rows, used = [*rows, []], 0.0
        parts = [(start, end, wide)] if wide <= room else _broken(text, start, end, size, room)
        for part in parts:
            if used and used + part[2] > room:
                rows, used = [*rows, []], 0.0
            rows[-1].append(part)
            used += part[2]
    right_to_left = leftward(text)
    return [placed for number, row in enumerate(rows) for placed in _ordered(text, number, row, room, right_to_left)]


def _broken(text: str, start: int, end: int, size: int, room: float) -> list[tuple[int, int, float]]:
    """Parts of a word that is longer than a line, cut between clusters."""
    parts, first = list[tuple[int, int, float]](), start
    for _, b in ((start + a, start + b) for a, b in clusters(text[start:end])):
        wide = width(text[first:b], size)
        if wide > room and parts and parts[-1][0] == first:
            first = parts[-1][1]
            wide = width(text[first:b], size)
        if parts and parts[-1][0] == first:
            parts[-1] = first, b, wide
        else:
            parts.append((first, b, wide))
    return parts


def _ordered(text: str, number: int, row: list[tuple[int, int, float]], room: float, right_to_left: bool,
             ) -> Iterator[Placed]:
    """The words of a line from left to right (UAX 9, rule L2, with words for its runs)."""
    while row and text[row[-1][0] : row[-1][1]].isspace():
        row = row[:-1]
    levels = _levels([text[start:end] for start, end, _ in row], right_to_left)
    order = list(range(len(row)))
    for level in range(max(levels, default=0), 0, -1):
        at = 0
        while at < len(row):
            end = at
            while end < len(row) and levels[order[end]] >= level:
                end += 1
            order[at:end] = order[at:end][::-1]
            at = end + 1
    left = room - sum(wide for *_, wide in row) if right_to_left else 0.0
    for start, end, wide in (row[at] for at in order):
        yield Placed(start, end, number, left, wide)
        left += wide


def _levels(words: list[str], right_to_left: bool) -> list[int]:
    """Odd where a word is read from right to left. A space is read as the words on both its sides, where these agree,
    and else as the text.
    """
    base = int(right_to_left)
    levels = [base if word.isspace() else 1 if leftward(word) else 2 * base for word in words]
    for at, word in enumerate(words[1:-1], 1):
        if word.isspace() and levels[at - 1] == levels[at + 1]:
            levels[at] = levels[at - 1]
    return levels
