"""What the families of transformers share: loading without running foreign code, batching, moving, explaining.

A family is a model class, and one Reader per modality that says how media goes in and what comes out. A HubEncoder
is made of them and is what the rest of the studio sees.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import (
    AttentionLayer,
    Explanation,
    Positions,
    Prepared,
    Seen,
    Vectors,
    normalised,
    side_by_side,
)
from mmstudio.encoders.device import dtype_for, free_memory, memory_errors_translated, pick_device, require_memory
from mmstudio.errors import EncoderError, ModelRefused, OutOfMemory, StudioError, WrongModality
from mmstudio.media import Media, Modality

Piece = dict[str, NDArray[Any]]
Build = Callable[[Any], Any]
"""dtype → model in evaluation mode on the CPU."""

SAMPLED_BYTES = 1 << 16
TOLD = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json",
        "sentence_bert_config.json", "1_Pooling/config.json")
"""Files besides the weights that decide what a vector is."""
UNUSED = ("pooler.", "embeddings.mask_token", "masked_spec_embed")
"""Weights that encoding does without, so a file may lack them (a missing pooler is taken off the model)."""

PARTS: dict[Modality, tuple[str, ...]] = {
    "image": ("vision_model", "visual_projection"), "text": ("text_model", "text_projection"),
    "audio": ("audio_model", "audio_projection"),
}
"""Sub-modules of models that read several modalities."""


class Reader(Protocol):
    """How one modality goes through a model. ``prepare`` may be called from any thread."""

    def prepare(self, media: Any) -> Prepared:
        """Media as arrays without a batch axis (a tuple of arrays where it is several parts)."""
        ...

    def vectors(self, model: Any, pieces: Sequence[Piece]) -> Any:
        """``(n, dim)`` tensor of any dtype and device, not normalised; padding changes nothing."""
        ...

    def tokens(self, model: Any, pieces: Sequence[Piece]) -> Sequence[Any]:
        """Of each piece a ``(t, dim)`` tensor, not normalised: its positions on the way to the vector, without padding
        and without the silence after a sound.
        """
        ...

    def explain(self, model: Any, prepared: Prepared, piece: Piece) -> Explanation:
        """One pass with full attention over one piece; called inside ``full_attention``."""
        ...

    def seen(self, prepared: Prepared, piece: Piece) -> Seen:
        """What the piece holds, as a person can look at it."""
        ...


@dataclass
class Placed:
    """A model where it runs; ``note`` says in one sentence that it fell back to the CPU, or is empty."""

    model: Any
    device: str
    note: str = ""


class HubEncoder:
    """An encoder whose model, tokenizer and feature extraction are transformers' own. See the Encoder protocol."""

    def __init__(self, name: str, folder: Path, build: Build, placed: Placed, readers: Mapping[Modality, Reader],
                 dim: int, preprocessing: str, sample_rate_hz: int = 16_000, window_seconds: float = 10.0) -> None:
        self.name = self.space = name
        self.dim = int(dim)
        self.revision = revision_of(folder)
        self.preprocessing = preprocessing
        self.modalities = frozenset(readers)
        self.sample_rate_hz = int(sample_rate_hz)
        self.window_seconds = float(window_seconds)
        self.device, self.note = placed.device, placed.note
        self.model = placed.model
        self.readers = dict(readers)
        self._build = build

    def prepare(self, media: Media, modality: Modality) -> Prepared:
        """Preprocess one item on the CPU. Raises WrongModality, EncoderError."""
        with foreign_errors("The item could not be prepared for the model"):
            return self._reader(modality).prepare(media)

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        """``(n, dim)`` float32, L2-normalised. Raises OutOfMemory, EncoderError.

        Runs at most ``len(batch)`` pieces at once, so that halving the batch bounds memory for long sounds too.
        """
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        reader, step = self._reader(batch[0].modality), len(batch)
        pieces = [piece for item in batch for piece in pieces_of(item)]
        rows = [self._rows(reader, pieces[at:at + step]) for at in range(0, len(pieces), step)]
        return averaged(np.concatenate(rows), [item.parts for item in batch])

    def explain(self, media: Media, modality: Modality) -> Explanation:
        """Vector, tokens and attention of one item; of a sound in several windows those of the first.

        Raises WrongModality, AttentionUnavailable, OutOfMemory, EncoderError.
        """
        prepared = self.prepare(media, modality)
        reader = self._reader(modality)
        with foreign_errors("The model could not explain this item"), memory_errors_translated(), inference(), \
                full_attention(self.model):
            explanation = reader.explain(self.model, prepared, pieces_of(prepared)[0])
        if prepared.parts == 1:
            return explanation
        note = f"The sound was read in {prepared.parts} windows; tokens and attention are those of the first."
        return replace(explanation, vector=self.forward([prepared])[0], note=f"{explanation.note} {note}".strip())

    def seen(self, media: Media, modality: Modality) -> Seen:
        """What the model gets of one item; of a sound in several windows the first. Raises WrongModality, EncoderError.
        """
        prepared = self.prepare(media, modality)
        with foreign_errors("What the model sees could not be shown"):
            return self._reader(modality).seen(prepared, pieces_of(prepared)[0])

    def to(self, device: str) -> None:
        """Move to a device by loading the weights anew, so that nothing is lost between precisions and the old model
        stays where it was until the new one stands. Raises OutOfMemory, EncoderError.
        """
        wanted = pick_device(device)
        if wanted != self.device:
            self.model = on_device(self._build, wanted)
            self.device, self.note = wanted, ""
            free_memory()

    def make_trainable(self) -> None:
        """See Trainable: the weights are read anew, since those of a GPU are rounded."""
        import torch

        if next(self.model.parameters()).dtype != torch.float32:
            with foreign_errors("The model could not be loaded"), memory_errors_translated():
                self.model = self._build(torch.float32).to(self.device)
        self.model.requires_grad_(True)
        if hasattr(self.model.config, "apply_spec_augment"):  # drawn by numpy, which no checkpoint knows
            self.model.config.apply_spec_augment = False

    def tensors(self, batch: Sequence[Prepared]) -> Any:
        """See Trainable; of an item in several parts the mean."""
        import torch
        from torch.nn import functional as F

        reader = self._reader(batch[0].modality)
        with foreign_errors("The model could not read these items"), memory_errors_translated():
            pieces = [piece for item in batch for piece in pieces_of(item)]
            rows = F.normalize(reader.vectors(self.model, pieces).float(), dim=-1)
        parts = [item.parts for item in batch]
        if max(parts) == 1:
            return rows
        return F.normalize(torch.stack([part.mean(0) for part in torch.split(rows, parts)]), dim=-1)

    def tokens(self, batch: Sequence[Prepared]) -> Any:
        """See Trainable."""
        import torch
        from torch.nn import functional as F

        reader = self._reader(batch[0].modality)
        with foreign_errors("The model could not read these items"), memory_errors_translated():
            found = reader.tokens(self.model, [piece for item in batch for piece in pieces_of(item)])
            rows = (F.normalize(row.float(), dim=-1) for row in found)
            return side_by_side([torch.cat(list(islice(rows, item.parts))) for item in batch])

    def parts(self, modality: Modality) -> tuple[str, ...]:
        """See Trainable."""
        if len(self.modalities) == 1:
            return ()
        names = PARTS[modality]
        return tuple(name for name in names if hasattr(self.model, name))

    @property
    def memory_bytes(self) -> int:
        """Bytes of weights and buffers."""
        return sum(t.nbytes for kind in (self.model.parameters(), self.model.buffers()) for t in kind)

    def _rows(self, reader: Reader, pieces: Sequence[Piece]) -> Vectors:
        with foreign_errors("The model could not read these items"), memory_errors_translated(), inference():
            return normalised(as_numpy(reader.vectors(self.model, pieces)))

    def _reader(self, modality: Modality) -> Reader:
        if modality not in self.readers:
            raise WrongModality(f"The model “{self.name}” reads no {modality}.",
                                hint=f"It reads: {', '.join(sorted(self.modalities))}.")
        return self.readers[modality]


# Loading


def load_model(folder: Path, class_name: str, part: str = "", exact: bool = False) -> Build:
    """A function dtype → transformers' model ``class_name`` (or its sub-module ``part``) on the CPU from ``folder``.

    Only safetensors, no program code from the folder, no network; ``exact`` stays in float32 on every device. The
    function raises EncoderError where files are broken or weights are missing, which would be filled at random, and
    OutOfMemory where they do not fit.
    """
    def build(dtype: Any) -> Any:
        import torch

        dtype = torch.float32 if exact else dtype
        with foreign_errors("The model could not be loaded", folder), memory_errors_translated():
            require_memory(converted_bytes(folder, dtype))
            cls = from_transformers(class_name)
            model, report = cls.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, dtype=dtype,
                output_loading_info=True)
            require_weights(model, report, folder)
            return (getattr(model, part) if part else model).eval()
    return build


def converted_bytes(folder: Path, dtype: Any) -> int:
    """How much memory the weights take in a ``dtype`` that they do not have on the disk, by the headers of their file
    or its parts. Those that have it are mapped from there, and can be dropped and read again. Whatever a damaged file
    raises.
    """
    from math import prod

    from safetensors import safe_open

    whole, same = folder / "model.safetensors", {"torch.float32": "F32", "torch.float16": "F16",
                                                 "torch.bfloat16": "BF16"}
    files = {whole} if whole.is_file() else {folder / name for name in json.loads(
        (folder / "model.safetensors.index.json").read_bytes())["weight_map"].values()}
    count = 0
    for file in files:
        with safe_open(file, "numpy") as weights:
            for part in map(weights.get_slice, weights.keys()):
                if part.get_dtype() in same.values() and part.get_dtype() != same[str(dtype)]:
                    count += prod(part.get_shape())
    return count * int(dtype.itemsize)


def require_weights(model: Any, report: Mapping[str, Any], folder: Path) -> None:
    """Take an untrained pooler off; raise EncoderError where any other weight was not in the file or did not fit."""
    missing = {str(key) for key in report.get("missing_keys", ())}
    if any(key.startswith("pooler.") for key in missing):
        model.pooler = None
    needed = sorted(key for key in missing if not key.startswith(UNUSED))
    if needed or report.get("mismatched_keys"):
        what = needed[0] if needed else "one of the wrong shape"
        raise EncoderError(f"The model's weight file does not hold what its config.json promises ({what}).",
                           path=folder)


def load_part(folder: Path, class_name: str) -> Any:
    """The folder's own tokenizer, image processor or feature extractor. Raises EncoderError."""
    with foreign_errors("The model's tokenizer or preprocessing could not be loaded", folder):
        cls = from_transformers(class_name)
        return cls.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def from_transformers(class_name: str) -> Any:
    """One class of transformers, imported only now and quietly: load reports would go to the person's terminal."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return getattr(transformers, class_name)


def on_device(build: Build, device: str) -> Any:
    """A model built for a device and moved there. Raises OutOfMemory."""
    with foreign_errors("The model could not be moved to the device"), memory_errors_translated():
        return build(dtype_for(device)).to(device)


def place(build: Build, wish: str) -> Placed:
    """A model on the device of a wish, or on the CPU with a note where it does not fit there."""
    device = pick_device(wish)
    try:
        return Placed(on_device(build, device), device)
    except OutOfMemory:
        if device == "cpu":
            raise
    note = f"The model does not fit into the memory of “{device}”, so it runs on the CPU."
    return Placed(on_device(build, "cpu"), "cpu", note)


def revision_of(folder: Path) -> str:
    """The hub's commit where the folder is a cache snapshot, else a digest of its settings and sampled weights.

    The digest takes each weight file's size and 64 KiB at its start, its end and between (the start of a safetensors
    file names all tensors): milliseconds for any size, and another training run changes it.
    """
    if folder.parent.name == "snapshots" and re.fullmatch(r"[0-9a-f]{40}", folder.name):
        return folder.name
    digest = hashlib.blake2b(digest_size=16)
    try:
        for path in (folder / name for name in TOLD):
            digest.update(path.read_bytes() if path.is_file() else b"-")
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                size = path.stat().st_size
                digest.update(f"{path.name} {size}".encode())
                for at in np.linspace(0, max(0, size - SAMPLED_BYTES), 16).astype(int):
                    file.seek(int(at))
                    digest.update(file.read(SAMPLED_BYTES))
    except OSError as error:
        raise EncoderError(f"The model's files cannot be read ({error}).", path=folder) from error
    return digest.hexdigest()


@contextmanager
def foreign_errors(what: str, folder: Path | None = None) -> Iterator[None]:
    """Whatever a library raises, as the studio's: ModelRefused where a package is wanted, else EncoderError (put
    ``memory_errors_translated`` inside). Not by type: tokenizers and safetensors raise bare exceptions.
    """
    try:
        yield
    except StudioError:
        raise
    except ImportError as error:
        raise ModelRefused(f"{what}: a package it needs is missing ({_brief(error)}).", path=folder) from error
    except Exception as error:
        raise EncoderError(f"{what} ({_brief(error)}).", path=folder) from error


def _brief(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


# Batching


def pieces_of(item: Prepared) -> list[Piece]:
    """An item's inputs part by part."""
    if item.parts == 1:
        return [item.inputs]
    return [{key: value[at] for key, value in item.inputs.items()} for at in range(item.parts)]


