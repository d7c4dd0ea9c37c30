"""Many items through one encoder: every key once, memory errors survived, decoding bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.encoders import Encoder, Prepared
from mmstudio.encoders.base import encode
from mmstudio.encoders.pipeline import BatchSize, Encoded, Failed, encode_refs
from mmstudio.errors import OutOfMemory
from mmstudio.media import Limits, MediaRef


class SmallDevice:
    """The starter on a pretended device that holds at most ``most`` items at once."""

    def __init__(self, encoder: Encoder, most: int, device: str = "cuda") -> None:
        self._encoder, self.most, self.device = encoder, most, device
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def to(self, device: str) -> None:
        self.device = device

    def forward(self, batch: Sequence[Prepared]) -> np.ndarray:
        if self.device != "cpu" and len(batch) > self.most:
            raise OutOfMemory("The device's memory ran out.")
        self.sizes.append(len(batch))
        return self._encoder.forward(batch)


def _texts(count: int) -> list[tuple[int, MediaRef]]:
    return [(i, MediaRef(Path(), "text", text="word " * (1 + i % 7) + str(i))) for i in range(count)]


def test_every_item_gets_exactly_one_answer_equal_to_encoding_it_alone(
    starter: Encoder, pool: ThreadPoolExecutor, limits: Limits, make_picture: Callable[..., Path],
    make_sound: Callable[..., Path], tmp_path: Path,
) -> None:
    pictures = [make_picture(f"{i}.png", "red", 40 + 7 * i) for i in range(5)]
    sounds = [make_sound(f"{i}.wav", 300 + 90 * i, 0.2 + 0.3 * i) for i in range(4)]
    missing = tmp_path / "missing.png"
    refs = [MediaRef(p, "image") for p in [*pictures, missing]] + [MediaRef(s, "audio") for s in sounds]
    refs += [ref for _, ref in _texts(70)]
    seen: dict[int, np.ndarray | None] = {}
    for outcome in encode_refs(starter, enumerate(refs), limits, pool, batch=3):
        keys = [outcome.key] if isinstance(outcome, Failed) else outcome.keys
        assert not set(keys) & set(seen)
        vectors = [None] if isinstance(outcome, Failed) else list(outcome.vectors)
        seen.update(zip(keys, vectors, strict=True))
    assert sorted(seen) == list(range(len(refs)))
    assert [key for key, vector in seen.items() if vector is None] == [5]
    for key in (12, 47, 79):
        alone = encode(starter, [refs[key].text], "text")[0]
        assert np.abs(seen[key] - alone).max() <= 1e-5


def test_a_batch_too_large_for_the_device_is_halved_and_the_job_goes_on(
    starter: Encoder, pool: ThreadPoolExecutor, limits: Limits,
) -> None:
    small = SmallDevice(starter, most=5)
    outcomes = list(encode_refs(small, _texts(40), limits, pool, batch=16))  # type: ignore[arg-type]
    assert sum(len(o.keys) for o in outcomes if isinstance(o, Encoded)) == 40
    assert max(small.sizes) <= 5
    assert small.device == "cuda"


def test_a_single_item_too_large_for_the_device_moves_the_model_to_the_cpu_and_says_so(
    starter: Encoder, pool: ThreadPoolExecutor, limits: Limits,
) -> None:
    small = SmallDevice(starter, most=0)
    outcomes = list(encode_refs(small, _texts(3), limits, pool))  # type: ignore[arg-type]
    assert sum(len(o.keys) for o in outcomes if isinstance(o, Encoded)) == 3
    assert small.device == "cpu"
    assert any("CPU" in o.note for o in outcomes if isinstance(o, Encoded))


def test_closing_early_stops_decoding(starter: Encoder, pool: ThreadPoolExecutor, limits: Limits) -> None:
    asked = 0

    def endless() -> Any:
        nonlocal asked
        while True:
            asked += 1
            yield asked, MediaRef(Path("/nowhere.png"), "image")

    work = encode_refs(starter, endless(), limits, pool, batch=4)
    for _ in range(3):
        assert isinstance(next(work), Failed)
    work.close()
    assert asked < 40


def test_the_batch_size_grows_while_that_is_faster_and_settles() -> None:
    size = BatchSize(0, "cpu")
    for _ in range(40):
        rate = {8: 100, 16: 180, 32: 185, 64: 120}[size.now]
        size.took(size.now, size.now / rate)
    assert size.now == 16
    fixed = BatchSize(7, "cpu")
    fixed.took(7, 0.1)
    fixed.took(7, 0.1)
    assert fixed.now == 7
