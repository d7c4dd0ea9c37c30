"""The pages of a finished run's results: numbers, confusion, curves, lists of examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import OKABE_ITO, colours, restyle
from mmstudio.desktop.widgets.confusion import ConfusionMatrix, ConfusionScale
from mmstudio.desktop.widgets.result_plots import Drawing, Line, Plot
from mmstudio.desktop.widgets.result_table import ResultsTable, Value, bounds
from mmstudio.training.compared import Interval
from mmstudio.training.evaluation import ClassCurve, Evaluation, Example
from mmstudio.training.runs import Run

MOST_CURVES = 40
"""Curves of all classes that are drawn at once."""
MOST_THRESHOLDS = 12
"""That are told."""


class SummaryPage(QWidget):
    """Single numbers with their intervals, and how the run decides: ``thresholdsChosen`` when at its fitted thresholds,
    or no longer.
    """

    thresholdsChosen = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._verdict = faint_label()
        self._verdict.setMargin(6)
        self.numbers = ResultsTable(tr("Metrics"), sortable=False)
        self.numbers.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.numbers.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._verdict)
        layout.addWidget(self.numbers, 1)
        self._deciding, self.thresholds = faint_label(), QCheckBox(tr("Decide at the fitted thresholds"))
        self._deciding.setMargin(6)
        self.thresholds.setToolTip(tr("Where F1 was highest on validation, in place of 0.5. The library, predictions "
                                      "and exports follow; the figures above do not"))
        self.thresholds.clicked.connect(self.thresholdsChosen)
        layout.addWidget(self._deciding)
        layout.addWidget(self.thresholds)

    def _show_deciding(self, run: Run) -> None:
        how, names = run.deciding, run.job.classes
        told = []
        if how.temperature != 1:
            told.append(tr("Told probabilities are at the temperature {:.3g}, fitted on validation.").format(
                how.temperature))
        if how.thresholds:
            pairs = zip(names if len(how.thresholds) == len(names) else names[1:], how.thresholds, strict=False)
            told.append(tr("Thresholds of the highest F1 on validation: {}.").format(
                ", ".join(f"{name} {at:.2f}" for name, at in list(pairs)[:MOST_THRESHOLDS])))
        self._deciding.setText(" ".join(told))
        self._deciding.setVisible(bool(told))
        self.thresholds.setVisible(bool(how.thresholds) and run.beside is None)
        self.thresholds.setChecked(how.asked)

    def say(self, sentence: str) -> None:
        self._verdict.setText(sentence)
        self._verdict.setVisible(bool(sentence))

    def show_run(self, run: Run, found: Evaluation, beside: tuple[Run, Evaluation] | None = None) -> None:
        self.say(tr("No example was kept apart: these are of what the run has learned from, and say little.")
                 if found.part == "train" else "")
        self._show_deciding(run)
        if found.task == "alignment":
            self._show_directions(found)
        else:
            self._show_numbers(run, found, beside)

    def _show_numbers(self, run: Run, found: Evaluation, beside: tuple[Run, Evaluation] | None) -> None:
        numbers = dict(found.metrics)
        numbers.update(_calibration_numbers(found))
        heads = [tr("Metric"), tr("Value") if beside is None else title_of(run), tr("95 % interval")]
        lines: list[tuple[Value, ...]] = [(_capital(tr(name)), one.value, bounds(one))
                                          for name, one in numbers.items()]
        if beside is not None:
            others = {**beside[1].metrics, **_calibration_numbers(beside[1])}
            nothing = Interval(float("nan"), float("nan"), float("nan"))
            heads += [title_of(beside[0]), tr("95 % interval")]
            lines = [(*line, (other := others.get(name, nothing)).value, bounds(other))
                     for line, name in zip(lines, numbers, strict=True)]
        self.numbers.show_lines(heads, lines)

    def _show_directions(self, found: Evaluation) -> None:
        heads = [tr("Finds"), tr("Recall at 1"), tr("95 % interval"), tr("Recall at 5"), tr("Recall at 10"),
                 tr("Mean reciprocal rank"), tr("Median rank"), tr("Recall at 1 by chance")]
        self.numbers.show_lines(heads, [
            (name, one.recall[1], bounds(found.metrics[f"{name}, recall at 1"]), one.recall[5], one.recall[10],
             one.mrr, one.median_rank, one.chance_recall[1]) for name, one in found.directions.items()])


class ConfusionPage(QWidget):
    """The matrix, and what the cell that is pointed at says."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = ConfusionMatrix()
        self._cell, hint = faint_label(), faint_label()
        hint.setText(tr("A click selects a cell's examples, Ctrl-click adds a cell. Ctrl and the wheel zoom."))
        restyle(self._cell, "faint", False)
        side = QVBoxLayout()
        side.setContentsMargins(8, 8, 8, 8)
        side.addWidget(self._cell)
        side.addStretch(1)
        side.addWidget(hint)
        side.addWidget(ConfusionScale())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.matrix, 1)
        for label in (self._cell, hint):
            label.setFixedWidth(184)
        layout.addLayout(side)
        self.matrix.pointed.connect(self._cell.setText)

    def show_table(self, found: Evaluation) -> None:
        assert found.table is not None
        self._cell.clear()
        self.matrix.show_table(found.table, found.classes)


