"""A real window under a real window manager: the studio as a process, files dragged onto it with the mouse.

Needs Xvfb, openbox and xdotool; skipped, with that reason, where they are missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmstudio.encoders import load_encoder
from mmstudio.errors import ProjectError
from mmstudio.project import Project

PROGRAMS = ("Xvfb", "openbox", "xdotool")
pytestmark = pytest.mark.skipif(
    any(shutil.which(p) is None for p in PROGRAMS), reason=f"needs {', '.join(PROGRAMS)}")

SOURCE = """
import sys
from PySide6.QtCore import QMimeData, QUrl
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QLabel

class Source(QLabel):
    def mousePressEvent(self, event):
        drag, mime = QDrag(self), QMimeData()
        mime.setUrls([QUrl.fromLocalFile(name) for name in sys.argv[1:]])
        drag.setMimeData(mime)
        drag.exec()

app = QApplication([])
source = Source("drag me")
source.setWindowTitle("drag source")
source.setGeometry(20, 700, 200, 80)
source.show()
app.exec()
"""


def _until(true: Callable[[], object], seconds: float = 60) -> object:
    """Poll until something is true; the processes watched here have no signals to wait on."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        subprocess.run(["sleep", "0.1"], check=True)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An X server with a window manager, and the environment for programs on it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"], pass_fds=(write,),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    environment = {**os.environ, "DISPLAY": f":{number}", "XDG_RUNTIME_DIR": str(runtime), "QT_QPA_PLATFORM": "xcb",
                   "MMSTUDIO_HOME": str(tmp_path / "studio")}
    manager = subprocess.Popen(["openbox"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield environment
    for process in (manager, server):
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _xdotool(environment: dict[str, str], *arguments: object) -> str:
    return subprocess.run(["xdotool", *map(str, arguments)], env=environment, capture_output=True, text=True,
                          timeout=30).stdout.strip()


def _window(environment: dict[str, str], title: str) -> str:
    return str(_until(lambda: _xdotool(environment, "search", "--onlyvisible", "--name", title))).splitlines()[0]


def _drag(environment: dict[str, str], start: tuple[int, int], end: tuple[int, int]) -> None:
    """Press, ten moves, a rest, release: as slow as a hand, so that the XDND protocol can follow."""
    _xdotool(environment, "mousemove", *start, "mousedown", 1)
    for step in range(1, 11):
        _xdotool(environment, "mousemove", *(round(a + (b - a) * step / 10) for a, b in zip(start, end, strict=True)),
                 "sleep", 0.05)
    _xdotool(environment, "sleep", 0.4, "mouseup", 1)


def _drag_until(environment: dict[str, str], dropped: Callable[[], object]) -> None:
    """Drag again where the machine was too busy to follow the hand; what was dropped twice is added once."""
    for seconds in (15, 30, 60):
        _drag(environment, (120, 740), (650, 300))
        try:
            _until(dropped, seconds)
            return
        except AssertionError:
            continue
    raise AssertionError("three drags arrived nowhere")


def _stored(home: str) -> tuple[list[str], int]:
    """The names of the items and the number of vectors that are on the disk; the studio has the project open."""
    try:
        project = Project.open(Path(home) / "projects" / "My project", read_only=True, create=False)
        encoder = load_encoder("starter", "cpu")
        return [item.path.name for item in project.items().values()], len(project.vectors(encoder))
    except ProjectError:
        return [], 0


def test_files_dragged_with_the_mouse_become_items_with_vectors_and_the_studio_closes_cleanly(
    screen: dict[str, str], mixed_folder: Path, make_picture: Callable[..., Path], tmp_path: Path,
) -> None:
    names = [mixed_folder, make_picture("eine Übung mit Leerzeichen.png", "teal")]
    log = (tmp_path / "log").open("w+")
    command = [sys.executable, "-X", "faulthandler", "-m", "mmstudio"]
    studio = subprocess.Popen(command, env=screen, stdout=log, stderr=log)
    source = subprocess.Popen([sys.executable, "-c", SOURCE, *map(str, names)], env=screen)
    try:
        main = _window(screen, "Multimodal Studio$")
        _xdotool(screen, "windowmove", "--sync", main, 0, 0, "windowsize", "--sync", main, 1300, 650)
        drag = _window(screen, "drag source")
        _xdotool(screen, "windowactivate", "--sync", drag)
        home = screen["MMSTUDIO_HOME"]
        _drag_until(screen, lambda: len(_stored(home)[0]) == 25)
        _until(lambda: _stored(home)[1] == 25, 90)
        assert "eine Übung mit Leerzeichen.png" in _stored(home)[0]
        _xdotool(screen, "windowactivate", "--sync", main, "key", "ctrl+q")
        try:
            assert studio.wait(60) == 0
        except subprocess.TimeoutExpired:
            studio.send_signal(signal.SIGABRT)  # faulthandler then tells where every thread stands
            studio.wait(20)
            log.seek(0)
            pytest.fail(f"the studio did not close:\n{log.read()}")
        log.seek(0)
        assert "Traceback" not in log.read()
    finally:
        source.kill()
        source.wait()
        if studio.poll() is None:
            studio.kill()
            studio.wait()
        log.close()
