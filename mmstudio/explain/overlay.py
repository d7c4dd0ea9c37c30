"""A relevance map over its item: colour on a picture, on a sound's spectrogram, behind a text's words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmstudio.colour_maps import colour_map
from mmstudio.explain import letters
from mmstudio.explain.drawing import Colour, Drawing, Fill, Raster, Words, to_picture, words
from mmstudio.explain.maps import RelevanceMap, to_unit
from mmstudio.explain.spectrogram import BANDS, hz_band, mel_spectrogram
from mmstudio.media import AudioClip, Media

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Floats = NDArray[np.float32]
WIDTH, HIGHEST = 640, 3
"""Pixels of a drawn picture, and how many times its width it is high at most."""
SOUND_HEIGHT = 240
LETTERS = 6_000
"""Of a longer text the beginning is drawn."""
EDGE, SIZE, LINE = 16, 22, 34
"""Pixels beside and above a text, of its letters, and from line to line."""


def over(found: RelevanceMap, media: Media) -> Drawing:
    """Decoded media with their map over them; of a sound in several windows the first."""
    if isinstance(media, str):
        return _over_text(found, media)
    base, boxes = plain(media), found.positions.extents
    if isinstance(media, AudioClip):
        boxes = _sound_boxes(boxes, len(media.windows[0]) / media.rate_hz, media.rate_hz)
    scale, shares = np.array([*base.size, *base.size]), to_unit(found)[0]
    placed = found.positions.placed
    edges = np.rint(boxes[placed] * scale).tolist()  # so that no line is seen between neighbours
    fills = [Fill((left, top, right, bottom), _colour(colour_table(), share), 0.5)
             for (left, top, right, bottom), share in zip(edges, shares[placed].tolist(), strict=True)]
    return Drawing(base.width, base.height, (Raster((0, 0, *base.size), base), *fills))


def drawn_over(found: RelevanceMap, media: Media) -> Picture:
    """The same as pixels."""
    return to_picture(over(found, media))


def plain(media: Picture | AudioClip) -> Picture:
    """A picture, or the spectrogram of a sound, ``WIDTH`` pixels wide; a very high picture is less."""
    from PIL import Image

    if isinstance(media, AudioClip):
        mel, _ = mel_spectrogram(media.windows[0], media.rate_hz)
        shade = (255 * (mel - mel.min()) / max(float(np.ptp(mel)), 1e-9)).astype(np.uint8)
        return Image.fromarray(shade[::-1]).resize((WIDTH, SOUND_HEIGHT)).convert("RGB")
    scale = min(WIDTH / media.width, HIGHEST * WIDTH / media.height)
    return media.resize((max(1, round(scale * media.width)), max(1, round(scale * media.height))))


def _sound_boxes(extents: Floats, seconds: float, rate_hz: int) -> Floats:
    """Seconds, and hertz where they are told, as left, top, right, bottom in 0..1 of a mel spectrogram."""
    top, bottom = np.zeros(len(extents)), np.ones(len(extents))
    if extents.shape[1] == 4:
        shares = np.array([[(hz_band(rate_hz, float(hertz)) + 1) / BANDS for hertz in pair] for pair in extents[:, 2:]])
        bottom, top = np.clip(1 - shares, 0, 1).T
    left, right = np.clip(extents[:, :2] / seconds, 0, 1).T  # a model may hear more silence after the sound
    return np.stack([left, top, right, bottom], axis=1).astype(np.float32)


# ---- colours --------------------------------------------------------------------------------------------------------


def colour_table() -> NDArray[np.uint8]:
    """``(256, 3)`` uint8 of a perceptually uniform colour map (colorcet's “fire”)."""
    return colour_map("linear_kryw_0_100_c71")


@cache
def word_table() -> NDArray[np.uint8]:
    """``(256, 3)`` uint8 behind black letters: the bright end of the colour map, turned round."""
    return colour_table()[255 - np.linspace(0, 120, 256).astype(int)]


def behind_words(share: float) -> Colour:
    """Red, green, blue behind black letters of relevance 0..1."""
    return _colour(word_table(), share)


def _colour(table: NDArray[np.uint8], share: float) -> Colour:
    red, green, blue = (int(c) for c in table[int(255 * share)])
    return red, green, blue


# ---- texts ----------------------------------------------------------------------------------------------------------


def _over_text(found: RelevanceMap, text: str) -> Drawing:
    """Words as their script writes them, each stretch of a word before the colour of its place."""
    shown = letters.visible(text[:LETTERS]) + ("…" if len(text) > LETTERS else "")
    owner, shares = owners(found, letters.heads(shown)), to_unit(found)[0]
    placed = letters.lines(shown, SIZE, WIDTH - 2 * EDGE)
    parts = list[Fill | Words]()
    for word in placed:
        top, piece = EDGE + LINE * word.line, shown[word.start : word.end]
        left = EDGE + word.left
        parts += [Fill((left + a, top, left + b, top + LINE - 4), behind_words(float(shares[place])))
                  for a, b, place in _stretches(piece, owner[word.start : word.end], word.wide) if place >= 0]
        if not piece.isspace():
            parts.append(words(left, top + SIZE, piece, SIZE))
    parts.sort(key=lambda part: isinstance(part, Words))
    count = max((word.line for word in placed), default=0) + 1
    return Drawing(WIDTH, 2 * EDGE + LINE * count, tuple(parts))


def owners(found: RelevanceMap, heads: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(n,)`` the place of a map that each character belongs to, -1 for none. ``heads (n,)`` tells where its letter
    begins: a letter belongs where it does.
    """
    owner = np.full(len(heads), -1, np.int64)
    for place in np.flatnonzero(found.positions.placed)[::-1].tolist():
        start, end = found.positions.extents[place].astype(int)
        owner[start:end] = place
    return owner[heads]


def _stretches(piece: str, owner: NDArray[np.int64], wide: float) -> Iterator[tuple[float, float, int]]:
    """Left, right and place of each stretch of a word that belongs to one place."""
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(piece)]
    turned = letters.leftward(piece)
    for a, b in pairwise(edges):
        left, right = (wide if at == len(piece) else letters.width(piece[:at], SIZE) for at in (a, b))
        yield (wide - right, wide - left, int(owner[a])) if turned else (left, right, int(owner[a]))
