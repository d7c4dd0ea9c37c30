"""The library as a list: columns that a person chooses, whose header sorts and in whose cells one types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QStyleOptionViewItem
from pytestqt.qtbot import QtBot

from mmstudio.desktop.item_list import MOST_READ
from mmstudio.desktop.item_view import Row
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.explore import similarity


@pytest.fixture
def listed(window: MainWindow, mixed_folder: Path, qtbot: QtBot) -> MainWindow:
    """24 items as a list, of which the pictures have a price, and two of them a day and a word."""
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not session.jobs.running)
    pictures = [key for key, item in session.items.items() if item.modality == "image"]
    session.set_columns({key: {"price": float(n % 5)} for n, key in enumerate(pictures)}, "prices")
    session.set_columns({pictures[n]: {"day": f"2026-05-0{n + 1}", "name": "own"} for n in range(2)}, "days")
    session.tag(pictures[3:5], "b")
    session.tag(pictures[4:6], "a")
    qtbot.waitUntil(lambda: session.items[pictures[5]].tags == ("a",))
    window.library._as_list.setChecked(True)
    return window


def _show(window: MainWindow, qtbot: QtBot, *names: str) -> None:
    columns = window.library.items.columns
    for name in names:
        columns.show_column(name, True)
    qtbot.waitUntil(lambda: set(names) <= set(columns.kinds))


def _click(window: MainWindow, name: str, qtbot: QtBot) -> None:
    header, place = window.library.list.header, window.library.items.columns.shown.index(name)
    window.library.list.horizontalScrollBar().setValue(0)
    with qtbot.waitSignal(window.library.items.filter.passed):
        QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton,
                         pos=QPoint(header.sectionViewportPosition(place) + 12, header.height() // 2))


def _cell(window: MainWindow, row: int, name: str) -> str:
    items = window.library.items
    return str(items.index(row, items.columns.shown.index(name)).data())


def _type(window: MainWindow, row: int, name: str, text: str) -> None:
    view, items = window.library.list, window.library.items
    view.setCurrentIndex(items.index(row, items.columns.shown.index(name)))
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_F2)
    editor = next(found for found in view.viewport().findChildren(QLineEdit) if found.isVisible())
    editor.setText(text)
    QTest.keyClick(editor, Qt.Key.Key_Return)


def test_cells_tell_of_the_item_and_the_header_what_they_tell(listed: MainWindow, qtbot: QtBot) -> None:
    _show(listed, qtbot, "price", "width", "day", "name_column")
    items = listed.library.items
    for row in range(items.rowCount()):
        item = items.item_at(row)
        assert item is not None
        assert _cell(listed, row, "name") == item.title
        assert _cell(listed, row, "tag") == ", ".join(item.tags)
        assert _cell(listed, row, "price") == (str(int(item.columns["price"])) if item.modality == "image" else "")
        assert _cell(listed, row, "width") == str(item.facts.get("width", ""))
        assert _cell(listed, row, "name_column") == item.columns.get("name", "")
    titles = [items.headerData(place, Qt.Orientation.Horizontal) for place in range(items.columnCount())]
    assert titles == ["Name", "Modality", "Tags", "price", "Width (pixels)", "day", "name_column"]
    for theme in ("light", "dark"):
        THEME.apply(theme)
        assert not listed.library.grab().isNull()


def test_the_header_sorts_as_the_sort_button_does_and_shows_what_it_chose(listed: MainWindow, qtbot: QtBot) -> None:
    _show(listed, qtbot, "price")
    order, header, rows = listed.library.order, listed.library.list.header, range(12)
    place = listed.library.items.columns.shown.index("price")
    _click(listed, "price", qtbot)
    assert (order.by, order.descending) == ("price", False)
    assert [_cell(listed, row, "price") for row in rows] == sorted(str(n % 5) for n in range(12))
    assert header.sortIndicatorSection() == place
    _click(listed, "price", qtbot)
    assert (order.by, order.descending) == ("price", True)
    assert [_cell(listed, row, "price") for row in rows] == sorted((str(n % 5) for n in range(12)), reverse=True)
    assert header.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder
    with qtbot.waitSignal(listed.library.items.filter.passed):
        order.choose("name", False)
    assert header.sortIndicatorSection() == 0
    _click(listed, "tag", qtbot)
    assert [_cell(listed, row, "tag") for row in range(4)] == ["a", "a, b", "b", ""]


def test_a_value_is_typed_in_its_place_and_taken_back(listed: MainWindow, qtbot: QtBot) -> None:
    _show(listed, qtbot, "price", "name_column")
    session, key = listed.session, int(listed.library.items.shown[0])
    before = dict(session.items[key].columns)
    _type(listed, 0, "price", "7.5")
    qtbot.waitUntil(lambda: session.items[key].columns.get("price") == 7.5)
    _type(listed, 0, "name_column", "another")
    qtbot.waitUntil(lambda: session.items[key].columns.get("name") == "another")
    session.undo()
    session.undo()
    qtbot.waitUntil(lambda: session.items[key].columns == before)
    _type(listed, 0, "price", "")
    qtbot.waitUntil(lambda: "price" not in session.items[key].columns)


@pytest.mark.parametrize(("name", "text", "word"), [
    ("price", "cheap", "holds numbers"), ("day", "tomorrow", "holds dates"), ("day", "2026-02-30", "holds dates"),
    ("day", "12", "holds dates"),
])
def test_what_a_column_cannot_hold_is_refused_with_a_word(
    listed: MainWindow, qtbot: QtBot, name: str, text: str, word: str,
) -> None:
    _show(listed, qtbot, name)
    session, key = listed.session, int(listed.library.items.shown[0])
    before = dict(session.items[key].columns)
    _type(listed, 0, name, text)
    qtbot.waitUntil(listed.banner.isVisible)
    assert word in listed.banner.text.text()
    assert session.items[key].columns == before


def test_a_double_click_edits_an_own_cell_and_opens_any_other(listed: MainWindow, qtbot: QtBot) -> None:
    _show(listed, qtbot, "price")
    view, items = listed.library.list, listed.library.items
    place = items.columns.shown.index("price")
    for column, edits in ((place, True), (0, False)):
        index = items.index(1, column)
        view.scrollTo(index)
        at = view.visualRect(index).center()
        assert view.indexAt(at) == index
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
        QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert (view.state() == view.State.EditingState) == edits
        view.setState(view.State.NoState)
    assert set(listed.session.selection) == {items.key_at(1)}


def test_columns_and_widths_are_kept_with_the_project(listed: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    session, columns, header = listed.session, listed.library.items.columns, listed.library.list.header
    assert session.project is not None
    folder, project = session.project.folder, session.project
    _show(listed, qtbot, "price", "width")
    columns.show_column("modality", False)
    columns.show_column("name", False)
    header.resizeSection(0, 333)
    qtbot.waitUntil(lambda: project.own.get("library list", {}).get("widths") == {"name": 333})
    for one, shown, width in ((tmp_path / "another", ("name", "modality", "tag"), 220),
                              (folder, ("name", "tag", "price", "width"), 333)):
        with qtbot.waitSignal(session.projectOpened):
            session.open_project(one)
        assert columns.shown == shown
        assert header.sectionSize(0) == width


def test_the_menu_of_columns_offers_the_persons_own(listed: MainWindow, qtbot: QtBot) -> None:
    menu = listed.library.columns_menu
    menu.aboutToShow.emit()
    qtbot.waitUntil(lambda: "price" in [action.text() for action in menu.actions()])
    offered = {action.text(): action for action in menu.actions() if action.text()}
    assert {"Modality", "Tags", "Score", "price", "day", "Width (pixels)"} <= set(offered)
    assert offered["Tags"].isChecked()
    assert not offered["price"].isChecked()
    offered["price"].trigger()
    assert "price" in listed.library.items.columns.shown


def test_scores_come_with_a_question_and_go_with_it(
    listed: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], starter: Encoder, settled: Callable[[], None],
) -> None:
    session, items = listed.session, listed.library.items
    assert "score" not in items.columns.shown
    use(starter)
    settled()
    session.ask("a red circle", "a red circle")
    qtbot.waitUntil(lambda: "score" in items.columns.shown and _cell(listed, 0, "score") != "")
    view, answer = session.view, session.answer
    assert view is not None
    assert answer is not None
    _click(listed, "score", qtbot)
    wanted = similarity.scores(view.vectors, answer.query, answer.measure)
    assert [_cell(listed, row, "score") for row in range(24)] == [f"{score:.3f}" for score in np.sort(wanted)[::-1]]
    session.clear_answer()
    assert "score" not in items.columns.shown


def test_only_rows_that_are_near_are_read(listed: MainWindow) -> None:
    items = listed.library.items
    items._read = {}
    items.index(3, 0).data()
    assert 0 < len(items._read) <= min(MOST_READ, 64)


def test_a_button_offers_the_columns_while_there_are_any(listed: MainWindow, qtbot: QtBot) -> None:
    button, panel = listed.library._columns, listed.library
    assert button.isVisible()
    assert button.menu() is panel.columns_menu
    panel._as_list.setChecked(False)
    assert not button.isVisible()


@pytest.mark.parametrize("as_list", [False, True])
def test_what_is_dragged_looks_as_it_does_in_the_library(listed: MainWindow, as_list: bool) -> None:
    """Qt has the delegate draw what the pointer carries."""
    panel, drawn = listed.library, []
    panel._as_list.setChecked(as_list)
    for drag in (False, True):
        image = QImage(300, 130, QImage.Format.Format_RGB32)
        image.fill(Qt.GlobalColor.black)
        rect = QRect(0, 0, 300, 40) if as_list else QRect(0, 0, 106, 124)
        with QPainter(image) as painter:
            if drag:
                option = QStyleOptionViewItem()
                option.rect = rect
                panel.list.itemDelegate().paint(painter, option, panel.items.index(0, 0))
            elif as_list:
                panel.list.row_painter.draw_lines(painter, [Row(0, rect, False, False)], [(0, 0, 300)])
            else:
                panel.list.row_painter.draw_cards(painter, [Row(0, rect, False, False)])
        drawn.append(image)
    assert drawn[0] == drawn[1]
    assert len({drawn[0].pixel(x, 20) for x in range(100)}) > 1
