"""Which settings of a job vary, how far, and how many trials find out what is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.run_pages import title_of
from mmstudio.errors import StudioError, TrainingError
from mmstudio.training.job import ADAPTERS, LOSSES, TUNED, Fusion, TrainingJob
from mmstudio.training.sweep import METRICS, Method, Sweep, Varied

METHODS: dict[Method, str] = {"tpe": "Where earlier trials were good (TPE)", "random": "By chance",
                              "grid": "Every combination (grid)"}
LEARNED = ("lr", "weight_decay")
"""What varies where nobody chooses."""


def offered(job: TrainingJob) -> list[Varied]:
    """The settings that can be worth varying in a job, around what it says."""
    many, wide = len(job.modalities) > 1, job.trains not in ADAPTERS
    made = [Varied("lr", job.lr / 10, min(1.0, job.lr * 10), log=True), Varied("weight_decay", 1e-4, 0.1, log=True)]
    if job.trains in TUNED:
        made.append(Varied("encoder_lr", job.encoder_lr / 10, min(1.0, job.encoder_lr * 10), log=True))
    if job.trains == "lora":
        made.append(Varied("rank", 2, 32, log=True))
    made += [Varied("dropout", 0.0, 0.5), Varied("batch", 16, 128, log=True)]
    if wide:
        made += [Varied("width", 32, 512, log=True), Varied("layers", 0, 2)]
    if job.task == "classification":
        made.append(Varied("label_smoothing", 0.0, 0.2))
    if many:
        made.append(Varied("modality_dropout", 0.0, 0.5))
    if len(LOSSES[job.task]) > 1:
        made.append(Varied("loss", choices=LOSSES[job.task]))
    if many and wide and job.task not in ("alignment", "captioning") and job.fusion != "tokens":
        made.append(Varied("fusion", choices=tuple(name for name in get_args(Fusion) if name != "tokens")))
    return [*made, Varied("seed", 0, 4)]


@dataclass
class _Row:
    """A setting's fields; ``choices`` in place of the ends where it is no number."""

    like: Varied
    taken: QCheckBox
    low: QLineEdit
    high: QLineEdit
    log: QCheckBox
    points: QSpinBox
    choices: QListWidget | None = None

    def fields(self) -> list[QWidget]:
        return [self.choices] if self.choices is not None else [self.low, self.high, self.log, self.points]

    def varied(self) -> Varied:
        """Raises TrainingError where what was typed is no number."""
        if self.choices is not None:
            lines = [self.choices.item(row) for row in range(self.choices.count())]
            return Varied(self.like.name, choices=tuple(
                line.data(Qt.ItemDataRole.UserRole) for line in lines if line.checkState() is Qt.CheckState.Checked))
        return Varied(self.like.name, self._number(self.low), self._number(self.high), self.log.isChecked(),
                      self.points.value())

    def _number(self, field: QLineEdit) -> float:
        try:
            return float(field.text().replace(",", "."))
        except ValueError as error:
            name = title_of(self.like.name)
            raise TrainingError(tr("“{}” of {} is no number.").format(field.text(), name)) from error


