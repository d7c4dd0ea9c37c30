"""Threads, and only here: serial lanes for long work, a pool for decoding and previews.

A thread calls nothing of Qt but ``Post`` and what only moves pixels: whatever makes, connects or destroys a QObject, as
Qt's reading of a picture does, takes Qt's locks while it holds the interpreter's, and the GUI thread takes them the
other way round.

Work is a generator. A lane steps one at a time: a question (a search, an explanation) goes first, long jobs take
turns, a paused job is not stepped, a cancelled one is closed where it stands. All answers arrive on the GUI thread.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from mmstudio.errors import StudioError
from mmstudio.progress import Progress, Work

TOLD_EVERY_SECONDS = 0.05
GARBAGE_EVERY_MS = 100
Callback = Callable[[Any], None]


class State(Enum):
    """Where a piece of work stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Ticket:
    """One piece of work given to a lane."""

    def __init__(self, lane: Lane, factory: Callable[[], Work[Any]], urgent: bool) -> None:
        self._lane = lane
        self.factory = factory
        self.urgent = urgent
        self.work: Generator[Progress, None, Any] | None = None
        self.state = State.WAITING
        self.on_step: Callback | None = None
        self.on_done: Callback | None = None
        self.on_failed: Callback | None = None
        self.told = 0.0

    @property
    def ended(self) -> bool:
        return self.state in (State.DONE, State.CANCELLED, State.FAILED)

    def let_go(self) -> None:
        """Forget whom to tell, on the GUI thread: they may be widgets, which no other thread may be last to hold."""
        self.on_step = self.on_done = self.on_failed = None

    def pause(self) -> None:
        """Do not step any further until resumed."""
        self._lane.change(self, State.PAUSED)

    def resume(self) -> None:
        self._lane.change(self, State.WAITING)

    def cancel(self) -> None:
        """Close the work where it stands; what it committed is kept. Its callbacks are not called any more."""
        self._lane.change(self, State.CANCELLED)


class Post(QObject):
    """Brings calls of any thread to the GUI thread, in their order.

    The signal carries nothing. Qt copies what a queued signal carries under a lock that unrelated objects share, and
    copying one of Python's waits for the interpreter's lock; whoever has the one and wants the other waits for ever.
    """

    _arrived = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def __call__(self, call: Callable[..., None], *arguments: Any) -> None:
        self._calls.append((call, arguments))
        self._arrived.emit()

    @Slot()
    def _deliver(self) -> None:
        call, arguments = self._calls.popleft()
        call(*arguments)


class Lane(QObject):
    """One thread that does its work in steps."""

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._post = Post(self)
        self._tickets: list[Ticket] = []
        self._turn = itertools.count()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def run(
        self, factory: Callable[[], Work[Any]], *, on_step: Callback | None = None, on_done: Callback | None = None,
        on_failed: Callback | None = None, urgent: bool = False,
    ) -> Ticket:
        """Give the lane a generator to make and step."""
        ticket = Ticket(self, factory, urgent)
        ticket.on_step, ticket.on_done, ticket.on_failed = on_step, on_done, on_failed
        with self._wake:
            self._tickets.append(ticket)
            self._wake.notify()
        return ticket

    def ask(
        self, question: Callable[[], Any], *, on_done: Callback | None = None, on_failed: Callback | None = None,
    ) -> Ticket:
        """Give the lane one function that goes before all long work."""
        def once() -> Work[Any]:
            return question()
            yield  # a generator that is done at its first step

        return self.run(once, on_done=on_done, on_failed=on_failed, urgent=True)

    def change(self, ticket: Ticket, state: State) -> None:
        """Pause, resume or cancel from the GUI thread."""
        with self._wake:
            if ticket.ended or (state is State.WAITING and ticket.state is not State.PAUSED):
                return
            ticket.state = state
            self._wake.notify()

    def drain(self, seconds: float) -> None:
        """Wait until what was asked before is answered, as long as no step takes longer than ``seconds``."""
        answered = threading.Event()
        self.ask(answered.set)
        answered.wait(seconds)

    def stop(self, seconds: float = 5.0) -> bool:
        """Close all work and end the thread; False where one step took longer than ``seconds``."""
        with self._wake:
            self._stopping = True
            for ticket in self._tickets:
                ticket.state = State.CANCELLED
            self._wake.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        lower_priority()
        while True:
            with self._wake:
                while not (ready := self._ready()) and not self._stopping:
                    self._wake.wait()
                if not ready:
                    return
                ticket = ready
            self._step(ticket)

    def _ready(self) -> Ticket | None:
        """The next ticket to step: cancelled ones to close, then questions in order, then jobs in turn."""
        cancelled = next((t for t in self._tickets if t.state is State.CANCELLED), None)
        question = next((t for t in self._tickets if t.urgent and t.state is not State.PAUSED), None)
        if cancelled or question:
            return cancelled or question
        jobs = [t for t in self._tickets if t.state is not State.PAUSED]
        return jobs[next(self._turn) % len(jobs)] if jobs else None

    def _step(self, ticket: Ticket) -> None:
        try:
            if ticket.state is State.CANCELLED:
                self._forget(ticket)
                self._post(ticket.let_go)
                if ticket.work is not None:
                    ticket.work.close()
                return
            if ticket.work is None:
                with self._wake:
                    if ticket.state is State.WAITING:
                        ticket.state = State.RUNNING
                ticket.work = ticket.factory()
            self._tell(ticket, next(ticket.work))
        except StopIteration as stop:
            self._end(ticket, State.DONE, stop.value)
        except StudioError as error:
            self._end(ticket, State.FAILED, error)
        except BaseException as error:  # noqa: BLE001 - the lane lives on; a Rust panic is no Exception
            self._end(ticket, State.FAILED, unexpected(error))

    def _tell(self, ticket: Ticket, progress: Progress) -> None:
        now = time.monotonic()
        if ticket.on_step and (progress.fresh is not None or now - ticket.told > TOLD_EVERY_SECONDS):
            ticket.told = now
            self._post(self._tell_step, ticket, progress)

    def _end(self, ticket: Ticket, state: State, value: Any) -> None:
        self._forget(ticket)
        with self._wake:
            if ticket.state is not State.CANCELLED:
                ticket.state = state
        self._post(self._tell_end, ticket, value)

    def _forget(self, ticket: Ticket) -> None:
        with self._wake:
            if ticket in self._tickets:
                self._tickets.remove(ticket)

    def _tell_step(self, ticket: Ticket, progress: Progress) -> None:
        if ticket.on_step and ticket.state is not State.CANCELLED and not self._stopping:
            ticket.on_step(progress)

    def _tell_end(self, ticket: Ticket, value: Any) -> None:
        callback = {State.DONE: ticket.on_done, State.FAILED: ticket.on_failed}.get(ticket.state)
        ticket.let_go()
        if callback and not self._stopping:
            callback(value)


