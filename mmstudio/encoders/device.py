"""Where models run, in which precision, and what to do when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmstudio.errors import EncoderError, OutOfMemory


def pick_device(wish: str = "auto") -> str:
    """The torch device for a wish of auto, cpu, cuda or mps. Raises EncoderError where a named one is missing."""
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wish == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if present[name])
    if not present.get(wish, False):
        raise EncoderError(f"This computer has no “{wish}” device that torch can use.", hint="Choose “auto” or “cpu”.")
    return wish


def dtype_for(device: str) -> Any:
    """bfloat16 or float16 on CUDA, float32 elsewhere."""
    import torch

    if not device.startswith("cuda"):
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


@contextmanager
def memory_errors_translated() -> Iterator[None]:
    """A device's or the machine's out-of-memory, whatever its type, raised as OutOfMemory."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        free_memory()
        raise OutOfMemory("The device's memory ran out.") from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "out of memory" in str(error).lower():
            free_memory()
            raise OutOfMemory("The device's memory ran out.") from error
        raise


def free_memory() -> None:
    """Give unused device memory back."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def describe_device(device: str) -> str:
    """The device's name for a person."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device == "mps" else f"CPU · {torch.get_num_threads()} threads"


def device_memory_bytes(device: str) -> int:
    """Memory in use: on the device for CUDA and MPS, of this program elsewhere."""
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.memory_allocated(device))
    if device == "mps":
        return int(torch.mps.current_allocated_memory())
    return program_memory_bytes()


def program_memory_bytes() -> int:
    """Resident memory of this program."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            import resource

            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)
