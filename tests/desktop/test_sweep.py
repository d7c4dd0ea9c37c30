"""A sweep in the real window: begun in the dialog, found again, drawn, brushed, and named in a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from mmstudio.desktop.learning import _looked
from mmstudio.desktop.panels.training import TrainingPanel
from mmstudio.desktop.plots.parallel import shade
from mmstudio.desktop.sweep_dialog import SweepDialog, offered
from mmstudio.desktop.theme import THEME, colours
from mmstudio.desktop.train_dialog import TrainDialog
from mmstudio.desktop.widgets.sweep_page import SweepPage, drawn
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.progress import finish
from mmstudio.project import Project
from mmstudio.training import runs, sweep, sweeping
from mmstudio.training.examples import Examples
from mmstudio.training.job import Split, TrainingJob
from mmstudio.training.runs import Run
from mmstudio.training.sweep import Sweep, Varied
from mmstudio.training.trial import Trial

JOB = TrainingJob(name="plain", classes=("a", "b"), modalities=("image",), target="kind", dim=4, epochs=2, patience=0,
                  split=Split("random"))
RATES = Varied("lr", 1e-5, 0.1, log=True)
LOSSES = Varied("loss", choices=("cross-entropy", "focal"))
LEFT = Qt.MouseButton.LeftButton


def _examples() -> Examples:
    """60 examples of two classes that one number tells apart."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 60)
    vectors = rng.normal(0, 1, (60, 1, 4)).astype(np.float32)
    vectors[:, 0, 0] += 3 * classes
    parts = np.repeat(np.array([0, 1, 2], np.int8), [30, 15, 15])
    return Examples(np.arange(1, 61), vectors, np.ones((60, 1), bool), classes, parts)


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """What trains ends with its test."""
    yield
    runs.let_go()
    for child in list(runs._CHILDREN):
        child.wait(60)


def _panel(window: MainWindow, qtbot: QtBot) -> TrainingPanel:
    window._arrange("train")
    qtbot.waitUntil(lambda: window.training.made is not None)
    made = window.training.made
    assert isinstance(made, TrainingPanel)
    return made


@pytest.fixture
def panel(window: MainWindow, qtbot: QtBot) -> TrainingPanel:
    """A run, and a sweep of ten rates that is done."""
    project = window.session.project
    assert project is not None
    runs.fail(runs.make(project.runs, JOB, _examples()), "not to be trained")
    folder = sweep.make(project.sweeps, Sweep("rates", JOB, (replace(RATES, points=5), LOSSES), "grid", pruning=False),
                        _examples())
    finish(sweeping.run(folder))
    made = _panel(window, qtbot)
    qtbot.waitUntil(lambda: made.table.model().rowCount() == 11)
    made.tabs.setCurrentWidget(made.sweep)
    return made


def _brush(page: SweepPage, axis: int, low: float, high: float) -> None:
    ends = [page.plot.place(axis, share).toPoint() for share in (low, high)]
    QTest.mousePress(page.plot, LEFT, pos=ends[0])
    QTest.mouseMove(page.plot, ends[1])
    QTest.mouseRelease(page.plot, LEFT, pos=ends[1])


def _rates(panel: TrainingPanel) -> list[float]:
    return sorted(run.job.lr for run in panel.table.chosen())


def test_brushing_axes_selects_the_runs_that_cross_all_brushes_and_a_click_takes_one_away(
    panel: TrainingPanel,
) -> None:
    page = panel.sweep
    _brush(page, 0, 0.45, 1.0)
    assert _rates(panel) == pytest.approx([1e-3, 1e-3, 1e-2, 1e-2, 0.1, 0.1])
    _brush(page, 1, 0.9, 1.0)
    assert _rates(panel) == pytest.approx([1e-3, 1e-2, 0.1])
    assert {run.job.loss for run in panel.table.chosen()} == {"focal"}
    QTest.mouseClick(page.plot, LEFT, pos=page.plot.place(0, 0.7).toPoint())
    assert len(panel.table.chosen()) == 5
    QTest.mouseClick(page.plot, LEFT, pos=page.plot.place(1, 0.7).toPoint())
    assert panel.table.chosen() == []


def test_what_is_brushed_is_selected_although_the_filter_hides_it(panel: TrainingPanel) -> None:
    panel.filter.setText("plain")
    assert panel.table.model().rowCount() == 1
    _brush(panel.sweep, 0, 0.9, 1.0)
    assert _rates(panel) == pytest.approx([0.1, 0.1])


