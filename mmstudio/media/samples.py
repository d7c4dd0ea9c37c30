"""Rows of a table become samples: their media as files and texts, their label, their split, their values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from mmstudio.errors import MediaError, UnreadableMedia, UnsupportedMedia
from mmstudio.media.blobs import Blob, sniff_unnamed, store
from mmstudio.media.cells import Row, RowFailure, Table, file_of, storable
from mmstudio.media.limits import Limits
from mmstudio.media.roles import MEDIA_ROLES, Mapping
from mmstudio.media.scan import printable
from mmstudio.media.sniff import Kind, reason
from mmstudio.media.text import decode, read_text

Value = str | int | float | bool | date
Hint = Literal["image", "audio", "video", "text"]
_HINTS: dict[Kind, Hint] = {
    Kind.IMAGE: "image", Kind.AUDIO: "audio", Kind.VIDEO: "video", Kind.TEXT: "text",
}
_UNNAMED = Mapping("column")
"""What happens to a column that the first rows did not have."""


@dataclass(frozen=True)
class MediaEntry:
    """A picture, sound or film in the file ``path``, or a ``text`` from the table or file ``path``."""

    modality: Hint
    path: Path
    column: str
    text: str = ""


@dataclass(frozen=True)
class RowSample:
    """What belongs together in row ``number`` (from 1). ``values`` has no entry for an empty cell. ``labels`` are those
    of all columns that are labels, and each entry of a list.
    """

    number: int
    media: tuple[MediaEntry, ...]
    values: dict[str, Value]
    labels: tuple[str, ...] = ()
    split: str = ""


def rows_as_samples(
    table: Table, roles: Map[str, Mapping], limits: Limits, into: Path,
) -> Iterator[RowSample | RowFailure]:
    """A sample for each row, or why there is none; the rest goes on.

    Media that are bytes, or lie in an archive, are written into the folder ``into``; those in files stay where they
    are. Raises UnsupportedMedia where no column holds media, and ProjectError where ``into`` cannot be written.
    """
    if not any(mapping.role in MEDIA_ROLES for mapping in roles.values()):
        raise UnsupportedMedia("No column of the table is a picture, sound or text.", path=table.path)
    for row in table.rows():
        if isinstance(row, RowFailure):
            yield row
            continue
        try:
            yield _sample(table, row, roles, limits, into)
        except MediaError as error:
            yield RowFailure(row.number, error.what)
        except OSError as error:
            yield RowFailure(row.number, reason(error))


def _sample(table: Table, row: Row, roles: Map[str, Mapping], limits: Limits, into: Path) -> RowSample:
    media: list[MediaEntry] = []
    values: dict[str, Value] = {}
    labels: list[str] = []
    split = ""
    for column, cell in row.values.items():
        mapping = roles.get(column, _UNNAMED)
        if mapping.role in MEDIA_ROLES or (column not in roles and isinstance(cell, Blob)):
            for single in cell if isinstance(cell, list) else [cell]:
                media += _entry(table, column, single, mapping, limits, into)
        elif mapping.role == "label":
            labels += filter(None, (_word(single).strip() for single in (cell if isinstance(cell, list) else [cell])))
        elif mapping.role == "split" and not split:
            split = _word(cell)
        elif mapping.role != "ignore" and (value := _value(cell)) is not None:
            values[storable(column)] = value
    if not media:
        raise UnreadableMedia("The row holds no picture, sound or text.")
    return RowSample(row.number, tuple(media), values, tuple(dict.fromkeys(labels)), split)


def _entry(
    table: Table, column: str, cell: object, mapping: Mapping, limits: Limits, into: Path,
) -> Iterator[MediaEntry]:
    """The media of one cell: none where it is empty. Raises MediaError where they cannot be had."""
    if cell is None or cell == "":
        return
    if isinstance(cell, Blob) and mapping.role == "text":
        path, text = table.path, decode(cell.read(limits.max_text_megabytes * 1_000_000))
    elif isinstance(cell, Blob):
        stored = store(cell, into)
        if stored.kind is not Kind.TEXT:
            yield MediaEntry(_HINTS[stored.kind], stored.path, column)
            return
        path, text = stored.path, read_text(stored.path, limits)
    elif mapping.role == "text" and mapping.by == "value":
        path, text = table.path, _word(cell)
    else:
        path = _file(table, str(cell))
        kind = sniff_unnamed(path, printable(str(cell)))
        if kind is not Kind.TEXT:
            yield MediaEntry(_HINTS[kind], path, column)
            return
        text = read_text(path, limits)
    if words := storable(text).strip():
        yield MediaEntry("text", path, column, words)


def _file(table: Table, cell: str) -> Path:
    """The file that a cell names. Raises UnreadableMedia where there is none."""
    name = printable(cell[:200])
    if table.folder is None:
        raise UnreadableMedia(f"“{name}” is not in the archive.")
    found = file_of(table.folder, cell)
    if found is None:
        raise UnreadableMedia(f"“{name}”: The file is not there.")
    return found


def _word(cell: object) -> str:
    """A cell as text; "" for an empty one and for bytes."""
    if cell is None or isinstance(cell, Blob):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    value = _value(cell)
    return value.isoformat() if isinstance(value, date) else "" if value is None else str(value)


def _value(cell: object) -> Value | None:
    """A cell as a single value: lists joined by commas where they hold words and numbers, else as JSON."""
    if cell is None or cell == "" or isinstance(cell, (Blob, bytes)):
        return None
    if isinstance(cell, str):
        return storable(cell)
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, (bool, date)):
        return cell
    if isinstance(cell, int):
        return cell if abs(cell) < 2**63 else str(cell) if abs(cell) < 10**1000 else None
    if isinstance(cell, list) and all(isinstance(one, (str, int, float)) for one in cell):
        return storable(", ".join(map(str, cell)))
    return storable(json.dumps(cell, ensure_ascii=False, default=lambda _: None))
