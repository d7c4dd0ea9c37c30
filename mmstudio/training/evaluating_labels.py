"""A run that tells several labels at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.training import metrics
from mmstudio.training.compared import bootstrap_mean, label_errors
from mmstudio.training.evaluating_classes import curves_of
from mmstudio.training.evaluation import LISTED, Evaluation, Example, extremes, plain
from mmstudio.training.examples import TEST, VALIDATION
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import Labels, PerClass
from mmstudio.training.other_metrics import fit_thresholds, multi_label
from mmstudio.training.resampled import of_labels, of_ranks, resampled
from mmstudio.training.splits import NAMES
from mmstudio.training.told import Told, probabilities


def several_labels(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    shares, given = probabilities(told, job.task, rows), told.targets[rows] > 0.5
    scores, said = multi_label(given, shares), shares >= 0.5
    wrong = (given != said).mean(1)
    own = np.clip(np.where(given, shares, 1 - shares), 1e-12, 1)
    losses = -np.log(own).mean(1)
    found = {name: one for name, one in resampled(len(rows), of_labels(given, said)).items()
             if name != "balanced accuracy"}
    ranked = of_ranks(given, shares)
    average = resampled(len(rows), ranked)["average precision"] if ranked else plain(scores.mean_average_precision)
    found |= {"mean average precision": average, "subset accuracy": bootstrap_mean(wrong == 0),
              "hamming loss": bootstrap_mean(wrong), "log loss": bootstrap_mean(losses)}
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
