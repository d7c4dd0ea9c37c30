"""The map: items of all modalities and samples as points, told apart by shape, coloured as the person likes."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import FusedPlace, Layout
from mmstudio.desktop.plots.scatter import Points, Scatter
from mmstudio.desktop.plots.sprites import SHAPES
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, modality_name, tr
from mmstudio.desktop.theme import MODALITY_COLOURS, THEME, category_colours, icon
from mmstudio.desktop.widgets.card import HoverCard
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.legend import Legend

MOST_TAGS = 12


class MapPanel(QWidget):
    """Shows the session's layout; what is picked here is the session's selection."""

    addWanted = Signal()
    exampleWanted = Signal()

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.canvas = Scatter()
        self.legend = Legend(self.canvas)
        self._card = HoverCard(previews, self.canvas)
        self._state = QLabel()
        self._state.setProperty("faint", True)
        self._colour_by = QComboBox()
        self.hovered: int | None = None
        self._fused_places: dict[int, np.ndarray] = {}
        self._names: list[str] = []
        self._columns = np.empty(0, np.int64)
        self._drawn: Layout | None = None
        self._items_drawn = 0
        self._build()
        self._connect()
        self._tell_state()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        bar = QHBoxLayout()
        modes = QButtonGroup(self)
        self._tools: list[tuple[QToolButton, str]] = []
        for name, mode, text in (("pan", "pan", tr("Pan (drag)")), ("lasso", "lasso", tr("Lasso (Shift-drag)")),
                                 ("box", "box", tr("Box"))):
            button = QToolButton(checkable=True, checked=mode == "pan", toolTip=text)
            button.clicked.connect(lambda _=False, m=mode: setattr(self.canvas, "mode", m))
            modes.addButton(button)
            self._tools.append((button, name))
        fit = QToolButton(toolTip=tr("Show everything (Home, or double-click)"))
        fit.clicked.connect(self.canvas.fit)
        self._tools.append((fit, "fit"))
        for button, _ in self._tools:
            button.setIconSize(QSize(20, 20))
            bar.addWidget(button)
        bar.addWidget(QLabel(tr("Colour by")))
        for key, title in (("modality", tr("Modality")), ("tag", tr("Tag")), ("cluster", tr("Cluster"))):
            self._colour_by.addItem(title, key)
        bar.addWidget(self._colour_by)
        bar.addStretch(1)
        bar.addWidget(self._state)
        layout.addLayout(bar)
        self._stack = QStackedWidget()
        self._stack.addWidget(EmptyState(
            tr("Here every item becomes a point, and what means the same lies close together — pictures, sounds and "
               "texts in one map."),
            [(tr("Open the example"), self.exampleWanted.emit), (tr("Add files…"), self.addWanted.emit)]))
        self._stack.addWidget(self.canvas)
        layout.addWidget(self._stack, 1)
        self._icons()

    def _connect(self) -> None:
        session = self._session
        session.layoutChanged.connect(self._laid_out)
        session.samplesChanged.connect(self._redraw)
        session.itemsChanged.connect(self._redraw)
        session.fusedMoved.connect(self._fused_moved)
        session.samplesPlaced.connect(self._samples_placed)
        session.selectionChanged.connect(self._show_selection)
        session.currentChanged.connect(self._current_changed)
        session.neighboursFound.connect(
            lambda hits: self.canvas.show_links([hit.item_id for found in hits.values() for hit in found[:4]]))
        session.projectOpened.connect(self._opened)
        session.itemsAdded.connect(lambda _: self._tell_state())
        session.encoderChanged.connect(self._encoder_changed)
        session.vectorsChanged.connect(self._tell_state)
        self._colour_by.currentIndexChanged.connect(lambda _: self._redraw())
        self.canvas.picked.connect(self._picked)
        self.canvas.lassoed.connect(self._lassoed)
        self.canvas.cleared.connect(lambda: session.select([]))
        self.canvas.hovered.connect(self._hovered)
        self.canvas.opened.connect(self._picked_alone)
        self.legend.hiddenChanged.connect(lambda _: self._hide())
        THEME.changed.connect(self._icons)
        THEME.changed.connect(self._redraw)

    def _icons(self) -> None:
        for button, name in self._tools:
            button.setIcon(icon(name))

    def _opened(self) -> None:
        self._fused_places.clear()
        self._drawn = None
        self.canvas.show_points(Points.none(), [])
        self.canvas.fit()
        self._tell_state()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def _laid_out(self, layout: Layout) -> None:
        """A partial result of the same points only moves them."""
        drawn = self._drawn
        same = drawn is not None and drawn.keys is layout.keys and len(layout.keys) == self._items_drawn
        if same and not layout.final:
            self.canvas.move_points(layout.places)
            self._drawn = layout
            self._tell_state()
        else:
            self._redraw()

    def _redraw(self) -> None:
        layout = self._session.layout
        if layout is None:
            return
        self._stack.setCurrentIndex(1)
        known = np.isin(layout.keys, np.fromiter(self._session.items, np.int64, len(self._session.items)))
        placed = [s for s in self._session.samples.values() if s.id in self._fused_places]
        keys = np.concatenate([layout.keys[known], np.array([-s.id for s in placed], np.int64)])
        places = np.concatenate([layout.places[known], *(self._fused_places[s.id][None] for s in placed)])
        modalities = np.concatenate([layout.modalities[known], np.full(len(placed), "sample")])
        shapes = np.select([modalities == m for m in SHAPES], range(len(SHAPES)))
        names, colours, columns = self._coloured(keys, shapes, layout)
        self._names, self._columns = names, columns
        self._drawn, self._items_drawn = layout, int(known.sum())
        self.canvas.animated = bool(self._session.settings["animations"])
        self.canvas.show_points(Points(keys, places.astype(np.float32), shapes, columns), colours)
        self._show_legend(names, colours)
        self._hide()
        self._show_selection()
        self._tell_state()

    def _coloured(
        self, keys: np.ndarray, shapes: np.ndarray, layout: Layout,
    ) -> tuple[list[str], list[QColor], np.ndarray]:
        """Names and colours of the categories, and each point's category."""
        by = self._colour_by.currentData()
        if by == "modality":
            return [modality_name(m) for m in SHAPES], [QColor(MODALITY_COLOURS[m]) for m in SHAPES], shapes
        if by == "tag":
            tags = [self._tag_of(int(key)) for key in keys]
            common = [tag for tag, _ in Counter(t for t in tags if t).most_common(MOST_TAGS)]
            names = [*common, tr("others")]
            labels = [common.index(t) if t in common else len(common) for t in tags]
        else:
            known = {} if layout.clusters is None else dict(zip(layout.keys.tolist(), layout.clusters, strict=True))
            found = [int(known.get(int(key), -1)) for key in keys]
            number = max(found, default=-1) + 1
            names = [*(tr("Cluster {}").format(i + 1) for i in range(number)), tr("none")]
            labels = [label if label >= 0 else number for label in found]
        grey = QColor(THEME.colours.dim)
        return names, [*category_colours(len(names) - 1), grey], np.array(labels, np.int64)

    def _tag_of(self, key: int) -> str:
        item = self._session.items.get(key)
        return item.tags[0] if item and item.tags else ""

    def _show_legend(self, names: list[str], colours: list[QColor]) -> None:
        counts = np.bincount(self._columns, minlength=len(names))
        by_modality = self._colour_by.currentData() == "modality"
        self.legend.show_lines([
            (name, SHAPES[i] if by_modality else "image", colours[i], int(counts[i]))
            for i, name in enumerate(names) if counts[i]])
        self._place_legend()

    def _place_legend(self) -> None:
        self.legend.move(10, max(10, self.canvas.height() - self.legend.height() - 10))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_legend()

    def _hide(self) -> None:
        hidden = np.array([name in self.legend.hidden for name in self._names], bool)
        self.canvas.hide_points(hidden[self._columns])

    def _encoder_changed(self) -> None:
        if self._session.layout is None:
            self._opened()  # the old model's points say nothing about the new one's space
        self._tell_state()

    def _samples_placed(self, found: list[FusedPlace]) -> None:
        self._fused_places = {f.sample_id: f.place for f in found}
        self._redraw()

    def _fused_moved(self, found: FusedPlace) -> None:
        if self._session.layout is None:
            return
        known = found.sample_id in self._fused_places
        self._fused_places[found.sample_id] = found.place
        if known:
            self.canvas.move_point(-found.sample_id, found.place)
        else:
            self._redraw()
        if self._session.current == -found.sample_id:
            self.canvas.show_links([hit.item_id for hits in found.hits.values() for hit in hits[:4]])

    def _tell_state(self) -> None:
        session = self._session
        done = len(session.view) if session.view is not None else 0
        if not session.items:
            self._stack.setCurrentIndex(0)
            self._state.setText("")
        elif session.encoder_error is not None and session.encoder is None:
            self._state.setText(tr("No model: {}").format(session.encoder_error.what))
        elif session.encoder is None:
            self._state.setText(tr("The model is loading…"))
        elif session.layout is None:
            self._state.setText(tr("{} vectors").format(count(done)))
        else:
            kind = session.layout.kind + ("" if session.layout.final else "…")
            self._state.setText(tr("{} points · {} · {}").format(count(done), session.encoder.space, kind))

    # ---- picking ----------------------------------------------------------------------------------------------

    def _picked(self, key: int, modifiers: Qt.KeyboardModifier) -> None:
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self._session.select(self._session.selection ^ {key})
        else:
            self._picked_alone(key)

    def _picked_alone(self, key: int) -> None:
        self._session.select([key])
        self._session.focus(key)

    def _lassoed(self, keys: list[int], modifiers: Qt.KeyboardModifier) -> None:
        if modifiers & Qt.KeyboardModifier.AltModifier:
            self._session.select(self._session.selection - set(keys))
        elif modifiers & Qt.KeyboardModifier.ControlModifier:
            self._session.select(self._session.selection | set(keys))
        else:
            self._session.select(keys)

    def _show_selection(self) -> None:
        self.canvas.show_selection(self._session.selection, self._session.current)

    def _current_changed(self) -> None:
        self.canvas.show_links([])
        self._show_selection()
        if self._session.current is not None:
            self.canvas.centre_on(self._session.current)

    def _hovered(self, key: int | None) -> None:
        self.hovered = key
        if key is None:
            self._card.hide()
            return
        item, sample = self._session.items.get(key), self._session.samples.get(-key)
        if item is None and sample is not None:
            item = next((self._session.items[i] for i in sample.item_ids
                         if i in self._session.items and self._session.items[i].modality == "image"), None)
        title = sample.name if sample else item.title if item else ""
        self._card.show_item(item, title)
        self.canvas.place_above(key, self._card)
