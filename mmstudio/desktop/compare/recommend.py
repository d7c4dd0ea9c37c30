"""Recommendations: more of what was liked, less of what was not, and why each was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.hits import HitsView
from mmstudio.explore.question import reasons, rocchio
from mmstudio.library import VectorView
from mmstudio.searching import Found, Question, Results, find

HITS = 24
ALPHA, BETA, GAMMA = 1.0, 0.75, 0.25
"""The weights that Rocchio's question usually has."""
WEIGHTS = ((ALPHA, "Keep to the question", "How strongly the present search counts, where there is one (alpha)"),
           (BETA, "Towards what I like", "How strongly the mean of what is liked counts (beta)"),
           (GAMMA, "Away from the rest", "How strongly the mean of what is disliked is gone away from (gamma)"))


@dataclass(frozen=True)
class Recommended:
    """What was found, and for each item why: the liked item nearest to it, and their cosine."""

    results: Results
    why: dict[int, tuple[int, float]]


class RecommendPage(QWidget):
    """Liked and disliked items left, what they lead to right."""

    opened = Signal(int)

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session, self._behind = session, Behind(session)
        self.liked: tuple[int, ...] = ()
        self.disliked: tuple[int, ...] = ()
        self._recommended: Recommended | None = None
        self.like, self.dislike = QPushButton(tr("Like the selection")), QPushButton(tr("Dislike the selection"))
        self.start_anew = QPushButton(tr("Start anew"))
        self.weights = [QDoubleSpinBox(minimum=0, maximum=3, singleStep=0.25, decimals=2, value=value, toolTip=tr(tip))
                        for value, _, tip in WEIGHTS]
        self.tally, self.why = QLabel(), QLabel(wordWrap=True)
        self.hits = HitsView(session, previews, side=76, lines=1, reason=self.reason)
        self._stack = QStackedWidget()
        self._build()
        self.like.clicked.connect(lambda: self._judge(likes=True))
        self.dislike.clicked.connect(lambda: self._judge(likes=False))
        self.start_anew.clicked.connect(self._clear)
        for spin in self.weights:
            spin.valueChanged.connect(lambda _: self.recommend())
        self.hits.opened.connect(self._open)
        session.answered.connect(lambda _: self.recommend())
        session.projectOpened.connect(self._clear)
        session.encoderChanged.connect(self._clear)
        self._clear()

    def _build(self) -> None:
        form = QFormLayout()
        for spin, (_, title, _) in zip(self.weights, WEIGHTS, strict=True):
            form.addRow(tr(title), spin)
        left = QVBoxLayout()
        for widget in (self.like, self.dislike, self.tally):
            left.addWidget(widget)
        left.addLayout(form)
        left.addStretch(1)
        left.addWidget(self.start_anew)
        for label in (self.tally, self.why):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setProperty("faint", True)
        body = QWidget()
        inner = QVBoxLayout(body)
        inner.addWidget(self.why)
        inner.addWidget(self.hits)
        inner.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        self._stack.addWidget(EmptyState(tr("Select what you like and press “Like the selection”; then see what in the "
                                            "project is near to it and away from what you dislike.")))
        self._stack.addWidget(scroll)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(left)
        layout.addWidget(self._stack, 1)

    def _clear(self) -> None:
        self.liked = self.disliked = ()
        self._tell()
        self.recommend()

    def _judge(self, likes: bool) -> None:
        """What is selected is liked or disliked from now on, and no longer the other."""
        chosen = tuple(self._session.selection.items.tolist())
        others = set(chosen)
        liked, disliked = (tuple(key for key in kept if key not in others) for kept in (self.liked, self.disliked))
        self.liked, self.disliked = (liked + chosen, disliked) if likes else (liked, disliked + chosen)
        self._tell()
        self.recommend()

    def _tell(self) -> None:
        self.tally.setText(tr("{} liked, {} disliked").format(count(len(self.liked)), count(len(self.disliked))))

    def recommend(self) -> None:
        """Find what is recommended, behind the window."""
        view, answer = self._session.view, self._session.answer
        if view is None or not self.liked:
            self._behind.forget()
            self._stack.setCurrentIndex(0)
            return
        alpha, beta, gamma = (spin.value() for spin in self.weights)
        self._behind.ask(partial(_recommended, view, self.liked, self.disliked, answer.query if answer else None,
                                 (alpha, beta, gamma)),
                         self._show)

    def _show(self, found: Recommended | None) -> None:
        if found is None:
            self._stack.setCurrentIndex(0)
            return
        self._recommended = found
        self._stack.setCurrentIndex(1)
        self.hits.show_hits(found.results.hits, "cosine", found.results.close)
        asked = tr("the search “{}”, ").format(self._session.answer.title) if self._session.answer else ""
        self.why.setText(
            tr("From {}what is liked and what is disliked. Point at an item to see why it is here.").format(asked))

    def reason(self, key: int) -> str:
        """Why an item was recommended."""
        why = self._recommended.why.get(key) if self._recommended else None
        item = self._session.items.get(why[0]) if why else None
        return tr("Because you like “{}” (cosine {:.2f})").format(item.title[:80], why[1]) if item and why else ""

    def _open(self, key: int) -> None:
        self.why.setText(self.reason(key))
        self.opened.emit(key)


def _recommended(view: VectorView, liked: tuple[int, ...], disliked: tuple[int, ...],
                 query: NDArray[np.float32] | None, weights: tuple[float, float, float]) -> Recommended | None:
    """In the pool; None where nothing that is liked has a vector."""
    liked, disliked = (tuple(key for key in kept if view.vector(key) is not None) for kept in (liked, disliked))
    if not liked:
        return None

    def vectors(keys: tuple[int, ...]) -> NDArray[np.float32]:
        return view.vectors[[view.rows[key] for key in keys]] if keys else np.zeros((0, view.vectors.shape[1]), "f4")

    vector = rocchio(vectors(liked), vectors(disliked), query, *weights)
    results = find(view, Question(vector, k=HITS, without=(*liked, *disliked)))
    found: list[Found] = [hit for hits in results.hits.values() for hit in hits]
    if not found:
        return Recommended(results, {})
    best, cosine = reasons(vectors(tuple(hit.item_id for hit in found)), vectors(liked))
    return Recommended(results, {hit.item_id: (liked[at], float(near))
                                 for hit, at, near in zip(found, best.tolist(), cosine, strict=True)})
