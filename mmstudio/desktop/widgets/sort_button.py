"""The order of the library: of adding, by name, by any column that has one; either way round."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QToolButton

from mmstudio.desktop.filtering import Rows, score_of
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import COLUMN_TITLES, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.library.item_columns import SCORE, Score
from mmstudio.library.items import Items

FIRST = ("", "name", "modality")
_TITLES = {**COLUMN_TITLES, "": "Time added", "name": "Name", "path": "Path", "text": "Text", "part": "Part"}


class SortButton(QToolButton):
    """A menu of what the library can be sorted by."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(toolTip=tr("Order of the library"))
        self.setAccessibleName(tr("Order of the library"))
        self._session = session
        self._rows = Rows(session, self)
        self.by, self.descending = "", False
        self._names: list[str] = list(FIRST)
        self.setMenu(QMenu(self))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu().aboutToShow.connect(self._offer)
        session.projectOpened.connect(self._opened)
        THEME.changed.connect(self._show)
        self._show()

    def _opened(self) -> None:
        """Another project's columns are not this one's."""
        self._names = list(FIRST)
        if self.by not in FIRST:
            self.choose("", False)

    def choose(self, by: str, descending: bool) -> None:
        """Sort by a column, "" for the time of adding."""
        if (by, descending) != (self.by, self.descending):
            self.by, self.descending = by, descending
            self._show()
            self.changed.emit()

    def _show(self) -> None:
        self.setIcon(icon("sort"))
        told = tr("Sorted by “{}”, descending") if self.descending else tr("Sorted by “{}”")
        self.setToolTip(told.format(self._title(self.by)))

    def _title(self, name: str) -> str:
        return tr(_TITLES[name]) if name in _TITLES else name

    def _offer(self) -> None:
        """What is known at once; columns that came since as soon as they are looked up."""
        self._fill()
        score = score_of(self._session)
        self._rows.ask(lambda items: _sortable(items, score), self._found, self._session.failed.emit)

    def _found(self, names: list[str]) -> None:
        known = [*FIRST, *(name for name in names if name not in (*FIRST, "added"))]
        if known != self._names:
            self._names = known
            self._fill()

    def _fill(self) -> None:
        menu = self.menu()
        menu.clear()
        for old in menu.findChildren(QActionGroup):
            old.deleteLater()
        group = QActionGroup(menu)
        for name in self._names:
            self._add(self._title(name).replace("&", "&&"), name == self.by, group, partial(self._choose_by, name))
        menu.addSeparator()
        ways = QActionGroup(menu)
        for title, descending in ((tr("Ascending"), False), (tr("Descending"), True)):
            self._add(title, descending == self.descending, ways, partial(self._choose_way, descending))

    def _add(self, title: str, checked: bool, group: QActionGroup, act: partial[None]) -> None:
        action = QAction(title, group, checkable=True, checked=checked)
        action.triggered.connect(lambda _: act())
        self.menu().addAction(action)

    def _choose_by(self, name: str) -> None:
        """Of a search the best comes first."""
        self.choose(name, name == SCORE or (self.descending and self.by != SCORE))

    def _choose_way(self, descending: bool) -> None:
        self.choose(self.by, descending)


def _sortable(items: Items, score: Score | None) -> list[str]:
    """On the lane for maths."""
    from mmstudio.library.sorting import sortable

    return sortable(items.columns(score=score))
