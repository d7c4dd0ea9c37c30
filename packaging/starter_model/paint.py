"""Pictures for evaluation and for the example project, drawn by code that training never calls.

The font and the scans are the same (there are no others), everything else differs: shapes come from formulas, pictures
are painted at four times their size with shadows and filtered down, backgrounds have other patterns.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import world
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

LARGE = 4  # pictures are painted this much larger, then filtered down


@cache
def emoji(glyph: str) -> Image.Image:
    """One emoji cut to its ink, at the size the font stores."""
    font = ImageFont.truetype(str(world.EMOJI_FONT), 109)
    left, top, right, bottom = font.getbbox(glyph)
    sheet = Image.new("RGBA", (round(right - left) + 20, round(bottom - top) + 20), (0, 0, 0, 0))
    ImageDraw.Draw(sheet).text((10 - left, 10 - top), glyph, font=font, embedded_color=True)
    return sheet.crop(sheet.getchannel("A").getbbox())


def _inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points of the square -1..1 (y up) belong to a shape."""

    def polygon(corners: int) -> np.ndarray:
        angle = np.mod(np.arctan2(x, y) + np.pi / corners, 2 * np.pi / corners) - np.pi / corners
        return np.asarray(np.hypot(x, y) * np.cos(angle) < 0.95 * np.cos(np.pi / corners))

    def star() -> np.ndarray:
        angle = np.abs(np.mod(np.arctan2(x, y) + np.pi / 5, 2 * np.pi / 5) - np.pi / 5)
        u, v = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
        tip, notch = np.array([1.0, 0.0]), 0.45 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
        return np.asarray((notch[0] - tip[0]) * v < notch[1] * (u - tip[0])) ^ True

    forms = {
        "circle": lambda: np.hypot(x, y) < 0.92,
        "ring": lambda: (np.hypot(x, y) < 0.95) & (np.hypot(x, y) > 0.58),
        "square": lambda: np.maximum(np.abs(x), np.abs(y)) < 0.8,
        "diamond": lambda: np.abs(x) / 0.72 + np.abs(y) < 0.98,
        "triangle": lambda: (y > -0.75) & (np.abs(x) < (0.9 - y) * 0.57),
        "cross": lambda: (np.minimum(np.abs(x), np.abs(y)) < 0.28) & (np.maximum(np.abs(x), np.abs(y)) < 0.9),
        "heart": lambda: ((1.2 * x) ** 2 + (1.2 * y + 0.05) ** 2 - 1) ** 3 - (1.2 * x) ** 2 * (1.2 * y + 0.05) ** 3 < 0,
        "arrow": lambda: ((np.abs(y) < 0.25) & (x > -0.9) & (x < 0.2)) | ((x > 0.1) & (np.abs(y) < 0.9 - x)),
        "pentagon": lambda: polygon(5),
        "hexagon": lambda: polygon(6),
        "star": star,
    }
    return np.asarray(forms[shape]())


