"""A finished run looked at closely: how good, how sure of that, where it errs, and which labels are likely wrong.

Everything is of the test part, or of validation where no test part was kept. Nothing here needs torch or a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.calibration import Reliability
from mmstudio.training.compared import Interval, McNemar, bootstrap_mean, bootstrap_table, mcnemar
from mmstudio.training.job import Task
from mmstudio.training.metrics import Floats, Labels, PerClass, Table
from mmstudio.training.other_metrics import Retrieval

LISTED = 200
"""Examples of a list: the worst, the best, likely label errors."""
TABLE_METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "macro F1", "loss"), "multi-label": ("micro F1", "macro F1", "loss"),
    "regression": ("MAE", "RMSE", "R²"), "alignment": (), "captioning": ("word accuracy", "perplexity", "loss"),
}
"""What a table of modalities shows of each."""
MEAN = "mean over modalities"
"""The line of a table of modalities that is the mean of each modality by itself; of accuracies it is the multimodal
accuracy.
"""


@dataclass(frozen=True)
class Example:
    """One example of a list: what its label is, what is told instead, how probable that is (nan for amounts), and its
    ``loss`` in nats (an amount's absolute error, the mean rank of an aligned example's partners).
    """

    key: int
    given: str
    told: str
    sure: float
    loss: float


@dataclass(frozen=True)
class ClassCurve:
    """One class against the rest, thinned for drawing: ``(k,)`` each; areas are of the whole curves."""

    false_rate: Floats
    true_rate: Floats
    precision: Floats
    recall: Floats
    area: float
    average: float


@dataclass(frozen=True)
class Calibration:
    """Reliability as told, and ``after`` the logits are divided by the ``temperature`` that fits validation best; None
    where no validation part was kept beside the one looked at.
    """

    before: Reliability
    after: Reliability | None = None
    temperature: float = 1.0


@dataclass(frozen=True)
class Evaluation:
    """All that is shown of a finished run.

    ``keys (k,)`` are the examples of ``part``; ``given`` and ``said`` are classes ``(k,)`` int64, labels ``(k,
    classes)`` bool, or amounts ``(k,)`` float64. An undefined interval has nan bounds.
    """

    task: Task
    part: str
    classes: tuple[str, ...]
    keys: Labels
    given: NDArray[Any]
    said: NDArray[Any]
    metrics: dict[str, Interval]
    table: Table | None = None
    per_class: PerClass | None = None
    curves: tuple[ClassCurve, ...] = ()
    calibration: Calibration | None = None
    errors: tuple[Example, ...] = ()
    worst: tuple[Example, ...] = ()
    best: tuple[Example, ...] = ()
    directions: dict[str, Retrieval] = field(default_factory=dict)

    def cells(self, chosen: Iterable[tuple[int, int]]) -> list[int]:
        """The keys of some cells (true, told) of the confusion table, ascending by their rows."""
        size = len(self.classes)
        wanted = np.array([true * size + told for true, told in chosen], np.int64)
        return [int(key) for key in self.keys[np.isin(self.given * size + self.said, wanted)]]

    def of_classes(self, chosen: Iterable[int]) -> list[int]:
        """The keys of all examples that are of one of these classes."""
        places = list(chosen)
        has = self.given[:, places].any(1) if self.given.ndim == 2 else np.isin(self.given, places)
        return [int(key) for key in self.keys[has]]


@dataclass(frozen=True)
class Comparison:
    """Two runs on the ``n`` examples that both have held out with one and the same label; ``left_out`` have another
    label now. ``difference`` of the ``measure`` is the first less the second, with its paired 95 % interval; ``test``
    is None for amounts.
    """

    n: int
    left_out: int
    measure: str
    difference: Interval
    test: McNemar | None


@dataclass(frozen=True)
class ModalityRow:
    """How good the model is when it sees only some modalities, or a modality's own head ``alone``; the name of the mean
    over single modalities is ``MEAN``. ``values`` have nan bounds where none were kept.
    """

    name: str
    alone: bool
    n: int
    values: tuple[Interval, ...]


def modality_rows(results: object, task: Task) -> tuple[ModalityRow, ...]:
    """The tables “modalities” and “alone” of a run's results, ``TABLE_METRICS`` of each; what is not there is nan. A
    mean follows its single modalities; where none was kept, it is of what is there.
    """
    found = []
    for table, alone in (("modalities", False), ("alone", True)) if TABLE_METRICS[task] else ():
        lines, bounds = _table(results, table), _table(_table(results, "bounds"), table)
        singles = [name for name in lines if " + " not in name]
        if len(singles) > 1:
            kept = _table(_table(results, "means"), table) or _mean_of([_table(lines, name) for name in singles], task)
            place = len(singles)
            lines = dict([*list(lines.items())[:place], (MEAN, kept), *list(lines.items())[place:]])
        for name, line in lines.items():
            if isinstance(line, dict):
                values = tuple(_interval(line.get(metric), _table(bounds, name).get(metric))
                               for metric in TABLE_METRICS[task])
                found.append(ModalityRow(str(name), alone, int(np.nan_to_num(_number(line.get("n")))), values))
    return tuple(found)


def _mean_of(lines: Sequence[dict[str, Any]], task: Task) -> dict[str, float]:
    means = {metric: float(np.mean([_number(line.get(metric)) for line in lines])) for metric in TABLE_METRICS[task]}
    return {"n": max(int(np.nan_to_num(_number(line.get("n")))) for line in lines), **means}


def _table(tables: object, name: str) -> dict[str, Any]:
    """One of several tables, as far as it is one."""
    found = tables.get(name) if isinstance(tables, dict) else None
    return found if isinstance(found, dict) else {}


def _interval(value: object, bounds: object) -> Interval:
    low, high = bounds if isinstance(bounds, list | tuple) and len(bounds) == 2 else (None, None)
    return Interval(_number(value), _number(low), _number(high))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def extremes(losses: Floats) -> tuple[Labels, Labels]:
    """Places of the highest losses, highest first, and of the lowest, lowest first."""
    order = np.argsort(losses, kind="stable")
    return order[::-1][:LISTED], order[:LISTED]


def plain(value: float) -> Interval:
    return Interval(float(value), float("nan"), float("nan"))


def comparison(one: Evaluation, other: Evaluation) -> Comparison:
    """Whether two runs told the examples that both have held out equally well. Raises TrainingError where they cannot
    be compared.
    """
    if one.task != other.task or one.task in ("alignment", "captioning"):
        raise TrainingError("Runs of these kinds are not compared example by example.")
    if "train" in (one.part, other.part):
        raise TrainingError("A run has kept no examples to be compared on.", hint="Train it with a test part.")
    common, mine, theirs = np.intersect1d(one.keys, other.keys, return_indices=True)
    same = _same_labels(one, other, mine, theirs) if len(common) else np.zeros(0, bool)
    mine, theirs = mine[same], theirs[same]
    if not len(mine):
        raise TrainingError("No example was held out by both runs with the same label.",
                            hint="Train both with the same target, split and seed.")
    left_out = int((~same).sum())
    if one.task == "regression":
        less = np.abs(one.said - one.given)[mine] - np.abs(other.said - other.given)[theirs]
        return Comparison(len(mine), left_out, "MAE", bootstrap_mean(less), None)
    first, second = _right(one)[mine], _right(other)[theirs]
    measure = "accuracy" if one.task == "classification" else "subset accuracy"
    test = mcnemar(first, second)
    table = np.array([[test.only_first, test.only_second], [len(mine) - test.only_first - test.only_second, 0]])
    gain = bootstrap_table(table, lambda drawn: float(drawn[0, 0] - drawn[0, 1]) / len(mine))
    return Comparison(len(mine), left_out, measure, gain, test)


def _right(found: Evaluation) -> NDArray[np.bool_]:
    """``(k,)`` whether all is told right."""
    same = found.given == found.said
    return same.all(1) if same.ndim == 2 else same


def _same_labels(one: Evaluation, other: Evaluation, mine: Labels, theirs: Labels) -> NDArray[np.bool_]:
    """Whether common examples have the same label in both, by name."""
    if one.task == "regression":
        return np.isclose(one.given[mine], other.given[theirs])
    if one.task == "classification":
        return np.array(one.classes, object)[one.given[mine]] == np.array(other.classes, object)[other.given[theirs]]
    if set(one.classes) != set(other.classes):
        return np.zeros(len(mine), bool)
    order = [other.classes.index(name) for name in one.classes]
    return (one.given[mine] == other.given[theirs][:, order]).all(1)
