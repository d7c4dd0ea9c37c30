"""Pictures for training: emoji, coloured shapes and scanned digits on all kinds of backgrounds.

Because everything is drawn, every picture comes with the concept that each 8 x 8 patch shows. Glyphs are kept at three
sizes, so that a small object is drawn from a well filtered original.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import world
from common import RUN, save_array
from PIL import Image, ImageDraw, ImageFont

GLYPH = 96  # pixels of a stored glyph's side
PATCH = 8
IGNORED = -100  # a patch that shows part of an object: no label


@dataclass(frozen=True)
class Picture:
    """pixels (3, s, s) uint8; patches (s/8, s/8) int64: concept index, number of concepts = background, or IGNORED."""

    pixels: np.ndarray
    patches: np.ndarray
    shown: tuple[int, ...]


def render_glyph(glyph: str, side: int) -> Image.Image:
    """One emoji, cut to its ink and centred on a transparent square."""
    font = ImageFont.truetype(str(world.EMOJI_FONT), 109)  # the only size of this bitmap font
    big = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(big).text((32, 32), glyph, font=font, embedded_color=True)
    ink = big.crop(big.getbbox() or (0, 0, 1, 1))
    scale = side / max(ink.size)
    ink = ink.resize((max(1, round(ink.width * scale)), max(1, round(ink.height * scale))), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (side, side))
    square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    return square


@cache
def _glyphs() -> np.ndarray:
    """(emoji, 96, 96, 4) uint8, in the order of the concepts; rendered once, then read from RUN."""
    path = RUN / "glyphs.npy"
    emoji = [c.glyph for c in world.concepts() if c.kind == "emoji"]
    if not path.exists():
        save_array(path, np.stack([np.asarray(render_glyph(g, GLYPH)) for g in emoji]))
    stored: np.ndarray = np.load(path)
    return stored


@cache
def _glyph_levels(index: int) -> tuple[Image.Image, ...]:
    """One emoji at 96, 48 and 24 pixels."""
    full = Image.fromarray(_glyphs()[index])
    return full, full.reduce(2), full.reduce(4)


def _polygon(corners: int, turn: float, inner: float = 1.0) -> list[tuple[float, float]]:
    """Corners on the unit circle; with `inner` < 1 every second one lies deeper (a star)."""
    points = []
    for i in range(corners):
        radius = inner if i % 2 and inner < 1 else 1.0
        angle = turn + 2 * math.pi * i / corners
        points.append((radius * math.sin(angle), -radius * math.cos(angle)))
    return points


def shape_outline(shape: str) -> list[tuple[float, float]]:
    """The outline of a shape on the square from -1 to 1 ('ring' and 'circle' are drawn as ellipses instead)."""
    heart = [(t, 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))
             for t in (k / 20 * math.pi for k in range(-20, 20))]  # fmt: skip
    return {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "triangle": [(0, -0.95), (0.98, 0.8), (-0.98, 0.8)],
        "star": _polygon(10, 0.0, 0.42),
        "heart": [(math.sin(t) ** 3, -height / 17) for t, height in heart],
        "diamond": [(0, -1), (0.68, 0), (0, 1), (-0.68, 0)],
        "pentagon": _polygon(5, 0.0),
        "hexagon": _polygon(6, math.pi / 6),
        "cross": [(-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3), (0.3, 0.95),
                  (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3)],
        "arrow": [(-0.95, -0.28), (0.1, -0.28), (0.1, -0.75), (0.98, 0), (0.1, 0.75), (0.1, 0.28), (-0.95, 0.28)],
    }[shape]  # fmt: skip


def render_shape(shape: str, colour: tuple[int, ...], side: int) -> Image.Image:
    """A filled shape on a transparent square, drawn at four times the size for smooth edges."""
    big = 4 * side
    square = Image.new("RGBA", (big, big), (*colour, 0))
    pen, half = ImageDraw.Draw(square), big / 2
    if shape == "circle":
        pen.ellipse((0.04 * big, 0.04 * big, 0.96 * big, 0.96 * big), fill=(*colour, 255))
    elif shape == "ring":
        pen.ellipse((0.04 * big, 0.04 * big, 0.96 * big, 0.96 * big), outline=(*colour, 255), width=big // 6)
    else:
        pen.polygon([(half + x * half, half + y * half) for x, y in shape_outline(shape)], fill=(*colour, 255))
    return square.reduce(4)


@cache
def scanned_digits(for_training: bool) -> tuple[np.ndarray, ...]:
    """scikit-learn's scans (n_i, 8, 8) float in 0..1, by digit; every fifth is kept for evaluation."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    chosen = (np.arange(len(scans.target)) % 5 != 0) == for_training
    return tuple(scans.images[chosen & (scans.target == d)] / 16.0 for d in range(10))


