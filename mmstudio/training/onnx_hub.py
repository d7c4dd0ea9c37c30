"""An encoder of transformers as ONNX files, one for each modality: what its preprocessing gives to unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.hf import Given, HubEncoder, Piece, Reader, mask_of, padded, pieces_of, stacked
from mmstudio.errors import TrainingError
from mmstudio.media import Media, Modality
from mmstudio.media.load import AudioClip
from mmstudio.training import onnx_head
from mmstudio.training.onnx_traceable import traceable

SIZES = (1, 3, 2)
"""Batches that torch and ONNX are compared on."""
WORDS = ("a dog", "rain on a roof at night, and far away a bell", "red", "a very small cat")


class _Asked(Given):
    """Makes the tensors from pieces, and remembers which were asked for: the names of the inputs."""

    def __init__(self, model: Any, pieces: Sequence[Piece]) -> None:
        super().__init__({})
        self._model, self._pieces = model, pieces
        self.tensors: dict[str, Tensor] = {}

    def stacked(self, key: str) -> Any:
        self.tensors[key] = stacked(self._model, self._pieces, key)
        return self.tensors[key]

    def padded(self, key: str, value: float) -> tuple[Any, Any]:
        self.tensors[key], self.tensors[mask_of(key)] = padded(self._model, self._pieces, key, value)
        return self.tensors[key], self.tensors[mask_of(key)]


class _Reads(nn.Module):
    def __init__(self, model: Any, reader: Reader, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self._reader, self._names = model, reader, names

    def forward(self, *given: Tensor) -> Tensor:
        pieces = cast("Sequence[Piece]", Given(dict(zip(self._names, given, strict=True))))
        return F.normalize(self._reader.vectors(self.model, pieces).float(), dim=-1)


def write(encoder: HubEncoder, modality: Modality, file: Path) -> tuple[str, ...]:
    """Write how the encoder reads a modality, for any number of items and lengths of texts and sounds, with “vectors”
    as its output; gives the names of the inputs. Raises TrainingError where it cannot be written so, or where the file
    gives other numbers than the encoder.
    """
    model, reader = encoder.model.eval().float(), encoder.readers[modality]
    batches, wanted = zip(*(_batch(encoder, modality, size) for size in SIZES), strict=True)
    names = tuple(batches[0])
    with traceable(model):
        onnx_head.write_checked(_Reads(model, reader, names).eval(), names, "vectors", (_sizes(batches),),
                                [tuple(batch.values()) for batch in batches], file, wanted=wanted)
    return names


def _sizes(batches: Sequence[dict[str, Tensor]]) -> tuple[dict[int, Any], ...]:
    """Which sizes vary: how many, and how long is what is padded, or not alike in all batches."""
    names = batches[0].keys()
    filled_up = any(name.endswith("_mask") for name in names)
    batch, longest = torch.export.Dim("batch"), torch.export.Dim("longest" if filled_up else "length")
    long = {name for name in names if mask_of(name) in names or name.endswith("_mask")
            or len({one[name].shape[1:] for one in batches}) > 1}
    return tuple({0: batch, 1: longest} if name in long else {0: batch} for name in names)


def _batch(encoder: HubEncoder, modality: Modality, size: int) -> tuple[dict[str, Tensor], Tensor]:
    """Some items as the model gets them, by the names of its inputs, and their vectors."""
    reader = encoder.readers[modality]
    alike = not getattr(reader, "masks", True)  # sounds of unlike length run apart, so a file's are of one
    prepared = [encoder.prepare(_medium(encoder, modality, at, size + at * (not alike)), modality)
                for at in range(size)]
    pieces = [piece for one in prepared for piece in pieces_of(one)]
    asked = _Asked(encoder.model, pieces)
    with torch.inference_mode():
        try:
            reader.vectors(encoder.model, cast("Sequence[Piece]", asked))
        except TypeError as error:
            raise TrainingError(f"How this model reads {modality} cannot be written as ONNX: it needs more than its "
                                "inputs.") from error
        wanted = F.normalize(reader.vectors(encoder.model, pieces).float(), dim=-1)
    return {name: tensor.clone() for name, tensor in asked.tensors.items()}, wanted


def _medium(encoder: HubEncoder, modality: Modality, at: int, longer: int) -> Media:
    """Something of a modality, other for each number."""
    rng = np.random.default_rng(at)
    if modality == "text":
        return WORDS[at]
    if modality == "image":
        return Image.fromarray(rng.integers(0, 256, (48 + 24 * at, 80, 3), np.uint8))
    wave = rng.normal(0, 0.1, encoder.sample_rate_hz * (10 + longer) // 10).astype(np.float32)
    return AudioClip((wave,), encoder.sample_rate_hz)
