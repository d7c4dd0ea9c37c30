"""What a run notes after each epoch for whoever watches it: the gallery of validation examples, a frame of its film."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training import film, gallery
from mmstudio.training.examples import Examples
from mmstudio.training.gallery import Validated
from mmstudio.training.job import TrainingJob


class Diary:
    """Made from what validation has computed anyway. A disk that does not take it stops no run."""

    def __init__(self, folder: Path, job: TrainingJob, examples: Examples) -> None:
        self._folder, self._job, self._examples = folder, job, examples
        self._last: Validated | None = None
        self._is_told = True
        self._filmed: NDArray[np.int64] | None = None

    def note(self, epoch: int, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
        """After ``epoch`` (from 1) epochs: ``outputs (k, …)`` of ``rows (k,)`` as ``Learner.outputs`` gives them."""
        if self._last is None:
            with suppress(TrainingError):
                self._last = gallery.read(self._folder)
        with suppress(OSError):
            places = gallery.spread(rows)
            some = rows[places]
            targets, present = (np.asarray(array)[some] for array in (self._examples.targets, self._examples.present))
            self._last = gallery.told_of(self._job, epoch, np.asarray(self._examples.keys)[some], outputs[places],
                                         targets, present, self._last)
            self._is_told = False
            if film.has_film(self._job):
                self._film(epoch, rows, outputs)

    def tell(self) -> None:
        """Write the gallery, where an epoch has ended since: epochs may be shorter than anybody looks."""
        if self._last is not None and not self._is_told:
            self._is_told = True
            with suppress(OSError):
                gallery.write(self._folder, self._last)

    def _film(self, epoch: int, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
        places = gallery.spread(rows, film.most(outputs))
        some = rows[places]
        if self._filmed is None or not np.array_equal(self._filmed, some):
            film.begin(self._folder, *(np.asarray(array)[some] for array in (
                self._examples.keys, self._examples.present, self._examples.targets)))
            self._filmed = some
        film.write(self._folder, epoch, outputs[places])
