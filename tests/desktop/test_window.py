"""The window without a model: empty states, filters, settings, dialogs, errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QLabel,
    QPushButton,
    QSpinBox,
    QStyle,
    QStyleOptionButton,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from mmstudio.desktop import audio
from mmstudio.desktop.dialogs import Palette, RecordDialog, SettingsDialog, ShortcutsDialog
from mmstudio.desktop.theme import THEME, category_colours
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.window import MainWindow
from mmstudio.errors import AudioDeviceError, StudioError, UnreadableMedia
from mmstudio.settings import TABLE


def drop(target: QWidget, files: list[Path]) -> None:
    """Send the events of a drop, as the window system does."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(f)) for f in files])
    at, action = QPoint(20, 20), Qt.DropAction.CopyAction
    QApplication.sendEvent(target, QDragEnterEvent(
        at, action, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    QApplication.sendEvent(target, QDropEvent(
        QPointF(at), action, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))


def test_empty_panels_teach_and_offer_the_button_that_fills_them(window: MainWindow, qtbot: QtBot) -> None:
    for panel in (window.library, window.map):
        visible = [e for e in panel.findChildren(EmptyState) if e.isVisible()]
        assert len(visible) == 1
        buttons = [b.text() for b in visible[0].findChildren(QPushButton)]
        assert buttons[0] == "Open the example"


def test_dropped_files_appear_and_the_report_says_what_was_unreadable(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path,
) -> None:
    drop(window, [mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not window.session.jobs.running, timeout=20_000)
    job = window.session.jobs.all[-1]
    qtbot.waitUntil(lambda: bool(job.outcome))  # told a moment after the work has ended
    assert job.outcome == "24 added, 1 unreadable"
    assert [path.name for path, _ in job.problems] == ["broken.png"]
    line = window.jobs.findChildren(QPushButton)[0]
    assert line.isVisible()
    assert line.text() == "Show"


def test_selection_is_one_thing_in_list_and_map(window: MainWindow, qtbot: QtBot, mixed_folder: Path) -> None:
    session, view = window.session, window.library.list
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not session.jobs.running, timeout=20_000)
    keys = list(session.items)[3:6]
    session.select(keys)
    assert {window.library.items.key_at(i.row()) for i in view.selectedIndexes()} == set(keys)
    view.selectAll()
    assert session.selection == frozenset(session.items)
    window.actions_.by_id["clear"].trigger()
    assert session.selection == frozenset()
    assert not view.selectedIndexes()


def test_removed_items_leave_list_and_project_but_not_the_disk(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path,
) -> None:
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 24 and not session.jobs.running, timeout=20_000)
    session.select(list(session.items)[:4])
    window.actions_.by_id["remove"].trigger()
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 20)
    assert len(list(mixed_folder.iterdir())) == 25


def test_pasted_pictures_and_texts_become_items(window: MainWindow, qtbot: QtBot) -> None:
    image = QImage(40, 30, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.green)
    QApplication.clipboard().setImage(image)
    window._paste()
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 1, timeout=20_000)
    QApplication.clipboard().setText("a pasted sentence")
    window._paste()
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 2, timeout=20_000)
    assert [i.modality for i in window.session.items.values()] == ["image", "text"]


def test_an_error_says_what_where_and_what_to_do_and_hides_its_traceback(window: MainWindow, qtbot: QtBot) -> None:
    window.session.failed.emit(UnreadableMedia("The picture is broken.", path="/a/<b>x.png", hint="Save it again."))
    assert window.banner.text.text() == "/a/<b>x.png: The picture is broken. Save it again."
    assert window.banner.text.textFormat() is Qt.TextFormat.PlainText
    assert not window.banner._details.isVisible()
    window.session.models.ask(lambda: 1 / 0, on_failed=window.session.failed.emit)
    qtbot.waitUntil(lambda: "ZeroDivisionError" in window.banner.text.text())
    assert "Traceback" not in window.banner.text.text()
    assert window.banner._details.isVisible()


