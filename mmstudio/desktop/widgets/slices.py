"""Named slices: filters that a person keeps with the project; what is done to them can be undone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QInputDialog, QLineEdit, QMenu, QToolButton

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.project import Project

_KEPT = "slices"
FILE = "slices.json"
"""Where they lay in projects of an older studio."""


class SlicesButton(QToolButton):
    """A menu of the project's slices; choosing one types it into the filter bar."""

    def __init__(self, session: Session, line: QLineEdit) -> None:
        super().__init__(toolTip=tr("Named slices of the library"))
        self._session, self._line = session, line
        self.slices: dict[str, str] = {}
        self.setMenu(QMenu(self))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu().aboutToShow.connect(self._fill)
        session.projectOpened.connect(self._read)
        session.ownChanged.connect(lambda names: self._read() if _KEPT in names else None)
        THEME.changed.connect(self._icon)
        self._icon()

    def _icon(self) -> None:
        self.setIcon(icon("more"))

    def keep(self, name: str, query: str) -> None:
        """Keep a filter under a name, or ("" as its query) forget it."""
        if query:
            self._keep({**self.slices, name: query}, tr("Slice “{}”").format(name))
        else:
            self._keep({other: kept for other, kept in self.slices.items() if other != name},
                       tr("Forget the slice “{}”").format(name))

    def rename(self, name: str, new: str) -> None:
        """Call a slice otherwise; the name of another one is refused with a word."""
        if new in self.slices and new != name:
            self._session.noted.emit(tr("There is a slice “{}” already.").format(new))
        elif new and new != name:
            self._keep({new if other == name else other: query for other, query in self.slices.items()},
                       tr("Rename the slice “{}”").format(name))

    def _keep(self, slices: dict[str, str], title: str) -> None:
        self.slices = slices
        self._session.keep(_KEPT, slices, title)

    def _read(self) -> None:
        project = self._session.project
        kept = project.own.get(_KEPT) if project is not None else {}
        self.slices = dict(kept or {})
        if project is not None and kept is None:
            file = project.folder / FILE
            self._session.pool.ask(lambda: _read(file), partial(self._found, project))

    def _found(self, project: Project, slices: dict[str, str]) -> None:
        """Those of an older studio."""
        if project is self._session.project and not self.slices:
            self.slices = slices

    def _fill(self) -> None:
        menu, typed = self.menu(), self._line.text().strip()
        menu.clear()
        for name, query in sorted(self.slices.items()):
            menu.addAction(f"{name}    {query}".replace("&", "&&"), partial(self._line.setText, query))
        if self.slices:
            menu.addSeparator()
        menu.addAction(tr("Keep this filter as a slice…"), self._ask_name).setEnabled(bool(typed))
        for title, act in ((tr("Rename"), self._ask_new_name), (tr("Forget"), lambda name: self.keep(name, ""))):
            more = menu.addMenu(title)
            more.setEnabled(bool(self.slices))
            for name in sorted(self.slices):
                more.addAction(name.replace("&", "&&"), partial(act, name))

    def _ask_name(self) -> None:
        name, given = QInputDialog.getText(self, tr("Keep this filter"), tr("Name"))
        if given and name.strip():
            self.keep(name.strip(), self._line.text().strip())

    def _ask_new_name(self, name: str) -> None:
        new, given = QInputDialog.getText(self, tr("Rename the slice"), tr("Name"), text=name)
        if given:
            self.rename(name, new.strip())


def _read(file: Path) -> dict[str, str]:
    """What is there and readable; slices that are lost can be typed again."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): str(query) for name, query in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}
