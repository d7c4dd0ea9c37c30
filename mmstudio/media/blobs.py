"""Bytes that stand in a table's cell or an archive: what they are, and how they become a file of the project."""

from __future__ import annotations

import contextlib
import hashlib
import io
import mimetypes
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmstudio.errors import MediaError, MediaTooLarge, ProjectError
from mmstudio.media.describe import HASH_BYTES
from mmstudio.media.sniff import Kind, is_mpeg_audio, read_head, sniff

Opener = Callable[[], BinaryIO]
PREVIEW_BYTES = 16_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Blob:
    """Bytes of a cell, read only when asked for. ``name`` is what they were called where they came from: it is shown,
    never used as a path. A blob of an archive can be opened until the next row is asked for.
    """

    name: str
    open: Opener

    @classmethod
    def of(cls, content: bytes, name: str = "") -> Blob:
        """A blob that holds its bytes in memory."""
        return cls(name, lambda: io.BytesIO(content))

    def chunks(self) -> Generator[bytes, None, None]:
        """The content in pieces of at most 1 MiB; raises MediaError where it is broken or unfolds without measure."""
        with self.open() as file:
            while piece := file.read(_CHUNK):
                yield piece

    def head(self, size: int) -> bytes:
        """The first ``size`` bytes."""
        held = bytearray()
        with contextlib.closing(self.chunks()) as chunks:
            for piece in chunks:
                held += piece
                if len(held) >= size:
                    break
        return bytes(held[:size])

    def read(self, limit: int) -> bytes:
        """The whole content; raises MediaTooLarge above ``limit`` bytes."""
        content = self.head(limit + 1)
        if len(content) > limit:
            raise MediaTooLarge(f"“{self.name}” has more than {limit / 1e6:,.0f} MB.")
        return content


def held(blob: Blob) -> Blob:
    """The blob in memory, as far as a preview needs it: its first 16 MB. A broken one becomes an empty one."""
    try:
        return Blob.of(blob.head(PREVIEW_BYTES), blob.name)
    except MediaError:
        return Blob.of(b"", blob.name)


def kind_of(blob: Blob) -> Kind | None:
    """What the bytes are, None where they are nothing the studio reads. Only the first 16 MB are looked at; a film that
    does not open so far is told from its name.
    """
    try:
        content = blob.head(PREVIEW_BYTES)
    except MediaError:
        return None
    with tempfile.TemporaryDirectory(prefix="mmstudio-") as folder:
        file = Path(folder) / "blob"
        file.write_bytes(content)
        with contextlib.suppress(MediaError):
            return sniff(file)
    if len(content) == PREVIEW_BYTES:
        return named_kind(blob.name)
    return None


def named_kind(name: str) -> Kind | None:
    """What a file's name promises, None where it promises nothing."""
    promised = (mimetypes.guess_type(name.replace("\\", "/"))[0] or "").partition("/")[0]
    return next((kind for kind in Kind if kind.value == promised), None)


@dataclass(frozen=True)
class Stored:
    """A blob that became a file of the project."""

    path: Path
    kind: Kind


def store(blob: Blob, into: Path) -> Stored:
    """Write a blob's content into the folder ``into`` under a name made of its BLAKE2b (40 hexadecimal digits) in a
    sub-folder of the first two, once for equal contents, all or nothing.

    Raises MediaError where the blob is broken or of no known kind, and ProjectError where ``into`` cannot be written.
    """
    with _written(blob, into) as (file, digest):
        kind = sniff_unnamed(file, blob.name)
        place = into / digest[:2] / f"{digest}{suffix_of(read_head(file), kind)}"
        with _writing(into):
            if not place.is_file() or place.stat().st_size != file.stat().st_size:
                place.parent.mkdir(exist_ok=True)
                _onto_disk(file)
                os.replace(file, place)
    return Stored(place, kind)


def sniff_unnamed(file: Path, name: str) -> Kind:
    """``sniff``, with an error that names what the person knows."""
    try:
        return sniff(file)
    except MediaError as error:
        raise type(error)(f"“{name}”: {error.what}" if name else error.what, hint=error.hint) from error


@contextlib.contextmanager
def _written(blob: Blob, into: Path) -> Iterator[tuple[Path, str]]:
    """The content as a temporary file of ``into`` and its hash. The file is gone afterwards unless it was moved."""
    with _writing(into):
        into.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=into)
    file = Path(name)
    try:
        digest = hashlib.blake2b(digest_size=HASH_BYTES)
        with open(handle, "wb") as out:
            for piece in blob.chunks():
                digest.update(piece)
                with _writing(into):
                    out.write(piece)
        yield file, digest.hexdigest()
    finally:
        file.unlink(missing_ok=True)


def _onto_disk(file: Path) -> None:
    with open(file, "r+b") as out:
        os.fsync(out.fileno())


@contextlib.contextmanager
def _writing(into: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProjectError(f"The media could not be written ({error.strerror or 'no reason was given'}).", path=into,
                           hint="Is the disk full, or the folder write-protected?") from error


_SUFFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"), (b"II+\0", ".tif"), (b"MM\0+", ".tif"), (b"8BPS", ".psd"), (b"\0\0\1\0", ".ico"),
    (b"\0\0\0\x0cjP", ".jp2"), (b"qoif", ".qoi"), (b"fLaC", ".flac"), (b"ID3", ".mp3"), (b".snd", ".au"),
    (b"caff", ".caf"), (b"#!AMR", ".amr"), (b"\xff\xf1", ".aac"), (b"\xff\xf9", ".aac"), (b"FLV\1", ".flv"),
    (b"\0\0\1\xba", ".mpg"), (b"\0\0\1\xb3", ".mpg"), (b"\x30\x26\xb2\x75", ".wmv"),
)
_FORMS = {b"WAVE": ".wav", b"WEBP": ".webp", b"AVI ": ".avi", b"AIFF": ".aiff", b"AIFC": ".aiff"}
_OF_KIND = {Kind.IMAGE: ".img", Kind.AUDIO: ".sound", Kind.VIDEO: ".video", Kind.TEXT: ".txt"}


def suffix_of(head: bytes, kind: Kind) -> str:
    """The usual ending for a file that begins with ``head`` and was told to be of ``kind``."""
    if kind is Kind.TEXT:
        return ".txt"
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        return _FORMS.get(head[8:12], _OF_KIND[kind])
    if head[4:8] == b"ftyp":
        return _mp4_suffix(head[8:12], kind)
    if head[:4] == b"OggS":
        return ".ogv" if kind is Kind.VIDEO else ".ogg"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return ".webm" if b"webm" in head[:64] else ".mkv" if kind is Kind.VIDEO else ".mka"
    found = next((suffix for magic, suffix in _SUFFIXES if head.startswith(magic)), "")
    return found or (".mp3" if is_mpeg_audio(head) else _OF_KIND[kind])


def _mp4_suffix(brand: bytes, kind: Kind) -> str:
    """By the brand that an ISO media file names (ISO/IEC 14496-12)."""
    if kind is Kind.IMAGE:
        return ".avif" if brand.startswith(b"avi") else ".heic"
    if kind is Kind.AUDIO:
        return ".m4a"
    return ".mov" if brand == b"qt  " else ".mp4"

