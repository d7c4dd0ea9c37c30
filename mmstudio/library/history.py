"""Undo and redo: what changed, as it stood before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmstudio.library.item import Item, Sample

STEPS = 100


@dataclass(frozen=True)
class Standing:
    """Some items and samples as they stood; what did not exist is None."""

    items: Mapping[int, Item | None]
    samples: Mapping[int, Sample | None]


@dataclass(frozen=True)
class Edit:
    """One thing that a person did, by its ``title``."""

    title: str
    before: Standing
    after: Standing


class History:
    """The newest ``steps`` edits; a new one forgets what was undone."""

    def __init__(self, steps: int = STEPS) -> None:
        self._steps = steps
        self._done: list[Edit] = []
        self._undone: list[Edit] = []

    @property
    def undoable(self) -> str:
        """The title of what would be undone, or ""."""
        return self._done[-1].title if self._done else ""

    @property
    def redoable(self) -> str:
        """The title of what would be done again, or ""."""
        return self._undone[-1].title if self._undone else ""

    def record(self, edit: Edit) -> None:
        """Something was done; what changed nothing is no step."""
        if edit.before != edit.after:
            self._done = [*self._done, edit][-self._steps :]
            self._undone = []

    def forget(self) -> None:
        """What was done just now is too much to remember, and what was before it cannot be undone around it."""
        self._done, self._undone = [], []

    def last_done(self) -> Edit | None:
        """The edit to undo; ``undone`` says that this worked."""
        return self._done[-1] if self._done else None

    def last_undone(self) -> Edit | None:
        """The edit to do again; ``redone`` says that this worked."""
        return self._undone[-1] if self._undone else None

    def undone(self) -> None:
        self._undone.append(self._done.pop())

    def redone(self) -> None:
        self._done.append(self._undone.pop())
