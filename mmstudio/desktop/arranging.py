"""What the map is made of: places of items and of fused samples, computed in steps behind the window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore import clusters, fusion
from mmstudio.explore.aside import Aside
from mmstudio.explore.projection import Method, Wish, on_axes, pacmap, pca, placed_among, project
from mmstudio.library import VectorView
from mmstudio.media import Modality
from mmstudio.progress import Progress, Work, retold
from mmstudio.searching import Found

QUICK = 3000
"""Points that are arranged within the program where nothing was wished for: sooner than another process answers."""
EYE = 5.0
"""From how far a map of three dimensions is seen, in typical distances of its points from its middle."""
KINDS: dict[Method, str] = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE", "pacmap": "PaCMAP"}


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How the map is to be made: as ``wish`` says, or as suits the number of points; with the gap between modalities
    closed or as it is; told apart by a tag, as ``target`` of the items ``target_ids`` (categories, -1 for none) says;
    or, with ``axes (2, dim)``, by closeness to two questions, whose words are ``titles``.
    """

    wish: Wish | None = None
    closes_gap: bool = True
    target_ids: NDArray[np.int64] | None = None
    target: NDArray[np.int64] | None = None
    strength: float = 0.5
    axes: NDArray[np.float32] | None = None
    titles: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Layout:
    """Places of the items on the map: ``keys (n,)`` int64, their ``modalities (n,)``, ``places (n, 2)`` float32,
    ``clusters (n,)`` or None.

    ``kind`` is how they were found, as a person reads it; ``final`` is False for partial results. ``solid (n, 3)`` are
    the places in space of which a map of three dimensions shows one side; ``near (n,)`` of 0..1 is how near they are
    from there.
    """

    keys: NDArray[np.int64]
    modalities: NDArray[np.str_]
    places: NDArray[np.float32]
    kind: str
    final: bool = True
    clusters: NDArray[np.int64] | None = None
    solid: NDArray[np.float32] | None = None
    near: NDArray[np.float32] | None = None
    arrangement: Arrangement | None = None


@dataclass(frozen=True)
class FusedPlace:
    """A sample's fused ``vector (dim,)``, its ``place (2,)`` on the map, and what items its vector finds."""

    sample_id: int
    place: NDArray[np.float32]
    hits: dict[Modality, list[Found]]
    vector: NDArray[np.float32]


def _seen(view: VectorView, arrangement: Arrangement) -> NDArray[np.float32]:
    """The vectors as the map lays them out: each modality around its own mean, so that the gap between modalities
    does not tear apart what means the same, or as they are.
    """
    return fusion.centred(view.vectors, view.modalities) if arrangement.closes_gap else view.vectors


def arranging(view: VectorView, old: Layout | None, final: bool, arrangement: Arrangement, aside: Aside,
              anew: bool = False, shown: Layout | None = None) -> Work[Layout]:
    """PCA at once; then, when the vectors are complete, what is wished for with its partial results, then clusters.
    Where most points have their places already, unless it is wanted ``anew``, the others are placed among them. What
    is made anew is turned to lie as what is ``shown`` does.
    """
    if arrangement.axes is not None:
        return _by_words(view, arrangement)
    if not anew and old is not None and old.arrangement is arrangement:
        if old.final and old.clusters is not None and np.array_equal(view.ids, old.keys):
            return old
        if np.count_nonzero(np.isin(view.ids, old.keys)) > len(view.ids) / 2:
            return _carried_over(old, view, _seen(view, arrangement), final)
    vectors, seen = _seen(view, arrangement), shown or old
    first = turned(Layout(view.ids, view.modalities, _unit(pca(vectors).place(vectors)), "PCA", final=False), seen)
    if not final:
        return first
    yield Progress(0, 1, fresh=first)
    wish = arrangement.wish or (Wish("pacmap", neighbours=10) if len(view) <= QUICK else Wish())
    if arrangement.wish is None and len(view) <= QUICK:
        steps = pacmap(vectors)
    else:
        steps = aside.run(project, vectors, wish, _target(arrangement, view), arrangement.strength)

    def laid_out(places: NDArray[np.float32]) -> Layout:
        return turned(_layout(view, places, KINDS[wish.method]), seen)

    found = laid_out((yield from retold(steps, lambda step: replace(
        step, fresh=None if step.fresh is None else replace(laid_out(step.fresh), final=False)))))
    return replace(found, arrangement=arrangement, clusters=clusters.on_map(found.places))


