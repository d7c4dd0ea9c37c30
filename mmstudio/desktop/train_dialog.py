"""What is to be learned: the few things a person decides, with the rest at hand but out of the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.learning import Learning
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.sweep_dialog import SweepDialog
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.how_it_learns import HowItLearns
from mmstudio.desktop.widgets.reads import Reads
from mmstudio.desktop.widgets.rehearsal_view import RehearsalView
from mmstudio.desktop.widgets.what_learns import WhatLearns
from mmstudio.errors import StudioError
from mmstudio.preparing import TAGS, Target
from mmstudio.training.job import ADAPTERS, LOSSES, Fusion, Task, TrainingJob
from mmstudio.training.precision import unavailable
from mmstudio.training.rehearsing import Rehearsal
from mmstudio.training.sweep import Sweep

TASKS = {"classification": "Tell classes apart", "multi-label": "Give labels, several at once",
         "regression": "Estimate an amount", "alignment": "Bring modalities together",
         "captioning": "Tell a caption of pictures and sounds"}
FUSIONS = {
    "joint mean": "Mean in the shared space", "concatenate": "Early: one after another",
    "weighted sum": "Learned weighted sum", "gated": "Gated sum", "bilinear": "Low-rank bilinear",
    "attention": "Cross-modal attention", "tokens": "Transformer over all tokens", "average": "Late: average",
    "learned average": "Late: learned average",
    "product of experts": "Late: product of experts",
}
CLASSES = ("classification", "multi-label")
FREE = ("alignment", "captioning")
"""Tasks that need no tag or column."""
LEAST = 2
TITLE = 60
"""Pixels of a screen that a window's title and a margin take."""