class Pool(QObject):
    """Threads for short independent tasks whose answers arrive on the GUI thread.

    ``executor`` decodes for long jobs; questions have threads of their own, so that they never wait behind it.
    """

    def __init__(self, threads: int = 0, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._post = Post(self)
        self.executor = ThreadPoolExecutor(
            threads or max(2, (os.cpu_count() or 2)), "pool", initializer=lower_priority)
        self._questions = ThreadPoolExecutor(2, "questions", initializer=lower_priority)
        self._asked: dict[int, tuple[Callback, Callback | None]] = {}  # here, so that no thread holds whom to tell
        self._numbers = itertools.count()
        self._stopping = False

    def ask(self, question: Callable[[], Any], on_done: Callback, on_failed: Callback | None = None) -> None:
        """Run a function in the pool."""
        number = next(self._numbers)

        def task() -> None:
            try:
                well, value = True, question()
            except StudioError as error:
                well, value = False, error
            except BaseException as error:  # noqa: BLE001 - see Lane
                well, value = False, unexpected(error)
            self._post(self._delivered, number, well, value)

        if not self._stopping:
            self._asked[number] = on_done, on_failed
            self._questions.submit(task)

    def _delivered(self, number: int, well: bool, value: Any) -> None:
        on_done, on_failed = self._asked.pop(number)
        callback = on_done if well else on_failed
        if callback and not self._stopping:
            callback(value)

    def stop(self) -> None:
        """Answer nothing more, and wait for the tasks that run."""
        self._stopping = True
        for executor in (self.executor, self._questions):
            executor.shutdown(wait=True, cancel_futures=True)


class Garbage(QObject):
    """Python's garbage is collected in the GUI thread alone, because there may be QObjects in it.

    While ``resting`` it lies: an import makes a million objects, among which there is none, and looking through them
    again and again made torch's half a second longer.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self.resting = False
        self._timer = QTimer(self, interval=GARBAGE_EVERY_MS)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def _collect(self) -> None:
        """As the interpreter would by itself: the young often, the old seldom."""
        if self.resting:
            return
        young, middle, old = gc.get_count()
        many, some, _ = gc.get_threshold()
        if young > many:
            gc.collect(0 if middle <= some else 1 if old <= some else 2)

    def stop(self) -> None:
        """Leave it to the interpreter again."""
        self._timer.stop()
        gc.enable()


def unexpected(error: BaseException) -> StudioError:
    """A programming error or a foreign one that nobody translated, with its traceback for “Details”."""
    shown = StudioError(f"Something unexpected happened ({type(error).__name__}: {error}).",
                        hint="What was saved before is safe.")
    shown.details = "".join(traceback.format_exception(error))  # type: ignore[attr-defined]
    shown.__cause__ = error
    return shown


def lower_priority() -> None:
    """Let this thread, and those it starts, yield to the GUI thread (Linux: niceness is per thread)."""
    if sys.platform.startswith("linux"):
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        except OSError:
            pass
