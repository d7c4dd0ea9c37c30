"""What came of a finished run: numbers with their intervals, classes, confusion, curves, label errors and examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import OKABE_ITO, THEME, colours, restyle
from mmstudio.desktop.widgets.confusion import Cell, ConfusionMatrix, ConfusionScale
from mmstudio.desktop.widgets.modalities_page import ModalitiesPage
from mmstudio.desktop.widgets.result_plots import Drawing, Line, Plot
from mmstudio.desktop.widgets.result_table import ResultsTable, Value, bounds
from mmstudio.desktop.widgets.short_label import ShortLabel
from mmstudio.training.compared import Interval
from mmstudio.training.evaluation import ClassCurve, Comparison, Evaluation, Example
from mmstudio.training.runs import Run

MOST_CURVES = 40
"""Curves of all classes that are drawn at once."""


class ResultsView(QWidget):
    """The page of one run, or of two side by side. It only draws: evaluations are made elsewhere.

    ``chosen`` gives keys of examples (items, or samples negated) whenever a cell, class or example is chosen.
    ``name_of`` names a key from memory.
    """

    chosen = Signal(list)

    def __init__(self, name_of: Callable[[int], str] | None = None) -> None:
        super().__init__()
        self._name_of = name_of or _number_of
        self.evaluation: Evaluation | None = None
        self._said = _label()
        self._said.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._said.setMargin(24)
        self.tabs = QTabWidget(documentMode=True)
        self._of = ShortLabel()
        self._of.setProperty("faint", True)
        self._of.setMargin(6)
        self.tabs.setCornerWidget(self._of)
        self.tabs.tabBar().setDrawBase(False)
        self.summary, self.confusion_page, self.curves = _Summary(), _Confusion(), _Curves()
        self.modalities = ModalitiesPage()
        self.classes = ResultsTable(tr("Classes"))
        self.scatter = Plot()
        self.errors = _Listed(tr("Likely label errors"))
        self.examples = _Listed(tr("Examples"), [tr("Worst first"), tr("Best first")])
        self.confusion = self.confusion_page.matrix
        self._pages: list[tuple[QWidget, str]] = [
            (self.summary, tr("Summary")), (self.modalities, tr("Modalities")), (self.classes, tr("Classes")),
            (self.confusion_page, tr("Confusion")), (self.curves, tr("Curves")),
            (self.scatter, tr("Told against true")), (self.errors, tr("Label errors")), (self.examples, tr("Examples"))]
        for page, title in self._pages:
            self.tabs.addTab(page, title)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._said)
        self._stack.addWidget(self.tabs)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        self.classes.rowsChosen.connect(self._choose_classes)
        self.confusion.cellsChosen.connect(self._choose_cells)
        self.scatter.pointChosen.connect(self._choose_point)
        for page in (self.errors, self.examples):
            page.chosen.connect(self.chosen)
        THEME.changed.connect(self._recolour)
        self.show_run(None, None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        """What the results are of is told beside the tabs, as far as these leave room."""
        self._of.setMaximumWidth(max(0, self.width() - self.tabs.tabBar().sizeHint().width()))

    # ---- what is shown ------------------------------------------------------------------------------------------

    def say(self, sentence: str) -> None:
        """A sentence in place of results, as it is."""
        self.evaluation = None
        self._said.setText(sentence)
        self._stack.setCurrentIndex(0)

    def show_run(self, run: Run | None, found: Evaluation | None) -> None:
        """One run's results; without an evaluation, a sentence on why there are none."""
        if run is None or found is None:
            self.say(_why_nothing(run))
            return
        self._show(run, found)
        self._show_modalities(found, run)
        self.summary.show_run(run, found)

    def compare(self, run: Run, found: Evaluation, other_run: Run, other: Evaluation,
                compared: Comparison | str) -> None:
        """One run's results with another's beside them; ``compared`` may be a sentence on why they cannot be."""
        self._show(run, found)
        self._show_modalities(found, run, *([other_run] if other.task == found.task else []))
        self.summary.show_run(run, found, (other_run, other))
        self.summary.say(compared if isinstance(compared, str) else _verdict(run, other_run, compared))

    def _show(self, run: Run, found: Evaluation) -> None:
        self.evaluation = found
        self._of.setText(f"{_title(run)} · {_part(found.part)} · " + tr("{} examples").format(count(len(found.keys))))
        per_class = found.per_class is not None
        for page, shown in ((self.classes, per_class), (self.confusion_page, found.table is not None),
                            (self.curves, bool(found.curves)), (self.scatter, found.task == "regression"),
                            (self.errors, per_class and found.part != "train"), (self.examples, True)):
            self.tabs.setTabVisible(self.tabs.indexOf(page), shown)
        self.tabs.setTabText(self.tabs.indexOf(self.errors), tr("Label errors ({})").format(len(found.errors)))
        self._make_room()
        self._show_classes(found)
        if found.table is not None:
            self.confusion_page.show_table(found)
        self.curves.show_curves(found)
        self._show_scatter()
        self._show_examples(found)
        self._stack.setCurrentIndex(1)

    def _show_modalities(self, found: Evaluation, *some: Run) -> None:
        shown = self.modalities.show_runs(found.task, {_title(run): run for run in some})
        self.tabs.setTabVisible(self.tabs.indexOf(self.modalities), shown)

    def _show_classes(self, found: Evaluation) -> None:
        each = found.per_class
        lines: list[tuple[Value, ...]] = [] if each is None else [
            (name, int(each.support[c]), float(each.precision[c]), float(each.recall[c]), float(each.f1[c]),
             found.curves[c].area, found.curves[c].average) for c, name in enumerate(found.classes)]
        self.classes.show_lines([tr("Class"), tr("Examples"), tr("Precision"), tr("Recall"), tr("F1"), tr("ROC AUC"),
                                 tr("Average precision")], lines)

    def _show_scatter(self) -> None:
        found = self.evaluation
        if found is None or found.task != "regression":
            return
        both = np.concatenate([found.given, found.said])
        low, high = float(both.min()), float(both.max())
        edge = (high - low) * 0.04 or 1.0
        span = (low - edge, high + edge)
        same = Line(np.array(span), np.array(span), colours().dim, 1, dashed=True)
        self.scatter.show_drawing(Drawing(tr("Each example; click one to select it"), tr("true"), tr("told"), (same,),
                                          xs=found.given, ys=found.said, span=span))

    def _show_examples(self, found: Evaluation) -> None:
        heads, wide = _example_heads(found.task)
        self.examples.show_lists([found.worst, found.best], heads, lambda one: _line(one, found.task, self._name_of),
                                 wide)
        note = tr("Likely wrong labels of validation and test, the surest first (confident learning). "
                  "Select them to look at them.")
        if not found.errors:
            note = tr("No label looks wrong.")
        heads = [tr("Item"), tr("Given label"), tr("Told label"), tr("How sure"), tr("Loss")]
        self.errors.show_lists([found.errors], heads, lambda one: _line(one, "classification", self._name_of),
                               (0, 1, 2), note)

    def _recolour(self) -> None:
        if self.evaluation is not None:
            self.curves.redraw()
            self._show_scatter()

    # ---- choosing -----------------------------------------------------------------------------------------------

    def _choose_classes(self, rows: list[int]) -> None:
        if self.evaluation is not None:
            self.chosen.emit(self.evaluation.of_classes(rows))

    def _choose_cells(self, cells: list[Cell]) -> None:
        if self.evaluation is not None:
            self.chosen.emit(self.evaluation.cells(cells))

    def _choose_point(self, point: int) -> None:
        if self.evaluation is not None:
            self.chosen.emit([int(self.evaluation.keys[point])])


