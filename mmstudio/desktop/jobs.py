"""Long jobs as a person follows them: progress, rate, time left, pause, cancel, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from mmstudio.desktop.text import count, duration, tr
from mmstudio.desktop.worker import Lane, State, Ticket
from mmstudio.errors import StudioError
from mmstudio.progress import Progress, Work

KEPT_JOBS = 30


class Job(QObject):
    """One long job. ``changed`` whenever its line should be drawn again."""

    changed = Signal()

    def __init__(self, title: str, parent: QObject, unit: Callable[[int], str] = count) -> None:
        super().__init__(parent)
        self.title = title
        self._unit = unit
        self.progress = Progress(0, 0)
        self.outcome = ""
        self.problems: list[tuple[Path, str]] = []
        self.error: StudioError | None = None
        self.ticket: Ticket | None = None
        self._started = time.monotonic()
        self._paused_at: float | None = None

    @property
    def state(self) -> State:
        return self.ticket.state if self.ticket else State.WAITING

    def line(self) -> str:
        """“312 / 2,000 · 41 / s · 41 s left · beach.jpg”"""
        if self.outcome:
            return self.outcome
        if self.error:
            return str(self.error)
        if self.state is State.CANCELLED:
            return tr("Cancelled; what was done is kept")
        done, total = self.progress.done, self.progress.total
        parts = [f"{self._unit(done)} / {self._unit(total)}"] if total else []
        if self.state is State.PAUSED:
            parts.append(tr("paused"))
        elif done and total:
            rate = done / max(time.monotonic() - self._started, 1e-3)
            told = f"{rate:.1f}" if rate < 10 else self._unit(round(rate))
            parts += [tr("{} / s").format(told),
                      tr("{} left").format(duration((total - done) / rate))]
        return " · ".join([*parts, self.progress.text] if self.progress.text else parts)

    def finish(self, outcome: str, problems: list[tuple[Path, str]]) -> None:
        """Say what came of it."""
        self.outcome, self.problems = outcome, problems
        self.changed.emit()

    def pause(self) -> None:
        if self.ticket and not self.ticket.ended and self._paused_at is None:
            self._paused_at = time.monotonic()
            self.ticket.pause()
            self.changed.emit()

    def resume(self) -> None:
        if self.ticket and self._paused_at is not None:
            self._started += time.monotonic() - self._paused_at
            self._paused_at = None
            self.ticket.resume()
            self.changed.emit()

    def cancel(self) -> None:
        if self.ticket:
            self.ticket.cancel()
            self.changed.emit()


class Jobs(QObject):
    """All jobs of this session, newest last."""

    added = Signal(object)
    changed = Signal(object)
    ended = Signal(object)
    forgotten = Signal(object)

    def __init__(self, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self.all: list[Job] = []

    @property
    def running(self) -> list[Job]:
        """Jobs that have not ended."""
        return [job for job in self.all if job.ticket and not job.ticket.ended]

    def has(self, title: str) -> bool:
        """Whether a job of that title has not ended yet."""
        return any(job.title == title for job in self.running)

    def forget(self, job: Job) -> None:
        """Take a job off the list that turned out to have nothing to do."""
        if job in self.all:
            self.all.remove(job)
            self.forgotten.emit(job)

    def start(
        self, title: str, work: Callable[[], Work[Any]], on_step: Callable[[Progress], None],
        on_done: Callable[[Any], None], on_failed: Callable[[StudioError], None], lane: Lane | None = None,
        unit: Callable[[int], str] = count,
    ) -> Job:
        """Run long work as a job on the models' lane or another; ``on_done`` calls its ``finish``. ``unit`` writes the
        amounts of its progress.
        """
        job = Job(title, self, unit)

        def step(progress: Progress) -> None:
            job.progress = progress
            on_step(progress)
            job.changed.emit()

        def done(outcome: Any) -> None:
            try:
                on_done(outcome)
            finally:
                self.ended.emit(job)

        def failed(error: StudioError) -> None:
            job.error = error
            job.changed.emit()
            on_failed(error)
            self.ended.emit(job)

        job.changed.connect(lambda: self._job_changed(job))
        job.ticket = (lane or self._lane).run(work, on_step=step, on_done=done, on_failed=failed)
        self.all.append(job)
        ended = [j for j in self.all if j.ticket and j.ticket.ended]
        for old in ended[: max(0, len(self.all) - KEPT_JOBS)]:
            self.forget(old)
        self.added.emit(job)
        return job

    def _job_changed(self, job: Job) -> None:
        self.changed.emit(job)
        if job.state is State.CANCELLED:
            self.ended.emit(job)
