"""Giving away: a selection as files that other programs read, a whole project as one file, and such a file opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio import paths
from mmstudio.archive import SUFFIX, copy, pack, unpack
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, megabytes, tr
from mmstudio.exports import KINDS, Kind, Outcome, export, exported
from mmstudio.progress import Work
from mmstudio.whereabouts import outside


@dataclass(frozen=True)
class Outside:
    """The files of a project that lie outside its folder, and how long they are together."""

    files: tuple[Path, ...]
    bytes: int


class Sharing(QObject):
    """The intents of giving away, as jobs of the session."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    def export(self, keys: Iterable[int], kind: Kind, target: Path) -> None:
        """Write these items, and those of these samples, in a format."""
        session, project = self._session, self._session.project
        if project is None:
            return
        chosen = with_members(session, keys)
        view, layout, items = session.view, session.layout, session.items.copy()
        samples, limits = list(session.samples.values()), project.limits
        space = view.key.space if view is not None else ""

        def work() -> Work[Outcome]:
            places = {} if layout is None else {
                int(key): (float(x), float(y)) for key, (x, y) in zip(layout.keys, layout.places, strict=True)}
            rows = exported(items.some(chosen.keys),
                            view.vector if view is not None else lambda _: None, places, samples)
            return (yield from export(rows, target, kind, space, lambda item: project.preview(item.content_hash),
                                      limits))

        def told(outcome: Outcome) -> tuple[str, list[tuple[Path, str]]]:
            return tr("{} items → {}").format(count(outcome.count), outcome.path.name), list(outcome.problems)

        self._run(tr("Export"), work, told)

    def look_outside(self, then: Callable[[Outside], None]) -> None:
        """Find the files that lie outside the open project."""
        session, project = self._session, self._session.project
        if project is None:
            return
        items = session.items.copy()

        def look() -> Outside:
            found = outside(items, project.folder)
            return Outside(tuple(found), sum(path.stat().st_size for path in found))

        session.pool.ask(look, then, session.failed.emit)

    def pack(self, target: Path, elsewhere: Outside | None = None, takes_along: bool = False) -> None:
        """Save the open project as one file, with the files that lie elsewhere or without them."""
        project = self._session.project
        if project is None:
            return
        if self._session.jobs.running:
            self._session.noted.emit(tr("A job is writing into the project. Save it when the job has ended."))
            return
        files = elsewhere.files if elsewhere else ()
        about = tr("saved as {}") if not files else (
            tr("saved as {}, with {} files from outside the project") if takes_along else
            tr("saved as {}, without {} files that lie outside the project"))

        def work() -> Work[Path]:
            with project.previews_at_rest():  # whoever scrolls meanwhile changes nothing
                return (yield from pack(project.folder, target, files if takes_along else ()))

        self._run(tr("Saving the project"), work,
                  lambda done: (about.format(done.name, count(len(files))), []))

    def save_as(self, target: Path) -> None:
        """Save the open project into another folder, which is open then."""
        session, project = self._session, self._session.project
        if project is None:
            return
        if session.jobs.running:
            session.noted.emit(tr("A job is writing into the project. Save it when the job has ended."))
            return

        def work() -> Work[Path]:
            with project.previews_at_rest():
                return (yield from copy(project.folder, target))

        def told(folder: Path) -> tuple[str, list[tuple[Path, str]]]:
            if project is session.project:
                session.open_project(folder, create=False)
            return tr("saved as {}").format(folder.name), []

        self._run(tr("Saving the project"), work, told)

    def unpack(self, archive: Path) -> None:
        """Unpack a project's file beside the other projects, and open it."""
        into = unused(paths.default_project().parent / archive.stem)

        def told(folder: Path) -> tuple[str, list[tuple[Path, str]]]:
            self._session.open_project(folder)
            return tr("unpacked to {}").format(folder.name), []

        self._run(tr("Opening {}").format(archive.name), lambda: unpack(archive, into), told)

    def _run(self, title: str, work: Callable[[], Work[Any]],
             told: Callable[[Any], tuple[str, list[tuple[Path, str]]]]) -> None:
        session = self._session
        job = session.jobs.start(title, work, lambda _: None, lambda outcome: job.finish(*told(outcome)),
                                 session.failed.emit, session.network)


