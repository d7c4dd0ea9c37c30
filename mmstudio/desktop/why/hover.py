"""What a part of one side, under the pointer, is to the parts of the other."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QComboBox

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.why.newest import Newest
from mmstudio.encoders.base import Positions
from mmstudio.errors import StudioError
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.pairs import Pair, nearest_token

SIMILARITY, GRADIENTS = "similarity", "gradients"


class Hover(QObject):
    """``found`` tells a side and its map, None where nothing is pointed at any more. ``how`` is seen while a pair has
    parts to point at.
    """

    found = Signal(int, object)
    told = Signal(str)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._work = Newest(session, self._failed)
        self._pair: Pair | None = None
        self._known: dict[tuple[int, int], RelevanceMap] = {}
        self.how = QComboBox()
        self.how.addItem(tr("Point: similarity"), SIMILARITY)
        self.how.addItem(tr("Point: gradient × attention"), GRADIENTS)
        self.how.setAccessibleName(tr("What pointing at a part shows"))
        self.how.setToolTip(tr("Point at a part of one side: which parts of the other are near to it, or carry what "
                               "they have in common"))

    @property
    def ready(self) -> bool:
        """Whether there are parts to point at."""
        return self._pair is not None and self._pair.between is not None

    def show_pair(self, pair: Pair | None) -> None:
        """Whose parts are pointed at from now on."""
        self._work.cancel()
        self._pair, self._known = pair, {}
        self.how.setVisible(self.ready)

    def point(self, side: int, position: int | None, places: Positions | None) -> None:
        """At a position of what is shown on a side, or at nothing."""
        pair = self._pair
        if pair is None or pair.between is None:
            return
        self._work.cancel()
        tokens = pair.sides[side].explanation.token_positions
        if position is None or places is None or tokens is None:
            self.found.emit(1 - side, None)
            return
        token = nearest_token(tokens, places, position)
        if self.how.currentData() == SIMILARITY:
            self.found.emit(1 - side, pair.pointed(side, token))
        elif (side, token) in self._known:
            self.found.emit(1 - side, self._known[side, token])
        else:
            self._work.run(lambda: pair.weighted(side, token), lambda found: self._weighted(side, token, found),
                           urgent=True)

    def _weighted(self, side: int, token: int, found: RelevanceMap) -> None:
        self._known[side, token] = found
        self.found.emit(1 - side, found)

    def _failed(self, error: StudioError) -> None:
        """The model cannot be looked into."""
        self.how.setCurrentIndex(0)
        self.told.emit(str(error))
