"""A run's curve as TensorBoard reads it: event files of scalars, written by hand for they are small.

A file is a row of records (TensorFlow's ``lib/io/record_writer.h``): a length (uint64), its masked CRC-32C, the
content, its masked CRC-32C, all little-endian. Each content is an ``Event`` of ``tensorflow/core/util/event.proto``.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_VERSION, _STARTED = b"brain.Event:2", b"\x08\x01"  # SessionLog.status = START
_LARGEST = 3.4028235e38  # of float32


class EventFile:
    """The newest file in ``folder``, which follows a curve from ``step`` on. TensorBoard purges what files before it
    tell of later steps; where there are none, this one begins with the ``lines`` that ``metrics.jsonl`` has so far.

    An event's wall time is when the run was ``created`` (seconds since 1970) and the seconds it has trained since:
    TensorBoard's relative time leaves out when the run stood still. Every method may raise OSError.
    """

    def __init__(self, folder: Path, created: float, step: int = 0, lines: Iterable[dict[str, Any]] = ()) -> None:
        folder.mkdir(exist_ok=True)
        is_first = not any(folder.glob("*.tfevents.*"))
        self._file = open(folder / f"events.out.tfevents.{time.time_ns() // 1000}.mmstudio", "wb")  # noqa: SIM115
        self._created, self._seconds = created, 0.0
        self._write(0, _message(3, _VERSION))
        self._write(1 if is_first else step + 1, _message(7, _STARTED))
        for line in lines:
            self._seconds = line.get("seconds", self._seconds)
            if is_first:
                self.add(line)

    def add(self, line: dict[str, Any]) -> None:
        """One line of ``metrics.jsonl``."""
        self._seconds = line.get("seconds", self._seconds)
        values = [_named(name) + _float32(value) for name, value in scalars(line)]
        self._write(line.get("step", 0), _message(5, b"".join(values)))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, what: bytes) -> None:
        event = b"\x09" + struct.pack("<d", self._created + self._seconds) + b"\x10" + _varint(step) + what
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))


def scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a line by TensorBoard's names: ``train/loss``, ``train/weights/image``, ``validation/accuracy``.
    """
    groups = {"validation": line["validation"]} if "validation" in line else {"train": line}
    for group, values in groups.items():
        for name, value in values.items():
            members = value.items() if isinstance(value, dict) else [("", value)]
            for member, number in members:
                if name != "step" and isinstance(number, int | float):
                    yield "/".join(filter(None, (group, name, member))), float(number)


def _message(field: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


@cache
def _named(tag: str) -> bytes:
    """A ``Summary.Value`` up to its four bytes of ``simple_value``."""
    value = _message(1, tag.encode()) + b"\x15"
    return b"\x0a" + _varint(len(value) + 4) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _float32(value: float) -> bytes:
    return struct.pack("<f", math.copysign(math.inf, value) if abs(value) > _LARGEST else value)


def _checksum(content: bytes) -> bytes:
    """CRC-32C (Castagnoli, RFC 3720) rotated and shifted, so that a file of checksums has checksums of its own."""
    table, crc = _table(), 0xFFFFFFFF
    for (pair,) in struct.iter_unpack("<H", content[: len(content) & ~1]):
        crc = table[(crc ^ pair) & 0xFFFF] ^ crc >> 16
    if len(content) & 1:
        crc = _divided((crc ^ content[-1]) & 0xFF, 8) ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _divided(value: Any, bits: int) -> Any:
    """The remainder of so many bits, least first; of a number or of an array of them."""
    for _ in range(bits):
        value = value >> 1 ^ (value & 1) * 0x82F63B78
    return value


@cache
def _table() -> list[int]:
    """Of two bytes at once: Python takes half as many steps."""
    return _divided(np.arange(1 << 16), 16).tolist()
