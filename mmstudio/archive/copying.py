"""A project's folder into another folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mmstudio.archive.entries import ArchiveError, Steps
from mmstudio.archive.packing import GROWING, Entry, blocks, listed
from mmstudio.exports.target import checked, opened, swapped
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work

ROUNDS = 5
"""So often is what changed meanwhile copied again, before it is told that too much does."""


def copy(folder: Path, target: Path) -> Work[Path]:
    """Copy a project's folder to one that is new or empty, and give its path. It takes the files without locks and
    temporary ones, and follows links. What is edited meanwhile is in the copy, too: what has changed when all is copied
    is copied again, until nothing has. Raises ArchiveError; then, and where the work is closed, ``target`` is as it
    was.
    """
    folder, target = Path(os.path.abspath(folder)), checked(target, ArchiveError, folder=True)
    if not folder.is_dir():
        raise ArchiveError(f"There is no project in {printable(folder)}.", path=folder)
    if target.resolve().is_relative_to(folder.resolve()):
        raise ArchiveError("A project cannot be saved into its own folder.", path=target, hint="Choose another place.")
    yield Progress(0, 0, "looking through the files")
    with swapped(target, ArchiveError, folder=True) as beside:
        there: dict[str, Entry] = {}
        for _ in range(ROUNDS):
            now = {entry.name: entry for entry in listed(folder)}
            for name in there.keys() - now.keys():
                _leave_out(beside / name)
            due = [entry for name, entry in now.items() if not _is_same(there.get(name), entry)]
            if not due and there.keys() == now.keys():
                return target
            there = {name: entry for name, entry in now.items() if name in there}
            steps = Steps(sum(entry.size for entry in due))
            for entry in due:
                if (yield from _copied(entry, beside / entry.name, steps)):
                    there[entry.name] = entry
        raise ArchiveError("The project changed again and again while it was being saved.", path=folder,
                           hint="Wait until nothing writes into it, and try again.")


def _copied(entry: Entry, place: Path, steps: Steps) -> Work[bool]:
    """Whether it is there as it was listed; what changed meanwhile is not."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if entry.name.endswith("/"):
        place.mkdir(exist_ok=True)
        return True
    _leave_out(place)
    try:
        with opened(place) as out:
            for block in blocks(entry):
                out.write(block)
                yield steps.step(len(block), entry.name)
    except ArchiveError:
        if _stays(entry):
            raise
        return False
    return True


def _stays(entry: Entry) -> bool:
    """Whether the file is still what was listed: then it is not that which went wrong."""
    try:
        now = entry.path.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (entry.size, entry.changed_ns)


def _is_same(before: Entry | None, now: Entry) -> bool:
    if before is None:
        return False
    return now.name.endswith("/") or Path(now.name).suffix in GROWING or (
        (before.size, before.changed_ns) == (now.size, now.changed_ns))


def _leave_out(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
