"""Pictures: ViT, DeiT, DINOv2 (with registers too), and what every picture reader shares.

ViT: https://arxiv.org/abs/2010.11929, DeiT: https://arxiv.org/abs/2012.12877, DINOv2: https://arxiv.org/abs/2304.07193,
registers: https://arxiv.org/abs/2309.16588.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders import hf
from mmstudio.encoders.base import Encoder, Explanation, Positions, Prepared, SeenPicture
from mmstudio.encoders.registry import read_config

Box = tuple[float, float, float, float]

CLASSES = {"vit": "ViTModel", "deit": "DeiTModel", "dinov2": "Dinov2Model",
           "dinov2_with_registers": "Dinov2WithRegistersModel"}
LONGEST_ASPECT = 16


def load(folder: Path, name: str, device: str) -> Encoder:
    """An image encoder whose vector is the pooler's output where the model has a trained one, else CLS."""
    kind = str(read_config(folder)["model_type"])
    build = hf.load_model(folder, CLASSES[kind])
    placed = hf.place(build, device)
    config = placed.model.config
    pictures = Pictures(hf.load_part(folder, "AutoImageProcessor"))
    specials = ["CLS"]
    specials += ["distillation"] if kind == "deit" else []
    specials += [f"register {i + 1}" for i in range(getattr(config, "num_register_tokens", 0))]
    reader = VisionReader(pictures, config.patch_size, tuple(specials))
    pooler = getattr(placed.model, "pooler", None)
    dim = pooler.dense.out_features if pooler is not None else config.hidden_size
    return hf.HubEncoder(name, folder, build, placed, {"image": reader}, dim, pictures.describe(kind))


class Pictures:
    """The folder's own image processor, and where in the original picture what it keeps lies."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def describe(self, family: str) -> str:
        """The preprocessing in a short stable string."""
        return f"{family} {type(self.processor).__name__} 1"

    def prepare(self, picture: Any) -> Prepared:
        """An upright RGB picture → ``pixel_values`` ``(3, height, width)`` float32 and what else the model reads."""
        arrays = self.processor(images=self.bounded(picture), return_tensors="np")
        inputs = {key: np.asarray(value[0]) for key, value in arrays.items()}
        return Prepared("image", inputs, length=inputs["pixel_values"].size, origin={"size": picture.size})

    def seen(self, prepared: Prepared, patch: int) -> SeenPicture:
        """``pixel_values`` back to colours."""
        box = self.visible(*prepared.origin["size"])
        return self.unscaled(np.asarray(prepared.inputs["pixel_values"], np.float32), patch, box)

    def unscaled(self, values: NDArray[np.float32], patch: int, box: Box) -> SeenPicture:
        """``(3, h, w)`` as fed → colours, by the processor's own constants."""
        p = self.processor
        mean, std = ((p.image_mean, p.image_std) if p.do_normalize else (0.0, 1.0))
        white = 255 * p.rescale_factor if p.do_rescale else 255.0
        return SeenPicture.unscaled(values, np.broadcast_to(mean, 3).tolist(), np.broadcast_to(std, 3).tolist(), white,
                                    patch, box)

    def bounded(self, picture: Any) -> Any:
        """The picture, or its middle where it is so long that scaling its short edge would take gigabytes."""
        width, height = picture.size
        most = LONGEST_ASPECT * min(width, height)
        if max(width, height) <= most or not _edge(self.processor.size, "shortest_edge"):
            return picture
        keep_x, keep_y = min(width, most), min(height, most)
        left, top = (width - keep_x) // 2, (height - keep_y) // 2
        return picture.crop((left, top, left + keep_x, top + keep_y))

    def visible(self, width: int, height: int) -> Box:
        """Left, top, right, bottom of what the model sees, in 0..1 of the original ``width`` x ``height`` picture;
        beyond 0..1 where the processor pads.
        """
        if not getattr(self.processor, "do_center_crop", False):
            return 0.0, 0.0, 1.0, 1.0
        scaled = resized(self.processor.size, width, height) if self.processor.do_resize else (width, height)
        crop = self.processor.crop_size
        kept = [_edge(crop, "width"), _edge(crop, "height")]
        starts = [(have - keep) // 2 if have >= keep else -((keep - have) // 2)
                  for have, keep in zip(scaled, kept, strict=True)]
        return (starts[0] / scaled[0], starts[1] / scaled[1],
                (starts[0] + kept[0]) / scaled[0], (starts[1] + kept[1]) / scaled[1])


