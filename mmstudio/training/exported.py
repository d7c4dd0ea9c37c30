"""What an exported run is made of, written and read again without the examples that it learned from.

``model.safetensors`` holds the run's weights under the names that they have in ``best.safetensors``, beside them an
adapter's ``anchors``, and in the file's metadata under “mmstudio” as JSON the ``Recipe``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.base import Vectors, normalised
from mmstudio.errors import TrainingError
from mmstudio.media import Media, Modality
from mmstudio.training import fusion, towers, words
from mmstudio.training.adapters import ClipAdapter, TipAdapter
from mmstudio.training.captioner import Captioner
from mmstudio.training.deciding import Deciding
from mmstudio.training.job import ADAPTERS, TrainingJob, job_of
from mmstudio.training.metrics import Floats

WEIGHTS = "model.safetensors"
_RECIPE = "mmstudio"


@dataclass(frozen=True)
class Recipe:
    """What a model is made from besides its job and its weights: ``dim`` of the widest vectors that its head reads, the
    ``words`` of its vocabulary, and of amounts their ``middle`` and ``spread``: the head tells (amount - middle) /
    spread. Logits of classes are divided by the ``temperature`` before they become probabilities; ``thresholds`` and
    whether they are ``asked`` for are as in ``Deciding``.
    """

    dim: int
    words: tuple[str, ...] = ()
    middle: float = 0.0
    spread: float = 1.0
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    asked: bool = False

    @property
    def deciding(self) -> Deciding:
        return Deciding(self.temperature, self.thresholds, self.asked)


def reads_vectors(job: TrainingJob) -> bool:
    """Whether the run's head learned something of vectors: not of all tokens, and where encoders themselves learned to
    agree there is nothing behind them.
    """
    return job.fusion != "tokens" and not (job.task == "alignment" and job.reads_media)


class Tells(nn.Module):
    """A head that gives one tensor: ``(b, outputs)`` logits, or aligned vectors ``(b, m, width)``."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """``vectors (b, m, dim)`` float32 and ``present (b, m)`` bool"""
        told = self.head(vectors, present)
        return told if isinstance(told, Tensor) else told.logits


class TellsApart(nn.Module):
    """A head that is given the vectors of each modality by themselves, ``(b, width)`` as wide as they are."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, *given: Tensor) -> Tensor:
        """The vectors in the order of the modalities, then ``present (b, m)``."""
        *vectors, present = given
        widest = max(one.shape[1] for one in vectors)
        return self.head(torch.stack([F.pad(one, (0, widest - one.shape[1])) for one in vectors], 1), present)


Given = NDArray[np.float32] | Sequence[NDArray[np.float32]]
"""``(b, m, dim)`` float32, or ``(b, width)`` of each modality as wide as they are."""


