"""File names that every system takes, each of them once."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

LONGEST_BYTES = 180
"""Of a name in UTF-8; file systems end at 255 bytes or 255 UTF-16 units, and a number may still be added."""
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
"""Characters that a file system refuses, control characters, and marks that turn the reading direction."""
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)
"""Device names of Windows, which no file there can have
(https://learn.microsoft.com/windows/win32/fileio/naming-a-file).
"""


def reserved(name: str) -> bool:
    """True for a name that Windows keeps for a device."""
    return bool(_RESERVED.fullmatch(name))


def same(name: str) -> str:
    """Equal for names that some system takes for one: case and the way accents are written do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_name(name: str, fallback: str) -> str:
    """One file or folder name near to ``name``: no separators, no ``..``, no reserved names, not too long."""
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).strip().rstrip(". ")
    if reserved(text):
        text = f"_{text}"
    return _cut(text) or fallback


def _cut(name: str) -> str:
    stem, suffix = split(name)
    room = LONGEST_BYTES - len(suffix.encode())
    if len(stem.encode()) <= room:
        return name
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + suffix


def split(name: str) -> tuple[str, str]:
    """``(stem, suffix)``; what is too long to be a suffix is none."""
    suffix = PurePath(name).suffix
    if not suffix or len(suffix.encode()) > 20:
        return name, ""
    return name[: -len(suffix)], suffix


class Names:
    """The names given in one folder."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._given: dict[tuple[str, str], str] = {}
        self._next: dict[str, int] = {}

    def give(self, name: str, content: str) -> tuple[str, bool]:
        """``name``, or ``name (2)`` and so on where other content has it; and whether this is the first time."""
        key = same(name)
        if (key, content) in self._given:
            return self._given[key, content], False
        stem, suffix = split(name)
        free, number = name, self._next.get(key, 1)
        while same(free) in self._taken:
            number += 1
            free = f"{stem} ({number}){suffix}"
        self._next[key] = number
        self._taken.add(same(free))
        self._given[key, content] = free
        return free, True
