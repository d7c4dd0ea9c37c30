"""The open project's training runs: made, started one after another, followed, paused, stopped and used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.text import count, tr
from mmstudio.errors import StudioError
from mmstudio.library import Fresh
from mmstudio.preparing import Target, targets
from mmstudio.progress import Work

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session
    from mmstudio.training.evaluation import Comparison, Evaluation
    from mmstudio.training.job import TrainingJob
    from mmstudio.training.runs import Curve, Run

LOOK_MS = 300
Line = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What one look at the runs found: all of them, and what came to the curves that are followed."""

    runs: list[Run]
    lines: dict[str, tuple[list[Line], bool]]
    starting: frozenset[str]


@dataclass(frozen=True)
class Evaluated:
    """A run's evaluation, another's beside it, and how they compare or why they cannot."""

    one: Evaluation
    other: Evaluation | None = None
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
        self._followed: dict[str, Curve] = {}
        self._looking, self._again, self._complained = False, False, ""
        self._starting: frozenset[str] = frozenset()
        self._generation = 0
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self.look)
        session.projectOpened.connect(self._opened)

    def run(self, name: str) -> Run | None:
        return next((run for run in self.runs if run.folder.name == name), None)

    @property
    def active(self) -> list[Run]:
        """Runs that train, pause or wait for their turn."""
        return [run for run in self.runs if run.state.status in ("waiting", "running", "paused")
                or self.is_starting(run)]

    def is_starting(self, run: Run) -> bool:
        """Whether its process loads what it needs."""
        return run.folder.name in self._starting

    # ---- looking ------------------------------------------------------------------------------------------------

    def _opened(self) -> None:
        self._generation += 1
        self.runs, self._followed, self._looking = [], {}, False
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
        folder, mine = project.runs, not project.read_only

        def look() -> Seen:
            from mmstudio.training import runs

            found = runs.runs(folder)
            starting = {run.folder.name for run in found if runs.is_starting(run.folder)}
            waiting = [run.folder for run in found if run.state.status == "waiting" and run.folder.name not in starting]
            early = [folder for folder in waiting if runs.ended_early(folder)]
            for one in early:
                runs.fail(one, "The training ended before it began; the run's log.txt tells more.")
            waiting = [folder for folder in waiting if folder not in early]
            busy = starting or any(run.state.status in ("running", "paused") for run in found)
            if mine and waiting and not busy:
                runs.start(waiting[-1])
                starting.add(waiting[-1].name)
            return Seen(found, {name: curve.more() for name, curve in followed.items()}, frozenset(starting))

        self._session.pool.ask(look, lambda seen: self._seen(generation, seen),
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
        changed = seen.runs != self.runs or seen.starting != self._starting
        self.runs, self._starting = seen.runs, seen.starting
        if changed:
            self.runsChanged.emit()
        for name, (lines, anew) in seen.lines.items():
            if (lines or anew) and name in self._followed:
                self.grew.emit(name, lines, anew)
        if self.active and not self._timer.isActive():
            self._timer.start()
        elif not self.active:
            self._timer.stop()
        if self._again:
            self.look()

    # ---- what a person wishes ---------------------------------------------------------------------------------

    def ask_targets(self, keys: frozenset[int], then: Callable[[list[Target]], None]) -> None:
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
        session, chosen = self._session, None if keys is None else list(keys)
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            session.noted.emit(tr("No model is ready yet."))
            return

        def done(_: Path) -> None:
            session.jobs.forget(preparing)
            self._begin()

        preparing = session.jobs.start(tr("Preparing a run"), lambda: project.make_run(job, encoder, chosen),
                                       lambda _: None, done, session.failed.emit)

    def wish(self, run: Run, wanted: str) -> None:
        """Let a run go on, pause, or stop."""
        def ask(runs: ModuleType) -> None:
            runs.wish(run.folder, wanted)
            if wanted == "run" and not runs.is_alive(run.folder):
                runs.start(run.folder)  # nothing where it is starting already

        self._background(ask, lambda _: self._begin())

    def _begin(self) -> None:
        self._timer.start()
        self.look()

    def remove(self, run: Run) -> None:
        """Delete a run and all that it learned."""
        self._background(lambda runs: runs.remove(run.folder), lambda _: self.look())

    def apply(self, run: Run) -> None:
        """Write what a run tells of every item into the library's columns."""
        session = self._session
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            return

        def work() -> Fresh:
            return Fresh(tuple(project.some(project.predict(run.folder, encoder))))

        def done(found: Fresh) -> None:
            if project is session.project:
                session.take_in(found)
                session.noted.emit(tr("{} items have the column “predicted {}” now.").format(
                    count(len(found.items)), run.job.target))

        session.models.ask(work, on_done=done, on_failed=session.failed.emit)

    def baselines(self, run: Run, then: Callable[[], None]) -> None:
        """Measure what is simple beside the run, on the same parts."""
        session = self._session

        def work() -> Work[dict[str, float]]:
            from mmstudio.training import baselines

            return (yield from baselines.beside(run.folder))

        def done(told: dict[str, float]) -> None:
            job.finish(", ".join(f"{name} {value:.3f}" for name, value in told.items()), [])
            self.look()
            then()

        job = session.jobs.start(tr("Baselines"), work, lambda _: None, done, session.failed.emit, session.maths)

    def evaluate(self, runs: list[Run], then: Callable[[Evaluated | StudioError], None]) -> None:
        """What the page of a finished run shows, or of two that are compared, computed behind the window."""
        def work() -> Evaluated:
            from mmstudio.training import evaluation

            found = [evaluation.evaluated(evaluation.load(run.folder), run.job) for run in runs]
            if len(found) < 2:
                return Evaluated(found[0])
            try:
                return Evaluated(found[0], found[1], evaluation.comparison(found[0], found[1]))
            except StudioError as error:
                return Evaluated(found[0], found[1], str(error))

        self._session.pool.ask(work, then, then)
