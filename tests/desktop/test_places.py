"""Missing files are shown and found again, watched folders add by themselves, recordings become items."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PySide6.QtWidgets import QFileDialog, QPushButton
from pytestqt.qtbot import QtBot

from mmstudio.desktop import dialogs, places
from mmstudio.desktop.audio import Microphone, Recorder
from mmstudio.desktop.folder_dialog import FolderDialog
from mmstudio.desktop.watched import WatchedDialog
from mmstudio.desktop.window import MainWindow
from mmstudio.media import Kind
from mmstudio.media.choice import EVERYTHING, Choice

Make = Callable[..., Path]


@pytest.fixture
def added(window: MainWindow, qtbot: QtBot, make_picture: Make) -> Path:
    """Two pictures in a folder, in the project."""
    for name in ("red", "blue"):
        make_picture(f"in/{name}.png", name)
    folder = make_picture("in/green.png", "green").parent
    window.session.add([folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 3 and not window.session.jobs.running)
    return folder


def _reopened(window: MainWindow, qtbot: QtBot) -> None:
    """Close the project by opening another one, and open it again."""
    session = window.session
    folder = session.project.folder  # type: ignore[union-attr]
    for one in (folder.with_name("other"), folder):
        with qtbot.waitSignal(session.projectOpened):
            session.open_project(one)


def test_missing_files_are_offered_to_be_found_and_found_by_content(
    window: MainWindow, qtbot: QtBot, added: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = window.session
    shutil.move(added, tmp_path / "away")
    _reopened(window, qtbot)
    qtbot.waitUntil(lambda: len(session.places.missing) == 3)
    qtbot.waitUntil(window.banner.isVisible)
    window.library.line.setText("is:missing")
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 3 and not window.library.items.filter.waits)
    missing_face = window.library.list.grab().toImage()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    button = next(b for b in window.banner.findChildren(QPushButton) if b.isVisible() and "Find" in b.text())
    button.click()
    qtbot.waitUntil(lambda: not session.places.missing and not session.jobs.running)
    assert {item.path.parent for item in session.items.values()} == {tmp_path / "away"}
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 0)
    window.library.line.clear()
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 3)
    qtbot.wait(50)
    assert window.library.list.grab().toImage() != missing_face


def test_media_are_copied_into_the_project(window: MainWindow, qtbot: QtBot, added: Path) -> None:
    session = window.session
    window.actions_.by_id["copy_media"].trigger()
    qtbot.waitUntil(lambda: {i.path.parent for i in session.items.values()} == {
        session.project.media})  # type: ignore[union-attr]


def test_what_appears_in_a_watched_folder_is_added_also_after_a_new_start(
    window: MainWindow, qtbot: QtBot, added: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = window.session
    session.places._again.setInterval(50)
    monkeypatch.setattr("mmstudio.media.watch.QUIET_SECONDS", 0.0)
    dialog = WatchedDialog(session, window)
    qtbot.addWidget(dialog)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(added))
    dialog.add.click()
    asked = next(d for d in dialog.findChildren(FolderDialog))
    asked.kinds[Kind.TEXT].setChecked(False)
    asked.go.click()
    qtbot.waitUntil(lambda: dialog.list.count() == 1)
    assert dialog.list.item(0).text() == f"{added}    Pictures, Sounds, Videos"
    (added / "left aside.txt").write_text("no picture")
    make_picture("in/black.png", "black")
    qtbot.waitUntil(lambda: len(session.items) == 4)
    qtbot.waitUntil(lambda: not session.jobs.running)
    session.places._again.stop()
    make_picture("in/purple.png", "purple")
    _reopened(window, qtbot)
    assert session.places.watched == {added: Choice(frozenset({Kind.IMAGE, Kind.AUDIO, Kind.VIDEO}))}
    qtbot.waitUntil(lambda: len(session.items) == 5)
    dialog.list.setCurrentRow(0)
    dialog.remove.click()
    assert {item.modality for item in session.items.values()} == {"image"}
    qtbot.waitUntil(lambda: session.places.watched == {})
    assert not session.places._again.isActive()


def test_a_look_at_a_watched_folder_that_the_end_of_the_project_outran_loses_nothing(
    window: MainWindow, qtbot: QtBot, added: Path, make_picture: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmstudio.media.watch.QUIET_SECONDS", 0.0)
    places = window.session.places
    places.watch({added: EVERYTHING})
    qtbot.waitUntil(lambda: bool(places._watches) and not places._polling)
    places._again.stop()
    new = make_picture("in/purple.png", "purple")
    qtbot.wait(10)  # a file's age is told in whole ticks of a clock
    assert places._watches[0].poll() == [new]
    _reopened(window, qtbot)
    qtbot.waitUntil(lambda: len(window.session.items) == 4)


def test_watching_and_finding_files_are_undone_and_done_again(
    window: MainWindow, qtbot: QtBot, added: Path, tmp_path: Path,
) -> None:
    session, pictures = window.session, Choice(frozenset({Kind.IMAGE}))
    session.places.watch({added: pictures})
    qtbot.waitUntil(lambda: session.places.watched == {added: pictures})
    session.places.watch({})
    qtbot.waitUntil(lambda: session.places.watched == {})
    session.undo()
    qtbot.waitUntil(lambda: session.places.watched == {added: pictures})
    session.undo()
    qtbot.waitUntil(lambda: session.places.watched == {})
    shutil.move(added, tmp_path / "away")
    session.places.find(tmp_path)
    qtbot.waitUntil(lambda: {item.path.parent for item in session.items.values()} == {tmp_path / "away"}
                    and not session.jobs.running)
    session.undo()
    qtbot.waitUntil(lambda: len(session.places.missing) == 3)
    assert {item.path.parent for item in session.items.values()} == {added}
    session.redo()
    qtbot.waitUntil(lambda: not session.places.missing)
    assert {item.path.parent for item in session.items.values()} == {tmp_path / "away"}


def test_a_watched_folder_that_is_gone_is_told_once(
    window: MainWindow, qtbot: QtBot, added: Path, tmp_path: Path,
) -> None:
    told: list[object] = []
    window.session.failed.connect(told.append)
    window.session.places._again.setInterval(20)
    window.session.places.watch({tmp_path / "nothing": EVERYTHING})
    qtbot.waitUntil(lambda: len(told) == 1)
    qtbot.wait(200)
    assert len(told) == 1
    assert places.WATCH_EVERY_MS >= 1000


def test_a_recording_becomes_an_item_that_lies_in_the_project(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialogs, "microphones", lambda: [Microphone(0, "test", 16_000)])

    def start(recorder: Recorder, microphone: Microphone) -> None:
        recorder._stream, recorder.rate_hz = object(), microphone.rate_hz

    def stop(recorder: Recorder) -> np.ndarray:
        recorder._stream = None
        return np.sin(np.arange(16_000) / 20).astype(np.float32)

    monkeypatch.setattr(Recorder, "start", start)
    monkeypatch.setattr(Recorder, "stop", stop)
    window.actions_.by_id["record_item"].trigger()
    dialog = next(d for d in window.findChildren(dialogs.RecordDialog))
    qtbot.waitUntil(dialog.record.isEnabled)
    dialog.record.click()
    assert dialog.record.text() == "Stop and add"
    dialog.record.click()
    qtbot.waitUntil(lambda: len(window.session.items) == 1, timeout=10_000)
    item = next(iter(window.session.items.values()))
    assert item.modality == "audio"
    assert item.path.parent == window.session.project.media  # type: ignore[union-attr]
    assert soundfile.info(item.path).frames == 16_000
