"""A run tells of examples it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.examples import Examples, Readable
from mmstudio.training.job import TrainingJob

if TYPE_CHECKING:
    from mmstudio.training.learner import Learner

Named = dict[str, Any]


class Predictor:
    """The best weights of a run, on the CPU. First it is shown what to tell of, by ``see`` or by ``read``. Raises
    TrainingError where the run has no weights yet.
    """

    def __init__(self, folder: Path) -> None:
        from mmstudio.training import interpolation, runs

        examples = Examples.load(folder / "examples")
        self.dim = int(examples.vectors.shape[2])
        self._learner = interpolation.restored(folder, replace(examples, vectors=np.asarray(examples.vectors)), "cpu")
        self.job: TrainingJob = self._learner.job
        self.deciding = runs.look(folder).deciding
        self._count = 0

    @property
    def learner(self) -> Learner:
        """The model with what it was shown last, at first the run's own examples."""
        return self._learner

    def see(self, vectors: NDArray[np.float32], present: NDArray[np.bool_]) -> None:
        """Tell of ``vectors (n, m, dim)`` of the job's modalities, ``present (n, m)``. Raises TrainingError where the
        dimensions are not the run's, or it reads media themselves.
        """
        import torch

        if self.job.reads_media:
            raise TrainingError("The run reads pictures, sounds and texts, not their vectors.")
        if vectors.ndim != 3 or vectors.shape[1:] != (len(self.job.modalities), self.dim) or not present.any(1).all():
            raise TrainingError(f"The run reads vectors of {self.dim} dimensions and {len(self.job.modalities)} "
                                "modalities, one of them present.")
        self._learner.vectors, self._learner.present = torch.tensor(vectors), torch.tensor(present)
        self._count = len(vectors)

    def read(self, media: Sequence[Readable]) -> None:
        """Tell of media, each with the place of its modality in the job. Raises TrainingError for a run that reads
        vectors.
        """
        import torch

        from mmstudio.training.feed import Feed
        from mmstudio.training.learner import Whole

        learner = self._learner
        if not isinstance(learner.model, Whole):
            raise TrainingError("The run reads vectors of the encoder that it was trained with.")
        towers = learner.model.towers
        learner.feed = Feed(media, self.job.modalities, self.job.modalities, towers.prepare, most_bytes=0)
        present = np.zeros((len(media), len(self.job.modalities)), bool)
        for row, one in enumerate(media):
            present[row, [m for m, _ in one]] = True
        learner.present, self._count = torch.tensor(present), len(media)
        learner.vectors = torch.zeros((*present.shape, self.dim))

    def outputs(self) -> NDArray[np.float64]:
        """Probabilities ``(n, classes)`` at the temperature that was fitted on validation, amounts ``(n, 1)``, or
        aligned vectors ``(n, m, width)``. Raises TrainingError where a medium cannot be read.
        """
        told, _ = self._learner.outputs(self._learner.model, np.arange(self._count))
        if self.job.task in ("classification", "multi-label"):
            return self.deciding.shares(told, self.job)
        return told.astype(float)

    def decided(self, shares: NDArray[np.float64]) -> list[tuple[str, ...]]:
        """The one class, or the labels, that ``shares (n, classes)`` come to."""
        return [tuple(name for name, is_told in zip(self.job.classes, row, strict=True) if is_told)
                for row in self.deciding.told(shares, self.job)]

    def captions(self) -> list[str]:
        """What a run of captions tells of each."""
        return self._learner.captions(self._learner.model, np.arange(self._count))

    def named(self) -> list[Named]:
        """Each in words: the class or labels told and all shares, the amount, the caption, or the vectors."""
        if self.job.task == "captioning":
            return [{"caption": caption} for caption in self.captions()]
        rows = self.outputs()
        if self.job.task == "regression":
            return [{"amount": float(row[0])} for row in rows]
        if self.job.task == "alignment":
            return [{"vectors": row.tolist()} for row in rows]
        return [self._named(row, told) for row, told in zip(rows, self.decided(rows), strict=True)]

    def _named(self, row: NDArray[np.float64], told: tuple[str, ...]) -> Named:
        shares = {name: round(float(share), 6) for name, share in zip(self.job.classes, row, strict=True)}
        return {"class": told[0], "shares": shares} if self.job.task == "classification" else {
            "labels": list(told), "shares": shares}
