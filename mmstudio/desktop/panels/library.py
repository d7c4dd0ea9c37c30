"""The library: every item as a grid or a list, counted per modality, filtered as one types."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.column_view import ColumnView
from mmstudio.desktop.filtering import Wish
from mmstudio.desktop.item_list import ItemList
from mmstudio.desktop.item_rows import SIDE, ItemEditor, ItemRows
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.row_selection import RowSelection
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.columns_menu import ColumnsMenu
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.parts import Flow
from mmstudio.desktop.widgets.query_edit import QueryEdit
from mmstudio.desktop.widgets.slices import SlicesButton
from mmstudio.desktop.widgets.sort_button import SortButton
from mmstudio.errors import StudioError
from mmstudio.library.item_columns import SCORE
from mmstudio.media import MODALITIES


class LibraryPanel(QWidget):
    """Shows items; its selection is the session's selection."""

    addWanted = Signal()
    exampleWanted = Signal()

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.items = ItemList(session, self)
        self.list = ColumnView(ItemRows(self.items, previews, session.places))
        self._words = QueryEdit()
        self._wrong = QLabel(visible=False, wordWrap=True)
        self._modalities = QButtonGroup(self)
        self._stack = QStackedWidget()
        self._build()
        self._set_up_list()
        previews.arrived.connect(lambda _: self.list.viewport().update())
        session.places.missingChanged.connect(self.list.viewport().update)
        for signal in (self.items.modelReset, self.items.rowsInserted, session.itemsAdded, session.itemsRemoved,
                       session.projectOpened):
            signal.connect(self._count)
        self.items.filter.passed.connect(self._answered)
        self.items.filter.refused.connect(self._refused)
        self.items.filter.completed.connect(self._words.show_completions)
        self._words.completionsWanted.connect(self.items.filter.complete)
        session.selectionChanged.connect(self._show_single)
        THEME.changed.connect(self._icons)
        self._count()

    @property
    def line(self) -> QueryEdit:
        """The filter bar."""
        return self._words

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 4, 4)
        layout.setSpacing(6)
        top = QHBoxLayout()
        top.addWidget(self._words, 1)
        self._slices = SlicesButton(self._session, self._words)
        top.addWidget(self._slices)
        self.order = SortButton(self._session)
        self.order.changed.connect(self._filter)
        top.addWidget(self.order)
        self._as_list = QToolButton(checkable=True, toolTip=tr("Show as list (Ctrl+L)"), shortcut="Ctrl+L")
        self._as_list.toggled.connect(self._show_as_list)
        top.addWidget(self._as_list)
        self.columns_menu = ColumnsMenu(self.items.columns, self)
        self._columns = QToolButton(toolTip=tr("Choose the list's columns"), visible=False)
        self._columns.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._columns.setMenu(self.columns_menu)
        top.addWidget(self._columns)
        layout.addLayout(top)
        self._wrong.setTextFormat(Qt.TextFormat.PlainText)
        self._wrong.setProperty("wrong", True)
        layout.addWidget(self._wrong)
        chips = QWidget()
        flow = Flow(chips, 2)
        for modality in ("", *MODALITIES):
            chip = QToolButton(checkable=True, checked=modality == "")
            chip.setProperty("modality", modality)
            self._modalities.addButton(chip)
            flow.addWidget(chip)
        layout.addWidget(chips)
        empty = EmptyState(
            tr("Drop pictures, sounds, texts and videos here.\n\nThey stay on this computer; the studio only reads "
               "them."),
            [(tr("Open the example"), self.exampleWanted.emit), (tr("Add files…"), self.addWanted.emit)])
        self._none = EmptyState(tr("Nothing passes the filter."), [(tr("Clear the filter"), self._clear_filter)])
        for page in (empty, self.list, self._none):
            self._stack.addWidget(page)
        layout.addWidget(self._stack, 1)
        self._words.textChanged.connect(lambda _: self._filter())
        self._modalities.buttonClicked.connect(lambda _: self._filter())
        self._icons()

    def _set_up_list(self) -> None:
        view = self.list
        view.setModel(self.items)
        self.rows = RowSelection(self.items, self._session, view.near)
        view.setSelectionModel(self.rows)
        view.verticalScrollBar().valueChanged.connect(lambda _: self.rows.scrolled())
        view.setItemDelegate(ItemEditor(view))
        view.setDragEnabled(True)
        view.setAccessibleName(tr("Library"))
        self._show_as_list(False)
        header, columns = view.header, self.items.columns
        header.sectionClicked.connect(lambda place: self._sort_by(self.items.name_of(place)))
        header.sectionResized.connect(self._widened)
        header.customContextMenuRequested.connect(lambda at: self.columns_menu.popup(header.mapToGlobal(at)))
        columns.changed.connect(self._show_columns)
        self.order.changed.connect(self._show_order)
        self._show_columns()
        self.rows.currentChanged.connect(lambda now, _: self._current(now))
        view.clicked.connect(self._current)

    def _show_as_list(self, as_list: bool) -> None:
        self.list.set_cells(QSize(200, 40) if as_list else QSize(SIDE + 16, SIDE + 34), wraps=not as_list)
        self._columns.setVisible(as_list)

    def _show_columns(self) -> None:
        """Each as wide as the person made it."""
        header = self.list.header
        header.blockSignals(True)
        for place, name in enumerate(self.items.columns.shown):
            header.resizeSection(place, self.items.columns.width(name))
        header.blockSignals(False)
        self._show_order()
        self.list.updateGeometries()

    def _widened(self, place: int, _before: int, width: int) -> None:
        """By the person; the last one is as wide as there is room."""
        if place < self.items.columnCount() - 1 and self.list.has_columns:
            self.items.columns.set_width(self.items.name_of(place), width)

    def _sort_by(self, name: str) -> None:
        """Another click turns it round. Of a search the best comes first."""
        again = name == self.order.by
        self.order.choose(name, not self.order.descending if again else name == SCORE)
        self._show_order()

    def _show_order(self) -> None:
        shown, order = self.items.columns.shown, Qt.SortOrder
        self.list.header.setSortIndicatorShown(self.order.by in shown)
        if self.order.by in shown:
            self.list.header.setSortIndicator(
                shown.index(self.order.by),
                order.DescendingOrder if self.order.descending else order.AscendingOrder)

    def _icons(self) -> None:
        self._as_list.setIcon(icon("list"))
        self._columns.setIcon(icon("columns"))

    def _count(self) -> None:
        counts = self._session.items.counts()
        total = sum(counts.values())
        for chip in self._modalities.buttons():
            modality = chip.property("modality")
            number = counts[modality] if modality else total
            chip.setText(f"{modality_name(modality) if modality else tr('All')} {count(number)}")
        self._stack.setCurrentIndex(0 if not total else 1 if self.items.rowCount() else 2)

    @property
    def wish(self) -> Wish:
        """What is typed and chosen now."""
        chip = self._modalities.checkedButton()
        return Wish(self._words.text(), chip.property("modality") if chip else "", self.order.by,
                    self.order.descending)

    def show_wish(self, wish: Wish) -> None:
        """Type and choose what this says."""
        self._words.setText(wish.text)
        next((chip for chip in self._modalities.buttons() if chip.property("modality") == wish.modality),
             self._modalities.buttons()[0]).setChecked(True)
        self.order.choose(wish.sort, wish.descending)
        if self.wish != self.items.filter.wish:
            self._filter()

    def _filter(self) -> None:
        self.items.filter.want(self.wish)

    def _answered(self) -> None:
        self._words.show_error("")
        self._wrong.hide()
        self._count()
        asked = self.items.filter
        if not asked.wish.lets_all_pass and not asked.about_selection:  # what is not seen must not be hit by a key
            chosen = self._session.selection
            self._session.select(chosen - chosen.items | self.items.shown[chosen.rows_in(self.items.shown)])
        self.rows.follow()

    def _refused(self, error: StudioError) -> None:
        self._words.show_error(str(error))
        self._wrong.setText(str(error))
        self._wrong.show()

    def _clear_filter(self) -> None:
        self._words.clear()
        self._modalities.buttons()[0].setChecked(True)
        self._filter()

    def _current(self, index: QModelIndex) -> None:
        if index.isValid() and not self.rows.following and self.items.key_at(index.row()) != self._session.current:
            self._session.focus(self.items.key_at(index.row()))

    def _show_single(self) -> None:
        """Scroll to what was selected elsewhere, if it is one thing."""
        rows = self.rows.rows
        if len(rows) == 1:
            index = self.items.index(int(rows[0]), max(0, self.list.currentIndex().column()))
            if self.list.currentIndex().row() != index.row():
                self.rows.following = True
                self.rows.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
                self.rows.following = False
            self.list.scrollTo(index)