class SweepDialog(QDialog):
    """Choose what varies in a job; ``start`` gets the sweep."""

    def __init__(self, job: TrainingJob, start: Callable[[Sweep], None], parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Sweep"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._job, self._start = job, start
        self.name = QLineEdit(job.name)
        self.method, self.measure = QComboBox(), QComboBox()
        self.trials = QSpinBox(minimum=1, maximum=10_000, value=20)
        self.pruning = QCheckBox(tr("End a trial that is worse than the median of those before it"))
        self.pruning.setChecked(True)
        self.told = QLabel(wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setMinimumHeight(40)
        self.rows = [self._row(one) for one in offered(job)]
        for name, title in METHODS.items():
            self.method.addItem(tr(title), name)
        for metric in METRICS[job.task]:
            self.measure.addItem(tr("Validation: {}").format(tr(metric)), metric)
        self._build()
        self._connect()
        self._tell()

    def _row(self, one: Varied) -> _Row:
        taken = QCheckBox(title_of(one.name))
        taken.setChecked(one.name in LEARNED)
        low, high = QLineEdit(f"{one.low:g}"), QLineEdit(f"{one.high:g}")
        for field, which in ((low, tr("lowest")), (high, tr("highest"))):
            field.setFixedWidth(90)
            field.setAccessibleName(f"{title_of(one.name)}, {which}")
        log = QCheckBox(tr("logarithmic"))
        log.setChecked(one.log)
        points = QSpinBox(minimum=2, maximum=100, value=one.points, suffix=tr(" points"))
        return _Row(one, taken, low, high, log, points, _choices(one) if one.choices else None)

    def _build(self) -> None:
        inside = QWidget()
        grid = QGridLayout(inside)
        grid.setContentsMargins(0, 0, 8, 0)
        grid.setVerticalSpacing(4)
        for column, title in enumerate((tr("Varies"), tr("from"), tr("to"))):
            head = QLabel(title)
            head.setProperty("faint", True)
            grid.addWidget(head, 0, column)
        for place, row in enumerate(self.rows, 1):
            grid.addWidget(row.taken, place, 0, Qt.AlignmentFlag.AlignTop if row.choices else Qt.AlignmentFlag(0))
            if row.choices is not None:
                grid.addWidget(row.choices, place, 1, 1, 4)
            else:
                for column, part in enumerate(row.fields(), 1):
                    grid.addWidget(part, place, column)
        grid.setColumnStretch(5, 1)
        grid.setRowStretch(len(self.rows) + 1, 1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setStyleSheet("QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }")
        scroll.setWidget(inside)
        form = QFormLayout()
        self.trials.setMaximumWidth(110)
        for title, field in ((tr("Name"), self.name), (tr("Trials are chosen"), self.method),
                             (tr("Trials"), self.trials), (tr("Look for"), self.measure), ("", self.pruning)):
            form.addRow(title, field)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = buttons.addButton(tr("Start the sweep"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.clicked.connect(self._begin)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.told)
        layout.addWidget(buttons)
        self.resize(600, 720)

    def _connect(self) -> None:
        self.method.currentIndexChanged.connect(lambda _: self._tell())
        self.trials.valueChanged.connect(lambda _: self._tell())
        for row in self.rows:
            for box in (row.taken, row.log):
                box.toggled.connect(lambda _: self._tell())
            for field in (row.low, row.high):
                field.textChanged.connect(lambda _: self._tell())
            row.points.valueChanged.connect(lambda _: self._tell())
            if row.choices is not None:
                row.choices.itemChanged.connect(lambda _: self._tell())

    def sweep(self) -> Sweep:
        """What was chosen. Raises TrainingError where it does not fit together."""
        return Sweep(self.name.text().strip() or tr("Sweep"), self._job,
                     tuple(row.varied() for row in self.rows if row.taken.isChecked()), self.method.currentData(),
                     self.trials.value(), self.pruning.isChecked(), self.measure.currentData(), self._job.seed).check()

    def _tell(self) -> None:
        grid = self.method.currentData() == "grid"
        self.trials.setEnabled(not grid)
        for row in self.rows:
            for field in row.fields():
                field.setEnabled(row.taken.isChecked())
            if row.choices is None:
                row.points.setVisible(grid)
        try:
            wanted = self.sweep()
        except StudioError as error:
            self.go.setEnabled(False)
            self.told.setText(str(error))
            return
        self.go.setEnabled(True)
        self.told.setText(tr("{} runs, one after another. What trains meanwhile waits its turn.").format(
            count(wanted.count)))

    def _begin(self) -> None:
        self._start(self.sweep())
        self.accept()


def _choices(one: Varied) -> QListWidget:
    made = QListWidget()
    made.setAccessibleName(title_of(one.name))
    for choice in one.choices:
        line = QListWidgetItem(tr(str(choice)))
        line.setData(Qt.ItemDataRole.UserRole, choice)
        line.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        line.setCheckState(Qt.CheckState.Checked)
        made.addItem(line)
    made.setMaximumHeight(min(96, 8 + 24 * len(one.choices)))
    return made
