"""A head as an ONNX file (https://onnx.ai/onnx), which other programs and languages run without torch."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mmstudio.errors import TrainingError

FURTHEST = 1e-4
"""So far may what ONNX Runtime gives lie from what torch gives."""
BATCHES = (1, 3, 64)
Tensors = tuple[torch.Tensor, ...]
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def is_possible() -> bool:
    """Whether the packages of the extra “onnx” are installed."""
    try:
        for name in _PACKAGES:
            importlib.import_module(name)
    except ImportError:
        return False
    return True


def write(head: nn.Module, modalities: int, vectors: Mapping[str, tuple[int, ...]], file: Path) -> None:
    """Write ``head``, which makes one tensor, the ``logits``, of what is named in ``vectors`` and ``present (b,
    modalities)`` bool, for any ``b``: either of “vectors” ``(modalities, dim)``, or of one ``(dim,)`` for each modality
    by its name, all float32. Raises TrainingError where it cannot be written so, or where the file gives other numbers
    than torch.
    """
    head.eval()
    examples = partial(_examples, modalities, tuple(vectors.values()))
    names, batch = [*vectors, "present"], {0: torch.export.Dim("batch")}
    write_checked(head, names, "logits", (batch, batch) if "vectors" in vectors else ((batch,) * len(names),),
                  [examples(size) for size in BATCHES], file, examples(2))


def write_checked(module: nn.Module, names: Sequence[str], output: str, shapes: Any, batches: Sequence[Tensors],
                  file: Path, traced: Tensors | None = None, wanted: Sequence[torch.Tensor] = ()) -> None:
    """Write ``module``, which makes one tensor, the ``output``, of what is named. ``shapes`` say which sizes vary, as
    ``torch.export`` has it; the module is traced on ``traced``, else on the second of ``batches``. Raises TrainingError
    where it cannot be written so, or where the file gives other numbers than torch on one of the batches: than
    ``wanted``, else than the module.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own workings
            program = torch.onnx.export(module, traced or batches[1], dynamo=True, verbose=False,
                                        input_names=list(names), output_names=[output], dynamic_shapes=shapes)
        assert program is not None
        written = program.model_proto.SerializeToString()
    except Exception as error:
        raise TrainingError(f"The model cannot be written as ONNX ({type(error).__name__}: {error}).") from error
    if not wanted:
        with torch.inference_mode():
            wanted = [module(*given) for given in batches]
    difference = _difference(wanted, written, names, batches)
    if not difference <= FURTHEST:
        raise TrainingError(f"The model as ONNX gives numbers that differ from its own by {difference:.2g}.")
    file.write_bytes(written)


def _difference(wanted: Sequence[torch.Tensor], written: bytes, names: Sequence[str],
                batches: Sequence[Tensors]) -> float:
    """The largest difference between torch and ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
        found = 0.0
        for given, by_torch in zip(batches, wanted, strict=True):
            told, = session.run(None, {name: one.numpy() for name, one in zip(names, given, strict=True)})
            found = max(found, float(np.abs(told - by_torch.numpy()).max()))
        return found
    except Exception as error:
        raise TrainingError(f"The model as ONNX does not run ({error}).") from error


def _examples(modalities: int, shapes: Sequence[tuple[int, ...]], size: int) -> tuple[torch.Tensor, ...]:
    """Vectors of length 1 in all directions; a third of those that may be missing are. Then which are present."""
    chance = torch.Generator().manual_seed(size)
    vectors = [F.normalize(torch.randn(size, *shape, generator=chance), dim=-1) for shape in shapes]
    present = torch.rand(size, modalities, generator=chance) > 1 / 3
    present[~present.any(1), 0] = True
    there = [present] if len(shapes[0]) > 1 else [present[:, m] for m in range(modalities)]
    return (*(one * is_there[..., None] for one, is_there in zip(vectors, there, strict=True)), present)
