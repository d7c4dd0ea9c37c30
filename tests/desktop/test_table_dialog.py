"""The mapping page: a dropped table becomes samples as its columns are mapped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from mmstudio.desktop.table_dialog import TableDialog
from mmstudio.desktop.window import MainWindow
from mmstudio.media.choice import EVERYTHING

COLOURS = ("red", "green", "blue")


@pytest.fixture
def table(tmp_path: Path, make_picture: Callable[..., Path], make_sound: Callable[..., Path]) -> Path:
    """Three rows of a picture, a sound, a caption, a label and a number; one more names a picture that is not there."""
    rows = ["image,sound,caption,label,price"]
    for number, colour in enumerate(COLOURS):
        make_picture(f"set/{colour}.png", colour)
        make_sound(f"set/{colour}.wav", 300 + 100 * number)
        rows.append(f"{colour}.png,{colour}.wav,a {colour} disc on white paper,{colour},{number / 2}")
    rows.append("gone.png,red.wav,nothing to see in this row,red,9")
    (tmp_path / "set" / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "set" / "table.csv"


def _dialog(window: MainWindow, table: Path, qtbot: QtBot) -> TableDialog:
    window.add_paths([table])
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
        "image": "image", "sound": "audio", "caption": "text", "label": "label", "price": "column"}
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
    assert {item.columns["price"] for item in members} == {0.0}
    window.library._words.setText("price>=0.5 modality:image")
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
    window.add_paths([tmp_path / "broken.parquet"])
    qtbot.waitUntil(lambda: window.findChild(TableDialog) is not None, timeout=5_000)
    dialog = window.findChild(TableDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: "Reading" not in dialog.told.text(), timeout=10_000)
    assert not dialog.go.isEnabled()
    next(b for b in dialog.findChildren(QPushButton) if "plain" in b.text()).click()
    qtbot.waitUntil(lambda: bool(window.session.jobs.all), timeout=5_000)


def _page(window: MainWindow, qtbot: QtBot, not_this: TableDialog | None = None) -> TableDialog:
    """The next mapping page, when it shows its table."""
    def found() -> TableDialog | None:
        pages = [page for page in window.findChildren(TableDialog) if page is not not_this and page.roles]
        return pages[0] if pages else None

    qtbot.waitUntil(lambda: found() is not None)
    page = found()
    assert page is not None
    return page


def _written(file: Path, header: str, *rows: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows]), encoding="utf-8")
    return file


def test_files_of_one_schema_get_one_page_and_others_theirs_after_it(
    window: MainWindow, tmp_path: Path, make_picture: Callable[..., Path], qtbot: QtBot,
) -> None:
    words = [_written(tmp_path / f"{n}.csv", "caption,score", f"a picture of thing {n},{n}") for n in range(3)]
    other = _written(tmp_path / "q.csv", "question,answer", "who is there at the door,it is me again")
    window.add_paths([*words, other, make_picture("red.png")])
    page = _page(window, qtbot)
    assert "3 rows of 3 files" in page.told.text()
    page.go.click()
    last = _page(window, qtbot, page)
    assert set(last.roles) == {"question", "answer"}
    last.go.click()
    qtbot.waitUntil(lambda: len(window.session.items) == 6 and not window.session.jobs.running)
    assert {item.path.name for item in window.session.items.values()} == {
        "0.csv", "1.csv", "2.csv", "q.csv", "red.png"}


def test_a_folder_is_added_and_its_tables_of_media_are_offered(
    window: MainWindow, tmp_path: Path, make_picture: Callable[..., Path], qtbot: QtBot,
) -> None:
    for colour in COLOURS:
        make_picture(f"set/{colour}.png", colour)
    _written(tmp_path / "set/labels.csv", "image,label", *(f"{colour}.png,{colour}" for colour in COLOURS))
    _written(tmp_path / "set/losses.csv", "epoch,loss", "1,0.5", "2,0.25")
    with qtbot.waitSignal(window.session.noted) as noted:
        window.add_paths([tmp_path / "set"])
    assert noted.args[0].startswith("1 tables in the folder were left aside")
    page = _page(window, qtbot)
    assert page.roles["image"].currentData() == "image"
    qtbot.waitUntil(lambda: len(window.session.items) == 3 and not window.session.jobs.running)
    assert not any(item.tags for item in window.session.items.values())
    page.go.click()
    qtbot.waitUntil(lambda: all(item.tags == (item.path.stem,) for item in window.session.items.values()))
    assert len(window.session.items) == 3


def test_pictures_are_looked_for_in_the_folder_that_is_chosen_and_roles_that_were_given_stay(
    window: MainWindow, tmp_path: Path, make_picture: Callable[..., Path], qtbot: QtBot,
) -> None:
    make_picture("elsewhere/red.png")
    table = _written(tmp_path / "tables/t.csv", "image,note,mood", "red.png,one,warm", "red.png,two,cold")
    page = _dialog(window, table, qtbot)
    assert page.place.text() == str(tmp_path / "tables")
    for name in ("note", "mood"):
        page.roles[name].setCurrentIndex(page.roles[name].findData("label"))
    page.look_in(tmp_path / "elsewhere")
    qtbot.waitUntil(lambda: page.place.text() == str(tmp_path / "elsewhere"))
    assert {name: box.currentData() for name, box in page.roles.items()} == {
        "image": "image", "note": "label", "mood": "label"}
    page.go.click()
    qtbot.waitUntil(lambda: len(window.session.items) == 1 and not window.session.jobs.running)
    red, = window.session.items.values()
    assert (red.path, red.tags) == (tmp_path / "elsewhere/red.png", ("cold", "one", "two", "warm"))


def test_the_sheet_of_a_workbook_is_chosen(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    book = openpyxl.Workbook()
    book.active.append(["epoch"])
    book.active.append([1])
    book.create_sheet("Words").append(["caption"])
    book["Words"].append(["a dog on the wet grass"])
    book.save(tmp_path / "x.xlsx")
    page = _dialog(window, tmp_path / "x.xlsx", qtbot)
    assert [page.sheet.itemText(n) for n in range(page.sheet.count())] == ["Sheet", "Words"]
    assert not page.go.isEnabled()
    page.sheet.setCurrentText("Words")
    page.sheet.activated.emit(1)
    qtbot.waitUntil(lambda: "caption" in page.roles)
    page.go.click()
    qtbot.waitUntil(lambda: [i.text for i in window.session.items.values()] == ["a dog on the wet grass"])


def test_a_late_sidecar_in_a_watched_folder_is_taken_in(
    window: MainWindow, tmp_path: Path, make_picture: Callable[..., Path], qtbot: QtBot,
) -> None:
    session, red = window.session, make_picture("watched/red.png")
    session.add([red])
    qtbot.waitUntil(lambda: len(session.items) == 1 and not session.jobs.running)
    session.places.watch({tmp_path / "watched": EVERYTHING})
    qtbot.waitUntil(lambda: list(session.places.watched) == [tmp_path / "watched"])
    sidecar = tmp_path / "watched/red.json"
    sidecar.write_text('{"caption": "a red disc", "label": "warm", "price": 7}')
    os.utime(sidecar, (1e9, 1e9))

    def taken_in() -> bool:
        session.places.poll()
        return any(item.tags == ("warm",) and item.columns == {"price": 7.0}
                   for item in session.items.values() if item.modality == "image")

    qtbot.waitUntil(taken_in)
    qtbot.waitUntil(lambda: len(session.samples) == 1)
    assert len(session.items) == 2