def with_members(session: Session, keys: Iterable[int]) -> Selection:
    """The items of these keys, and those of the samples among them."""
    asked = Selection(keys)
    members = [i for key in asked - asked.items if -key in session.samples for i in session.samples[-key].item_ids]
    return Selection(asked.items) | members


def unused(folder: Path) -> Path:
    """The folder, or with a number behind it where that is there already."""
    number, free = 2, folder
    while free.exists():
        free, number = folder.with_name(f"{folder.name} {number}"), number + 1
    return free


class ExportDialog(QDialog):
    """What to export, and as what."""

    def __init__(self, session: Session, sharing: Sharing, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Export"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(560, 380)
        self._session, self._sharing = session, sharing
        self.selected = QRadioButton(tr("The selection ({})").format(count(len(session.selection))))
        self.everything = QRadioButton(tr("All items ({})").format(count(len(session.items))))
        group = QButtonGroup(self)
        for button in (self.selected, self.everything):
            group.addButton(button)
        self.selected.setEnabled(bool(session.selection))
        (self.selected if session.selection else self.everything).setChecked(True)
        self.kinds = QListWidget()
        for kind in KINDS.values():
            line = QListWidgetItem(f"{tr(kind.title)}    {'' if kind.is_folder else kind.suffix}")
            line.setData(Qt.ItemDataRole.UserRole, kind)
            self.kinds.addItem(line)
        self._holds = QLabel(wordWrap=True)
        self.kinds.currentItemChanged.connect(lambda *_: self._holds.setText(tr(self.kind.holds)))
        self.kinds.setCurrentRow(0)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.go = buttons.addButton(tr("Export…"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.clicked.connect(self._choose)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget, stretch in ((self.selected, 0), (self.everything, 0), (self.kinds, 1), (self._holds, 0),
                                (buttons, 0)):
            layout.addWidget(widget, stretch)

    @property
    def kind(self) -> Kind:
        return self.kinds.currentItem().data(Qt.ItemDataRole.UserRole)

    def _choose(self) -> None:
        kind = self.kind
        name = self._session.project.name if self._session.project else "export"
        title = tr("Export as {}").format(tr(kind.title))
        if kind.is_folder:
            chosen = QFileDialog.getExistingDirectory(self, title)
            target = unused(Path(chosen) / f"{name} {kind.id}") if chosen else None
        else:
            chosen, _ = QFileDialog.getSaveFileName(self, title, f"{name}{kind.suffix}", f"*{kind.suffix}")
            target = Path(chosen) if chosen else None
        if target is not None:
            self.start(target if kind.is_folder or target.suffix else target.with_suffix(kind.suffix))

    def start(self, target: Path) -> None:
        """Write, behind the window."""
        keys = self._session.selection if self.selected.isChecked() else self._session.items.ids()
        self._sharing.export(keys, self.kind, target)
        self.accept()


def ask_where_to_pack(sharing: Sharing, name: str, parent: QWidget) -> None:
    """Ask for a file and save the project there."""
    chosen, _ = QFileDialog.getSaveFileName(parent, tr("Save the project as one file"), f"{name}{SUFFIX}", f"*{SUFFIX}")
    if chosen:
        target = Path(chosen) if Path(chosen).suffix else Path(chosen + SUFFIX)
        sharing.look_outside(lambda found: pack_or_ask(sharing, target, found, parent))


def pack_or_ask(sharing: Sharing, target: Path, found: Outside, parent: QWidget) -> None:
    """Save the project; where files lie outside it, ask first what becomes of them."""
    if not found.files:
        sharing.pack(target)
        return
    box = QMessageBox(QMessageBox.Icon.Question, tr("Files outside the project"), tr(
        "{} files of this project lie outside its folder, {} together. Without them, their items are missing where "
        "the file is opened on another computer.").format(count(len(found.files)), megabytes(found.bytes)),
        parent=parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    take = box.addButton(tr("Take them along"), QMessageBox.ButtonRole.AcceptRole)
    leave = box.addButton(tr("Leave them out"), QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(take)
    take.clicked.connect(lambda: sharing.pack(target, found, takes_along=True))
    leave.clicked.connect(lambda: sharing.pack(target, found))
    box.open()


def ask_what_to_unpack(sharing: Sharing, parent: QWidget) -> None:
    """Ask for a project's file and open it."""
    chosen, _ = QFileDialog.getOpenFileName(parent, tr("Open a project's file"), "", f"*{SUFFIX}")
    if chosen:
        sharing.unpack(Path(chosen))
