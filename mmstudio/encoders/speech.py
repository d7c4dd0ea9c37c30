"""Sounds: Whisper's encoder, AST, wav2vec 2.0, HuBERT and WavLM, and what every sound reader shares.

Whisper: https://arxiv.org/abs/2212.04356, AST: https://arxiv.org/abs/2104.01778, wav2vec 2.0:
https://arxiv.org/abs/2006.11477, HuBERT: https://arxiv.org/abs/2106.07447, WavLM: https://arxiv.org/abs/2110.13900.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders import hf
from mmstudio.encoders.base import AttentionLayer, Encoder, Explanation, Positions, Prepared, SeenSound
from mmstudio.encoders.registry import read_config
from mmstudio.errors import EncoderError, WrongModality
from mmstudio.media import AudioClip

CLASSES = {"whisper": "WhisperModel", "audio-spectrogram-transformer": "ASTModel", "wav2vec2": "Wav2Vec2Model",
           "hubert": "HubertModel", "wavlm": "WavLMModel"}
KALDI_HOP_S, KALDI_LOW_HZ, KALDI_WINDOW = 0.01, 20.0, 400
"""What AST's feature extractor fixes: frames every 10 ms, the lowest filter at 20 Hz, windows of 400 samples."""
WHISPER_HIGH_HZ = 8000.0
"""Where the highest filter of Whisper's feature extractor ends; the lowest starts at 0 Hz."""


def load(folder: Path, name: str, device: str) -> Encoder:
    """A sound encoder."""
    kind = str(read_config(folder)["model_type"])
    build = hf.load_model(folder, CLASSES[kind], part="encoder" if kind == "whisper" else "")
    extractor = hf.load_part(folder, "AutoFeatureExtractor")
    placed = hf.place(build, device)
    config = placed.model.config
    reader: hf.Reader
    if kind == "whisper":
        seconds, dim, reader = float(extractor.chunk_length), config.d_model, WhisperReader(extractor)
    elif kind == "audio-spectrogram-transformer":
        seconds, dim, reader = config.max_length * KALDI_HOP_S, config.hidden_size, AstReader(extractor, config)
    else:
        seconds, dim, reader = 10.0, config.hidden_size, WaveReader(extractor, config)
    return hf.HubEncoder(name, folder, build, placed, {"audio": reader}, dim, f"{kind} {type(extractor).__name__} 1",
                         extractor.sampling_rate, seconds)


Samples = NDArray[np.float32]


def cut(media: Any, rate_hz: int, most: int = 0, least: int = 1) -> list[Samples]:
    """The windows of a clip, each cut into parts of at most ``most`` samples (0: any) and filled up with silence to
    ``least``. A rest shorter than half a part is left out. Raises WrongModality, EncoderError for another rate.
    """
    if not isinstance(media, AudioClip):
        raise WrongModality("The model reads sounds, and this item is none.")
    if media.rate_hz != rate_hz:
        raise EncoderError(f"The model reads sound at {rate_hz} Hz and got {media.rate_hz} Hz.")
    parts: list[Samples] = []
    for window in media.windows:
        step = most or max(1, len(window))
        starts = [at for at in range(0, len(window), step) if at == 0 or 2 * (len(window) - at) >= step]
        parts += [np.ascontiguousarray(window[at:at + step], np.float32) for at in starts]
    if not parts:
        raise EncoderError("The sound holds no samples.")
    return [np.pad(part, (0, max(0, least - len(part)))) for part in parts]


def gathered(parts: Sequence[Samples], inputs: Sequence[hf.Piece]) -> Prepared:
    """One Prepared from one or several parts; ``samples`` is the length of each part's sound."""
    rows = [{**one, "samples": np.asarray(len(part), np.int64)} for part, one in zip(parts, inputs, strict=True)]
    joined = rows[0] if len(rows) == 1 else {key: tuple(row[key] for row in rows) for key in rows[0]}
    return Prepared("audio", joined, sum(len(part) for part in parts), len(parts))


