"""A folder that is looked at again and again: which of its files are new and complete."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mmstudio import paths
from mmstudio.errors import UnreadableMedia
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.scan import scan
from mmstudio.media.sidecars import SIDECAR_SUFFIXES
from mmstudio.media.sniff import reason

QUIET_SECONDS = 2.0
"""A file that was changed less long ago may still be being written."""


State = tuple[int, int]
"""Size and time of change in ns of a file that was told; ``KNOWN`` of one that need never be."""
KNOWN: State = (-1, -1)


class Watch:
    """``known`` are the files that need not be told: what the project has, and what failed before."""

    def __init__(self, folder: Path, known: Iterable[Path] = (), memory: Path | None = None,
                 choice: Choice = EVERYTHING) -> None:
        """``memory`` is a file that keeps what was told, for the next time that the folder is watched. When a look
        begins, whoever asked has read what the one before it told; what was told last before an end is told again,
        unless it was new and is known by now. ``choice`` tells which files are meant, whose kind whoever reads them
        looks at.
        """
        self.folder, self.choice, self._memory = folder, choice, memory
        before, last = _remembered(memory)
        names = set(map(os.fspath, known))
        read = {name: state for name, state in last.items() if name in names and name not in before}
        self._told: dict[str, State] = dict.fromkeys(names, KNOWN) | before | read
        self._last: dict[str, State] = {}
        self._media: dict[str, set[str]] = {}
        self._note_media(self._told)
        self._seen: dict[str, State] = {}

    def poll(self) -> list[Path]:
        """Files that came or changed since the last time and are quiet now, in a stable order; each is told once, and
        again where what stands beside it came later or changed. Tables are passed over: a person maps their columns.

        Raises UnreadableMedia where the folder is not there; it may come back.
        """
        from mmstudio.media.tables import TABLE_SUFFIXES  # here, for the window paints before it is loaded

        was_read, self._last = self._last, {}
        self._told |= was_read
        try:
            os.listdir(self.folder)
        except OSError as error:
            raise UnreadableMedia(f"The watched folder cannot be read ({reason(error)})", path=self.folder) from error
        now, seen, fresh = time.time(), dict[str, State](), dict[Path, None]()
        for found in scan([self.folder]):
            name = os.fspath(found.path)
            if found.path.suffix.lower() in TABLE_SUFFIXES:
                continue
            try:
                status = os.stat(name)
            except OSError:
                continue
            state = seen[name] = status.st_size, status.st_mtime_ns
            told = self._told.get(name)
            if told in (state, KNOWN):
                continue
            if self._seen.get(name) == state or now - status.st_mtime > QUIET_SECONDS:
                self._last[name] = state
                fresh |= dict.fromkeys(filter(self._is_meant, self._captioned(found.path) or [found.path]))
        self._seen = seen
        if was_read or self._last:
            self._keep()
        self._note_media(map(os.fspath, fresh))
        return list(fresh)

    def _keep(self) -> None:
        if self._memory:
            kept = json.dumps({"told": self._told, "last": self._last})
            with suppress(OSError):  # then some files are looked at again the next time, and are known
                paths.write_atomically(self._memory, kept.encode("utf-8", "surrogateescape"))

    def _is_meant(self, path: Path) -> bool:
        return self.choice.reaches(path, {Path(os.path.abspath(self.folder))}) and self.choice.matches(path)

    def _captioned(self, path: Path) -> list[Path]:
        """The media that a file stands beside as their caption: told before, they are read with it again."""
        stem, ending = os.path.splitext(path)
        return [Path(name) for name in sorted(self._media.get(stem, ())) if ending in SIDECAR_SUFFIXES
                and os.path.exists(name)]

    def _note_media(self, names: Iterable[str]) -> None:
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending not in SIDECAR_SUFFIXES:
                self._media.setdefault(stem, set()).add(name)


def _remembered(memory: Path | None) -> tuple[dict[str, State], dict[str, State]]:
    """What was told and read, and what was told last."""
    try:
        kept = json.loads(memory.read_text(encoding="utf-8", errors="surrogateescape")) if memory else {}
        told, last = ({name: (int(size), int(changed)) for name, (size, changed) in kept[part].items()}
                      for part in ("told", "last"))
        return told, last
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}, {}
