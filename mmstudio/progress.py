"""What long work tells about itself.

Long work in the core is a generator that yields ``Progress`` and stops when it is closed. Its return value is the
outcome. It knows no thread and no window.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One step of long work: ``done`` of ``total`` (``total`` 0 while unknown), and what it is on now.

    ``fresh`` is what this step made available before the work's end: items added, vectors, a partial layout.
    """

    done: int
    total: int
    text: str = ""
    fresh: Any = None


Work = Generator[Progress, None, T]


def retold(work: Work[T], tell: Callable[[Progress], Progress]) -> Work[T]:
    """The same work, of whose steps those are told that ``tell`` makes of them. Closed, it closes the work."""
    try:
        while True:
            try:
                step = next(work)
            except StopIteration as stop:
                return stop.value
            yield tell(step)
    finally:
        work.close()


def finish(work: Work[T]) -> T:
    """Run long work to its end without looking at its progress, and give its outcome."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
