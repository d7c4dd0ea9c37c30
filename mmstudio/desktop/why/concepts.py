"""Concepts: a direction from two groups of items, whether it is more than chance, and what lies along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.naming import Vocabulary, vocabulary, words_to_try
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.why.newest import Newest
from mmstudio.desktop.widgets.shares import Shares
from mmstudio.encoders.base import Vectors
from mmstudio.errors import StudioError
from mmstudio.explain.concepts import DIRECTIONS, Concept, concept, tcav
from mmstudio.library import VectorView
from mmstudio.progress import Work

SHOWN, OTHERS = 10, 400
NAMES = {"mean difference": "Mean difference", "linear CAV": "Linear classifier (CAV)"}


@dataclass(frozen=True)
class Along:
    """A concept, and the ids of items and of texts nearest to it, each with its cosine, nearest first. ``rising`` is
    the TCAV score of each modality for what was searched for.
    """

    concept: Concept
    items: list[tuple[int, float]]
    words: list[tuple[int, float]]
    rising: dict[str, float]


class ConceptsPage(QWidget):
    """Groups are taken from the selection; without a second one, the first is told from random other items."""

    opened = Signal(int)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._behind = session, Behind(session, self._failed)
        self._reading = Newest(session, self._failed)
        self._vocabulary: Vocabulary | None = None
        self._groups: list[NDArray[np.int64]] = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
        self._found: Along | None = None
        self.take = QPushButton(tr("Selection is the concept")), QPushButton(tr("Selection is what it is not"))
        self.way = QComboBox()
        self.sizes, self.verdict, self.told = QLabel(), QLabel(wordWrap=True), QLabel(wordWrap=True)
        self.items, self.words = Shares(), Shares()
        self.rising = QLabel(wordWrap=True)
        self._body = QWidget()
        self._build()
        for group, button in enumerate(self.take):
            button.clicked.connect(lambda _=False, number=group: self.set_group(number))
        self.way.activated.connect(lambda _: self.look())
        self.items.chosen.connect(lambda row: self._open(row, "items"))
        self.words.chosen.connect(lambda row: self._open(row, "words"))
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)

    def _build(self) -> None:
        for name in DIRECTIONS:
            self.way.addItem(tr(NAMES[name]), name)
        self.way.setAccessibleName(tr("How the direction is found"))
        for label in (self.sizes, self.told):
            label.setProperty("faint", True)
        self.verdict.setProperty("heading", True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        for widget in (*self.take, self.way):
            row.addWidget(widget)
        inner = QVBoxLayout(self._body)
        inner.setContentsMargins(0, 0, 8, 0)
        self.rising.setTextFormat(Qt.TextFormat.PlainText)
        inner.addWidget(self.rising)
        for title, part in ((tr("Items along it: the first and the last"), self.items),
                            (tr("Words nearest to it"), self.words)):
            inner.addWidget(QLabel(title))
            inner.addWidget(part)
        inner.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(row)
        layout.addWidget(self.sizes)
        layout.addWidget(self.verdict)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.told)
        self._clear()

    def _clear(self) -> None:
        self._behind.forget()
        self._reading.cancel()
        self._groups = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
        self._found = None
        self._body.setVisible(False)
        self.verdict.clear()
        self.sizes.clear()
        self.told.setText(tr("Select items that share something, such as drawings of animals, and make them the "
                             "concept. Here is the direction that they have in common, and what lies along it."))

    def set_group(self, number: int) -> None:
        """The selected items are this group: 0 the concept, 1 what it is not."""
        self._groups[number] = np.array(self._session.selection.items, np.int64)
        self.look()

    def look(self) -> None:
        """Look for the direction behind the window."""
        view, (inside, outside), way = self._session.view, self._groups, self.way.currentData()
        if view is None or not len(inside):
            self.told.setText(tr("Select the items of the concept first."))
            return
        self.sizes.setText(tr("{} items against {}").format(
            count(len(inside)), count(len(outside)) if len(outside) else tr("random others")))
        self.told.setText(tr("Looking…"))
        query = self._session.answer.query if self._session.answer else None
        self._behind.ask(lambda: _along(view, inside, outside, way, query), self._show)

    def _failed(self, error: StudioError) -> None:
        self.told.setText(str(error))

    def _show(self, found: Along) -> None:
        self._found = found
        told = found.concept
        self.verdict.setText(
            (tr("More than chance: tells {:.0f} % apart, p = {:.3f}") if told.significant
             else tr("No more than chance: tells {:.0f} % apart, p = {:.3f}")).format(100 * told.accuracy, told.p))
        self.told.setText(tr("Accuracy is on items the direction was not made from; p is the share of random groups "
                             "that do as well. Numbers are cosines with the direction."))
        self._body.setVisible(True)
        for bars, rows in ((self.items, found.items), (self.words, found.words)):
            bars.show_shares([(self._session.items[key].title, cosine) for key, cosine in rows])
        answer = self._session.answer
        self.rising.setVisible(bool(found.rising) and answer is not None)
        if found.rising and answer is not None:
            self.rising.setText(tr("Nearer to “{}” along it (TCAV): {}").format(answer.title, ", ".join(
                f"{modality_name(name)} {100 * share:.0f} %" for name, share in found.rising.items())))
        if not found.words:
            self._ask_vocabulary(found)

    def _ask_vocabulary(self, found: Along) -> None:
        """A project without texts: the words that the studio knows, and its tags."""
        project, encoder, items = self._session.project, self._session.encoder, self._session.items.copy()
        if project is None or encoder is None or "text" not in encoder.modalities:
            return
        kept = self._vocabulary

        def read() -> Work[Vocabulary]:
            words = words_to_try(items.tags_of(items.ids()))
            if kept is not None and kept.encoder is encoder and kept.words == words:
                return kept
            return (yield from vocabulary(encoder, words, project.limits))

        def show(known: Vocabulary) -> None:
            self._vocabulary = known
            if found is self._found:
                cosines = known.vectors @ found.concept.direction
                self.words.show_shares([(known.words[at], float(cosines[at]))
                                        for at in np.argsort(-cosines, kind="stable")[: 2 * SHOWN].tolist()])

        self._reading.run(read, show)

    def _open(self, row: int, which: str) -> None:
        rows = getattr(self._found, which) if self._found is not None else []
        if row < len(rows):  # a word of the vocabulary is no item
            self.opened.emit(rows[row][0])


def _along(view: VectorView, inside: NDArray[np.int64], outside: NDArray[np.int64], way: str,
           query: Vectors | None) -> Along:
    """In the pool."""
    one = np.isin(view.ids, inside)
    rest = np.flatnonzero(np.isin(view.ids, outside) if len(outside) else ~one)
    if not len(outside) and len(rest) > OTHERS:
        rest = np.random.default_rng(0).choice(rest, OTHERS, replace=False)
    found = concept(view.vectors[one], view.vectors[rest], way)
    return Along(found, _ranked(view, found.direction, view.modalities != "text", both=True),
                 _ranked(view, found.direction, view.modalities == "text", both=False),
                 {} if query is None else {name: tcav(view.vectors[view.modalities == name], query, found.direction)
                                           for name in np.unique(view.modalities).tolist()})


def _ranked(view: VectorView, direction: Vectors, which: NDArray[np.bool_], both: bool) -> list[tuple[int, float]]:
    rows = np.flatnonzero(which)
    scores = view.vectors[rows] @ direction
    order = np.argsort(-scores, kind="stable")
    if both and len(order) > 2 * SHOWN:
        order = np.concatenate([order[:SHOWN], order[-SHOWN:]])
    return [(int(view.ids[rows[at]]), float(scores[at])) for at in order[: 2 * SHOWN]]