def averaged(rows: Vectors, parts: Sequence[int]) -> Vectors:
    """``(sum(parts), dim)`` normalised → ``(len(parts), dim)``: the mean over each item's parts, normalised again."""
    starts = np.concatenate([[0], np.cumsum(parts)[:-1]])
    means = np.add.reduceat(rows, starts, axis=0) / np.asarray(parts, np.float32)[:, None]
    return normalised(means)


class Given:
    """Stands in the place of pieces where a batch is tensors already: ``stacked`` and ``padded`` give these, by name.
    Whatever else a reader does with pieces is a TypeError.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors

    def stacked(self, key: str) -> Any:
        return self._tensors[key]

    def padded(self, key: str, value: float) -> tuple[Any, Any]:
        return self._tensors[key], self._tensors[mask_of(key)]


def mask_of(key: str) -> str:
    """What the mask of a padded input is called."""
    return "attention_mask" if key == "input_ids" else f"{key}_mask"


def stacked(model: Any, pieces: Sequence[Piece] | Given, key: str) -> Any:
    """``(n, ...)`` tensor on the model's device, floats in its dtype, from arrays of one shape."""
    import torch

    if isinstance(pieces, Given):
        return pieces.stacked(key)
    tensor = torch.from_numpy(np.stack([piece[key] for piece in pieces])).to(model.device)
    return tensor.to(model.dtype) if tensor.is_floating_point() else tensor


def padded(model: Any, pieces: Sequence[Piece] | Given, key: str, value: float = 0) -> tuple[Any, Any]:
    """``(n, longest, ...)`` tensor padded at the end of the first axis, and its ``(n, longest)`` int64 mask."""
    import torch

    if isinstance(pieces, Given):
        return pieces.padded(key, value)
    lengths = [len(piece[key]) for piece in pieces]
    first = pieces[0][key]
    out = np.full((len(pieces), max(lengths), *first.shape[1:]), value, first.dtype)
    mask = np.zeros(out.shape[:2], np.int64)
    for row, (piece, length) in enumerate(zip(pieces, lengths, strict=True)):
        out[row, :length], mask[row, :length] = piece[key], 1
    return stacked(model, [{key: one} for one in out], key), torch.from_numpy(mask).to(model.device)


def masked_mean(hidden: Any, mask: Any) -> Any:
    """``(n, t, d)`` and ``(n, t)`` 0/1 → ``(n, d)`` float32: the mean over positions of mask 1."""
    weights = mask.to(hidden.device).float().unsqueeze(-1)
    return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def kept(hidden: Any, mask: Any) -> list[Any]:
    """``(n, t, d)`` and ``(n, t)`` 0/1, array or tensor → of each row its positions of mask 1, ``(t', d)``."""
    import torch

    keep = torch.as_tensor(mask, device=hidden.device).bool()
    return [row[there] for row, there in zip(hidden, keep, strict=True)]


def each_pooled(pooler: Any, hidden: Any) -> Any:
    """``(n, t, d)``: every position through a pooler, which reads only the first one of its rows."""
    return pooler(hidden.flatten(0, 1)[:, None]).unflatten(0, hidden.shape[:2])


def as_numpy(tensor: Any) -> NDArray[np.float32]:
    """A tensor as float32 on the CPU."""
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array


# Explaining


@contextmanager
def inference() -> Iterator[None]:
    """No gradients."""
    import torch

    with torch.inference_mode():
        yield


@contextmanager
def full_attention(model: Any) -> Iterator[None]:
    """Attention computed in full (eager): the fused kernels of every other pass never hold the weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def dense_layers(attentions: Sequence[Any], positions: Positions) -> tuple[AttentionLayer, ...]:
    """One verified AttentionLayer per ``(1, heads, k, k)`` tensor."""
    return tuple(AttentionLayer.dense(as_numpy(weights[0]), positions) for weights in attentions)


def unit(vector: Any) -> Vectors:
    """A tensor's rows as float32 of length 1."""
    return normalised(as_numpy(vector))
