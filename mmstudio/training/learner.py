"""A job's model with its loss: what one step needs to know."""

from __future__ import annotations

from itertools import combinations
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmstudio.training import losses
from mmstudio.training.examples import TRAIN, Examples
from mmstudio.training.fusion import Aligner, FusionHead, Told, build
from mmstudio.training.job import TrainingJob

OGM_ALPHA = 0.5


class Learner:
    """``vectors (n, m, dim)``, ``present (n, m)``, ``targets`` lie on ``device``; rows name examples.

    Losses are sums over the given rows divided by the weight of ``whole``, the rows of a whole step: parts of a step
    add up to the step, on one device after another or on several at once.
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
        self.class_weights = _balanced(job, targets[train], device) if job.class_weights and len(train) else None
        self.model = build(job, self.vectors.shape[2]).to(device)

    def row_weights(self, rows: Tensor) -> Tensor:
        """``(b,)``"""
        if self.class_weights is None or self.job.task != "classification":
            return torch.ones(len(rows), device=self.vectors.device)
        return self.class_weights[self.targets[rows]]

    def loss(self, model: nn.Module, rows: Tensor, whole: Tensor, present: Tensor, whole_present: Tensor) -> tuple[
            Tensor, dict[str, Any]]:
        """The loss of ``rows (b,)``, and what to tell of it. ``present (b, m)`` is what may be seen."""
        if self.job.task == "alignment":
            return self._aligned(model, rows, present)
        told = cast(Told, model(self.vectors[rows], present))
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
        if self.job.balancing and self.job.task == "classification" and len(self.job.modalities) > 1:
            tell["sure"] = [float(told.alone[:, m].detach().softmax(-1).gather(1, self.targets[rows][:, None]).mean())
                            for m in range(len(self.job.modalities))]
        return loss, tell

    def each(self, logits: Tensor, rows: Tensor) -> Tensor:
        """``(b,)`` losses of ``logits (b, outputs)``."""
        job, targets = self.job, self.targets[rows]
        if job.task == "classification":
            return losses.classification(logits, targets, job.label_smoothing, job.loss_name == "focal")
        if job.task == "multi-label":
            return losses.labels(logits, targets, self.class_weights, job.loss_name == "focal")
        return losses.amounts(logits[:, 0], targets, job.loss_name == "huber")

    def _aligned(self, model: nn.Module, rows: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Any]]:
        made = model(self.vectors[rows], present)
        inner = cast(Aligner, getattr(model, "module", model))
        scale = inner.log_scale.clamp(max=4.6052).exp()
        total, pairs = torch.zeros((), device=made.device), dict[str, float]()
        for a, b in combinations(range(len(self.job.modalities)), 2):
            both = present[:, a] & present[:, b]
            if int(both.sum()) < 2:
                continue
            left, right = made[both, a], made[both, b]
            how = {"infonce": lambda x, y: losses.infonce(x, y, scale),
                   "siglip": lambda x, y: losses.siglip(x, y, scale, inner.bias),
                   "euclidean": losses.euclidean, "triplet": losses.triplet}[self.job.loss_name]
            loss = how(left, right)
            total = total + loss
            pairs[f"{self.job.modalities[a]} - {self.job.modalities[b]}"] = float(loss.detach())
        if not total.requires_grad:  # no pair in this batch
            total = made.sum() * 0
        return total, {"plain": float(total.detach()), "alone": pairs, "temperature": float(1 / scale.detach())}

    def balance(self, model: nn.Module, sure: list[float]) -> dict[str, float]:
        """Slow the gradients of the modality that is surest, and add noise as wide as they are (on-the-fly gradient
        modulation with generalisation enhancement, Peng et al. 2022).
        """
        inner = cast(FusionHead, getattr(model, "module", model))
        factors: dict[str, float] = {}
        for m, parameters in enumerate(inner.branches()):
            others = [s for k, s in enumerate(sure) if k != m]
            lead = sure[m] / max(1e-9, sum(others) / len(others))
            factor = 1 - float(np.tanh(OGM_ALPHA * lead)) if lead > 1 else 1.0
            factors[self.job.modalities[m]] = factor
            for parameter in parameters:
                if parameter.grad is not None and factor < 1:
                    noise = parameter.grad.std() if parameter.grad.numel() > 1 else 0.0
                    parameter.grad.mul_(factor).add_(torch.randn_like(parameter.grad) * noise)
        return factors

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], seen: tuple[int, ...] | None = None,
                batch: int = 4096) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``(k, outputs)`` and of each modality alone ``(k, m, outputs)``, in the targets' own units; aligned vectors
        are ``(k, m, outputs)`` twice. ``seen`` restricts the modalities that may be seen.
        """
        model.eval()
        together, alone = [], []
        allowed = torch.ones_like(self.present[:1])
        if seen is not None:
            allowed[:] = False
            allowed[:, list(seen)] = True
        with torch.no_grad():
            for start in range(0, len(rows), batch):
                some = torch.as_tensor(rows[start : start + batch], device=self.vectors.device)
                told = model(self.vectors[some], self.present[some] & allowed)
                pair = (told, told) if isinstance(told, Tensor) else (told.logits, told.alone)
                together.append(pair[0].float().cpu().numpy())
                alone.append(pair[1].float().cpu().numpy())
        model.train()
        m, outputs = len(self.job.modalities), self.job.outputs
        empty = np.zeros((0, m, outputs), np.float32)
        first = np.concatenate(together) if together else empty[:, 0]
        second = np.concatenate(alone) if alone else empty
        if self.job.task == "regression":
            first, second = first * self.spread + self.middle, second * self.spread + self.middle
        return first, second


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
