"""Parquet files, Arrow files, and folders that Hugging Face ``datasets`` wrote with ``save_to_disk``, batch by batch.

Formats: https://parquet.apache.org/docs/file-format/ and https://arrow.apache.org/docs/format/Columnar.html. A saved
data set is a folder of Arrow *stream* files that ``state.json`` names, and ``dataset_info.json`` with the features; a
``DatasetDict`` is a folder of such folders that ``dataset_dict.json`` names.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmstudio.errors import UnreadableMedia, UnsupportedMedia
from mmstudio.media.arrow_cells import Features, cells_of, columns_of
from mmstudio.media.cells import Broken, Column, Reading, Table, sampled
from mmstudio.media.sniff import read_head, reason, regular_size

if TYPE_CHECKING:
    import pyarrow as pa

Batches = Generator["pa.RecordBatch", None, None]
BATCH_BYTES = 16_000_000
"""About how much of a table is unpacked at once."""
BATCH_ROWS = 1_024
_BUFFER = 1 << 20
_JSON_BYTES = 64_000_000


def open_parquet(path: Path) -> Table:
    """A Parquet file. Raises UnreadableMedia where it is broken or cut short."""
    with _parquet(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
        features = features_in(schema)
        return _table(path, schema, features, count, functools.partial(_read_parquet, path, features))


def _read_parquet(path: Path, features: Features, start: int) -> Reading:
    with _reading(path):
        for batch in _parquet_batches(path, start):
            yield from cells_of(batch, features)


def _parquet_batches(path: Path, start: int) -> Batches:
    """Record batches from row ``start`` on; row groups before it are not read."""
    with _parquet(path) as file:
        groups = list(range(file.num_row_groups))
        while groups and start >= file.metadata.row_group(groups[0]).num_rows:
            start -= file.metadata.row_group(groups.pop(0)).num_rows
        for group in groups:
            found = file.metadata.row_group(group)
            size = _fitting(found.total_byte_size, found.num_rows)
            for batch in file.iter_batches(size, row_groups=[group]):
                skipped = min(start, batch.num_rows)
                start -= skipped
                yield batch.slice(skipped)


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """The file, read page by page: without these settings pyarrow holds a whole row group in memory."""
    import pyarrow as pa
    from pyarrow import parquet

    with (_reading(path), pa.OSFile(str(path)) as source,
          parquet.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False) as file):
        yield file


def _fitting(size: int, rows: int) -> int:
    """How many rows of a table of ``size`` bytes may be unpacked at once."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(1, size)))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What pyarrow raises becomes UnreadableMedia."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno:
            raise UnreadableMedia(reason(error), path=path) from error
        raise UnreadableMedia(f"The table “{path.name}” is broken or cut short.", path=path) from error


# Arrow


def open_arrow(path: Path) -> Table:
    """A single Arrow file or stream."""
    return _open_shards(path, [("", path)], {}, "")


def _arrow_batches(path: Path, start: int) -> Batches:
    """The batches of an Arrow file from row ``start`` on, checked before they are used: a wrong offset in one would
    read foreign memory.
    """
    with _arrow(path) as (_, batches):
        for batch in batches:
            if start >= batch.num_rows:
                start -= batch.num_rows
                continue
            batch.validate(full=True)
            size = _fitting(batch.nbytes, batch.num_rows)
            for place in range(start, batch.num_rows, size):
                yield batch.slice(place, size)
            start = 0


def _arrow_facts(path: Path) -> tuple[pa.Schema, int, str]:
    """The schema, the number of rows, and what is wrong ("" for nothing). Raises UnreadableMedia where not even the
    schema is whole.
    """
    with _arrow(path) as (schema, batches):
        count = 0
        try:
            with _reading(path):
                for batch in batches:
                    count += batch.num_rows
        except UnreadableMedia as error:
            return schema, count, error.what
        return schema, count, ""


