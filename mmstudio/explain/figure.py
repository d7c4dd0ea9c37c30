"""A relevance map as a file: its numbers (.npz), or drawn over the item with a legend and a caption (.png, .svg)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.encoders.base import Encoder, Explanation
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain import letters, maps
from mmstudio.explain.drawing import Drawing, Fill, Raster, Words, to_png, to_svg, words
from mmstudio.explain.overlay import EDGE, WIDTH, colour_table, over, word_table
from mmstudio.media import AudioClip, Media, Modality
from mmstudio.progress import Work

Floats = NDArray[np.float32]
MAPS = ("auto", "similarity", "pooling", "attention", "rollout")
"""What ``chosen_map`` makes of one explanation."""
SUFFIXES = (".npz", ".png", ".svg")
SMALL, ROW, BAR, NAMES = 13, 20, 12, 84
"""Pixels of a caption's letters, from row to row, of the scale's height, and of the names before what is said."""
FAINT = "#5f6672"
MOST_ROWS = 4
"""Of one thing that a caption says."""
TICKS = 4


@dataclass(frozen=True)
class Caption:
    """What a figure is of. What is "" or None is not told; ``score`` is the cosine of item and query."""

    item: str
    query: str = ""
    model: str = ""
    score: float | None = None

    @classmethod
    def of(cls, encoder: Encoder, item: str, query: str = "", score: float | None = None) -> Caption:
        """With the model's name and its revision."""
        return cls(item, query, " · revision ".join(filter(None, (encoder.name, encoder.revision))), score)


def check_target(file: Path) -> None:
    """Raise StudioError for an ending that cannot be written, before any work is done."""
    if file.suffix.lower() not in SUFFIXES:
        raise StudioError(f"“{file.name}” has to end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")


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


def method_map(encoder: Encoder, media: Media, modality: Modality, method: str, query: Floats | None,
               ) -> Work[maps.RelevanceMap]:
    """The map of any method of ``methods``. Raises StudioError for one that is not there or lacks its query."""
    from mmstudio.explain.methods import named, relevance  # the window draws maps, and is not to wait for this

    chosen = named(method)
    if query is None:
        raise AttentionUnavailable(f"“{chosen.name}” compares with a query.", hint="Give one with --query.")
    return (yield from relevance(chosen.name, encoder, media, modality, query))


def write(found: maps.RelevanceMap, media: Media, caption: Caption, file: Path) -> None:
    """``.npz`` with weights, extents, labels and what they are; or the figure as ``.png`` or ``.svg``. Raises
    StudioError.
    """
    check_target(file)
    suffix = file.suffix.lower()
    if suffix == ".npz":
        content = _numbers(found, caption)
    else:
        made = figure(found, media, caption)
        content = to_png(made) if suffix == ".png" else to_svg(made, f"{caption.item}: {found.title}")
    try:
        paths.write_atomically(file.absolute(), content)
    except OSError as error:
        raise StudioError(f"The result could not be written ({error.strerror}).", path=file) from error


def _numbers(found: maps.RelevanceMap, caption: Caption) -> bytes:
    out, places = io.BytesIO(), found.positions
    score = np.nan if caption.score is None else caption.score
    np.savez_compressed(
        out, weights=found.weights, extents=places.extents, labels=np.array(places.labels, np.str_),
        kind=np.array(places.kind), title=np.array(found.title), unit=np.array(found.unit), score=np.array(score),
        item=np.array(caption.item), query=np.array(caption.query), model=np.array(caption.model))
    return out.getvalue()


