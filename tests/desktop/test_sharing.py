"""Exports of a selection and projects as files, from the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from mmstudio.desktop.sharing import ExportDialog, pack_or_ask
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.exports import KINDS


@pytest.fixture
def filled(
    window: MainWindow, mixed_folder: Path, starter: Encoder, use: Callable[[Encoder], None],
    settled: Callable[[], None], qtbot: QtBot,
) -> MainWindow:
    """The window with 24 items that have vectors."""
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 24 and not window.session.jobs.running, timeout=20_000)
    use(starter)
    settled()
    return window


def _dialog(window: MainWindow, qtbot: QtBot, kind: str) -> ExportDialog:
    window._export()
    dialog = window.findChild(ExportDialog)
    assert dialog is not None
    qtbot.waitUntil(dialog.isVisible)
    dialog.kinds.setCurrentRow(list(KINDS).index(kind))
    return dialog


def _ended(window: MainWindow, qtbot: QtBot) -> str:
    qtbot.waitUntil(lambda: not window.session.jobs.running, timeout=20_000)
    job = window.session.jobs.all[-1]
    qtbot.waitUntil(lambda: bool(job.outcome or job.error), timeout=5_000)
    return job.line()


def test_the_selection_is_written_with_vectors_and_places(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    session = filled.session
    chosen = [key for key, item in session.items.items() if item.modality == "image"]
    session.select(chosen)
    dialog = _dialog(filled, qtbot, "parquet")
    assert dialog.selected.isChecked()
    dialog.start(tmp_path / "out.parquet")
    assert "12 items" in _ended(filled, qtbot)
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["id"] == chosen
    assert session.view is not None
    assert table["vector"][3] == session.view.vector(chosen[3]).tolist()
    assert all(isinstance(x, float) for x in table["x"])


def test_without_a_selection_everything_is_written(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    dialog = _dialog(filled, qtbot, "media")
    assert not dialog.selected.isEnabled()
    dialog.start(tmp_path / "out")
    assert "24 items" in _ended(filled, qtbot)
    assert len(list((tmp_path / "out" / "untagged").iterdir())) == 24


def test_an_export_that_cannot_be_written_says_why(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    _dialog(filled, qtbot, "projector").start(tmp_path / "full")
    assert "empty" in _ended(filled, qtbot)
    assert filled.banner.isVisible()


def test_a_project_saved_as_a_file_opens_as_it_was(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    session = filled.session
    session.tag(list(session.items)[:3], "kept")
    qtbot.waitUntil(lambda: sum("kept" in item.tags for item in session.items.values()) == 3)
    before = {key: (item.content_hash, item.tags) for key, item in session.items.items()}
    filled.projects.sharing.pack(tmp_path / "mine.mmproject")
    assert "saved" in _ended(filled, qtbot)
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        filled.projects.sharing.unpack(tmp_path / "mine.mmproject")
    assert session.project is not None
    assert session.project.name == "mine"
    assert {key: (item.content_hash, item.tags) for key, item in session.items.items()} == before


def test_a_file_that_is_no_project_is_refused_and_the_open_one_stays(
    filled: MainWindow, tmp_path: Path, qtbot: QtBot,
) -> None:
    (tmp_path / "bad.mmproject").write_bytes(b"PK nothing")
    project = filled.session.project
    with qtbot.waitSignal(filled.session.failed, timeout=20_000):
        filled.projects.sharing.unpack(tmp_path / "bad.mmproject")
    assert filled.session.project is project


def test_the_export_dialog_says_what_each_format_holds(window: MainWindow, qtbot: QtBot) -> None:
    dialog = _dialog(window, qtbot, "csv")
    assert "spreadsheet" in dialog._holds.text()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)


def _asked(window: MainWindow, target: Path, answer: str, qtbot: QtBot) -> str:
    """Save as a file, answer the question about files outside, and give what the job says."""
    window.projects.sharing.look_outside(lambda found: pack_or_ask(window.projects.sharing, target, found, window))
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None)
    box = window.findChild(QMessageBox)
    assert box is not None
    assert "18 files" in box.text()  # twelve pictures and six sounds: texts are in the project
    qtbot.mouseClick(next(button for button in box.buttons() if button.text() == answer), Qt.MouseButton.LeftButton)
    return _ended(window, qtbot)


@pytest.mark.parametrize(("answer", "told"), [("Take them along", "with 18 files"), ("Leave them out", "without 18")])
def test_files_outside_the_project_are_asked_about_and_found_where_it_is_opened(
    filled: MainWindow, mixed_folder: Path, tmp_path: Path, qtbot: QtBot, answer: str, told: str,
) -> None:
    session = filled.session
    before = {item.content_hash: item.path.read_bytes() for item in session.items.values() if item.modality != "text"}
    assert told in _asked(filled, tmp_path / "mine.mmproject", answer, qtbot)
    mixed_folder.rename(tmp_path / "as on another computer")
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        filled.projects.sharing.unpack(tmp_path / "mine.mmproject")
    found = {item.content_hash: item.path.read_bytes() for item in session.items.values()
             if item.modality != "text" and item.path.is_file()}
    assert found == (before if answer == "Take them along" else {})
    assert session.project is not None
    assert not (session.project.folder / "taken-along.json").exists()


def test_scrolling_while_a_project_is_saved_does_not_stop_it(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    project = filled.session.project
    assert project is not None
    filled.hide()
    with project.previews_at_rest():
        def written() -> tuple[int, int]:
            status = (project.folder / "previews.sqlite-wal").stat()
            return status.st_size, status.st_mtime_ns

        before = written()
        for item in filled.session.items.values():
            project.preview(item.content_hash)
            project._store.keep_preview(item.content_hash, b"other")
        assert written() == before
    assert b"other" not in {project.preview(item.content_hash) for item in filled.session.items.values()}
