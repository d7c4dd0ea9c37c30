"""What the commands have in common: a model, limits, threads, a filter, and progress that is shown."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from mmstudio import settings
from mmstudio.encoders.base import Encoder
from mmstudio.library import Items
from mmstudio.media import Limits
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work


class Pages(Protocol):
    """Pages of a PDF, filled with pieces of HTML from top to bottom."""

    def add(self, html: str) -> None: ...

    def end(self) -> bytes: ...


MakePages = Callable[[str], Pages]
"""Begins pages of a title. Raises ImportError where this computer lacks what draws them."""
Command = Callable[[str, str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser]
"""Adds a command of a name, what it is for, and what it does."""


def with_model(made: argparse.ArgumentParser) -> None:
    made.add_argument("--model", default="starter", help="“starter”, a folder, or a hub name in the local cache")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def encoder_of(asked: argparse.Namespace) -> Encoder:
    from mmstudio.encoders import load_encoder

    encoder = load_encoder(asked.model, asked.device)
    note = getattr(encoder, "note", "")
    if note:
        print(f"mmstudio: {note}", file=sys.stderr)
    return encoder


def settings_here() -> settings.Settings:
    loaded, complaints = settings.load()
    for complaint in complaints:
        print(f"mmstudio: {complaint}", file=sys.stderr)
    return loaded


def limits_here() -> Limits:
    return Limits.of(settings_here())


def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2)))


def batch_size(text: str) -> int:
    if text == "auto":
        return 0
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("“auto” or a whole number from 1")
    return number


def is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


def passing(text: str, items: Items) -> list[int]:
    """The ids of the items that a filter lets pass."""
    from mmstudio.library.query import parse
    from mmstudio.library.query_match import matches

    return items.ids()[matches(parse(text), items.columns())].tolist()


def shown(work: Work[Any]) -> Any:
    """Run work and draw its progress on stderr, at most five times a second on a terminal and once at the end."""
    last, step = 0.0, Progress(0, 0)
    steps = _steps(work)
    for step in steps:
        if sys.stderr.isatty() and time.monotonic() - last > 0.2:
            last = time.monotonic()
            text = printable(step.text)[:50]
            print(f"\r\x1b[K{step.done:,} / {step.total:,} {text}", end="", file=sys.stderr, flush=True)
    end = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{end}{step.done:,} / {step.total:,} done", file=sys.stderr)
    return steps.outcome


class _steps(Iterator[Progress]):  # noqa: N801 - reads as a function
    """A generator's steps, then its outcome."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self.outcome: Any = None

    def __next__(self) -> Progress:
        try:
            return next(self._work)
        except StopIteration as stop:
            self.outcome = stop.value
            raise StopIteration from None
