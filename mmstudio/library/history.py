"""Undo and redo: what changed, as it stood before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.item import Sample

STEPS = 100
MOST_BYTES = 1 << 29
"""What is remembered of all edits but the newest."""
_PLACE_BYTES = 300
"""A path in memory, about."""
EDITABLE = ("tags", "columns")
"""The columns of items that a person edits."""


@dataclass(frozen=True, eq=False)
class Standing:
    """Some items and samples as they stood. ``rows`` are items, ascending by id: columns of ``item_schema``, of what
    was only edited no more than the id and the edited ones; ``gone (n,)`` are ids that did not exist. A sample that
    did not exist is None. ``places`` are where items were found that had been missing, ``own`` the project's own
    settings by name, None for what was not set.
    """

    rows: Any
    gone: NDArray[np.int64]
    samples: Mapping[int, Sample | None]
    places: Mapping[int, Path] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)

    def equals(self, other: Standing) -> bool:
        """Whether nothing differs."""
        return bool(self.samples == other.samples and np.array_equal(self.gone, other.gone)
                    and self.rows.equals(other.rows) and self.places == other.places and self.own == other.own)

    @property
    def size(self) -> int:
        """In bytes, samples and settings aside."""
        return int(self.rows.nbytes + self.gone.nbytes) + _PLACE_BYTES * len(self.places)


@dataclass(frozen=True, eq=False)
class Edit:
    """One thing that a person did, by its ``title``."""

    title: str
    before: Standing
    after: Standing

    @property
    def size(self) -> int:
        return self.before.size + self.after.size


class History:
    """The newest ``steps`` edits, fewer where they hold very many items; a new one forgets what was undone."""

    def __init__(self, steps: int = STEPS, most_bytes: int = MOST_BYTES) -> None:
        self._steps, self._most_bytes = steps, most_bytes
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
        if edit.before.equals(edit.after):
            return
        self._done = [*self._done, edit][-self._steps :]
        self._undone = []
        while len(self._done) > 1 and sum(old.size for old in self._done[:-1]) > self._most_bytes:
            del self._done[0]

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
