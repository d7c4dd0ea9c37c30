"""Projects are made, opened, saved elsewhere and closed from their menu; what is no project is not made one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from mmstudio import paths, settings
from mmstudio.desktop import recent
from mmstudio.desktop.place_dialog import PlaceDialog
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.errors import ProjectError
from mmstudio.library.folder import is_project
from mmstudio.progress import finish
from mmstudio.project import Project

Make = Callable[..., Path]


def _ask(window: MainWindow, intent: str) -> PlaceDialog:
    window.actions_.by_id[intent].trigger()
    return next(found for found in window.findChildren(PlaceDialog))


def _here(window: MainWindow) -> Path | None:
    return window.session.project.folder if window.session.project else None


def test_a_new_project_is_made_under_a_free_name_in_a_place_of_choice(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialog = _ask(window, "new_project")
    assert dialog.folder == paths.default_project().with_name("My project 2")
    dialog.name.setText("My project")
    assert not dialog.go.isEnabled()
    assert "already" in dialog.wrong.text()
    dialog.name.setText("a/b")
    assert not dialog.go.isEnabled()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    dialog.elsewhere.click()
    dialog.name.setText("Birds")
    dialog.go.click()
    qtbot.waitUntil(lambda: _here(window) == tmp_path / "Birds")
    assert is_project(tmp_path / "Birds")
    assert window.windowTitle().startswith("Birds")


def test_a_folder_without_a_project_is_refused_with_a_word_and_left_as_it_is(
    window: MainWindow, qtbot: QtBot, make_picture: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, before = make_picture("photos/red.png").parent, _here(window)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    window.actions_.by_id["open"].trigger()
    qtbot.waitUntil(window.banner.isVisible)
    assert "no project" in window.banner.text.text()
    assert "New project…" in window.banner.text.text()
    assert [path.name for path in folder.iterdir()] == ["red.png"]
    assert _here(window) == before


def test_the_last_projects_are_listed_and_those_that_are_gone_cannot_be_opened(
    window: MainWindow, qtbot: QtBot, tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        with qtbot.waitSignal(window.session.projectOpened):
            window.session.open_project(tmp_path / name)
    chosen = settings.load()[0]
    assert recent.recent(chosen) == [tmp_path / "two", tmp_path / "one", paths.default_project()]
    chosen.values["recent"] += f"\n{tmp_path / 'gone'}"
    window.session.settings.values.update(chosen.values)
    menu = window.projects.recent
    menu.aboutToShow.emit()
    assert [action.text().split("    ")[0] for action in menu.actions()] == ["one", "My project", "gone"]
    qtbot.waitUntil(lambda: len(menu.actions()) == 5)
    assert [action.isEnabled() for action in menu.actions()[:3]] == [True, True, False]
    menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: _here(window) == tmp_path / "one")
    menu.actions()[-1].trigger()
    assert recent.recent(settings.load()[0]) == [tmp_path / "one", tmp_path / "two", paths.default_project()]


def test_no_more_than_ten_projects_are_kept(home: Path) -> None:
    chosen = settings.load()[0]
    for number in range(15):
        recent.remember(chosen, home / f"p{number}")
    recent.remember(chosen, home / "p9")
    assert [one.name for one in recent.recent(settings.load()[0])] == [
        "p9", "p14", "p13", "p12", "p11", "p10", "p8", "p7", "p6", "p5"]


def test_a_project_saved_as_another_is_the_same_and_the_first_stays_as_it_was(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, use: Callable[[Encoder], None], starter: Encoder,
    pool: ThreadPoolExecutor,
) -> None:
    session, first = window.session, _here(window)
    assert first is not None
    use(starter)
    session.settings.set("copy_media", True)
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running)
    session.tag(list(session.items)[:3], "kept")
    qtbot.waitUntil(lambda: session.items[1].tags == ("kept",))
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 24 and not session.jobs.running)
    dialog = _ask(window, "save_as")
    dialog.name.setText("Another")
    with qtbot.waitSignal(session.projectOpened):
        dialog.go.click()
    second = first.with_name("Another")
    assert _here(window) == second
    assert len(session.items) == 24
    media = [item.path for item in session.items.values() if item.modality != "text"]
    assert all(path.is_relative_to(second) and path.is_file() for path in media)
    assert session.items[1].tags == ("kept",)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 24 and not session.jobs.running)
    session.remove([1])
    qtbot.waitUntil(lambda: len(session.items) == 23)
    session.close_project()
    _let_go(window, qtbot)
    copy = Project.open(second)
    assert finish(copy.encode(starter, pool)).encoded == 0
    copy.close()
    opened = Project.open(first)
    assert len(opened.items()) == 24
    opened.close()


def _let_go(window: MainWindow, qtbot: QtBot) -> None:
    """What was asked of the models' lane before has been done."""
    done: list[None] = []
    window.session.models.ask(lambda: None, on_done=done.append)
    qtbot.waitUntil(lambda: bool(done))


def test_a_closed_project_can_be_opened_by_others_and_what_is_dropped_waits_for_the_next(
    window: MainWindow, qtbot: QtBot, make_picture: Make,
) -> None:
    session, folder = window.session, _here(window)
    assert folder is not None
    session.add([make_picture("one.png")])
    qtbot.waitUntil(lambda: len(session.items) == 1 and not session.jobs.running)
    window.actions_.by_id["close_project"].trigger()
    assert session.project is None
    assert not session.items
    assert window.windowTitle() == "Multimodal Studio"
    assert not window.actions_.by_id["save_as"].isEnabled()
    _let_go(window, qtbot)
    Project.open(folder).close()
    for action in window.actions_.all():  # nothing that can be chosen needs a project
        if action.isEnabled() and action.text() in ("Undo", "Redo", "Encode what is missing", "Select all"):
            action.trigger()
    window.add_paths([make_picture("two.png", "blue")])
    qtbot.waitUntil(lambda: bool(session._dropped_early))
    session.open_project(folder)
    qtbot.waitUntil(lambda: len(session.items) == 2)
    assert window.actions_.by_id["save_as"].isEnabled()


def test_a_project_is_not_made_where_none_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project"):
        Project.open(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()
