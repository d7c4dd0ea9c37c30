"""Where a project shall lie: its name, and the folder that it is made in."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.sharing import unused
from mmstudio.desktop.text import tr

LONGEST_NAME = 255
"""Bytes of a name that file systems take."""


class PlaceDialog(QDialog):
    """Asks for the name of a folder that is not there yet, and the one that it will lie in; ``placed`` tells the new
    one's path.
    """

    placed = Signal(object)

    def __init__(self, title: str, name: str, inside: Path, go: str, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._inside = inside
        self.name = QLineEdit(unused(inside / name).name)
        self.name.selectAll()
        self._where = QLabel(wordWrap=True)
        self._where.setTextFormat(Qt.TextFormat.PlainText)
        self.elsewhere = QPushButton(tr("Choose…"), autoDefault=False)
        self.wrong = QLabel(wordWrap=True)
        self.wrong.setProperty("wrong", True)
        row = QHBoxLayout()
        row.addWidget(self._where, 1)
        row.addWidget(self.elsewhere)
        form = QFormLayout()
        form.addRow(tr("Name"), self.name)
        form.addRow(tr("Lies in"), row)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = buttons.addButton(go, QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.wrong)
        layout.addWidget(buttons)
        self.setMinimumWidth(480)
        self.elsewhere.clicked.connect(self._look_elsewhere)
        self.name.textChanged.connect(lambda _: self._check())
        buttons.accepted.connect(self._place)
        buttons.rejected.connect(self.reject)
        self._check()

    @property
    def folder(self) -> Path:
        return self._inside / self.name.text().strip()

    def _look_elsewhere(self) -> None:
        found = QFileDialog.getExistingDirectory(self, tr("Where shall it lie?"), str(self._inside))
        if found:
            self._inside = Path(found)
            self._check()

    def _check(self) -> None:
        name = self.name.text().strip()
        self._where.setText(str(self._inside))
        if not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
            wrong = tr("A project needs a name, without slashes.")
        elif len(os.fsencode(name)) > LONGEST_NAME:
            wrong = tr("That name is too long.")
        else:
            wrong = tr("There is something of that name already.") if os.path.lexists(self.folder) else ""
        self.wrong.setText(wrong if name else "")
        self.go.setEnabled(not wrong)

    def _place(self) -> None:
        self.placed.emit(self.folder)
        self.accept()
