"""What models of transformers do otherwise for other values, which cannot be written down for all of them at once, done
so that it can: the same numbers by arithmetic alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor


@contextmanager
def traceable(model: Any) -> Iterator[None]:
    """The model so for as long as it is written down."""
    with ExitStack() as stack:
        for module in model.modules():
            if hasattr(module, "resize_positional_embeddings"):  # of pictures in their own shape
                stack.enter_context(patch.object(module, "resize_positional_embeddings", resized))
            if getattr(module, "enable_fusion", False):  # of CLAP: no sound is marked as longer than its window
                stack.enter_context(patch.object(module, "enable_fusion", False))
                if hasattr(module, "fusion_model"):
                    stack.callback(module.register_forward_pre_hook(_whole_sound).remove)
        yield


def resized(table: Tensor, shapes: Tensor, max_length: int) -> Tensor:
    """Embeddings of places on a grid ``(rows, columns, dim)``, interpolated for grids of other ``shapes (n, 2)`` →
    ``(n, max_length, dim)``, row after row; behind a grid's last place whatever. It is bilinear with antialiasing, as
    ``torch.nn.functional.interpolate`` has it, as a product with the weights of each place's row and column. (On a
    processor that one gives other numbers where all of a picture is a single column of patches.)
    """
    rows, columns = shapes[:, :1], shapes[:, 1:]
    at = torch.arange(max_length, device=shapes.device)[None]
    by_row = _weights(torch.minimum(at // columns, rows - 1), rows, table.shape[0])
    by_column = _weights(at % columns, columns, table.shape[1])
    return torch.einsum("nti,ntj,ijd->ntd", by_row, by_column, table.float()).to(table.dtype)


def _weights(at: Tensor, count: Tensor, old: int) -> Tensor:
    """``(n, t)`` places of ``(n, 1)`` → ``(n, t, old)``: how much of each old place is in them, by a triangle as wide
    as a new place, or as an old one where these are wider.
    """
    scale = (old / count.float())[..., None]
    centre = (at.float()[..., None] + 0.5) * scale
    distance = (torch.arange(old, device=at.device) + 0.5 - centre).abs() / scale.clamp(min=1)
    weights = (1 - distance).clamp(min=0)
    return weights / weights.sum(dim=-1, keepdim=True)


def _whole_sound(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of the fused model's four channels the one that it reads of such a sound."""
    return (given[0][:, :1], *given[1:])
