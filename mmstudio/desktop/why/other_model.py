"""A second model beside the one in use, to compare what they see."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox

from mmstudio.desktop.session import Session
from mmstudio.encoders.base import Encoder
from mmstudio.project import Project

MODEL = "model:"
"""Before the name of a model among other choices of a box."""


class OtherModel:
    """Loaded when it is first asked for, and kept until another one is."""

    def __init__(self) -> None:
        self._kept: tuple[Project, str, str, Encoder] | None = None

    def get(self, project: Project, name: str, device: str) -> Encoder:
        """For one lane alone. Raises what loading an encoder raises."""
        wanted, kept = (project, name, device), self._kept
        if kept is None or kept[:3] != wanted:
            kept = self._kept = None  # two at most are in memory: this one and the one in use
            kept = self._kept = (*wanted, project.load_encoder(name, device))
        return kept[3]

    def forget(self) -> None:
        """From any thread."""
        self._kept = None


def offer(box: QComboBox, session: Session, first: int = 0) -> None:
    """List the models besides the one in use from line ``first`` on; what was chosen stays chosen where it is there."""
    chosen = box.currentData()
    while box.count() > first:
        box.removeItem(box.count() - 1)
    for card in session.other_models:
        box.addItem(card.title, MODEL + card.name)
    box.setCurrentIndex(max(0, box.findData(chosen)))
