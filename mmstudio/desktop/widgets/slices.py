"""Named slices: filters that a person keeps with the project."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QInputDialog, QLineEdit, QMenu, QToolButton

from mmstudio import paths
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.errors import ProjectError

FILE = "slices.json"


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
        THEME.changed.connect(self._icon)
        self._icon()

    def _icon(self) -> None:
        self.setIcon(icon("more"))

    def keep(self, name: str, query: str) -> None:
        """Keep a filter under a name, or ("" as its query) forget it."""
        if query:
            self.slices[name] = query
        else:
            self.slices.pop(name, None)
        project, told = self._session.project, dict(self.slices)
        if project is not None:
            file = project.folder / FILE
            self._session.pool.ask(lambda: _write(file, told), lambda _: None, self._session.failed.emit)

    def _read(self) -> None:
        self.slices = {}
        project = self._session.project
        if project is not None:
            file = project.folder / FILE
            self._session.pool.ask(lambda: _read(file), self._found)

    def _found(self, slices: dict[str, str]) -> None:
        self.slices = slices

    def _fill(self) -> None:
        menu, typed = self.menu(), self._line.text().strip()
        menu.clear()
        for name, query in sorted(self.slices.items()):
            menu.addAction(f"{name}    {query}".replace("&", "&&"), partial(self._line.setText, query))
        if self.slices:
            menu.addSeparator()
        menu.addAction(tr("Keep this filter as a slice…"), self._ask_name).setEnabled(bool(typed))
        forget = menu.addMenu(tr("Forget"))
        forget.setEnabled(bool(self.slices))
        for name in sorted(self.slices):
            forget.addAction(name.replace("&", "&&"), partial(self.keep, name, ""))

    def _ask_name(self) -> None:
        name, given = QInputDialog.getText(self, tr("Keep this filter"), tr("Name"))
        if given and name.strip():
            self.keep(name.strip(), self._line.text().strip())


def _write(file: Path, slices: dict[str, str]) -> None:
    try:
        paths.write_atomically(file, json.dumps(slices, indent=2, ensure_ascii=False).encode())
    except OSError as error:
        raise ProjectError(f"The slices could not be written ({error.strerror}).", path=file) from error


def _read(file: Path) -> dict[str, str]:
    """What is there and readable; slices that are lost can be typed again."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): str(query) for name, query in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}
