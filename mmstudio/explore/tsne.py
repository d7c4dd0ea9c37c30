"""t-distributed stochastic neighbour embedding (van der Maaten and Hinton 2008), as openTSNE reckons it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.progress import Progress, Work

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
EARLY, LATE = 250, 500
"""Steps with exaggerated attraction, and without."""
FEW = 5000
_AT_ONCE = 10


def layout(indices: Rows, distances: Floats, start: Floats, perplexity: float, seed: int = 0) -> Work[Floats]:
    """Places ``(n, 2)`` from a table of the ``k >= 3 perplexity`` nearest, ``(n, k)``, beginning at ``start (n, 2)``
    with the learning rate of Belkina et al. (2019). Partial results come in ``fresh``.
    """
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    yield Progress(0, EARLY + LATE, "weighing neighbours")
    threads = 1 if len(start) < FEW else -1  # of few points, waiting for one another takes threads longer
    near = PerplexityBasedNN(perplexity=perplexity, knn_index=PrecomputedNeighbors(indices, distances), n_jobs=threads)
    first = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    places = TSNEEmbedding(first.astype(np.float64), near, random_state=seed, n_jobs=threads)
    for step in range(_AT_ONCE, EARLY + LATE + 1, _AT_ONCE):
        early = {"exaggeration": 12, "momentum": 0.5} if step <= EARLY else {"exaggeration": 1, "momentum": 0.8}
        places.optimize(_AT_ONCE, inplace=True, **early)
        yield Progress(step, EARLY + LATE, "arranging", np.asarray(places, np.float32))
    return np.asarray(places, np.float32)
