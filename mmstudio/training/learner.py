"""A job's model with its loss: what one step needs to know."""

from __future__ import annotations

from itertools import combinations
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmstudio.errors import OutOfMemory, TrainingError
from mmstudio.training import losses, memory, towers
from mmstudio.training.adapters import ClipAdapter, TipAdapter
from mmstudio.training.captioner import Captioner
from mmstudio.training.examples import TRAIN, Examples
from mmstudio.training.feed import Feed, Inputs
from mmstudio.training.fusion import Aligner, FusionHead, Told, build
from mmstudio.training.job import ADAPTERS, TrainingJob
from mmstudio.training.words import PAD

OGM_ALPHA = 0.5
MOST_REMEMBERED = 64
"""Examples of a class that an adapter remembers."""
AT_ONCE, MEDIA_AT_ONCE = 4096, 64
"""Examples that are looked at together, by their vectors or by their media."""


class Whole(nn.Module):
    """Towers with a head behind them."""

    def __init__(self, towers: towers.Towers, head: nn.Module, tokens: bool) -> None:
        super().__init__()
        self.towers, self.head, self.tokens = towers, head, tokens

    def forward(self, inputs: Inputs, present: Tensor, *more: Tensor) -> Any:
        if self.tokens:
            return self.head(*self.towers.tokens(inputs), present)
        return self.head(self.towers(inputs), present, *more)


def head_of(model: nn.Module) -> nn.Module:
    """The head of a model, whatever is around it."""
    inner = cast(nn.Module, getattr(model, "module", model))
    return inner.head if isinstance(inner, Whole) else inner


def learned(model: nn.Module) -> dict[str, Tensor]:
    """What a run has to keep of its model: all but the weights of an encoder that stay as they were."""
    still = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    if isinstance(model, Whole) and not model.towers.from_scratch:
        still |= {name for name, _ in model.named_buffers() if name.startswith("towers.")}
    return {name: value for name, value in model.state_dict().items() if name not in still}


def learn_from(model: nn.Module, kept: dict[str, Tensor]) -> None:
    """Take what ``learned`` gave. Raises RuntimeError where it is of another model."""
    if kept.keys() != learned(model).keys():
        raise RuntimeError("the weights are of another model")
    model.load_state_dict(kept, strict=False)


