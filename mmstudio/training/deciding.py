"""How a finished run decides: its probabilities made to mean what they say, and from which of them on it says yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.training.calibration import fit_temperature, sigmoid, softmax
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import Floats
from mmstudio.training.other_metrics import fit_thresholds

HALF = 0.5
LEAST = 30
"""Examples of validation from which on a temperature is fitted; of fewer it would say little."""


@dataclass(frozen=True)
class Deciding:
    """``temperature`` that logits of classes are divided by (Guo et al. 2017). ``thresholds`` are the probabilities of
    the highest F1 on validation: one a label, or of two classes one, for the second. They are used where a person
    ``asked`` for them; else a label is told from a half on, and the most probable class.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    asked: bool = False

    def shares(self, logits: NDArray[np.floating], job: TrainingJob) -> Floats:
        """``(n, classes)`` probabilities: of one class of several, or of each label by itself."""
        return softmax(logits, self.temperature) if job.task == "classification" else sigmoid(logits)

    def told(self, shares: Floats, job: TrainingJob) -> NDArray[np.bool_]:
        """``(n, classes)`` which classes or labels are told."""
        used = self.asked and bool(self.thresholds)
        if job.task == "multi-label":
            return shares >= (np.array(self.thresholds) if used else HALF)
        best = shares[:, 1] >= self.thresholds[0] if used else shares.argmax(1)
        return np.asarray(best, np.int64)[:, None] == np.arange(shares.shape[1])


def fitted(job: TrainingJob, logits: NDArray[np.floating], targets: NDArray[Any]) -> dict[str, Any]:
    """What ``read`` reads, fitted on validation ``logits (n, classes)`` and ``targets``; nothing for tasks that tell no
    classes, or where there is no validation. Where there is little of it, or no error in it, no temperature is best.
    """
    if not len(logits) or job.task not in ("classification", "multi-label"):
        return {}
    if job.task == "multi-label":
        return {"thresholds": fit_thresholds(targets > HALF, sigmoid(logits)).tolist()}
    errs = len(logits) >= LEAST and bool((logits.argmax(1) != targets).any())
    temperature = fit_temperature(targets, logits) if errs else 1.0
    found: dict[str, Any] = {"temperature": temperature}
    if len(job.classes) == 2:
        found["thresholds"] = fit_thresholds(targets[:, None] == 1, softmax(logits, temperature)[:, 1:]).tolist()
    return found


def read(results: dict[str, Any], share: float = 1.0, asked: bool = False) -> Deciding:
    """What a run's ``results`` say, told with this ``share`` of its best weights; the usual where they are damaged."""
    try:
        return _read(results, share, asked)
    except (TypeError, ValueError, KeyError, AttributeError):
        return Deciding(asked=asked)


def _read(results: dict[str, Any], share: float, asked: bool) -> Deciding:
    beside = [one for one in results.get("interpolation", ()) if share != 1 and "deciding" in one]
    nearest = min(beside, key=lambda one: abs(one["share"] - share)) if beside else results
    found = nearest.get("deciding", {}) if share == 1 or beside else {}
    return Deciding(float(found.get("temperature", 1.0)), tuple(map(float, found.get("thresholds", ()))), asked)
