"""Which items the library shows: what was typed and the modality chosen, answered beside the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.session import Session
from mmstudio.errors import StudioError
from mmstudio.library import Sample
from mmstudio.library.items import Items

if TYPE_CHECKING:
    from mmstudio.library.query_match import Completion

TYPING_MS = 120


@dataclass(frozen=True)
class Wish:
    """A filter: a query of the filter bar's language and a modality ("" for all)."""

    text: str = ""
    modality: str = ""

    @property
    def lets_all_pass(self) -> bool:
        return not self.text.strip() and not self.modality


class Filter(QObject):
    """Answers the newest wish, and again when the items change."""

    passed = Signal(object)
    """The ids that pass, ``(n,)`` int64 in the order of adding."""
    refused = Signal(object)
    """The query's error; what was shown stays."""
    completed = Signal(object)
    """Completions of the newest question."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.wish = Wish()
        self._asked = self._completions_asked = 0
        self._changed = 0
        self._again = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._again.timeout.connect(self._ask)
        for signal in (session.itemsAdded, session.itemsRemoved, session.itemsChanged, session.samplesChanged):
            signal.connect(self._items_changed)
        session.projectOpened.connect(self._items_changed)

    def want(self, wish: Wish) -> None:
        """Show what this lets pass, once the person stops typing for a moment."""
        self.wish = wish
        self._again.start()

    def _items_changed(self) -> None:
        self._changed += 1
        if not self.wish.lets_all_pass:
            self._again.start()

    def _ask(self) -> None:
        self._asked += 1
        asked, changed, wish, items = self._asked, self._changed, self.wish, self._session.items.copy()
        samples = list(self._session.samples.values())

        def work() -> NDArray[np.int64]:
            from mmstudio.library.query import parse  # here, for the window paints before they are loaded
            from mmstudio.library.query_match import matches

            columns = items.columns(*_members(items, samples))
            mask = matches(parse(wish.text), columns)
            if wish.modality:
                import pyarrow.compute as pc

                mask = mask & np.asarray(pc.equal(columns.column("modality"), wish.modality))
            return items.ids()[mask]

        def done(ids: NDArray[np.int64]) -> None:
            if changed == self._changed:
                self._session.items = items  # with what was reckoned for the question, and all changes folded in
            if asked == self._asked:
                self.passed.emit(ids)

        def failed(error: StudioError) -> None:
            if asked == self._asked:
                self.refused.emit(error)

        self._session.maths.ask(work, on_done=done, on_failed=failed)

    def complete(self, text: str, cursor: int) -> None:
        """Ask what could stand at the cursor (in characters)."""
        self._completions_asked += 1
        asked, items = self._completions_asked, self._session.items.copy()

        def done(found: list[Completion]) -> None:
            if asked == self._completions_asked:
                self.completed.emit(found)

        self._session.maths.ask(lambda: _completions(items, text, cursor), on_done=done)


def _members(items: Items, samples: list[Sample]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids in samples, and those in samples that hold a text."""
    items.fold()
    ids = np.array([i for sample in samples for i in sample.item_ids], np.int64)
    of_sample = np.repeat(np.arange(len(samples)), [len(sample.item_ids) for sample in samples])
    is_text = np.asarray(items.modalities_of(ids) == "text")
    captioned = np.isin(of_sample, of_sample[is_text])
    return ids, ids[captioned]


def _completions(items: Items, text: str, cursor: int) -> list[Completion]:
    from mmstudio.library.query_match import complete

    return complete(text, cursor, items.columns())
