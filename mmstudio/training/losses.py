"""What a run makes small: losses of single rows, and losses of pairs ``a (k, d)``, ``b (k, d)`` of unit vectors, whose
mean over the pairs is given.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GAMMA = 2.0
MARGIN = 0.2


def classification(logits: Tensor, classes: Tensor, smoothing: float, focal: bool) -> Tensor:
    """``(b,)`` cross-entropy of ``logits (b, c)`` and ``classes (b,)``, or the focal loss (Lin et al. 2017), which
    passes over what is easy.
    """
    each = F.cross_entropy(logits, classes, reduction="none", label_smoothing=smoothing)
    if focal:
        each = (1 - logits.softmax(-1).gather(1, classes[:, None])[:, 0]) ** GAMMA * each
    return each


def labels(logits: Tensor, told: Tensor, weights: Tensor | None, focal: bool) -> Tensor:
    """``(b,)`` binary cross-entropy of ``logits (b, c)`` and ``told (b, c)`` of 0 and 1, ``weights (c,)`` of the ones.
    """
    each = F.binary_cross_entropy_with_logits(logits, told, pos_weight=weights, reduction="none")
    if focal:
        each = (1 - torch.where(told > 0.5, logits.sigmoid(), 1 - logits.sigmoid())) ** GAMMA * each
    return each.mean(1)


def amounts(given: Tensor, wanted: Tensor, huber: bool) -> Tensor:
    """``(b,)`` squared or Huber error of ``(b,)``."""
    return (F.smooth_l1_loss if huber else F.mse_loss)(given, wanted, reduction="none")


def infonce(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Each row of ``a (k, d)`` picks its partner in ``b (k, d)`` and the other way round (van den Oord et al. 2018;
    Radford et al. 2021).
    """
    scores = scale * a @ b.T
    truth = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(scores, truth) + F.cross_entropy(scores.T, truth)) / 2


def siglip(a: Tensor, b: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Every pair alone is called a pair or not (Zhai et al. 2023)."""
    scores = scale * a @ b.T + bias
    signs = 2 * torch.eye(len(a), device=a.device) - 1
    return -F.logsigmoid(signs * scores).sum() / len(a)


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """``||f(x1) - f(x2)||^2`` of partners, with the spread of each side (VICReg, Bardes et al. 2022) kept from falling
    to one point.
    """
    near = ((a - b) ** 2).sum(1).mean()
    wanted = a.shape[1] ** -0.5
    spread = [F.relu(wanted - torch.sqrt(side.var(0, unbiased=False) + 1e-6)).mean() * a.shape[1] for side in (a, b)]
    return near + sum(spread, torch.zeros((), device=a.device))


def triplet(a: Tensor, b: Tensor) -> Tensor:
    """A partner lies nearer by a margin than the hardest stranger that is not nearer still, else than the hardest of
    all (semi-hard negatives, Schroff et al. 2015), on cosine distances.
    """
    distances = 1 - a @ b.T
    if len(a) < 2:
        return distances.diagonal().mean()
    out = []
    for table in (distances, distances.T):
        own = table.diagonal()
        strangers = table.masked_fill(torch.eye(len(table), dtype=torch.bool, device=table.device), torch.inf)
        semi = strangers.masked_fill(strangers <= own[:, None], torch.inf).min(1).values
        hardest = strangers.min(1).values
        negative = torch.where(torch.isfinite(semi), semi, hardest)
        out.append(F.relu(own - negative + MARGIN).mean())
    return (out[0] + out[1]) / 2