class Learner:
    """``vectors (n, m, dim)``, ``present (n, m)``, ``targets`` lie on ``device``; rows name examples.

    Losses are sums over the given rows divided by the weight of ``whole``, the rows of a whole step: parts of a step
    add up to the step, on one device after another or on several at once. A loss of pairs is of a whole step's vectors.
    """

    def __init__(self, job: TrainingJob, examples: Examples, device: torch.device) -> None:
        self.job = job
        self.vectors = torch.tensor(np.asarray(examples.vectors), device=device)
        self.present = torch.tensor(np.asarray(examples.present), device=device)
        targets = np.array(examples.targets)
        train = examples.rows(TRAIN)
        self.middle, self.spread = 0.0, 1.0
        if job.task == "regression":
            self.middle = float(targets[train].mean()) if len(train) else 0.0
            self.spread = float(targets[train].std()) or 1.0
            targets = ((targets - self.middle) / self.spread).astype(np.float32)
        self.targets = torch.tensor(targets, device=device)
        self.class_weights = _balanced(job, targets[train], device) if (
            job.class_weights and len(train) and job.task in ("classification", "multi-label")) else None
        self.words = examples.words
        self.feed: Feed | None = None
        self.probing = False
        """While only the head learns, the encoder's vectors are as they were."""
        self.model = self._model(examples, device)
        self.at_once = MEDIA_AT_ONCE if self.feed else AT_ONCE
        """Examples that are looked at together."""

    def _model(self, examples: Examples, device: torch.device) -> nn.Module:
        job, made = self.job, towers.build(self.job, examples.words, device)
        head = self._head(examples, made.dim if made else self.vectors.shape[2]).to(device)
        if made is None:
            return head
        if len(examples.media) != len(examples):
            raise TrainingError("The run does not know the media of its examples.", hint="Make the run anew.")
        self.feed = Feed(examples.media, job.modalities, made.read, made.prepare)
        return Whole(made, head, job.fusion == "tokens")

    def _head(self, examples: Examples, dim: int) -> nn.Module:
        job = self.job
        if job.task == "captioning":
            return Captioner(job.widths(dim), len(examples.words), job.width, job.layers, job.dropout)
        if job.trains not in ADAPTERS:
            return build(job, dim)
        if examples.anchors is None or len(examples.anchors) != len(job.classes):
            raise TrainingError("The run does not know the vectors of its classes' names.", hint="Make the run anew.")
        anchors, rows = torch.tensor(examples.anchors, dtype=torch.float32), examples.rows(TRAIN)
        head = ClipAdapter(anchors) if job.trains == "clip adapter" else TipAdapter(anchors, *self._memory(rows))
        if job.task == "multi-label":
            head.decide_each()
            if len(rows):
                head.settle(self.vectors[rows].cpu(), self.present[rows].cpu().float(), self.targets[rows].cpu())
        return head

    def _memory(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Vectors of training examples, at most 64 a class, and what they are."""
        told = self.targets[rows].cpu()
        values = told if told.ndim == 2 else nn.functional.one_hot(told, len(self.job.classes)).float()
        first = (values.cumsum(0) <= MOST_REMEMBERED) & (values > 0)
        keep = first.any(1)
        present, vectors = self.present[rows].cpu()[keep], self.vectors[rows].cpu()[keep]
        return (vectors * present[..., None]).sum(1), values[keep]

    def inputs(self, rows: Tensor) -> Tensor | Inputs:
        """What the model reads of these rows."""
        if self.feed is None:
            return self.vectors[rows]
        if self.probing:
            return Inputs(self.vectors[rows])
        return self.feed.take(rows.tolist(), self.vectors[rows])

    def ahead(self, rows: Tensor) -> None:
        """These rows are needed soon."""
        if self.feed is not None and not self.probing:
            self.feed.ahead(rows.tolist())

    def row_weights(self, rows: Tensor) -> Tensor:
        """``(b,)``"""
        if self.class_weights is None or self.job.task != "classification":
            return torch.ones(len(rows), device=self.vectors.device)
        return self.class_weights[self.targets[rows]]

    def loss(self, model: nn.Module, rows: Tensor, whole: Tensor, present: Tensor, whole_present: Tensor) -> tuple[
            Tensor, dict[str, Any]]:
        """The loss of ``rows (b,)``, and what to tell of it. ``present (b, m)`` is what may be seen. For aligning see
        ``pair_loss``.
        """
        if self.job.task == "captioning":
            each, right = self._captioned(model, rows, present)
            loss = each.sum() / len(whole)
            return loss, {"plain": float(loss.detach()), "word accuracy": float(right.mean())}
        told = cast(Told, model(self.inputs(rows), present))
        weights, total = self.row_weights(rows), self.row_weights(whole)
        loss = (self.each(told.logits, rows) * weights).sum() / total.sum()
        plain = float(loss.detach()) * self.spread**2  # an amount's in its own unit
        beside: dict[str, float] = {}
        for m, modality in enumerate(self.job.modalities):
            if len(self.job.modalities) == 1 and self.job.fusion not in ("average", "learned average",
                                                                         "product of experts"):
                break
            here = present[:, m] * weights
            alone = (self.each(told.alone[:, m], rows) * here).sum() / (
                whole_present[:, m] * total).sum().clamp_min(1e-9)
            loss = loss + alone / len(self.job.modalities)
            beside[modality] = float(alone.detach())
        tell: dict[str, Any] = {"plain": plain} | ({"alone": beside} if beside else {})
        if told.weights is not None:
            shares = told.weights.detach().float().mean(0).tolist()
            tell["weights"] = dict(zip(self.job.modalities, shares, strict=True))
        if self.job.balancing:
            parts = cast(Tensor, told.parts).detach().float().softmax(-1)
            own = parts.gather(2, self.targets[rows][:, None, None].expand(-1, parts.shape[1], 1))[..., 0]
            tell["sure"] = [(own * present).sum(0).tolist(), present.sum(0).tolist()]
        return loss, tell

    def each(self, logits: Tensor, rows: Tensor) -> Tensor:
        """``(b,)`` losses of ``logits (b, outputs)``."""
        job, targets = self.job, self.targets[rows]
        if job.task == "classification":
            return losses.classification(logits, targets, job.label_smoothing, job.loss_name == "focal")
        if job.task == "multi-label":
            return losses.labels(logits, targets, self.class_weights, job.loss_name == "focal")
        return losses.amounts(logits[:, 0], targets, job.loss_name == "huber")

    def pair_loss(self, model: nn.Module, vectors: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """The loss of all pairs within a step, of which the model made ``vectors (b, m, outputs)``, and what to tell of
        it. ``present (b, m)`` is what may be seen.
        """
        inner = cast(Aligner, head_of(model))
        scale = inner.log_scale.clamp(max=4.6052).exp()
        total, pairs = torch.zeros((), device=vectors.device), dict[str, float]()
        for a, b in combinations(range(len(self.job.modalities)), 2):
            both = present[:, a] & present[:, b]
            if int(both.sum()) < 2:
                continue
            left, right = vectors[both, a], vectors[both, b]
            how = {"infonce": lambda x, y: losses.infonce(x, y, scale),
                   "siglip": lambda x, y: losses.siglip(x, y, scale, inner.bias),
                   "euclidean": losses.euclidean, "triplet": losses.triplet}[self.job.loss_name]
            loss = how(left, right)
            total = total + loss
            pairs[f"{self.job.modalities[a]} - {self.job.modalities[b]}"] = float(loss.detach())
        if not total.requires_grad:  # no pair in this batch
            total = vectors.sum() * 0
        return total, {"plain": float(total.detach()), "alone": pairs, "temperature": float(1 / scale.detach())}

    def _captioned(self, model: nn.Module, rows: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """``(b,)`` mean loss of a caption's words, and the share of them that is told right."""
        wanted = self.targets[rows]
        logits = model(self.inputs(rows), present, wanted)
        there = wanted != PAD
        each = nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none",
                                           label_smoothing=self.job.label_smoothing if model.training else 0.0)
        count = there.sum(1).clamp_min(1)
        right = ((logits.detach().argmax(-1) == wanted) & there).sum(1) / count
        return (each * there).sum(1) / count, right

    def captions(self, model: nn.Module, rows: NDArray[np.int64]) -> list[str]:
        """What the model tells of these rows in words."""
        from mmstudio.training.words import text

        model.eval()
        head = cast(Captioner, head_of(model))
        told: list[str] = []
        with torch.no_grad():
            for some in torch.split(torch.as_tensor(rows, device=self.vectors.device),
                                    min(MEDIA_AT_ONCE, self.at_once)):
                inputs = self.inputs(some)
                vectors = model.towers(inputs) if isinstance(model, Whole) else inputs
                made = head.tell(cast(Tensor, vectors), self.present[some])
                told += [text(numbers, self.words) for numbers in made.tolist()]
        model.train()
        return told

    def balance(self, model: nn.Module, sure: list[list[float]], step: int) -> dict[str, float]:
        """Slow the gradients of the modality that is surest of the right class, in its encoder where that learns and in
        what brings it into the decision, and add noise as wide as they are (on-the-fly gradient modulation with
        generalisation enhancement, Peng et al. 2022). Gives the factor of each modality. ``sure`` are the sums of each
        modality's probabilities of the right class, and of how many: one that the batch lacks is compared with none.
        The noise is the ``step``'s own, the same in every process.
        """
        means = [total / number if number else None for total, number in zip(*sure, strict=True)]
        chance = torch.Generator(self.vectors.device).manual_seed(self.job.seed * 104_729 + step)
        inner = cast(nn.Module, getattr(model, "module", model))
        own = cast(FusionHead, head_of(model)).gradients()
        if isinstance(inner, Whole):
            own = [[*head, *tower] for head, tower in zip(own, inner.towers.gradients(), strict=True)]
        factors: dict[str, float] = {}
        for m, gradients in enumerate(own):
            mine, others = means[m], [mean for k, mean in enumerate(means) if k != m and mean is not None]
            lead = mine / max(1e-9, sum(others) / len(others)) if mine is not None and others else 1.0
            factor = 1 - float(np.tanh(OGM_ALPHA * lead)) if lead > 1 else 1.0
            factors[self.job.modalities[m]] = factor
            for gradient in gradients if factor < 1 else ():
                noise = gradient.std() if gradient.numel() > 1 else 0.0
                drawn = torch.randn(gradient.shape, generator=chance, device=gradient.device)
                gradient.mul_(factor).add_(noise * drawn)
        return factors

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], seen: tuple[int, ...] | None = None,
                ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``(k, outputs)`` and of each modality alone ``(k, m, outputs)``, in the targets' own units; aligned vectors
        are ``(k, m, outputs)`` twice. ``seen`` restricts the modalities that may be seen. Where memory does not
        suffice, fewer are looked at together, from then on.
        """
        model.eval()
        together, alone = [], []
        allowed = torch.ones_like(self.present[:1])
        if seen is not None:
            allowed[:] = False
            allowed[:, list(seen)] = True
        left = torch.as_tensor(rows, device=self.vectors.device)
        with torch.no_grad():
            while len(left):
                some = left[: self.at_once]
                self.ahead(left[: 2 * self.at_once])
                try:
                    pair = [one.float().cpu().numpy() for one in self._told(model, some, self.present[some] & allowed)]
                except (OutOfMemory, RuntimeError) as error:  # torch's own is a RuntimeError
                    if not memory.is_out(error) or len(some) <= 1:
                        raise
                    self.at_once = len(some) // 2
                    memory.release()
                    continue
                together.append(pair[0])
                alone.append(pair[1])
                left = left[len(some) :]
        model.train()
        m, outputs = len(self.job.modalities), self.job.outputs
        empty = np.zeros((0, m, outputs), np.float32)
        first = np.concatenate(together) if together else empty[:, 0]
        second = np.concatenate(alone) if alone else empty
        if self.job.task == "regression":
            first, second = first * self.spread + self.middle, second * self.spread + self.middle
        return first, second

    def _told(self, model: nn.Module, rows: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        if self.job.task == "captioning":
            pair = torch.stack(self._captioned(model, rows, present), 1)
            return pair, pair[:, None].expand(-1, present.shape[1], -1)
        told = model(self.inputs(rows), present)
        return (told, told) if isinstance(told, Tensor) else (told.logits, told.alone)


def _balanced(job: TrainingJob, targets: NDArray[Any], device: torch.device) -> Tensor:
    """Rare classes weigh as much as frequent ones: ``(c,)`` of mean 1 over the examples, or what a label's presence
    weighs against its absence, at most 100.
    """
    if job.task == "multi-label":
        ones = targets.sum(0)
        return torch.tensor(np.clip((len(targets) - ones) / np.maximum(ones, 1), 0.01, 100), dtype=torch.float32,
                            device=device)
    counts = np.bincount(targets, minlength=len(job.classes))
    weights = np.where(counts > 0, len(targets) / (np.maximum(counts, 1) * max(1, (counts > 0).sum())), 0.0)
    return torch.tensor(weights, dtype=torch.float32, device=device)
