"""Many samples fused at once, while a slider moves: all sums are done in each sample's own few directions.

A fused vector is a combination of the sample's modality vectors. Which one, needs only how these lie to one another,
their Gram matrix, which is reckoned once; so a hundred thousand samples follow a slider without one long vector being
touched. Where a fusion leads on a map is in ``sample_places``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Fusion = Literal["mean", "geodesic", "concatenated", "experts"]
"""The last two have no vector in the modalities' own space: one has a longer vector, the other none but scores."""
TEMPERATURE = 0.05
"""Of scores, cosines of about -1 to 1: e times less likely for so much less."""
_TURNS = 12
_STILL = 5e-7
_TINY = np.float32(1e-12)
_ROUNDING = 1e-6
_AT_ONCE = 1 << 11


@dataclass(frozen=True)
class Parts:
    """What samples are fused from: ``vectors (n, m, dim)``, the mean of each sample's items of each of ``modalities``,
    0 where it has none; ``present (m, n)``; ``gram (m, m, n)``, their inner products; and ``spread (m, n)``, how far
    each lies from the mean of its modality, squared.
    """

    modalities: tuple[str, ...]
    vectors: Floats
    present: NDArray[np.bool_]
    gram: Floats
    spread: Floats

    @classmethod
    def of(cls, vectors: Floats, modalities: NDArray[np.str_], samples: Sequence[Sequence[int]]) -> Parts:
        """From item ``vectors (items, dim)``, and the rows that belong to each sample. ``modalities`` are those of rows
        that do.
        """
        rows = np.array([row for sample in samples for row in sample], np.int64)
        names = tuple(str(name) for name in np.unique(modalities[rows]))
        own = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
        kind = np.searchsorted(names, modalities[rows])
        slot = own * len(names) + kind
        sums = np.zeros((len(samples) * len(names), vectors.shape[1]), np.float32)
        for start in range(0, len(rows), _AT_ONCE):
            np.add.at(sums, slot[start : start + _AT_ONCE], vectors[rows[start : start + _AT_ONCE]])
        counts = np.bincount(slot, minlength=len(sums))
        sums /= np.maximum(counts, 1)[:, None]
        parts = sums.reshape(len(samples), len(names), -1)
        gram = np.einsum("nid,njd->ijn", parts, parts, optimize=True)
        present = np.ascontiguousarray((counts > 0).reshape(len(samples), len(names)).T)
        means = parts.sum(axis=0) / np.maximum(present.sum(axis=1), 1)[:, None]
        spread = np.einsum("iin->in", gram) - 2 * np.einsum("nid,id->in", parts, means)
        spread += (means**2).sum(axis=1)[:, None]
        spread[~present | (spread < _ROUNDING)] = 0
        return cls(names, parts, present, np.ascontiguousarray(gram, np.float32), spread.astype(np.float32))

    def __len__(self) -> int:
        return len(self.vectors)

    def some(self, rows: Rows) -> Parts:
        """Of these samples only, with the ``spread`` that they have among all."""
        return Parts(self.modalities, self.vectors[rows], self.present[:, rows], self.gram[:, :, rows],
                     self.spread[:, rows])

    def counted(self, weights: Floats, rows: Rows) -> Floats:
        """``(m, q)`` the weights of these samples as they count: what one lacks has none, and where all that it has has
        none, all of that counts the same.
        """
        here = self.present[:, rows]
        counted = np.where(here, np.maximum(weights, 0), 0)
        return np.where(counted.any(axis=0), counted, here).astype(np.float32)


