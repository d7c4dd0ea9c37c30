"""The model hub over the network: what a repository holds, and its files in pieces. Nothing else here goes online.

A step of this work takes a tenth of a second at most, even where the network stands still: a thread reads it
(``beside``). The hub's addresses: https://huggingface.co/docs/hub/api.
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from mmstudio import __version__
from mmstudio.errors import DownloadError, StudioError
from mmstudio.progress import Progress, Work

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 10.0, 20.0
POLL_SECONDS = 0.1
AHEAD = 64
"""Pieces (of some 64 KiB) by which the network may be ahead of the work, which may be paused."""
SMALL_BYTES = 1 << 26
"""More than any listing or config.json has."""
STUDIOS_OWN = "MMSTUDIO_SET_OFFLINE"

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_ABSURD = re.compile(r"^/|\\|^\w:|(^|/)\.\.?(/|$)|[\x00-\x1f]")
"""What no file inside a folder is called, on any system."""
_SETTINGS = re.compile(
    r"(\w*config\w*|tokenizer|vocab|added_tokens|special_tokens_map|modules)\.json|(vocab|merges)\.txt"
    rf"|{_WORD}\.model|\d+_\w+/config\.json")
_SHARDS = re.compile(r"model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its path there, its bytes, and its etag.

    The etag is the hash of its content: sha256 of a file in LFS, of any other git's sha1 of a blob.
    """

    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class Listing:
    """A repository at its newest commit: the names of all its files, and the files that the encoders load."""

    commit: str
    names: tuple[str, ...]
    files: tuple[HubFile, ...]


class Cut(Exception):
    """The connection failed or ended; another try may go on."""


class Wrong(Exception):
    """What arrived is not what the hub lists."""


def stay_offline() -> None:
    """At the start of the program: libraries use no network from now on, and only a download does.

    A person's own HF_HUB_OFFLINE is left as it is, and told apart by a variable of the studio's beside it.
    """
    if not os.environ.get("HF_HUB_OFFLINE"):
        os.environ["HF_HUB_OFFLINE"] = os.environ[STUDIOS_OWN] = "1"


