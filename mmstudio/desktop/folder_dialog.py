"""Which files of a folder are meant: their kinds, their names, and whether those in its subfolders are; how many that
are is counted behind it.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.worker import Ticket
from mmstudio.errors import StudioError
from mmstudio.media import Kind
from mmstudio.media.choice import Choice
from mmstudio.media.counting import Count, counting
from mmstudio.progress import Progress

TYPING_MS = 250
KINDS = {Kind.IMAGE: "Pictures", Kind.AUDIO: "Sounds", Kind.VIDEO: "Videos", Kind.TEXT: "Texts"}


class FolderDialog(QDialog):
    """Asks about one folder; ``chosen`` tells it and the choice of its files."""

    chosen = Signal(object, object)

    def __init__(self, session: Session, folder: Path, title: str, go: str, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._session, self._folder = session, folder
        self._counting: Ticket | None = None
        self.kinds = {kind: QCheckBox(tr(name), checked=True) for kind, name in KINDS.items()}
        self.pattern = QLineEdit(placeholderText=tr("any name, or a pattern like *.jpg"), clearButtonEnabled=True)
        self.subfolders = QCheckBox(tr("Also what lies in its subfolders"), checked=True)
        self.told = QLabel(wordWrap=True)
        self.told.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.told.setAlignment(Qt.AlignmentFlag.AlignTop)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = buttons.addButton(go, QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        buttons.accepted.connect(self._choose)
        buttons.rejected.connect(self.reject)
        self._build(buttons)
        self._again = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._again.timeout.connect(self._count)
        for box in (*self.kinds.values(), self.subfolders):
            box.toggled.connect(lambda _: self._changed())
        self.pattern.textChanged.connect(lambda _: self._changed())
        self.finished.connect(lambda _: self._stop())
        self._changed()

    def _build(self, buttons: QDialogButtonBox) -> None:
        where = QLabel(str(self._folder), wordWrap=True)
        where.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        for box in self.kinds.values():
            row.addWidget(box)
        row.addStretch(1)
        form = QFormLayout()
        form.addRow(tr("Folder"), where)
        form.addRow(tr("Take"), row)
        form.addRow(tr("Named"), self.pattern)
        form.addRow("", self.subfolders)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.told)
        layout.addStretch(1)
        layout.addWidget(buttons)
        self.setMinimumWidth(480)

    @property
    def choice(self) -> Choice:
        """What is chosen now; where every kind is, none is left out, also of those that are not known."""
        kinds = frozenset(kind for kind, box in self.kinds.items() if box.isChecked())
        return Choice(frozenset() if len(kinds) == len(KINDS) else kinds, self.pattern.text().strip(),
                      self.subfolders.isChecked())

    def _changed(self) -> None:
        self._stop()
        some = any(box.isChecked() for box in self.kinds.values())
        self.go.setEnabled(some)
        if some:
            self.told.setText(tr("Counting…"))
            self._again.start()
        else:
            self.told.setText(tr("Choose at least one kind of files."))

    def _count(self) -> None:
        folder, choice, captions = self._folder, self.choice, self._session.settings["captions"]

        def step(progress: Progress) -> None:
            if isinstance(progress.fresh, Count):
                self.told.setText(tr("{} … counting").format(counted(progress.fresh)))

        def failed(error: StudioError) -> None:
            self.told.setText(str(error))

        self._counting = self._session.maths.run(
            lambda: counting(folder, choice, captions), on_step=step,
            on_done=lambda found: self.told.setText(counted(found)), on_failed=failed)

    def _stop(self) -> None:
        self._again.stop()
        if self._counting is not None:
            self._counting.cancel()
        self._counting = None

    def _choose(self) -> None:
        self.chosen.emit(self._folder, self.choice)
        self.accept()


def counted(found: Count) -> str:
    """“Pictures 13 · Captions 2 · Tables 1”, as far as there are any."""
    numbers = {**{tr(name): found.kinds[kind] for kind, name in KINDS.items()}, tr("Captions"): found.captions,
               tr("Tables"): found.tables, tr("Unreadable"): found.others}
    parts = [f"{name} {count(number)}" for name, number in numbers.items() if number]
    return " · ".join(parts) or tr("Nothing here is of this choice.")


def ask_folder(session: Session, title: str, go: str, parent: QWidget) -> FolderDialog | None:
    """Ask for a folder, then which of its files are meant; None where none was named."""
    folder = QFileDialog.getExistingDirectory(parent, title)
    if not folder:
        return None
    dialog = FolderDialog(session, Path(folder), title, go, parent)
    dialog.open()
    return dialog
