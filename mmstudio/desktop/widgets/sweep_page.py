"""A sweep: its trials over their settings, how much each setting mattered, and the best trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.plots.parallel import Axis, ParallelPlot, Strand
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.run_pages import title_of
from mmstudio.desktop.widgets.runs_table import STATUS
from mmstudio.training.runs import Run
from mmstudio.training.sweep import KeptSweep, Setting, Sweep, Varied

SIDE_PIXELS, MOST_LETTERS = 250, 36
"""How broad what is told beside the plot is, and the name of a run there."""


class SweepPage(QWidget):
    """One sweep of a project's. ``chosen`` gives names of runs' folders, ``filterWanted`` a filter of runs, ``wished``
    a sweep and what is wished of it, ``againWanted`` the best run, ``importanceWanted`` a sweep, and ``removeWanted``
    one and its runs.
    """

    chosen = Signal(list)
    filterWanted = Signal(str)
    wished = Signal(object, str)
    againWanted = Signal(object)
    importanceWanted = Signal(object)
    removeWanted = Signal(object, list)

    def __init__(self) -> None:
        super().__init__()
        self._sweeps: list[KeptSweep] = []
        self._runs: list[Run] = []
        self._trials: list[Run] = []
        self._asked: tuple[str, int] | None = None
        self.which, self.told, self.plot = QComboBox(), QLabel(), ParallelPlot()
        self.which.setAccessibleName(tr("Sweep"))
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self.best, self.few = QLabel(), QLabel(wordWrap=True)
        for label in (self.best, self.few):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.best.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.few.setProperty("faint", True)
        self.few.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.bars = QFormLayout()
        self.buttons = {name: QPushButton(title) for name, title in (
            ("pause", tr("Pause")), ("run", tr("Continue")), ("stop", tr("Stop")), ("filter", tr("Show its runs")),
            ("remove", tr("Delete…")), ("best", tr("Choose it")), ("again", tr("Train it again…")))}
        self._build()
        self.which.activated.connect(lambda _: self._show())
        self.plot.chosen.connect(self._choose)
        for wish in ("pause", "run", "stop"):
            self.buttons[wish].clicked.connect(lambda _=False, wish=wish: self.wished.emit(self.sweep, wish))
        self.buttons["filter"].clicked.connect(
            lambda: self.sweep and self.filterWanted.emit(f"sweep:{self.sweep.number}"))
        self.buttons["remove"].clicked.connect(
            lambda: self.sweep and self.removeWanted.emit(self.sweep, self._trials))
        self.buttons["best"].clicked.connect(lambda: self._with_best(lambda run: self.chosen.emit([run.folder.name])))
        self.buttons["again"].clicked.connect(lambda: self._with_best(self.againWanted.emit))

    def _build(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.which)
        top.addWidget(self.told, 1)
        for name in ("pause", "run", "stop", "filter", "remove"):
            top.addWidget(self.buttons[name])
        side, inside = QScrollArea(widgetResizable=True), QWidget()
        side.setFrameShape(QFrame.Shape.NoFrame)
        side.setFixedWidth(SIDE_PIXELS)
        side.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(inside)
        row = QHBoxLayout()
        row.addWidget(self.buttons["best"])
        row.addWidget(self.buttons["again"])
        row.addStretch(1)
        for title, part in ((tr("Best trial"), self.best), (tr("What mattered"), self.few)):
            head = QLabel(title)
            head.setProperty("heading", True)
            column.addWidget(head)
            column.addWidget(part)
            if part is self.best:
                column.addLayout(row)
                column.addSpacing(8)
        column.addLayout(self.bars)
        column.addStretch(1)
        side.setWidget(inside)
        middle = QHBoxLayout()
        middle.addWidget(self.plot, 1)
        middle.addWidget(side)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.addLayout(top)
        layout.addLayout(middle, 1)

    # ---- what is shown ------------------------------------------------------------------------------------------

    @property
    def sweep(self) -> KeptSweep | None:
        """The sweep that is shown."""
        name = self.which.currentData()
        return next((kept for kept in self._sweeps if kept.folder.name == name), None)

    def show_sweeps(self, sweeps: Sequence[KeptSweep], runs: Sequence[Run]) -> None:
        """A project's sweeps, newest first; the one that was shown stays, unless a new one came."""
        names, before = [kept.folder.name for kept in sweeps], [kept.folder.name for kept in self._sweeps]
        self._sweeps, self._runs = list(sweeps), list(runs)
        if names != before:
            shown = self.which.currentData() if names and names[0] in before else None
            self.which.clear()
            for kept in sweeps:
                self.which.addItem(f"{kept.number} · {kept.sweep.name}"[:60].replace("\n", " "), kept.folder.name)
            self.which.setCurrentIndex(max(0, self.which.findData(shown)))
        self._show()

    def show_chosen(self, chosen: Sequence[Run]) -> None:
        """Draw the lines of these runs bold, and turn to the sweep of the first."""
        trial = chosen[0].trial if chosen else None
        if trial is not None and self.which.findData(trial.sweep) >= 0 and trial.sweep != self.which.currentData():
            self.which.setCurrentIndex(self.which.findData(trial.sweep))
            self._show()
        names = {run.folder.name for run in chosen}
        self.plot.show_bold([run.trial.number for run in self._trials if run.trial and run.folder.name in names])

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ask_importance()

    def _show(self) -> None:
        kept = self.sweep
        if kept is None:
            return
        self._trials = [run for run in self._runs if run.trial is not None and run.trial.sweep == kept.folder.name]
        self.plot.show_strands(*drawn(kept.sweep, self._trials), kept.sweep.direction == "maximize")
        state = kept.state
        self.told.setText(state.error or tr("{} · {} of {} trials · {} pruned").format(
            tr(STATUS[state.status]), count(state.step), count(state.steps),
            count(sum(bool(run.trial and run.trial.pruned) for run in self._trials))))
        self.told.setToolTip(state.error)
        self.buttons["pause"].setVisible(state.status == "running")
        self.buttons["run"].setVisible(state.status in ("paused", "stopped", "interrupted", "failed"))
        self.buttons["stop"].setVisible(state.status in ("running", "paused"))
        self.buttons["remove"].setVisible(state.status not in ("running", "paused"))
        best = self._best()
        for name in ("best", "again"):
            self.buttons[name].setEnabled(best is not None)
        self.best.setText(tr("No trial is done yet.") if best is None else told(kept.sweep, best))
        self._ask_importance()

    def _best(self) -> Run | None:
        """The best of the trials that are done and still there."""
        done = [(run.trial.value, run) for run in self._trials
                if run.trial is not None and run.trial.value is not None and not run.trial.pruned]
        if not done or self.sweep is None:
            return None
        sign = 1 if self.sweep.sweep.direction == "minimize" else -1
        return min(done, key=lambda one: sign * one[0])[1]

    def _ask_importance(self) -> None:
        """Ask anew when trials were added since."""
        kept = self.sweep
        if kept is not None and self.isVisible() and self._asked != (kept.folder.name, kept.state.step):
            if self._asked is None or self._asked[0] != kept.folder.name:
                self.show_importance(kept, {})
            self._asked = kept.folder.name, kept.state.step
            self.importanceWanted.emit(kept)

    def show_importance(self, kept: KeptSweep, shares: dict[str, float]) -> None:
        """Each setting's share in how differently the trials of a sweep came out, none where nothing can be said."""
        if self.sweep is None or self.sweep.folder != kept.folder:
            return
        while self.bars.rowCount():
            self.bars.removeRow(0)
        for name, share in shares.items():
            bar = QProgressBar(maximum=1000, value=round(1000 * share), textVisible=False)
            bar.setToolTip(tr("{:.0%} of what differs between the trials").format(share))
            bar.setAccessibleName(title_of(name))
            beside = QHBoxLayout()
            beside.setContentsMargins(0, 6, 0, 0)  # in the middle of its words
            beside.addWidget(bar)
            self.bars.addRow(f"{title_of(name)}  {share:.0%}", beside)
        self.few.setText(tr("Shares of the variance that each setting explains (fANOVA).") if shares else tr(
            "Too few trials are done to say: it takes ten that differ."))

    # ---- choosing -----------------------------------------------------------------------------------------------

    def _choose(self, numbers: list[int]) -> None:
        chosen = set(numbers)
        self.chosen.emit([run.folder.name for run in self._trials if run.trial and run.trial.number in chosen])

    def _with_best(self, act: Callable[[Run], None]) -> None:
        best = self._best()
        if best is not None:
            act(best)


