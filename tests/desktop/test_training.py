"""From a press on Train to a run that learns in a process of its own, is watched, stopped, used and found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from mmstudio.desktop.panels.training import TrainingPanel
from mmstudio.desktop.train_dialog import TrainDialog
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.training import runs
from mmstudio.training.job import Split, TrainingJob

Make = Callable[..., Path]


@pytest.fixture
def learned_from(
    window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], settled: Callable[[], None], starter: Encoder,
    make_picture: Make,
) -> MainWindow:
    """30 discs in two folders of colours, encoded."""
    for number in range(30):
        name, colour = (("cold", "blue"), ("warm", "red"))[number % 2]
        folder = make_picture(f"in/{name}/{number}.png", colour, 40 + 2 * number).parent.parent
    use(starter)
    window.session.add([folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 30)
    settled()
    return window


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """What trains ends with its test."""
    yield
    runs.let_go()
    for child in list(runs._CHILDREN):
        child.wait(60)


def _status(window: MainWindow, name: str = "0001") -> str:
    run = window.learning.run(name)
    return run.state.status if run else ""


def _dialog(window: MainWindow, qtbot: QtBot) -> TrainDialog:
    window.actions_.by_id["train"].trigger()
    dialog = window.findChild(TrainDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.target.count() > 0)
    return dialog


def _panel(window: MainWindow) -> TrainingPanel:
    assert isinstance(window.training.made, TrainingPanel)
    return window.training.made


def test_pressing_train_makes_a_run_that_learns_and_tells_the_library(learned_from: MainWindow, qtbot: QtBot) -> None:
    window = learned_from
    dialog = _dialog(window, qtbot)
    assert [dialog.classes.item(row).text() for row in range(2)] == ["cold  (15)", "warm  (15)"]
    assert "2 classes" in dialog.told.text()
    dialog.name.setText("colours")
    dialog.how.numbers["epochs"].setValue(30)
    QTest.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: _status(window) == "done", timeout=60_000)
    panel = _panel(window)
    assert panel.table.model().rowCount() == 1
    assert panel.table.cell(0, "name") == "1 · colours"
    assert panel.table.cell(0, "status") == "done"
    assert panel.table.cell(0, "best").startswith("accuracy")
    qtbot.waitUntil(lambda: panel.results.evaluation is not None)
    QTest.mouseClick(panel.results.classes.viewport(), Qt.MouseButton.LeftButton)
    apply = next(b for b in panel.findChildren(QPushButton) if b.text() == "Tell the library")
    QTest.mouseClick(apply, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: all("predicted tags" in item.columns for item in window.session.items.values()),
                    timeout=20_000)
    right = [item.columns["predicted tags"] in item.tags for item in window.session.items.values()]
    assert sum(right) > 25
    window.session.undo()
    qtbot.waitUntil(lambda: not any(item.columns for item in window.session.items.values()))
    panel._buttons["label"].click()
    page = window.compare.made.pages["labels"].made  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: page.model.rowCount() == 30)
    assert page.by.currentText() == "Run 1: colours"
    assert page.matrix._table.sum() == 30  # beside the tags that it learned from
    assert page.matrix._table.trace() == sum(right)
    assert not page.fit.isEnabled()
    page.write_column("colour")
    qtbot.waitUntil(lambda: all("colour" in item.columns for item in window.session.items.values()))
    assert [item.columns["colour"] in item.tags for item in window.session.items.values()] == right
    shares = page.model.given.probabilities
    assert (abs(shares.sum(1) - 1) < 1e-6).all()
    page.by.setCurrentIndex(0)
    assert page.model.rowCount() == 0
    assert not page.classes.isReadOnly()


def test_two_runs_are_compared_and_a_cell_of_the_confusion_selects_its_items(
    learned_from: MainWindow, qtbot: QtBot,
) -> None:
    window = learned_from
    job = TrainingJob(classes=("cold", "warm"), epochs=2, split=Split(keep_duplicates_together=False))
    window.learning.train(job, None)
    qtbot.waitUntil(lambda: _status(window) == "done", timeout=60_000)
    window.learning.train(replace(job, epochs=20, name="longer"), None)
    qtbot.waitUntil(lambda: _status(window, "0002") == "done", timeout=60_000)
    panel = _panel(window)
    baselines = panel._buttons["baselines"]
    qtbot.waitUntil(baselines.isVisible)
    baselines.click()
    qtbot.waitUntil(lambda: len(window.learning.runs) == 6, timeout=60_000)
    assert [run.folder.name for run in panel.table.chosen()] == ["0002"]
    qtbot.waitUntil(baselines.isHidden)
    names = {run.folder.name: run.name for run in window.learning.runs}
    assert names["0004"] == "baseline: logistic regression"
    panel._choose(["0002", "0004"])
    qtbot.waitUntil(lambda: "McNemar" in panel.results.summary._verdict.text())
    panel._choose(["0004"])
    assert not any(panel._buttons[name].isVisible() for name in ("run", "apply", "encoder", "export", "baselines"))
    assert "beside run 2" in panel.told.text()
    assert not panel.repeat.again.isEnabled()
    qtbot.waitUntil(lambda: panel.results.evaluation is not None)
    assert panel.results.summary.numbers.model().index(0, 1).data() == "1.000"
    window.learning.remove([run for run in window.learning.runs if run.beside is not None])
    qtbot.waitUntil(lambda: len(window.learning.runs) == 2)
    panel.table.selectAll()
    qtbot.waitUntil(lambda: panel._evaluated == ["0002", "0001"] and panel.results.evaluation is not None)
    panel.results.confusion.cellsChosen.emit([(0, 0), (1, 1), (0, 1), (1, 0)])
    assert len(window.session.selection) == len(panel.results.evaluation.keys)  # type: ignore[union-attr]
    assert len(panel.curves.legend._runs) == 2


def test_only_the_selection_is_learned_from_where_it_is_chosen(learned_from: MainWindow, qtbot: QtBot) -> None:
    window = learned_from
    window.session.select(list(window.session.items)[:20])
    dialog = _dialog(window, qtbot)
    assert "20" in dialog.whole.currentText()
    dialog.how.numbers["epochs"].setValue(1)
    dialog.go.click()
    qtbot.waitUntil(lambda: _status(window) == "done", timeout=60_000)
    made = runs.look(window.session.project.runs / "0001")  # type: ignore[union-attr]
    from mmstudio.training.examples import Examples

    assert len(Examples.load(made.folder / "examples")) == 20


def test_what_cannot_be_learned_is_said_before_it_begins(learned_from: MainWindow, qtbot: QtBot) -> None:
    dialog = _dialog(learned_from, qtbot)
    dialog.task.setCurrentIndex(dialog.task.findData("alignment"))
    assert not dialog.go.isEnabled()
    assert "two modalities" in dialog.told.text()
    dialog.task.setCurrentIndex(dialog.task.findData("classification"))
    assert dialog.go.isEnabled()
    dialog.modalities["image"].setChecked(False)
    assert not dialog.go.isEnabled()


def test_a_few_steps_are_tried_and_tell_their_time_memory_and_first_batch(
    learned_from: MainWindow, qtbot: QtBot,
) -> None:
    dialog = _dialog(learned_from, qtbot)
    dialog.attempt.click()
    assert not dialog.attempt.isEnabled()
    assert dialog.rehearsal.isVisible()
    qtbot.waitUntil(lambda: "ms on cpu" in dialog.rehearsal.told.text(), timeout=90_000)
    assert "weights learn" in dialog.rehearsal.told.text()
    assert "computed already" in dialog.rehearsal.told.text()
    shown = dialog.rehearsal.batch
    assert not shown.seen
    assert shown._batch
    qtbot.waitUntil(lambda: shown.height() >= 44, timeout=3000)
    assert {told for _, told, _ in shown._batch} == {"cold", "warm"}
    assert dialog.attempt.isEnabled()
    project = learned_from.session.project
    assert project is not None
    assert learned_from.learning.runs == []
    assert not any(project.runs.glob("*"))
    dialog.attempt.click()
    qtbot.waitUntil(lambda: learned_from.learning._trial is not None)
    dialog.reject()
    qtbot.waitUntil(lambda: learned_from.learning._trial is None and not learned_from.session.jobs.running)


def test_a_run_pauses_goes_on_stops_and_the_next_one_waits_its_turn(learned_from: MainWindow, qtbot: QtBot) -> None:
    window = learned_from
    learning = window.learning
    endless = TrainingJob(classes=("cold", "warm"), epochs=100_000, patience=0, split=Split(
        keep_duplicates_together=False))
    learning.train(endless, None)
    qtbot.waitUntil(lambda: _status(window) == "running", timeout=60_000)
    learning.train(TrainingJob(classes=("cold", "warm"), epochs=1), None)
    qtbot.waitUntil(lambda: _status(window, "0002") == "waiting", timeout=20_000)
    learning.wish(learning.run("0001"), "pause")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: _status(window) == "paused", timeout=20_000)
    at = learning.run("0001").state.step  # type: ignore[union-attr]
    learning.wish(learning.run("0001"), "run")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: learning.run("0001").state.step > at, timeout=20_000)  # type: ignore[union-attr]
    learning.wish(learning.run("0001"), "stop")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: _status(window) == "stopped", timeout=20_000)
    qtbot.waitUntil(lambda: _status(window, "0002") == "done", timeout=60_000)
    learning.remove([learning.run("0001")])  # type: ignore[list-item]
    qtbot.waitUntil(lambda: learning.run("0001") is None)


def test_a_run_outlives_the_window_and_its_whole_curve_is_found_again(learned_from: MainWindow, qtbot: QtBot) -> None:
    window = learned_from
    session, learning = window.session, window.learning
    learning.train(TrainingJob(classes=("cold", "warm"), epochs=100_000, patience=0), None)
    qtbot.waitUntil(lambda: _status(window) == "running", timeout=60_000)
    folder = session.project.folder  # type: ignore[union-attr]
    told: list[int] = []
    learning.grew.connect(lambda name, lines, anew: told.extend(line["step"] for line in lines))
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(folder.with_name("other"))
    assert learning.runs == []
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(folder)
    qtbot.waitUntil(lambda: _status(window) == "running", timeout=20_000)
    told.clear()
    learning.follow(["0001"])
    qtbot.waitUntil(lambda: len(told) > 10, timeout=20_000)
    assert told[0] == min(told) < 200
    learning.wish(learning.run("0001"), "stop")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: _status(window) == "stopped", timeout=20_000)
    learning.wish(learning.run("0001"), "run")  # type: ignore[arg-type]
    learning.wish(learning.run("0001"), "run")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: _status(window) == "running", timeout=60_000)
    learning.wish(learning.run("0001"), "stop")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: _status(window) == "stopped", timeout=20_000)


def test_a_run_that_cannot_begin_says_so_and_the_next_one_learns(learned_from: MainWindow, qtbot: QtBot) -> None:
    window = learned_from
    project = window.session.project
    job = TrainingJob(classes=("cold", "warm"), epochs=1, split=Split(keep_duplicates_together=False))
    window.learning._timer.stop()
    done: list[Path] = []
    for _ in range(2):
        window.session.models.run(lambda: project.make_run(job, window.session.encoder), on_done=done.append)
    qtbot.waitUntil(lambda: len(done) == 2, timeout=20_000)
    (project.runs / "0001/examples/keys.npy").write_bytes(b"torn")  # type: ignore[union-attr]
    window.learning._begin()
    qtbot.waitUntil(lambda: _status(window, "0002") == "done", timeout=60_000)
    assert _status(window) == "failed"
    window._docks["training"].raise_()
    qtbot.waitUntil(lambda: window.training.made is not None)
    panel = _panel(window)
    panel.table.choose(["0002"])
    window.learning.remove([window.learning.run("0002")])  # type: ignore[list-item]
    qtbot.waitUntil(lambda: panel.table.model().rowCount() == 1)
    assert panel.table.chosen() == []
    assert panel.curves.legend._runs == []
    panel.table.choose(["0001"])
    assert "cannot be read" in panel.told.text()
