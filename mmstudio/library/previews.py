"""Previews by content, in one SQLite file: they can be made again, and are not waited for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from mmstudio.errors import ProjectError
from mmstudio.library.database import connect, transaction

_SCHEMA = "CREATE TABLE IF NOT EXISTS previews(content_hash TEXT PRIMARY KEY, preview BLOB NOT NULL)"
"""With row ids, so that previews are written one behind another: in the order of their hashes each of a thousand would
change another page of the file, which took five times as long.
"""

_AT_ONCE = 200
"""Rows of one statement: between statements Python's other threads are waited for, which row by row takes longer than
the rows."""


class Previews:
    """``get`` may be called from any thread, the rest from one."""

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self._file = folder / "previews.sqlite"
        self._connection: sqlite3.Connection | None = None
        if not read_only:
            self._connection = self._connected()

    def _connected(self) -> sqlite3.Connection:
        try:
            return connect(self._file, _SCHEMA, can_be_made_again=True)
        except ProjectError as error:
            if not isinstance(error.__cause__, sqlite3.DatabaseError) or isinstance(
                    error.__cause__, sqlite3.OperationalError) or not self._file.is_file():
                raise
            self._file.replace(self._file.with_suffix(".damaged"))
            return connect(self._file, _SCHEMA, can_be_made_again=True)

    def put(self, previews: Iterable[tuple[str, bytes]]) -> None:
        """Keep ``(content_hash, preview)`` pairs. Raises ProjectError."""
        found = [pair for pair in previews if pair[1]]
        if found and self._connection:
            with transaction(self._connection, self._file) as connection:
                for start in range(0, len(found), _AT_ONCE):
                    some = found[start : start + _AT_ONCE]
                    connection.execute(f"INSERT OR IGNORE INTO previews VALUES {', '.join(['(?, ?)'] * len(some))}",
                                       [value for pair in some for value in pair])

    def get(self, content_hash: str) -> bytes:
        """The preview's bytes, or none."""
        try:
            connection = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error:
            return b""
        try:
            row = connection.execute("SELECT preview FROM previews WHERE content_hash=?", (content_hash,)).fetchone()
            return bytes(row[0]) if row else b""
        except sqlite3.Error:
            return b""
        finally:
            connection.close()

    def close(self) -> None:
        if self._connection:
            self._connection.close()
