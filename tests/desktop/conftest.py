"""What tests of the window share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder


@pytest.fixture
def filled(
    window: MainWindow, mixed_folder: Path, starter: Encoder, use: Callable[[Encoder], None], qtbot: QtBot,
) -> MainWindow:
    """The window with twelve pictures, six sounds and six texts, and their vectors."""
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 24 and not window.session.jobs.running)
    use(starter)
    qtbot.waitUntil(lambda: window.session.view is not None and len(window.session.view) == 24
                    and not window.session.jobs.running)
    return window