class Exported:
    """A model that left the studio: its ``head``, and ``towers`` where the run made encoders from nothing."""

    def __init__(self, job: TrainingJob, recipe: Recipe, head: nn.Module, made: towers.Towers | None) -> None:
        self.job, self.recipe, self.head, self.towers = job, recipe, head, made

    def encode(self, media: Sequence[Media], modality: Modality) -> Vectors:
        """``(n, dim)`` float32 of length 1, by encoders from scratch. Raises TrainingError where there are none."""
        if self.towers is None:
            raise TrainingError("The run made no encoder from nothing.",
                                hint="A tuned one lies in the folder “encoder”, any other is the one it started from.")
        reads = self.towers.reads
        with torch.inference_mode():
            return normalised(reads.tensors([reads.prepare(one, modality) for one in media]).numpy())

    def tell(self, vectors: Given, present: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Logits ``(b, outputs)``, amounts ``(b, 1)`` in their own unit, or aligned vectors ``(b, m, width)`` of
        vectors, ``present (b, m)``. Raises TrainingError for a run that tells nothing of these, or of vectors of other
        widths.
        """
        if not reads_vectors(self.job) or self.job.task == "captioning":
            raise TrainingError("The run tells nothing of vectors alone.")
        with torch.inference_mode():
            told = cast(Tensor, Tells(self.head)(self._tensor(vectors), torch.from_numpy(present)))
            return (told * self.recipe.spread + self.recipe.middle).numpy()

    def shares(self, vectors: Given, present: NDArray[np.bool_]) -> Floats:
        """Probabilities ``(b, classes)`` at the run's temperature. Raises TrainingError for a run that tells none."""
        if self.job.task not in ("classification", "multi-label"):
            raise TrainingError("The run tells no classes.")
        return self.recipe.deciding.shares(self.tell(vectors, present), self.job)

    def decide(self, vectors: Given, present: NDArray[np.bool_]) -> list[tuple[str, ...]]:
        """Of each example the class or labels that are told. Raises TrainingError for a run that tells none."""
        told = self.recipe.deciding.told(self.shares(vectors, present), self.job)
        return [tuple(name for name, is_told in zip(self.job.classes, row, strict=True) if is_told) for row in told]

    def captions(self, vectors: Given, present: NDArray[np.bool_]) -> list[str]:
        """Of each example its caption. Raises TrainingError for a run that tells something else."""
        if not isinstance(self.head, Captioner):
            raise TrainingError("The run tells no captions.")
        with torch.inference_mode():
            made = self.head.tell(self._tensor(vectors), torch.from_numpy(present))
        return [words.text(numbers, self.recipe.words) for numbers in made.tolist()]

    def _tensor(self, vectors: Given) -> Tensor:
        """``(b, m, dim)``"""
        if isinstance(vectors, np.ndarray):
            return torch.from_numpy(vectors)
        widths = self.job.widths(self.recipe.dim)
        if tuple(one.shape[1] for one in vectors) != widths:
            raise TrainingError(f"The run reads vectors of {' and '.join(map(str, widths))} numbers.")
        return torch.stack([F.pad(torch.from_numpy(one), (0, self.recipe.dim - one.shape[1])) for one in vectors], 1)


def save(file: Path, weights: dict[str, Tensor], anchors: NDArray[np.float32] | None, recipe: Recipe) -> None:
    """Write the weights that a run tells with. Raises SafetensorError."""
    more = {} if anchors is None else {"anchors": torch.from_numpy(np.ascontiguousarray(anchors, np.float32))}
    save_file({name: value.contiguous() for name, value in (weights | more).items()}, file,
              metadata={"format": "pt", _RECIPE: json.dumps(asdict(recipe), ensure_ascii=False)})


def load(folder: Path | str) -> Exported:
    """The model of an exported run, on the CPU. Raises TrainingError where the folder is none or is damaged."""
    folder = Path(folder)
    job = job_of(folder)
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            told = json.loads(file.metadata()[_RECIPE])
            weights: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        recipe = Recipe(**{**told, "words": tuple(told["words"]), "thresholds": tuple(told.get("thresholds", ()))})
        head = _head(job, recipe, weights)
        made = towers.build(job, recipe.words, torch.device("cpu")) if job.trains == "scratch" else None
        if made is not None:
            made.load_state_dict(_below("towers.", weights))
            made.eval().requires_grad_(False)
        return Exported(job, recipe, head.eval().requires_grad_(False), made)
    except Exception as error:  # safetensors raises types of its own for damaged files
        raise TrainingError(f"The exported model cannot be read ({error}).", path=folder) from error


def _head(job: TrainingJob, recipe: Recipe, weights: dict[str, Tensor]) -> nn.Module:
    anchors = weights.pop("anchors", None)
    if job.task == "captioning":
        head: nn.Module = Captioner(job.widths(recipe.dim), len(recipe.words), job.width, job.layers, job.dropout)
    elif job.trains not in ADAPTERS:
        head = fusion.build(job, recipe.dim)
    elif anchors is None:
        raise TrainingError("The vectors of the classes' names are missing.")
    else:
        head = ClipAdapter(anchors) if job.trains == "clip adapter" else TipAdapter(
            anchors, weights["keys"], torch.ones_like(weights["values"]))
        if "bias" in weights:
            head.decide_each()
    head.load_state_dict(_below("head.", weights) if job.reads_media else weights)
    return head


def _below(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
