"""Heavy libraries brought in behind the window: mapped where that holds nobody up, and no more of them than needed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from mmstudio import explain

SHAPES = "torch._meta_registrations"
"""What torch's operations give on tensors without memory: a quarter of the time of ``import torch``."""

ASKED_FOR = ("asyncio", "unittest.mock", "cuda.bindings.driver", "cuda.bindings.runtime", "tokenizers", "tqdm")
"""What torch and the starter import, as far as it is there: it comes while torch's libraries are mapped."""
_COMPLETING = threading.Lock()


class _PutOff(ModuleType):
    """Stands for ``SHAPES`` while torch is imported, and brings the real one as soon as anybody asks it for a name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks through all modules for a file asks for these
            raise AttributeError(name)
        complete_torch()
        return getattr(sys.modules[SHAPES], name)


def import_torch_in_part() -> None:
    """Import torch without the shapes of its operations, which nothing but a model that is made without memory and
    then filled, as transformers makes them, asks for. ``complete_torch`` is to follow once there is time.
    """
    with ThreadPoolExecutor(1, "mapping") as beside:
        mapped = beside.submit(preload_torch)
        for name in ASKED_FOR:
            with suppress(ImportError):
                importlib.import_module(name)
        mapped.result()
    if "torch" not in sys.modules:
        sys.modules.setdefault(SHAPES, _PutOff(SHAPES))
    import torch  # noqa: F401


def is_whole() -> bool:
    """Whether nothing of torch was put off."""
    return not isinstance(sys.modules.get(SHAPES), _PutOff)


def complete_torch() -> None:
    """Import torch, or what ``import_torch_in_part`` left of it."""
    preload_torch()
    with _COMPLETING:
        if not is_whole():
            del sys.modules[SHAPES]
    importlib.import_module("torch")
    if importlib.util.find_spec(SHAPES) is not None:
        importlib.import_module(SHAPES)


def import_methods() -> None:
    """Import what explains, so that the window need not wait for it when a page is first seen. The pages themselves are
    Qt's, and no work for a thread, see ``worker``.
    """
    for found in pkgutil.iter_modules(explain.__path__):
        importlib.import_module(f"{explain.__name__}.{found.name}")


def preload_torch() -> None:
    """Map torch's libraries, so that the window stays smooth meanwhile; see ``preload``."""
    preload("torch", ("lib/libtorch_global_deps.so", "lib/libc10.so", "lib/libtorch_cpu.so", "lib/libtorch_python.so"),
            os.RTLD_GLOBAL)


def preload_lancedb() -> None:
    """Import LanceDB, which the first change of a project needs, without holding up the window."""
    preload("pyarrow", ("libarrow.so*", "libarrow_compute.so*", "libarrow_acero.so*", "libarrow_dataset.so*"))
    preload("lancedb", ("_lancedb*.so",))
    import lancedb  # noqa: F401


def preload(package: str, patterns: Sequence[str], scope: int = 0) -> None:
    """Map a package's libraries without holding the interpreter's lock.

    An import loads them through the import system, which holds the lock for as long as the linker takes; a foreign
    call of ``dlopen`` releases it, and the import then finds them loaded. Where this does not work, nothing is lost
    but smoothness.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return
    folder = Path(next(iter(found.submodule_search_locations)))
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for pattern in patterns:
        for library in sorted(folder.glob(pattern)):
            dlopen(os.fsencode(library), os.RTLD_NOW | scope)
