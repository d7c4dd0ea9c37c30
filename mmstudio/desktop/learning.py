"""The open project's training runs: made, started one after another, followed, paused, stopped and used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.jobs import Job
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.worker import State
from mmstudio.encoders import Encoder, ModelCard
from mmstudio.errors import StudioError, TrainingError
from mmstudio.library import Fresh
from mmstudio.preparing import Target, targets
from mmstudio.progress import Work
from mmstudio.project import Project
from mmstudio.training.job import RUN
from mmstudio.training.rehearsing import Rehearsal, rehearsed

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session
    from mmstudio.training.evaluation import Comparison, Evaluation
    from mmstudio.training.job import TrainingJob
    from mmstudio.training.runs import Curve, Run
    from mmstudio.training.sweep import KeptSweep, Sweep

LOOK_MS = 300
Line = dict[str, Any]
Make = Callable[[Project, "TrainingJob", Encoder, "list[int] | None"], Work[Path]]


@dataclass(frozen=True)
class Seen:
    """What one look at the runs found: all of them, the sweeps, and what came to the curves that are followed."""

    runs: list[Run]
    sweeps: list[KeptSweep]
    lines: dict[str, tuple[list[Line], bool]]
    starting: frozenset[str]


@dataclass(frozen=True)
class Evaluated:
    """The evaluations of some runs, and how the first two compare or why they cannot."""

    found: tuple[Evaluation, ...]
    compared: Comparison | str = ""


class Learning(QObject):
    """Looks at the runs' folders behind the window, because a run is a process of its own that may outlive the studio.
    """

    runsChanged = Signal()
    grew = Signal(str, list, bool)
    """The name of a run's folder, lines of its curve, and whether all lines before are void."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.runs: list[Run] = []
        self.sweeps: list[KeptSweep] = []
        self._followed: dict[str, Curve] = {}
        self._looking, self._again, self._complained = False, False, ""
        self._starting: frozenset[str] = frozenset()
        self._generation = 0
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self.look)
        self._trial: Job | None = None
        self._stopped_trial: Callable[[], None] = lambda: None
        session.jobs.ended.connect(self._job_ended)
        session.projectOpened.connect(self._opened)

    def run(self, name: str) -> Run | None:
        return next((run for run in self.runs if run.folder.name == name), None)

    @property
    def active(self) -> list[Run]:
        """Runs that train, pause or wait for their turn; a sweep's are its own to start."""
        return [run for run in self.runs if run.state.status in ("running", "paused") or self.is_starting(run)
                or (run.state.status == "waiting" and run.trial is None)]

    @property
    def sweeping(self) -> list[KeptSweep]:
        """Sweeps that train, pause or wait for their turn."""
        return [kept for kept in self.sweeps if kept.state.status in ("waiting", "running", "paused")]

    @property
    def starting(self) -> frozenset[str]:
        """The folders' names of runs whose process loads what it needs."""
        return self._starting

    def is_starting(self, run: Run) -> bool:
        return run.folder.name in self._starting

    def encoders(self) -> list[ModelCard]:
        """The runs that can read the project like any other model, newest first."""
        return [ModelCard(f"{RUN}{run.folder.name}", tr("{} (run {})").format(run.name, run.number),
                          run.job.modalities, 0, tr("made here"), tr("Learned in this project: {}.").format(
                              tr(run.job.trains)), present=True)
                for run in self.runs if run.job.makes_vectors and run.state.best_epoch >= 0]

    def _tell_models(self) -> None:
        made = self.encoders()
        if made != self._session.made_here:
            self._session.made_here = made
            self._session.modelsChanged.emit()

    # ---- looking ------------------------------------------------------------------------------------------------

    def _opened(self) -> None:
        self._generation += 1
        self.runs, self.sweeps, self._followed, self._looking = [], [], {}, False
        self._tell_models()
        self.runsChanged.emit()
        self.look()

    def follow(self, names: Iterable[str]) -> None:
        """Tell the curves of these runs, from their beginning, and of no others."""
        from mmstudio.training.runs import Curve

        project = self._session.project
        if project is not None:
            self._followed = {name: self._followed.get(name) or Curve(project.runs / name) for name in names}
            self.look()

    def look(self) -> None:
        """Look now, and again as long as something trains."""
        project = self._session.project
        if project is None:
            return
        if self._looking:
            self._again = True
            return
        self._looking, self._again = True, False
        followed, generation = dict(self._followed), self._generation
        self._session.pool.ask(lambda: _looked(project, followed), lambda seen: self._seen(generation, seen),
                               lambda error: self._failed(generation, error))

    def _failed(self, generation: int, error: StudioError) -> None:
        """Say it once; looking goes on when something is asked for."""
        if generation == self._generation:
            self._looking = False
            self._timer.stop()
            if str(error) != self._complained:
                self._complained = str(error)
                self._session.failed.emit(error)

    def _seen(self, generation: int, seen: Seen) -> None:
        if generation != self._generation:
            return
        self._looking, self._complained = False, ""
        changed = (seen.runs, seen.sweeps, seen.starting) != (self.runs, self.sweeps, self._starting)
        self.runs, self.sweeps, self._starting = seen.runs, seen.sweeps, seen.starting
        if changed:
            self._tell_models()
            self.runsChanged.emit()
        for name, (lines, anew) in seen.lines.items():
            if (lines or anew) and name in self._followed:
                self.grew.emit(name, lines, anew)
        if not (self.active or self.sweeping):
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()
        if self._again:
            self.look()

    # ---- what a person wishes ---------------------------------------------------------------------------------

    def ask_targets(self, keys: AbstractSet[int], then: Callable[[list[Target]], None]) -> None:
        """What could be learned of these keys' items, or of all where there are none."""
        items, samples = self._session.items.copy(), dict(self._session.samples)

        def found() -> list[Target]:
            members = {i for key in keys for i in (samples[-key].item_ids if -key in samples else (key,))}
            return targets([items[i] for i in members if i in items] if keys else items.values())

        self._session.pool.ask(found, then, self._session.failed.emit)

    def get_ready(self) -> None:
        """Load behind the window what a run will need, while the person chooses."""
        self._background(lambda runs: runs.get_ready())

    def let_go(self) -> None:
        """No run will begin after all."""
        self._background(lambda runs: runs.let_go())

    def _background(self, act: Callable[[ModuleType], None], then: Callable[[Any], None] = lambda _: None) -> None:
        """Do something with the runs behind the window; their room is loaded there, too."""
        def work() -> None:
            from mmstudio.training import runs

            act(runs)

        self._session.pool.ask(work, then, self._session.failed.emit)

    def train(self, job: TrainingJob, keys: Iterable[int] | None) -> None:
        """Make a run of these keys, or of everything, and start it as soon as no other trains."""
        self._prepare(tr("Preparing a run"), job,
                      lambda project, job, encoder, chosen: project.make_run(job, encoder, chosen), keys)

    def sweep(self, wanted: Sweep, keys: Iterable[int] | None) -> None:
        """As ``train``, many runs one after another with other settings each."""
        self._prepare(tr("Preparing a sweep"), wanted.job,
                      lambda project, job, encoder, chosen: project.make_sweep(replace(wanted, job=job), encoder,
                                                                               chosen), keys)

    def _prepare(self, title: str, job: TrainingJob, make: Make, keys: Iterable[int] | None) -> None:
        session, chosen = self._session, None if keys is None else list(keys)
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            session.noted.emit(tr("No model is ready yet."))
            return

        def done(_: Path) -> None:
            session.jobs.forget(preparing)
            self._begin()

        preparing = session.jobs.start(title, lambda: self._made(make, project, job, encoder, chosen), lambda _: None,
                                       done, session.failed.emit)

    def _made(self, make: Make, project: Project, job: TrainingJob, encoder: Encoder,
              chosen: list[int] | None) -> Work[Path]:
        """What is made for a job, once every model that it names has read its modality."""
        job = yield from project.encode_for(job, encoder, self._session.pool.executor,
                                            lambda: project.needed(job, chosen))
        return (yield from make(project, job, encoder, chosen))

    def importance(self, kept: KeptSweep, then: Callable[[dict[str, float]], None]) -> None:
        """How much each setting of a sweep mattered."""
        def work() -> dict[str, float]:
            from mmstudio.training import sweeping

            return sweeping.importance(kept.folder)

        self._session.pool.ask(work, then, self._session.failed.emit)

    def rehearse(self, job: TrainingJob, keys: Iterable[int] | None,
                 then: Callable[[Rehearsal | StudioError], None]) -> None:
        """A few steps that leave nothing, to tell how long it would take; the process is ended with its job."""
        session, chosen = self._session, None if keys is None else list(keys)
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            return

        def made(folder: Path) -> None:
            session.jobs.forget(preparing)
            self._trial = session.jobs.start(title, lambda: rehearsed(folder), lambda _: None, told, failed,
                                             session.maths)

        def told(found: Rehearsal) -> None:
            trial, self._trial = self._trial, None
            if trial is not None:
                session.jobs.forget(trial)
            then(found)

        def failed(error: StudioError) -> None:
            self._trial = None
            then(error)

        title = tr("Trying a run")
        preparing = self._trial = session.jobs.start(
            title, lambda: self._made(Project.make_rehearsal, project, job, encoder, chosen), lambda _: None, made,
            failed)
        self._stopped_trial = lambda: then(TrainingError(tr("The trial was stopped.")))

    def stop_trial(self) -> None:
        """Nobody waits any more for what a trial tells."""
        if self._trial is not None:
            self._trial.cancel()

    def _job_ended(self, job: Job) -> None:
        if job is self._trial and job.state is State.CANCELLED:
            self._trial = None
            self._stopped_trial()

    def wish(self, run: Run | KeptSweep, wanted: str) -> None:
        """Let a run or a sweep go on, pause, or stop."""
        def ask(runs: ModuleType) -> None:
            runs.wish(run.folder, wanted)
            if wanted == "run" and not runs.is_alive(run.folder):
                runs.start(run.folder)  # nothing where it is starting already

        self._background(ask, lambda _: self._begin())

    def _begin(self) -> None:
        self._timer.start()
        self.look()

    def say(self, run: Run, **said: str | bool) -> None:
        """Keep a run's ``name``, ``starred`` or ``note``."""
        project = self._session.project
        if project is not None:
            self._session.models.ask(lambda: project.say_of_run(run, **said), on_done=lambda _: self.look(),
                                     on_failed=self._session.failed.emit)

    def remove(self, some: Iterable[Run | KeptSweep]) -> None:
        """Delete runs and all that they learned, or sweeps, whose runs stay."""
        folders = [run.folder for run in some]

        def remove(runs: ModuleType) -> None:
            for folder in folders:
                runs.require_ended(folder)  # all of them, before one is gone
            for folder in folders:
                runs.remove(folder)

        def removed(_: object) -> None:
            if self._session.model in {f"{RUN}{folder.name}" for folder in folders}:
                self._session.choose_model(self._session.settings["model"])
            self.look()

        self._background(remove, removed)

    def choose_share(self, run: Run, share: float) -> None:
        """Let a run tell with weights between its start and its best."""
        def chosen(_: object) -> None:
            self.look()
            if self._session.model == f"{RUN}{run.folder.name}":
                self._session.choose_model(self._session.model)

        self._background(lambda runs: runs.choose_share(run.folder, share), chosen)

    def choose_thresholds(self, run: Run, fitted: bool) -> None:
        """Let a run decide at the thresholds that were fitted on validation, or at a half."""
        self._background(lambda runs: runs.choose_thresholds(run.folder, fitted), lambda _: self.look())

    def apply(self, run: Run, keys: Iterable[int] | None = None) -> None:
        """Write what a run tells of these items, or of all, into the library's columns; one that is paused, too."""
        session, chosen = self._session, None if keys is None else list(keys)
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            return
        samples = dict(session.samples)

        def work() -> Work[Fresh]:
            only = None if chosen is None else lambda: frozenset(
                i for key in chosen for i in (samples[-key].item_ids if -key in samples else (key,)))
            yield from project.encode_for(run.job, encoder, session.pool.executor, only)
            told = yield from project.predict(run.folder, encoder, chosen)
            return Fresh(tuple(project.some(told)))

        def done(found: Fresh) -> None:
            job.finish(tr("{} items are told of").format(count(len(found.items))), [])
            if project is session.project:
                session.take_in(found)
                session.noted.emit(tr("{} items have the column “predicted {}” now.").format(
                    count(len(found.items)), "caption" if run.job.task == "captioning" else run.job.target))

        job = session.jobs.start(tr("Predicting"), work, lambda _: None, done, session.failed.emit)

    def evaluate(self, runs: list[Run], then: Callable[[Evaluated | StudioError], None]) -> None:
        """What the pages of finished runs show, computed behind the window."""
        def work() -> Evaluated:
            from mmstudio.training.evaluation import comparison

            found = tuple(_evaluation(run.folder, run.state.started) for run in runs)
            try:
                return Evaluated(found, comparison(found[0], found[1]) if len(found) > 1 else "")
            except StudioError as error:
                return Evaluated(found, str(error))

        self._session.pool.ask(work, then, then)


