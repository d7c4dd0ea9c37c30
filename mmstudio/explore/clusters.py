"""Groups that a person sees on the map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def on_map(coordinates: NDArray[np.float32]) -> NDArray[np.int64]:
    """``(n,)`` cluster of each point of a map ``(n, 2)`` by HDBSCAN (Campello et al. 2013), largest cluster 0, and -1
    where a point belongs to none.
    """
    n = len(coordinates)
    if n < 10:
        return np.full(n, -1)
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=max(5, n // 60), min_samples=5, copy=True).fit_predict(coordinates)
    names, counts = np.unique(found[found >= 0], return_counts=True)
    rank = {name: place for place, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return np.array([rank.get(label, -1) for label in found], np.int64)
