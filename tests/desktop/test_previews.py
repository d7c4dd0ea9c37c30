"""Previews that the project has lost are made again behind the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QPixmap
from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow
from mmstudio.library import Item
from mmstudio.media import Limits
from mmstudio.media.describe import describe


@pytest.fixture
def lost(window: MainWindow, mixed_folder: Path, qtbot: QtBot) -> MainWindow:
    """The window with 24 items of whose previews none is left."""
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not window.session.jobs.running)
    project = window.session.project
    assert project is not None
    qtbot.waitUntil(lambda: not window.previews._wanted and not window.previews._reading)
    window.hide()  # so that nothing is looked at but what a test looks at
    (project.folder / "previews.sqlite").unlink()
    window.previews._opened()
    return window


def first(window: MainWindow, modality: str) -> Item:
    return next(item for item in window.session.items.values() if item.modality == modality)


def test_what_is_seen_is_made_again_and_kept(lost: MainWindow, qtbot: QtBot) -> None:
    picture, sound, project = first(lost, "image"), first(lost, "audio"), lost.session.project
    assert project is not None
    assert lost.previews.get(picture) is None
    lost.previews.get(sound)
    qtbot.waitUntil(lambda: isinstance(lost.previews.get(picture), QPixmap))
    qtbot.waitUntil(lambda: isinstance(lost.previews.get(sound), np.ndarray))
    assert project.preview(picture.content_hash) == describe(picture.path, Limits()).items[0].preview
    assert project.preview(sound.content_hash) == describe(sound.path, Limits()).items[0].preview


def test_a_preview_that_is_no_picture_is_made_again(lost: MainWindow, qtbot: QtBot) -> None:
    picture, project = first(lost, "image"), lost.session.project
    assert project is not None
    project._store.keep_preview(picture.content_hash, b"no picture at all")
    lost.previews.get(picture)
    qtbot.waitUntil(lambda: isinstance(lost.previews.get(picture), QPixmap))
    assert project.preview(picture.content_hash)[:2] == b"\xff\xd8"


def test_a_file_that_is_gone_is_tried_once_and_again_when_files_were_found(
    lost: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture, project, tried = first(lost, "image"), lost.session.project, list[Item]()
    assert project is not None
    make = project.remake_preview
    monkeypatch.setattr(project, "remake_preview", lambda item: (tried.append(item), make(item))[1])
    aside = picture.path.rename(picture.path.with_suffix(".away"))
    lost.previews.get(picture)
    qtbot.waitUntil(lambda: picture.content_hash in lost.previews._unreadable)
    lost.previews._kept.clear()  # as where very many others were seen since
    assert lost.previews.get(picture) is None
    assert tried == [picture]
    aside.rename(picture.path)
    lost.session.places.missingChanged.emit()
    qtbot.waitUntil(lambda: isinstance(lost.previews.get(picture), QPixmap))


def test_a_file_that_has_changed_gives_no_preview(lost: MainWindow, make_picture: Callable[..., Path], qtbot: QtBot,
                                                  ) -> None:
    picture = first(lost, "image")
    make_picture(f"media/{picture.path.name}", "yellow", 90)
    lost.previews.get(picture)
    qtbot.waitUntil(lambda: picture.content_hash in lost.previews._unreadable)


def test_what_is_seen_last_is_read_first_and_what_was_scrolled_away_not_at_all(
    lost: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, waiting = list[str](), list[Callable[[], object]]()
    pictures = [item for item in lost.session.items.values() if item.modality == "image"]
    monkeypatch.setattr("mmstudio.desktop.previews.MOST_WAITING", 3)
    monkeypatch.setattr(lost.session.project, "preview", lambda content: (read.append(content), b"")[1])
    with monkeypatch.context() as held:
        held.setattr(lost.session.pool, "ask", lambda task, *_: waiting.append(task))
        for item in pictures[:7]:
            assert lost.previews.get(item) is None
    assert len(waiting) == 2  # the others wait, so that what comes later can come before them
    done = lost.previews._reading.copy()
    for task in waiting:
        task()
    lost.previews._reading.clear()
    lost.previews._read_next()
    qtbot.waitUntil(lambda: not lost.previews._reading)
    assert done == {item.content_hash for item in pictures[:2]}
    assert set(read[2:4]) == {item.content_hash for item in (pictures[6], pictures[5])}
    assert set(read[2:]) == {item.content_hash for item in pictures[4:7]}


def test_what_another_project_was_making_again_is_read_from_the_one_that_is_open(
    lost: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture, tasks = first(lost, "image"), list[Callable[[], object]]()
    monkeypatch.setattr(lost.session.pool, "ask", lambda task, *_: tasks.append(task))
    lost.previews._making = picture.content_hash  # and its answer comes when this project is no longer open
    assert lost.previews.get(picture) is None
    assert not tasks
    lost.previews._opened()
    assert lost.previews.get(picture) is None
    assert len(tasks) == 1
