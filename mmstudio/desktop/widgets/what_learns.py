"""What of the model learns, with the few numbers that each way has."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QLineEdit, QSpinBox, QWidget

from mmstudio.desktop.text import tr
from mmstudio.training.job import ADAPTERS, TUNED, TrainingJob

WAYS = {
    "head": ("A head on the vectors", "Seconds. The model's weights stay as they are."),
    "clip adapter": ("An adapter from the classes' names (CLIP-Adapter)",
                     "Seconds. Begins as the zero-shot classifier; good with few examples."),
    "tip adapter": ("A memory of the examples (Tip-Adapter)",
                    "Seconds. Begins as the zero-shot classifier and remembers what it saw."),
    "lora": ("Small additions to the model (LoRA)", "Minutes. A few thousandths of the weights learn."),
    "last blocks": ("The model's last blocks", "Minutes. What is nearest to the answer learns."),
    "everything": ("The whole model", "The longest, and needs the most memory and examples."),
    "locked text": ("Pictures and sounds, texts stay (LiT)", "The texts' vectors stay where they are."),
    "scratch": ("Encoders from scratch", "Knows nothing at first: to teach, or for media no model has seen."),
}
TEXT_TOWERS = {"gru": "GRU", "lstm": "LSTM", "transformer": "Transformer"}
AUDIO_TOWERS = {"cnn": "CNN", "transformer": "Transformer"}


class WhatLearns(QWidget):
    """A way of learning and its own fields; ``changed`` when another way is taken."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        default = TrainingJob()
        self.way, self.text_tower, self.audio_tower = QComboBox(), QComboBox(), QComboBox()
        for name, (title, _) in WAYS.items():
            self.way.addItem(tr(title), name)
        for box, names in ((self.text_tower, TEXT_TOWERS), (self.audio_tower, AUDIO_TOWERS)):
            for name, title in names.items():
                box.addItem(title, name)
        self.encoder_lr = QDoubleSpinBox(decimals=7, minimum=1e-7, maximum=1, singleStep=1e-5)
        self.encoder_lr.setValue(default.encoder_lr)
        self.rank = QSpinBox(minimum=1, maximum=1024, value=default.rank)
        self.blocks = QSpinBox(minimum=1, maximum=1000, value=default.blocks)
        self.probe_epochs = QSpinBox(minimum=0, maximum=100_000, value=default.probe_epochs)
        self.probe_epochs.setToolTip(tr("The head learns alone first, so that its first wrong answers do not spoil the "
                                        "model (LP-FT). Afterwards weights between both can be taken (WiSE-FT)."))
        self.prompt = QLineEdit(default.prompt)
        self.prompt.setToolTip(tr("What is said of a class, with {} in place of its name: “a picture of a {}”."))
        self.told = QLabel(wordWrap=True)
        self.told.setProperty("faint", True)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        for title, field in ((tr("What learns"), self.way), ("", self.told),
                             (tr("The model's learning rate"), self.encoder_lr), (tr("Rank"), self.rank),
                             (tr("Blocks"), self.blocks), (tr("Head alone first, epochs"), self.probe_epochs),
                             (tr("Prompt"), self.prompt), (tr("Texts by"), self.text_tower),
                             (tr("Sounds by"), self.audio_tower)):
            self._form.addRow(title, field)
        self.way.currentIndexChanged.connect(lambda _: self._adapt())
        self.prompt.textEdited.connect(lambda _: self.changed.emit())
        self.probe_epochs.valueChanged.connect(lambda _: self.changed.emit())
        self._task, self._modalities = "classification", frozenset[str]()
        self._adapt()

    def fit(self, task: str, modalities: frozenset[str]) -> None:
        """Offer only what a task and the modalities that are read allow."""
        self._task, self._modalities = task, modalities
        for row in range(self.way.count()):
            model: Any = self.way.model()
            model.item(row).setEnabled(self._fits(self.way.itemData(row)))
        if not self._fits(self.way.currentData()):
            self.way.setCurrentIndex(0)
        self._adapt(tell=False)

    def _fits(self, way: str) -> bool:
        if way in ADAPTERS:
            return self._task in ("classification", "multi-label")
        if way == "locked text":
            return self._task == "alignment" and "text" in self._modalities
        return True

    def _adapt(self, tell: bool = True) -> None:
        way = self.way.currentData()
        self.told.setText(tr(WAYS[way][1]))
        scratch = way == "scratch"
        for field, shown in (
                (self.encoder_lr, way in TUNED), (self.rank, way == "lora"), (self.blocks, way == "last blocks"),
                (self.probe_epochs, way in TUNED and self._task != "alignment"), (self.prompt, way in ADAPTERS),
                (self.text_tower, scratch and "text" in self._modalities),
                (self.audio_tower, scratch and "audio" in self._modalities)):
            self._form.setRowVisible(field, shown)
        if tell:
            self.changed.emit()

    def values(self) -> dict[str, Any]:
        """The job's settings that are chosen here."""
        way = self.way.currentData()
        probes = way in TUNED and self._task != "alignment"
        return {"trains": way, "encoder_lr": self.encoder_lr.value(), "rank": self.rank.value(),
                "blocks": self.blocks.value(), "probe_epochs": self.probe_epochs.value() if probes else 0,
                "prompt": self.prompt.text(), "text_tower": self.text_tower.currentData(),
                "audio_tower": self.audio_tower.currentData()}

    def be_like(self, job: TrainingJob) -> None:
        """Take a job's settings."""
        for box, name in ((self.way, job.trains), (self.text_tower, job.text_tower),
                          (self.audio_tower, job.audio_tower)):
            box.setCurrentIndex(max(0, box.findData(name)))
        self.encoder_lr.setValue(job.encoder_lr)
        self.prompt.setText(job.prompt)
        for number, value in ((self.rank, job.rank), (self.blocks, job.blocks), (self.probe_epochs, job.probe_epochs)):
            number.setValue(value)
