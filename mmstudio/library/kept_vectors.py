"""The vectors of one space: LanceDB keeps them, and they are read from a flat file mapped into memory.

``mirror/NAME.f32`` holds rows of little-endian float32, ``NAME.keys`` twenty bytes for each row's content, and
``NAME.json`` the commit of the table that they are in step with. Out of step, they are made again from the table. A
table in half precision (float16) takes half the room; what is read is what it holds, made again or not.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.errors import ProjectError
from mmstudio.library.kept import KeptTable
from mmstudio.library.vector_keys import KEY_BYTES, KeyIndex, content_keys

_BATCH = 4096
UNIT = 0.01
"""Further from 1 than rounding takes a length."""


class KeptVectors:
    """For one thread and one writer; what ``matrix`` gave stays as it was while vectors are added. ``half`` is the
    precision of a new table; one that is there keeps its own.
    """

    def __init__(self, folder: Path, name: str, dim: int, about: dict[str, str], read_only: bool = False,
                 half: bool = False) -> None:
        self._dim, self._about, self._read_only, self._half = dim, about, read_only, half
        self._table = KeptTable(folder, name, self._schema, "", read_only)
        mirror = folder / "mirror"
        self._floats, self._keys, self._told = (mirror / f"{name}.{end}" for end in ("f32", "keys", "json"))
        self.matrix: NDArray[np.float32] = np.zeros((0, dim), "<f4")
        self._index = KeyIndex(np.zeros((0, KEY_BYTES), np.uint8))
        self._count, self._in_step, self._copied = 0, False, False
        self._load()

    @property
    def note(self) -> str:
        return self._table.note

    def _schema(self) -> Any:
        import pyarrow as pa

        kind = pa.float16() if self._half else pa.float32()
        return pa.schema([("content_hash", pa.string()), ("vector", pa.list_(kind, self._dim))], self._about)

    # ---- reading ------------------------------------------------------------------------------------------------

    def rows(self, keys: NDArray[np.uint8]) -> NDArray[np.intp]:
        """The row of each key ``(m, 20)``, -1 where there is none."""
        self._load()
        return self._index.rows(keys)

    def contents(self) -> NDArray[np.uint8]:
        """``(n, 20)``, in the order of rows."""
        self._load()
        return self._all_keys() if self._keys.is_file() else self._index.keys

    def own_matrix(self) -> NDArray[np.float32]:
        """Another mapping of ``matrix``: what is written into it neither the file nor anybody else sees."""
        self._load()
        return self.matrix.copy() if self._copied else self._mapped()

    def _load(self) -> None:
        if self._in_step:
            return
        stamp = self._table.stamp()
        count = self._known_count(stamp)
        if count is None:
            self._half = self._table.recovered(_is_half)
        if count is None and self._read_only:
            self._take(*self._table.recovered(lambda table: _copied(table, self._dim)))
            self._copied = True
        else:
            if count is None:
                count = self._table.recovered(self._rebuild)
                self._tell(self._table.stamp(), count)
            self._count = count
            self._take(self._all_keys(), self._mapped())
        self._in_step = True

    def _take(self, keys: NDArray[np.uint8], matrix: NDArray[np.float32]) -> None:
        self._count, self.matrix, self._index = len(keys), matrix, KeyIndex(keys)

    def _known_count(self, stamp: str) -> int | None:
        """How many rows the files hold, or None where they are out of step with the table."""
        if not stamp:
            return 0
        try:
            told = json.loads(self._told.read_text(encoding="utf-8"))
            count = int(told["rows"])
            half = bool(told.get("half"))
            whole = (self._floats.stat().st_size >= 4 * self._dim * count
                     and self._keys.stat().st_size >= KEY_BYTES * count)
            if not whole or told["stamp"] != stamp:
                return None
            self._half = half
            return count
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _all_keys(self) -> NDArray[np.uint8]:
        if not self._count:
            return np.zeros((0, KEY_BYTES), np.uint8)
        return np.fromfile(self._keys, np.uint8, KEY_BYTES * self._count).reshape(-1, KEY_BYTES)

    def _mapped(self) -> NDArray[np.float32]:
        """Mapped so that writing into it would change memory, never the file: torch takes no read-only arrays."""
        if not self._count:
            return np.zeros((0, self._dim), "<f4")
        return np.memmap(self._floats, "<f4", "c", shape=(self._count, self._dim)).view(np.ndarray)

    # ---- writing ------------------------------------------------------------------------------------------------

    def add(self, contents: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Commit ``(m, dim)`` vectors of different contents, but for those that are known. Raises ProjectError."""
        import pyarrow as pa

        keys = content_keys(contents)
        new = np.flatnonzero(self.rows(keys) < 0)
        if not len(new):
            return
        kept = np.ascontiguousarray(vectors[new], "<f2" if self._half else "<f4")
        added = _widened(kept)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(kept.reshape(-1)), self._dim)
        self._in_step = False  # until the files are, too; if that fails they are made again
        try:
            self._table.add(pa.table([[contents[at] for at in new.tolist()], flat], schema=self._schema()))
        except ProjectError:
            self._in_step = self._known_count(self._table.stamp()) == self._count
            raise
        try:
            self._append(self._floats, added.tobytes(), 4 * self._dim * self._count)
            self._append(self._keys, keys[new].tobytes(), KEY_BYTES * self._count)
            self._tell(self._table.stamp(), self._count + len(new))
        except OSError as error:
            raise _unwritten(self._floats, error) from error
        self._count += len(new)
        self._index.add(keys[new])
        self.matrix, self._in_step = self._mapped(), True

    def compact(self) -> None:
        """Join small pieces of the table."""
        in_step = self._in_step
        self._table.compact()
        if in_step:
            self._tell(self._table.stamp(), self._count)

    def close(self) -> None:
        if not self._read_only:
            in_step = self._in_step
            self._table.close(mirror=False)
            if in_step and self._count:
                with suppress(ProjectError):
                    self._tell(self._table.stamp(), self._count)

    def _append(self, file: Path, content: bytes, at: int) -> None:
        file.parent.mkdir(exist_ok=True)
        with open(file, "r+b" if file.exists() else "w+b") as opened:
            opened.seek(at)
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())

    def _tell(self, stamp: str, count: int) -> None:
        try:
            told = {"stamp": stamp, "rows": count, "dim": self._dim, "half": self._half, **self._about}
            paths.write_atomically(self._told, json.dumps(told).encode())
        except OSError as error:
            raise _unwritten(self._told, error) from error

    def _rebuild(self, table: Any) -> int:
        """The files anew from the table: how many rows."""
        count = 0
        try:
            self._floats.parent.mkdir(exist_ok=True)
            beside = [file.with_suffix(f"{file.suffix}.tmp") for file in (self._floats, self._keys)]
            with open(beside[0], "wb") as floats, open(beside[1], "wb") as keys:
                for batch in table.search().to_batches(_BATCH):
                    contents, vectors = _unpacked(batch, self._dim)
                    floats.write(vectors.tobytes())
                    keys.write(contents.tobytes())
                    count += len(vectors)
                for file in (floats, keys):
                    file.flush()
                    os.fsync(file.fileno())
            self._told.unlink(missing_ok=True)
            beside[0].replace(self._floats)
            beside[1].replace(self._keys)
        except OSError as error:
            raise _unwritten(self._floats, error) from error
        return count


