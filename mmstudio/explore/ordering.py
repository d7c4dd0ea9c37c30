"""An order in which what is alike lies side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def by_clusters(vectors: NDArray[np.float32]) -> NDArray[np.intp]:
    """``(n,)`` the rows of ``(n, dim)`` in the order of the leaves of average-linkage clusters by cosine, turned so
    that neighbours are as alike as can be (Bar-Joseph et al. 2001). Meant for hundreds of rows.
    """
    if len(vectors) < 3:
        return np.arange(len(vectors))
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import pdist

    apart = np.maximum(pdist(np.asarray(vectors, np.float64), "cosine"), 0)
    return np.asarray(leaves_list(optimal_leaf_ordering(linkage(apart, "average"), apart)), np.intp)
