"""A finished run looked at closely: how good, how sure of that, where it errs, and which labels are likely wrong.

Everything is of the test part, or of validation where no test part was kept. Nothing here needs torch or a window.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training import metrics
from mmstudio.training.calibration import Reliability, fit_temperature, reliability, sigmoid, softmax
from mmstudio.training.compared import (
    Interval,
    McNemar,
    bootstrap,
    bootstrap_mean,
    bootstrap_table,
    label_errors,
    mcnemar,
)
from mmstudio.training.examples import TEST, TRAIN, VALIDATION
from mmstudio.training.job import Task, TrainingJob
from mmstudio.training.metrics import Floats, Labels, PerClass, Table, known_mean, ratio
from mmstudio.training.other_metrics import Retrieval, fit_thresholds, multi_label, regression, retrieval

NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
LISTED = 200
"""Examples of a list: the worst, the best, likely label errors."""
CURVE_POINTS = 400
RESAMPLES, BLOCK = 1000, 50
MOST_PAIRS = 2000
"""Aligned pairs that are compared with each other."""
TABLE_METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "macro F1", "loss"), "multi-label": ("micro F1", "macro F1", "loss"),
    "regression": ("MAE", "RMSE", "R²"), "alignment": (), "captioning": ("word accuracy", "perplexity", "loss"),
}
"""What a table of modalities shows of each."""
_KINDS = {"keys": "iu", "outputs": "f", "alone": "f", "targets": "iuf", "parts": "iu", "present": "b"}
_TORN = (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Told:
    """What a run's model told of all ``n`` examples, as ``outputs.npz`` keeps it.

    ``keys (n,)`` int64 name an item, or a sample negated; ``outputs (n, outputs)`` float32 are logits or amounts
    (aligned vectors ``(n, m, width)``; of captions their loss and the share of right words), ``alone (n, m, outputs)``
    those of each modality by itself; ``targets``, ``parts`` and ``present`` are as in ``Examples``. ``captions`` are
    some examples' wanted and told ones, by key.
    """

    keys: Labels
    outputs: NDArray[np.float32]
    alone: NDArray[np.float32]
    targets: NDArray[Any]
    parts: NDArray[np.int8]
    present: NDArray[np.bool_]
    captions: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, *parts: int) -> Labels:
        """``(k,)`` rows of some parts, ascending."""
        return np.flatnonzero(np.isin(self.parts, parts))

    @property
    def held_out(self) -> int:
        """The part that is looked at: test, else validation, else what was learned from."""
        return next((part for part in (TEST, VALIDATION) if (self.parts == part).any()), TRAIN)


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
    """How good the model is when it sees only some modalities, or a modality's own head ``alone``."""

    name: str
    alone: bool
    n: int
    values: tuple[float, ...]


# ---- reading --------------------------------------------------------------------------------------------------------


def load(folder: Path) -> Told:
    """What the model of a finished run told. Raises TrainingError where it is missing or not whole."""
    file = folder / "outputs.npz"
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as found:
            arrays = {name: found[name] for name in _KINDS}
    except FileNotFoundError as error:
        raise TrainingError("The run has told nothing yet.", path=file, hint="Let it train to its end.") from error
    except _TORN as error:
        raise TrainingError(f"What the model told cannot be read ({error}).", path=file,
                            hint="Train the run anew.") from error
    told = Told(**arrays, captions=_captions(folder))
    if _is_torn(told):
        raise TrainingError("What the model told does not fit together.", path=file, hint="Train the run anew.")
    return told


def _captions(folder: Path) -> dict[int, tuple[str, str]]:
    """The captions that a run has told, where it has."""
    try:
        lines = json.loads((folder / "results.json").read_text(encoding="utf-8")).get("captions", ())
        return {int(line["key"]): (str(line["wanted"]), str(line["told"])) for line in lines}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_torn(told: Told) -> bool:
    arrays = {name: getattr(told, name) for name in _KINDS}
    if any(array.ndim < 1 or array.dtype.kind not in _KINDS[name]
           for name, array in arrays.items()):
        return True
    n = len(told)
    return (any(len(array) != n for array in arrays.values()) or not n
            or told.keys.ndim != 1 or told.parts.ndim != 1 or told.present.ndim != 2 or told.targets.ndim > 2
            or told.outputs.ndim not in (2, 3) or told.alone.shape[:2] != told.present.shape
            or not np.isfinite(told.outputs).all())


