"""The table of runs in the real window: found, starred, renamed, noted, compared, repeated and deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QMessageBox
from pytestqt.qtbot import QtBot

from mmstudio.desktop.panels.training import TrainingPanel
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.train_dialog import TrainDialog
from mmstudio.desktop.widgets.runs_table import COLUMNS, PLACES, RunsTable
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.progress import finish
from mmstudio.training import runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import Split, TrainingJob
from mmstudio.training.loop import train

JOB = TrainingJob(name="plain", classes=("a", "b"), modalities=("image",), target="kind", dim=4, epochs=2, patience=0,
                  split=Split("random"))
LEFT = Qt.MouseButton.LeftButton


def _examples(note: str = "") -> Examples:
    """60 examples of two classes that one number tells apart."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 60)
    vectors = rng.normal(0, 1, (60, 1, 4)).astype(np.float32)
    vectors[:, 0, 0] += 3 * classes
    parts = np.repeat(np.array([0, 1, 2], np.int8), [30, 15, 15])
    return Examples(np.arange(1, 61), vectors, np.ones((60, 1), bool), classes, parts, note)


@pytest.fixture
def panel(window: MainWindow, qtbot: QtBot) -> TrainingPanel:
    """Three runs that are done; the second has another rate and width, the third another split and a note of what was
    left out.
    """
    project = window.session.project
    assert project is not None
    for changes, note in (({}, ""), ({"name": "slow", "lr": 1e-3, "width": 64}, ""),
                          ({"name": "other", "split": Split("random", test=0.2)}, "Seven had no class.")):
        finish(train(runs.make(project.runs, replace(JOB, **changes), _examples(note))))  # type: ignore[arg-type]
    window._arrange("train")
    qtbot.waitUntil(lambda: window.training.made is not None)
    made = window.training.made
    assert isinstance(made, TrainingPanel)
    qtbot.waitUntil(lambda: made.table.model().rowCount() == 3)
    return made


def _names(table: RunsTable) -> list[str]:
    return [table.cell(row, "name").split(" · ")[1] for row in range(table.model().rowCount())]


def _click(table: RunsTable, row: int, column: str, double: bool = False) -> None:
    index = table.model().index(row, PLACES[column])
    table.scrollTo(index)
    at = table.visualRect(index).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=at)
    if double:
        QTest.mouseDClick(table.viewport(), LEFT, pos=at)


def _editor(table: RunsTable) -> QLineEdit:
    return next(editor for editor in table.viewport().findChildren(QLineEdit) if editor.isVisible())


def _type(table: RunsTable, text: str) -> None:
    editor = _editor(table)
    editor.setText(text)
    QTest.keyClick(editor, Qt.Key.Key_Return)


def test_every_column_says_what_the_run_is(panel: TrainingPanel) -> None:
    table = panel.table
    assert _names(table) == ["other", "slow", "plain"]
    told = {column.name: table.cell(2, column.name) for column in COLUMNS}
    run = table.run(2)
    accuracy = run.results["parts"]["test"]["accuracy"]
    expected = {"starred": "☆", "name": "1 · plain", "status": "done", "best": f"accuracy {accuracy:.3f}",
                "loss": f"{run.state.best:.4g}", "epoch": str(run.state.best_epoch + 1), "task": "classification",
                "target": "kind", "modalities": "image", "fusion": "", "trained": "head", "examples": "60", "note": ""}
    assert {name: told[name] for name in expected} == expected
    assert told["duration"].startswith("0:0")
    assert told["created"][:2] == "20"


