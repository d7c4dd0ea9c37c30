"""Training: the project's runs, their curves while they learn, and what came of them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.learning import Evaluated, Learning
from mmstudio.desktop.plots.curves import CurvesView
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import clock, count, tr
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.results import ResultsView
from mmstudio.errors import StudioError
from mmstudio.training.runs import Run

MOST_OVERLAID = 10
STATUS = {"waiting": "waits its turn", "running": "learns", "paused": "paused", "stopped": "stopped", "done": "done",
          "failed": "failed", "interrupted": "was interrupted"}
MAIN_METRIC = {"classification": "accuracy", "multi-label": "micro F1", "regression": "R²", "alignment": "recall at 1"}


class TrainingPanel(QWidget):
    """A table of runs beside their curves and results."""

    trainWanted = Signal()

    def __init__(self, session: Session, learning: Learning) -> None:
        super().__init__()
        self._session, self._learning = session, learning
        self.table = QTableWidget(0, 5)
        self.curves, self.results = CurvesView(), ResultsView(self._name_of)
        self.tabs = QTabWidget()
        self.told = QLabel(wordWrap=True)
        self._buttons = {name: QPushButton(title) for name, title in (
            ("train", tr("Train…")), ("pause", tr("Pause")), ("run", tr("Continue")), ("stop", tr("Stop")),
            ("baselines", tr("Baselines")), ("apply", tr("Tell the library")), ("remove", tr("Delete")))}
        self._stack = QStackedWidget()
        self._names: list[str] = []
        self._evaluated: list[str] = []
        self._build()
        self._connect()
        self._show_runs()

    def _build(self) -> None:
        self.table.setHorizontalHeaderLabels([tr("Run"), tr("Learns"), tr("State"), tr("Best"), tr("Time")])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.setAccessibleName(tr("Runs"))
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        row = QHBoxLayout()
        for button in self._buttons.values():
            row.addWidget(button)
        row.addStretch(1)
        self._buttons["train"].setProperty("primary", True)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 4, 4, 4)
        column.addWidget(self.table, 1)
        column.addWidget(self.told)
        column.addLayout(row)
        self.tabs.addTab(self.curves, tr("Curves"))
        self.tabs.addTab(self.results, tr("Results"))
        split = QSplitter()
        split.addWidget(left)
        split.addWidget(self.tabs)
        split.setStretchFactor(1, 1)
        split.setSizes([460, 800])
        self._stack.addWidget(EmptyState(
            tr("A run learns from tags, columns or groups of this project: to tell classes apart, to estimate an "
               "amount, to bring modalities together. The vectors are computed already, so it takes seconds."),
            [(tr("Train…"), self.trainWanted.emit)]))
        self._stack.addWidget(split)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _connect(self) -> None:
        learning = self._learning
        learning.runsChanged.connect(self._show_runs)
        learning.grew.connect(self._grew)
        self._session.projectOpened.connect(self._forget)
        self.table.itemSelectionChanged.connect(self._chosen)
        self.results.chosen.connect(self._session.select)
        self._buttons["train"].clicked.connect(self.trainWanted)
        for wish in ("pause", "run", "stop"):
            self._buttons[wish].clicked.connect(lambda _=False, wish=wish: self._wish(wish))
        self._buttons["apply"].clicked.connect(lambda: self._with_run(learning.apply))
        self._buttons["baselines"].clicked.connect(lambda: self._with_run(self._measure_baselines))
        self._buttons["remove"].clicked.connect(lambda: self._with_run(self._ask_to_remove))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._learning.look()

    # ---- the table ----------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._names, self._evaluated = [], []
        self.curves.show_runs([])
        self.results.show_run(None, None)

    def _show_runs(self) -> None:
        runs = self._learning.runs
        self._stack.setCurrentIndex(1 if runs else 0)
        names = [run.folder.name for run in runs]
        others = names != self._names
        fresh = [name for name in names if name not in self._names]
        chosen = set(fresh[:1]) or self._chosen_names() & set(names)
        self.table.blockSignals(True)
        self._names = names
        self.table.setRowCount(len(runs))
        for row, run in enumerate(runs):
            for column, text in enumerate(_cells(run, self._learning.is_starting(run))):
                self._put(row, column, text)
        if others:
            self._choose(chosen)
        self.table.blockSignals(False)
        if others:  # rows are others, and so may be what the chosen ones are about
            self._chosen()
        self._enable()
        self._evaluate()

    def _put(self, row: int, column: int, text: str) -> None:
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.table.setItem(row, column, item)
        if item.text() != text:
            item.setText(text)

    def _choose(self, names: set[str]) -> None:
        self.table.clearSelection()
        for row, name in enumerate(self._names):
            if name in names:
                self.table.selectRow(row)

    def _chosen_names(self) -> set[str]:
        rows = {index.row() for index in self.table.selectedIndexes()}
        return {name for row, name in enumerate(self._names) if row in rows}

    def _run(self) -> Run | None:
        """The run that buttons and results are about: the topmost of the chosen."""
        chosen = self._chosen_names()
        return next((run for run in self._learning.runs if run.folder.name in chosen), None)

    def _chosen(self) -> None:
        names = [name for name in self._names if name in self._chosen_names()][:MOST_OVERLAID]
        titles = {run.folder.name: f"{run.number} · {run.job.name}" for run in self._learning.runs}
        self.curves.show_runs([(name, titles.get(name, name)) for name in names])
        self._learning.follow(names)
        self._enable()
        self._evaluate()

    def _grew(self, name: str, lines: list[dict[str, object]], anew: bool) -> None:
        if anew:
            self.curves.clear(name)
        self.curves.add(name, lines)

    # ---- one run ------------------------------------------------------------------------------------------------

    def _enable(self) -> None:
        run = self._run()
        status = run.state.status if run and not self._learning.is_starting(run) else ""
        self._buttons["pause"].setVisible(status == "running")
        self._buttons["run"].setVisible(status in ("paused", "stopped", "interrupted", "failed"))
        self._buttons["stop"].setVisible(status in ("running", "paused"))
        useful = run is not None and run.state.best is not None and run.job.task != "alignment"
        self._buttons["apply"].setVisible(useful)
        self._buttons["baselines"].setVisible(run is not None and status == "done" and run.job.task == "classification"
                                              and "baselines" not in run.results)
        self._buttons["remove"].setVisible(bool(run) and status not in ("running", "paused"))
        self.told.setText(run.state.error if run and run.state.error else _told(run) if run else "")

    def _evaluate(self) -> None:
        """Show what came of the run once it is done, or of the two topmost that are chosen side by side."""
        chosen = self._chosen_names()
        runs = [run for run in self._learning.runs if run.folder.name in chosen][:2]
        done = [run for run in runs if run.state.status == "done"]
        names = [run.folder.name for run in done]
        if not runs or done != runs:
            self._evaluated = []
            self.results.show_run(runs[0] if runs else None, None)
            return
        if self._evaluated == names:
            return
        self._evaluated = names

        def told(found: Evaluated | StudioError) -> None:
            if self._evaluated != names:
                return
            if isinstance(found, StudioError):
                self.results.say(str(found))
            elif found.other is None:
                self.results.show_run(done[0], found.one)
            else:
                self.results.compare(done[0], found.one, done[1], found.other, found.compared)

        self._learning.evaluate(done, told)

    def _name_of(self, key: int) -> str:
        if key < 0:
            sample = self._session.samples.get(-key)
            return sample.name if sample else ""
        item = self._session.items.get(key)
        return item.title if item else ""

    def _with_run(self, act: object) -> None:
        run = self._run()
        if run is not None and callable(act):
            act(run)

    def _measure_baselines(self, run: Run) -> None:
        self._buttons["baselines"].setEnabled(False)
        self._learning.baselines(run, lambda: self._buttons["baselines"].setEnabled(True))

    def _ask_to_remove(self, run: Run) -> None:
        box = QMessageBox(QMessageBox.Icon.Question, tr("Delete the run"), tr(
            "“{}” and what it learned are deleted. This cannot be undone.").format(run.job.name), parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        yes = box.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole)
        yes.clicked.connect(lambda: self._learning.remove(run))
        box.open()

    def _wish(self, wanted: str) -> None:
        for run in self._learning.runs:
            if run.folder.name in self._chosen_names():
                self._learning.wish(run, wanted)


def _cells(run: Run, starting: bool) -> list[str]:
    state, job = run.state, run.job
    share = f" · {100 * state.step // max(1, state.steps)} %" if state.status in ("running", "paused") else ""
    what = job.target if job.task != "alignment" else " + ".join(job.modalities)
    best = run.results.get("parts", {}).get(run.results.get("of", ""), {}).get(MAIN_METRIC[job.task])
    shown = f"{MAIN_METRIC[job.task]} {best:.3f}" if best is not None else (
        f"{tr('loss')} {state.best:.4g}" if state.best is not None else "")
    fusion = f" · {job.fusion}" if len(job.modalities) > 1 and job.task != "alignment" else ""
    shown_state = tr("starts …") if starting and state.status != "running" else tr(STATUS[state.status]) + share
    return [f"{run.number} · {job.name}", f"{what}{fusion}", shown_state, shown,
            clock(state.seconds)]


def _told(run: Run) -> str:
    job = run.job
    classes = tr("{} classes").format(count(len(job.classes))) if job.classes else tr(job.task)
    told = tr("{} · {} · {} · rate {:g} · batch {} · seed {}").format(
        job.model.rsplit("/", 1)[-1], classes, " + ".join(job.modalities), job.lr, count(job.batch), job.seed)
    simple = run.results.get("baselines", {})
    if not simple:
        return told
    return told + "\n" + tr("Accuracy of baselines: {}").format(
        ", ".join(f"{name} {value:.3f}" for name, value in simple.items()))
