"""Uniform manifold approximation and projection (McInnes, Healy, Melville 2018), from a table of neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmstudio.progress import Progress, Work

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
MANY = 10_000
"""Points from which on fewer epochs are enough, for each has as many neighbours to learn from."""
_AT_ONCE = 5


def fuzzy_graph(indices: Rows, distances: Floats) -> csr_matrix:
    """The fuzzy union of all neighbourhoods, ``(n, n)``: the membership of ``indices (n, k)`` in each neighbourhood
    falls with the distance beyond the nearest one, so fast that all together weigh log2(k) (sections 3.1 and 3.2).
    """
    from scipy.sparse import csr_matrix

    n, k = indices.shape
    nearest = np.where(distances > 0, distances, np.inf).min(axis=1, keepdims=True)
    beyond = np.maximum(distances - np.where(np.isfinite(nearest), nearest, 0), 0).astype(np.float64)
    low, high = np.zeros(n), np.full(n, np.inf)
    width = np.maximum(beyond.mean(axis=1), 1e-12)
    for _ in range(40):
        too_wide = np.exp(-beyond / width[:, None]).sum(axis=1) > np.log2(max(k, 2))
        low, high = np.where(too_wide, low, width), np.where(too_wide, width, high)
        width = np.where(np.isinf(high), width * 2, (low + high) / 2)
    width = np.maximum(width, 1e-3 * np.maximum(distances.mean(axis=1), 1e-12))
    own = np.repeat(np.arange(n), k)
    member = csr_matrix((np.exp(-beyond / width[:, None]).ravel(), (own, indices.ravel())), (n, n))
    both = member.multiply(member.T)
    return (member + member.T - both).tocsr()


def told_apart(graph: csr_matrix, target: Rows, strength: float = 0.5) -> csr_matrix:
    """The graph with edges between different categories of ``target (n,)`` weakened, and less so to those that have
    none (-1): supervised by a tag (section 6 of the paper's software guide). ``strength`` 0 leaves it as it is, near 1
    tears categories apart.
    """
    out = graph.tocoo(copy=True)
    one, other = target[out.row], target[out.col]
    far = 2.5 / (1.0 - min(strength, 0.99))
    unknown = (one < 0) | (other < 0)
    out.data *= np.where(unknown, np.exp(-1.0), np.where(one != other, np.exp(-far), 1.0))
    graph = out.tocsr()
    strongest = np.maximum(graph.max(axis=1).toarray().ravel(), 1e-12)
    graph = graph.multiply(1 / strongest[:, None]).tocsr()  # each point is sure of its nearest again
    return (graph + graph.T - graph.multiply(graph.T)).tocsr()


def curve(min_distance: float, spread: float = 1.0) -> tuple[float, float]:
    """``a`` and ``b`` of the curve 1 / (1 + a d^2b) that lies nearest to 1 up to ``min_distance`` and to an exponential
    fall beyond it (section 3.2).
    """
    from scipy.optimize import curve_fit

    d = np.linspace(0, 3 * spread, 300)
    wanted = np.where(d < min_distance, 1.0, np.exp(-(d - min_distance) / spread))
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), d, wanted, p0=(1.5, 0.9), bounds=(1e-3, 100))
    return float(a), float(b)


def layout(graph: csr_matrix, start: Floats, min_distance: float, seed: int = 0, epochs: int = 0) -> Work[Floats]:
    """Places ``(n, axes)`` by stochastic gradient descent on the cross entropy of the graph and the map, with five
    random points pushed away for each that is drawn near (algorithm 5). The same seed gives the same map. Partial
    results come in ``fresh``.
    """
    from mmstudio.explore import kernels

    n = len(start)
    epochs = epochs or (500 if n <= MANY else 200)
    edges = graph.tocoo()
    strong = edges.data >= edges.data.max() / epochs  # weaker ones would never be drawn
    heads, tails = edges.row[strong].astype(np.int32), edges.col[strong].astype(np.int32)
    every = (edges.data.max() / edges.data[strong]).astype(np.float32)
    a, b = curve(min_distance)
    rng = np.random.default_rng(seed)
    extent = np.maximum(np.ptp(start, axis=0).max(), 1e-12)
    y = 10 * (start - start.min(axis=0)) / extent + rng.normal(0, 1e-4, start.shape)
    y = np.ascontiguousarray(y, np.float32)
    due, due_against = every.astype(np.float64), every.astype(np.float64) / 5
    state = rng.integers(1, 2**63, 1, dtype=np.uint64)
    for first in range(0, epochs, _AT_ONCE):
        last = min(first + _AT_ONCE, epochs)
        kernels.umap_epochs(y, heads, tails, every, due, due_against, state, a, b, 1e-3, 1.0, 1.0, first, last, epochs)
        yield Progress(last, epochs, "arranging", y.copy())
    return y
