"""A run that tells one class of several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmstudio.training import metrics
from mmstudio.training.calibration import fit_temperature, reliability
from mmstudio.training.compared import Interval, bootstrap, bootstrap_mean, label_errors
from mmstudio.training.evaluation import LISTED, Calibration, ClassCurve, Evaluation, Example, extremes, plain
from mmstudio.training.examples import TEST, VALIDATION
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import Floats, Labels, known_mean, ratio
from mmstudio.training.splits import NAMES
from mmstudio.training.told import Told, probabilities

CURVE_POINTS = 400


def one_class(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    shares, given = probabilities(told, job.task, rows), told.targets[rows].astype(np.int64)
    table, said = metrics.confusion(given, shares), shares.argmax(1)
    curves = curves_of(given[:, None] == np.arange(len(job.classes)), shares)
    own, sure = shares[np.arange(len(rows)), given], shares.max(1)
    losses = -np.log(np.clip(own, metrics.SMALLEST, 1))

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), job.classes[given[i]], job.classes[said[i]], float(sure[i]),
                             float(losses[i])) for i in places)

    worst, best = extremes(losses)
    return Evaluation(
        job.task, NAMES[told.held_out], job.classes, told.keys[rows], given, said,
        _class_metrics(given, shares, losses, curves), table, metrics.per_class(table), curves,
        _calibration(told, rows, given, shares), _likely_errors(told, job), listed(worst), listed(best))


def _class_metrics(given: Labels, shares: Floats, losses: Floats, curves: tuple[ClassCurve, ...]
                   ) -> dict[str, Interval]:
    """Single numbers; those that follow from each example's class have intervals."""
    size, said = shares.shape[1], shares.argmax(1)
    right = bootstrap_mean(said == given)
    found = {"accuracy": right, "balanced accuracy": bootstrap(len(given), _tallied(given, said, size, _mean_recall)),
             "macro F1": bootstrap(len(given), _tallied(given, said, size, _mean_f1)), "micro F1": right}
    if size > 5:
        found["top-5 accuracy"] = plain(metrics.top_k_accuracy(given, shares, 5))
    of = curves[1:2] if size == 2 else curves
    found["ROC AUC"] = plain(known_mean(np.array([curve.area for curve in of])))
    found["average precision"] = plain(known_mean(np.array([curve.average for curve in of])))
    found["log loss"] = bootstrap_mean(losses)
    found["Brier score"] = bootstrap_mean(((shares - np.eye(size)[given]) ** 2).sum(1))
    return found


def _tallied(given: Labels, said: Labels, size: int, score: Callable[[Floats, Labels, Labels], float]
             ) -> Callable[[Labels], float]:
    """A statistic of drawn rows that follows from how often each class is hit, occurs and is told."""
    hits = np.where(given == said, given, size)

    def statistic(rows: Labels) -> float:
        hit = np.bincount(hits[rows], minlength=size + 1)[:size]
        return score(hit.astype(float), np.bincount(given[rows], minlength=size),
                     np.bincount(said[rows], minlength=size))
    return statistic


def _mean_recall(hit: Floats, occurs: Labels, said: Labels) -> float:
    return known_mean(ratio(hit, occurs))


def _mean_f1(hit: Floats, occurs: Labels, said: Labels) -> float:
    return known_mean(ratio(2 * hit, occurs + said))


def curves_of(positive: NDArray[np.bool_], shares: Floats) -> tuple[ClassCurve, ...]:
    return tuple(_curve(positive[:, c], shares[:, c]) for c in range(shares.shape[1]))


def _curve(positive: NDArray[np.bool_], shares: Floats) -> ClassCurve:
    roc, precise = metrics.roc(positive, shares), metrics.precision_recall(positive, shares)
    if np.isnan(roc.area):
        empty = np.zeros(0)
        return ClassCurve(empty, empty, empty, empty, roc.area, precise.average)
    bends, steps = _corners(roc.true_rate), _corners(precise.recall)
    return ClassCurve(roc.false_rate[bends], roc.true_rate[bends], precise.precision[steps], precise.recall[steps],
                      roc.area, precise.average)


def _corners(rate: Floats) -> Labels:
    """Places before and after which the rate of a curve changes, at most ``CURVE_POINTS``: the rest lies on a line."""
    moves = np.diff(rate) != 0
    kept = np.flatnonzero(np.append(True, moves) | np.append(moves, True))
    return kept if len(kept) <= CURVE_POINTS else kept[np.linspace(0, len(kept) - 1, CURVE_POINTS).astype(int)]


def _calibration(told: Told, rows: Labels, given: Labels, shares: Floats) -> Calibration:
    before, validation = reliability(given, shares), told.rows(VALIDATION)
    if told.held_out != TEST or not len(validation):
        return Calibration(before)
    temperature = fit_temperature(told.targets[validation].astype(np.int64), told.outputs[validation])
    after = reliability(given, probabilities(told, "classification", rows, temperature))
    return Calibration(before, after, temperature)


def _likely_errors(told: Told, job: TrainingJob) -> tuple[Example, ...]:
    """Likely label errors among the examples that were not learned from, the surest first."""
    rows = told.rows(VALIDATION, TEST)
    if not len(rows):
        return ()
    shares, given = probabilities(told, job.task, rows), told.targets[rows].astype(np.int64)
    found = label_errors(given, shares)
    return tuple(Example(
        int(told.keys[rows[row]]), job.classes[given[row]], job.classes[suggested], float(shares[row, suggested]),
        float(-np.log(max(shares[row, given[row]], metrics.SMALLEST))),
    ) for row, suggested in zip(found.rows[:LISTED], found.suggested[:LISTED], strict=True))
