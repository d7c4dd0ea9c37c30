"""A relevance map as a file: its numbers (.npz), or drawn over the item (.png)."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.encoders.base import Encoder, Explanation
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain import maps
from mmstudio.explain.methods import named, relevance
from mmstudio.explain.spectrogram import BANDS, hz_band, mel_spectrogram
from mmstudio.media import AudioClip, Limits, Media, MediaRef, load
from mmstudio.progress import Work

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Floats = NDArray[np.float32]
WIDTH, HIGHEST = 640, 3
"""Pixels of a drawn picture, and how many times its width it is high at most."""
MAPS = ("auto", "similarity", "pooling", "attention", "rollout")
"""What ``chosen_map`` makes of one explanation."""


def check_target(file: Path) -> None:
    """Raise StudioError for an ending that cannot be written, before any work is done."""
    if file.suffix not in (".npz", ".png"):
        raise StudioError(f"“{file.name}” has to end in .npz or .png.")


def chosen_map(explanation: Explanation, method: str, layer: int, query: Floats | None) -> maps.RelevanceMap:
    """The map of a method; ``layer`` counts from 1, 0 is the last. “auto” is similarity where there is a query."""
    if method == "auto":
        offered = maps.views(explanation)
        method = "similarity" if query is not None and "similarity" in offered else (
            "pooling" if "pooling" in offered else "attention")
    if method == "similarity":
        if query is None:
            raise AttentionUnavailable("“similarity” compares with a query.", hint="Give one with --query.")
        return maps.similarity_map(explanation, query)
    if method == "pooling":
        return maps.pooling_map(explanation)
    if method == "rollout":
        return maps.rollout_map(explanation)
    count = len(explanation.attention)
    if not 0 <= layer <= count:
        raise AttentionUnavailable(f"This model has {count} layers of attention; there is no layer {layer}.")
    return maps.attention_map(explanation, (layer or count) - 1, query=explanation.pooling_query)


def method_map(encoder: Encoder, ref: MediaRef, limits: Limits, method: str, query: Floats | None,
               ) -> Work[maps.RelevanceMap]:
    """The map of any method of ``methods``. Raises StudioError for one that is not there or lacks its query."""
    chosen = named(method)
    if query is None:
        raise AttentionUnavailable(f"“{chosen.name}” compares with a query.", hint="Give one with --query.")
    media = load(ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
    return (yield from relevance(chosen.name, encoder, media, ref.modality, query))


def write(found: maps.RelevanceMap, ref: MediaRef, limits: Limits, file: Path) -> None:
    """``.npz`` with weights, extents, labels and what they are; or the map drawn over the item as ``.png``."""
    check_target(file)
    out = io.BytesIO()
    if file.suffix == ".npz":
        np.savez_compressed(
            out, weights=found.weights, extents=found.positions.extents, labels=np.array(found.positions.labels),
            kind=np.array(found.positions.kind), title=np.array(found.title), unit=np.array(found.unit))
    else:
        drawn(found, ref, limits).save(out, "PNG")
    try:
        paths.write_atomically(file.absolute(), out.getvalue())
    except OSError as error:
        raise StudioError(f"The result could not be written ({error.strerror}).", path=file) from error


def drawn(found: maps.RelevanceMap, ref: MediaRef, limits: Limits) -> Picture:
    """The item with its map over it."""
    return drawn_over(found, load(ref, limits))


def drawn_over(found: maps.RelevanceMap, media: Media) -> Picture:
    """Decoded media with their map over them; of a sound in several windows the first."""
    from PIL import Image

    if isinstance(media, str):
        return _draw_text(found, media)
    base, boxes = plain(media), found.positions.extents
    if isinstance(media, AudioClip):
        boxes = _sound_boxes(boxes, len(media.windows[0]) / media.rate_hz, media.rate_hz)
    return Image.blend(base, Image.fromarray(_painted(found, boxes, base.size)), 0.5)


def plain(media: Picture | AudioClip) -> Picture:
    """A picture, or the spectrogram of a sound, ``WIDTH`` pixels wide; a very high picture is less."""
    from PIL import Image

    if isinstance(media, AudioClip):
        mel, _ = mel_spectrogram(media.windows[0], media.rate_hz)
        shade = (255 * (mel - mel.min()) / max(float(np.ptp(mel)), 1e-9)).astype(np.uint8)
        return Image.fromarray(shade[::-1]).resize((WIDTH, 240)).convert("RGB")
    scale = min(WIDTH / media.width, HIGHEST * WIDTH / media.height)
    return media.resize((max(1, round(scale * media.width)), max(1, round(scale * media.height))))


def _sound_boxes(extents: Floats, seconds: float, rate_hz: int) -> Floats:
    """Seconds, and hertz where they are told, as left, top, right, bottom in 0..1 of a mel spectrogram."""
    top, bottom = np.zeros(len(extents)), np.ones(len(extents))
    if extents.shape[1] == 4:
        shares = np.array([[(hz_band(rate_hz, float(hertz)) + 1) / BANDS for hertz in pair] for pair in extents[:, 2:]])
        bottom, top = np.clip(1 - shares, 0, 1).T
    return np.stack([extents[:, 0] / seconds, top, extents[:, 1] / seconds, bottom], axis=1).astype(np.float32)


def _painted(found: maps.RelevanceMap, boxes: Floats, size: tuple[int, int]) -> NDArray[np.uint8]:
    """``(h, w, 3)`` uint8 of the weights' colours over their boxes (0..1)."""
    heat = np.zeros((size[1], size[0]), np.float32)
    strength = maps.to_unit(found)[0]
    for (left, top, right, bottom), value in zip(boxes, strength, strict=True):
        if not np.isnan(left):
            heat[round(top * size[1]) : round(bottom * size[1]), round(left * size[0]) : round(right * size[0])] = value
    return colour_table()[(255 * heat).astype(np.uint8)]


@cache
def colour_table() -> NDArray[np.uint8]:
    """``(256, 3)`` uint8 of a perceptually uniform colour map (colorcet “fire”)."""
    import colorcet

    return (np.array(colorcet.linear_kryw_0_100_c71) * 255).astype(np.uint8)


def behind_words(share: float) -> tuple[int, int, int]:
    """Red, green, blue behind black letters of relevance 0..1: the colour map from its bright end."""
    red, green, blue = (int(c) for c in colour_table()[255 - int(120 * share)])
    return red, green, blue


def _draw_text(found: maps.RelevanceMap, text: str) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(22)
    strength, placed = maps.to_unit(found)[0], found.positions.placed
    by_character = np.full(len(text), -1.0)
    for (start, end), value in zip(found.positions.extents[placed], strength[placed], strict=True):
        by_character[int(start) : int(end)] = value
    picture = Image.new("RGB", (WIDTH, 40 + 34 * (1 + int(font.getlength(text.replace("\n", " "))) // (WIDTH - 60))),
                        "white")
    pen, x, y = ImageDraw.Draw(picture), 16.0, 12.0
    for index, character in enumerate(text.replace("\n", " ")):
        width = font.getlength(character)
        if x + width > WIDTH - 16:
            x, y = 16.0, y + 34
        if by_character[index] >= 0:
            pen.rectangle((x, y, x + width, y + 28), behind_words(float(by_character[index])))
        pen.text((x, y), character, "black", font=font)
        x += width
    return picture
