"""A finished run reads media like any other encoder: into the space that it learned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mmstudio.encoders.base import Encoder, Explanation, Prepared, Seen, SeenPicture, Vectors, normalised
from mmstudio.encoders.device import memory_errors_translated, pick_device
from mmstudio.encoders.registry import load_encoder
from mmstudio.errors import AttentionUnavailable, ModelNotFound, TrainingError, WrongModality
from mmstudio.media import Media, Modality
from mmstudio.training import interpolation, runs
from mmstudio.training.job import RUN, TUNED, TrainingJob, job_of

if TYPE_CHECKING:
    from torch import Tensor

    from mmstudio.training.scratch import Scratch


def load(folder: Path, name: str, device: str = "auto") -> Encoder:
    """The encoder that a run became. Raises TrainingError where it learned no space or has no weights yet."""
    from mmstudio.training.examples import Examples

    job = job_of(folder)
    if not job.makes_vectors:
        raise TrainingError("The run tells classes or amounts and learned no space of its own.", path=folder,
                            hint="Align modalities, or train the encoder, to get one.")
    place = pick_device(device)
    learner = interpolation.restored(folder, Examples.load(folder / "examples"), place)
    if learner.feed is not None:
        learner.feed.close()
    revision = _revision(folder)
    model = learner.model.eval().requires_grad_(False)
    if job.trains == "scratch":
        return _FromScratch(name, cast(Any, model).towers.reads, job, revision, place)
    if job.trains in TUNED:
        return _Learned(name, dict.fromkeys(job.modalities, cast(Any, model).towers.reads), job, revision, None)
    bases = {base: base_of(base, folder, place) for base in job.model_names}
    return _Learned(name, {modality: bases[job.model_of(modality).name] for modality in job.modalities}, job, revision,
                    cast(Any, model).into)


def base_of(name: str, folder: Path, device: str) -> Encoder:
    """An encoder whose vectors a run learned from, by its name, which may be that of another run beside its folder.
    Raises ModelNotFound, ModelRefused, TrainingError.
    """
    if not name.startswith(RUN):
        return load_encoder(name, device)
    beside = folder.parent / name.removeprefix(RUN)
    if not (beside / "job.json").is_file():
        raise ModelNotFound(f"The run {name} is gone, from whose vectors this one learned.", path=beside)
    return load(beside, name, device)


def _revision(folder: Path) -> str:
    try:
        told = (folder / "best.safetensors").read_bytes() + str(runs.share_of(folder)).encode()
    except OSError as error:
        raise TrainingError(f"The run's weights cannot be read ({error.strerror}).", path=folder) from error
    return hashlib.blake2b(told, digest_size=8).hexdigest()


class _Named:
    """What an encoder tells of itself."""

    def __init__(self, name: str, job: TrainingJob, revision: str, of: Any) -> None:
        self.name = self.space = name
        self.revision = revision
        self.modalities: frozenset[Modality] = frozenset(job.modalities)
        self.sample_rate_hz, self.window_seconds = int(of.sample_rate_hz), float(of.window_seconds)
        self.note = ""

    def check(self, modality: Modality) -> None:
        if modality not in self.modalities:
            raise WrongModality(f"The run “{self.name}” reads no {modality}.",
                                hint=f"It reads: {', '.join(sorted(self.modalities))}.")


class _Learned(_Named):
    """The encoders of each modality that a run started from, with other weights or with a projection behind them."""

    def __init__(self, name: str, bases: dict[Modality, Encoder], job: TrainingJob, revision: str, into: Any) -> None:
        first = next(iter(bases.values()))
        super().__init__(name, job, revision, bases.get("audio", first))
        self._bases, self._job, self._into = bases, job, into
        self._all = list({id(base): base for base in bases.values()}.values())
        self.dim = first.dim if into is None else job.width
        self.preprocessing = " + ".join(dict.fromkeys(base.preprocessing for base in self._all))
        self.device = first.device

    @property
    def memory_bytes(self) -> int:
        return sum(base.memory_bytes for base in self._all)

    def to(self, device: str) -> None:
        for base in self._all:
            if self._into is None:
                with memory_errors_translated():
                    cast(Any, base).model.to(device)
                base.device = device
            else:
                base.to(device)
        self.device = device

    def prepare(self, media: Media, modality: Modality) -> Prepared:
        self.check(modality)
        return self._bases[modality].prepare(media, modality)

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        made = self._bases[batch[0].modality].forward(batch)
        return made if self._into is None else self._projected(made, batch[0].modality)

    def explain(self, media: Media, modality: Modality) -> Explanation:
        self.check(modality)
        found = self._bases[modality].explain(media, modality)
        if self._into is None:
            return found
        tokens = None if found.tokens is None else self._projected(found.tokens, modality)
        return replace(found, vector=self._projected(found.vector[None], modality)[0], tokens=tokens)

    def seen(self, media: Media, modality: Modality) -> Seen:
        self.check(modality)
        return self._bases[modality].seen(media, modality)

    def _projected(self, vectors: Vectors, modality: Modality) -> Vectors:
        import torch

        layer = self._into[self._job.modalities.index(modality)]
        with torch.inference_mode():
            place = next(layer.parameters()).device
            return normalised(layer(torch.from_numpy(np.ascontiguousarray(vectors)).to(place)).cpu().numpy())


class _FromScratch(_Named):
    """Encoders that a run made from nothing."""

    def __init__(self, name: str, reads: Scratch, job: TrainingJob, revision: str, device: str) -> None:
        super().__init__(name, job, revision, reads)
        self._reads, self.device = reads, device
        self.dim = reads.dim
        self.preprocessing = "from scratch 1"

    @property
    def memory_bytes(self) -> int:
        return sum(p.numel() * p.element_size() for p in self._reads.parameters())

    def to(self, device: str) -> None:
        with memory_errors_translated():
            self._reads.to(device)
        self.device = device

    def prepare(self, media: Media, modality: Modality) -> Prepared:
        self.check(modality)
        return self._reads.prepare(media, modality)

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        import torch

        if not batch:
            return np.zeros((0, self.dim), np.float32)
        with memory_errors_translated(), torch.inference_mode():
            made: Tensor = self._reads.tensors(batch)
            return normalised(made.cpu().numpy())

    def explain(self, media: Media, modality: Modality) -> Explanation:
        return Explanation(self.forward([self.prepare(media, modality)])[0],
                           note="An encoder made from scratch shows no attention.")

    def seen(self, media: Media, modality: Modality) -> Seen:
        prepared = self.prepare(media, modality)
        if modality != "image":
            raise AttentionUnavailable("What an encoder made from scratch gets of sounds and texts is not shown.")
        values = prepared.inputs["pixels"].astype(np.float32) / 127.5 - 1
        return SeenPicture.unscaled(values, (0.5,) * 3, (0.5,) * 3, 1.0, 8)
