"""Histograms: a brush narrows the library through the filter bar, and the selection is seen in every bar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QToolTip
from pytestqt.qtbot import QtBot

from mmstudio.desktop.panels.histograms import HistogramsPanel
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.widgets.histogram import HistogramView
from mmstudio.desktop.window import MainWindow
from mmstudio.library.histogram import Histogram

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def panel(window: MainWindow, mixed_folder: Path, qtbot: QtBot) -> HistogramsPanel:
    """The histograms of 24 items: twelve pictures, six sounds of half a second, six texts."""
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not window.session.jobs.running, timeout=20_000)
    window.actions_.by_id["histograms"].trigger()
    panel = window.histograms.made
    assert isinstance(panel, HistogramsPanel)
    qtbot.waitUntil(lambda: "width" in panel.cards and not busy(panel), timeout=10_000)
    return panel


def busy(panel: HistogramsPanel) -> bool:
    return panel._counting or panel._stale or panel._soon.isActive() or panel._items.filter.waits


@pytest.fixture
def rest(panel: HistogramsPanel, qtbot: QtBot) -> Callable[[], None]:
    """Wait until the filter has answered and all is counted."""
    return lambda: qtbot.waitUntil(lambda: not busy(panel), timeout=10_000)


def view(panel: HistogramsPanel, name: str) -> HistogramView:
    return panel.cards[name].view


def shown(panel: HistogramsPanel, name: str) -> Histogram:
    found = view(panel, name).histogram
    assert found is not None
    return found


def click(on: HistogramView, bar: int, modifiers: Qt.KeyboardModifier = NONE) -> None:
    QTest.mouseClick(on, LEFT, modifiers, on.centre_of(bar))


def drag(on: HistogramView, first: int, last: int) -> None:
    QTest.mousePress(on, LEFT, NONE, on.centre_of(first))
    for bar in range(first, last + 1):
        QTest.mouseMove(on, on.centre_of(bar))
    QTest.mouseRelease(on, LEFT, NONE, on.centre_of(last))


def test_nothing_is_built_before_it_is_shown(window: MainWindow, qtbot: QtBot) -> None:
    assert window._docks["histograms"].isHidden()
    assert window.histograms.made is None
    window.actions_.by_id["histograms"].trigger()
    panel = window.histograms.made
    assert isinstance(panel, HistogramsPanel)
    qtbot.waitUntil(panel.isVisible)
    panel.closeWanted.emit()
    assert window._docks["histograms"].isHidden()


def test_modality_tags_and_the_first_columns_that_vary_are_shown_at_first(panel: HistogramsPanel) -> None:
    assert list(panel.cards)[:2] == ["modality", "tag"]
    assert {"width", "height"} <= set(panel.cards)
    assert len(panel.cards) == 5
    modality = shown(panel, "modality")
    assert dict(zip(modality.values, modality.every.tolist(), strict=True)) == {"image": 12, "audio": 6, "text": 6}
    assert panel.cards["width"]._left_out.text() == "12 without"


def test_a_drag_over_numbers_writes_a_range_and_narrows_the_library(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None],
) -> None:
    window.library.line.setText("picture")
    drag(view(panel, "width"), 2, 5)
    assert window.library.line.text() == "picture width:50..53"
    rest()
    widths = sorted(window.session.items[key].facts["width"] for key in window.library.items.shown.tolist())
    assert widths == [50, 51, 52, 53]
    assert view(panel, "width").brush == {2, 3, 4, 5}
    assert shown(panel, "width").passing.tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert shown(panel, "modality").passing.tolist() == [4, 0, 0]
    drag(view(panel, "width"), 0, 1)
    assert window.library.line.text() == "picture width:48..49"


def test_clicks_on_categories_toggle_and_ctrl_and_shift_add(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None],
) -> None:
    line, bars = window.library.line, view(panel, "modality")
    image, audio, text = (shown(panel, "modality").values.index(name) for name in ("image", "audio", "text"))
    click(bars, image)
    assert line.text() == "modality:image"
    click(bars, text)
    assert line.text() == "modality:text"
    click(bars, audio, Qt.KeyboardModifier.ControlModifier)
    assert set(line.text().removeprefix("modality:").split(",")) == {"audio", "text"}
    rest()
    assert window.library.items.rowCount() == 12
    click(bars, audio, Qt.KeyboardModifier.ControlModifier)
    assert line.text() == "modality:text"
    click(bars, text)
    assert line.text() == ""
    click(bars, 0)
    click(bars, 2, Qt.KeyboardModifier.ShiftModifier)
    assert bars.brush == {0, 1, 2}
    rest()
    assert window.library.items.rowCount() == 24


@pytest.mark.parametrize("how", ["double-click", "escape", "button", "filter bar"])
def test_a_cleared_brush_leaves_the_other_words(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None], how: str,
) -> None:
    line, bars = window.library.line, view(panel, "width")
    line.setText("red OR picture")
    click(bars, 3)
    assert line.text() == "(red OR picture) width:51"
    window.session.select([1])
    if how == "double-click":
        QTest.mouseDClick(bars, LEFT, NONE, bars.centre_of(1))
    elif how == "escape":
        bars.setFocus()
        QTest.keyClick(bars, Qt.Key.Key_Escape)
        assert window.session.selection == {1}  # Esc was for the brush alone
    elif how == "button":
        panel.cards["width"].clear.click()
    else:
        line.setText("red OR picture")
    assert line.text() == "red OR picture"
    assert bars.brush == frozenset()
    assert not panel.cards["width"].clear.isVisible()


def test_what_is_selected_elsewhere_is_counted_in_every_bar(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None],
) -> None:
    session = window.session
    chosen = [key for key, item in session.items.items() if item.facts.get("width") in (48, 50) or item.text == "rain"]
    session.select([*chosen, -1])
    rest()
    modality = shown(panel, "modality")
    assert dict(zip(modality.values, modality.selected.tolist(), strict=True)) == {"image": 2, "audio": 0, "text": 1}
    assert shown(panel, "width").selected.tolist() == [1, 0, 1, *[0] * 9]
    assert view(panel, "width").told(2) == "50: 1 of 1 (1 selected)"
    session.select([])
    rest()
    assert not shown(panel, "width").selected.any()
    assert view(panel, "width").told(2) == "50: 1 of 1"


def test_the_items_of_brushed_bars_are_selected_on_map_and_grid(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None], qtbot: QtBot,
) -> None:
    bars = view(panel, "width")
    drag(bars, 0, 2)
    bars.setFocus()
    QTest.keyClick(bars, Qt.Key.Key_Return)  # the filter has not answered yet
    qtbot.waitUntil(lambda: len(window.session.selection) == 3, timeout=10_000)
    assert {window.session.items[key].facts["width"] for key in window.session.selection} == {48, 49, 50}
    rest()
    assert len(window.library.list.selectionModel().selectedIndexes()) == 3
    menu = QMenu(bars)
    window.library.line.setText("")
    bars.fill_menu(menu, 7)
    rest()
    menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: [window.session.items[key].facts["width"] for key in window.session.selection] == [55],
                    timeout=10_000)


def test_a_histogram_is_moved_over_brushed_and_selected_with_the_keyboard(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None], qtbot: QtBot,
) -> None:
    bars, line = view(panel, "width"), window.library.line
    bars.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Space):
        QTest.keyClick(bars, key)
    assert line.text() == "width:50"
    QTest.keyClick(bars, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert line.text() == "width:50..51"
    assert bars.accessibleDescription().startswith("51: ")
    QTest.keyClick(bars, Qt.Key.Key_Enter)
    qtbot.waitUntil(lambda: len(window.session.selection) == 2, timeout=10_000)
    QTest.keyClick(bars, Qt.Key.Key_End)
    QTest.keyClick(bars, Qt.Key.Key_Space)
    assert line.text() == "width:59"
    QTest.keyClick(bars, Qt.Key.Key_Space)
    assert line.text() == ""


def test_what_is_typed_is_shown_as_a_brush_and_a_wrong_filter_is_not_touched(
    panel: HistogramsPanel, window: MainWindow, qtbot: QtBot,
) -> None:
    line = window.library.line
    line.setText("width>=57 type:sound")
    assert view(panel, "width").brush == {9, 10, 11}
    assert view(panel, "modality").brush == {shown(panel, "modality").values.index("audio")}
    line.setText('width:50 "open')
    with qtbot.waitSignal(window.session.noted):
        click(view(panel, "width"), 8)
    assert line.text() == 'width:50 "open'
    assert view(panel, "width").brush == frozenset()


def test_columns_are_chosen_and_left_out(panel: HistogramsPanel, rest: Callable[[], None]) -> None:
    panel._fill_menu()
    actions = {action.text(): action for action in panel.columns_menu.actions()}
    assert actions["Width (pixels)"].isChecked()
    actions["Width (pixels)"].trigger()
    if not actions["Length (characters)"].isChecked():
        actions["Length (characters)"].trigger()
    rest()
    assert "width" not in panel.cards
    assert shown(panel, "characters").every.sum() == 6
    panel.cards["modality"].removed.emit()
    assert "modality" not in panel.cards


def test_columns_of_the_persons_own_and_tags_are_counted_as_they_change(
    panel: HistogramsPanel, window: MainWindow, rest: Callable[[], None], qtbot: QtBot,
) -> None:
    session = window.session
    keys = list(session.items)[:4]
    session.tag(keys, "<b>two words</b>")
    session.set_column(keys[:2], "my score", 10_000.0)
    session.set_column(keys[2:3], "my score", 1.0)
    qtbot.waitUntil(lambda: "my score" in panel._names, timeout=10_000)
    rest()
    assert shown(panel, "tag").every.tolist() == [4]
    click(view(panel, "tag"), 0)
    assert window.library.line.text() == 'tag:"<b>two words</b>"'
    rest()
    assert window.library.items.rowCount() == 4
    panel._fill_menu()
    next(action for action in panel.columns_menu.actions() if action.text() == "my score").trigger()
    rest()
    card = panel.cards["my score"]
    qtbot.waitUntil(card.log.isVisible)  # once the second value has come
    card.log.click()
    rest()
    assert shown(panel, "my score").log
    click(view(panel, "my score"), 0)
    assert window.library.line.text() == 'tag:"<b>two words</b>" "my score":1'
    session.remove(keys)
    qtbot.waitUntil(lambda: "my score" not in panel.cards, timeout=10_000)


def test_a_bar_tells_its_counts_as_plain_text_when_hovered(panel: HistogramsPanel, window: MainWindow) -> None:
    bars = view(panel, "modality")
    place = bars.centre_of(0)
    QApplication.sendEvent(bars, QHelpEvent(QEvent.Type.ToolTip, place, bars.mapToGlobal(place)))
    assert "image: 12 of 12" in QToolTip.text()
    QTest.mouseMove(bars, bars.centre_of(1))
    QToolTip.hideText()


def test_histograms_are_drawn_in_both_themes_at_any_size(panel: HistogramsPanel, rest: Callable[[], None]) -> None:
    click(view(panel, "width"), 3)
    rest()
    for theme in ("light", "dark"):
        THEME.apply(theme)
        for size in ((40, 20), (400, 100), (2000, 300)):
            for card in panel.cards.values():
                card.view.resize(*size)
                picture = card.view.grab().toImage()
                assert not picture.isNull()
    bars = view(panel, "width")
    bars.resize(400, 92)
    assert bars.bar_at(QPoint(-50, 5)) == 0
    assert bars.bar_at(QPoint(9000, 5)) == len(shown(panel, "width")) - 1


def test_the_selection_is_a_word_of_the_filter_and_is_followed(
    window: MainWindow, mixed_folder: Path, qtbot: QtBot,
) -> None:
    session, items, line = window.session, window.library.items, window.library.line
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: items.rowCount() == 24 and not session.jobs.running, timeout=20_000)
    keys = list(session.items)
    session.select(keys[:5])
    line.setText("is:selected")
    qtbot.waitUntil(lambda: items.shown.tolist() == keys[:5], timeout=10_000)
    session.select(keys[2:4])
    qtbot.waitUntil(lambda: items.shown.tolist() == keys[2:4], timeout=10_000)
    line.setText("-selected:yes")
    qtbot.waitUntil(lambda: items.shown.tolist() == [*keys[:2], *keys[4:]], timeout=10_000)
    assert session.selection == set(keys[2:4])
    line.setText("modality:image")
    qtbot.waitUntil(lambda: items.rowCount() == 12 and not items.filter.waits, timeout=10_000)
    answers: list[object] = []
    items.filter.passed.connect(answers.append)
    session.select(keys[:1])
    assert not items.filter.waits  # no question, for the answer is the same
    line.setText("is:selectde")
    qtbot.waitUntil(lambda: "selected" in window.library._wrong.text(), timeout=10_000)


def test_an_empty_project_teaches_what_histograms_are_for(window: MainWindow, qtbot: QtBot) -> None:
    window.actions_.by_id["histograms"].trigger()
    panel = window.histograms.made
    assert isinstance(panel, HistogramsPanel)
    qtbot.waitUntil(lambda: panel.isVisible() and not busy(panel), timeout=10_000)
    assert panel._stack.currentIndex() == 0
    assert not panel.cards


def test_what_a_brush_or_a_filter_does_not_let_pass_turns_grey_on_the_map(
    filled: MainWindow, settled: Callable[[], None], qtbot: QtBot,
) -> None:
    settled()
    session, cloud = filled.session, filled.map.canvas.drawing.cloud
    pictures = [key for key, item in session.items.items() if item.modality == "image"]
    sounds = [key for key, item in session.items.items() if item.modality == "audio"]
    session.group([pictures[0], sounds[0]], "together")
    qtbot.waitUntil(lambda: bool(session.samples) and -next(iter(session.samples)) in cloud.points.keys.tolist())
    session.select([])
    sample = -next(iter(session.samples))

    def grey() -> set[int]:
        return set(cloud.points.keys[cloud.codes_of(np.arange(len(cloud.points.keys))) == cloud.grey].tolist())

    assert grey() == set()
    filled.library.line.setText("modality:image")
    qtbot.waitUntil(lambda: grey() == set(session.items) - set(pictures))
    assert sample not in grey()  # one of its items passes
    filled.library.line.setText("modality:text")
    qtbot.waitUntil(lambda: grey() == {*pictures, *sounds, sample})
    filled.actions_.by_id["histograms"].trigger()
    panel = filled.histograms.made
    assert isinstance(panel, HistogramsPanel)
    qtbot.waitUntil(lambda: "modality" in panel.cards and not busy(panel))
    panel._brush("modality", frozenset([shown(panel, "modality").values.index("audio")]), False)
    qtbot.waitUntil(lambda: grey() == set(session.items) - set(sounds))
    session.select(pictures[:2])  # several selected points stand out as ever
    assert grey() == {*session.items, sample} - set(pictures[:2])
    session.select([])
    filled.library.line.clear()
    qtbot.waitUntil(lambda: grey() == set())
