"""Where the media of a project lie: what is missing, found again by its content, or copied into the project."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import ProjectError
from mmstudio.library import Fresh, Item, Items, Store
from mmstudio.library.durable import sync
from mmstudio.library.ids import id_array
from mmstudio.media.describe import content_of, file_hash, part_hash
from mmstudio.media.scan import scan
from mmstudio.media.sniff import reason
from mmstudio.progress import Progress, Work

AHEAD = 32
COMMIT_FILES = 200


@dataclass(frozen=True)
class FindReport:
    """How many missing items were found again, and how many are missing still."""

    found: int = 0
    missing: int = 0


@dataclass(frozen=True)
class CopyReport:
    """How many files were copied, and which could not be."""

    copied: int = 0
    failures: tuple[tuple[Path, str], ...] = ()


def missing(items: Items) -> NDArray[np.int64]:
    """``(n,)`` ids of pictures and sounds whose file is not there, ascending. A text is kept by the project itself."""
    by_place: dict[bytes, list[int]] = {}
    for batch in items.table().select(["id", "path", "modality"]).to_batches(max_chunksize=50_000):
        for identity, path, modality in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if modality != "text":
                by_place.setdefault(path, []).append(identity)
    gone = [ids for path, ids in by_place.items() if not os.path.exists(path)]
    return np.array(sorted(identity for ids in gone for identity in ids), np.int64)


def outside(items: Items, folder: Path) -> list[Path]:
    """The files of pictures and sounds that are there and do not lie in a project's folder, sorted."""
    import pyarrow.compute as pc

    table = items.table()
    paths = table.column("path").filter(pc.not_equal(table.column("modality"), "text"))
    inside = pc.starts_with(paths, os.fsencode(folder.absolute() / "x")[:-1])
    found = (Path(os.fsdecode(path)) for path in pc.unique(paths.filter(pc.invert(inside))).to_pylist())
    return sorted(path for path in found if path.is_file())


def places(items: Items, folder: Path) -> list[Path]:
    """The files below a folder that items lie in."""
    import pyarrow.compute as pc

    paths = items.table().column("path")
    inside = pc.unique(paths.filter(pc.starts_with(paths, os.fsencode(folder / "x")[:-1])))
    return [Path(os.fsdecode(path)) for path in inside.to_pylist()]


def find(store: Store, folder: Path, pool: Executor, before: dict[int, Path] | None = None) -> Work[FindReport]:
    """Look for missing media by their content under a folder, whatever they are called; those of a known name first.

    What is found is committed before it is told in ``fresh``, and noted in ``before`` with where it lay; the search
    ends when nothing is missing any more.
    """
    yield Progress(0, 0, "looking for what is missing")
    lost = _Lost(store.known.some(missing(store.known)))
    files: list[Path] = []
    for found in scan([folder]):
        if not found.error:
            files.append(found.path)
        if len(files) % 500 == 499:
            yield Progress(0, 0, f"{len(files):,} files found")
    files.sort(key=lambda path: path.name not in lost.names)
    count, waiting = 0, dict[int, Path]()
    for done, (path, content) in enumerate(_hashed(files, pool), 1):
        waiting |= dict.fromkeys(lost.take(content), path)
        fresh = None
        if waiting and (len(waiting) >= COMMIT_FILES or not lost or done == len(files)):
            if before is not None:
                before |= {item.id: item.path for item in store.known.some(id_array(waiting))}
            fresh = Fresh(tuple(store.move(waiting)))
            count += len(waiting)
            waiting = {}
        yield Progress(done, len(files), path.name, fresh)
        if not lost:
            break
    return FindReport(count, len(lost))


class _Lost:
    """Missing items by content. A frame or the sound of a video is known by its file's content and its part."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._by_hash: dict[str, list[int]] = {}
        self.names: set[str] = set()
        self._parts: set[str] = set()
        for item in items:
            self._by_hash.setdefault(item.content_hash, []).append(item.id)
            self.names.add(item.path.name)
            if item.part:
                self._parts.add(item.part)

    def __len__(self) -> int:
        return sum(map(len, self._by_hash.values()))

    def take(self, content: str) -> list[int]:
        """The items that this file holds, which are missing no more."""
        if not content:
            return []
        hashes = [content, *(part_hash(content, part) for part in self._parts)]
        return [identity for one in hashes for identity in self._by_hash.pop(one, ())]


def _hashed(files: Iterable[Path], pool: Executor) -> Iterator[tuple[Path, str]]:
    """Each file with its hash, a few ahead, in order; "" for what cannot be read."""
    running: deque[tuple[Path, Future[str]]] = deque()
    rest = iter(files)
    try:
        while True:
            while len(running) < AHEAD and (path := next(rest, None)) is not None:
                running.append((path, pool.submit(content_of, path)))
            if not running:
                return
            path, future = running.popleft()
            yield path, future.result()
    finally:
        for _, future in running:
            future.cancel()


def copy_in(store: Store, item_ids: Iterable[int], media: Path) -> Work[CopyReport]:
    """Copy the files of pictures and sounds to the folder ``media``, named by their content, and read them from there.

    What is copied is committed before it is told in ``fresh``. Raises ProjectError where the folder cannot be written;
    then the copies made before stay.
    """
    places: dict[Path, list[int]] = {}
    for item in store.known.some(np.array(sorted(set(item_ids)), np.int64)):
        if item.modality != "text" and not item.path.is_relative_to(media):
            places.setdefault(item.path, []).append(item.id)
    copied, failures, waiting = 0, list[tuple[Path, str]](), dict[int, Path]()
    for done, (path, ids) in enumerate(places.items(), 1):
        try:
            content = file_hash(path)
        except OSError as error:
            failures.append((path, reason(error)))
            continue
        hashes = {content, *(part_hash(content, store.known[i].part) for i in ids)}
        ids = [i for i in ids if store.known[i].content_hash in hashes]
        if not ids:
            failures.append((path, "The file has changed since it was added."))
            continue
        waiting |= dict.fromkeys(ids, _copied(path, media / f"{content}{path.suffix.lower()}"))
        copied += 1
        fresh = None
        if len(waiting) >= COMMIT_FILES or done == len(places):
            fresh, waiting = Fresh(tuple(store.move(waiting))), {}
        yield Progress(done, len(places), path.name, fresh)
    if waiting:
        yield Progress(len(places), len(places), "", Fresh(tuple(store.move(waiting))))
    return CopyReport(copied, tuple(failures))


def _copied(path: Path, target: Path) -> Path:
    """A file's copy, which is there whole or not at all."""
    if target.exists():
        return target
    beside = target.with_name(f"{target.name}.tmp")
    try:
        target.parent.mkdir(exist_ok=True)
        with open(path, "rb") as source, open(beside, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        sync(beside)
        beside.replace(target)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ProjectError(f"“{path.name}” could not be copied into the project ({reason(error)})", path=target.parent,
                           hint="Free some space; what was copied before is kept.") from error
    return target