@contextlib.contextmanager
def _arrow(path: Path) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The schema and the batches of a memory-mapped Arrow stream, or Arrow file (which begins with ARROW1)."""
    import pyarrow as pa
    from pyarrow import ipc

    in_file = read_head(path, 6) == b"ARROW1"
    with _reading(path), pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source) if in_file else ipc.open_stream(source)
        yield reader.schema, map(reader.get_batch, range(reader.num_record_batches)) if in_file else iter(reader)


# Saved data sets


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json", "dataset_info.json"))


def open_saved(folder: Path) -> Table:
    """A saved data set, or all splits of a saved ``DatasetDict`` with the split's name as a column.

    A shard that is missing or broken is a failure in the place of its rows. Raises UnreadableMedia where none is whole.
    """
    if not (folder / "dataset_dict.json").is_file():
        return _open_shards(folder, [("", file) for file in _shards(folder)], _features(folder), "")
    named = _json(folder / "dataset_dict.json").get("splits")
    splits = [Path(name).name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    if not splits:
        raise UnreadableMedia("dataset_dict.json names no split.", path=folder)
    features: Features = {}
    for name in splits:
        features |= _features(folder / name)
    return _open_shards(folder, [(name, file) for name in splits for file in _shards(folder / name)], features, "split")


def _shards(folder: Path) -> list[Path]:
    """The files that state.json names, always in this folder. Raises UnreadableMedia where it names none."""
    if not (folder / "state.json").is_file():
        raise UnreadableMedia(f"“{folder.name}” has no state.json, which names its files.", path=folder,
                              hint="Was it written by save_to_disk?")
    state = _json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise UnsupportedMedia("This data set was saved with a selection of its rows by an old version of datasets.",
                               path=folder, hint="Save it again with a newer one.")
    files = state.get("_data_files")
    names = [file.get("filename") for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    found = [folder / Path(name).name for name in names if isinstance(name, str) and Path(name).name]
    if not found:
        raise UnreadableMedia("state.json names no files of the data set.", path=folder)
    return found


def _features(folder: Path) -> Features:
    """The features that dataset_info.json tells, none where it is missing: the shards tell them too."""
    if not (folder / "dataset_info.json").is_file():
        return {}
    features = _json(folder / "dataset_info.json").get("features")
    return features if isinstance(features, dict) else {}


def features_in(schema: pa.Schema) -> Features:
    """The features that ``datasets`` writes into a file's schema, under the key ``huggingface``."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    if regular_size(path) > _JSON_BYTES:
        raise UnreadableMedia(f"“{path.name}” is too long for a description of a data set.", path=path)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableMedia(f"“{path.name}” is no JSON.", path=path) from error
    if not isinstance(found, dict):
        raise UnreadableMedia(f"“{path.name}” does not describe a data set.", path=path)
    return found


@dataclass(frozen=True)
class _Shard:
    """One file of a data set; ``problem`` tells that it ends too early, or is missing altogether."""

    path: Path
    split: str
    rows: int = 0
    problem: str = ""


def _open_shards(path: Path, files: Iterable[tuple[str, Path]], features: Features, split: str) -> Table:
    """A table of shards ``(split, file)``, where the column ``split`` tells the split; "" for none."""
    schema, shards = None, []
    for part, file in files:
        try:
            found, rows, problem = _arrow_facts(file)
            schema = schema or found
            shards.append(_Shard(file, part, rows, problem))
        except UnreadableMedia as error:
            shards.append(_Shard(file, part, problem=f"“{file.name}”: {error.what}"))
    if schema is None:
        raise UnreadableMedia(shards[0].problem, path=path)
    features = features_in(schema) | features
    whole = not any(shard.problem for shard in shards)
    count = sum(shard.rows for shard in shards) if whole else None
    with _reading(path):
        while split in schema.names:
            split += " of the data set"
        return _table(path, schema, features, count, functools.partial(_read_shards, shards, features, split),
                      (Column(split, "category"),) if split else ())


def _read_shards(shards: Sequence[_Shard], features: Features, split: str, start: int) -> Reading:
    for shard in shards:
        here = shard.rows + bool(shard.problem)
        if start >= here:
            start -= here
            continue
        try:
            with _reading(shard.path):
                for batch in _arrow_batches(shard.path, start):
                    for cells in cells_of(batch, features):
                        yield cells | {split: shard.split} if split else cells
        except UnreadableMedia as error:
            yield Broken(f"{error.what} The rest of “{shard.path.name}” was left out.")
        start = 0


def _table(
    path: Path, schema: pa.Schema, features: Features, count: int | None, read: Callable[[int], Reading],
    more: tuple[Column, ...] = (),
) -> Table:
    told: tuple[Column, ...] = ()
    if count != 0:
        told = sampled(read, path)
    return Table(path.name, path, columns_of(schema, features, told) + more, count, read, _folder(path))


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent
