"""Tables of several files: shards and files of one schema are one table; what a folder holds of tables."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from mmstudio.errors import MediaError
from mmstudio.media.cells import Broken, Column, Reading, Table
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.limits import Limits
from mmstudio.media.roles import MEDIA_ROLES, guess_roles
from mmstudio.media.scan import scan
from mmstudio.media.tables import TABLE_SUFFIXES, may_be_table, open_table

PREVIEWED = 20
_IN_COMMON = 0.5
"""So large a share of all their columns do tables of one schema have in common: the first rows, which tell the columns
of shards and of JSON lines, need not hold all of them."""


@dataclass(frozen=True)
class Sorted:
    """What a person named: ``tables`` outright, and the rest, of which ``folders`` may hold tables."""

    tables: list[Path]
    plain: list[Path]
    folders: list[Path]


def sorted_out(named: Iterable[Path]) -> Sorted:
    """Tables apart from other files and folders, by their names."""
    paths = list(named)
    tables = [path for path in paths if may_be_table(path)]
    plain = [path for path in paths if path not in set(tables)]
    return Sorted(tables, plain, [path for path in plain if path.is_dir()])


def tables_below(folders: Iterable[Path], choice: Choice = EVERYTHING, named: Iterable[Path] = ()) -> list[Path]:
    """The files in folders and in those inside them that are tables by their names, in the order of ``scan``. One that
    is reached by several links, or was ``named`` besides, is listed once or not at all. Where kinds of files were
    chosen, a table is none of them.
    """
    tops = {Path(os.path.abspath(folder)) for folder in folders}
    return tables_among((file.path for file in scan(sorted(tops)) if file.error is None), tops, choice, named)


def tables_among(files: Iterable[Path], tops: Set[Path], choice: Choice, named: Iterable[Path] = ()) -> list[Path]:
    """Those of the files of a scan of ``tops`` that ``tables_below`` lists."""
    if choice.kinds:
        return []
    seen, found = set(filter(None, map(_identity, named))), list[Path]()
    for path in files:
        if (path.suffix.lower() in TABLE_SUFFIXES and choice.reaches(path, tops) and choice.matches(path)
                and (identity := _identity(path)) and identity not in seen):
            seen.add(identity)
            found.append(path)
    return found


def _identity(path: Path) -> tuple[int, int] | None:
    """What a file is, whatever links lead to it; None for what is not there or is no regular file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def by_schema(paths: Iterable[Path], limits: Limits) -> list[list[Path]]:
    """Files of one schema and one ending together, in the order of the first of each; what cannot be opened is alone.
    """
    groups: list[tuple[Table | None, list[Path]]] = []
    for path in paths:
        try:
            table = open_table(path, limits)
        except MediaError:
            groups.append((None, [path]))
            continue
        alike = next((group for first, group in groups if first and _alike(first, table)), None)
        if alike is None:
            groups.append((table, [path]))
        else:
            alike.append(path)
    return [group for _, group in groups]


def _alike(one: Table, other: Table) -> bool:
    names, others = ({column.name for column in table.columns} for table in (one, other))
    return (one.path.suffix.lower() == other.path.suffix.lower()
            and len(names & others) >= _IN_COMMON * len(names | others))


def open_tables(paths: Sequence[Path], limits: Limits, sheet: str = "") -> Table:
    """Files of one schema as one table. Raises MediaError where one of them cannot be opened."""
    tables = [open_table(path, limits, sheet) for path in paths]
    return tables[0] if len(tables) == 1 else joined(tables)


def joined(tables: Sequence[Table]) -> Table:
    """The rows of tables one after another, with the columns of all of them. Where one cannot be read on, the others
    still are.
    """
    first = tables[0]
    columns: dict[str, Column] = {}
    for column in (column for table in tables for column in table.columns):
        columns.setdefault(column.name, column)
    counts = [table.count for table in tables]

    def read(start: int) -> Reading:
        for table in tables:
            if table.count is not None and start >= table.count:
                start -= table.count
                continue
            with contextlib.closing(table.read(0)) as reading:
                try:
                    for cells in reading:
                        start -= 1
                        if start < 0:
                            yield cells
                except MediaError as error:
                    yield Broken(f"{error.what} The rest of “{table.name}” was left out.")

    notes = " ".join(dict.fromkeys(table.note for table in tables if table.note))
    return Table(f"{first.name} and {len(tables) - 1} more", first.path, tuple(columns.values()),
                 None if None in counts else sum(count or 0 for count in counts), read, first.folder, notes,
                 first.sheet, first.sheets, tuple(tables))


def of_media(paths: Sequence[Path], limits: Limits) -> bool:
    """Whether these files are a table of which a column seems to be pictures, sounds or texts."""
    try:
        table = open_tables(paths, limits)
        roles = guess_roles(table, table.preview(PREVIEWED))
    except MediaError:
        return False
    return any(mapping.role in MEDIA_ROLES for mapping in roles.values())
