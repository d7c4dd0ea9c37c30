"""Which folders are watched: what appears in them is added by itself."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.places import Places
from mmstudio.desktop.text import tr


class WatchedDialog(QDialog):
    """The watched folders of the open project; a change holds at once."""

    def __init__(self, places: Places, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Watched folders"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._places = places
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
        places.watchedChanged.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.list.clear()
        self.list.addItems([str(folder) for folder in self._places.watched])
        self.remove.setEnabled(False)

    def _add(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Watch a folder"))
        if folder:
            self._places.watch([*self._places.watched, Path(folder)])

    def _remove(self) -> None:
        row = self.list.currentRow()
        self._places.watch([folder for place, folder in enumerate(self._places.watched) if place != row])
