"""Groups of vectors or of map points: HDBSCAN, which leaves out what belongs to none, and k-means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
MOST_HDBSCAN, MOST_KMEANS = 30_000, 50_000
"""Of more rows, HDBSCAN looks at a sample, and k-means takes them in batches."""


def hdbscan(rows: Floats, least: int = 15, seed: int = 0) -> Work[Labels]:
    """``(n,)`` the cluster of each row ``(n, axes)``, largest 0, -1 for none (Campello et al. 2015); of at least
    ``least`` members. Beyond ``MOST_HDBSCAN`` rows the others go with the nearest that was looked at.
    """
    from scipy.spatial import cKDTree
    from sklearn.cluster import HDBSCAN

    n = len(rows)
    yield Progress(0, 0, "finding clusters")
    if n < max(least, 3):
        return np.full(n, -1, np.int64)
    if n <= MOST_HDBSCAN:
        return by_size(HDBSCAN(min_cluster_size=max(2, least), copy=True).fit_predict(rows))
    chosen = np.random.default_rng(seed).choice(n, MOST_HDBSCAN, replace=False)
    share = max(5, round(least * MOST_HDBSCAN / n))
    found = HDBSCAN(min_cluster_size=share, copy=True).fit_predict(rows[chosen])
    yield Progress(0, 0, "sharing out the others")
    return by_size(found[cKDTree(rows[chosen]).query(rows)[1]])


def k_means(rows: Floats, number: int, seed: int = 0) -> Work[Labels]:
    """``(n,)`` the cluster of each row, largest 0, of ``number`` (Lloyd 1982; Sculley 2010 beyond ``MOST_KMEANS``)."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    yield Progress(0, 0, "finding clusters")
    number = min(number, len(np.unique(rows, axis=0)) if len(rows) < 2000 else len(rows))
    if number < 1:
        return np.zeros(0, np.int64)
    if len(rows) <= MOST_KMEANS:
        found = KMeans(number, n_init=3, random_state=seed).fit_predict(rows)
    else:
        found = MiniBatchKMeans(number, batch_size=4096, n_init=3, random_state=seed).fit_predict(rows)
    return by_size(found)


def by_size(labels: NDArray[np.integer]) -> Labels:
    """Clusters counted from the largest; -1 stays."""
    names, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(-np.where(names < 0, -1, counts), kind="stable")
    new = np.empty(len(names), np.int64)
    new[order] = np.arange(len(names))
    new[names < 0] = -1
    return new[at.reshape(-1)]
