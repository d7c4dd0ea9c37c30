"""A run that tells one class of several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.training import metrics
from mmstudio.training.calibration import reliability
from mmstudio.training.compared import Interval, bootstrap_mean, label_errors
from mmstudio.training.deciding import fitted
from mmstudio.training.evaluation import LISTED, Calibration, ClassCurve, Evaluation, Example, extremes, plain
from mmstudio.training.examples import TEST, VALIDATION
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import Floats, Labels, known_mean
from mmstudio.training.resampled import of_classes, of_ranks, resampled
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
        _calibration(told, job, rows, given, shares), _likely_errors(told, job), listed(worst), listed(best))


def _class_metrics(given: Labels, shares: Floats, losses: Floats, curves: tuple[ClassCurve, ...]
                   ) -> dict[str, Interval]:
    """Single numbers with their intervals; areas under curves have none where there are too many examples."""
    size, said = shares.shape[1], shares.argmax(1)
    found = {"accuracy": bootstrap_mean(said == given), **resampled(len(given), of_classes(given, said, size))}
    if size > 5:
        found["top-5 accuracy"] = bootstrap_mean(metrics.among_top_k(given, shares, 5))
    of = slice(1, 2) if size == 2 else slice(None)
    ranked = of_ranks((given[:, None] == np.arange(size))[:, of], shares[:, of])
    found |= resampled(len(given), ranked) if ranked else {
        "ROC AUC": plain(known_mean(np.array([curve.area for curve in curves[of]]))),
        "average precision": plain(known_mean(np.array([curve.average for curve in curves[of]])))}
    found["log loss"] = bootstrap_mean(losses)
    found["Brier score"] = bootstrap_mean(((shares - np.eye(size)[given]) ** 2).sum(1))
    return found


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


def _calibration(told: Told, job: TrainingJob, rows: Labels, given: Labels, shares: Floats) -> Calibration:
    before, validation = reliability(given, shares), told.rows(VALIDATION)
    if told.held_out != TEST or not len(validation):
        return Calibration(before)
    temperature = fitted(job, told.outputs[validation], told.targets[validation].astype(np.int64))["temperature"]
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
