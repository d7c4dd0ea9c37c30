"""How the samples of a project are fused: the way and the weights, kept with it, and their places on the map."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from mmstudio.desktop.arranging import FusedPlace
from mmstudio.desktop.placing import Kept, SamplePlaces, looked_at, places_of
from mmstudio.desktop.worker import Ticket
from mmstudio.errors import StudioError
from mmstudio.explore.sample_fusion import Fusion
from mmstudio.library import Sample

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session

WAYS: dict[Fusion, str] = {
    "mean": "Weighted mean", "geodesic": "Geodesic (along the sphere)", "concatenated": "Side by side, then PCA",
    "experts": "Product of experts (of scores)"}
"""In words that are still to be translated."""
_KEPT = "fusion"


class Fusing(QObject):
    """The way that the project's samples are fused and their weights, kept with the project; and their places."""

    changed = Signal()
    """The way is another."""
    placing = Signal(object)
    """A step of placing samples, its Progress; None when that has ended."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.how: Fusion = "mean"
        self.kept = Kept()
        self._due: set[int] = set()
        self._elsewhere: set[int] = set()
        """What was weighed by itself while it was being placed."""
        self._placing: Ticket | None = None
        self._looking: Ticket | None = None
        self._look_next: int | None = None
        session.projectOpened.connect(self._opened)

    @property
    def has_vector(self) -> bool:
        """Whether what is fused has a vector among those of the items; else the weighted mean stands for it."""
        return self.how in ("mean", "geodesic")

    def _opened(self) -> None:
        project = self._session.project
        kept = project.own.get(_KEPT) if project is not None else None
        self.how = kept if kept in WAYS else "mean"
        self.changed.emit()

    def forget(self) -> None:
        """Another project or another model: nothing that is reckoned holds any more."""
        self.cancel()
        self._look_next = None
        self.kept.forget()

    # ---- what is chosen ---------------------------------------------------------------------------------------

    def fuse_by(self, how: Fusion) -> None:
        """Fuse the project's samples in another way from now on."""
        session, project = self._session, self._session.project
        if project is None or how == self.how:
            return
        self.how = how
        session.models.ask(lambda: project.own.set(_KEPT, how), on_failed=session.failed.emit)
        self.changed.emit()
        self.weighed(session.samples)

    def weigh(self, sample_id: int, weights: dict[str, float]) -> None:
        """Move a sample's point; of many moves while one is computed only the newest is done next."""
        samples = self._session.samples
        if sample_id in samples:
            self._elsewhere.add(sample_id)
            samples[sample_id] = replace(samples[sample_id], weights=weights)
            self.look_at(sample_id)

    def keep(self, sample_id: int) -> None:
        """Write the weights when the slider is let go."""
        session, sample = self._session, self._session.samples.get(sample_id)
        project = session.project
        if project and sample:
            session.models.ask(lambda: project.set_weights(sample_id, sample.weights), on_failed=session.failed.emit)

    def weigh_all(self, ids: Iterable[int], weights: dict[str, float]) -> None:
        """Give several samples other weights, keep these, and put the samples where they belong then."""
        session, project, samples = self._session, self._session.project, self._session.samples

        def weighed() -> dict[int, Sample]:
            return {i: Sample(i, one.name, one.item_ids, weights) for i in ids if (one := samples.get(i)) is not None}

        def done(found: dict[int, Sample]) -> None:
            if project is None or project is not session.project:
                return
            session.samples.update({i: one for i, one in found.items() if i in session.samples})
            session.models.ask(lambda: project.set_weights_of(dict.fromkeys(found, weights)),
                               on_failed=session.failed.emit)
            self.weighed(found)

        session.maths.ask(weighed, on_done=done)  # of a hundred thousand it takes a moment

    def weighed(self, ids: Collection[int]) -> None:
        """These samples are fused otherwise now: put them where they belong then."""
        if ids:
            self.hold()
            self.place(ids)
            current = -(self._session.current or 0)
            if current in self._session.samples:
                self.look_at(current)

    # ---- places -----------------------------------------------------------------------------------------------

    def place(self, ids: Iterable[int] | None = None) -> None:
        """Put these samples, or all, where their neighbours are; so too what was to be placed before and is not yet."""
        session = self._session
        self._due.update(session.samples if ids is None else ids)
        if self._placing is not None:
            self._placing.cancel()
        view, layout = session.view, session.layout
        if view is None or layout is None or not self._due:
            return
        samples, due, how, kept = dict(session.samples), self._due & session.samples.keys(), self.how, self.kept
        self._elsewhere.clear()

        def done(found: SamplePlaces) -> None:
            if ticket is not self._placing:
                return
            self._ended()
            still = ~np.isin(found.ids, list(self._elsewhere))
            whole = bool(still.all()) and due == session.samples.keys()
            session.samplesPlaced.emit(replace(found, ids=found.ids[still], places=found.places[still], whole=whole))

        def failed(error: StudioError) -> None:
            if ticket is self._placing:
                self._ended()
            session.failed.emit(error)

        ticket = self._placing = session.beside.run(lambda: places_of(kept, view, layout, samples, due, how),
                                                    on_step=self.placing.emit, on_done=done, on_failed=failed)

    def hold(self) -> None:
        """Place nothing as long as a slider moves, and go on with what is placed next."""
        for ticket in (self._placing, self._looking):
            if ticket is not None:
                ticket.cancel()
        self._placing = self._looking = None  # one that has just ended is not told either

    def cancel(self) -> None:
        """Leave the samples where they are."""
        self.hold()
        self._ended()

    def _ended(self) -> None:
        self._due.clear()
        self.placing.emit(None)

    def look_at(self, sample_id: int) -> None:
        """Tell a sample's vector, its place and its neighbours."""
        self._look_next = sample_id
        if self._looking is None or self._looking.ended:
            self._look()

    def _look(self) -> None:
        session, sample_id = self._session, self._look_next
        view, layout = session.view, session.layout
        if sample_id is None or view is None:
            return
        self._look_next = None
        samples, how, kept = dict(session.samples), self.how, self.kept

        def done(found: FusedPlace) -> None:
            if ticket is self._looking:
                session.fusedMoved.emit(found)
                self._look()

        ticket = self._looking = session.maths.ask(
            lambda: looked_at(kept, view, layout, samples, sample_id, how), on_done=done)
