"""How good a run's model is: while it learns, and once it is done on every part, with and without each modality."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mmstudio.errors import TrainingError
from mmstudio.training import metrics
from mmstudio.training.calibration import sigmoid, softmax
from mmstudio.training.compared import bootstrap_mean
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.learner import Learner
from mmstudio.training.other_metrics import multi_label, regression, retrieval
from mmstudio.training.words import text

Floats = NDArray[np.float32]
PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
MOST_CAPTIONS = 100
"""That are kept to be read."""
MOST_PAIRS = 2000
"""Pairs that are compared with each other while a run learns."""
SHARPNESS = 20.0
"""Of the validation loss of aligned vectors, which must not depend on what the run learns."""


def measured(job: TrainingJob, outputs: Floats, examples: Examples, rows: NDArray[np.int64]) -> dict[str, float]:
    """The ``loss`` and metrics of ``outputs (k, …)`` as ``Learner.outputs`` gives them; what is undefined is left out.
    """
    if not len(rows):
        return {}
    targets = np.asarray(examples.targets)[rows]
    if not np.isfinite(outputs).all():
        raise TrainingError("The model gives numbers that are none.", hint="Try a lower learning rate.")
    if job.task == "classification":
        shares = softmax(outputs)
        found = {"loss": metrics.log_loss(targets, shares), **metrics.summary(targets, shares)}
    elif job.task == "multi-label":
        shares = sigmoid(outputs)
        told = multi_label(targets > 0.5, shares)
        likely = np.clip(np.where(targets > 0.5, shares, 1 - shares), 1e-12, 1)
        found = {"loss": float(-np.log(likely).mean()), "micro F1": told.micro_f1, "macro F1": told.macro_f1,
                 "mean average precision": told.mean_average_precision, "subset accuracy": told.subset_accuracy,
                 "hamming loss": told.hamming}
    elif job.task == "regression":
        amounts = regression(targets.astype(float), outputs[:, 0].astype(float))
        found = {"loss": amounts.rmse**2, "MAE": amounts.mae, "RMSE": amounts.rmse, "R²": amounts.r2,
                 "Pearson": amounts.pearson, "Spearman": amounts.spearman}
    elif job.task == "captioning":
        loss, right = outputs.mean(0)
        found = {"loss": float(loss), "perplexity": float(np.exp(loss)), "word accuracy": float(right)}
    else:
        found = _aligned(job, outputs, np.asarray(examples.present)[rows])
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _aligned(job: TrainingJob, vectors: Floats, present: NDArray[np.bool_]) -> dict[str, float]:
    """How well partners find each other, mean of all directions."""
    losses, recalls, ranks = [], [], []
    for a, b in combinations(range(len(job.modalities)), 2):
        both = np.flatnonzero(present[:, a] & present[:, b])[:MOST_PAIRS]
        if len(both) < 2:
            continue
        similarity = (vectors[both, a] @ vectors[both, b].T).astype(float)
        for table in (similarity, similarity.T):
            found = retrieval(table)
            recalls.append([found.recall[1], found.recall[5], found.recall[10]])
            ranks.append(found.mrr)
            losses.append(metrics.log_loss(np.arange(len(table)), softmax(SHARPNESS * table)))
    if not losses:
        return {}
    first, five, ten = np.mean(recalls, 0)
    return {"loss": float(np.mean(losses)), "recall at 1": first, "recall at 5": five, "recall at 10": ten,
            "mean reciprocal rank": float(np.mean(ranks))}


def results(job: TrainingJob, learner: Learner, model: nn.Module, examples: Examples, folder: Path) -> dict[str, Any]:
    """Metrics of each part, of the test (else validation) part for every set of modalities that may be seen, and 95 %
    intervals; ``outputs.npz`` keeps what the model told of every example.
    """
    everything = np.arange(len(examples))
    together, alone = learner.outputs(model, everything)
    told = {"outputs": together, "alone": alone, **{name: np.asarray(getattr(examples, name)) for name in (
        "keys", "targets", "parts", "present")}}
    try:
        np.savez(folder / "outputs.npz", **told)  # type: ignore[arg-type]
    except OSError as error:
        raise TrainingError(f"What the model tells could not be written ({error.strerror}).", path=folder,
                            hint="Free some space and continue.") from error
    found: dict[str, Any] = {"parts": {name: measured(job, together[rows], examples, rows)
                                       for name, part in PARTS.items() if len(rows := examples.rows(part))}}
    held_out = next(part for part in (TEST, VALIDATION, TRAIN) if len(examples.rows(part)))
    rows = examples.rows(held_out)
    found["of"] = next(name for name, part in PARTS.items() if part == held_out)
    found["intervals"] = _intervals(job, together[rows], np.asarray(examples.targets)[rows])
    if job.task == "captioning":
        found["captions"] = _captions(learner, model, examples, rows[:MOST_CAPTIONS])
    if len(job.modalities) > 1 and job.task != "alignment":
        found["modalities"] = {}
        for size in range(1, len(job.modalities) + 1):
            for seen in combinations(range(len(job.modalities)), size):
                some = rows[np.asarray(examples.present)[rows][:, list(seen)].any(1)]
                given, _ = learner.outputs(model, some, seen)
                name = " + ".join(job.modalities[m] for m in seen)
                found["modalities"][name] = {"n": len(some), **measured(job, given, examples, some)}
    if len(job.modalities) > 1 and job.task not in ("alignment", "captioning"):
        found["alone"] = {}
        for m, modality in enumerate(job.modalities):
            some = rows[np.asarray(examples.present)[rows][:, m]]
            found["alone"][modality] = {"n": len(some), **measured(job, alone[some, m], examples, some)}
    return found


def _captions(learner: Learner, model: nn.Module, examples: Examples, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    told = learner.captions(model, rows)
    wanted = [text(numbers, examples.words) for numbers in np.asarray(examples.targets)[rows].tolist()]
    keys = np.asarray(examples.keys)[rows].tolist()
    return [{"key": key, "told": one, "wanted": other} for key, one, other in zip(keys, told, wanted, strict=True)]


def _intervals(job: TrainingJob, outputs: Floats, targets: NDArray[Any]) -> dict[str, tuple[float, float]]:
    if job.task != "classification":
        return {}
    found = bootstrap_mean(outputs.argmax(1) == targets)
    return {"accuracy": (found.low, found.high)}