def test_every_icon_only_button_has_a_tooltip(window: MainWindow) -> None:
    silent = [b for b in window.findChildren(QToolButton)
              if b.isVisible() and not b.text() and not b.toolTip() and b.objectName() != "qt_dockwidget_floatbutton"]
    assert silent == []


def test_every_label_that_shows_a_files_text_is_plain(window: MainWindow) -> None:
    for label in (window.inspector.title, window.inspector._facts, window.banner.text):
        assert isinstance(label, QLabel)
        assert label.textFormat() is Qt.TextFormat.PlainText


def test_the_settings_dialog_keeps_a_value_at_once(window: MainWindow, qtbot: QtBot) -> None:
    dialog = SettingsDialog(window.session.settings, window)
    qtbot.addWidget(dialog)
    assert set(dialog.editors) == {s.name for s in TABLE if s.shown}
    with qtbot.waitSignal(dialog.changed):
        dialog.editors["theme"].setCurrentText("light")  # type: ignore[attr-defined]
    assert window.session.settings["theme"] == "light"


def test_both_themes_change_every_colour(window: MainWindow, qtbot: QtBot) -> None:
    dark = window.grab().toImage().pixelColor(600, 400).lightness()
    window.actions_.by_id["theme"].trigger()
    assert not THEME.colours.dark
    assert window.grab().toImage().pixelColor(600, 400).lightness() > dark + 100


@pytest.mark.parametrize("number", [3, 8, 40])
def test_category_colours_are_distinct(number: int, qtbot: QtBot) -> None:
    assert len({c.name() for c in category_colours(number)}) == number


def test_the_palette_runs_an_action_by_its_name(window: MainWindow, qtbot: QtBot) -> None:
    ran: list[bool] = []
    window.actions_.by_id["arrange"].triggered.connect(lambda: ran.append(True))
    dialog = Palette(window.actions_.all(), window)
    qtbot.addWidget(dialog)
    dialog.line.setText("arrange anew")
    assert dialog.list.count() == 1
    QTest.keyClick(dialog.line, Qt.Key.Key_Return)
    assert ran == [True]


def test_the_sheet_of_shortcuts_is_made_from_the_actions_and_none_is_given_twice(
    window: MainWindow, qtbot: QtBot,
) -> None:
    shortcuts = [a.shortcut().toString() for a in window.actions_.all() if not a.shortcut().isEmpty()]
    assert len(shortcuts) == len(set(shortcuts))
    dialog = ShortcutsDialog(window.actions_.all(), window)
    qtbot.addWidget(dialog)
    shown = {label.text() for label in dialog.findChildren(QLabel)}
    assert "Group as a sample" in shown
    assert "Shift+drag" in shown


def test_without_a_microphone_the_recorder_says_so(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> list[audio.Microphone]:
        raise AudioDeviceError("No microphone was found.", hint="Connect one and press “Look again”.")

    monkeypatch.setattr("mmstudio.desktop.dialogs.microphones", none)
    dialog = RecordDialog(window.session, window)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: "No microphone" in dialog.state.text())
    assert not dialog.record.isEnabled()


def test_without_portaudio_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(AudioDeviceError, match="libportaudio2"):
        audio.portaudio()


def test_playing_without_a_loudspeaker_is_an_error_and_not_a_crash(
    monkeypatch: pytest.MonkeyPatch, qtbot: QtBot,
) -> None:
    import numpy as np

    sd = audio.portaudio()

    def refuse(*_: object, **__: object) -> None:
        raise sd.PortAudioError("no device")

    monkeypatch.setattr(sd, "OutputStream", refuse)
    player = audio.Player()
    player.load(np.zeros(100, np.float32), 16_000)
    with pytest.raises(StudioError, match="cannot be played"):
        player.play()
    assert not player.playing


