"""Heads that fuse the vectors of several modalities and tell something of them; each says what every modality alone
tells.

Shapes: ``vectors (b, m, dim)`` float, ``present (b, m)`` bool, at least one present in each row. Where modalities are
read by models of their own, ``dims`` says how wide the vectors of each are, ``dim`` is the widest, and what lies behind
the others' ends is read by nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.training.job import HEADS, TrainingJob

RANK = 8


@dataclass
class Told:
    """``logits (b, outputs)`` of all modalities together, ``alone (b, m, outputs)`` of each, and where a fusion has
    them the ``weights (b, m)`` of the modalities, rows of sum 1, and ``attention (b, heads, 1 + m)`` of the position
    that is read, the first, in its last layer. ``parts (b, m, outputs)`` are what each modality gives to the decision:
    of late fusions what it tells alone, else the shares whose sum are the logits, where these are such a sum.
    """

    logits: Tensor
    alone: Tensor
    weights: Tensor | None = None
    attention: Tensor | None = None
    parts: Tensor | None = None


class FusionHead(nn.Module):
    """A fusion with a head behind it. Where a modality is missing, a learned vector stands in for it."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dims = tuple(dims)
        self.missing = nn.Parameter(torch.zeros(len(dims), max(dims)))
        self.alone = nn.ModuleList(nn.Linear(dim, outputs) for dim in dims)

    def forward(self, vectors: Tensor, present: Tensor) -> Told:
        filled = _each(torch.where(present[..., None], vectors, self.missing), self.dims)
        alone = torch.stack([head(one) for head, one in zip(self.alone, filled, strict=True)], 1)
        return self.fuse(filled, present, alone)

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        """``vectors`` of each modality ``(b, dim)``, ``alone (b, m, outputs)``"""
        raise NotImplementedError

    def gradients(self) -> list[list[Tensor]]:
        """Of each modality the gradients of what brings it, and nothing else, into the decision: balancing slows them.
        What is changed in place there is changed in the parameters' own.
        """
        return [[] for _ in self.dims]


def _gradients(layers: Sequence[nn.Module]) -> list[list[Tensor]]:
    return [[one.grad for one in layer.parameters() if one.grad is not None] for layer in layers]


def _each(vectors: Tensor, dims: Sequence[int]) -> list[Tensor]:
    """Of each modality ``(b, dim)``, as wide as it is."""
    return [vectors[:, m, :dim] for m, dim in enumerate(dims)]


def _dense(inputs: int, outputs: int, width: int, layers: int, dropout: float) -> nn.Sequential:
    """Hidden layers of GELU, then a linear one."""
    made: list[nn.Module] = []
    for _ in range(layers):
        made += [nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*made, nn.Dropout(0.0 if layers else dropout), nn.Linear(inputs, outputs))


def _shares(scores: Tensor, present: Tensor) -> Tensor:
    """``(b, m)`` softmax over the modalities that are there."""
    return scores.masked_fill(~present, -torch.inf).softmax(-1)


class JointMean(FusionHead):
    """The mean of the modalities that are there, in a space that they share, then one head for all."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.head = _dense(dims[0], outputs, width, layers, dropout)

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        weights = present / present.sum(1, keepdim=True)
        return Told(self.head((torch.stack(vectors, 1) * weights[..., None]).sum(1)), alone)


class Concatenate(FusionHead):
    """Early fusion: all vectors one after another into dense layers, at least a hidden one, or into a ``linear`` one
    alone, whose columns for a modality are all that brings it into the logits.
    """

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float,
                 linear: bool = False) -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.head = _dense(sum(dims), outputs, width, 0 if linear else max(1, layers), dropout)
        self.linear = linear

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        logits = self.head(torch.cat(vectors, 1))
        if not self.linear:
            return Told(logits, alone)
        last = cast(nn.Linear, self.head[-1])
        parts = [F.linear(one, columns, last.bias / len(self.dims))
                 for one, columns in zip(vectors, torch.split(last.weight, list(self.dims), 1), strict=True)]
        return Told(logits, alone, parts=torch.stack(parts, 1))

    def gradients(self) -> list[list[Tensor]]:
        grad = cast(nn.Linear, self.head[-1]).weight.grad
        return super().gradients() if grad is None or not self.linear else [
            [one] for one in torch.split(grad, list(self.dims), 1)]


class _Projected(FusionHead):
    """Each modality gets a layer of its own first."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.into = nn.ModuleList(nn.Linear(dim, width) for dim in dims)
        self.head = _dense(width, outputs, width, layers, dropout)

    def projected(self, vectors: list[Tensor]) -> Tensor:
        """``(b, m, width)``"""
        return torch.stack([layer(one) for layer, one in zip(self.into, vectors, strict=True)], 1)

    def summed(self, weighed: Tensor, alone: Tensor, weights: Tensor) -> Told:
        """What is told of the sum of ``weighed (b, m, width)``."""
        parts = None
        if len(self.head) == 2:  # a linear layer alone
            last = cast(nn.Linear, self.head[-1])
            parts = F.linear(weighed, last.weight, last.bias / len(self.dims))
        return Told(self.head(weighed.sum(1)), alone, weights, parts=parts)

    def gradients(self) -> list[list[Tensor]]:
        return _gradients(list(self.into))


