"""The starter model: three small towers that put pictures, sounds and texts into one space of 384 dimensions.

Plain torch. This module is imported lazily, by the encoder that serves the starter. How the weights in
resources/starter were made is told in packaging/starter_model/README.md; the training there uses these very classes.

Every tower turns its input into a row of tokens (words, 8 x 8 pixel patches, 80-ms frames), lets them attend to each
other (pre-norm transformer: Vaswani et al. 2017, Xiong et al. 2020) and pools them with learned weights. Padding is
masked everywhere, so that a vector never depends on what else is in its batch.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class StarterConfig:
    """Sizes of the towers and the constants that turn media into their input."""

    dim: int = 384
    vocabulary: int = 12_000
    max_text_tokens: int = 64
    text_width: int = 256
    text_layers: int = 3
    text_heads: int = 4
    image_size: int = 64  # pixels of the longer side that recognises best; any multiple of the stride works
    image_stride: int = 8
    image_stem: tuple[int, int] = (32, 64)
    image_width: int = 192
    image_layers: int = 2
    image_heads: int = 4
    sample_rate_hz: int = 16_000
    max_audio_seconds: float = 10.0
    mel_bands: int = 64
    mel_window: int = 400  # samples: 25 ms
    mel_hop: int = 160  # samples: 10 ms
    mel_fft: int = 512
    mel_low_hz: float = 40.0
    mel_high_hz: float = 7_800.0
    mel_floor: float = 1e-6  # added to the power before the logarithm
    audio_stem: tuple[int, int] = (144, 192)
    audio_width: int = 224
    audio_layers: int = 3
    audio_heads: int = 4
    version: str = "1"
    trained_on: dict[str, Any] = field(default_factory=dict)

    @property
    def frames_per_token(self) -> int:
        """Mel frames that one sound token covers (three halvings)."""
        return 8

    @property
    def samples_per_token(self) -> int:
        """Samples that one sound token covers."""
        return self.mel_hop * self.frames_per_token

    @property
    def audio_token_seconds(self) -> float:
        """Duration of one sound token."""
        return self.samples_per_token / self.sample_rate_hz

    def audio_tokens(self, samples: int) -> int:
        """Tokens that a clip of `samples` samples fills, at least one."""
        return max(1, math.ceil(samples / self.samples_per_token))

    @classmethod
    def read(cls, path: Path) -> StarterConfig:
        """From config.json; lists become tuples."""
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return cls(**values)

    def write(self, path: Path) -> None:
        """As config.json."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class TowerOutput:
    """What a tower says about a batch of n inputs with t tokens each.

    `tokens` lie in the same space as `vectors`: `tokens @ query` is a map of where the query is.
    """

    vectors: Tensor  # (n, dim) float32, L2-normalised
    tokens: Tensor  # (n, t, dim) float32, L2-normalised
    attentions: list[Tensor]  # one per layer, (n, heads, t, t), rows sum to 1; [] unless asked for
    pooling: Tensor  # (n, t) float32, sums to 1: how much each token weighs in the vector


class Attention(nn.Module):
    """Multi-head self-attention; keys outside the mask get no weight."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None, want_weights: bool) -> tuple[Tensor, Tensor | None]:
        """x (n, t, width), mask (n, t) bool or None -> (n, t, width), weights (n, heads, t, t) or None."""
        n, t, width = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        keys = None if mask is None else mask[:, None, None, :]
        weights = None
        if want_weights:
            scores = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)
            if keys is not None:
                scores = scores.masked_fill(~keys, -math.inf)
            weights = scores.softmax(-1)
            mixed = weights @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        return self.out(mixed.transpose(1, 2).reshape(n, t, width)), weights


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None, want_weights: bool) -> tuple[Tensor, Tensor | None]:
        """x (n, t, width) -> the same shape, and the attention weights if wanted."""
        mixed, weights = self.attention(self.norm1(x), mask, want_weights)
        x = x + mixed
        return x + self.down(F.gelu(self.up(self.norm2(x)))), weights


def run_blocks(blocks: nn.ModuleList, x: Tensor, mask: Tensor | None, want: bool) -> tuple[Tensor, list[Tensor]]:
    """x (n, t, width) through all blocks -> x, and each layer's attention if wanted."""
    attentions: list[Tensor] = []
    for block in blocks:
        x, weights = block(x, mask, want)
        if weights is not None:
            attentions.append(weights)
    return x, attentions


