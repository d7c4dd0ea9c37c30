"""What is to be learned, from what and how: one frozen table, as JSON in a run's folder or as TOML by a person."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mmstudio.errors import TrainingError
from mmstudio.media import MODALITIES, Modality
from mmstudio.training.meaning import OF_TASKS, why_not

Task = Literal["classification", "multi-label", "regression", "alignment", "captioning"]
Trains = Literal["head", "clip adapter", "tip adapter", "lora", "last blocks", "everything", "locked text", "scratch"]
Fusion = Literal["joint mean", "concatenate", "weighted sum", "gated", "bilinear", "attention", "tokens",
                 "average", "learned average", "product of experts"]
Loss = Literal["", "cross-entropy", "focal", "binary cross-entropy", "squared error", "huber",
               "infonce", "siglip", "euclidean", "triplet"]
TextTower = Literal["gru", "lstm", "transformer"]
AudioTower = Literal["cnn", "transformer"]
Balancing = Literal["", "ogm-ge"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
_KINDS_OF_SPLIT = Literal["random", "stratified", "grouped", "time", "column"]
LOSSES: dict[str, tuple[str, ...]] = {
    "classification": ("cross-entropy", "focal"), "multi-label": ("binary cross-entropy", "focal"),
    "regression": ("squared error", "huber"), "alignment": ("infonce", "siglip", "euclidean", "triplet"),
    "captioning": ("cross-entropy",),
}
"""The losses of each task, the usual one first."""
HEADS = 4
"""Of the attention in heads and in encoders from scratch."""
RUN = "run:"
"""Begins the names of encoders that are runs of a project."""
ADAPTERS = ("clip adapter", "tip adapter")
"""Small heads on the vectors that start as the zero-shot classifier."""
TUNED = ("lora", "last blocks", "everything", "locked text")
"""What changes the encoder's own weights."""


@dataclass(frozen=True)
class Split:
    """How examples are divided; ``column`` names groups, times, or the parts themselves."""

    kind: _KINDS_OF_SPLIT = "stratified"
    validation: float = 0.15
    test: float = 0.15
    column: str = ""
    keep_duplicates_together: bool = True


@dataclass(frozen=True)
class UsedModel:
    """A model by its name and, once it was used, the space of its vectors: see ``library.SpaceKey``."""

    name: str
    space: str = ""
    revision: str = ""
    preprocessing: str = ""
    dim: int = 0


