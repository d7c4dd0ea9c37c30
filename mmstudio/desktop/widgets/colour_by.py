"""The choice of what the map is coloured by; what takes a while to look up is looked up behind the window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox

from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.asking import Answer
from mmstudio.desktop.filtering import Rows
from mmstudio.desktop.plots.cloud import Points
from mmstudio.desktop.plots.colouring import Colouring, by_cluster, by_column, by_modality, by_score
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import COLUMN_TITLES, tr
from mmstudio.desktop.widgets.question_bar import MEASURE_NAMES
from mmstudio.library.items import Items

ALWAYS = (("modality", "Modality"), ("tag", "Tag"), ("cluster", "Cluster"), ("added", "Time added"),
          ("score", "Search score"))
"""What can be chosen besides the other columns."""


class ColourBy(QComboBox):
    """``found`` brings the Colouring of the points that were asked about last. ``wanted`` tells that another is needed,
    for the person chose it or the search has another answer.
    """

    found = Signal(object)
    wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._rows = Rows(session, self)
        self._asked = 0
        self._given: dict[str, Callable[[NDArray[np.int64]], Colouring]] = {}
        self._before = "modality"
        for name, title in ALWAYS:
            self.addItem(tr(title), name)
        self.setMinimumContentsLength(10)
        self.setAccessibleName(tr("Colour by"))
        self._answered(None)
        self.currentIndexChanged.connect(lambda _: self.wanted.emit())
        session.answered.connect(self._answered)

    def choose(self, name: str) -> None:
        """Colour by “modality”, “tag”, “cluster”, “added”, “score”, or another column."""
        self.setCurrentIndex(self.findData(name))

    @property
    def kept(self) -> str:
        """What is to be chosen again when the project is opened: neither what a page has reckoned nor a question's
        score outlives its window.
        """
        return "modality" if self.currentData() in {*self._given, "score", None} else str(self.currentData())

    def choose_again(self, name: str) -> None:
        """Choose what was ``kept``, a column of the person's as soon as it has been looked up."""
        project = self._session.project

        def found(names: list[str]) -> None:
            if project is self._session.project:
                self._show_columns(names)
                self.choose(name if self.findData(name) >= 0 else "modality")

        if name in dict(ALWAYS):
            self.choose(name)
        else:
            self._rows.ask(_columns, found, self._session.failed.emit)

    def give(self, name: str, title: str, colouring: Callable[[NDArray[np.int64]], Colouring]) -> None:
        """Colour by something that a page has reckoned, ``colouring`` of the points' keys, and let it be chosen."""
        self._given[name] = colouring
        if self.findData(name) < 0:
            self.insertItem(len(ALWAYS), tr(title), name)
        if self.currentData() == name:
            self.wanted.emit()
        else:
            if self.currentData() not in self._given:
                self._before = self.currentData()
            self.choose(name)

    def forget(self, name: str) -> None:
        """What a page has reckoned holds no longer; what the person had chosen before is chosen again."""
        if self._given.pop(name, None):
            if self.currentData() == name:
                self.setCurrentIndex(max(0, self.findData(self._before)))
            self.removeItem(self.findData(name))

    def ask(self, points: Points, layout: Layout) -> None:
        """Find the points' colours; of many questions only the last is answered."""
        self._asked += 1
        by, keys, asked, session = self.currentData(), points.keys, self._asked, self._session
        answer, view = session.answer, session.view

        def done(found: Colouring) -> None:
            if asked == self._asked:
                self.found.emit(found)

        if by == "modality":
            done(by_modality(points.shapes))
        elif by in self._given:
            given = self._given[by]
            session.maths.ask(lambda: given(keys), on_done=done, on_failed=session.failed.emit)
        elif by == "cluster":
            done(by_cluster(keys, layout.keys, layout.clusters))
        elif by != "score":
            title = self.currentText()
            self._rows.ask(lambda items: by_column(items, by, title, keys), done, session.failed.emit)
        elif answer is not None and view is not None:
            seen = answer.scores.view if answer.scores is not None else view  # with the gap closed, if it was asked so
            title = tr("{} to “{}”").format(tr(MEASURE_NAMES[answer.measure]), answer.title)
            session.maths.ask(lambda: by_score(seen.ids, seen.vectors, answer.query, answer.measure, title, keys),
                              on_done=done, on_failed=session.failed.emit)

    def offer_columns(self) -> None:
        """Look up what columns there are, and let them be chosen."""
        self._rows.ask(_columns, self._show_columns, self._session.failed.emit)

    def _show_columns(self, names: list[str]) -> None:
        known = [self.itemData(at) for at in range(len(ALWAYS) + len(self._given), self.count())]
        for name in [name for name in known if name not in names]:
            self.removeItem(self.findData(name))
        for name in [name for name in names if name not in known]:
            self.addItem(tr(COLUMN_TITLES[name]) if name in COLUMN_TITLES else name, name)

    def _answered(self, answer: Answer | None) -> None:
        """There is a score as long as there is a question."""
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        score = model.item(self.findData("score"))
        score.setEnabled(answer is not None)
        score.setToolTip("" if answer else tr("Search for something first"))
        if self.currentData() == "score":
            if answer is None:
                self.choose("modality")
            else:
                self.wanted.emit()


def _columns(items: Items) -> list[str]:
    """The columns that have categories or numbers, on the lane for maths."""
    from mmstudio.library.histogram import drawable

    return [name for name in drawable(items.columns().names()) if name not in dict(ALWAYS)]
