"""The page of a finished run: what is clicked gives its examples, and every kind of run is drawn in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QHelpEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from mmstudio.desktop.theme import THEME
from mmstudio.desktop.widgets.confusion import ConfusionMatrix
from mmstudio.desktop.widgets.results import ResultsTable, ResultsView
from mmstudio.progress import finish
from mmstudio.training import runs
from mmstudio.training.deciding import Deciding
from mmstudio.training.evaluating import evaluated
from mmstudio.training.evaluation import Evaluation, comparison
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.runs import Run, State
from mmstudio.training.told import Told, load

LEFT, NONE, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
RESULTS = {"modalities": {"image": {"n": 9, "accuracy": 0.5, "macro F1": 0.4, "loss": 1.0},
                          "text": {"n": 8, "accuracy": 0.7}},
           "alone": {"image": {"n": 9, "accuracy": 0.25}},
           "bounds": {"modalities": {"image": {"accuracy": [0.4, 0.6]}}}}


def case(classes: int = 4, n: int = 600, task: str = "classification", seed: int = 0) -> tuple[Run, Evaluation]:
    """A made run and its evaluation; the keys of even rows are items, the others samples."""
    truth, rng = np.random.default_rng(1), np.random.default_rng(seed)
    if task == "regression":
        targets = truth.normal(1e5, 3000, n).astype(np.float32)
        outputs = (targets + rng.normal(0, 900, n))[:, None]
    elif task == "multi-label":
        targets = (truth.random((n, classes)) < 0.4).astype(np.float32)
        outputs = rng.normal(0, 1.5, (n, classes)) + 4 * targets - 2
    elif task == "alignment":
        targets, first = np.zeros(n, np.int64), truth.normal(size=(n, 8))
        outputs = np.stack([first, first + rng.normal(0, 1, (n, 8))], 1)
    else:
        targets = truth.integers(0, classes, n)
        outputs = 2 * rng.normal(size=(n, classes)) + 4 * np.eye(classes)[targets]
    outputs = outputs.astype(np.float32)
    keys = np.arange(1, n + 1) * np.where(np.arange(n) % 2, -1, 1)
    alone = outputs if outputs.ndim == 3 else np.stack([outputs, outputs], 1)
    told = Told(keys, outputs, alone, targets, (np.arange(n) % 3).astype(np.int8), np.ones((n, 2), bool))
    names = tuple(f"class {c} <b>bold</b>" for c in range(classes))
    job = TrainingJob(task=task, classes=names if "l" in task[:4] and task != "alignment" else (),
                      modalities=("image", "text"), width=8)
    return Run(Path("runs/0003"), job, State("done"), RESULTS), evaluated(told, job)


@pytest.fixture
def view(qtbot: QtBot) -> Iterator[ResultsView]:
    """A page of the size of a dock; nothing of it outlives its test."""
    THEME.apply("dark")
    made = ResultsView()
    made.resize(900, 280)
    made.show()
    yield made
    inner = made.confusion
    made.deleteLater()
    QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    assert not isValid(made)
    assert not isValid(inner)
    THEME.apply("dark")


def tab(view: ResultsView, title: str) -> None:
    names = [view.tabs.tabText(i) for i in range(view.tabs.count())]
    view.tabs.setCurrentIndex(next(i for i, name in enumerate(names) if name.startswith(title)))
    QApplication.processEvents()


def tabs(view: ResultsView) -> list[str]:
    return [view.tabs.tabText(i).split(" (")[0] for i in range(view.tabs.count()) if view.tabs.isTabVisible(i)]


def click_cell(matrix: ConfusionMatrix, cell: tuple[int, int], modifiers: Qt.KeyboardModifier = NONE) -> None:
    QTest.mouseClick(matrix.viewport(), LEFT, modifiers, matrix.box_of(cell).center())


def click_row(table: ResultsTable, row: int, modifiers: Qt.KeyboardModifier = NONE) -> None:
    index = table.model().index(row, 0)
    table.scrollTo(index)
    QTest.mouseClick(table.viewport(), LEFT, modifiers, table.visualRect(index).center())


def column(table: ResultsTable, number: int) -> list[str]:
    model = table.model()
    return [str(model.index(row, number).data()) for row in range(model.rowCount())]


def sentence(view: ResultsView) -> str:
    assert view._said.isVisible()
    assert view._said.textFormat() == Qt.TextFormat.PlainText
    return view._said.text()


def test_a_cell_gives_its_examples_and_ctrl_adds_another(view: ResultsView) -> None:
    run, found = case()
    view.show_run(run, found)
    tab(view, "Confusion")
    chosen: list[list[int]] = []
    view.chosen.connect(chosen.append)
    for cell in ((0, 0), (3, 1), (2, 2)):
        click_cell(view.confusion, cell)
        wanted = found.keys[(found.given == cell[0]) & (found.said == cell[1])].tolist()
        assert chosen[-1] == wanted
        assert len(wanted) == found.table[cell]
    click_cell(view.confusion, (1, 1), CTRL)
    assert chosen[-1] == found.cells([(2, 2), (1, 1)])
    click_cell(view.confusion, (2, 2), CTRL)
    assert chosen[-1] == found.cells([(1, 1)])
    assert any(key < 0 for key in chosen[-1])
    before = len(chosen)
    QTest.mouseClick(view.confusion.viewport(), LEFT, NONE, QPoint(2, 2))
    assert len(chosen) == before


def test_cells_are_reached_with_arrows_and_chosen_with_enter(view: ResultsView) -> None:
    run, found = case()
    view.show_run(run, found)
    tab(view, "Confusion")
    told: list[list[tuple[int, int]]] = []
    view.confusion.cellsChosen.connect(told.append)
    view.confusion.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Left):
        QTest.keyClick(view.confusion, key)
    QTest.keyClick(view.confusion, Qt.Key.Key_Return)
    assert told == [[(0, 1)]]
    QTest.keyClick(view.confusion, Qt.Key.Key_Down)
    QTest.keyClick(view.confusion, Qt.Key.Key_Return, CTRL)
    assert told[-1] == [(0, 1), (1, 1)]
    assert f"{found.table[1, 1]} of {found.table[1].sum()}" in view.confusion.accessibleDescription()


def test_a_cells_tooltip_shows_names_as_they_are(view: ResultsView) -> None:
    run, found = case()
    view.show_run(run, found)
    tab(view, "Confusion")
    place = view.confusion.box_of((0, 1)).center()
    viewport = view.confusion.viewport()
    QApplication.sendEvent(viewport, QHelpEvent(QEvent.Type.ToolTip, place, viewport.mapToGlobal(place)))
    assert "class 0 &lt;b&gt;bold&lt;/b&gt; told as class 1" in QToolTip.text()
    QToolTip.hideText()
    QTest.mouseMove(viewport, place)
    assert view.confusion_page._cell.text() == view.confusion.told((0, 1))
    assert view.confusion_page._cell.textFormat() == Qt.TextFormat.PlainText


@pytest.mark.parametrize("classes", [2, 300, 1000])
def test_every_cell_of_few_and_many_classes_can_be_reached(view: ResultsView, classes: int) -> None:
    run, found = case(classes, 6000)
    view.show_run(run, found)
    tab(view, "Confusion")
    matrix = view.confusion
    told: list[list[tuple[int, int]]] = []
    matrix.cellsChosen.connect(told.append)
    last = (classes - 1, classes - 1)
    click_cell(matrix, (0, 0))
    matrix.verticalScrollBar().setValue(matrix.verticalScrollBar().maximum())
    matrix.horizontalScrollBar().setValue(matrix.horizontalScrollBar().maximum())
    assert matrix.viewport().rect().contains(matrix.box_of(last))
    click_cell(matrix, last)
    assert told == [[(0, 0)], [last]]
    matrix.setFocus()
    for _ in range(3):
        QTest.keyClick(matrix, Qt.Key.Key_Up)
    assert matrix.cell_at(matrix.box_of(matrix._cursor).center()) == matrix._cursor
    assert not matrix.grab().isNull()


def test_ctrl_and_the_wheel_zoom_at_the_pointer(view: ResultsView) -> None:
    run, found = case(300, 6000)
    view.show_run(run, found)
    tab(view, "Confusion")
    matrix = view.confusion
    place = matrix.box_of((10, 20)).center()
    before = matrix.box_of((10, 20)).width()
    for turn in [120] * 8 + [-120] * 2:
        QApplication.sendEvent(matrix.viewport(), QWheelEvent(
            QPointF(place), QPointF(matrix.viewport().mapToGlobal(place)), QPoint(0, turn), QPoint(0, turn),
            Qt.MouseButton.NoButton, CTRL, Qt.ScrollPhase.NoScrollPhase, False))
    assert matrix.box_of((10, 20)).width() > 2 * before
    at = matrix.cell_at(place)
    assert at is not None
    assert abs(at[0] - 10) <= 1
    assert abs(at[1] - 20) <= 1


def test_the_table_of_classes_sorts_and_gives_the_examples_of_its_rows(view: ResultsView) -> None:
    run, found = case(12)
    view.show_run(run, found)
    tab(view, "Classes")
    assert column(view.classes, 0) == list(found.classes)
    chosen: list[list[int]] = []
    view.chosen.connect(chosen.append)
    header = view.classes.horizontalHeader()
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        QTest.mouseClick(header.viewport(), LEFT, NONE,
                         QPoint(header.sectionViewportPosition(4) + 20, header.height() // 2))
        f1 = [float(value) for value in column(view.classes, 4)]
        assert f1 == sorted(f1, reverse=header.sortIndicatorOrder() is Qt.SortOrder.DescendingOrder)
        assert header.sortIndicatorOrder() is order
    assert not chosen
    first = found.classes.index(column(view.classes, 0)[0])
    click_row(view.classes, 0)
    assert chosen == [found.of_classes([first])]
    second = found.classes.index(column(view.classes, 0)[1])
    click_row(view.classes, 1, CTRL)
    assert chosen[-1] == found.of_classes([first, second])


def test_likely_label_errors_and_worst_examples_give_their_keys(view: ResultsView) -> None:
    run, found = case()
    view.show_run(run, found)
    chosen: list[list[int]] = []
    view.chosen.connect(chosen.append)
    tab(view, "Label errors")
    click_row(view.errors.table, 1)
    assert chosen == [[found.errors[1].key]]
    QTest.keyClick(view.errors.table, Qt.Key.Key_A, CTRL)
    assert chosen[-1] == [one.key for one in found.errors]
    tab(view, "Examples")
    click_row(view.examples.table, 0)
    assert chosen[-1] == [found.worst[0].key]
    view.examples.which.setCurrentIndex(1)
    click_row(view.examples.table, 2)
    assert chosen[-1] == [found.best[2].key]
    key = found.best[2].key
    assert column(view.examples.table, 0)[2] == (f"Sample {-key}" if key < 0 else f"Item {key}")


def test_examples_carry_the_names_they_are_given(qtbot: QtBot) -> None:
    view = ResultsView(name_of=lambda key: f"<i>{key}</i>\nsecond line")
    qtbot.addWidget(view)
    run, found = case()
    view.show_run(run, found)
    assert column(view.examples.table, 0)[0] == f"<i>{found.worst[0].key}</i> second line"


def test_a_point_of_told_against_true_gives_its_example(view: ResultsView) -> None:
    run, found = case(task="regression")
    view.show_run(run, found)
    tab(view, "Told against true")
    chosen: list[list[int]] = []
    view.chosen.connect(chosen.append)
    far = int(np.abs(found.given - np.median(found.given)).argmax())
    QTest.mouseClick(view.scatter, LEFT, NONE, view.scatter.place_of(far).toPoint())
    assert chosen == [[int(found.keys[far])]]
    QTest.mouseClick(view.scatter, LEFT, NONE, QPoint(view.scatter.width() - 2, 1))
    assert len(chosen) == 1


@pytest.mark.parametrize(("task", "wanted"), [
    ("classification", ["Summary", "Modalities", "Classes", "Confusion", "Curves", "Label errors",
                        "Examples"]),
    ("multi-label", ["Summary", "Modalities", "Classes", "Curves", "Label errors", "Examples"]),
    ("regression", ["Summary", "Modalities", "Told against true", "Examples"]), ("alignment", ["Summary", "Examples"])])
@pytest.mark.parametrize("classes", [2, 300])
def test_every_task_shows_the_pages_that_make_sense_in_both_themes(
    view: ResultsView, task: str, wanted: list[str], classes: int,
) -> None:
    run, found = case(classes, task=task)
    view.show_run(run, found)
    assert tabs(view) == wanted
    pictures = []
    for theme in ("dark", "light"):
        THEME.apply(theme)
        for size in ((900, 280), (300, 120), (1400, 800)):
            view.resize(*size)
            for title in wanted:
                tab(view, title)
                pictures.append(view.grab().toImage())
    assert not any(picture.isNull() for picture in pictures)
    half = len(pictures) // 2
    assert all(dark.pixelColor(1, 60) != light.pixelColor(1, 60)
               for dark, light in zip(pictures[:half], pictures[half:], strict=True))


def test_curves_of_one_class_are_drawn_alone(view: ResultsView) -> None:
    run, found = case(3)
    view.show_run(run, found)
    tab(view, "Curves")
    assert len(view.curves.roc.drawing.lines) == 4
    view.curves.which.setCurrentIndex(2)
    assert len(view.curves.roc.drawing.lines) == 2
    assert f"{found.curves[1].area:.3f}" in view.curves.roc.drawing.title
    assert not view.curves.grab().isNull()


def test_the_summary_shows_intervals_and_modalities(view: ResultsView) -> None:
    run, found = case()
    view.show_run(run, found)
    one = found.metrics["accuracy"]
    line = [str(view.summary.numbers.model().index(0, c).data()) for c in range(3)]
    assert line == ["Accuracy", f"{one.value:.3f}", f"{one.low:.3f} – {one.high:.3f}"]
    assert column(view.modalities.table, 0) == ["Pictures", "Texts", "Mean over modalities", "Pictures, own head"]
    assert column(view.modalities.table, 2) == ["0.500 (0.400 – 0.600)", "0.700", "0.600", "0.250"]
    assert column(view.modalities.table, 4) == ["1.000", "–", "–", "–"]
    assert view._of.whole == "Run 3 · test part · 200 examples"
    view.show_run(replace(run, results=[]), found)  # type: ignore[arg-type]
    assert "Modalities" not in tabs(view)


def test_two_runs_stand_side_by_side(view: ResultsView) -> None:
    (run, found), (other_run, other) = case(), case(seed=2)
    other_run = replace(other_run, folder=Path("runs/0002"))
    view.compare(run, found, other_run, other, comparison(found, other))
    assert [view.summary.numbers.lines.heads[c] for c in (1, 3)] == ["Run 3", "Run 2"]
    assert column(view.summary.numbers, 3)[0] == f"{other.metrics['accuracy'].value:.3f}"
    assert column(view.modalities.table, 1)[:4] == ["Run 3", "Run 2"] * 2
    assert "Modalities" in tabs(view)
    assert "On 200 examples" in view.summary._verdict.text()
    assert "McNemar" in view.summary._verdict.text()
    view.compare(run, found, other_run, other, "They have nothing in common.")
    assert view.summary._verdict.text() == "They have nothing in common."
    view.show_run(run, found)
    assert view.summary._verdict.isHidden()


@pytest.mark.parametrize(("status", "word"), [
    ("waiting", "not begun"), ("running", "being trained"), ("paused", "paused"), ("stopped", "stopped"),
    ("interrupted", "interrupted"), ("failed", "<b>why</b>"), ("done", "worked out")])
def test_without_results_a_sentence_says_why(view: ResultsView, status: str, word: str) -> None:
    run, found = case()
    assert "finished run" in sentence(view)
    view.show_run(run, found)
    view.show_run(replace(run, state=State(status, error="<b>why</b>")), None)  # type: ignore[arg-type]
    assert word in sentence(view)
    assert "Run 3" in sentence(view)
    assert not view.grab().isNull()
    view.say("The file is broken.")
    assert sentence(view) == "The file is broken."


def test_the_batch_that_stopped_a_run_is_a_list_whose_items_are_selected(view: ResultsView) -> None:
    run, found = case()
    assert not view.failed.isVisible()
    view.show_run(replace(run, state=State("failed", error="The loss was nan", failed_keys=(4, -2, 9))), None)
    assert view.failed.isVisible()
    assert [view.failed.names.item(row).text() for row in range(3)] == ["Item 4", "Sample 2", "Item 9"]
    chosen: list[list[int]] = []
    view.chosen.connect(chosen.append)
    view.failed.names.item(1).setSelected(True)
    view.failed.all.click()
    assert chosen[0] == [-2]
    assert sorted(chosen[-1]) == [-2, 4, 9]
    view.show_run(replace(run, state=State("failed", error="The disk is full")), None)
    assert not view.failed.isVisible()
    view.show_run(run, found)


def test_how_a_run_decides_is_told_and_its_thresholds_can_be_asked_for(view: ResultsView) -> None:
    run, found = case(2)
    view.show_run(replace(run, deciding=Deciding(1.3, (0.31,))), found)
    told = view.summary._deciding.text()
    assert "temperature 1.3" in told
    assert f"{run.job.classes[1]} 0.31" in told
    assert not view.summary.thresholds.isChecked()
    asked: list[bool] = []
    view.thresholdsChosen.connect(asked.append)
    view.summary.thresholds.click()
    assert asked == [True]
    view.show_run(run, found)
    assert not view.summary.thresholds.isVisible()


def test_a_run_that_was_trained_is_shown(view: ResultsView, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 120)
    vectors = rng.normal(0, 0.5, (120, 2, 8)).astype(np.float32)
    vectors[:, 0] += np.eye(8)[targets]
    examples = Examples(np.arange(1, 121), vectors, np.ones((120, 2), bool), targets,
                        (np.arange(120) % 3).astype(np.int8))
    job = TrainingJob(name="Three things", classes=("a", "b", "c"), modalities=("image", "text"), epochs=3, batch=20,
                      width=8)
    folder = runs.make(tmp_path / "runs", job, examples)
    finish(train(folder))
    run = runs.look(folder)
    found = evaluated(load(folder), run.job)
    view.show_run(run, found)
    tab(view, "Confusion")
    chosen: list[list[int]] = []
    view.chosen.connect(chosen.append)
    click_cell(view.confusion, (2, 2))
    assert chosen == [found.cells([(2, 2)])]
    assert column(view.modalities.table, 0) == [
        "Pictures", "Texts", "Mean over modalities", "Pictures + Texts", "Pictures, own head", "Texts, own head",
        "Mean over modalities, own heads"]
    accuracies = column(view.modalities.table, 2)
    assert all("–" in cell for cell in accuracies)  # each has its interval
    single = [float(cell.split(" ")[0]) for cell in accuracies]
    assert single[2] == pytest.approx((single[0] + single[1]) / 2, abs=0.002)
    assert view._of.whole.startswith("Three things 1")
