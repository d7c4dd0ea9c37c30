"""Items and samples of one project, in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmstudio.library.database import connect, transaction
from mmstudio.media import Description, MediaRef, Modality

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items(
    id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, part TEXT NOT NULL, modality TEXT NOT NULL,
    content_hash TEXT NOT NULL UNIQUE, text TEXT NOT NULL, facts TEXT NOT NULL, added REAL NOT NULL);
CREATE TABLE IF NOT EXISTS previews(content_hash TEXT PRIMARY KEY, preview BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tags(
    item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE, tag TEXT NOT NULL, PRIMARY KEY(item_id, tag))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS samples(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, weights TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sample_items(
    sample_id INTEGER NOT NULL REFERENCES samples(id) ON DELETE CASCADE,
    item_id INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE, PRIMARY KEY(sample_id, item_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures(path BLOB NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL)
"""


@dataclass(frozen=True)
class Item:
    """One file or snippet of one modality."""

    id: int
    path: Path
    part: str
    modality: Modality
    content_hash: str
    text: str
    facts: dict[str, float] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """A short name for a person."""
        if self.modality == "text":
            return self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return f"{self.path.name} · {self.part}" if self.part else self.path.name

    @property
    def ref(self) -> MediaRef:
        return MediaRef(self.path, self.modality, self.part, self.text)


@dataclass(frozen=True)
class Sample:
    """Items that belong together, with the weight of each modality in their fused vector."""

    id: int
    name: str
    item_ids: tuple[int, ...]
    weights: dict[str, float] = field(default_factory=dict, hash=False)


class Store:
    """The tables of a project. Not for concurrent writers; ``preview`` may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "items.sqlite"
        self._connection = connect(self._file, _SCHEMA)

    def close(self) -> None:
        self._connection.close()

    def add(self, descriptions: Sequence[Description], tags: Iterable[str] = ()) -> list[Item]:
        """Commit new items with their previews; contents that the project has already are left out of the answer. Ids
        are never used again.
        """
        fresh, now, tags = [], time.time(), tuple(sorted(set(tags)))
        with transaction(self._connection, self._file) as connection:
            for d in descriptions:
                cursor = connection.execute(
                    "INSERT OR IGNORE INTO items(path, part, modality, content_hash, text, facts, added) "
                    "VALUES(?, ?, ?, ?, ?, ?, ?)",
                    (os.fsencode(d.path), d.part, d.modality, d.content_hash, _clean(d.text), json.dumps(d.facts), now))
                if not cursor.rowcount:
                    continue
                if d.preview:
                    connection.execute("INSERT OR IGNORE INTO previews VALUES(?, ?)", (d.content_hash, d.preview))
                identity = int(cursor.lastrowid or 0)
                connection.executemany("INSERT OR IGNORE INTO tags VALUES(?, ?)", [(identity, tag) for tag in tags])
                fresh.append(Item(identity, d.path, d.part, d.modality, d.content_hash, _clean(d.text), d.facts, tags))
        return fresh

    def find_again(self, known: Iterable[Description]) -> dict[int, Description]:
        """Point items whose file is gone to where their content was found now; the ids of those that were moved."""
        moved: dict[int, Description] = {}
        with transaction(self._connection, self._file) as connection:
            for d in known:
                row = connection.execute(
                    "SELECT id, path FROM items WHERE content_hash=?", (d.content_hash,)).fetchone()
                if row and row[1] != os.fsencode(d.path) and not os.path.exists(row[1]):
                    connection.execute("UPDATE items SET path=?, part=? WHERE id=?",
                                       (os.fsencode(d.path), d.part, row[0]))
                    moved[row[0]] = d
        return moved

    def items(self) -> list[Item]:
        """All items in the order of adding."""
        tags: dict[int, list[str]] = {}
        for identity, tag in self._connection.execute("SELECT item_id, tag FROM tags ORDER BY tag"):
            tags.setdefault(identity, []).append(tag)
        rows = self._connection.execute(
            "SELECT id, path, part, modality, content_hash, text, facts FROM items ORDER BY id")
        return [Item(r[0], Path(os.fsdecode(r[1])), r[2], r[3], r[4], r[5], json.loads(r[6]),
                     tuple(tags.get(r[0], ()))) for r in rows]

    def remove(self, item_ids: Iterable[int]) -> None:
        """Take items out of the project; their files stay. Samples left with fewer than two items dissolve."""
        with transaction(self._connection, self._file) as connection:
            connection.executemany("DELETE FROM items WHERE id=?", [(i,) for i in item_ids])
            connection.execute("DELETE FROM samples WHERE (SELECT count(*) FROM sample_items WHERE sample_id=id) < 2")

    def tag(self, item_ids: Iterable[int], tag: str) -> None:
        """Give every item this tag."""
        with transaction(self._connection, self._file) as connection:
            connection.executemany("INSERT OR IGNORE INTO tags VALUES(?, ?)", [(i, tag) for i in item_ids])

    def preview(self, content_hash: str) -> bytes:
        """The preview's bytes, or none. Opens a connection of its own: safe from any thread."""
        connection = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True)
        try:
            row = connection.execute("SELECT preview FROM previews WHERE content_hash=?", (content_hash,)).fetchone()
            return bytes(row[0]) if row else b""
        except sqlite3.Error:
            return b""
        finally:
            connection.close()

    def group(self, name: str, item_ids: Sequence[int], weights: dict[str, float] | None = None) -> Sample:
        """Make a sample of these items."""
        with transaction(self._connection, self._file) as connection:
            cursor = connection.execute("INSERT INTO samples(name, weights) VALUES(?, ?)",
                                        (name, json.dumps(weights or {})))
            identity = int(cursor.lastrowid or 0)
            connection.executemany("INSERT OR IGNORE INTO sample_items VALUES(?, ?)", [(identity, i) for i in item_ids])
        return Sample(identity, name, tuple(item_ids), weights or {})

    def ungroup(self, sample_id: int) -> None:
        """Dissolve a sample; its items stay."""
        with transaction(self._connection, self._file) as connection:
            connection.execute("DELETE FROM samples WHERE id=?", (sample_id,))

    def set_weights(self, sample_id: int, weights: dict[str, float]) -> None:
        """Keep the weights of a sample's fusion."""
        with transaction(self._connection, self._file) as connection:
            connection.execute("UPDATE samples SET weights=? WHERE id=?", (json.dumps(weights), sample_id))

    def samples(self) -> list[Sample]:
        """All samples in the order of making."""
        members: dict[int, list[int]] = {}
        for sample, item in self._connection.execute("SELECT sample_id, item_id FROM sample_items ORDER BY item_id"):
            members.setdefault(sample, []).append(item)
        rows = self._connection.execute("SELECT id, name, weights FROM samples ORDER BY id")
        return [Sample(r[0], r[1], tuple(members.get(r[0], ())), json.loads(r[2])) for r in rows]

    def note_failure(self, path: Path, reason: str) -> None:
        """Remember why a file gave no item."""
        with transaction(self._connection, self._file) as connection:
            connection.execute("DELETE FROM failures WHERE path=?", (os.fsencode(path),))
            connection.execute("INSERT INTO failures VALUES(?, ?, ?)", (os.fsencode(path), reason, time.time()))

    def failures(self) -> list[tuple[Path, str]]:
        """Files that gave no item, and why."""
        rows = self._connection.execute("SELECT path, reason FROM failures ORDER BY at")
        return [(Path(os.fsdecode(path)), reason) for path, reason in rows]


def _clean(text: str) -> str:
    """Lone surrogates cannot be stored."""
    return text.encode("utf-8", "replace").decode("utf-8")
