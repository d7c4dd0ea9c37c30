"""A trial of a run in a process of its own, and what it tells. Needs no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmstudio.errors import TrainingError
from mmstudio.progress import Progress, Work

LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Rehearsal:
    """What a few steps told. ``seconds`` is for all ``steps`` and validations, if no epoch ends it early;
    ``memory_bytes`` the most that was in use, on the GPU where it learns there. ``learning`` of ``weights`` numbers
    learn. ``batch`` are the first examples that are learned from: ``key``, ``told`` (their target in words), ``sees``
    (modalities). ``reads`` says what of them: their “vectors”, their “media” as the encoder in use prepares them, or
    media that are prepared for encoders of the run's “own”.
    """

    seconds_per_step: float
    steps: int
    seconds: float
    memory_bytes: int
    learning: int
    weights: int
    parts: dict[str, int]
    batch: list[dict[str, Any]]
    device: str
    reads: str = "vectors"

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Rehearsal:
        """Raises TrainingError where it is none."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise TrainingError(f"The trial of the run said nothing that can be read ({error}).") from error


def rehearsed(folder: Path) -> Work[Rehearsal]:
    """What a few steps of a run's folder tell; it is removed then, with the folder of its room. Closing ends
    the process. Raises TrainingError with what it said.
    """
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "mmstudio"]
    try:
        child = subprocess.Popen([*program, "train", str(folder), "--rehearse"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"The trial could not be started ({error}).", path=folder) from error
    try:
        while True:
            yield Progress(0, 0, "trying")
            try:
                said, complaint = child.communicate(timeout=LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
    finally:
        child.kill()
        child.wait()
        room = folder.parent.parent
        shutil.rmtree(room, ignore_errors=True)
        with suppress(OSError):
            room.parent.rmdir()  # where no other trial lies there
    if child.returncode:
        lines = [line for line in complaint.splitlines() if line.strip()]
        raise TrainingError(f"The trial failed: {lines[-1] if lines else 'it said nothing'}")
    return Rehearsal.from_json(said.splitlines()[-1] if said.strip() else "")
