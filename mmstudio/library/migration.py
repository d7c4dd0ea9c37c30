"""Projects of format 1 (two SQLite files) brought into the format of today.

Everything is written beside the old files first; until ``project.json`` is there, which is the last step, the folder is
still of format 1, and the next opening starts over.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.errors import ProjectError
from mmstudio.library.durable import sync_folder
from mmstudio.library.item import Item, Sample, item_rows, item_schema, sample_rows, sample_schema
from mmstudio.library.kept import KeptTable
from mmstudio.library.previews import Previews
from mmstudio.library.vectors import SpaceKey, VectorCache

_ITEMS, _VECTORS, _BESIDE, _BACKUP = "items.sqlite", "vectors.sqlite", ".migrating", "backup-format-1"
_MADE = ("tables", "mirror", "previews.sqlite", "previews.sqlite-wal", "previews.sqlite-shm")
_BLOCK = 10_000


def is_old(folder: Path) -> bool:
    """Whether a folder is a project of format 1."""
    return (folder / _ITEMS).is_file() and not (folder / "project.json").exists()


def migrate(folder: Path) -> int:
    """Put tables of today beside the old files, which stay; the first id that was never used. Raises ProjectError."""
    beside = folder / _BESIDE
    try:
        for name in (_BESIDE, *_MADE):  # of a migration that was cut off
            _delete(folder / name)
        beside.mkdir()
        with closing(_opened(folder / _ITEMS)) as old:
            following = _move_items(old, beside)
        _move_vectors(folder / _VECTORS, beside)
        for name in _MADE:
            if (beside / name).exists():
                (beside / name).replace(folder / name)
        sync_folder(folder)
        return following
    except (sqlite3.Error, OSError, ValueError) as error:
        raise ProjectError(f"The project cannot be opened ({error}).", path=folder,
                           hint="Is the disk full, or the folder write-protected? Nothing in it was changed."
                           ) from error


def clear_up(folder: Path) -> None:
    """Once the new format holds: the old files into a folder of their own."""
    with suppress(OSError):  # tried again on the next opening
        _delete(folder / _BESIDE)
        for name in (_ITEMS, _VECTORS):
            for old in [folder / f"{name}{end}" for end in ("", "-wal", "-shm") if (folder / f"{name}{end}").exists()]:
                (folder / _BACKUP).mkdir(exist_ok=True)
                target = folder / _BACKUP / old.name
                if not target.exists():
                    old.replace(target)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=30)
    if connection.execute("PRAGMA user_version").fetchone()[0] > 1:
        connection.close()
        raise ProjectError("This project was made by a newer studio.", path=file, hint="Update the studio.")
    return connection


def _move_items(old: sqlite3.Connection, beside: Path) -> int:
    tags: dict[int, list[str]] = {}
    for identity, tag in old.execute("SELECT item_id, tag FROM tags ORDER BY tag"):
        tags.setdefault(identity, []).append(tag)
    table = KeptTable(beside, "items", item_schema)
    columns = "id, path, part, modality, content_hash, text, facts, added"
    for rows in _blocks(old, f"SELECT {columns} FROM items ORDER BY id"):
        table.add(item_rows([
            Item(r[0], Path(os.fsdecode(r[1])), r[2], r[3], r[4], r[5], json.loads(r[6]), tuple(tags.get(r[0], ())),
                 {}, r[7]) for r in rows]))
    table.mirror()
    members: dict[int, list[int]] = {}
    for sample, item in old.execute("SELECT sample_id, item_id FROM sample_items ORDER BY item_id"):
        members.setdefault(sample, []).append(item)
    samples = [Sample(r[0], r[1], tuple(members.get(r[0], ())), json.loads(r[2]))
               for r in old.execute("SELECT id, name, weights FROM samples ORDER BY id")]
    kept = KeptTable(beside, "samples", sample_schema)
    kept.add(sample_rows(samples))
    kept.mirror()
    _move_failures(old, beside)
    previews = Previews(beside)
    with closing(previews):
        for rows in _blocks(old, "SELECT content_hash, preview FROM previews", 500):
            previews.put(rows)
    used = old.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0]
    return 1 + int(used or 0)


def _move_failures(old: sqlite3.Connection, beside: Path) -> None:
    import pyarrow as pa

    from mmstudio.library.store import failure_schema

    rows = old.execute("SELECT path, reason, at FROM failures ORDER BY at").fetchall()
    if rows:
        kept = KeptTable(beside, "failures", failure_schema, "at")
        kept.add(pa.table(list(zip(*rows, strict=True)), schema=failure_schema()))
        kept.mirror()


def _move_vectors(file: Path, beside: Path) -> None:
    """Damaged ones stay in the old file: they can be made again."""
    if not file.is_file():
        return
    cache = VectorCache(beside)
    try:
        with closing(_opened(file)) as old, closing(cache):
            for space, *key in old.execute("SELECT id, space, revision, preprocessing, dim FROM spaces").fetchall():
                there = SpaceKey(*key)
                found = f"SELECT content_hash, vector FROM vectors WHERE space_id={int(space)}"
                for rows in _blocks(old, found):
                    cache.put(there, ((content, np.frombuffer(blob, "<f4")) for content, blob in rows
                                      if len(blob) == 4 * there.dim))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise


def _blocks(old: sqlite3.Connection, question: str, size: int = _BLOCK) -> Iterator[list[Any]]:
    cursor = old.execute(question)
    while rows := cursor.fetchmany(size):
        yield rows
