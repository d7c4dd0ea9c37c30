"""Rows as Arrow arrays, for Parquet and for datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmstudio.exports.rows import Column, Exported


def types() -> dict[str, Any]:
    """The Arrow type of each kind of column."""
    import pyarrow as pa

    return {"int": pa.int64(), "text": pa.string(), "number": pa.float64(), "texts": pa.list_(pa.string()),
            "ints": pa.list_(pa.int64())}


def arrays(columns: Sequence[Column], rows: Sequence[Exported]) -> list[Any]:
    """One Arrow array for each column."""
    import pyarrow as pa

    of_kind = types()
    return [pa.array([column.of(row) for row in rows], of_kind[column.kind]) for column in columns]


def fixed_vectors(rows: Sequence[Exported], dim: int) -> Any:
    """The vectors of rows that all have one, bit for bit: lists of ``dim`` float32."""
    import pyarrow as pa

    table = np.array([row.vector for row in rows], np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(table.ravel()), dim)


def vectors(rows: Sequence[Exported]) -> Any:
    """The rows' vectors bit for bit as lists of float32, missing ones null."""
    import pyarrow as pa

    missing = np.array([row.vector is None for row in rows], bool)
    lengths = [0 if row.vector is None else len(row.vector) for row in rows]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    present = [np.asarray(row.vector, np.float32) for row in rows if row.vector is not None]
    values = np.concatenate(present) if present else np.zeros(0, np.float32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values), mask=pa.array(missing))
