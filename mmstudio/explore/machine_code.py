"""Inner loops compiled by numba (LLVM) and kept in the user's cache; they hold no lock of the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from mmstudio import paths

numba.config.CACHE_DIR = str(paths.compiled_code())


def compiled(*signature: str) -> Callable[[Callable[..., None]], Any]:
    """A decorator: with a ``signature`` the function is compiled at once, without at its first call, or it is read from
    what was compiled before.
    """
    def compile_(function: Callable[..., None]) -> Any:
        try:
            return numba.njit(*signature, nogil=True, cache=True)(function)
        except RuntimeError:  # nowhere to keep what is compiled, or no source to know it by
            return numba.njit(*signature, nogil=True)(function)

    return compile_
