"""Tags by key: completed from known tags, and given again by Ctrl and a digit."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QListWidget
from pytestqt.qtbot import QtBot

from mmstudio.desktop.tagging import TagDialog, TagKeys
from mmstudio.desktop.window import MainWindow


@pytest.fixture
def tagged(window: MainWindow, mixed_folder: Path, qtbot: QtBot) -> MainWindow:
    """The window with 24 items, of which 3 are called “cat”, 2 “catfish” and 1 “dog”."""
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not session.jobs.running)
    for tag, ids in (("cat", [1, 2, 3]), ("catfish", [4, 5]), ("dog", [6])):
        session.tag(ids, tag)
    qtbot.waitUntil(lambda: tags(window, 6) == ("dog",))
    return window


def tags(window: MainWindow, key: int) -> tuple[str, ...]:
    return window.session.items[key].tags


def opened(window: MainWindow, qtbot: QtBot) -> TagDialog:
    for old in window.findChildren(TagDialog):
        qtbot.waitUntil(lambda old=old: old not in window.findChildren(TagDialog))
    window.actions_.by_id["tag"].trigger()
    dialog = window.findChild(TagDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: sum(dialog._known.values()) > 0)
    return dialog


def offered(list_: QListWidget) -> list[str]:
    return [list_.item(row).data(Qt.ItemDataRole.UserRole) for row in range(list_.count())]


def test_what_is_typed_is_completed_and_enter_takes_it(tagged: MainWindow, qtbot: QtBot) -> None:
    tagged.session.select([10, 11])
    dialog = opened(tagged, qtbot)
    assert offered(dialog.list) == ["cat", "catfish", "dog"]  # the most used first
    QTest.keyClicks(dialog.line, "fis")
    assert offered(dialog.list) == ["catfish", "fis"]
    QTest.keyClick(dialog.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: tags(tagged, 10) == tags(tagged, 11) == ("catfish",))
    dialog = opened(tagged, qtbot)
    assert offered(dialog.list) == ["catfish", "cat", "dog"]  # the last used first
    QTest.keyClicks(dialog.line, "do")
    QTest.keyClick(dialog.line, Qt.Key.Key_Down)
    QTest.keyClick(dialog.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: tags(tagged, 10) == ("catfish", "do"))  # a new one


def test_a_key_gives_the_selection_a_tag_that_was_used_and_keeps_its_tag(tagged: MainWindow, qtbot: QtBot) -> None:
    session, tagging = tagged.session, tagged.tagging
    hint = tagged.findChild(TagKeys)
    assert hint is not None
    assert hint.text() == ""
    session.select([10])
    tagging.tag("first")
    tagging.tag("second")
    qtbot.waitUntil(lambda: tags(tagged, 10) == ("first", "second"))
    session.select([12, 13])
    assert "Ctrl+1 first" in hint.text()
    assert "Ctrl+2 second" in hint.text()
    tagged.library.list.setFocus()
    QTest.keyClick(tagged.library.list, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: tags(tagged, 12) == tags(tagged, 13) == ("first",))
    assert tagging.slots == ["first", "second"]
    QTest.keyClick(tagged.map.canvas, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)  # has no tag yet
    session.select([])
    tagging.tag_by_key(2)
    assert hint.text() == ""
    assert tagging.last == ["first", "second"]


def test_of_more_tags_than_keys_the_one_not_used_for_longest_gives_way(tagged: MainWindow, qtbot: QtBot) -> None:
    tagging, session = tagged.tagging, tagged.session
    session.select([10])
    for number in range(1, 10):
        tagging.tag(f"t{number}")
    tagging.tag_by_key(1)
    tagging.tag("new")
    assert tagging.slots == ["t1", "new", *(f"t{number}" for number in range(3, 10))]
    project = session.project
    assert project is not None
    qtbot.waitUntil(lambda: project.own.get("tags by key", {}).get("slots") == tagging.slots)
    tagging.slots, tagging.last = [], []
    session.projectOpened.emit()
    assert tagging.slots[1] == tagging.last[0] == "new"
