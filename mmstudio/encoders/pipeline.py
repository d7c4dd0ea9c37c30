"""Many items through one encoder: decoding runs ahead in a pool while the model computes."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from mmstudio.encoders.base import Encoder, Prepared, Vectors
from mmstudio.encoders.device import return_freed_memory
from mmstudio.errors import EncoderError, OutOfMemory, StudioError
from mmstudio.media import Limits, MediaRef, Modality, load

TEXTS_PER_TASK = 64
BUCKET_BATCHES = 16
"""Texts are sorted by length within this many batches, so that a batch holds hardly any padding."""


@dataclass(frozen=True)
class Encoded:
    """Vectors ``(n, dim)`` float32 of the items with these keys; ``note`` says when the device changed."""

    keys: list[int]
    vectors: Vectors
    note: str = ""


@dataclass(frozen=True)
class Failed:
    """An item that could not be encoded, and why."""

    key: int
    error: StudioError


class BatchSize:
    """Finds the batch size by itself: doubles while that makes it faster, halves when memory runs out.

    A fixed wish is kept, except that it too is halved rather than failing.
    """

    def __init__(self, wish: int, device: str) -> None:
        on_gpu = not device.startswith("cpu")
        self.now = wish or (32 if on_gpu else 8)
        self._most = wish or (1024 if on_gpu else 64)
        self._rates: dict[int, float] = {}

    def took(self, count: int, seconds: float) -> None:
        """Learn from one batch; batches that were not full say nothing."""
        if count < self.now or self.now * 2 > self._most:
            return
        known = self.now in self._rates
        self._rates[self.now] = max(self._rates.get(self.now, 0.0), count / max(seconds, 1e-9))
        if known and self._rates[self.now] > 1.08 * self._rates.get(self.now // 2, 0.0):
            self.now *= 2
        elif known:
            self.now = max(1, self.now // 2)
            self._most = self.now

    def halve(self) -> None:
        """Memory ran out at this size."""
        self.now = max(1, self.now // 2)
        self._most = self.now


def encode_refs(
    encoder: Encoder, refs: Iterable[tuple[int, MediaRef]], limits: Limits, pool: Executor, batch: int = 0,
) -> Iterator[Encoded | Failed]:
    """Yield vectors and failures in the order in which they become ready; each key comes exactly once.

    At most a few batches of decoded media are held, however many ``refs`` there are. Closing the iterator stops it.
    """
    try:
        yield from _encoded(encoder, refs, limits, pool, BatchSize(batch, encoder.device))
    finally:
        return_freed_memory()


def _encoded(
    encoder: Encoder, refs: Iterable[tuple[int, MediaRef]], limits: Limits, pool: Executor, size: BatchSize,
) -> Iterator[Encoded | Failed]:
    waiting: dict[Modality, list[tuple[int, Prepared]]] = {}
    for key, outcome in _prepared_ahead(encoder, refs, limits, pool, size):
        if isinstance(outcome, StudioError):
            yield Failed(key, outcome)
            continue
        held = waiting.setdefault(outcome.modality, [])
        held.append((key, outcome))
        full = size.now * (BUCKET_BATCHES if outcome.modality == "text" else 1)
        if len(held) >= full:
            yield from _forward_sorted(encoder, held, size)
            held.clear()
    for held in waiting.values():
        yield from _forward_sorted(encoder, held, size)


def _prepared_ahead(
    encoder: Encoder, refs: Iterable[tuple[int, MediaRef]], limits: Limits, pool: Executor, size: BatchSize,
) -> Iterator[tuple[int, Prepared | StudioError]]:
    tasks = _tasks(refs)
    running: deque[Future[list[tuple[int, Prepared | StudioError]]]] = deque()
    try:
        while True:
            while len(running) < max(4, 2 * size.now) and (task := next(tasks, None)):
                running.append(pool.submit(_prepare_all, encoder, task, limits))
            if not running:
                return
            yield from running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _tasks(refs: Iterable[tuple[int, MediaRef]]) -> Iterator[list[tuple[int, MediaRef]]]:
    """One picture or sound per task, many texts per task: a text is too small to be worth a task of its own."""
    for is_text, group in itertools.groupby(refs, key=lambda r: r[1].modality == "text"):
        while chunk := list(itertools.islice(group, TEXTS_PER_TASK if is_text else 1)):
            yield chunk


def _prepare_all(
    encoder: Encoder, task: list[tuple[int, MediaRef]], limits: Limits,
) -> list[tuple[int, Prepared | StudioError]]:
    return [(key, _prepare(encoder, ref, limits)) for key, ref in task]


def _prepare(encoder: Encoder, ref: MediaRef, limits: Limits) -> Prepared | StudioError:
    try:
        media = load(ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
        return encoder.prepare(media, ref.modality)
    except StudioError as error:
        error.path = error.path or str(ref.path)
        return error
    except Exception as error:  # noqa: BLE001 - one item that a library stumbles over must not end the job
        return EncoderError(f"It could not be prepared for the model ({type(error).__name__}: {error}).", path=ref.path)


def _forward_sorted(
    encoder: Encoder, held: list[tuple[int, Prepared]], size: BatchSize,
) -> Iterator[Encoded | Failed]:
    rest = deque(sorted(held, key=lambda pair: pair[1].length, reverse=True))
    while rest:
        batch = [rest.popleft() for _ in range(min(size.now, len(rest)))]
        yield from _forward(encoder, batch, size)


def _forward(encoder: Encoder, batch: list[tuple[int, Prepared]], size: BatchSize) -> Iterator[Encoded | Failed]:
    keys, inputs = [key for key, _ in batch], [prepared for _, prepared in batch]
    started = time.perf_counter()
    try:
        vectors = encoder.forward(inputs)
    except OutOfMemory as error:
        if len(batch) > 1:
            size.halve()
            middle = len(batch) // 2
            yield from _forward(encoder, batch[:middle], size)
            yield from _forward(encoder, batch[middle:], size)
        elif encoder.device != "cpu":
            device = encoder.device
            encoder.to("cpu")
            yield Encoded(keys, encoder.forward(inputs), f"The memory of {device} is too small; going on on the CPU.")
        else:
            yield Failed(keys[0], error)
        return
    except StudioError as error:
        yield from (Failed(key, error) for key in keys)
        return
    size.took(len(batch), time.perf_counter() - started)
    yield Encoded(keys, vectors)
