"""Which rows of the library's list are selected, in step with the session's selection, be it of millions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QItemSelection, QItemSelectionModel

from mmstudio.desktop.item_list import ItemList
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.session import Session

MOST_RANGES = 300
Flag = QItemSelectionModel.SelectionFlag


class RowSelection(QItemSelectionModel):
    """Qt keeps ranges of rows, and looks through all of them for each row that it draws. Where there are too many it is
    told only of those among the rows that are ``near`` (first and end), and what a person then adds or takes away is
    added to or taken from the session's selection.
    """

    def __init__(self, items: ItemList, session: Session, near: Callable[[], tuple[int, int]]) -> None:
        super().__init__(items)
        self._items, self._session, self._near = items, session, near
        self.following = self._partly = False
        self.rows = np.zeros(0, np.intp)
        """Those that show something selected, ascending."""
        self.selectionChanged.connect(lambda *_: self._changed())
        session.selectionChanged.connect(self.follow)
        items.modelReset.connect(self.follow)

    def select(self, chosen: Any, command: Any) -> None:
        """What Qt asks for on behalf of the person, with a QItemSelection or a QModelIndex."""
        if self._partly and command & (Flag.Select | Flag.Deselect | Flag.Toggle) and not command & Flag.Clear:
            self._edit(chosen if isinstance(chosen, QItemSelection) else QItemSelection(chosen, chosen), command)
        else:
            super().select(chosen, command)

    def _edit(self, chosen: QItemSelection, command: Any) -> None:
        before, keys = self._session.selection, self._keys(chosen)
        self._session.select(before ^ keys if command & Flag.Toggle else before | keys if command & Flag.Select
                             else before - keys)

    def _changed(self) -> None:
        if not self.following:
            self._partly = False
            self._session.select(self._keys(self.selection()).keys)

    def _keys(self, ranges: QItemSelection) -> Selection:
        parts = [self._items.keys_of(part.top(), part.bottom() + 1) for part in ranges]  # type: ignore[attr-defined]
        return Selection(np.concatenate([np.zeros(0, np.int64), *parts]))

    def follow(self) -> None:
        """Show what was selected, wherever that was."""
        self.rows = self._items.rows_of(self._session.selection)
        self._partly = len(_starts(self.rows)) > MOST_RANGES
        self._tell()

    def scrolled(self) -> None:
        """Other rows are near."""
        if self._partly:
            self._tell()

    def _tell(self) -> None:
        rows = self.rows
        if self._partly:
            first, end = np.searchsorted(rows, self._near())
            rows = rows[first:end]
        starts = _starts(rows)
        ends = np.append(starts[1:], len(rows)) - 1
        chosen = QItemSelection()
        for top, bottom in zip(rows[starts].tolist(), rows[ends].tolist() if len(rows) else (), strict=True):
            chosen.select(self._items.index(top, 0), self._items.index(bottom, 0))
        self.following = True
        super().select(chosen, Flag.ClearAndSelect)
        self.following = False


def _starts(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each run of rows that follow each other begins."""
    return np.flatnonzero(np.diff(rows, prepend=-2) != 1)