def figure(found: maps.RelevanceMap, media: Media, caption: Caption) -> Drawing:
    """The item with its map over it, the scale of its colours with numbers, and what it is of."""
    body = over(found, media)
    parts, top = list[Raster | Fill | Words](body.parts), body.height + 8.0
    if isinstance(media, AudioClip):
        parts += _axes(media, body.height)
        top += ROW
    parts += _scale(found, top)
    top += 2 * ROW + BAR + 16
    for name, text in _told(found, media, caption):
        parts.append(words(EDGE, top + SMALL, name, SMALL, FAINT))
        for row in _rows(text, WIDTH - 2 * EDGE - NAMES):
            parts += [replace(word, left=word.left + EDGE + NAMES, baseline=top + SMALL) for word in row]
            top += ROW
    return Drawing(max(WIDTH, body.width), round(top + EDGE / 2), tuple(parts))


def _told(found: maps.RelevanceMap, media: Media, caption: Caption) -> list[tuple[str, str]]:
    """The caption, and what the figure cannot show as it should be."""
    notes = list[str]()
    if isinstance(media, str):
        lacking = letters.missing(media)
        if lacking:
            codes = ", ".join(f"U+{ord(letter[0]):04X}" for letter in lacking[:6])
            notes.append(f"No font of this computer has {codes}{' and others' if len(lacking) > 6 else ''}.")
        if not letters.shaped():
            notes.append("Letters are not joined as their script wants it: Pillow lacks libraqm.")
    if isinstance(media, AudioClip) and len(media.windows) > 1:
        notes.append(f"The sound goes on; shown are its first {len(media.windows[0]) / media.rate_hz:g} s.")
    score = "" if caption.score is None else f"cosine {caption.score:.3f}"
    rows = [("Item", caption.item), ("Query", f"“{caption.query}”" if caption.query else ""), ("Model", caption.model),
            ("Method", found.title), ("Score", score), *(("Note", note) for note in notes)]
    return [(name, text) for name, text in rows if text]


def _axes(sound: AudioClip, height: float) -> Iterator[Words]:
    """Seconds below the spectrogram, and how high it reaches."""
    seconds = len(sound.windows[0]) / sound.rate_hz
    for tick in range(TICKS + 1):
        made = words(0, height + SMALL + 4, f"{tick / TICKS * seconds:.3g} s", SMALL, FAINT)
        yield replace(made, left=min(max(0.0, WIDTH * tick / TICKS - made.wide / 2), WIDTH - made.wide))
    yield words(6, SMALL + 4, f"{sound.rate_hz / 2000:g} kHz", SMALL, "#ffffff")


def _scale(found: maps.RelevanceMap, top: float) -> Iterator[Raster | Words]:
    """The colours from the least to the most relevant, and their numbers."""
    from PIL import Image

    _, low, high = maps.to_unit(found)
    table = word_table() if found.positions.kind == "character" else colour_table()
    yield words(EDGE, top + SMALL, found.unit, SMALL, FAINT)
    top += ROW
    yield Raster((EDGE, top, WIDTH - EDGE, top + BAR), Image.fromarray(table[None]))
    for share in (0.0, 0.5, 1.0):
        made = words(0, top + BAR + SMALL + 4, _short(low + share * (high - low), max(abs(low), abs(high))), SMALL)
        yield replace(made, left=EDGE + share * (WIDTH - 2 * EDGE - made.wide))


def _short(value: float, largest: float) -> str:
    """Three digits; what is nothing beside the largest is 0."""
    return f"{value if abs(value) > 1e-6 * largest else 0:.3g}"


def _rows(text: str, room: float) -> list[list[Words]]:
    """The words of a text in at most ``MOST_ROWS`` rows, each from 0 on."""
    shown = letters.visible(text).replace("\n", " ")
    placed = letters.lines(shown, SMALL, room)
    if any(word.line >= MOST_ROWS for word in placed):
        last = max(word.end for word in placed if word.line < MOST_ROWS)
        return _rows(f"{shown[: last - 2]}…", room)
    return [[words(word.left, 0, shown[word.start : word.end], SMALL) for word in placed
             if word.line == line and not shown[word.start : word.end].isspace()]
            for line in range(max((word.line for word in placed), default=0) + 1)]
