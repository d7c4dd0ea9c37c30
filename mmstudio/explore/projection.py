"""High-dimensional vectors as points of a map: which way, how, and where what is new belongs in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import StudioError
from mmstudio.explore import tsne, umap
from mmstudio.explore.neighbours import neighbours
from mmstudio.explore.pacmap import pacmap
from mmstudio.explore.pca import along, pca, reduced
from mmstudio.progress import Progress, Work

__all__ = ["METHODS", "Method", "Metric", "Wish", "along", "on_axes", "pacmap", "pca", "placed_among", "project"]

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Method = Literal["pca", "umap", "tsne", "pacmap"]
Metric = Literal["cosine", "euclid", "pearson"]
METHODS: tuple[Method, ...] = ("umap", "pacmap", "tsne", "pca")
_BLOCK = 1024
_SHARPNESS = 0.05
"""Among its neighbours a new point is drawn e times less to one whose cosine is so much lower."""


@dataclass(frozen=True)
class Wish:
    """How a map is to be made. ``neighbours`` is how many of each point UMAP and PaCMAP keep near, few for a local and
    many for a global picture, ``perplexity`` the same for t-SNE; ``min_distance`` is how close UMAP packs them.
    """

    method: Method = "umap"
    axes: int = 2
    neighbours: int = 15
    min_distance: float = 0.1
    perplexity: float = 30.0
    metric: Metric = "cosine"
    seed: int = 0


def project(vectors: Floats, wish: Wish, target: Rows | None = None, strength: float = 0.5) -> Work[Floats]:
    """Places ``(n, axes)`` of ``vectors (n, dim)``. With ``target (n,)``, categories or -1 for none, UMAP tells these
    apart by ``strength``. Partial results come in ``fresh``. Raises StudioError for t-SNE in three dimensions.
    """
    if wish.method == "tsne" and wish.axes != 2:
        raise StudioError("t-SNE draws maps of two dimensions only.", hint="Choose UMAP, PaCMAP or PCA for three.")
    yield Progress(0, 0, "looking at the vectors")
    vectors = as_euclid(vectors, wish.metric)
    if wish.method == "pca" or len(vectors) < 8:
        return along(vectors, wish.axes)
    if wish.method == "pacmap":
        return (yield from pacmap(vectors, wish.axes, wish.neighbours, wish.seed))
    few = reduced(vectors)
    start = along(few, wish.axes)
    if wish.method == "tsne":
        perplexity = min(wish.perplexity, (len(vectors) - 1) / 3)
        indices, distances = yield from neighbours(few, max(2, int(3 * perplexity)))
        return (yield from tsne.layout(indices, distances, start, perplexity, wish.seed))
    indices, distances = yield from neighbours(few, wish.neighbours)
    graph = umap.fuzzy_graph(indices, distances)
    if target is not None:
        graph = umap.told_apart(graph, target, strength)
    return (yield from umap.layout(graph, start, wish.min_distance, wish.seed))


def as_euclid(vectors: Floats, metric: Metric) -> Floats:
    """Vectors whose Euclidean distances are in the order of the ``metric``: cosine is that of unit vectors, Pearson
    that of centred ones.
    """
    if metric == "pearson":
        vectors = vectors - vectors.mean(axis=1, keepdims=True)
    if metric == "euclid":
        return vectors
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def on_axes(vectors: Floats, x: Floats, y: Floats) -> Floats:
    """Axes from words: ``(n, 2)``, the cosine of each vector to the queries ``x (dim,)`` and ``y (dim,)``."""
    towards = np.stack([x, y], axis=1)
    towards = towards / np.maximum(np.linalg.norm(towards, axis=0), 1e-12)
    return (as_euclid(vectors, "cosine") @ towards).astype(np.float32)


def placed_among(new: Floats, vectors: Floats, places: Floats, k: int = 8) -> Floats:
    """Where new vectors ``(m, dim)``, or one ``(dim,)``, belong in an existing map ``(n, axes)`` of ``vectors (n,
    dim)``: at their ``k`` nearest rows' places, weighted by nearness. Nothing that is there moves.
    """
    many = np.atleast_2d(new)
    out, k = np.empty((len(many), places.shape[1]), np.float32), min(k, len(vectors))
    for start in range(0, len(many), _BLOCK):
        similarity = many[start : start + _BLOCK] @ vectors.T
        top = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(similarity, top, axis=1)
        weight = np.exp((near - near.max(axis=1, keepdims=True)) / _SHARPNESS)
        out[start : start + _BLOCK] = np.einsum("nk,nka->na", weight / weight.sum(axis=1, keepdims=True), places[top])
    return out[0] if new.ndim == 1 else out
