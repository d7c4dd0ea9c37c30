"""CLAP (https://arxiv.org/abs/2211.06687): sounds and texts in one space.

The sound tower is HTSAT (https://arxiv.org/abs/2202.00874), a Swin transformer over a mel spectrogram that is folded
into a square: time is cut into ``ratio`` stretches that lie one under the other, each with all mel bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders import hf
from mmstudio.encoders.base import AttentionLayer, Encoder, Explanation, Positions, Prepared, SeenSound, SeenText
from mmstudio.encoders.speech import cut, gathered, mel_edges
from mmstudio.encoders.text import Texts, load_tokenizer, longest


def load(folder: Path, name: str, device: str) -> Encoder:
    """An encoder of sounds and texts in one space, fused or unfused."""
    # Decibels of a log-mel need more digits than half precision has, and this model is small.
    build = hf.load_model(folder, "ClapModel", exact=True)
    extractor = hf.load_part(folder, "AutoFeatureExtractor")
    texts = Texts(load_tokenizer(folder), 1 << 30)
    placed = hf.place(build, device)
    config = placed.model.config
    texts.max_length = min(texts.max_length, longest(config.text_config))
    readers: dict[Any, hf.Reader] = {"audio": ClapSounds(extractor, config.audio_config), "text": ClapTexts(texts)}
    return hf.HubEncoder(name, folder, build, placed, readers, config.projection_dim,
                         texts.describe(f"clap {type(extractor).__name__}"), extractor.sampling_rate,
                         extractor.max_length_s)


class ClapTexts:
    """Texts through the RoBERTa-like tower, pooled at its first token."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.texts.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_text_features(**self.texts.padded(model, pieces)).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: the text's tokens in the joint space."""
        inputs = self.texts.padded(model, pieces)
        return hf.kept(self._projected(model, model.text_model(**inputs).last_hidden_state), inputs["attention_mask"])

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens go the way that the first token goes: pooler, then the projection into the joint space."""
        out = model.text_model(**self.texts.padded(model, [piece]), output_attentions=True)
        tokens = hf.unit(self._projected(model, out.last_hidden_state)[0])
        positions = self.texts.positions(prepared)
        return Explanation(hf.unit(model.text_projection(out.pooler_output))[0], tokens, positions,
                           attention=hf.dense_layers(out.attentions, positions), pooling_query=0)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenText:
        """See Reader."""
        return self.texts.seen(prepared)

    @staticmethod
    def _projected(model: Any, hidden: Any) -> Any:
        return model.text_projection(hf.each_pooled(model.text_model.pooler, hidden))


class ClapSounds:
    """Sounds through HTSAT; short ones are repeated to the trained length.

    The extractor's ways with long sounds draw random crops, and its batches mark a random item as long. Here longer
    sounds are cut into windows whose vectors are averaged and nothing is marked, so a sound always has one vector.
    """

    def __init__(self, extractor: Any, config: Any) -> None:
        self.extractor, self.config = extractor, config

    def prepare(self, media: Any) -> Prepared:
        """``input_features`` ``(1 or 4, frames, mels)`` float32."""
        rate = self.extractor.sampling_rate
        parts = cut(media, rate, most=self.extractor.nb_max_samples)
        features = [self.extractor(part, sampling_rate=rate, return_tensors="np").input_features[0] for part in parts]
        return gathered(parts, [{"input_features": one.astype(np.float32)} for one in features])

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_audio_features(**self._inputs(model, pieces)).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: patches in the joint space, as ``explain`` tells."""
        out = model.audio_model(**self._inputs(model, pieces))
        placed = np.stack([self._last_positions(model, piece).placed for piece in pieces])
        placed |= ~placed.any(axis=1, keepdims=True)  # a grid whose cells lie nowhere
        return hf.kept(self._projected(model, out.last_hidden_state), placed)

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens are the last stage's patches through the projection. Their mean is what the projection gets for the
        vector, so each stands for a sound that were all like it.
        """
        with recorded(model.audio_model) as blocks:
            out = model.audio_model(**self._inputs(model, [piece]), output_attentions=True)
        samples = int(piece["samples"])
        layers = [layer for block in blocks if (layer := self._layer(block, samples)) is not None]
        tokens = hf.unit(self._projected(model, out.last_hidden_state)[0])
        vector = hf.unit(model.audio_projection(out.pooler_output))[0]
        return Explanation(vector, tokens, self._last_positions(model, piece),
                           np.full(len(tokens), 1 / len(tokens), np.float32), tuple(layers))

    def positions(self, rows: int, columns: int, samples: int) -> Positions:
        """``rows * columns`` cells of the folded spectrogram as seconds x Hz of the sound; NaN behind its end."""
        extents = np.full((rows, columns, 4), np.nan, np.float32)
        per_stretch = rows // self._ratio()
        if per_stretch and rows % self._ratio() == 0:
            edges = self._mel_edges()[np.linspace(0, self.extractor.feature_size, per_stretch + 1).round().astype(int)]
            row = np.arange(rows)[:, None]
            extents[..., 2], extents[..., 3] = edges[row % per_stretch], edges[row % per_stretch + 1]
            cell = self.extractor.max_length_s / (self._ratio() * columns)
            start = (row // per_stretch * columns + np.arange(columns)) * cell
            extents[..., 0], extents[..., 1] = self._unrepeated(start, cell, samples / self.extractor.sampling_rate)
        extents[np.isnan(extents).any(axis=-1)] = np.nan
        return Positions("time-frequency", extents.reshape(-1, 4))

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenSound:
        """Of the fused model's four channels the first: at this length they are alike."""
        whole, sound = float(self.extractor.max_length_s), int(piece["samples"]) / self.extractor.sampling_rate
        side = int(self.config.patch_size)
        patch = side, whole * side / (self.config.spec_size * self._ratio())
        note = "The sound is repeated to fill what the model reads." if self._times(sound) > 1 else ""
        return SeenSound(piece["input_features"][0].T, "log-mel", whole, sound, self._mel_edges(), patch, patch,
                         prepared.parts, note)

    def _unrepeated(self, start: NDArray[Any], cell: float, sound: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Times in the padded input → times in the sound, which may lie there several times over."""
        times = self._times(sound)
        # 1e-9: a start that is a multiple of the length must not fall to the end of the repetition before.
        inside = np.where(start < times * sound - 1e-9, np.mod(start + 1e-9, sound), np.nan)
        return inside, np.minimum(inside + cell, sound)

    def _times(self, sound: float) -> float:
        """How often a sound of so many seconds lies in the padded input."""
        whole = self.extractor.max_length_s
        return {"repeatpad": int(whole / sound), "repeat": whole / sound}.get(self.extractor.padding, 1)

    def _layer(self, block: Block, samples: int) -> AttentionLayer | None:
        rows, columns = block.size
        if rows % block.window or columns % block.window:
            return None  # such a block also attends to cells that were only added, so there is no map of the sound
        index = window_index(rows, columns, block.window, block.shift)
        return AttentionLayer(hf.as_numpy(block.weights), index, self.positions(rows, columns, samples)).verified()

    def _inputs(self, model: Any, pieces: Sequence[hf.Piece]) -> dict[str, Any]:
        import torch

        features = hf.stacked(model, pieces, "input_features")
        return {"input_features": features,
                "is_longer": torch.zeros((features.shape[0], 1), dtype=torch.bool, device=model.device)}

    def _projected(self, model: Any, hidden: Any) -> Any:
        return model.audio_projection(grid_tokens(hidden, self._ratio()))

    def _last_positions(self, model: Any, piece: hf.Piece) -> Positions:
        rows, columns = model.audio_model.audio_encoder.input_resolutions[-1]
        return self.positions(rows, columns, int(piece["samples"]))

    def _ratio(self) -> int:
        return int(self.config.spec_size // self.config.num_mel_bins)

    def _mel_edges(self) -> NDArray[np.float64]:
        scale = "htk" if self.extractor.truncation == "fusion" else "slaney"
        return mel_edges(self.extractor.feature_size, self.extractor.frequency_min, self.extractor.frequency_max, scale)


@dataclass(frozen=True)
class Block:
    """What one Swin block did: ``weights`` ``(windows, heads, w * w, w * w)`` of one sound, over a grid of ``size``."""

    weights: Any
    size: tuple[int, int]
    window: int
    shift: int


@contextmanager
def recorded(audio_model: Any) -> Iterator[list[Block]]:
    """Every block's attention, in order: the model itself returns only the last block of each stage."""
    blocks: list[Block] = []

    def keep(module: Any, args: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        rows, columns = args[1]
        blocks.append(Block(output[1], (int(rows), int(columns)), int(module.window_size), int(module.shift_size)))

    hooks = [block.register_forward_hook(keep) for stage in audio_model.audio_encoder.layers for block in stage.blocks]
    try:
        yield blocks
    finally:
        for hook in hooks:
            hook.remove()


def window_index(rows: int, columns: int, window: int, shift: int) -> NDArray[np.int64]:
    """``(windows, window * window)`` int64: which cell of the grid each place in each window is.

    A shifted block rolls the grid up and left before it is cut into windows (https://arxiv.org/abs/2103.14030, 3.2).
    """
    grid = np.roll(np.arange(rows * columns).reshape(rows, columns), (-shift, -shift), axis=(0, 1))
    tiles = grid.reshape(rows // window, window, columns // window, window).swapaxes(1, 2)
    return tiles.reshape(-1, window * window)


def grid_tokens(hidden: Any, ratio: int) -> Any:
    """``(n, channels, bins, ratio * columns)``, stretches of time side by side → ``(n, ratio * bins * columns,
    channels)`` in the order of the last stage's grid, stretches one under the other.
    """
    return hidden.unflatten(3, (ratio, -1)).permute(0, 3, 2, 4, 1).flatten(1, 3)
