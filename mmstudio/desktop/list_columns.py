"""The columns of the library's list: which are shown and how wide, kept with the project; what a cell says; what may be
typed into one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.filtering import Rows, score_of
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import COLUMN_TITLES, clock, column_value, count, tr
from mmstudio.desktop.widgets.columns import shown
from mmstudio.errors import ProjectError
from mmstudio.library import Item
from mmstudio.library.dates import moment
from mmstudio.library.item_columns import BUILT_IN, SCORE, Score
from mmstudio.library.items import Items

if TYPE_CHECKING:
    from mmstudio.library.query_match import Kind

FIRST = ("name", "modality", "tag", SCORE)
WIDTHS = {"name": 220, "modality": 80, "tag": 120, "text": 260, "path": 260, "added": 130}
WIDTH = 100
_KEPT, _KEEP_MS = "library list", 400
_AS_IT_BEGINS: dict[str, Any] = {"columns": list(FIRST), "widths": {}}
_TITLES = {**COLUMN_TITLES, "name": "Name", "path": "Path", "text": "Text", "part": "Part", "score": "Score"}
_MODALITIES = {"image": "Picture", "audio": "Sound", "text": "Text"}


def _number(fact: str) -> Callable[[Item], str]:
    return lambda item: count(round(item.facts[fact])) if fact in item.facts else ""


def _time(fact: str) -> Callable[[Item], str]:
    return lambda item: clock(item.facts[fact]) if fact in item.facts else ""


CELLS: dict[str, Callable[[Item], str]] = {
    "name": lambda item: item.title, "modality": lambda item: tr(_MODALITIES[item.modality]),
    "tag": lambda item: ", ".join(item.tags), "path": lambda item: str(item.path), "part": lambda item: item.part,
    "text": lambda item: item.text, "width": _number("width"), "height": _number("height"), "rate": _number("rate_hz"),
    "duration": _time("duration_s"), "seconds": _time("seconds"),
    "added": lambda item: f"{datetime.fromtimestamp(item.added):%Y-%m-%d %H:%M}",
    "characters": lambda item: count(len(item.text)) if item.modality == "text" else "",
}
"""What a built-in column says of an item. All others are the person's own."""


