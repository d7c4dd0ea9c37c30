"""The map, and the maps that a person has put beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr

if TYPE_CHECKING:
    from mmstudio.desktop.panels.map_beside import MapBeside

MOST = 3
"""Maps beside the map: two rows of two are as small as a map can be read."""


class Maps(QWidget):
    """The map alone, or with others: two side by side, more in two rows."""

    def __init__(self, session: Session, main: MapPanel, previews: Previews) -> None:
        super().__init__()
        self._session, self._main, self._previews = session, main, previews
        self.others: list[MapBeside] = []
        self._rows = QSplitter(Qt.Orientation.Vertical)
        self._upper, self._lower = QSplitter(), QSplitter()
        for splitter in (self._rows, self._upper, self._lower):
            splitter.setChildrenCollapsible(False)
        self._rows.addWidget(self._upper)
        self._rows.addWidget(self._lower)
        self._upper.addWidget(main)
        self._lower.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._rows)
        main.besideWanted.connect(self.add)
        session.projectOpened.connect(self._close_all)

    def add(self) -> None:
        """Put another map beside the map."""
        from mmstudio.desktop.panels.map_beside import MapBeside

        if self._session.layout is None:
            self._session.noted.emit(tr("There is no map yet that another could lie beside."))
        elif len(self.others) == MOST:
            self._session.noted.emit(tr("There is room for {} maps.").format(MOST + 1))
        else:
            made = MapBeside(self._session, self._main, self._previews)
            made.closed.connect(lambda: self._close(made))
            made.exchanged.connect(self._session.mapping.adopt)
            self.others.append(made)
            self._arrange()
            made.make()

    def _close(self, one: MapBeside) -> None:
        self.others.remove(one)
        one.stop()
        one.hide()
        one.deleteLater()
        self._arrange()

    def _close_all(self) -> None:
        for one in list(self.others):
            self._close(one)

    def _arrange(self) -> None:
        """In reading order, each of the same size."""
        for at, one in enumerate(self.others):
            (self._upper if at == 0 else self._lower).addWidget(one)
        self._lower.setVisible(len(self.others) > 1)
        for splitter in (self._upper, self._lower, self._rows):
            splitter.setSizes([1000] * splitter.count())
