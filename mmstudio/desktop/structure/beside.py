"""Long sums of a page: reckoned in the process beside the window, with progress and a button that stops them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.worker import Ticket
from mmstudio.errors import StudioError
from mmstudio.explore.aside import Aside
from mmstudio.progress import Progress, Work

FEW = 20_000
"""Rows of vectors: what looks at so many answers sooner here than the process beside the window does."""
T = TypeVar("T")


def aside_if_many(aside: Aside, number: int, function: Callable[..., Work[T]], *arguments: Any) -> Work[T]:
    """The same work as ``function(*arguments)``, in the process beside the window where it is about many rows: numpy
    holds the interpreter's lock while it gathers them.
    """
    return function(*arguments) if number <= FEW else aside.run(function, *arguments)


class Reckoning(QWidget):
    """A bar and a button that are seen while something is reckoned. Of several only the newest is answered, and none of
    another project or model.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._ticket: Ticket | None = None
        self.line, self.bar, self.stop_button = QLabel(), QProgressBar(textVisible=False), QPushButton(tr("Stop"))
        self.line.setProperty("faint", True)
        self.bar.setAccessibleName(tr("Progress"))
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 0, 0)
        layout.addWidget(self.bar, 1, 0)
        layout.addWidget(self.stop_button, 0, 1, 2, 1)
        layout.setColumnStretch(0, 1)
        self.stop_button.clicked.connect(self.cancel)
        for changed in (session.projectOpened, session.encoderChanged):
            changed.connect(self.cancel)
        self.show_step(None)

    def start(self, work: Callable[[], Work[Any]], then: Callable[[Any], None]) -> None:
        """Do the work, ``then`` tell its outcome."""
        self.cancel()

        def done(found: Any) -> None:
            self.show_step(None)
            then(found)

        def failed(error: StudioError) -> None:
            self.show_step(None)
            self._session.failed.emit(error)

        self.show_step(Progress(0, 0, tr("starting")))
        self._ticket = self._session.beside.run(work, on_step=self.show_step, on_done=done, on_failed=failed)

    @property
    def running(self) -> bool:
        return self._ticket is not None and not self._ticket.ended

    def cancel(self) -> None:
        """Stop what runs; nothing is answered."""
        if self._ticket is not None:
            self._ticket.cancel()
        self._ticket = None
        self.show_step(None)

    def show_step(self, progress: Progress | None) -> None:
        """Show how far it is; None where nothing runs."""
        for widget in (self.line, self.bar, self.stop_button):
            widget.setVisible(progress is not None)
        if progress is not None:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            share = f"  {progress.done / progress.total:.0%}" if progress.total else ""
            self.line.setText(tr(progress.text) + share)
