"""What came of a finished run: numbers with their intervals, classes, confusion, curves, label errors and examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import THEME, colours
from mmstudio.desktop.widgets.confusion import Cell
from mmstudio.desktop.widgets.failed_batch import FailedBatch
from mmstudio.desktop.widgets.modalities_page import ModalitiesPage
from mmstudio.desktop.widgets.result_pages import (
    ConfusionPage,
    CurvesPage,
    ListedPage,
    SummaryPage,
    faint_label,
    title_of,
)
from mmstudio.desktop.widgets.result_plots import Drawing, Line, Plot
from mmstudio.desktop.widgets.result_table import ResultsTable, Value
from mmstudio.desktop.widgets.short_label import ShortLabel
from mmstudio.training.evaluation import Comparison, Evaluation, Example
from mmstudio.training.runs import Run


class ResultsView(QWidget):
    """The page of one run, or of two side by side. It only draws: evaluations are made elsewhere.

    ``chosen`` gives keys of examples (items, or samples negated) whenever a cell, class or example is chosen.
    ``thresholdsChosen`` says whether the run shall decide at its fitted thresholds. ``name_of`` names a key from
    memory.
    """

    chosen = Signal(list)
    thresholdsChosen = Signal(bool)

    def __init__(self, name_of: Callable[[int], str] | None = None) -> None:
        super().__init__()
        self._name_of = name_of or _number_of
        self.evaluation: Evaluation | None = None
        self._said = faint_label()
        self._said.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._said.setMargin(24)
        self.tabs = QTabWidget(documentMode=True)
        self._of = ShortLabel()
        self._of.setProperty("faint", True)
        self._of.setMargin(6)
        self.tabs.setCornerWidget(self._of)
        self.tabs.tabBar().setDrawBase(False)
        self.summary, self.confusion_page, self.curves = SummaryPage(), ConfusionPage(), CurvesPage()
        self.modalities = ModalitiesPage()
        self.classes = ResultsTable(tr("Classes"))
        self.scatter = Plot()
        self.errors = ListedPage(tr("Likely label errors"))
        self.examples = ListedPage(tr("Examples"), [tr("Worst first"), tr("Best first")])
        self.confusion = self.confusion_page.matrix
        self._pages: list[tuple[QWidget, str]] = [
            (self.summary, tr("Summary")), (self.modalities, tr("Modalities")), (self.classes, tr("Classes")),
            (self.confusion_page, tr("Confusion")), (self.curves, tr("Curves")),
            (self.scatter, tr("Told against true")), (self.errors, tr("Label errors")), (self.examples, tr("Examples"))]
        for page, title in self._pages:
            self.tabs.addTab(page, title)
        self._stack = QStackedWidget()
        self.failed = FailedBatch(self._name_of)
        without = QWidget()
        column = QVBoxLayout(without)
        column.addWidget(self._said, 1)
        column.addWidget(self.failed, 2)
        self._stack.addWidget(without)
        self._stack.addWidget(self.tabs)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        self.classes.rowsChosen.connect(self._choose_classes)
        self.confusion.cellsChosen.connect(self._choose_cells)
        self.scatter.pointChosen.connect(self._choose_point)
        self.summary.thresholdsChosen.connect(self.thresholdsChosen)
        for page in (self.errors, self.examples, self.failed):
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
        self.failed.show_keys(())
        self._said.setText(sentence)
        self._stack.setCurrentIndex(0)

    def show_run(self, run: Run | None, found: Evaluation | None) -> None:
        """One run's results; without an evaluation, a sentence on why there are none."""
        if run is None or found is None:
            self.say(_why_nothing(run))
            self.failed.show_keys(run.state.failed_keys if run is not None and run.state.status == "failed" else ())
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
        self._of.setText(f"{title_of(run)} · {_part(found.part)} · " + tr("{} examples").format(count(len(found.keys))))
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
        shown = self.modalities.show_runs(found.task, {title_of(run): run for run in some})
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
    text = sentences.get(run.state.status, tr("{} has no results.")).format(title_of(run))
    return f"{text}\n{run.state.error}" if run.state.status == "failed" and run.state.error else text


def _verdict(run: Run, other: Run, found: Comparison) -> str:
    """Two runs on what both have held out, as sentences."""
    mine, theirs, gap = title_of(run), title_of(other), found.difference
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


def _part(name: str) -> str:
    return {"test": tr("test part"), "validation": tr("validation part"), "train": tr("train part")}[name]


def _number_of(key: int) -> str:
    return tr("Sample {}").format(-key) if key < 0 else tr("Item {}").format(key)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−") if abs(value) < 1000 else f"{value:+.6g}".replace("-", "−")
