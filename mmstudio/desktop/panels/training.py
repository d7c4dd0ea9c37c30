"""Training: the project's runs as a table, their curves while they learn, what came of them, and how they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.learning import Evaluated, Learning
from mmstudio.desktop.panels.watching import Watching
from mmstudio.desktop.plots.curves import CurvesView
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.run_jobs import baselines, baselines_on_media, export
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.between_page import BetweenPage
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.query_edit import QueryEdit
from mmstudio.desktop.widgets.results import ResultsView
from mmstudio.desktop.widgets.run_pages import DifferencesPage, RepeatPage
from mmstudio.desktop.widgets.runs_table import RunsTable
from mmstudio.desktop.widgets.sweep_page import SweepPage
from mmstudio.errors import StudioError
from mmstudio.training.baseline_runs import lacking
from mmstudio.training.beside import VECTORS
from mmstudio.training.job import RUN
from mmstudio.training.meaning import validated_otherwise
from mmstudio.training.runs import Run, is_classifier
from mmstudio.training.sweep import KeptSweep

MOST_OVERLAID = 10
HELP = ("Words are looked for in names, notes, tasks, targets, fusions and states. Fields narrow further:\n"
        "is:starred   status:done   task:regression   modality:audio   note:blurry\n"
        "accuracy>0.9   loss<0.5   lr<0.01   duration<60   created:today   sweep:1   is:pruned   -is:starred")
_HIDDEN = "hidden columns of runs"


class TrainingPanel(QWidget):
    """A table of runs beside their curves, results, differences and what repeats them. ``againWanted`` gives the job
    of a run that the person wants to train anew, perhaps changed; ``labelWanted`` a run that shall label items.
    """

    trainWanted = Signal()
    againWanted = Signal(object)
    labelWanted = Signal(object)

    def __init__(self, session: Session, learning: Learning, previews: Previews) -> None:
        super().__init__()
        self._session, self._learning = session, learning
        self.table, self.filter = RunsTable(), QueryEdit(told=HELP)
        self.curves, self.results = CurvesView(), ResultsView(self._name_of)
        self.differences, self.repeat, self.between = DifferencesPage(), RepeatPage(), BetweenPage()
        self.sweep = SweepPage()
        self.tabs = QTabWidget()
        self.told = QLabel(wordWrap=True)
        self._columns = QToolButton()
        self._buttons = {name: QPushButton(title) for name, title in (
            ("train", tr("Train…")), ("pause", tr("Pause")), ("run", tr("Continue")), ("stop", tr("Stop")),
            ("baselines", tr("Baselines")), ("raw", tr("Baselines on media")), ("apply", tr("Tell the library")),
            ("some", tr("Tell the selection")), ("label", tr("Label items…")),
            ("encoder", tr("Read with it")), ("export", tr("Export…")), ("remove", tr("Delete")))}
        self._stack = QStackedWidget()
        self._names: list[str] = []
        self._titles: list[tuple[str, str]] = []
        self._evaluated: list[str] = []
        self._outcome: Evaluated | StudioError | None = None
        self._shown: list[tuple[Path, str, str]] = []
        self._build(previews)
        self._connect()
        self._opened()

    def _build(self, previews: Previews) -> None:
        self.filter.setPlaceholderText(tr("Filter: words, is:starred, accuracy>0.9 …"))
        self.filter.setAccessibleName(tr("Filter of runs"))
        self._columns.setToolTip(tr("Columns"))
        self._columns.setAccessibleName(tr("Columns"))
        self._recolour()
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setProperty("faint", True)
        self._buttons["train"].setProperty("primary", True)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 4, 4, 4)
        column.addLayout(_row(self.filter, self._columns))
        column.addWidget(self.table, 1)
        column.addWidget(self.told)
        for names in (("train", "pause", "run", "stop", "export", "remove"),
                      ("baselines", "raw", "apply", "some", "label", "encoder")):
            column.addLayout(_row(*(self._buttons[name] for name in names), None))
        for page, title in ((self.curves, tr("Curves")), (self.results, tr("Results")),
                            (self.between, tr("Start to best")), (self.differences, tr("Differences")),
                            (self.repeat, tr("Repeat"))):
            self.tabs.addTab(page, title)
        self.watching = Watching(self._session, previews, self.tabs)
        self.tabs.addTab(self.sweep, tr("Sweep"))
        split = QSplitter()
        split.addWidget(left)
        split.addWidget(self.tabs)
        split.setStretchFactor(1, 1)
        split.setSizes([560, 720])
        self._stack.addWidget(EmptyState(
            tr("A run learns from tags, columns or groups of this project: to tell classes apart, to estimate an "
               "amount, to bring modalities together. The vectors are computed already, so it takes seconds."),
            [(tr("Train…"), self.trainWanted.emit)]))
        self._stack.addWidget(split)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _connect(self) -> None:
        learning, table = self._learning, self.table
        learning.runsChanged.connect(self._show_runs)
        learning.grew.connect(self._grew)
        self._session.projectOpened.connect(self._opened)
        table.chosenChanged.connect(self._chosen)
        table.said.connect(self._said)
        table.removeWanted.connect(self._ask_to_remove)
        table.columnsHidden.connect(self._keep_hidden)
        self.filter.textChanged.connect(lambda _: self._filter())
        self.filter.completionsWanted.connect(self._complete)
        self._columns.clicked.connect(lambda: table.column_menu().popup(
            self._columns.mapToGlobal(self._columns.rect().bottomLeft())))
        self.results.chosen.connect(self._session.select)
        self.results.thresholdsChosen.connect(
            lambda fitted: self._with_run(lambda run: learning.choose_thresholds(run, fitted)))
        self.repeat.againWanted.connect(lambda: self._with_run(lambda run: self.againWanted.emit(run.job)))
        self.sweep.chosen.connect(self._choose)
        self.sweep.filterWanted.connect(self.filter.setText)
        self.sweep.wished.connect(learning.wish)
        self.sweep.againWanted.connect(lambda run: self.againWanted.emit(run.job))
        self.sweep.removeWanted.connect(self._ask_to_remove_sweep)
        self.sweep.importanceWanted.connect(lambda kept: learning.importance(
            kept, lambda shares: self.sweep.show_importance(kept, shares)))
        self._buttons["train"].clicked.connect(self.trainWanted)
        for wish in ("pause", "run", "stop"):
            self._buttons[wish].clicked.connect(lambda _=False, wish=wish: self._wish(wish))
        self._buttons["apply"].clicked.connect(lambda: self._with_run(learning.apply))
        self._buttons["some"].setToolTip(tr("What the run tells of the selected items, even while it is paused"))
        self._buttons["some"].clicked.connect(
            lambda: self._with_run(lambda run: learning.apply(run, self._session.selection)))
        self._buttons["label"].setToolTip(tr("Tell every item its class with how sure the run is, beside what is true"))
        self._buttons["label"].clicked.connect(lambda: self._with_run(self.labelWanted.emit))
        self._buttons["encoder"].setToolTip(tr("Encode the project with what this run learned; the map moves there"))
        self._buttons["encoder"].clicked.connect(
            lambda: self._with_run(lambda run: self._session.choose_model(f"{RUN}{run.folder.name}")))
        self.between.shareChosen.connect(
            lambda share: self._with_run(lambda run: learning.choose_share(run, share)))
        self._session.selectionChanged.connect(self._show_some)
        self._buttons["baselines"].setToolTip(
            tr("Fit simple models on the same vectors and parts; each becomes a line of this table"))
        self._buttons["baselines"].clicked.connect(lambda: self._with_run(
            lambda run: self._fit("baselines", baselines, run)))
        self._buttons["raw"].setToolTip(tr("How far words, colours and edges, or mel bands come without any encoder"))
        self._buttons["raw"].clicked.connect(lambda: self._with_run(
            lambda run: self._fit("raw", baselines_on_media, run)))
        self._buttons["export"].setToolTip(tr("Write weights, a model card and ONNX into a new folder for others"))
        self._buttons["export"].clicked.connect(lambda: self._with_run(self._ask_where_to_export))
        self._buttons["remove"].clicked.connect(self._ask_to_remove)
        THEME.changed.connect(self._recolour)

    def _recolour(self) -> None:
        self._columns.setIcon(icon("more"))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._learning.look()

    # ---- the table ----------------------------------------------------------------------------------------------

    def _opened(self) -> None:
        """Another project: nothing of the one before is shown."""
        project = self._session.project
        self._names, self._titles, self._evaluated, self._outcome, self._shown = [], [], [], None, []
        self.table.hide_columns(project.own.get(_HIDDEN, []) if project else [])
        self.curves.show_runs([])
        self._show_runs()

    def _keep_hidden(self, names: list[str]) -> None:
        project = self._session.project
        if project is not None:
            self._session.models.ask(lambda: project.own.set(_HIDDEN, names), on_failed=self._session.failed.emit)

    def _show_runs(self) -> None:
        """The runs as they are now; one that is new is chosen."""
        runs = self._learning.runs
        self._stack.setCurrentIndex(1 if runs or self._learning.sweeps else 0)
        self.tabs.setTabVisible(self.tabs.indexOf(self.sweep), bool(self._learning.sweeps))
        self.sweep.show_sweeps(self._learning.sweeps, runs)
        names = [run.folder.name for run in runs]
        fresh = [run.folder.name for run in runs if run.folder.name not in self._names
                 and not (run.trial and run.trial.number)  # of a sweep only the first one calls
                 and run.beside is None]  # what stands beside a run leaves it chosen
        self._names = names
        self.table.show_runs(runs, self._learning.starting)
        self._filter()
        if fresh:
            self.table.choose(fresh[:1])
        self._draw_curves()
        self._show_chosen()

    def _filter(self) -> None:
        """Show the runs that pass; where what is typed cannot be, those that were shown stay."""
        text, passing = self.filter.text(), None
        if text.strip():
            from mmstudio.library.query import parse
            from mmstudio.library.query_match import matches
            from mmstudio.training.overview import RunColumns

            runs = self._learning.runs
            try:
                mask = matches(parse(text), RunColumns(runs))
            except StudioError as error:
                self.filter.show_error(str(error))
                return
            passing = frozenset(run.folder.name for run, passes in zip(runs, mask, strict=True) if passes)
        self.filter.show_error("")
        self.table.pass_only(passing)

    def _complete(self, text: str, cursor: int) -> None:
        from mmstudio.library.query_match import complete
        from mmstudio.training.overview import RunColumns

        self.filter.show_completions(complete(text, cursor, RunColumns(self._learning.runs)))

    def _said(self, name: str, said: dict[str, str | bool]) -> None:
        run = self._learning.run(name)
        if run is not None:
            self._learning.say(run, **said)

    def _chosen(self) -> None:
        """Others are chosen than before."""
        self._draw_curves()
        self._learning.follow([name for name, _ in self._titles])
        self._show_chosen()

    def _choose(self, names: list[str]) -> None:
        """Choose runs, also some that the filter hides."""
        self.table.choose(names)
        if len(self.table.chosen()) < len(names):
            self.filter.clear()
            self.table.choose(names)

    def _draw_curves(self) -> None:
        titles = [(run.folder.name, f"{run.number} · {run.name}") for run in self.table.chosen()[:MOST_OVERLAID]]
        if titles != self._titles:
            self._titles = titles
            self.curves.show_runs(titles)

    def _grew(self, name: str, lines: list[dict[str, object]], anew: bool) -> None:
        """The curves grow in a turn of their own: in this one the table did already."""
        QTimer.singleShot(0, self, lambda: self._draw_more(name, lines, anew))

    def _draw_more(self, name: str, lines: list[dict[str, object]], anew: bool) -> None:
        if anew:
            self.curves.clear(name)
        self.curves.add(name, lines)

    # ---- what is chosen -----------------------------------------------------------------------------------------

    def _show_chosen(self) -> None:
        """Pages and buttons as the chosen runs are now; the topmost is what they are about."""
        chosen = self.table.chosen()[:MOST_OVERLAID]
        self._evaluate([run for run in chosen if run.state.status == "done"])
        self._show_results(chosen)
        self.tabs.setTabVisible(self.tabs.indexOf(self.differences), len(chosen) > 1)
        is_between = bool(chosen) and chosen[0].state.status == "done" and chosen[0].beside is None
        self.tabs.setTabVisible(self.tabs.indexOf(self.between), is_between)
        if is_between:
            self.between.show_run(chosen[0])
        self.sweep.show_chosen(self.table.chosen())
        self.repeat.show_run(chosen[0] if chosen else None)
        self.watching.show_run(chosen[0] if chosen else None)
        self._enable(chosen[0] if chosen else None)

    def _enable(self, run: Run | None) -> None:
        status = run.state.status if run and not self._learning.is_starting(run) else ""
        self._buttons["pause"].setVisible(status == "running")
        self._buttons["run"].setVisible(status in ("paused", "stopped", "interrupted", "failed"))
        self._buttons["stop"].setVisible(status in ("running", "paused"))
        useful = (run is not None and run.beside is None and run.state.best is not None
                  and run.job.task != "alignment")
        self._buttons["apply"].setVisible(useful)
        self._show_some()
        self._buttons["label"].setVisible(run is not None and is_classifier(run))
        self._buttons["encoder"].setVisible(run is not None and run.job.makes_vectors and run.state.best_epoch >= 0)
        on_vectors, on_media = lacking(run, self._learning.runs) if run is not None else (False, False)
        self._buttons["baselines"].setVisible(on_vectors)
        self._buttons["raw"].setVisible(on_media)
        self._buttons["export"].setVisible(run is not None and status == "done" and bool(run.results)
                                           and run.beside is None)
        self._buttons["remove"].setVisible(run is not None and not self._trains(run))
        self.told.setText("" if run is None else run.state.error or _told(run))

    def _show_some(self) -> None:
        self._buttons["some"].setVisible(not self._buttons["apply"].isHidden() and bool(self._session.selection))

    def _evaluate(self, done: list[Run]) -> None:
        """Ask once for the figures of finished runs, and show them when they come."""
        names = [run.folder.name for run in done]
        if names == self._evaluated:
            return
        self._evaluated, self._outcome = names, None

        def told(found: Evaluated | StudioError) -> None:
            if self._evaluated == names:
                self._outcome = found
                self._show_results(self.table.chosen()[:MOST_OVERLAID])

        if done:
            self._learning.evaluate(done, told)

    def _show_results(self, chosen: list[Run]) -> None:
        """What came of the topmost run, with the next finished one beside it, and how all that are chosen differ."""
        outcome = self._outcome
        found = dict(zip(self._evaluated, outcome.found, strict=True)) if isinstance(outcome, Evaluated) else {}
        self.differences.show_runs(chosen, found)
        pair = [(run, found[run.folder.name]) for run in chosen if run.folder.name in found][:2]
        shown = [(run.folder, run.name, repr(run.deciding)) for run, _ in pair
                 ] if pair and pair[0][0] is chosen[0] else []
        if shown and shown == self._shown:
            return
        self._shown = shown
        if not shown:
            failed = isinstance(outcome, StudioError) and chosen and chosen[0].state.status == "done"
            self.results.say(str(outcome)) if failed else self.results.show_run(chosen[0] if chosen else None, None)
        elif len(pair) == 1 or not isinstance(outcome, Evaluated):
            self.results.show_run(*pair[0])
        else:
            self.results.compare(*pair[0], *pair[1], outcome.compared)

    def _name_of(self, key: int) -> str:
        if key < 0:
            sample = self._session.samples.get(-key)
            return sample.name if sample else ""
        item = self._session.items.get(key)
        return item.title if item else ""

    def _with_run(self, act: Callable[[Run], None]) -> None:
        chosen = self.table.chosen()
        if chosen:
            act(chosen[0])

    def _fit(self, button: str, fit: Callable[[Session, Run, Callable[[], None]], None], run: Run) -> None:
        self._buttons[button].setEnabled(False)

        def ended() -> None:
            self._buttons[button].setEnabled(True)
            self._learning.look()

        fit(self._session, run, ended)

    def _ask_where_to_export(self, run: Run) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Export “{}” into a new folder in …").format(run.name))
        if chosen:
            export(self._session, run, Path(chosen))

    def _ask_to_remove(self) -> None:
        chosen = self.table.chosen()
        if any(map(self._trains, chosen)):
            self._session.noted.emit(tr("A run that is being trained cannot be deleted. Stop it first."))
            return
        question = tr("“{}” and what it learned are deleted. This cannot be undone.").format(chosen[0].name) \
            if len(chosen) == 1 else tr("{} runs and what they learned are deleted. This cannot be undone.").format(
                count(len(chosen)))
        self._ask_to_delete(question, chosen)

    def _ask_to_remove_sweep(self, sweep: KeptSweep, trials: list[Run]) -> None:
        question = tr("The sweep “{}”, its {} runs and what they learned are deleted. This cannot be undone.")
        self._ask_to_delete(question.format(sweep.sweep.name, count(len(trials))), [*trials, sweep])

    def _ask_to_delete(self, question: str, some: Sequence[Run | KeptSweep]) -> None:
        box = QMessageBox(QMessageBox.Icon.Question, tr("Delete"), question, parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        yes = box.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole)
        yes.clicked.connect(lambda: self._learning.remove(some))
        box.open()

    def _trains(self, run: Run) -> bool:
        return run.state.status in ("running", "paused") or self._learning.is_starting(run)

    def _wish(self, wanted: str) -> None:
        for run in self.table.chosen():
            self._learning.wish(run, wanted)


def _row(*widgets: QWidget | None) -> QHBoxLayout:
    """Side by side; None takes what is left."""
    row = QHBoxLayout()
    for widget in widgets:
        row.addStretch(1) if widget is None else row.addWidget(widget)
    return row


def _told(run: Run) -> str:
    job, beside = run.job, run.beside
    if beside is not None:
        on = tr("the vectors") if beside.source == VECTORS else tr("the {} themselves").format(
            " + ".join(modality_name(one).lower() for one in beside.source.split(" + ")))
        return " ".join(filter(None, [
            tr("A baseline beside run {}: {} on {}, with the same examples and parts.").format(
                int(beside.run), beside.model, on),
            beside.note, tr("It has no weights: it is not continued, exported, or read with.")]))
    classes = tr("{} classes").format(count(len(job.classes))) if job.classes else tr(job.task)
    told = tr("{} · {} · {} · rate {:g} · batch {} · seed {}").format(
        " + ".join(name.rsplit("/", 1)[-1] for name in job.model_names), classes, " + ".join(job.modalities), job.lr,
        count(job.batch), job.seed)
    lines = [told, run.provenance.left_out, tr(validated_otherwise(job))]
    if run.trial is not None and run.trial.pruned:
        lines.insert(0, tr("Pruned: {}").format(run.trial.pruned))
    return "\n".join(filter(None, lines))
