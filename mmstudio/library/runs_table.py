"""What a project knows of its training runs: what a person says of each, and what it is found by.

A run's folder stays the truth for its job, curve and results; this table is brought in step with the folders.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from mmstudio.errors import ProjectError
from mmstudio.library.kept import KeptTable


@dataclass(frozen=True)
class RunRow:
    """One run. ``id`` is its folder's number, ``created`` in seconds since 1970, ``value`` that of its best ``metric``,
    ``fingerprint`` tells which examples it learned from. A person says ``name``, ``starred`` and ``note``.
    """

    id: int
    folder: str
    name: str
    task: str = ""
    target: str = ""
    fusion: str = ""
    created: float = 0.0
    status: str = ""
    metric: str = ""
    value: float | None = None
    fingerprint: str = ""
    starred: bool = False
    note: str = ""


class RunsTable:
    """Rows by folder. Safe from any thread; one writer. A change is on the disk when a method returns, else
    ProjectError is raised. Read only, it is in step in memory alone.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self._table = KeptTable(folder, "runs", _schema, "id", read_only)
        self._read_only, self._lock = read_only, Lock()
        self._rows = {row["id"]: RunRow(**row) for row in self._table.read().to_pylist()}

    def rows(self) -> dict[str, RunRow]:
        with self._lock:
            return {row.folder: row for row in self._rows.values()}

    def follow(self, found: Iterable[RunRow]) -> dict[str, RunRow]:
        """Take in the runs as they lie in their folders now, all of them, and give the rows. What a person said of a
        run stays; a folder made at another time is another run.
        """
        with self._lock:
            now = {row.id: _as_said(_clean(row), self._rows.get(row.id)) for row in found}
            gone = np.array(sorted(self._rows.keys() - now.keys()), np.int64)
            changed = [row for row in now.values() if row.id in self._rows and row != self._rows[row.id]]
            new = [row for row in now.values() if row.id not in self._rows]
            if not self._read_only:
                self._table.delete(gone, lambda: _table(now.values()))
                self._table.update(_table(changed))
                self._table.add(_table(new))
            self._rows = now
            return {row.folder: row for row in now.values()}

    def say(self, folder: str, **said: Any) -> None:
        """Keep a run's ``name``, ``starred`` or ``note``. Raises ProjectError where the run is not known."""
        with self._lock:
            row = next((row for row in self._rows.values() if row.folder == folder), None)
            if row is None:
                raise ProjectError("This run is not in the project any more.", path=folder)
            row = _clean(replace(row, **said))
            self._table.update(_table([row]))
            self._rows[row.id] = row

    def close(self) -> None:
        with self._lock:
            self._table.close()


def _as_said(row: RunRow, known: RunRow | None) -> RunRow:
    """A run with what was said of it before."""
    if known is None or known.created != row.created:
        return row
    return replace(row, name=known.name, starred=known.starred, note=known.note)


def _clean(row: RunRow) -> RunRow:
    """Lone surrogates cannot be stored."""
    texts: dict[str, Any] = {name: value for name, value in asdict(row).items() if isinstance(value, str)}
    return replace(row, **{name: text.encode("utf-8", "replace").decode("utf-8") for name, text in texts.items()})


def _schema() -> Any:
    import pyarrow as pa

    kinds = {"int": pa.int64(), "str": pa.string(), "float": pa.float64(), "float | None": pa.float64(),
             "bool": pa.bool_()}
    return pa.schema([(column.name, kinds[str(column.type)]) for column in fields(RunRow)])


def _table(rows: Iterable[RunRow]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([asdict(row) for row in rows], schema=_schema())
