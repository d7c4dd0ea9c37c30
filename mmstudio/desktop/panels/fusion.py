"""The weights of a sample's modalities, on live sliders."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QSlider, QWidget

from mmstudio.desktop.fusing import WAYS
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import modality_name, tr
from mmstudio.library import Sample
from mmstudio.media import MODALITIES, Modality

STEPS = 200


class FusionSliders(QWidget):
    """One slider per modality of the sample; the fused point moves while one is dragged."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._sample: Sample | None = None
        self.sliders: dict[Modality, QSlider] = {}
        self._labels: dict[Modality, tuple[QLabel, QLabel]] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.heading = QLabel()
        self.heading.setProperty("heading", True)
        layout.addWidget(self.heading, 0, 0, 1, 3)
        for row, modality in enumerate(MODALITIES, 1):
            slider = QSlider(Qt.Orientation.Horizontal, maximum=STEPS)
            slider.setAccessibleName(tr("Weight of {}").format(modality_name(modality)))
            slider.valueChanged.connect(lambda _: self._moved())
            slider.sliderReleased.connect(self._released)
            name, share = QLabel(modality_name(modality)), QLabel()
            share.setMinimumWidth(44)
            share.setAlignment(Qt.AlignmentFlag.AlignRight)
            self.sliders[modality], self._labels[modality] = slider, (name, share)
            layout.addWidget(name, row, 0)
            layout.addWidget(slider, row, 1)
            layout.addWidget(share, row, 2)
        session.fusing.changed.connect(self._tell_way)
        self._tell_way()

    def _tell_way(self) -> None:
        self.heading.setText(tr("Fusion: {}").format(tr(WAYS[self._session.fusing.how])))

    def show_sample(self, sample: Sample) -> None:
        """Show only the modalities that the sample has."""
        self._sample = None
        present = {self._session.items[i].modality for i in sample.item_ids if i in self._session.items}
        for modality, slider in self.sliders.items():
            for widget in (slider, *self._labels[modality]):
                widget.setVisible(modality in present)
            slider.setValue(round(sample.weights.get(modality, 1.0) * STEPS / 2))
        self._sample = sample
        self._tell(self._weights())

    def _weights(self) -> dict[str, float]:
        return {m: slider.value() * 2 / STEPS for m, slider in self.sliders.items() if slider.isVisibleTo(self)}

    def _moved(self) -> None:
        if self._sample is not None:
            weights = self._weights()
            self._tell(weights)
            self._session.fusing.weigh(self._sample.id, weights)
            if not any(slider.isSliderDown() for slider in self.sliders.values()):
                self._released()

    def _released(self) -> None:
        if self._sample is not None:
            self._session.fusing.keep(self._sample.id)

    def _tell(self, weights: dict[str, float]) -> None:
        total = sum(weights.values())
        for modality, (_, share) in self._labels.items():
            part = weights.get(modality, 0.0) / total if total else 1 / max(1, len(weights))
            share.setText(f"{part:.0%}")