def resized(size: Any, width: int, height: int) -> tuple[int, int]:
    """Width and height after the processor's resize."""
    short, long = _edge(size, "shortest_edge"), _edge(size, "longest_edge")
    if not short:
        return _edge(size, "width"), _edge(size, "height")
    scale = short / min(width, height)
    if long:
        scale = min(scale, long / max(width, height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _edge(size: Any, key: str) -> int:
    value = size.get(key) if isinstance(size, dict) else getattr(size, key, None)
    return int(value or 0)


def patch_boxes(seen: Box, rows: int, columns: int) -> NDArray[np.float32]:
    """``(rows * columns, 4)`` boxes row by row that tile ``seen``, cut to 0..1; NaN where a patch is only padding."""
    left, top, right, bottom = seen
    x = np.clip(np.linspace(left, right, columns + 1), 0, 1)
    y = np.clip(np.linspace(top, bottom, rows + 1), 0, 1)
    boxes = np.stack([np.tile(x[:-1], rows), np.repeat(y[:-1], columns),
                      np.tile(x[1:], rows), np.repeat(y[1:], columns)], axis=1).astype(np.float32)
    boxes[(boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])] = np.nan
    return boxes


def patch_positions(seen: Box, rows: int, columns: int, specials: Sequence[str] = ()) -> Positions:
    """Positions of special tokens (no place) followed by patches row by row."""
    extents = np.concatenate([np.full((len(specials), 4), np.nan, np.float32), patch_boxes(seen, rows, columns)])
    return Positions("patch", extents, (*specials, *[""] * (rows * columns)))


def pixel_positions(pictures: Pictures, prepared: Prepared, patch: int, specials: Sequence[str] = ()) -> Positions:
    """Positions of the patches of ``pixel_values`` in the original picture."""
    _, height, width = prepared.inputs["pixel_values"].shape
    return patch_positions(pictures.visible(*prepared.origin["size"]), height // patch, width // patch, specials)


class VisionReader:
    """Pictures through a vision transformer."""

    def __init__(self, pictures: Pictures, patch: int, specials: tuple[str, ...]) -> None:
        self.pictures, self.patch, self.specials = pictures, patch, specials

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.pictures.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        return self._pooled(model(pixel_values=hf.stacked(model, pieces, "pixel_values")))

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: special tokens and patches, as ``explain`` tells."""
        return self._each(model, model(pixel_values=hf.stacked(model, pieces, "pixel_values")))

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens are final hidden states, through the pooler where CLS goes through it."""
        out = model(pixel_values=hf.stacked(model, [piece], "pixel_values"), output_attentions=True)
        positions = pixel_positions(self.pictures, prepared, self.patch, self.specials)
        return Explanation(hf.unit(self._pooled(out))[0], hf.unit(self._each(model, out)[0]), positions,
                           attention=hf.dense_layers(out.attentions, positions), pooling_query=0)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenPicture:
        """See Reader."""
        return self.pictures.seen(prepared, self.patch)

    @staticmethod
    def _each(model: Any, out: Any) -> Any:
        pooler = None if out.pooler_output is None else getattr(model, "pooler", None)
        return out.last_hidden_state if pooler is None else hf.each_pooled(pooler, out.last_hidden_state)

    @staticmethod
    def _pooled(out: Any) -> Any:
        pooled = out.pooler_output
        return out.last_hidden_state[:, 0] if pooled is None else pooled
