"""The filter bar: what is typed narrows the library, with completions, errors and named slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow


@pytest.fixture
def filled(window: MainWindow, mixed_folder: Path, qtbot: QtBot) -> MainWindow:
    """The window with 24 items."""
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not window.session.jobs.running, timeout=20_000)
    return window


@pytest.fixture
def typed(filled: MainWindow, qtbot: QtBot) -> Callable[[str], int]:
    """Type a filter and give how many items pass."""

    def type_(text: str) -> int:
        answers: list[object] = []
        filled.library.items.filter.passed.connect(answers.append)
        filled.library.items.filter.refused.connect(answers.append)
        filled.library._words.setText(text)
        filled.library._filter()
        qtbot.waitUntil(lambda: bool(answers), timeout=10_000)
        return filled.library.items.rowCount()

    return type_


@pytest.mark.parametrize(("text", "count"), [
    ("tone", 6), ("modality:text", 6), ("modality:text dog", 1), ("width>55", 4), ("duration<1s", 6),
    ("-modality:image", 12), ("(dog OR cat)", 2), ("nothing has this name", 0), ("", 24),
])
def test_what_is_typed_narrows_the_library(typed: Callable[[str], int], text: str, count: int) -> None:
    assert typed(text) == count


def test_a_filter_holds_for_items_that_are_tagged_added_and_removed_later(
    filled: MainWindow, typed: Callable[[str], int], tmp_path: Path, qtbot: QtBot,
) -> None:
    session, items = filled.session, filled.library.items
    assert typed("tag:pet") == 0
    pets = [key for key, item in session.items.items() if item.text in ("a dog", "a cat")]
    session.tag(pets, "pet")
    qtbot.waitUntil(lambda: items.shown.tolist() == pets, timeout=10_000)
    session.remove(pets[:1])
    qtbot.waitUntil(lambda: items.shown.tolist() == pets[1:], timeout=10_000)
    assert typed("hamster") == 0
    (tmp_path / "late.txt").write_text("a hamster")
    session.add([tmp_path / "late.txt"])
    qtbot.waitUntil(lambda: items.rowCount() == 1, timeout=10_000)


def test_tab_takes_the_first_completion_and_home_leads_to_the_first_item(filled: MainWindow, qtbot: QtBot) -> None:
    line, view = filled.library.line, filled.library.list
    filled.activateWindow()
    line.setFocus()
    QTest.keyClicks(line, "modality:im")
    qtbot.waitUntil(lambda: line._list.isVisible() and bool(line._offered))
    QTest.keyClick(line._list, Qt.Key.Key_Tab)
    assert line.text() == "modality:image "
    assert not line._list.isVisible()
    qtbot.waitUntil(lambda: filled.library.items.rowCount() == 12)
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_End)
    assert filled.session.current == int(filled.library.items.shown[-1])
    QTest.keyClick(view, Qt.Key.Key_Home)
    assert filled.session.current == int(filled.library.items.shown[0])


def test_a_wrong_filter_says_what_is_wrong_and_keeps_what_is_shown(
    filled: MainWindow, typed: Callable[[str], int],
) -> None:
    assert typed("modality:text") == 6
    assert typed('"open') == 6
    assert filled.library._wrong.isVisible()
    assert filled.library._wrong.text()
    assert typed("widht>3") == 6
    assert "width" in filled.library._wrong.text()
    assert typed("width>3") == 12
    assert not filled.library._wrong.isVisible()


def test_nothing_left_teaches_how_to_clear_the_filter(
    filled: MainWindow, typed: Callable[[str], int], qtbot: QtBot,
) -> None:
    typed("nothing has this name")
    assert filled.library._stack.currentIndex() == 2
    filled.library._clear_filter()
    qtbot.waitUntil(lambda: filled.library.items.rowCount() == 24, timeout=10_000)


def test_select_all_takes_what_passes_the_filter(filled: MainWindow, typed: Callable[[str], int]) -> None:
    typed("modality:audio")
    filled.actions_.by_id["select_all"].trigger()
    assert {filled.session.items[key].modality for key in filled.session.selection} == {"audio"}
    assert len(filled.session.selection) == 6


def test_fields_and_values_are_completed_with_the_keyboard(filled: MainWindow, qtbot: QtBot) -> None:
    line, popup = filled.library._words, filled.library._words._list
    line.setFocus()
    qtbot.waitUntil(line.hasFocus)
    QTest.keyClicks(line, "moda")
    qtbot.waitUntil(popup.isVisible, timeout=5_000)
    QTest.keyClick(popup, Qt.Key.Key_Down)
    QTest.keyClick(popup, Qt.Key.Key_Return)
    assert line.text() == "modality:"
    qtbot.waitUntil(lambda: any("image" in name for name in line._names.stringList()), timeout=5_000)
    qtbot.waitUntil(popup.isVisible, timeout=5_000)
    QTest.keyClick(popup, Qt.Key.Key_Down)
    QTest.keyClick(popup, Qt.Key.Key_Return)
    assert line.text() == "modality:image "
    qtbot.waitUntil(lambda: filled.library.items.rowCount() == 12, timeout=10_000)


def test_a_slice_is_kept_with_the_project_and_forgotten(filled: MainWindow, qtbot: QtBot) -> None:
    session, slices = filled.session, filled.library._slices
    project = session.project
    assert project is not None
    slices.keep("small sounds", "modality:audio duration<1s")
    qtbot.waitUntil(lambda: "small sounds" in project.own.get("slices", {}))
    slices.slices = {}
    slices._read()
    assert slices.slices == {"small sounds": "modality:audio duration<1s"}
    slices._fill()
    action = next(a for a in slices.menu().actions() if a.text().startswith("small sounds"))
    action.trigger()
    qtbot.waitUntil(lambda: filled.library.items.rowCount() == 6, timeout=10_000)
    slices.keep("small sounds", "")
    qtbot.waitUntil(lambda: project.own.get("slices") == {})


def test_slices_of_an_older_studio_are_there_and_what_is_done_to_slices_is_undone(
    window: MainWindow, qtbot: QtBot,
) -> None:
    session, slices = window.session, window.library._slices
    project = session.project
    assert project is not None
    (project.folder / "slices.json").write_text('{"old": "tag:old"}')
    slices._read()
    qtbot.waitUntil(lambda: slices.slices == {"old": "tag:old"})
    slices.keep("new", "tag:new")
    slices.rename("old", "renamed")
    slices.rename("renamed", "new")
    assert "already" in window.banner.text.text()
    slices.keep("new", "")
    states = [{"renamed": "tag:old"}, {"renamed": "tag:old", "new": "tag:new"}, {"old": "tag:old", "new": "tag:new"},
              {"old": "tag:old"}]
    for state in states[1:]:
        session.undo()
        qtbot.waitUntil(lambda state=state: slices.slices == state)
    for state in states[-2::-1]:
        session.redo()
        qtbot.waitUntil(lambda state=state: slices.slices == state)
    assert "Forget the slice" in window.banner.text.text()


def test_the_library_is_sorted_and_what_is_clicked_is_what_is_selected(filled: MainWindow, qtbot: QtBot) -> None:
    session, panel, items = filled.session, filled.library, filled.library.items
    by_name = [item.id for item in sorted(session.items.values(), key=lambda item: item.title.lower())]

    def rows() -> list[int]:
        return [items.key_at(row) for row in range(items.rowCount())]

    panel.order._offer()
    action = next(action for action in panel.order.menu().actions() if action.text() == "Name")
    action.trigger()
    qtbot.waitUntil(lambda: rows() == by_name, timeout=10_000)
    assert items.shown.tolist() == sorted(by_name)
    view = panel.list
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(items.index(2, 0)).center())
    assert session.current == by_name[2]
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier,
                     view.visualRect(items.index(4, 0)).center())
    assert session.selection == set(by_name[2:5])
    session.select([by_name[0], by_name[9]])
    assert panel.rows.rows.tolist() == [0, 9]

    panel.order.choose("name", True)
    qtbot.waitUntil(lambda: rows() == by_name[::-1], timeout=10_000)
    assert panel.rows.rows.tolist() == [14, 23]
    session.remove([by_name[-1]])
    qtbot.waitUntil(lambda: rows() == by_name[-2::-1], timeout=10_000)
    session.undo()
    qtbot.waitUntil(lambda: rows() == by_name[::-1], timeout=10_000)


def test_what_is_added_and_edited_comes_where_it_belongs_in_a_sorted_library(
    filled: MainWindow, typed: Callable[[str], int], tmp_path: Path, qtbot: QtBot,
) -> None:
    session, panel, items = filled.session, filled.library, filled.library.items
    panel.order.choose("name", False)
    qtbot.waitUntil(lambda: items.keys_of(0, 24).tolist() != items.shown.tolist(), timeout=10_000)
    (tmp_path / "aaa.txt").write_text("0 comes before all others")
    session.add([tmp_path / "aaa.txt"])
    qtbot.waitUntil(lambda: items.rowCount() == 25 and session.items[items.key_at(0)].text.startswith("0 comes"),
                    timeout=10_000)
    session.set_column(items.keys_of(3, 6).tolist(), "grade", 1.0)
    panel.order.choose("grade", False)
    graded = sorted(items.keys_of(3, 6).tolist())
    qtbot.waitUntil(lambda: items.keys_of(0, 3).tolist() == graded, timeout=10_000)
    qtbot.waitUntil(lambda: not session.jobs.running, timeout=20_000)
    panel.order._offer()
    qtbot.waitUntil(lambda: "grade" in [a.text() for a in panel.order.menu().actions()], timeout=10_000)
    assert typed("modality:audio") == 6
    panel.order.choose("", False)
    qtbot.waitUntil(lambda: items.keys_of(0, 6).tolist() == items.shown.tolist(), timeout=10_000)


def test_another_project_is_not_sorted_by_a_column_of_this_one(
    filled: MainWindow, tmp_path: Path, qtbot: QtBot,
) -> None:
    session, order = filled.session, filled.library.order
    session.set_column(session.items.ids()[:3].tolist(), "grade", 1.0)
    order.choose("grade", True)
    for _ in range(3):
        order._fill()
    assert sum(action.isChecked() for action in order.menu().actions()) <= 2
    session.open_project(tmp_path / "another")
    qtbot.waitUntil(lambda: session.project is not None and session.project.name == "another", timeout=10_000)
    assert (order.by, order.descending) == ("", False)
    assert "grade" not in order._names
