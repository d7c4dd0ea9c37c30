"""Boxes that a person knows of on a picture, and the pointing game on them.

They are a column of the item named “boxes” of JSON: ``[[left, top, right, bottom, "label"], ...]`` in pixels of the
upright picture, or COCO's ``[{"bbox": [left, top, width, height], "label": "dog"}, ...]``
(https://cocodataset.org/#format-data). A label may be left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmstudio.errors import StudioError
from mmstudio.explain.maps import RelevanceMap
from mmstudio.library import Item

COLUMN = "boxes"
LABELS = ("label", "category", "category_name", "name", "concept")
CELLS = 512
"""Along each side of a picture when the area under several boxes is reckoned."""


@dataclass(frozen=True)
class Box:
    """Left, top, right, bottom in 0..1 of the upright picture, and what is there, or ""."""

    edges: tuple[float, float, float, float]
    label: str = ""


@dataclass(frozen=True)
class Pointing:
    """Whether the middle of a map's most relevant place lies in one of the boxes (Zhang et al. 2018). ``inside`` is the
    box that it lies in, ``chance`` the share of the picture that the boxes cover: so often a random place would.
    """

    boxes: tuple[Box, ...]
    inside: Box | None
    chance: float

    @property
    def hit(self) -> bool:
        return self.inside is not None

    @property
    def text(self) -> str:
        """The outcome as a sentence with places for the ``values``."""
        if self.name:
            return ("The most relevant place lies in “{}”; one at random would with {:.0f} %." if self.hit
                    else "The most relevant place lies outside “{}”; one at random would lie in it with {:.0f} %.")
        return ("The most relevant place lies in the box; one at random would with {1:.0f} %." if self.hit
                else "The most relevant place lies outside the box; one at random would lie in it with {1:.0f} %.")

    @property
    def values(self) -> tuple[str, float]:
        return self.name, 100 * self.chance

    @property
    def name(self) -> str:
        """The label of the box that is hit, else those of all."""
        labels = [box.label for box in ((self.inside,) if self.inside else self.boxes) if box.label]
        return ", ".join(dict.fromkeys(labels))


def boxes_of(item: Item) -> tuple[Box, ...]:
    """What is known of a picture in the project; nothing of what has no boxes. Raises StudioError for what is no list
    of boxes.
    """
    text = next((value for name, value in item.columns.items() if name.lower() == COLUMN), "")
    width, height = item.facts.get("width", 0), item.facts.get("height", 0)
    if item.modality != "image" or not text or not width or not height:
        return ()
    return read(str(text), int(width), int(height))


def read(text: str, width: int, height: int) -> tuple[Box, ...]:
    """Boxes in pixels of a picture of that size. Raises StudioError."""
    try:
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise ValueError
        return tuple(_box(row, width, height) for row in ([rows] if _is_box(rows) else rows))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise _no_boxes() from error


def listed(rows: Sequence[str], width: int, height: int) -> tuple[Box, ...]:
    """Boxes of “left,top,right,bottom,label”, as a person types them. Raises StudioError."""
    parts = [row.split(",", 4) for row in rows]
    try:
        boxes = [[*map(float, part[:4]), *part[4:]] for part in parts]
    except ValueError as error:
        raise _no_boxes() from error
    return read(json.dumps(boxes), width, height)


def _no_boxes() -> StudioError:
    return StudioError("These are no boxes.",
                       hint="They look like [[left, top, right, bottom, \"label\"], ...] in pixels.")


def _is_box(row: Any) -> bool:
    return bool(row) and all(isinstance(value, (int, float)) for value in row[:4])


def _box(row: Any, width: int, height: int) -> Box:
    if isinstance(row, dict):
        left, top, wide, high = (float(value) for value in row["bbox"])
        edges = left, top, left + wide, top + high
        label = next((row[name] for name in LABELS if isinstance(row.get(name), str)), "")
    else:
        left, top, right, bottom = (float(value) for value in row[:4])
        edges, label = (left, top, right, bottom), row[4] if len(row) > 4 else ""
    if not all(map(math.isfinite, edges)) or edges[0] >= edges[2] or edges[1] >= edges[3]:
        raise ValueError("no box")
    return Box((edges[0] / width, edges[1] / height, edges[2] / width, edges[3] / height), str(label))


def asked_for(boxes: Sequence[Box], query: str) -> tuple[Box, ...]:
    """The boxes whose labels the query names; all where it names none."""
    words = f" {_plain(query)} "
    named = tuple(box for box in boxes if box.label and f" {_plain(box.label)} " in words)
    return named or tuple(boxes)


def _plain(text: str) -> str:
    """Words alone, small."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.casefold()).split())


def pointing(found: RelevanceMap, boxes: Sequence[Box], query: str = "") -> Pointing | None:
    """The pointing game of a map over a picture, on the boxes that the query asks for; None without places or boxes."""
    chosen = asked_for(boxes, query)
    if not chosen or found.positions.kind != "patch" or not found.positions.placed.any():
        return None
    return Pointing(chosen, next((box for box in chosen if points_at(found, box.edges)), None), _area(chosen))


def points_at(found: RelevanceMap, edges: Sequence[float]) -> bool:
    """Whether the middle of the most relevant place lies within ``edges``: left, top, right, bottom in 0..1."""
    placed = found.positions.placed
    best = found.positions.extents[placed][int(np.argmax(found.weights[placed]))]
    x, y = (best[0] + best[2]) / 2, (best[1] + best[3]) / 2
    return bool(edges[0] <= x <= edges[2] and edges[1] <= y <= edges[3])


def _area(boxes: Sequence[Box]) -> float:
    """The share of the picture under the boxes together."""
    middles = (np.arange(CELLS) + 0.5) / CELLS
    covered = np.zeros((CELLS, CELLS), bool)
    for box in boxes:
        left, top, right, bottom = box.edges
        covered |= ((top <= middles) & (middles <= bottom))[:, None] & ((left <= middles) & (middles <= right))
    return float(covered.mean())
