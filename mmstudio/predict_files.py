"""Files to what a run tells of them without a project: what ``mmstudio predict`` computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmstudio.adding import described_ahead
from mmstudio.encoders.base import Encoder
from mmstudio.errors import MediaError, TrainingError
from mmstudio.media import Limits, MediaRef, scan
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work
from mmstudio.vector_files import encode_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmstudio.training.job import TrainingJob
    from mmstudio.training.predict import Predictor

STEP = 256
"""Media that are read between two words of progress."""


@dataclass(frozen=True)
class Prediction:
    """One item of a file and what was told of the sample that it belongs to, or why nothing was."""

    path: str
    part: str
    modality: str
    told: dict[str, Any]
    error: str = ""


@dataclass(frozen=True)
class _Given:
    said: Prediction
    stem: tuple[str, str]
    vector: NDArray[np.float32] | None = None
    ref: MediaRef | None = None


def predict_files(predictor: Predictor, what: Iterable[Path], load: Callable[[str], Encoder], limits: Limits,
                  pool: Executor, batch: int = 0) -> Work[list[Prediction]]:
    """What a run tells of each item of the files, in order. Where it reads several modalities, files of one folder that
    are called alike (dog.png, dog.wav) are one sample. ``load`` gives the encoder of a name to a run that reads
    vectors, where each model is let go before the next. Raises TrainingError where it gives another one.
    """
    job = predictor.job
    given = yield from (_described(list(what), limits, pool) if job.reads_media
                        else _encoded(job, list(what), load, limits, pool, batch))
    units: dict[object, list[int]] = {}
    for place, one in enumerate(given):
        if one.said.error:
            continue
        if one.said.modality not in job.modalities:
            given[place] = replace(one, said=replace(one.said, error=f"The run does not read {one.said.modality}."))
        else:
            units.setdefault(one.stem if len(job.modalities) > 1 else place, []).append(place)
    groups = list(units.values())
    said = [one.said for one in given]
    for start in range(0, len(groups), STEP):
        yield Progress(start, len(groups), "predicting")
        some = groups[start : start + STEP]
        _show(predictor, [[given[place] for place in group] for group in some])
        for group, told in zip(some, predictor.named(), strict=True):
            for place in group:
                said[place] = replace(said[place], told=told)
    return said


def _stem(path: str) -> tuple[str, str]:
    return str(Path(path).parent), Path(path).stem


def _encoded(job: TrainingJob, what: list[Path], load: Callable[[str], Encoder], limits: Limits, pool: Executor,
             batch: int) -> Work[list[_Given]]:
    """Every item, with its vector of the model that reads its modality."""
    made: list[_Given] = []
    for name in job.model_names:
        own = frozenset[str](modality for modality in job.modalities if job.model_of(modality).name == name)
        found = yield from _encoded_by(job, name, own, what, load, limits, pool, batch)
        made = [new if new.said.modality in own else old for old, new in zip(made or found, found, strict=True)]
    return made


def _encoded_by(job: TrainingJob, name: str, modalities: frozenset[str], what: list[Path],
                load: Callable[[str], Encoder], limits: Limits, pool: Executor, batch: int) -> Work[list[_Given]]:
    encoder = load(name)
    for model in (job.model_of(modality) for modality in job.modalities if modality in modalities):
        if (encoder.space, encoder.dim) != (model.space, model.dim):
            raise TrainingError(f"The run reads vectors of {model.space}.", hint="Leave out --model.")
    rows = yield from encode_files(what, encoder, limits, pool, batch, modalities=modalities)
    return [_Given(Prediction(r.path, r.part, r.modality, {}, r.error), _stem(r.path), r.vector) for r in rows]


def _described(what: list[Path], limits: Limits, pool: Executor) -> Work[list[_Given]]:
    files, made = list(scan(what)), list[_Given]()
    for done, (path, outcome) in enumerate(described_ahead(files, limits, pool, frozenset()), 1):
        yield Progress(done, len(files), path.name)
        name = printable(path)
        if isinstance(outcome, MediaError):
            made.append(_Given(Prediction(name, "", "", {}, str(outcome)), _stem(name)))
            continue
        made += [_Given(Prediction(name, item.part, item.modality, {}), _stem(name),
                        ref=MediaRef(item.path, item.modality, item.part, item.text)) for item in outcome.items]
    return made


def _show(predictor: Predictor, samples: Sequence[Sequence[_Given]]) -> None:
    places: dict[str, int] = {modality: m for m, modality in enumerate(predictor.job.modalities)}
    if predictor.job.reads_media:
        predictor.read([tuple((places[one.said.modality], one.ref) for one in sample if one.ref) for sample in samples])
        return
    vectors = np.zeros((len(samples), len(places), predictor.dim), np.float32)
    present = np.zeros(vectors.shape[:2], bool)
    for row, sample in enumerate(samples):
        for one in sample:
            assert one.vector is not None
            vectors[row, places[one.said.modality], : len(one.vector)] += one.vector
            present[row, places[one.said.modality]] = True
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    predictor.see((vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32), present)
