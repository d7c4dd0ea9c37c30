"""What a page shows of a run, read behind the window while the page is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QWidget

from mmstudio.desktop.session import Session
from mmstudio.errors import StudioError
from mmstudio.training.runs import Run

Stamp = int
Read = Callable[[Run, Stamp], Callable[[], tuple[Stamp, Any] | None]]
"""Gives what a worker shall do: read of a run what came since it was read with this stamp (0: never), or None where
nothing did.
"""


class RunReader(QObject):
    """One reading at a time; what was read of a run that is shown no longer is dropped."""

    def __init__(self, session: Session, page: QWidget, read: Read, show: Callable[[Any], None],
                 failed: Callable[[StudioError], None]) -> None:
        super().__init__(page)
        self._session, self._page = session, page
        self._read, self._show, self._failed = read, show, failed
        self._stamp, self._asking, self._asked = 0, False, 0
        self.run: Run | None = None
        page.installEventFilter(self)

    def about(self, run: Run | None) -> bool:
        """Read of this run from now on, and again as it goes on; True where it is another than before."""
        other = _which(run) != _which(self.run)
        self.run = run
        if other:
            self._stamp, self._asking = 0, False
            self._asked += 1
        self.look()
        return other

    def look(self) -> None:
        """Read now, where the page is seen."""
        run, stamp, asked = self.run, self._stamp, self._asked
        if run is None or self._asking or not self._page.isVisible():
            return
        self._asking = True
        self._session.pool.ask(self._read(run, stamp), lambda found: self._found(asked, found),
                               lambda error: self._found(asked, error))

    def _found(self, asked: int, found: tuple[Stamp, Any] | StudioError | None) -> None:
        if asked != self._asked:
            return
        self._asking = False
        if isinstance(found, StudioError):
            self._failed(found)
        elif found is not None:
            self._stamp, value = found
            self._show(value)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show:
            self.look()
        return False


def _which(run: Run | None) -> object:
    """A folder's number may be used again."""
    return run and (run.folder, run.provenance.created)
