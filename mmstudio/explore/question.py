"""A question made of several parts: what to go towards, what to go away from, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import SpaceMismatch, StudioError

Floats = NDArray[np.float32]


def combined(vectors: Floats, weights: Sequence[float] | NDArray[np.floating]) -> Floats:
    """``(dim,)`` normalised weighted sum of normalised ``vectors (m, dim)``; a negative weight goes away from its part.

    Raises SpaceMismatch where there is not one weight a vector, StudioError where the parts cancel each other out.
    """
    shares = np.asarray(weights, np.float32)
    if vectors.ndim != 2 or len(vectors) != len(shares):
        raise SpaceMismatch("There must be one weight per part, and all parts must lie in one space.")
    total = shares @ _normalised(vectors)
    length = float(np.linalg.norm(total))
    if length <= 1e-6 * max(1.0, float(np.abs(shares).sum())):
        raise StudioError("The parts of this question cancel each other out.", hint="Change a weight.")
    return (total / length).astype(np.float32)


def rocchio(liked: Floats, disliked: Floats, query: Floats | None = None, alpha: float = 1.0, beta: float = 0.75,
            gamma: float = 0.25) -> Floats:
    """``(dim,)`` alpha times the ``query (dim,)``, plus beta times the mean of ``liked (l, dim)``, minus gamma times
    the mean of ``disliked (d, dim)``, normalised (Rocchio 1971). Either may be empty. Raises StudioError where nothing
    is left to go towards.
    """
    parts = [(alpha, None if query is None else query[None]), (beta, liked), (-gamma, disliked)]
    known = [(weight, _normalised(rows).mean(axis=0)) for weight, rows in parts if rows is not None and len(rows)]
    if not any(weight > 0 for weight, _ in known):
        raise StudioError("There is nothing liked to go towards.", hint="Like an item, and give it a weight.")
    total = np.sum([weight * mean for weight, mean in known], axis=0)
    length = float(np.linalg.norm(total))
    if length <= 1e-6:
        raise StudioError("What is liked and what is disliked cancel each other out.", hint="Change a weight.")
    return (total / length).astype(np.float32)


def reasons(found: Floats, liked: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Why each of ``found (n, dim)`` is recommended: ``(n,)`` which of ``liked (l, dim)`` is nearest, and the cosine.
    """
    near = _normalised(found) @ _normalised(liked).T
    best = near.argmax(axis=1)
    return best, near[np.arange(len(near)), best]


def _normalised(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
