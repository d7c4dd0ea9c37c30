"""95 % intervals of many scores at once: how often a resample drew each example is a weight that it counts with.

All scores of one call are of the same resamples, so that sets of modalities are paired and their mean has an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.training import metrics
from mmstudio.training.calibration import sigmoid, softmax
from mmstudio.training.compared import Interval, interval_of
from mmstudio.training.job import Task
from mmstudio.training.metrics import Floats, Labels, ratio

Weights = NDArray[np.float64]
Score = Callable[[Weights], Mapping[str, Floats]]
"""Of ``weights (r, n)``, values ``(r,)`` by name; nan where a resample leaves them undefined."""
RESAMPLES, BLOCK = 1000, 50
MOST_RANKED = 50_000
"""Examples times classes up to which areas under curves are resampled; more would take a second and longer."""


def resampled(n: int, score: Score, seed: int = 0) -> dict[str, Interval]:
    """Percentile intervals (Efron 1979) of what is scored of ``n`` examples; values are those of all of them. Raises
    ValueError for nothing to draw from.
    """
    if n < 1:
        raise ValueError("an interval needs an example")
    drawn = [score(weights) for weights in _drawn(n, seed)]
    return {name: interval_of(float(value[0]), np.concatenate([one[name] for one in drawn]))
            for name, value in score(np.ones((1, n))).items()}


def _drawn(n: int, seed: int) -> Iterator[Weights]:
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES // BLOCK):
        yield np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(BLOCK)]).astype(np.float64)


# ---- scores ---------------------------------------------------------------------------------------------------------

def of_labels(given: NDArray[np.bool_], said: NDArray[np.bool_]) -> Score:
    """Averages over classes of what is told, ``(n, classes)`` both. Macro averages are over classes that occur or are
    told in a resample, where an undefined precision or recall counts as 0, as ``metrics.macro``; micro ones are over
    all decisions.
    """
    from scipy.sparse import csr_matrix

    return _averages(*(csr_matrix(one, dtype=np.float64) for one in (given & said, given, said)))


def of_classes(given: Labels, said: Labels, size: int) -> Score:
    """As ``of_labels`` where each of ``given (n,)`` and ``said (n,)`` is one of ``size`` classes."""
    from scipy.sparse import csr_matrix

    rows, ones = np.arange(len(given)), np.ones(len(given))
    first, second = (csr_matrix((ones, (rows, one)), (len(given), size)) for one in (given, said))
    return _averages(first.multiply(second).tocsr(), first, second)


def _averages(hits: Any, given: Any, said: Any) -> Score:
    """See ``of_labels``; ``(n, classes)`` sparse."""
    def score(weights: Weights) -> dict[str, Floats]:
        hit, occurs, told = (weights @ table for table in (hits, given, said))
        recall, precision = ratio(hit, occurs), ratio(hit, told)
        seen = occurs + told > 0

        def macro(each: Floats) -> Floats:
            return ratio(np.where(seen, np.nan_to_num(each), 0).sum(1), seen.sum(1))

        found, all_occur, all_told = hit.sum(1), occurs.sum(1), told.sum(1)
        return {"balanced accuracy": ratio(np.nan_to_num(recall).sum(1), (occurs > 0).sum(1)),
                "macro precision": macro(precision), "macro recall": macro(recall),
                "macro F1": macro(ratio(2 * hit, occurs + told)),
                "micro precision": ratio(found, all_told), "micro recall": ratio(found, all_occur),
                "micro F1": ratio(2 * found, all_occur + all_told)}
    return score


def of_ranks(positive: NDArray[np.bool_], shares: Floats) -> Score | None:
    """The mean area under the ROC curve and the mean average precision of classes that occur beside others, ``(n,
    classes)`` both; None for more than ``MOST_RANKED`` of them.
    """
    if positive.size > MOST_RANKED:
        return None
    each = [_ranked(positive[:, c], shares[:, c]) for c in range(positive.shape[1])]

    def score(weights: Weights) -> dict[str, Floats]:
        upright = np.ascontiguousarray(weights.T, np.float32)
        areas, averages = np.stack([one(upright) for one in each], 2)
        return {"ROC AUC": _known_mean(areas), "average precision": _known_mean(averages)}
    return score


def _ranked(positive: NDArray[np.bool_], given: Floats) -> Callable[[NDArray[np.float32]], tuple[Floats, Floats]]:
    """The area and average precision ``(r,)`` of one class, of weights ``(n, r)``. Equal scores are one step, as in
    ``metrics``; only steps that find something count.
    """
    order = np.argsort(-given, kind="stable")
    scores, places = given[order], np.flatnonzero(positive[order])
    last = np.append(np.flatnonzero(np.diff(scores[places])), len(places) - 1) if len(places) else places
    start = np.searchsorted(-scores, -scores[places[last]], side="left")
    end = np.searchsorted(-scores, -scores[places[last]], side="right")

    def score(weights: NDArray[np.float32]) -> tuple[Floats, Floats]:
        ordered = weights[order]
        told = np.concatenate([np.zeros_like(ordered[:1]), ordered.cumsum(0)])  # whole numbers, exact to 2**24
        true = ordered[places].cumsum(0)[last].astype(np.float64)
        found, false = np.diff(true, axis=0, prepend=0), told[end] - true
        more = told[end] - told[start] - found
        all_true = ordered[places].sum(0, dtype=np.float64)
        all_false = told[-1] - all_true
        area = ratio((found * (all_false - false + more / 2)).sum(0), all_true * all_false)
        return area, ratio((found * np.nan_to_num(ratio(true, told[end]))).sum(0), all_true)
    return score


def of_mean(name: str, values: NDArray[Any], after: Callable[[Floats], Floats] = lambda mean: mean) -> Score:
    """The mean of ``values (n,)``, one of each example, or what is made of it ``after``."""
    each = np.asarray(values, np.float64)
    return lambda weights: {name: after(ratio(weights @ each, weights.sum(1)))}


def of_amounts(given: Floats, said: Floats) -> Score:
    """Errors of amounts ``(n,)`` and R², nan where the truth is one amount."""
    off, middle = said - given, given - given.mean()  # squares of what is far from 0 would lose digits

    def score(weights: Weights) -> dict[str, Floats]:
        n = weights.sum(1)
        squares, spread = weights @ off**2, weights @ middle**2 - ratio((weights @ middle) ** 2, n)
        return {"MAE": ratio(weights @ np.abs(off), n), "RMSE": np.sqrt(ratio(squares, n)),
                "R²": 1 - ratio(squares, np.where(spread > 1e-12 * (weights @ middle**2), spread, 0))}
    return score


def together(*some: Score) -> Score:
    """All of several scores."""
    return lambda weights: {name: value for one in some for name, value in one(weights).items()}


def of_task(task: Task, outputs: NDArray[np.float32], targets: NDArray[Any]) -> Score:
    """What a table of modalities shows of ``outputs (n, outputs)``, as ``Learner.outputs`` gives them."""
    if task == "classification":
        given, shares = targets.astype(np.int64), softmax(outputs)
        own = np.clip(shares[np.arange(len(given)), given], metrics.SMALLEST, 1)
        said = shares.argmax(1)
        return together(of_mean("accuracy", said == given), of_classes(given, said, shares.shape[1]),
                        of_mean("loss", -np.log(own)))
    if task == "multi-label":
        has, shares = targets > 0.5, sigmoid(outputs)
        own = np.clip(np.where(has, shares, 1 - shares), 1e-12, 1)
        return together(of_labels(has, shares >= 0.5), of_mean("loss", -np.log(own).mean(1)))
    if task == "regression":
        return of_amounts(targets.astype(np.float64), outputs[:, 0].astype(np.float64))
    loss, right = outputs.astype(np.float64).T
    return together(of_mean("word accuracy", right), of_mean("loss", loss), of_mean("perplexity", loss, np.exp))


def _known_mean(values: Floats) -> Floats:
    """``(r,)`` means of ``values (r, classes)`` that are numbers."""
    known = ~np.isnan(values)
    return ratio(np.nan_to_num(values).sum(1), known.sum(1))