def modality_rows(results: object, task: Task) -> tuple[ModalityRow, ...]:
    """The tables “modalities” and “alone” of a run's results, ``TABLE_METRICS`` of each; what is not there is nan."""
    found = []
    for table, alone in (("modalities", False), ("alone", True)):
        lines = results.get(table) if isinstance(results, dict) else None
        for name, line in lines.items() if isinstance(lines, dict) else ():
            if isinstance(line, dict):
                values = tuple(_number(line.get(metric)) for metric in TABLE_METRICS[task])
                found.append(ModalityRow(str(name), alone, int(np.nan_to_num(_number(line.get("n")))), values))
    return tuple(found)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


# ---- of a part ------------------------------------------------------------------------------------------------------


def probabilities(told: Told, task: Task, rows: Labels, temperature: float = 1.0) -> Floats:
    """``(k, classes)`` of some rows: of one class of several, or of each label by itself."""
    logits = told.outputs[rows].astype(np.float64) / temperature
    return softmax(logits) if task == "classification" else sigmoid(logits)


def cell(told: Told, part: int, true: int, predicted: int) -> Labels:
    """``(k,)`` keys of the examples of one class and part that are told to be of another, or the same."""
    rows = told.rows(part)
    said = probabilities(told, "classification", rows).argmax(1) if len(rows) else np.zeros(0, np.int64)
    return told.keys[rows[(told.targets[rows] == true) & (said == predicted)]]


def evaluated(told: Told, job: TrainingJob) -> Evaluation:
    """All that is shown of a finished run. Raises TrainingError where the job is not the one that told this."""
    wide = (len(job.modalities), job.outputs) if job.task == "alignment" else (job.outputs,)
    labels = (len(job.classes),) if job.task == "multi-label" else ()
    if told.outputs.shape[1:] != wide or (told.targets.shape[1:] != labels and job.task != "captioning"):
        raise TrainingError("What the model told is not of this job.", hint="Train the run anew.")
    rows = told.rows(told.held_out)
    look = {"classification": _one_class, "multi-label": _labels, "regression": _amounts, "alignment": _aligned,
            "captioning": _captioned}
    try:
        return look[job.task](told, job, rows)
    except (ValueError, IndexError) as error:
        raise TrainingError(f"What the model told cannot be measured ({error}).", hint="Train the run anew.") from error


def _one_class(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    shares, given = probabilities(told, job.task, rows), told.targets[rows].astype(np.int64)
    table, said = metrics.confusion(given, shares), shares.argmax(1)
    curves = _curves(given[:, None] == np.arange(len(job.classes)), shares)
    own, sure = shares[np.arange(len(rows)), given], shares.max(1)
    losses = -np.log(np.clip(own, metrics.SMALLEST, 1))

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), job.classes[given[i]], job.classes[said[i]], float(sure[i]),
                             float(losses[i])) for i in places)

    worst, best = _extremes(losses)
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
        found["top-5 accuracy"] = _plain(metrics.top_k_accuracy(given, shares, 5))
    of = curves[1:2] if size == 2 else curves
    found["ROC AUC"] = _plain(known_mean(np.array([curve.area for curve in of])))
    found["average precision"] = _plain(known_mean(np.array([curve.average for curve in of])))
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


def _curves(positive: NDArray[np.bool_], shares: Floats) -> tuple[ClassCurve, ...]:
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


def _extremes(losses: Floats) -> tuple[Labels, Labels]:
    """Places of the highest losses, highest first, and of the lowest, lowest first."""
    order = np.argsort(losses, kind="stable")
    return order[::-1][:LISTED], order[:LISTED]


