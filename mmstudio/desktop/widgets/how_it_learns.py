"""How a run learns: the numbers that most people leave as they are, under two titles that are folded away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from PySide6.QtCore import Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.text import tr
from mmstudio.desktop.widgets.fold import Fold
from mmstudio.training.job import Split, TrainingJob
from mmstudio.training.meaning import OF_TASKS, why_not

PRECISIONS = {"auto": "Automatic", "fp32": "Off (float32)", "bf16": "bfloat16", "fp16": "float16"}
SPLITS = {"stratified": "Same shares of every class", "random": "By chance", "time": "Oldest learn, newest test",
          "grouped": "No group in two parts", "column": "As a column says"}
ATTENTION_LAYERS = 2
"""Of a fusion by attention, if nothing else is said: with one, modalities do not look at each other."""
LOSSES_TOLD = {"focal": "focal (hard examples count more)"}


@dataclass(frozen=True)
class Number:
    """A setting of a job that is a number, from ``low`` to ``high``; with ``places`` behind the point it is real."""

    name: str
    title: str
    tip: str
    low: float
    high: float
    places: int = 0
    step: float = 1

    def box(self) -> QSpinBox | QDoubleSpinBox:
        """A field that shows the job's default."""
        made: QSpinBox | QDoubleSpinBox
        if self.places:
            made = QDoubleSpinBox(decimals=self.places, minimum=self.low, maximum=self.high, singleStep=self.step)
        else:
            made = QSpinBox(minimum=int(self.low), maximum=int(self.high))
        made.setValue(getattr(TrainingJob, self.name))
        return made


MORE = (
    (Number("epochs", "Epochs at most", "How often every example is learned from, at most.", 1, 100_000),
     Number("batch", "Batch", "Examples that are learned from at once.", 1, 65_536),
     Number("lr", "Learning rate", "How far one step goes, at its highest.", 1e-6, 1, 6, 1e-4)),
    (Number("layers", "Hidden layers", "Between the vectors and the answer; 0 is a linear probe. Of a fusion by "
            "attention these are its layers: from two on, modalities look at each other before the result is read, and "
            "each layer can be seen afterwards.", 0, 12),
     Number("width", "Their width", "Numbers in a hidden layer, or that a fusion mixes.", 1, 16_384),
     Number("dropout", "Dropout", "Share of numbers that each step leaves out, against learning by heart.", 0, 0.95, 2,
            0.05)),
    (Number("modality_dropout", "Modality dropout", "How often a modality is left out, so that the run learns to do "
            "without it.", 0, 0.95, 2, 0.05),
     Number("patience", "Early stopping, epochs", "The run ends after so many epochs without a better validation loss; "
            "0 never does.", 0, 100_000)),
)
OPTIMISER = (
    Number("accumulation", "Gradient accumulation", "Batches that are added up before one step: a larger batch than "
           "memory holds.", 1, 4096),
    Number("clip", "Gradient clipping", "The longest that a step's gradient may be; 0 is off.", 0, 1e6, 2, 0.1),
    Number("warmup", "Warm-up", "Share of all steps in which the learning rate rises; then it falls along a cosine.", 0,
           1, 2, 0.01),
    Number("weight_decay", "Weight decay", "Pulls weights toward nothing, against learning by heart (AdamW).", 0, 10, 4,
           0.005),
    Number("ema", "EMA of the weights", "Decay of averaged weights, which are validated and kept: 0.999 averages over "
           "some thousand steps; 0 is off.", 0, 0.99999, 5, 0.001))
SMOOTHING = Number("label_smoothing", "Label smoothing", "Share of the right answer's probability that is given to the "
                   "others, against being too sure.", 0, 0.9, 2, 0.05)
SEED = Number("seed", "Seed", "Chance begins here: the same seed divides, shuffles and begins alike.", 0, 2**31 - 1)
CHECKS = {
    "class_weights": ("Class weights", "Rare classes weigh as much in the loss as frequent ones."),
    "resampling": ("Balanced resampling", "Rare classes are drawn as often as frequent ones."),
    "balancing": ("Balance modalities (OGM-GE)", "Slows the modality that leads, so that the others learn, too. A "
                  "concatenation has no hidden layer then."),
    "deterministic": ("Deterministic", "The same run gives the same numbers again, a little slower on a graphics "
                      "card."),
}


