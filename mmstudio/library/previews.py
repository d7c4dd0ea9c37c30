"""Previews by content, in one SQLite file of bounded size: they can be made again, and are not waited for.

Those that were not looked at for longest are dropped first. The file's freed pages are used again; where they are many,
they are given back to the disk (https://sqlite.org/pragma.html#pragma_incremental_vacuum).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from mmstudio.errors import ProjectError
from mmstudio.library.database import connect, transaction

T = TypeVar("T")

MOST_BYTES = 2_000_000_000
_INCREMENTAL = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS previews(content_hash TEXT PRIMARY KEY, preview BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seen(preview INTEGER PRIMARY KEY, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS seen_at ON seen(at)"""
"""With row ids, so that previews are written one behind another: in the order of their hashes each of a thousand would
change another page of the file, which took five times as long. When each was made or looked at last (seconds since
1970) is in a table of its own, so that noting it does not write the preview anew.
"""
_AT_ONCE = 200
"""Rows of one statement: between statements Python's other threads are waited for, which row by row takes longer than
the rows."""
_NOTED, _DROPPED, _LISTED = 500, 1000, 50_000
"""So many that were looked at are written down together; so many are dropped at most when others are put in; of so many
together it is asked whether their contents are still there."""
_LOOSE, _FEW_PAGES = 0.1, 64
"""So large a share of the file's pages may lie free, and so few always."""
_TIDYING_SECONDS = 5.0
"""So long closing may take to bring the file below a bound that was lowered; the next one goes on."""
_ROOM = 0.95
"""Of the bound: what is filled up to the brim would have to drop something for each that is put in."""


class Previews:
    """``get`` and ``put`` may be called from any thread, the rest from one."""

    def __init__(self, folder: Path, read_only: bool = False, most_bytes: int = MOST_BYTES) -> None:
        self._file, self._most_bytes = folder / "previews.sqlite", most_bytes
        self._connection: sqlite3.Connection | None = None
        self._writing = threading.RLock()
        self._looked_at: set[str] = set()
        self._damaged = self._rests = False
        if not read_only:
            self._connection = self._connected()

    def _connected(self) -> sqlite3.Connection:
        try:
            connection = connect(self._file, _SCHEMA, can_be_made_again=True)
        except ProjectError as error:
            if not _tells_damage(error.__cause__) or not self._file.is_file():
                raise
            self._set_aside()
            connection = connect(self._file, _SCHEMA, can_be_made_again=True)
        if connection.execute("SELECT 1 FROM seen LIMIT 1").fetchone() is None:  # of an older studio
            connection.execute("INSERT INTO seen SELECT rowid, 0 FROM previews")
        return connection

    def _set_aside(self) -> None:
        with suppress(FileNotFoundError):
            self._file.replace(self._file.with_suffix(".damaged"))
        for rest in ("-wal", "-shm"):  # else they would be read as what was written last into the new file
            Path(f"{self._file}{rest}").unlink(missing_ok=True)

    def put(self, previews: Iterable[tuple[str, bytes]]) -> None:
        """Keep ``(content_hash, preview)`` pairs, in the place of those that are there. Raises ProjectError."""
        found = [pair for pair in previews if pair[1]]
        if found:
            self._write(lambda connection: _put(connection, found))
            self._note()
            self._write(lambda connection: _drop_oldest(connection, self._most_bytes))
            self._shrink()

    def get(self, content_hash: str) -> bytes:
        """The preview's bytes, or none."""
        try:
            connection = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error:
            return b""
        try:
            row = connection.execute("SELECT preview FROM previews WHERE content_hash=?", (content_hash,)).fetchone()
        except sqlite3.Error as error:
            self._damaged = self._damaged or _tells_damage(error)
            return b""
        finally:
            connection.close()
        if row:
            self._looked_at.add(content_hash)
            if len(self._looked_at) >= _NOTED:
                self._note()
        return bytes(row[0]) if row else b""

    def drop_others(self, here: Callable[[Sequence[str]], Sequence[bool]]) -> None:
        """Drop the previews of contents that are not ``here``. Raises ProjectError."""
        self._write(lambda connection: _drop_others(connection, here))
        self._shrink()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The file stays as it is within it."""
        with self._writing:
            self._rests = True
        try:
            yield
        finally:
            self._rests = False

    def close(self) -> None:
        """Nothing is kept any more after this."""
        self._note()
        with suppress(ProjectError):  # it is bounded the next time
            self._keep_to_bound()
        with self._writing:
            if self._connection:
                self._connection.close()
            self._connection = None

    def _keep_to_bound(self) -> None:
        """A person may have lowered it since the last preview was put in."""
        until = time.monotonic() + _TIDYING_SECONDS
        while self._write(lambda connection: _drop_oldest(connection, self._most_bytes)) and time.monotonic() < until:
            pass
        self._shrink()

    def _shrink(self) -> None:
        """Give free pages back to the disk. A file of an older studio is written anew for that, once. Where there is no
        room to do so, it stays as it is.
        """
        with self._writing, suppress(sqlite3.Error):
            if self._connection is None or self._rests or not _is_loose(self._connection):
                return
            if self._connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL:
                self._connection.executescript("PRAGMA incremental_vacuum")  # ``execute`` frees a single page
            else:
                self._connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
                self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _note(self) -> None:
        """Write down what was looked at. What fails here is no loss, and not told."""
        looked_at, self._looked_at = self._looked_at, set()
        with suppress(ProjectError):
            self._write(lambda connection: _see(connection, list(looked_at)))

    def _write(self, change: Callable[[sqlite3.Connection], T]) -> T | None:
        """What the change gives. A file that is lost or damaged begins anew, for all in it can be made again. Raises
        ProjectError.
        """
        with self._writing:
            if self._connection is None or self._rests:
                return None
            try:
                if self._damaged or not self._file.is_file():
                    self._begin_anew()
                with transaction(self._connection, self._file) as connection:
                    return change(connection)
            except ProjectError as error:
                if not _tells_damage(error.__cause__):
                    raise
                self._begin_anew()
                with transaction(self._connection, self._file) as connection:
                    return change(connection)

    def _begin_anew(self) -> None:
        if self._connection:
            self._connection.close()
        self._set_aside()
        self._connection, self._damaged = self._connected(), False


def _tells_damage(error: BaseException | None) -> bool:
    """Its subclasses tell of a full disk, a lock, a lost folder."""
    return type(error) is sqlite3.DatabaseError


def _put(connection: sqlite3.Connection, previews: Sequence[tuple[str, bytes]]) -> None:
    for start in range(0, len(previews), _AT_ONCE):
        some = previews[start : start + _AT_ONCE]
        connection.execute(
            f"INSERT INTO previews VALUES {', '.join(['(?, ?)'] * len(some))} "
            "ON CONFLICT(content_hash) DO UPDATE SET preview=excluded.preview",
            [value for pair in some for value in pair])
    _see(connection, [content for content, _ in previews])


def _see(connection: sqlite3.Connection, contents: Sequence[str]) -> None:
    now = time.time()
    for start in range(0, len(contents), _AT_ONCE):
        some = contents[start : start + _AT_ONCE]
        connection.execute(f"INSERT OR REPLACE INTO seen SELECT rowid, ? FROM previews WHERE content_hash IN "
                           f"({_marks(some)})", [now, *some])


def _pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many the file has, and how many of them are free."""
    pages, free = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count"))
    return pages, free


