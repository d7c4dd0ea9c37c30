"""Weights between where an encoder's learning started and where it ended (WiSE-FT, Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmstudio.errors import TrainingError
from mmstudio.training import deciding, measured, runs
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob, job_of
from mmstudio.training.learner import Learner, learn_from

MOST = 1000
"""Held-out examples that each share is measured on."""


def between(start: dict[str, Tensor], best: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights that are ``share`` of the best and the rest of the start. Of a low-rank addition only one factor is
    taken in part, so that the addition itself is. What the start lacks, a head that knew nothing then, stays the best.
    """
    return {name: value if "lora_A" in name or name not in start or not value.is_floating_point()
            else start[name].lerp(value, share) for name, value in best.items()}


def load(folder: Path) -> dict[str, Tensor]:
    """The weights that a run tells with: its best, or what a person chose between the start and these."""
    best = load_file(folder / "best.safetensors")
    share = runs.share_of(folder)
    if share == 1 or not (folder / "start.safetensors").is_file():
        return best
    return between(load_file(folder / "start.safetensors"), best, share)


def restored(folder: Path, examples: Examples, device: str) -> Learner:
    """A run's model with the weights that it tells with. Raises TrainingError where it has none yet."""
    learner = Learner(job_of(folder), examples, torch.device(device))
    try:
        learn_from(learner.model, load(folder))
    except (OSError, RuntimeError, ValueError) as error:
        if learner.feed is not None:
            learner.feed.close()
        raise TrainingError("The run has no weights that can be read yet.", path=folder,
                            hint="Let it train until it was validated once.") from error
    return learner


def curve(job: TrainingJob, learner: Learner, model: nn.Module, examples: Examples, folder: Path,
          shares: Sequence[float]) -> list[dict[str, Any]]:
    """For each share of the best its metrics on ``validation`` and on what is ``held out``, and how it decides
    (``deciding``). The model is left at the best.
    """
    start, best = load_file(folder / "start.safetensors"), load_file(folder / "best.safetensors")
    parts = {"validation": examples.rows(VALIDATION)[:MOST],
             "held out": next(rows for part in (TEST, VALIDATION, TRAIN) if len(rows := examples.rows(part)))[:MOST]}
    found = []
    for share in shares:
        learn_from(model, between(start, best, share))
        told: dict[str, Any] = {"share": share}
        for name, rows in parts.items():
            outputs = learner.outputs(model, rows)[0]
            told[name] = measured.measured(job, outputs, examples, np.asarray(rows))
            if name == "validation":
                told["deciding"] = deciding.fitted(job, outputs, np.asarray(examples.targets)[rows])
        found.append(told)
    learn_from(model, best)
    return found
