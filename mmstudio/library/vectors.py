"""Vectors by content and encoder: what was encoded once is never encoded again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import ProjectError
from mmstudio.library.database import connect, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spaces(
    id INTEGER PRIMARY KEY, space TEXT NOT NULL, revision TEXT NOT NULL, preprocessing TEXT NOT NULL,
    dim INTEGER NOT NULL, UNIQUE(space, revision, preprocessing));
CREATE TABLE IF NOT EXISTS vectors(
    content_hash TEXT NOT NULL, space_id INTEGER NOT NULL REFERENCES spaces(id), vector BLOB NOT NULL,
    PRIMARY KEY(content_hash, space_id)) WITHOUT ROWID
"""


@dataclass(frozen=True)
class SpaceKey:
    """Vectors compare only where all of these are equal."""

    space: str
    revision: str
    preprocessing: str
    dim: int


class VectorCache:
    """A file of vectors keyed by (content hash, space, model revision, preprocessing)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._connection = connect(file, _SCHEMA, can_be_made_again=True)
        except ProjectError as error:
            if not isinstance(error.__cause__, sqlite3.DatabaseError) or not file.is_file():
                raise
            file.replace(file.with_suffix(".damaged"))  # vectors can be made again; the project must open
            self._connection = connect(file, _SCHEMA, can_be_made_again=True)

    def close(self) -> None:
        self._connection.close()

    def put(self, key: SpaceKey, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep ``(content_hash, (dim,) float32)`` pairs in one transaction."""
        space = self._space_id(key)
        rows = [(content, space, np.ascontiguousarray(v, "<f4").tobytes()) for content, v in vectors]
        with transaction(self._connection, self._file) as connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES(?, ?, ?)", rows)

    def get(self, key: SpaceKey, content_hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are known among ``content_hashes``."""
        space, found = self._space_id(key), {}
        hashes = list(content_hashes)
        for start in range(0, len(hashes), 500):
            chunk = hashes[start : start + 500]
            marks = ",".join("?" * len(chunk))
            for content, blob in self._connection.execute(
                    f"SELECT content_hash, vector FROM vectors WHERE space_id=? AND content_hash IN ({marks})",
                    (space, *chunk)):
                if len(blob) == 4 * key.dim:
                    found[content] = np.frombuffer(blob, "<f4")
        return found

    def known(self, key: SpaceKey) -> set[str]:
        """All contents that have a vector in this space."""
        rows = self._connection.execute("SELECT content_hash FROM vectors WHERE space_id=?", (self._space_id(key),))
        return {row[0] for row in rows}

    def _space_id(self, key: SpaceKey) -> int:
        values = (key.space, key.revision, key.preprocessing)
        row = self._connection.execute(
            "SELECT id FROM spaces WHERE space=? AND revision=? AND preprocessing=?", values).fetchone()
        if row is None:
            with transaction(self._connection, self._file) as connection:
                connection.execute(
                    "INSERT INTO spaces(space, revision, preprocessing, dim) VALUES(?, ?, ?, ?)", (*values, key.dim))
            return self._space_id(key)
        return int(row[0])
