"""The library of a million items in the real window: frames while it is scrolled, and stalls while much is selected.

    python tests/bench/bench_scrolling.py [--items 1000000] [--folder WHERE | --project FOLDER]

Bars: 95 of 100 frames within 16.7 ms, no stall of the window over 50 ms.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from bench_library import make

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["MMSTUDIO_HOME"] = tempfile.mkdtemp()

from PySide6.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from mmstudio.desktop.session import Session
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.window import MainWindow
from mmstudio.settings import Settings

FRAMES = 300


class Stalls:
    """How much later than it should a 5-ms timer is called."""

    def __init__(self) -> None:
        self._last, self._worst = time.perf_counter(), 0.0
        self._timer = QTimer(interval=5, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self._worst, self._last = max(self._worst, now - self._last), now

    @contextmanager
    def told(self, title: str, until: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Print the longest stall of what is done inside and of what follows ``until`` something holds."""
        wait(0.3)
        self._worst, self._last = 0.0, time.perf_counter()
        start = self._last
        yield
        done = time.perf_counter() - start
        while not until():
            wait(0.01)
        took = time.perf_counter() - start
        wait(0.5)
        print(f"{title:44} call {1e3 * done:7.1f} ms, longest stall {1e3 * self._worst:7.1f} ms, all {took:5.2f} s")


def wait(seconds: float) -> None:
    """Let the window run, which sleeps where it has nothing to do."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def frames(title: str, move: Callable[[int], None], window: MainWindow) -> None:
    """Print how long it takes from a move to the painted frame."""
    times = []
    for number in range(FRAMES):
        start = time.perf_counter()
        move(number)
        window.library.list.viewport().repaint()
        QApplication.processEvents()
        times.append(1e3 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times, [50, 95])
    print(f"{title:44} p50 {p50:6.1f} ms, p95 {p95:6.1f} ms (bar 16.7), worst {max(times):6.1f} ms (bar 50)")


def scrolling(window: MainWindow, title: str) -> None:
    view, bar = window.library.list, window.library.list.verticalScrollBar()
    rng = np.random.default_rng(0)
    at = QPointF(view.viewport().rect().center())

    def wheel(_: int) -> None:
        event = QWheelEvent(at, view.viewport().mapToGlobal(at), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
                            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
        QApplication.sendEvent(view.viewport(), event)

    def drag(number: int) -> None:
        bar.setValue(int(bar.maximum() * number / FRAMES))

    def leap(_: int) -> None:
        bar.setValue(int(rng.integers(0, bar.maximum())))

    for name, move in (("wheel", wheel), ("dragged scroll bar", drag), ("leaps", leap)):
        frames(f"{title}, {name}", move, window)


def measure(project: Path) -> None:
    application = QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    sys.setswitchinterval(0.001)  # as the studio has it
    THEME.apply("dark")
    session = Session(Settings())
    window = MainWindow(session)
    window.resize(1440, 900)
    window.show()
    wait(1)
    stalls, panel = Stalls(), window.library
    with stalls.told("open", lambda: panel.items.rowCount() > 0):
        session.open_project(project)
    count = len(session.items)
    with stalls.told("settle"):
        wait(3)
    with stalls.told("select all", lambda: len(session.selection) == count):
        panel.list.selectAll()
    with stalls.told("select nothing", lambda: not session.selection):
        session.select([])
    asked = panel.items.filter
    third = session.items.ids()[1::3]
    with stalls.told("select every third", lambda: len(session.selection) == len(third)):
        session.select(third)
    scrolling(window, "grid, every third selected")
    with stalls.told("is:selected", lambda: panel.items.rowCount() == len(third)):
        panel.line.setText("is:selected")
    with stalls.told("no filter", lambda: panel.items.rowCount() == count and not asked.waits):
        panel.line.setText("")
    with stalls.told("tag a third", lambda: "new" in session.items[int(third[-1])].tags):
        session.tag(session.selection, "new")
    with stalls.told("undo", lambda: "new" not in session.items[int(third[-1])].tags):
        session.undo()
    with stalls.told("remove ten", lambda: len(session.items) == count - 10):
        session.remove(third[:10])
    with stalls.told("undo", lambda: len(session.items) == count):
        session.undo()
    session.select([])
    with stalls.told("resize"):
        window.resize(1300, 860)
    scrolling(window, "grid")
    with stalls.told("as a list"):
        panel._as_list.setChecked(True)
    scrolling(window, "list")
    session.close()


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--items", type=int, default=1_000_000)
    asked.add_argument("--folder", type=Path, help="where to put 5 GB for a while")
    asked.add_argument("--project", type=Path, help="one that is there")
    told = asked.parse_args()
    folder = Path(tempfile.mkdtemp(dir=told.folder))
    try:
        if not told.project:
            make(folder / "million", told.items)
        measure(told.project or folder / "million")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
