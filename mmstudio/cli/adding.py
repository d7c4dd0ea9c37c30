"""What “mmstudio add” reads: files and folders as they are, tables as the mapping page of the window guesses them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmstudio.adding import AddReport
from mmstudio.cli.shared import shown
from mmstudio.errors import MediaError, UnsupportedMedia
from mmstudio.media import Kind, Limits
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.project import Project

if TYPE_CHECKING:
    from mmstudio.media.roles import Mapping as Mapped
    from mmstudio.media.roles import Role
    from mmstudio.media.tables import Table

ROLE_WORDS: dict[str, Role] = {
    "image": "image", "text": "text", "sound": "audio", "label": "label", "split": "split", "keep": "column",
    "leave": "ignore",
}


KIND_WORDS: dict[str, Kind] = {
    "image": Kind.IMAGE, "audio": Kind.AUDIO, "text": Kind.TEXT, "video": Kind.VIDEO,
}


@dataclass(frozen=True)
class _ToRead:
    table: Table
    roles: dict[str, Mapped]


def role(text: str) -> tuple[str, Role]:
    """A column and its role, of “caption=text”."""
    column, _, word = text.rpartition("=")
    if not column or word not in ROLE_WORDS:
        raise argparse.ArgumentTypeError(f"COLUMN=ROLE, where the role is one of: {', '.join(ROLE_WORDS)}")
    return column, ROLE_WORDS[word]


def kinds(text: str) -> frozenset[Kind]:
    """Kinds of files, of “image,audio”."""
    words = [word.strip() for word in text.split(",")]
    if not all(word in KIND_WORDS for word in words):
        raise argparse.ArgumentTypeError(f"one or more of: {','.join(KIND_WORDS)}")
    return frozenset(KIND_WORDS[word] for word in words)


def added(asked: argparse.Namespace, project: Project, pool: Executor) -> AddReport:
    """Add what was named; where only some files are meant, tables inside folders are left aside.

    Raises UnsupportedMedia, before anything is added, where a table that was named has no column of media, or no table
    has a column that was given a role.
    """
    from mmstudio.media.many_tables import by_schema, sorted_out, tables_below

    found, failures = sorted_out(asked.paths), list[tuple[Path, str]]()
    choice = Choice(asked.only, asked.match, not asked.no_subfolders)
    folders = found.folders if choice == EVERYTHING else []
    below = by_schema(tables_below(folders, named=found.tables), project.limits)
    named = list(_to_read(by_schema(found.tables, project.limits), asked, project.limits, failures))
    inside = list(_to_read(below, asked, project.limits, failures))
    _check_columns(asked.role, [name for one in (*named, *inside) for name in one.roles])
    for one in named:
        _check_media(one)
    reports = [shown(project.add(found.plain, pool, choice=choice))] if found.plain else []
    for one in (*named, *inside):
        try:
            _check_media(one)
        except UnsupportedMedia as error:
            failures.append((one.table.path, str(error)))
            continue
        print(f"{one.table.name}: {_told(one.roles)}", file=sys.stderr)
        reports.append(shown(project.add_table(one.table, one.roles, pool)))
    return AddReport(tuple(i for r in reports for i in r.added), sum(r.known for r in reports),
                     sum(r.updated for r in reports), (*failures, *(f for r in reports for f in r.failures)))


def _to_read(groups: Iterable[list[Path]], asked: argparse.Namespace, limits: Limits,
             failures: list[tuple[Path, str]]) -> Iterator[_ToRead]:
    """Tables with their columns' roles, guessed and as they were wanted; those that cannot be opened are failures."""
    from mmstudio.media.many_tables import PREVIEWED, open_tables
    from mmstudio.media.roles import guess_roles, in_role

    for group in groups:
        try:
            table = open_tables(group, limits, asked.sheet if group[0].suffix.lower() == ".xlsx" else "")
        except MediaError as error:
            failures += ((path, str(error)) for path in group)
            continue
        table = table.beside(asked.media_folder.absolute()) if asked.media_folder else table
        rows = table.preview(PREVIEWED)
        roles = guess_roles(table, rows)
        roles |= {name: in_role(roles[name], wanted, [row.get(name) for row in rows])
                  for name, wanted in asked.role if name in roles}
        yield _ToRead(table, roles)


def _check_media(one: _ToRead) -> None:
    from mmstudio.media.roles import MEDIA_ROLES

    if not any(mapping.role in MEDIA_ROLES for mapping in one.roles.values()):
        raise UnsupportedMedia("No column of the table is a picture, sound or text.", path=one.table.path,
                               hint=f"Say which one is, as with --role {next(iter(one.roles))}=text. "
                                    f"Its columns: {', '.join(one.roles)}.")


def _check_columns(wanted: Iterable[tuple[str, Role]], columns: Sequence[str]) -> None:
    missing = [name for name, _ in wanted if name not in columns]
    if missing:
        told = f"The columns are: {', '.join(dict.fromkeys(columns))}." if columns else "No table was named."
        raise UnsupportedMedia(f"No table has a column “{missing[0]}”.", hint=told)


def _told(roles: Mapping[str, Mapped]) -> str:
    words = {role: word for word, role in ROLE_WORDS.items()}
    return ", ".join(f"{name}={words[mapping.role]}" for name, mapping in roles.items())