class _Summary(QWidget):
    """Single numbers with their intervals."""

    def __init__(self) -> None:
        super().__init__()
        self._verdict = _label()
        self._verdict.setMargin(6)
        self.numbers = ResultsTable(tr("Metrics"), sortable=False)
        self.numbers.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.numbers.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._verdict)
        layout.addWidget(self.numbers, 1)

    def say(self, sentence: str) -> None:
        self._verdict.setText(sentence)
        self._verdict.setVisible(bool(sentence))

    def show_run(self, run: Run, found: Evaluation, beside: tuple[Run, Evaluation] | None = None) -> None:
        self.say(tr("No example was kept apart: these are of what the run has learned from, and say little.")
                 if found.part == "train" else "")
        if found.task == "alignment":
            self._show_directions(found)
        else:
            self._show_numbers(run, found, beside)

    def _show_numbers(self, run: Run, found: Evaluation, beside: tuple[Run, Evaluation] | None) -> None:
        numbers = dict(found.metrics)
        numbers.update(_calibration_numbers(found))
        heads = [tr("Metric"), tr("Value") if beside is None else _title(run), tr("95 % interval")]
        lines: list[tuple[Value, ...]] = [(_capital(tr(name)), one.value, bounds(one))
                                          for name, one in numbers.items()]
        if beside is not None:
            others = {**beside[1].metrics, **_calibration_numbers(beside[1])}
            nothing = Interval(float("nan"), float("nan"), float("nan"))
            heads += [_title(beside[0]), tr("95 % interval")]
            lines = [(*line, (other := others.get(name, nothing)).value, bounds(other))
                     for line, name in zip(lines, numbers, strict=True)]
        self.numbers.show_lines(heads, lines)

    def _show_directions(self, found: Evaluation) -> None:
        heads = [tr("Finds"), tr("Recall at 1"), tr("95 % interval"), tr("Recall at 5"), tr("Recall at 10"),
                 tr("Mean reciprocal rank"), tr("Median rank"), tr("Recall at 1 by chance")]
        self.numbers.show_lines(heads, [
            (name, one.recall[1], bounds(found.metrics[f"{name}, recall at 1"]), one.recall[5], one.recall[10],
             one.mrr, one.median_rank, one.chance_recall[1]) for name, one in found.directions.items()])


