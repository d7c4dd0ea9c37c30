"""Baselines beside a run: each becomes a line of the runs' table, done from its beginning, with the run's examples and
parts. What it told is evaluated, and compared with the run, as what any run told.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from mmstudio import paths
from mmstudio.errors import TrainingError
from mmstudio.media import AudioClip, Limits, MediaRef, Modality, load
from mmstudio.progress import Work
from mmstudio.training import baselines, beside, runs, told
from mmstudio.training.baselines import LEAST, Baseline
from mmstudio.training.beside import ABOUT, MEANT, VECTORS, Beside
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import Fusion, TrainingJob
from mmstudio.training.runs import Run

TASKS = ("classification", "multi-label", "regression")
LEAST_SHARE = 1e-12
"""A probability that is told as none, so that its logarithm is a number."""


def lacking(run: Run, some: Iterable[Run]) -> tuple[bool, bool]:
    """Whether a run that is done could get baselines on its vectors and on its media: it has none yet among ``some``.
    """
    if run.state.status != "done" or not run.results or run.job.task not in TASKS or run.beside is not None:
        return False, False
    known = {one.beside.source for one in some if one.beside is not None and one.beside.run == run.folder.name}
    return VECTORS not in known, not known - {VECTORS}


def on_vectors(folder: Path) -> Work[list[Path]]:
    """The folders of a run's baselines on its vectors; several modalities are one after another, with zeros for what is
    missing. Raises TrainingError.
    """
    run, examples = _finished(folder)
    vectors = np.asarray(examples.vectors).reshape(len(examples), -1)
    made = yield from baselines.on_vectors(vectors, _labels(run, examples), np.asarray(examples.parts),
                                           len(run.job.classes))
    fusion: Fusion = "concatenate" if len(run.job.modalities) > 1 else "joint mean"
    job = replace(_job(run, MEANT), fusion=fusion)
    return [_keep(run, job, examples, one, VECTORS, folder / "examples") for one in made]


def on_media(folder: Path, media: Mapping[int, Sequence[MediaRef]]) -> Work[list[Path]]:
    """As ``on_vectors`` on each modality's media without any encoder, and on those of several together, ``media`` by an
    example's key. Of an example's several media of one modality the first counts, and examples without one count not.

    Raises TrainingError where nothing can be learned from, MediaError for a file that cannot be read.
    """
    run, examples = _finished(folder)
    sides = list[_Side]()
    kept = list[Path]()
    for place, modality in enumerate(run.job.modalities):
        firsts = [next((ref for ref in media.get(int(key), ()) if ref.modality == modality), None)
                  for key in examples.keys]
        rows = np.flatnonzero([ref is not None for ref in firsts])
        parts = np.asarray(examples.parts)[rows]
        if not (parts == TRAIN).any() or not (parts == _held_out(run)).any():
            continue
        read = _read(modality, [ref for ref in firsts if ref is not None])
        sides.append(_Side(place, rows, (yield from baselines.described(modality, read, parts))))
        kept += yield from _on_sides(run, examples, sides[-1:])
    if len(sides) > 1:
        kept += yield from _on_sides(run, examples, sides)
    if not kept:
        raise TrainingError("No media of this run's examples are at hand.", hint="Open the project that it is of.")
    return kept


@dataclass(frozen=True)
class _Side:
    """A modality's ``place`` among the run's, the ``rows`` of the examples that have it, and their ``features``."""

    place: int
    rows: NDArray[np.int64]
    features: Any


def _on_sides(run: Run, examples: Examples, sides: Sequence[_Side]) -> Work[list[Path]]:
    """The folders of what is fitted on a modality, or on several together."""
    rows = np.unique(np.concatenate([side.rows for side in sides]))
    some = _only(examples, rows, [side.place for side in sides])
    modalities, parts = tuple(run.job.modalities[side.place] for side in sides), np.asarray(some.parts)
    features = sides[0].features if len(sides) == 1 else baselines.side_by_side(
        [(np.searchsorted(rows, side.rows), side.features) for side in sides], parts)
    made = yield from baselines.on_features(features, _labels(run, some), parts, len(run.job.classes), *modalities)
    fusion: Fusion = "concatenate" if len(sides) > 1 else "joint mean"
    job = replace(_job(run, ABOUT), modalities=modalities, model="", fusion=fusion)
    return [_keep(run, job, some, one, " + ".join(modalities)) for one in made if one.name not in LEAST]


def _finished(folder: Path) -> tuple[Run, Examples]:
    run = runs.look(folder)
    if run.job.task not in TASKS or not run.results or run.beside is not None:
        raise TrainingError("Baselines tell classes, labels or amounts, beside a run that is done.")
    return run, Examples.load(folder / "examples")


def _held_out(run: Run) -> int:
    return {"test": TEST, "validation": VALIDATION}.get(run.results["of"], TRAIN)


def _labels(run: Run, examples: Examples) -> NDArray[Any]:
    targets = np.asarray(examples.targets)
    if run.job.task == "regression":
        return targets.astype(np.float64)
    return targets > 0.5 if run.job.task == "multi-label" else targets.astype(np.int64)


def _only(examples: Examples, rows: NDArray[np.int64], places: list[int]) -> Examples:
    """Some examples with some of their modalities."""
    return Examples(np.asarray(examples.keys[rows]), np.asarray(examples.vectors[rows][:, places]),
                    np.asarray(examples.present[rows][:, places]), np.asarray(examples.targets[rows]),
                    np.asarray(examples.parts[rows]), examples.note)


def _job(run: Run, names: Iterable[str]) -> TrainingJob:
    """Some of a run's settings; the others mean nothing to a baseline."""
    return TrainingJob(**{name: getattr(run.job, name) for name in names})


