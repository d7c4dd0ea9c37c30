"""A table on disk that loses nothing: LanceDB keeps it, and a copy mapped into memory makes opening it quick.

Lance (https://lance.org/format) never changes a file: a commit adds data files and, last, a manifest whose name counts
down, so that the first by name is the newest. Lance leaves to the system when they reach the disk; here a commit is
reported once they have. LanceDB takes more than a second to import, and is, only where the copy is out of step.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import ProjectError
from mmstudio.library.durable import sync, sync_folder

T = TypeVar("T")

COMPACT_AFTER = 300
"""Commits. Each adds a fragment, and hundreds of fragments make every later commit slower."""
_MANY_FRAGMENTS, _SHARED_FOR, _FOREVER = 50, timedelta(minutes=2), timedelta(days=36500)
_PARTS = ("data", "_deletions", "_transactions", "_versions")
_MOST_RANGES, _MAGIC, _LAST_COMMITS = 1500, b"LANC", 3


class KeptTable:
    """One table of a project's folder, for one thread and one writer; readers of other processes see whole commits.

    ``schema`` gives the columns, of which ``key`` names the one of whole numbers that the rows are in the order of.
    ``note`` says what had to be set aside on opening. Every method raises ProjectError where the disk does not do it.
    """

    def __init__(self, folder: Path, name: str, schema: Callable[[], Any], key: str = "id",
                 read_only: bool = False) -> None:
        self._tables, self._mirrors, self._name = folder / "tables", folder / "mirror", name
        self._root = self._tables / f"{name}.lance"
        self._schema, self._key, self._read_only = schema, key, read_only
        self._table: Any = None
        self._closed = False
        self._seen: dict[str, set[str]] | None = None
        self._commits = 0
        self.note = ""

    # ---- reading ------------------------------------------------------------------------------------------------

    def read(self) -> Any:
        """All rows in the order of the key, mapped into memory where the copy is in step."""
        stamp = self.stamp()
        if not stamp:
            return self._schema().empty_table()
        mapped = self._mapped(stamp)
        if mapped is not None:
            return mapped
        table = self._sorted(self.recovered(lambda kept: kept.to_arrow()))
        if self._read_only:
            return table
        stamp = self.stamp()
        self._write_mirror(table, stamp)
        mapped = self._mapped(stamp)
        return table if mapped is None else mapped

    def stamp(self) -> str:
        """What names the newest commit, "" before the first: the manifest's name and a checksum of its bytes."""
        for _ in range(20):  # another process may be tidying up
            newest = self._newest()
            try:
                if newest:
                    return f"{newest}-{zlib.crc32((self._root / '_versions' / f'{newest}.manifest').read_bytes()):08x}"
                return ""
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unreadable(error) from error
        return ""

    def _newest(self) -> str:
        return min(self._manifests(), default="")

    def _manifests(self) -> list[str]:
        try:
            names = os.listdir(self._root / "_versions")
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name.removesuffix(".manifest") for name in names if name.endswith(".manifest") and name[0].isdigit()]

    def _opened(self) -> Any:
        if self._closed:
            raise ProjectError("The project is closed.", path=self._root)
        if self._table is None:
            import lancedb

            self._table = lancedb.connect(str(self._tables)).open_table(self._name)
        return self._table

    def recovered(self, read: Callable[[Any], T]) -> T:
        """What ``read`` makes of LanceDB's table. Where a pulled plug left the newest commit in pieces, of the commit
        before: no later commit was reported as done.
        """
        aside: list[str] = []
        while True:
            try:
                found = read(self._opened())
                if aside:
                    self.note = "The last change was cut off while it was written; the project is as it was before it."
                    sync_folder(self._root / "_versions")
                return found
            except ProjectError:
                raise
            except Exception as error:
                self._table = None
                newest = self._newest()
                if (self._read_only or not newest or len(aside) == _LAST_COMMITS or len(self._manifests()) < 2
                        or not self._is_torn(newest, error)):
                    self._put_back(aside)
                    raise self._unreadable(error) from error
                self._set_aside(newest)
                aside.append(newest)

    def _is_torn(self, newest: str, error: Exception) -> bool:
        """Files are cut short or gone; all else (memory, rights) may be well the next time."""
        files = [self._root / "_versions" / f"{newest}.manifest", *(self._root / "data").glob("*.lance")]
        return "not found" in str(error).lower() or not all(map(_is_whole, files))

    def _set_aside(self, version: str) -> None:
        aside = self._root / "_damaged"
        aside.mkdir(exist_ok=True)
        (self._root / "_versions" / f"{version}.manifest").replace(aside / f"{version}.manifest")
        (self._root / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)

    def _put_back(self, versions: Collection[str]) -> None:
        for version in versions:
            (self._root / "_damaged" / f"{version}.manifest").replace(self._root / "_versions" / f"{version}.manifest")

    # ---- writing ------------------------------------------------------------------------------------------------

    def add(self, rows: Any) -> None:
        """Append rows, a table of the schema."""
        if rows.num_rows:
            self._commit(lambda: self._opened().add(rows) if self._newest() else self._create(rows))
            self._compact_sometimes()

    def update(self, rows: Any) -> None:
        """Put rows in the place of those with the same keys."""
        if rows.num_rows and self._newest():
            self._commit(lambda: self._opened().merge_insert(self._key).when_matched_update_all().execute(rows))
            self._compact_sometimes()

    def delete(self, keys: NDArray[np.int64], rest: Callable[[], Any]) -> None:
        """Take the rows of these keys, ascending, out. Where they are too scattered for one condition, the table is
        written anew from ``rest``, all other rows.
        """
        if not len(keys) or not self._newest():
            return
        ranges = _ranges(keys)
        if len(ranges) > _MOST_RANGES:
            self._commit(lambda: self._create(rest(), mode="overwrite"))
        else:
            single = ",".join(str(first) for first, last in ranges if first == last)
            tests = [f"({self._key} BETWEEN {first} AND {last})" for first, last in ranges if first != last]
            self._commit(lambda: self._opened().delete(
                " OR ".join([f"{self._key} IN ({single})", *tests] if single else tests)))
        self._compact_sometimes()

    def compact(self) -> None:
        """Join small fragments and, once that is on the disk, forget what no reader can be reading any more."""
        for keep in (_FOREVER, _SHARED_FOR) if self._newest() else ():
            self._commit(partial(self._optimize, keep))
        self._commits = 0

    def _optimize(self, keep: timedelta) -> None:
        self._opened().optimize(cleanup_older_than=keep)

    def mirror(self) -> None:
        """Bring the mapped copy in step, so that the next opening is quick."""
        stamp = self.stamp()
        if not self._read_only and stamp and not self._mirror_file(stamp).is_file():
            try:
                self._write_mirror(self._sorted(self._opened().to_arrow()), stamp)
            except Exception as error:
                raise self._unreadable(error) from error

    def close(self, mirror: bool = True) -> None:
        """Leave the table ready to be opened quickly; where that fails, it opens slowly."""
        if not self._read_only and self._table is not None:
            with suppress(ProjectError):
                if len(self._names("data")) > _MANY_FRAGMENTS:
                    self.compact()
                if mirror:
                    self.mirror()
        self._table, self._closed = None, True

    def _compact_sometimes(self) -> None:
        if self._commits >= COMPACT_AFTER:
            with suppress(ProjectError):  # what was to be written is written; a full disk tells itself the next time
                self.compact()

    def _create(self, rows: Any, mode: str = "create") -> None:
        import lancedb

        self._table = lancedb.connect(str(self._tables)).create_table(self._name, rows, mode=mode)

    def _commit(self, act: Callable[[], object]) -> None:
        """Write one change, and wait for the disk. If that fails, all is as it was before."""
        if self._read_only:
            raise ProjectError("The project is open for reading only.", path=self._tables.parent)
        before = self._newest()
        if self._seen is None:
            self._seen = {part: self._names(part) for part in _PARTS}
        try:
            act()
        except Exception as error:
            self._table = None
            if self._newest() == before:
                self._clear_away()
                raise self._unwritten(error) from error
        try:
            self._sync(first=not before)
        except OSError as error:
            self._roll_back(before)
            raise self._unwritten(error) from error
        self._commits += 1

    def _names(self, part: str) -> set[str]:
        try:
            return set(os.listdir(self._root / part))
        except FileNotFoundError:
            return set()

    def _sync(self, first: bool) -> None:
        """Files before the folders that name them, manifests last."""
        seen, self._seen = self._seen or {}, {part: self._names(part) for part in _PARTS}
        for part in _PARTS:
            new = self._seen[part] - seen.get(part, set())
            for name in new:
                sync(self._root / part / name)
            if new:
                sync_folder(self._root / part)
        if first:
            for folder in (self._root, self._tables, self._tables.parent):
                sync_folder(folder)

    def _roll_back(self, before: str) -> None:
        self._table = None
        with suppress(OSError):
            for version in self._manifests():
                if not before or version < before:
                    self._set_aside(version)
        self._clear_away()

    def _clear_away(self) -> None:
        """Files of a change that was not made take room on a disk that may be full."""
        for part in ("data", "_deletions", "_transactions"):
            for name in self._names(part) - (self._seen or {}).get(part, set()):
                with suppress(OSError):
                    (self._root / part / name).unlink()
        self._seen = None

    # ---- the mapped copy ----------------------------------------------------------------------------------------

    def _mirror_file(self, stamp: str) -> Path:
        return self._mirrors / f"{self._name}-{stamp}.arrow"

    def _mapped(self, stamp: str) -> Any:
        import pyarrow as pa

        try:
            table = pa.ipc.open_file(pa.memory_map(str(self._mirror_file(stamp)))).read_all()
        except (OSError, pa.ArrowInvalid):
            return None
        return table if table.schema.equals(self._schema()) else None

    def _sorted(self, table: Any) -> Any:
        """In the order of the key, in one chunk."""
        table = table.cast(self._schema()) if not table.schema.equals(self._schema()) else table
        keys = np.asarray(table.column(self._key))
        return (table if np.all(keys[:-1] <= keys[1:]) else table.sort_by(self._key)).combine_chunks()

    def _write_mirror(self, table: Any, stamp: str) -> None:
        """The copy only saves time: without room for it, there is none."""
        import pyarrow as pa

        target = self._mirror_file(stamp)
        beside = target.with_suffix(".tmp")
        try:
            self._mirrors.mkdir(exist_ok=True)
            for old in [*self._mirrors.glob(f"{self._name}-*.arrow"), *self._mirrors.glob(f"{self._name}-*.tmp")]:
                with suppress(OSError):  # Windows keeps a file that is mapped; the next time removes it
                    old.unlink()
            with pa.OSFile(str(beside), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
            sync(beside)
            beside.replace(target)
        except OSError:
            with suppress(OSError):
                beside.unlink()

    # ---- errors -------------------------------------------------------------------------------------------------

    def _unwritten(self, error: Exception) -> ProjectError:
        return ProjectError(f"The project could not be written ({_short(error)}).", path=self._root,
                            hint="Free some space; what was saved before is safe.")

    def _unreadable(self, error: Exception) -> ProjectError:
        return ProjectError(f"The project cannot be opened ({_short(error)}).", path=self._root,
                            hint="Is the disk full, or the folder damaged or not readable?")


def _is_whole(file: Path) -> bool:
    """Every file of Lance ends in these bytes."""
    try:
        with open(file, "rb") as opened:
            opened.seek(-len(_MAGIC), os.SEEK_END)
            return opened.read() == _MAGIC
    except OSError:
        return False


def _ranges(keys: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ascending numbers as first and last of each run."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 2) != 1)
    ends = np.append(starts[1:], len(keys)) - 1
    return list(zip(keys[starts].tolist(), keys[ends].tolist(), strict=True))


def _short(error: Exception) -> str:
    """The first line of what a library says, which may go on over its own source lines."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