class CurvesPage(QWidget):
    """ROC, precision against recall, and whether a probability means what it says."""

    def __init__(self) -> None:
        super().__init__()
        self._found: Evaluation | None = None
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Class"))
        self.which.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.which.setMinimumContentsLength(24)
        self.which.currentIndexChanged.connect(self.redraw)
        self._note = faint_label()
        self.roc, self.precise, self.reliable = Plot(), Plot(), Plot()
        top, plots = QHBoxLayout(), QHBoxLayout()
        top.setContentsMargins(8, 4, 8, 0)
        top.addWidget(self.which)
        top.addWidget(self._note, 1)
        for plot in (self.roc, self.precise, self.reliable):
            plots.addWidget(plot, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addLayout(plots, 1)

    def show_curves(self, found: Evaluation) -> None:
        self._found = found
        self.which.blockSignals(True)
        self.which.clear()
        self.which.addItem(tr("Every class against the rest"))
        self.which.addItems([name[:80].replace("\n", " ") for name in found.classes])
        self.which.blockSignals(False)
        self.redraw()

    def redraw(self) -> None:
        found = self._found
        if found is None or not found.curves:
            return
        at = self.which.currentIndex() - 1
        some = found.curves[:MOST_CURVES] if at < 0 else found.curves[at:at + 1]
        shades = _shades(len(some))
        names = [name[:40].replace("\n", " ") for name in found.classes] if 1 < len(some) <= len(OKABE_ITO) else \
            [""] * len(some)
        left_out = len(found.curves) - len(some) if at < 0 else 0
        notes = [tr("The first {} classes are drawn.").format(MOST_CURVES)] if left_out else []
        if found.calibration is not None and found.calibration.after is not None:
            notes.append(tr("Reliability in orange: logits divided by {:.2f}, which fits validation.").format(
                found.calibration.temperature))
        self._note.setText(" ".join(notes))
        even = Line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), colours().dim, 1, dashed=True)
        area = found.metrics.get("ROC AUC")
        self.roc.show_drawing(Drawing(
            _with(tr("ROC, area"), some[0].area if at >= 0 else area.value if area else _mean(some, "area")),
            tr("false alarms"), tr("found"),
            (even, *(Line(one.false_rate, one.true_rate, shade, name=name)
                     for one, shade, name in zip(some, shades, names, strict=True)))))
        average = found.metrics.get("average precision") or found.metrics.get("mean average precision")
        self.precise.show_drawing(Drawing(
            _with(tr("Precision–recall, average"), some[0].average if at >= 0 or average is None else average.value),
            tr("recall"), tr("precision"),
            tuple(Line(one.recall, one.precision, shade) for one, shade in zip(some, shades, strict=True))))
        self._draw_reliability(found, even)

    def _draw_reliability(self, found: Evaluation, even: Line) -> None:
        self.reliable.setVisible(found.calibration is not None)
        if found.calibration is None:
            return
        before, after = found.calibration.before, found.calibration.after
        title, lines = _with(tr("Reliability, error"), before.error), [even]
        if after is not None:
            title += f" → {after.error:.3f}"
            held = after.count > 0
            lines.append(Line(after.confidence[held], after.accuracy[held], OKABE_ITO[1], 2))
        self.reliable.show_drawing(Drawing(title, tr("how sure"), tr("how often right"), tuple(lines), before.edges,
                                           before.accuracy))


