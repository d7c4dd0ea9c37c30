"""A report of the selection with its explanations, as a web page or a PDF: what is asked, and the job."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
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

from mmstudio.desktop.asking import Answer
from mmstudio.desktop.pages import Pages
from mmstudio.desktop.session import Session
from mmstudio.desktop.sharing import with_members
from mmstudio.desktop.text import count, tr
from mmstudio.encoders.base import Encoder, Vectors
from mmstudio.explain.methods import Method, offered
from mmstudio.explain.report import Report, Wish, reported
from mmstudio.explain.report_html import page_html
from mmstudio.exports.report_page import written_page
from mmstudio.exports.target import ExportError, checked, written
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work
from mmstudio.project import Project

KINDS = {".html": "Web page (.html)", ".pdf": "PDF (.pdf)"}
Query = Answer | Path | str


class Reporting(QObject):
    """Writes reports as jobs of the session."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    def write(self, keys: Iterable[int], target: Path, query: Query, method: Method, tests: bool) -> None:
        """Write a report of these items, and those of these samples, to a file whose ending says as what. An empty
        query explains what carries each item's own vector. Cancelled, it leaves the file as it was.
        """
        session, project, encoder = self._session, self._session.project, self._session.encoder
        if project is None or encoder is None:
            session.noted.emit(tr("No model is ready yet."))
            return
        chosen, items, samples = with_members(session, keys), session.items.copy(), list(session.samples.values())
        title = tr("Report of {} items of “{}”").format(count(len(chosen)), project.name)
        in_pages = target.suffix.lower() == ".pdf"
        pages = Pages(title) if in_pages else None

        def work() -> Work[Report]:
            checked(target, ExportError, folder=False)  # before all that takes long
            found = reported(encoder, Wish(
                title, list(items.some(chosen.keys)), items, samples, project.vectors(encoder), project.limits, method,
                _told(query), _vector(project, encoder, query), tests,
                lambda item: project.preview(item.content_hash)))
            return (yield from found if in_pages else written_page(found, target))

        def step(progress: Progress) -> None:
            if pages is not None and (html := page_html(progress.fresh)):
                pages.add(html)

        def done(report: Report) -> None:
            if pages is None:
                job.finish(*_outcome(report, target))
            else:
                session.jobs.forget(job)
                self._save(report, target, pages.end())

        job = session.jobs.start(tr("Report"), work, step, done, session.failed.emit)

    def _save(self, report: Report, target: Path, content: bytes) -> None:
        """Write the pages, which were made here, behind the window."""
        session = self._session

        def work() -> Work[Path]:
            yield Progress(0, 1, target.name)
            return written(target, content)

        job = session.jobs.start(tr("Report"), work, lambda _: None,
                                 lambda _: job.finish(*_outcome(report, target)), session.failed.emit, session.network)


def _vector(project: Project, encoder: Encoder, query: Query) -> Vectors | None:
    """``(dim,)`` of the query, None of an empty one. On the models' lane."""
    if isinstance(query, Answer):
        return query.query
    return project.query(encoder, query) if _told(query) else None


def _told(query: Query) -> str:
    if isinstance(query, Answer):
        return query.title
    return query.name if isinstance(query, Path) else query.strip()


def _outcome(report: Report, target: Path) -> tuple[str, list[tuple[Path, str]]]:
    return (tr("{} items → {}").format(count(report.count), printable(target.name)),
            [(entry.item.path, " ".join(entry.notes)) for entry in report.entries if entry.notes])


class ReportDialog(QDialog):
    """What the report explains and how. ``words`` are what the window compares with where nothing was searched for."""

    def __init__(self, session: Session, reporting: Reporting, words: str, parent: QWidget) -> None:
        super().__init__(parent, windowTitle=tr("Report of the selection"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(520)
        self._session, self._reporting = session, reporting
        self._answer = None if session.asking.closes_gap else session.answer
        self._file: Path | None = None
        self.query = QLineEdit(self._answer.title if self._answer else words,
                               placeholderText=tr("Nothing: what carries each item's own vector"))
        self.kind, self.method = QComboBox(), QComboBox()
        self.tests = QCheckBox(tr("Test whether each explanation is true (takes longer)"))
        self.tests.setChecked(True)
        for suffix, kind in KINDS.items():
            self.kind.addItem(tr(kind), suffix)
        for method in offered(session.encoder) if session.encoder else ():
            self.method.addItem(tr(method.title) if method.quick else tr("{} (slow)").format(tr(method.title)), method)
            self.method.setItemData(self.method.count() - 1, tr(method.text), Qt.ItemDataRole.ToolTipRole)
        self._build(len(with_members(session, session.selection)))
        for changed in (session.encoderChanged, session.projectOpened):  # what is asked holds in one space alone
            changed.connect(self.reject)

    def _build(self, number: int) -> None:
        browse = QPushButton(tr("File…"))
        browse.setToolTip(tr("Compare with a picture, a sound or a text of a file"))
        browse.clicked.connect(self._browse)
        self.query.textEdited.connect(self._typed)
        asked, form, layout = QHBoxLayout(), QFormLayout(), QVBoxLayout(self)
        asked.addWidget(self.query, 1)
        asked.addWidget(browse)
        form.addRow(tr("Nearness to"), asked)
        form.addRow(tr("Method"), self.method)
        form.addRow("", self.tests)
        form.addRow(tr("As"), self.kind)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.go = buttons.addButton(tr("Write the report…"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setProperty("primary", True)
        self.go.setEnabled(self.method.count() > 0)
        self.go.clicked.connect(self._choose)
        buttons.rejected.connect(self.reject)
        layout.addWidget(QLabel(tr("{} items, each with its explanation, its neighbours and what is known of it, in "
                                   "one file that can be given away or printed.").format(count(number)), wordWrap=True))
        layout.addLayout(form)
        layout.addWidget(buttons)

    def _typed(self) -> None:
        self._answer = self._file = None

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Compare with a file"))
        if chosen:
            self.compare_with(Path(chosen))

    def compare_with(self, file: Path) -> None:
        """Explain the nearness to the first item of a file."""
        self._answer, self._file = None, file
        self.query.setText(printable(file.name))

    def _choose(self) -> None:
        name, suffix = self._session.project.name if self._session.project else "report", self.kind.currentData()
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Write the report"), f"{name}{suffix}", f"*{suffix}")
        if chosen:
            self.start(Path(chosen) if Path(chosen).suffix.lower() in KINDS else Path(chosen + suffix))

    def start(self, target: Path) -> None:
        """Write, behind the window."""
        self._reporting.write(self._session.selection, target, self._answer or self._file or self.query.text().strip(),
                              self.method.currentData(), self.tests.isChecked())
        self.accept()
