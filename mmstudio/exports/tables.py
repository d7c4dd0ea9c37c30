"""One table in one file: Parquet, CSV, JSON lines, NumPy."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.exports import arrow
from mmstudio.exports.rows import Column, Exported, Selection, Value, cell, columns, decimals, path_text, storable
from mmstudio.exports.target import ExportError, opened
from mmstudio.progress import Progress, Work

ROW_GROUP = 4096
MOST_TEXT_BYTES = 2 << 30
"""Of one text column in memory as NumPy holds it: each text as long as the longest, four bytes a character."""
_FORMULA = re.compile(r"'*(?:[\0\t\r\n]|\s*[=+\-@＝＋－＠])")


def _batches(rows: Sequence[Exported], size: int) -> Iterator[tuple[int, Sequence[Exported]]]:
    """``(rows done with this batch, the batch)``."""
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        yield start + len(batch), batch


def write_parquet(selection: Selection, target: Path) -> Work[int]:
    """Apache Parquet (https://parquet.apache.org), zstd, row groups of 4,096.

    ``vector`` is a fixed-size list of float32 bit for bit. Where some item has none it is a plain list with nulls:
    Arrow 21 and older write fixed-size lists with nulls, but cannot read them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown, of_kind = columns(selection.rows, selection.space), arrow.types()
    fixed = all(row.vector is not None for row in selection.rows)
    vector = pa.list_(pa.float32(), selection.dim) if fixed else pa.list_(pa.float32())
    schema = pa.schema([*((column.name, of_kind[column.kind]) for column in shown), ("vector", vector)])
    with opened(target) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for done, batch in _batches(selection.rows, ROW_GROUP):
            vectors = arrow.fixed_vectors(batch, selection.dim) if fixed else arrow.vectors(batch)
            writer.write_table(pa.table([*arrow.arrays(shown, batch), vectors], schema=schema))
            yield Progress(done, len(selection.rows))
    return len(selection.rows)


def write_csv(selection: Selection, target: Path) -> Work[int]:
    """RFC 4180 in UTF-8 without a byte-order mark: a header, then one record per item, without its vector. Tags and
    samples are joined by "; "; a missing number is an empty cell.

    A text cell or header that a spreadsheet would run as a formula gets an apostrophe before it
    (https://owasp.org/www-community/attacks/CSV_Injection); cells of numbers are left as they are. To read back the
    very texts, take one apostrophe from cells where ``guarded`` of the rest gives the cell.
    """
    shown = columns(selection.rows, selection.space)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([guarded(column.name) for column in shown])
    with opened(target) as file:
        for done, batch in _batches(selection.rows, ROW_GROUP):
            writer.writerows([_cell_of(column, row) for column in shown] for row in batch)
            file.write(text.getvalue().encode())
            text.seek(0)
            text.truncate()
            yield Progress(done, len(selection.rows))
    return len(selection.rows)


def _cell_of(column: Column, row: Exported) -> str:
    text = cell(column.of(row))
    return guarded(text) if column.kind in ("text", "texts") else text


def guarded(text: str) -> str:
    """With an apostrophe before it where a spreadsheet would take it for a formula, or where it begins with apostrophes
    and then a formula, so that taking away one apostrophe always gives the text back.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def write_jsonl(selection: Selection, target: Path) -> Work[int]:
    """JSON lines (https://jsonlines.org) in UTF-8: one object per item; ``vector`` is a list of numbers with nine
    digits, which read back to the same float32. What JSON cannot say (NaN, infinity) is null.
    """
    shown = columns(selection.rows, selection.space)
    with opened(target) as file:
        for done, batch in _batches(selection.rows, 256):
            file.write("".join(_json_line(shown, row) for row in batch).encode())
            yield Progress(done, len(selection.rows))
    return len(selection.rows)


def _json_line(shown: Sequence[Column], row: Exported) -> str:
    line = json.dumps({column.name: _sayable(column.of(row)) for column in shown}, ensure_ascii=False, allow_nan=False)
    return f'{line[:-1]}, "vector": {_json_vector(row.vector)}}}\n'


def _sayable(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_vector(vector: NDArray[np.float32] | None) -> str:
    if vector is None:
        return "null"
    if np.isfinite(vector).all():
        return f"[{decimals(vector, ', ')}]"
    return json.dumps([float(f"{x:.9g}") if math.isfinite(x) else None for x in vector.tolist()])


def write_npz(selection: Selection, target: Path) -> Work[int]:
    """Arrays of one length in NumPy's zipped format (numpy.lib.format), none of them pickled: ``ids`` int64; ``paths``,
    ``parts``, ``modalities``, ``content_hashes``, ``texts``, ``tags`` (joined by "; ") as texts; ``vectors (n, dim)``
    float32 and ``places (n, 2)`` float64, NaN where an item has none; and ``space``, one text.

    Raises ExportError where a text is so long that the column would not fit into a reader's memory.
    """
    with opened(target) as file, zipfile.ZipFile(file, "w") as archive:
        made = _arrays(selection)
        for done, (name, make) in enumerate(made.items(), 1):
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_STORED if name == "vectors" else zipfile.ZIP_DEFLATED  # noise stays large
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, make(), allow_pickle=False)
            yield Progress(done, len(made), name)
    return len(selection.rows)


def _arrays(selection: Selection) -> dict[str, Callable[[], NDArray[Any]]]:
    rows = selection.rows
    return {
        "ids": lambda: np.array([row.item.id for row in rows], np.int64),
        "paths": lambda: _texts([path_text(row.item.path) for row in rows]),
        "parts": lambda: _texts([row.item.part for row in rows]),
        "modalities": lambda: _texts([row.item.modality for row in rows]),
        "content_hashes": lambda: _texts([row.item.content_hash for row in rows]),
        "texts": lambda: _texts([row.item.text for row in rows]),
        "tags": lambda: _texts([cell(list(row.item.tags)) for row in rows]),
        "vectors": lambda: _vectors(selection),
        "places": lambda: np.array([row.place or (np.nan, np.nan) for row in rows], np.float64),
        "space": lambda: np.array(selection.space, np.str_),
    }


def _texts(texts: Sequence[str]) -> NDArray[np.str_]:
    if 4 * len(texts) * max(map(len, texts)) > MOST_TEXT_BYTES:
        raise ExportError("The longest text is too long for NumPy, which gives every text the same room.",
                          hint="Export as Parquet or JSON lines.")
    return np.array([storable(text) for text in texts], np.str_)


def _vectors(selection: Selection) -> NDArray[np.float32]:
    table = np.full((len(selection.rows), selection.dim), np.nan, np.float32)
    for place, row in enumerate(selection.rows):
        if row.vector is not None:
            table[place] = row.vector
    return table
