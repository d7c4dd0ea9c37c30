"""A drawing of pictures, coloured boxes and words, and what becomes of it: pixels, or SVG
(https://www.w3.org/TR/SVG11/) whose words are text and whose boxes are boxes.
"""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mmstudio.explain import letters

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
Colour: TypeAlias = tuple[int, int, int]
FAMILIES = "DejaVu Sans, Noto Sans, Segoe UI, Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Raster:
    """A picture over a box."""

    box: Box
    picture: Picture


@dataclass(frozen=True)
class Fill:
    """A box of one colour, through which ``1 - alpha`` of what lies below is seen."""

    box: Box
    colour: Colour
    alpha: float = 1.0


@dataclass(frozen=True)
class Words:
    """Text of one direction from ``left`` on, ``wide`` pixels, standing on ``baseline``."""

    left: float
    baseline: float
    text: str
    size: int
    wide: float
    colour: str = "#111111"


@dataclass(frozen=True)
class Drawing:
    """Parts, the lowest first, on a white ground of ``width`` and ``height`` pixels."""

    width: int
    height: int
    parts: tuple[Raster | Fill | Words, ...]


def words(left: float, baseline: float, text: str, size: int, colour: str = "#111111") -> Words:
    """Words as wide as they are in this computer's fonts."""
    shown = letters.visible(text)
    return Words(left, baseline, shown, size, letters.width(shown, size), colour)


def to_picture(drawing: Drawing) -> Picture:
    """Its pixels, RGB."""
    from PIL import Image

    pixels = np.full((drawing.height, drawing.width, 3), 255, np.uint8)
    for part in drawing.parts:
        if isinstance(part, Words):
            continue
        left, top, right, bottom = (max(0, round(edge)) for edge in part.box)
        there = pixels[top:bottom, left:right]
        if isinstance(part, Fill):
            there[:] = np.rint((1 - part.alpha) * there + part.alpha * np.array(part.colour))
        else:
            scaled = part.picture.convert("RGB").resize((right - left, bottom - top))
            there[:] = np.asarray(scaled)[: there.shape[0], : there.shape[1]]
    picture = Image.fromarray(pixels)
    for part in drawing.parts:
        if isinstance(part, Words):
            letters.draw(picture, part.left, part.baseline, part.text, part.size, part.colour)
    return picture


def to_png(drawing: Drawing) -> bytes:
    """Its pixels as a PNG file."""
    out = io.BytesIO()
    to_picture(drawing).save(out, "PNG")
    return out.getvalue()


def to_svg(drawing: Drawing, title: str) -> bytes:
    """The drawing as one file that loads nothing; it is ``title``d for whoever cannot see it. A viewer that has other
    fonts sets the words as wide as they are here.
    """
    size = f'width="{drawing.width}" height="{drawing.height}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1" '
             f'{size} viewBox="0 0 {drawing.width} {drawing.height}" role="img">',
             f"<title>{_text(title)}</title>", f'<rect {size} fill="#ffffff"/>',
             *(_element(part) for part in drawing.parts), "</svg>", ""]
    return "\n".join(lines).encode()


def _element(part: Raster | Fill | Words) -> str:
    if isinstance(part, Words):
        middle = f'x="{_number(part.left + part.wide / 2)}" text-anchor="middle" direction="rtl"'
        place = middle if letters.leftward(part.text) else f'x="{_number(part.left)}"'
        return (f'<text {place} y="{_number(part.baseline)}" font-family="{FAMILIES}" font-size="{part.size}" '
                f'fill="{part.colour}" xml:space="preserve" '
                f'textLength="{_number(part.wide)}" lengthAdjust="spacingAndGlyphs">{_text(part.text)}</text>')
    left, top, right, bottom = part.box
    place = (f'x="{_number(left)}" y="{_number(top)}" width="{_number(right - left)}" '
             f'height="{_number(bottom - top)}"')
    if isinstance(part, Fill):
        red, green, blue = part.colour
        clear = "" if part.alpha == 1 else f' fill-opacity="{_number(part.alpha)}"'
        return f'<rect {place} fill="#{red:02x}{green:02x}{blue:02x}"{clear} shape-rendering="crispEdges"/>'
    out = io.BytesIO()
    part.picture.convert("RGB").save(out, "PNG")
    address = f"data:image/png;base64,{b64encode(out.getvalue()).decode()}"
    return f'<image {place} preserveAspectRatio="none" href="{address}" xlink:href="{address}"/>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape(letters.visible(text))
