"""The selection of very many items: one set of numbers, in the grid, the filter and what is edited."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.row_selection import MOST_RANGES
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.window import MainWindow
from mmstudio.library import Store
from mmstudio.media import Description

MANY = 3000


def test_a_selection_is_a_set_as_pythons_is() -> None:
    rng = random.Random(0)
    for _ in range(200):
        a, b = ({rng.randrange(-5, 15) for _ in range(rng.randrange(12))} for _ in range(2))
        one, other = Selection(a), Selection(np.array(list(b), np.int64))
        for ours, plain in ((one | other, a | b), (one & other, a & b), (one - other, a - b), (one ^ other, a ^ b),
                            (one - b, a - b), (one | b, a | b), (Selection(one), a)):
            assert ours == plain
            assert plain == ours
            assert list(ours) == sorted(plain)
            assert len(ours) == len(plain)
        assert all((key in one) is (key in a) for key in range(-6, 16))
        assert one.items.tolist() == sorted(key for key in a if key > 0)
        assert (one == other) is (a == b)
        ids = np.array(sorted(b), np.int64)
        assert one.rows_in(ids).tolist() == [row for row, key in enumerate(sorted(b)) if key in a]
    assert "x" not in Selection([1])
    assert Selection([1]) != [1]


def test_the_rows_of_a_large_selection_are_found_as_those_of_a_small_one() -> None:
    rng = np.random.default_rng(0)
    ids = np.flatnonzero(rng.random(9000) < 0.5)
    chosen = Selection(np.flatnonzero(rng.random(9000) < 0.5))
    assert np.array_equal(chosen.rows_in(ids), [row for row, key in enumerate(ids.tolist()) if key in chosen])


def test_a_million_are_selected_and_compared_at_once() -> None:
    ids = np.arange(1, 1_000_001)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert Selection(ids) != Selection(ids[1:])
        assert len(Selection(ids).rows_in(ids)) == len(ids)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.15


@pytest.fixture
def many(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> MainWindow:
    """A window with very many items in its library."""
    store = Store(tmp_path / "many")
    store.add([Description(Path(f"/{i}.png"), "image", f"{i:040x}", facts={"width": i % 7, "height": 9})
               for i in range(MANY)])
    store.close()
    window.session.open_project(tmp_path / "many")
    qtbot.waitUntil(lambda: window.library.items.rowCount() == MANY, timeout=20_000)
    return window


def _shown(window: MainWindow) -> list[int]:
    """The keys that are drawn as selected, of the rows that are seen."""
    view = window.library.list
    rows = range(*view.near())
    return [window.library.items.key_at(row) for row in rows
            if view.selectionModel().isSelected(window.library.items.index(row, 0))]


def _click(window: MainWindow, row: int, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    view = window.library.list
    at = view.visualRect(window.library.items.index(row, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, modifiers, at)


def test_a_scattered_selection_is_drawn_wherever_one_scrolls_and_stays_whole(many: MainWindow) -> None:
    session, view = many.session, many.library.list
    third = session.items.ids()[::3]
    assert len(third) > MOST_RANGES
    session.select(third)
    for share in (0.0, 0.31, 1.0):
        view.verticalScrollBar().setValue(int(share * view.verticalScrollBar().maximum()))
        rows = range(*view.near())
        seen = {many.library.items.key_at(row) for row in rows}
        assert len(seen) > 5
        assert set(_shown(many)) == seen & set(third.tolist())
    assert session.selection == set(third.tolist())


def test_ctrl_click_adds_to_and_takes_from_a_scattered_selection_and_a_click_replaces_it(many: MainWindow) -> None:
    session = many.session
    third = set(session.items.ids()[::3].tolist())
    session.select(third)
    control = Qt.KeyboardModifier.ControlModifier
    _click(many, 1, control)
    assert session.selection == third | {2}
    _click(many, 3, control)
    assert session.selection == (third | {2}) - {4}
    assert 2 in _shown(many)
    assert 4 not in _shown(many)
    _click(many, 5)
    assert session.selection == {6}
    assert _shown(many) == [6]
    _click(many, 7, Qt.KeyboardModifier.ShiftModifier)
    assert session.selection == {6, 7, 8}


def test_everything_is_selected_with_the_keyboard_and_what_passes_a_filter_too(
    many: MainWindow, qtbot: QtBot,
) -> None:
    session, panel = many.session, many.library
    QTest.keyClick(panel.list, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(session.selection) == MANY
    panel.line.setText("width:3")
    qtbot.waitUntil(lambda: panel.items.rowCount() == len(range(3, MANY, 7)))
    assert session.selection == set(range(4, MANY + 1, 7))  # what is not seen is not selected
    panel.line.setText("")
    qtbot.waitUntil(lambda: panel.items.rowCount() == MANY)
    assert session.selection == set(range(4, MANY + 1, 7))
    panel.line.setText("is:selected")
    qtbot.waitUntil(lambda: panel.items.rowCount() == len(range(3, MANY, 7)))
    assert _shown(many) == [panel.items.key_at(row) for row in range(*panel.list.near())]


def test_very_many_items_are_tagged_removed_and_put_back_in_the_window(many: MainWindow, qtbot: QtBot) -> None:
    session = many.session
    session.select(session.items.ids()[::2])
    many.session.tag(session.selection, "odd")
    qtbot.waitUntil(lambda: session.items[MANY - 1].tags == ("odd",), timeout=20_000)
    assert session.items[2].tags == ()
    session.remove(session.selection)
    qtbot.waitUntil(lambda: many.library.items.rowCount() == MANY // 2, timeout=20_000)
    assert not session.selection
    session.undo()
    qtbot.waitUntil(lambda: many.library.items.rowCount() == MANY, timeout=20_000)
    assert session.items[1].tags == ("odd",)
    session.undo()
    qtbot.waitUntil(lambda: session.items[1].tags == (), timeout=20_000)


def test_arrows_and_pages_move_through_the_grid_and_the_list(many: MainWindow) -> None:
    view, items = many.library.list, many.library.items
    view.setCurrentIndex(items.index(0, 0))
    columns = next(row for row in range(1, MANY) if view.visualRect(items.index(row, 0)).left() == 0)
    for key, row in ((Qt.Key.Key_Right, 1), (Qt.Key.Key_Down, 1 + columns), (Qt.Key.Key_End, MANY - 1),
                     (Qt.Key.Key_Left, MANY - 2)):  # Home belongs to the map
        QTest.keyClick(view, key)
        assert view.currentIndex().row() == row
        assert view.viewport().rect().contains(view.visualRect(items.index(row, 0)).center())
    QTest.keyClick(view, Qt.Key.Key_PageUp)
    assert 0 < view.currentIndex().row() <= MANY - 2 - columns
    many.library._as_list.setChecked(True)
    view.setCurrentIndex(items.index(10, 0))
    QTest.keyClick(view, Qt.Key.Key_Down)
    assert view.currentIndex().row() == 11
    assert view.indexAt(view.visualRect(items.index(11, 0)).center()).row() == 11
    assert not view.indexAt(QPoint(-3, 5)).isValid()


def test_what_is_at_the_top_of_the_grid_stays_there_when_the_view_becomes_wider(
    many: MainWindow, qtbot: QtBot,
) -> None:
    view = many.library.list
    view.verticalScrollBar().setValue(view.verticalScrollBar().maximum() // 2)
    top = view.near()[0]
    many.library.setMinimumWidth(many.library.width() + 300)
    qtbot.waitUntil(lambda: view.visualRect(many.library.items.index(4, 0)).top() ==
                    view.visualRect(many.library.items.index(0, 0)).top())
    first, end = view.near()
    assert first <= top < end
    assert top - first < 10


def test_the_tags_of_the_selection_are_offered_to_be_removed(
    many: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = many.session
    session.tag([1, 2], "b")
    session.tag([1], "a")
    qtbot.waitUntil(lambda: session.items[1].tags == ("a", "b"), timeout=20_000)
    offered: list[list[str]] = []

    def answer(*asked: object) -> tuple[str, bool]:
        offered.append(asked[3])  # type: ignore[arg-type]
        return "b", True

    monkeypatch.setattr("mmstudio.desktop.window.QInputDialog.getItem", answer)
    session.select(session.items.ids())
    many.actions_.by_id["untag"].trigger()
    qtbot.waitUntil(lambda: session.items[1].tags == ("a",) and session.items[2].tags == (), timeout=20_000)
    assert offered == [["a", "b"]]


