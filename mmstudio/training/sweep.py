"""What is tried to find good settings: a job, the settings that vary, and how each trial's are chosen.

A sweep lies in a folder like a run, and is started, paused and stopped as one (see ``runs``): ``sweep.json``,
``examples/``, ``state.json``, ``wish``, ``running.lock``, and ``journal.log``, where Optuna keeps the trials. Each
trial is an ordinary run. Reading sweeps needs neither torch nor Optuna.
"""

from __future__ import annotations

import json
import math
import tomllib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

from mmstudio.errors import TrainingError
from mmstudio.training import runs
from mmstudio.training.examples import VALIDATION, Examples
from mmstudio.training.job import ADAPTERS, TrainingJob, from_values
from mmstudio.training.runs import State

Method = Literal["grid", "random", "tpe"]
Setting = str | float | int | bool
FIXED = ("name", "task", "target", "classes", "modalities", "model", "space", "revision", "preprocessing", "dim",
         "models", "prompt", "split", "precision", "deterministic")
"""Settings that decide what is learned from, or for which the process would have to be another."""
METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("loss", "accuracy", "balanced accuracy", "macro precision", "macro recall", "macro F1",
                       "top-5 accuracy", "ROC AUC", "average precision", "Brier score"),
    "multi-label": ("loss", "micro F1", "macro F1", "mean average precision", "subset accuracy", "hamming loss"),
    "regression": ("loss", "MAE", "RMSE", "R²", "Pearson", "Spearman"),
    "alignment": ("loss", "recall at 1", "recall at 5", "recall at 10", "mean reciprocal rank"),
    "captioning": ("loss", "perplexity", "word accuracy")}
"""What a sweep of each task can look for, on the validation part."""
SMALLER = frozenset({"loss", "Brier score", "hamming loss", "MAE", "RMSE", "perplexity"})
"""Metrics that are the better the smaller they are."""
MOST_TRIALS = 10_000
_FILE = "sweep.json"


@dataclass(frozen=True)
class Varied:
    """A setting of the job: from ``low`` to ``high``, whole where the setting is, evenly in its logarithm with ``log``;
    or one of ``choices``. A grid takes ``points`` of a range, its ends among them.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    points: int = 3
    choices: tuple[Setting, ...] = ()

    @property
    def is_whole(self) -> bool:
        return isinstance(getattr(TrainingJob, self.name), int)

    @property
    def values(self) -> list[Setting]:
        """What a grid takes, ascending."""
        if self.choices:
            return list(self.choices)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        shares = [low + (high - low) * step / (self.points - 1) for step in range(self.points)]
        even = [math.exp(share) if self.log else share for share in shares]
        exact = [self.low, *even[1:-1], self.high]
        return list(dict.fromkeys(map(round, exact))) if self.is_whole else list(exact)

    def check(self, job: TrainingJob) -> None:
        """Raises TrainingError where ``job`` cannot vary so."""
        if self.name in FIXED or not hasattr(job, self.name) or self.name not in TrainingJob.__dataclass_fields__:
            raise TrainingError(f"“{self.name}” cannot vary.", hint="Vary what decides how a run learns, as “lr”.")
        number = isinstance(getattr(job, self.name), int | float) and not isinstance(getattr(job, self.name), bool)
        if self.choices:
            if len(set(self.choices)) < max(2, len(self.choices)):
                raise TrainingError(f"“{self.name}” varies between two different values or more.")
        elif not number:
            raise TrainingError(f"“{self.name}” is no number; say its choices.")
        else:
            self._check_range()
        for value in self.choices or (self.low, self.high):
            whole = self.is_whole and not self.choices
            setting: dict[str, Any] = {self.name: int(value) if whole else value}
            changed = replace(job, **setting).check()
            if _needs(changed) != _needs(job):
                raise TrainingError(f"“{self.name}” cannot be “{value}” here: such a run learns from something else.",
                                    hint="Vary what learns in sweeps of their own.")

    def _check_range(self) -> None:
        ends = (self.low, self.high)
        if not all(_is_number(end) and math.isfinite(end) for end in ends) or self.low >= self.high:
            raise TrainingError(f"“{self.name}” varies from a number to a larger one.")
        if self.is_whole and any(end != int(end) for end in ends):
            raise TrainingError(f"“{self.name}” is a whole number.")
        if self.log and self.low <= 0:
            raise TrainingError(f"A logarithmic range of “{self.name}” begins above 0.")
        if not _is_whole(self.points) or not 2 <= self.points <= 100:
            raise TrainingError("A grid takes between 2 and 100 points of a range.")


@dataclass(frozen=True)
class Sweep:
    """``trials`` runs of ``job`` with settings chosen by ``method``: every combination once (``grid``, whatever
    ``trials`` says), by chance, or where earlier trials were good (Tree-structured Parzen Estimator, Bergstra et al.
    2011). ``metric`` is of the validation part, with the weights that are kept: those of the smallest loss. With
    ``pruning`` a trial ends that is worse than the median of those before it at the same epoch (Golovin et al. 2017).
    """

    name: str = "Sweep"
    job: TrainingJob = field(default_factory=TrainingJob)
    varied: tuple[Varied, ...] = ()
    method: Method = "tpe"
    trials: int = 20
    pruning: bool = True
    metric: str = "loss"
    seed: int = 0

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        return "minimize" if self.metric in SMALLER else "maximize"

    @property
    def count(self) -> int:
        """How many trials it makes."""
        return math.prod(len(one.values) for one in self.varied) if self.method == "grid" else self.trials

    def grid(self) -> list[dict[str, Setting]]:
        """Every combination, the last setting varying fastest."""
        names = [one.name for one in self.varied]
        return [dict(zip(names, values, strict=True)) for values in product(*(one.values for one in self.varied))]

    def check(self) -> Sweep:
        """Itself, or TrainingError with what does not fit."""
        if not isinstance(self.name, str) or not isinstance(self.pruning, bool):
            raise TrainingError("A sweep's name is a text, and “pruning” true or false.")
        if self.method not in get_args(Method):
            raise TrainingError(f"“method” is one of {', '.join(get_args(Method))}, not “{self.method}”.")
        for name, value, high in (("trials", self.trials, MOST_TRIALS), ("seed", self.seed, 2**31 - 1)):
            if not _is_whole(value) or not (name == "trials") <= value <= high:
                raise TrainingError(f"“{name}” cannot be {value!r}.")
        job = (self.job if self.job.classes else replace(self.job, classes=("", " "))).check()  # they are named later
        if self.metric not in METRICS[job.task]:
            raise TrainingError(f"A run of {job.task} has no metric “{self.metric}”.",
                                hint=f"Take one of {', '.join(METRICS[job.task])}.")
        if len({one.name for one in self.varied}) < max(1, len(self.varied)):
            raise TrainingError("A sweep varies one setting or more, each once.")
        for one in self.varied:
            one.check(job)
        if self.count > MOST_TRIALS:
            raise TrainingError(f"The grid has {self.count:,} combinations.",
                                hint="Vary fewer settings, or let chance choose.")
        return self

    def to_json(self) -> str:
        made = asdict(self) | {"vary": {one.name: _told(one) for one in self.varied}}
        del made["varied"]
        return json.dumps(made, ensure_ascii=False, indent=1)


def _told(one: Varied) -> dict[str, Any]:
    return {"choices": one.choices} if one.choices else {
        "low": one.low, "high": one.high, "log": one.log, "points": one.points}


def _needs(job: TrainingJob) -> tuple[bool, bool, bool]:
    """What decides which examples a run learns from."""
    return job.reads_media, job.trains in ADAPTERS, job.trains == "scratch"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def read(path: Path, forgiving: bool = False) -> Sweep:
    """A sweep from a ``.toml`` or ``.json`` file, its classes perhaps to be named later; for ``forgiving`` see
    ``from_values``. Raises TrainingError.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"The sweep could not be read ({error}).", path=path) from error
    known = ("name", "job", "vary", "method", "trials", "pruning", "metric", "seed")
    if not isinstance(values, dict) or set(values) - set(known):
        raise TrainingError(f"A sweep is a table of {', '.join(known)}.", path=path)
    job, vary = values.pop("job", {}), values.pop("vary", {})
    if not isinstance(job, dict) or not isinstance(vary, dict):
        raise TrainingError("“job” and “vary” are tables of a training job's settings.", path=path)
    varied = tuple(_varied(name, told) for name, told in vary.items())
    return Sweep(job=from_values(job, whole=False, forgiving=forgiving), varied=varied, **values).check()


