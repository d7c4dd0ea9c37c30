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


class Watch:
    """``known`` are the files that need not be told: what the project has, and what failed before."""

    def __init__(self, folder: Path, known: Iterable[Path] = (), memory: Path | None = None,
                 choice: Choice = EVERYTHING) -> None:
        """``memory`` is a file that keeps what was told, for the next time that the folder is watched: when the next
        look begins, for then whoever asked has read what the last one told. What was told last before an end is told
        again. ``choice`` tells which files are meant, whose kind whoever reads them looks at.
        """
        self.folder, self.choice, self._memory = folder, choice, memory
        self._told: dict[str, tuple[int, int]] = {os.fspath(path): (-1, -1) for path in known} | _remembered(memory)
        self._media: dict[str, set[str]] = {}
        self._note_media(self._told)
        self._seen: dict[str, tuple[int, int]] = {}
        self._unkept = False

    def poll(self) -> list[Path]:
        """Files that came or changed since the last time and are quiet now, in a stable order; each is told once, and
        again where what stands beside it came later or changed. Tables are passed over: a person maps their columns.

        Raises UnreadableMedia where the folder is not there; it may come back.
        """
        from mmstudio.media.tables import TABLE_SUFFIXES  # here, for the window paints before it is loaded

        self._keep()
        try:
            os.listdir(self.folder)
        except OSError as error:
            raise UnreadableMedia(f"The watched folder cannot be read ({reason(error)})", path=self.folder) from error
        now, seen, fresh = time.time(), dict[str, tuple[int, int]](), dict[Path, None]()
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
            if told == state or told == (-1, -1):
                continue
            if self._seen.get(name) == state or now - status.st_mtime > QUIET_SECONDS:
                self._told[name] = state
                fresh |= dict.fromkeys(filter(self._is_meant, self._captioned(found.path) or [found.path]))
        self._seen = seen
        self._unkept |= bool(fresh)
        self._note_media(map(os.fspath, fresh))
        return list(fresh)

    def _keep(self) -> None:
        if self._unkept and self._memory:
            with suppress(OSError):  # then some files are looked at again the next time, and are known
                paths.write_atomically(self._memory, json.dumps(self._told).encode("utf-8", "surrogateescape"))
        self._unkept = False

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


def _remembered(memory: Path | None) -> dict[str, tuple[int, int]]:
    try:
        told = json.loads(memory.read_text(encoding="utf-8", errors="surrogateescape")) if memory else {}
        return {name: (int(size), int(changed)) for name, (size, changed) in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
