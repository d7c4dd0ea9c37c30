"""Which folders are watched: what appears in them is added by itself."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.folder_dialog import KINDS, ask_folder
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.media.choice import Choice


class WatchedDialog(QDialog):
    """The watched folders of the open project; a change holds at once."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Watched folders"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._session, self._places = session, session.places
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Watched folders"))
        self.add = QPushButton(tr("Watch a folder…"), autoDefault=False)
        self.remove = QPushButton(tr("Stop watching"), autoDefault=False)
        told = QLabel(tr("Files that appear in these folders are added by themselves while the project is open, and "
                         "what came meanwhile when it is opened again. Tables are left aside: drop one on the window "
                         "to say what its columns are."))
        told.setWordWrap(True)
        told.setProperty("faint", True)
        row = QHBoxLayout()
        row.addWidget(self.add)
        row.addWidget(self.remove)
        row.addStretch(1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.addWidget(told)
        layout.addWidget(self.list, 1)
        layout.addLayout(row)
        layout.addWidget(buttons)
        self.resize(520, 320)
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(lambda row: self.remove.setEnabled(row >= 0))
        self._places.watchedChanged.connect(self._show)
        session.failed.connect(self._failed)
        self._show()

    def _show(self) -> None:
        self.list.clear()
        self.list.addItems(["    ".join(filter(None, (str(folder), _told(choice))))
                            for folder, choice in self._places.watched.items()])
        self._wait(False)
        self.remove.setEnabled(False)

    def _wait(self, waits: bool) -> None:
        """What is said next would be said of what was before."""
        for part in (self.list, self.add, self.remove):
            part.setEnabled(not waits)

    def _watch(self, folders: dict[Path, Choice]) -> None:
        self._wait(folders != self._places.watched)
        self._places.watch(folders)

    def _failed(self, _: object) -> None:
        self._wait(False)

    def _add(self) -> None:
        if dialog := ask_folder(self._session, tr("Watch a folder"), tr("Watch"), self):
            dialog.chosen.connect(lambda folder, choice: self._watch({**self._places.watched, folder: choice}))

    def _remove(self) -> None:
        row = self.list.currentRow()
        self._watch({folder: choice for place, (folder, choice) in enumerate(self._places.watched.items())
                     if place != row})


def _told(choice: Choice) -> str:
    """What is meant, where that is not everything."""
    kinds = ", ".join(tr(KINDS[kind]) for kind in KINDS if kind in choice.kinds)
    return " · ".join(filter(None, (kinds, choice.pattern, "" if choice.subfolders else tr("without subfolders"))))
