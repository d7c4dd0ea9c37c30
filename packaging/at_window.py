"""What scripts share that use the studio in its real window as a person does: a home of their own, waiting, opening,
asking, and pictures of what is seen. They need a display (Xvfb will do).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ["MMSTUDIO_HOME"] = tempfile.mkdtemp(prefix="mmstudio-pictures-")

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from mmstudio import settings
from mmstudio.desktop.session import Session
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.window import MainWindow

PATIENCE = 180.0
"""Seconds."""


def wait(until: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Run the event loop until something is true. Raises TimeoutError."""
    loop, deadline, poll = QEventLoop(), QTimer(singleShot=True), QTimer(interval=30)
    deadline.timeout.connect(loop.quit)
    poll.timeout.connect(lambda: loop.quit() if until() else None)
    deadline.start(int(seconds * 1000))
    poll.start()
    loop.exec()
    if not until():
        raise TimeoutError("the window did not get there")


def rest(seconds: float) -> None:
    """Let the window finish moving."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


class Studio:
    """The window without a project, and what a person does there."""

    def __init__(self, width: int, height: int) -> None:
        sys.setswitchinterval(0.001)  # as the studio has it
        self.application = QApplication(["mmstudio"])
        self.application.setStyle("Fusion")
        chosen, _ = settings.load()
        THEME.apply("dark")
        self.session = Session(chosen)
        self.window = MainWindow(self.session)
        self.window.resize(width, height)
        self.window.show()

    def start(self, project: Path) -> None:
        """Open a project, and wait for the model."""
        self.session.start(project)
        wait(lambda: self.session.encoder is not None and self.session.project is not None)

    def act(self, name: str) -> None:
        """Do what a menu item does."""
        self.window.actions_.by_id[name].trigger()

    def item(self, stem: str) -> int:
        """The first item whose file is called so."""
        return next(i.id for i in self.session.items.values() if i.path.stem == stem and not i.part)

    def open(self, key: int) -> None:
        """Open an item in the inspector, and wait until it is explained."""
        got: list[object] = []
        self.session.explained.connect(got.append)
        self.window._open(key)
        wait(lambda: got)
        self.session.explained.disconnect(got.append)
        rest(0.5)

    def ask(self, words: str) -> None:
        """Search with words."""
        self.window.search.setText(words)
        self.window._ask_words()
        wait(lambda: self.session.answer is not None and self.session.answer.title == words)

    def map_is_done(self) -> bool:
        """Whether nothing will change on the map by itself."""
        layout = self.session.layout
        return layout is not None and layout.final and not self.session.jobs.running

    def grab(self, file: Path, theme: str, shown: QWidget | None = None) -> None:
        """A picture of the window, or of a widget over it, in a theme."""
        THEME.apply(theme)
        rest(0.8)
        file.parent.mkdir(parents=True, exist_ok=True)
        (shown or self.window).grab().save(str(file))
