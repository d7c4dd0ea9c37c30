"""Cells of Arrow record batches as plain values, and what their types say of the columns.

The features are those of Hugging Face ``datasets``: ``{"_type": "ClassLabel", "names": [...]}``, ``{"_type": "Image"}``
and ``{"_type": "Audio"}``, whose cells are structs of ``bytes`` and ``path``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mmstudio.media.blobs import Blob
from mmstudio.media.cells import Cells, Column, ColumnKind, flat, unique_names

if TYPE_CHECKING:
    import pyarrow as pa

Features = dict[str, Any]
_MEDIA_STRUCT = {"bytes", "path"}
_MEDIA: dict[str, ColumnKind] = {"Image": "image", "Audio": "audio", "Video": "image"}


def cells_of(batch: pa.RecordBatch, features: Features) -> Iterator[Cells]:
    """The rows of a record batch: dotted columns for structs, Blobs for bytes, names for class labels, seconds for
    durations, floats for decimals.
    """
    columns = [[_cell(value, features.get(name)) for value in _values(column)]
               for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    names = unique_names(batch.schema.names)
    for row in zip(*columns, strict=True):
        yield flat(dict(zip(names, row, strict=True)))


def _values(column: pa.Array) -> list[object]:
    """Python's values; what Python cannot hold (a year 20000, a text that is no UTF-8) as text or None."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_time64(kind) or pa.types.is_duration(kind):
        column = column.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"), safe=False)
    try:
        return column.to_pylist()
    except (ValueError, ArithmeticError, LookupError, pa.ArrowException):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> object:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        raw = scalar.as_buffer() if hasattr(scalar, "as_buffer") else None
        return raw.to_pybytes().decode("utf-8", "replace") if raw is not None else None
    except (ValueError, ArithmeticError, LookupError, pa.ArrowException):
        pass
    try:
        return scalar.cast(pa.string()).as_py()
    except (ValueError, ArithmeticError, LookupError, pa.ArrowException):
        return None


def _cell(value: object, feature: Any) -> object:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _class_name(value, feature)
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, bytes):
        return Blob.of(value)
    if isinstance(value, dict):
        if value.keys() == _MEDIA_STRUCT:
            return _media(value)
        inner = feature if isinstance(feature, dict) else {}
        return {key: _cell(held, inner.get(key)) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cell(held, _item_feature(feature)) for held in value]
    return _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value
    if isinstance(value, Decimal):
        return None if value.is_nan() else float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, time) else str(value)


def _media(value: dict[str, object]) -> object:
    """A picture or sound: its bytes, or where there are none the path to it."""
    content, path = value["bytes"], value["path"]
    name = path if isinstance(path, str) else ""
    return Blob.of(content, name) if isinstance(content, bytes) else name or None


def class_names(feature: Any) -> tuple[str, ...]:
    """The names of a ClassLabel, () for any other feature."""
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return ()
    names = feature.get("names")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _class_name(value: int, feature: Any) -> object:
    """The name of a class; -1, by which data sets say that there is no label, is None."""
    names = class_names(feature)
    if not names:
        return value
    return names[value] if 0 <= value < len(names) else None


def _item_feature(feature: Any) -> Any:
    """What a list's feature says of its items."""
    if isinstance(feature, dict):
        return feature.get("feature")
    return feature[0] if isinstance(feature, list) and feature else None


def columns_of(schema: pa.Schema, features: Features, told: Sequence[Column]) -> tuple[Column, ...]:
    """The columns by their types and features; for texts and bytes what the first rows ``told`` counts."""
    kinds = {column.name: column.kind for column in told}
    found: list[Column] = []
    for name, field in zip(unique_names(schema.names), schema, strict=True):
        found += _columns(name, field.type, features.get(field.name), kinds)
    return tuple(found)


def _columns(name: str, kind: pa.DataType, feature: Any, told: dict[str, ColumnKind]) -> Iterator[Column]:
    import pyarrow as pa

    kind = getattr(kind, "storage_type", kind)
    if isinstance(feature, dict) and feature.get("_type") in _MEDIA:
        yield Column(name, _MEDIA[feature["_type"]])
    elif names := class_names(feature):
        yield Column(name, "category", names)
    elif pa.types.is_struct(kind) and {field.name for field in kind} != _MEDIA_STRUCT:
        inner = feature if isinstance(feature, dict) else {}
        for field in kind:
            yield from _columns(f"{name}.{field.name}", field.type, inner.get(field.name), told)
    else:
        yield Column(name, _by_type(kind) or told.get(name, "text"))


def _by_type(kind: pa.DataType) -> ColumnKind | None:
    """What a type alone says of a column, None for texts and bytes."""
    from pyarrow import types

    if types.is_boolean(kind):
        return "category"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_duration(kind):
        return "number"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "date"
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_map(kind):
        return "list"
    return None