class TrainDialog(QDialog):
    """Choose what to learn; a run is made of the selection, or of everything. It begins ``like`` another job."""

    def __init__(self, session: Session, learning: Learning, previews: Previews, parent: QWidget,
                 like: TrainingJob | None = None) -> None:
        super().__init__(parent, windowTitle=tr("Train"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._session, self._learning = session, learning
        self._keys = session.selection
        self._targets: dict[str, Target] = {}
        self._closed = self._tries = False
        self._like, self._is_like = like or TrainingJob(), like is None
        self.name = QLineEdit(tr("Run"))
        self.whole = QComboBox()
        self.task, self.target, self.fusion = (QComboBox() for _ in range(3))
        self.classes = QListWidget()
        self.classes.setAccessibleName(tr("Classes"))
        self.classes.setMaximumHeight(132)
        self.reads = Reads(session)
        self.modalities = self.reads.modalities
        self.learns = WhatLearns()
        self.told = QLabel(wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.told.setMinimumHeight(48)
        self.rehearsal = RehearsalView(session, previews)
        self._inside, self._scroll = QWidget(), QScrollArea(widgetResizable=True)
        self.how = HowItLearns()
        self._build()
        self._connect()
        self.finished.connect(lambda _: setattr(self, "_closed", True))
        self.finished.connect(learning.stop_trial)
        self.rejected.connect(learning.let_go)
        learning.get_ready()
        session.pool.ask(unavailable, self._tell_device, session.failed.emit)
        self._ask()

    def _build(self) -> None:
        if len(self._keys) > 1:
            self.whole.addItem(tr("The selection ({})").format(count(len(self._keys))), True)
        self.whole.addItem(tr("The whole library ({} items)").format(count(len(self._session.items))), False)
        for box, names in ((self.task, TASKS), (self.fusion, FUSIONS)):
            for name, title in names.items():
                box.addItem(tr(title), name)
        form = QFormLayout()
        for title, field in ((tr("Name"), self.name), (tr("Learn from"), self.whole), (tr("Task"), self.task),
                             (tr("What"), self.target), (tr("Classes"), self.classes), (tr("Reads"), self.reads),
                             (tr("Fusion"), self.fusion)):
            form.addRow(title, field)
        form.addRow(self.learns)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = buttons.addButton(tr("Train"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.clicked.connect(self._train)
        self.attempt = buttons.addButton(tr("Try a few steps"), QDialogButtonBox.ButtonRole.ActionRole)
        self.attempt.setToolTip(tr("Tells how long it will take, how much memory, and shows the first batch"))
        self.attempt.clicked.connect(self._rehearse)
        self.sweep = buttons.addButton(tr("Sweep…"), QDialogButtonBox.ButtonRole.ActionRole)
        self.sweep.setToolTip(tr("Try many settings, one run after another"))
        self.sweep.clicked.connect(self._choose_sweep)
        buttons.rejected.connect(self.reject)
        inside = QVBoxLayout(self._inside)
        inside.addLayout(form)
        for widget in (self.rehearsal, self.how):
            inside.addWidget(widget)
        inside.addStretch(1)
        self._scroll.setWidget(self._inside)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setStyleSheet("QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 10)
        for below in (self.told, buttons):
            below.setContentsMargins(9, 0, 9, 0)
        layout.addWidget(self._scroll, 1)
        layout.addWidget(self.told)
        layout.addWidget(buttons)
        self._inside.installEventFilter(self)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """What is opened or told makes the window larger, as far as the screen reaches."""
        if watched is self._inside and event.type() is QEvent.Type.LayoutRequest:
            self._fit()
        return False

    def _fit(self) -> None:
        room, bar = self.screen().availableGeometry().size(), self._scroll.verticalScrollBar().sizeHint().width()
        rest = self.sizeHint().height() - self._scroll.sizeHint().height()
        self._scroll.setMinimumWidth(min(self._inside.minimumSizeHint().width() + bar, room.width() - 40))
        self.resize(max(self.width(), 560),
                    max(self.height(), min(self._inside.sizeHint().height() + rest, room.height() - TITLE)))

    def _connect(self) -> None:
        self.whole.currentIndexChanged.connect(lambda _: self._ask())
        self.task.currentIndexChanged.connect(lambda _: self._fill())
        self.target.currentIndexChanged.connect(lambda _: self._fill_classes())
        self.classes.itemChanged.connect(lambda _: self._tell())
        self.how.changed.connect(self._tell)
        self.learns.changed.connect(self._tell)
        self.fusion.currentIndexChanged.connect(lambda _: self._tell())
        self.reads.changed.connect(self._tell)

    def _ask(self) -> None:
        keys = self._keys if self.whole.currentData() else frozenset()
        self._learning.ask_targets(keys, self._found)

    def _found(self, targets: list[Target]) -> None:
        if not self._closed:
            self._targets = {target.name: target for target in targets}
            self._fill()
            if not self._is_like:
                self._is_like = True
                self._be_like(self._like)

    def _be_like(self, job: TrainingJob) -> None:
        """Offer a job's settings, as far as this project has what they name."""
        self.name.setText(job.name)
        for box, value in ((self.task, job.task), (self.target, job.target), (self.fusion, job.fusion)):
            box.setCurrentIndex(max(0, box.findData(value)))
        self.how.be_like(job)
        self.learns.be_like(job)
        self.reads.be_like(job)
        for row in range(self.classes.count()):
            line = self.classes.item(row)
            is_in = line.data(Qt.ItemDataRole.UserRole) in job.classes
            line.setCheckState(Qt.CheckState.Checked if is_in else Qt.CheckState.Unchecked)

    def _fill(self) -> None:
        """Offer what fits the task."""
        task, before = self.task.currentData(), self.target.currentData()
        self.target.clear()
        for target in self._targets.values():
            if target.numbers if task == "regression" else len(target.values) >= LEAST and task not in FREE:
                self.target.addItem(tr("Tags") if target.name == TAGS else target.name, target.name)
        self.target.setEnabled(task not in FREE)
        self.target.setCurrentIndex(max(0, self.target.findData(before)))
        self.how.offer(LOSSES[task], [name for name in self._targets if name != TAGS])
        self._fill_classes()

    def _fill_classes(self) -> None:
        """All that two items or more have; chosen are those that can be told apart."""
        target, task = self._targets.get(self.target.currentData() or ""), self.task.currentData()
        self.classes.blockSignals(True)
        self.classes.clear()
        for name, number in target.values if target and task in CLASSES else ():
            if number >= LEAST:
                line = QListWidgetItem(f"{name}  ({count(number)})")
                line.setData(Qt.ItemDataRole.UserRole, name)
                line.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
                taken = task == "multi-label" or name in target.apart  # type: ignore[union-attr]
                line.setCheckState(Qt.CheckState.Checked if taken else Qt.CheckState.Unchecked)
                self.classes.addItem(line)
        self.classes.blockSignals(False)
        self.classes.setEnabled(task in CLASSES)
        self._tell()

    def _chosen_classes(self) -> tuple[str, ...]:
        lines = (self.classes.item(row) for row in range(self.classes.count()))
        return tuple(line.data(Qt.ItemDataRole.UserRole) for line in lines
                     if line.checkState() is Qt.CheckState.Checked)

    def job(self) -> TrainingJob:
        """What was chosen. Raises TrainingError where it does not fit together."""
        return replace(self._kind(), **self.how.values()).check()

    def _kind(self) -> TrainingJob:
        """What is learned, and what learns."""
        task: Task = self.task.currentData()
        target = self._targets.get(self.target.currentData() or "")
        fusion: Fusion = self.fusion.currentData()
        read = tuple(m for m in self.reads.chosen() if not (task == "captioning" and m == "text"))
        plain = task in FREE or self.learns.way.currentData() in ADAPTERS or (len(read) == 1 and fusion != "tokens")
        return replace(
            self._like, name=self.name.text().strip() or tr("Run"), task=task, target=target.name if target else TAGS,
            classes=self._chosen_classes(), modalities=read, model=self._session.model,
            models={m: model for m, model in self.reads.used().items() if m in read},
            fusion="joint mean" if plain else fusion, **self.learns.values())

    def _tell_device(self, cannot: dict[str, str]) -> None:
        if not self._closed:
            self.how.tell_device(cannot)

    def _tell(self) -> None:
        task = self.task.currentData()
        read = frozenset[str](self.reads.chosen())
        self.learns.fit(task, read - {"text"} if task == "captioning" else read)
        way = self.learns.way.currentData()
        self.fusion.setEnabled(len(read) > 1 and task not in FREE and way not in ADAPTERS)
        self._fit_models(way == "head" and (task in FREE or self.fusion.currentData() != "tokens"))
        self.how.fit(self._kind())
        try:
            job = self.job()
        except StudioError as error:
            for button in (self.go, self.attempt, self.sweep):
                button.setEnabled(False)
            self.told.setText(str(error))
            return
        target = self._targets.get(job.target)
        self.go.setEnabled(self._session.encoder is not None)
        for button in (self.attempt, self.sweep):
            button.setEnabled(self.go.isEnabled())
        if job.task == "classification" and target and not set(job.classes) <= set(target.apart):
            self.told.setText(tr("{} classes. What has two of them is left out; to learn several, take “{}”.").format(
                count(len(job.classes)), tr(TASKS["multi-label"])))
        else:
            classes = tr("{} classes.").format(count(len(job.classes))) if job.classes else ""
            self.told.setText(f"{classes} {self._cost(job)}".strip())

    def _fit_models(self, several: bool) -> None:
        """Offer models where they fit, and no mean of spaces that differ."""
        self.reads.fit(several)
        used, read = self.reads.used(), self.reads.chosen()
        apart = len({used[m].name if m in used else "" for m in read}) > 1
        model: Any = self.fusion.model()
        model.item(0).setEnabled(not apart)
        if apart and self.fusion.currentIndex() == 0:
            self.fusion.setCurrentIndex(1)

    @staticmethod
    def _cost(job: TrainingJob) -> str:
        if job.task == "captioning":
            return tr("Samples with a text are learned from; the text is what is told.")
        if job.reads_media:
            return tr("Files are read anew in every epoch, so this takes longer than learning from vectors.")
        if job.models:
            return tr("Each model named reads what it has not read yet, one after another; then vectors are learned "
                      "from.")
        return tr("Vectors of the model in use are learned from; its weights stay as they are.")

    def _rehearse(self) -> None:
        self._tries = True
        self.attempt.setEnabled(False)
        self.rehearsal.wait()
        self._learning.rehearse(self.job(), self._keys if self.whole.currentData() else None, self._rehearsed)

    def _rehearsed(self, found: Rehearsal | StudioError) -> None:
        self._tries = False
        if not self._closed:
            self.rehearsal.tell(found)
            self._tell()

    def _choose_sweep(self) -> None:
        keys = self._keys if self.whole.currentData() else None

        def start(wanted: Sweep) -> None:
            self._learning.sweep(wanted, keys)
            self.accept()

        SweepDialog(self.job(), start, self).open()

    def _train(self) -> None:
        self._learning.train(self.job(), self._keys if self.whole.currentData() else None)
        self.accept()
