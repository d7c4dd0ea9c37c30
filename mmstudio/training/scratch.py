"""Small encoders that begin knowing nothing: for people who teach, and for media that no model has seen.

A residual CNN for pictures (He et al. 2016), GRU (Cho et al. 2014), LSTM (Hochreiter & Schmidhuber 1997) or Transformer
(Vaswani et al. 2017) for words, a CNN or Transformer over log-mel frames for sounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmstudio.encoders.base import Prepared
from mmstudio.encoders.starter_towers import StarterConfig, mel_filters
from mmstudio.errors import WrongModality
from mmstudio.media import AudioClip, Media, Modality
from mmstudio.training.job import HEADS, TrainingJob
from mmstudio.training.words import MARKS, PAD, UNKNOWN, numbers

SIDE = 48
"""Pixels of a picture's side."""
MOST_TOKENS = 64
LAYERS = 2
SAMPLE_RATE_HZ, SECONDS = 16_000, 10.0
MEL = StarterConfig()


class Scratch(nn.Module):
    """One tower a modality, ``dim`` the job's width. See ``towers.Reads``."""

    sample_rate_hz, window_seconds = SAMPLE_RATE_HZ, SECONDS

    def __init__(self, job: TrainingJob, words: Sequence[str]) -> None:
        super().__init__()
        self.dim = job.width
        self._places = {word: place for place, word in enumerate(words)}
        made: dict[str, nn.Module] = {}
        if "image" in job.modalities:
            made["image"] = PictureTower(self.dim, job.dropout)
        if "text" in job.modalities:
            made["text"] = WordTower(len(words) + MARKS, self.dim, job.text_tower, job.dropout)
        if "audio" in job.modalities:
            made["audio"] = SoundTower(self.dim, job.audio_tower, job.dropout)
        self.towers = nn.ModuleDict(made)

    @property
    def model(self) -> nn.Module:
        return self.towers

    def parts(self, modality: Modality) -> tuple[str, ...]:
        """The names of the towers that read a modality."""
        return (modality,)

    def prepare(self, media: Media, modality: Modality) -> Prepared:
        """``pixels (3, 48, 48)`` uint8, ``ids (t,)`` int64, or a ``wave (n,)`` float32, of which one window is read."""
        if isinstance(media, str):
            ids = numbers(media, self._places, MOST_TOKENS) or [UNKNOWN]
            return Prepared("text", {"ids": np.array(ids, np.int64)}, len(ids))
        if isinstance(media, AudioClip):
            return Prepared("audio", {"wave": np.asarray(media.windows[0], np.float32)}, len(media.windows[0]))
        if modality != "image":
            raise WrongModality(f"This cannot be read as {modality}.")
        small = media.convert("RGB").resize((SIDE, SIDE), 3, reducing_gap=3.0)
        return Prepared("image", {"pixels": np.ascontiguousarray(np.asarray(small, np.uint8).transpose(2, 0, 1))})

    def tensors(self, batch: Sequence[Prepared]) -> Tensor:
        """``(n, dim)`` of length 1: the strongest of the positions that are there."""
        tokens, there = self.tokens(batch)
        return F.normalize(tokens.masked_fill(~there[..., None], -torch.inf).amax(1), dim=-1)

    def tokens(self, batch: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """``(n, t, dim)`` and ``(n, t)`` which are there."""
        modality = batch[0].modality
        device = next(self.parameters()).device
        tower: Any = self.towers[modality]
        if modality == "image":
            pixels = torch.from_numpy(np.stack([one.inputs["pixels"] for one in batch])).to(device)
            tokens = tower(pixels.float() / 127.5 - 1)
            return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=device)
        name = "ids" if modality == "text" else "wave"
        rows = [torch.from_numpy(one.inputs[name]) for one in batch]
        lengths = torch.tensor([len(row) for row in rows])
        return tower(nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device), lengths)


class Residual(nn.Module):
    """Two convolutions beside a straight path; group norm, so that a batch's make-up changes nothing."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(8, outputs) for _ in range(2))
        self.straight = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, h, w)`` to ``(n, outputs, h / stride, w / stride)``"""
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.straight(x) + self.norms[1](self.second(inner)))


