"""Jobs: progress, rate, time left, pause, cancel, and what came of each."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.jobs import Job, Jobs
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.worker import State
from mmstudio.media.scan import printable


class JobLine(QFrame):
    """One job."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        title = QLabel(job.title)
        title.setMinimumWidth(84)
        title.setProperty("heading", True)
        self._bar = QProgressBar(textVisible=False)
        self._bar.setFixedWidth(180)
        self._line = QLabel()
        self._line.setTextFormat(Qt.TextFormat.PlainText)
        self._line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._show = QPushButton(tr("Show"))
        self._show.clicked.connect(self._show_problems)
        self.pause = QToolButton()
        self.pause.clicked.connect(self._toggle)
        self.cancel = QToolButton(toolTip=tr("Cancel; what was done is kept"))
        self.cancel.clicked.connect(job.cancel)
        layout.addWidget(title)
        layout.addWidget(self._bar)
        layout.addWidget(self._line, 1)
        layout.addWidget(self._show)
        layout.addWidget(self.pause)
        layout.addWidget(self.cancel)
        job.changed.connect(self.refresh)
        THEME.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        job, progress = self.job, self.job.progress
        ended = job.ticket is not None and job.ticket.ended
        paused = job.state is State.PAUSED
        self._bar.setVisible(not ended)
        self._bar.setRange(0, progress.total)
        self._bar.setValue(progress.done)
        line = job.line().replace("\n", " ")
        self._line.setText(line)
        self._show.setVisible(bool(job.problems))
        self.pause.setVisible(not ended)
        self.cancel.setVisible(not ended)
        self.pause.setIcon(icon("play" if paused else "pause"))
        self.pause.setToolTip(tr("Continue") if paused else tr("Pause"))
        self.cancel.setIcon(icon("close"))

    def _toggle(self) -> None:
        if self.job.state is State.PAUSED:
            self.job.resume()
        else:
            self.job.pause()

    def _show_problems(self) -> None:
        lines = [f"{printable(path)}\n    {reason}" for path, reason in self.job.problems]
        show_text(self, tr("What could not be read"), "\n".join(lines))


def show_text(parent: QWidget, title: str, text: str) -> None:
    """A window with plain text that can be copied."""
    dialog = QDialog(parent.window(), windowTitle=title)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.resize(720, 420)
    layout = QVBoxLayout(dialog)
    shown = QPlainTextEdit(text, readOnly=True)
    shown.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    layout.addWidget(shown)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    layout.addWidget(buttons)
    dialog.open()


class JobsPanel(QWidget):
    """All jobs of this session, newest on top."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        body = QWidget()
        self._lines = QVBoxLayout(body)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.setSpacing(0)
        self._lines.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(body)
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState(tr("Long work appears here with its progress. It can be paused and "
                                            "cancelled; what was done is kept.")))
        self._stack.addWidget(scroll)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        jobs.added.connect(self._add)
        jobs.forgotten.connect(self._forget)

    def _add(self, job: Job) -> None:
        self._stack.setCurrentIndex(1)
        self._lines.insertWidget(0, JobLine(job))

    def _forget(self, job: Job) -> None:
        for index in range(self._lines.count() - 1):
            found = self._lines.itemAt(index)
            line = found.widget() if found else None
            if isinstance(line, JobLine) and line.job is job:
                self._lines.removeWidget(line)
                line.deleteLater()
                break
        self._stack.setCurrentIndex(1 if self._lines.count() > 1 else 0)