def _varied(name: str, told: Any) -> Varied:
    if not isinstance(told, dict) or set(told) - {"low", "high", "log", "points", "choices"}:
        raise TrainingError(f"“{name}” is a table of low, high, log and points, or of choices.")
    choices = told.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(one, str | float | int) for one in choices):
        raise TrainingError(f"The choices of “{name}” are a list of texts or numbers.")
    return Varied(name, **{**told, "choices": tuple(choices)})


# ---- a sweep's folder -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeptSweep:
    """One sweep's folder as it is now: ``state`` counts trials as steps, and ``best_epoch`` is the best trial.
    ``created`` is in seconds since 1970.
    """

    folder: Path
    sweep: Sweep
    state: State
    created: float = 0.0

    @property
    def number(self) -> int:
        return int(self.folder.name)


def make(root: Path, sweep: Sweep, examples: Examples) -> Path:
    """A new sweep's folder, numbered after those that are there. Raises TrainingError; then there is none."""
    sweep.check()
    if not len(examples.rows(VALIDATION)):
        raise TrainingError("No example is kept to compare the trials on.", hint="Give the validation part a share.")
    with runs.numbered(root) as beside:
        examples.save(beside / "examples")
        (beside / _FILE).write_text(sweep.to_json(), encoding="utf-8")
        runs.tell(beside, State(steps=sweep.count, fingerprint=examples.fingerprint()))
    return root / beside.name.removeprefix(".")


def is_sweep(folder: Path) -> bool:
    return (folder / _FILE).is_file()


def look(folder: Path) -> KeptSweep:
    """One sweep as it is. Raises TrainingError."""
    try:
        created = (folder / _FILE).stat().st_mtime
    except OSError as error:
        raise TrainingError(f"The sweep could not be read ({error.strerror}).", path=folder) from error
    return KeptSweep(folder, read(folder / _FILE, forgiving=True), runs.standing(folder), created)


def sweeps(root: Path) -> list[KeptSweep]:
    """All sweeps that can be read, newest first."""
    found = []
    for folder in sorted(root.iterdir(), reverse=True) if root.is_dir() else ():
        if runs.is_number(folder.name) and is_sweep(folder):
            with suppress(TrainingError):
                found.append(look(folder))
    return found
