"""Files under what a person dropped: recursive, safe from symlink loops, never opening what could hang."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.sniff import reason

SKIPPED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


@dataclass(frozen=True)
class Found:
    """A file to read, or why it cannot be."""

    path: Path
    error: MediaError | None = None


def scan(paths: Iterable[Path]) -> Iterator[Found]:
    """All files under ``paths`` in a stable order. Hidden files inside folders are skipped; files named outright are
    not. A folder reached twice (a symlink loop) is walked once.
    """
    walked: set[tuple[int, int]] = set()
    for path in paths:
        yield from _walk(Path(os.path.abspath(path)), walked)


def _walk(path: Path, walked: set[tuple[int, int]]) -> Iterator[Found]:
    stack = [path]
    while stack:
        here = stack.pop()
        try:
            status = os.stat(here)
            if not stat.S_ISDIR(status.st_mode):
                yield Found(here)
                continue
            if (status.st_dev, status.st_ino) in walked:
                continue
            walked.add((status.st_dev, status.st_ino))
            names = sorted(os.listdir(here), reverse=True)
        except OSError as error:
            yield Found(here, UnreadableMedia(reason(error), path=here))
            continue
        stack.extend(here / name for name in names if not name.startswith(".") and name not in SKIPPED_NAMES)


def printable(path: Path | str) -> str:
    """A path as text that any file format and any widget can hold: invalid UTF-8 and control characters escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
