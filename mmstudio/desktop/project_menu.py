"""The ways to a project and away from it: new, open, open recent, save as, as one file, close."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from mmstudio import paths
from mmstudio.desktop import recent
from mmstudio.desktop.actions import Actions, Intent
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.errors import ProjectError
from mmstudio.library.folder import is_project

if TYPE_CHECKING:
    from mmstudio.desktop.sharing import Sharing

MENU = "&Project"
NEEDS_PROJECT = ("save_as", "pack", "close_project")


class ProjectMenu(QObject):
    """The intents of the menu, and what they ask the person."""

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._window = session, window
        self.recent = QMenu(tr("Open recent"), window)
        self.recent.aboutToShow.connect(self._list_recent)
        self._listed = 0

    def intents(self) -> list[Intent]:
        return [
            Intent("new_project", "New project…", MENU, self._new, "Ctrl+N"),
            Intent("open", "Open a project…", MENU, self._open),
            Intent("unpack", "Open a project's file…", MENU, self._unpack),
            Intent("save_as", "Save the project as…", MENU, self._save_as, "Ctrl+Shift+S"),
            Intent("pack", "Save the project as one file…", MENU, self._pack),
            Intent("close_project", "Close the project", MENU, self._session.close_project, "Ctrl+W"),
            Intent("quit", "Quit", MENU, self._quit, "Ctrl+Q"),
        ]

    def take_place(self, actions: Actions) -> None:
        """Put the recent projects into the menu that was made of the intents."""
        menu = next(made for made in actions.by_id["unpack"].associatedObjects() if isinstance(made, QMenu))
        menu.insertMenu(actions.by_id["unpack"], self.recent)
        self._session.projectOpened.connect(lambda: self._enable(actions))
        self._enable(actions)

    def _enable(self, actions: Actions) -> None:
        for name in NEEDS_PROJECT:
            actions.by_id[name].setEnabled(self._session.project is not None)

    @cached_property
    def sharing(self) -> Sharing:
        from mmstudio.desktop.sharing import Sharing  # here, for the window paints before it is loaded

        return Sharing(self._session)

    # ---- opening ------------------------------------------------------------------------------------------------

    def open_there(self, folder: Path) -> None:
        """Open the project in a folder; where there is none, say so and leave the folder as it is."""
        def opened(there: bool) -> None:
            if there:
                self._session.open_project(folder, create=False)
            else:
                self._session.failed.emit(ProjectError(
                    f"There is no project in “{folder.name}”.", path=folder,
                    hint="“New project…” makes one, “Add a folder…” adds a folder's files to the open one."))

        self._session.pool.ask(lambda: is_project(folder), opened, self._session.failed.emit)

    def _open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._window, tr("Open a project"), str(self._beside()))
        if folder:
            self.open_there(Path(folder))

    def _beside(self) -> Path:
        """The folder in which the open project lies, for the others lie there most often."""
        project = self._session.project
        return project.folder.parent if project is not None else paths.default_project().parent

    def _list_recent(self) -> None:
        """All at once; those that are gone are greyed when the disk has been asked."""
        here = self._session.project.folder if self._session.project else None
        folders = [one for one in recent.recent(self._session.settings) if one != here]
        self.recent.clear()
        shown = {folder: self.recent.addAction(_named(folder), partial(self.open_there, folder)) for folder in folders}
        if not folders:
            self.recent.addAction(tr("No other project yet")).setEnabled(False)
        self._listed += 1
        self._session.pool.ask(lambda: [one for one in folders if not is_project(one)],
                               partial(self._missing, self._listed, shown))

    def _missing(self, listed: int, shown: dict[Path, QAction], gone: list[Path]) -> None:
        if listed != self._listed or not gone:
            return
        for folder in gone:
            shown[folder].setEnabled(False)
            shown[folder].setText(tr("{} – not there").format(_named(folder)))
        self.recent.addSeparator()
        self.recent.addAction(tr("Forget those that are not there"),
                              lambda: recent.forget(self._session.settings, gone))

    def _quit(self) -> None:
        self._window.close()

    # ---- making and saving --------------------------------------------------------------------------------------

    def _new(self) -> None:
        from mmstudio.desktop.place_dialog import PlaceDialog

        dialog = PlaceDialog(tr("New project"), tr("My project"), paths.default_project().parent, tr("Make"),
                             self._window)
        dialog.placed.connect(self._session.open_project)
        dialog.open()

    def _save_as(self) -> None:
        from mmstudio.desktop.place_dialog import PlaceDialog

        project = self._session.project
        if project is not None:
            dialog = PlaceDialog(tr("Save the project as"), project.name, project.folder.parent, tr("Save"),
                                 self._window)
            dialog.placed.connect(self.sharing.save_as)
            dialog.open()

    def _pack(self) -> None:
        from mmstudio.desktop.sharing import ask_where_to_pack

        if self._session.project:
            ask_where_to_pack(self.sharing, self._session.project.name, self._window)

    def _unpack(self) -> None:
        from mmstudio.desktop.sharing import ask_what_to_unpack

        ask_what_to_unpack(self.sharing, self._window)


def _named(folder: Path) -> str:
    return f"{folder.name}    {folder.parent}".replace("&", "&&")
