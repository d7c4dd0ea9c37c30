"""One open project: the only door through which the window and the command line reach the core."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.encoders.base import Encoder, Explanation, encode
from mmstudio.encoders.pipeline import Encoded, Failed, encode_refs
from mmstudio.errors import MediaError, ProjectError, SpaceMismatch, UnreadableMedia, WrongModality
from mmstudio.explore import fusion, similarity
from mmstudio.library import (
    Item,
    Items,
    KnownContents,
    ProjectFolder,
    Sample,
    SpaceKey,
    Store,
    VectorCache,
    VectorTable,
    VectorView,
)
from mmstudio.library.folder import came_from
from mmstudio.library.history import Edit, History, Standing
from mmstudio.media import MODALITIES, Description, Limits, MediaRef, Modality, describe, load, scan
from mmstudio.media import Found as FoundFile
from mmstudio.media.describe import Described
from mmstudio.progress import Progress, Work
from mmstudio.settings import Settings

if TYPE_CHECKING:
    from mmstudio.media.tables import Mapping as Role
    from mmstudio.media.tables import Table
    from mmstudio.rows_in import RowIn

COMMIT_ITEMS, COMMIT_SECONDS = 256, 0.25
AHEAD = 64
"""Files described beyond the one awaited: the pool goes on while a commit waits for the disk."""
UNDOABLE_ITEMS = 20_000
"""What changes more than this at once cannot be undone: remembering the items would cost too much memory."""


@dataclass(frozen=True)
class AddReport:
    """What adding did: new items, how many contents were known already, and what could not be read."""

    added: tuple[int, ...] = ()
    known: int = 0
    failures: tuple[tuple[Path, str], ...] = ()
    notes: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True)
class EncodeReport:
    """What encoding did: computed now, taken from the cache, and what failed."""

    encoded: int = 0
    cached: int = 0
    failures: tuple[tuple[Path, str], ...] = ()
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Found:
    """One search result: an item and its score under the measure that was asked for."""

    item_id: int
    score: float


@dataclass(frozen=True)
class Fresh:
    """Items that a step of adding committed, with the sample they form (a video), or items that got vectors."""

    items: tuple[Item, ...] = ()
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True)
class Reverted:
    """What an undo or redo did: items as they are now, ids that are gone, and all samples."""

    title: str
    items: tuple[Item, ...]
    gone: tuple[int, ...]
    samples: tuple[Sample, ...]


@dataclass
class _Adding:
    added: list[int] = field(default_factory=list)
    known: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)

    def report(self) -> AddReport:
        return AddReport(tuple(self.added), self.known, tuple(self.failures), tuple(self.notes))


class Project:
    """A folder that holds items, samples and vectors. Use from one thread; ``preview`` is safe from any."""

    def __init__(self, folder: Path, settings: Settings, *, create: bool = True, read_only: bool = False) -> None:
        self.folder = folder
        self.settings = settings
        self._held = ProjectFolder(folder, create=create, read_only=read_only)
        try:
            self._store = Store(folder, read_only)
            if not read_only and (old := came_from(folder)):
                self._store.follow(old)
        except BaseException:
            self._held.close()
            raise
        self._cache = VectorCache(folder, read_only)
        self._items = self._store.known
        self._tables: dict[SpaceKey, VectorTable] = {}
        self.history = History()
        self._room = None if read_only else folder / "mirror"

    @classmethod
    def open(cls, folder: Path, settings: Settings | None = None, *, create: bool = True,
             read_only: bool = False) -> Project:
        """Open a project's folder, or with ``read_only`` look at it while another studio may have it open.

        Raises ProjectError where it cannot be opened, is held by another studio or, with ``create`` off, is none.
        """
        return cls(folder, settings or Settings(), create=create, read_only=read_only)

    def close(self) -> None:
        """Let others open it; then it is of no use any more."""
        try:
            try:
                self._store.close()
            finally:
                self._cache.close()
        finally:
            self._held.close()

    @property
    def note(self) -> str:
        """What the person should know of the opening: it was brought up to date, or a torn change was set aside."""
        return " ".join(filter(None, (self._held.note, self._store.note, self._cache.note)))

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def limits(self) -> Limits:
        return Limits.of(self.settings)

    def items(self) -> Items:
        """All items by id in the order of adding, as a copy of the reader's own."""
        return self._items.copy()

    def item(self, item_id: int) -> Item:
        return self._items[item_id]

    def some(self, item_ids: Iterable[int]) -> list[Item]:
        """The items of these ids; those that are not there are passed over."""
        return list(self._items.some(np.array(sorted(set(item_ids)), np.int64)))

    def samples(self) -> list[Sample]:
        return self._store.samples()

    def failures(self) -> list[tuple[Path, str]]:
        return self._store.failures()

    def preview(self, content_hash: str) -> bytes:
        return self._store.preview(content_hash)

    # ---- adding -----------------------------------------------------------------------------------------------

    def add(self, what: Iterable[Path], pool: Executor, tags: Sequence[str] = ()) -> Work[AddReport]:
        """Read files and folders into items; each step's items are committed before they are told in ``fresh``.

        A file that cannot be read is noted with its reason and the rest goes on. Closing keeps what was committed.
        """
        state, samples = _Adding(), self._samples_by_id()
        try:
            yield from self._add(what, pool, tags, state)
        finally:
            self._record_added("Add", state, samples)
        return state.report()

    def _add(self, what: Iterable[Path], pool: Executor, tags: Sequence[str], state: _Adding) -> Work[None]:
        waiting, done, count, committed = list[Described](), 0, 0, time.monotonic()
        yield Progress(0, 0, "looking through the files")
        files = []
        for found in scan(what):
            files.append(found)
            if len(files) % 500 == 0:
                yield Progress(0, 0, f"{len(files):,} files found")
        for path, outcome in described_ahead(files, self.limits, pool, KnownContents(self._items)):
            done += 1
            if isinstance(outcome, MediaError):
                state.failures.append((path, str(outcome)))
                self._store.note_failure(path, str(outcome))
            else:
                waiting.append(outcome)
                count += len(outcome.items)
                if outcome.note:
                    state.notes.append((path, outcome.note))
            fresh = None
            if count >= COMMIT_ITEMS or time.monotonic() - committed > COMMIT_SECONDS or done == len(files):
                fresh, committed = self._commit(waiting, tags, state), time.monotonic()
                waiting.clear()
                count = 0
            yield Progress(done, len(files), path.name, fresh)

    def _commit(self, described: list[Described], tags: Sequence[str], state: _Adding) -> Fresh | None:
        descriptions = [item for d in described for item in d.items]
        return self._commit_items(descriptions, tags, _videos(descriptions), state)

    def _commit_items(
        self, descriptions: Sequence[Description], tags: Sequence[str], groups: Iterable[tuple[str, Sequence[int]]],
        state: _Adding,
    ) -> Fresh | None:
        if not descriptions:
            return None
        added = self._store.add_grouped(descriptions, tags, groups)
        new = {item.content_hash for item in added.items}
        known = [d for d in descriptions if d.content_hash not in new]
        if known:
            self._store.find_again(known)
        state.added += [item.id for item in added.items]
        state.known += len(descriptions) - len(added.items)
        return Fresh(tuple(added.items), tuple(added.samples))

    def add_table(self, table: Table, roles: Mapping[str, Role], pool: Executor) -> Work[AddReport]:
        """Read a table: each row becomes a sample of the items that it holds, its label their tag, its other columns
        theirs. Media that lie in bytes or in an archive are kept in the project. Rows that are known add nothing.
        """
        state, samples = _Adding(), self._samples_by_id()
        try:
            yield from self._add_rows(table, roles, pool, state)
        finally:
            self._record_added(f"Import {table.name}", state, samples)
        return state.report()

    def _add_rows(self, table: Table, roles: Mapping[str, Role], pool: Executor, state: _Adding) -> Work[None]:
        from mmstudio.media.tables import rows_as_samples  # here, for the window paints before it is loaded
        from mmstudio.rows_in import rows_ahead

        waiting: list[RowIn] = []
        done, committed = 0, time.monotonic()
        total = table.count or 0
        rows = rows_as_samples(table, roles, self.limits, self.folder / "media")
        for row in rows_ahead(rows, self.limits, pool, KnownContents(self._items)):
            done += 1
            waiting.append(row)
            fresh = None
            if sum(len(r.items) for r in waiting) >= COMMIT_ITEMS or time.monotonic() - committed > COMMIT_SECONDS:
                fresh, committed = self._commit_rows(table, waiting, state), time.monotonic()
                waiting.clear()
            yield Progress(done, max(total, done) if total else 0, f"row {row.number:,}", fresh)
        yield Progress(done, done, table.name, self._commit_rows(table, waiting, state))

    def _commit_rows(self, table: Table, rows: list[RowIn], state: _Adding) -> Fresh | None:
        descriptions, groups = list[Description](), list[tuple[str, Sequence[int]]]()
        for row in rows:
            state.failures += ((table.path, f"Row {row.number:,}: {reason}") for reason in row.failures)
            groups.append((f"{table.name}, row {row.number:,}",
                           range(len(descriptions), len(descriptions) + len(row.items))))
            descriptions += row.items
        return self._commit_items(descriptions, (), groups, state)

    def add_example(self, pool: Executor) -> Work[AddReport]:
        """Add the samples that ship with the studio, with their tags and groups."""
        state, before = _Adding(), self._samples_by_id()
        try:
            yield from self._add_example(pool, state)
        finally:
            self._record_added("Open the example", state, before)
        return state.report()

    def _add_example(self, pool: Executor, state: _Adding) -> Work[None]:
        folder = paths.samples()
        told = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        yield from self._add([folder / entry["path"] for entry in told["items"]], pool, (), state)
        yield Progress(len(state.added), len(state.added), "grouping")
        by_path = {item.path: item.id for item in self._items.values()}
        tagged: dict[str, list[int]] = {}
        for entry in told["items"]:
            for tag in entry.get("tags", ()) if folder / entry["path"] in by_path else ():
                tagged.setdefault(tag, []).append(by_path[folder / entry["path"]])
        for tag, members in tagged.items():
            self._store.tag(members, tag)
        samples: list[Sample] = []
        if not self.samples():
            groups = [(group["name"], [by_path[folder / path] for path in group["items"] if folder / path in by_path])
                      for group in told["samples"]]
            samples = self._store.group_all((name, members, {}) for name, members in groups if len(members) > 1)
        fresh = Fresh(tuple(self._items.values()), tuple(samples))
        yield Progress(len(state.added), len(state.added), "grouping", fresh)

    def remove(self, item_ids: Iterable[int], sample_ids: Iterable[int] = ()) -> None:
        """Take items out of the project and dissolve samples; files and cached vectors stay."""
        gone = set(item_ids)
        with self._step("Remove", gone):
            self._store.remove(gone)
            for identity in sample_ids:
                self._store.ungroup(identity)
        self._tables = {key: table.without(gone) for key, table in self._tables.items()}

    def tag(self, item_ids: Sequence[int], tag: str) -> None:
        """Give items a tag."""
        with self._step(f"Tag “{tag}”", item_ids):
            self._store.tag(item_ids, tag)

    def untag(self, item_ids: Sequence[int], tag: str) -> None:
        """Take a tag off items."""
        with self._step(f"Remove the tag “{tag}”", item_ids):
            self._store.untag(item_ids, tag)

    def set_column(self, item_ids: Sequence[int], name: str, value: str | float | None) -> None:
        """Give items a value in a column of the person's own; None empties it."""
        with self._step(f"Column “{name}”", item_ids):
            self._store.set_column(item_ids, name, value)

    def group(self, name: str, item_ids: Sequence[int]) -> Sample:
        """Make a sample of items that belong together. Raises ProjectError for fewer than two."""
        if len(set(item_ids)) < 2:
            raise ProjectError("A sample needs at least two items.", hint="Select a picture, a text and a sound.")
        with self._step("Group as a sample"):
            return self._store.group(name, list(dict.fromkeys(item_ids)))

    def ungroup(self, sample_id: int) -> None:
        with self._step("Dissolve a sample"):
            self._store.ungroup(sample_id)

    def set_weights(self, sample_id: int, weights: dict[str, float]) -> None:
        with self._step("Weights"):
            self._store.set_weights(sample_id, weights)

    # ---- undo -------------------------------------------------------------------------------------------------

    @contextmanager
    def _step(self, title: str, item_ids: Iterable[int] = ()) -> Iterator[None]:
        """What happens inside can be undone in one step; where it fails nothing is recorded."""
        ids = np.array(sorted(set(item_ids)), np.int64)
        if len(ids) > UNDOABLE_ITEMS:
            yield
            self.history.forget()
            return
        items, samples = self._standing(ids), self._samples_by_id()
        yield
        after = self._samples_by_id()
        touched = [s for s in {*samples, *after} if samples.get(s) != after.get(s)]
        self.history.record(Edit(title, Standing(items, {s: samples.get(s) for s in touched}),
                                 Standing(self._standing(ids), {s: after.get(s) for s in touched})))

    def _standing(self, ids: NDArray[np.int64]) -> dict[int, Item | None]:
        return {**dict.fromkeys(ids.tolist()), **{item.id: item for item in self._items.some(ids)}}

    def _samples_by_id(self) -> dict[int, Sample]:
        return {sample.id: sample for sample in self._store.samples()}

    def _record_added(self, title: str, state: _Adding, samples: dict[int, Sample]) -> None:
        if len(state.added) > UNDOABLE_ITEMS:
            self.history.forget()
        elif state.added:
            new = {s: sample for s, sample in self._samples_by_id().items() if s not in samples}
            ids = np.array(sorted(state.added), np.int64)
            self.history.record(Edit(title, Standing(dict.fromkeys(state.added), dict.fromkeys(new)),
                                     Standing(self._standing(ids), dict(new))))

    def undo(self) -> Reverted | None:
        """Take the newest step back; None where there is none. Raises ProjectError."""
        edit = self.history.last_done()
        return self._revert(edit.title, edit.before, edit.after, self.history.undone) if edit else None

    def redo(self) -> Reverted | None:
        """Do again what was undone last; None where there is nothing. Raises ProjectError."""
        edit = self.history.last_undone()
        return self._revert(edit.title, edit.after, edit.before, self.history.redone) if edit else None

    def _revert(self, title: str, standing: Standing, instead_of: Standing, told: Callable[[], None]) -> Reverted:
        self._store.put(standing, instead_of)
        told()
        ids = np.array(sorted(standing.items), np.int64)
        now = self._standing(ids)
        gone = tuple(i for i, item in now.items() if item is None)
        if gone:
            self._tables = {key: table.without(set(gone)) for key, table in self._tables.items()}
        return Reverted(title, tuple(item for item in now.values() if item is not None), gone,
                        tuple(self._store.samples()))

    # ---- vectors ----------------------------------------------------------------------------------------------

    def encode(self, encoder: Encoder, pool: Executor, batch: int = 0) -> Work[EncodeReport]:
        """Give every item that the encoder reads its vector. What is cached costs nothing; closing keeps the rest.

        Each step's vectors are committed before they are told in ``fresh``.
        """
        started, key = time.monotonic(), space_key(encoder)
        yield Progress(0, 0, "comparing with what is known")
        cached = self._load_table(key, encoder)
        table = self._tables[key]
        todo = list(self._items.some(self._without_vector(encoder, table)))
        failures: list[tuple[Path, str]] = []
        done, note = 0, getattr(encoder, "note", "")
        if cached:
            yield Progress(0, len(todo), "from the cache", Fresh())
        hashes = {i.id: i.content_hash for i in todo}
        for outcome in encode_refs(encoder, ((i.id, i.ref) for i in todo), self.limits, pool, batch):
            if isinstance(outcome, Failed):
                item = self._items.get(outcome.key)
                done += 1
                if item:
                    failures.append((item.path, str(outcome.error)))
                    self._store.note_failure(item.path, str(outcome.error))
                yield Progress(done, len(todo))
                continue
            done += len(outcome.keys)
            note = outcome.note or note
            items = self._keep(key, outcome, hashes)
            yield Progress(done, len(todo), items[-1].title if items else "", Fresh(tuple(items)))
        return EncodeReport(done - len(failures), cached, tuple(failures), note, time.monotonic() - started)

    def _keep(self, key: SpaceKey, outcome: Encoded, hashes: dict[int, str]) -> list[Item]:
        """Commit vectors under the contents they were made from, then show them; removed items are passed over."""
        pairs = list(zip(outcome.keys, outcome.vectors, strict=True))
        self._cache.put(key, ((hashes[k], vector) for k, vector in pairs))
        table = self._tables[key]
        kept = [(self._items[k], v) for k, v in pairs if k in self._items and k not in table]
        if not kept:
            return []
        table.append([item for item, _ in kept], np.stack([vector for _, vector in kept]), self._cache.matrix(key))
        return [item for item, _ in kept]

    def _load_table(self, key: SpaceKey, encoder: Encoder) -> int:
        table = self._tables.get(key)
        ids = self._without_vector(encoder, table)
        rows = self._cache.rows(key, self._items.keys_of(ids))
        ids, rows = ids[rows >= 0], rows[rows >= 0]
        matrix = self._cache.matrix(key)
        if table is None:
            self._tables[key] = VectorTable.of(key, ids, self._items.modalities_of(ids), rows, matrix, self._room)
        elif len(ids):
            table.append(list(self._items.some(ids)), matrix[rows])
        return len(ids)

    def _without_vector(self, encoder: Encoder, table: VectorTable | None) -> NDArray[np.int64]:
        """The ids of what the encoder reads and the table has not."""
        ids = self._items.ids()
        ids = ids[np.isin(self._items.modalities_of(ids), list(encoder.modalities))]
        return ids if table is None else ids[~np.isin(ids, table.ids)]

    def vectors(self, encoder: Encoder) -> VectorView:
        """A snapshot of all vectors that this encoder's space has so far."""
        key = space_key(encoder)
        if key not in self._tables:
            self._load_table(key, encoder)
        return self._tables[key].view()

    # ---- looking ----------------------------------------------------------------------------------------------

    def query(self, encoder: Encoder, question: str | Path | MediaRef) -> NDArray[np.float32]:
        """The vector ``(dim,)`` of a text, or of the first item of a file. Raises MediaError or EncoderError."""
        ref = question if isinstance(question, MediaRef) else question_ref(question, self.limits)
        return vector_of(encoder, ref, self.limits)

    def explain(self, encoder: Encoder, item: Item | MediaRef) -> Explanation:
        """One explaining pass over an item."""
        return explanation_of(encoder, item.ref if isinstance(item, Item) else item, self.limits)


