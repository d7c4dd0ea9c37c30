"""A packed project back into a folder, whoever packed it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmstudio.archive.entries import (
    BLOCK_BYTES,
    FORMAT,
    MARKER,
    ArchiveError,
    Steps,
    check_names,
    hostile,
    read,
    unreadable,
)
from mmstudio.exports.target import checked, opened, swapped
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work

_MOST_MARKER_BYTES = 4096
_FREE_GROWTH, _MOST_GROWTH = 1 << 30, 200
"""An archive may unfold to a gibibyte and 200 times its size; what unfolds to more is made to fill the disk."""
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError,
           struct.error)
"""What zipfile raises over bytes that are no sound archive."""


def unpack(archive: Path, into: Path) -> Work[Path]:
    """Unpack a project into a folder that is new or empty, and give its path.

    Nothing in the archive is trusted: names that lead out of the folder or that some system cannot hold, links, sizes
    that do not fit the disk or the archive, wrong checksums and cut ends are refused with ArchiveError. The folder
    appears whole at the end or, on errors and closing, not at all.
    """
    archive = Path(os.path.abspath(archive))
    into = checked(into, ArchiveError, folder=True)
    if not archive.is_file():
        raise ArchiveError(f"There is no file {printable(archive)}.", path=archive)
    yield Progress(0, 0, "looking through the archive")
    with _readable(archive) as opened_archive:
        entries = _entries(opened_archive, archive)
        steps = Steps(sum(entry.file_size for entry in entries))
        _check_sizes(steps.total, archive, into)
        with swapped(into, ArchiveError, folder=True) as beside:
            for entry in entries:
                yield from _unpack(entry, opened_archive, beside, steps)
    return into


@contextmanager
def _readable(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except OSError as error:
        raise unreadable(file, error) from error
    except _BROKEN as error:
        raise ArchiveError("This is no packed project, or it is cut short.", path=file) from error
    with archive:
        yield archive


def _entries(archive: zipfile.ZipFile, file: Path) -> list[zipfile.ZipInfo]:
    """All entries after the marker, once each of them has been found to be harmless."""
    first, *entries = archive.infolist() or [zipfile.ZipInfo("")]
    if first.orig_filename != MARKER:
        raise ArchiveError("This is a zip archive, but no packed project.", path=file)
    _check_format(first, archive, file)
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if entry.orig_filename.endswith("/") else stat.S_IFREG):
            raise hostile(entry.orig_filename, "a link or a device", file)
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise hostile(entry.orig_filename, "coded in a way that no packed project is", file)
        if entry.orig_filename.endswith("/") and entry.file_size:
            raise hostile(entry.orig_filename, "a folder with bytes in it", file)
    check_names([MARKER, *(entry.orig_filename for entry in entries)], file)
    return entries


def _check_format(marker: zipfile.ZipInfo, archive: zipfile.ZipFile, file: Path) -> None:
    try:
        if marker.file_size > _MOST_MARKER_BYTES:
            raise ValueError
        told = json.loads(archive.read(marker))
        version = told["format"]
    except (*_BROKEN, KeyError, TypeError) as error:
        raise _damaged(file) from error
    if isinstance(version, int) and version > FORMAT:
        raise ArchiveError("This project was packed by a newer studio.", path=file, hint="Update the studio.")
    if version != FORMAT:
        raise _damaged(file)


def _check_sizes(total: int, archive: Path, into: Path) -> None:
    try:
        size, free = archive.stat().st_size, shutil.disk_usage(into.parent).free
    except OSError as error:
        raise unreadable(archive, error) from error
    if total > _FREE_GROWTH + _MOST_GROWTH * size:
        raise ArchiveError(f"The archive would unfold to {total / 1e9:,.1f} GB, far more than a project of its size.",
                           path=archive)
    if total > free:
        raise ArchiveError(f"The project needs {total / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free on the disk.",
                           path=into, hint="Free some space, or choose another disk.")


def _unpack(entry: zipfile.ZipInfo, archive: zipfile.ZipFile, folder: Path, steps: Steps) -> Work[None]:
    """Write one file; zipfile compares the checksum at its end."""
    path, file = folder / entry.orig_filename, Path(archive.filename or "")
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with _source(entry, archive, file) as source, opened(path) as out:
        while block := _checked_block(source, file):
            left -= len(block)
            if left < 0:
                raise _damaged(file)
            out.write(block)
            yield steps.step(len(block), entry.orig_filename)
    if left:
        raise _damaged(file)


@contextmanager
def _source(entry: zipfile.ZipInfo, archive: zipfile.ZipFile, file: Path) -> Iterator[IO[bytes]]:
    try:
        source = archive.open(entry)
    except (*_BROKEN, OSError) as error:
        raise _damaged(file) from error
    with source:
        yield source


def _checked_block(source: IO[bytes], file: Path) -> bytes:
    try:
        return read(source, BLOCK_BYTES, file)
    except _BROKEN as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> ArchiveError:
    return ArchiveError("The packed project is damaged.", path=file, hint="Copy or download it again.")
