"""The map: items of all modalities and samples as points, told apart by shape, coloured as the person likes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.arranging import FusedPlace, Layout
from mmstudio.desktop.filtering import points_passing
from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.placing import SamplePlaces
from mmstudio.desktop.plots.cloud import Points
from mmstudio.desktop.plots.colouring import Colouring, scale_colours
from mmstudio.desktop.plots.marks import Marks
from mmstudio.desktop.plots.scatter import Scatter
from mmstudio.desktop.plots.sprites import SHAPES
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.widgets.card import HoverCard
from mmstudio.desktop.widgets.colour_by import ColourBy
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.legend import Legend, Line
from mmstudio.desktop.widgets.short_label import ShortLabel
from mmstudio.library import Item

MOST_FACES = 4000
"""Items whose pictures are on the map are kept at hand."""

FEW_SAMPLES = 50
"""Samples that are moved one by one; of more, all points are sorted anew."""


class MapPanel(QWidget):
    """Shows the session's layout; what is picked here is the session's selection."""

    addWanted = Signal()
    exampleWanted = Signal()

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.canvas = Scatter(behind=lambda ask, then: session.pool.ask(ask, then, session.failed.emit))
        self.marks = Marks(self.canvas)
        self.legend = Legend(self.canvas)
        self._previews = previews
        self._card = HoverCard(previews, self.canvas)
        self._state = ShortLabel()
        self._state.setProperty("faint", True)
        self.colour_by = ColourBy(session)
        self.hovered: int | None = None
        self._forget_samples()
        self._colouring = Colouring(np.empty(0, np.int64))
        self._shaped: tuple[NDArray[np.str_], NDArray[np.int64]] | None = None
        self._faces: dict[int, Item | None] = {}
        self._drawn: Layout | None = None
        self._passing: NDArray[np.int64] | None = None
        self._items_drawn, self._samples_drawn = 0, np.empty(0, np.intp)
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
        self.contours = QToolButton(checkable=True, toolTip=tr("Contours: lines around a quarter, half, three quarters "
                                                               "and 95 % of the points"))
        self.contours.toggled.connect(self.canvas.show_contours)
        self.pictures = QToolButton(checkable=True, checked=True, toolTip=tr("Pictures in the place of near points"))
        self.pictures.toggled.connect(self.canvas.show_pictures)
        self._tools += [(self.contours, "contours"), (self.pictures, "pictures")]
        for button, _ in self._tools:
            button.setIconSize(QSize(20, 20))
            bar.addWidget(button)
        bar.addWidget(QLabel(tr("Colour by")))
        bar.addWidget(self.colour_by)
        self._state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        bar.addWidget(self._state, 1)
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
        for changed in (session.itemsChanged, session.samplesChanged, session.projectOpened):
            changed.connect(self._faces.clear)
        self.colour_by.wanted.connect(self._ask_colours)
        self.colour_by.found.connect(self._coloured)
        self.canvas.use_faces(self._draw_face)
        self._previews.arrived.connect(lambda _: self.canvas.update())
        self.canvas.picked.connect(self._picked)
        self.canvas.lassoed.connect(self._lassoed)
        self.canvas.cleared.connect(lambda: session.select([]))
        self.canvas.hovered.connect(self._hovered)
        self.canvas.opened.connect(self._picked_alone)
        self.legend.hiddenChanged.connect(lambda _: self._hide())
        THEME.changed.connect(self._icons)
        THEME.changed.connect(self._show_colours)

    def _icons(self) -> None:
        for button, name in self._tools:
            button.setIcon(icon(name))

    def _opened(self) -> None:
        self._forget_samples()
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
        layout, session = self._session.layout, self._session
        if layout is None:
            return
        self._stack.setCurrentIndex(1)
        known = np.isin(layout.keys, session.items.ids())
        living = np.isin(self._sample_ids, np.fromiter(session.samples, np.int64, len(session.samples)))
        self._samples_drawn = np.flatnonzero(living)
        rows = slice(None) if known.all() else known
        keys = np.concatenate([layout.keys[rows], -self._sample_ids[living]])
        places = np.concatenate([layout.places[rows], self._sample_places[living]], dtype=np.float32)
        shapes = np.concatenate([self._shapes(layout)[rows], np.full(living.sum(), SHAPES.index("sample"))])
        self._drawn, self._items_drawn = layout, int(known.sum())
        self.canvas.animated = bool(session.settings["animations"])
        if not np.array_equal(keys, self.canvas.points.keys):
            self._colouring = Colouring(np.zeros(len(keys), np.int64), (tr("none"),), grey=1)  # until there are others
        self.canvas.show_points(Points(keys, places, shapes, self._colouring.codes),
                                self._colouring.palette())
        self._ask_colours()
        self._ask_passing()
        self._show_selection()
        self._tell_state()
        if layout.final:
            self.colour_by.offer_columns()

    def _shapes(self, layout: Layout) -> NDArray[np.int64]:
        """The rows of the shapes, looked up once for the layouts of the same items."""
        if self._shaped is None or self._shaped[0] is not layout.modalities:
            initials = np.ascontiguousarray(layout.modalities).view(np.uint32).reshape(len(layout.keys), -1)[:, 0]
            rows = np.zeros(128, np.int64)
            rows[[ord(modality[0]) for modality in SHAPES]] = range(len(SHAPES))  # words take ten times as long
            self._shaped = layout.modalities, rows[initials]
        return self._shaped[1]

    def show_passing(self, ids: NDArray[np.int64] | None) -> None:
        """Only these items ``(n,)``, ascending, pass the library's filter, and the others turn grey; None for all."""
        self._passing = ids
        self._ask_passing()

    def _ask_passing(self) -> None:
        """Of a million points it takes a moment."""
        keys, ids, samples = self.canvas.points.keys, self._passing, list(self._session.samples.values())
        if ids is None:
            self.canvas.let_pass(None)
            return

        def done(passing: NDArray[np.bool_]) -> None:
            if keys is self.canvas.points.keys and ids is self._passing:
                self.canvas.let_pass(passing)

        self._session.maths.ask(lambda: points_passing(keys, ids, samples), on_done=done,
                                on_failed=self._session.failed.emit)

    # ---- colours ----------------------------------------------------------------------------------------------

    def _ask_colours(self) -> None:
        if self._drawn is not None:
            self.colour_by.ask(self.canvas.points, self._drawn)

    def _coloured(self, found: Colouring) -> None:
        if len(found.codes) == len(self.canvas.points.keys):
            self._colouring = found
            self._show_colours()

    def _show_colours(self) -> None:
        found, palette = self._colouring, self._colouring.palette()
        self.canvas.recolour(found.codes, palette)
        if found.scale:
            self.legend.show_scale(found.scale, scale_colours())
        else:
            counts = np.bincount(found.codes, minlength=len(found.names)).tolist()
            self.legend.show_lines([
                Line(name, SHAPES[i] if found.shapes else "image", palette[i], counts[i])
                for i, name in enumerate(found.names) if counts[i]])
        self._place_legend()
        self._hide()

    def _place_legend(self) -> None:
        self.legend.fit()
        self.legend.move(10, max(10, self.canvas.height() - self.legend.height() - 10))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_legend()

    def _hide(self) -> None:
        names = np.array([name in self.legend.hidden for name in self._colouring.names] or [False], bool)
        if names.any() or self.canvas.hidden.any():
            self.canvas.hide_points(names[self._colouring.codes] if not self._colouring.scale
                                    else np.zeros(len(self._colouring.codes), bool))

    def _encoder_changed(self) -> None:
        self._forget_samples()
        self._tell_state()  # the old model's points stay, to fly from there

    def _forget_samples(self) -> None:
        self._sample_ids, self._sample_places = np.empty(0, np.int64), np.empty((0, 2), np.float32)

    def _samples_placed(self, found: SamplePlaces) -> None:
        if found.whole:
            self._forget_samples()
        new = ~np.isin(found.ids, self._sample_ids)
        self._put_samples(found.ids, found.places)
        self._sample_ids = np.concatenate([self._sample_ids, found.ids[new]])
        self._sample_places = np.concatenate([self._sample_places, found.places[new]])
        self._redraw()

    def _put_samples(self, ids: NDArray[np.int64], places: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Gives which of the samples on the map they are."""
        if np.array_equal(ids, self._sample_ids):
            self._sample_places[:] = places
            return np.ones(len(ids), bool)
        at = np.searchsorted(ids, self._sample_ids).clip(max=max(0, len(ids) - 1))
        moved = ids[at] == self._sample_ids if len(ids) else np.zeros(len(self._sample_ids), bool)
        self._sample_places[moved] = places[at[moved]]
        return moved

    def move_samples(self, ids: NDArray[np.int64], places: NDArray[np.float32]) -> None:
        """Put the samples ``ids (n,)``, ascending, at ``places (n, 2)`` at once."""
        moved = self._put_samples(ids, places)
        if moved.sum() <= FEW_SAMPLES:
            for key, place in zip((-self._sample_ids[moved]).tolist(), self._sample_places[moved], strict=True):
                self.canvas.move_point(key, place)
            return
        self.canvas.move_points(np.concatenate([self.canvas.points.places[: self._items_drawn],
                                                self._sample_places[self._samples_drawn]]), fits=False)

    def _fused_moved(self, found: FusedPlace) -> None:
        if self._session.layout is None:
            return
        rows = np.flatnonzero(self._sample_ids == found.sample_id)
        if len(rows):
            self._sample_places[rows[0]] = found.place
            self.canvas.move_point(-found.sample_id, found.place)
        else:
            self._sample_ids = np.append(self._sample_ids, found.sample_id)
            self._sample_places = np.vstack([self._sample_places, found.place])
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
            before = tr(" · still the map of the model before") if len(self.canvas.points.keys) else ""
            self._state.setText(tr("{} vectors").format(count(done)) + before)
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

    def _lassoed(self, keys: NDArray[np.int64], modifiers: Qt.KeyboardModifier) -> None:
        if modifiers & Qt.KeyboardModifier.AltModifier:
            self._session.select(self._session.selection - keys)
        elif modifiers & Qt.KeyboardModifier.ControlModifier:
            self._session.select(self._session.selection | keys)
        else:
            self._session.select(keys)

    def _show_selection(self) -> None:
        self.canvas.show_selection(self._session.selection.keys, self._session.current)

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
        item, sample = self._face(key), self._session.samples.get(-key)
        title = sample.name if sample else item.title if item else ""
        self._card.show_item(item, title)
        self.canvas.place_above(key, self._card)

    def _face(self, key: int) -> Item | None:
        """The item of a point; of a sample its picture, if it has one."""
        if key not in self._faces:
            if len(self._faces) >= MOST_FACES:
                self._faces.clear()
            items, sample = self._session.items, self._session.samples.get(-key)
            members = (items.get(i) for i in sample.item_ids) if sample else ()
            self._faces[key] = items.get(key) or next((i for i in members if i and i.modality == "image"), None)
        return self._faces[key]

    def _draw_face(self, painter: QPainter, box: QRect, key: int) -> None:
        item, sample = self._face(key), self._session.samples.get(-key)
        if item is not None:
            draw_item(painter, box, item, self._previews.get(item))
        elif sample is not None:
            painter.drawText(box, int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignCenter), sample.name)
