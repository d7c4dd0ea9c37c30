"""Bring a model from the hub into the local Hugging Face cache when the person asks for it, and take it out again.

The cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache) holds of each repository its contents as
``blobs/<etag>``, links to them as ``snapshots/<commit>/<file>``, and the commit as ``refs/main``. Here a file grows as
``blobs/<etag>.incomplete``, which huggingface_hub itself would begin anew at each call, is checked against its etag,
and takes its place; ``refs/main`` comes last, so that a model is in the cache whole or, to the studio, not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from mmstudio import paths
from mmstudio.encoders import hub, registry
from mmstudio.encoders.hub import HubFile, Listing
from mmstudio.errors import DownloadError, StudioError
from mmstudio.progress import Progress, Work

Steps = Generator[int, None, None]
"""Work on one file, which yields how many of its bytes are there."""

WAITS_SECONDS: tuple[float, ...] = (0.5, 1, 2, 4, 8)
"""Before each new try of a file after one that brought nothing; after these it is given up."""
SPARE = 1.05
"""Room on the disk per byte that is to come."""


def download(name: str) -> Work[Path]:
    """Bring the hub model ``owner/name`` into the cache, and give its snapshot folder.

    ``Progress`` counts bytes of all the files needed, those that are there already as done, and names the file it is
    at; the total is 0 until the hub has answered. Closed work keeps what has arrived, and the next call goes on there.

    Raises ModelRefused, and ModelNotFound where there is no config.json, for what ``load_encoder`` would refuse, before
    any weights are fetched. Raises DownloadError where the person set HF_HUB_OFFLINE, for a model that is unknown or
    wants consent, without a network, without room on the disk or leave to write there, and for wrong content.
    """
    hub.require_leave()
    repository = _repository(name)
    with _disk_errors(repository), _alone(repository, name):
        listing = yield from hub.listing(name)
        snapshot = repository / "snapshots" / listing.commit
        yield from _refuse_unusable(name, repository, snapshot, listing)
        yield from _bring_all(name, repository, snapshot, listing.files)
        paths.write_atomically(repository / "refs" / "main", listing.commit.encode("ascii"))
    return snapshot


def remove(name: str) -> int:
    """Delete a hub model from the cache, all its commits and what is left of cancelled downloads.

    Gives the bytes freed, 0 where it was not there. Raises DownloadError where it is being downloaded or cannot be
    deleted.
    """
    repository = _repository(name)
    if not repository.is_dir():
        return 0
    with _disk_errors(repository), _alone(repository, name):
        freed = sum(path.lstat().st_size for path in repository.rglob("*") if path.is_file() and not path.is_symlink())
        (repository / "refs" / "main").unlink(missing_ok=True)  # first: a half-deleted model must not be found
        shutil.rmtree(repository)
    return freed


def _repository(name: str) -> Path:
    from huggingface_hub import constants

    hub.require_name(name)
    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"


def _refuse_unusable(name: str, repository: Path, snapshot: Path, listing: Listing) -> Work[None]:
    """Let the registry judge a stand-in, a folder with the config.json and empty weights: of what is refused, nothing
    is left in the cache.
    """
    config = None
    for file in listing.files:
        if file.name == "config.json":
            config = (snapshot / file.name).read_bytes() if _is_there(repository, snapshot, file) else (
                yield from hub.whole(name, hub.address(name, listing.commit, file.name), file.name))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / name.rpartition("/")[2]
        folder.mkdir()
        if config is not None:
            (folder / "config.json").write_bytes(config)
        if any(file.name.endswith(".safetensors") for file in listing.files):
            (folder / "model.safetensors").touch()
        elif any(file.endswith((".bin", ".pt", ".pth")) for file in listing.names):
            (folder / "pytorch_model.bin").touch()
        try:
            registry._family(folder)
        except StudioError as error:
            error.path = name
            raise


# Files


def _bring_all(name: str, repository: Path, snapshot: Path, files: Sequence[HubFile]) -> Work[None]:
    """Every file: first those that are there, the largest last."""
    kept = {file: _is_there(repository, snapshot, file) for file in files}
    missing = [file for file in files if not kept[file]]
    _require_room(name, repository, sum(file.size - max(0, _size(_part(repository, file))) for file in missing))
    done, total = 0, sum(file.size for file in files)
    for file in sorted(files, key=lambda file: (not kept[file], file.size)):
        if not _is_there(repository, snapshot, file):  # asked again: another name may have had the same content
            for here in _bring(name, repository, snapshot, file):
                yield Progress(done + here, total, file.name)
        done += file.size
        yield Progress(done, total, file.name)


def _bring(name: str, repository: Path, snapshot: Path, file: HubFile) -> Steps:
    """One file into the blobs and the snapshot."""
    part, blob = _part(repository, file), repository / "blobs" / file.etag
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield from _fill(name, hub.address(name, snapshot.name, file.name), file, part)
        yield from _check(file, part)
    except hub.Wrong as wrong:
        part.unlink()
        raise DownloadError(f"“{file.name}” did not arrive as the hub lists it: {wrong}. It was deleted.",
                            hint="Try again; if it stays so, the hub or a proxy on the way changes it.") from wrong
    os.replace(part, blob)
    _link(blob, snapshot / file.name)


def _fill(name: str, url: str, file: HubFile, part: Path) -> Steps:
    """Make the part whole; where the connection is cut, a new one goes on where it ended. Raises Wrong."""
    part.touch()
    tries = 0
    while (start := _size(part)) < file.size:
        reason = "it ended early"
        try:
            yield from _append(name, url, file, part)
        except hub.Cut as cut:
            reason = str(cut)
        if _size(part) > start:
            tries = 0
        elif tries == len(WAITS_SECONDS):
            raise DownloadError(
                f"“{file.name}” did not arrive ({reason}). {_megabytes(start)} of {_megabytes(file.size)} are kept.",
                hint="Download it again: it goes on where it stopped.")
        else:
            yield from _wait(WAITS_SECONDS[tries], start)
            tries += 1


def _wait(seconds: float, told: int) -> Steps:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(seconds, hub.POLL_SECONDS))
        yield told


def _append(name: str, url: str, file: HubFile, part: Path) -> Steps:
    """Write one connection's pieces behind what the part has."""
    told = time.monotonic()
    with part.open("r+b") as out:
        out.seek(0, os.SEEK_END)
        with closing(hub.beside(hub.pieces(name, url, out.tell()))) as pieces:
            for piece in pieces:
                if piece is not None:
                    at, content = piece
                    if at < out.tell():  # the server does not send from the middle
                        out.seek(at)
                        out.truncate()
                    if at + len(content) > file.size:
                        raise hub.Wrong("it is longer")
                    out.write(content)
                if piece is None or time.monotonic() > told + hub.POLL_SECONDS / 2:
                    told = time.monotonic()
                    yield out.tell()


