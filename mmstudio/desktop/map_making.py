"""The map of the model in use: made behind the window as vectors arrive, kept with the project, and exchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer

from mmstudio.desktop import kept_map
from mmstudio.desktop.arranging import Arrangement, Layout, arranging
from mmstudio.desktop.text import tr
from mmstudio.errors import StudioError
from mmstudio.progress import Progress, Work

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session
    from mmstudio.desktop.worker import Ticket

EVERY_MS = 700
"""While vectors arrive, the map is drawn anew at this distance."""
WORTH_IT = 1.15
"""So many times the points that are drawn."""


class MapMaking(QObject):
    """Makes the session's ``layout`` as its ``arrangement`` says; only the newest wish is fulfilled."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._left: Layout | None = None
        """The map of the model that was in use before."""
        self._ticket: Ticket | None = None
        self._soon = QTimer(self, singleShot=True, interval=EVERY_MS)
        self._soon.timeout.connect(lambda: self._arrange(final=not session.jobs.has(tr("Encoding"))))

    def vectors_came(self) -> None:
        """Draw them before long, if they are many beside those that are drawn."""
        layout, view = self._session.layout, self._session.view
        drawn = len(layout.keys) if layout is not None else 0
        if not self._soon.isActive() and view is not None and len(view) > WORTH_IT * drawn:
            self._soon.start()

    def rearrange(self) -> None:
        """Draw the map of all vectors there are; what has its place keeps it, if that is most."""
        self._soon.stop()
        self._arrange(final=True)

    def anew(self, arrangement: Arrangement | None = None) -> None:
        """Make the map from nothing, and from now on in this way."""
        self._session.arrangement = arrangement or self._session.arrangement
        self._soon.stop()
        self._arrange(final=True, anew=True)

    def adopt(self, layout: Layout) -> None:
        """Make this the map: a final layout of the space in use."""
        session = self._session
        self._soon.stop()
        self.cancel()
        session.arrangement = layout.arrangement or Arrangement()
        self._show(replace(layout, arrangement=session.arrangement))
        self._keep()
        if session.view is not None and not np.array_equal(session.view.ids, layout.keys):
            self._arrange(final=True)

    def cancel(self) -> None:
        """Leave the map as it is; the points stay where a partial result has put them."""
        session = self._session
        if self._ticket and not self._ticket.ended:
            self._ticket.cancel()
            session.arranged.emit(None)
            if session.layout is not None and not session.layout.final:
                self._show(replace(session.layout, final=True, arrangement=session.arrangement))
                self._keep()

    def show_side(self, places: NDArray[np.float32], near: NDArray[np.float32]) -> None:
        """Show a map of three dimensions from another side: ``places (n, 2)`` of its points, and how ``near (n,)``."""
        session = self._session
        if session.layout is not None:
            self._show(replace(session.layout, places=places, near=near, final=False))
            session.layout = replace(session.layout, final=True)
            session.fusing.place()

    # ---- another project, another model ---------------------------------------------------------------------------

    def stop(self) -> None:
        """What is being made is not wanted any more."""
        self._soon.stop()
        if self._ticket:
            self._ticket.cancel()

    def start_anew(self) -> None:
        """Another project: nothing holds of how its map was made."""
        self._left, self._session.arrangement = None, Arrangement()

    def leave(self) -> None:
        """Another model: its points fly from where those of the one before are, and words mean other axes."""
        self._left = self._session.layout
        self._session.arrangement = replace(self._session.arrangement, axes=None, titles=("", ""))

    # ---- making it ------------------------------------------------------------------------------------------------

    def _arrange(self, final: bool, anew: bool = False) -> None:
        session = self._session
        view = session.view
        if view is None or len(view) < 2:
            if view is not None and len(view) == 1:
                self._show(Layout(view.ids, view.modalities, np.zeros((1, 2), np.float32), "PCA"))
            return
        if self._ticket:
            self._ticket.cancel()
        old, left, project, bridged = session.layout, self._left, session.project, session.bridge is not None
        arrangement, aside = session.arrangement, session.aside
        assert project is not None

        def work() -> Work[Layout]:
            kept = kept_map.load(project.folder, view.key) if old is None and not anew else None
            wanted = kept.arrangement if kept is not None and kept.arrangement is not None else arrangement
            found = yield from arranging(view, kept or old, final, wanted, aside, anew, left)
            if found.final and found is not kept and found is not old and not bridged and not project.read_only:
                kept_map.save(project.folder, view.key, found)
            return found

        def step(progress: Progress) -> None:
            session.arranged.emit(progress)
            if isinstance(progress.fresh, Layout):
                self._show(progress.fresh)

        def done(layout: Layout) -> None:
            session.arranged.emit(None)
            session.arrangement, self._left = layout.arrangement or session.arrangement, None
            self._show(layout)

        def failed(error: StudioError) -> None:
            session.arranged.emit(None)
            session.failed.emit(error)

        self._ticket = session.beside.run(work, on_step=step, on_done=done, on_failed=failed)

    def _show(self, layout: Layout) -> None:
        self._session.layout = layout
        self._session.layoutChanged.emit(layout)
        if layout.final:
            self._session.fusing.place()

    def _keep(self) -> None:
        project, view, layout = self._session.project, self._session.view, self._session.layout
        if project is not None and view is not None and layout is not None and not project.read_only \
                and self._session.bridge is None:
            self._session.beside.ask(lambda: kept_map.save(project.folder, view.key, layout))
