"""Why: explanations of the item in the inspector as tabs. Each page is made when it is first seen."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.audio import Player
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.why import PAGES
from mmstudio.desktop.widgets.colour_by import ColourBy
from mmstudio.desktop.widgets.later import LaterPages


class WhyPanel(LaterPages):
    """The pages as tabs; they play through the inspector's ``player``, so that one sound plays at a time, and colour
    the map through its ``colour_by``.
    """

    opened = Signal(int)
    """An item was chosen on a page."""

    def __init__(self, session: Session, player: Player, previews: Previews, colour_by: ColourBy) -> None:
        self._session, self._player = session, player
        self._previews, self._colour_by = previews, colour_by
        super().__init__(PAGES, self._make)

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
        if name == "features":
            from mmstudio.desktop.why.features import FeaturesPage

            features = FeaturesPage(self._session, self._previews, self._colour_by)
            features.opened.connect(self.opened)
            return features
        if name == "layers":
            from mmstudio.desktop.why.layers import LayersPage

            layers = LayersPage(self._session)
            layers.opened.connect(self.opened)
            return layers
        from mmstudio.desktop.why.score import ScorePage

        return ScorePage(self._session)