def _layout(view: VectorView, places: NDArray[np.float32], kind: str) -> Layout:
    if places.shape[1] == 2:
        return Layout(view.ids, view.modalities, _unit(places), kind)
    solid = _unit(places)
    side, near = seen_from(solid, 0.0, 0.0)
    return Layout(view.ids, view.modalities, side, kind, solid=solid, near=near)


def turned(layout: Layout, other: Layout | None) -> Layout:
    """The map turned and mirrored as a whole to lie as another of the same points does (orthogonal Procrustes:
    Schönemann 1966), so that points fly no further than they must. One of three dimensions stays.
    """
    if other is None or layout.solid is not None or other.solid is not None:
        return layout
    mine, theirs = layout.places, other.places
    if not np.array_equal(layout.keys, other.keys):
        _, rows, others = np.intersect1d(layout.keys, other.keys, return_indices=True)
        mine, theirs = mine[rows], theirs[others]
    if len(mine) < 3:
        return layout
    u, _, v = np.linalg.svd((mine - mine.mean(axis=0)).T.astype(np.float64) @ (theirs - theirs.mean(axis=0)))
    return replace(layout, places=(layout.places @ (u @ v)).astype(np.float32))


def seen_from(solid: NDArray[np.float32], around: float, above: float) -> tuple[NDArray[np.float32],
                                                                                NDArray[np.float32]]:
    """``(n, 2)`` how ``(n, 3)`` places look from ``EYE`` away, turned by two angles in degrees, in perspective; and
    ``(n,)`` how near they are, 0 for the furthest and 1 for the nearest.
    """
    (s, c), (t, d) = ((np.sin(np.radians(angle)), np.cos(np.radians(angle))) for angle in (around, above))
    x, depth = solid[:, 0] * c - solid[:, 2] * s, solid[:, 0] * s + solid[:, 2] * c
    y, depth = solid[:, 1] * d - depth * t, solid[:, 1] * t + depth * d
    wide = EYE / np.maximum(EYE - depth, EYE / 4)
    near = (depth - depth.min(initial=np.inf)) / max(float(np.ptp(depth)) if len(depth) else 0.0, 1e-9)
    return np.stack([x * wide, y * wide], axis=1).astype(np.float32), near.astype(np.float32)


def _target(arrangement: Arrangement, view: VectorView) -> NDArray[np.int64] | None:
    if arrangement.target is None or arrangement.target_ids is None:
        return None
    known = dict(zip(arrangement.target_ids.tolist(), arrangement.target.tolist(), strict=True))
    return np.array([known.get(key, -1) for key in view.ids.tolist()], np.int64)


def _by_words(view: VectorView, arrangement: Arrangement) -> Layout:
    """Each axis in units of its own spread, for of cosines one may vary far less than the other."""
    assert arrangement.axes is not None
    places = on_axes(view.vectors, *arrangement.axes)
    places = (places - places.mean(axis=0)) / np.maximum(places.std(axis=0), 1e-9)
    return Layout(view.ids, view.modalities, places.astype(np.float32), "×".join(arrangement.titles),
                  clusters=clusters.on_map(places), arrangement=arrangement)


def _carried_over(old: Layout, view: VectorView, vectors: NDArray[np.float32], final: bool) -> Layout:
    """The older map without what is gone; what is new lies among its neighbours, and nothing else moves."""
    order = np.argsort(old.keys, kind="stable")
    at = np.searchsorted(old.keys[order], view.ids).clip(max=len(order) - 1)
    known = old.keys[order][at] == view.ids

    def carried(before: NDArray[np.float32]) -> NDArray[np.float32]:
        places = before[order[at]]
        if not known.all():
            places[~known] = placed_among(vectors[~known], vectors[known], places[known])
        return places

    places = carried(old.places)
    return Layout(view.ids, view.modalities, places, old.kind, final, clusters.on_map(places) if final else None,
                  solid=None if old.solid is None else carried(old.solid), arrangement=old.arrangement)


def _unit(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred, and scaled so that the typical distance from the centre is 1."""
    centred = places - places.mean(axis=0)
    return (centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9)).astype(np.float32)