def require_leave() -> None:
    """Raise DownloadError where the person, not the studio, set HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE and not os.environ.get(STUDIOS_OWN):
        raise DownloadError("Downloads are switched off, because HF_HUB_OFFLINE is set on this computer.",
                            hint="To allow them, unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE and start again.")


def require_name(name: str) -> None:
    """Raise DownloadError for what is not “owner/name”. Such a name is safe in a path and in an address."""
    if not re.fullmatch(rf"{_WORD}/{_WORD}", name) or "--" in name or ".." in name:
        raise DownloadError(f"“{name}” is not the name of a hub model.",
                            hint="Such names are “owner/name”, like “openai/clip-vit-base-patch32”.")


def address(name: str, commit: str = "", file: str = "") -> str:
    """The page of a repository, or one of its files at a commit."""
    from huggingface_hub import constants

    page = f"{constants.ENDPOINT.rstrip('/')}/{name}"
    return f"{page}/resolve/{commit}/{quote(file)}" if file else page


# What a repository holds


def listing(name: str) -> Work[Listing]:
    """Ask what a repository holds. Raises DownloadError, also for names and hashes that make no safe paths."""
    from huggingface_hub import constants

    url = f"{constants.ENDPOINT.rstrip('/')}/api/models/{name}?blobs=true"
    body = yield from whole(name, url, name)
    try:
        content = json.loads(body)
        commit, entries = str(content["sha"]), {str(entry["rfilename"]): entry for entry in content["siblings"]}
        files = tuple(_file(file, entries[file]) for file in _needed(set(entries)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError("The hub's answer cannot be understood.",
                            hint="Perhaps a login page or a proxy of this network answered in its place.") from error
    absurd = next(filter(_ABSURD.search, entries), None)
    if absurd is not None:
        raise DownloadError(f"The hub's listing of “{name}” is refused: it names a file {absurd!r}.")
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not all(
            file.size >= 0 and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", file.etag) for file in files):
        raise DownloadError(f"The hub's listing of “{name}” is refused: a size or a hash in it is none.")
    return Listing(commit, tuple(entries), files)


def _file(name: str, entry: dict[str, Any]) -> HubFile:
    lfs = entry.get("lfs")
    return HubFile(name, int(entry["size"]), str(lfs["sha256"] if lfs else entry["blobId"]))


def _needed(names: set[str]) -> list[str]:
    """Settings, vocabularies, and the weights in one form, as transformers would choose."""
    whole = "model.safetensors" in names
    sharded = not whole and "model.safetensors.index.json" in names
    return [name for name in sorted(names) if name == "model.safetensors" or _SETTINGS.fullmatch(name)
            or (sharded and _SHARDS.fullmatch(name))]


# Requests


def whole(name: str, url: str, text: str) -> Work[bytes]:
    """A small answer of the hub, tried once: that there is no network is told soon. Raises DownloadError."""
    body = bytearray()
    try:
        with closing(beside(pieces(name, url))) as arriving:
            for piece in arriving:
                body += piece[1] if piece else b""
                if len(body) > SMALL_BYTES:
                    raise Cut("its answer does not end")
                yield Progress(0, 0, text)
    except Cut as cut:
        raise DownloadError(f"The model hub cannot be reached ({cut}).",
                            hint="See whether this computer is online, and whether a proxy is in between.") from cut
    return bytes(body)


def pieces(name: str, url: str, start: int = 0) -> Generator[tuple[int, bytes], None, None]:
    """Blocking: a body from byte ``start`` on, in pieces with their offsets; from 0 where the server sends no parts.

    Raises Cut, Wrong, and DownloadError where another try is of no use.
    """
    from huggingface_hub import constants, get_session, get_token

    try:
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        headers = {"Accept-Encoding": "identity", "User-Agent": f"mmstudio/{__version__}"}
        headers |= {"Range": f"bytes={start}-"} if start else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        times = (CONNECT_SECONDS, READ_SECONDS, READ_SECONDS, CONNECT_SECONDS)
        # Another client like the hub's own, which refuses all requests while HF_HUB_OFFLINE is set.
        with (type(get_session())(follow_redirects=True, timeout=times) as client,
              client.stream("GET", url, headers=headers) as response):
            _require_answer(name, response.status_code, response.headers.get("X-Error-Code", ""))
            part = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            at = int(part[1]) if part and response.status_code == 206 else 0
            if at > start:
                raise Cut("it sends another part than was asked for")
            for piece in response.iter_raw():
                yield at, piece
                at += len(piece)
    except (StudioError, Cut, Wrong):
        raise
    except Exception as error:  # by no type: which library is beneath the hub's own changes
        raise Cut(str(error) or type(error).__name__) from error


def _require_answer(name: str, status: int, code: str) -> None:
    if status in (200, 206):
        return
    if status in (408, 429) or status >= 500:
        raise Cut(f"it answers {status}")
    if status == 416:
        raise Wrong("it is shorter")
    if status == 403 or code == "GatedRepo":
        raise DownloadError(f"“{name}” is given only to those who agreed to its conditions.",
                            hint=f"Agree to them at {address(name)}, sign in with “hf auth login”, and try again.")
    if code == "EntryNotFound":
        raise DownloadError(f"The hub lists a file of “{name}” that it does not have.", hint="Try again later.")
    if status in (401, 404):
        raise DownloadError(f"The hub has no model “{name}”, or it is private.",
                            hint="See how it is spelt; for a private one, sign in with “hf auth login”.")
    raise DownloadError(f"The hub does not give “{name}”: it answers {status} {code}".rstrip() + ".")


def beside(blocking: Generator[T, None, None]) -> Generator[T | None, None, None]:
    """Run a generator that blocks in a thread of its own; None whenever it has given nothing for a moment.

    The thread waits while ``AHEAD`` items are not fetched. Once this is closed it ends at its next item, which goes
    nowhere, so nothing but reading may happen in it.
    """
    items: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
    closed = threading.Event()

    def run() -> None:
        end: BaseException | None = None
        try:
            while not closed.is_set():
                items.put((next(blocking), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the work
            end = error
        finally:
            blocking.close()
        items.put((None, end))

    threading.Thread(target=run, name="download", daemon=True).start()
    try:
        while True:
            try:
                item, end = items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(end, StopIteration):
                return
            if end is not None:
                raise end
            yield item
    finally:
        closed.set()
        while not items.empty():  # the thread may be waiting to put one
            items.get_nowait()
