"""Where the open project's media lie: what is missing, found again or copied, and which folders are watched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.selection import Selection
from mmstudio.desktop.text import count, tr
from mmstudio.errors import StudioError
from mmstudio.library import Fresh
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.describe import text_hash
from mmstudio.media.watch import Watch
from mmstudio.progress import Progress, Work

if TYPE_CHECKING:
    from mmstudio.desktop.session import Session
    from mmstudio.project import Project

WATCH_EVERY_MS = 4000
_WATCHED = "watched folders"


class Places(QObject):
    """Asks and tells where media lie; long work runs as jobs."""

    missingChanged = Signal()
    watchedChanged = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.missing = Selection()
        self.watched: dict[Path, Choice] = {}
        """Folders, and which of their files are meant."""
        self._watches: list[Watch] = []
        self._polling, self._generation = False, 0
        self._complained: set[str | None] = set()
        self._again = QTimer(self, interval=WATCH_EVERY_MS)
        self._again.timeout.connect(self.poll)
        session.projectOpened.connect(self._opened)
        session.ownChanged.connect(lambda names: self._read_watched() if _WATCHED in names else None)

    # ---- missing files ------------------------------------------------------------------------------------------

    def look(self, then: Callable[[int], None] | None = None) -> None:
        """See which files are missing, behind the window; ``then`` is told how many."""
        items, project = self._session.items.copy(), self._session.project

        def missing() -> Selection:
            from mmstudio.whereabouts import missing

            return Selection(missing(items))

        def seen(found: Selection) -> None:
            if project is not self._session.project:
                return
            if found != self.missing:
                self.missing = found
                self.missingChanged.emit()
            if then:
                then(len(found))

        self._session.pool.ask(missing, seen, self._session.failed.emit)

    def find(self, folder: Path) -> None:
        """Look for missing files under a folder, by their content."""
        def told(report: Any) -> str:
            still = tr(", {} still missing").format(count(report.missing)) if report.missing else ""
            return tr("{} found again").format(count(report.found)) + still

        self._job(tr("Finding files"), lambda p: p.find_missing(folder, self._session.pool.executor), told)

    def copy(self, keys: Iterable[int]) -> None:
        """Copy the files of items into the project."""
        ids = Selection(keys).items
        self._job(tr("Copying media"), lambda p: p.copy_media(ids.tolist()),
                  lambda report: tr("{} files copied").format(count(report.copied)))

    def _job(self, title: str, work: Callable[[Project], Work[Any]], told: Callable[[Any], str]) -> None:
        session = self._session
        project = session.project
        if project is None or session.jobs.has(title):
            return

        def step(progress: Progress) -> None:
            if isinstance(progress.fresh, Fresh) and project is session.project:
                session.take_in(progress.fresh)

        def done(report: Any) -> None:
            job.finish(told(report), list(getattr(report, "failures", ())))
            session.noted.emit(told(report))
            self.look()

        job = session.jobs.start(title, lambda: work(project), step, done, session.failed.emit)

    # ---- watched folders ----------------------------------------------------------------------------------------

    def _opened(self) -> None:
        self.missing = Selection()
        self.missingChanged.emit()
        self.look(self._offer)
        self._read_watched()

    def _read_watched(self) -> None:
        project = self._session.project
        self.watched = dict(map(_watched, project.own.get(_WATCHED, []))) if project else {}
        self._watch()

    def _offer(self, number: int) -> None:
        if number:
            self._session.missed.emit(number)

    def watch(self, folders: Mapping[Path, Choice]) -> None:
        """Watch these folders, and no others, as long as the project is open and whenever it is opened again. This can
        be undone.
        """
        if folders != self.watched:
            self._session.keep(_WATCHED, [{"folder": str(folder), "choice": choice.told()}
                                          for folder, choice in folders.items()], tr("Watched folders"))

    def _watch(self) -> None:
        """What the project has from these folders need not be read again."""
        self._generation += 1
        items, folders, generation = self._session.items.copy(), self.watched, self._generation
        project = self._session.project
        self._watches, self._polling, self._complained = [], False, set()
        self.watchedChanged.emit()
        self._again.stop()
        if not folders or project is None:
            return
        memory = project.folder / "watched"

        def known() -> list[Watch]:
            from mmstudio.whereabouts import places

            return [Watch(folder, places(items, folder), memory / _memory(folder, choice), choice)
                    for folder, choice in folders.items()]

        def ready(watches: list[Watch]) -> None:
            if generation == self._generation:
                self._watches = watches
                self._again.start()
                self.poll()

        self._session.pool.ask(known, ready, self._session.failed.emit)

    def poll(self) -> None:
        """Look now; nothing happens while files are being added, or while the last look goes on."""
        if self._polling or not self._watches or self._session.jobs.has(tr("Adding")):
            return
        self._polling = True
        watches, generation = list(self._watches), self._generation

        def look() -> tuple[dict[Choice, list[Path]], list[StudioError]]:
            found, errors = dict[Choice, list[Path]](), list[StudioError]()
            for watch in watches:
                try:
                    found.setdefault(watch.choice, []).extend(watch.poll())
                except StudioError as error:
                    errors.append(error)
            return found, errors

        def seen(answer: tuple[dict[Choice, list[Path]], list[StudioError]]) -> None:
            if generation != self._generation:
                return
            self._polling = False
            found, errors = answer
            for error in errors:
                if error.path not in self._complained:
                    self._complained.add(error.path)
                    self._session.failed.emit(error)
            for choice, files in found.items():
                if files:
                    self._session.add(files, choice)

        self._session.pool.ask(look, seen, self._session.failed.emit)


def _watched(told: str | dict[str, Any]) -> tuple[Path, Choice]:
    """A folder as it was kept, also by a studio that knew of no choice."""
    return (Path(told), EVERYTHING) if isinstance(told, str) else (Path(told["folder"]), Choice.of(told["choice"]))


def _memory(folder: Path, choice: Choice) -> str:
    """The name of the file about what was told; with another choice there is more to tell, or less."""
    about = str(folder) if choice == EVERYTHING else f"{folder}\n{json.dumps(choice.told())}"
    return f"{text_hash(about)}.json"
