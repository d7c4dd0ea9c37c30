"""What runs told while they trained, as numbers by quantity: for the live curves."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from mmstudio.desktop.plots.trace import Floats, Grown, Trace

Axis = Literal["step", "epoch", "seconds"]
AXES: tuple[Axis, ...] = ("step", "epoch", "seconds")
LOSS, VALIDATION_LOSS, RATE = "loss", "validation/loss", "rate"
_SINGLE = ("loss", "lr", "norm", "temperature")
_GROUPS = ("alone", "weights", "balance", "memory", "validation")
_UNITS = {"memory": 1e-9}
"""Groups that are drawn in another unit than told in: gigabytes."""
_MOST = 200
"""Quantities of one run."""
_RATE_SECONDS = 0.2
"""Steps per second are taken over at least so long: a line's seconds are rounded to milliseconds."""


class RunLines:
    """One run's lines by quantity: ``step``, ``seconds`` and value. Names are those of the line, “group/member” for
    what has members.
    """

    def __init__(self) -> None:
        self.anew = 0
        """Grows when points were taken back, so that what was made of them is void."""
        self._columns: dict[str, Grown] = {}
        self.clear()

    def clear(self) -> None:
        self._columns = {}
        self.per_epoch: float | None = None
        """Steps of an epoch, once one is over."""
        self.anew += 1
        self._step, self._seconds, self._epoch = 0.0, 0.0, 1.0
        self._rated: tuple[float, float] | None = None

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def rows(self, name: str) -> Floats:
        """``(n, 3)`` steps, seconds, values."""
        found = self._columns.get(name)
        return np.asarray(found.rows, np.float64) if found else np.empty((0, 3))

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Take in lines of ``metrics.jsonl``; a line whose step lies behind takes back what came since."""
        more: dict[str, list[tuple[float, float, float]]] = {}
        for line in lines:
            step = _number(line.get("step"))
            if not math.isfinite(step):
                continue
            if step < self._step:
                self._keep(more)
                more = {}
                self._take_back(step)
            self._read(line, step, more)
        self._keep(more)

    def _read(self, line: dict[str, Any], step: float, more: dict[str, list[tuple[float, float, float]]]) -> None:
        self._learn_epoch(line, step)
        seconds = _number(line.get("seconds"))
        self._step = step
        if math.isfinite(seconds):
            self._seconds = seconds
            self._rate(step, seconds, more)
        for name in _SINGLE:
            if name in line:
                more.setdefault(name, []).append((step, self._seconds, _number(line[name])))
        for group in _GROUPS:
            members = line.get(group)
            if isinstance(members, dict):
                for name, value in members.items():
                    if name:
                        more.setdefault(f"{group}/{name}", []).append(
                            (step, self._seconds, _number(value) * _UNITS.get(group, 1.0)))

    def _learn_epoch(self, line: dict[str, Any], step: float) -> None:
        """A validation ends its epoch; else the last line before the second epoch ended the first."""
        epoch = _number(line.get("epoch"))
        if self.per_epoch is None and epoch >= 1 and step > 0:
            if "validation" in line:
                self.per_epoch = step / epoch
            elif epoch == 2 and self._epoch == 1 and self._step > 0:
                self.per_epoch = self._step
        self._epoch = epoch

    def _rate(self, step: float, seconds: float, more: dict[str, list[tuple[float, float, float]]]) -> None:
        before = self._rated
        if before is None or seconds < before[1]:
            self._rated = step, seconds
        elif seconds - before[1] >= _RATE_SECONDS:
            more.setdefault(RATE, []).append((step, seconds, (step - before[0]) / (seconds - before[1])))
            self._rated = step, seconds

    def _keep(self, more: dict[str, list[tuple[float, float, float]]]) -> None:
        for name, rows in more.items():
            if name not in self._columns and len(self._columns) < _MOST:
                self._columns[name] = Grown(shape=(3,))
            if name in self._columns:
                self._columns[name].extend(np.array(rows))

    def _take_back(self, step: float) -> None:
        """Forget what came at ``step`` and later."""
        for column in self._columns.values():
            column.cut(int(np.searchsorted(np.asarray(column.rows)[:, 0], step)))
        self._columns = {name: column for name, column in self._columns.items() if len(column)}
        self._rated, self.anew = None, self.anew + 1


class Curve:
    """One quantity of one run, placed on an axis."""

    def __init__(self, run: RunLines, name: str) -> None:
        self.name = name
        self.trace = Trace()
        self._run = run
        self._made_of: tuple[object, ...] = ()

    @property
    def validates(self) -> bool:
        return self.name.startswith("validation/")

    def renew(self, axis: Axis, log: bool, smoothing: float) -> None:
        """Take in what is new. Before the first epoch is over, no point has a place on the axis of epochs."""
        run, smoothing = self._run, 0.0 if self.validates else smoothing
        per_epoch = run.per_epoch if axis == "epoch" else 1.0
        made_of = (axis, log, run.anew, per_epoch)
        if made_of != self._made_of:
            self._made_of, self.trace = made_of, Trace(smoothing, log)
        self.trace.smooth(smoothing)
        rows = run.rows(self.name)[len(self.trace) :]
        if len(rows) and per_epoch:
            self.trace.add(rows[:, 1] if axis == "seconds" else rows[:, 0] / per_epoch, rows[:, 2])


def _number(value: object) -> float:
    """NaN where it is none, or so great that differences overflow."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan
    return number if abs(number) < 1e100 else math.nan
