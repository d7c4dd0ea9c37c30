"""What the encoder attended to: which map is shown over the item, of which layer and head, and its legend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QVBoxLayout

from mmstudio.desktop.text import tr
from mmstudio.desktop.widgets.heat_scale import HeatScale
from mmstudio.encoders.base import Explanation, Positions
from mmstudio.errors import StudioError
from mmstudio.explain import maps

Ask = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[Any], None]], None]
AT_ONCE = 600
"""Positions: the attention of more is reckoned behind the window."""
VIEW_NAMES = {
    "none": "Nothing", "similarity": "Similarity to the search", "pooling": "Pooling weights",
    "received": "Attention received", "query": "Attention of one position", "rollout": "Attention rollout",
}


class AttentionView(QFrame):
    """Makes maps of one explanation; ``mapChanged`` (RelevanceMap or None) is to be drawn over the item. ``ask`` takes
    a question, and who is told the answer or the error.
    """

    mapChanged = Signal(object)

    def __init__(self, ask: Ask | None = None) -> None:
        super().__init__()
        self._ask, self._drawing = ask, 0
        self._explanation: Explanation | None = None
        self._query: NDArray[np.float32] | None = None
        self._position: int | None = None
        self.show_what, self.layer, self.head = QComboBox(), QComboBox(), QComboBox()
        self.scale, self.why = HeatScale(), QLabel(wordWrap=True)
        self.why.setTextFormat(Qt.TextFormat.PlainText)
        self.why.setProperty("faint", True)
        row = QHBoxLayout()
        for number, (box, name) in enumerate(((self.show_what, tr("What is shown")), (self.layer, tr("Layer")),
                                              (self.head, tr("Head")))):
            box.setAccessibleName(name)
            row.addWidget(box, 1 if number == 0 else 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        self.below = QHBoxLayout()
        self.below.addWidget(self.scale, 1)
        layout.addLayout(self.below)
        layout.addWidget(self.why)
        self.show_what.activated.connect(lambda _: self.draw())
        self.layer.activated.connect(lambda _: self.layer_changed())
        self.head.activated.connect(lambda _: self.draw())

    def tell(self, text: str) -> None:
        """Say a sentence under the map, or none."""
        self.why.setText(text)
        self.why.setVisible(bool(text))

    def forget(self, why: str) -> None:
        """Nothing is known of the item yet."""
        self._explanation, self._position = None, None
        self._drawing += 1
        self.tell(why)
        self._set_controls(False)

    def show_explanation(self, found: Explanation | StudioError, query: NDArray[np.float32] | None) -> None:
        """Offer the maps of an explanation, or say why there is none. ``query`` ``(dim,)`` is what was searched for."""
        if isinstance(found, StudioError):
            self.tell(str(found))
            return
        self._explanation = found
        self.tell(found.note)
        self.show_query(query)

    @property
    def tokens(self) -> Positions | None:
        """The positions that the explanation has: those of its attention, for they have names, else of its tokens."""
        found = self._explanation
        if found is None:
            return None
        return found.attention[0].positions if found.attention else found.token_positions

    def show_query(self, query: NDArray[np.float32] | None) -> None:
        """Offer the maps anew, with what was searched for since."""
        self._query, explanation = query, self._explanation
        if explanation is None:
            return
        before = self.show_what.currentData()
        offered = [v for v in maps.views(explanation) if v != "similarity" or query is not None]
        self._set_controls(bool(offered))
        self.show_what.clear()
        for view in [*offered, "none"]:
            self.show_what.addItem(tr(VIEW_NAMES[view]), view)
        wanted = "similarity" if "similarity" in offered else before
        self.show_what.setCurrentIndex(max(0, self.show_what.findData(wanted)))
        self._fill(self.layer, [tr("Layer {}").format(i + 1) for i in range(len(explanation.attention))], last=True)
        self._fill_heads()
        if not offered:
            self.tell(explanation.note or tr("This model tells nothing about parts of an item."))
        self.draw()

    def show_position(self, position: int) -> None:
        """Show what this position attends to."""
        self._position = position
        index = self.show_what.findData("query")
        if index >= 0:
            self.show_what.setCurrentIndex(index)
        self.draw()

    def layer_changed(self) -> None:
        """Another layer has other heads, and may have other positions."""
        self._fill_heads()
        self._position = None
        self.draw()

    def draw(self) -> None:
        """Make the map that is chosen: of many positions behind the window, where there is somebody to ask."""
        explanation, view = self._explanation, self.show_what.currentData()
        if explanation is None:
            return
        self._drawing += 1
        by_layer, number = view in ("received", "query"), self._drawing
        self.layer.setVisible(by_layer)
        self.head.setVisible(by_layer)
        if view == "query":
            self.tell(tr("Click a place in the item to see what it attends to."))
        question = partial(_map, explanation, view, max(0, self.layer.currentIndex()), self.head.currentIndex() - 1,
                           self._position, self._query)
        if self._ask is not None and max((len(a.positions) for a in explanation.attention), default=0) > AT_ONCE:
            self._ask(question, lambda found: self._drawn(number, found), lambda error: self._drawn(number, error))
            return
        try:
            self._drawn(number, question())
        except StudioError as error:
            self._drawn(number, error)

    def _drawn(self, number: int, found: maps.RelevanceMap | StudioError | None) -> None:
        if number != self._drawing:
            return
        if isinstance(found, StudioError):
            self.tell(str(found))
            found = None
        self.scale.show_map(found)
        self.mapChanged.emit(found)

    def _fill_heads(self) -> None:
        layers = self._explanation.attention if self._explanation else ()
        heads = layers[max(0, self.layer.currentIndex())].heads if layers else 0
        self._fill(self.head, [tr("Mean of heads"), *(tr("Head {}").format(i + 1) for i in range(heads))])

    @staticmethod
    def _fill(box: QComboBox, names: list[str], last: bool = False) -> None:
        if [box.itemText(i) for i in range(box.count())] != names:
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(len(names) - 1 if last else 0)

    def _set_controls(self, on: bool) -> None:
        for control in (self.show_what, self.layer, self.head, self.scale):
            control.setVisible(on)


def _map(explanation: Explanation, view: str, layer: int, head: int, position: int | None,
         query: NDArray[np.float32] | None) -> maps.RelevanceMap | None:
    """In any thread."""
    if view == "similarity" and query is not None:
        return maps.similarity_map(explanation, query)
    if view == "pooling":
        return maps.pooling_map(explanation)
    if view == "received":
        return maps.attention_map(explanation, layer, head)
    if view == "rollout":
        return maps.rollout_map(explanation)
    if view == "query":
        position = position if position is not None else explanation.pooling_query
        if position is None or position >= len(explanation.attention[layer].positions):
            position = int(np.argmax(explanation.attention[layer].received()))
        return maps.attention_map(explanation, layer, head, position)
    return None