class ListColumns(QObject):
    """``shown`` are the columns' names; ``kinds`` those of all that could be, as far as they have been looked up."""

    changed = Signal()
    """Other columns are shown, or other scores."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows = Rows(session, self)
        self._names: tuple[str, ...] = FIRST
        self._widths: dict[str, int] = {}
        self._ids, self._scores = np.zeros(0, np.int64), np.zeros(0)
        self.kinds: Mapping[str, Kind] = {}
        self._keep_soon = QTimer(self, singleShot=True, interval=_KEEP_MS)
        self._keep_soon.timeout.connect(self._keep)
        session.projectOpened.connect(self._opened)
        session.leaving.connect(self._keep)
        session.answered.connect(lambda _: self._answered())

    @property
    def chosen(self) -> tuple[str, ...]:
        """What the person wants to see, if there is any."""
        return self._names

    @property
    def shown(self) -> tuple[str, ...]:
        """There is a score as long as there is a question."""
        return tuple(name for name in self._names if name != SCORE or self._session.answer is not None)

    def title(self, name: str) -> str:
        return tr(_TITLES[name]) if name in _TITLES else name

    def width(self, name: str) -> int:
        """In pixels."""
        return self._widths.get(name, WIDTHS.get(name, WIDTH))

    def set_width(self, name: str, width: int) -> None:
        if width != self.width(name):
            self._widths[name] = width
            self._keep_soon.start()

    def show_column(self, name: str, is_shown: bool) -> None:
        """Show a column behind the others, or hide it; the name stays, for it holds the picture."""
        if name != "name" and is_shown != (name in self._names):
            self._names = (*self._names, name) if is_shown else tuple(n for n in self._names if n != name)
            self._keep_soon.start()
            self.changed.emit()
            self.look_up()
            if is_shown and name == SCORE:
                self._answered()

    # ---- what cells say -----------------------------------------------------------------------------------------

    def text(self, item: Item, name: str) -> str:
        """What a cell shows."""
        if name == SCORE:
            score = self._score(item.id)
            return "" if math.isnan(score) else f"{score:.3f}"
        if name in CELLS:
            return CELLS[name](item)
        value = item.columns.get(own_name(item, name))
        return "" if value is None else shown(value)

    def _score(self, item_id: int) -> float:
        at = int(np.searchsorted(self._ids, item_id))
        return float(self._scores[at]) if at < len(self._ids) and self._ids[at] == item_id else math.nan

    def is_own(self, name: str) -> bool:
        """Whether a column is the person's, who may type into it."""
        return name not in CELLS and name != SCORE

    def typed(self, name: str, text: str) -> str | float | None:
        """What was typed as the column keeps it. Raises ProjectError where the column holds numbers or dates alone and
        this is none.
        """
        kind, value = self.kinds.get(name), column_value(text)
        if value is not None and kind == "number" and isinstance(value, str):
            raise ProjectError(tr("“{}” holds numbers, and “{}” is none.").format(name, text.strip()),
                               hint=tr("Nothing was changed."))
        if value is not None and kind == "date" and moment(text.strip()) is None:
            raise ProjectError(tr("“{}” holds dates, and “{}” is none.").format(name, text.strip()),
                               hint=tr("Write it like 2026-05-01 or 2026-05-01 14:30. Nothing was changed."))
        return value

    # ---- behind the window --------------------------------------------------------------------------------------

    def look_up(self, then: Callable[[], None] | None = None) -> None:
        """See what columns there are, and of what kinds they are."""
        score = score_of(self._session)

        def found(kinds: Mapping[str, Kind]) -> None:
            self.kinds = kinds
            if then:
                then()

        self._rows.ask(lambda items: _kinds(items, score), found, self._session.failed.emit)

    def _answered(self) -> None:
        """All scores at once, for a row is drawn sooner than one could be asked for."""
        self._ids, self._scores = np.zeros(0, np.int64), np.zeros(0)
        score, answer = score_of(self._session), self._session.answer
        self.changed.emit()

        def found(scores: tuple[NDArray[np.int64], NDArray[np.float64]]) -> None:
            if answer is self._session.answer:
                self._ids, self._scores = scores
                self.changed.emit()

        if score is not None and SCORE in self._names:
            self._rows.ask(lambda items: (items.ids(), np.asarray(score(items.ids()))), found,
                           self._session.failed.emit)

    # ---- kept with the project ----------------------------------------------------------------------------------

    def _opened(self) -> None:
        project = self._session.project
        told = project.own.get(_KEPT, _AS_IT_BEGINS) if project is not None else _AS_IT_BEGINS
        self._keep_soon.stop()
        self._names = tuple(dict.fromkeys(("name", *told["columns"])))
        self._widths = {name: int(width) for name, width in told["widths"].items()}
        self.kinds = {}
        self.changed.emit()
        self.look_up()

    def _keep(self) -> None:
        project, told = self._session.project, {"columns": list(self._names), "widths": dict(self._widths)}
        self._keep_soon.stop()
        if project is not None and not project.read_only and told != project.own.get(_KEPT, _AS_IT_BEGINS):
            self._session.models.ask(lambda: project.own.set(_KEPT, told), on_failed=self._session.failed.emit)


def own_name(item: Item, name: str) -> str:
    """A column of the person's that is called as a built-in one goes by that name with ``_column`` after."""
    bare = name.removesuffix("_column")
    return bare if bare.casefold() in BUILT_IN and name not in item.columns else name


def _kinds(items: Items, score: Score | None) -> Mapping[str, Kind]:
    """On the lane for maths."""
    from mmstudio.library.sorting import SORTED_BY

    return {name: kind for name, kind in items.columns(score=score).names().items() if kind in SORTED_BY}
