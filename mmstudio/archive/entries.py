"""What packing and unpacking agree on: the marker, the names, the errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mmstudio.errors import StudioError
from mmstudio.exports.names import reserved, same
from mmstudio.media.scan import printable
from mmstudio.progress import Progress

SUFFIX = ".mmproject"
MARKER, FORMAT = "mmstudio-project.json", 1
BLOCK_BYTES = 1 << 20
_UNSAFE = re.compile(r'[\x00-\x1f\\:<>"|?*\ud800-\udfff]')


class ArchiveError(StudioError):
    """A project could not be packed or unpacked; nothing half-written is left."""


@dataclass
class Steps:
    """How many of all bytes are done, told in mebibytes: a progress bar's numbers end at 2³¹."""

    total: int
    done: int = 0

    def step(self, size: int, name: str) -> Progress:
        self.done += size
        return Progress(self.done >> 20, max(1, self.total >> 20), name)


def read(source: IO[bytes], size: int, path: Path) -> bytes:
    """The next bytes of a file; raises ArchiveError where the disk does not give them."""
    try:
        return source.read(size)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ArchiveError:
    return ArchiveError(f"“{printable(path.name)}” could not be read ({error.strerror or 'no reason was given'}).",
                        path=path)


def check_names(names: Sequence[str], where: Path) -> None:
    """Raise ArchiveError for names that lead out of a folder, that some system cannot hold or takes for another one,
    and for a file that is a folder of another entry.
    """
    files, folders = set[str](), set[str]()
    for name in names:
        if why := _trouble(name):
            raise hostile(name, why, where)
        key = same(name.removesuffix("/"))
        if key in files or (name.endswith("/") and key in folders):
            raise hostile(name, "a name that is there twice", where)
        (folders if name.endswith("/") else files).add(key)
        folders.update(_parents(key))
    if both := files & folders:
        raise hostile(min(both), "a file and a folder at once", where)


def _parents(key: str) -> Iterable[str]:
    """The names of the folders that an entry lies in."""
    return (key[:place] for place, character in enumerate(key) if character == "/")


def _trouble(name: str) -> str:
    """What is wrong with an entry's name; nothing for a name that every system takes."""
    parts = name.removesuffix("/").split("/")
    if not all(parts) or any(part in (".", "..") for part in parts):
        return "a name that leads out of the project's folder"
    if _UNSAFE.search(name) or any(part[-1] in ". " or reserved(part) for part in parts):
        return "a name that not every system takes"
    if any(len(part.encode()) > 255 for part in parts):
        return "a name that is too long"
    return ""


def hostile(name: str, why: str, where: Path) -> ArchiveError:
    return ArchiveError(f"The project holds “{printable(name)[:80]}”, {why}.", path=where)
