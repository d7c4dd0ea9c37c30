"""Attention: every layer and head of the item in the inspector, of one position or on the mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.behind import Behind
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.why.newest import Newest, at_once
from mmstudio.desktop.why.verdict import show_verdict, verdict_told
from mmstudio.desktop.widgets.arcs import MOST, Arcs
from mmstudio.desktop.widgets.head_grid import HeadGrid
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.encoders.base import Explanation
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain import heads, maps
from mmstudio.explain.figure import Caption
from mmstudio.explain.gradients import chefer
from mmstudio.explain.subject import Subject
from mmstudio.explain.trust import Verdict, verdict_of
from mmstudio.media import load
from mmstudio.progress import Work

if TYPE_CHECKING:
    from mmstudio.library import Item

Floats = NDArray[np.float32]
MEAN, READ, PICKED, LEARNED = -1, -2, -3, -4
"""Whose attention: all positions on the mean, the one the vector is read from, the one that was clicked, the learned
query that pools them; else a position.
"""
ROLLOUT, RELEVANCE = -1, -2
"""Instead of a layer: all of them."""
MOST_SPECIAL = 8


@dataclass(frozen=True)
class Choice:
    """What a person chose to see of an explanation. ``head`` MEAN_OF_HEADS is the mean of them."""

    layer: int
    head: int
    whose: int
    picked: int

    def position(self, explanation: Explanation) -> int | None:
        """Whose attention it is, None for all on the mean."""
        if self.whose in (READ, PICKED):
            return explanation.pooling_query if self.whose == READ else self.picked
        return self.whose if self.whose >= 0 else None

    def map(self, explanation: Explanation) -> maps.RelevanceMap:
        """Of a layer, of the learned pooling, or of all layers. Raises AttentionUnavailable."""
        if self.layer == ROLLOUT:
            return maps.rollout_map(explanation)
        if self.whose == LEARNED:
            return maps.pooling_map(explanation)
        chosen, query = explanation.attention[self.layer], self.position(explanation)
        query = None if query is not None and query >= len(chosen.positions) else query
        return maps.attention_map(explanation, self.layer, min(self.head, chosen.heads - 1), query)


@dataclass(frozen=True)
class Shown:
    """What was chosen, as it is drawn: the ``found`` map over the item, thumbnails, entropies, and ``arcs (k, l)`` of
    the tokens from ``windows`` on.
    """

    found: maps.RelevanceMap
    pictures: list[Floats]
    entropies: Floats
    arcs: Floats | None
    windows: tuple[int, int] = (0, 0)


class AttentionPage(QWidget):
    """Follows the session's current item while it is visible. All is reckoned behind the window: an item may have
    thousands of positions.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._behind = session, Behind(session, self._failed)
        self._asking = Newest(session, self._failed)
        self._judging = Newest(session, self._failed, self._judged)
        self._relevance = Newest(session, self._refused)
        self._explanation: Explanation | None = None
        self._key: tuple[int, object] | None = None
        self._picked = 0
        self.layer, self.query = QComboBox(), QComboBox()
        self.face, self.heads, self.arcs = ItemFace(session), HeadGrid(), Arcs()
        self.windows = QSpinBox(minimum=1, singleStep=MOST // 2), QSpinBox(minimum=1, singleStep=MOST // 2)
        self._window_row = QWidget()
        self.judge, self.verdict = QPushButton(tr("Is it true?")), QLabel(wordWrap=True)
        self.told = QLabel(wordWrap=True)
        self._heads_title = QLabel(tr("Heads, each with its entropy: 0 looks at one place, 1 at everything"))
        self._body = QWidget()
        self._build()
        session.currentChanged.connect(self.ask)
        session.encoderChanged.connect(self.ask)
        session.projectOpened.connect(self.ask)
        self.layer.activated.connect(lambda _: self.draw())
        self.query.activated.connect(lambda _: self.draw())
        self.heads.headChosen.connect(lambda _: self.draw())
        for box in self.windows:
            box.valueChanged.connect(lambda _: self.draw())
        self.judge.clicked.connect(self.judge_it)
        for part in (self.face, self.arcs):
            part.picked.connect(self.pick)

    def _build(self) -> None:
        self.layer.setAccessibleName(tr("Layer"))
        self.query.setAccessibleName(tr("Whose attention"))
        self.told.setProperty("faint", True)
        self.told.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        row.addWidget(self.layer, 1)
        row.addWidget(self.query, 1)
        state, windows = QHBoxLayout(), QHBoxLayout(self._window_row)
        state.addWidget(self.judge)
        state.addWidget(self.verdict, 1)
        windows.setContentsMargins(0, 0, 0, 0)
        for box, name in zip(self.windows, (tr("Looking: from token"), tr("Looked at: from token")), strict=True):
            box.setAccessibleName(name)
            windows.addWidget(QLabel(name))
            windows.addWidget(box)
        windows.addStretch(1)
        inner = QVBoxLayout(self._body)
        inner.setContentsMargins(0, 0, 8, 0)
        inner.addWidget(self._heads_title)
        inner.addWidget(self.heads)
        inner.addWidget(self._window_row)
        inner.addWidget(self.arcs)
        inner.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(row)
        layout.addWidget(self.face, 3)
        layout.addLayout(state)
        layout.addWidget(scroll, 2)
        layout.addWidget(self.told)
        self._show_controls(False)
        self.told.setText(tr("Click an item: here is what every layer and head of the model looks at."))

    def _show_controls(self, on: bool) -> None:
        for widget in (self.layer, self.query, self.face, self._body, self.judge):
            widget.setVisible(on)
        show_verdict(self.verdict, None)

    def showEvent(self, event: QShowEvent) -> None:
        self.ask()

    def ask(self) -> None:
        """Explain the current item, if it is seen and was not explained already."""
        project, encoder, item = self._session.project, self._session.encoder, self._item
        if not self.isVisible() or (item and self._key == (item.id, encoder)):
            return
        self._key, self._explanation = None, None
        self._behind.forget()
        self._judging.cancel()
        self._relevance.cancel()
        self._show_controls(False)
        if item is None or project is None or encoder is None:
            self._asking.cancel()
            self.told.setText(tr("Click an item: here is what every layer and head of the model looks at."))
            return
        self.told.setText(tr("The model is looking at it…"))

        def done(found: Explanation) -> None:
            self._key = item.id, encoder
            self._show_explanation(item, found)

        self._asking.run(at_once(lambda: project.explain(encoder, item)), done, urgent=True)

    @property
    def _item(self) -> Item | None:
        return self._session.items.get(self._session.current or 0)

    def _failed(self, error: StudioError) -> None:
        self._show_controls(False)
        self.told.setText(str(error))

    def _refused(self, error: StudioError) -> None:
        """The model does not allow what was chosen; something else may be."""
        self.face.show_map(None)
        self.told.setText(str(error))

    def _show_explanation(self, item: Item, found: Explanation) -> None:
        if not found.attention:
            self.told.setText(found.note or tr("This model gives no attention for such an item."))
            return
        self._explanation = found
        self._show_controls(True)
        self.face.show_item(item)
        before = self.layer.currentData()
        self.layer.clear()
        for number in range(len(found.attention)):
            self.layer.addItem(tr("Layer {}").format(number + 1), number)
        if "rollout" in maps.views(found):
            self.layer.addItem(tr("Rollout through all layers"), ROLLOUT)
        if hasattr(self._session.encoder, "tensors"):
            self.layer.addItem(tr("Gradient-weighted, through all layers"), RELEVANCE)
        at = self.layer.findData(before) if before is not None else -1
        self.layer.setCurrentIndex(at if at >= 0 else len(found.attention) - 1)
        self._offer_queries(found)
        self._picked = found.pooling_query or 0
        self.draw()

    def _offer_queries(self, found: Explanation) -> None:
        """All on the mean, what the vector is read from, what else is no place in the item, and any place."""
        positions = found.attention[-1].positions
        before = self.query.currentData()
        self.query.clear()
        self.query.addItem(tr("received, on the mean"), MEAN)
        if found.pooling_query is not None:
            name = positions.label(found.pooling_query) or tr("the position that is read")
            self.query.addItem(tr("of {}").format(name), READ)
        if found.pooling is not None and float(np.ptp(found.pooling)) > 0:
            self.query.addItem(tr("of the learned query that pools"), LEARNED)
        special = [at for at in np.flatnonzero(~positions.placed).tolist() if at != found.pooling_query]
        for at in [at for at in special if positions.label(at).strip(" ·")][:MOST_SPECIAL]:
            self.query.addItem(tr("of {}").format(positions.label(at)), at)
        self.query.addItem(tr("of the place you click"), PICKED)
        at = self.query.findData(before) if before in (MEAN, READ, LEARNED) else -1
        self.query.setCurrentIndex(max(0, at))

    def pick(self, position: int) -> None:
        """Show what this position attends to."""
        self._picked = position
        self.query.setCurrentIndex(self.query.findData(PICKED))
        self.draw()

    @property
    def _choice(self) -> Choice:
        return Choice(self.layer.currentData(), self.heads.chosen, self.query.currentData(), self._picked)

    def draw(self) -> None:
        """Reckon what is chosen, and show it."""
        explanation, choice = self._explanation, self._choice
        if explanation is None:
            return
        self._relevance.cancel()
        self.query.setEnabled(choice.layer >= 0)
        if choice.layer == RELEVANCE:
            self._behind.forget()
            subject = self._subject(explanation)
            if subject is not None:
                self._relevance.run(lambda: _weighted(subject()), self._show)
            return
        windows = self.windows[0].value() - 1, self.windows[1].value() - 1
        self._behind.ask(lambda: _shown(explanation, choice, windows), self._show)

    def _subject(self, explanation: Explanation) -> Callable[[], Subject] | None:
        """What gives, on the models' lane, the item asked for its nearness to what was searched for, else to its own
        vector.
        """
        project, encoder, item, answer = self._session.project, self._session.encoder, self._item, self._session.answer
        if project is None or encoder is None or item is None:
            return None
        asked = answer is not None and answer.query.shape == explanation.vector.shape
        target, limits = answer.query if answer and asked else explanation.vector, project.limits
        return lambda: Subject(encoder, load(item.ref, limits, rate_hz=encoder.sample_rate_hz,
                                             window_seconds=encoder.window_seconds), item.modality, target)

    def judge_it(self) -> None:
        """Test the map that is shown: does the score stay where it is when what is looked at stays?"""
        explanation, found, choice = self._explanation, self.face.face.map, self._choice
        if found is None or explanation is None:
            return
        subject = self._subject(explanation)
        if subject is None:
            return

        def again(subject: Subject) -> Work[maps.RelevanceMap]:
            if choice.layer == RELEVANCE:
                return (yield from chefer(subject))
            there = subject.explanation
            if choice.whose == PICKED and choice.layer >= 0 and len(there.attention[choice.layer].positions) != len(
                    explanation.attention[choice.layer].positions):
                raise AttentionUnavailable("The place that was clicked is another one there.")
            return choice.map(there)

        def done(verdict: Verdict) -> None:
            if found is self.face.face.map:
                show_verdict(self.verdict, verdict)
                self.told.setText(verdict_told(verdict))

        self.judge.setEnabled(False)
        self._judging.run(lambda: verdict_of(subject(), found, again), done)

    def _judged(self) -> None:
        self.judge.setEnabled(True)

    def _show(self, shown: Shown) -> None:
        self._judging.cancel()
        show_verdict(self.verdict, None)
        encoder, item, answer = self._session.encoder, self._item, self._session.answer
        asked = answer.title if answer is not None and self._choice.layer == RELEVANCE else ""
        self.face.show_map(shown.found, Caption.of(encoder, item.title, asked) if encoder and item else None)
        self.heads.show_heads(shown.pictures, shown.entropies.tolist())
        for part in (self.heads, self._heads_title):
            part.setVisible(bool(shown.pictures))
        positions = shown.found.positions
        self.arcs.setVisible(shown.arcs is not None)
        if shown.arcs is not None:
            names = [positions.label(at).strip() for at in range(len(positions))]
            looking, looked_at = ([*names[first : first + MOST]] for first in shown.windows)
            self.arcs.show_weights(shown.arcs, looking, looked_at, shown.windows[0])
        self._window_row.setVisible(shown.arcs is not None and len(positions) > MOST)
        for box, first in zip(self.windows, shown.windows, strict=True):
            box.blockSignals(True)
            box.setMaximum(max(1, len(positions) - MOST + 1))
            box.setValue(first + 1)
            box.blockSignals(False)
        note = self._explanation.note if self._explanation else ""
        self.told.setText(" ".join(filter(None, [
            tr("{} positions.").format(count(len(positions))), tr("Click a place to see what it looks at."), note])))


def _shown(explanation: Explanation, choice: Choice, windows: tuple[int, int]) -> Shown:
    """In the pool. ``windows`` are the first tokens that look and that are looked at, as far as there are so many."""
    found = choice.map(explanation)
    if choice.layer == ROLLOUT:
        return Shown(found, [], np.zeros(0, np.float32), None)
    chosen, query = explanation.attention[choice.layer], choice.position(explanation)
    head = min(choice.head, chosen.heads - 1)
    query = None if query is not None and query >= len(chosen.positions) else query
    pictures = [_thumbnail(explanation, choice.layer, one, query) for one in range(maps.MEAN_OF_HEADS, chosen.heads)]
    last = max(0, len(chosen.positions) - MOST)
    down, across = min(windows[0], last), min(windows[1], last)
    arcs = chosen.matrix(None if head == maps.MEAN_OF_HEADS else head)[down : down + MOST, across : across + MOST] \
        if chosen.positions.kind == "character" else None
    return Shown(found, pictures, heads.entropies(chosen), arcs, (down, across))


def _weighted(subject: Subject) -> Work[Shown]:
    return Shown((yield from chefer(subject)), [], np.zeros(0, np.float32), None)


def _thumbnail(explanation: Explanation, layer: int, head: int, query: int | None) -> Floats:
    """Of a picture the map over it, of others the matrix of queries and keys; 0..1 of its own range."""
    chosen = explanation.attention[layer]
    if chosen.positions.kind == "patch":
        found = maps.attention_map(explanation, layer, head, query)
        return maps.as_grid(maps.RelevanceMap(maps.to_unit(found)[0], found.positions, "", ""))[0]
    matrix = (np.mean([heads.head_matrix(chosen, one) for one in range(chosen.heads)], axis=0)
              if head == maps.MEAN_OF_HEADS else heads.head_matrix(chosen, head))
    return np.asarray(matrix / max(float(matrix.max()), 1e-9), np.float32)
