"""Labels: class names are typed, and every picture and sound is told the nearest, or a run that was trained tells all
that it reads.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.compare.told import TAGS, Given, Labels, Told, columns_of, given_by, true_of, values_of
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.confusion import ConfusionMatrix
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.errors import StudioError
from mmstudio.explore.zero_shot import TEMPERATURE, fitted_temperature, prompts
from mmstudio.progress import Work
from mmstudio.training.runs import Run, is_classifier


class LabelsPage(QWidget):
    """What to tell, left; what was told, right."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._values = session, dict[str, list[str]]()
        self._behind, self._names, self._warming = Behind(session, self._failed), Behind(session), Behind(session)
        self._look, self._runs = Behind(session), dict[str, Run]()
        self.by = QComboBox()
        self.by.addItem(tr("Their names, without training"), "")
        self.classes, self.sentence = QPlainTextEdit(), QLineEdit("{}")
        self.temperature = QDoubleSpinBox(minimum=0.001, maximum=2, singleStep=0.01, decimals=3, value=TEMPERATURE)
        self.truth = QComboBox()
        self.take, self.tell = QPushButton(tr("Use its values as classes")), QPushButton(tr("Tell"))
        self.fit, self.write = QPushButton(tr("Fit")), QPushButton(tr("Write as a column…"))
        self.told, self.pointed = QLabel(wordWrap=True), QLabel()
        self.model = Told(session)
        self.table, self.matrix, self.compared = QTableView(), ConfusionMatrix(), QWidget()
        self._stack = QStackedWidget()
        self._build()
        self._connect()
        self._ask_names()
        self._forget()

    def _build(self) -> None:
        self.classes.setPlaceholderText(tr("A class on each line:\ncat\ndog\nguitar"))
        self.classes.setAccessibleName(tr("Classes"))
        self.sentence.setToolTip(tr("The model reads this sentence with each class in the place of {}"))
        self.temperature.setToolTip(tr("Cosines are divided by it before they become probabilities: the lower, the "
                                       "surer. It changes no label"))
        self.fit.setToolTip(tr("The temperature at which what is true is the most probable"))
        self.tell.setProperty("primary", True)
        form = QFormLayout()
        warmth = QHBoxLayout()
        warmth.addWidget(self.temperature, 1)
        warmth.addWidget(self.fit)
        self.by.setToolTip(tr("A finished run that tells classes apart can label items, too"))
        for name, field in ((tr("Told by"), self.by), (tr("Sentence"), self.sentence), (tr("Temperature"), warmth),
                            (tr("True are"), self.truth), ("", self.take)):
            form.addRow(name, field)  # type: ignore[arg-type]
        left = QVBoxLayout()
        left.addWidget(self.classes, 1)
        left.addLayout(form)
        buttons = QHBoxLayout()
        buttons.addWidget(self.tell)
        buttons.addWidget(self.write)
        left.addLayout(buttons)
        self.table.setModel(self.model)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2, 3):
            self.table.setColumnWidth(column, 110)
        shown = QWidget()
        sides = QHBoxLayout(shown)
        sides.setContentsMargins(0, 0, 0, 0)
        sides.addWidget(self.table, 1)
        beside = QVBoxLayout(self.compared)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.matrix, 1)
        beside.addWidget(self.pointed)
        sides.addWidget(self.compared, 1)
        self._stack.addWidget(EmptyState(tr("Name some classes, and every picture and sound is told the one that it is "
                                            "nearest to - without any training.")))
        self._stack.addWidget(shown)
        for label in (self.told, self.pointed):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setProperty("faint", True)
        right = QVBoxLayout()
        right.addWidget(self.told)
        right.addWidget(self._stack, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left, 2)
        layout.addLayout(right, 5)

    def _connect(self) -> None:
        self.take.clicked.connect(self._take_values)
        self.tell.clicked.connect(self.predict)
        self.by.currentIndexChanged.connect(lambda _: self._chosen_by())
        self.fit.clicked.connect(self._fit)
        self.write.clicked.connect(self._ask_column)
        self.temperature.valueChanged.connect(lambda _: self._warm(self.model.labels))
        self.matrix.cellsChosen.connect(self._choose)
        self.matrix.pointed.connect(self.pointed.setText)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._choose_rows())
        for signal in (self._session.projectOpened, self._session.itemsChanged, self._session.itemsAdded):
            signal.connect(self._ask_names)
        for signal in (self._session.projectOpened, self._session.encoderChanged):
            signal.connect(self._forget)
        self._session.projectOpened.connect(self._ask_runs)

    # ---- who tells ---------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ask_runs()

    def _ask_runs(self) -> None:
        """Those of another project are none here."""
        project = self._session.project
        known = [run for run in self._runs.values()
                 if project is not None and run.folder.is_relative_to(project.folder)]
        if len(known) < len(self._runs):
            self._show_runs(known)
        if project is not None and self.isVisible():
            self._look.ask(lambda: [run for run in project.look_at_runs() if is_classifier(run)], self._show_runs)

    def _show_runs(self, runs: list[Run]) -> None:
        before, self._runs = self.by.currentData(), {run.folder.name: run for run in runs}
        self.by.blockSignals(True)
        while self.by.count() > 1:
            self.by.removeItem(1)
        for name, run in self._runs.items():
            self.by.addItem(tr("Run {}: {}").format(run.number, run.name or run.job.name), name)
        self.by.setCurrentIndex(max(0, self.by.findData(before)))
        self.by.blockSignals(False)
        if self.by.currentData() != before:
            self._chosen_by()

    def choose_run(self, run: Run) -> None:
        """Let this run tell, at once."""
        self._show_runs([run, *(one for one in self._runs.values() if one.folder != run.folder)])
        self.by.setCurrentIndex(self.by.findData(run.folder.name))
        self.predict()

    def _chosen_by(self) -> None:
        """A run has its own classes, and a temperature that validation fitted."""
        run = self._runs.get(self.by.currentData())
        self._forget()
        for field in (self.sentence, self.temperature):
            field.setEnabled(run is None)
        self.classes.setReadOnly(run is not None)
        self.take.setEnabled(run is None)
        if run is not None:
            self.classes.setPlainText("\n".join(run.job.classes))
            self.truth.setCurrentIndex(max(0, self.truth.findData(_target(run))))

    def _predict_by(self, run: Run) -> None:
        """All that a run reads, as a job that can be stopped."""
        session, number = self._session, self._behind.forget()
        project, encoder = session.project, session.encoder
        if project is None or encoder is None:
            self.told.setText(tr("No model is ready yet."))
            return
        items, names = session.items.copy(), run.job.classes
        truth = self.truth.currentData() or _target(run)  # what it learned is known

        def work() -> Work[Labels]:
            yield from project.encode_for(run.job, encoder, session.pool.executor)
            ids, shares, decided = yield from project.class_shares(run.folder, encoder)
            empty = np.zeros((0, 0), np.float32)
            return Labels(names, ids, empty, empty, true_of(items, ids, truth, names), shares, decided)

        def done(labels: Labels) -> None:
            session.jobs.forget(job)
            if self._behind.holds(number):
                self._warm(labels)

        def failed(error: StudioError) -> None:
            if self._behind.holds(number):
                self._failed(error)

        self.told.setText(tr("“{}” tells the items …").format(run.name or run.job.name))
        job = session.jobs.start(tr("Predicting"), work, lambda _: None, done, failed)

    # ---- what may be true -------------------------------------------------------------------------------------

    def _ask_names(self) -> None:
        items = self._session.items.copy()
        self._names.ask(lambda: values_of(items), self._show_names)

    def _show_names(self, values: dict[str, list[str]]) -> None:
        before, self._values = self.truth.currentData(), values
        self.truth.clear()
        self.truth.addItem(tr("not known"), "")
        for name in values:
            self.truth.addItem(tr("the tags") if name == TAGS else name, name)
        run = self._runs.get(self.by.currentData())
        self.truth.setCurrentIndex(max(0, self.truth.findData(before or (_target(run) if run else ""))))

    def _take_values(self) -> None:
        values = self._values.get(self.truth.currentData(), [])
        if values:
            self.classes.setPlainText("\n".join(values))

    # ---- telling ----------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        for questions in (self._behind, self._warming):
            questions.forget()
        self.model.show_labels(None, Given.nothing())
        self._stack.setCurrentIndex(0)
        self.told.clear()
        for button in (self.fit, self.write):
            button.setEnabled(False)

    def _failed(self, error: Exception) -> None:
        self.told.setText(str(error))

    def predict(self) -> None:
        """Tell every picture and sound its class, behind the window; a run tells all that it reads."""
        run = self._runs.get(self.by.currentData())
        if run is not None:
            self._predict_by(run)
            return
        session, names = self._session, tuple(filter(None, map(str.strip, self.classes.toPlainText().splitlines())))
        project, encoder, view = session.project, session.encoder, session.view
        if project is None or encoder is None or view is None:
            self.told.setText(tr("There are no vectors yet."))
            return
        items, truth, sentence = session.items.copy(), self.truth.currentData() or "", self.sentence.text()
        self.told.setText(tr("The model reads the classes …"))

        def work() -> Labels:
            anchors = np.stack([project.query(encoder, text) for text in prompts(names, sentence)])
            rows = np.flatnonzero(view.modalities != "text")
            ids = view.ids[rows]
            return Labels(names, ids, view.vectors[rows], anchors, true_of(items, ids, truth, names))

        self._behind.ask(work, self._warm, by_model=True)

    def _warm(self, labels: Labels | None) -> None:
        """Probabilities at the temperature that is set."""
        temperature = self.temperature.value()
        if labels is not None:
            self._warming.ask(lambda: given_by(labels, temperature), lambda given: self._show(labels, given))

    def _show(self, labels: Labels, given: Given) -> None:
        """The items, and what their labels come to."""
        self.model.show_labels(labels, given)
        table, classes, known = given.table, labels.classes, int(given.table.sum())
        self.fit.setEnabled(known > 0 and labels.shares is None)
        self.write.setEnabled(True)
        self.compared.setVisible(known > 0)
        self._stack.setCurrentIndex(1)
        numbers = np.bincount(given.told, minlength=len(classes))
        most = [at for at in np.argsort(-numbers, kind="stable")[:6].tolist() if numbers[at]]
        words = tr("{} told: ").format(count(len(given.told))) + ", ".join(
            f"{classes[at]} {count(int(numbers[at]))}" for at in most)
        if known:
            self.matrix.show_table(table, classes)
            words += tr(". Right: {} of {} that are known ({:.1f} %)").format(
                count(int(np.trace(table))), count(known), 100 * np.trace(table) / known)
            if labels.shares is not None:
                words += tr(", also of what it learned from; its results tell what it can do with others")
        self.told.setText(words + ("." if labels.shares is not None else tr(". Temperature {:g}.").format(
            self.temperature.value())))

    def _fit(self) -> None:
        labels = self.model.labels
        if labels is not None:
            known = labels.true >= 0
            vectors, true = labels.vectors[known], labels.true[known]
            self._behind.ask(lambda: fitted_temperature(vectors, labels.anchors, true), self.temperature.setValue)

    # ---- choosing and writing ---------------------------------------------------------------------------------

    def _choose(self, cells: list[tuple[int, int]]) -> None:
        """The items of the chosen cells of the confusion matrix."""
        labels, told = self.model.labels, self.model.given.told
        if labels is not None:
            inside = np.zeros(len(told), bool)
            for true, said in cells:
                inside |= (labels.true == true) & (told == said)
            self._session.select(labels.ids[inside])

    def _choose_rows(self) -> None:
        """Ranges of rows: of a million that are selected each would be an object of its own."""
        labels, chosen = self.model.labels, self.table.selectionModel().selection()
        parts = (chosen.at(number) for number in range(chosen.count()))
        rows = [np.arange(part.top(), part.bottom() + 1) for part in parts if part.left() == 0]
        if labels is not None and rows:
            self._session.select(labels.ids[self.model.given.order[np.concatenate(rows)]])

    def _ask_column(self) -> None:
        name, given = QInputDialog.getText(self, tr("Write as a column"), tr("Column"), text=tr("label"))
        if given and name.strip():
            self.write_column(name.strip())

    def write_column(self, name: str) -> None:
        """Write each item's class, and how sure it is, into two columns, in one step that can be undone."""
        labels, given = self.model.labels, self.model.given
        if labels is None:
            return

        def write(values: dict[int, dict[str, str | float | None]]) -> None:
            self._session.set_columns(values, tr("Labels “{}”").format(name))
            self._session.noted.emit(tr("{} items got the column “{}”. Ctrl+Z takes it back.").format(
                count(len(values)), name))

        self._behind.ask(partial(columns_of, labels, given, name, name + " " + tr("probability")), write)


def _target(run: Run) -> str:
    """What a run learned, as it is called among what may be true."""
    return TAGS if run.job.target == "tags" else run.job.target
