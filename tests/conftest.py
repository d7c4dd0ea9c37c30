"""What all tests share: a home of their own, no network, the starter model, a pool."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from mmstudio.encoders import Encoder, load_encoder
from mmstudio.media import Limits

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from mmstudio.desktop.window import MainWindow


pytest_plugins = ["fake_hub"]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, projects and caches of each test lie in a folder of their own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MMSTUDIO_HOME", str(folder))
    return folder


@pytest.fixture
def qtbot(qtbot: QtBot) -> QtBot:
    """A machine under load is slow, not wrong: where a test says nothing else, waiting is given up after 30 s."""
    wait_until, wait_signal, wait_signals = qtbot.waitUntil, qtbot.waitSignal, qtbot.waitSignals
    qtbot.waitUntil = lambda callback, *, timeout=30_000: wait_until(callback, timeout=timeout)
    qtbot.waitSignal = lambda signal, *, timeout=30_000, **more: wait_signal(signal, timeout=timeout, **more)
    qtbot.waitSignals = lambda signals, *, timeout=30_000, **more: wait_signals(signals, timeout=timeout, **more)
    return qtbot


@pytest.fixture(scope="session")
def starter() -> Encoder:
    """The model that ships with the studio."""
    return load_encoder("starter", "cpu")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small matrices are multiplied sooner by one thread than by several that wait for a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def make_picture(tmp_path: Path) -> Callable[..., Path]:
    """Draw a disc of a colour into a file."""

    def make(name: str, colour: str = "red", size: int = 64) -> Path:
        picture = Image.new("RGB", (size, size), "white")
        ImageDraw.Draw(picture).ellipse((size // 6, size // 6, size - size // 6, size - size // 6), colour)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
        return path

    return make


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[..., Path]:
    """A tone of some hertz as a file."""

    def make(name: str, hertz: float = 440, seconds: float = 0.5, rate: int = 16_000) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate), rate)
        return path

    return make


@pytest.fixture
def mixed_folder(tmp_path: Path, make_picture: Callable[..., Path], make_sound: Callable[..., Path]) -> Path:
    """Twelve pictures, six sounds, six texts and one broken picture."""
    for number, colour in enumerate(("red", "green", "blue", "orange", "purple", "black") * 2):
        make_picture(f"media/picture {number}.png", colour, 48 + number)
    for number in range(6):
        make_sound(f"media/tone ü {number}.wav", 220 + 110 * number)
    for number, words in enumerate(("a red circle", "a dog", "a cat", "rain", "a blue square", "a bell")):
        (tmp_path / f"media/text {number}.txt").write_text(words, encoding="utf-8")
    (tmp_path / "media/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    return tmp_path / "media"


@pytest.fixture
def window(qtbot: QtBot, home: Path) -> Iterator[MainWindow]:
    """The main window with an empty project and without a model; no widget may outlive its test."""
    from PySide6.QtWidgets import QApplication

    from mmstudio import paths
    from mmstudio.desktop.session import Session
    from mmstudio.desktop.theme import THEME
    from mmstudio.desktop.window import MainWindow
    from mmstudio.settings import Settings

    THEME.apply("dark")
    session = Session(Settings(file=paths.settings_file()))
    made = MainWindow(session)
    made.resize(1280, 800)
    made.show()
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(paths.default_project())
    yield made
    made._stop_and_close = True
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
