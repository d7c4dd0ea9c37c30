"""High-dimensional vectors as points of a map: PCA at once, PaCMAP for neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore.similarity import neighbour_graph
from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Partners = NDArray[np.int64]


@dataclass(frozen=True)
class Pca:
    """Principal components: ``mean (dim,)``, ``basis (dim, 2)``, ``explained (2,)`` share of the variance."""

    mean: Floats
    basis: Floats
    explained: Floats

    def place(self, vectors: Floats) -> Floats:
        """``(n, 2)`` coordinates of ``(n, dim)`` vectors."""
        return ((vectors - self.mean) @ self.basis).astype(np.float32, copy=False)


def pca(vectors: Floats, components: int = 2) -> Pca:
    """Principal component analysis by the leading eigenvectors of the covariance, found by orthogonal iteration
    (Golub & Van Loan, 8.2.4: a full decomposition costs a hundred times more for two components); signs fixed so that
    a map does not flip.
    """
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    covariance = centred.T @ centred / max(1, len(vectors) - 1)
    values, basis = _leading(covariance, min(components, covariance.shape[0]))
    strongest = basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])]
    basis = basis * np.where(strongest < 0, -1, 1)
    share = np.maximum(values, 0) / max(float(np.trace(covariance)), 1e-12)
    return Pca(mean.astype(np.float32), basis.astype(np.float32), share.astype(np.float32))


def _leading(symmetric: Floats, count: int) -> tuple[Floats, Floats]:
    """The ``count`` largest eigenvalues of a positive semidefinite matrix, largest first, and their eigenvectors."""
    spare = min(symmetric.shape[0], 2 * count + 6)
    if symmetric.shape[0] <= 32 or spare > symmetric.shape[0] // 2:
        values, basis = np.linalg.eigh(symmetric)
        return values[::-1][:count], basis[:, ::-1][:, :count]
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(symmetric.shape[0], spare)).astype(np.float32))[0]
    for _ in range(24):
        basis = np.linalg.qr(symmetric @ basis)[0]
    values, turn = np.linalg.eigh(basis.T @ symmetric @ basis)
    return values[::-1][:count], (basis @ turn)[:, ::-1][:, :count]


NEIGHBOURS, MID_NEAR, FURTHER = 10, 5, 20
PHASES = (100, 100, 250)


def pacmap(vectors: Floats, seed: int = 0, start: Floats | None = None) -> Work[Floats]:
    """Pairwise controlled manifold approximation (Wang, Huang, Rudin, Shaposhnik 2021) of ``(n, dim)`` to ``(n, 2)``.

    Three kinds of pairs pull and push - near neighbours under locally scaled distance, mid-near and further ones -
    with weights that change over three phases: first the global arrangement, then the neighbourhoods. Yields partial
    coordinates in ``fresh``. ``start (n, 2)`` begins from an existing map, so that old points hardly move.
    """
    n = len(vectors)
    reduced = _reduced(vectors)
    if n < 8:
        return pca(reduced).place(reduced)
    rng = np.random.default_rng(seed)
    yield Progress(0, sum(PHASES), "finding neighbours")
    indices, distances = yield from neighbour_graph(reduced, min(n - 1, NEIGHBOURS + 50))
    near = _near_partners(indices, distances)
    partners = (near, _mid_near_partners(reduced, rng), _further_partners(near, rng))
    yield Progress(0, sum(PHASES), "arranging")
    if start is None:
        first = pca(reduced).place(reduced)
        y = first / max(float(first.std()), 1e-12) * 1e-2
    else:
        y = (start - start.mean(axis=0)) / max(float(start.std()), 1e-12) * 5
    y = np.asarray(y, np.float32)
    mean, variance = np.zeros_like(y), np.zeros_like(y)
    skipped = PHASES[0] if start is not None else 0
    for step in range(skipped, sum(PHASES)):
        gradient = _gradient(y, partners, _pair_weights(step))
        mean += 0.1 * (gradient - mean)
        variance += 0.001 * (gradient**2 - variance)
        count = step - skipped + 1
        rate = np.float32(np.sqrt(1 - 0.999**count) / (1 - 0.9**count))  # Adam (Kingma & Ba 2015), learning rate 1
        y = np.asarray(y - rate * mean / (np.sqrt(variance) + np.float32(1e-7)), np.float32)
        if step % 5 == 4:
            yield Progress(step + 1, sum(PHASES), "arranging", y)
    return y


def _reduced(vectors: Floats, most: int = 100) -> Floats:
    """The first ``most`` principal components: what the paper's own preprocessing keeps."""
    if vectors.shape[1] <= most or len(vectors) <= most:
        return vectors - vectors.mean(axis=0)
    return pca(vectors, most).place(vectors)


def _near_partners(indices: Partners, distances: Floats) -> Partners:
    """``(n, 10)``: of 60 nearest, those nearest by distance scaled with both points' own 4th-6th neighbour distance."""
    local = np.maximum(distances[:, 3:6].mean(axis=1), 1e-10)
    scaled = distances**2 / (local[:, None] * local[indices])
    chosen = np.argsort(scaled, axis=1, kind="stable")[:, : min(NEIGHBOURS, indices.shape[1])]
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
    across, up = np.ascontiguousarray(y[:, 0]), np.ascontiguousarray(y[:, 1])
    for kind, (pair, weight) in enumerate(zip(partners, weights, strict=True)):
        if not weight:
            continue
        dx, dy = across[:, None] - across[pair], up[:, None] - up[pair]
        d = dx * dx + dy * dy + 1
        scale = (20 / (10 + d) ** 2, 20_000 / (10_000 + d) ** 2, -2 / (1 + d) ** 2)[kind] * np.float32(weight)
        flat = pair.ravel()
        for axis, difference in enumerate((dx, dy)):
            force = difference * scale
            total[:, axis] += force.sum(axis=1) - np.bincount(flat, force.ravel(), len(y))
    return total


def placed_among(vector: Floats, vectors: Floats, coordinates: Floats, k: int = 8) -> Floats:
    """``(2,)`` where a new vector belongs in an existing map: its nearest rows' places, weighted by nearness."""
    similarity = vectors @ vector
    top = np.argpartition(-similarity, min(k, len(similarity)) - 1)[:k]
    weight = np.exp((similarity[top] - similarity[top].max()) / 0.05)
    return (weight @ coordinates[top] / weight.sum()).astype(np.float32)