def _looked(project: Project, followed: dict[str, Curve]) -> Seen:
    """Look, and start what has waited longest where nothing trains."""
    if not followed and not project.runs.exists() and not project.sweeps.exists():
        return Seen([], [], {}, frozenset())  # what reads them would be imported while the model is, which takes longer
    from mmstudio.training import runs
    from mmstudio.training.sweep import sweeps

    begun = runs.starting()  # before the states are read: one that says "running" only now did not end early
    swept = sweeps(project.sweeps)  # before their runs: where a sweep is done, what is read of its runs is final
    found = project.look_at_runs()
    status = {run.folder: run.state.status for run in found} | {kept.folder: kept.state.status for kept in swept}
    begun &= status.keys()
    starting = {folder for folder in begun if runs.is_starting(folder)}
    queue = sorted([(run.provenance.created, run.folder) for run in found if run.trial is None]
                   + [(kept.created, kept.folder) for kept in swept])
    waiting = [folder for _, folder in queue if status[folder] == "waiting" and folder not in begun]
    early = [folder for folder in waiting if runs.ended_early(folder)]
    for one in early:
        runs.fail(one, "The training ended before it began; its log.txt tells more.")
    waiting = [folder for folder in waiting if folder not in early]
    busy = begun or {"running", "paused"} & set(status.values())
    if waiting and not busy and not project.read_only:
        runs.start(waiting[0])
        starting.add(waiting[0])
    return Seen(found, swept, {name: curve.more() for name, curve in followed.items()},
                frozenset(folder.name for folder in starting if folder.parent == project.runs))


@lru_cache(maxsize=16)
def _evaluation(folder: Path, started: float) -> Evaluation:
    """Of a run that ``started`` then: who compares many runs asks for the same ones again and again."""
    from mmstudio.training import runs, told
    from mmstudio.training.evaluating import evaluated

    return evaluated(told.load(folder), runs.look(folder).job)
