"""From which side a map of three dimensions is seen."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from mmstudio.desktop.arranging import Layout, seen_from
from mmstudio.desktop.session import Session

DEGREES_A_PIXEL = 0.4


class Turning(QObject):
    """``around`` and ``above`` in degrees; ``changed`` tells that they did, or that there is a map of three dimensions
    now or no more.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._solid: Layout | None = None
        self.around, self.above = 0.0, 0.0
        session.projectOpened.connect(lambda: self._use(None))
        session.layoutChanged.connect(self._laid_out)

    @property
    def is_solid(self) -> bool:
        """Whether there is something to turn."""
        return self._solid is not None

    def to(self, around: float, above: float) -> None:
        """Look from these angles."""
        self.around, self.above = (around + 180) % 360 - 180, min(90.0, max(-90.0, above))
        if self._solid is not None and self._solid.solid is not None and self._session.layout is not None:
            self._session.mapping.show_side(*seen_from(self._solid.solid, self.around, self.above))
        self.changed.emit()

    def by(self, right: float, down: float) -> None:
        """Drag what is nearest by so many pixels."""
        self.to(self.around - DEGREES_A_PIXEL * right, self.above + DEGREES_A_PIXEL * down)

    def _laid_out(self, layout: Layout) -> None:
        if layout.final and (self._solid is None or layout.solid is not self._solid.solid):
            self._use(layout if layout.solid is not None else None)

    def _use(self, solid: Layout | None) -> None:
        was, self._solid = self.is_solid, solid
        if solid is not None:
            self.to(self.around, self.above)
        elif was:
            self.changed.emit()
