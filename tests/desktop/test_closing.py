"""Closing the window while work runs: asked once; finish it first, stop it, or stay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow
from mmstudio.progress import Progress, Work


@pytest.fixture
def work(window: MainWindow) -> Iterator[Callable[[], None]]:
    """A job that runs until the returned function is called."""
    ended = threading.Event()

    def steps() -> Work[None]:
        done = 0
        while not ended.wait(0.02):
            done += 1
            yield Progress(done, 0)

    job = window.session.jobs.start("Long work", steps, lambda _: None, lambda _: job.finish("done", []),
                                    lambda _: None)
    yield ended.set
    ended.set()


def _asked(window: MainWindow) -> QMessageBox:
    window.close()
    assert window.isVisible()
    box = window._closing
    assert box is not None
    return box


def _press(box: QMessageBox, words: str) -> None:
    next(b for b in box.buttons() if words in b.text()).click()


def test_staying_leaves_window_and_work_as_they_were(
    window: MainWindow, work: Callable[[], None], qtbot: QtBot,
) -> None:
    _press(_asked(window), "Stay")
    qtbot.waitUntil(lambda: window._closing is None)
    assert window.isVisible()
    assert window.session.jobs.running
    _asked(window)  # and it asks again the next time


def test_stopping_closes_at_once(window: MainWindow, work: Callable[[], None], qtbot: QtBot) -> None:
    _press(_asked(window), "Stop")
    qtbot.waitUntil(lambda: not window.isVisible())
    assert not window.session.jobs.running


def test_finishing_first_closes_when_the_work_is_done(
    window: MainWindow, work: Callable[[], None], qtbot: QtBot,
) -> None:
    _press(_asked(window), "Finish")
    qtbot.waitUntil(window.isMinimized)
    assert window.session.jobs.running
    work()
    qtbot.waitUntil(lambda: not window.isVisible())


def test_bringing_the_window_back_keeps_it_open(window: MainWindow, work: Callable[[], None], qtbot: QtBot) -> None:
    _press(_asked(window), "Finish")
    qtbot.waitUntil(window.isMinimized)
    window.setWindowState(Qt.WindowState.WindowNoState)
    work()
    qtbot.waitUntil(lambda: not window.session.jobs.running)
    qtbot.waitUntil(lambda: not window._close_when_done)
    assert window.isVisible()


def test_work_that_ends_before_the_answer_makes_the_question_void(
    window: MainWindow, work: Callable[[], None], qtbot: QtBot,
) -> None:
    _asked(window)
    work()
    qtbot.waitUntil(lambda: not window.isVisible())