def test_a_click_on_a_heading_sorts_and_the_chosen_run_stays_chosen(panel: TrainingPanel) -> None:
    table = panel.table
    table.choose(["0002"])
    header = table.horizontalHeader()
    for column in ("loss", "created"):
        table.scrollTo(table.model().index(0, PLACES[column]))
        at = QPoint(header.sectionViewportPosition(PLACES[column]) + 10, header.height() // 2)
        QTest.mouseClick(header.viewport(), LEFT, pos=at)
        shown = [table.run(row) for row in range(3)]
        key = (lambda run: run.state.best) if column == "loss" else (lambda run: run.provenance.created)
        assert shown in (sorted(shown, key=key), sorted(shown, key=key, reverse=True))
        assert header.sortIndicatorSection() == PLACES[column]
    assert [run.folder.name for run in table.chosen()] == ["0002"]


def test_words_and_fields_filter_and_what_cannot_be_is_said(panel: TrainingPanel, qtbot: QtBot) -> None:
    table = panel.table
    panel.filter.setText("lr<0.002")
    assert _names(table) == ["slow"]
    panel.filter.setText("head kind -plain")
    assert _names(table) == ["other", "slow"]
    panel.filter.setText("colour:red")
    assert "colour" in panel.filter.toolTip()
    assert panel.filter.property("wrong")
    assert _names(table) == ["other", "slow"]
    panel.filter.setText("nothing of that kind")
    assert _names(table) == []
    table.grab()  # says so
    panel.filter.setText("")
    assert len(_names(table)) == 3
    assert not panel.filter.property("wrong")
    panel.filter.setFocus()
    panel.filter.setText("is:sta")
    panel.filter.completionsWanted.emit("is:sta", 6)
    assert [found.text_to_insert for found in panel.filter._offered] == ["starred"]


def test_a_star_comes_by_click_and_key_and_is_kept(panel: TrainingPanel, window: MainWindow, qtbot: QtBot) -> None:
    table = panel.table
    _click(table, 1, "starred")
    qtbot.waitUntil(lambda: table.cell(1, "starred") == "★")
    panel.filter.setText("is:starred")
    assert _names(table) == ["slow"]
    panel.filter.clear()
    table.choose(["0001", "0002", "0003"])
    QTest.keyClick(table, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: all(table.run(row).starred for row in range(3)))
    QTest.keyClick(table, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: not any(table.run(row).starred for row in range(3)))
    assert len(table.chosen()) == 3
    project = window.session.project
    assert project is not None
    assert not any(run.starred for run in project.look_at_runs())


def test_name_and_note_are_typed_in_place_and_shown_everywhere(panel: TrainingPanel, qtbot: QtBot) -> None:
    table = panel.table
    table.choose(["0001"])
    QTest.keyClick(table, Qt.Key.Key_F2)
    _type(table, "the first")
    qtbot.waitUntil(lambda: table.cell(2, "name") == "1 · the first")
    qtbot.waitUntil(lambda: "the first" in panel.results._of.whole)
    assert panel.curves._titles == {"0001": "1 · the first"}
    _click(table, 2, "note", double=True)
    _type(table, "<b>good</b> on blurry ones")
    qtbot.waitUntil(lambda: table.cell(2, "note") == "<b>good</b> on blurry ones")
    tip = table.model().index(2, PLACES["note"]).data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;b&gt;good" in tip
    panel.filter.setText("blurry")
    assert _names(table) == ["the first"]
    _click(table, 0, "name")
    QTest.keyClick(table, Qt.Key.Key_F2)
    _type(table, "  ")
    qtbot.waitUntil(lambda: table.cell(0, "name") == "1 · plain")  # without a name, its job's


def test_what_is_being_typed_outlives_news_of_the_run(panel: TrainingPanel) -> None:
    table = panel.table
    table.choose(["0002"])
    QTest.keyClick(table, Qt.Key.Key_F2)
    editor = _editor(table)
    editor.setText("half a na")
    known = [replace(run, state=replace(run.state, step=run.state.step + 1)) for run in table.rows.runs]
    table.show_runs([replace(known[0], folder=known[0].folder.with_name("0004")), *known], frozenset())
    assert editor.text() == "half a na"
    assert editor.isVisible()
    assert [run.folder.name for run in table.chosen()] == ["0002"]


def test_hidden_columns_stay_hidden_when_the_project_is_opened_again(
    panel: TrainingPanel, window: MainWindow, qtbot: QtBot,
) -> None:
    menu = panel.table.column_menu()
    task = next(action for action in menu.actions() if action.text() == "Task")
    task.trigger()
    menu.close()
    assert panel.table.isColumnHidden(PLACES["task"])
    project = window.session.project
    assert project is not None
    qtbot.waitUntil(lambda: project.own.get("hidden columns of runs") == ["task"])
    for folder in (project.folder.with_name("other"), project.folder):
        with qtbot.waitSignal(window.session.projectOpened):
            window.session.open_project(folder)
        assert panel.table.isColumnHidden(PLACES["task"]) == (folder == project.folder)


def test_several_chosen_runs_show_only_what_differs_beside_their_figures(panel: TrainingPanel, qtbot: QtBot) -> None:
    panel.table.choose(["0001", "0002", "0003"])
    assert panel.tabs.isTabVisible(panel.tabs.indexOf(panel.differences))
    page = panel.differences
    qtbot.waitUntil(lambda: any(line[0] == "Accuracy" for line in page.table.lines.lines))
    lines = {line[0]: line[1:] for line in page.table.lines.lines}
    assert page.table.lines.heads == ["Setting", "3 · other", "2 · slow", "1 · plain"]
    assert lines["Learning rate"] == ("0.005", "0.001", "0.005")
    assert lines["Hidden width"] == ("128", "64", "128")
    assert lines["Share of test"] == ("0.2", "0.15", "0.15")
    assert "Epochs" not in lines
    assert page.told.text() == "3 settings differ."
    for place, row in enumerate(range(3)):
        run = panel.table.run(row)
        low, high = run.results["intervals"]["accuracy"]
        value = run.results["parts"]["test"]["accuracy"]
        assert lines["Accuracy"][place] == f"{value:.3f} ({low:.3f} – {high:.3f})"
    assert page.as_text().splitlines()[0] == "Setting\t3 · other\t2 · slow\t1 · plain"
    assert "Learning rate\t0.005\t0.001\t0.005" in page.as_text().splitlines()
    panel.table.choose(["0001"])
    assert not panel.tabs.isTabVisible(panel.tabs.indexOf(page))


def test_the_panel_tells_what_was_left_out_and_what_repeats_the_run(panel: TrainingPanel) -> None:
    panel.table.choose(["0003"])
    assert "Seven had no class." in panel.told.text()
    panel.tabs.setCurrentWidget(panel.repeat)
    QTest.mouseClick(panel.repeat.copy, LEFT)
    told = QGuiApplication.clipboard().text()
    run = panel.table.chosen()[0]
    for part in (f"mmstudio train '{run.folder}' --again", "Seven had no class.", _examples().fingerprint(), "torch ",
                 "transformers ", "python ", "cpu", run.job.to_json()):
        assert part in told


def test_training_again_opens_the_dialog_with_the_settings_of_the_run(
    panel: TrainingPanel, window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], starter: Encoder,
    make_picture: Callable[..., Path],
) -> None:
    for number in range(8):
        name, colour = (("a", "blue"), ("b", "red"))[number % 2]
        folder = make_picture(f"in/{name}/{number}.png", colour, 40 + number).parents[1]
    use(starter)
    window.session.add([folder])
    qtbot.waitUntil(lambda: window.session.view is not None and len(window.session.view) == 8)
    project = window.session.project
    assert project is not None
    job = replace(JOB, name="like this", target="tags", epochs=7, lr=0.002, ema=0.5, classes=("a", "b"),
                  split=Split("random", validation=0.3))
    runs.fail(runs.make(project.runs, job, _examples()), "not to be trained")
    window.learning.look()
    qtbot.waitUntil(lambda: panel.table.chosen()[0].name == "like this")
    QTest.mouseClick(panel.repeat.again, LEFT)
    dialog = window.findChild(TrainDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.name.text() == "like this")
    assert dialog.job() == replace(job, loss="cross-entropy")
    dialog.reject()


