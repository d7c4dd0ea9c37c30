"""A real window on the real core and the starter model; no widget may outlive its test."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mmstudio import paths
from mmstudio.desktop.session import Session
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.settings import Settings


@pytest.fixture
def window(qtbot: QtBot, home: Path) -> Iterator[MainWindow]:
    """The main window with an empty project and without a model."""
    THEME.apply("dark")
    session = Session(Settings(file=paths.settings_file()))
    made = MainWindow(session)
    made.resize(1280, 800)
    made.show()
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(paths.default_project())
    yield made
    made._may_stop = lambda: True  # type: ignore[method-assign]
    made.close()
    made.deleteLater()
    QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    QApplication.processEvents()
    gc.collect()


@pytest.fixture
def use(window: MainWindow, qtbot: QtBot) -> Callable[[Encoder], None]:
    """Give the window an encoder that is loaded already."""

    def give(encoder: Encoder) -> None:
        session = window.session
        session.encoder = encoder
        session.encoderChanged.emit()
        session.encode()

    return give


@pytest.fixture
def settled(window: MainWindow, qtbot: QtBot) -> Callable[[], None]:
    """Wait until jobs have ended and the final map is drawn."""

    def wait() -> None:
        session = window.session
        qtbot.waitUntil(lambda: not session.jobs.running and session.layout is not None and session.layout.final
                        and session.view is not None and len(session.layout.keys) == len(session.view),
                        timeout=60_000)

    return wait
