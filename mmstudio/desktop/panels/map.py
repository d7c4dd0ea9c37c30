"""The map: items of all modalities and samples as points, told apart by shape, coloured as the person likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
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
from mmstudio.desktop.placing import SamplePlaces
from mmstudio.desktop.plots.cloud import Points
from mmstudio.desktop.plots.colouring import Colouring, scale_colours
from mmstudio.desktop.plots.marks import Marks, Overlay
from mmstudio.desktop.plots.scatter import Mode, Scatter
from mmstudio.desktop.plots.sprites import SHAPES, shapes_of
from mmstudio.desktop.point_faces import PointFaces
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, tr
from mmstudio.desktop.theme import THEME, icon
from mmstudio.desktop.turning import Turning
from mmstudio.desktop.widgets.card import HoverCard
from mmstudio.desktop.widgets.colour_by import ColourBy
from mmstudio.desktop.widgets.empty import EmptyState
from mmstudio.desktop.widgets.legend import Legend, Line
from mmstudio.desktop.widgets.short_label import ShortLabel
from mmstudio.media import Modality
from mmstudio.searching import Found

FEW_SAMPLES = 50
"""Samples that are moved one by one; of more, all points are sorted anew."""


class MapPanel(QWidget):
    """Shows the session's layout; what is picked here is the session's selection.

    Maps beside follow it: ``recoloured`` tells that points have other colours, are hidden or pass otherwise;
    ``pointed`` brings the key under the pointer or None, ``linked`` the neighbours that are shown, ``modeChanged`` what
    dragging does.
    """

    addWanted = Signal()
    exampleWanted = Signal()
    besideWanted = Signal()
    recoloured = Signal()
    pointed = Signal(object)
    linked = Signal(object)
    modeChanged = Signal(str)

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self._session = session
        self.canvas = Scatter(behind=lambda ask, then: session.pool.ask(ask, then, session.failed.emit))
        self.marks = Marks(self.canvas)
        self.turning = Turning(session)
        self.legend = Legend(self.canvas)
        self._previews = previews
        self.faces = PointFaces(session, previews)
        self._card = HoverCard(previews, self.canvas)
        self._state = ShortLabel()
        self._state.setProperty("faint", True)
        self.colour_by = ColourBy(session)
        self.hovered: int | None = None
        self._forget_samples()
        self._colouring = Colouring(np.empty(0, np.int64))
        self._shaped: tuple[NDArray[np.str_], NDArray[np.int64]] | None = None
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
        self._modes: dict[str, QToolButton] = {}
        for name, mode, text in (("pan", "pan", tr("Pan (drag)")), ("lasso", "lasso", tr("Lasso (Shift-drag)")),
                                 ("box", "box", tr("Box")), ("turn", "turn", tr("Turn (drag)"))):
            button = QToolButton(checkable=True, checked=mode == "pan", toolTip=text)
            button.clicked.connect(lambda _=False, m=mode: self._use_mode(m))
            modes.addButton(button)
            self._modes[name] = button
            self._tools.append((button, name))
        fit = QToolButton(toolTip=tr("Show everything (Home, or double-click)"))
        fit.clicked.connect(self.canvas.fit)
        self._tools.append((fit, "fit"))
        self.contours = QToolButton(checkable=True, toolTip=tr("Contours: lines around a quarter, half, three quarters "
                                                               "and 95 % of the points"))
        self.contours.toggled.connect(self.canvas.show_contours)
        self.pictures = QToolButton(checkable=True, checked=True, toolTip=tr("Pictures in the place of near points"))
        self.pictures.toggled.connect(self.canvas.show_pictures)
        beside = QToolButton(toolTip=tr("Another map beside this one"))
        beside.clicked.connect(self.besideWanted.emit)
        self._tools += [(self.contours, "contours"), (self.pictures, "pictures"), (beside, "beside")]
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
        self._modes["turn"].hide()
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
        session.neighboursFound.connect(self._link)
        session.projectOpened.connect(self._opened)
        session.itemsAdded.connect(lambda _: self._tell_state())
        session.encoderChanged.connect(self._encoder_changed)
        session.vectorsChanged.connect(self._tell_state)
        self.colour_by.wanted.connect(self._ask_colours)
        self.colour_by.found.connect(self._coloured)
        self.canvas.use_faces(self.faces.draw)
        self._previews.arrived.connect(lambda _: self.canvas.update())
        self.canvas.picked.connect(self.pick)
        self.canvas.lassoed.connect(self.lasso)
        self.canvas.cleared.connect(lambda: session.select([]))
        self.canvas.turned.connect(self.turning.by)
        self.turning.changed.connect(self._turned)
        self.canvas.hovered.connect(self._hovered)
        self.canvas.opened.connect(self.pick_alone)
        self.legend.hiddenChanged.connect(lambda _: self._hide())
        THEME.changed.connect(self._icons)
        THEME.changed.connect(self._show_colours)

    def _icons(self) -> None:
        for button, name in self._tools:
            button.setIcon(icon(name))

    def _opened(self) -> None:
        self._forget_samples()
        self._drawn = None
        self.marks.put("axes", None)
        self.canvas.show_points(Points.none(), [])
        self.canvas.fit()
        self._tell_state()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def _laid_out(self, layout: Layout) -> None:
        """A partial result of the same points only moves them."""
        if layout.final:
            self._name_axes(layout)
        drawn = self._drawn
        same = drawn is not None and drawn.keys is layout.keys and len(layout.keys) == self._items_drawn
        if same and not layout.final:
            self.canvas.move_points(layout.places, near=layout.near)
            self._drawn = layout
            self._tell_state()
        else:
            self._redraw()

    def _name_axes(self, layout: Layout) -> None:
        """Of a map that two questions span."""
        made = layout.arrangement
        titles = made.titles if made is not None and made.axes is not None else ()
        right, up = (tr("closer to “{}” →").format(title) for title in titles) if titles else ("", "")
        self.marks.put("axes", Overlay(axes=(right, up)) if titles else None)

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
        near = layout.near[rows] if layout.near is not None else None
        self.canvas.show_points(Points(keys, places, shapes, self._colouring.codes, near), self._colouring.palette())
        self._ask_colours()
        self._ask_passing()
        self._show_selection()
        self._tell_state()
        if layout.final:
            self.colour_by.offer_columns()

    def _shapes(self, layout: Layout) -> NDArray[np.int64]:
        """The rows of the shapes, looked up once for the layouts of the same items."""
        if self._shaped is None or self._shaped[0] is not layout.modalities:
            self._shaped = layout.modalities, shapes_of(layout.modalities)
        return self._shaped[1]

    def show_passing(self, ids: NDArray[np.int64] | None) -> None:
        """Only these items ``(n,)``, ascending, pass the library's filter, and the others turn grey; None for all."""
        self._passing = ids
        self._ask_passing()

    def _ask_passing(self) -> None:
        """Of a million points it takes a moment."""
        keys, ids, samples = self.canvas.points.keys, self._passing, list(self._session.samples.values())
        if ids is None:
            self._let_pass(None)
            return

        def done(passing: NDArray[np.bool_]) -> None:
            if keys is self.canvas.points.keys and ids is self._passing:
                self._let_pass(passing)

        self._session.maths.ask(lambda: points_passing(keys, ids, samples), on_done=done,
                                on_failed=self._session.failed.emit)

    def _let_pass(self, passing: NDArray[np.bool_] | None) -> None:
        self.canvas.let_pass(passing)
        self.recoloured.emit()

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
        self.recoloured.emit()

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
                                                self._sample_places[self._samples_drawn]]), fits=False,
                                near=self.canvas.points.near)

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
            self._link(found.hits)

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

    def _turned(self) -> None:
        """A map of three dimensions is turned by dragging, any other is not."""
        turn = self._modes["turn"]
        if turn.isHidden() is self.turning.is_solid:
            turn.setVisible(self.turning.is_solid)
            mode: Mode = "turn" if self.turning.is_solid else "pan"
            self._modes[mode].setChecked(True)
            self._use_mode(mode)

    def _use_mode(self, mode: Mode) -> None:
        self.canvas.mode = mode
        self.modeChanged.emit(mode)

    def _link(self, hits: Mapping[Modality, Sequence[Found]]) -> None:
        """Lines from the current point to its neighbours."""
        near = [hit.item_id for found in hits.values() for hit in found[:4]]
        self.canvas.show_links(near)
        self.linked.emit(near)

    def pick(self, key: int, modifiers: Qt.KeyboardModifier) -> None:
        """What was clicked is selected, with Ctrl beside what is."""
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self._session.select(self._session.selection ^ {key})
        else:
            self.pick_alone(key)

    def pick_alone(self, key: int) -> None:
        """Select this, and show it."""
        self._session.select([key])
        self._session.focus(key)

    def lasso(self, keys: NDArray[np.int64], modifiers: Qt.KeyboardModifier) -> None:
        """What was surrounded is selected; with Ctrl also, with Alt no more."""
        if modifiers & Qt.KeyboardModifier.AltModifier:
            self._session.select(self._session.selection - keys)
        elif modifiers & Qt.KeyboardModifier.ControlModifier:
            self._session.select(self._session.selection | keys)
        else:
            self._session.select(keys)

    def _show_selection(self) -> None:
        self.canvas.show_selection(self._session.selection.keys, self._session.current)

    def _current_changed(self) -> None:
        self._link({})
        self._show_selection()
        if self._session.current is not None:
            self.canvas.centre_on(self._session.current)

    def _hovered(self, key: int | None) -> None:
        self.hovered = key
        self.point_at(key)
        if key is None:
            self._card.hide()
            return
        self._card.show_item(self.faces.item(key), self.faces.title(key))
        self.canvas.place_above(key, self._card)

    def point_at(self, key: int | None) -> None:
        """Mark the point that is under the pointer here or on a map beside, or none."""
        self.canvas.show_pointed(key)
        self.pointed.emit(key)
