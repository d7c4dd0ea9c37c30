"""Comparisons: matrix, labels, retrieval, recommendations, measures. Each page is made when it is first seen."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.compare import PAGES
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.widgets.later import LaterPages


class ComparePanel(LaterPages):
    """The pages as tabs."""

    opened = Signal(int)
    """An item was chosen on a page."""
    pairChosen = Signal(int, int)
    """Two items are to be explained."""

    def __init__(self, session: Session, previews: Previews) -> None:
        self._session, self._previews = session, previews
        super().__init__(PAGES, self._make)

    def _make(self, name: str) -> QWidget:
        if name == "matrix":
            from mmstudio.desktop.compare.matrix import MatrixPage

            matrix = MatrixPage(self._session, self._previews)
            matrix.pairChosen.connect(self.pairChosen)
            return matrix
        if name == "labels":
            from mmstudio.desktop.compare.labels import LabelsPage

            return LabelsPage(self._session)
        if name == "retrieval":
            from mmstudio.desktop.compare.retrieval import RetrievalPage

            return RetrievalPage(self._session)
        if name == "recommend":
            from mmstudio.desktop.compare.recommend import RecommendPage

            page = RecommendPage(self._session, self._previews)
            page.opened.connect(self.opened)
            return page
        from mmstudio.desktop.compare.measures import MeasuresPage

        return MeasuresPage(self._session)
