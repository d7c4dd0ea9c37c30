"""One open project: the only door through which the window and the command line reach the core."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.encoders.base import Encoder, Explanation, encode
from mmstudio.encoders.pipeline import Encoded, Failed, encode_refs
from mmstudio.errors import MediaError, ProjectError, SpaceMismatch, UnreadableMedia, WrongModality
from mmstudio.explore import fusion, similarity
from mmstudio.library import Item, Sample, SpaceKey, Store, VectorCache, VectorTable, VectorView
from mmstudio.media import MODALITIES, Limits, MediaRef, Modality, describe, load, scan
from mmstudio.media import Found as FoundFile
from mmstudio.media.describe import Described
from mmstudio.progress import Progress, Work
from mmstudio.settings import Settings

COMMIT_ITEMS, COMMIT_SECONDS = 64, 0.25
AHEAD = 8


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

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self._store = Store(folder)
        self._cache = VectorCache(folder / "vectors.sqlite")
        self._items: dict[int, Item] = {item.id: item for item in self._store.items()}
        self._tables: dict[SpaceKey, VectorTable] = {}

    @classmethod
    def open(cls, folder: Path, settings: Settings | None = None, *, create: bool = True) -> Project:
        """Open a project's folder. Raises ProjectError where it cannot be opened or, with ``create`` off, is none."""
        if not create and not (folder / "items.sqlite").is_file():
            raise ProjectError(f"There is no project in {folder}.", path=folder, hint="Make one with “mmstudio new”.")
        return cls(folder, settings or Settings())

    def close(self) -> None:
        self._store.close()
        self._cache.close()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def limits(self) -> Limits:
        return Limits.of(self.settings)

    def items(self) -> list[Item]:
        """All items in the order of adding."""
        return list(self._items.values())

    def item(self, item_id: int) -> Item:
        return self._items[item_id]

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
        state, waiting, done = _Adding(), list[Described](), 0
        committed = time.monotonic()
        yield Progress(0, 0, "looking through the files")
        files = []
        for found in scan(what):
            files.append(found)
            if len(files) % 500 == 0:
                yield Progress(0, 0, f"{len(files):,} files found")
        have = {item.content_hash for item in self._items.values()}
        for path, outcome in described_ahead(files, self.limits, pool, have):
            done += 1
            if isinstance(outcome, MediaError):
                state.failures.append((path, str(outcome)))
                self._store.note_failure(path, str(outcome))
            else:
                waiting.append(outcome)
                if outcome.note:
                    state.notes.append((path, outcome.note))
            fresh = None
            count = sum(len(d.items) for d in waiting)
            if count >= COMMIT_ITEMS or time.monotonic() - committed > COMMIT_SECONDS or done == len(files):
                fresh, committed = self._commit(waiting, tags, state), time.monotonic()
                waiting.clear()
            yield Progress(done, len(files), path.name, fresh)
        return state.report()

    def _commit(self, described: list[Described], tags: Sequence[str], state: _Adding) -> Fresh | None:
        descriptions = [item for d in described for item in d.items]
        if not descriptions:
            return None
        items = self._store.add(descriptions, tags)
        self._items.update((item.id, item) for item in items)
        new = {item.content_hash for item in items}
        known = [d for d in descriptions if d.content_hash not in new]
        for identity, found in (self._store.find_again(known) if known else {}).items():
            self._items[identity] = replace(self._items[identity], path=found.path, part=found.part)
        state.added += [item.id for item in items]
        state.known += len(descriptions) - len(items)
        return Fresh(tuple(items), tuple(self._group_videos(items)))

    def _group_videos(self, items: list[Item]) -> Iterator[Sample]:
        """Frames and sound of one video belong together."""
        videos: dict[Path, list[int]] = {}
        for item in items:
            if item.part and item.modality != "text":
                videos.setdefault(item.path, []).append(item.id)
        for path, members in videos.items():
            if len(members) > 1:
                yield self._store.group(path.name, members)

    def add_example(self, pool: Executor) -> Work[AddReport]:
        """Add the samples that ship with the studio, with their tags and groups."""
        folder = paths.samples()
        told = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
        report = yield from self.add([folder / entry["path"] for entry in told["items"]], pool)
        yield Progress(len(report.added), len(report.added), "grouping")
        by_path = {item.path: item.id for item in self._items.values()}
        for entry in told["items"]:
            identity = by_path.get(folder / entry["path"])
            for tag in entry.get("tags", ()) if identity else ():
                self.tag([identity or 0], tag)
        samples = []
        if not self.samples():
            for group in told["samples"]:
                members = [by_path[folder / path] for path in group["items"] if folder / path in by_path]
                if len(members) > 1:
                    samples.append(self._store.group(group["name"], members))
        yield Progress(len(report.added), len(report.added), "grouping", Fresh(tuple(self.items()), tuple(samples)))
        return report

    def remove(self, item_ids: Iterable[int]) -> None:
        """Take items out of the project; their files and cached vectors stay."""
        gone = set(item_ids)
        self._store.remove(gone)
        for identity in gone:
            self._items.pop(identity, None)
        self._tables = {key: table.without(gone) for key, table in self._tables.items()}

    def tag(self, item_ids: Sequence[int], tag: str) -> None:
        """Give items a tag."""
        self._store.tag(item_ids, tag)
        for identity in item_ids:
            item = self._items[identity]
            if tag not in item.tags:
                self._items[identity] = replace(item, tags=tuple(sorted({*item.tags, tag})))

    def group(self, name: str, item_ids: Sequence[int]) -> Sample:
        """Make a sample of items that belong together. Raises ProjectError for fewer than two."""
        if len(set(item_ids)) < 2:
            raise ProjectError("A sample needs at least two items.", hint="Select a picture, a text and a sound.")
        return self._store.group(name, list(dict.fromkeys(item_ids)))

    def ungroup(self, sample_id: int) -> None:
        self._store.ungroup(sample_id)

    def set_weights(self, sample_id: int, weights: dict[str, float]) -> None:
        self._store.set_weights(sample_id, weights)

    # ---- vectors ----------------------------------------------------------------------------------------------

    def encode(self, encoder: Encoder, pool: Executor, batch: int = 0) -> Work[EncodeReport]:
        """Give every item that the encoder reads its vector. What is cached costs nothing; closing keeps the rest.

        Each step's vectors are committed before they are told in ``fresh``.
        """
        started, key = time.monotonic(), space_key(encoder)
        yield Progress(0, 0, "comparing with what is known")
        cached = self._load_table(key, encoder)
        table = self._tables[key]
        todo = [i for i in self._items.values() if i.modality in encoder.modalities and i.id not in table]
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
        self._tables[key].append([item for item, _ in kept], np.stack([vector for _, vector in kept]))
        return [item for item, _ in kept]

    def _load_table(self, key: SpaceKey, encoder: Encoder) -> int:
        table = self._tables.setdefault(key, VectorTable(key))
        missing = [i for i in self._items.values() if i.modality in encoder.modalities and i.id not in table]
        known = self._cache.get(key, [i.content_hash for i in missing])
        found = [i for i in missing if i.content_hash in known]
        if found:
            table.append(found, np.stack([known[i.content_hash] for i in found]))
        return len(found)

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