def _is_loose(connection: sqlite3.Connection) -> bool:
    pages, free = _pages(connection)
    return free > max(_FEW_PAGES, _LOOSE * pages)


def _drop_oldest(connection: sqlite3.Connection, most_bytes: int) -> list[int]:
    """As many as make room, of a file far beyond the bound only the first; the rows that are gone."""
    pages, free = _pages(connection)
    used = (pages - free) * int(connection.execute("PRAGMA page_size").fetchone()[0])
    if used <= most_bytes:
        return []
    oldest = connection.execute("SELECT seen.preview, length(previews.preview) FROM seen JOIN previews "
                                "ON previews.rowid = seen.preview ORDER BY at, seen.preview LIMIT ?", (_DROPPED,))
    left, gone = used - _ROOM * most_bytes, list[int]()
    for row, length in oldest:
        if left <= 0:
            break
        gone.append(row)
        left -= length
    _drop(connection, gone)
    return gone


def _drop_others(connection: sqlite3.Connection, here: Callable[[Sequence[str]], Sequence[bool]]) -> None:
    rows, gone = connection.execute("SELECT rowid, content_hash FROM previews"), list[int]()
    while some := rows.fetchmany(_LISTED):
        there = here([content for _, content in some])
        gone += [row for (row, _), stays in zip(some, there, strict=True) if not stays]
    _drop(connection, gone)


def _drop(connection: sqlite3.Connection, rows: Sequence[int]) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        connection.execute(f"DELETE FROM previews WHERE rowid IN ({_marks(some)})", some)
        connection.execute(f"DELETE FROM seen WHERE preview IN ({_marks(some)})", some)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
