"""What the window shows: the open project, its items, selection, map and answers. One intent, one short function.

A *key* names a point of the map: an item's id, or a sample's id negated.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from mmstudio import paths
from mmstudio.bridging import Bridged, extended
from mmstudio.desktop import offering, recent, unfinished
from mmstudio.desktop.arranging import Arrangement, Layout
from mmstudio.desktop.asking import Answer as Answer
from mmstudio.desktop.asking import Asking
from mmstudio.desktop.fusing import Fusing
from mmstudio.desktop.jobs import Job, Jobs
from mmstudio.desktop.kept_bridge import KeptBridge
from mmstudio.desktop.map_making import MapMaking
from mmstudio.desktop.places import Places
from mmstudio.desktop.preload import complete_torch, import_methods, import_torch_in_part, is_whole, preload_lancedb
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.text import count, megabytes, tr
from mmstudio.desktop.worker import Garbage, Lane, Pool, State
from mmstudio.encoders.base import Encoder, Explanation
from mmstudio.encoders.device import keep_freed_memory
from mmstudio.encoders.registry import STARTER, ModelCard, catalog
from mmstudio.errors import ProjectError, StudioError
from mmstudio.explore.aside import Aside
from mmstudio.library import Fresh, Item, Items, Sample, VectorView
from mmstudio.media import Limits, MediaRef, Modality
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.progress import Progress, Work
from mmstudio.project import Project, Reverted
from mmstudio.searching import Found, search
from mmstudio.settings import Settings
from mmstudio.training.job import RUN

if TYPE_CHECKING:
    from mmstudio.media.tables import Mapping, Table

NOTHING = unfinished.Left(())
LOOKED_AT = 1000
"""Of the items that were added, so many are looked at to see what they were made with."""
MANY_SAMPLES = 10_000


class Session(QObject):
    """State and intents. Signals tell what changed; nobody is asked to poll."""

    leaving = Signal()
    """The open project will be closed: what is not kept of it yet is kept now."""
    ownChanged = Signal(object)
    """These of the project's own settings, by their names, are others."""
    projectOpened = Signal()
    itemsAdded = Signal(list)
    """New items, none where they are too many to tell one by one."""
    itemsRemoved = Signal(object)
    itemsChanged = Signal()
    samplesChanged = Signal()
    vectorsChanged = Signal()
    layoutChanged = Signal(object)
    arranged = Signal(object)
    """A step of arranging the map, its Progress; None when it has ended."""
    selectionChanged = Signal()
    currentChanged = Signal()
    neighboursFound = Signal(object)
    answered = Signal(object)
    explained = Signal(object)
    bridged = Signal()
    """Items of another space came onto the map, or went."""
    fusedMoved = Signal(object)
    samplesPlaced = Signal(object)
    encoderChanged = Signal()
    failed = Signal(object)
    noted = Signal(str)
    interrupted = Signal(object, object)
    """A job ended early by an error that may pass; what goes on with it."""
    leftFound = Signal(list)
    """What was not added to its end when the project was last open."""
    missed = Signal(int)
    """So many files of the project that was opened are not where they were."""
    offered = Signal(object)
    downloaded = Signal(object)
    modelsChanged = Signal()

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        keep_freed_memory()
        self._garbage = Garbage(self)
        self.settings = settings
        self.project: Project | None = None
        self._open: list[Project] = []  # for the models' lane alone
        self.encoder: Encoder | None = None
        self.encoder_error: StudioError | None = None
        self.model: str = settings["model"]
        """The name of the encoder that is in use, or on its way."""
        self.made_here: list[ModelCard] = []
        """What runs of the open project became."""
        self.items: Items = Items()
        self.samples: dict[int, Sample] = {}
        self.view: VectorView | None = None
        self.bridge: Bridged | None = None
        """What another model reads and this one does not, on its way into ``view``."""
        self.layout: Layout | None = None
        self.selection = Selection()
        self.current: int | None = None
        self.answer: Answer | None = None
        self.models = Lane("models", self)
        self.maths = Lane("maths", self)
        self.beside = Lane("beside", self)
        self.aside = Aside()
        """Another process for long sums; ``beside`` is the lane of who waits for it."""
        self.arrangement = Arrangement()
        self.network = Lane("network", self)
        self.pool = Pool(parent=self)
        self.jobs = Jobs(self.models, self)
        self._generation: dict[str, int] = {}
        self._encode_again = False
        self._dropped_early: list[unfinished.Left] = []
        self.jobs.ended.connect(self._job_ended)
        self.places = Places(self)
        self.asking = Asking(self)
        self.fusing = Fusing(self)
        self.mapping = MapMaking(self)
        self.kept_bridge = KeptBridge(self)

    # ---- opening and closing ----------------------------------------------------------------------------------

    def start(self, folder: Path, then: Callable[[], None] | None = None) -> None:
        """Open a project and make the encoder ready, both behind the window; then do what the person asked for."""
        self.open_project(folder, then)
        self.use_model(self.settings["model"], self.settings["device"])

    def open_project(self, folder: Path, then: Callable[[], None] | None = None, create: bool = True) -> None:
        """Show another project, then do what the person asked for there (else encode what is missing). With ``create``
        a folder without one becomes one.
        """
        generation = self._next("open")

        def load() -> tuple[Project, Items, list[Sample]]:
            # What is open here already would be refused if it were opened anew.
            here = next((project for project in self._open if _same(project.folder, folder)), None)
            if here is None:
                here = Project.open(folder, self.settings, create=create)
                self._open.append(here)
            items = here.items()
            items.counts()  # here rather than in the window: of a million items it takes a moment
            samples = here.samples()
            if len(samples) > MANY_SAMPLES:
                gc.freeze()  # to look through 300,000 of them for garbage again and again took the window 200 ms
            return here, items, samples

        def opened(loaded: tuple[Project, Items, list[Sample]]) -> None:
            project, items, samples = loaded
            if generation != self._generation["open"]:
                return  # the person has asked for another one since, which closes this one
            self._show(project, items, samples)
            self._remember(folder)
            if project.note:
                self.noted.emit(project.note)
            early, self._dropped_early = self._dropped_early, []
            for dropped in early:
                self.add(dropped.paths, dropped.choice)
            if then:
                then()
            else:
                self.encode()
            if not project.read_only and (left := unfinished.unfinished(project)):
                self.leftFound.emit(left)

        self.models.ask(load, on_done=opened, on_failed=self.failed.emit)

    def close_project(self) -> None:
        """Show no project. What is dropped then waits for the next one."""
        self._next("open")
        self._show(None, Items(), [])
        self.noted.emit(tr("No project is open. What you add now goes into the next one that you open."))

    def _show(self, project: Project | None, items: Items, samples: list[Sample]) -> None:
        """Nothing of the project before is seen any more."""
        self.leaving.emit()
        self.project, before = project, self.project
        self.items, self.samples = items, {sample.id: sample for sample in samples}
        self._forget_answers()
        if before is not project:
            self._stop_jobs()
        self.models.ask(lambda: self._close_others(project))
        self.mapping.start_anew()
        self.selection, self.current, self.bridge = Selection(), None, None
        self.projectOpened.emit()
        self._use_the_projects_model(project)

    def _close_others(self, project: Project | None) -> None:
        """On the models' lane, so that nothing is being written."""
        others = [one for one in self._open if one is not project]
        self._open = [] if project is None else [project]
        for one in others:
            one.close()

    def _remember(self, folder: Path) -> None:
        """The next start opens this project."""
        try:
            recent.remember(self.settings, folder)
        except StudioError as error:
            self.failed.emit(error)

    def _stop_jobs(self) -> None:
        """Cancel what runs; what it has done is kept and goes on when its project or model is used again."""
        self._encode_again = False
        for job in self.jobs.running:
            if job.title in (tr("Adding"), tr("Encoding"), tr("Finding files"), tr("Copying media"),
                             tr("Preparing a run"), tr("Trying a run"), tr("Preparing a sweep"), tr("Predicting"),
                             tr("Finding features")):
                job.cancel()

    def _forget_answers(self) -> None:
        """Nothing that was asked of another project or model may be shown any more."""
        self.mapping.stop()
        self.asking.forget()
        self.fusing.forget()
        for question in ("neighbours", "explain"):
            self._next(question)
        self.view = self.layout = self.answer = None
        self.answered.emit(None)

    def close(self) -> None:
        """End all work and close the project."""
        self.mapping.stop()
        self.leaving.emit()
        self.models.drain(5)
        self.pool.stop()
        self.network.stop()
        self.aside.stop()
        self.beside.stop()
        self.maths.stop()
        if self.models.stop(20):
            for project in self._open:
                project.close()
        self._garbage.stop()

    def choose_model(self, name: str) -> None:
        """Read with another model from now on: in this project where it is a run's encoder, else everywhere."""
        project = self.project
        if project is not None:
            own = name if name.startswith(RUN) else ""
            self.models.ask(lambda: project.own.set("model", own), on_failed=self.failed.emit)
        if not name.startswith(RUN):
            self.settings.set("model", name)
        self.use_model(name, self.settings["device"])

    def _use_the_projects_model(self, project: Project | None) -> None:
        """A project that is read with one of its runs is so again; another one is not."""
        own = project.own.get("model", "") if project is not None else ""
        if own:
            self.use_model(own, self.settings["device"])
        elif self.model.startswith(RUN):
            self.use_model(self.settings["model"], self.settings["device"])

    def use_model(self, name: str, device: str) -> None:
        """Load another encoder behind the window, and encode what it has not seen."""
        generation, project = self._next("model"), self.project
        self.model = name
        self._garbage.resting = True

        def load() -> Encoder:
            from mmstudio.encoders import load_encoder

            import_torch_in_part() if name == STARTER else complete_torch()
            encoder = project.load_encoder(name, device) if project is not None else load_encoder(name, device)
            warm_up(encoder)
            gc.freeze()  # what torch brought is never searched for garbage again: that took the window 100 ms
            return encoder

        def complete() -> None:
            complete_torch()
            import_methods()
            gc.freeze()

        def completed(_: object = None) -> None:
            if generation == self._generation["model"]:
                self._garbage.resting = False

        def complete_soon() -> None:
            if is_whole():
                completed()
            else:
                self.models.ask(complete, on_done=completed, on_failed=completed)

        def loaded(encoder: Encoder) -> None:
            if generation != self._generation["model"]:
                return
            for job in self.jobs.running:
                if job.title == tr("Encoding"):
                    job.cancel()
            self.encoder, self.encoder_error, self.bridge = encoder, None, None
            self.mapping.leave()
            self._forget_answers()
            self.encoderChanged.emit()
            complete_soon()
            self.maths.ask(preload_lancedb)
            note = getattr(encoder, "note", "")
            if note:
                self.noted.emit(note)
            self.encode()

        def failed(error: StudioError) -> None:
            complete_soon()
            self.encoder_error = error
            self.encoderChanged.emit()
            self.failed.emit(error)
            if name.startswith(RUN) and generation == self._generation["model"]:
                self.choose_model(self.settings["model"])  # the run is gone

        self.models.ask(load, on_done=loaded, on_failed=failed)

    @property
    def other_models(self) -> list[ModelCard]:
        """What the model in use can be compared with: what was made here, and of the catalogue what is present."""
        return [card for card in (*self.made_here, *catalog()) if card.present and card.name != self.model]

    def download(self, card: ModelCard) -> None:
        """Bring a model of the catalogue onto this computer, on a lane of its own: encoding goes on meanwhile."""
        from mmstudio.encoders.download import download

        def done(_: Path) -> None:
            job.finish(tr("{} is on this computer now").format(card.title), [])
            self.downloaded.emit(card)

        title = _download_title(card.name)
        if not self.jobs.has(title):
            job = self.jobs.start(title, lambda: download(card.name), lambda _: None, done, self.failed.emit,
                                  self.network, megabytes)

    def downloading(self, name: str) -> bool:
        """Whether a model is on its way."""
        return self.jobs.has(_download_title(name))

    def remove_model(self, card: ModelCard) -> None:
        """Delete a model from the cache."""
        from mmstudio.encoders.download import remove

        def done(freed: int) -> None:
            self.noted.emit(tr("{} was removed; {} are free again.").format(card.title, megabytes(freed)))
            self.modelsChanged.emit()

        self.network.ask(lambda: remove(card.name), on_done=done, on_failed=self.failed.emit)

    # ---- items ------------------------------------------------------------------------------------------------

    def add(self, what: Iterable[Path], choice: Choice = EVERYTHING) -> None:
        """Add dropped files and folders, of which those that are meant, then encode them."""
        left = unfinished.Left(tuple(what), choice)
        if self.project is None:
            self._dropped_early.append(left)  # added as soon as the project is open
            return
        self._add_by(lambda p: p.add(left.paths, self.pool.executor, choice=choice), left)

    def add_moved(self, file: Path, folder: Path, name: str) -> None:
        """Add a file that lies nowhere yet, moved into a folder of the project under a name with the time."""
        def moved() -> Path:
            target = folder / f"{name} {datetime.now():%Y-%m-%d %H.%M.%S.%f}{file.suffix}"
            try:
                folder.mkdir(exist_ok=True)
                shutil.move(file, target)
            except OSError as error:
                raise ProjectError(f"The {name} could not be kept in the project ({error.strerror}).", path=file,
                                   hint="Free some space; it is still where it was written.") from error
            return target

        self.pool.ask(moved, lambda target: self.add([target]), self.failed.emit)

    def add_table(self, table: Table, roles: dict[str, Mapping]) -> None:
        """Read a table's rows as samples, then encode them."""
        self._add_by(lambda p: p.add_table(table, roles, self.pool.executor),
                     unfinished.Left(tuple(part.path for part in table.parts or (table,))))

    def add_example(self) -> None:
        """Open the example that ships with the studio, in a project of its own."""
        self.open_project(paths.example_project(),
                          lambda: self._add_by(lambda p: p.add_example(self.pool.executor)))

    def _add_by(self, work: Callable[[Project], Work[Any]], left: unfinished.Left = NOTHING) -> None:
        """What is ``left`` is offered again where it does not come to its end."""
        project = self.project
        if project is None:
            return

        def step(progress: Progress) -> None:
            if isinstance(progress.fresh, Fresh) and project is self.project:
                self.take_in(progress.fresh)

        def done(report: Any) -> None:
            told = [tr("{} added").format(count(len(report.added)))]
            if report.known:
                told.append(tr("{} known already").format(count(report.known)))
            if report.updated:
                told.append(tr("{} of them with new tags or columns").format(count(report.updated)))
            if report.failures:
                told.append(tr("{} unreadable").format(count(len(report.failures))))
            if report.notes:
                told.append(tr("{} shortened").format(count(len(report.notes))))
            job.finish(", ".join(told), [*report.failures, *report.notes])
            self._hint_at_other_models(self.items.some(np.array(report.added[:LOOKED_AT], np.int64)))

        def failed(error: StudioError) -> None:
            self.interrupted.emit(error, lambda: self._add_by(work, left))

        def ended(one: Job) -> None:
            if one is job:
                self.jobs.ended.disconnect(ended)
                if one.state is State.CANCELLED and project is self.project:
                    self.models.ask(lambda: unfinished.forget(project, left))

        job = self.jobs.start(tr("Adding"), lambda: unfinished.noted(project, left, work(project)), step, done,
                              failed)
        if left.paths:
            self.jobs.ended.connect(ended)

    def go_on_adding(self) -> None:
        """Let go of what was not added to its end, for it is being added anew."""
        project = self.project
        if project is not None:
            self.models.ask(lambda: unfinished.forget_all(project), on_failed=self.failed.emit)

    def _hint_at_other_models(self, added: Iterable[Item]) -> None:
        """Say once, kindly, that the starter was made for drawings and synthetic speech, and offer what fits."""
        def offer(card: ModelCard | None) -> None:
            if card is not None and self.settings["starter_hint"]:
                self.settings.set("starter_hint", False)
                self.offered.emit(card)

        if self.settings["model"] == STARTER and self.settings["starter_hint"]:
            some, limits = list(added), Limits.of(self.settings)
            self.pool.ask(lambda: offering.fitting(some, limits), offer)

    def take_in(self, fresh: Fresh) -> None:
        """Show what a job has committed."""
        new = [item for item in fresh.items if item.id not in self.items]
        changed = len(new) < len(fresh.items)
        self.items.update((item.id, item) for item in fresh.items)
        if new:
            self.itemsAdded.emit(new)
        if fresh.samples:
            self.samples.update((sample.id, sample) for sample in fresh.samples)
            self.samplesChanged.emit()
        if changed:
            self.itemsChanged.emit()

    def _renew(self, items: Items, came: bool) -> None:
        """Show all items as the project has them now, ``came`` where there are new ones."""
        self.items = items
        if came:
            self.itemsAdded.emit([])
        self.itemsChanged.emit()

    def remove(self, keys: Iterable[int]) -> None:
        """Take items (and samples) out of the project; files stay where they are."""
        project, gone = self.project, Selection(keys)
        if project is None or not gone:
            return
        items, samples = gone.items, (gone - gone.items)

        def work() -> tuple[Reverted, Items]:
            project.remove(items, [-key for key in samples])
            return Reverted("", items[:0], items, tuple(project.samples())), project.items()

        def done(found: tuple[Reverted, Items]) -> None:
            if project is self.project:
                self._show_reverted(*found)

        self.models.ask(work, on_done=done, on_failed=self.failed.emit)

    def tag(self, keys: Iterable[int], tag: str) -> None:
        """Give the items a tag."""
        if tag.strip():
            self._edit(keys, lambda project, ids: project.tag(ids, tag.strip()))

    def untag(self, keys: Iterable[int], tag: str) -> None:
        """Take a tag off the items."""
        self._edit(keys, lambda project, ids: project.untag(ids, tag))

    def set_column(self, keys: Iterable[int], name: str, value: str | float | None) -> None:
        """Give the items a value in a column of the person's own; None empties it."""
        self._edit(keys, lambda project, ids: project.set_column(ids, name, value))

    def set_columns(self, values: dict[int, dict[str, str | float | None]], title: str) -> None:
        """Give each of these items values of its own, in one step that can be undone."""
        self._edit(values, lambda project, _: project.set_columns(values, title))

    def _edit(self, keys: Iterable[int], change: Callable[[Project, NDArray[np.int64]], None]) -> None:
        """Change items, and show them as they are then."""
        project, ids = self.project, Selection(keys).items
        if project is None or not len(ids):
            return

        def work() -> Items:
            change(project, ids)
            return project.items()

        def done(items: Items) -> None:
            if project is self.project:
                self._renew(items, len(items) != len(self.items))  # a step of a job may not have told its own yet

        self.models.ask(work, on_done=done, on_failed=self.failed.emit)

    def keep(self, name: str, value: Any, title: str) -> None:
        """Keep one of the project's own settings, in a step that can be undone."""
        project = self.project
        if project is not None:
            self.models.ask(lambda: project.keep(name, value, title),
                            on_done=lambda _: self.ownChanged.emit((name,)) if project is self.project else None,
                            on_failed=self.failed.emit)

    def undo(self) -> None:
        """Take the newest change of the project back."""
        self._revert(Project.undo, tr("Undone: {}"), tr("There is nothing to undo."))

    def redo(self) -> None:
        """Do again what was undone last."""
        self._revert(Project.redo, tr("Done again: {}"), tr("There is nothing to do again."))

    def _revert(self, step: Callable[[Project], Reverted | None], told: str, nothing: str) -> None:
        project = self.project
        if project is None:
            return
        if self.jobs.has(tr("Adding")):
            self.noted.emit(tr("Files are being added. Undo when that has ended."))
            return

        def done(found: tuple[Reverted | None, Items]) -> None:
            reverted, items = found
            if reverted is None or project is not self.project:
                self.noted.emit(nothing)
                return
            self._show_reverted(reverted, items)
            if reverted.own:
                self.ownChanged.emit(reverted.own)
            if reverted.moved:
                self.places.look()
            self.noted.emit(told.format(reverted.title))

        self.models.ask(lambda: (step(project), project.items()), on_done=done, on_failed=self.failed.emit)

    def _show_reverted(self, found: Reverted, items: Items) -> None:
        """Show what came and went in one change."""
        living = {sample.id for sample in found.samples}
        other = [s.id for s in found.samples if s.id in self.samples and self.samples[s.id].weights != s.weights]
        gone = Selection(found.gone) | [-s for s in self.samples if s not in living]
        back = len(items) > len(self.items) - len(found.gone)
        self.samples = {sample.id: sample for sample in found.samples}
        self.select(self.selection - gone)
        if self.current in gone:
            self.focus(None)
        self._renew(items, back)
        if gone:
            self.itemsRemoved.emit(gone.keys)
        self.samplesChanged.emit()
        if gone or back:
            self._refresh_view()
            self.mapping.rearrange()
        self.fusing.weighed(other)
        if back:
            self.encode()

    # ---- vectors and the map ----------------------------------------------------------------------------------

    def encode(self) -> None:
        """Compute the vectors that are missing; what was done before is kept."""
        project, encoder = self.project, self.encoder
        if project is None or encoder is None or not self.items or self.jobs.has(tr("Adding")):
            return
        if self.jobs.has(tr("Encoding")):
            self._encode_again = True
            return
        self._encode_again = False
        batch = self.settings["batch"]

        def step(progress: Progress) -> None:
            if isinstance(progress.fresh, Fresh) and encoder is self.encoder and project is self.project:
                self._refresh_view()
                self.mapping.vectors_came()

        def done(report: Any) -> None:
            if not report.encoded and not report.failures:
                self.jobs.forget(job)
            told = [tr("{} encoded").format(count(report.encoded))] if report.encoded else []
            if report.cached:
                told.append(tr("{} from the cache").format(count(report.cached)))
            if report.failures:
                told.append(tr("{} unreadable").format(count(len(report.failures))))
            job.finish(", ".join(told), list(report.failures))
            if report.note:
                self.noted.emit(report.note)
            if encoder is self.encoder and project is self.project:
                self._refresh_view()

        job = self.jobs.start(
            tr("Encoding"), lambda: project.encode(encoder, self.pool.executor, batch), step, done,
            lambda error: self.interrupted.emit(error, self.encode))

    def _job_ended(self, job: Job) -> None:
        """Items that were added, also by a cancelled job, are shown and get vectors; an encoding gets its map."""
        self.modelsChanged.emit()
        if job.title == tr("Adding"):
            if job.state is State.CANCELLED:
                self._take_in_all()
            self.encode()
        elif job.title == tr("Encoding"):
            self.mapping.rearrange()
            if self._encode_again and job.state is not State.CANCELLED:
                self.encode()

    def _take_in_all(self) -> None:
        """Show what a cancelled adding had committed but not yet told."""
        project = self.project
        if project is None:
            return

        def done(found: tuple[Items, list[Sample]]) -> None:
            if project is self.project:
                items, samples = found
                self.samples = {sample.id: sample for sample in samples}
                self.samplesChanged.emit()
                self._renew(items, len(items) != len(self.items))

        self.models.ask(lambda: (project.items(), project.samples()), on_done=done)

    def _refresh_view(self) -> None:
        if self.project and self.encoder:
            before = self.view
            view = self.project.vectors(self.encoder)
            self.view = extended(view, self.bridge, self.items.ids()) if self.bridge else view
            self.vectorsChanged.emit()
            self._answer_late(before)

    def use_bridge(self, bridge: Bridged | None) -> None:
        """Let the items of another space onto the map and into searches, or none."""
        if bridge is not self.bridge:
            self.bridge = bridge
            self._refresh_view()
            self.mapping.rearrange()
            self.bridged.emit()

    def _answer_late(self, before: VectorView | None) -> None:
        """Neighbours of what was opened before it had a vector."""
        key, view = self.current, self.view
        if key is None or view is None:
            return
        if key > 0 and view.vector(key) is not None and (before is None or before.vector(key) is None):
            self._ask_neighbours(key)
        elif key < 0 and before is None and -key in self.samples:
            self.fusing.look_at(-key)

    # ---- selection --------------------------------------------------------------------------------------------

    def select(self, keys: Iterable[int]) -> None:
        """Make this the selection, everywhere: keys of any collection, or an array ``(n,)`` of them."""
        chosen = Selection(keys)
        if chosen != self.selection:
            self.selection = chosen
            self.selectionChanged.emit()

    def focus(self, key: int | None) -> None:
        """Show one item or sample in the inspector: what it is, why, and its neighbours."""
        if key is not None and key not in self.items and -key not in self.samples:
            return
        self.current = key
        self._next("explain")
        self._next("neighbours")
        self.currentChanged.emit()
        if key is None:
            return
        if key > 0:
            self._ask_neighbours(key)
            self.explain(key)
        else:
            self.fusing.look_at(-key)

    def _ask_neighbours(self, key: int) -> None:
        view = self.view
        vector = view.vector(key) if view else None
        if view is None or vector is None:
            return
        generation = self._next("neighbours")

        def done(hits: dict[Modality, list[Found]]) -> None:
            if generation == self._generation["neighbours"]:
                self.neighboursFound.emit(hits)

        self.maths.ask(lambda: search(view, vector, 8, without=key), on_done=done, on_failed=self.failed.emit)

    def explain(self, key: int) -> None:
        """Ask the encoder what it attended to."""
        project, encoder, item = self.project, self.encoder, self.items[key]
        if project is None or encoder is None:
            return
        generation = self._next("explain")

        def done(explanation: Explanation) -> None:
            if generation == self._generation["explain"]:
                self.explained.emit(explanation)

        def failed(error: StudioError) -> None:
            if generation == self._generation["explain"]:
                self.explained.emit(error)

        self.models.ask(lambda: project.explain(encoder, item), on_done=done, on_failed=failed)

    # ---- questions --------------------------------------------------------------------------------------------

    def ask(self, question: str | Path | MediaRef, title: str) -> None:
        """Search with a text or a file; only the newest question is answered."""
        self.asking.ask(question, title)

    def ask_like(self, key: int) -> None:
        """Search with an item or a sample of the project."""
        self.asking.ask_like(key)

    def clear_answer(self) -> None:
        self.asking.clear()

    # ---- samples ----------------------------------------------------------------------------------------------

    def group(self, keys: Iterable[int], name: str = "") -> None:
        """Make a sample of the selected items; it becomes a point of the map."""
        project, ids = self.project, sorted(key for key in keys if key > 0)
        if project is None:
            return
        titles = [self.items[i].title for i in ids if self.items[i].modality == "text"]
        title = name or (titles[0] if titles else tr("Sample {}").format(len(self.samples) + 1))

        def done(sample: Sample) -> None:
            if project is not self.project:
                return
            self.samples[sample.id] = sample
            self.samplesChanged.emit()
            self.select([-sample.id])
            self.focus(-sample.id)

        self.models.ask(lambda: project.group(title, ids), on_done=done, on_failed=self.failed.emit)

    def _next(self, question: str) -> int:
        """A generation number: an answer to an outdated question is dropped."""
        self._generation[question] = self._generation.get(question, 0) + 1
        return self._generation[question]


def _same(one: Path, other: Path) -> bool:
    return one.absolute().resolve() == other.absolute().resolve()


def _download_title(name: str) -> str:
    return tr("Download of {}").format(name.rpartition("/")[2])


def warm_up(encoder: Encoder) -> None:
    """Run each tower once, so that the first real question is quick."""
    if "text" in encoder.modalities:
        encoder.forward([encoder.prepare("ready", "text")])
