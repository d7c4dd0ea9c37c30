"""Items in the order of one of their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mmstudio.library.query_match import Columns, Mask

SORTED_BY = ("text", "category", "tags", "number", "date")
"""The kinds of columns that have an order."""


def sortable(columns: Columns) -> list[str]:
    """The names of the columns that have an order, as they come."""
    return [name for name, kind in columns.names().items() if kind in SORTED_BY]


def in_order(columns: Columns, passing: Mask, by: str = "", descending: bool = False) -> NDArray[np.intp]:
    """The rows ``(m,)`` that pass ``(n,)``, by their values in the column ``by``: numbers and dates by size, texts and
    tags by the alphabet whatever their case. What has no value comes last both ways, equals as they were added.
    Without a column, or one that is not there any more, the rows in the order of adding, descending the newest first.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.flatnonzero(passing)
    if columns.names().get(by) not in SORTED_BY:
        return rows[::-1] if descending else rows
    values: Any = columns.column(by).filter(pa.array(passing))
    if columns.names()[by] == "tags":
        values = pc.binary_join(values, ", ")
    if columns.names()[by] in ("text", "category", "tags"):
        lowered = pc.utf8_lower(values.cast(pa.large_string()))
        values = pc.if_else(pc.equal(lowered, ""), pa.scalar(None, pa.large_string()), lowered)
    direction = "descending" if descending else "ascending"
    return rows[np.asarray(pc.array_sort_indices(values, order=direction))]
