"""The encoders that learn with a run's head: the one in use, in whole or in part, or ones from scratch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.base import Prepared, Trainable
from mmstudio.encoders.registry import load_encoder
from mmstudio.errors import EncoderError, TrainingError
from mmstudio.media import Limits, Media, MediaRef, Modality, load
from mmstudio.training.feed import Inputs
from mmstudio.training.job import TUNED, TrainingJob

LORA_DROPOUT = 0.05


class Reads(Protocol):
    """What reads media into vectors that keep gradients."""

    dim: int
    sample_rate_hz: int
    window_seconds: float

    @property
    def model(self) -> nn.Module: ...

    def prepare(self, media: Media, modality: Modality) -> Prepared: ...

    def tensors(self, batch: Sequence[Prepared]) -> Tensor: ...

    def tokens(self, batch: Sequence[Prepared]) -> tuple[Tensor, Tensor]: ...


class Towers(nn.Module):
    """Puts the vectors of the modalities that are ``read`` anew in the place of those that the encoder gave before."""

    def __init__(self, reads: Reads, job: TrainingJob, read: Sequence[Modality]) -> None:
        super().__init__()
        self.model = reads.model
        self.reads = reads
        self.read, self.modalities, self.dim = tuple(read), job.modalities, reads.dim
        self.from_scratch = job.trains == "scratch"

    def forward(self, inputs: Inputs) -> Tensor:
        """``(b, m, dim)`` of length 1; of several media of one modality the mean; zero where there is none."""
        made = inputs.vectors
        if self.from_scratch:
            made = made.new_zeros((*made.shape[:2], self.dim))
        columns = list(made.unbind(1))
        for modality, prepared in inputs.prepared.items():
            vectors = self.reads.tensors(prepared)
            owners = torch.tensor(inputs.owners[modality], device=vectors.device)
            summed = vectors.new_zeros(len(made), vectors.shape[1]).index_add(0, owners, vectors)
            columns[self.modalities.index(modality)] = F.normalize(summed, dim=-1)
        return torch.stack(columns, 1)

    def gradients(self) -> list[list[Tensor]]:
        """Of each modality of the job the gradients of what reads it alone."""
        read = {m: {id(one): one for _, one in _own(cast(Trainable, self.reads), m)} for m in self.read}
        users = Counter(name for own in read.values() for name in own)
        return [[one.grad for name, one in read.get(m, {}).items() if users[name] == 1 and one.grad is not None]
                for m in self.modalities]

    def tokens(self, inputs: Inputs) -> tuple[list[Tensor], list[Tensor]]:
        """Of each modality ``(b, t, dim)`` positions and ``(b, t)`` which of them are there; of several media of one
        modality the first.
        """
        made, there = [], []
        size, device = len(inputs.vectors), inputs.vectors.device
        for modality in self.modalities:
            prepared, owners = inputs.prepared.get(modality, []), inputs.owners.get(modality, [])
            first = [place for place, owner in enumerate(owners) if owner not in owners[:place]]
            tokens, mask = torch.zeros(size, 1, self.dim, device=device), torch.zeros(
                size, 1, dtype=torch.bool, device=device)
            if first:
                found, found_mask = self.reads.tokens([prepared[place] for place in first])
                rows = torch.tensor([owners[place] for place in first], device=device)
                tokens = found.new_zeros(size, *found.shape[1:]).index_copy(0, rows, found)
                mask = torch.zeros(size, found.shape[1], dtype=torch.bool, device=device).index_copy(
                    0, rows, found_mask)
            made.append(tokens)
            there.append(mask)
        return made, there

    def train(self, mode: bool = True) -> Towers:
        """As ever, but a pretrained tower that does not learn stays as it encodes, and one that does keeps the
        statistics of its batch norms: batches here are small and narrow.
        """
        super().train(mode and any(parameter.requires_grad for parameter in self.parameters()))
        if not self.from_scratch:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def prepare(self, ref: MediaRef) -> Prepared:
        """A medium as a tower reads it. Raises StudioError."""
        media = load(ref, Limits(), rate_hz=self.reads.sample_rate_hz, window_seconds=self.reads.window_seconds)
        return self.reads.prepare(media, ref.modality)


def build(job: TrainingJob, words: Sequence[str], device: torch.device) -> Towers | None:
    """The towers of a job, with what learns set to learn; None where the encoder's vectors suffice. ``words`` are the
    vocabulary of text towers from scratch. Raises TrainingError, EncoderError.
    """
    if not job.reads_media:
        return None
    if job.trains == "scratch":
        from mmstudio.training.scratch import Scratch

        return Towers(Scratch(job, words).to(device), job, job.modalities).to(device)
    reads = _encoder(job, device)
    if job.fusion == "tokens":
        read = job.modalities
    else:
        read = tuple(m for m in job.modalities if job.trains != "locked text" or m != "text")
    towers = Towers(cast(Reads, reads), job, read)
    towers.requires_grad_(False)
    if job.trains in TUNED:
        if job.trains == "lora":
            _add_low_rank(towers.model, [name for m in read for name in _linears(reads, m)], job.rank)
        for modality in read:
            for name, parameter in _learning(job, reads, modality):
                if "lora_" in name or job.trains != "lora":
                    parameter.requires_grad_(True)
    return towers


def _encoder(job: TrainingJob, device: torch.device) -> Trainable:
    encoder = load_encoder(job.model, device.type)
    if job.revision and (encoder.revision, encoder.preprocessing) != (job.revision, job.preprocessing):
        raise TrainingError(f"The model “{job.model}” is not the one that the run was made with.",
                            hint="Make the run anew.")
    if not hasattr(encoder, "make_trainable"):
        raise EncoderError(f"The weights of “{job.model}” cannot learn.", hint="Train a head on its vectors.")
    made = cast(Trainable, encoder)
    made.make_trainable()
    return made


def _own(encoder: Trainable, modality: Modality) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that read a modality, in the order in which they are passed."""
    parts = encoder.parts(modality)
    for name, parameter in encoder.model.named_parameters():
        if not parts or name.split(".")[0] in parts:
            yield name, parameter


