"""SQLite files that survive a pulled plug, opened the same way everywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmstudio.errors import ProjectError

FORMAT_VERSION = 1
_LOG_PAGES, _CACHE_KILOBYTES = 8_000, 16_384
"""Of what can be made again so many pages of 4 KB are written once more, into their place, at a time; in the cache lies
the index of a million hashes for the most part.
"""


def connect(file: Path, schema: str, *, can_be_made_again: bool = False) -> sqlite3.Connection:
    """Open or create a database of this format. Raises ProjectError with what is wrong.

    WAL with synchronous=FULL: every commit is on the disk before it is reported, and readers do not wait. What
    ``can_be_made_again`` does without waiting for the disk: a pulled plug may cost its last commits, never its order.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=30)
        way = "FULL"
        if can_be_made_again:
            way = f"NORMAL; PRAGMA wal_autocheckpoint={_LOG_PAGES}; PRAGMA cache_size=-{_CACHE_KILOBYTES}"
        # before anything is written: a file that is there already keeps its way of vacuuming
        connection.executescript("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; "
                                 f"PRAGMA synchronous={way};")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT_VERSION:
            connection.close()
            raise ProjectError("This project was made by a newer studio.", path=file, hint="Update the studio.")
        connection.executescript(f"BEGIN; {schema}; PRAGMA user_version={FORMAT_VERSION}; COMMIT;")
        return connection
    except (sqlite3.Error, OSError) as error:
        raise ProjectError(f"The project cannot be opened ({error}).", path=file,
                           hint="Is the disk full, or the folder write-protected?") from error


@contextmanager
def transaction(connection: sqlite3.Connection, file: Path) -> Iterator[sqlite3.Connection]:
    """All or nothing; a full disk or a lost folder becomes ProjectError and nothing is half written."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        _roll_back(connection)
        raise ProjectError(f"The project could not be written ({error}).", path=file,
                           hint="Free some space; what was saved before is safe.") from error
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
