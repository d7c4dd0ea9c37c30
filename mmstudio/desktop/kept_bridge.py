"""The bridge that a person has let items over stands again where the project is opened with that model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from mmstudio.bridging import Bridged, bridged
from mmstudio.library import SpaceKey
from mmstudio.project import Project

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session

KEPT = "bridges"
"""The project's own setting: of each space by its digest, that of the space whose items come over."""


class KeptBridge(QObject):
    """Made anew from the vectors once for a project and a model; nothing but the choice is kept."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._looked: tuple[Project, SpaceKey] | None = None
        session.vectorsChanged.connect(self._look)

    def keep(self, bridge: Bridged | None) -> None:
        """The person wants this one from now on, or none."""
        project, view = self._session.project, self._session.view
        if project is None or view is None or project.read_only:
            return
        own = view.key.digest

        def keep() -> None:
            others = {target: source for target, source in project.own.get(KEPT, {}).items() if target != own}
            project.own.set(KEPT, others | ({own: bridge.source.digest} if bridge is not None else {}))

        self._session.models.ask(keep, on_failed=self._session.failed.emit)

    def _look(self) -> None:
        session = self._session
        project, view = session.project, session.view
        if project is None or view is None or session.bridge is not None or self._looked == (project, view.key):
            return
        self._looked, wanted = (project, view.key), project.own.get(KEPT, {}).get(view.key.digest)

        def made() -> Bridged | None:
            source = next((key for key in project.spaces() if key.digest == wanted), None)
            return bridged(view, project.space(source)) if source is not None else None

        def show(found: Bridged | None) -> None:
            still = session.project is project and session.view is not None and session.view.key == view.key
            if found is not None and still and session.bridge is None:
                session.use_bridge(found)

        if wanted:
            session.models.ask(made, on_done=show, on_failed=lambda _: None)  # too few texts by now: there is none

