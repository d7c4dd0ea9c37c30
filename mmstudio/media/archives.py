"""Zip archives (APPNOTE 6.3) of media: an entry a row, or the rows of a table inside that names its entries.

An entry's name is shown and compared, and never becomes a path: what is unpacked is named by its content.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import posixpath
import stat
import struct
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mmstudio.errors import MediaError, UnreadableMedia, UnsupportedMedia
from mmstudio.media.blobs import Blob, kind_of
from mmstudio.media.cells import Broken, Cells, Reading, Table, sampled
from mmstudio.media.delimited import written_table
from mmstudio.media.limits import Limits
from mmstudio.media.scan import SKIPPED_NAMES, printable
from mmstudio.media.sidecars import SIDECAR_BYTES, SIDECAR_SUFFIXES, caption_in, folders_say
from mmstudio.media.sniff import regular_size
from mmstudio.media.textlines import TextSource
from mmstudio.media.unfold import READ_ERRORS, Tally, measured

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_TABLE_STEM = "metadata"
_LOOKED_AT = 50
_TABLES_TRIED = 5
_OFFICE = ("word/", "ppt/", "META-INF/manifest.xml")
"""Names inside of documents that are zip archives."""


@contextlib.contextmanager
def archive_of(path: Path) -> Iterator[zipfile.ZipFile]:
    """The opened archive. Raises UnreadableMedia where its directory is broken or missing."""
    try:
        archive = zipfile.ZipFile(path)
    except (*READ_ERRORS, struct.error) as error:
        raise UnreadableMedia("The archive is broken or cut short.", path=path) from error
    with archive:
        yield archive


def open_zip(path: Path, limits: Limits) -> Table:
    """The table that a zip archive is. Raises UnsupportedMedia for archives of other things."""
    with archive_of(path) as archive:
        entries = _entries(archive)
        names = set(archive.namelist())
    if not names:
        raise UnreadableMedia("The archive is empty.", path=path)
    if not entries or any(name.startswith(_OFFICE) for name in names):
        raise UnsupportedMedia("This archive or document holds no media.", path=path)
    tables = sorted((entry for entry in entries if _suffix(entry) in TABLE_SUFFIXES), key=_rank)
    if tables:
        return _with_table(path, tables, entries, limits)
    return _of_files(path, entries)


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files in an archive, without hidden ones and what systems add."""
    return [entry for entry in archive.infolist() if not entry.is_dir() and not any(
        part.startswith(".") or part in SKIPPED_NAMES for part in _parts(entry.filename) if part != "..")]


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _suffix(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(entry.filename).suffix.lower()


def _rank(entry: zipfile.ZipInfo) -> tuple[bool, int, str]:
    """Tables named metadata first, then those that lie nearest to the top."""
    return PurePosixPath(entry.filename).stem.lower() != _TABLE_STEM, entry.filename.count("/"), entry.filename


def _blob(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, tally: Tally) -> Blob:
    return Blob(printable(entry.filename), functools.partial(_open, archive, entry, tally))


def _open(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, tally: Tally) -> BinaryIO:
    """An entry, read with a measure. Raises UnreadableMedia where it is locked, or packed in an unknown way."""
    name = printable(entry.filename)
    if entry.flag_bits & 1:
        raise UnreadableMedia(f"“{name}” in the archive is locked by a password.")
    try:
        source = archive.open(entry)
    except NotImplementedError as error:
        raise UnreadableMedia(f"“{name}” in the archive is packed in a way that the studio does not know.") from error
    except READ_ERRORS as error:
        raise UnreadableMedia(f"“{name}” in the archive is broken or cut short.") from error
    return measured(source, name, min(entry.compress_size, tally.packed), tally)


# Archives of files


def _of_files(path: Path, entries: list[zipfile.ZipInfo]) -> Table:
    """A row per file: columns "file", "name", what its folders tell ("split" and "folder"), and what its sidecar says.
    """
    media, sidecars = _paired(entries)
    common = _common([_parts(entry.filename)[:-1] for entry in media])

    def read(start: int) -> Reading:
        with archive_of(path) as archive:
            tally = Tally(path.name, regular_size(path))
            for entry in media[start:]:
                if stat.S_ISLNK(entry.external_attr >> 16):
                    yield Broken(f"“{printable(entry.filename)}” is a link, which is not followed.")
                    continue
                blob = _blob(archive, entry, tally)
                beside = [_blob(archive, one, tally) for one in sidecars.get(_stem(entry), [])]
                yield _row(blob, _parts(entry.filename)[common:-1], beside)

    columns = sampled(read, path, _LOOKED_AT)
    if not any(column.kind in ("image", "audio") for column in columns) and not _any_known(read):
        raise UnsupportedMedia("This archive holds no media.", path=path)
    return Table(path.name, path, columns, len(media), read)


def _any_known(read: Callable[[int], Reading]) -> bool:
    """Whether one of the first files is of a kind that the studio reads."""
    with contextlib.closing(read(0)) as reading:
        for cells in itertools.islice(reading, _LOOKED_AT):
            if isinstance(cells, dict) and isinstance(blob := cells["file"], Blob) and kind_of(blob):
                return True
    return False


def _paired(entries: list[zipfile.ZipInfo]) -> tuple[list[zipfile.ZipInfo], dict[str, list[zipfile.ZipInfo]]]:
    """The files that are rows, and by their names without ending the sidecars that belong to them."""
    rows = {_stem(entry) for entry in entries if _suffix(entry) not in SIDECAR_SUFFIXES}
    media, sidecars = [], defaultdict(list)
    for entry in entries:
        if _suffix(entry) in SIDECAR_SUFFIXES and _stem(entry) in rows:
            sidecars[_stem(entry)].append(entry)
        else:
            media.append(entry)
    return media, {stem: sorted(found, key=lambda e: SIDECAR_SUFFIXES.index(_suffix(e)))
                   for stem, found in sidecars.items()}


def _stem(entry: zipfile.ZipInfo) -> str:
    return posixpath.splitext(entry.filename)[0]


def _common(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders all entries share: the one that the archive was made of."""
    low, high = min(folders), max(folders)
    return next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


def _row(blob: Blob, folders: tuple[str, ...], sidecars: list[Blob]) -> Cells:
    cells: Cells = {"file": blob, "name": posixpath.basename(blob.name), **folders_say(folders)}
    for sidecar in sidecars:
        with contextlib.suppress(MediaError):
            said = caption_in(sidecar.head(SIDECAR_BYTES + 1), posixpath.splitext(sidecar.name)[1].lower())
            cells |= {f"{name} 2" if name in ("file", "name", "split", "folder") else name: value
                      for name, value in said.items()}
    return cells


# Archives with a table


def _with_table(path: Path, tables: list[zipfile.ZipInfo], entries: list[zipfile.ZipInfo], limits: Limits) -> Table:
    """The first table that names entries of the archive; else the files beside the tables; else the first table."""
    found = {entry.filename.replace("\\", "/"): entry for entry in entries}
    problem: MediaError | None = None
    first = None
    for entry in tables[:_TABLES_TRIED]:
        try:
            table, names_entries = _inside(path, entry, found, limits)
        except MediaError as error:
            problem = problem or error
            continue
        others = f"Of the {len(tables):,} tables in the archive only “{table.name}” was read."
        table = replace(table, name=path.name, note=others if len(tables) > 1 else "")
        if names_entries:
            return table
        first = first or table
    files = [entry for entry in entries if _suffix(entry) not in TABLE_SUFFIXES]
    if files:
        with contextlib.suppress(UnsupportedMedia, UnreadableMedia):
            note = "The tables in the archive name no file of it and were left out."
            return replace(_of_files(path, files), note=note)
    if first:
        return first
    raise problem or UnreadableMedia("The tables in the archive hold no rows.", path=path)


def _inside(
    path: Path, entry: zipfile.ZipInfo, entries: dict[str, zipfile.ZipInfo], limits: Limits,
) -> tuple[Table, bool]:
    """A table in an archive whose cells become the files that they name, and whether the first rows name any."""
    folder = _parts(entry.filename)[:-1]

    def opened() -> BinaryIO:
        with archive_of(path) as archive:  # the entry keeps the file open for itself
            return _open(archive, entry, Tally(path.name, regular_size(path)))

    def entry_of(cell: str) -> zipfile.ZipInfo | None:
        if not cell or len(cell) > 1024:
            return None
        return entries.get(_inner(folder, cell)) or entries.get(_inner((), cell))

    source = TextSource(printable(entry.filename), path, entry.file_size, opened, None, lambda c: bool(entry_of(c)))
    table = written_table(source, limits)
    if table is None:
        raise UnreadableMedia(f"The table “{source.name}” in the archive holds no rows.", path=path)

    def read(start: int) -> Reading:
        with archive_of(path) as archive, contextlib.closing(table.read(start)) as reading:
            tally = Tally(path.name, regular_size(path))

            def filled(cell: object) -> object:
                if isinstance(cell, list):
                    return [filled(inner) for inner in cell]
                named = entry_of(cell) if isinstance(cell, str) else None
                return _blob(archive, named, tally) if named else cell

            for cells in reading:
                yield cells if isinstance(cells, Broken) else {name: filled(cell) for name, cell in cells.items()}

    told = {column.name: column for column in sampled(read, path, _LOOKED_AT)}
    media = {name for name, column in told.items() if column.kind in ("image", "audio", "bytes")}
    columns = tuple(told[c.name] if c.name in media else c for c in table.columns)
    lists = (inner for cells in table.preview() for cell in cells.values() if isinstance(cell, list) for inner in cell)
    names_any = bool(media) or any(isinstance(inner, str) and entry_of(inner) for inner in lists)
    return replace(table, columns=columns, read=read), names_any


def _inner(folder: Sequence[str], cell: str) -> str:
    """The name in the archive that a cell means, seen from ``folder``: compared with names, never opened."""
    parts = list(folder)
    for part in cell.replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
