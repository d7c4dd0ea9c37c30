"""How good a run's model is: while it learns, and once it is done on every part, with and without each modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mmstudio.errors import TrainingError
from mmstudio.training import deciding, metrics, told
from mmstudio.training.calibration import sigmoid, softmax
from mmstudio.training.compared import bootstrap_mean
from mmstudio.training.evaluation import MEAN, TABLE_METRICS
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.learner import Learner
from mmstudio.training.other_metrics import multi_label, regression, retrieval
from mmstudio.training.resampled import Score, Weights, of_task, resampled
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
        scores = multi_label(targets > 0.5, shares)
        likely = np.clip(np.where(targets > 0.5, shares, 1 - shares), 1e-12, 1)
        found = {"loss": float(-np.log(likely).mean()), "micro F1": scores.micro_f1, "macro F1": scores.macro_f1,
                 "mean average precision": scores.mean_average_precision, "subset accuracy": scores.subset_accuracy,
                 "hamming loss": scores.hamming}
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
    """Metrics of each part, of the test (else validation) part for every set of modalities that may be seen and for
    their mean, 95 % intervals, and how it decides (``deciding``); ``outputs.npz`` keeps what the model told of every
    example.
    """
    everything = np.arange(len(examples))
    together, alone = learner.outputs(model, everything)
    told.save(folder, together, alone, examples)
    found = outcome(job, together, examples)
    rows, validation = examples.rows(PARTS[found["of"]]), examples.rows(VALIDATION)
    found["deciding"] = deciding.fitted(job, together[validation], np.asarray(examples.targets)[validation])
    if job.task == "captioning":
        found["captions"] = _captions(learner, model, examples, rows[:MOST_CAPTIONS])
    if len(job.modalities) > 1 and job.task != "alignment":
        def of_seen(seen: tuple[int, ...], some: NDArray[np.int64]) -> Floats:
            return learner.outputs(model, some, seen)[0]

        sets = [seen for size in range(1, len(job.modalities) + 1)
                for seen in combinations(range(len(job.modalities)), size)]
        found |= _by_modality("modalities", job, examples, rows, sets, of_seen)
    if len(job.modalities) > 1 and job.task not in ("alignment", "captioning"):
        found |= _by_modality("alone", job, examples, rows, [(m,) for m in range(len(job.modalities))],
                              lambda seen, some: alone[some, seen[0]], found)
    return found


def outcome(job: TrainingJob, outputs: Floats, examples: Examples) -> dict[str, Any]:
    """Metrics of each part, the part that is looked at, and 95 % intervals there, of ``outputs`` of all examples."""
    found: dict[str, Any] = {"parts": {name: measured(job, outputs[rows], examples, rows)
                                       for name, part in PARTS.items() if len(rows := examples.rows(part))}}
    found["of"] = next(name for name in ("test", "validation", "train") if name in found["parts"])
    rows = examples.rows(PARTS[found["of"]])
    found["intervals"] = _intervals(job, outputs[rows], np.asarray(examples.targets)[rows])
    return found


def _by_modality(table: str, job: TrainingJob, examples: Examples, rows: NDArray[np.int64],
                 sets: Sequence[tuple[int, ...]], outputs: Callable[[tuple[int, ...], NDArray[np.int64]], Floats],
                 before: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """A ``table`` of how good each of some sets of modalities is; in ``means`` the mean of the single modalities, and
    in ``bounds`` the 95 % intervals of all of these, of the same resamples of ``rows``.
    """
    lines: dict[str, dict[str, float]] = {}
    scores = list[tuple[str, NDArray[np.bool_], Score]]()
    for seen in sets:
        here = np.logical_or.reduce(np.asarray(examples.present)[rows][:, list(seen)], axis=1)
        given = outputs(seen, rows[here])
        name = " + ".join(job.modalities[m] for m in seen)
        lines[name] = {"n": int(here.sum()), **measured(job, given, examples, rows[here])}
        if here.any():
            scores.append((name, here, of_task(job.task, given, np.asarray(examples.targets)[rows[here]])))
    singles = [name for name in lines if name in job.modalities]

    def score(weights: Weights) -> dict[str, NDArray[np.float64]]:
        found = {f"{metric}|{name}": value for name, here, one in scores
                 for metric, value in one(weights[:, here]).items() if metric in TABLE_METRICS[job.task]}
        for metric in TABLE_METRICS[job.task]:
            some = [found.get(f"{metric}|{name}", np.full(len(weights), np.nan)) for name in singles]
            found[f"{metric}|{MEAN}"] = np.mean(some, 0)
        return found

    means: dict[str, float] = {"n": len(rows)}
    bounds: dict[str, dict[str, tuple[float, float]]] = {}
    for key, one in resampled(len(rows), score).items():
        metric, name = key.split("|", 1)
        if np.isfinite([one.low, one.high]).all():
            bounds.setdefault(name, {})[metric] = one.low, one.high
        if name == MEAN and np.isfinite(one.value):
            means[metric] = one.value
    return {table: lines, "means": {**before.get("means", {}), table: means},
            "bounds": {**before.get("bounds", {}), table: bounds}}


def _captions(learner: Learner, model: nn.Module, examples: Examples, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    captions = learner.captions(model, rows)
    wanted = [text(numbers, examples.words) for numbers in np.asarray(examples.targets)[rows].tolist()]
    keys = np.asarray(examples.keys)[rows].tolist()
    return [{"key": key, "told": one, "wanted": other} for key, one, other in zip(keys, captions, wanted, strict=True)]


def _intervals(job: TrainingJob, outputs: Floats, targets: NDArray[Any]) -> dict[str, tuple[float, float]]:
    if job.task != "classification":
        return {}
    found = bootstrap_mean(outputs.argmax(1) == targets)
    return {"accuracy": (found.low, found.high)}
