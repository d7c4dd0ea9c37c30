"""The evaluation as a table, and its place in the model card. Standard library only: the tests use it too."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- evaluation: written by evaluate.py -->", "<!-- end of evaluation -->"
TRAINED, TRAINED_END = "<!-- training: written by export.py -->", "<!-- end of training -->"


@dataclass(frozen=True)
class Row:
    """One measured line: hits of trials, or a mean with its standard error; `must` and `hope` as in the plan."""

    what: str
    value: float
    low: float
    high: float
    trials: int
    must: float | None = None
    hope: float | None = None
    unit: str = ""


def share(what: str, hits: int, trials: int, must: float | None = None, hope: float | None = None) -> Row:
    """A proportion with its 95 % interval (Wilson 1927)."""
    p, z = hits / trials, 1.96
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return Row(what, p, max(0.0, middle - half), min(1.0, middle + half), trials, must, hope)


def mean(what: str, values: list[float], must: float | None = None, hope: float | None = None, unit: str = "") -> Row:
    """A mean with its 95 % interval (normal approximation)."""
    n = len(values)
    centre = sum(values) / n
    half = 1.96 * math.sqrt(sum((v - centre) ** 2 for v in values) / max(1, n - 1) / n)
    return Row(what, centre, centre - half, centre + half, n, must, hope, unit)


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| what | measured | 95 % interval | trials | must | hope |", "| --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        digits = 1 if r.unit else 3
        shown = [f"{r.value:.{digits}f}{r.unit}", f"{r.low:.{digits}f} to {r.high:.{digits}f}", str(r.trials)]
        bars = ["" if b is None else f"{b:g}{r.unit}" for b in (r.must, r.hope)]
        lines.append("| " + " | ".join([r.what, *shown, *bars]) + " |")
    return "\n".join(lines)


def read_rows(path: Path) -> list[Row]:
    """From evaluation.json."""
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def between_marks(card: str) -> str:
    """The table that a model card holds."""
    return card.split(BEGIN, 1)[1].split(END, 1)[0].strip()


def with_table(card: str, rows: list[Row]) -> str:
    """The card with its table replaced."""
    return _between(card, BEGIN, table(rows), END)


def trained(told: dict[str, Any]) -> str:
    """On what, and how long, from ``trained_on`` of config.json."""
    seconds = ", ".join(f"{tower} {spent:,}" for tower, spent in told["cpu_seconds"].items())
    return (f"Trained from scratch on {told['device']}, one process a tower: {told['pictures']:,} drawings and "
            f"{told['clips']:,} clips of sound. CPU seconds: {seconds}.")


def with_training(card: str, told: dict[str, Any]) -> str:
    """The card with the line on its training replaced."""
    return _between(card, TRAINED, trained(told), TRAINED_END)


def _between(card: str, begin: str, text: str, end: str) -> str:
    before, rest = card.split(begin, 1)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}"
