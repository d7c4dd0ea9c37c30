"""Structure: projection, trust, clusters, modality gap, fusion, outliers. Each page is made when it is first seen."""

from __future__ import annotations

from importlib import import_module

from PySide6.QtWidgets import QWidget

from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure import PAGES
from mmstudio.desktop.widgets.later import LaterPages


class StructurePanel(LaterPages):
    """The pages as tabs."""

    def __init__(self, session: Session, previews: Previews, map_: MapPanel) -> None:
        super().__init__(PAGES, lambda name: _made(name, session, previews, map_))


def _made(name: str, session: Session, previews: Previews, map_: MapPanel) -> QWidget:
    page: QWidget = import_module(f"mmstudio.desktop.structure.{name}").make(session, previews, map_)
    return page
