"""Baselines on the media of a run's examples themselves: words, colours and edges, mel bands, without any encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from mmstudio import paths
from mmstudio.errors import TrainingError
from mmstudio.media import AudioClip, Limits, MediaRef, Modality, load
from mmstudio.progress import Work
from mmstudio.training import baselines, runs
from mmstudio.training.baselines import ON_VECTORS, Baseline
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.metrics import accuracy


def beside(folder: Path, media: Mapping[int, Sequence[MediaRef]]) -> Work[dict[str, float]]:
    """The accuracy of baselines on each modality's media, ``media`` by an example's key, on the part that the results
    of a run that is done are of; kept in ``results.json`` beside those on vectors. Of an example's several media of one
    modality the first counts, and examples without one count not.

    Raises TrainingError where nothing can be learned from, MediaError for a file that cannot be read.
    """
    run = runs.look(folder)
    if run.job.task != "classification" or not run.results:
        raise TrainingError("Baselines tell classes apart, beside a run that is done.")
    examples = Examples.load(folder / "examples")
    part = TEST if run.results["of"] == "test" else VALIDATION
    told: dict[str, float] = {}
    for modality in run.job.modalities:
        firsts = [next((ref for ref in media.get(int(key), ()) if ref.modality == modality), None)
                  for key in examples.keys]
        rows = np.flatnonzero([ref is not None for ref in firsts])
        labels, parts = np.asarray(examples.targets)[rows].astype(np.int64), np.asarray(examples.parts)[rows]
        if not (parts == TRAIN).any() or not (parts == part).any():
            continue
        refs = [ref for ref in firsts if ref is not None]
        fitted = yield from _fitted(modality, refs, labels, parts, len(run.job.classes))
        for one in fitted:
            if one.name != ON_VECTORS[0]:
                told[one.name] = accuracy(labels[parts == part], one.test if part == TEST else one.validation)
    if not told:
        raise TrainingError("No media of this run's examples are at hand.", hint="Open the project that it is of.")
    results = runs.look(folder).results
    results["baselines"] = {**results.get("baselines", {}), **told}
    paths.write_atomically(folder / "results.json", json.dumps(results).encode())
    return told


def names(modalities: Sequence[Modality]) -> frozenset[str]:
    """What these baselines are called, by which a run that has them is known."""
    titles = {"text": ("TF-IDF", baselines.ON_TEXTS), "image": ("pixels", baselines.ON_RAW),
              "audio": ("mel bands", baselines.ON_RAW)}
    return frozenset(f"{source} + {name}" for m in modalities for source, some in (titles[m],) for name in some[1:])


def _fitted(modality: Modality, refs: Sequence[MediaRef], labels: NDArray[np.int64], parts: NDArray[np.int8],
            classes: int) -> Work[list[Baseline]]:
    read = (load(ref, Limits()) for ref in refs)
    if modality == "text":
        return (yield from baselines.on_texts([str(one) for one in read], labels, parts, classes))
    if modality == "image":
        pictures = (one for one in read if isinstance(one, Image))
        return (yield from baselines.on_pictures(pictures, labels, parts, classes))
    return (yield from baselines.on_sounds((one for one in read if isinstance(one, AudioClip)), labels, parts, classes))
