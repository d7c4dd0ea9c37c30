"""Lanes: questions first, pause, cancel, errors, and everything arrives on the GUI thread."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QMetaMethod
from pytestqt.qtbot import QtBot

from mmstudio.desktop.worker import Garbage, Lane, Pool, Post, State
from mmstudio.errors import StudioError, UnreadableMedia
from mmstudio.progress import Progress, Work


@pytest.fixture
def lane(qtbot: QtBot) -> Iterator[Lane]:
    made = Lane("test")
    yield made
    assert made.stop()


def _counting(until: int, seen: list[str] | None = None) -> Work[str]:
    try:
        for number in range(until):
            yield Progress(number, until, fresh=number)
        return "done"
    finally:
        if seen is not None:
            seen.append("closed")


def test_work_is_stepped_off_the_gui_thread_and_answers_on_it(lane: Lane, qtbot: QtBot) -> None:
    threads, steps, outcome = [], [], []

    def work() -> Work[str]:
        threads.append(threading.current_thread())
        return (yield from _counting(5))

    lane.run(work, on_step=lambda p: steps.append((p.done, threading.current_thread())), on_done=outcome.append)
    qtbot.waitUntil(lambda: bool(outcome))
    assert threads[0] is not threading.main_thread()
    assert steps == [(n, threading.main_thread()) for n in range(5)]
    assert outcome == ["done"]


def test_a_question_goes_before_a_long_job(lane: Lane, qtbot: QtBot) -> None:
    order: list[str] = []
    job = lane.run(lambda: _counting(10_000_000))
    qtbot.waitUntil(lambda: job.state is State.RUNNING)
    lane.ask(lambda: 42, on_done=lambda value: order.append(f"answer {value}"))
    qtbot.waitUntil(lambda: bool(order), timeout=2000)
    assert not job.ended
    job.cancel()


def test_two_jobs_take_turns(lane: Lane, qtbot: QtBot) -> None:
    ends: list[str] = []
    long = lane.run(lambda: _counting(10_000_000))
    lane.run(lambda: _counting(20), on_done=lambda _: ends.append("short"))
    qtbot.waitUntil(lambda: ends == ["short"])
    assert not long.ended
    long.cancel()


def test_a_paused_job_stands_still_and_goes_on(lane: Lane, qtbot: QtBot) -> None:
    steps: list[int] = []
    gate = threading.Event()

    def work() -> Work[str]:
        yield Progress(0, 3, fresh=0)
        gate.wait(5)
        yield Progress(1, 3, fresh=1)
        yield Progress(2, 3, fresh=2)
        return "done"

    outcome: list[str] = []
    job = lane.run(work, on_step=lambda p: steps.append(p.done), on_done=outcome.append)
    qtbot.waitUntil(lambda: steps == [0])
    job.pause()
    gate.set()
    answered: list[int] = []
    for _ in range(20):
        lane.ask(lambda: 1, on_done=answered.append)
    qtbot.waitUntil(lambda: len(answered) == 20)
    assert steps in ([0], [0, 1])
    assert job.state is State.PAUSED
    job.resume()
    qtbot.waitUntil(lambda: outcome == ["done"])


def test_a_cancelled_job_is_closed_where_it_stands_and_tells_nothing_more(lane: Lane, qtbot: QtBot) -> None:
    seen: list[str] = []
    told: list[object] = []
    job = lane.run(lambda: _counting(10_000_000, seen), on_done=told.append, on_failed=told.append)
    qtbot.waitUntil(lambda: job.state is State.RUNNING)
    job.cancel()
    qtbot.waitUntil(lambda: seen == ["closed"])
    assert told == []
    assert job.state is State.CANCELLED


def test_errors_arrive_as_studio_errors_with_details_for_unexpected_ones(lane: Lane, qtbot: QtBot) -> None:
    failed: list[StudioError] = []

    def broken() -> Work[None]:
        raise UnreadableMedia("The file is empty.")
        yield

    lane.run(broken, on_failed=failed.append)
    lane.ask(lambda: 1 / 0, on_failed=failed.append)
    qtbot.waitUntil(lambda: len(failed) == 2)
    by_type = {type(error): error for error in failed}
    assert by_type[UnreadableMedia].what == "The file is empty."
    assert "ZeroDivisionError" in by_type[StudioError].details  # type: ignore[attr-defined]


def test_the_pool_answers_on_the_gui_thread(qtbot: QtBot) -> None:
    pool = Pool()
    got: list[object] = []
    pool.ask(lambda: 7, lambda value: got.append((value, threading.current_thread())))
    pool.ask(lambda: 1 / 0, got.append, lambda error: got.append(type(error)))
    qtbot.waitUntil(lambda: len(got) == 2)
    assert set(got) == {(7, threading.main_thread()), StudioError}
    pool.stop()


class Widget:
    """Stands for a widget that only a callback still holds."""

    def __init__(self) -> None:
        self.itself = self  # a cycle, as widgets are part of

    def done(self, value: object) -> None:
        pass


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "asked of the pool"])
def test_what_callbacks_hold_dies_on_the_gui_thread(lane: Lane, qtbot: QtBot, end: str) -> None:
    pool, died = Pool(1), []
    widget = Widget()
    del widget.itself
    weakref.finalize(widget, lambda: died.append(threading.current_thread()))
    if end == "asked of the pool":
        pool.ask(lambda: 1, widget.done)
    elif end == "failed":
        lane.ask(lambda: 1 // 0, on_done=widget.done, on_failed=widget.done)
    elif end == "cancelled":
        lane.run(lambda: _counting(10_000_000), on_step=widget.done, on_done=widget.done).cancel()
    else:
        lane.run(lambda: _counting(3), on_step=widget.done, on_done=widget.done)
    del widget
    qtbot.waitUntil(lambda: bool(died))
    pool.stop()
    assert died == [threading.main_thread()]


def test_garbage_is_collected_on_the_gui_thread_whoever_makes_it(lane: Lane, qtbot: QtBot) -> None:
    garbage, died = Garbage(), []

    def littering() -> Work[int]:
        for number in range(300):
            litter = Widget()
            weakref.finalize(litter, lambda: died.append(threading.current_thread()))
            kept = [[] for _ in range(100)]
            yield Progress(number, len(kept))
        return 0

    try:
        assert not gc.isenabled()
        lane.run(littering)
        qtbot.waitUntil(lambda: len(died) > 200, timeout=10_000)
    finally:
        garbage.stop()
    assert gc.isenabled()
    assert set(died) == {threading.main_thread()}


def test_nothing_of_python_travels_in_a_queued_signal() -> None:
    signals = [Post.staticMetaObject.method(i) for i in range(Post.staticMetaObject.methodOffset(),
                                                              Post.staticMetaObject.methodCount())]
    assert [bytes(s.methodSignature().data()) for s in signals if s.methodType() is QMetaMethod.MethodType.Signal] == [
        b"_arrived()"]
