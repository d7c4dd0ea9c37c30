"""The mapping page: a dropped table becomes samples as its columns are mapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from mmstudio.desktop.table_dialog import TableDialog
from mmstudio.desktop.window import MainWindow

COLOURS = ("red", "green", "blue")


@pytest.fixture
def table(tmp_path: Path, make_picture: Callable[..., Path], make_sound: Callable[..., Path]) -> Path:
    """Three rows of a picture, a sound, a caption, a label and a number; one more names a picture that is not there."""
    rows = ["image,sound,caption,label,score"]
    for number, colour in enumerate(COLOURS):
        make_picture(f"set/{colour}.png", colour)
        make_sound(f"set/{colour}.wav", 300 + 100 * number)
        rows.append(f"{colour}.png,{colour}.wav,a {colour} disc on white paper,{colour},{number / 2}")
    rows.append("gone.png,red.wav,nothing to see in this row,red,9")
    (tmp_path / "set" / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "set" / "table.csv"


def _dialog(window: MainWindow, table: Path, qtbot: QtBot) -> TableDialog:
    window._add_paths([table])
    qtbot.waitUntil(lambda: window.findChild(TableDialog) is not None, timeout=5_000)
    dialog = window.findChild(TableDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: bool(dialog.roles), timeout=10_000)
    return dialog


def _imported(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: bool(window.session.jobs.all) and not window.session.jobs.running, timeout=20_000)
    qtbot.waitUntil(lambda: bool(window.session.jobs.all[-1].outcome), timeout=5_000)


def test_the_guess_is_shown_with_the_first_rows(window: MainWindow, table: Path, qtbot: QtBot) -> None:
    dialog = _dialog(window, table, qtbot)
    assert {name: box.currentData() for name, box in dialog.roles.items()} == {
        "image": "image", "sound": "audio", "caption": "text", "label": "label", "score": "column"}
    assert dialog.cells.item(1, 2).text() == "a red disc on white paper"
    assert "picture + sound + text" in dialog.told.text()


def test_each_row_becomes_a_sample_with_its_label_and_columns(window: MainWindow, table: Path, qtbot: QtBot) -> None:
    session = window.session
    dialog = _dialog(window, table, qtbot)
    dialog.go.click()
    _imported(window, qtbot)
    job = session.jobs.all[-1]
    assert "Row 4" in job.problems[0][1]
    assert len(session.samples) == 3
    first = min(session.samples.values(), key=lambda sample: sample.id)
    members = [session.items[i] for i in first.item_ids]
    assert {item.modality for item in members} == {"image", "audio", "text"}
    assert {item.tags for item in members} == {("red",)}
    assert {item.columns["score"] for item in members} == {0.0}
    window.library._words.setText("score>=0.5 modality:image")
    window.library._filter()
    qtbot.waitUntil(lambda: window.library.items.rowCount() == 2, timeout=10_000)


def test_a_column_that_is_left_out_or_mapped_anew_is_so(window: MainWindow, table: Path, qtbot: QtBot) -> None:
    dialog = _dialog(window, table, qtbot)
    for name in ("image", "sound", "label"):
        dialog.roles[name].setCurrentIndex(dialog.roles[name].findData("ignore"))
    dialog.go.click()
    _imported(window, qtbot)
    assert [item.text for item in window.session.items.values()][:1] == ["a red disc on white paper"]
    assert {item.modality for item in window.session.items.values()} == {"text"}
    assert not window.session.samples


def test_without_any_media_column_there_is_nothing_to_import(window: MainWindow, table: Path, qtbot: QtBot) -> None:
    dialog = _dialog(window, table, qtbot)
    for box in dialog.roles.values():
        box.setCurrentIndex(box.findData("column"))
    assert not dialog.go.isEnabled()


def test_importing_twice_adds_once(window: MainWindow, table: Path, qtbot: QtBot) -> None:
    for _ in range(2):
        dialog = _dialog(window, table, qtbot)
        dialog.go.click()
        qtbot.waitUntil(lambda: window.findChild(TableDialog) is None, timeout=5_000)
        _imported(window, qtbot)
    assert len(window.session.items) == 9
    assert len(window.session.samples) == 3
    assert "9 known already" in window.session.jobs.all[-1].outcome


def test_what_is_no_table_says_so_and_can_be_added_as_it_is(
    window: MainWindow, tmp_path: Path, qtbot: QtBot,
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    window._add_paths([tmp_path / "broken.parquet"])
    qtbot.waitUntil(lambda: window.findChild(TableDialog) is not None, timeout=5_000)
    dialog = window.findChild(TableDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: "Reading" not in dialog.told.text(), timeout=10_000)
    assert not dialog.go.isEnabled()
    next(b for b in dialog.findChildren(QPushButton) if "plain" in b.text()).click()
    qtbot.waitUntil(lambda: bool(window.session.jobs.all), timeout=5_000)