def room(shape: tuple[int, int], folder: Path | None = None) -> NDArray[np.float32]:
    """An array for vectors; a large one lies in a file that is gone with it, so that it may leave memory."""
    if 4 * shape[0] * shape[1] < 1 << 28:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.float32, "w+", shape=shape).view(np.ndarray)


def _is_half(table: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_float16(table.schema.field("vector").type.value_type))


def _unpacked(batch: Any, dim: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    vectors = np.asarray(batch.column("vector").flatten()).reshape(-1, dim)
    return content_keys(batch.column("content_hash").to_pylist()), _widened(vectors)


def _widened(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """As float32; of half precision, vectors that had the length 1 have it again."""
    wide = vectors.astype("<f4", copy=False)
    if vectors.dtype == np.float16:
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        wide /= np.where(np.abs(lengths - 1) < UNIT, lengths, np.float32(1))
    return wide


def _copied(table: Any, dim: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Keys and vectors in memory, where no file may be written."""
    matrix, count, keys = room((table.count_rows(), dim)), 0, []
    for batch in table.search().to_batches(_BATCH):
        contents, vectors = _unpacked(batch, dim)
        matrix[count : count + len(vectors)] = vectors
        keys.append(contents)
        count += len(vectors)
    return np.concatenate([np.zeros((0, KEY_BYTES), np.uint8), *keys]), matrix[:count]


def _unwritten(file: Path, error: OSError) -> ProjectError:
    return ProjectError(f"The vectors could not be written ({error.strerror or error}).", path=file,
                        hint="Free some space; what was saved before is safe.")
