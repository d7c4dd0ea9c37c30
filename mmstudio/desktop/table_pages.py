"""Files and folders that a person gave: tables among them get their mapping pages, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QWidget

from mmstudio.desktop.session import Session
from mmstudio.desktop.table_dialog import TableDialog
from mmstudio.desktop.text import count, tr
from mmstudio.media import Limits
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.many_tables import Sorted, by_schema, of_media, sorted_out, tables_below


@dataclass(frozen=True)
class Offer:
    """Tables to map, each of one or more files, and how many files of folders hold nothing to make samples of."""

    tables: list[list[Path]]
    aside: int


def offer(found: Sorted, limits: Limits, choice: Choice = EVERYTHING) -> Offer:
    """What was named outright is offered in any case; of what folders hold, tables of media that are meant, and the
    rest of these is counted.
    """
    below = by_schema(tables_below(found.folders, choice, found.tables), limits)
    offered = [group for group in below if of_media(group, limits)]
    return Offer(by_schema(found.tables, limits) + offered,
                 sum(map(len, below)) - sum(map(len, offered)))


class TablePages:
    """The way of files into the project."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        self._session, self._parent = session, parent
        self._waiting: list[list[Path]] = []
        self._page: TableDialog | None = None

    def add(self, files: Sequence[Path], choice: Choice = EVERYTHING) -> None:
        """Add what is no table at once; tables, also those that folders hold, are added as they are mapped. Of what
        folders hold, ``choice`` tells which files are meant.
        """
        self._session.pool.ask(lambda: sorted_out(files), partial(self._sorted, choice), self._session.failed.emit)

    def _sorted(self, choice: Choice, found: Sorted) -> None:
        if found.plain:
            self._session.add(found.plain, choice)
        limits = self._session.project.limits if self._session.project else Limits()
        if found.tables or found.folders:
            self._session.pool.ask(lambda: offer(found, limits, choice), self._offered, self._session.failed.emit)

    def _offered(self, found: Offer) -> None:
        if found.aside:
            self._session.noted.emit(tr(
                "{} tables in the folder were left aside: no column of them is a picture, a sound or a text. "
                "Drop one by itself to say what its columns are.").format(count(found.aside)))
        self._waiting += found.tables
        if self._page is None:
            self._next()

    def _next(self) -> None:
        self._page = None
        if self._waiting:
            self._page = TableDialog(self._session, self._waiting.pop(0), self._parent)
            self._page.finished.connect(lambda _: self._next())
            self._page.open()
