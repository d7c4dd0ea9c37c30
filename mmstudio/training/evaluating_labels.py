"""A run that tells several labels at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.training import metrics
from mmstudio.training.compared import Interval, bootstrap_mean, label_errors
from mmstudio.training.evaluating_classes import curves_of
from mmstudio.training.evaluation import LISTED, Evaluation, Example, extremes, plain
from mmstudio.training.examples import TEST, VALIDATION
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import Floats, Labels, PerClass, known_mean, ratio
from mmstudio.training.other_metrics import fit_thresholds, multi_label
from mmstudio.training.splits import NAMES
from mmstudio.training.told import Told, probabilities

RESAMPLES, BLOCK = 1000, 50


def several_labels(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    shares, given = probabilities(told, job.task, rows), told.targets[rows] > 0.5
    scores, said = multi_label(given, shares), shares >= 0.5
    wrong = (given != said).mean(1)
    own = np.clip(np.where(given, shares, 1 - shares), 1e-12, 1)
    losses = -np.log(own).mean(1)
    micro, macro = _label_f1(given, said)
    found = {"micro F1": Interval(scores.micro_f1, *micro), "macro F1": Interval(scores.macro_f1, *macro),
             "mean average precision": plain(scores.mean_average_precision),
             "subset accuracy": bootstrap_mean(wrong == 0), "hamming loss": bootstrap_mean(wrong),
             "log loss": bootstrap_mean(losses)}
    validation = told.rows(VALIDATION)
    if told.held_out == TEST and len(validation):
        thresholds = fit_thresholds(told.targets[validation] > 0.5, probabilities(told, job.task, validation))
        fitted = multi_label(given, shares, thresholds)
        found["macro F1, thresholds fitted"] = plain(fitted.macro_f1)

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), _names(job, given[i]), _names(job, said[i]),
                             float(np.exp(-losses[i])), float(losses[i])) for i in places)

    worst, best = extremes(losses)
    each = PerClass(scores.precision, scores.recall, scores.f1, given.sum(0).astype(np.int64))
    return Evaluation(job.task, NAMES[told.held_out], job.classes, told.keys[rows], given, said, found, None, each,
                      curves_of(given, shares), None, _likely_label_errors(told, job), listed(worst), listed(best))


def _label_f1(given: NDArray[np.bool_], said: NDArray[np.bool_]) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % bounds of the micro and the macro F1: how often each example was drawn weighs its hits."""
    n, rng = len(given), np.random.default_rng(0)
    hits, sums = (given & said).astype(np.float32), (given.astype(np.float32) + said)
    micro, macro = list[Floats](), list[float]()
    for _ in range(RESAMPLES // BLOCK):
        drawn = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(BLOCK)]).astype(np.float32)
        hit, whole = drawn @ hits, drawn @ sums
        micro.append(ratio(2 * hit.sum(1), whole.sum(1)))
        macro.extend(known_mean(line) for line in ratio(2 * hit, whole))
    return _bounds(np.concatenate(micro)), _bounds(np.array(macro))


def _bounds(found: Floats) -> tuple[float, float]:
    known = found[~np.isnan(found)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def _likely_label_errors(told: Told, job: TrainingJob) -> tuple[Example, ...]:
    """As ``_likely_errors``, each label by itself: it is there and should not be, or the other way round."""
    rows = told.rows(VALIDATION, TEST)
    if not len(rows):
        return ()
    shares, found = probabilities(told, job.task, rows), list[tuple[float, Example]]()
    for c, name in enumerate(job.classes):
        given = (told.targets[rows, c] > 0.5).astype(np.int64)
        pair = np.stack([1 - shares[:, c], shares[:, c]], 1)
        wrong = label_errors(given, pair)
        words = (f"not {name}", name)
        for row, margin in zip(wrong.rows[:LISTED], wrong.margin[:LISTED], strict=True):
            other = 1 - int(given[row])
            own = max(float(pair[row, given[row]]), metrics.SMALLEST)
            found.append((float(margin), Example(int(told.keys[rows[row]]), words[1 - other], words[other],
                                                 float(pair[row, other]), float(-np.log(own)))))
    return tuple(example for _, example in sorted(found, key=lambda one: one[0])[:LISTED])


def _names(job: TrainingJob, has: NDArray[np.bool_]) -> str:
    return ", ".join(job.classes[c] for c in np.flatnonzero(has)) or "–"