def test_a_click_on_a_line_selects_its_run_and_the_table_draws_lines_bold(panel: TrainingPanel) -> None:
    page = panel.sweep
    fourth = next(one for one in page.plot.strands if one.key == 3)
    x = page.plot.place(0, 0).x() * 0.6 + page.plot.place(1, 0).x() * 0.4
    y = page.plot._height_of(fourth, x)
    assert y is not None
    QTest.mouseClick(page.plot, LEFT, pos=QPoint(round(x), round(y)))
    assert [run.name for run in panel.table.chosen()] == ["rates · 4"]
    assert page.plot._bold == {3}
    panel.table.choose(["0002", "0003"])
    assert page.plot._bold == {0, 1}


def test_the_page_says_what_is_best_what_mattered_and_finds_the_runs(panel: TrainingPanel, qtbot: QtBot) -> None:
    page = panel.sweep
    qtbot.waitUntil(lambda: page.bars.rowCount() == 2)
    assert page.bars.itemAt(0, page.bars.ItemRole.LabelRole).widget().text().startswith("Learning rate")
    losses = {run.trial.value: run.folder.name for run in panel._learning.runs if run.trial}
    assert f"loss {min(losses):.3g}" in page.best.text()  # type: ignore[type-var]
    assert "10 of 10" in page.told.text()
    page.buttons["best"].click()
    assert [run.folder.name for run in panel.table.chosen()] == [losses[min(losses)]]  # type: ignore[type-var]
    page.buttons["filter"].click()
    assert panel.filter.text() == "sweep:1"
    assert panel.table.model().rowCount() == 10
    jobs: list[TrainingJob] = []
    panel.againWanted.disconnect()
    panel.againWanted.connect(jobs.append)
    page.buttons["again"].click()
    assert jobs[0].lr == pytest.approx(0.1, rel=20)


def test_a_sweep_is_deleted_with_its_runs_after_a_question(panel: TrainingPanel, qtbot: QtBot) -> None:
    kept = panel.sweep.sweep
    assert kept is not None
    for answer, left in (("Keep", 11), ("Delete", 1)):
        panel.sweep.buttons["remove"].click()
        box = panel.findChild(QMessageBox)
        assert "its 10 runs" in box.text()
        next(button for button in box.buttons() if button.text() == answer).click()
        qtbot.waitUntil(lambda left=left: panel.table.model().rowCount() == left)  # type: ignore[misc]
        qtbot.waitUntil(lambda: panel.findChild(QMessageBox) is None)
    assert not kept.folder.exists()
    qtbot.waitUntil(lambda: not panel.tabs.isTabVisible(panel.tabs.indexOf(panel.sweep)))


def test_the_best_stands_out_most_on_both_grounds_and_pruned_trials_are_dashed(qtbot: QtBot) -> None:
    made = [Run(Path(f"runs/{n + 1:04}"), JOB, runs.State(), {}, name=f"r · {n}", trial=Trial("0001", n, {
        "lr": 10.0 ** -(n + 1)}, value, "epoch 3" if n == 2 else "")) for n, value in enumerate((0.2, 0.6, 0.9, None))]
    axes, strands = drawn(Sweep("s", JOB, (RATES,)), made)
    assert [axis.title for axis in axes] == ["Learning rate", "loss (less is better)"]
    assert [one.shares[0] for one in strands] == pytest.approx([1, 0.75, 0.5, 0.25])
    assert [one.worth for one in strands] == [pytest.approx(1), pytest.approx(3 / 7), pytest.approx(0), None]
    assert [one.dashed for one in strands] == [False, False, True, False]
    assert len(strands[3].shares) == 1
    before = THEME.wish
    for theme in ("dark", "light"):
        THEME.apply(theme)
        contrast = [abs(_lightness(shade(worth)) - _lightness(QColor(colours().window))) for worth in (1, 0.75, 0.4, 0)]
        assert contrast == sorted(contrast, reverse=True)
        assert contrast[-1] > 10
    THEME.apply(before)


