"""A run that tells amounts, brings pairs together, or tells captions."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from mmstudio.training.compared import Interval, bootstrap, bootstrap_mean
from mmstudio.training.evaluation import Evaluation, Example, extremes, plain
from mmstudio.training.job import TrainingJob
from mmstudio.training.metrics import Floats, Labels
from mmstudio.training.other_metrics import Retrieval, regression, retrieval
from mmstudio.training.splits import NAMES
from mmstudio.training.told import Told

MOST_PAIRS = 2000
"""Aligned pairs that are compared with each other."""


def amounts(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    given, said = told.targets[rows].astype(np.float64), told.outputs[rows, 0].astype(np.float64)
    scores, off = regression(given, said), said - given
    squares = bootstrap_mean(off**2)

    def r2(drawn: Labels) -> float:
        spread = float(given[drawn].var())
        return 1 - float((off[drawn] ** 2).mean()) / spread if spread > 0 else float("nan")

    found = {"MAE": bootstrap_mean(np.abs(off)),
             "RMSE": Interval(scores.rmse, float(np.sqrt(squares.low)), float(np.sqrt(squares.high))),
             "R²": bootstrap(len(rows), r2), "Pearson": plain(scores.pearson), "Spearman": plain(scores.spearman)}

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), f"{given[i]:.6g}", f"{said[i]:.6g}", float("nan"),
                             float(abs(off[i]))) for i in places)

    worst, best = extremes(np.abs(off))
    return Evaluation(job.task, NAMES[told.held_out], (), told.keys[rows], given, said, found,
                      worst=listed(worst), best=listed(best))


def aligned(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    """How well partners find each other, in every direction; among ``MOST_PAIRS`` at most, as while it learns."""
    directions: dict[str, Retrieval] = {}
    ranks, seen = np.zeros(len(rows)), np.zeros(len(rows))
    found: dict[str, Interval] = {}
    for a, b in combinations(range(len(job.modalities)), 2):
        both = np.flatnonzero(told.present[rows, a] & told.present[rows, b])[:MOST_PAIRS]
        if len(both) < 2:
            continue
        similarity = (told.outputs[rows[both], a] @ told.outputs[rows[both], b].T).astype(np.float64)
        for (one, other), square in zip(permutations((a, b)), (similarity, similarity.T), strict=True):
            name = f"{job.modalities[one]} → {job.modalities[other]}"
            directions[name] = retrieval(square)
            above, ties = _ahead(square)
            ranks[both] += above + 1 + ties / 2
            seen[both] += 1
            for k in (1, 5, 10):
                found[f"{name}, recall at {k}"] = bootstrap_mean(np.clip((k - above) / (ties + 1), 0, 1))
    mean = np.divide(ranks, seen, out=np.zeros(len(rows)), where=seen > 0)
    known = np.flatnonzero(seen > 0)

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), "", "", float("nan"), float(mean[i])) for i in known[places])

    worst, best = extremes(mean[known])
    nothing = np.zeros(len(rows), np.int64)
    return Evaluation(job.task, NAMES[told.held_out], (), told.keys[rows], nothing, nothing, found,
                      worst=listed(worst), best=listed(best), directions=directions)


def captioned(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    """How well the words of captions are foreseen, and what is told where it was written down."""
    losses, right = told.outputs[rows].astype(np.float64).T
    loss = bootstrap_mean(losses)
    found = {"word accuracy": bootstrap_mean(right), "loss": loss,
             "perplexity": Interval(*(float(np.exp(one)) for one in (loss.value, loss.low, loss.high)))}
    written = np.array([int(key) in told.captions for key in told.keys[rows]], bool)
    places = np.flatnonzero(written) if written.any() else np.arange(len(rows))

    def listed(some: Labels) -> tuple[Example, ...]:
        keys = [int(told.keys[rows[place]]) for place in places[some]]
        return tuple(Example(key, *told.captions.get(key, ("", "")), float("nan"), float(losses[place]))
                     for key, place in zip(keys, places[some], strict=True))

    worst, best = extremes(losses[places])
    nothing = np.zeros(len(rows), np.int64)
    return Evaluation(job.task, NAMES[told.held_out], (), told.keys[rows], nothing, nothing, found,
                      worst=listed(worst), best=listed(best))


def _ahead(similarity: Floats) -> tuple[Floats, Floats]:
    """``(n,)`` how many others are nearer than each row's partner on the diagonal, and how many just as near."""
    own = np.diag(similarity)[:, None]
    return (similarity > own).sum(1).astype(float), (similarity == own).sum(1) - 1.0