def _plain(value: float) -> Interval:
    return Interval(float(value), float("nan"), float("nan"))


# ---- several labels at once -----------------------------------------------------------------------------------------


def _labels(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    shares, given = probabilities(told, job.task, rows), told.targets[rows] > 0.5
    scores, said = multi_label(given, shares), shares >= 0.5
    wrong = (given != said).mean(1)
    own = np.clip(np.where(given, shares, 1 - shares), 1e-12, 1)
    losses = -np.log(own).mean(1)
    micro, macro = _label_f1(given, said)
    found = {"micro F1": Interval(scores.micro_f1, *micro), "macro F1": Interval(scores.macro_f1, *macro),
             "mean average precision": _plain(scores.mean_average_precision),
             "subset accuracy": bootstrap_mean(wrong == 0), "hamming loss": bootstrap_mean(wrong),
             "log loss": bootstrap_mean(losses)}
    validation = told.rows(VALIDATION)
    if told.held_out == TEST and len(validation):
        thresholds = fit_thresholds(told.targets[validation] > 0.5, probabilities(told, job.task, validation))
        fitted = multi_label(given, shares, thresholds)
        found["macro F1, thresholds fitted"] = _plain(fitted.macro_f1)

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), _names(job, given[i]), _names(job, said[i]),
                             float(np.exp(-losses[i])), float(losses[i])) for i in places)

    worst, best = _extremes(losses)
    each = PerClass(scores.precision, scores.recall, scores.f1, given.sum(0).astype(np.int64))
    return Evaluation(job.task, NAMES[told.held_out], job.classes, told.keys[rows], given, said, found, None, each,
                      _curves(given, shares), None, _likely_label_errors(told, job), listed(worst), listed(best))


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


# ---- amounts and pairs ----------------------------------------------------------------------------------------------


def _amounts(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
    given, said = told.targets[rows].astype(np.float64), told.outputs[rows, 0].astype(np.float64)
    scores, off = regression(given, said), said - given
    squares = bootstrap_mean(off**2)

    def r2(drawn: Labels) -> float:
        spread = float(given[drawn].var())
        return 1 - float((off[drawn] ** 2).mean()) / spread if spread > 0 else float("nan")

    found = {"MAE": bootstrap_mean(np.abs(off)),
             "RMSE": Interval(scores.rmse, float(np.sqrt(squares.low)), float(np.sqrt(squares.high))),
             "R²": bootstrap(len(rows), r2), "Pearson": _plain(scores.pearson), "Spearman": _plain(scores.spearman)}

    def listed(places: Labels) -> tuple[Example, ...]:
        return tuple(Example(int(told.keys[rows[i]]), f"{given[i]:.6g}", f"{said[i]:.6g}", float("nan"),
                             float(abs(off[i]))) for i in places)

    worst, best = _extremes(np.abs(off))
    return Evaluation(job.task, NAMES[told.held_out], (), told.keys[rows], given, said, found,
                      worst=listed(worst), best=listed(best))


def _aligned(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
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

    worst, best = _extremes(mean[known])
    nothing = np.zeros(len(rows), np.int64)
    return Evaluation(job.task, NAMES[told.held_out], (), told.keys[rows], nothing, nothing, found,
                      worst=listed(worst), best=listed(best), directions=directions)


def _captioned(told: Told, job: TrainingJob, rows: Labels) -> Evaluation:
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

    worst, best = _extremes(losses[places])
    nothing = np.zeros(len(rows), np.int64)
    return Evaluation(job.task, NAMES[told.held_out], (), told.keys[rows], nothing, nothing, found,
                      worst=listed(worst), best=listed(best))


def _ahead(similarity: Floats) -> tuple[Floats, Floats]:
    """``(n,)`` how many others are nearer than each row's partner on the diagonal, and how many just as near."""
    own = np.diag(similarity)[:, None]
    return (similarity > own).sum(1).astype(float), (similarity == own).sum(1) - 1.0


# ---- two runs -------------------------------------------------------------------------------------------------------


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
