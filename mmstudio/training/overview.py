"""Many runs at a glance: their best, their rows in the project's table, what a filter asks, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmstudio.errors import ProjectError
from mmstudio.library.runs_table import RunRow, RunsTable
from mmstudio.training import runs
from mmstudio.training.beside import MEANT
from mmstudio.training.job import TrainingJob
from mmstudio.training.runs import Run

if TYPE_CHECKING:
    from mmstudio.library.query_match import Kind

MAIN_METRIC = {"classification": "accuracy", "multi-label": "micro F1", "regression": "R²", "alignment": "recall at 1"}


@dataclass(frozen=True)
class Difference:
    """A setting, and its value in each of some runs; None where a run does not have it."""

    name: str
    values: tuple[Any, ...]


def look(root: Path, table: RunsTable) -> list[Run]:
    """All runs that can be read, newest first, as the person calls them; the table is in step then. What the disk does
    not take now is written the next time.
    """
    found = runs.runs(root)
    try:
        rows = table.follow(map(row_of, found))
    except ProjectError:
        rows = table.rows()
    return [_as_said(run, rows.get(run.folder.name)) for run in found]


def _as_said(run: Run, row: RunRow | None) -> Run:
    return run if row is None else replace(run, name=row.name, starred=row.starred, note=row.note)


def row_of(run: Run) -> RunRow:
    """A run as the project's table keeps it. While it trains its best is not told, for it changes all the time."""
    metric, value = best_of(run) if run.state.status not in ("running", "paused") else ("", None)
    job, made = run.job, run.provenance
    return RunRow(run.number, run.folder.name, job.name, job.task, job.target, job.fusion, made.created,
                  run.state.status, metric, value, made.fingerprint)


def held_out(run: Run) -> dict[str, float]:
    """The metrics of a finished run's test part, else of its validation part."""
    return run.results.get("parts", {}).get(run.results.get("of", ""), {})


def best_of(run: Run) -> tuple[str, float | None]:
    """The metric that a run is known by and its value: its task's once it is done, until then the validation loss."""
    name = MAIN_METRIC.get(run.job.task, "loss")
    value = held_out(run).get(name)
    return (name, value) if value is not None else ("loss", run.state.best)


def trained(job: TrainingJob) -> str:
    """What learns."""
    if job.trains != "head":
        return job.trains
    if job.task == "alignment":
        return "projections"
    return "head" if len(job.modalities) == 1 else "fusion and heads"


# ---- how runs differ ------------------------------------------------------------------------------------------------


def differences(some: Sequence[Run]) -> list[Difference]:
    """The settings, examples and environments in which some runs are not all the same, in the order of the job's."""
    told = [settings_of(run) for run in some]
    names = dict.fromkeys(name for one in told for name in one)
    found = [Difference(name, tuple(one.get(name) for one in told)) for name in names]
    return [one for one in found if any(value != one.values[0] for value in one.values)]


def settings_of(run: Run) -> dict[str, Any]:
    """All that decides how a run comes out, by name; ``split.kind`` is a part of ``split``."""
    told = {name: value for name, value in asdict(run.job).items() if name != "name"}
    if run.beside is not None:
        told = {"baseline": run.beside.model} | {name: told[name] for name in (*MEANT, "fusion")}
    told["examples"], told["fingerprint"] = run.provenance.examples, run.provenance.fingerprint
    if run.provenance.environments:
        told |= asdict(run.provenance.environments[-1])
    return dict(_unfolded(told))


def _unfolded(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _unfolded(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found


# ---- what a filter asks ---------------------------------------------------------------------------------------------


class RunColumns:
    """Runs as rows under the names that a person types; see ``query_match.Columns``. Every number of a job or of the
    held-out metrics has its name: ``lr<0.01 accuracy>0.9``.
    """

    def __init__(self, some: Sequence[Run]) -> None:
        texts: dict[str, list[str]] = {
            "name": [run.name for run in some], "note": [run.note for run in some],
            "target": [run.job.target for run in some],
            "trained": ["baseline" if run.beside is not None else trained(run.job) for run in some]}
        categories: dict[str, list[str]] = {
            "task": [run.job.task for run in some], "fusion": [run.job.fusion for run in some],
            "status": [run.state.status for run in some]}
        numbers = [{**{name: value for name, value in settings_of(run).items() if _is_number(value)}, **held_out(run),
                    "loss": run.state.best, "duration": run.state.seconds, "best_epoch": run.state.best_epoch + 1,
                    **_trial_of(run)}
                   for run in some]
        self._count = len(some)
        self._columns: dict[str, tuple[Kind, list[Any]]] = {
            **{name: ("text", values) for name, values in texts.items()},
            **{name: ("category", values) for name, values in categories.items()},
            **{name: ("number", [one.get(name) for one in numbers]) for one in numbers for name in one},
            "modality": ("tags", [list(run.job.modalities) for run in some]),
            "created": ("date", [run.provenance.created for run in some]),
            "starred": ("flag", [run.starred for run in some]),
            "baseline": ("flag", [run.beside is not None for run in some]),
            "pruned": ("flag", [run.trial is not None and bool(run.trial.pruned) for run in some])}

    def __len__(self) -> int:
        return self._count

    def names(self) -> dict[str, Kind]:
        return {name: kind for name, (kind, _) in self._columns.items()}

    def column(self, name: str) -> Any:
        import pyarrow as pa

        kind, values = self._columns[name]
        return pa.array(values, {"number": pa.float64(), "date": pa.float64(), "tags": pa.list_(pa.string()),
                                 "flag": pa.bool_()}.get(kind, pa.string()))

    def searched(self) -> Sequence[Any]:
        return [self.column(name) for name, (kind, _) in self._columns.items() if kind in ("text", "category")]


def _trial_of(run: Run) -> dict[str, int]:
    return {"sweep": int(run.trial.sweep), "trial": run.trial.number + 1} if run.trial is not None else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