@pytest.mark.parametrize("running", [False, True])
def test_deleting_asks_and_a_run_that_trains_is_not_deleted(
    panel: TrainingPanel, window: MainWindow, qtbot: QtBot, running: bool,
) -> None:
    folder = panel.table.run(0).folder
    panel.table.choose(["0002", "0003"])
    noted: list[str] = []
    window.session.noted.connect(noted.append)
    if running:
        with runs.held(folder):
            runs.tell(folder, replace(runs.state_of(folder), status="running"))
            window.learning.look()
            qtbot.waitUntil(lambda: panel.table.run(0).state.status == "running")
            QTest.keyClick(panel.table, Qt.Key.Key_Delete)
            assert panel.findChild(QMessageBox) is None
            assert "Stop it first" in noted[-1]
            assert not panel._buttons["remove"].isVisible()
        return
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    box = panel.findChild(QMessageBox)
    assert box is not None
    assert "2 runs" in box.text()
    yes = next(button for button in box.buttons() if button.text() == "Delete")
    QTest.mouseClick(yes, LEFT)
    qtbot.waitUntil(lambda: _names(panel.table) == ["plain"])
    assert [path.name for path in folder.parent.iterdir()] == ["0001"]
    assert panel.curves._titles == {}


def test_the_table_is_drawn_in_both_themes(panel: TrainingPanel) -> None:
    panel.table.choose(["0001", "0003"])
    seen = set()
    for theme in ("dark", "light"):
        THEME.apply(theme)
        picture = panel.grab().toImage()
        seen.add(picture.pixelColor(picture.width() // 2, picture.height() - 20).name())
    THEME.apply("dark")
    assert len(seen) == 2
