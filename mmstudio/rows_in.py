"""Rows of a table as descriptions of items, a few rows ahead in the pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import date

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media import Description, Limits, describe
from mmstudio.media.describe import text_hash
from mmstudio.media.samples import MediaEntry, RowSample, Value
from mmstudio.media.tables import RowFailure
from mmstudio.media.text import split

AHEAD = 8
ROW, SPLIT = "row", "split"
"""Columns that items of a table get besides the table's own."""


@dataclass(frozen=True)
class RowIn:
    """One row: the descriptions of its media, or in ``failures`` why some or all of them could not be read."""

    number: int
    items: tuple[Description, ...] = ()
    failures: tuple[str, ...] = ()


def rows_ahead(
    rows: Iterable[RowSample | RowFailure], limits: Limits, pool: Executor, known: Container[str] = (),
) -> Iterator[RowIn]:
    """Describe the media of rows in order; a row of which something can be read goes on with that."""
    running: deque[Future[RowIn] | RowIn] = deque()
    rest = iter(rows)
    try:
        while True:
            while len(running) < AHEAD and (row := next(rest, None)) is not None:
                running.append(RowIn(row.number, failures=(row.reason,)) if isinstance(row, RowFailure)
                               else pool.submit(_described, row, limits, known))
            if not running:
                return
            first = running.popleft()
            yield first if isinstance(first, RowIn) else first.result()
    finally:
        for future in running:
            if isinstance(future, Future):
                future.cancel()


def _described(row: RowSample, limits: Limits, known: Container[str]) -> RowIn:
    items: list[Description] = []
    failures: list[str] = []
    columns = {name: _kept(value) for name, value in row.values.items()} | {ROW: float(row.number)}
    if row.split:
        columns[SPLIT] = row.split
    for entry in row.media:
        try:
            items += (replace(d, tags=row.labels, columns=columns) for d in _media(entry, row.number, limits, known))
        except MediaError as error:
            failures.append(error.what)
        except Exception as error:  # noqa: BLE001 - one cell that a library stumbles over must not end the job
            failures.append(f"“{entry.column}” could not be read ({type(error).__name__}: {error}).")
    return RowIn(row.number, tuple(items), tuple(failures))


def _media(entry: MediaEntry, number: int, limits: Limits, known: Container[str]) -> list[Description]:
    if entry.modality != "text":
        return describe(entry.path, limits, known).items
    passages = list(split(entry.text, limits.passage_characters))
    if not passages:
        raise UnreadableMedia(f"“{entry.column}” holds no words.")
    where = f"row {number}, {entry.column}"
    return [Description(entry.path, "text", text_hash(passage), f"{where}, passage {i}" if len(passages) > 1 else where,
                        passage) for i, passage in enumerate(passages, 1)]


def _kept(value: Value) -> str | float:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, int) else value
