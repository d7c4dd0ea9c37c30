"""Tags and columns of very many items at once, as Arrow columns: nothing in Python is made for each item."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def holding(tags: Any, tag: str) -> NDArray[np.bool_]:
    """Whether each list ``(n,)`` of strings has this one."""
    import pyarrow.compute as pc

    out = np.zeros(len(tags), np.bool_)
    out[_parents(tags)[np.asarray(pc.equal(pc.list_flatten(tags), tag), np.bool_)]] = True
    return out


def with_tag(tags: Any, tag: str) -> Any:
    """Lists of strings ``(n,)``, each sorted and without this one, with it in its place."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat, counts = pc.list_flatten(tags), _counts(tags)
    before = np.bincount(_parents(tags)[np.asarray(pc.less(flat, tag), np.bool_)], minlength=len(tags))
    at = np.concatenate([[0], np.cumsum(counts)])[:-1] + before
    places = np.insert(np.arange(len(flat)), at, len(flat))
    return _lists(pa.concat_arrays([flat, pa.array([tag], flat.type)]).take(pa.array(places)), counts + 1)


def without_tag(tags: Any, tag: str) -> Any:
    """Lists of strings ``(n,)`` without this one."""
    import pyarrow.compute as pc

    flat = pc.list_flatten(tags)
    kept = np.asarray(pc.not_equal(flat, tag), np.bool_)
    return _lists(flat.filter(kept), np.bincount(_parents(tags)[kept], minlength=len(tags)))


def with_value(told: Any, name: str, value: str | float | None) -> Any:
    """Texts of JSON objects ``(n,)``, "" for an empty one, with this value under this name; None takes it out. Each
    different text is read once.
    """
    import pyarrow as pa

    coded = told.dictionary_encode()
    edited = pa.array([_edited(text, name, value) for text in coded.dictionary.to_pylist()], told.type)
    return edited.take(coded.indices)


def _edited(text: str, name: str, value: str | float | None) -> str:
    values = json.loads(text) if text else {}
    values.pop(name, None)
    if value is not None:
        values[name] = value
    return json.dumps(values, ensure_ascii=False) if values else ""


def _parents(lists: Any) -> NDArray[np.intp]:
    """The list ``(m,)`` that each element is in."""
    return np.repeat(np.arange(len(lists)), _counts(lists))


def _counts(lists: Any) -> NDArray[np.int64]:
    import pyarrow.compute as pc

    return np.asarray(pc.list_value_length(lists), np.int64)


def _lists(flat: Any, counts: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()), flat)
