"""What is exported: the items of a selection, and the columns that a table of them has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmstudio.exports.target import ExportError
from mmstudio.library import Item, Sample
from mmstudio.media import Limits

Value: TypeAlias = int | float | str | list[str] | list[int] | None
NAMES_KEPT = ("space", "x", "y", "vector", "samples", "image", "audio", "embedding", "label")
"""Names that no fact and no free column gets, in any format, besides those of the item's own columns."""


@dataclass(frozen=True)
class Exported:
    """One item of a selection: its ``(dim,)`` float32 vector, its place on the map, the ids of its samples."""

    item: Item
    vector: NDArray[np.float32] | None = None
    place: tuple[float, float] | None = None
    samples: tuple[int, ...] = ()


def exported(
    items: Iterable[Item], vector: Callable[[int], NDArray[np.float32] | None],
    places: Mapping[int, tuple[float, float]], samples: Iterable[Sample],
) -> list[Exported]:
    """Items as rows: ``vector`` gives an item's ``(dim,)`` float32 or None, ``places`` has those on the map."""
    of_item: dict[int, list[int]] = {}
    for sample in samples:
        for identity in sample.item_ids:
            of_item.setdefault(identity, []).append(sample.id)
    return [Exported(item, vector(item.id), places.get(item.id), tuple(of_item.get(item.id, ()))) for item in items]


@dataclass(frozen=True)
class Outcome:
    """What was written where: ``count`` items, and what was left out of which file's item and why."""

    path: Path
    count: int
    problems: tuple[tuple[Path, str], ...] = ()


@dataclass
class Selection:
    """All that a writer needs. ``dim`` is 0 where no item has a vector; writers add to ``problems``."""

    rows: list[Exported]
    space: str
    preview: Callable[[Item], bytes]
    limits: Limits
    dim: int
    problems: list[tuple[Path, str]] = field(default_factory=list)

    @classmethod
    def of(
        cls, rows: Iterable[Exported], space: str, preview: Callable[[Item], bytes], limits: Limits,
    ) -> Selection:
        """Raises ExportError where nothing is selected, or where the vectors cannot be of one space."""
        rows = list(rows)
        if not rows:
            raise ExportError("Nothing is selected.", hint="Select the items to export.")
        shapes = {np.shape(row.vector) for row in rows if row.vector is not None}
        if len(shapes) > 1 or any(len(shape) != 1 or not shape[0] for shape in shapes):
            raise ExportError("The vectors of these items are not of one length.",
                              hint="Choose one model's space to export.")
        return cls(rows, storable(space), preview, limits, shapes.pop()[0] if shapes else 0)


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, what its cells hold, and a row's cell."""

    name: str
    kind: Literal["int", "text", "number", "texts", "ints"]
    of: Callable[[Exported], Value]


def columns(rows: Sequence[Exported], space: str) -> list[Column]:
    """All columns but the vector: the item's own, its facts, the person's own columns, space, place, samples.

    A fact or free column whose name is taken (in whatever case) gets ``fact_`` or ``column_`` before it.
    """
    own = [
        Column("id", "int", lambda row: row.item.id),
        Column("path", "text", lambda row: path_text(row.item.path)),
        Column("part", "text", lambda row: storable(row.item.part)),
        Column("modality", "text", lambda row: row.item.modality),
        Column("content_hash", "text", lambda row: row.item.content_hash),
        Column("text", "text", lambda row: storable(row.item.text)),
        Column("tags", "texts", lambda row: [storable(tag) for tag in row.item.tags]),
    ]
    taken = {column.name for column in own} | set(NAMES_KEPT)
    facts = _free(rows, lambda item: item.facts, "fact_", taken)
    free = _free(rows, lambda item: getattr(item, "columns", {}), "column_", taken)
    return [
        *own, *facts, *free,
        Column("space", "text", lambda row: space),
        Column("x", "number", lambda row: None if row.place is None else float(row.place[0])),
        Column("y", "number", lambda row: None if row.place is None else float(row.place[1])),
        Column("samples", "ints", lambda row: [int(sample) for sample in row.samples]),
    ]


def _free(
    rows: Sequence[Exported], of: Callable[[Item], Mapping[str, Any]], prefix: str, taken: set[str],
) -> list[Column]:
    """A column for each name in the items' mappings, in the order of their first appearance."""
    found = []
    for key in dict.fromkeys(key for row in rows for key in of(row.item)):
        name = storable(key)
        while not name or name.casefold() in taken:
            name = prefix + name
        taken.add(name.casefold())
        found.append(_column(name, key, of, [of(row.item).get(key) for row in rows]))
    return found


def _column(name: str, key: str, of: Callable[[Item], Mapping[str, Any]], values: Sequence[Any]) -> Column:
    """Numbers where all values are; otherwise texts, numbers written out."""
    def number(row: Exported) -> Value:
        value = of(row.item).get(key)
        return None if value is None else float(value)

    def text(row: Exported) -> Value:
        value = of(row.item).get(key)
        return None if value is None else storable(str(value))

    if all(value is None or isinstance(value, int | float) for value in values):
        return Column(name, "number", number)
    return Column(name, "text", text)


def path_text(path: Path) -> str:
    """A path as text: as it is where it is valid UTF-8, other bytes as ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def storable(text: str) -> str:
    """Without halves of surrogate pairs, which no UTF-8 file can hold."""
    return text.encode("utf-8", "replace").decode()


def cell(value: Value) -> str:
    """A value as the text of one cell: nothing for a missing one, lists joined by "; "."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "; ".join(str(part) for part in value)
    return value if isinstance(value, str) else repr(value)


def decimals(vector: NDArray[np.float32], separator: str) -> str:
    """A vector's numbers with nine digits, which read back to the same float32."""
    return separator.join(["%.9g"] * len(vector)) % tuple(vector.tolist())