class _Confusion(QWidget):
    """The matrix, and what the cell that is pointed at says."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = ConfusionMatrix()
        self._cell, hint = _label(), _label()
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


class _Curves(QWidget):
    """ROC, precision against recall, and whether a probability means what it says."""

    def __init__(self) -> None:
        super().__init__()
        self._found: Evaluation | None = None
        self.which = QComboBox()
        self.which.setAccessibleName(tr("Class"))
        self.which.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.which.setMinimumContentsLength(24)
        self.which.currentIndexChanged.connect(self.redraw)
        self._note = _label()
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


class _Listed(QWidget):
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
        self._note = _label()
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


# ---- words ----------------------------------------------------------------------------------------------------------


def _why_nothing(run: Run | None) -> str:
    """Why a run has no results."""
    if run is None:
        return tr("Choose a finished run to see how good it is: its numbers, where it errs, and which labels are "
                  "likely wrong.")
    sentences = {
        "waiting": tr("{} has not begun. Its results appear here once it is done."),
        "running": tr("{} is being trained. Its results appear here once it is done."),
        "paused": tr("{} is paused. Its results appear here once it is done."),
        "stopped": tr("{} was stopped before its end. Continue it to see its results."),
        "interrupted": tr("{} was interrupted. Continue it to see its results."),
        "failed": tr("{} failed, so there are no results."),
        "done": tr("The results of {} are being worked out…"),
    }
    text = sentences.get(run.state.status, tr("{} has no results.")).format(_title(run))
    return f"{text}\n{run.state.error}" if run.state.status == "failed" and run.state.error else text


def _verdict(run: Run, other: Run, found: Comparison) -> str:
    """Two runs on what both have held out, as sentences."""
    mine, theirs, gap = _title(run), _title(other), found.difference
    text = tr("On {} examples that both have held out, the {} of {} less that of {} is {} (95 %: {} to {}).").format(
        count(found.n), tr(found.measure), mine, theirs, *(_signed(one) for one in (gap.value, gap.low, gap.high)))
    if found.test is not None:
        differs = tr("more than chance") if found.test.p < 0.05 else tr("no more than chance may do")
        text += " " + tr("Only {} is right on {}, only {} on {}: {} (McNemar, p = {}).").format(
            mine, count(found.test.only_first), theirs, count(found.test.only_second), differs,
            f"{found.test.p:.2g}")
    if found.left_out:
        text += " " + tr("{} whose label has changed are left out.").format(count(found.left_out))
    return text


def _calibration_numbers(found: Evaluation) -> dict[str, Interval]:
    if found.calibration is None:
        return {}
    nan, after = float("nan"), found.calibration.after
    numbers = {"calibration error": Interval(found.calibration.before.error, nan, nan)}
    if after is not None:
        numbers["calibration error, temperature fitted"] = Interval(after.error, nan, nan)
    return numbers


def _example_heads(task: str) -> tuple[list[str], tuple[int, ...]]:
    """Headings of a list of examples, and which columns are wide."""
    if task == "regression":
        return [tr("Item"), tr("True"), tr("Told"), tr("Absolute error")], (0,)
    if task == "alignment":
        return [tr("Item"), tr("Mean rank of its partners")], (0,)
    if task == "captioning":
        return [tr("Item"), tr("Wanted"), tr("Told"), tr("Loss")], (0, 1, 2)
    heads = [tr("Item"), tr("True"), tr("Told"), tr("How sure"), tr("Loss")]
    return (heads if task == "classification" else heads[:3] + heads[4:]), (0, 1, 2)


def _line(one: Example, task: str, name_of: Callable[[int], str]) -> tuple[Value, ...]:
    name = name_of(one.key)[:200].replace("\n", " ")
    if task == "alignment":
        return name, one.loss
    if task == "regression":
        return name, float(one.given), float(one.told), one.loss
    if task in ("multi-label", "captioning"):
        return name, one.given, one.told, one.loss
    return name, one.given, one.told, one.sure, one.loss


def _title(run: Run) -> str:
    name = run.name or run.job.name
    return f"{name if len(name) <= 32 else name[:31] + '…'} {run.number}".replace("\n", " ")


def _part(name: str) -> str:
    return {"test": tr("test part"), "validation": tr("validation part"), "train": tr("train part")}[name]


def _number_of(key: int) -> str:
    return tr("Sample {}").format(-key) if key < 0 else tr("Item {}").format(key)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−") if abs(value) < 1000 else f"{value:+.6g}".replace("-", "−")


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


def _label() -> QLabel:
    label = QLabel(wordWrap=True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("faint", True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
    return label
