"""How a person looked at a project - its filter, its order, the map's colours - kept with it, so that it opens as it
was left.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, QTimer

from mmstudio.desktop.filtering import Wish
from mmstudio.desktop.panels.library import LibraryPanel
from mmstudio.desktop.session import Session
from mmstudio.desktop.widgets.colour_by import ColourBy

_KEPT, KEEP_MS = "view", 600
_AS_IT_BEGINS = {"filter": "", "modality": "", "sort": "", "descending": False, "colour": "modality"}


class KeptView(QObject):
    """Puts the kept view back when a project is opened, and keeps it a moment after it has changed."""

    def __init__(self, session: Session, library: LibraryPanel, colours: ColourBy) -> None:
        super().__init__(library)
        self._session, self._library, self._colours = session, library, colours
        self._soon = QTimer(self, singleShot=True, interval=KEEP_MS)
        self._soon.timeout.connect(self.keep)
        session.projectOpened.connect(self._restore)
        session.leaving.connect(self.keep)
        library.items.filter.passed.connect(lambda _: self._soon.start())
        colours.currentIndexChanged.connect(lambda _: self._soon.start())

    def _told(self) -> dict[str, Any]:
        wish = self._library.wish
        return {"filter": wish.text, "modality": wish.modality, "sort": wish.sort, "descending": wish.descending,
                "colour": self._colours.kept}

    def _restore(self) -> None:
        project = self._session.project
        told = {**_AS_IT_BEGINS, **(project.own.get(_KEPT, {}) if project is not None else {})}
        self._library.show_wish(Wish(told["filter"], told["modality"], told["sort"], told["descending"]))
        self._colours.choose_again(told["colour"])
        self._soon.stop()

    def keep(self) -> None:
        """Keep the view as it is now, if it has changed."""
        project, told = self._session.project, self._told()
        self._soon.stop()
        if project is not None and not project.read_only and told != project.own.get(_KEPT, _AS_IT_BEGINS):
            self._session.models.ask(lambda: project.own.set(_KEPT, told), on_failed=self._session.failed.emit)