def coloured_shape(shape: str, colour: tuple[int, int, int], side: int) -> Image.Image:
    """A shape on a transparent square."""
    axis = np.linspace(-1, 1, side * 3)
    filled = _inside(shape, axis[None, :], -axis[:, None])
    alpha = Image.fromarray((filled * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
    picture = Image.new("RGBA", (side, side), (*colour, 255))
    picture.putalpha(alpha)
    return picture


@cache
def _kept_scans() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits that training does not use: every fifth (n, 8, 8) with its value."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    return scans.images[::5] / 16.0, scans.target[::5]


def written_digit(value: int, rng: np.random.Generator, side: int) -> Image.Image:
    """A scanned digit in dark ink on a transparent square."""
    images, values = _kept_scans()
    scan = np.pad(images[rng.choice(np.flatnonzero(values == value))], 1)
    alpha = Image.fromarray((scan * 255).astype(np.uint8)).resize((side, side), Image.Resampling.LANCZOS)
    picture = Image.new("RGBA", (side, side), (*rng.integers(0, 70, 3).tolist(), 255))
    picture.putalpha(alpha)
    return picture


def thing(concept: world.Concept, side: int, rng: np.random.Generator) -> Image.Image:
    """A concept on transparent ground, its longer side `side` pixels."""
    if concept.kind == "digit":
        return written_digit(int(concept.keywords[1]), rng, side)
    if concept.kind == "shape":
        return coloured_shape(concept.keywords[0], world.COLOURS[concept.keywords[1]], side)
    ink = emoji(concept.glyph)
    scale = side / max(ink.size)
    size = max(1, round(ink.width * scale)), max(1, round(ink.height * scale))
    return ink.resize(size, Image.Resampling.LANCZOS)


def _ground(side: int, rng: np.random.Generator) -> Image.Image:
    """White, plain, two-coloured, chequered or cloudy."""
    kind, colours = rng.integers(0, 5), rng.integers(90, 256, (2, 3))
    first, second = (tuple(c.tolist()) for c in colours)
    ground = Image.new("RGB", (side, side), (255, 255, 255) if kind == 0 else first)
    pen = ImageDraw.Draw(ground)
    if kind == 2:
        pen.polygon(
            [(0, side), (side, side), (side, int(rng.integers(0, side))), (0, int(rng.integers(0, side)))], second
        )
    elif kind == 3:
        cell = side // int(rng.integers(3, 7))
        soft = tuple(((colours[0] * 3 + colours[1]) // 4).tolist())
        for row in range(8):
            for column in range(row % 2, 8, 2):
                pen.rectangle((column * cell, row * cell, (column + 1) * cell, (row + 1) * cell), soft)
    elif kind == 4:
        for x, y, r in rng.integers(0, side, (6, 3)).tolist():
            pen.ellipse((x - r // 2, y - r // 2, x + r // 2, y + r // 2), second)
        ground = ground.filter(ImageFilter.GaussianBlur(side / 10))
    return ground


def _layout(count: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """(x, y, side) of every object, in shares of the picture; boxes do not overlap by more than a little."""
    if count == 1:
        side = rng.uniform(0.5, 0.95)
        room = (1 - side) / 2
        return [(0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room), side)]
    low, high = (0.38, 0.54) if count == 2 else (0.32, 0.44)
    while True:
        sides = rng.uniform(low, high, count)
        spots = [rng.uniform(s / 2, 1 - s / 2, 2) for s in sides]
        gaps = [max(abs(spots[i] - spots[j])) - (sides[i] + sides[j]) / 2 for i in range(count) for j in range(i)]
        if min(gaps) > -0.03:
            return [(float(p[0]), float(p[1]), float(s)) for p, s in zip(spots, sides, strict=True)]


def picture(
    shown: list[world.Concept], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """An unseen drawing: pixels (3, size, size) float32 in 0..1, and each object's box (left, top, right, bottom)."""
    side, boxes = size * LARGE, []
    canvas = _ground(side, rng)
    for concept, (x, y, share) in zip(shown, _layout(len(shown), rng), strict=True):
        ink = thing(concept, round(share * side), rng)
        alpha = ink.getchannel("A")
        if concept.kind == "emoji":
            flat = ImageEnhance.Color(ink.convert("RGB")).enhance(rng.uniform(0.7, 1.2))
            ink = ImageEnhance.Brightness(flat).enhance(rng.uniform(0.85, 1.1)).convert("RGBA")
            ink.putalpha(alpha)
        ink = ink.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True)
        left, top = round(x * side - ink.width / 2), round(y * side - ink.height / 2)
        canvas.paste(ink, (left, top), ink)
        inked = ink.getchannel("A").getbbox() or (0, 0, 1, 1)
        edges = [left + inked[0], top + inked[1], left + inked[2], top + inked[3]]
        boxes.append(tuple(int(np.clip(round(e / LARGE), 0, size)) for e in edges))
    small = canvas.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / 255, boxes  # type: ignore[return-value]


def icon(concept: world.Concept, size: int) -> np.ndarray:
    """The concept alone, upright on white: (3, size, size) float32 in 0..1."""
    side = size * LARGE
    ink = thing(concept, round(0.86 * side), np.random.default_rng(0))
    canvas = Image.new("RGB", (side, side), (255, 255, 255))
    canvas.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2), ink)
    return np.asarray(canvas.resize((size, size), Image.Resampling.LANCZOS), np.float32).transpose(2, 0, 1) / 255
