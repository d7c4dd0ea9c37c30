"""The question's chips, where it looks, by which measure, and how its hits are laid out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.asking import Scope
from mmstudio.desktop.filtering import Rows, Wish, passing
from mmstudio.desktop.selection import Selection
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.widgets.given import is_given, take
from mmstudio.desktop.widgets.parts import Flow, PartsBar
from mmstudio.explore.similarity import MEASURES, Measure
from mmstudio.media import MODALITIES

if TYPE_CHECKING:
    from mmstudio.library import Items

MEASURE_NAMES: dict[Measure, str] = {"cosine": "Cosine", "dot": "Dot", "euclid": "Euclid", "pearson": "Pearson",
                                     "angular": "Angle"}


class Where:
    """What a scope can be, besides everything: ``passing`` gives the ids that pass the filter bar, ``slices`` the
    project's named filters.
    """

    def __init__(self, passing: Callable[[], NDArray[np.int64]], slices: Callable[[], dict[str, str]]) -> None:
        self.passing, self.slices = passing, slices


class QuestionBar(QWidget):
    """Follows the session's question and changes it. What is dropped on it becomes a part of the question; with Shift,
    one to go away from.
    """

    layoutChanged = Signal()

    def __init__(self, session: Session, where: Where) -> None:
        super().__init__()
        self._session, self._asking, self._where = session, session.asking, where
        self._rows = Rows(session, self)
        self.parts = PartsBar()
        self._add = QToolButton(text=tr("Add"), toolTip=tr("Add a part to the question, towards it or away from it"))
        self.scope = QToolButton(toolTip=tr("Where to look"))
        self.modality, self.measure = QComboBox(), QComboBox()
        self.one_list = QToolButton(text=tr("One list"), checkable=True, toolTip=tr(
            "All modalities in one list, by how far each hit lies above what its modality scores by chance"))
        self.exact = QToolButton(text=tr("Exact"), checkable=True, toolTip=tr(
            "Look at every item, however many there are, instead of by the index"))
        self.setAcceptDrops(True)
        self._fill()
        self._build()
        self._asking.changed.connect(self._show)
        session.answered.connect(lambda _: self._show())
        self._show()

    @property
    def is_one_list(self) -> bool:
        return self.one_list.isChecked()

    def _fill(self) -> None:
        for modality in (None, *MODALITIES):
            self.modality.addItem(modality_name(modality) if modality else tr("All modalities"), modality)
        for measure in MEASURES:
            self.measure.addItem(tr(MEASURE_NAMES[measure]), measure)
        self.measure.setToolTip(tr(
            "By which measure, kept for this model's space. Vectors here have length 1, so cosine, dot product, "
            "Euclidean distance and angle (in half turns; distances are shown negated) give the same order"))
        self.modality.setAccessibleName(tr("Modality"))
        self.measure.setAccessibleName(tr("Measure"))
        for button, filled in ((self._add, self._fill_add), (self.scope, self._fill_scope)):
            menu = QMenu(button)
            menu.aboutToShow.connect(partial(filled, menu))
            button.setMenu(menu)
            button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.modality.activated.connect(lambda at: self._asking.look_for(self.modality.itemData(at)))
        self.measure.activated.connect(lambda at: self._asking.measure_by(self.measure.itemData(at)))
        self.one_list.toggled.connect(lambda _: self.layoutChanged.emit())
        self.exact.toggled.connect(self._asking.be_exact)
        self.parts.weighed.connect(self._asking.set_weight)
        self.parts.dropped.connect(self._asking.drop)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.parts)
        controls = QWidget()
        flow = Flow(controls)
        for widget in (self._add, self.scope, self.modality, self.measure, self.one_list, self.exact):
            flow.addWidget(widget)
        layout.addWidget(controls)

    def _show(self) -> None:
        asking, answer = self._asking, self._session.answer
        self.parts.show_parts(asking.parts)
        self.scope.setText(asking.scope.title or tr("Everything"))
        self.modality.setCurrentIndex(self.modality.findData(asking.modality))
        self.measure.setCurrentIndex(self.measure.findData(asking.measure))
        self.exact.blockSignals(True)
        self.exact.setChecked(asking.exact)
        self.exact.blockSignals(False)
        self.exact.setVisible(asking.exact or (answer is not None and answer.results.recall is not None))

    # ---- adding a part ----------------------------------------------------------------------------------------

    def _fill_add(self, menu: QMenu) -> None:
        menu.clear()
        for weight, words in ((1.0, tr("Words…")), (-1.0, tr("Away from words…"))):
            menu.addAction(words, partial(self._ask_words, weight))
        for weight, words in ((1.0, tr("A file…")), (-1.0, tr("Away from a file…"))):
            menu.addAction(words, partial(self._ask_file, weight))
        copied = QApplication.clipboard().mimeData()
        for weight, words in ((1.0, tr("What was copied")), (-1.0, tr("Away from what was copied"))):
            action = menu.addAction(words, partial(self._add_copied, weight))
            action.setEnabled(copied is not None and is_given(copied))
        current = self._session.current
        for weight, words in ((1.0, tr("The open item")), (-1.0, tr("Away from the open item"))):
            action = menu.addAction(words, partial(self._add_current, weight))
            action.setEnabled(current is not None)

    def _ask_words(self, weight: float) -> None:
        words, given = QInputDialog.getText(self, tr("Add a part to the question"), tr("Words"))
        if given and words.strip():
            self._asking.add(words.strip(), words.strip(), weight)

    def _ask_file(self, weight: float) -> None:
        name, _ = QFileDialog.getOpenFileName(self, tr("Add a part to the question"))
        if name:
            self._asking.add(Path(name), Path(name).name, weight)

    def _add_copied(self, weight: float) -> None:
        copied = QApplication.clipboard().mimeData()
        if copied is not None:
            self.add_given(copied, weight)

    def add_given(self, mime: QMimeData, weight: float = 1.0) -> bool:
        """Add what was dropped or copied to the question; False where it is neither a file nor a picture."""
        return take(self._session, mime, lambda file, title: self._asking.add(file, title, weight))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if is_given(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        away = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self.add_given(event.mimeData(), -1.0 if away else 1.0):
            event.acceptProposedAction()

    def _add_current(self, weight: float) -> None:
        if self._session.current is not None:
            self._asking.add_like(self._session.current, weight)

    # ---- where to look ----------------------------------------------------------------------------------------

    def _fill_scope(self, menu: QMenu) -> None:
        menu.clear()
        chosen, passing = self._session.selection.items, self._where.passing()
        menu.addAction(tr("Everything"), partial(self._asking.look_in, Scope()))
        for title, ids in ((tr("The selection ({})"), chosen), (tr("What passes the filter ({})"), passing)):
            named = title.format(count(len(ids)))
            menu.addAction(named, partial(self._asking.look_in, Scope(named, ids))).setEnabled(len(ids) > 0)
        slices = self._where.slices()
        if slices:
            menu.addSeparator()
        for name, query in sorted(slices.items()):
            menu.addAction(name.replace("&", "&&"), partial(self.look_in_slice, name, query))

    def look_in_slice(self, name: str, query: str) -> None:
        """Look only in what passes a named filter."""
        session = self._session
        samples, selection, missing = list(session.samples.values()), session.selection, session.places.missing

        def ids(items: Items) -> NDArray[np.int64]:
            return passing(items, Wish(query), samples, selection, Selection(missing))[0].ascending

        self._rows.ask(ids, lambda found: self._asking.look_in(Scope(name, found)), session.failed.emit)
