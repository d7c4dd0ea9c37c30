"""Adding that was killed, or for which the disk had no room, goes on where the person says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop import unfinished
from mmstudio.desktop.unfinished import Left
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.errors import ProjectError
from mmstudio.media import Kind
from mmstudio.media.choice import Choice
from mmstudio.progress import Progress, Work, finish
from mmstudio.project import Project


def test_what_was_not_added_to_its_end_is_known_to_the_next_who_opens_the_project(tmp_path: Path) -> None:
    def adding() -> Work[int]:
        yield Progress(1, 2)
        return 2

    project = Project.open(tmp_path / "p")
    left = Left((tmp_path / "a", tmp_path / "b"), Choice(frozenset({Kind.IMAGE}), "*.jpg", subfolders=False))
    finish(unfinished.noted(project, Left((tmp_path / "whole",)), adding()))
    killed = unfinished.noted(project, left, adding())
    next(killed)
    project.close()
    project = Project.open(tmp_path / "p")
    assert unfinished.unfinished(project) == [left]
    unfinished.forget(project, left)
    assert unfinished.unfinished(project) == []
    project.close()


def test_a_project_that_was_killed_while_it_added_offers_to_go_on_and_adds_nothing_twice(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, make_picture: Callable[..., Path],
) -> None:
    session = window.session
    one = make_picture(f"{mixed_folder}/one.png", "pink")
    session.add([one])
    qtbot.waitUntil(lambda: bool(session.items) and not session.jobs.running)
    project = session.project
    assert project is not None
    project.own.set("adding", [[str(mixed_folder)]])  # as a studio kept it that knew of no choice
    with qtbot.waitSignal(session.leftFound):
        session.open_project(project.folder)
    assert window.banner.offer.isVisible()
    assert mixed_folder.name in window.banner.text.text()
    window.banner.offer.click()
    qtbot.waitUntil(lambda: len(session.items) == 25 and not session.jobs.running)
    assert unfinished.unfinished(project) == []


def test_a_full_disk_stops_adding_with_a_word_and_it_goes_on_when_there_is_room(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, full, add = window.session, [True], Project.add

    def adding(project: Project, *what: Any, **more: Any) -> Work[Any]:
        work = add(project, *what, **more)
        yield next(work)
        if full:
            work.close()
            raise ProjectError("The disk is full.", hint="Free some space.")
        return (yield from work)

    monkeypatch.setattr(Project, "add", adding)
    session.add([mixed_folder])
    qtbot.waitUntil(window.banner.offer.isVisible)
    assert "The disk is full" in window.banner.text.text()
    project = session.project
    assert project is not None
    assert unfinished.unfinished(project) == [Left((mixed_folder,))]
    full.clear()
    window.banner.offer.click()
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running)
    assert unfinished.unfinished(project) == []


def test_what_the_person_cancelled_is_not_offered_again(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, use: Callable[[Encoder], None],
) -> None:
    session, project = window.session, window.session.project
    assert project is not None
    session.add([mixed_folder])
    session.jobs.running[0].cancel()
    qtbot.waitUntil(lambda: not session.jobs.running)
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(project.folder)
    qtbot.waitUntil(lambda: unfinished.unfinished(project) == [])
