"""Where samples lie among the items on the map, by each way of fusing them: reckoned behind the window."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmstudio.desktop.arranging import FusedPlace, Layout
from mmstudio.explore.sample_fusion import Fusion, Parts
from mmstudio.explore.sample_places import BesideOthers, Items, Kin, OfExperts, drawn_of, few_weighings, placed
from mmstudio.explore.side_by_side import SideBySide
from mmstudio.library import Sample, VectorView
from mmstudio.progress import Work, finish
from mmstudio.project import fused
from mmstudio.searching import search

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OnMap:
    """The rows of a view: ``places (n, 2)`` on the map, where they are ``there (n,)``."""

    view: VectorView
    layout: Layout | None
    places: NDArray[np.float32]
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, view: VectorView, layout: Layout | None) -> OnMap:
        """Without a map all are there, at one place."""
        places = np.zeros((len(view), 2), np.float32)
        if layout is None or not len(layout.keys):
            return cls(view, layout, places, np.ones(len(view), bool))
        order = np.argsort(layout.keys, kind="stable")
        at = order[np.searchsorted(layout.keys[order], view.ids).clip(max=len(order) - 1)]
        there = layout.keys[at] == view.ids
        places[there] = layout.places[at[there]]
        return cls(view, layout, places, there)


@dataclass(frozen=True, eq=False)
class Known:
    """All samples that have items on the map: ``ids (n,)`` ascending, what they are fused from, and ``places (m, n,
    2)`` where each modality of theirs lies.
    """

    ids: Rows
    parts: Parts
    places: NDArray[np.float32]

    @cached_property
    def beside(self) -> SideBySide:
        return SideBySide(self.parts)


@dataclass(frozen=True, eq=False)
class SamplePlaces:
    """Samples ``ids (n,)`` and their ``places (n, 2)``; ``whole`` where no others are on the map. ``drawn`` is how many
    they were compared with where not with all, else 0.
    """

    ids: Rows
    places: NDArray[np.float32]
    drawn: int = 0
    whole: bool = False


_NONE = SamplePlaces(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))


class Kept:
    """What is reckoned once for a map and its samples, whatever their weights. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Let go of the vectors."""
        self._on_map: OnMap | None = None
        self._known: tuple[OnMap, list[tuple[int, ...]], Known | None] | None = None

    def on_map(self, view: VectorView, layout: Layout | None) -> OnMap:
        with self._lock:
            return self._laid_out(view, layout)

    def known(self, view: VectorView, layout: Layout | None, samples: Mapping[int, Sample]) -> Known | None:
        """None where there is no such sample."""
        members = [(i, *samples[i].item_ids) for i in sorted(samples)]
        with self._lock:
            on_map = self._laid_out(view, layout)
            if self._known is None or self._known[0] is not on_map or self._known[1] != members:
                self._known = on_map, members, _known(on_map, samples)
            return self._known[2]

    def _laid_out(self, view: VectorView, layout: Layout | None) -> OnMap:
        if self._on_map is None or self._on_map.view is not view or self._on_map.layout is not layout:
            self._on_map = OnMap.of(view, layout)
        return self._on_map


def rows_of(view: VectorView, sample: Sample) -> list[int]:
    """The rows of a sample's items that have vectors."""
    return [row for item in sample.item_ids if (row := view.rows.get(item, len(view))) < len(view)]


def _known(on_map: OnMap, samples: Mapping[int, Sample]) -> Known | None:
    view = on_map.view
    rows = {i: [row for row in rows_of(view, samples[i]) if on_map.there[row]] for i in sorted(samples)}
    known = {i: own for i, own in rows.items() if own}
    if not known:
        return None
    members = list(known.values())
    places = Parts.of(on_map.places, view.modalities, members).vectors.transpose(1, 0, 2)
    return Known(np.fromiter(known, np.int64, len(known)), Parts.of(view.vectors, view.modalities, members),
                 np.ascontiguousarray(places))


def places_of(kept: Kept, view: VectorView, layout: Layout | None, samples: Mapping[int, Sample], due: Set[int],
              how: Fusion) -> Work[SamplePlaces]:
    """Where the samples ``due`` belong. Of those that have no vector nothing is said."""
    kin: Kin
    if how == "mean" or how == "geodesic":
        on_map = kept.on_map(view, layout)
        members = {i: found for i in sorted(due) if (found := rows_of(view, samples[i]))}
        if not members:
            return _NONE
        ids, rows = np.fromiter(members, np.int64, len(members)), np.arange(len(members))
        parts = Parts.of(view.vectors, view.modalities, list(members.values()))
        kin = Items(parts, list(members.values()), how, view.vectors, on_map.places, on_map.there)
    else:
        known = kept.known(view, layout, samples)
        if known is None:
            return _NONE
        ids, parts = np.intersect1d(known.ids, np.fromiter(due, np.int64, len(due))), known.parts
        rows, own = np.searchsorted(known.ids, ids), known.places
        kin = BesideOthers(parts, own, known.beside) if how == "concatenated" else OfExperts(parts, own)
    weights = np.array([[samples[i].weights.get(m, 1.0) for i in ids.tolist()] for m in parts.modalities], np.float32)
    counted = parts.counted(weights, rows)
    places = yield from placed(kin, rows, few_weighings(counted) if how == "concatenated" else counted)
    return SamplePlaces(ids, places, drawn_of(kin.count, len(rows)))


def looked_at(kept: Kept, view: VectorView, layout: Layout | None, samples: Mapping[int, Sample], sample_id: int,
              how: Fusion) -> FusedPlace:
    """A sample by itself. What is not on the map yet goes to where its vector is."""
    vector = fused(view, samples[sample_id], how=how)
    found = finish(places_of(kept, view, layout, samples, {sample_id}, how))
    if not len(found.ids):
        found = finish(places_of(kept, view, layout, samples, {sample_id}, "mean"))
    return FusedPlace(sample_id, found.places[0], search(view, vector, 8), vector)
