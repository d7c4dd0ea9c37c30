"""What a camera wrote into a picture (EXIF 2.32, CIPA DC-008), as words for a person.

EXIF comes from strangers: every value is read by itself, and one that is broken is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mmstudio.media.image import check_size, prepare_pillow
from mmstudio.media.limits import Limits

MOST_ENTRIES = 60
LONGEST_CHARACTERS = 160
_EXIF, _GPS = 0x8769, 0x8825
_TURNS = {1: "upright", 2: "mirrored", 3: "turned by 180°", 4: "upside down, mirrored", 5: "turned left, mirrored",
          6: "turned right by 90°", 7: "turned right, mirrored", 8: "turned left by 90°"}
_PROGRAMS = {1: "by hand", 2: "automatic", 3: "aperture first", 4: "shutter first", 5: "creative", 6: "action",
             7: "portrait", 8: "landscape"}
_WIDE = (0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
"""Tags of Windows, in UTF-16: title, comment, author, keywords, subject."""
_UNTOLD = frozenset({
    _EXIF, _GPS, 0xA005, 0x927C, 0xC4A5, 0x0201, 0x0202, 0x9000, 0xA000, 0x9101, 0x0213, 0x0100, 0x0101, 0x0102, 0x0103,
    0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011A, 0x011B, 0x011C, 0x0128, 0xA002, 0xA003, 0x02BC, 0x83BB, 0x8649,
    0x8773, 0xA20E, 0xA20F, 0xA210, 0xA300, 0xA301, 0x0144, 0x0145, 0x013D, 0x0152, 0x0153,
})
"""Pointers, blobs, and how the file itself is laid out."""

Tags = Mapping[int, Any]


def exif_of(path: Path, limits: Limits) -> list[tuple[str, str]]:
    """``(name, value)`` of a picture's EXIF, at most MOST_ENTRIES, each printable and at most LONGEST_CHARACTERS long.

    What a person looks for comes first, then what else there is. Empty where the file has none or cannot be read.
    """
    prepare_pillow()
    from PIL import Image

    try:
        with open(path, "rb") as file, Image.open(file) as opened:
            check_size(opened.size, limits, path)  # some formats are decoded to find it
            base = opened.getexif()
            return list(islice(_told(base, _part(base, _EXIF), _part(base, _GPS)), MOST_ENTRIES))
    except Exception:  # noqa: BLE001 - hostile bytes may raise anything, and a picture without details is no error
        return []


def _part(base: Any, which: int) -> Tags:
    try:
        return dict(islice(base.get_ifd(which).items(), 1000))
    except Exception:  # noqa: BLE001 - see exif_of
        return {}


def _told(base: Any, shot: Tags, gps: Tags) -> Iterator[tuple[str, str]]:
    tags = {**dict(islice(base.items(), 1000)), **shot}
    used: set[int] = set()

    class Noting(dict[int, Any]):
        """Remembers which tags the known entries have told."""

        def get(self, tag: int, otherwise: Any = None) -> Any:
            used.add(tag)
            return super().get(tag, otherwise)

    noting = Noting(tags)
    for name, told in _KNOWN:
        if text := _safely(told, noting):
            yield name, text
    for name, told in _PLACE:
        if text := _safely(told, gps):
            yield name, text
    yield from _others({tag: value for tag, value in tags.items() if tag not in used | _UNTOLD})


def _others(tags: Tags) -> Iterator[tuple[str, str]]:
    from PIL.ExifTags import TAGS

    for tag, value in sorted(tags.items()):
        if tag in TAGS and (text := _safely(_text(tag), {tag: value})):
            yield _spaced(TAGS[tag]), text


def _safely(told: Callable[[Tags], str], tags: Tags) -> str:
    try:
        return _clean(told(tags))
    except Exception:  # noqa: BLE001 - see exif_of
        return ""


def _clean(text: str) -> str:
    """One line of printable characters; whoever turns the direction of writing (U+202E) is not printable either."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * LONGEST_CHARACTERS]).split())
    return text if len(text) <= LONGEST_CHARACTERS else text[: LONGEST_CHARACTERS - 1] + "…"


def _plain(tag: int, value: Any) -> str:
    if isinstance(value, bytes):
        return _bytes_text(tag, value[: 8 * LONGEST_CHARACTERS])
    if isinstance(value, tuple):
        return ", ".join(_plain(tag, one) for one in value[:8]) + (" …" if len(value) > 8 else "")
    if isinstance(value, str):
        return value
    number = float(value)
    return f"{number:.6g}" if math.isfinite(number) else ""


def _bytes_text(tag: int, value: bytes) -> str:
    """A comment with its eight bytes of encoding (EXIF 4.6.5, UserComment), a text of Windows, else ASCII or nothing.
    """
    if tag in _WIDE:
        return value.decode("utf-16-le", "ignore")
    if value[:8] == b"UNICODE\0":
        return value[8:].decode("utf-16", "ignore")
    value = value[8:] if value[:8] in (b"ASCII\0\0\0", b"\0" * 8) else value
    text = value.rstrip(b"\0 ").decode("ascii")
    return text if text.isprintable() else ""