class WeightedSum(_Projected):
    """A sum with one learned weight a modality."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.scores = nn.Parameter(torch.zeros(len(dims)))

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        weights = _shares(self.scores.expand(present.shape), present)
        return self.summed(weights[..., None] * F.gelu(self.projected(vectors)), alone, weights)


class Gated(_Projected):
    """A sum whose weights each example decides (gated multimodal unit, Arevalo et al. 2017, with softmax gates)."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.gate = nn.Linear(sum(dims), len(dims))

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        weights = _shares(self.gate(torch.cat(vectors, 1)), present)
        return self.summed(weights[..., None] * torch.tanh(self.projected(vectors)), alone, weights)


class Bilinear(FusionHead):
    """Products of the modalities' features, of low rank (low-rank multimodal fusion, Liu et al. 2018)."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.factors = nn.ModuleList(nn.Linear(dim, RANK * width) for dim in dims)
        for factor in self.factors:
            nn.init.ones_(cast(nn.Linear, factor).bias)  # products of numbers near nothing would have no gradient
        self.mix = nn.Parameter(torch.full((RANK,), 1 / RANK))
        self.head = nn.Sequential(nn.LayerNorm(width), _dense(width, outputs, width, layers, dropout))

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        product = torch.ones((), device=present.device)
        for m, factor in enumerate(self.factors):
            made = factor(vectors[m]).unflatten(1, (RANK, -1))
            product = product * torch.where(present[:, m, None, None], made, torch.ones_like(made))
        return Told(self.head(torch.einsum("brw,r->bw", product, self.mix)), alone)


class Mixer(nn.Module):
    """Positions attend to each other: a small pre-norm Transformer, of which the first position is read."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.attends = nn.ModuleList(nn.MultiheadAttention(width, HEADS, dropout, batch_first=True)
                                     for _ in range(layers))
        self.feeds = nn.ModuleList(_dense(width, width, 2 * width, 1, dropout) for _ in range(layers))

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """``x (b, t, width)`` and which positions nobody sees ``(b, t)``, to what is read ``(b, width)`` and the last
        layer's attention of it ``(b, heads, t)``. There no other position asks: of thousands of tokens, what all see of
        all would take gigabytes.
        """
        attention = x.new_zeros(0)
        for layer, (attend, feed) in enumerate(zip(self.attends, self.feeds, strict=True)):
            last = layer == len(self.attends) - 1
            asking = slice(1 if last else None)
            normed = self.norms[2 * layer](x)
            found, attention = attend(normed[:, asking], normed, normed, key_padding_mask=hidden, need_weights=last,
                                      average_attn_weights=False)
            x = x[:, asking] + found
            x = x + feed(self.norms[2 * layer + 1](x))
        return self.norms[-1](x[:, 0]), attention[:, :, 0]


