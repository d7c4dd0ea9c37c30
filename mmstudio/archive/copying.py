"""A project's folder into another folder."""

from __future__ import annotations

import os
from pathlib import Path

from mmstudio.archive.entries import ArchiveError, Steps
from mmstudio.archive.packing import blocks, listed
from mmstudio.exports.target import checked, opened, swapped
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work


def copy(folder: Path, target: Path) -> Work[Path]:
    """Copy a project's folder to one that is new or empty, and give its path. Like ``pack`` it takes the files as they
    are listed at the start, without locks and temporary ones, and follows links. Raises ArchiveError; then, and where
    the work is closed, ``target`` is as it was.
    """
    folder, target = Path(os.path.abspath(folder)), checked(target, ArchiveError, folder=True)
    if not folder.is_dir():
        raise ArchiveError(f"There is no project in {printable(folder)}.", path=folder)
    if target.resolve().is_relative_to(folder.resolve()):
        raise ArchiveError("A project cannot be saved into its own folder.", path=target, hint="Choose another place.")
    yield Progress(0, 0, "looking through the files")
    entries = listed(folder)
    steps = Steps(sum(entry.size for entry in entries))
    with swapped(target, ArchiveError, folder=True) as beside:
        for entry in entries:
            place = beside / entry.name
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.name.endswith("/"):
                place.mkdir()
                continue
            with opened(place) as out:
                for block in blocks(entry):
                    out.write(block)
                    yield steps.step(len(block), entry.name)
    return target
