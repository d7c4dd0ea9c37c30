"""Training examples made before they are asked for: a GPU learns faster than one processor draws and speaks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Generic, TypeVar

from common import DEVICE

T = TypeVar("T")
Place = tuple[int, int]
"""A step, and how many examples were seen before it."""


def workers() -> int:
    """Processes that make examples beside the training: STARTER_WORKERS, or on a GPU most cores, else none."""
    most = max(1, (os.cpu_count() or 2) - 2) if DEVICE.type == "cuda" else 0
    return int(os.environ.get("STARTER_WORKERS", most))


class Ahead(Generic[T]):
    """What `make` gives for one place after another, the same whether it is made here or by processes beside."""

    def __init__(self, make: Callable[[int, int], T], after: Callable[[int, int], Place], processes: int) -> None:
        self.make, self.after, self.depth = make, after, 3 * processes
        self.pool = ProcessPoolExecutor(processes, get_context("spawn")) if processes else None
        self.waiting: deque[tuple[Place, Future[T]]] = deque()

    def at(self, step: int, seen: int) -> T:
        """Made now, or waited for; what follows is begun. Places that were passed over are dropped."""
        if self.pool is None:
            return self.make(step, seen)
        while self.waiting and self.waiting[0][0] != (step, seen):
            self.waiting.popleft()
        place = self.after(*self.waiting[-1][0]) if self.waiting else (step, seen)
        while len(self.waiting) < self.depth:
            self.waiting.append((place, self.pool.submit(self.make, *place)))
            place = self.after(*place)
        return self.waiting.popleft()[1].result()

    def close(self) -> None:
        """Processes end with what they are making."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
