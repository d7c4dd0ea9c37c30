"""Pairwise controlled manifold approximation: near pairs pull, further ones push, mid-near ones keep the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore.neighbours import neighbours
from mmstudio.explore.pca import along, reduced
from mmstudio.explore.similarity import neighbour_graph
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Partners = NDArray[np.int64]
COMPILED_FROM = 6000
"""Points from which on the compiled loops are worth their loading."""
NEAR, MID_NEAR, FURTHER = 10, 5, 20
PHASES = (100, 100, 250)


def pacmap(vectors: Floats, axes: int = 2, near: int = NEAR, seed: int = 0) -> Work[Floats]:
    """Pairwise controlled manifold approximation (Wang, Huang, Rudin, Shaposhnik 2021) of ``(n, dim)`` to ``(n, axes)``
    with so many ``near`` neighbours.

    Three kinds of pairs pull and push - near neighbours under locally scaled distance, mid-near and further ones -
    with weights that change over three phases: first the global arrangement, then the neighbourhoods. Yields partial
    coordinates in ``fresh``. The same seed gives the same map.
    """
    n, few = len(vectors), reduced(vectors)
    if n < 8:
        return along(few, axes)
    rng = np.random.default_rng(seed)
    yield Progress(0, sum(PHASES), "finding neighbours")
    graph = neighbours if n >= COMPILED_FROM else neighbour_graph
    indices, distances = yield from graph(few, min(n - 1, near + 50))
    close = _near_partners(indices, distances, near)
    partners = close, _mid_near_partners(few, rng), _further_partners(close, rng)
    yield Progress(0, sum(PHASES), "arranging")
    y = along(few, axes)
    y = np.ascontiguousarray(y / max(float(y.std()), 1e-12) * 1e-2, np.float32)
    gradient = _compiled_gradient if n >= COMPILED_FROM else _gradient
    mean, variance = np.zeros_like(y), np.zeros_like(y)
    for step in range(1, sum(PHASES) + 1):
        slope = gradient(y, partners, _pair_weights(step - 1))
        mean += 0.1 * (slope - mean)
        variance += 0.001 * (slope**2 - variance)
        rate = np.float32(np.sqrt(1 - 0.999**step) / (1 - 0.9**step))  # Adam (Kingma & Ba 2015), learning rate 1
        y = np.asarray(y - rate * mean / (np.sqrt(variance) + np.float32(1e-7)), np.float32)
        if step % 5 == 0:
            yield Progress(step, sum(PHASES), "arranging", y)
    return y


def _near_partners(indices: Partners, distances: Floats, near: int) -> Partners:
    """``(n, near)``: of 50 more, those nearest by distance scaled with both points' own 4th-6th neighbour distance."""
    local = np.maximum(distances[:, 3:6].mean(axis=1), 1e-10)
    scaled = distances**2 / (local[:, None] * local[indices])
    chosen = np.argsort(scaled, axis=1, kind="stable")[:, : min(near, indices.shape[1])]
    return np.take_along_axis(indices, chosen, axis=1)


def _mid_near_partners(vectors: Floats, rng: np.random.Generator) -> Partners:
    """``(n, 5)``: five times, the second nearest of six points drawn at random."""
    n = len(vectors)
    partners = np.empty((n, MID_NEAR), np.int64)
    for column in range(MID_NEAR):
        drawn = rng.integers(0, n, (n, 6))
        for rows in np.array_split(np.arange(n), max(1, n // 4096)):
            distance = ((vectors[drawn[rows]] - vectors[rows, None]) ** 2).sum(axis=2)
            distance[drawn[rows] == rows[:, None]] = np.inf
            partners[rows, column] = drawn[rows, np.argsort(distance, axis=1)[:, 1]]
    return partners


def _further_partners(near: Partners, rng: np.random.Generator) -> Partners:
    """``(n, 20)``: random partners; those that are near ones are drawn once more, the point itself pushes nothing."""
    n = len(near)
    partners = rng.integers(0, n, (n, FURTHER))
    taken = (partners[:, :, None] == near[:, None, :]).any(axis=2)
    partners[taken] = rng.integers(0, n, int(taken.sum()))
    return partners


def _pair_weights(step: int) -> tuple[float, float, float]:
    """Weights of near, mid-near and further pairs at one step (the paper's schedule)."""
    if step < PHASES[0]:
        share = step / PHASES[0]
        return 2.0, (1 - share) * 1000 + share * 3, 1.0
    return (3.0, 3.0, 1.0) if step < PHASES[0] + PHASES[1] else (1.0, 0.0, 1.0)


def _gradient(y: Floats, partners: tuple[Partners, ...], weights: tuple[float, float, float]) -> Floats:
    """Gradient of the loss sum over pairs of w d/(c + d) (near c=10, mid-near c=10000) and w 1/(1 + d) (further),
    with d = 1 + squared distance.
    """
    total = np.zeros_like(y)
    columns = [np.ascontiguousarray(column) for column in y.T]
    for kind, (pair, weight) in enumerate(zip(partners, weights, strict=True)):
        if not weight:
            continue
        steps = [column[:, None] - column[pair] for column in columns]
        d = np.float32(1) + sum(step * step for step in steps)
        scale = (20 / (10 + d) ** 2, 20_000 / (10_000 + d) ** 2, -2 / (1 + d) ** 2)[kind] * np.float32(weight)
        flat = pair.ravel()
        for axis, step in enumerate(steps):
            force = step * scale
            total[:, axis] += force.sum(axis=1) - np.bincount(flat, force.ravel(), len(y))
    return total


def _compiled_gradient(y: Floats, partners: tuple[Partners, ...], weights: tuple[float, float, float]) -> Floats:
    """The same by the compiled loop."""
    from mmstudio.explore import kernels

    total = np.zeros_like(y)
    for kind, (pair, weight) in enumerate(zip(partners, weights, strict=True)):
        if weight:
            kernels.pacmap_forces(y, np.ascontiguousarray(pair), kind, weight, total)
    return total