class WhisperReader:
    """Whisper's encoder: always 30 s of log-mel; the mean over the frames that hold sound."""

    def __init__(self, extractor: Any) -> None:
        self.extractor = extractor
        self.frame_samples = 2 * int(extractor.hop_length)  # the second convolution halves the frames

    def prepare(self, media: Any) -> Prepared:
        """``input_features`` ``(mels, frames)`` float32."""
        rate = self.extractor.sampling_rate
        parts = cut(media, rate, most=self.extractor.n_samples)
        features = [self.extractor(part, sampling_rate=rate, return_tensors="np").input_features[0] for part in parts]
        return gathered(parts, [{"input_features": one.astype(np.float32)} for one in features])

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        hidden = model(hf.stacked(model, pieces, "input_features")).last_hidden_state
        return hf.masked_mean(hidden, self._mask(model, pieces, hidden))

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: frames that hold sound."""
        hidden = model(hf.stacked(model, pieces, "input_features")).last_hidden_state
        return hf.kept(hidden, self._mask(model, pieces, hidden))

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Frames that hold sound; the silence after it is one last position, so that rows still sum to 1."""
        out = model(hf.stacked(model, [piece], "input_features"), output_attentions=True)
        frames = self._frames(piece)
        positions = frame_positions(frames, self.frame_samples, self.frame_samples, self.extractor.sampling_rate,
                                    int(piece["samples"]))
        hidden = out.last_hidden_state
        keep = np.arange(hidden.shape[1]) < frames
        return Explanation(hf.unit(hf.masked_mean(hidden, self._mask(model, [piece], hidden)))[0],
                           hf.unit(hidden[0, :frames]), positions, np.full(frames, 1 / frames, np.float32),
                           lumped_layers(out.attentions, keep, positions), rows=lumped_rows(keep))

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenSound:
        """See Reader."""
        values, rate = piece["input_features"], self.extractor.sampling_rate
        frame = len(values), self.frame_samples / rate
        edges = mel_edges(len(values), 0.0, WHISPER_HIGH_HZ, "slaney")
        return SeenSound(values, "log-mel", self.extractor.n_samples / rate, int(piece["samples"]) / rate, edges,
                         frame, frame, prepared.parts)

    def _frames(self, piece: hf.Piece) -> int:
        return max(1, -(-int(piece["samples"]) // self.frame_samples))

    def _mask(self, model: Any, pieces: Sequence[hf.Piece], hidden: Any) -> Any:
        counts = (hf.stacked(model, pieces, "samples") + self.frame_samples - 1) // self.frame_samples
        return first(counts.clamp(min=1), hidden)


class AstReader:
    """Audio Spectrogram Transformer: patches of a mel spectrogram, padded to the trained length."""

    def __init__(self, extractor: Any, config: Any) -> None:
        self.extractor, self.config = extractor, config

    def prepare(self, media: Any) -> Prepared:
        """``input_values`` ``(frames, mels)`` float32."""
        rate = self.extractor.sampling_rate
        parts = cut(media, rate, most=round(self.config.max_length * KALDI_HOP_S * rate), least=KALDI_WINDOW)
        features = [self.extractor(part, sampling_rate=rate, return_tensors="np").input_values[0] for part in parts]
        return gathered(parts, [{"input_values": one.astype(np.float32)} for one in features])

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model(hf.stacked(model, pieces, "input_values")).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: the two special tokens and the patches that begin within the sound."""
        hidden = model(hf.stacked(model, pieces, "input_values")).last_hidden_state
        return hf.kept(hidden, np.stack([self._heard(self._seconds(piece)) for piece in pieces]))

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """The vector is the mean of CLS and distillation token; patches after the sound are one last position."""
        out = model(hf.stacked(model, [piece], "input_values"), output_attentions=True)
        seconds = self._seconds(piece)
        keep = self._heard(seconds)
        labels = ("CLS", "distillation", *[""] * (int(keep.sum()) - 2))
        positions = Positions("time-frequency", self.extents(seconds)[keep], labels)
        pooling = np.zeros(len(positions), np.float32)
        pooling[:2] = 0.5
        tokens = hf.unit(out.last_hidden_state[0])[keep]
        return Explanation(hf.unit(out.pooler_output)[0], tokens, positions, pooling,
                           lumped_layers(out.attentions, keep, positions), pooling_query=0, rows=lumped_rows(keep))

    def extents(self, seconds: float) -> NDArray[np.float32]:
        """``(2 + patches, 4)`` start, end in s, low, high in Hz, as the model orders them (frequency by frequency);
        NaN for the two special tokens and for patches after the sound.
        """
        c = self.config
        edges = self._mel_edges()
        low, start = self._grid()
        table = np.array([(t, min(t + c.patch_size * KALDI_HOP_S, seconds), edges[f], edges[f + c.patch_size])
                          for f in low for t in start], np.float32)
        table[~self._heard(seconds)[2:]] = np.nan
        return np.concatenate([np.full((2, 4), np.nan, np.float32), table])

    def _heard(self, seconds: float) -> NDArray[np.bool_]:
        """``(2 + patches,)`` the special tokens, and patches that begin within the sound."""
        low, start = self._grid()
        return np.concatenate([[True, True], np.tile(start < seconds, len(low))])

    def _grid(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The lowest bin of each row of patches, and the second in which each column starts."""
        c = self.config
        low = np.arange((c.num_mel_bins - c.patch_size) // c.frequency_stride + 1) * c.frequency_stride
        return low, np.arange((c.max_length - c.patch_size) // c.time_stride + 1) * c.time_stride * KALDI_HOP_S

    def _seconds(self, piece: hf.Piece) -> float:
        return int(piece["samples"]) / int(self.extractor.sampling_rate)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenSound:
        """See Reader."""
        c, values = self.config, piece["input_values"].T
        return SeenSound(values, "log-mel", values.shape[1] * KALDI_HOP_S, self._seconds(piece), self._mel_edges(),
                         (c.patch_size, c.patch_size * KALDI_HOP_S), (c.frequency_stride, c.time_stride * KALDI_HOP_S),
                         prepared.parts)

    def _mel_edges(self) -> NDArray[np.float64]:
        return mel_edges(self.config.num_mel_bins, KALDI_LOW_HZ, self.extractor.sampling_rate / 2, "kaldi")


class WaveReader:
    """wav2vec 2.0, HuBERT, WavLM: convolutions over samples, then a transformer; the mean over frames.

    Models with group norm were trained without a mask and their norm runs over time, so padding would change every
    frame: sounds of unlike length run apart. Layer-norm models are padded and masked, WavLM aside, whose attention
    torch warns about when it is masked.
    """

    def __init__(self, extractor: Any, config: Any) -> None:
        self.extractor = extractor
        self.strides, self.kernels = list(config.conv_stride), list(config.conv_kernel)
        self.masks = (config.feat_extract_norm == "layer" and config.model_type != "wavlm"
                      and not getattr(config, "add_adapter", False))
        # WavLM gives the mean over heads, repeated for each of them.
        self.one_head = config.model_type == "wavlm"

    def prepare(self, media: Any) -> Prepared:
        """``input_values`` ``(samples,)`` float32."""
        rate = self.extractor.sampling_rate
        parts = cut(media, rate, least=self._reach())
        values = [self.extractor(part, sampling_rate=rate, return_tensors="np").input_values[0] for part in parts]
        return gathered(parts, [{"input_values": one.astype(np.float32)} for one in values])

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        import torch

        if self.masks:
            return hf.masked_mean(*self._masked(model, pieces))
        if isinstance(pieces, hf.Given):
            return self._alike(model, pieces).float().mean(dim=1)
        return torch.stack([frames.float().mean(dim=0) for frames in self.tokens(model, pieces)])

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: the final hidden states of the frames."""
        if self.masks:
            return hf.kept(*self._masked(model, pieces))
        return by_length(pieces, "input_values", lambda group: self._alike(model, group))

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens are the final hidden states of the frames."""
        out = model(hf.stacked(model, [piece], "input_values"), output_attentions=True)
        hidden = out.last_hidden_state
        attentions = [weights[:, :1] for weights in out.attentions] if self.one_head else out.attentions
        frames = attentions[0].shape[-1]
        positions = frame_positions(frames, math.prod(self.strides), self._reach(), self.extractor.sampling_rate,
                                    int(piece["samples"]))
        same = hidden.shape[1] == frames  # not so behind an adapter, which joins frames
        note = "This model's attention is the mean over its heads." if self.one_head else ""
        return Explanation(hf.unit(hidden.float().mean(dim=1))[0], hf.unit(hidden[0]) if same else None, positions,
                           np.full(frames, 1 / frames, np.float32), hf.dense_layers(attentions, positions), note=note)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenSound:
        """See Reader."""
        values, rate = piece["input_values"], self.extractor.sampling_rate
        return SeenSound(values, "waveform", len(values) / rate, int(piece["samples"]) / rate,
                         np.array([0.0, rate / 2]), (1, self._reach() / rate), (1, math.prod(self.strides) / rate),
                         prepared.parts)

    @staticmethod
    def _alike(model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """``(n, t, d)`` of sounds of one length."""
        return model(hf.stacked(model, pieces, "input_values")).last_hidden_state

    def _masked(self, model: Any, pieces: Sequence[hf.Piece]) -> tuple[Any, Any]:
        """``(n, t, d)``, and ``(n, t)`` which frames are of a sound and not of its padding."""
        values, mask = hf.padded(model, pieces, "input_values")
        hidden = model(values, attention_mask=mask).last_hidden_state
        return hidden, first(self.frames(mask.sum(dim=1)), hidden)

    def frames(self, samples: Any) -> Any:
        """How many frames the convolutions make of so many samples, a number or a tensor of numbers."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def _reach(self) -> int:
        reach, step = 1, 1
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            reach, step = reach + (kernel - 1) * step, step * stride
        return reach


def first(counts: Any, hidden: Any) -> Any:
    """``(n,)`` and ``(n, t, d)`` → ``(n, t)`` bool: in each row the first so many."""
    import torch

    return torch.arange(hidden.shape[1], device=hidden.device)[None] < counts[:, None]


def by_length(pieces: Sequence[hf.Piece], key: str, run: Callable[[list[hf.Piece]], Any]) -> list[Any]:
    """What ``run`` makes of each piece, in the order of ``pieces``, run in groups of equal length."""
    groups: dict[int, list[int]] = {}
    for at, piece in enumerate(pieces):
        groups.setdefault(len(piece[key]), []).append(at)
    made = {at: row for members in groups.values()
            for at, row in zip(members, run([pieces[at] for at in members]), strict=True)}
    return [made[at] for at in range(len(pieces))]


def frame_positions(frames: int, step: int, reach: int, rate_hz: int, samples: int) -> Positions:
    """``frames`` positions every ``step`` samples, each as long as ``reach``, cut at the sound's end."""
    starts = np.arange(frames) * step
    extents = np.stack([starts, np.minimum(starts + reach, samples)], axis=1) / rate_hz
    return Positions("time", extents.astype(np.float32))


def lumped_layers(
    attentions: Sequence[Any], keep: NDArray[np.bool_], positions: Positions,
) -> tuple[AttentionLayer, ...]:
    """Verified layers over the kept positions and, where some are not kept, one more that stands for all of them:
    what goes there is summed, what comes from there is averaged, so rows sum to 1 and a short sound stays small.
    """
    if keep.all():
        return hf.dense_layers(attentions, positions)
    import torch

    extents = np.concatenate([positions.extents, np.full((1, positions.extents.shape[1]), np.nan, np.float32)])
    labels = (*(positions.label(i) for i in range(len(positions))), "silence after the sound")
    kept = torch.from_numpy(keep).to(attentions[0].device)
    layers = []
    for weights in attentions:
        columns = torch.cat([weights[..., kept], weights[..., ~kept].sum(dim=-1, keepdim=True)], dim=-1)
        layers.append(torch.cat([columns[:, :, kept], columns[:, :, ~kept].mean(dim=2, keepdim=True)], dim=2))
    return hf.dense_layers(layers, Positions(positions.kind, extents, labels))


def lumped_rows(keep: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """``(t,)`` which position of ``lumped_layers`` each position of the model is; None where all are kept."""
    return None if keep.all() else np.where(keep, np.cumsum(keep) - 1, int(keep.sum()))


def mel_edges(bins: int, low_hz: float, high_hz: float, scale: str) -> NDArray[np.float64]:
    """``(bins + 1,)`` Hz: borders between neighbouring mel filters, half-way (in mel) between their centres."""
    from transformers.audio_utils import hertz_to_mel, mel_to_hertz

    low, high = hertz_to_mel(low_hz, scale), hertz_to_mel(high_hz, scale)
    centres = np.linspace(low, high, bins + 2)
    borders: NDArray[np.float64] = mel_to_hertz((centres[:-1] + centres[1:]) / 2, scale)
    return borders
