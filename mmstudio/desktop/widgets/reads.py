"""Which modalities a run reads, and of each the model whose vectors it learns from."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QWidget

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.media import MODALITIES, Modality
from mmstudio.training.job import TrainingJob, UsedModel

LETTERS = 14
"""Of a model's title that are seen at least."""


class Reads(QWidget):
    """A tick for each modality and, where several models on this computer read it, a choice of them; ``changed``."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        view, encoder, self._in_use = session.view, session.encoder, session.model
        self._here = {m for m in MODALITIES if view is not None and (view.modalities == m).any()}
        known = session.items.counts()
        self.modalities = {m: QCheckBox(modality_name(m)) for m in MODALITIES}
        self.models = {m: QComboBox() for m in MODALITIES}
        self._several = True
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        others = session.other_models
        for column, (modality, check) in enumerate(self.modalities.items()):
            box = self.models[modality]
            box.setAccessibleName(tr("Model for {}").format(modality_name(modality).lower()))
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(LETTERS)
            if modality in self._here or (encoder is not None and modality in encoder.modalities):
                box.addItem(tr("The model in use"), "")
            for card in others if known[modality] else ():
                if modality in card.modalities:
                    box.addItem(card.title, card.name)
            box.view().setMinimumWidth(box.view().sizeHintForColumn(0) + 24)
            check.setChecked(modality in self._here)
            check.toggled.connect(lambda _: self._adapt(tell=True))
            box.currentIndexChanged.connect(lambda _: self._adapt(tell=True))
            grid.addWidget(check, 0, column)
            grid.addWidget(box, 1, column)
        self._adapt()

    def fit(self, several: bool) -> None:
        """Whether what learns may read by ``several`` models, or by the one in use alone."""
        self._several = several
        self._adapt()

    def _adapt(self, tell: bool = False) -> None:
        offered = self._several and any(box.count() > 1 or box.findData("") < 0 < box.count()
                                        for box in self.models.values())
        for modality, check in self.modalities.items():
            box = self.models[modality]
            check.setEnabled(modality in self._here or (self._several and self._others(box)))
            box.setVisible(offered)
            box.setEnabled(check.isEnabled() and check.isChecked() and box.count() > 1)
            box.setToolTip(box.currentText())
        if tell:
            self.changed.emit()

    @staticmethod
    def _others(box: QComboBox) -> bool:
        return any(box.itemData(row) for row in range(box.count()))

    def chosen(self) -> tuple[Modality, ...]:
        """What a run shall read."""
        return tuple(m for m, check in self.modalities.items() if check.isEnabled() and check.isChecked())

    def used(self) -> dict[Modality, UsedModel]:
        """The models other than the one in use."""
        names = {m: self.models[m].currentData() for m in self.chosen()} if self._several else {}
        return {m: UsedModel(name) for m, name in names.items() if name}

    def be_like(self, job: TrainingJob) -> None:
        """Take a job's modalities and models, as far as they are here."""
        for modality, check in self.modalities.items():
            name, box = job.models[modality].name if modality in job.models else "", self.models[modality]
            box.setCurrentIndex(max(0, box.findData("" if name == self._in_use else name)))
            check.setChecked(check.isEnabled() and modality in job.modalities)
