"""Which items the library shows: what was typed and the modality chosen, answered beside the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.selection import Selection
from mmstudio.desktop.session import Session
from mmstudio.errors import StudioError
from mmstudio.library import Sample
from mmstudio.library.item_columns import SCORE, Score
from mmstudio.library.items import Items

if TYPE_CHECKING:
    from mmstudio.library.query_match import Completion

TYPING_MS = 120
T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """A filter: a query of the filter bar's language and a modality ("" for all); and the column to sort by ("" for
    the order of adding).
    """

    text: str = ""
    modality: str = ""
    sort: str = ""
    descending: bool = False

    @property
    def lets_all_pass(self) -> bool:
        return not self.text.strip() and not self.modality

    @property
    def is_plain(self) -> bool:
        """Whether everything is shown as it was added, so that nothing needs to be asked."""
        return self.lets_all_pass and not self.sort and not self.descending


@dataclass(frozen=True, eq=False)
class Shown:
    """The items that are shown: ``ids (n,)`` int64 as the rows come, the same ``ascending``, and of each of these its
    ``row`` where the two differ.
    """

    ids: NDArray[np.int64]
    ascending: NDArray[np.int64]
    row: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, ids: NDArray[np.int64]) -> Shown:
        """Of a million in another order it takes a moment."""
        if not np.any(ids[1:] <= ids[:-1]):
            return cls(ids, ids)
        row = np.argsort(ids)
        return cls(ids, ids[row], row)

    def without(self, gone: list[int]) -> Shown:
        """The rows that are left move up."""
        stays = ~np.isin(self.ids, gone)
        ids = self.ids[stays]
        if self.row is None:
            return Shown(ids, ids)
        row = self.row[stays[self.row]]
        row = row - np.cumsum(~stays)[row]
        return Shown(ids, ids[row], row)


class Rows(QObject):
    """Asks about the items beside the window; what is reckoned for an answer stays with the session's items."""

    changed = Signal()
    """The items or samples are others."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._changes = 0
        for signal in (session.itemsAdded, session.itemsRemoved, session.itemsChanged, session.samplesChanged,
                       session.projectOpened):
            signal.connect(self._changed)

    def _changed(self) -> None:
        self._changes += 1
        self.changed.emit()

    def ask(self, question: Callable[[Items], T], on_done: Callable[[T], None],
            on_failed: Callable[[StudioError], None] | None = None) -> None:
        """Ask something of the items as they are now."""
        changes, items = self._changes, self._session.items.copy()

        def done(answer: T) -> None:
            if changes == self._changes:
                self._session.items = items  # with what was reckoned for the question, and all changes folded in
            on_done(answer)

        self._session.maths.ask(lambda: question(items), on_done=done, on_failed=on_failed)


class Filter(QObject):
    """Answers the newest wish, and again when the items change, or the selection or search that it is about."""

    passed = Signal(object)
    """What passes, as Shown."""
    refused = Signal(object)
    """The query's error; what was shown stays."""
    completed = Signal(object)
    """Completions of the newest question."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows = Rows(session, self)
        self.wish = Wish()
        self.about_selection = False
        self._asked = self._answered = self._completions_asked = 0
        self._again = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._again.timeout.connect(self._ask)
        self._rows.changed.connect(self._items_changed)
        session.selectionChanged.connect(self._selection_changed)
        session.answered.connect(lambda _: self._answered_anew())
        session.places.missingChanged.connect(self._items_changed)
        session.projectOpened.connect(lambda: self._rows.ask(_prepare, lambda _: None, session.failed.emit))

    @property
    def waits(self) -> bool:
        """Whether the newest wish has no answer yet."""
        return self._again.isActive() or self._asked != self._answered

    def want(self, wish: Wish) -> None:
        """Show what this lets pass, once the person stops typing for a moment."""
        self.wish = wish
        self._again.start()

    def _items_changed(self) -> None:
        """What is being answered is of the items as they were; a plain wish needs no answer but in place of that."""
        if not self.wish.is_plain or self.waits:
            self._again.start()

    def _selection_changed(self) -> None:
        if self.about_selection and not self.waits:
            self._ask()

    def _answered_anew(self) -> None:
        """What is searched for has other scores; a wish that was refused without any is asked again."""
        if self.wish.sort == SCORE or SCORE in self.wish.text.casefold():
            self._ask()

    def _ask(self) -> None:
        self._asked += 1
        asked, wish, selection = self._asked, self.wish, self._session.selection
        samples, missing, score = list(self._session.samples.values()), self._session.places.missing, score_of(
            self._session)

        def done(found: tuple[Shown, bool]) -> None:
            if asked == self._asked:
                self._answered = asked
                shown, self.about_selection = found
                self.passed.emit(shown)
                if selection is not self._session.selection:
                    self._selection_changed()  # it changed before it was known to matter

        def failed(error: StudioError) -> None:
            if asked == self._asked:
                self._answered, self.about_selection = asked, False
                self.refused.emit(error)

        self._rows.ask(lambda items: passing(items, wish, samples, selection, missing, score), done, failed)

    def complete(self, text: str, cursor: int) -> None:
        """Ask what could stand at the cursor (in characters)."""
        self._completions_asked += 1
        asked, items, score = self._completions_asked, self._session.items.copy(), score_of(self._session)

        def done(found: list[Completion]) -> None:
            if asked == self._completions_asked:
                self.completed.emit(found)

        self._session.maths.ask(lambda: _completions(items, text, cursor, score), on_done=done)


def score_of(session: Session) -> Score | None:
    """The scores of what is searched for, as a column of the items."""
    scores = session.answer.scores if session.answer else None
    return scores.of if scores else None


def _prepare(items: Items) -> None:
    """What is reckoned for one filter is there for the next; of a large project that takes longer than a keystroke."""
    items.columns().prepare()


def passing(items: Items, wish: Wish, samples: list[Sample], selection: Selection,
            missing: Selection, score: Score | None = None) -> tuple[Shown, bool]:
    """What passes, in the order wished, and whether that depends on the selection."""
    from mmstudio.library.query import names_flag, parse  # here, for the window paints before they are loaded
    from mmstudio.library.query_match import matches
    from mmstudio.library.sorting import in_order

    query = parse(wish.text)
    about_selection = names_flag(query, "selected")
    columns = items.columns(*_members(items, samples), selection.items if about_selection else (),
                            missing.items, score)
    mask = matches(query, columns)
    if wish.modality:
        import pyarrow.compute as pc

        mask = mask & np.asarray(pc.equal(columns.column("modality"), wish.modality))
    return Shown.of(items.ids()[in_order(columns, mask, wish.sort, wish.descending)]), about_selection


def _members(items: Items, samples: list[Sample]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids in samples, and those in samples that hold a text."""
    items.fold()
    ids = np.array([i for sample in samples for i in sample.item_ids], np.int64)
    of_sample = np.repeat(np.arange(len(samples)), [len(sample.item_ids) for sample in samples])
    is_text = np.asarray(items.modalities_of(ids) == "text")
    captioned = np.isin(of_sample, of_sample[is_text])
    return ids, ids[captioned]


def points_passing(keys: NDArray[np.int64], ids: NDArray[np.int64], samples: list[Sample]) -> NDArray[np.bool_]:
    """Which of the map's points ``(n,)`` are of the items ``ids (m,)``, or of samples that hold one of these."""
    members = np.array([i for sample in samples for i in sample.item_ids], np.int64)
    of_sample = np.repeat(np.array([sample.id for sample in samples], np.int64),
                          np.array([len(sample.item_ids) for sample in samples], np.int64))
    return np.isin(keys, np.concatenate([ids, -of_sample[np.isin(members, ids)]]))


def _completions(items: Items, text: str, cursor: int, score: Score | None) -> list[Completion]:
    from mmstudio.library.query_match import complete

    return complete(text, cursor, items.columns(score=score))
