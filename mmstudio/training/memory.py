"""How much memory a run has taken at most, and how less of it suffices."""

from __future__ import annotations

import sys

import torch

from mmstudio.errors import OutOfMemory


def peaks(device: torch.device) -> dict[str, int]:
    """The most bytes so far, of this “process” and on a “graphics card”: resident, and allocated by torch."""
    found = {"process": _resident()}
    if device.type == "cuda":
        found["graphics card"] = int(torch.cuda.max_memory_allocated(device))
    return found


def _resident() -> int:
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def is_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the processor or of the device."""
    return isinstance(error, torch.OutOfMemoryError | OutOfMemory) or "can't allocate memory" in str(error)


def release() -> None:
    """Give the device back what torch holds in reserve."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