class ListedPage(QWidget):
    """Lists of examples, one at a time; ``chosen`` gives the keys of the lines that are selected."""

    chosen = Signal(list)

    def __init__(self, name: str, choices: list[str] | None = None) -> None:
        super().__init__()
        self._lists: list[tuple[Example, ...]] = []
        self._heads: list[str] = []
        self._wide: Sequence[int] = (0,)
        self._as_line: Callable[[Example], tuple[Value, ...]] = lambda one: (one.key,)
        self.table = ResultsTable(name)
        self.table.rowsChosen.connect(self._tell)
        self.which = QComboBox()
        self.which.addItems(choices or [])
        self.which.setVisible(bool(choices))
        self.which.setAccessibleName(tr("Order"))
        self.which.currentIndexChanged.connect(self._fill)
        self._note = faint_label()
        top = QHBoxLayout()
        top.setContentsMargins(8, 4, 8, 4)
        top.addWidget(self.which)
        top.addWidget(self._note, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)

    def show_lists(self, lists: list[tuple[Example, ...]], heads: list[str],
                   as_line: Callable[[Example], tuple[Value, ...]], wide: Sequence[int], note: str = "") -> None:
        self._lists, self._heads, self._as_line, self._wide = lists, heads, as_line, wide
        self._note.setText(note)
        self._fill()

    def _listed_now(self) -> tuple[Example, ...]:
        return self._lists[max(0, self.which.currentIndex())] if self._lists else ()

    def _fill(self) -> None:
        self.table.show_lines(self._heads, [self._as_line(one) for one in self._listed_now()], self._wide)

    def _tell(self, rows: list[int]) -> None:
        listed = self._listed_now()
        self.chosen.emit([listed[row].key for row in rows])


def _calibration_numbers(found: Evaluation) -> dict[str, Interval]:
    if found.calibration is None:
        return {}
    nan, after = float("nan"), found.calibration.after
    numbers = {"calibration error": Interval(found.calibration.before.error, nan, nan)}
    if after is not None:
        numbers["calibration error, temperature fitted"] = Interval(after.error, nan, nan)
    return numbers


def title_of(run: Run) -> str:
    name = run.name or run.job.name
    return f"{name if len(name) <= 32 else name[:31] + '…'} {run.number}".replace("\n", " ")


def _with(text: str, value: float) -> str:
    return text if math.isnan(value) else f"{text} {value:.3f}"


def _mean(some: Sequence[ClassCurve], name: str) -> float:
    known = [value for one in some if not math.isnan(value := getattr(one, name))]
    return sum(known) / len(known) if known else float("nan")


def _shades(number: int) -> list[str]:
    """Distinct colours of a few curves; many are alike and thin."""
    if number == 1:
        return [""]
    if number <= len(OKABE_ITO):
        return list(OKABE_ITO[:number])
    faint = colours().accent
    return [f"#60{faint[1:]}"] * number


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def faint_label() -> QLabel:
    label = QLabel(wordWrap=True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("faint", True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
    return label
