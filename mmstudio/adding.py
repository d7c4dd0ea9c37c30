"""Files, rows and the example become items and samples of a project, committed as they are read."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.library import Added, Fresh, KnownContents, Sample, Store
from mmstudio.library.ids import id_array
from mmstudio.media import Description, Limits, scan
from mmstudio.media.beside import Beside, described
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.describe import Described, content_of
from mmstudio.media.scan import Found
from mmstudio.media.sidecars import SIDECAR_SUFFIXES, siblings
from mmstudio.progress import Progress, Work
from mmstudio.settings import Settings

if TYPE_CHECKING:
    from mmstudio.media.tables import Mapping as Role
    from mmstudio.media.tables import Table
    from mmstudio.rows_in import RowIn

COMMIT_ITEMS, COMMIT_SECONDS = 1024, 0.25
STEP_SECONDS = 0.02
"""So soon whoever steps the work may pause or end it; a step for each of a thousand small files cost a tenth."""
AHEAD = 256
"""Files described beyond the one awaited: the pool goes on while a commit waits for the disk."""


@dataclass(frozen=True)
class AddReport:
    """What adding did: new items, how many contents were known already, how many known items took in tags or columns
    that they did not have, what could not be read, and which files in folders were left aside because they are tables,
    whose columns a person maps.
    """

    added: tuple[int, ...] = ()
    known: int = 0
    updated: int = 0
    failures: tuple[tuple[Path, str], ...] = ()
    notes: tuple[tuple[Path, str], ...] = ()
    tables: tuple[Path, ...] = ()


class Adding:
    """One adding. Its methods are work; where they are closed, what was committed stays: new items are in ``added``,
    known ones that took something in are in ``updated``.
    """

    def __init__(self, store: Store, settings: Settings, pool: Executor, media: Path) -> None:
        self._store, self._settings, self._pool, self._media = store, settings, pool, media
        self._limits = Limits.of(settings)
        self.added: list[int] = []
        self._known = 0
        self._first_new = 1 + int(store.known.ids().max(initial=0))
        self.updated: set[int] = set()
        self._told, self._before = set[int](), list[Any]()
        self.failures: list[tuple[Path, str]] = []
        self._notes: list[tuple[Path, str]] = []
        self._tables: list[Path] = []

    def report(self) -> AddReport:
        return AddReport(tuple(self.added), self._known, len(self.updated), tuple(self.failures), tuple(self._notes),
                         tuple(self._tables))

    def before(self) -> Any:
        """The ``updated`` as they stood: ``id``, ``tags`` and ``columns``, ascending by id; None where there are none.
        """
        import pyarrow as pa

        return pa.concat_tables(self._before).sort_by("id") if self._before else None

    # ---- files --------------------------------------------------------------------------------------------------

    def files(self, what: Iterable[Path], tags: Sequence[str] = (), choice: Choice = EVERYTHING) -> Work[None]:
        """Files and folders. What stands beside a file is its caption, also where that file came before; a folder of
        classes gives tags. A table inside a folder is left aside; one that is named is read as the text that it is.
        """
        from mmstudio.media.tables import TABLE_SUFFIXES  # here, for the window paints before it is loaded

        waiting, done, count = list[Described](), 0, 0
        committed = stepped = time.monotonic()
        yield Progress(0, 0, "looking through the files")
        named, files = list(what), list[Found]()
        outright = {Path(os.path.abspath(path)) for path in named}
        for found in scan(named):
            if found.path.suffix.lower() in TABLE_SUFFIXES and found.path not in outright:
                self._tables.append(found.path)
            elif choice.reaches(found.path, outright):
                files.append(found)
            if len(files) % 500 == 0:
                yield Progress(0, 0, f"{len(files):,} files found")
        if self._settings["captions"]:
            files += self._captioned([found.path for found in files], outright)
        beside = Beside.of([found.path for found in files], named, captions=self._settings["captions"],
                           labels=self._settings["folder_labels"])
        files = [found for found in files if found.error or choice.matches(found.path)]
        for path, outcome in described_ahead(files, self._limits, self._pool, KnownContents(self._store.known), beside,
                                             choice):
            done += 1
            if isinstance(outcome, MediaError):
                self.failures.append((path, str(outcome)))
                self._store.note_failure(path, str(outcome))
            else:
                waiting.append(outcome)
                count += len(outcome.items)
                if outcome.note:
                    self._notes.append((path, outcome.note))
            fresh = None
            if count >= COMMIT_ITEMS or time.monotonic() - committed > COMMIT_SECONDS or done == len(files):
                fresh, committed = self._commit_files(waiting, tags), time.monotonic()
                waiting.clear()
                count = 0
            if fresh or time.monotonic() - stepped > STEP_SECONDS or done == len(files):
                yield Progress(done, len(files), path.name, fresh)
                stepped = time.monotonic()

    def _captioned(self, files: Sequence[Path], outright: Container[Path]) -> list[Found]:
        """Media of the project that a caption among these was named alone for: they are read with it again."""
        import pyarrow as pa
        import pyarrow.compute as pc

        here, known = set(files), self._store.known
        alone = [path for path in files if path in outright and path.suffix in SIDECAR_SUFFIXES]
        beside = [path for path in siblings(alone) if path not in here and path.suffix not in SIDECAR_SUFFIXES]
        paths = pa.array([os.fsencode(path) for path in beside], pa.binary())
        there = pc.is_in(paths, value_set=pc.unique(known.table().column("path"))).to_pylist() if beside else []
        return [Found(path) for path, is_known in zip(beside, there, strict=True)
                if is_known or known.by_hash(content_of(path)) is not None]

    def _commit_files(self, files: list[Described], tags: Sequence[str]) -> Fresh | None:
        """What lies in one file belongs together - frames and sound, a picture and its caption - but passages do not.
        """
        descriptions, groups = list[Description](), list[tuple[str, Sequence[int]]]()
        for file in files:
            places = range(len(descriptions), len(descriptions) + len(file.items))
            descriptions += file.items
            if len(places) > 1 and any(item.modality != "text" for item in file.items):
                groups.append((file.items[0].path.name, places))
        return self._commit(descriptions, tags, groups)

    def _commit(self, descriptions: Sequence[Description], tags: Sequence[str],
                groups: Iterable[tuple[str, Sequence[int]]]) -> Fresh | None:
        if not descriptions:
            return None
        added = self._store.add_grouped(descriptions, tags, groups, self._told)
        self._note_changed(added)
        new = {item.content_hash for item in added.items}
        moved = self._store.find_again([d for d in descriptions if d.content_hash not in new])
        self.added += [item.id for item in added.items]
        self._known += len(descriptions) - len(added.items)
        changed = self._store.known.some(id_array({*moved, *(item.id for item in added.changed)}))
        return Fresh((*added.items, *changed), tuple(added.samples))

    def _note_changed(self, added: Added) -> None:
        """Remember how known items stood before the first change."""
        self._told.update(added.told)
        ids = [item.id for item in added.changed]
        first = [identity < self._first_new and identity not in self.updated for identity in ids]
        if any(first):
            self._before.append(added.before.filter(first))
            self.updated.update(identity for identity, is_first in zip(ids, first, strict=True) if is_first)

    # ---- tables -------------------------------------------------------------------------------------------------

    def rows(self, table: Table, roles: Mapping[str, Role]) -> Work[None]:
        """The rows of a table, each a sample; of several files one after the other, their rows numbered in each."""
        done, total = 0, table.count or 0
        for part in table.parts or (table,):
            done = yield from self._rows_of(part, roles, done, total)

    def _rows_of(self, table: Table, roles: Mapping[str, Role], done: int, total: int) -> Work[int]:
        """The rows of one file, after ``done`` rows of others; how many are done then."""
        from mmstudio.media.tables import rows_as_samples
        from mmstudio.rows_in import rows_ahead

        waiting: list[RowIn] = []
        committed = time.monotonic()
        rows = rows_as_samples(table, roles, self._limits, self._media)
        for row in rows_ahead(rows, self._limits, self._pool, KnownContents(self._store.known)):
            done += 1
            waiting.append(row)
            fresh = None
            if sum(len(r.items) for r in waiting) >= COMMIT_ITEMS or time.monotonic() - committed > COMMIT_SECONDS:
                fresh, committed = self._commit_rows(table, waiting), time.monotonic()
                waiting.clear()
            yield Progress(done, max(total, done) if total else 0, f"row {row.number:,}", fresh)
        yield Progress(done, max(total, done), table.name, self._commit_rows(table, waiting))
        return done

    def _commit_rows(self, table: Table, rows: list[RowIn]) -> Fresh | None:
        descriptions, groups = list[Description](), list[tuple[str, Sequence[int]]]()
        for row in rows:
            self.failures += ((table.path, f"Row {row.number:,}: {reason}") for reason in row.failures)
            groups.append((f"{table.name}, row {row.number:,}",
                           range(len(descriptions), len(descriptions) + len(row.items))))
            descriptions += row.items
        return self._commit(descriptions, (), groups)

    # ---- the example --------------------------------------------------------------------------------------------

    def example(self, folder: Path) -> Work[None]:
        """The samples that ship with the studio, with their tags and groups, as their ``samples.json`` tells."""
        told = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        yield from self.files([folder / entry["path"] for entry in told["items"]])
        yield Progress(len(self.added), len(self.added), "grouping")
        items = self._store.known
        by_path = {item.path: item.id for item in items.values()}
        tagged: dict[str, list[int]] = {}
        for entry in told["items"]:
            for tag in entry.get("tags", ()) if folder / entry["path"] in by_path else ():
                tagged.setdefault(tag, []).append(by_path[folder / entry["path"]])
        for tag, members in tagged.items():
            self._store.tag(members, tag)
        samples: list[Sample] = []
        if not self._store.samples():
            groups = [(group["name"], [by_path[folder / path] for path in group["items"] if folder / path in by_path])
                      for group in told["samples"]]
            samples = self._store.group_all((name, members, {}) for name, members in groups if len(members) > 1)
        yield Progress(len(self.added), len(self.added), "grouping", Fresh(tuple(items.values()), tuple(samples)))


def described_ahead(
    files: Sequence[Found], limits: Limits, pool: Executor, known: Container[str] = (), beside: Beside | None = None,
    choice: Choice = EVERYTHING,
) -> Iterator[tuple[Path, Described | MediaError]]:
    """Describe files in the pool, a few ahead, in order; ``known`` contents are only hashed. Those of a kind that was
    not chosen have no items.
    """
    beside = beside or Beside()
    running: deque[tuple[Path, Future[Described] | MediaError]] = deque()
    rest = iter(files)
    try:
        while True:
            while len(running) < AHEAD and (found := next(rest, None)) is not None:
                running.append((found.path, found.error or pool.submit(described, found.path, limits, known, beside,
                                                                       choice)))
            if not running:
                return
            _settle(running)
            path, outcome = running.popleft()
            yield path, _outcome(outcome)
    finally:
        for _, future in running:
            if isinstance(future, Future):
                future.cancel()


def _settle(running: Sequence[tuple[Path, Future[Described] | MediaError]]) -> None:
    """Where the next file is not described yet, wait until many are: whoever wakes for each of them takes the
    interpreter from the pool each time.
    """
    (_, first), (_, later) = running[0], running[len(running) // 2]
    if isinstance(first, Future) and isinstance(later, Future) and not first.done():
        wait([later], STEP_SECONDS)


def _outcome(outcome: Future[Described] | MediaError) -> Described | MediaError:
    if isinstance(outcome, MediaError):
        return outcome
    try:
        return outcome.result()
    except MediaError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one file that a library stumbles over must not end the job
        return UnreadableMedia(f"The file could not be read ({type(error).__name__}: {error}).")
