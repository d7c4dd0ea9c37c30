"""A project's folder into one file."""

from __future__ import annotations

import json
import os
import re
import stat
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from mmstudio.archive.entries import (
    BLOCK_BYTES,
    FORMAT,
    MARKER,
    ArchiveError,
    Steps,
    check_names,
    read,
    unreadable,
)
from mmstudio.exports.target import checked, opened, swapped
from mmstudio.library import taken_along
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work

_PACKED = frozenset((
    ".7z", ".aac", ".avi", ".avif", ".flac", ".gif", ".gz", ".heic", ".heif", ".jpeg", ".jpg", ".jxl", ".m4a", ".m4v",
    ".mkv", ".mov", ".mp3", ".mp4", ".npz", ".ogg", ".opus", ".parquet", ".png", ".webm", ".webp", ".xz", ".zip",
    ".zst",
))
GROWING = frozenset((".jsonl", ".log"))
"""Files that are only ever added to: their beginning, as long as they were at the start, is a whole file."""
_LEFT_OUT = re.compile(
    r"lock|lock-holder\.json|.*\.(lock|tmp)|\.tmp.*|\.rehearsal|index-[0-9a-f]+|\.[0-9a-f]{12}\.part|"
    r"\..+\.[a-z0-9_]{8}|.*\.sqlite-shm", re.DOTALL)
"""Locks, SQLite's shared memory, trials of runs, what a search makes anew, and the names of files that are on their way
to another name.
"""
_NO_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Entry:
    """A file as it was at the start; an empty folder's name ends in a slash."""

    name: str
    path: Path
    size: int = 0
    changed_ns: int = 0


def pack(folder: Path, target: Path, along: Sequence[Path] = ()) -> Work[Path]:
    """Put a project's folder into one file, the files as they are listed at the start; what is added later stays out.

    The files ``along``, which lie elsewhere, are put into its folder ``media``; whoever opens it then finds them there.
    Locks and temporary files are left out, symbolic links are followed. Raises ArchiveError where a listed file changes
    meanwhile (best packed when no job writes), cannot be read, or has a name that not every system takes. Closing
    leaves ``target`` as it was.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise ArchiveError(f"There is no project in {printable(folder)}.", path=folder)
    target = checked(target, ArchiveError, folder=False)
    if target.resolve().is_relative_to(folder.resolve()):
        raise ArchiveError("A project cannot be packed into its own folder.", path=target, hint="Choose another place.")
    yield Progress(0, 0, "looking through the files")
    elsewhere = [_elsewhere(path) for path in along]
    entries = [*listed(folder), *elsewhere]
    check_names([entry.name for entry in entries], folder)
    steps = Steps(sum(entry.size for entry in entries))
    with (swapped(target, ArchiveError, folder=False) as beside, opened(beside) as file,
          zipfile.ZipFile(file, "w", allowZip64=True) as archive):
        archive.writestr(zipfile.ZipInfo(MARKER), json.dumps({"format": FORMAT}))
        if elsewhere:
            places = {entry.path: entry.name for entry in elsewhere}
            archive.writestr(zipfile.ZipInfo(taken_along.FILE), taken_along.written(places))
        for entry in entries:
            yield from _pack(entry, archive, steps)
    return target


def _elsewhere(path: Path) -> Entry:
    """A file that lies outside, under a name that no other has and every system takes."""
    suffix, status = path.suffix.lower(), _status(path)
    name = f"media/{uuid4().hex}{suffix if suffix[1:].isascii() and suffix[1:].isalnum() else ''}"
    return Entry(name, path, status.st_size, status.st_mtime_ns)


def listed(folder: Path) -> list[Entry]:
    """All files. What LanceDB calls ``_versions`` is listed before the data it points to, which are written first and
    then never changed: so each listed version has all its data in the list
    (https://lancedb.github.io/lance/format.html).
    """
    versions = [entry for entry in _walk(folder) if "_versions" in entry.name.split("/")]
    rest = [entry for entry in _walk(folder) if "_versions" not in entry.name.split("/")]
    return sorted(rest + versions, key=lambda entry: entry.name)


def _walk(folder: Path) -> Iterator[Entry]:
    """Links are followed; a folder reached twice (a loop of links) is walked once."""
    stack, walked = [(folder, "")], set[tuple[int, int]]()
    while stack:
        here, name = stack.pop()
        status = _status(here)
        if stat.S_ISREG(status.st_mode):
            yield Entry(name, here, status.st_size, status.st_mtime_ns)
        elif stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in walked:
            walked.add((status.st_dev, status.st_ino))
            inside = [(here / child, f"{name}/{child}" if name else child) for child in _children(here)]
            stack += [(path, child) for path, child in inside if child != MARKER]
            if name and not inside:
                yield Entry(f"{name}/", here)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise unreadable(path, error) from error


def _children(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not _LEFT_OUT.fullmatch(name)]
    except OSError as error:
        raise unreadable(folder, error) from error


def _pack(entry: Entry, archive: zipfile.ZipFile, steps: Steps) -> Work[None]:
    info = zipfile.ZipInfo(entry.name, _date(entry.changed_ns))
    info.external_attr = (stat.S_IFDIR | 0o755) << 16 if info.is_dir() else (stat.S_IFREG | 0o644) << 16
    if info.is_dir():
        archive.writestr(info, b"")
        return
    info.compress_type = zipfile.ZIP_STORED if _is_packed(entry.name) else zipfile.ZIP_DEFLATED
    info.file_size = entry.size
    with archive.open(info, "w") as out:
        for block in blocks(entry):
            out.write(block)
            yield steps.step(len(block), entry.name)


def blocks(entry: Entry) -> Iterator[bytes]:
    """A file as it was listed. Raises ArchiveError where it has changed since, changes meanwhile or cannot be read."""
    left = entry.size
    with _reading(entry.path) as source:
        _check_unchanged(entry, os.fstat(source.fileno()))
        while left:
            block = read(source, min(BLOCK_BYTES, left), entry.path)
            if not block:
                raise _changed(entry)
            left -= len(block)
            yield block
        _check_unchanged(entry, os.fstat(source.fileno()))


def _is_packed(name: str) -> bool:
    """True for what deflating would not make smaller: media, archives, and LanceDB's tables."""
    return Path(name).suffix.lower() in _PACKED or ".lance/" in name or name.endswith(".lance")


def _date(changed_ns: int) -> tuple[int, int, int, int, int, int]:
    """Local time within what a zip archive can say: 1980 to 2107."""
    try:
        told = time.localtime(changed_ns / 1e9)
    except (OverflowError, OSError, ValueError):
        return _NO_DATE
    return told[:6] if 1980 <= told.tm_year <= 2107 else _NO_DATE


def _check_unchanged(entry: Entry, now: os.stat_result) -> None:
    grown = now.st_size > entry.size and Path(entry.name).suffix in GROWING
    if (now.st_size, now.st_mtime_ns) != (entry.size, entry.changed_ns) and not grown:
        raise _changed(entry)


def _changed(entry: Entry) -> ArchiveError:
    return ArchiveError(f"“{printable(entry.name)}” changed while the project was being saved.", path=entry.path,
                        hint="Change nothing while it is saved, wait until no job is running, and try again.")


def _reading(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise unreadable(path, error) from error
