"""A head that tells a caption of pictures and sounds, word after word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.training.job import HEADS
from mmstudio.training.words import END, MARKS, MOST_TOKENS, PAD, START

LAYERS = 2


class Captioner(nn.Module):
    """A Transformer decoder (Vaswani et al. 2017) that attends to the vectors of the modalities that are there."""

    def __init__(self, dims: Sequence[int], words: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        width = -(-width // HEADS) * HEADS
        self.dims = tuple(dims)
        self.into = nn.ModuleList(nn.Linear(dim, width) for dim in dims)
        self.words = nn.Embedding(words + MARKS, width, padding_idx=PAD)
        nn.init.normal_(self.words.weight, std=width**-0.5)
        self.places = nn.Parameter(0.02 * torch.randn(MOST_TOKENS + 1, width))
        layer = nn.TransformerDecoderLayer(width, HEADS, 2 * width, dropout, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerDecoder(layer, layers or LAYERS, nn.LayerNorm(width))

    def forward(self, vectors: Tensor, present: Tensor, captions: Tensor) -> Tensor:
        """``vectors (b, m, dim)`` and ``captions (b, t)`` to ``(b, t, words)``: what follows the words before each."""
        before = F.pad(captions, (1, -1), value=START) if captions.shape[1] else captions
        return self._next(self._seen(vectors), present, before)

    def _seen(self, vectors: Tensor) -> Tensor:
        parts = (vectors[:, m, :dim] for m, dim in enumerate(self.dims))
        return torch.stack([layer(one) for layer, one in zip(self.into, parts, strict=True)], 1)

    def _next(self, seen: Tensor, present: Tensor, before: Tensor) -> Tensor:
        steps = before.shape[1]
        ahead = torch.ones(steps, steps, dtype=torch.bool, device=before.device).triu(1)
        x = self.words(before) * self.words.embedding_dim**0.5 + self.places[:steps]
        states = self.body(x, seen, tgt_mask=ahead, memory_key_padding_mask=~present, tgt_is_causal=True)
        return states @ self.words.weight.T

    def tell(self, vectors: Tensor, present: Tensor) -> Tensor:
        """``(b, t)`` the likeliest word after the likeliest words, up to the end of all or 32."""
        seen = self._seen(vectors)
        told = torch.full((len(vectors), 1), START, device=vectors.device)
        for _ in range(MOST_TOKENS):
            scores = self._next(seen, present, told)[:, -1]
            scores[:, [PAD, START]] = -torch.inf
            told = torch.cat([told, scores.argmax(-1, keepdim=True)], 1)
            if (told == END).any(1).all():
                break
        return told[:, 1:]

    def branches(self) -> list[list[nn.Parameter]]:
        """See FusionHead."""
        return [list(layer.parameters()) for layer in self.into]