def _videos(descriptions: Sequence[Description]) -> list[tuple[str, list[int]]]:
    """Frames and sound of one video belong together: its name, and their places."""
    found: dict[Path, list[int]] = {}
    for place, d in enumerate(descriptions):
        if d.part and d.modality != "text":
            found.setdefault(d.path, []).append(place)
    return [(path.name, places) for path, places in found.items() if len(places) > 1]


def space_key(encoder: Encoder) -> SpaceKey:
    """The space in which this encoder's vectors compare."""
    return SpaceKey(encoder.space, encoder.revision, encoder.preprocessing, encoder.dim)


def vector_of(encoder: Encoder, ref: MediaRef, limits: Limits) -> NDArray[np.float32]:
    """``(dim,)`` of one item outside any project."""
    if ref.modality not in encoder.modalities:
        raise WrongModality(f"The model {encoder.name} does not read {ref.modality}.", path=ref.path)
    media = load(ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
    return encode(encoder, [media], ref.modality)[0]


def explanation_of(encoder: Encoder, ref: MediaRef, limits: Limits) -> Explanation:
    """One explaining pass over an item outside any project."""
    if ref.modality not in encoder.modalities:
        raise WrongModality(f"The model {encoder.name} does not read {ref.modality}.", path=ref.path)
    media = load(ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
    return encoder.explain(media, ref.modality)


def question_ref(question: str | Path, limits: Limits) -> MediaRef:
    """A text as it is, or the first item of a file."""
    if isinstance(question, str):
        if not question.strip():
            raise UnreadableMedia("The question is empty.")
        return MediaRef(Path(), "text", text=question)
    first = describe(question, limits).items[0]
    return MediaRef(first.path, first.modality, first.part, first.text)


def search(
    view: VectorView, query: NDArray[np.float32], k: int = 12, measure: similarity.Measure = "cosine",
    without: int | None = None,
) -> dict[Modality, list[Found]]:
    """The ``k`` nearest items of each modality, best first, so that one modality's closeness buries no other."""
    if len(view) == 0:
        return {modality: [] for modality in MODALITIES}
    values = similarity.scores(view.vectors, query, measure)
    out: dict[Modality, list[Found]] = {}
    for modality in MODALITIES:
        within = (view.modalities == modality) & (view.ids != (-1 if without is None else without))
        out[modality] = [Found(int(view.ids[hit.index]), hit.score) for hit in similarity.nearest(values, k, within)]
    return out


def fused(view: VectorView, sample: Sample, weights: dict[str, float] | None = None) -> NDArray[np.float32]:
    """The fused vector of a sample's items that have vectors. Raises SpaceMismatch where none has."""
    rows = [view.rows[i] for i in sample.item_ids if view.rows.get(i, len(view)) < len(view)]
    if not rows:
        raise SpaceMismatch("None of this sample's items has a vector in this space.", hint="Encode it first.")
    modalities = [str(m) for m in view.modalities[rows]]
    return fusion.weighted_mean(view.vectors[rows], fusion.item_weights(modalities, weights or sample.weights))


def described_ahead(
    files: Sequence[FoundFile], limits: Limits, pool: Executor, known: Container[str] = (),
) -> Iterator[tuple[Path, Described | MediaError]]:
    """Describe files in the pool, a few ahead, in order; ``known`` contents are only hashed."""
    running: deque[tuple[Path, Future[Described] | MediaError]] = deque()
    rest = iter(files)
    try:
        while True:
            while len(running) < AHEAD and (found := next(rest, None)) is not None:
                running.append((found.path, found.error or pool.submit(describe, found.path, limits, known)))
            if not running:
                return
            path, outcome = running.popleft()
            yield path, _outcome(outcome)
    finally:
        for _, future in running:
            if isinstance(future, Future):
                future.cancel()


def _outcome(outcome: Future[Described] | MediaError) -> Described | MediaError:
    if isinstance(outcome, MediaError):
        return outcome
    try:
        return outcome.result()
    except MediaError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one file that a library stumbles over must not end the job
        return UnreadableMedia(f"The file could not be read ({type(error).__name__}: {error}).")
