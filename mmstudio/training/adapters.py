"""Heads that begin as the zero-shot classifier of the classes' names and learn from few examples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.training.fusion import Told

REDUCTION = 4
RATIO = 0.2
"""How much of a CLIP-Adapter's vector is the adapter's (Gao et al. 2021)."""
SCALE = 4.0
"""Logarithm of the sharpness of zero-shot shares, about 1 / 0.02."""
SHOTS = 16
"""So many votes a class has at most, however many examples are remembered of it."""
ALPHA, BETA = 1.0, 5.5
"""How much a Tip-Adapter's memory counts, and how sharply it tells near from far (Zhang et al. 2022)."""


class Adapter(nn.Module):
    """``anchors (classes, dim)`` are the vectors of the classes' names; what is read is the modalities' mean."""

    anchors: Tensor
    bias: Tensor | None

    def __init__(self, anchors: Tensor) -> None:
        super().__init__()
        self.register_buffer("anchors", F.normalize(anchors, dim=-1), persistent=False)
        self.log_scale = nn.Parameter(torch.tensor(SCALE))
        self.register_parameter("bias", None)

    def decide_each(self) -> None:
        """Tell each label by itself, by a bias that learns; ``settle`` gives it a beginning."""
        self.bias = nn.Parameter(torch.zeros(len(self.anchors)))

    @torch.no_grad()
    def settle(self, vectors: Tensor, present: Tensor, truth: Tensor) -> None:
        """Begin so that each label is told of as many of these examples as have it, ``truth (n, classes)``: a cosine to
        a label's name says what is nearer, and not whether it is near.
        """
        assert self.bias is not None
        logits = self(vectors, present).logits.sort(0, descending=True).values
        have = truth.sum(0).long()[None]
        edge = torch.cat([logits[:1] + 1, logits, logits[-1:] - 1])
        self.bias -= (edge.gather(0, have) + edge.gather(0, have + 1))[0] / 2

    def forward(self, vectors: Tensor, present: Tensor) -> Told:
        weights = present / present.sum(1, keepdim=True)
        mean = F.normalize((vectors * weights[..., None]).sum(1), dim=-1)
        return Told(self._told(mean), torch.stack([self._told(one) for one in vectors.unbind(1)], 1))

    def _told(self, vectors: Tensor) -> Tensor:
        logits = self.logits(vectors)
        return logits if self.bias is None else logits + self.bias

    def logits(self, vectors: Tensor) -> Tensor:
        """``(b, dim)`` of length 1 to ``(b, classes)``"""
        raise NotImplementedError

    def zero_shot(self, vectors: Tensor) -> Tensor:
        """``(b, classes)``: the scaled cosine to every class's name."""
        return self.log_scale.clamp(max=4.6052).exp() * vectors @ self.anchors.T


class ClipAdapter(Adapter):
    """A bottleneck beside the vector (CLIP-Adapter, Gao et al. 2021). Its last layer begins at nothing, so that the
    first answer is the zero-shot one.
    """

    def __init__(self, anchors: Tensor) -> None:
        super().__init__(anchors)
        dim = anchors.shape[1]
        self.down, self.up = nn.Linear(dim, dim // REDUCTION), nn.Linear(dim // REDUCTION, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def logits(self, vectors: Tensor) -> Tensor:
        adapted = self.up(F.relu(self.down(vectors)))
        return self.zero_shot(F.normalize((1 - RATIO) * vectors + RATIO * adapted, dim=-1))


class TipAdapter(Adapter):
    """A memory of the training examples: what lies near one votes for its class (Tip-Adapter, Zhang et al. 2022). The
    remembered vectors, the memory's weight and its sharpness learn on (Tip-Adapter-F).
    """

    values: Tensor

    def __init__(self, anchors: Tensor, keys: Tensor, values: Tensor) -> None:
        """``keys (k, dim)`` are remembered vectors, ``values (k, classes)`` what they vote for."""
        super().__init__(anchors)
        self.keys = nn.Parameter(F.normalize(keys, dim=-1))
        self.register_buffer("values", values / values.sum(0).div(SHOTS).clamp_min(1))
        self.alpha, self.beta = nn.Parameter(torch.tensor(ALPHA)), nn.Parameter(torch.tensor(BETA))

    def logits(self, vectors: Tensor) -> Tensor:
        nearness = vectors @ F.normalize(self.keys, dim=-1).T
        votes = torch.exp(-F.softplus(self.beta) * (1 - nearness)) @ self.values
        return self.zero_shot(vectors) + self.alpha * votes
