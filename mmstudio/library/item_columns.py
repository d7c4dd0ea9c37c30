"""What a filter may ask of the items: their table's columns, and columns reckoned from them when first asked for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmstudio.library.dates import moments

if TYPE_CHECKING:
    from mmstudio.library.items import Base
    from mmstudio.library.query_match import Kind

_STORED: dict[str, tuple[str, Kind]] = {
    "modality": ("modality", "category"), "text": ("text", "text"), "part": ("part", "text"), "tag": ("tags", "tags"),
    "added": ("added", "date"), "width": ("width", "number"), "height": ("height", "number"),
    "rate": ("rate_hz", "number"), "duration": ("duration_s", "number"), "seconds": ("seconds", "number"),
}
_DERIVED: dict[str, Kind] = {"name": "text", "path": "text", "characters": "number"}
SCORE = "score"
Score: TypeAlias = Callable[[NDArray[np.int64]], Any]
"""What is searched for as a column: ``(n,)`` Arrow floats for the items' ids, the same array for the same ids."""
_CATEGORIES, _SHORT = 0.05, 40
"""A column of texts is one of categories where few differ (this share, or 50) and none is long (characters)."""

BUILT_IN = frozenset((*_STORED, *_DERIVED, SCORE, "has", "is", "tags", "type"))
"""Names that the studio's own columns and the query language have, in small letters."""


class ItemColumns:
    """The items' rows under the names that a person types; see ``query_match.Columns``."""

    def __init__(self, base: Base, in_samples: Collection[int] = (), captioned: Collection[int] = (),
                 selected: Collection[int] = (), missing: Collection[int] = (), score: Score | None = None) -> None:
        self._base, self._score = base, score
        self._flags = {"sample": in_samples, "caption": captioned, "selected": selected, "missing": missing}

    def __len__(self) -> int:
        return len(self._base)

    def names(self) -> Mapping[str, Kind]:
        fixed: dict[str, Kind] = {"modality": "category", "name": "text", "path": "text"}
        fixed |= {name: kind for name, (_, kind) in _STORED.items()} | _DERIVED
        if self._score is not None:
            fixed[SCORE] = "number"
        flags: dict[str, Kind] = dict.fromkeys(self._flags, "flag")
        return fixed | flags | {name: kind for name, (kind, _) in self._own().items()}

    def column(self, name: str) -> Any:
        """``(n,)`` Arrow values; the same array as long as the items' values are the same."""
        if name in _STORED:
            return self._base.column(_STORED[name][0])
        if name in _DERIVED:
            return self.derived(name)
        if name == SCORE and self._score is not None:
            return self._score(self._base.ids)
        if name in self._flags:
            return self._flag(self._flags[name])
        return self._own()[name][1]

    def searched(self) -> Sequence[Any]:
        own = [column for kind, column in self._own().values() if kind in ("text", "category")]
        return [self.derived("words"), *own]

    def derived(self, name: str) -> Any:
        """``path``, ``name``, ``characters`` or, for a bare word, ``words``: reckoned once for a base."""
        known = self._base.derived
        if name not in known:
            import pyarrow as pa

            made = {"path": self._paths, "name": self._names, "words": self._words,
                    "characters": self._characters}[name]()
            known[name] = made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
        return known[name]

    def _paths(self) -> Any:
        import pyarrow as pa

        raw = self._base.column("path")
        try:
            return raw.cast(pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid:  # a name that is no text
            texts = [os.fsdecode(path).encode("utf-8", "replace").decode() for path in raw.to_pylist()]
            return pa.array(texts, pa.large_string())

    def _file_names(self) -> Any:
        import pyarrow.compute as pc

        return pc.replace_substring_regex(self.derived("path"), f"(?s)^.*{re.escape(os.sep)}", "")

    def _names(self) -> Any:
        import pyarrow.compute as pc

        is_text = pc.equal(self._base.column("modality"), "text")
        return pc.if_else(is_text, pc.utf8_slice_codeunits(self._base.column("text"), 0, 60), self._file_names())

    def _characters(self) -> Any:
        """Of a text; nothing else is as long as its words."""
        import pyarrow as pa
        import pyarrow.compute as pc

        is_text = pc.equal(self._base.column("modality"), "text")
        lengths = pc.cast(pc.utf8_length(self._base.column("text")), pa.float64())
        return pc.if_else(is_text, lengths, pa.scalar(None, pa.float64()))

    def _words(self) -> Any:
        """A file's name and its text in one; of a text the text alone."""
        import pyarrow as pa
        import pyarrow.compute as pc

        base, empty = self._base, pa.scalar("", pa.large_string())
        names = pc.if_else(pc.equal(base.column("modality"), "text"), empty, self._file_names())
        return pc.binary_join_element_wise(names, base.column("text"), pa.scalar("\n", pa.large_string()))

    def prepare(self) -> None:
        """Reckon now what the first filter would have to wait for."""
        from mmstudio.library.query_match import coded

        self.searched()
        for name in ("tag", "modality"):
            coded(self.column(name))

    def _flag(self, ids: Collection[int]) -> Any:
        import pyarrow as pa

        wanted = ids if isinstance(ids, np.ndarray) else np.fromiter(ids, np.int64, len(ids))
        return pa.array(np.isin(self._base.ids, wanted))

    def _own(self) -> dict[str, tuple[Kind, Any]]:
        """The person's own columns; one that is called as a built-in one goes by that name with ``_column`` after."""
        told = self._base.column("columns")
        known: tuple[Any, dict[str, tuple[Kind, Any]]] | None = self._base.derived.get("own")
        if known is None or known[0] is not told:
            taken = BUILT_IN | self._flags.keys()
            found = {f"{name}_column" if name.casefold() in taken else name: _guessed(rows, values, len(self))
                     for name, (rows, values) in _unfolded(told).items()}
            known = self._base.derived["own"] = (told, found)
        return known[1]


def _unfolded(told: Any) -> dict[str, tuple[list[int], list[str | float]]]:
    """Each column's rows and values, from one text of JSON a row."""
    import pyarrow.compute as pc

    found: dict[str, tuple[list[int], list[str | float]]] = {}
    filled = np.flatnonzero(np.asarray(pc.greater(pc.binary_length(told), 0)))
    for start in range(0, len(filled), 1 << 15):
        rows = filled[start : start + (1 << 15)]
        parsed = json.loads(f"[{','.join(told.take(rows).to_pylist())}]")
        for row, columns in zip(rows.tolist(), parsed, strict=True):
            for name, value in columns.items():
                where, values = found.setdefault(name, ([], []))
                where.append(row)
                values.append(value)
    return found


def _guessed(rows: list[int], values: list[str | float], count: int) -> tuple[Kind, Any]:
    """The kind of a column's values, and they in ``count`` rows, null where there is none."""
    import pyarrow as pa

    if not any(isinstance(value, str) for value in values):
        return "number", _spread(rows, values, count)
    dates = moments(values) if all(isinstance(value, str) for value in values) else None  # type: ignore[arg-type]
    if dates is not None:
        return "date", _spread(rows, dates, count)
    texts: list[str | None] = [None] * count
    for row, value in zip(rows, values, strict=True):
        texts[row] = value if isinstance(value, str) else f"{value:g}"
    different = set(filter(None, texts))
    few = len(different) <= max(50, _CATEGORIES * len(values)) and all(len(text) <= _SHORT for text in different)
    return ("category", pa.array(texts).dictionary_encode()) if few else ("text", pa.array(texts, pa.large_string()))


def _spread(rows: list[int], values: Sequence[Any] | NDArray[np.float64], count: int) -> Any:
    """Numbers in ``count`` rows, NaN where there is none."""
    import pyarrow as pa

    out = np.full(count, np.nan)
    out[rows] = values
    return pa.array(out)
