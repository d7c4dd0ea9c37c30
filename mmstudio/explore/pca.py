"""Principal components: the directions in which vectors differ most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pca:
    """Principal components: ``mean (dim,)``, ``basis (dim, m)``, ``explained (m,)`` share of the variance."""

    mean: Floats
    basis: Floats
    explained: Floats

    def place(self, vectors: Floats) -> Floats:
        """``(n, m)`` coordinates of ``(n, dim)`` vectors."""
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


def reduced(vectors: Floats, most: int = 100) -> Floats:
    """The first ``most`` principal components, in which neighbours are found sooner and nearly as well."""
    if vectors.shape[1] <= most or len(vectors) <= most:
        return vectors - vectors.mean(axis=0)
    return pca(vectors, most).place(vectors)


def along(vectors: Floats, axes: int) -> Floats:
    """``(n, axes)`` along the strongest components; where there are fewer, the rest is 0."""
    places = pca(vectors, axes).place(vectors)
    return np.pad(places, ((0, 0), (0, axes - places.shape[1])))