def _read(modality: Modality, refs: Sequence[MediaRef]) -> Iterator[Any]:
    kind = {"text": str, "image": Image, "audio": AudioClip}[modality]
    return (one for one in (load(ref, Limits()) for ref in refs) if isinstance(one, kind))


# ---- as a run's folder ----------------------------------------------------------------------------------------------

def _keep(run: Run, job: TrainingJob, examples: Examples, one: Baseline, source: str,
          kept: Path | None = None) -> Path:
    job = replace(job, name=f"baseline: {one.name}")
    mark = Beside(run.folder.name, one.name, source, one.note, importlib.metadata.version("scikit-learn"))
    return runs.make(run.folder.parent, job, examples, kept,
                     more=partial(_tell, job=job, examples=examples, one=one, mark=mark))


def _tell(folder: Path, job: TrainingJob, examples: Examples, one: Baseline, mark: Beside) -> None:
    """What a finished run has told."""
    from mmstudio.training.measured import outcome

    outputs = np.zeros((len(examples), job.outputs), np.float32)
    for part, values in ((TRAIN, one.train), (VALIDATION, one.validation), (TEST, one.test)):
        outputs[examples.rows(part)] = _as_outputs(job, values)
    told.save(folder, outputs, np.full((len(examples), len(job.modalities), job.outputs), np.nan, np.float32), examples)
    results = outcome(job, outputs, examples)
    paths.write_atomically(folder / "results.json", json.dumps(results).encode())
    beside.write(folder, mark)
    waiting, parts = runs.state_of(folder), results["parts"]
    loss = parts.get("validation", parts[results["of"]]).get("loss")
    runs.tell(folder, replace(waiting, status="done", seconds=one.seconds, best=loss))
    if runs.state_of(folder).status != "done":  # it would be taken for a run that waits
        raise TrainingError("The baseline could not be written.", path=folder, hint="Free some space.")


def _as_outputs(job: TrainingJob, given: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amounts as they are, probabilities as logits."""
    if job.task == "regression":
        return given
    logits = np.log(np.clip(given, LEAST_SHARE, 1))
    return logits if job.task == "classification" else logits - np.log(np.clip(1 - given, LEAST_SHARE, 1))
