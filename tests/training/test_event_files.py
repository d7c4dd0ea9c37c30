"""What TensorBoard reads of a run is what its curve holds. The files are parsed here by another way than they are
written: each record's checksum bit by bit, each event by the protocol buffers' wire format.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmstudio.progress import finish
from mmstudio.training import runs
from mmstudio.training.event_files import EventFile
from mmstudio.training.loop import train

Make = Callable[..., Path]
Points = dict[str, list[tuple[int, float]]]


@dataclass
class Event:
    """The part of TensorFlow's ``event.proto`` that is written; ``values`` are its summary's."""

    wall_time: float
    step: int
    file_version: str
    starts: bool
    values: list[tuple[str, float]]


def _fields(message: bytes) -> dict[int, list[Any]]:
    """A protocol buffer's values by field: bytes, numbers, or what a double or a float is."""
    found: dict[int, list[Any]] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        value: Any
        if key & 7 == 0:
            value = number()
        else:
            length = {1: 8, 5: 4}.get(key & 7) or number()
            value, at = message[at : at + length], at + length
            if key & 7 != 2:
                value, = struct.unpack("<d" if length == 8 else "<f", value)
        found.setdefault(key >> 3, []).append(value)
    return found


def _event(content: bytes) -> Event:
    told = _fields(content)
    assert told.keys() <= {1, 2, 3, 5, 7}
    values = [_fields(value) for summary in told.get(5, []) for value in _fields(summary)[1]]
    return Event(told[1][0], told[2][0], told.get(3, [b""])[0].decode(), _fields(told.get(7, [b""])[0]) == {1: [1]},
                 [(value[1][0].decode(), value[2][0]) for value in values])


def _crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _masked(content: bytes) -> int:
    crc = _crc32c(content)
    return (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def _events(file: Path) -> Iterator[Event]:
    """The events up to where the file ends or is torn."""
    content, at = file.read_bytes(), 0
    while at + 12 <= len(content):
        length, check = struct.unpack_from("<QI", content, at)
        assert check == _masked(content[at : at + 8])
        record = content[at + 12 : at + 12 + length]
        if at + 16 + length > len(content):
            return
        assert struct.unpack_from("<I", content, at + 12 + length)[0] == _masked(record)
        yield _event(record)
        at += 16 + length


def _points(folder: Path) -> Points:
    """What TensorBoard shows of the files in their order: a START purges what was told of its step and later ones."""
    points: Points = {}
    for file in sorted((folder / "tensorboard").iterdir()):
        assert "tfevents" in file.name
        for event in _events(file):
            if event.starts:
                points = {tag: [point for point in told if point[0] < event.step] for tag, told in points.items()}
            for tag, value in event.values:
                points.setdefault(tag, []).append((event.step, value))
    return {tag: told for tag, told in points.items() if told}


def _curve(folder: Path) -> Points:
    """The same of ``metrics.jsonl``."""
    points: Points = {}
    for line in runs.Curve(folder).more()[0]:
        values = {f"validation/{name}": value for name, value in line.get("validation", {}).items()}
        if not values:
            values = {f"train/{name}": value for name, value in line.items() if name != "step"}
        for tag, value in values.items():
            each = {f"{tag}/{name}": one for name, one in value.items()} if isinstance(value, dict) else {tag: value}
            for name, one in each.items():
                points.setdefault(name, []).append((line["step"], one))
    return points


def _same(folder: Path) -> None:
    told, expected = _points(folder), _curve(folder)
    assert told.keys() == expected.keys()
    for tag, points in expected.items():
        assert told[tag] == [(step, pytest.approx(value, rel=1e-6)) for step, value in points], tag


def test_the_checksum_is_crc32c() -> None:
    assert _crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value


def test_a_runs_event_file_holds_every_scalar_of_its_curve(make_run: Make) -> None:
    folder = make_run(fusion="gated", epochs=3)
    finish(train(folder))
    _same(folder)
    told = _points(folder)
    assert {"train/loss", "train/lr", "train/weights/audio", "train/alone/text", "validation/accuracy"} <= told.keys()
    assert len(told["train/loss"]) == 3 * 8
    first, *others = _events(next((folder / "tensorboard").iterdir()))
    assert first.file_version == "brain.Event:2"
    times = [event.wall_time for event in others]
    made, spent = runs.look(folder).provenance.created, runs.state_of(folder).seconds
    assert times == sorted(times)
    assert made <= times[0] <= times[-1] <= made + spent + 0.01


def test_killed_and_continued_the_event_files_lose_and_double_no_step(make_run: Make) -> None:
    folder = make_run(epochs=40, batch=20)
    child = subprocess.Popen([sys.executable, "-m", "mmstudio", "train", str(folder)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(_curve(folder).get("validation/loss", [])) < 3 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    finish(train(folder))
    assert len(list((folder / "tensorboard").iterdir())) == 2
    _same(folder)
    steps = Counter(step for step, _ in _points(folder)["train/loss"])
    assert steps == Counter(range(1, 40 * 20 + 1))


def test_event_files_that_were_deleted_are_made_again_when_the_run_goes_on(make_run: Make) -> None:
    folder = make_run(epochs=4)
    work = train(folder)
    next(work)
    work.close()
    for file in (folder / "tensorboard").iterdir():
        file.unlink()
    finish(train(folder))
    _same(folder)


@pytest.mark.parametrize(("value", "told"), [
    (float("nan"), "nan"), (float("inf"), "inf"), (-1e300, "-inf"), (1e-300, "0.0"), (3, "3.0")])
def test_numbers_that_a_float_cannot_hold_are_told_as_near_as_can_be(tmp_path: Path, value: float, told: str) -> None:
    file = EventFile(tmp_path, 0.0)
    file.add({"step": 2**40, "loss": value, "ü name": 1.0, "text": "none"})
    file.close()
    *_, last = _events(next(tmp_path.iterdir()))
    assert last.step == 2**40
    assert [(tag, str(value)) for tag, value in last.values] == [("train/loss", told), ("train/ü name", "1.0")]