def _check(file: HubFile, part: Path) -> Steps:
    """Raise Wrong unless the part is what the etag says."""
    found = ""
    with closing(hub.beside(_hashed(file, part))) as answers:
        for answer in answers:
            found = answer or found
            yield file.size
    if found != file.etag:
        raise hub.Wrong("its checksum is another")


def _hashed(file: HubFile, path: Path) -> Generator[str, None, None]:
    """Blocking: nothing per 16 MiB, then the etag of what is on the disk now, and will be after a power cut."""
    in_lfs = len(file.etag) == 64
    digest = hashlib.sha256() if in_lfs else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with path.open("r+b") as content:
        while piece := content.read(1 << 24):
            digest.update(piece)
            yield ""
        os.fsync(content.fileno())
    yield digest.hexdigest()


def _is_there(repository: Path, snapshot: Path, file: HubFile) -> bool:
    """Whether the snapshot has the file, linked now where only the blob was there."""
    if _size(snapshot / file.name) == file.size:
        return True
    blob = repository / "blobs" / file.etag
    if _size(blob) != file.size:
        return False
    _link(blob, snapshot / file.name)
    return True


def _link(blob: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        place.symlink_to(os.path.relpath(blob, place.parent))
    except OSError:
        os.replace(blob, place)  # as huggingface_hub does where there are no links (Windows)


def _part(repository: Path, file: HubFile) -> Path:
    return repository / "blobs" / f"{file.etag}.incomplete"


def _size(path: Path) -> int:
    """Bytes of a file, -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


# The disk


def _require_room(name: str, repository: Path, coming: int) -> None:
    free = shutil.disk_usage(next(folder for folder in repository.parents if folder.is_dir())).free
    if coming * SPARE > free:
        raise DownloadError(f"The disk has no room for “{name}”: {_megabytes(coming)} are to come, and "
                            f"{_megabytes(coming * SPARE - free)} are missing.", path=repository.parent,
                            hint="Make room there, or set HF_HOME to a folder on another disk.")


@contextmanager
def _disk_errors(repository: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError("The disk is full. What has arrived is kept.", path=repository.parent,
                                hint="Make room, then download it again: it goes on where it stopped.") from error
        raise DownloadError(f"The cache of models cannot be changed ({error.strerror or error}).",
                            path=error.filename or repository.parent,
                            hint="See who may write there, or set HF_HOME to another folder.") from error


@contextmanager
def _alone(repository: Path, name: str) -> Iterator[None]:
    """No other work at the same model, of this studio or another. A lock ends with its owner, killed or not."""
    from filelock import FileLock, Timeout

    place = repository.parent / ".locks" / repository.name / "mmstudio.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DownloadError(f"“{name}” is being downloaded already.", hint="Wait for it, or cancel it.") from error
    except NotImplementedError:
        pass  # a file system without locks
    try:
        yield
    finally:
        lock.release()
