"""Structure: projection, trust, clusters, modality gap, fusion, outliers. Each page is made when it is first seen."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure import PAGES
from mmstudio.desktop.text import tr
from mmstudio.desktop.widgets.later import Later


class StructurePanel(QWidget):
    """The pages as tabs."""

    def __init__(self, session: Session, previews: Previews, map_: MapPanel) -> None:
        super().__init__()
        self._tabs = QTabWidget(documentMode=True)
        self.pages: dict[str, Later] = {}
        for page in PAGES:
            self.pages[page.id] = Later(partial(_made, page.id, session, previews, map_))
            self._tabs.addTab(self.pages[page.id], tr(page.title))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._tabs)
        self._tabs.currentChanged.connect(lambda at: self.pages[PAGES[at].id].want())
        self.pages[PAGES[0].id].want()

    def show_page(self, name: str) -> None:
        """Bring a page forward."""
        self._tabs.setCurrentWidget(self.pages[name])


def _made(name: str, session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    page: QWidget = import_module(f"mmstudio.desktop.structure.{name}").make(session, previews, map_)
    return page
