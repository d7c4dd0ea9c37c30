"""A folder that is added by its dialog: the person says which files are meant, and sees how many they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from mmstudio.desktop import unfinished
from mmstudio.desktop.folder_dialog import FolderDialog
from mmstudio.desktop.window import MainWindow
from mmstudio.media import Kind


@pytest.fixture
def dialog(window: MainWindow, qtbot: QtBot, mixed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> FolderDialog:
    """As “Add a folder…” opens it."""
    (mixed_folder / "deep").mkdir()
    (mixed_folder / "deep/words.txt").write_text("words of their own")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(mixed_folder))
    window.actions_.by_id["add_folder"].trigger()
    return next(found for found in window.findChildren(FolderDialog))


def test_the_count_follows_the_choice_and_only_what_was_chosen_is_added(
    window: MainWindow, qtbot: QtBot, dialog: FolderDialog,
) -> None:
    qtbot.waitUntil(lambda: dialog.told.text() == "Pictures 13 · Sounds 6 · Texts 7")  # one of them is broken
    dialog.subfolders.setChecked(False)
    qtbot.waitUntil(lambda: dialog.told.text() == "Pictures 13 · Sounds 6 · Texts 6")
    for kind in (Kind.IMAGE, Kind.VIDEO):
        dialog.kinds[kind].setChecked(False)
    qtbot.waitUntil(lambda: dialog.told.text() == "Sounds 6 · Texts 6")
    dialog.pattern.setText("*1.*")
    qtbot.waitUntil(lambda: dialog.told.text() == "Sounds 1 · Texts 1")
    dialog.pattern.setText("*.bmp")
    qtbot.waitUntil(lambda: "Nothing here" in dialog.told.text())
    dialog.pattern.setText("text*")
    dialog.go.click()
    qtbot.waitUntil(lambda: len(window.session.items) == 6 and not window.session.jobs.running)
    assert {item.path.parent.name for item in window.session.items.values()} == {"media"}
    project = window.session.project
    assert project is not None
    assert unfinished.unfinished(project) == []


def test_without_a_kind_nothing_can_be_added(window: MainWindow, qtbot: QtBot, dialog: FolderDialog) -> None:
    for box in dialog.kinds.values():
        box.setChecked(False)
    assert not dialog.go.isEnabled()
    assert "at least one" in dialog.told.text()
    dialog.kinds[Kind.AUDIO].setChecked(True)
    qtbot.waitUntil(lambda: dialog.told.text() == "Sounds 6")
    dialog.reject()
    assert not window.session.items