def _lightness(colour: QColor) -> float:
    """L* of CIELAB, 0..100."""
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
              for share in (colour.redF(), colour.greenF(), colour.blueF())]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_the_dialog_makes_the_sweep_that_was_chosen_and_refuses_what_makes_no_sense(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    started: list[Sweep] = []
    dialog = SweepDialog(JOB, started.append, parent)
    dialog.show()
    rows = {row.like.name: row for row in dialog.rows}
    assert [name for name, row in rows.items() if row.taken.isChecked()] == ["lr", "weight_decay"]
    assert "fusion" not in rows
    rows["lr"].low.setText("fast")
    assert not dialog.go.isEnabled()
    assert "fast" in dialog.told.text()
    rows["lr"].low.setText("1e-4")
    rows["weight_decay"].taken.setChecked(False)
    rows["loss"].taken.setChecked(True)
    dialog.method.setCurrentIndex(dialog.method.findData("grid"))
    rows["lr"].points.setValue(4)
    assert dialog.told.text().startswith("8 runs")
    dialog.measure.setCurrentIndex(dialog.measure.findData("accuracy"))
    dialog.go.click()
    assert started[0].varied == (Varied("lr", 1e-4, 0.05, True, 4), Varied("loss", choices=("cross-entropy", "focal")))
    assert (started[0].method, started[0].metric, started[0].direction) == ("grid", "accuracy", "maximize")


@pytest.mark.parametrize("changes", [
    {}, {"modalities": ("image", "text")}, {"trains": "lora"}, {"trains": "clip adapter"}, {"task": "regression"},
    {"task": "alignment", "modalities": ("image", "text")}, {"trains": "scratch"}, {"lr": 0.5},
])
def test_every_setting_that_is_offered_can_vary(changes: dict[str, object]) -> None:
    job = replace(JOB, **changes)  # type: ignore[arg-type]
    assert Sweep("all", job, tuple(offered(job))).check().varied


def test_while_a_sweep_trains_nothing_else_starts_and_a_new_window_finds_it_again(
    window: MainWindow, qtbot: QtBot,
) -> None:
    session, learning = window.session, window.learning
    project = session.project
    assert project is not None
    folder = sweep.make(project.sweeps, Sweep("long", replace(JOB, epochs=100_000), (RATES,)), _examples())
    learning._begin()
    panel = _panel(window, qtbot)
    qtbot.waitUntil(lambda: bool(learning.runs) and learning.runs[0].state.status == "running", timeout=90_000)
    waiting = runs.make(project.runs, replace(JOB, name="waits"), _examples())
    learning._begin()
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(project.folder.with_name("other"))
    assert (learning.sweeps, learning.runs) == ([], [])
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(project.folder)
    qtbot.waitUntil(lambda: bool(learning.sweeping) and len(learning.runs) == 2)
    assert learning._timer.isActive()
    assert learning.run(waiting.name).state.status == "waiting"  # type: ignore[union-attr]
    runs.remove(waiting)
    panel.tabs.setCurrentWidget(panel.sweep)
    qtbot.waitUntil(panel.sweep.buttons["pause"].isVisible)
    panel.sweep.buttons["pause"].click()
    qtbot.waitUntil(lambda: learning.sweeps[0].state.status == "paused")
    panel.sweep.buttons["stop"].click()
    qtbot.waitUntil(lambda: learning.sweeps[0].state.status == "stopped")
    assert sweep.look(folder).state.step == 0


def test_a_look_that_tells_that_a_sweep_is_done_tells_all_its_runs(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looking ends with such a look; what it missed would never be shown."""
    project = window.session.project
    assert project is not None
    folder = sweep.make(project.sweeps, Sweep("rates", JOB, (replace(RATES, points=2),), "grid", pruning=False),
                        _examples())
    work, look = sweeping.run(folder), Project.look_at_runs
    next(work)

    def and_the_sweep_goes_on(project: Project) -> list[Run]:
        found = look(project)
        finish(work)
        return found

    monkeypatch.setattr(Project, "look_at_runs", and_the_sweep_goes_on)
    seen = _looked(project, {})
    assert seen.sweeps[0].state.status == "running" or len(seen.runs) == 2
    assert sweep.look(folder).state.status == "done"


def test_from_the_train_dialog_to_the_best_of_a_sweep(
    window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], settled: Callable[[], None], starter: Encoder,
    make_picture: Callable[..., Path],
) -> None:
    for number in range(20):
        name, colour = (("cold", "blue"), ("warm", "red"))[number % 2]
        folder = make_picture(f"in/{name}/{number}.png", colour, 40 + 2 * number).parent.parent
    use(starter)
    window.session.add([folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 20)
    settled()
    window.actions_.by_id["train"].trigger()
    dialog = window.findChild(TrainDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.sweep.isEnabled() and dialog.target.count() > 0)
    dialog.how.numbers["epochs"].setValue(2)
    dialog.sweep.click()
    chosen = dialog.findChild(SweepDialog)
    assert chosen is not None
    chosen.trials.setValue(2)
    chosen.name.setText("colours")
    chosen.go.click()
    learning = window.learning
    qtbot.waitUntil(lambda: bool(learning.sweeps) and learning.sweeps[0].state.status == "done", timeout=90_000)
    qtbot.waitUntil(lambda: [run.name for run in learning.runs] == ["colours · 2", "colours · 1"])
    page = window.training.made.sweep  # type: ignore[union-attr]
    assert "2 of 2" in page.told.text()
    assert page.buttons["best"].isEnabled()
