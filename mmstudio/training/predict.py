"""A finished run tells of examples it has never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob, read


class Predictor:
    """The best weights of a run, on the CPU. Raises TrainingError where the run has none yet."""

    def __init__(self, folder: Path) -> None:
        import torch
        from safetensors.torch import load_file

        from mmstudio.training.learner import Learner

        self.job: TrainingJob = read(folder / "job.json")
        examples = Examples.load(folder / "examples")
        self.dim = int(examples.vectors.shape[2])
        self._learner = Learner(self.job, replace(examples, vectors=np.asarray(examples.vectors)), torch.device("cpu"))
        try:
            self._learner.model.load_state_dict(load_file(folder / "best.safetensors"))
        except (OSError, RuntimeError, ValueError) as error:
            raise TrainingError("The run has no weights that can be read yet.", path=folder,
                                hint="Let it train until it was validated once.") from error

    def named(self, row: NDArray[np.float64]) -> dict[str, str | float | dict[str, float] | list[float]]:
        """One row of ``outputs`` in words: the class told and all shares, the amount, or the vectors."""
        if self.job.task in ("classification", "multi-label"):
            shares = {name: round(float(share), 6) for name, share in zip(self.job.classes, row, strict=True)}
            if self.job.task == "classification":
                return {"class": self.job.classes[int(row.argmax())], "shares": shares}
            return {"shares": shares}
        return {"amount": float(row[0])} if self.job.task == "regression" else {"vectors": row.tolist()}

    def outputs(self, vectors: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """For ``vectors (n, m, dim)`` of the job's modalities, ``present (n, m)``: probabilities ``(n, classes)``,
        amounts ``(n, 1)``, or aligned vectors ``(n, m, width)``. Raises TrainingError where the dimensions are not the
        run's.
        """
        import torch

        from mmstudio.training.calibration import sigmoid, softmax

        if vectors.ndim != 3 or vectors.shape[1:] != (len(self.job.modalities), self.dim) or not present.any(1).all():
            raise TrainingError(f"The run reads vectors of {self.dim} dimensions and {len(self.job.modalities)} "
                                "modalities, one of them present.")
        learner = self._learner
        learner.vectors, learner.present = torch.tensor(vectors), torch.tensor(present)
        told, _ = learner.outputs(learner.model, np.arange(len(vectors)))
        if self.job.task == "classification":
            return softmax(told)
        if self.job.task == "multi-label":
            return sigmoid(told)
        return told.astype(float)