def _learning(job: TrainingJob, encoder: Trainable, modality: Modality) -> list[tuple[str, nn.Parameter]]:
    own = list(_own(encoder, modality))
    if job.trains != "last blocks":
        return own
    blocks = layers(encoder, modality)
    if not blocks:
        return own
    first = f"{blocks[-min(job.blocks, len(blocks))]}."
    start = next(place for place, (name, _) in enumerate(own) if name.startswith(first))
    return own[start:]


def layers(encoder: Trainable, modality: Modality) -> list[str]:
    """The names of a tower's layers, in order: the members of its last list of modules that lies in no other list."""
    parts, found, outer = encoder.parts(modality), list[str](), "\0"
    for name, module in encoder.model.named_modules():
        inside = not parts or name.split(".")[0] in parts
        if inside and isinstance(module, nn.ModuleList) and len(module) and not name.startswith(f"{outer}."):
            outer, found = name, [f"{name}.{place}" for place in range(len(module))]
    return found


def _linears(encoder: Trainable, modality: Modality) -> list[str]:
    """The linear layers inside a tower's layers."""
    blocks = tuple(f"{name}." for name in layers(encoder, modality))
    return [name for name, module in encoder.model.named_modules()
            if isinstance(module, nn.Linear) and name.startswith(blocks)]


def _add_low_rank(model: nn.Module, names: list[str], rank: int) -> None:
    """Low-rank additions beside linear layers (LoRA, Hu et al. 2021), by PEFT."""
    from peft import inject_adapter_in_model

    if not names:
        raise TrainingError("The model has no linear layers inside its blocks, where low-rank additions would go.",
                            hint="Train its last blocks.")
    inject_adapter_in_model(lora_settings(names, rank), model)


def lora_settings(names: list[str], rank: int) -> Any:
    """PEFT's configuration of a run's additions."""
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=LORA_DROPOUT, target_modules=names)

