"""Items and samples, and the rows that keep them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmstudio.media import MediaRef, Modality

FACTS = ("width", "height", "rate_hz", "duration_s", "seconds")
_WHOLE = ("width", "height", "rate_hz")


@dataclass(frozen=True)
class Item:
    """One file or snippet of one modality. ``columns`` are the person's own, ``added`` is in seconds since 1970."""

    id: int
    path: Path
    part: str
    modality: Modality
    content_hash: str
    text: str
    facts: dict[str, float] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()
    columns: dict[str, str | float] = field(default_factory=dict, hash=False)
    added: float = 0.0

    @property
    def title(self) -> str:
        """A short name for a person."""
        if self.modality == "text":
            return self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return f"{self.path.name} · {self.part}" if self.part else self.path.name

    @property
    def ref(self) -> MediaRef:
        return MediaRef(self.path, self.modality, self.part, self.text)


@dataclass(frozen=True)
class Sample:
    """Items that belong together, with the weight of each modality in their fused vector."""

    id: int
    name: str
    item_ids: tuple[int, ...]
    weights: dict[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Fresh:
    """Items that a step of work committed, with the samples they form, or items that got vectors or another place."""

    items: tuple[Item, ...] = ()
    samples: tuple[Sample, ...] = ()


def item_schema() -> Any:
    """The columns of the table of items. A path is bytes: not every name of a file is a text."""
    import pyarrow as pa

    return pa.schema([
        ("id", pa.int64()), ("path", pa.binary()), ("part", pa.string()), ("modality", pa.string()),
        ("content_hash", pa.string()), ("text", pa.large_string()), *((name, pa.float64()) for name in FACTS),
        ("facts", pa.string()), ("tags", pa.list_(pa.string())), ("added", pa.float64()), ("columns", pa.string()),
    ])


def sample_schema() -> Any:
    """The columns of the table of samples."""
    import pyarrow as pa

    return pa.schema([("id", pa.int64()), ("name", pa.string()), ("weights", pa.string()),
                      ("item_ids", pa.list_(pa.int64()))])


def item_rows(items: Collection[Item]) -> Any:
    """Items as a table of ``item_schema``; facts that have no column of their own are one text of JSON."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        "id": [i.id for i in items], "path": [os.fsencode(i.path) for i in items], "part": [i.part for i in items],
        "modality": [i.modality for i in items], "content_hash": [i.content_hash for i in items],
        "text": [i.text for i in items],
        **{name: [i.facts.get(name) for i in items] for name in FACTS},
        "facts": [_told({k: v for k, v in i.facts.items() if k not in FACTS}) for i in items],
        "tags": [list(i.tags) for i in items], "added": [i.added for i in items],
        "columns": [_told(i.columns) for i in items],
    }
    return pa.table(columns, schema=item_schema())


def sample_rows(samples: Collection[Sample]) -> Any:
    """Samples as a table of ``sample_schema``."""
    import pyarrow as pa

    return pa.table({"id": [s.id for s in samples], "name": [s.name for s in samples],
                     "weights": [_told(s.weights) for s in samples],
                     "item_ids": [list(s.item_ids) for s in samples]}, schema=sample_schema())


def items_of(columns: dict[str, list[Any]]) -> Iterator[Item]:
    """The items of some rows, as columns of Python values."""
    facts = zip(*(columns[name] for name in FACTS), columns["facts"], strict=True)
    names = ("id", "path", "part", "modality", "content_hash", "text", "tags", "columns", "added")
    for (identity, path, part, modality, content, text, tags, own, added), told in zip(
            zip(*(columns[name] for name in names), strict=True), facts, strict=True):
        yield Item(identity, Path(os.fsdecode(path)), part, modality, content, text, _facts(told), tuple(tags),
                   json.loads(own) if own else {}, added)


def _facts(told: tuple[Any, ...]) -> dict[str, float]:
    known = {name: int(value) if name in _WHOLE and value.is_integer() else value
             for name, value in zip(FACTS, told, strict=False) if value is not None}
    return known | json.loads(told[-1]) if told[-1] else known


def _told(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) if values else ""
