"""In which numbers a run computes, and which of them this computer's device can."""

from __future__ import annotations

from mmstudio.errors import TrainingError


def unavailable() -> dict[str, str]:
    """The precisions of mixed training that the device cannot compute in, each with why."""
    import torch

    if torch.cuda.is_available():
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return {} if has else {"bf16": "This graphics card has no bfloat16."}
    if torch.backends.mps.is_available():
        return {"fp16": "Gradients in float16 need a CUDA graphics card."}
    return {"fp16": "float16 needs a CUDA graphics card; this computer trains on its processor."}


def chosen(wanted: str) -> str:
    """What Accelerate calls a precision, “no”, “bf16” or “fp16”: “auto” takes bfloat16 on a CUDA graphics card, else
    float16 there, and float32 elsewhere, where mixing gains nothing. Raises TrainingError where the
    device cannot.
    """
    import torch

    cannot = unavailable()
    if wanted in cannot:
        raise TrainingError(cannot[wanted], hint="Take “auto” or “fp32” as the precision.")
    if wanted == "auto":
        wanted = "fp32" if not torch.cuda.is_available() else "fp16" if "bf16" in cannot else "bf16"
    return "no" if wanted == "fp32" else wanted
