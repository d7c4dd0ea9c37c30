"""CLIP (https://arxiv.org/abs/2103.00020) and MetaCLIP 2 (https://arxiv.org/abs/2507.22062): pictures and texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.encoders import hf
from mmstudio.encoders.base import Encoder, Explanation, Prepared, SeenPicture, SeenText
from mmstudio.encoders.registry import read_config
from mmstudio.encoders.text import Texts, load_tokenizer
from mmstudio.encoders.vision import Pictures, pixel_positions

CLASSES = {"clip": "CLIPModel", "metaclip_2": "MetaClip2Model"}
LEGACY_END = 2
"""An ``eos_token_id`` that early CLIP configs hold by mistake: there the text ends at its highest token id."""


def load(folder: Path, name: str, device: str) -> Encoder:
    """An encoder of pictures and texts in one space."""
    kind = str(read_config(folder)["model_type"])
    build = hf.load_model(folder, CLASSES[kind])
    placed = hf.place(build, device)
    config = placed.model.config
    pictures = Pictures(hf.load_part(folder, "AutoImageProcessor"))
    texts = Texts(load_tokenizer(folder), config.text_config.max_position_embeddings)
    readers: dict[Any, hf.Reader] = {
        "image": ClipPictures(pictures, config.vision_config.patch_size),
        "text": ClipTexts(texts, config.text_config.eos_token_id, kind == "clip")}
    return hf.HubEncoder(name, folder, build, placed, readers, config.projection_dim,
                         texts.describe(pictures.describe(kind)))


class ClipPictures:
    """Pictures through the vision tower."""

    def __init__(self, pictures: Pictures, patch: int) -> None:
        self.pictures, self.patch = pictures, patch

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.pictures.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_image_features(pixel_values=hf.stacked(model, pieces, "pixel_values")).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: CLS and patches in the joint space."""
        out = model.vision_model(pixel_values=hf.stacked(model, pieces, "pixel_values"))
        return self._projected(model, out.last_hidden_state)

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens go the way that CLS goes: layer norm, then the projection into the joint space."""
        out = model.vision_model(pixel_values=hf.stacked(model, [piece], "pixel_values"), output_attentions=True)
        tokens = hf.unit(self._projected(model, out.last_hidden_state)[0])
        positions = pixel_positions(self.pictures, prepared, self.patch, ("CLS",))
        vector = hf.unit(model.visual_projection(out.pooler_output))[0]
        return Explanation(vector, tokens, positions, attention=hf.dense_layers(out.attentions, positions),
                           pooling_query=0)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenPicture:
        """See Reader."""
        return self.pictures.seen(prepared, self.patch)

    @staticmethod
    def _projected(model: Any, hidden: Any) -> Any:
        return model.visual_projection(model.vision_model.post_layernorm(hidden))


class ClipTexts:
    """Texts through the causal text tower; the vector is read at the end-of-text token."""

    def __init__(self, texts: Texts, end: int, legacy: bool) -> None:
        self.texts, self.end, self.legacy = texts, end, legacy and end == LEGACY_END

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.texts.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return model.get_text_features(**self.texts.padded(model, pieces)).pooler_output

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: the text's tokens in the joint space."""
        inputs = self.texts.padded(model, pieces)
        hidden = model.text_model(**inputs).last_hidden_state
        return hf.kept(model.text_projection(hidden), inputs["attention_mask"])

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens are final states, projected; being causal, each stands for the text up to it."""
        out = model.text_model(**self.texts.padded(model, [piece]), output_attentions=True)
        positions = self.texts.positions(prepared)
        ids = piece["input_ids"]
        return Explanation(
            hf.unit(model.text_projection(out.pooler_output))[0],
            hf.unit(model.text_projection(out.last_hidden_state)[0]), positions,
            attention=hf.dense_layers(out.attentions, positions),
            pooling_query=int(np.argmax(ids if self.legacy else ids == self.end)))

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenText:
        """See Reader."""
        return self.texts.seen(prepared)
