"""Histograms beside the filter bar: a brush narrows the filter, and every bar shows what is selected on the map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.filtering import Rows, score_of
from mmstudio.desktop.item_list import ItemList
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import COLUMN_TITLES, count, tr
from mmstudio.desktop.theme import THEME, colours, icon
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.library.item_columns import Score
from mmstudio.library.items import Items

if TYPE_CHECKING:
    from mmstudio.desktop.widgets.histogram import HistogramView
    from mmstudio.library.histogram import Histogram
    from mmstudio.library.query_match import Kind

ALWAYS = ("modality", "tag")
VARYING = 3
"""Columns that are shown at first: those above, and so many more in which not all items are alike."""
ITEMS_MS = 300
"""While items arrive, they are counted anew at this distance."""


@dataclass(frozen=True)
class Wanted:
    """What to count: these columns, and the first ``more`` others that vary; ``logs`` on a log scale."""

    columns: tuple[str, ...]
    more: int
    logs: frozenset[str]
    passing: NDArray[np.int64]
    selection: Selection
    score: Score | None


@dataclass(frozen=True)
class Counted:
    """What was found; ``names`` are all columns that the filter knows."""

    names: dict[str, Kind]
    histograms: tuple[Histogram, ...]


class HistogramCard(QFrame):
    """One histogram with its title, what it leaves out, and its buttons."""

    removed = Signal()
    logWanted = Signal(bool)

    def __init__(self, title: str) -> None:
        from mmstudio.desktop.widgets.histogram import HistogramView  # here, for the window paints before it is loaded

        super().__init__()
        self.setObjectName("card")
        self.view: HistogramView = HistogramView(title)
        self._left_out = QLabel()
        self._left_out.setProperty("faint", True)
        self.log = QToolButton(text=tr("log"), checkable=True, toolTip=tr("Log scale: bars that widen by a factor"))
        self.clear = QToolButton(text=tr("clear"), toolTip=tr("Clear the brush (Esc, or double-click)"))
        self._remove = QToolButton(toolTip=tr("Remove this histogram"))
        self._build(title)
        self.log.clicked.connect(lambda on: self.logWanted.emit(on))
        self.clear.clicked.connect(lambda: self.view.brushed.emit(frozenset(), False))
        self._remove.clicked.connect(self.removed.emit)
        THEME.changed.connect(self._icons)
        self._icons()
        self.show_brush(frozenset())

    def _build(self, title: str) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 4, 6, 8)
        layout.setSpacing(4)
        top = QHBoxLayout()
        top.setSpacing(2)
        heading = QLabel(title)
        heading.setTextFormat(Qt.TextFormat.PlainText)
        heading.setProperty("heading", True)
        top.addWidget(heading)
        top.addSpacing(8)
        top.addWidget(self._left_out)
        top.addStretch(1)
        for button in (self.log, self.clear, self._remove):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            top.addWidget(button)
        kept = self.clear.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.clear.setSizePolicy(kept)
        layout.addLayout(top)
        layout.addWidget(self.view)

    def _icons(self) -> None:
        self._remove.setIcon(icon("close"))

    def show_histogram(self, found: Histogram) -> None:
        """Draw it, and tell what has no bar."""
        told = [tr("{} without").format(count(found.missing))] if found.missing else []
        if found.beyond:
            told.append(tr("{} out of range").format(count(found.beyond)))
        self._left_out.setText(" · ".join(told))
        self.log.setVisible(found.log_fits)
        self.log.setChecked(found.log)
        self.view.show_histogram(found)

    def show_brush(self, bars: frozenset[int], asked: bool = False) -> None:
        """``asked``: there are terms about this column, be they of bars or not."""
        self.view.show_brush(bars)
        self.clear.setVisible(asked or bool(bars))


class HistogramsPanel(QWidget):
    """Follows the items, the filter and the selection while it is visible; ``line`` is the filter bar."""

    closeWanted = Signal()

    def __init__(self, session: Session, items: ItemList, line: QLineEdit) -> None:
        super().__init__()
        self._session, self._items, self._line = session, items, line
        self._rows = Rows(session, self)
        self.cards: dict[str, HistogramCard] = {}
        self._chosen, self._fills = list(ALWAYS), True
        self._logs: set[str] = set()
        self._names: dict[str, Kind] = {}
        self._counting = self._stale = False
        self._project = 0
        self._select_later: tuple[str, frozenset[int]] | None = None
        self._soon = QTimer(self, singleShot=True)
        self._soon.timeout.connect(self._count)
        self._build()
        self._connect()

    # ---- building ---------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._soon.start(0)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 4, 4)
        layout.setSpacing(6)
        top = QHBoxLayout()
        self._add = QToolButton(text=tr("Add"), toolButtonStyle=Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._add.setToolTip(tr("Choose the columns that are shown"))
        self._add.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.columns_menu = QMenu(self._add)
        self.columns_menu.aboutToShow.connect(self._fill_menu)
        self._add.setMenu(self.columns_menu)
        self._legend = QLabel()
        self._close = QToolButton(toolTip=tr("Close the histograms (Alt+5)"))
        self._close.clicked.connect(self.closeWanted.emit)
        top.addWidget(self._add)
        top.addStretch(1)
        top.addWidget(self._legend)
        top.addWidget(self._close)
        layout.addLayout(top)
        body = QWidget()
        self._column = QVBoxLayout(body)
        self._column.setContentsMargins(0, 0, 4, 0)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(body)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState(
            tr("How the items' columns are spread. Drag over the bars of one, and the filter lets only these pass."),
            [(tr("Open the example"), self._session.add_example)]))
        self._stack.addWidget(scroll)
        layout.addWidget(self._stack, 1)
        self._theme()

    def _connect(self) -> None:
        session = self._session
        self._rows.changed.connect(self._items_changed)
        self._items.filter.passed.connect(lambda _: self._filtered())
        self._items.filter.refused.connect(lambda _: self._forget_selecting())
        session.selectionChanged.connect(lambda: self._soon.start(0))
        session.answered.connect(lambda _: self._soon.start(0))
        session.projectOpened.connect(self._opened)
        self._line.textChanged.connect(lambda _: self._show_brushes())
        THEME.changed.connect(self._theme)

    def _theme(self) -> None:
        c = colours()
        self._add.setIcon(icon("add"))
        self._close.setIcon(icon("close"))
        marks = ((c.dim, tr("all")), (c.faint, tr("pass the filter")), (c.accent, tr("selected")))
        self._legend.setText("&nbsp; ".join(f"<span style='color:{colour}'>■</span> {name}" for colour, name in marks))
        for card in self.cards.values():
            card.view.update()

    def _opened(self) -> None:
        self._project += 1
        self._chosen, self._fills = list(ALWAYS), True
        self._forget_selecting()

    # ---- counting ---------------------------------------------------------------------------------------------

    def _items_changed(self) -> None:
        if not self._soon.isActive():
            self._soon.start(ITEMS_MS)

    def _filtered(self) -> None:
        self._soon.start(0)
        if self._select_later:
            name, bars = self._select_later
            self._forget_selecting()
            self.select(name, bars)

    def _count(self) -> None:
        """One question at a time; of all that changes meanwhile, only the last state is counted next."""
        if self._counting or not self.isVisible():
            self._stale = True
            return
        self._counting, self._stale = True, False
        project = self._project
        more = len(ALWAYS) + VARYING - len(self._chosen) if self._fills else 0
        wanted = Wanted(tuple(self._chosen), more, frozenset(self._logs), self._items.shown, self._session.selection,
                        score_of(self._session))

        def done(found: Counted) -> None:
            self._counting = False
            if project == self._project:
                self._show(found)
            if self._stale or project != self._project:
                self._soon.start(0)

        def failed(error: Exception) -> None:
            self._counting = False
            self._session.failed.emit(error)

        self._rows.ask(lambda items: _counted(items, wanted), done, failed)

    def _show(self, found: Counted) -> None:
        self._names = found.names
        if not len(self._session.items):
            self._stack.setCurrentIndex(0)
            return
        if self._fills:
            self._chosen = [histogram.name for histogram in found.histograms]
        self._stack.setCurrentIndex(1)
        self._put([histogram.name for histogram in found.histograms if histogram.name in self._chosen])
        for histogram in found.histograms:
            if histogram.name in self.cards:
                self.cards[histogram.name].show_histogram(histogram)
        self._show_brushes()

    def _put(self, names: list[str]) -> None:
        """Cards for these columns, in this order, and no others."""
        for name in [name for name in self.cards if name not in names]:
            card = self.cards.pop(name)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        for place, name in enumerate(names):
            if name not in self.cards:
                self.cards[name] = self._card(name)
            if self._column.indexOf(self.cards[name]) != place:
                self._column.insertWidget(place, self.cards[name])

    def _card(self, name: str) -> HistogramCard:
        card = HistogramCard(_title(name))
        card.view.brushed.connect(partial(self._brush, name))
        card.view.selectWanted.connect(partial(self.select, name))
        card.removed.connect(partial(self._choose, name, False))
        card.logWanted.connect(partial(self._set_log, name))
        return card

    # ---- choosing columns -------------------------------------------------------------------------------------

    def _fill_menu(self) -> None:
        from mmstudio.library.histogram import drawable

        self.columns_menu.clear()
        for name in drawable(self._names):
            action = self.columns_menu.addAction(_title(name).replace("&", "&&"))
            action.setCheckable(True)
            action.setChecked(name in self._chosen)
            action.toggled.connect(partial(self._choose, name))

    def _choose(self, name: str, shown: bool) -> None:
        """From now on these columns are the person's choice."""
        self._fills = False
        self._chosen = [one for one in self._chosen if one != name] + [name] * shown
        if not shown:
            self._put([one for one in self.cards if one != name])
        self._soon.start(0)

    def _set_log(self, name: str, log: bool) -> None:
        self._logs = self._logs | {name} if log else self._logs - {name}
        self._soon.start(0)

    # ---- brushing and selecting -------------------------------------------------------------------------------

    def _brush(self, name: str, bars: frozenset[int], adds: bool) -> None:
        """Write the brush into the filter bar in the place of what is said there about the column."""
        from mmstudio.library import brush
        from mmstudio.library.query import QueryError

        shown = self.cards[name].view.histogram
        if shown is None:
            return
        text = self._line.text()
        others = brush.unshown(shown, brush.terms_about(text, name, self._names)) if adds and not shown.bins else []
        try:
            self._line.setText(brush.narrowed(text, name, self._names, brush.words(shown, bars, others)))
        except QueryError as error:
            self._session.noted.emit(tr("The filter cannot be narrowed while it is wrong: {}").format(str(error)))
        self._show_brushes()

    def _show_brushes(self) -> None:
        """The bars that the filter bar asks for, whoever wrote it."""
        if not self.cards:
            return
        from mmstudio.library import brush

        text = self._line.text()
        for name, card in self.cards.items():
            shown = card.view.histogram
            terms = brush.terms_about(text, name, self._names) if shown else []
            card.show_brush(brush.brushed(shown, terms) if shown else frozenset(), bool(terms))

    def select(self, name: str, bars: frozenset[int]) -> None:
        """Select the items in these bars that pass the filter, as soon as it has answered."""
        if self._items.filter.waits:
            self._select_later = name, bars
            return
        passing, log, score = self._items.shown, name in self._logs, score_of(self._session)
        project = self._project

        def done(chosen: NDArray[np.int64]) -> None:
            if project == self._project:
                self._session.select(chosen)

        self._rows.ask(lambda items: _in_bars(items, name, bars, log, passing, score), done, self._session.failed.emit)

    def _forget_selecting(self) -> None:
        self._select_later = None