# ---- how trials are drawn -------------------------------------------------------------------------------------------


def drawn(sweep: Sweep, trials: Sequence[Run]) -> tuple[list[Axis], list[Strand]]:
    """An axis for each setting and one for the metric, and a line for each trial in their order."""
    values = [run.trial.value for run in trials if run.trial is not None and run.trial.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    wide = (high - low) or 1.0
    less = tr("{} (less is better)") if sweep.direction == "minimize" else tr("{} (more is better)")
    axes = [Axis(title_of(one.name), _ticks(one)) for one in sweep.varied]
    axes.append(Axis(less.format(tr(sweep.metric)), tuple(
        (share, number(low + share * (high - low))) for share in (0.0, 0.5, 1.0)) if values else ()))
    strands = []
    for run in trials:
        trial = run.trial
        if trial is None or any(one.name not in trial.settings for one in sweep.varied):
            continue
        shares = [share_of(one, trial.settings[one.name]) for one in sweep.varied]
        worth = None
        if trial.value is not None:
            shares.append((trial.value - low) / wide if high > low else 0.5)
            worth = shares[-1] if sweep.direction == "maximize" else 1 - shares[-1]
        strands.append(Strand(trial.number, tuple(shares), worth, bool(trial.pruned), told(sweep, run)))
    return axes, strands


def told(sweep: Sweep, run: Run) -> str:
    """A trial in words."""
    trial = run.trial
    if trial is None:
        return run.name
    lines = [f"{run.number} · {run.name}"[:MOST_LETTERS].replace("\n", " ")]
    if trial.value is not None:
        lines.append(f"{tr(sweep.metric)} {number(trial.value)}")
    lines += [f"{title_of(name)} {number(value)}" for name, value in trial.settings.items()]
    if trial.pruned:
        lines.append(tr("Pruned: {}").format(trial.pruned))
    return "\n".join(lines)


def share_of(one: Varied, value: Setting) -> float:
    """Where a value lies between the ends of its setting."""
    if one.choices:
        return one.choices.index(value) / (len(one.choices) - 1) if value in one.choices else 0.0
    low, high, at = float(one.low), float(one.high), float(value)
    if one.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return min(1.0, max(0.0, (at - low) / (high - low)))


def _ticks(one: Varied) -> tuple[tuple[float, str], ...]:
    if one.choices:
        return tuple((share_of(one, choice), number(choice)) for choice in one.choices)
    middle = math.sqrt(one.low * one.high) if one.log else (one.low + one.high) / 2
    return (0.0, number(one.low)), (0.5, number(middle)), (1.0, number(one.high))


def number(value: Setting) -> str:
    """A setting or metric in few digits."""
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    return tr(value) if isinstance(value, str) else f"{value:.3g}"
