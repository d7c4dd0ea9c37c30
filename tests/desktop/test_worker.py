"""Lanes: questions first, pause, cancel, errors, and everything arrives on the GUI thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.worker import Lane, Pool, State
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
