"""SigLIP (https://arxiv.org/abs/2303.15343) and SigLIP 2 (https://arxiv.org/abs/2502.14786): pictures and texts.

SigLIP 2 of fixed resolution is of the model type ``siglip``; ``siglip2`` is NaFlex, which keeps a picture's shape and
takes as many patches as that needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders import hf
from mmstudio.encoders.base import Encoder, Explanation, Positions, Prepared, SeenPicture, SeenText
from mmstudio.encoders.registry import read_config
from mmstudio.encoders.text import Texts, load_tokenizer
from mmstudio.encoders.vision import Pictures, patch_positions, pixel_positions

WHOLE = (0.0, 0.0, 1.0, 1.0)
CLASSES = {"siglip": "SiglipModel", "siglip2": "Siglip2Model"}


def load(folder: Path, name: str, device: str) -> Encoder:
    """An encoder of pictures and texts in one space."""
    kind = str(read_config(folder)["model_type"])
    build = hf.load_model(folder, CLASSES[kind])
    placed = hf.place(build, device)
    config = placed.model.config
    pictures = Pictures(hf.load_part(folder, "AutoImageProcessor"))
    texts = Texts(load_tokenizer(folder), config.text_config.max_position_embeddings, fixed=True)
    images: hf.Reader = (NaflexPictures(pictures) if kind == "siglip2"
                         else SiglipPictures(pictures, config.vision_config.patch_size))
    readers: dict[Any, hf.Reader] = {"image": images, "text": SiglipTexts(texts)}
    return hf.HubEncoder(name, folder, build, placed, readers, config.vision_config.hidden_size,
                         texts.describe(pictures.describe(kind)))


class SiglipPictures:
    """Pictures of fixed resolution, pooled by a probe that attends to all patches."""

    def __init__(self, pictures: Pictures, patch: int) -> None:
        self.pictures, self.patch = pictures, patch

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.pictures.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_image_features(pixel_values=hf.stacked(model, pieces, "pixel_values")).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: patches as the pooling finds them."""
        return model.vision_model(pixel_values=hf.stacked(model, pieces, "pixel_values")).last_hidden_state

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """No tokens: patches reach the joint space only through the pooling, whose weights are given instead."""
        out = model.vision_model(pixel_values=hf.stacked(model, [piece], "pixel_values"), output_attentions=True)
        return _explained(model, out, pixel_positions(self.pictures, prepared, self.patch))

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenPicture:
        """See Reader."""
        return self.pictures.seen(prepared, self.patch)


class NaflexPictures:
    """Pictures in their own shape: a list of patches, its mask, and the grid they lie on."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def prepare(self, media: Any) -> Prepared:
        """``pixel_values`` ``(patches, 3 * p * p)`` float32 without padding, ``spatial_shapes`` ``(2,)`` int64."""
        whole = self.pictures.prepare(media)
        shape = whole.inputs["spatial_shapes"]
        count = int(shape[0] * shape[1])
        inputs = {"pixel_values": whole.inputs["pixel_values"][:count], "spatial_shapes": shape}
        return Prepared("image", inputs, count, origin=whole.origin)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_image_features(**self._inputs(model, pieces)).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See SiglipPictures."""
        inputs = self._inputs(model, pieces)
        return hf.kept(model.vision_model(**inputs).last_hidden_state, inputs["pixel_attention_mask"])

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """See SiglipPictures."""
        inputs = self._inputs(model, [piece])
        out = model.vision_model(**inputs, output_attentions=True)
        rows, columns = (int(n) for n in piece["spatial_shapes"])
        return _explained(model, out, patch_positions(WHOLE, rows, columns))

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenPicture:
        """The patches laid on their grid; each holds ``p`` rows of ``p`` pixels of 3 colours."""
        rows, columns = (int(n) for n in piece["spatial_shapes"])
        side = int(self.pictures.processor.patch_size)
        patches = piece["pixel_values"].reshape(rows, columns, side, side, 3)
        values = np.ascontiguousarray(patches.transpose(4, 0, 2, 1, 3), np.float32).reshape(
            3, rows * side, columns * side)
        return self.pictures.unscaled(values, side, WHOLE)

    @staticmethod
    def _inputs(model: Any, pieces: Sequence[hf.Piece]) -> dict[str, Any]:
        pixels, mask = hf.padded(model, pieces, "pixel_values")
        return {"pixel_values": pixels, "pixel_attention_mask": mask,
                "spatial_shapes": hf.stacked(model, pieces, "spatial_shapes")}


def _explained(model: Any, out: Any, positions: Positions) -> Explanation:
    head = model.vision_model.head
    hidden = out.last_hidden_state
    _, weights = head.attention(head.probe, hidden, hidden, need_weights=True)
    return Explanation(hf.unit(out.pooler_output)[0], token_positions=positions, pooling=hf.as_numpy(weights[0, 0]),
                       attention=hf.dense_layers(out.attentions, positions))


class SiglipTexts:
    """Texts padded to the trained length without a mask: padding takes part, and the last position is read."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.texts.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_text_features(input_ids=hf.stacked(model, pieces, "input_ids")).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: the text's tokens and the last position, through the head that makes a vector of the last."""
        hidden = model.text_model(input_ids=hf.stacked(model, pieces, "input_ids")).last_hidden_state
        return hf.kept(model.text_model.head(hidden), np.stack([self._kept(piece) for piece in pieces]))

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """No tokens: only the last position, usually padding, was trained to lie in the joint space."""
        out = model.text_model(input_ids=hf.stacked(model, [piece], "input_ids"), output_attentions=True)
        positions = self.texts.positions(prepared)
        return Explanation(hf.unit(out.pooler_output)[0], token_positions=positions.only(self._kept(piece)),
                           attention=hf.dense_layers(out.attentions, positions), pooling_query=len(positions) - 1)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenText:
        """See Reader."""
        return self.texts.seen(prepared)

    def _kept(self, piece: hf.Piece) -> NDArray[np.bool_]:
        ids = piece["input_ids"]
        return np.asarray((ids != self.texts.pad) | (np.arange(len(ids)) == len(ids) - 1))