class Pool(nn.Module):
    """A learned weight per token, and the weighted mean of the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (n, t, width) -> mean (n, width), weights (n, t)."""
        scores = self.score(x).squeeze(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(-1)
        return (weights.unsqueeze(1) @ x).squeeze(1), weights


class TextTower(nn.Module):
    """Word pieces -> vectors. Learned from a larger sentence encoder, then moved into the shared, whitened space."""

    centre: Tensor
    whitening: Tensor

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        width = config.text_width
        self.words = nn.Embedding(config.vocabulary, width)
        self.places = nn.Embedding(config.max_text_tokens, width)
        self.blocks = nn.ModuleList(Block(width, config.text_heads) for _ in range(config.text_layers))
        self.pool = Pool(width)  # no norm before it: a token's length says how much it matters
        self.project = nn.Linear(width, config.dim)
        self.register_buffer("centre", torch.zeros(config.dim))
        self.register_buffer("whitening", torch.eye(config.dim))

    def to_space(self, raw: Tensor) -> Tensor:
        """The teacher's space (..., dim) -> the shared one: minus the concepts' mean, whitened, unit length."""
        return F.normalize((F.normalize(raw, dim=-1) - self.centre) @ self.whitening, dim=-1)

    def read(self, ids: Tensor, mask: Tensor, want: bool) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """ids (n, t) int64, mask (n, t) bool -> vector before whitening (n, dim), hidden (n, t, width), ...."""
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        x, attentions = run_blocks(self.blocks, x, mask, want)
        mean, weights = self.pool(x, mask)
        return self.project(mean), x, weights, attentions

    def forward(self, ids: Tensor, mask: Tensor, want: bool = False) -> TowerOutput:
        """ids (n, t) int64, mask (n, t) bool -> the texts in the shared space."""
        raw, hidden, weights, attentions = self.read(ids, mask, want)
        return TowerOutput(self.to_space(raw), self.to_space(self.project(hidden)), attentions, weights)


class ImageResidual(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a straight path (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """x (n, width, h, w) -> the same shape."""
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def _halve(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution that halves height and width."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class ImageTower(nn.Module):
    """Pixels -> a grid of patches 8 pixels apart -> vectors. No table of positions, so any size works."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        low, middle = config.image_stem
        width = config.image_width
        self.stem = nn.Sequential(
            _halve(3, low), ImageResidual(low), _halve(low, middle), ImageResidual(middle),
            _halve(middle, width), ImageResidual(width),
        )  # fmt: skip
        self.place = nn.Conv2d(width, width, 5, padding=2, groups=width)  # its zero border tells where the edges are
        self.blocks = nn.ModuleList(Block(width, config.image_heads) for _ in range(config.image_layers))
        self.norm = nn.LayerNorm(width)
        self.pool = Pool(width)
        self.project = nn.Linear(width, config.dim)
        self.project_patch = nn.Linear(width, config.dim)

    def forward(self, pixels: Tensor, want: bool = False) -> TowerOutput:
        """pixels (n, 3, h, w) float32 in 0..1, h and w multiples of 8 -> tokens row by row."""
        grid = self.stem((pixels - 0.5) * 4.0)
        grid = grid + self.place(grid)
        x, attentions = run_blocks(self.blocks, grid.flatten(2).transpose(1, 2), None, want)
        x = self.norm(x)
        mean, weights = self.pool(x, None)
        vectors = F.normalize(self.project(mean), dim=-1)
        return TowerOutput(vectors, F.normalize(self.project_patch(x), dim=-1), attentions, weights)


class MaskedConv(nn.Module):
    """Convolution over time that sees silence (zeros) outside the mask, then layer norm over the channels."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, size, stride=stride, padding=size // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (n, t, inputs), mask (n, t) -> (n, ceil(t / stride), outputs)."""
        x = (x * mask.unsqueeze(-1)).transpose(1, 2)
        return cast(Tensor, self.norm(self.conv(x).transpose(1, 2)))


class AudioResidual(nn.Module):
    """A masked convolution and a mixing layer beside a straight path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = MaskedConv(width, width, 3)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (n, t, width), mask (n, t) -> the same shape as x."""
        return x + cast(Tensor, self.mix(F.gelu(self.conv(x, mask))))


class AudioTower(nn.Module):
    """Log-mel frames -> tokens of 80 ms -> vectors."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        low, middle = config.audio_stem
        width = config.audio_width
        self.down1 = MaskedConv(config.mel_bands, low, 5, stride=2)
        self.early = nn.ModuleList(AudioResidual(low) for _ in range(2))
        self.down2 = MaskedConv(low, middle, 3, stride=2)
        self.late = nn.ModuleList(AudioResidual(middle) for _ in range(3))
        self.down3 = MaskedConv(middle, width, 3, stride=2)
        self.place = nn.Conv1d(width, width, 9, padding=4, groups=width)
        self.blocks = nn.ModuleList(Block(width, config.audio_heads) for _ in range(config.audio_layers))
        self.norm = nn.LayerNorm(width)
        self.pool = Pool(width)
        self.project = nn.Linear(width, config.dim)
        self.project_frame = nn.Linear(width, config.dim)

    def listen(self, mel: Tensor, mask: Tensor) -> Tensor:
        """mel (n, bands, 8 t), mask (n, t) tokens -> features (n, 2 t, middle), 40 ms apart: about a phoneme each."""
        by_frame = mask.repeat_interleave(8, 1)
        level = (mel * by_frame[:, None]).sum((1, 2)) / (by_frame.sum(1) * mel.shape[1]).clamp(min=1)
        x = ((mel - level[:, None, None]) / 3.0).transpose(1, 2)  # how loud a clip is says nothing of what it is
        x = F.gelu(self.down1(x, by_frame))
        for layer in self.early:
            x = layer(x, mask.repeat_interleave(4, 1))
        x = F.gelu(self.down2(x, mask.repeat_interleave(4, 1)))
        for layer in self.late:
            x = layer(x, mask.repeat_interleave(2, 1))
        return x

    def understand(self, heard: Tensor, mask: Tensor, want: bool = False) -> TowerOutput:
        """Features (n, 2 t, middle), mask (n, t) -> the clips in the shared space."""
        x = F.gelu(self.down3(heard, mask.repeat_interleave(2, 1)))
        x = x + self.place((x * mask.unsqueeze(-1)).transpose(1, 2)).transpose(1, 2)
        x, attentions = run_blocks(self.blocks, x, mask, want)
        x = self.norm(x)
        mean, weights = self.pool(x, mask)
        vectors = F.normalize(self.project(mean), dim=-1)
        return TowerOutput(vectors, F.normalize(self.project_frame(x), dim=-1), attentions, weights)

    def forward(self, mel: Tensor, mask: Tensor, want: bool = False) -> TowerOutput:
        """mel (n, bands, 8 t) float32, mask (n, t) bool -> one token per 80 ms."""
        return self.understand(self.listen(mel, mask), mask, want)


def mel_filters(config: StarterConfig) -> Tensor:
    """Triangles on the mel scale (O'Shaughnessy 1987): (fft / 2 + 1, bands) float32, each with peak 1."""

    def to_mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    mels = torch.linspace(to_mel(config.mel_low_hz), to_mel(config.mel_high_hz), config.mel_bands + 2)
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins = torch.linspace(0.0, config.sample_rate_hz / 2, config.mel_fft // 2 + 1)[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0.0)


class _Unfilled(TorchFunctionMode):
    """New parameters get no random numbers: those of the file take their place a moment later."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_):
            return None
        return func(*args, **(kwargs or {}))


class StarterModel(nn.Module):
    """The three towers with their tokenizer and mel constants."""

    window: Tensor
    filters: Tensor

    def __init__(self, config: StarterConfig, tokenizer: Any = None) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.text, self.image, self.audio = TextTower(config), ImageTower(config), AudioTower(config)
        self.register_buffer("window", torch.hann_window(config.mel_window), persistent=False)
        self.register_buffer("filters", mel_filters(config), persistent=False)

    @classmethod
    def load(cls, folder: Path) -> StarterModel:
        """From config.json, model.safetensors (float16) and tokenizer.json; ready to encode, float32, on the CPU."""
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        config = StarterConfig.read(folder / "config.json")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        with _Unfilled():
            model = cls(config, tokenizer)
        stored = load_file(folder / "model.safetensors")
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in stored.items()}, assign=True)
        return model.eval().requires_grad_(False)

    @property
    def audio_token_seconds(self) -> float:
        """Duration of one sound token."""
        return self.config.audio_token_seconds

    def tokenize(self, texts: list[str]) -> tuple[Tensor, Tensor, list[list[tuple[int, int]]]]:
        """-> ids (n, t) int64, mask (n, t) bool, and for every token the (start, end) of its characters.

        The first token of each text is a mark that stands for no character: its span is (0, 0).
        """
        encodings = self.tokenizer.encode_batch(texts) if texts else []
        rows = [e.ids[: self.config.max_text_tokens] for e in encodings]
        longest = max((len(r) for r in rows), default=1)
        ids = torch.zeros((len(rows), longest), dtype=torch.int64)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = torch.tensor(values)
        mask = torch.arange(longest) < torch.tensor([len(r) for r in rows], dtype=torch.int64)[:, None]
        spans = [[(int(a), int(b)) for a, b in e.offsets[: self.config.max_text_tokens]] for e in encodings]
        return ids, mask, spans

    def encode_text(self, ids: Tensor, mask: Tensor, attention: bool = False) -> TowerOutput:
        """ids (n, t) int64, mask (n, t) bool, as `tokenize` gives them."""
        return cast(TowerOutput, self.text(ids, mask, attention))

    def encode_image(self, pixels: Tensor, attention: bool = False) -> TowerOutput:
        """pixels (n, 3, h, w) float32 in 0..1, h and w multiples of 8; tokens row by row over the (h/8, w/8) grid."""
        return cast(TowerOutput, self.image(pixels, attention))

    def log_mel(self, waves: Tensor) -> Tensor:
        """Waves (n, samples) float32, mono, 16 kHz -> (n, bands, frames): 10 ms a frame, whole tokens, zeros behind."""
        config = self.config
        samples = config.audio_tokens(waves.shape[1]) * config.samples_per_token
        side = (config.mel_window - config.mel_hop) // 2
        slack = config.mel_fft - config.mel_window  # torch.stft centres the window in the FFT's length
        padded = F.pad(waves, (side + slack // 2, samples - waves.shape[1] + side + slack - slack // 2))
        spectrum = torch.stft(
            padded, config.mel_fft, config.mel_hop, config.mel_window, self.window, center=False, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log(power.transpose(1, 2) @ self.filters + config.mel_floor).transpose(1, 2)

    def token_mask(self, samples: list[int]) -> Tensor:
        """Which tokens of a padded batch are sound: sample counts -> (n, t) bool, for `encode_audio`."""
        counts = torch.tensor([self.config.audio_tokens(s) for s in samples])
        return (torch.arange(int(counts.max())) < counts[:, None]).to(self.window.device)

    def encode_audio(self, mel: Tensor, mask: Tensor, attention: bool = False) -> TowerOutput:
        """mel (n, bands, 8 t) from `log_mel`, mask (n, t) bool of valid tokens."""
        return cast(TowerOutput, self.audio(mel, mask, attention))