class PictureTower(nn.Module):
    """Pixels to a grid of 6 x 6 positions."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(Residual(3, 32, 2), Residual(32, 64, 2), Residual(64, 96, 2), nn.Dropout(dropout))
        self.into = nn.Linear(96, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """``(n, 3, 48, 48)`` in -1..1 to ``(n, 36, dim)``"""
        return self.into(self.body(pixels).flatten(2).transpose(1, 2))


class WordTower(nn.Module):
    """Words to states."""

    def __init__(self, words: int, dim: int, kind: str, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(words, dim, padding_idx=PAD)
        self.drop = nn.Dropout(dropout)
        self.body: nn.Module
        if kind == "transformer":
            self.places = nn.Parameter(0.02 * torch.randn(MOST_TOKENS, dim))
            self.body = _transformer(dim, dropout)
        else:
            self.body = (nn.GRU if kind == "gru" else nn.LSTM)(dim, dim // 2, batch_first=True, bidirectional=True)
        self.kind = kind

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``ids (n, t)`` and how many of each are words, to ``(n, t, dim)`` and ``(n, t)``"""
        there = torch.arange(ids.shape[1], device=ids.device) < lengths.to(ids.device)[:, None]
        x = self.drop(self.words(ids))
        if self.kind == "transformer":
            return self.body(x + self.places[: ids.shape[1]], src_key_padding_mask=~there), there
        packed, _ = self.body(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        return pad_packed_sequence(packed, batch_first=True, total_length=ids.shape[1])[0], there


class SoundTower(nn.Module):
    """A wave to log-mel frames, to a state every 80 ms."""

    window: Tensor
    filters: Tensor

    def __init__(self, dim: int, kind: str, dropout: float) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(MEL.mel_window), persistent=False)
        self.register_buffer("filters", mel_filters(MEL), persistent=False)
        self.body = nn.ModuleList(nn.Conv1d(inputs, dim, 5, 2, 2) for inputs in (MEL.mel_bands, dim, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.drop = nn.Dropout(dropout)
        self.attends = _transformer(dim, dropout) if kind == "transformer" else None
        self.places = nn.Conv1d(dim, dim, 9, padding=4, groups=dim) if kind == "transformer" else None

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``waves (n, samples)`` at 16 kHz and how many of each are sound, to ``(n, t, dim)`` and ``(n, t)``"""
        hop = MEL.samples_per_token
        counts = ((lengths + hop - 1) // hop).clamp(min=1).to(waves.device)
        x = self._log_mel(F.pad(waves, (0, int(counts.max()) * hop - waves.shape[1] + MEL.mel_fft)))
        steps = int(counts.max())
        x = x[..., : steps * MEL.frames_per_token]
        for halvings, (layer, norm) in enumerate(zip(self.body, self.norms, strict=True)):
            there = torch.arange(x.shape[2], device=x.device) < (counts * (MEL.frames_per_token >> halvings))[:, None]
            x = F.gelu(norm(layer(x * there[:, None]).transpose(1, 2))).transpose(1, 2)
        there = torch.arange(steps, device=x.device) < counts[:, None]
        if self.attends is None or self.places is None:
            return self.drop(x.transpose(1, 2)), there
        x = x + self.places(x * there[:, None])
        return self.attends(x.transpose(1, 2), src_key_padding_mask=~there), there

    def _log_mel(self, waves: Tensor) -> Tensor:
        """``(n, bands, frames)``, around nothing: how loud a clip is says nothing of what it is."""
        spectrum = torch.stft(waves, MEL.mel_fft, MEL.mel_hop, MEL.mel_window, self.window, center=False,
                              return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.log(power.transpose(1, 2) @ self.filters + MEL.mel_floor).transpose(1, 2)
        return mel / 4 + 1.5


def _transformer(dim: int, dropout: float) -> nn.Module:
    layer = nn.TransformerEncoderLayer(dim, HEADS, 2 * dim, dropout, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(dim), enable_nested_tensor=False)