def render_digit(scan: np.ndarray, ink: tuple[int, ...], side: int) -> Image.Image:
    """A scanned digit as ink on a transparent square."""
    alpha = Image.fromarray((np.pad(scan, 1) * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    picture = Image.new("RGBA", (side, side), (*ink, 255))
    picture.putalpha(alpha)
    return picture


def _sticker(index: int, side: float, rng: np.random.Generator) -> Image.Image:
    """The object to draw, a little larger than `side` pixels."""
    concept = world.concepts()[index]
    if concept.kind == "emoji":
        levels = _glyph_levels(index)
        return levels[2] if side <= 24 else levels[1] if side <= 48 else levels[0]
    stored = 24 if side <= 24 else 48 if side <= 48 else 96
    if concept.kind == "shape":
        colour, shape = concept.keywords[1], concept.keywords[0]
        jittered = np.clip(np.array(world.COLOURS[colour]) + rng.normal(0, 12, 3), 0, 255).astype(int)
        return render_shape(shape, tuple(jittered.tolist()), stored)
    scans = scanned_digits(True)[int(concept.keywords[1])]
    dark = rng.random() < 0.7
    ink = rng.integers(0, 90, 3) if dark else rng.integers(0, 256, 3)
    return render_digit(scans[rng.integers(len(scans))], tuple(ink.tolist()), stored)


def background(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) float32 in 0..255: white, plain, gradient, soft noise or lines."""
    kind = rng.random()
    base = rng.uniform(60, 255, 3) if rng.random() < 0.8 else rng.uniform(0, 120, 3)
    if kind < 0.22:
        return np.full((size, size, 3), 255 - rng.random() * 8, np.float32)
    canvas = np.broadcast_to(base.astype(np.float32), (size, size, 3)).copy()
    if kind < 0.45:
        return canvas
    if kind < 0.7:
        angle, other = rng.uniform(0, 2 * math.pi), rng.uniform(40, 255, 3)
        ramp = np.linspace(-0.5, 0.5, size)
        along = np.clip(0.5 + ramp[:, None] * math.sin(angle) + ramp[None] * math.cos(angle), 0, 1)[..., None]
        return (canvas * (1 - along) + other * along).astype(np.float32)
    if kind < 0.9:
        coarse = int(rng.integers(3, 9))
        noise = rng.normal(0, rng.uniform(8, 45), (coarse, coarse, 3)) + base
        soft = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
        return np.asarray(soft, np.float32)
    picture = Image.fromarray(canvas.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 7))):
        pen.line([tuple(p) for p in rng.integers(0, size, (2, 2)).tolist()],
                 tuple(rng.integers(40, 255, 3).tolist()), int(rng.integers(1, 3)))  # fmt: skip
    return np.asarray(picture, np.float32)


def _warp(sticker: Image.Image, side: float, size: int, centre: np.ndarray, turn: float) -> np.ndarray:
    """The sticker turned, scaled to `side` pixels and moved to `centre` on a (size, size, 4) uint8 canvas."""
    zoom = sticker.width / side
    cos, sin = math.cos(turn) * zoom, math.sin(turn) * zoom
    middle = sticker.width / 2
    x, y = centre
    back = (cos, sin, middle - cos * x - sin * y, -sin, cos, middle + sin * x - cos * y)
    return np.asarray(sticker.transform((size, size), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR))


def _colour_jitter(rgb: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and saturation of (h, w, 3) float32, changed a little."""
    grey = rgb.mean(-1, keepdims=True)
    saturation, contrast = 1 + strength * rng.uniform(-0.5, 0.3), 1 + strength * rng.uniform(-0.3, 0.3)
    tint = strength * rng.normal(0, 10, 3).astype(np.float32) + strength * rng.uniform(-22, 22)
    return np.asarray((grey + saturation * (rgb - grey) - 128) * contrast + 128 + tint, np.float32)


def _places(count: int, size: int, easy: float, rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    """Centres and sides of `count` objects that hardly overlap."""
    if count == 1:
        side = size * rng.uniform(0.45 + 0.25 * easy, 1.0)
        slack = max(0.0, (size - side) / 2 + size * 0.05)
        return [(size / 2 + rng.uniform(-slack, slack, 2), side)]
    low, high = ((0.38, 0.58), (0.32, 0.46))[count - 2]
    for attempt in range(40):
        sides = size * rng.uniform(low, high, count)
        centres = [rng.uniform(s * 0.46, size - s * 0.46, 2) for s in sides]
        apart = min(
            float(np.abs(centres[i] - centres[j]).max()) / (sides[i] + sides[j]) for i in range(count) for j in range(i)
        )
        if apart > 0.48 - 0.006 * attempt:
            break
    return list(zip(centres, sides.tolist(), strict=True))


def draw(shown: tuple[int, ...], size: int, rng: np.random.Generator, easy: float = 0.0) -> Picture:
    """A picture of the concepts `shown`, `size` pixels square; `easy` in 0..1 makes it larger, straighter, plainer."""
    canvas = background(size, rng) if rng.random() >= easy * 0.5 else np.full((size, size, 3), 250, np.float32)
    covered = np.zeros((len(shown), size, size), np.float32)
    for row, ((centre, side), index) in enumerate(zip(_places(len(shown), size, easy, rng), shown, strict=True)):
        turn = rng.normal(0, 0.17 * (1 - easy)) if rng.random() < 0.75 else 0.0
        warped = _warp(_sticker(index, side, rng), side, size, centre, turn).astype(np.float32)
        alpha = warped[..., 3:] / 255
        plain = world.concepts()[index].kind == "emoji"
        rgb = _colour_jitter(warped[..., :3], (1.0 if plain else 0.35) * (1 - 0.7 * easy), rng)
        canvas = canvas * (1 - alpha) + rgb * alpha
        covered[:row] *= 1 - alpha[..., 0]
        covered[row] = alpha[..., 0]
    if rng.random() < 0.4:
        canvas += rng.normal(0, rng.uniform(2, 9), canvas.shape)
    pixels = np.clip(canvas, 0, 255).astype(np.uint8).transpose(2, 0, 1)
    return Picture(np.ascontiguousarray(pixels), _patch_labels(covered, shown), shown)


def _patch_labels(covered: np.ndarray, shown: tuple[int, ...]) -> np.ndarray:
    """Object masks (k, s, s) -> the concept that each patch shows mostly, background, or IGNORED."""
    k, size, _ = covered.shape
    share = covered.reshape(k, size // PATCH, PATCH, size // PATCH, PATCH).mean((2, 4))
    labels = np.where(share.sum(0) < 0.04, len(world.concepts()), IGNORED)
    best = share.argmax(0)
    return np.where(share.max(0) > 0.4, np.array(shown)[best], labels).astype(np.int64)
