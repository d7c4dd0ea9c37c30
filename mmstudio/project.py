"""One open project: the only door through which the window and the command line reach the core."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths, whereabouts
from mmstudio.adding import Adding, AddReport
from mmstudio.encoders.base import Encoder, Explanation, encode
from mmstudio.encoders.device import free_memory
from mmstudio.encoders.pipeline import Encoded, Failed, encode_refs
from mmstudio.encoders.registry import load_encoder
from mmstudio.errors import (
    ModelNotFound,
    OutOfMemory,
    ProjectError,
    SpaceMismatch,
    TrainingError,
    UnreadableMedia,
    WrongModality,
)
from mmstudio.explore.sample_fusion import Fuser, Fusion, Parts
from mmstudio.library import (
    Fresh,
    Item,
    Items,
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
from mmstudio.library.ids import id_array, union
from mmstudio.library.project_settings import ProjectSettings
from mmstudio.library.runs_table import RunsTable
from mmstudio.media import MODALITIES, Limits, MediaRef, Modality, describe, load
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.describe import file_hash
from mmstudio.media.preview import preview
from mmstudio.media.sniff import reason
from mmstudio.preparing import Views, class_shares, completed, examples, needed, predictions
from mmstudio.progress import Progress, Work, retold
from mmstudio.settings import Settings
from mmstudio.training.job import RUN, UsedModel, job_of
from mmstudio.whereabouts import CopyReport, FindReport

if TYPE_CHECKING:
    from mmstudio.media.tables import Mapping as Role
    from mmstudio.media.tables import Table
    from mmstudio.training.examples import Examples
    from mmstudio.training.job import TrainingJob
    from mmstudio.training.runs import Run
    from mmstudio.training.sweep import Sweep




@dataclass(frozen=True)
class EncodeReport:
    """What encoding did: computed now, taken from the cache, and what failed."""

    encoded: int = 0
    cached: int = 0
    failures: tuple[tuple[Path, str], ...] = ()
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Reverted:
    """What an undo or redo did: ids ``(n,)`` that were put back or changed, ids ``(m,)`` that are gone, all samples,
    the names of the project's own settings that are others, and whether files lie elsewhere.
    """

    title: str
    changed: NDArray[np.int64]
    gone: NDArray[np.int64]
    samples: tuple[Sample, ...]
    own: tuple[str, ...] = ()
    moved: bool = False


_REHEARSALS = ".rehearsal"


class Project:
    """A folder that holds items, samples and vectors. Use from one thread; ``preview`` is safe from any."""

    def __init__(self, folder: Path, settings: Settings, *, create: bool = True, read_only: bool = False) -> None:
        self.folder = folder
        self.settings = settings
        self.read_only = read_only
        self._held = ProjectFolder(folder, create=create, read_only=read_only)
        try:
            self._store = Store(folder, read_only, settings["previews_megabytes"] * 1_000_000)
            if not read_only and (old := came_from(folder)):
                self._store.follow(old)
            if not read_only:
                self._store.bring_along()
            self._cache = VectorCache(folder, read_only, settings["half_vectors"])
            self.own = ProjectSettings(folder, read_only)
            if not read_only:
                shutil.rmtree(folder / _REHEARSALS, ignore_errors=True)  # of trials that were killed
            self._runs_table = RunsTable(folder, read_only)
        except BaseException:
            self._held.close()
            raise
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
                self.own.close()
                self._runs_table.close()
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
        """All items by id in the order of adding, as a copy of the reader's own. What is reckoned for one reader is
        there for the next.
        """
        self._items.fold()
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

    def previews_at_rest(self) -> AbstractContextManager[None]:
        """Nothing is written about previews within it, whatever is looked at."""
        return self._store.previews_at_rest()

    def remake_preview(self, item: Item) -> bytes:
        """Make a lost preview again from the item's file, and keep it. Safe from any thread. Raises MediaError where
        the file cannot be read or has changed since.
        """
        try:
            if not item.part and item.modality != "text" and file_hash(item.path) != item.content_hash:
                raise UnreadableMedia("The file has changed since it was added.", path=item.path)
        except OSError as error:
            raise UnreadableMedia(reason(error), path=item.path) from error
        made = preview(item.ref, self.limits)
        with suppress(ProjectError):  # it is shown all the same
            self._store.keep_preview(item.content_hash, made)
        return made

    @property
    def media(self) -> Path:
        """Where media that the project keeps itself lie."""
        return self.folder / "media"

    # ---- adding -----------------------------------------------------------------------------------------------

    def add(self, what: Iterable[Path], pool: Executor, tags: Sequence[str] = (),
            choice: Choice = EVERYTHING) -> Work[AddReport]:
        """Read files and folders into items; each step's items are committed before they are told in ``fresh``.

        A file that cannot be read is noted with its reason and the rest goes on. Closing keeps what was committed.
        ``choice`` tells which of the files are meant.
        """
        return self._adding("Add", pool, lambda adding: adding.files(what, tags, choice))

    def add_table(self, table: Table, roles: Mapping[str, Role], pool: Executor) -> Work[AddReport]:
        """Read a table: each row becomes a sample of the items that it holds, its label their tag, its other columns
        theirs, also of items that the project has. Media that lie in bytes or in an archive are kept in the project.
        """
        return self._adding(f"Import {table.name}", pool, lambda adding: adding.rows(table, roles))

    def add_example(self, pool: Executor) -> Work[AddReport]:
        """Add the samples that ship with the studio, with their tags and groups."""
        return self._adding("Open the example", pool, lambda adding: adding.example(paths.samples()))

    def _adding(self, title: str, pool: Executor, work: Callable[[Adding], Work[None]]) -> Work[AddReport]:
        adding, samples = Adding(self._store, self.settings, pool, self.media), self._samples_by_id()
        try:
            yield from work(adding)
            if self.settings["copy_media"]:
                copied = yield from self.copy_media(adding.added)
                adding.failures += copied.failures
        finally:
            self._record_added(title, adding, samples)
        return adding.report()

    # ---- where media lie --------------------------------------------------------------------------------------

    def find_missing(self, folder: Path, pool: Executor) -> Work[FindReport]:
        """Look for missing media by their content under a folder. Vectors, tags and all else stay. What was found until
        it was closed can be undone in one step.
        """
        before: dict[int, Path] = {}
        try:
            return (yield from whereabouts.find(self._store, folder, pool, before))
        finally:
            none, found = self._standing(id_array(())), self.some(before)
            self.history.record(Edit("Find missing files", replace(none, places=before),
                                     replace(none, places={item.id: item.path for item in found})))

    def copy_media(self, item_ids: Iterable[int]) -> Work[CopyReport]:
        """Copy the items' files into the project, which then depends on no other place."""
        return whereabouts.copy_in(self._store, item_ids, self.media)

    # ---- editing ----------------------------------------------------------------------------------------------

    def remove(self, item_ids: Iterable[int], sample_ids: Iterable[int] = ()) -> None:
        """Take items out of the project and dissolve samples; files and cached vectors stay."""
        gone = id_array(item_ids)
        with self._step("Remove", gone, ()):
            self._store.remove(gone)
            for identity in sample_ids:
                self._store.ungroup(identity)
        self._tables = {key: table.without(gone) for key, table in self._tables.items()}

    def tag(self, item_ids: Iterable[int], tag: str) -> None:
        """Give items a tag."""
        ids = id_array(item_ids)
        with self._step(f"Tag “{tag}”", ids, ("tags",)):
            self._store.tag(ids, tag)

    def untag(self, item_ids: Iterable[int], tag: str) -> None:
        """Take a tag off items."""
        ids = id_array(item_ids)
        with self._step(f"Remove the tag “{tag}”", ids, ("tags",)):
            self._store.untag(ids, tag)

    def set_column(self, item_ids: Iterable[int], name: str, value: str | float | None) -> None:
        """Give items a value in a column of the person's own; None empties it."""
        ids = id_array(item_ids)
        with self._step(f"Column “{name}”", ids, ("columns",)):
            self._store.set_column(ids, name, value)

    def set_columns(self, values: Mapping[int, Mapping[str, str | float | None]], title: str) -> None:
        """Give each of these items values of its own in one step named ``title``; None empties a column."""
        with self._step(title, id_array(values), ("columns",)):
            self._store.set_columns(values)

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

    def set_weights_of(self, weights: dict[int, dict[str, float]]) -> None:
        """Change the fusion weights of several samples in one step."""
        with self._step("Weights"):
            self._store.set_weights_of(weights)

    def keep(self, name: str, value: Any, title: str) -> None:
        """Keep a value of JSON in ``own``, in a step named ``title`` that can be undone. Raises ProjectError."""
        none, before = self._standing(id_array(())), self.own.get(name)
        self.own.set(name, value)
        self.history.record(Edit(title, replace(none, own={name: before}), replace(none, own={name: value})))

    # ---- learning ---------------------------------------------------------------------------------------------

    @property
    def runs(self) -> Path:
        """Where training runs lie."""
        return self.folder / "runs"

    @property
    def sweeps(self) -> Path:
        """Where sweeps lie; their trials are runs."""
        return self.folder / "sweeps"

    def look_at_runs(self) -> list[Run]:
        """All runs that can be read, newest first, as the person calls them. Safe from any thread."""
        from mmstudio.training import overview

        return overview.look(self.runs, self._runs_table)

    def say_of_run(self, run: Run, **said: str | bool) -> None:
        """Keep a run's ``name``, ``starred`` or ``note``. Safe from any thread. Raises ProjectError."""
        self._runs_table.say(run.folder.name, **said)

    def make_rehearsal(self, job: TrainingJob, encoder: Encoder, chosen: Iterable[int] | None = None) -> Work[Path]:
        """A run that is none of the project's, for ``rehearsed``, which removes it."""
        return self.make_run(job, encoder, chosen, self.folder / _REHEARSALS / uuid4().hex / "runs")

    def make_run(self, job: TrainingJob, encoder: Encoder, chosen: Iterable[int] | None = None,
                 root: Path | None = None) -> Work[Path]:
        """Write down what a job learns from, of the ``chosen`` keys or everything, as a run that can be started, among
        the project's or in another ``root``.

        Raises TrainingError where too little can be learned from, or ``encode_for`` was not asked before.
        """
        from mmstudio.training import runs

        job, made = yield from self._learned_from(job, encoder, chosen)
        return runs.make(root or self.runs, job, made)

    def make_sweep(self, wanted: Sweep, encoder: Encoder, chosen: Iterable[int] | None = None) -> Work[Path]:
        """As ``make_run``, a sweep that can be started."""
        from mmstudio.training import sweep

        wanted.check()
        job, made = yield from self._learned_from(wanted.job, encoder, chosen)
        return sweep.make(self.sweeps, replace(wanted, job=job), made)

    def _learned_from(self, job: TrainingJob, encoder: Encoder,
                      chosen: Iterable[int] | None) -> Work[tuple[TrainingJob, Examples]]:
        """The job with what it left to be found, and its examples."""
        from mmstudio.training.job import ADAPTERS

        first = job.model_of(job.modalities[0]) if job.models and job.modalities else _used(encoder)
        keys = None if chosen is None else set(chosen)
        known = self._items.values() if keys is None else self.some(key for key in keys if key > 0)
        job = completed(replace(job, model=first.name, space=first.space, dim=first.dim, revision=first.revision,
                                preprocessing=first.preprocessing), known).check()
        if job.reads_media and job.trains != "scratch" and encoder.name.startswith(RUN):
            raise TrainingError("A run cannot train the encoder that another run became.",
                                hint="Choose the model that it started from, or train a head.")
        anchors = encode(encoder, [job.prompt.replace("{}", name) for name in job.classes], "text") if (
            job.trains in ADAPTERS) else None
        return job, (yield from examples(job, self._items, self.samples(), self._views(job, encoder), keys, anchors))

    def _views(self, job: TrainingJob, encoder: Encoder) -> Views:
        """What ``encode_for`` has made for a job, or what there is of the encoder."""
        if not job.models:
            return dict.fromkeys(job.modalities, self.vectors(encoder))
        keys = {m: SpaceKey(one.space, one.revision, one.preprocessing, one.dim) for m in job.modalities
                if (one := job.models.get(m)) and one.dim}
        if len(keys) < len(job.modalities):
            raise TrainingError("Not every model that the run names has read its modality yet.",
                                hint="Encode the items with all of them first.")
        views = {key: self.space(key) for key in set(keys.values())}
        return {modality: views[key] for modality, key in keys.items()}

    def needed(self, job: TrainingJob, chosen: Iterable[int] | None = None) -> frozenset[int]:
        """The items that a job learns from, of the ``chosen`` keys or everything."""
        return needed(job, self._items, self.samples(), chosen)

    def encode_for(self, job: TrainingJob, encoder: Encoder, pool: Executor,
                   only: Callable[[], frozenset[int]] | None = None) -> Work[TrainingJob]:
        """Give every item, or those that ``only`` gives, its vector of the model that a job names for its modality, and
        ``encoder``'s where it names none: one model after another, each let go before the next. Where the device has no
        room for one, ``encoder`` makes way meanwhile. Gives the job that knows these models.

        Raises ModelNotFound, ModelRefused, WrongModality, and SpaceMismatch where the job knows one of them otherwise.
        """
        names = {modality: job.models[modality].name if modality in job.models else encoder.name
                 for modality in job.modalities}
        if set(names.values()) <= {encoder.name}:
            return replace(job, models={})
        used: dict[str, UsedModel] = {}
        wanted = None if only is None else only()
        for name in dict.fromkeys(names.values()):
            own = frozenset(modality for modality in names if names[modality] == name)
            known = {job.models[modality] for modality in own & job.models.keys() if job.models[modality].dim}
            used[name] = yield from self._encoded_by(name, own, known, encoder, pool, wanted)
        return replace(job, models={modality: used[name] for modality, name in names.items()})

    def _encoded_by(self, name: str, modalities: frozenset[Modality], known: set[UsedModel], encoder: Encoder,
                    pool: Executor, only: frozenset[int] | None) -> Work[UsedModel]:
        """The model of that name, which need not be in use, once all wanted items of these modalities have its vector.
        """
        yield Progress(0, 0, name)
        device = encoder.device
        reads = encoder if name == encoder.name else self._beside(name, encoder)
        used = _used(reads)
        if modalities - reads.modalities:
            raise WrongModality(f"The model {name} does not read {', '.join(sorted(modalities - reads.modalities))}.",
                                hint="Name one that does.")
        if known - {used}:
            raise SpaceMismatch(f"The model “{name}” is not the one that the run was made with.",
                                hint="Make the run anew.")
        steps = self.encode(reads, pool, modalities=modalities, only=only)
        try:
            yield from retold(steps, lambda step: replace(step, text=f"{name} · {step.text}"))
            return used
        finally:
            if reads is not encoder:
                self._tables.pop(space_key(reads), None)
                del reads, steps
                free_memory()
            if encoder.device != device:
                encoder.to(device)

    def _beside(self, name: str, encoder: Encoder) -> Encoder:
        """Another model on the encoder's device; where both have no room there, the encoder leaves it."""
        try:
            return self.load_encoder(name, encoder.device)
        except OutOfMemory:
            if encoder.device == "cpu":
                raise
        device = encoder.device
        encoder.to("cpu")
        free_memory()
        return self.load_encoder(name, device)

    def load_encoder(self, name: str, device: str = "auto") -> Encoder:
        """An encoder by name, also one that a run of this project became (“run:0003”). Raises ModelNotFound,
        ModelRefused, TrainingError.
        """
        if not name.startswith(RUN):
            return load_encoder(name, device)
        from mmstudio.training import run_encoder

        folder = self.runs / name.removeprefix(RUN)
        if not (folder / "job.json").is_file():
            raise ModelNotFound(f"This project has no {name}.", hint="Choose another model.")
        return run_encoder.load(folder, name, device)

    def predict(self, run: Path, encoder: Encoder, item_ids: Iterable[int] | None = None) -> Work[list[int]]:
        """Write what a run tells of items into their columns, in one step that can be undone: the class or amount under
        the run's target, and how sure it is; what several models read, as far as ``encode_for`` has been asked. Gives
        the items' ids. Raises TrainingError, SpaceMismatch.
        """
        views = self._views(job_of(run), encoder)
        told = yield from predictions(run, self._items, self.samples(), views, item_ids)
        with self._step("Predict", id_array(told), ("columns",)):
            self._store.set_columns(told)
        return list(told)

    def class_shares(self, run: Path, encoder: Encoder) -> Work[
            tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.intp]]]:
        """What a run of classes tells of every item that it reads, see ``preparing.class_shares``."""
        views = self._views(job_of(run), encoder)
        return (yield from class_shares(run, self._items, self.samples(), views))

    # ---- undo -------------------------------------------------------------------------------------------------

    @contextmanager
    def _step(self, title: str, ids: NDArray[np.int64] | None = None, edited: Sequence[str] = ()) -> Iterator[None]:
        """What happens inside can be undone in one step; where it fails nothing is recorded. Of items that are neither
        added nor removed, only the ``edited`` columns change.
        """
        ids = np.zeros(0, np.int64) if ids is None else ids
        before, samples = self._standing(ids, edited), self._samples_by_id()
        yield
        after = self._samples_by_id()
        touched = [s for s in {*samples, *after} if samples.get(s) != after.get(s)]
        self.history.record(Edit(title, replace(before, samples={s: samples.get(s) for s in touched}),
                                 replace(self._standing(ids, edited), samples={s: after.get(s) for s in touched})))

    def _standing(self, ids: NDArray[np.int64], edited: Sequence[str] = ()) -> Standing:
        """These items as they are now, whole or in some columns."""
        return Standing(self._items.rows_of(ids, ["id", *edited] if edited else ()), self._not_here(ids), {})

    def _not_here(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return ids[~np.isin(ids, self._items.ids(), assume_unique=True)]

    def _samples_by_id(self) -> dict[int, Sample]:
        return {sample.id: sample for sample in self._store.samples()}

    def _record_added(self, title: str, adding: Adding, samples: dict[int, Sample]) -> None:
        new = {s: sample for s, sample in self._samples_by_id().items() if s not in samples}
        ids = id_array([*adding.added, *adding.updated])
        if len(ids) or new:
            after, before = replace(self._standing(ids), samples=new), adding.before()
            self.history.record(Edit(title, Standing(after.rows.slice(0, 0) if before is None else before,
                                                     id_array(adding.added), dict.fromkeys(new)), after))

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
        for name, value in standing.own.items():
            self.own.set(name, value)
        told()
        ids = union(np.asarray(standing.rows.column("id"), np.int64), standing.gone)
        gone = self._not_here(ids)
        self._tables = {key: table.without(gone) for key, table in self._tables.items()}
        return Reverted(title, np.setdiff1d(ids, gone, assume_unique=True), gone, tuple(self._store.samples()),
                        tuple(standing.own), bool(standing.places))

    # ---- vectors ----------------------------------------------------------------------------------------------

    def encode(self, encoder: Encoder, pool: Executor, batch: int = 0,
               modalities: frozenset[Modality] = frozenset(MODALITIES), only: frozenset[int] | None = None,
               ) -> Work[EncodeReport]:
        """Give every item that the encoder reads its vector, of these modalities and ``only`` these ids. What is cached
        costs nothing; closing keeps the rest.

        Each step's vectors are committed before they are told in ``fresh``.
        """
        started, key = time.monotonic(), space_key(encoder)
        yield Progress(0, 0, "comparing with what is known")
        cached = self._load_table(key, encoder)
        table = self._tables[key]
        todo = [item for item in self._items.some(self._without_vector(encoder, table))
                if item.modality in modalities and (only is None or item.id in only)]
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
        table.append([item for item, _ in kept], np.stack([vector for _, vector in kept]))
        return [item for item, _ in kept]

    def _load_table(self, key: SpaceKey, encoder: Encoder) -> int:
        table = self._tables.get(key)
        ids = self._without_vector(encoder, table)
        rows = self._cache.rows(key, self._items.keys_of(ids))
        ids, rows = ids[rows >= 0], rows[rows >= 0]
        if table is None:
            self._tables[key] = VectorTable.of(key, ids, self._items.modalities_of(ids), rows, self._cache, self._room)
        elif len(ids):
            table.append(list(self._items.some(ids)), self._cache.matrix(key)[rows])
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

    def spaces(self) -> list[SpaceKey]:
        """All spaces in which items have vectors, whichever model is in use."""
        return self._cache.spaces()

    def space(self, key: SpaceKey) -> VectorView:
        """All vectors of one of ``spaces``, whether its model is on this computer or not."""
        ids = self._items.ids()
        rows = self._cache.rows(key, self._items.keys_of(ids))
        ids, rows = ids[rows >= 0], rows[rows >= 0]
        return VectorTable.of(key, ids, self._items.modalities_of(ids), rows, self._cache, self._room).view()

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


def _used(encoder: Encoder) -> UsedModel:
    key = space_key(encoder)
    return UsedModel(encoder.name, key.space, key.revision, key.preprocessing, key.dim)


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


def fused(view: VectorView, sample: Sample, weights: dict[str, float] | None = None, how: Fusion = "mean",
          ) -> NDArray[np.float32]:
    """The fused vector of a sample's items that have vectors: the geodesic where that is asked for, else the weighted
    mean, because of the other fusions there is no vector in this space. Raises SpaceMismatch where none has one.
    """
    rows = [view.rows[i] for i in sample.item_ids if view.rows.get(i, len(view)) < len(view)]
    if not rows:
        raise SpaceMismatch("None of this sample's items has a vector in this space.", hint="Encode it first.")
    fuser, wanted = Fuser(Parts.of(view.vectors, view.modalities, [rows])), weights or sample.weights
    shares = [wanted.get(modality, 1.0) for modality in fuser.parts.modalities]
    return fuser.vectors(fuser.coefficients(shares, "geodesic" if how == "geodesic" else "mean"))[0]
