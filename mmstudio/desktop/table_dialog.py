"""The mapping page: a table's first rows, and what each of its columns becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.errors import StudioError
from mmstudio.media import Limits
from mmstudio.media.blobs import Blob
from mmstudio.media.roles import MEDIA_ROLES, ROLES, By, Mapping, Role
from mmstudio.media.scan import printable
from mmstudio.media.tables import Table, guess_roles, open_table

PREVIEWED = 20
SHOWN_CHARACTERS = 80
ROLE_NAMES: dict[Role, str] = {
    "image": "Picture", "audio": "Sound", "text": "Text", "label": "Label (a tag)", "split": "Split",
    "column": "Column", "ignore": "Leave out",
}


@dataclass(frozen=True)
class Opened:
    """A table, its first rows, and what its columns seem to be for."""

    table: Table
    rows: list[dict[str, object]]
    roles: dict[str, Mapping]


def opened(path: Path, limits: Limits) -> Opened:
    """Raises MediaError where the path is no table."""
    table = open_table(path, limits)
    rows = table.preview(PREVIEWED)
    return Opened(table, rows, guess_roles(table, rows))


class TableDialog(QDialog):
    """Shows the guess; a person changes it above each column."""

    def __init__(self, session: Session, path: Path, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Import a table"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(900, 560)
        self._session = session
        self._opened: Opened | None = None
        self._closed = False
        self.told = QLabel(tr("Reading {}…").format(printable(path.name)), wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.cells = QTableWidget()
        self.cells.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.roles: dict[str, QComboBox] = {}
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = buttons.addButton(tr("Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.setEnabled(False)
        self.go.clicked.connect(self._import)
        plain = buttons.addButton(tr("Add as a plain file"), QDialogButtonBox.ButtonRole.ActionRole)
        plain.setToolTip(tr("Read it as texts, or as what it is, without making samples"))
        plain.clicked.connect(lambda: (session.add([path]), self.accept()))
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget, stretch in ((self.told, 0), (self.cells, 1), (buttons, 0)):
            layout.addWidget(widget, stretch)
        self.finished.connect(lambda _: setattr(self, "_closed", True))
        limits = session.project.limits if session.project else Limits()
        session.pool.ask(lambda: opened(path, limits), self._show, self._cannot)

    def _cannot(self, error: StudioError) -> None:
        if not self._closed:
            self.told.setText(str(error))

    def _show(self, found: Opened) -> None:
        if self._closed:
            return
        self._opened = found
        names = [column.name for column in found.table.columns]
        self.cells.setColumnCount(len(names))
        self.cells.setRowCount(1 + len(found.rows))
        self.cells.setHorizontalHeaderLabels(names)
        self.cells.setVerticalHeaderLabels([tr("becomes"), *(str(n) for n in range(1, len(found.rows) + 1))])
        for place, name in enumerate(names):
            box = self.roles[name] = QComboBox()
            for role in ROLES:
                box.addItem(tr(ROLE_NAMES[role]), role)
            box.setCurrentIndex(ROLES.index(found.roles[name].role))
            box.currentIndexChanged.connect(lambda _: self._tell())
            self.cells.setCellWidget(0, place, box)
            self.cells.setColumnWidth(place, 150)
            for row, values in enumerate(found.rows, 1):
                self.cells.setItem(row, place, QTableWidgetItem(_shown(values.get(name))))
        self._tell()

    def _tell(self) -> None:
        if self._opened is None:
            return
        table, chosen = self._opened.table, [box.currentData() for box in self.roles.values()]
        media = [tr(ROLE_NAMES[role]).lower() for role in MEDIA_ROLES if role in chosen]
        rows = tr("{} rows").format(count(table.count)) if table.count is not None else tr("Rows")
        self.go.setEnabled(bool(media))
        if media:
            self.told.setText(tr("{}. Each becomes a sample of its {}; other columns are kept. {}").format(
                rows, " + ".join(media), table.note).strip())
        else:
            self.told.setText(tr("{}. Choose which column is a picture, a sound or a text.").format(rows))

    def mapping(self) -> dict[str, Mapping]:
        """What each column becomes, as chosen; where media lie follows from the cells."""
        if self._opened is None:
            return {}
        out = {}
        for name, box in self.roles.items():
            guess, role = self._opened.roles[name], box.currentData()
            out[name] = guess if guess.role == role else replace(guess, role=role, by=self._by(name, role))
        return out

    def _by(self, name: str, role: Role) -> By:
        cells = [row.get(name) for row in self._opened.rows] if self._opened else []
        if any(isinstance(cell, Blob) for cell in cells):
            return "bytes"
        return "path" if role in ("image", "audio") else "value"

    def _import(self) -> None:
        if self._opened is not None:
            self._session.add_table(self._opened.table, self.mapping())
            self.accept()


def _shown(cell: object) -> str:
    if isinstance(cell, Blob):
        return tr("‹bytes›")
    text = "" if cell is None else str(cell)
    return printable(text[:SHOWN_CHARACTERS]) + ("…" if len(text) > SHOWN_CHARACTERS else "")
