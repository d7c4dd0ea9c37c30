"""Where models run, in which precision, and what to do when memory runs out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmstudio.errors import EncoderError, OutOfMemory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


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


def require_memory(needed_bytes: int) -> None:
    """Raise OutOfMemory where the machine has less left: most systems grant it all the same, and end the program, or
    swap until nothing moves, once it is used.
    """
    import psutil

    left = psutil.virtual_memory().available
    if needed_bytes > left:
        return_freed_memory()
        left = psutil.virtual_memory().available
    if needed_bytes > left:
        raise OutOfMemory(f"The model takes {needed_bytes / 1e9:.1f} GB of memory, and {left / 1e9:.1f} GB are left.",
                          hint="Close other programs, or choose a smaller model.")


def keep_freed_memory() -> None:
    """Let a forward pass on the CPU reuse the memory of the last one.

    glibc maps every block over 32 MB anew and gives it back when freed, so that each pass faults its pages in again: a
    fifth of the processor's time for a Whisper encoder. Blocks over 64 MB are reused in the main arena only, so this
    comes before the first thread. What is kept, ``return_freed_memory`` gives back. Elsewhere nothing happens.
    Source: mallopt(3).
    """
    if sys.platform.startswith("linux") and (libc := _glibc()):
        for option, value in ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, 1 << 30), (M_ARENA_MAX, 1)):
            libc.mallopt(option, value)


def return_freed_memory() -> None:
    """Give the system back what ``keep_freed_memory`` held."""
    if sys.platform.startswith("linux") and (libc := _glibc()):
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library where it is glibc, else None."""
    import ctypes

    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def free_memory() -> None:
    """Give unused device memory back."""
    import torch

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
    import psutil

    return int(psutil.Process().memory_info().rss)
