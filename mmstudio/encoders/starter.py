"""The starter: the small model that ships with the studio and reads pictures, sounds and texts into one space.

It needs torch and tokenizers alone; importing transformers' model classes would take seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmstudio.encoders.base import (
    AttentionLayer,
    Explanation,
    Positions,
    Prepared,
    Seen,
    SeenPicture,
    SeenSound,
    SeenText,
    SeenToken,
    Vectors,
    normalised,
    side_by_side,
    with_marks,
)
from mmstudio.encoders.device import memory_errors_translated, pick_device
from mmstudio.errors import EncoderError, OutOfMemory, WrongModality
from mmstudio.media import AudioClip, Media, Modality

if TYPE_CHECKING:
    from torch import Tensor

    from mmstudio.encoders.starter_towers import StarterConfig, StarterModel, TowerOutput

LONGEST_TO_SHORTEST = 3.0
"""Pictures more stretched than this are squeezed: a hairline would leave nothing to see."""


def load(folder: Path, name: str, device: str = "auto") -> StarterEncoder:
    """The starter from its folder. Raises EncoderError where its files are missing or damaged."""
    from mmstudio.encoders.starter_towers import StarterModel

    place = pick_device(device)
    try:
        model = StarterModel.load(folder)
        digest = hashlib.blake2b((folder / "model.safetensors").read_bytes(), digest_size=8).hexdigest()
    except Exception as error:  # safetensors and json raise types of their own for damaged files
        raise EncoderError(f"The starter model's files are damaged or missing ({error}).", path=folder,
                           hint="Install the studio again.") from error
    encoder = StarterEncoder(model, name, digest)
    try:
        encoder.to(place)
    except OutOfMemory:
        encoder.note = f"The memory of {place} is too small; the model runs on the CPU."
    return encoder


class StarterEncoder:
    """The starter as an Encoder; see ``mmstudio.encoders.base.Encoder``."""

    preprocessing = "starter-1"
    modalities: frozenset[Modality] = frozenset({"image", "audio", "text"})

    def __init__(self, model: StarterModel, name: str, digest: str) -> None:
        self.model = model
        self.name = name
        self.space = name
        self.dim = model.config.dim
        self.revision = digest
        self.sample_rate_hz = model.config.sample_rate_hz
        self.window_seconds = model.config.max_audio_seconds
        self.device = "cpu"
        self.note = ""

    @property
    def memory_bytes(self) -> int:
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    def to(self, device: str) -> None:
        with memory_errors_translated():
            self.model.to(device)
        self.device = device

    def make_trainable(self) -> None:
        self.model.requires_grad_(True)

    def parts(self, modality: Modality) -> tuple[str, ...]:
        return (modality,)

    def tensors(self, batch: Sequence[Prepared]) -> Tensor:
        """See Trainable; of a sound in several windows the mean."""
        import torch
        from torch.nn import functional as F

        total = torch.zeros((len(batch), self.dim), device=self.device)
        for owners, out, _ in self._runs(batch):
            total = total.index_add(0, torch.tensor(owners, device=total.device), out.vectors.float())
        return F.normalize(total, dim=-1)

    def tokens(self, batch: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """See Trainable; the windows of a long sound one after another."""
        import torch

        rows: list[list[Tensor]] = [[] for _ in batch]
        for owners, out, lengths in self._runs(batch):
            for owner, tokens, length in zip(owners, out.tokens, lengths, strict=True):
                rows[owner].append(tokens[:length].float())
        return side_by_side([torch.cat(parts) for parts in rows])

    def prepare(self, media: Media, modality: Modality) -> Prepared:
        if modality == "text" and isinstance(media, str):
            ids, _, spans = self.model.tokenize([media])
            return Prepared("text", {"ids": ids[0].numpy(), "spans": with_marks(media, spans[0])}, ids.shape[1])
        if modality == "audio" and isinstance(media, AudioClip):
            longest = max(len(w) for w in media.windows)
            return Prepared("audio", {"windows": media.windows}, longest, len(media.windows))
        if modality == "image" and not isinstance(media, str | AudioClip):
            pixels = self._pixels(media)
            return Prepared("image", {"pixels": pixels}, pixels.shape[1] * 1000 + pixels.shape[2])
        raise WrongModality(f"The starter cannot read this as {modality}.")

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        import torch

        with memory_errors_translated(), torch.inference_mode():
            return normalised(self.tensors(batch).cpu().numpy())

    def explain(self, media: Media, modality: Modality) -> Explanation:
        import torch

        prepared = self.prepare(media, modality)
        with memory_errors_translated(), torch.inference_mode():
            if modality == "image":
                pixels = prepared.inputs["pixels"]
                out = self.model.encode_image(self._to_device(pixels[None]).float() / 255, attention=True)
                return _explanation(out, _patches(pixels.shape[1], pixels.shape[2], self.model.config.image_stride))
            if modality == "text":
                ids = self._to_device(prepared.inputs["ids"][None])
                out = self.model.encode_text(ids, torch.ones_like(ids, dtype=torch.bool), attention=True)
                return _explanation(out, _characters(prepared.inputs["spans"], media))
            out, lengths = self._listen(prepared.inputs["windows"][:1], attention=True)
            return _explanation(out, _seconds(lengths[0], self.model.audio_token_seconds),
                                note="" if prepared.parts == 1 else "The first window of a longer sound is shown.")

    def seen(self, media: Media, modality: Modality) -> Seen:
        prepared = self.prepare(media, modality)
        if isinstance(media, str):
            return self._seen_text(media, prepared)
        if isinstance(media, AudioClip):
            return self._seen_sound(prepared)
        # The tower scales 0..1 by itself, so that is what is fed.
        values = prepared.inputs["pixels"].astype(np.float32) / 255
        return SeenPicture.unscaled(values, (0.0,) * 3, (1.0,) * 3, 1.0, self.model.config.image_stride)

    def _seen_text(self, text: str, prepared: Prepared) -> SeenText:
        tokenizer, ids, spans = self.model.tokenizer, prepared.inputs["ids"].tolist(), prepared.inputs["spans"]
        tokens = (SeenToken(str(tokenizer.id_to_token(key)), key, at, None, start, end, start == end)
                  for at, (key, (start, end)) in enumerate(zip(ids, spans, strict=True)))
        return SeenText(tuple(tokens), len(tokenizer.encode(text).ids) > self.model.config.max_text_tokens)

    def _seen_sound(self, prepared: Prepared) -> SeenSound:
        """The first window's log-mel; the tower takes its mean off, so that loudness says nothing."""
        import torch

        wave, config = prepared.inputs["windows"][0], self.model.config
        with memory_errors_translated(), torch.inference_mode():
            mel = self.model.log_mel(self._to_device(wave[None]))[0].float().cpu().numpy()
        frame = config.mel_bands, self.model.audio_token_seconds
        return SeenSound(mel, "log-mel", mel.shape[1] * config.mel_hop / config.sample_rate_hz,
                         len(wave) / config.sample_rate_hz, _band_edges(config), frame, frame, prepared.parts)

    def _pixels(self, picture: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """``(3, h, w)`` uint8: about ``image_size``² pixels in the picture's own proportions, sides multiples of 8."""
        from PIL import Image

        size, stride = self.model.config.image_size, self.model.config.image_stride
        aspect = float(np.clip(picture.width / picture.height, 1 / LONGEST_TO_SHORTEST, LONGEST_TO_SHORTEST))
        width, height = (max(1, round(size * side / stride)) * stride for side in (aspect**0.5, aspect**-0.5))
        small = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
        return np.ascontiguousarray(np.asarray(small, np.uint8).transpose(2, 0, 1))

    def _to_device(self, array: np.ndarray[Any, Any]) -> Any:
        import torch

        return torch.from_numpy(array).to(self.device)

    def _runs(self, batch: Sequence[Prepared]) -> Iterator[tuple[list[int], TowerOutput, list[int]]]:
        """The tower's output in as few passes as the items' shapes allow: of which item each row is (a sound has a row
        for each of its windows), the output, and how many tokens of each row are there.
        """
        if batch[0].modality == "image":
            shapes = [p.inputs["pixels"].shape for p in batch]
            for shape in dict.fromkeys(shapes):
                rows = [i for i, s in enumerate(shapes) if s == shape]
                pixels = self._to_device(np.stack([batch[i].inputs["pixels"] for i in rows]))
                out = self.model.encode_image(pixels.float() / 255)
                yield rows, out, [out.tokens.shape[1]] * len(rows)
        elif batch[0].modality == "text":
            lengths = [p.length for p in batch]
            ids, mask = np.zeros((len(batch), max(lengths)), np.int64), np.zeros((len(batch), max(lengths)), np.bool_)
            for row, p in enumerate(batch):
                ids[row, : p.length], mask[row, : p.length] = p.inputs["ids"], True
            yield list(range(len(batch))), self.model.encode_text(self._to_device(ids), self._to_device(mask)), lengths
        else:
            owners = [i for i, p in enumerate(batch) for _ in p.inputs["windows"]]
            yield owners, *self._listen([w for p in batch for w in p.inputs["windows"]])

    def _listen(self, windows: Sequence[Any], attention: bool = False) -> tuple[TowerOutput, list[int]]:
        """Tower output of windows padded to the longest, and the tokens that each one fills."""
        lengths = [len(w) for w in windows]
        waves = np.zeros((len(windows), max(lengths)), np.float32)
        for row, window in enumerate(windows):
            waves[row, : len(window)] = window
        mel = self.model.log_mel(self._to_device(waves))
        mask = self.model.token_mask(lengths).to(self.device)
        out = self.model.encode_audio(mel, mask, attention=attention)
        return out, [self.model.config.audio_tokens(n) for n in lengths]


def _band_edges(config: StarterConfig) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(bands + 1,)`` Hz: half-way, in mel, between the middles of the filters of ``starter_towers.mel_filters``."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (config.mel_low_hz, config.mel_high_hz))
    corners = np.linspace(low, high, config.mel_bands + 2)
    return 700 * (10 ** ((corners[:-1] + corners[1:]) / 2 / 2595) - 1)


def _explanation(out: TowerOutput, positions: Positions, note: str = "") -> Explanation:
    count = len(positions)
    layers = tuple(AttentionLayer.dense(a[0, :, :count, :count].float().cpu().numpy(), positions)
                   for a in out.attentions)
    return Explanation(
        normalised(out.vectors[0].float().cpu().numpy()), normalised(out.tokens[0, :count].float().cpu().numpy()),
        positions, out.pooling[0, :count].float().cpu().numpy(), layers, note=note)


def _patches(height: int, width: int, stride: int) -> Positions:
    rows, columns = height // stride, width // stride
    top, left = np.divmod(np.arange(rows * columns), columns)
    boxes = np.stack([left / columns, top / rows, (left + 1) / columns, (top + 1) / rows], axis=1)
    return Positions("patch", boxes.astype(np.float32))


def _characters(spans: Sequence[tuple[int, int]], text: Any) -> Positions:
    extents = np.array([s if s[1] > s[0] else (np.nan, np.nan) for s in spans], np.float32).reshape(-1, 2)
    return Positions("character", extents, tuple(text[a:b] if b > a else "·" for a, b in spans))


def _seconds(tokens: int, duration: float) -> Positions:
    starts = np.arange(tokens) * duration
    return Positions("time", np.stack([starts, starts + duration], axis=1).astype(np.float32))
