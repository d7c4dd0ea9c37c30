"""Tables and packed data sets as a way into the library: CSV and its relatives, JSON lines, Parquet, Arrow, Excel,
folders that Hugging Face ``datasets`` saved, WebDataset shards and zip archives.

``open_table`` tells what a path is; ``guess_roles`` what its columns are for; ``rows_as_samples`` makes samples of it.
"""

from __future__ import annotations

import os
from pathlib import Path

from mmstudio.errors import MediaError, UnreadableMedia, UnsupportedMedia
from mmstudio.media.archives import archive_of, open_zip
from mmstudio.media.cells import Broken, Column, ColumnKind, Row, RowFailure, Table, file_of
from mmstudio.media.columnar import is_saved, open_arrow, open_parquet, open_saved
from mmstudio.media.delimited import written_table
from mmstudio.media.excel import open_workbook
from mmstudio.media.limits import Limits
from mmstudio.media.roles import ROLES, Mapping, Role, guess_roles
from mmstudio.media.samples import MediaEntry, RowSample, Value, rows_as_samples
from mmstudio.media.shards import is_tar, open_shard
from mmstudio.media.sniff import looks_like_text, read_head, reason
from mmstudio.media.textlines import TextSource

__all__ = [
    "ROLES", "Broken", "Column", "ColumnKind", "Mapping", "MediaEntry", "Role", "Row", "RowFailure", "RowSample",
    "Table", "Value", "guess_roles", "may_be_table", "open_table", "rows_as_samples",
]

_TEXT_TABLES = frozenset({".csv", ".tsv", ".tab", ".psv", ".jsonl", ".ndjson", ".jsonlines"})
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PARQUET, _LOCKED_PARQUET = b"PAR1", b"PARE"
_ARROW = (b"ARROW1", b"\xff\xff\xff\xff")


TABLE_SUFFIXES = _TEXT_TABLES | {".parquet", ".pq", ".arrow", ".feather", ".xlsx", ".tar", ".tgz", ".zip"}


def may_be_table(path: Path) -> bool:
    """Whether a person who drops this may mean a table: by its name, or as a folder that was saved as a data set.
    ``open_table`` then tells for certain.
    """
    return path.suffix.lower() in TABLE_SUFFIXES or (path.is_dir() and is_saved(path))


def open_table(path: Path, limits: Limits, sheet: str = "") -> Table:
    """The table that a file or folder is, told from its bytes and structure; of a workbook a sheet may be named.

    Raises UnsupportedMedia where it is none, UnreadableMedia where it is broken and MediaTooLarge where it would unfold
    beyond measure; each names the path.
    """
    path = Path(os.path.abspath(path))
    try:
        return _opened(path, limits, sheet)
    except MediaError as error:
        error.path = error.path or str(path)
        raise
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error
    except MemoryError as error:
        raise UnreadableMedia("The table would not fit into memory.", path=path) from error


def _opened(path: Path, limits: Limits, sheet: str) -> Table:
    if path.is_dir():
        if is_saved(path):
            return open_saved(path)
        raise UnsupportedMedia("This folder is no data set that was saved to disk.", path=path)
    head = read_head(path)
    if head.startswith(_PARQUET):
        return open_parquet(path)
    if head.startswith(_LOCKED_PARQUET):
        raise UnreadableMedia("The table is locked by a key.", path=path)
    if head.startswith(_ARROW):
        return open_arrow(path)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _packed(path, limits, sheet)
    if head.startswith(_OLD_OFFICE):
        raise UnsupportedMedia("This is an old Office document, or one that is locked by a password.", path=path,
                               hint="Save it as .xlsx without a password.")
    if is_tar(path):
        return open_shard(path, limits)
    return _text(path, head, limits)


def _packed(path: Path, limits: Limits, sheet: str) -> Table:
    with archive_of(path) as archive:
        names = {name.lower() for name in archive.namelist()}
    if "xl/workbook.xml" in names:
        return open_workbook(path, sheet)
    if "xl/workbook.bin" in names:
        raise UnsupportedMedia("This is a binary Excel workbook.", path=path, hint="Save it as .xlsx.")
    return open_zip(path, limits)


def _text(path: Path, head: bytes, limits: Limits) -> Table:
    if not looks_like_text(head) and not (path.suffix.lower() in _TEXT_TABLES and _is_spotted(head)):
        raise UnsupportedMedia("The bytes are of no table or data set that the studio knows.", path=path)
    source = TextSource(path.name, path, path.stat().st_size, lambda: path.open("rb"), path.parent,
                        lambda cell: "." in cell and file_of(path.parent, cell) is not None)
    table = written_table(source, limits)
    if table is None:
        raise UnsupportedMedia("This text is no table.", path=path)
    return table


def _is_spotted(head: bytes) -> bool:
    """A text with a few zero bytes and the like in it."""
    return sum(byte < 32 and byte not in b"\t\n\r\f\v" for byte in head) * 20 <= len(head) + 40
