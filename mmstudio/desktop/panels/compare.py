"""Comparisons: matrix, labels, retrieval, recommendations, measures. Each page is made when it is first seen."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from mmstudio.desktop.compare import PAGES
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.widgets.later import Later


class ComparePanel(QWidget):
    """The pages as tabs."""

    opened = Signal(int)
    """An item was chosen on a page."""

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session, self._previews = session, previews
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
        if name == "matrix":
            from mmstudio.desktop.compare.matrix import MatrixPage

            return MatrixPage(self._session, self._previews)
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