class HowItLearns(QWidget):
    """All settings of the job that are neither what is learned nor what learns; ``changed`` where one decides what
    others can be.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        every = [*(one for column in MORE for one in column), *OPTIMISER, SMOOTHING, SEED]
        self.numbers = {one.name: one.box() for one in every}
        self.checks = {name: QCheckBox(tr(title)) for name, (title, _) in CHECKS.items()}
        self._tips = {one.name: tr(one.tip) for one in every} | {name: tr(tip) for name, (_, tip) in CHECKS.items()}
        self.loss, self.precision, self.split, self.column = (QComboBox() for _ in range(4))
        self.validation, self.test = self._share(Split.validation), self._share(Split.test)
        self.apart = QCheckBox(tr("Keep near-duplicates together"), checked=True)
        self.why = QLabel(wordWrap=True)
        self.why.setProperty("faint", True)
        self._columns: list[str] = []
        self._attends, self._before = False, 0
        self._like: tuple[TrainingJob, dict[str, float]] | None = None
        self._unavailable: dict[str, str] = {}
        self._fill()
        self.more = Fold(tr("More"), self._more(), False)
        self.advanced = Fold(tr("Advanced"), self._advanced(), False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box in (self.precision, self.loss, self.split, self.column):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
        for fold in (self.more, self.advanced):
            fold.body.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
            fold.body.setContentsMargins(8, 0, 0, 4)
            layout.addWidget(fold)
        self.checks["deterministic"].setChecked(TrainingJob.deterministic)
        for number in (self.validation, self.test, self.numbers["layers"]):
            number.valueChanged.connect(lambda _: self.changed.emit())
        for check in self.checks.values():
            check.toggled.connect(lambda _: self.changed.emit())
        self.column.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.split.currentIndexChanged.connect(lambda _: self._split_chosen())

    @staticmethod
    def _share(value: float) -> QSpinBox:
        return QSpinBox(minimum=0, maximum=90, value=round(100 * value), suffix=" %")

    def _fill(self) -> None:
        for box, names in ((self.precision, PRECISIONS), (self.split, SPLITS)):
            for name, title in names.items():
                box.addItem(tr(title), name)
        self.precision.setCurrentIndex(self.precision.findData(TrainingJob.precision))
        for name, field in (self.numbers | self.checks).items():
            field.setToolTip(self._tips[name])
        self.precision.setToolTip(tr("Computes in 16 bits where that is safe: faster and with less memory on a "
                                     "graphics card."))
        self.split.setToolTip(tr("Which examples are learned from, which choose the best epoch, and which only test."))
        self.apart.setToolTip(tr("What is nearly the same is not learned from and tested with."))

    # ---- layout -------------------------------------------------------------------------------------------------

    def _more(self) -> QWidget:
        """What decides most, in three columns."""
        forms = [self._form(*column) for column in MORE]
        forms[2].addRow(tr("Loss"), self.loss)
        self.layers_title = cast(QLabel, forms[1].labelForField(self.numbers["layers"]))
        return _side_by_side(*forms)

    def _advanced(self) -> QWidget:
        """In two columns, with a word on what cannot be chosen below."""
        optimiser = self._form(*OPTIMISER)
        optimiser.insertRow(0, tr("Mixed precision"), self.precision)
        repeat = self._form(SEED)
        repeat.addRow(self.checks["deterministic"])
        rare = self._form(SMOOTHING)
        for name in ("class_weights", "resampling", "balancing"):
            rare.addRow(self.checks[name])
        parts = QFormLayout()
        for title, field in ((tr("Split"), self.split), (tr("Column"), self.column),
                             (tr("Validation"), self.validation), (tr("Test"), self.test)):
            parts.addRow(title, field)
        parts.addRow(self.apart)
        left, right = QVBoxLayout(), QVBoxLayout()
        for side, titles in ((left, ((tr("Optimiser"), optimiser), (tr("Repeatable"), repeat))),
                             (right, ((tr("Rare classes and balance"), rare), (tr("Parts"), parts)))):
            for title, form in titles:
                heading = QLabel(title)
                heading.setProperty("faint", True)
                side.addWidget(heading)
                side.addLayout(form)
            side.addStretch(1)
        body = QWidget()
        outer, sides = QVBoxLayout(body), QHBoxLayout()
        sides.setSpacing(24)
        sides.addLayout(left, 1)
        sides.addLayout(right, 1)
        outer.addLayout(sides)
        outer.addWidget(self.why)
        return body

    def _form(self, *numbers: Number) -> QFormLayout:
        form = QFormLayout()
        for one in numbers:
            form.addRow(tr(one.title), self.numbers[one.name])
        return form

    # ---- what fits ----------------------------------------------------------------------------------------------

    def offer(self, losses: tuple[str, ...], columns: list[str]) -> None:
        """The losses of a task, and the columns that may divide examples."""
        self._columns = columns
        self.loss.clear()
        for loss in losses:
            self.loss.addItem(tr(LOSSES_TOLD.get(loss, loss)), loss)
        self._split_chosen()

    def _split_chosen(self) -> None:
        """Groups and parts need a column; times may be those at which items were added."""
        kind, before = self.split.currentData(), self.column.currentData() if self.column.isEnabled() else None
        self.column.blockSignals(True)
        self.column.clear()
        if kind == "time":
            self.column.addItem(tr("when it was added"), "")
        for name in self._columns:
            self.column.addItem(name, name)
        self.column.setCurrentIndex(max(0, self.column.findData(before)))
        self.column.blockSignals(False)
        self.column.setEnabled(kind in ("time", "grouped", "column"))
        for share in (self.validation, self.test):
            share.setEnabled(kind != "column")
        self.changed.emit()

    def tell_device(self, unavailable: dict[str, str]) -> None:
        """Grey the precisions that the device cannot compute in, with why."""
        model, self._unavailable = self.precision.model(), unavailable
        assert isinstance(model, QStandardItemModel)
        for name, why in unavailable.items():
            row = self.precision.findData(name)
            model.item(row).setEnabled(False)
            self.precision.setItemText(row, f"{tr(PRECISIONS[name])}: {tr(why)}")
        self.precision.view().setMinimumWidth(self.precision.view().sizeHintForColumn(0) + 24)
        self._leave_unavailable()

    def _leave_unavailable(self) -> None:
        if self.precision.currentData() in self._unavailable:
            self.precision.setCurrentIndex(self.precision.findData("auto"))

    def _fit_layers(self, attends: bool) -> None:
        """A fusion by attention has a layer at least, and begins with two; what was chosen before comes back."""
        layers = self.numbers["layers"]
        if attends == self._attends:
            return
        self._attends, before = attends, int(layers.value())
        self.layers_title.setText(tr("Attention layers") if attends else tr("Hidden layers"))
        layers.blockSignals(True)
        layers.setMinimum(int(attends))
        if attends:
            self._before = before
            layers.setValue(max(ATTENTION_LAYERS, before))
        else:
            layers.setValue(self._before)
        layers.blockSignals(False)

    def fit(self, job: TrainingJob) -> None:
        """Grey what would do nothing in a job of this kind, with why."""
        self._fit_layers(job.fusion in ("attention", "tokens"))
        job, whys = replace(job, layers=int(self.numbers["layers"].value())), list[str]()
        for name in OF_TASKS:
            why, box = why_not(job, name), (self.numbers | self.checks)[name]
            box.setEnabled(not why)
            box.setToolTip(f"{self._tips[name]}\n{tr(why)}".strip())
            if why and name != "modality_dropout":  # where there is one modality, that says itself
                whys.append(tr(why))
        self.why.setText("\n".join(dict.fromkeys(whys)))
        self.why.setVisible(bool(whys))

    # ---- the job's settings -------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """The job's settings that are chosen here; what is greyed is left as it is by default."""
        numbers = {name: self._exact(name, box.value()) if box.isEnabled() else getattr(TrainingJob, name)
                   for name, box in self.numbers.items()}
        checks: dict[str, Any] = {name: box.isEnabled() and box.isChecked() for name, box in self.checks.items()}
        checks["balancing"] = "ogm-ge" if checks["balancing"] else ""
        column = (self.column.currentData() or "") if self.column.isEnabled() else ""
        split = Split(self.split.currentData(), self._exact("validation", self.validation.value()) / 100,
                      self._exact("test", self.test.value()) / 100, column, self.apart.isChecked())
        return numbers | checks | {"loss": self.loss.currentData() or "", "precision": self.precision.currentData(),
                                   "split": split}

    def be_like(self, job: TrainingJob) -> None:
        """Take a job's settings, as far as they are offered."""
        for name, number in self.numbers.items():
            number.setValue(getattr(job, name))
        for name, check in self.checks.items():
            check.setChecked(bool(getattr(job, name)))
        for box, value in ((self.loss, job.loss_name), (self.precision, job.precision), (self.split, job.split.kind)):
            box.setCurrentIndex(max(0, box.findData(value)))
        column = job.split.column
        if self.column.isEnabled() and self.column.findData(column) < 0:
            self.column.addItem(column, column)  # it is gone: that is told then, and no other takes its place
        self.column.setCurrentIndex(max(0, self.column.findData(column)))
        self.validation.setValue(round(100 * job.split.validation))
        self.test.setValue(round(100 * job.split.test))
        self.apart.setChecked(job.split.keep_duplicates_together)
        self._leave_unavailable()
        self._like = job, {name: box.value() for name, box in self._fields().items()}

    def _fields(self) -> dict[str, QSpinBox | QDoubleSpinBox]:
        return {**self.numbers, "validation": self.validation, "test": self.test}

    def _exact(self, name: str, value: Any) -> Any:
        """What a job had where its field still shows it: a field has fewer digits, and bounds."""
        if self._like is None or self._like[1][name] != value:
            return value
        job = self._like[0]
        return 100 * getattr(job.split, name) if name in ("validation", "test") else getattr(job, name)


def _side_by_side(*forms: QFormLayout) -> QWidget:
    made = QWidget()
    row = QHBoxLayout(made)
    for form in forms:
        row.addLayout(form)
    return made
