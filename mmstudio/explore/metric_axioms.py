"""Which measures are metrics: a distance that is never negative, zero only from a thing to itself, the same both ways,
and never longer than a detour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Axiom = Literal["non-negativity", "identity", "symmetry", "triangle inequality"]
AXIOMS: tuple[Axiom, ...] = ("non-negativity", "identity", "symmetry", "triangle inequality")
TOLERANCE, APART = 1e-6, 1e-2
"""Below the one a difference is rounding; vectors of length 1 further apart than the other are different things."""


@dataclass(frozen=True)
class Counterexample:
    """The ``rows`` that break an axiom - one or two, or three of which the second is the detour - and the distances
    that show it: of the triangle inequality the direct way, then its two parts.
    """

    rows: tuple[int, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True)
class Distance:
    """A distance ``of`` two vectors: its name as a formula, and ``(n, n)`` float64 of ``(n, dim)`` float64 vectors."""

    name: str
    formula: str
    of: Callable[[Floats], Floats]


def distances() -> tuple[Distance, ...]:
    """Each similarity as the distance that is often made of it, and after it the proper one."""
    return (
        Distance("dot", "−x·y", lambda x: -(x @ x.T)),
        Distance("cosine", "1 − cos(x, y)", lambda x: 1 - _cosine(x)),
        Distance("pearson", "1 − r(x, y)", lambda x: 1 - _cosine(_centred(x))),
        Distance("euclid", "‖x − y‖", _euclid),
        Distance("angular", "arccos(cos(x, y)) / π", lambda x: np.arccos(_cosine(x)) / np.pi),
        Distance("chord", "√(2 − 2 cos(x, y))", lambda x: np.sqrt(2 - 2 * _cosine(x))),
    )


def broken(table: Floats, vectors: Floats) -> dict[Axiom, Counterexample | None]:
    """For each axiom the example that breaks it most, or None where it holds for all of these: a table ``(n, n)`` of
    distances between ``vectors (n, dim)``. All triples are looked at, which takes n ** 3 steps.
    """
    lowest = np.unravel_index(int(table.argmin()), table.shape)
    skew = np.abs(table - table.T)
    most = np.unravel_index(int(skew.argmax()), table.shape)
    return {
        "non-negativity": _example(table, lowest) if table[lowest] < -TOLERANCE else None,
        "identity": _not_identical(table, vectors),
        "symmetry": Counterexample(_pair(most), (float(table[most]), float(table.T[most])))
        if skew[most] > TOLERANCE else None,
        "triangle inequality": _detour(table),
    }


def _not_identical(table: Floats, vectors: Floats) -> Counterexample | None:
    """Something away from itself, else two different things that are not apart."""
    own = np.abs(np.diag(table))
    if own.max() > TOLERANCE:
        row = int(own.argmax())
        return Counterexample((row,), (float(table[row, row]),))
    gap = np.where(_euclid(_normalised(vectors)) > APART, np.abs(table), np.inf)
    nearest = np.unravel_index(int(gap.argmin()), gap.shape)
    return _example(table, nearest) if gap[nearest] <= TOLERANCE else None


def _detour(table: Floats) -> Counterexample | None:
    """The triple whose direct way is longest against the way through the second."""
    worst, found = TOLERANCE, None
    for over in range(len(table)):
        excess = table - table[:, over, None] - table[over]
        at = int(excess.argmax())
        if excess.flat[at] > worst:
            start, end = divmod(at, len(table))
            worst = float(excess.flat[at])
            found = Counterexample((start, over, end), (float(table[start, end]), float(table[start, over]),
                                                        float(table[over, end])))
    return found


def _pair(at: tuple[np.intp, ...]) -> tuple[int, ...]:
    return int(at[0]), int(at[1])


def _example(table: Floats, at: tuple[np.intp, ...]) -> Counterexample:
    return Counterexample(_pair(at) if at[0] != at[1] else (int(at[0]),), (float(table[at]),))


def _normalised(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)


def _centred(rows: Floats) -> Floats:
    return rows - rows.mean(axis=1, keepdims=True)


def _cosine(rows: Floats) -> Floats:
    rows = _normalised(rows)
    return np.clip(rows @ rows.T, -1, 1)


def _euclid(rows: Floats) -> Floats:
    squares = np.einsum("ij,ij->i", rows, rows)
    found = np.sqrt(np.maximum(squares[:, None] + squares - 2 * (rows @ rows.T), 0))
    np.fill_diagonal(found, 0)
    return found