class Fuser:
    """Fuses the same parts again and again; what it needs for that it makes once.

    ``coefficients (m, n)`` are such that the sum of them times a sample's parts is a unit vector.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        m, n = parts.present.shape
        lengths = np.sqrt(np.maximum(np.stack([parts.gram[i, i] for i in range(m)]), 0))
        self._inverse = np.where(parts.present, 1 / np.maximum(lengths, _TINY), 0).astype(np.float32)
        self._cosines = parts.gram * self._inverse[:, None] * self._inverse[None]
        self._weights, self._out = np.empty((m, n), np.float32), np.empty((m, n), np.float32)
        self._sum, self._scratch = np.empty(n, np.float32), np.empty(n, np.float32)
        self._move, self._towards = np.empty((m, n), np.float32), np.empty((m, n), np.float32)

    def coefficients(self, weights: Sequence[float] | Floats, how: Literal["mean", "geodesic"] = "mean") -> Floats:
        """``(m, n)`` for the weights ``(m,)`` of the modalities, or ``(m, n)`` of each sample's. Only their proportions
        matter; where all of a sample's are 0 they count as equal. The array is filled anew by the next call.
        """
        self._weigh(weights)
        if how == "mean":
            np.copyto(self._out, self._weights)
            return self._normalised(self.parts.gram)
        return self._geodesic()

    def shares(self, weights: Sequence[float] | Floats, how: Fusion) -> Floats:
        """``(m, n)`` in whose proportions the modalities make up what a sample is by the fusion ``how``. Side by side
        each counts by its weight and by how much it tells there: so a vector's length is made up, and nearly so are its
        cosines. Of experts each counts by its weight. Else they are the coefficients.
        """
        if how == "mean" or how == "geodesic":
            return self.coefficients(weights, how)
        self._weigh(weights)
        if how == "concatenated":
            np.multiply(self._weights, self.parts.spread, out=self._out)
            np.sum(self._out, axis=0, out=self._sum)
            np.copyto(self._out, self._weights, where=self._sum <= _TINY)
            return self._out
        return self._weights

    def _weigh(self, weights: Sequence[float] | Floats) -> None:
        """Bring the weights to the sum 1 for each sample."""
        given = np.asarray(weights, np.float32)
        np.multiply(self.parts.present, given[:, None] if given.ndim == 1 else given, out=self._weights)
        np.sum(self._weights, axis=0, out=self._sum)
        none = self._sum <= 0
        if none.any():
            self._weights[:, none] = self.parts.present[:, none]
            np.sum(self._weights, axis=0, out=self._sum)
        self._weights /= np.maximum(self._sum, _TINY)

    def _normalised(self, gram: Floats) -> Floats:
        """Divided by the length of what they stand for."""
        m = len(self._out)
        self._sum[:] = 0
        for i in range(m):
            for j in range(i + 1):
                np.multiply(self._out[i], self._out[j], out=self._scratch)
                self._scratch *= gram[i, j]
                if i != j:
                    self._scratch *= 2
                self._sum += self._scratch
        np.sqrt(np.maximum(self._sum, _TINY, out=self._sum), out=self._sum)
        self._out /= self._sum
        return self._out

    def _geodesic(self) -> Floats:
        """The weighted Karcher mean of the unit parts (Karcher 1977; Buss and Fillmore 2001): from the weighted mean,
        go again and again to where the weighted directions towards the parts balance. Of two parts it is the slerp.
        """
        np.copyto(self._out, self._weights)
        self._normalised(self._cosines)
        m = len(self._out)
        for _ in range(_TURNS):
            for i in range(m):  # the cosine of what is so far and each part
                np.multiply(self._cosines[i, 0], self._out[0], out=self._towards[i])
                for j in range(1, m):
                    np.multiply(self._cosines[i, j], self._out[j], out=self._scratch)
                    self._towards[i] += self._scratch
            np.clip(self._towards, -0.9999, 0.9999999, out=self._towards)
            # w angle / sin(angle): how far to go towards each part, whose own direction is part - cosine * mean
            np.arccos(self._towards, out=self._move)
            self._move /= np.sqrt(1 - self._towards * self._towards)
            self._move *= self._weights
            self._towards *= self._move
            np.sum(self._towards, axis=0, out=self._sum)
            self._out *= np.subtract(1, self._sum, out=self._sum)
            self._out += self._move
            self._normalised(self._cosines)
            if self._sum.max(initial=1) < 1 + _STILL:  # the step was a tangent: it lengthens as much as it moves
                break
        np.multiply(self._out, self._inverse, out=self._move)
        return self._move

    def vectors(self, coefficients: Floats) -> Floats:
        """``(n, dim)`` the fused unit vectors."""
        return np.einsum("mn,nmd->nd", coefficients, self.parts.vectors, optimize=True).astype(np.float32)

    @staticmethod
    def between(places: Floats, shares: Floats, out: Floats | None = None) -> Floats:
        """``(n, axes)`` points between each sample's modalities' own ``places (m, n, axes)``, in proportion to their
        ``shares (m, n)``: what a map shows while a slider moves.
        """
        share = shares / np.maximum(shares.sum(axis=0), _TINY)
        out = np.empty(places.shape[1:], np.float32) if out is None else out
        np.multiply(places[0], share[0][:, None], out=out)
        for part, weight in zip(places[1:], share[1:], strict=True):
            out += part * weight[:, None]
        return out


def product_of_experts(scores: Floats, weights: Sequence[float] | Floats, temperature: float = TEMPERATURE,
                       ) -> Floats:
    """Late fusion: ``(n,)`` log-probabilities of candidates from ``scores (m, n)`` of each modality, NaN where a
    candidate lacks it, by the weighted product of each modality's softmax (Hinton 2002). A missing expert says what it
    says on average.
    """
    logs = np.asarray(scores, np.float64) / temperature
    if logs.shape[1] == 0:
        return np.zeros(0, np.float32)
    known = np.isfinite(logs)
    logs = np.where(known, logs, -np.inf)
    heard = known.any(axis=1)
    logs, known, share = logs[heard], known[heard], np.asarray(weights, np.float64)[heard]
    logs = logs - _log_sum(logs)[:, None]
    average = np.where(known, logs, 0).sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
    total = (share[:, None] * np.where(known, logs, average)).sum(axis=0)
    return (total - _log_sum(total[None])[0]).astype(np.float32)


def _log_sum(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    greatest = logs.max(axis=1)
    return greatest + np.log(np.exp(logs - greatest[:, None]).sum(axis=1))


@dataclass(frozen=True)
class Disagreement:
    """The pair of a sample's modalities that agrees least: its ``cosine``, once each modality lies around its own mean,
    and how many spreads it lies below such pairs (``deviations``, negative for less agreement).
    """

    sample: int
    one: str
    other: str
    cosine: float
    deviations: float


def disagreements(parts: Parts) -> list[Disagreement]:
    """Of each sample that has several modalities its worst pair, the worst of all first: mislabelled captions float up.

    Cosines compare within one pair of modalities only, so each is set against the median of its kind in units of its
    interquartile spread.
    """
    m = len(parts.present)
    worst: dict[int, Disagreement] = {}
    unit = np.empty_like(parts.vectors)
    for at in range(m):
        here = parts.present[at]
        own = parts.vectors[:, at] - (parts.vectors[here, at].mean(axis=0) if here.sum() > 1 else 0)
        unit[:, at] = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    for one in range(m):
        for other in range(one + 1, m):
            rows = np.flatnonzero(parts.present[one] & parts.present[other])
            cosine = np.einsum("nd,nd->n", unit[rows, one], unit[rows, other])
            if not len(rows):
                continue
            low, middle, high = np.percentile(cosine, [25, 50, 75])
            deviations = (cosine - middle) / max((high - low) / 1.349, 1e-6)
            for row, near, far in zip(rows.tolist(), cosine.tolist(), deviations.tolist(), strict=True):
                if row not in worst or far < worst[row].deviations:
                    worst[row] = Disagreement(row, parts.modalities[one], parts.modalities[other], near, far)
    return sorted(worst.values(), key=lambda found: found.deviations)