class CrossAttention(_Projected):
    """Modalities attend to each other and a learned position reads them (a small Transformer over modality tokens)."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        width = -(-width // HEADS) * HEADS
        super().__init__(dims, outputs, width, 0, dropout)
        self.names = nn.Parameter(0.02 * torch.randn(1 + len(dims), width))
        self.mixer = Mixer(width, max(1, layers), dropout)

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        tokens = self.names + F.pad(self.projected(vectors), (0, 0, 1, 0))
        read, attention = self.mixer(tokens, F.pad(~present, (1, 0)))
        weights = _shares(attention[..., 1:].mean(1).clamp_min(1e-9).log(), present)
        return Told(self.head(read), alone, weights, attention)


class AllTokens(nn.Module):
    """Every patch, frame and word of every modality attends to all others, and a learned position reads them."""

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        width = -(-width // HEADS) * HEADS
        self.alone = nn.ModuleList(nn.Linear(dim, outputs) for dim in dims)
        self.into = nn.ModuleList(nn.Linear(dim, width) for dim in dims)
        self.names = nn.Parameter(0.02 * torch.randn(1 + len(dims), width))
        self.mixer = Mixer(width, max(1, layers), dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, tokens: list[Tensor], there: list[Tensor], present: Tensor) -> Told:
        """``tokens`` of each modality ``(b, t, dim)``, ``there (b, t)``; ``attention`` is over the reading position and
        all of them one after another.
        """
        seen = [mask & present[:, m, None] for m, mask in enumerate(there)]
        alone = torch.stack([head(_mean(one, mask)) for head, one, mask in zip(self.alone, tokens, seen, strict=True)],
                            1)
        parts = [layer(one) + name for layer, one, name in zip(self.into, tokens, self.names[1:], strict=True)]
        reads = self.names[:1].expand(len(present), 1, -1)
        read, attention = self.mixer(torch.cat([reads, *parts], 1), F.pad(~torch.cat(seen, 1), (1, 0)))
        spans = attention[..., 1:].mean(1).split([one.shape[1] for one in tokens], 1)
        weights = _shares(torch.stack([one.sum(1) for one in spans], 1).clamp_min(1e-9).log(), present)
        return Told(self.head(read), alone, weights, attention)


def _mean(tokens: Tensor, there: Tensor) -> Tensor:
    """``(b, dim)``"""
    return (tokens * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp_min(1)


class Late(FusionHead):
    """Each modality decides alone, and the decisions are put together: their ``average``, a ``learned average``, or a
    ``product of experts`` (Hinton 2002). ``kind`` of outputs says what a decision is: classes, labels or amounts.
    """

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float,
                 how: str = "average", task: str = "classification") -> None:
        super().__init__(dims, outputs, width, layers, dropout)
        self.alone = nn.ModuleList(_dense(dim, outputs, width, layers, dropout) for dim in dims)
        self.scores = nn.Parameter(torch.zeros(len(dims))) if how == "learned average" else None
        self.how, self.task = how, task

    def fuse(self, vectors: list[Tensor], present: Tensor, alone: Tensor) -> Told:
        scores = torch.zeros_like(present, dtype=alone.dtype) if self.scores is None else self.scores.expand(
            present.shape)
        weights = _shares(scores, present)
        if self.how == "product of experts" and self.task != "regression":
            each = alone.log_softmax(-1) if self.task == "classification" else alone
            return Told((each * present[..., None]).sum(1), alone, weights, parts=alone)
        if self.task == "regression":
            return Told((weights[..., None] * alone).sum(1), alone, weights, parts=alone)
        if self.task == "classification":
            mixed = torch.logsumexp(alone.log_softmax(-1) + weights[..., None].clamp_min(1e-12).log(), 1)
            return Told(mixed, alone, weights, parts=alone)
        share = (weights[..., None] * alone.sigmoid()).sum(1).clamp(1e-6, 1 - 1e-6)
        return Told(torch.logit(share), alone, weights, parts=alone)

    def gradients(self) -> list[list[Tensor]]:
        return _gradients(list(self.alone))


class Aligner(nn.Module):
    """A projection of each modality into one new space, with a temperature (CLIP, Radford et al. 2021); none where the
    ``encoders`` themselves learn to agree.
    """

    def __init__(self, dims: Sequence[int], outputs: int, width: int, layers: int, dropout: float,
                 encoders: bool = False) -> None:
        super().__init__()
        self.dims = tuple(dims)
        self.into = nn.ModuleList(nn.Identity() if encoders else _dense(dim, outputs, width, layers, dropout)
                                  for dim in dims)
        self.log_scale = nn.Parameter(torch.tensor(2.6593))  # 1 / 0.07
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """``(b, m, outputs)`` of length 1"""
        made = [layer(one) for layer, one in zip(self.into, _each(vectors, self.dims), strict=True)]
        return F.normalize(torch.stack(made, 1), dim=-1)


_FUSIONS: dict[str, type[FusionHead]] = {
    "joint mean": JointMean, "weighted sum": WeightedSum, "gated": Gated,
    "bilinear": Bilinear, "attention": CrossAttention,
}


def build(job: TrainingJob, dim: int) -> nn.Module:
    """The job's head for vectors ``(b, m, dim)``, with fresh weights from torch's generator. Raises TrainingError where
    the job does not know the widths of its models.
    """
    sizes = job.widths(dim), job.outputs, job.width, job.layers, job.dropout
    if job.task == "alignment":
        return Aligner(*sizes, encoders=job.reads_media)
    if job.fusion == "tokens":
        return AllTokens(*sizes)
    if job.fusion == "concatenate":
        return Concatenate(*sizes, linear=bool(job.balancing))
    if job.fusion in _FUSIONS:
        return _FUSIONS[job.fusion](*sizes)
    return Late(*sizes, how=job.fusion, task=job.task)
