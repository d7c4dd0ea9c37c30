"""A table as the studio sees it: named columns, rows one after another, and what kind of thing each column holds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.blobs import Blob, held, kind_of
from mmstudio.media.sniff import Kind, reason

ColumnKind = Literal["text", "number", "category", "date", "image", "audio", "bytes", "list", "other"]
Cells = dict[str, object]
SAMPLE_ROWS = 200
"""How many rows are looked at to tell what the columns are."""
MAX_COLUMNS = 10_000
CATEGORY_CHARACTERS = 40
_SKIPPED_IN_PREVIEW = 1_000
_TRIES = 4


@dataclass(frozen=True)
class Column:
    """A column and what its first cells hold. ``class_names`` are the names of a class label where the file tells them.

    A film counts as "image"; a path is "text" or "category", whatever lies there.
    """

    name: str
    kind: ColumnKind
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Broken:
    """A place in a table that gives no row, and why."""

    reason: str


@dataclass(frozen=True)
class Row:
    """The cells of row ``number`` (from 1, broken rows counted) by their columns' names.

    A cell is None, str, int, float, bool, date, datetime, a Blob, or a list of those and of dicts. Columns that the
    first rows did not have may be there.
    """

    number: int
    values: Cells


@dataclass(frozen=True)
class RowFailure:
    """A row that could not be read, and why."""

    number: int
    reason: str


Reading = Generator[Cells | Broken, None, None]


@dataclass(frozen=True)
class Table:
    """Rows that are read when asked for.

    ``count`` is how many there are, broken ones too, where that is cheap to know. ``read(start)`` gives the cells from
    row ``start`` (from 0) on. ``folder`` is where relative paths in cells start;
    None in archives, where a text is never a path. ``note`` says what was left out. Of a workbook, ``sheet`` is the one
    that is read, and ``sheets`` are all that could be. ``parts`` are the tables of several files that it is made of.
    """

    name: str
    path: Path
    columns: tuple[Column, ...]
    count: int | None
    read: Callable[[int], Reading] = field(repr=False, compare=False)
    folder: Path | None = None
    note: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    parts: tuple[Table, ...] = ()

    def beside(self, folder: Path) -> Table:
        """The same table, where relative paths in cells start in another folder; nothing changes in archives."""
        parts = tuple(part.beside(folder) for part in self.parts)
        return replace(self, folder=self.folder and folder, parts=parts)

    def rows(self, start: int = 0) -> Iterator[Row | RowFailure]:
        """Rows one after another, never more of them in memory than one batch. Where reading cannot go on, the last
        one is a failure that says so.
        """
        number = start
        with contextlib.closing(self.read(start)) as reading:
            try:
                for number, cells in enumerate(reading, start + 1):
                    yield RowFailure(number, cells.reason) if isinstance(cells, Broken) else Row(number, cells)
            except MediaError as error:
                yield RowFailure(number + 1, f"{error.what} The rest was left out.")
            except OSError as error:
                yield RowFailure(number + 1, f"{reason(error)} The rest was left out.")

    def preview(self, n: int = 20) -> list[Cells]:
        """The cells of the first ``n`` good rows; bytes are held in memory as far as a preview needs them."""
        with contextlib.closing(self.rows()) as rows:  # type: ignore[type-var]
            first = itertools.islice(rows, n + _SKIPPED_IN_PREVIEW)
            good = (row for row in first if isinstance(row, Row))
            return [{name: _kept(cell) for name, cell in row.values.items()} for row in itertools.islice(good, n)]


def _kept(cell: object) -> object:
    if isinstance(cell, list):
        return [_kept(inner) for inner in cell]
    return held(cell) if isinstance(cell, Blob) else cell


def sampled(
    read: Callable[[int], Reading], path: Path, rows: int = SAMPLE_ROWS,
    kind: Callable[[Iterable[object]], ColumnKind] | None = None,
) -> tuple[Column, ...]:
    """The columns that the first rows tell, in the order in which they appear. Bytes are looked at one by one.

    Raises UnreadableMedia where there is no good row and MediaError with the reason where the first one fails.
    """
    first: list[Cells] = []
    seen: dict[str, list[ColumnKind]] = {}
    why = "The table holds no rows."
    with contextlib.closing(read(0)) as reading:
        try:
            for cells in itertools.islice(reading, rows):
                if isinstance(cells, Broken):
                    why = cells.reason if not first else why
                else:
                    _look_at_bytes(cells, seen)
                    first.append({name: _light(cell) for name, cell in cells.items()})
        except MediaError:
            if not first:
                raise
    if not first:
        raise UnreadableMedia(why, path=path)
    names = dict.fromkeys(itertools.chain.from_iterable(first))
    kind = kind or column_kind
    return tuple(Column(n, seen[n][-1] if n in seen else kind(cells.get(n) for cells in first)) for n in names)


def _look_at_bytes(cells: Cells, seen: dict[str, list[ColumnKind]]) -> None:
    """Note what the bytes of each column are, trying again a few times while they are nothing known."""
    for name, cell in cells.items():
        if isinstance(cell, Blob):
            kinds = seen.setdefault(name, [])
            if not kinds or (kinds[-1] == "bytes" and len(kinds) < _TRIES):
                kinds.append(media_kind(cell))


def _light(cell: object) -> object:
    """As much of a cell as tells its kind."""
    if isinstance(cell, str):
        return cell[:1000]
    return None if isinstance(cell, Blob) else [] if isinstance(cell, list) else cell


def media_kind(blob: Blob) -> ColumnKind:
    """The kind of a column that holds such bytes."""
    kind = kind_of(blob)
    return "image" if kind in (Kind.IMAGE, Kind.VIDEO) else "audio" if kind is Kind.AUDIO else "bytes"


def column_kind(cells: Iterable[object]) -> ColumnKind:
    """What the cells of a column have in common; None and empty texts are not looked at."""
    found = [cell for cell in cells if cell is not None and cell != ""]
    if not found:
        return "other"
    if all(isinstance(cell, str) for cell in found):
        return "category" if is_category([str(cell) for cell in found]) else "text"
    for types, kind in _KINDS:
        if all(isinstance(cell, types) for cell in found):
            return kind
    return "text" if any(isinstance(cell, str) for cell in found) else "other"


_KINDS: tuple[tuple[type | tuple[type, ...], ColumnKind], ...] = (
    (bool, "category"), ((int, float), "number"), ((date, datetime), "date"), (Blob, "bytes"), (list, "list"),
)


def is_category(texts: list[str]) -> bool:
    """Few short words that come again: at least four cells, and each word twice on average."""
    return (len(texts) >= 4 and len(set(texts)) * 2 <= len(texts)
            and all(len(text) <= CATEGORY_CHARACTERS and "\n" not in text for text in texts))


def unique_names(names: Iterable[str]) -> list[str]:
    """Column names without spaces around them: an empty one becomes "column 3", a second "size" becomes "size 2"."""
    taken: set[str] = set()
    made = []
    for place, given in enumerate(names, 1):
        name = wanted = given.strip() or f"column {place}"
        tries = 1
        while name in taken:
            tries += 1
            name = f"{wanted} {tries}"
        taken.add(name)
        made.append(name)
    return made


def flat(cells: Cells) -> Cells:
    """Objects inside cells become columns of their own, named by a dotted path; lists stay."""
    if not any(isinstance(cell, dict) for cell in cells.values()):
        return cells
    made: Cells = {}
    stack = list(reversed(cells.items()))
    while stack:
        name, cell = stack.pop()
        if isinstance(cell, dict):
            stack.extend((f"{name}.{key}", inner) for key, inner in reversed(cell.items()))
        else:
            made[name] = cell
    return made


def storable(text: str) -> str:
    """Without what no database can hold: zero characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def file_of(folder: Path, cell: str) -> Path | None:
    """The file that a cell names, relative to ``folder``, None where none is there. Names of other computers (``//x``)
    are never looked up: nothing may leave this one.
    """
    if not cell or len(cell) > 1024 or cell[:2].replace("\\", "/") == "//":
        return None
    for name in dict.fromkeys((cell, cell.strip(), cell.replace("\\", "/"))):
        try:
            if (folder / name).is_file():
                return folder / name
        except (OSError, ValueError):
            continue
    return None
