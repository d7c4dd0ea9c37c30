"""Media of the examples that a step learns from: decoded and prepared ahead, and kept as far as memory goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from mmstudio.encoders.base import Prepared
from mmstudio.errors import StudioError, TrainingError
from mmstudio.media import MediaRef, Modality
from mmstudio.training.examples import Readable

THREADS = 2
MOST_BYTES = 2 << 30
"""Of prepared media that are kept for the next epoch."""
Prepare = Callable[[MediaRef], Prepared]


@dataclass
class Inputs:
    """What the model reads of ``b`` examples: ``vectors (b, m, dim)`` of the encoder as it was, and of the modalities
    that are read anew what is prepared, with the row of the example that each belongs to.
    """

    vectors: Tensor
    prepared: dict[Modality, list[Prepared]] = field(default_factory=dict)
    owners: dict[Modality, list[int]] = field(default_factory=dict)


class Feed:
    """Prepares each example's media once, in threads, as long as the memory it may take suffices; else again.

    What cannot be read raises TrainingError that names the file, in the step that needs it.
    """

    def __init__(self, media: Sequence[Readable], modalities: Sequence[Modality], read: Sequence[Modality],
                 prepare: Prepare, most_bytes: int = MOST_BYTES) -> None:
        self._media, self._prepare, self._most = media, prepare, most_bytes
        self._modalities, self._read = tuple(modalities), frozenset(read)
        self._kept: dict[int, list[tuple[Modality, Prepared]]] = {}
        self._coming: dict[int, Future[list[tuple[Modality, Prepared]]]] = {}
        self._bytes = 0
        self._pool = ThreadPoolExecutor(THREADS, "feed")

    def ahead(self, rows: Iterable[int]) -> None:
        """Begin to prepare what is needed soon."""
        for row in rows:
            if row not in self._kept and row not in self._coming:
                self._coming[row] = self._pool.submit(self._of, row)

    def take(self, rows: Iterable[int], vectors: Tensor) -> Inputs:
        """What the model reads of ``rows``, whose vectors are given."""
        made = Inputs(vectors)
        rows = list(rows)
        self.ahead(rows)
        for place, row in enumerate(rows):
            for modality, prepared in self._one(row):
                made.prepared.setdefault(modality, []).append(prepared)
                made.owners.setdefault(modality, []).append(place)
        return made

    def _one(self, row: int) -> list[tuple[Modality, Prepared]]:
        if row in self._kept:
            return self._kept[row]
        found = self._coming.pop(row).result() if row in self._coming else self._of(row)
        size = sum(_size(prepared) for _, prepared in found)
        if self._bytes + size <= self._most:
            self._kept[row] = found
            self._bytes += size
        return found

    def _of(self, row: int) -> list[tuple[Modality, Prepared]]:
        found = []
        for m, ref in self._media[row]:
            if self._modalities[m] in self._read:
                try:
                    found.append((self._modalities[m], self._prepare(ref)))
                except StudioError as error:
                    raise TrainingError(f"An example cannot be read ({error}).", path=ref.path,
                                        hint="Find the missing file, or train without it.") from error
        return found

    def close(self) -> None:
        """Stop preparing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _size(prepared: Prepared) -> int:
    def bytes_of(value: object) -> int:
        if isinstance(value, np.ndarray):
            return value.nbytes
        return sum(map(bytes_of, value)) if isinstance(value, tuple | list) else 64
    return sum(map(bytes_of, prepared.inputs.values()))
