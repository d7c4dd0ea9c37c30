"""A project's folder: its format, and who has it open."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmstudio import paths
from mmstudio.errors import ProjectError
from mmstudio.library.durable import sync_folder
from mmstudio.library.migration import clear_up, is_old, migrate

if TYPE_CHECKING:
    from filelock import FileLock

FORMAT_VERSION = 2
_TOLD, _LOCK, _HOLDER = "project.json", "studio.lock", "holder.lock"


class ProjectFolder:
    """A folder in this studio's format, held until it is closed unless ``read_only``, which changes nothing in it.

    A folder of an older format is brought into this one; ``note`` tells the person so. Raises ProjectError for a folder
    that is no project (with ``create`` off), of a newer studio, or held by another one.
    """

    def __init__(self, folder: Path, *, create: bool = True, read_only: bool = False) -> None:
        self.folder, self.note = folder, ""
        self._lock: FileLock | None = None
        if not is_project(folder) and (read_only or not create):
            raise ProjectError(f"There is no project in {folder}.", path=folder, hint="Make one with “mmstudio new”.")
        if (folder / _TOLD).is_file():
            never_below(folder)
        if read_only:
            if not (folder / _TOLD).is_file():
                raise ProjectError("This project was made by an older studio.", path=folder,
                                   hint="Open it once in the studio; it is brought up to date then.")
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unopened(folder, error) from error
        self._lock = _held(folder)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        if (self.folder / _TOLD).is_file():
            clear_up(self.folder)  # a kill may have come between the last step of migrating and this
        elif is_old(self.folder):
            following = migrate(self.folder)
            reserve(self.folder, following)
            clear_up(self.folder)
            self.note = ("This project was made by an older studio. It was brought up to date; as it was before, it is "
                         "in its folder “backup-format-1”.")
        else:
            reserve(self.folder, 1)

    def close(self) -> None:
        """Let others open it."""
        if self._lock:
            with suppress(OSError):
                (self.folder / _HOLDER).unlink()
            self._lock.release()
            self._lock = None


def is_project(folder: Path) -> bool:
    """Whether there is a project in a folder, of this format or an older one."""
    return (folder / _TOLD).is_file() or is_old(folder)


def never_below(folder: Path) -> int:
    """The id from which on new ones may begin, less than which may have been used. Raises ProjectError."""
    try:
        told = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
        version, following = int(told["format"]), int(told["next_id"])
    except FileNotFoundError:
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unopened(folder, error) from error
    if version > FORMAT_VERSION:
        raise ProjectError("This project was made by a newer studio.", path=folder, hint="Update the studio.")
    return following


def came_from(folder: Path) -> Path | None:
    """Where the folder lay when it was written last, if that was elsewhere."""
    try:
        place = json.loads((folder / _TOLD).read_text(encoding="utf-8")).get("place", "")
    except (OSError, ValueError, AttributeError):
        return None
    return Path(place) if place and Path(place) != folder.absolute() else None


def reserve(folder: Path, following: int) -> None:
    """Keep on disk that ids below are taken. Raises ProjectError."""
    try:
        told = {"format": FORMAT_VERSION, "next_id": following, "place": str(folder.absolute())}
        paths.write_atomically(folder / _TOLD, json.dumps(told).encode())
        sync_folder(folder)
    except OSError as error:
        raise ProjectError(f"The project could not be written ({error.strerror}).", path=folder,
                           hint="Free some space; what was saved before is safe.") from error


def _held(folder: Path) -> FileLock:
    """The lock of the folder. The system takes a dead process's away, so it is never left behind."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ProjectError(f"“{folder.name}” is open in another studio{_holder(folder)}.", path=folder,
                           hint="Close it there, or open another project.") from error
    except (OSError, NotImplementedError) as error:
        raise _unopened(folder, error) from error
    told: dict[str, Any] = {"pid": os.getpid(), "host": platform.node(), "since": time.time()}
    with suppress(OSError):  # without room for it the next one is refused without a name
        (folder / _HOLDER).write_text(json.dumps(told), encoding="utf-8")
    return lock


def _holder(folder: Path) -> str:
    try:
        told = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        since = time.strftime("%H:%M", time.localtime(float(told["since"])))
        return f" (process {int(told['pid'])} on {told['host']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _unopened(folder: Path, error: Exception) -> ProjectError:
    return ProjectError(f"The project cannot be opened ({error}).", path=folder,
                        hint="Is the disk full, or the folder write-protected or damaged?")