def _title(name: str) -> str:
    return tr(COLUMN_TITLES[name]) if name in COLUMN_TITLES else name


def _counted(items: Items, wanted: Wanted) -> Counted:
    """On the lane for maths."""
    from mmstudio.library.histogram import drawable, histogram, mask_of, varying

    columns = items.columns(score=wanted.score)
    names = drawable(columns.names())
    chosen = (*wanted.columns, *varying(columns, wanted.more, wanted.columns))
    ids = items.ids()
    passing = None if len(wanted.passing) == len(ids) else mask_of(ids, wanted.passing)
    selected = mask_of(ids, wanted.selection.items) if wanted.selection else None
    return Counted(dict(columns.names()), tuple(
        histogram(columns, name, passing, selected, name in wanted.logs) for name in chosen if name in names))


def _in_bars(items: Items, name: str, bars: frozenset[int], log: bool, passing: NDArray[np.int64],
             score: Score | None) -> NDArray[np.int64]:
    """On the lane for maths: the ids ``(n,)``."""
    from mmstudio.library.histogram import mask_of, rows_in

    columns, ids = items.columns(score=score), items.ids()
    if name not in columns.names():
        return ids[:0]
    return ids[rows_in(columns, name, sorted(bars), log) & mask_of(ids, passing)]
