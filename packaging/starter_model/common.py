"""What the scripts share: paths, the bank of concept vectors, the whitening, log lines."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))  # the towers are the studio's own classes
RUN = Path(os.environ.get("STARTER_RUN", REPOSITORY / "build" / "starter_run"))  # checkpoints, caches, logs
DEVICE = torch.device(os.environ.get("STARTER_DEVICE", "cuda" if torch.cuda.is_available() else "cpu"))

from mmstudio.encoders.starter_towers import StarterConfig  # noqa: E402


def device_name() -> str:
    """On what this process trains, for the model card."""
    return torch.cuda.get_device_name(DEVICE) if DEVICE.type == "cuda" else f"{os.cpu_count()} CPU cores"


def config() -> StarterConfig:
    """The sizes of this run's towers: STARTER_WIDTH times the shipped ones', kept in RUN/config.json once it began."""
    kept = RUN / "config.json"
    if not kept.exists():
        wider(StarterConfig(), float(os.environ.get("STARTER_WIDTH", "1"))).write(kept)
    return StarterConfig.read(kept)


def wider(sizes: StarterConfig, factor: float) -> StarterConfig:
    """Towers of so many times the width, in steps that the heads divide; the text tower's linear start fills at most
    the shared space's dimensions.
    """

    def width(of: int, heads: int = 1) -> int:
        return max(1, round(of * factor / (8 * heads))) * 8 * heads

    first, second = sizes.image_stem
    early, late = sizes.audio_stem
    return replace(
        sizes,
        text_width=min(sizes.dim, width(sizes.text_width, sizes.text_heads)),
        image_stem=(width(first), width(second)),
        image_width=width(sizes.image_width, sizes.image_heads),
        audio_stem=(width(early), width(late)),
        audio_width=width(sizes.audio_width, sizes.audio_heads),
    )


def say(text: str, log: str) -> None:
    """One line to the screen and to RUN/<log>.log, with the CPU seconds this process has used."""
    line = f"{time.process_time():8.0f} CPU-s  {text}"
    print(line, flush=True)
    with (RUN / f"{log}.log").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def save_array(path: Path, array: np.ndarray) -> None:
    """np.save, atomically."""
    temporary = path.with_suffix(".tmp.npy")
    np.save(temporary, array)
    temporary.replace(path)


def whitening(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors (n, d) -> their mean (d,) and a shrunk whitening (d, d): (covariance + its mean eigenvalue)^-1/2.

    The concepts' names lie close together in the teacher's space; this spreads them (Mu & Viswanath 2018 in spirit).
    """
    centre = vectors.mean(0)
    centred = (vectors - centre).double()
    values, axes = torch.linalg.eigh(centred.T @ centred / len(vectors))
    values = values.clamp(min=0)
    scale = (values + values.mean()) ** -0.5
    matrix = (axes * (scale / scale.mean())) @ axes.T
    return centre, matrix.float()


def bank_path(name: str) -> Path:
    """RUN/bank_<name>.npy: 'teacher' or 'student' (concepts, 384); 'image' or 'audio' (concepts, k, 384)."""
    return RUN / f"bank_{name}.npy"


def text_bank() -> tuple[Tensor, str]:
    """The concepts' vectors in the shared space: the student's once it is trained, until then the teacher's."""
    name = "student" if bank_path("student").exists() else "teacher"
    return torch.from_numpy(np.load(bank_path(name))).float().to(DEVICE), name


class LeftVectors:
    """The vectors that the other tower left last, read again whenever they are newer."""

    def __init__(self, name: str) -> None:
        self.path, self.age = bank_path(name), 0.0
        self.vectors: Tensor | None = None

    def latest(self) -> Tensor | None:
        """(concepts, k, 384), rows of zeros where there is none; or None while there are no vectors yet."""
        if self.path.exists() and self.path.stat().st_mtime > self.age:
            self.age = self.path.stat().st_mtime
            self.vectors = torch.from_numpy(np.load(self.path)).float().to(DEVICE)
        return self.vectors


def write_json(path: Path, value: object) -> None:
    """Pretty JSON, UTF-8."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
