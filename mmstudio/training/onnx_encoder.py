"""The starter's towers as ONNX files, one for each modality: what is prepared to vectors of length 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.starter_towers import StarterModel, TowerOutput
from mmstudio.media import Modality
from mmstudio.training import onnx_head

INPUTS: dict[Modality, tuple[str, ...]] = {"image": ("pixels",), "text": ("ids", "mask"), "audio": ("mel", "mask")}
MOST_PATCHES, MOST_AUDIO_TOKENS = 64, 1000
"""On a side of a picture; of a sound."""
SIZES = ((1, 9), (2, 5), (3, 12))
"""Batches that torch and ONNX are compared on, with how long what they hold is."""


class Tower(nn.Module):
    """``pixels (n, 3, h, w)`` float32 in 0..1, sides a multiple of 8; ``ids`` and ``mask (n, t)``; or ``mel (n, bands,
    8 t)`` and ``mask (n, t)``: see ``StarterModel``. Gives ``(n, dim)``.
    """

    def __init__(self, model: StarterModel, modality: Modality) -> None:
        super().__init__()
        self.model, self.modality = model, modality

    def forward(self, *given: Tensor) -> Tensor:
        read: dict[Modality, Callable[..., TowerOutput]] = {
            "image": self.model.encode_image, "text": self.model.encode_text, "audio": self.model.encode_audio}
        return F.normalize(read[self.modality](*given).vectors.float(), dim=-1)


def write(model: StarterModel, modality: Modality, file: Path) -> None:
    """Write a tower with its inputs as ``INPUTS`` names them, and “vectors” as its output. Raises TrainingError where
    it cannot be written so, or where the file gives other numbers than torch.
    """
    most = model.config.max_text_tokens
    batch = torch.export.Dim("batch")
    shapes: dict[Modality, tuple[dict[int, Any], ...]] = {
        "image": ({0: batch, 2: 8 * torch.export.Dim("rows", max=MOST_PATCHES),
                   3: 8 * torch.export.Dim("columns", max=MOST_PATCHES)},),
        "text": ({0: batch, 1: (tokens := torch.export.Dim("tokens", max=most))}, {0: batch, 1: tokens}),
        "audio": ({0: batch, 2: 8 * (heard := torch.export.Dim("heard", max=MOST_AUDIO_TOKENS))},
                  {0: batch, 1: heard}),
    }
    onnx_head.write_checked(Tower(model, modality).eval(), INPUTS[modality], "vectors", (shapes[modality],),
                            [_given(model, modality, *size) for size in SIZES], file)


def _given(model: StarterModel, modality: Modality, size: int, longest: int) -> tuple[Tensor, ...]:
    """Chance in the shape of what a tower reads, each as long as the first or shorter."""
    chance = torch.Generator().manual_seed(size)
    if modality == "image":
        return (torch.rand(size, 3, 8 * longest, 8 * (longest + 2), generator=chance),)
    mask = torch.arange(longest) < torch.arange(longest, longest - size, -1)[:, None]
    if modality == "text":
        return torch.randint(0, model.tokenizer.get_vocab_size(), (size, longest), generator=chance), mask
    mel = torch.randn(size, model.filters.shape[1], 8 * longest, generator=chance)
    return mel, mask
