"""A model hub on this machine, as a plugin of the tests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from mmstudio.encoders import hub as online

NAME = "some/model"
WEIGHTS = "model.safetensors"
FIRST = "1" * 40


class FakeHub(ThreadingHTTPServer):
    """One repository as huggingface.co serves it: weights in LFS, which are sent by another host.

    ``cuts`` says after which share of its bytes each of the next answers for the weights ends, ``hold`` stops them in
    the middle until it is set.
    """

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.name = NAME
        self.files: dict[str, bytes] = {}
        self.commit = FIRST
        self.log: list[tuple[str, str, str]] = []
        self.listed: Callable[[dict[str, Any]], dict[str, Any] | bytes] = lambda listing: listing
        self.refusals: dict[str, tuple[int, str]] = {}
        self.ranges = True
        self.cuts: list[float] = []
        self.hold: threading.Event | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def fetched(self) -> list[str]:
        """The files asked for, in order and as often."""
        files = f"/{self.name}/resolve/{self.commit}/"
        return [path.partition(files)[2] for path, *_ in self.log if "/resolve/" in path]

    @property
    def sent_from(self) -> list[str]:
        """The Range of each request for the weights' content."""
        return [asked for path, asked, _ in self.log if path.startswith("/cdn/")]

    def listing(self) -> dict[str, Any]:
        return {"id": self.name, "sha": self.commit, "siblings": [entry(*file) for file in self.files.items()]}

    def serve(self, folder: Path) -> None:
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes()
                      for path in sorted(folder.rglob("*")) if path.is_file()}


class Answer(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = unquote(urlsplit(self.path).path), self.headers.get("Range", "")
        self.server.log.append((path, wanted, self.headers.get("Authorization", "")))
        with suppress(ConnectionError):
            if path in self.server.refusals:
                self.refuse(*self.server.refusals[path])
            elif path == f"/api/models/{self.server.name}" and "blobs=true" in self.path:
                answer = self.server.listed(self.server.listing())
                self.send(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
            elif path.startswith("/cdn/"):
                self.part(self.server.files[path.removeprefix("/cdn/")], wanted)
            else:
                self.resolve(path.partition(f"/{self.server.name}/resolve/{self.server.commit}/")[2])

    def resolve(self, name: str) -> None:
        if name not in self.server.files:
            self.refuse(404, "EntryNotFound" if name else "RepoNotFound")
        elif name.endswith(WEIGHTS):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/cdn/{name}")
            self.end_headers()
        else:
            self.send(self.server.files[name])

    def part(self, content: bytes, wanted: str) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(content):
            self.refuse(416, "")
            return
        rest = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        share = self.server.cuts.pop(0) if self.server.cuts else 1
        middle = int(min(share, 0.5) * len(rest))
        self.wfile.write(rest[:middle])
        if share < 1:
            return
        if self.server.hold:
            self.wfile.flush()
            self.server.hold.wait(30)
        self.wfile.write(rest[middle:])

    def send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def entry(name: str, content: bytes) -> dict[str, Any]:
    """One line of the hub's listing with ``blobs=true``."""
    line: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
    if name.endswith(".safetensors"):
        line["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        line["blobId"] = git_hash(b"version https://git-lfs.github.com/spec/v1")
    return line


def git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and HF_HUB_OFFLINE set as the studio does at its start."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(online.STUDIOS_OWN, "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    (tmp_path / "no authorities").mkdir()  # reading this computer's takes longer than a test
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "no authorities"))
    monkeypatch.setattr("mmstudio.encoders.download.WAITS_SECONDS", (0, 0))
    return tmp_path / "hub"


@pytest.fixture
def fake_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub whose one repository is empty."""
    with FakeHub() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        if server.hold:
            server.hold.set()
        server.shutdown()
        thread.join()
    for reader in readers():
        reader.join(10)
    assert not readers()


def readers() -> list[threading.Thread]:
    """The threads that read from a network."""
    return [thread for thread in threading.enumerate() if thread.name == "download"]
