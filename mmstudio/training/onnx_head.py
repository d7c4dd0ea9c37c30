"""A head as an ONNX file (https://onnx.ai/onnx), which other programs and languages run without torch."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mmstudio.errors import TrainingError

FURTHEST = 1e-4
"""So far may what ONNX Runtime gives lie from what torch gives."""
BATCHES = (1, 3, 64)
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def is_possible() -> bool:
    """Whether the packages of the extra “onnx” are installed."""
    try:
        for name in _PACKAGES:
            importlib.import_module(name)
    except ImportError:
        return False
    return True


def write(head: nn.Module, modalities: int, dim: int, file: Path) -> None:
    """Write ``head``, which makes one tensor, the ``logits``, of ``vectors (b, modalities, dim)`` float32 and
    ``present (b, modalities)`` bool, for any ``b``. Raises TrainingError where it cannot be written so, or where the
    file gives other numbers than torch.
    """
    head.eval()
    batch = {0: torch.export.Dim("batch")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own workings
            program = torch.onnx.export(
                head, _examples(2, modalities, dim), dynamo=True, verbose=False, input_names=["vectors", "present"],
                output_names=["logits"], dynamic_shapes=(batch, batch))
        assert program is not None
        written = program.model_proto.SerializeToString()
    except Exception as error:
        raise TrainingError(f"The head cannot be written as ONNX ({type(error).__name__}: {error}).") from error
    difference = _difference(head, written, modalities, dim)
    if not difference <= FURTHEST:
        raise TrainingError(f"The head as ONNX gives numbers that differ from its own by {difference:.2g}.")
    file.write_bytes(written)


def _difference(head: nn.Module, written: bytes, modalities: int, dim: int) -> float:
    """The largest difference between torch and ONNX Runtime, over batches of several sizes with gaps."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
        found = 0.0
        for size in BATCHES:
            vectors, present = _examples(size, modalities, dim)
            with torch.inference_mode():
                wanted = head(vectors, present).numpy()
            told, = session.run(None, {"vectors": vectors.numpy(), "present": present.numpy()})
            found = max(found, float(np.abs(told - wanted).max()))
        return found
    except Exception as error:
        raise TrainingError(f"The head as ONNX does not run ({error}).") from error


def _examples(size: int, modalities: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of length 1 in all directions; a third of those that may be missing are."""
    chance = torch.Generator().manual_seed(size)
    vectors = F.normalize(torch.randn(size, modalities, dim, generator=chance), dim=-1)
    present = torch.rand(size, modalities, generator=chance) > 1 / 3
    present[~present.any(1), 0] = True
    return vectors * present[..., None], present
