"""Another map of the same items beside the map: of another projection, of another model, or the map as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shiboken6
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from mmstudio.desktop import kept_map
from mmstudio.desktop.arranging import KINDS, Arrangement, Layout, arranging, turned
from mmstudio.desktop.behind import Behind
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.cloud import Points
from mmstudio.desktop.plots.colouring import places_in
from mmstudio.desktop.plots.scatter import Mode, Scatter
from mmstudio.desktop.plots.sprites import SHAPES, shapes_of
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.theme import THEME, colours, icon
from mmstudio.desktop.widgets.card import HoverCard
from mmstudio.desktop.widgets.short_label import ShortLabel
from mmstudio.desktop.worker import Ticket
from mmstudio.errors import StudioError
from mmstudio.explore.projection import METHODS, Wish
from mmstudio.library import Sample, SpaceKey, VectorView
from mmstudio.progress import Progress, Work, retold
from mmstudio.project import Project, space_key

AS_NOW, WITH_GAP, WITHOUT_GAP = "now", "with gap", "without gap"
Keys = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Beside:
    """A layout, and where samples lie on it: ``ids (s,)``, ``places (s, 2)``."""

    layout: Layout
    ids: Keys
    places: NDArray[np.float32]


class MapBeside(QWidget):
    """Follows the map in what is selected, pointed at, coloured, hidden and filtered, and the map follows it.

    ``closed`` asks to be taken away; ``exchanged`` brings the layout that is to be the map.
    """

    closed = Signal()
    exchanged = Signal(object)

    def __init__(self, session: Session, main: MapPanel, previews: Previews) -> None:
        super().__init__()
        self._session, self._main, self._faces = session, main, main.faces
        self.canvas = Scatter(behind=self._behind)
        self._card = HoverCard(previews, self.canvas)
        self.which, self.swap, self._fit, self._close = QComboBox(), QToolButton(), QToolButton(), QToolButton()
        self._told = ShortLabel()
        self.found: Beside | None = None
        self._space = ""
        self._ticket: Ticket | None = None
        self._placing: Ticket | None = None
        self._closed = False
        self._matching, self._looking = Behind(session), Behind(session)
        self._at: tuple[Keys, Keys, NDArray[np.intp]] | None = None
        self._spaces: dict[str, SpaceKey] = {}
        self._build()
        self._connect(previews)
        self._offer()

    def _build(self) -> None:
        self.which.setAccessibleName(tr("Map beside"))
        self.swap.setToolTip(tr("Exchange the two maps: the points fly from one to the other"))
        self._fit.setToolTip(tr("Show everything (Home, or double-click)"))
        self._close.setToolTip(tr("Close this map"))
        self._told.setProperty("faint", True)
        self._told.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        bar = QHBoxLayout()
        bar.addWidget(QLabel(tr("Beside it")))
        bar.addWidget(self.which)
        bar.addWidget(self._told, 1)
        for button in (self.swap, self._fit, self._close):
            button.setIconSize(QSize(20, 20))
            bar.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(bar)
        layout.addWidget(self.canvas, 1)
        self._icons()

    def _preview_came(self, _: object) -> None:
        self.canvas.update()

    def _icons(self) -> None:
        for button, name in ((self.swap, "swap"), (self._fit, "fit"), (self._close, "close")):
            button.setIcon(icon(name))

    def _connect(self, previews: Previews) -> None:
        session, main, canvas = self._session, self._main, self.canvas
        canvas.use_faces(self._faces.draw)
        previews.arrived.connect(self._preview_came)
        for tell, do in ((canvas.picked, main.pick), (canvas.opened, main.pick_alone), (canvas.lassoed, main.lasso)):
            tell.connect(do)
        canvas.cleared.connect(lambda: session.select([]))
        canvas.hovered.connect(self._hovered)
        main.pointed.connect(canvas.show_pointed)
        main.recoloured.connect(self._follow_colours)
        main.modeChanged.connect(self._use_mode)
        main.linked.connect(canvas.show_links)
        main.contours.toggled.connect(canvas.show_contours)
        main.pictures.toggled.connect(canvas.show_pictures)
        self._use_mode(main.canvas.mode)
        canvas.show_links(main.canvas.drawing.links)
        canvas.show_contours(main.contours.isChecked())
        canvas.show_pictures(main.pictures.isChecked())
        session.selectionChanged.connect(self._show_selection)
        session.currentChanged.connect(self._show_selection)
        session.layoutChanged.connect(self._laid_out)
        session.samplesChanged.connect(self._renew)
        session.itemsChanged.connect(self._renew)
        session.encoderChanged.connect(self._offer)
        self.which.activated.connect(lambda _: self.make())
        self.swap.clicked.connect(self._exchange)
        self._fit.clicked.connect(canvas.fit)
        self._close.clicked.connect(self.closed.emit)
        THEME.changed.connect(self._icons)

    # ---- which map ------------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """The map as it is now, each projection, with and without the gap, and what other models' maps are kept."""
        chosen = self.which.currentData()
        self.which.clear()
        self.which.addItem(tr("The map as it is now"), AS_NOW)
        for method in METHODS:
            self.which.addItem(KINDS[method], method)
        self.which.addItem(tr("With the modality gap"), WITH_GAP)
        self.which.addItem(tr("Without the modality gap"), WITHOUT_GAP)
        self.which.setCurrentIndex(max(0, self.which.findData(chosen)))
        self._tell()
        project, encoder = self._session.project, self._session.encoder
        if project is not None and encoder is not None:
            own = space_key(encoder)
            self._looking.ask(lambda: _kept_maps(project, own), self._offer_spaces)

    def _offer_spaces(self, keys: list[SpaceKey]) -> None:
        self._spaces = {key.digest: key for key in keys}
        for digest, key in self._spaces.items():
            if self.which.findData(digest) < 0:
                self.which.addItem(tr("Map of {}").format(key.space), digest)

    def make(self) -> None:
        """Show the map that is chosen; its points fly from where they are seen now."""
        session, which = self._session, self.which.currentData()
        project, view, shown = session.project, session.view, session.layout
        if project is None or view is None or shown is None or len(view) < 2:
            return
        samples, other = list(session.samples.values()), self._spaces.get(which)
        if other is not None:
            self._space = other.space
            self._run(lambda: _of_other(project, other, shown, samples))
            return
        self._space = session.encoder.space if session.encoder is not None else ""
        if which == AS_NOW:
            self._run(lambda: _alone(replace(shown, final=True), samples))
            return
        arrangement = session.arrangement
        if which in (WITH_GAP, WITHOUT_GAP):
            arrangement = replace(arrangement, closes_gap=which == WITHOUT_GAP, axes=None, titles=("", ""))
        else:
            wish = replace(arrangement.wish or Wish(), method=which, axes=2)
            arrangement = Arrangement(wish, arrangement.closes_gap)
        self._run(lambda: self._arranged(view, None, arrangement, shown, samples))

    def _arranged(self, view: VectorView, old: Layout | None, arrangement: Arrangement, shown: Layout,
                  samples: Sequence[Sample]) -> Work[Beside]:
        """In the lane beside."""
        steps = arranging(view, old, True, arrangement, self._session.aside, old is None, shown)
        return between((yield from retold(steps, lambda step: replace(
            step, fresh=None if step.fresh is None else between(step.fresh, ())))), samples)

    def _run(self, work: Callable[[], Work[Beside]]) -> None:
        """In the place of what is on its way."""
        if self._ticket is not None:
            self._ticket.cancel()
        if not self._closed:
            self._ticket = self._session.beside.run(work, on_step=self._step, on_done=self._show,
                                                    on_failed=self._failed)

    def _behind(self, ask: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """The canvas's own questions; an answer may come when it is gone."""
        self._session.pool.ask(ask, lambda found: then(found) if shiboken6.isValid(self.canvas) else None,
                               self._session.failed.emit)

    def _step(self, progress: Progress) -> None:
        if isinstance(progress.fresh, Beside):
            self._show(progress.fresh)
        elif progress.text:
            self._told.setText(progress.text)

    def _failed(self, error: StudioError) -> None:
        self._told.setText(str(error))
        self._session.failed.emit(error)

    # ---- what is shown ----------------------------------------------------------------------------------------------

    def _show(self, found: Beside) -> None:
        session, before = self._session, self.canvas.points
        self.found = found
        layout = found.layout
        known = np.isin(layout.keys, session.items.ids())
        living = np.isin(found.ids, np.fromiter(session.samples, np.int64, len(session.samples)))
        keys = np.concatenate([layout.keys[known], -found.ids[living]])
        places = np.concatenate([layout.places[known], found.places[living]], dtype=np.float32)
        shapes = np.concatenate([shapes_of(layout.modalities[known]), np.full(living.sum(), SHAPES.index("sample"))])
        self.canvas.animated = bool(session.settings["animations"])
        if not len(before.keys) and self.canvas.animated:  # from the map
            main = self._main.canvas
            self.canvas.show_points(main.points, main.drawing.palette, glide=False)
        self.canvas.show_points(Points(keys, places, shapes, np.zeros(len(keys), np.int64)), [QColor(colours().faint)])
        self._at = None
        self._follow_colours()
        self._show_selection()
        self._tell()

    def _follow_colours(self) -> None:
        """The colours, what is hidden and what passes are those of the map, by key."""
        own, theirs = self.canvas.points.keys, self._main.canvas.points.keys
        if not len(own) or self._closed:
            return
        if self._at is None or self._at[0] is not own or self._at[1] is not theirs:
            def found(at: NDArray[np.intp]) -> None:
                if own is self.canvas.points.keys:
                    self._at = own, theirs, at
                    self._colour(at)

            self._matching.ask(lambda: places_in(own, theirs), found)
        else:
            self._colour(self._at[2])

    def _colour(self, at: NDArray[np.intp]) -> None:
        cloud, palette = self._main.canvas.drawing.cloud, self._main.canvas.drawing.palette
        if len(at) != len(self.canvas.points.keys) or not len(cloud.points.keys):
            return
        there = at >= 0
        codes = np.where(there, cloud.points.columns[at], len(palette))
        self.canvas.recolour(codes, [*palette, QColor(colours().dim)])
        self.canvas.hide_points(np.where(there, cloud.hidden[at], False))
        self.canvas.let_pass(None if cloud.passing is None else np.where(there, cloud.passing[at], False))

    def _use_mode(self, mode: Mode) -> None:
        self.canvas.mode = "pan" if mode == "turn" else mode

    def _show_selection(self) -> None:
        self.canvas.show_selection(self._session.selection.keys, self._session.current)
        if self._session.current is not None:
            self.canvas.centre_on(self._session.current)

    def _hovered(self, key: int | None) -> None:
        self._main.point_at(key)
        if key is None:
            self._card.hide()
        else:
            self._card.show_item(self._faces.item(key), self._faces.title(key))
            self.canvas.place_above(key, self._card)

    def _tell(self) -> None:
        layout, encoder = self.found.layout if self.found else None, self._session.encoder
        is_own = layout is not None and encoder is not None and self._space == encoder.space
        self.swap.setEnabled(is_own and layout is not None and layout.final)
        words = [] if layout is None else [layout.kind + ("" if layout.final else "…"), self._space]
        self._told.setText(" · ".join(filter(None, words)))

    # ---- following the project --------------------------------------------------------------------------------------

    def _laid_out(self, layout: Layout) -> None:
        """What is new finds its place on this map too."""
        session, found = self._session, self.found
        encoder, view = session.encoder, session.view
        if found is None or view is None or encoder is None or not layout.final or not found.layout.final:
            return
        if self._space == encoder.space and not np.isin(view.ids, found.layout.keys).all():
            old, samples = found.layout, list(session.samples.values())
            arrangement = old.arrangement or Arrangement()
            old = replace(old, arrangement=arrangement)
            self._run(lambda: self._arranged(view, old, arrangement, layout, samples))

    def _renew(self) -> None:
        """Items and samples came together or went."""
        found, samples = self.found, list(self._session.samples.values())
        if found is None or not found.layout.final or self._closed:
            return
        if self._placing is not None:
            self._placing.cancel()
        self._placing = self._session.beside.run(lambda: _alone(found.layout, samples), on_done=self._placed,
                                                 on_failed=self._failed)

    def _placed(self, found: Beside) -> None:
        if self.found is not None and found.layout is self.found.layout:
            self._show(found)

    def _exchange(self) -> None:
        """The map comes here, and what is here becomes the map."""
        found, shown = self.found, self._session.layout
        if found is None or shown is None or not found.layout.final:
            return
        samples = list(self._session.samples.values())
        self.which.setCurrentIndex(self.which.findData(AS_NOW))
        self._run(lambda: _alone(replace(shown, final=True), samples))
        self.exchanged.emit(found.layout)

    def stop(self) -> None:
        """Nothing more is reckoned for it."""
        self._closed = True
        for ticket in (self._ticket, self._placing):
            if ticket is not None:
                ticket.cancel()
        self._matching.forget()
        self._looking.forget()


def between(layout: Layout, samples: Sequence[Sample]) -> Beside:
    """Each sample in the middle of those of its items that are on the map."""
    ids = np.array([sample.id for sample in samples], np.int64)
    owner = np.repeat(np.arange(len(samples)), [len(sample.item_ids) for sample in samples])
    at = places_in(np.fromiter((i for sample in samples for i in sample.item_ids), np.int64), layout.keys)
    owner, at = owner[at >= 0], at[at >= 0]
    members = np.bincount(owner, minlength=len(samples))
    sums = np.stack([np.bincount(owner, layout.places[at, axis], len(samples)) for axis in (0, 1)], axis=1)
    there = members > 0
    return Beside(layout, ids[there], (sums[there] / members[there, None]).astype(np.float32))


def _alone(layout: Layout, samples: Sequence[Sample]) -> Work[Beside]:
    yield Progress(0, 1)
    return between(layout, samples)


def _kept_maps(project: Project, own: SpaceKey) -> list[SpaceKey]:
    return [key for key in project.spaces() if key != own and kept_map.there(project.folder, key)]


def _of_other(project: Project, space: SpaceKey, shown: Layout, samples: Sequence[Sample]) -> Work[Beside]:
    """Another model's map as it was kept, turned to lie as what is shown does."""
    yield Progress(0, 1)
    kept = kept_map.load(project.folder, space)
    if kept is None:
        raise StudioError(tr("The map of that model is not kept any more."),
                          hint=tr("Choose the model: it is made anew."))
    return between(turned(kept, shown), samples)
