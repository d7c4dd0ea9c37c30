"""Trying out: an item as the model sees it, changed by a person, and how far that moves its vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from mmstudio.desktop.session import Session
from mmstudio.desktop.worker import Ticket
from mmstudio.encoders.base import Encoder, Seen, encode
from mmstudio.errors import StudioError
from mmstudio.explain.perturb import named, perturb
from mmstudio.library import Item, VectorView
from mmstudio.media import Limits, Media, Modality, load
from mmstudio.searching import Found, search

NEIGHBOURS = 8


@dataclass(frozen=True)
class Change:
    """A perturbation by its name, with its strength."""

    name: str
    strength: float


@dataclass(frozen=True)
class Trial:
    """What came of a change: ``seen`` is what the model gets, ``cosine`` the similarity of the vectors before and
    after, ``hits`` the neighbours now, ``gained`` those of them that are new.
    """

    key: int
    change: Change | None
    seen: Seen
    vector: NDArray[np.float32]
    cosine: float
    hits: dict[Modality, list[Found]]
    gained: frozenset[int]


class Trials(QObject):
    """Computes trials on the models' lane: of many wishes while one is computed, only the newest is done next."""

    tried = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._running: Ticket | None = None
        self._next: tuple[Item, Change | None] | None = None
        self._original: tuple[tuple[int, Encoder], Media, NDArray[np.float32]] | None = None

    def ask(self, item: Item, change: Change | None) -> None:
        """Try a change of an item, or none."""
        self._next = item, change
        if self._running is None or self._running.ended:
            self._run()

    def _run(self) -> None:
        session, wish = self._session, self._next
        project, encoder, view = session.project, session.encoder, session.view
        if wish is None or project is None or encoder is None:
            return
        self._next = None
        limits = project.limits

        def done(found: Trial) -> None:
            self.tried.emit(found)
            self._run()

        def failed(error: StudioError) -> None:
            self.tried.emit(error)
            self._run()

        self._running = session.models.ask(lambda: self._try(encoder, view, limits, *wish), on_done=done,
                                           on_failed=failed)

    def _try(self, encoder: Encoder, view: VectorView | None, limits: Limits, item: Item,
             change: Change | None) -> Trial:
        before, vector = self._original_of(encoder, limits, item)
        media = before if change is None else perturb(before, change.name, change.strength)
        moved = vector if media is before else encode(encoder, [media], item.modality)[0]
        hits = search(view, moved, NEIGHBOURS, without=item.id) if view is not None else {}
        old = search(view, vector, NEIGHBOURS, without=item.id) if view is not None else {}
        return Trial(item.id, change, encoder.seen(media, item.modality), moved, float(moved @ vector), hits,
                     _ids(hits) - _ids(old))

    def _original_of(self, encoder: Encoder, limits: Limits, item: Item) -> tuple[Media, NDArray[np.float32]]:
        """The unchanged media and its vector, kept while a slider moves."""
        kept = self._original
        if kept is None or kept[0] != (item.id, encoder):
            media = load(item.ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
            kept = self._original = (item.id, encoder), media, encode(encoder, [media], item.modality)[0]
        return kept[1], kept[2]


def _ids(hits: dict[Modality, list[Found]]) -> frozenset[int]:
    return frozenset(hit.item_id for found in hits.values() for hit in found)


def strength_at(name: str, share: float) -> float:
    """The strength at 0..1 of a slider; frequencies are spaced as they are heard, by their logarithm."""
    chosen = named(name)
    if chosen.unit == "Hz":
        return float(chosen.low * (chosen.high / chosen.low) ** share)
    return chosen.low + (chosen.high - chosen.low) * share


def share_of(name: str, strength: float) -> float:
    """Where a strength stands on the slider, 0..1."""
    chosen = named(name)
    if chosen.unit == "Hz":
        return float(np.log(strength / chosen.low) / np.log(chosen.high / chosen.low))
    return (strength - chosen.low) / (chosen.high - chosen.low)
