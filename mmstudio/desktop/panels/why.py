"""Why: explanations of the item in the inspector as tabs. Each page is made when it is first seen."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from mmstudio.desktop.audio import Player
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.why import PAGES
from mmstudio.desktop.widgets.later import Later


class WhyPanel(QWidget):
    """The pages as tabs; they play through the inspector's ``player``, so that one sound plays at a time."""

    opened = Signal(int)
    """An item was chosen on a page."""

    def __init__(self, session: Session, player: Player) -> None:
        super().__init__()
        self._session, self._player = session, player
        self._tabs = QTabWidget(documentMode=True)
        self.pages: dict[str, Later] = {}
        for page in PAGES:
            self.pages[page.id] = Later(partial(self._make, page.id))
            self._tabs.addTab(self.pages[page.id], tr(page.title))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._tabs)
        self._tabs.currentChanged.connect(self._want)
        self._want(0)

    def show_page(self, name: str) -> None:
        """Bring a page forward."""
        self._tabs.setCurrentWidget(self.pages[name])

    def _want(self, at: int) -> None:
        self.pages[PAGES[at].id].want()

    def _make(self, name: str) -> QWidget:
        if name == "attention":
            from mmstudio.desktop.why.attention import AttentionPage

            return AttentionPage(self._session)
        if name == "change":
            from mmstudio.desktop.why.change import ChangePage

            return ChangePage(self._session, self._player)
        if name == "concepts":
            from mmstudio.desktop.why.concepts import ConceptsPage

            concepts = ConceptsPage(self._session)
            concepts.opened.connect(self.opened)
            return concepts
        if name == "layers":
            from mmstudio.desktop.why.layers import LayersPage

            layers = LayersPage(self._session)
            layers.opened.connect(self.opened)
            return layers
        from mmstudio.desktop.why.score import ScorePage

        return ScorePage(self._session)
