"""What the map is made of: places of items and of fused samples, computed in steps behind the window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore import clusters, fusion
from mmstudio.explore.projection import pacmap, pca, placed_among
from mmstudio.library import Sample, VectorView
from mmstudio.media import MODALITIES, Modality
from mmstudio.progress import Progress, Work
from mmstudio.project import Found, fused, search


@dataclass(frozen=True)
class Layout:
    """Places of the items on the map: ``keys (n,)`` int64, their ``modalities (n,)``, ``places (n, 2)`` float32,
    ``clusters (n,)`` or None.

    ``kind`` is “PCA” or “PaCMAP”; ``final`` is False for partial results.
    """

    keys: NDArray[np.int64]
    modalities: NDArray[np.str_]
    places: NDArray[np.float32]
    kind: str
    final: bool = True
    clusters: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class FusedPlace:
    """A sample's fused ``vector (dim,)``, its ``place (2,)`` on the map, and its neighbours."""

    sample_id: int
    place: NDArray[np.float32]
    hits: dict[Modality, list[Found]]
    vector: NDArray[np.float32]


def _seen(view: VectorView) -> NDArray[np.float32]:
    """The vectors as the map lays them out: each modality around its own mean, so that the gap between modalities
    does not tear apart what means the same.
    """
    return fusion.centred(view.vectors, view.modalities)


def arranging(view: VectorView, old: Layout | None, final: bool) -> Work[Layout]:
    """PCA at once; then, when the vectors are complete, PaCMAP with its partial results, then clusters."""
    vectors = _seen(view)
    places = _unit(pca(vectors).place(vectors))
    first = Layout(view.ids, view.modalities, places, "PCA", final=False)
    if not final:
        return first
    start = None
    if old is not None and old.kind == "PaCMAP" and len(old.keys) > 0.5 * len(view.ids):
        start = _carried_over(old, view, vectors)
    else:
        yield Progress(0, 1, fresh=first)
    steps = pacmap(vectors, start=start)
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            places = _unit(stop.value)
            break
        fresh = None if step.fresh is None else Layout(
            view.ids, view.modalities, _unit(step.fresh), "PaCMAP", final=False)
        yield Progress(step.done, step.total, step.text, fresh if start is None else None)
    return Layout(view.ids, view.modalities, places, "PaCMAP", clusters=clusters.on_map(places))


def _carried_over(old: Layout, view: VectorView, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Starting places from an older map: old points where they were, new ones among their neighbours."""
    rows = {int(key): row for row, key in enumerate(old.keys)}
    known = np.array([int(key) in rows for key in view.ids])
    places = np.zeros((len(view.ids), 2), np.float32)
    places[known] = old.places[[rows[int(key)] for key in view.ids[known]]]
    for row in np.flatnonzero(~known):
        places[row] = placed_among(vectors[row], vectors[known], places[known])
    return places


def _unit(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred, and scaled so that the typical distance from the centre is 1."""
    centred = places - places.mean(axis=0)
    return (centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9)).astype(np.float32)


def fused_place(view: VectorView, layout: Layout | None, sample: Sample, k: int) -> FusedPlace:
    """Where a sample's fused vector lies: at its members' places weighted by how near they are, with neighbours."""
    vector = fused(view, sample)
    hits = search(view, vector, k) if k else {modality: [] for modality in MODALITIES}
    place = np.zeros(2, np.float32)
    if layout is not None and len(layout.keys):
        rows = np.array([view.rows[int(key)] for key in layout.keys if view.rows.get(int(key), len(view)) < len(view)])
        if len(rows) == len(layout.keys):
            place = placed_among(vector, view.vectors[rows], layout.places)
    return FusedPlace(sample.id, place, hits, vector)