def test_a_lost_preview_is_no_trouble(window: MainWindow, qtbot: QtBot, make_picture: Callable[..., Path]) -> None:
    window.session.add([make_picture("a.png")])
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 1 and not window.session.jobs.running, timeout=20_000)
    project = window.session.project
    assert project is not None
    with sqlite3.connect(project.folder / "previews.sqlite") as connection:
        connection.execute("DELETE FROM previews")
    connection.close()
    window.previews._kept.clear()
    assert window.grab().toImage().width() > 0


def test_the_window_fits_a_small_screen_and_no_panel_widens_it(window: MainWindow, qtbot: QtBot) -> None:
    for name in ("why", "compare", "structure", "training", "histograms"):
        dock = window._docks[name]
        dock.show()
        dock.raise_()
        qtbot.wait(1)
    window.resize(1280, 800)
    assert (window.width(), window.height()) == (1280, 800)


def test_the_numbers_of_a_million_items_do_not_widen_the_window(window: MainWindow) -> None:
    """They stand on more lines, and what does not fit is in a tooltip."""
    for chip in window.library._modalities.buttons():
        chip.setText("Pictures 1,360,000")
    window.map._state.setText("4,000,000 points · a model with a long name · UMAP")
    assert window.minimumSizeHint().width() <= 1280
    window.resize(1280, 800)
    assert window.width() == 1280
    window.map._state.resize(100, 20)
    assert window.map._state.text().endswith("…")
    assert "a model with a long name" in window.map._state.toolTip()
    window.map._state.resize(20, 20)
    assert not window.map._state.text()


@pytest.mark.parametrize("forward", [True, False])
def test_tab_reaches_only_what_is_in_front(forward: bool, filled: MainWindow, qtbot: QtBot) -> None:
    filled.actions_.by_id["explain"].trigger()
    filled._open(int(filled.session.items.ids()[0]))
    filled.activateWindow()
    filled.search.setFocus()
    reached = list[QWidget]()
    for _ in range(60):
        QTest.keyClick(filled.focusWidget(), Qt.Key.Key_Tab if forward else Qt.Key.Key_Backtab)
        focus = filled.focusWidget()
        docks = [dock for dock in filled._docks.values() if dock.isAncestorOf(focus)]
        assert not any(dock.visibleRegion().isEmpty() for dock in docks), focus
        reached.append(focus)
    assert {filled.search, filled.library.list, filled.library.line} <= set(reached)


@pytest.mark.parametrize("name", ["settings", "shortcuts"])
def test_dialogs_fit_a_small_screen(name: str, window: MainWindow) -> None:
    window.actions_.by_id[name].trigger()
    dialog = next(child for child in window.children() if isinstance(child, QDialog))
    hint, room = dialog.sizeHint(), dialog.screen().availableSize()
    assert hint.width() <= 1240
    assert hint.height() <= 740
    if name == "shortcuts":
        assert dialog.width() <= room.width()
        assert dialog.height() <= room.height()
    dialog.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("make", [QSpinBox, QComboBox])
def test_boxes_with_a_border_have_arrows_in_both_themes(
    theme: str, make: Callable[[], QWidget], window: MainWindow, qtbot: QtBot,
) -> None:
    THEME.apply(theme)
    box = make()
    qtbot.addWidget(box)
    box.resize(120, 32)
    image = box.grab().toImage()
    back = QColor(THEME.colours.base).lightness()
    apart = [abs(image.pixelColor(x, y).lightness() - back) for x in range(102, 116) for y in range(4, 28)]
    assert max(apart) > 60


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("checked", [False, True])
def test_a_check_box_has_an_outline_whether_it_is_checked_or_not(
    theme: str, checked: bool, window: MainWindow, qtbot: QtBot,
) -> None:
    THEME.apply(theme)
    box = QCheckBox("words", checked=checked)
    qtbot.addWidget(box)
    box.adjustSize()
    option = QStyleOptionButton()
    option.initFrom(box)
    edge = box.style().subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, box)
    image = box.grab().toImage()
    outline = [image.pixelColor(x, edge.top()).lightness() for x in range(edge.left() + 4, edge.right() - 3)]
    assert all(abs(seen - QColor(THEME.colours.base).lightness()) > 60 for seen in outline)