@dataclass(frozen=True)
class TrainingJob:
    """One run's settings; what is not said has a sound default.

    ``target`` is “tags” or a column; ``classes`` the outputs in their order (tags or values of the column).
    ``width`` and ``layers`` are the hidden layers of a head or fusion. ``lr`` is the highest rate, reached after
    ``warmup`` (a share of all steps) and left along a cosine. ``patience`` epochs without a better validation loss end
    the run; 0 never does. ``trains`` says what learns: a head on the encoder's vectors, an adapter between them and the
    classes' names (``prompt`` with the name in place of ``{}``), low-rank additions to the encoder (of ``rank``), its
    last ``blocks``, everything in it, everything but its texts, or encoders of the run's own from scratch
    (``text_tower``, ``audio_tower``). The encoder learns at ``encoder_lr``, after ``probe_epochs`` of the head alone.
    ``clip`` bounds the gradient's norm, ``ema`` is the decay of averaged weights; 0 is off.
    ``balancing`` slows the leading modality (OGM-GE); ``class_weights`` and ``resampling`` help rare classes; which of
    these a job can have ``meaning`` says. ``precision`` “auto” is the fastest that the device computes in soundly.
    A head may learn from vectors of several models: those of ``models`` read their modality, ``model`` the others. Once
    a run is made, either none is named or one for each modality, and ``model`` is the first.
    """

    name: str = "Run"
    task: Task = "classification"
    target: str = "tags"
    classes: tuple[str, ...] = ()
    modalities: tuple[Modality, ...] = ("image",)
    model: str = "starter"
    space: str = ""
    revision: str = ""
    preprocessing: str = ""
    dim: int = 0
    models: dict[Modality, UsedModel] = field(default_factory=dict, hash=False)
    trains: Trains = "head"
    encoder_lr: float = 1e-4
    rank: int = 8
    blocks: int = 1
    probe_epochs: int = 0
    prompt: str = "{}"
    text_tower: TextTower = "gru"
    audio_tower: AudioTower = "cnn"
    fusion: Fusion = "joint mean"
    width: int = 128
    layers: int = 0
    dropout: float = 0.1
    modality_dropout: float = 0.0
    loss: Loss = ""
    class_weights: bool = False
    resampling: bool = False
    label_smoothing: float = 0.0
    balancing: Balancing = ""
    epochs: int = 60
    batch: int = 64
    accumulation: int = 1
    lr: float = 5e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    clip: float = 1.0
    ema: float = 0.0
    patience: int = 10
    seed: int = 0
    deterministic: bool = True
    precision: Precision = "fp32"
    split: Split = field(default_factory=Split)

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for one example. Encoders that are tuned to agree do so in their own space;
        of a caption its loss and the share of right words are told.
        """
        return {"classification": len(self.classes), "multi-label": len(self.classes), "regression": 1,
                "alignment": self.dim if self.trains in TUNED else self.width, "captioning": 2}[self.task]

    @property
    def reads_media(self) -> bool:
        """Whether pictures, sounds and texts themselves are learned from, not only their vectors."""
        return self.trains in TUNED or self.trains == "scratch" or self.fusion == "tokens"

    def model_of(self, modality: Modality) -> UsedModel:
        """The model that makes the vectors of a modality."""
        return self.models.get(modality) or UsedModel(self.model, self.space, self.revision, self.preprocessing,
                                                      self.dim)

    @property
    def model_names(self) -> tuple[str, ...]:
        """Each model once, in the order of the modalities."""
        return tuple(dict.fromkeys(self.model_of(modality).name for modality in self.modalities))

    def widths(self, dim: int) -> tuple[int, ...]:
        """How wide the vectors of each modality are, of which the widest have ``dim`` numbers: behind these there are
        zeros. Raises TrainingError where a model was named but not used yet.
        """
        found = tuple(self.model_of(m).dim if self.models else dim for m in self.modalities)
        if not all(0 < width <= dim for width in found):
            raise TrainingError("The run does not know how wide the vectors of its models are.",
                                hint="Make the run anew.")
        return found

    @property
    def loss_name(self) -> str:
        return self.loss or LOSSES[self.task][0]

    @property
    def makes_vectors(self) -> bool:
        """Whether a run of this job learns a space, so that it becomes an encoder."""
        return self.task == "alignment" or self.trains in TUNED or self.trains == "scratch"

    def check(self) -> TrainingJob:
        """Itself, or TrainingError with what does not fit."""
        self._check_types()
        for name, choices in (("task", Task), ("fusion", Fusion), ("loss", Loss), ("trains", Trains),
                              ("text_tower", TextTower), ("audio_tower", AudioTower), ("balancing", Balancing),
                              ("precision", Precision)):
            if getattr(self, name) not in get_args(choices):
                raise TrainingError(f"“{name}” is one of {', '.join(filter(None, get_args(choices)))}, "
                                    f"not “{getattr(self, name)}”.")
        if self.loss_name not in LOSSES[self.task]:
            raise TrainingError(f"The loss “{self.loss}” is none of {self.task}.",
                                hint=f"Take one of {', '.join(LOSSES[self.task])}.")
        if not self.modalities or any(m not in MODALITIES for m in self.modalities) or len(
                set(self.modalities)) < len(self.modalities):
            raise TrainingError("A run reads one modality or more of image, audio and text, each once.")
        if self.task in ("classification", "multi-label"):
            least = 2 if self.task == "classification" else 1
            if len(set(self.classes)) < max(least, len(self.classes)):
                raise TrainingError(f"A run of {self.task} needs at least {least} different classes.",
                                    hint="Tag some items, or choose a column with several values.")
        if self.task == "alignment" and len(self.modalities) < 2:
            raise TrainingError("Aligning needs two modalities or more.")
        self._check_trains()
        self._check_models()
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise TrainingError(f"“{name}” lies between {low:g} and {high:g}; {getattr(self, name):g} does not.")
        if self.split.kind not in get_args(_KINDS_OF_SPLIT):
            raise TrainingError(f"Parts are made by {', '.join(get_args(_KINDS_OF_SPLIT))}, not “{self.split.kind}”.")
        if not all(isinstance(share, (int, float)) and not isinstance(share, bool) and share == share
                   for share in (self.split.validation, self.split.test)) or not isinstance(self.split.column, str):
            raise TrainingError("The shares of validation and test are numbers, and the column a name.")
        if self.split.kind in ("grouped", "column") and not self.split.column:
            raise TrainingError("A column has to say the groups or parts.", hint="Choose one, or divide by chance.")
        if self.split.validation + self.split.test >= 1 or min(self.split.validation, self.split.test) < 0:
            raise TrainingError("The shares of validation and test leave nothing to learn from.")
        for name in self.idle():
            raise TrainingError(why_not(self, name), hint=f"Leave out “{name}”.")
        return self

    def _check_types(self) -> None:
        for named in fields(self):
            _check_type(named.name, getattr(self, named.name))

    def idle(self) -> tuple[str, ...]:
        """The settings that were chosen and would do nothing, see ``meaning``."""
        return tuple(name for name in (*OF_TASKS, "fusion") if getattr(self, name) != getattr(TrainingJob, name)
                     and why_not(self, name))

    def _check_trains(self) -> None:
        if self.trains in ADAPTERS and (self.task not in ("classification", "multi-label")
                                        or self.fusion != "joint mean"):
            raise TrainingError("An adapter tells classes apart by their names, from the modalities' mean.",
                                hint="Take the task of classes and the fusion “joint mean”.")
        if self.trains in ADAPTERS and self.prompt.count("{}") != 1:
            raise TrainingError("The prompt holds {} once, where a class's name stands.")
        if self.trains == "locked text" and (self.task != "alignment" or "text" not in self.modalities):
            raise TrainingError("Locked-text tuning aligns pictures or sounds with texts.",
                                hint="Take the task “alignment” with texts among the modalities.")
        if self.probe_epochs and (self.trains not in TUNED or self.task == "alignment"
                                  or self.probe_epochs >= self.epochs):
            raise TrainingError("A head learns first where the encoder learns after it, in fewer epochs than all.")
        if self.probe_epochs and self.fusion == "tokens":
            raise TrainingError("A head on all tokens does not learn alone first.", hint="Set those epochs to 0.")
        if self.trains == "scratch" and self.width % HEADS:
            raise TrainingError(f"The width of encoders from scratch is a multiple of {HEADS}.")
        if self.task == "captioning" and "text" in self.modalities:
            raise TrainingError("A caption is learned from pictures and sounds; texts are what is told.")
        if self.fusion == "tokens" and self.task in ("alignment", "captioning"):
            raise TrainingError("The Transformer over all tokens tells classes, labels or amounts.")

    def _check_models(self) -> None:
        if not self.models:
            return
        unread = [modality for modality in self.models if modality not in self.modalities]
        if unread:
            raise TrainingError(f"“models” names one for {unread[0]}, which the run does not read.")
        if self.trains != "head" or self.fusion == "tokens":
            raise TrainingError("Only a head on vectors learns from several models: adapters, the tokens of a model "
                                "and what trains an encoder stay with one.",
                                hint="Train a head, or take one model for all modalities.")
        if self.fusion == "joint mean" and self.task not in ("alignment", "captioning") and len(self.model_names) > 1:
            raise TrainingError("The fusion “joint mean” is of vectors in one space; different models have none in "
                                "common.", hint="Take “concatenate”, or another fusion that reads each by itself.")

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


_RANGES = (("epochs", 1, 100_000), ("batch", 1, 1 << 20), ("accumulation", 1, 4096), ("lr", 1e-9, 10),
           ("weight_decay", 0, 10), ("dropout", 0, 0.95), ("modality_dropout", 0, 0.95), ("warmup", 0, 1),
           ("clip", 0, 1e6), ("ema", 0, 0.99999), ("patience", 0, 100_000), ("label_smoothing", 0, 0.9),
           ("encoder_lr", 1e-9, 10), ("rank", 1, 1024), ("blocks", 1, 1000), ("probe_epochs", 0, 100_000),
           ("width", 1, 16384), ("layers", 0, 12), ("seed", 0, 2**31 - 1))


def from_values(values: dict[str, Any], whole: bool = True, forgiving: bool = False) -> TrainingJob:
    """A job from a table of JSON or TOML; where it need not be ``whole``, classes are named later; where one is
    ``forgiving``, what does nothing is left out. Raises TrainingError for an unknown name or a value of another kind.
    """
    known = {f.name for f in fields(TrainingJob)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise TrainingError(f"A training job has no “{unknown[0]}”.", hint=f"It has {', '.join(sorted(known))}.")
    made: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    if "split" in made:
        if not isinstance(made["split"], dict) or set(made["split"]) - {f.name for f in fields(Split)}:
            raise TrainingError("“split” is a table of kind, validation, test, column and keep_duplicates_together.")
        made["split"] = Split(**made["split"])
    if "models" in made:
        made["models"] = _models(made["models"])
    job = TrainingJob(**made)
    if forgiving:
        job._check_types()
        job = replace(job, **{name: getattr(TrainingJob, name) for name in job.idle()})
    return job.check() if whole or job.classes else replace(job, classes=("", " ")).check() and job


def job_of(folder: Path) -> TrainingJob:
    """The job of a run's folder. Settings that did nothing when it was made are as if they had not been said. Raises
    TrainingError as ``from_values``.
    """
    return read(folder / "job.json", forgiving=True)


def _models(told: Any) -> dict[Modality, UsedModel]:
    """From a table of modalities with the names of models, or with all that is known of them."""
    try:
        made = {modality: UsedModel(one) if isinstance(one, str) else UsedModel(**one)
                for modality, one in told.items()}
    except (AttributeError, TypeError) as error:
        raise TrainingError(_NO_MODELS) from error
    return made


def read(path: Path, whole: bool = True, forgiving: bool = False) -> TrainingJob:
    """A job from a ``.toml`` or ``.json`` file. Raises TrainingError as ``from_values``."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"The training job could not be read ({error}).", path=path) from error
    if not isinstance(values, dict):
        raise TrainingError("A training job is a table of names and values.", path=path)
    return from_values(values, whole, forgiving)


def _check_type(name: str, value: Any) -> None:
    default = getattr(TrainingJob, name, None) if name != "split" else None
    if isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, int):
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    elif name == "models":
        if not _are_models(value):
            raise TrainingError(_NO_MODELS)
        fits = True
    elif isinstance(default, tuple):
        fits = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    else:
        fits = isinstance(value, Split if name == "split" else str)
    if not fits:
        raise TrainingError(f"“{name}” cannot be {value!r}.")


_NO_MODELS = "“models” is a table of modalities, each with the name of a model: {image = \"…\", text = \"…\"}."


def _are_models(value: Any) -> bool:
    return isinstance(value, dict) and all(
        modality in MODALITIES and isinstance(model, UsedModel) and model.name
        and all(isinstance(told, str) for told in (model.name, model.space, model.revision, model.preprocessing))
        and isinstance(model.dim, int) for modality, model in value.items())
