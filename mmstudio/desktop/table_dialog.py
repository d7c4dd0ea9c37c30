"""The mapping page: a table's first rows, and what each of its columns becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
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
from mmstudio.media.many_tables import PREVIEWED, open_tables
from mmstudio.media.roles import MEDIA_ROLES, ROLES, Mapping, Role, guess_roles, in_role
from mmstudio.media.scan import printable
from mmstudio.media.tables import Table

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


def opened(paths: Sequence[Path], limits: Limits, sheet: str = "", folder: Path | None = None) -> Opened:
    """Files as one table, a sheet of a workbook, media looked for in a ``folder``. Raises MediaError where they are no
    table.
    """
    table = open_tables(paths, limits, sheet)
    table = table.beside(folder) if folder else table
    rows = table.preview(PREVIEWED)
    return Opened(table, rows, guess_roles(table, rows))


class TableDialog(QDialog):
    """Shows the guess; a person changes it above each column. Several files of one schema are one table."""

    def __init__(self, session: Session, paths: Sequence[Path], parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Import a table"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(900, 560)
        self._session, self._paths = session, list(paths)
        self._opened: Opened | None = None
        self._closed = False
        self._asked = 0
        self._folder: Path | None = None
        self.told = QLabel(wordWrap=True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        self.cells = QTableWidget()
        self.cells.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.roles: dict[str, QComboBox] = {}
        layout = QVBoxLayout(self)
        layout.addWidget(self.told)
        layout.addWidget(self._make_places())
        layout.addWidget(self.cells, 1)
        layout.addWidget(self._make_buttons())
        self.finished.connect(lambda _: setattr(self, "_closed", True))
        self._read()

    def _make_places(self) -> QWidget:
        """Which sheet is read, and where media lie that cells name."""
        self.sheet, self.place = QComboBox(), QLineEdit(readOnly=True)
        self.sheet.setAccessibleName(tr("Sheet"))
        self.place.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.place.setAccessibleName(tr("The folder of pictures and sounds"))
        self.sheet.activated.connect(lambda _: self._read())
        self.sheet_label, self.place_label = QLabel(tr("Sheet")), QLabel(tr("Pictures and sounds lie in"))
        self.choose = QPushButton(tr("Choose…"), autoDefault=False)
        self.choose.setToolTip(tr("Choose the folder in which the files lie that the cells name"))
        self.choose.clicked.connect(self._choose)
        self.places = QWidget()
        row = QHBoxLayout(self.places)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.sheet_label, self.sheet, self.place_label, self.place, self.choose):
            row.addWidget(widget, int(widget is self.place))
            widget.hide()
        return self.places

    def _make_buttons(self) -> QDialogButtonBox:
        session, paths = self._session, self._paths
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = buttons.addButton(tr("Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.setEnabled(False)
        self.go.clicked.connect(self._import)
        words = tr("Add as plain files") if len(paths) > 1 else tr("Add as a plain file")
        plain = buttons.addButton(words, QDialogButtonBox.ButtonRole.ActionRole)
        plain.setToolTip(tr("Read it as texts, or as what it is, without making samples"))
        plain.clicked.connect(lambda: (session.add(paths), self.accept()))
        buttons.rejected.connect(self.reject)
        return buttons

    def _choose(self) -> None:
        start = self._opened.table.folder if self._opened else None
        folder = QFileDialog.getExistingDirectory(self, tr("Where do the pictures and sounds lie?"), str(start or ""))
        if folder:
            self.look_in(Path(folder))

    def look_in(self, folder: Path) -> None:
        """Media that cells name lie in this folder."""
        self._folder = folder
        self._read()

    def _read(self) -> None:
        """Open the table as it is asked for now; an answer to an older question is dropped."""
        self._asked += 1
        paths, sheet, folder, asked = self._paths, self.sheet.currentText(), self._folder, self._asked
        limits = self._session.project.limits if self._session.project else Limits()
        self.go.setEnabled(False)
        self.told.setText(tr("Reading {}…").format(printable(paths[0].name)))

        def shown(found: Opened) -> None:
            if not self._closed and asked == self._asked:
                self._show(found)

        def cannot(error: StudioError) -> None:
            if not self._closed and asked == self._asked:
                self.told.setText(str(error))

        self._session.pool.ask(lambda: opened(paths, limits, sheet, folder), shown, cannot)

    def _show(self, found: Opened) -> None:
        """Fill the page; a role that the person gave a column stays where the column is still there."""
        given = {name: box.currentData() for name, box in self.roles.items()
                 if self._opened and box.currentData() != self._opened.roles[name].role}
        self._opened, self.roles = found, {}
        names = [column.name for column in found.table.columns]
        self.cells.clear()
        self.cells.setColumnCount(len(names))
        self.cells.setRowCount(1 + len(found.rows))
        self.cells.setHorizontalHeaderLabels(names)
        self.cells.setVerticalHeaderLabels([tr("becomes"), *(str(n) for n in range(1, len(found.rows) + 1))])
        for place, name in enumerate(names):
            self._show_column(place, name, given.get(name, found.roles[name].role))
        self._show_places(found.table)
        self._tell()

    def _show_column(self, place: int, name: str, chosen: Role) -> None:
        rows = self._opened.rows if self._opened else []
        box = self.roles[name] = QComboBox()
        for role in ROLES:
            box.addItem(tr(ROLE_NAMES[role]), role)
        box.setItemData(ROLES.index("label"), tr("Each entry of a list is a tag; several columns may be labels"),
                        Qt.ItemDataRole.ToolTipRole)
        box.setCurrentIndex(ROLES.index(chosen))
        box.currentIndexChanged.connect(lambda _: self._tell())
        self.cells.setCellWidget(0, place, box)
        self.cells.setColumnWidth(place, 150)
        for row, values in enumerate(rows, 1):
            self.cells.setItem(row, place, QTableWidgetItem(_shown(values.get(name))))

    def _show_places(self, table: Table) -> None:
        self.sheet.clear()
        self.sheet.addItems(list(table.sheets))
        self.sheet.setCurrentText(table.sheet)
        self.place.setText(printable(table.folder or ""))
        of_sheets: tuple[QWidget, ...] = (self.sheet_label, self.sheet)
        for widget in (*of_sheets, self.place_label, self.place, self.choose):
            widget.setVisible(len(table.sheets) > 1 if widget in of_sheets else table.folder is not None)

    def _tell(self) -> None:
        if self._opened is None:
            return
        table, chosen = self._opened.table, [box.currentData() for box in self.roles.values()]
        media = [tr(ROLE_NAMES[role]).lower() for role in MEDIA_ROLES if role in chosen]
        rows = tr("{} rows").format(count(table.count)) if table.count is not None else tr("Rows")
        if table.parts:
            rows = tr("{} of {} files").format(rows, count(len(table.parts)))
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
        rows = self._opened.rows
        return {name: in_role(self._opened.roles[name], box.currentData(), [row.get(name) for row in rows])
                for name, box in self.roles.items()}

    def _import(self) -> None:
        if self._opened is not None:
            self._session.add_table(self._opened.table, self.mapping())
            self.accept()


def _shown(cell: object) -> str:
    if isinstance(cell, Blob):
        return tr("‹bytes›")
    text = "" if cell is None else str(cell)
    return printable(text[:SHOWN_CHARACTERS]) + ("…" if len(text) > SHOWN_CHARACTERS else "")
