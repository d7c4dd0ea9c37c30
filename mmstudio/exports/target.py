"""Writing a result so that it appears whole or not at all: a temporary sibling, fsync, then a rename."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmstudio.errors import StudioError
from mmstudio.media.scan import printable

TEMPORARY = ".part"
"""How the temporary sibling's name ends; it begins with a dot."""


class ExportError(StudioError):
    """A selection could not be exported; nothing half-written is left."""


def checked(target: Path, error: type[StudioError], *, folder: bool) -> Path:
    """The target's absolute path. Raises ``error`` where its parent is missing, where it is of the other kind (a file
    for a folder, a folder for a file), or where the folder holds something.
    """
    if "\0" in str(target):
        raise error("No file can have this name.", path=target)
    target = Path(os.path.abspath(target))
    try:
        if not target.name or not target.parent.is_dir():
            raise error(f"There is no folder {printable(target.parent)} to write into.", path=target)
        if target.is_dir():
            if not folder:
                raise error(f"“{printable(target.name)}” is a folder.", path=target, hint="Choose another name.")
            if any(target.iterdir()):
                raise error(f"The folder “{printable(target.name)}” is not empty.", path=target,
                            hint="Choose a new or an empty one.")
        elif folder and os.path.lexists(target):
            raise error(f"“{printable(target.name)}” is a file.", path=target, hint="Choose the name of a new folder.")
    except OSError as refused:
        raise error(why(refused), path=target) from refused
    return target


@contextmanager
def swapped(target: Path, error: type[StudioError], *, folder: bool) -> Iterator[Path]:
    """A path beside ``target`` to write to (an empty folder, or no file yet) that takes its place at the end.

    On any error, and when the work is closed, the path is removed and ``target`` is as before. What the system refuses
    becomes ``error``.
    """
    beside = target.with_name(f".{secrets.token_hex(6)}{TEMPORARY}")
    try:
        if folder:
            beside.mkdir()
        yield beside
        if os.name == "nt" and folder and target.exists():
            target.rmdir()  # elsewhere an empty folder is replaced in one step
        os.replace(beside, target)
    except OSError as refused:
        raise error(why(refused), path=target) from refused
    except MemoryError as refused:
        raise error("The result does not fit into memory.", path=target, hint="Choose fewer items.") from refused
    finally:
        _discard(beside)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A new file to write bytes into, on the disk when the block ends well."""
    with open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def written(target: Path, content: bytes) -> Path:
    """Write a whole file in the place of what was there; gives its absolute path. Raises ExportError."""
    target = checked(target, ExportError, folder=False)
    with swapped(target, ExportError, folder=False) as beside, opened(beside) as file:
        file.write(content)
    return target


def _discard(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def why(error: OSError) -> str:
    """A sentence for what the system said while something was written."""
    sentences = {
        errno.ENOSPC: "There is no room left on the disk.", errno.EDQUOT: "Your share of the disk is used up.",
        errno.EFBIG: "The file would grow larger than this disk allows.",
        errno.EACCES: "You have no permission to write there.", errno.EPERM: "You have no permission to write there.",
        errno.EROFS: "This disk can only be read.", errno.ENAMETOOLONG: "The name is too long.",
        errno.ENOENT: "The folder to write into has gone.",
    }
    return sentences.get(error.errno or 0, f"It could not be written ({error.strerror or 'no reason was given'}).")
