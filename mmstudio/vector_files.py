"""Files to rows of vectors without a project: what ``mmstudio encode`` computes and writes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.adding import described_ahead
from mmstudio.encoders.base import Encoder
from mmstudio.encoders.pipeline import Failed, encode_refs
from mmstudio.errors import MediaError, StudioError
from mmstudio.library import VectorCache
from mmstudio.media import MODALITIES, Description, Found, Limits, MediaRef, scan
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work
from mmstudio.project import space_key


@dataclass(frozen=True)
class Row:
    """One input: its vector ``(dim,)`` float32, or why it has none."""

    path: str
    part: str
    modality: str
    space: str
    dim: int
    vector: NDArray[np.float32] | None
    error: str = ""


def encode_files(
    what: Iterable[Path], encoder: Encoder, limits: Limits, pool: Executor, batch: int = 0,
    cache_file: Path | None = None, modalities: Collection[str] = MODALITIES,
) -> Work[list[Row]]:
    """One row per item of the files, in order, with a vector where it is of these ``modalities``. Vectors of known
    contents come from the cache.
    """
    cache = VectorCache(cache_file or paths.user_state() / "cache" / "vectors.sqlite")
    try:
        return (yield from _rows(list(scan(what)), encoder, limits, pool, batch, cache, modalities))
    finally:
        cache.close()


def _rows(
    files: list[Found], encoder: Encoder, limits: Limits, pool: Executor, batch: int, cache: VectorCache,
    modalities: Collection[str],
) -> Work[list[Row]]:
    rows: list[Row] = []
    items: dict[int, Description] = {}
    known = cache.known(space_key(encoder))
    for done, (path, outcome) in enumerate(described_ahead(files, limits, pool, known), 1):
        yield Progress(done, len(files), path.name)
        if isinstance(outcome, MediaError):
            rows.append(Row(printable(path), "", "", encoder.space, encoder.dim, None, str(outcome)))
            continue
        for item in outcome.items:
            if item.modality in modalities:
                items[len(rows)] = replace(item, preview=b"")
            rows.append(Row(printable(path), item.part, item.modality, encoder.space, encoder.dim, None))
    yield from _fill(rows, items, encoder, limits, pool, batch, cache)
    return rows


def _fill(
    rows: list[Row], items: dict[int, Description], encoder: Encoder, limits: Limits, pool: Executor, batch: int,
    cache: VectorCache,
) -> Work[None]:
    key = space_key(encoder)
    known = cache.get(key, [item.content_hash for item in items.values()])
    todo = []
    for index, item in items.items():
        if item.modality not in encoder.modalities:
            rows[index] = replace(rows[index], error=f"The model {encoder.name} does not read {item.modality}.")
        elif item.content_hash in known:
            rows[index] = replace(rows[index], vector=known[item.content_hash])
        else:
            todo.append((index, MediaRef(item.path, item.modality, item.part, item.text)))
    done = 0
    for outcome in encode_refs(encoder, todo, limits, pool, batch):
        if isinstance(outcome, Failed):
            rows[outcome.key] = replace(rows[outcome.key], error=str(outcome.error))
            done += 1
        else:
            cache.put(key, ((items[i].content_hash, v) for i, v in zip(outcome.keys, outcome.vectors, strict=True)))
            for index, vector in zip(outcome.keys, outcome.vectors, strict=True):
                rows[index] = replace(rows[index], vector=vector)
            done += len(outcome.keys)
        yield Progress(done, len(todo), "encoding")


def writer_for(file: Path) -> Callable[[Path, Sequence[Row]], None]:
    """The writer for a file's ending; raises StudioError for another one, or where the folder is missing."""
    writers = {".parquet": _write_parquet, ".npz": _write_npz, ".jsonl": _write_jsonl}
    if file.suffix not in writers:
        raise StudioError(f"“{file.name}” has to end in .parquet, .npz or .jsonl.")
    if not file.absolute().parent.is_dir():
        raise StudioError(f"There is no folder {file.absolute().parent} to write into.")

    def write(target: Path, rows: Sequence[Row]) -> None:
        try:
            paths.write_atomically(target.absolute(), writers[file.suffix](rows))
        except OSError as error:
            raise StudioError(f"The result could not be written ({error.strerror}).", path=target) from error

    return write


def _write_parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(row, name) for row in rows]
               for name in ("path", "part", "modality", "space", "dim", "error")}
    vectors = pa.array([None if row.vector is None else row.vector.tolist() for row in rows], pa.list_(pa.float32()))
    out = io.BytesIO()
    pq.write_table(pa.table({**columns, "vector": vectors}), out)
    return out.getvalue()


def _write_npz(rows: Sequence[Row]) -> bytes:
    """Arrays of equal length; the vector of an unreadable input is NaN."""
    dim = rows[0].dim if rows else 0
    table = np.full((len(rows), dim), np.nan, np.float32)
    for index, row in enumerate(rows):
        if row.vector is not None:
            table[index] = row.vector
    columns = {name: np.array([getattr(row, name) for row in rows], dtype=np.str_)
               for name in ("path", "part", "modality", "space", "error")}
    out = io.BytesIO()
    np.savez_compressed(out, vector=table, dim=np.array([row.dim for row in rows], np.int64), **columns)  # type: ignore[arg-type]
    return out.getvalue()


def _write_jsonl(rows: Sequence[Row]) -> bytes:
    lines = (json.dumps({
        "path": row.path, "part": row.part, "modality": row.modality, "space": row.space, "dim": row.dim,
        "vector": None if row.vector is None else [float(f"{x:.7g}") for x in row.vector], "error": row.error,
    }, ensure_ascii=False) for row in rows)
    return "".join(line + "\n" for line in lines).encode()
