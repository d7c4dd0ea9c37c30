"""WebDataset shards and other tar archives, read from front to back.

Files that follow each other and share their name up to the first dot are one row; what comes after that dot is the
column (https://github.com/webdataset/webdataset). An entry's name is shown, and never becomes a path.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import itertools
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mmstudio.errors import MediaError, UnreadableMedia, UnsupportedMedia
from mmstudio.media.blobs import Blob
from mmstudio.media.cells import Broken, Cells, Reading, Table, flat, sampled, storable
from mmstudio.media.limits import Limits
from mmstudio.media.scan import SKIPPED_NAMES, printable
from mmstudio.media.sidecars import folders_say
from mmstudio.media.sniff import regular_size
from mmstudio.media.text import decode
from mmstudio.media.unfold import READ_ERRORS, Tally, measured
from mmstudio.media.written import number_of

_PACKED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open,
}
_TEXTS = frozenset({"txt", "text", "caption", "transcript", "transcription", "lab"})
_NUMBERS = frozenset({"cls", "cls2", "index", "inx", "id", "count"})
_OWN = ("key", "split", "folder")
_LOOKED_AT = 50
_MAX_KEYS = 1_000
_LONGEST_READ = 64_000_000
MAX_PACKED_ENTRY_BYTES = 256_000_000
"""An entry of a compressed archive is held in memory, because reading it again would start from the beginning."""


class _Tape:
    """A tar's bytes, unpacked where it is compressed, of which no absurd amount is read at once or altogether."""

    def __init__(self, path: Path) -> None:
        self.tally = Tally(path.name, regular_size(path))
        self._raw = open(path, "rb")  # noqa: SIM115 - closed by close
        head = self._raw.read(8)
        self._raw.seek(0)
        unpack = next((made for magic, made in _PACKED.items() if head.startswith(magic)), None)
        self.packed = unpack is not None
        self._file: Any = unpack(self._raw) if unpack else self._raw

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError("a header of absurd length")
        piece: bytes = self._file.read(size)
        self.tally.reach(self.tell())
        return piece

    def seek(self, place: int) -> int:
        if self.packed:
            self.tally.reach(place)
        return int(self._file.seek(place))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        self._raw.close()


def is_tar(path: Path) -> bool:
    """Whether a file begins with a tar header whose checksum is right, itself or unpacked."""
    try:
        with contextlib.closing(_Tape(path)) as tape:
            tarfile.TarInfo.frombuf(tape.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
        return True
    except (*READ_ERRORS, MediaError):
        return False


def open_shard(path: Path, limits: Limits) -> Table:
    """A row for each group of files. Raises UnsupportedMedia where the first rows hold neither media nor texts."""
    read = functools.partial(_read, path, limits)
    columns = sampled(read, path, _LOOKED_AT)
    if not any(c.kind in ("image", "audio") or c.name.rpartition(".")[2] in _TEXTS or c.name.startswith("json")
               for c in columns):
        raise UnsupportedMedia("This archive holds no media.", path=path)
    return Table(path.name, path, columns, None, read)


def _read(path: Path, limits: Limits, start: int) -> Reading:
    yield from itertools.islice(_rows(path, limits), start, None)


@dataclass
class _Group:
    """The files of one row, so far."""

    stem: str = ""
    cells: Cells = field(default_factory=dict)
    problem: str = ""

    def row(self) -> Iterator[Cells | Broken]:
        if self.problem:
            yield Broken(self.problem)
        elif self.cells:
            folders = tuple(part for part in self.stem.split("/")[:-1] if part not in ("", "."))
            yield {"key": printable(self.stem.rpartition("/")[2]), **folders_say(folders), **flat(self.cells)}

    def takes(self, stem: str, column: str) -> bool:
        return stem == self.stem and column not in self.cells and len(self.cells) < _MAX_KEYS

    def add(self, column: str, name: str, blob: Blob, packed: bool, limits: Limits) -> None:
        """Take a file in. Where the archive is compressed it is held in memory, as long as the row is."""
        try:
            held = Blob.of(blob.read(MAX_PACKED_ENTRY_BYTES), name) if packed else blob
            self.cells[column] = _cell(column, held, limits)
        except MediaError as error:
            self.problem = self.problem or error.what
        except (ValueError, RecursionError):
            self.problem = self.problem or f"“{name}” in the archive is no JSON."


def _rows(path: Path, limits: Limits) -> Reading:
    """Rows and what is broken between them. Where the archive ends too early, the row that it cuts is left out."""
    group, last = _Group(), ""
    try:
        with contextlib.closing(_Tape(path)) as tape, contextlib.closing(_opened(tape)) as tar:
            for member in _members(tar):
                last = printable(member.name)
                stem, column = _named(member.name)
                if refused := _refused(member):
                    yield Broken(f"“{last}” in the archive is {refused} and was left out.")
                elif member.isreg() and column:
                    if not group.takes(stem, column):
                        yield from group.row()
                        group = _Group(stem)
                    group.add(column, last, _blob(tape, tar, member), tape.packed, limits)
            yield from group.row()
            if problem := _end(tape, tar):
                yield Broken(problem)
    except READ_ERRORS:
        yield Broken(f"The archive is broken or cut short at “{last}”; the rows before it were kept." if last
                     else "The archive is broken from its beginning.")


def _opened(tape: _Tape) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=tape, errors="surrogateescape", encoding="utf-8")  # type: ignore[arg-type]


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The entries of an archive, of which ``tarfile`` would otherwise keep all."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]
        yield member


def _end(tape: _Tape, tar: tarfile.TarFile) -> str:
    """What is wrong with the end: a whole archive ends with blocks of zeros."""
    tape.seek(tar.offset)
    block = tape.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return ""
    return ("The archive is broken in the middle; what follows was left out." if len(block) == tarfile.BLOCKSIZE
            else "The archive has no end; it was cut short.")


def _named(name: str) -> tuple[str, str]:
    """``("dir/000", "seg.png")`` for ``dir/000.seg.png``; no column for hidden files and what systems add."""
    parts = name.split("/")
    if any((part.startswith(".") and part not in (".", "..")) or part in SKIPPED_NAMES for part in parts):
        return name, ""
    base, _, ending = parts[-1].partition(".")
    column = printable(ending.lower()) or "file"
    return "/".join([*parts[:-1], base]), f"{column} 2" if column in _OWN else column


def _refused(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    if member.isdev():
        return "a device or pipe"
    return "a file with holes" if member.issparse() else ""


def _blob(tape: _Tape, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Blob:
    """An entry, read from the archive when asked for."""
    name = printable(member.name)

    def opened() -> BinaryIO:
        try:
            source = tar.extractfile(member)
        except READ_ERRORS as error:
            raise UnreadableMedia(f"“{name}” in the archive can no longer be read.") from error
        if source is None:
            raise UnreadableMedia(f"“{name}” in the archive is no file.")
        return measured(source, name, member.size, tape.tally)

    return Blob(name, opened)


def _cell(column: str, blob: Blob, limits: Limits) -> object:
    """Texts, numbers and JSON as such, by their endings; everything else as the bytes that it is."""
    ending = column.rpartition(".")[2]
    if ending not in _TEXTS and ending not in _NUMBERS and ending != "json":
        return blob
    text = storable(decode(blob.read(limits.max_text_megabytes * 1_000_000))).strip()
    if ending == "json":
        return json.loads(text)
    number = number_of(text) if ending in _NUMBERS else None
    return text if number is None else number