def _spaced(name: str) -> str:
    """“SubjectDistance” as “Subject distance”; capitals that stand together stay."""
    words, word = [], ""
    for at, letter in enumerate(name):
        starts = letter.isupper() and at and (not name[at - 1].isupper() or name[at + 1 : at + 2].islower())
        if starts:
            words.append(word)
            word = ""
        word += letter
    return " ".join([w if n == 0 or w.isupper() else w.lower() for n, w in enumerate([*words, word])])


def _number(value: Any) -> float:
    """A finite number. Raises ValueError."""
    number = float(value[0] if isinstance(value, tuple) else value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _text(tag: int) -> Callable[[Tags], str]:
    return lambda tags: "" if tags.get(tag) is None else _plain(tag, tags.get(tag))


def _camera(tags: Tags) -> str:
    maker, model = (_clean(str(tags.get(tag) or "")) for tag in (0x010F, 0x0110))
    return model if model.lower().startswith(maker.lower().split(" ")[0]) else f"{maker} {model}"


def _lens(tags: Tags) -> str:
    maker, model = (_clean(str(tags.get(tag) or "")) for tag in (0xA433, 0xA434))
    return model if not maker or model.lower().startswith(maker.lower()) else f"{maker} {model}"


def _when(date: int, offset: int, fraction: int) -> Callable[[Tags], str]:
    def told(tags: Tags) -> str:
        """EXIF writes “2024:05:01 12:30:05”."""
        text, zone, part = (_clean(str(tags.get(tag) or "")) for tag in (date, offset, fraction))
        day, _, clock = text.partition(" ")
        if not clock.replace(":", "").strip("0 "):
            clock = "" if not day.replace(":", "").strip("0 ") else clock
        if not day.replace(":", "").strip("0 "):
            return ""  # a camera whose clock was never set writes zeros or spaces
        return f"{day.replace(':', '-')} {clock}{f'.{part}' if part.isdigit() else ''} {zone}"

    return told


def _exposure(tags: Tags) -> str:
    seconds = _number(tags.get(0x829A))
    if seconds <= 0:
        return ""
    return f"1/{1 / seconds:.0f} s" if seconds < 0.4 else f"{seconds:.3g} s"


def _iso(tags: Tags) -> str:
    return f"{_number(tags.get(0x8827, tags.get(0x8833))):.0f}"


def _focal(tags: Tags) -> str:
    own, full = _number(tags.get(0x920A)), tags.get(0xA405)
    return f"{own:.3g} mm" + (f" (as {_number(full):.0f} mm on 35-mm film)" if full and int(full) != round(own) else "")


def _bias(tags: Tags) -> str:
    return f"{_number(tags.get(0x9204)):+.2g} EV"


def _flash(tags: Tags) -> str:
    return "fired" if int(_number(tags.get(0x9209))) & 1 else "not fired"


def _degrees(parts: Any, side: Any, most: float) -> float:
    """Degrees, minutes and seconds as degrees, negative in the south and west. Raises ValueError."""
    values = [_number(part) for part in parts][:3]
    degrees = sum(value / 60**power for power, value in enumerate(values))
    if not values or not 0 <= degrees <= most:
        raise ValueError
    letter = side.decode("ascii") if isinstance(side, bytes) else str(side)
    return -degrees if letter[:1].upper() in ("S", "W") else degrees


def _position(gps: Tags) -> str:
    north = _degrees(gps[2], gps.get(1, "N"), 90)
    east = _degrees(gps[4], gps.get(3, "E"), 180)
    return f"{north:.6f}, {east:.6f}"


def _altitude(gps: Tags) -> str:
    below = gps.get(5) in (1, b"\x01")
    return f"{-_number(gps[6]) if below else _number(gps[6]):.1f} m"


def _satellite_time(gps: Tags) -> str:
    hours, minutes, seconds = (_number(part) for part in gps[7])
    return f"{str(gps.get(29, '')).replace(':', '-')} {hours:02.0f}:{minutes:02.0f}:{seconds:02.0f} UTC"


_KNOWN: tuple[tuple[str, Callable[[Tags], str]], ...] = (
    ("Camera", _camera),
    ("Lens", _lens),
    ("Taken", _when(0x9003, 0x9011, 0x9291)),
    ("Changed", _when(0x0132, 0x9010, 0x9290)),
    ("Exposure", _exposure),
    ("Aperture", lambda tags: f"f/{_number(tags.get(0x829D)):.3g}"),
    ("ISO", _iso),
    ("Focal length", _focal),
    ("Exposure bias", _bias),
    ("Program", lambda tags: _PROGRAMS.get(int(_number(tags.get(0x8822))), "")),
    ("Flash", _flash),
    ("White balance", lambda tags: {0: "automatic", 1: "by hand"}.get(int(_number(tags.get(0xA403))), "")),
    ("Orientation", lambda tags: _TURNS.get(int(_number(tags.get(0x0112))), "")),
    ("Description", _text(0x010E)),
    ("Comment", _text(0x9286)),
    ("Artist", _text(0x013B)),
    ("Copyright", _text(0x8298)),
    ("Software", _text(0x0131)),
)
_PLACE: tuple[tuple[str, Callable[[Tags], str]], ...] = (
    ("Position", _position),
    ("Altitude", _altitude),
    ("Satellite time", _satellite_time),
)
