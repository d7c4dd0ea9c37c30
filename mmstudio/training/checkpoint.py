"""A run's whole standing in one file, which is there whole or not at all."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmstudio.errors import TrainingError

FORMAT = 1


@dataclass
class Place:
    """Where a run stands: the next batch of which epoch, how many steps were made, and the best so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    micro: int = 0
    best: float = float("inf")
    best_epoch: int = -1
    worse: int = 0
    seconds: float = 0.0
    history: list[float] = field(default_factory=list)


def save(file: Path, place: Place, parts: dict[str, Any]) -> None:
    """Write ``parts`` (state dictionaries) with the random generators' states. Raises TrainingError; then the file is
    as it was.
    """
    content = {"format": FORMAT, "place": asdict(place), "parts": parts, "torch": torch.get_rng_state(),
               "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}
    beside = file.with_name(f"{file.name}.tmp")
    try:
        with open(beside, "wb") as out:
            torch.save(content, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, file)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
        beside.unlink(missing_ok=True)
        raise TrainingError(f"The checkpoint could not be written ({error}).", path=file,
                            hint="Free some space and continue; the checkpoint before is kept.") from error


def load(file: Path, device: torch.device) -> tuple[Place, dict[str, Any]] | None:
    """What ``save`` wrote, with the random generators set as they were; None where there is no checkpoint.

    Raises TrainingError where it cannot be read.
    """
    if not file.is_file():
        return None
    try:
        content = torch.load(file, map_location=device, weights_only=True)
        if content["format"] != FORMAT:
            raise TrainingError("The checkpoint is of a newer studio.", path=file)
        place = Place(**content["place"])
        torch.set_rng_state(content["torch"].cpu())
        if content["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in content["cuda"]])
        return place, content["parts"]
    except TrainingError:
        raise
    except Exception as error:  # a torn or foreign file makes torch raise nearly anything
        raise TrainingError(f"The checkpoint cannot be read ({type(error).__name__}).", path=file,
                            hint="Start the run anew.") from error
