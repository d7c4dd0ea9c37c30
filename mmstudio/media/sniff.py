"""What a file is, told from its bytes and never from its name."""

from __future__ import annotations

import enum
import os
import stat
from pathlib import Path
from typing import Literal

from mmstudio.errors import UnreadableMedia, UnsupportedMedia
from mmstudio.media.container import broken, moving_streams, open_container

Modality = Literal["image", "audio", "text"]
MODALITIES: tuple[Modality, ...] = ("image", "audio", "text")
HEAD_BYTES = 16_384


class Kind(enum.Enum):
    """What a file holds, before it is split into items of one modality each."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"


_IMAGE_MAGIC = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*", b"8BPS",
    b"\x00\x00\x01\x00", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51", b"qoif", b"DDS ", b"icns", b"\x01\xda",
    b"II+\x00", b"MM\x00+", b"SIMPLE  =", b"/* XPM */",
)
_AUDIO_MAGIC = (b"fLaC", b"ID3", b".snd", b"caff", b"#!AMR", b"wvpk", b"MAC ", b"\xff\xf1", b"\xff\xf9")
_VIDEO_MAGIC = (b"FLV\x01", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
_EBML = b"\x1a\x45\xdf\xa3"
_IMAGE_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ", b"F4A ")
_OTHERS = {
    b"%PDF": "a PDF document", b"PK\x03\x04": "a zip archive or office document", b"\x7fELF": "a program",
    b"MZ": "a program", b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf": "a 7-zip archive", b"Rar!": "a RAR archive",
    b"SQLite format 3": "a database", b"PAR1": "a Parquet table", b"%!PS": "a PostScript page",
    b"\xc5\xd0\xd3\xc6": "a PostScript page", b"\x28\xb5\x2f\xfd": "a zstd archive",
}
_TABLES = (b"PAR1", b"PK\x03\x04", b"\x1f\x8b")
_AS_A_TABLE = "Media that it holds come into a project where it is added as a table: dropped, or with “mmstudio add”."


def regular_size(path: Path) -> int:
    """Size in bytes of a regular file; raises UnreadableMedia for anything that reading could hang on or that is empty.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL
        raise UnreadableMedia(reason(error), path=path) from error
    if not stat.S_ISREG(status.st_mode):
        name = next((text for test, text in _SPECIAL if test(status.st_mode)), "not a regular file")
        raise UnreadableMedia(f"This is {name}, not a file.", path=path)
    if status.st_size == 0:
        raise UnreadableMedia("The file is empty (zero bytes).", path=path)
    return status.st_size


def read_head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a regular file; raises UnreadableMedia with the reason where they cannot be read."""
    regular_size(path)
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error


def sniff(path: Path) -> Kind:
    """Tell what a file is from its first bytes.

    Raises UnreadableMedia where it cannot be read and UnsupportedMedia where it is nothing the studio knows.
    """
    head = read_head(path)
    kind = _by_magic(head, path)
    if kind:
        return kind
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise UnsupportedMedia(f"This is {name}, and no picture, sound, video or text.", path=path,
                                   hint=_AS_A_TABLE if magic in _TABLES else "")
    if looks_like_text(head):
        return Kind.TEXT
    if _pillow_knows(path):
        return Kind.IMAGE
    raise UnsupportedMedia("The bytes are of no picture, sound, video or text that the studio knows.", path=path)


def _by_magic(head: bytes, path: Path) -> Kind | None:
    if head[:4] in (b"RIFF", b"RF64") and len(head) >= 12:
        return {b"WAVE": Kind.AUDIO, b"WEBP": Kind.IMAGE, b"AVI ": Kind.VIDEO}.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Kind.AUDIO
    if text_mark(head) and looks_like_text(head):  # UTF-16's mark is also the beginning of an MPEG sound
        return Kind.TEXT
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _IMAGE_BRANDS:
            return Kind.IMAGE
        return Kind.AUDIO if brand in _AUDIO_BRANDS else _container(path)
    if head[:4] in (b"OggS", _EBML):
        return _container(path)
    if head.startswith(_VIDEO_MAGIC) or (head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G"):
        return _container(path)
    if head.startswith(b"BM") and head[6:10] != b"\0\0\0\0":
        return None
    if head.startswith(_IMAGE_MAGIC):
        return Kind.IMAGE
    if head.startswith(_AUDIO_MAGIC) or is_mpeg_audio(head):
        return Kind.AUDIO
    if _is_written_picture(head) and _pillow_knows(path):
        return Kind.IMAGE
    return None


def _is_written_picture(head: bytes) -> bool:
    """Netpbm and X11 bitmaps, which begin like texts."""
    if head.startswith(b"#define "):
        return b"_width " in head[:256]
    return head[:1] == b"P" and head[1:2] in b"123456f" and head[2:3] in b" \n\r\t"


def is_mpeg_audio(head: bytes) -> bool:
    """An ID3 tag, or an MPEG audio frame header (ISO 11172-3): sync, then neither reserved layer nor invalid bit or
    sample rate.
    """
    if head.startswith(b"ID3"):
        return True
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


def _container(path: Path) -> Kind:
    """Sound or moving picture: what a container's stream list says (a cover picture is no video)."""
    import av

    try:
        with open_container(path) as container:
            if moving_streams(container):
                return Kind.VIDEO
            if container.streams.audio:
                return Kind.AUDIO
    except (av.FFmpegError, OSError, ValueError, ArithmeticError, MemoryError) as error:
        raise broken("video or sound", error, path) from error
    raise UnreadableMedia("The container holds neither sound nor pictures.", path=path)


def text_mark(head: bytes) -> str:
    """The encoding that a byte-order mark tells, "" without one."""
    return next((name for mark, name in _TEXT_MARKS if head.startswith(mark)), "")


def unmarked_utf_16(head: bytes) -> str:
    """The byte order of UTF-16 without a mark, told from where the zero bytes stand; "" when it is something else."""
    half = max(1, len(head) // 2)
    even, odd = head[::2].count(0), head[1::2].count(0)
    if min(even, odd) == 0 and max(even, odd) > half // 2:
        return "utf-16-be" if even else "utf-16-le"
    return ""


def looks_like_text(head: bytes) -> bool:
    """True for bytes that decode as text: by a byte-order mark, or with hardly any control bytes."""
    encoding = text_mark(head) or unmarked_utf_16(head)
    if encoding:
        text = head[: len(head) // 4 * 4 or len(head)].decode(encoding, "replace")
        odd = sum(c == "\ufffd" or (ord(c) < 32 and c not in "\a\b\t\n\v\f\r\x1b") for c in text)
        return odd <= 1 + len(text) / 500
    controls = sum(head.count(byte) for byte in _CONTROL_BYTES)
    return controls == 0 or (b"\0" not in head and controls <= len(head) / 500)


_CONTROL_BYTES = [bytes([b]) for b in range(32) if b not in (7, 8, 9, 10, 12, 13, 27)]


_TEXT_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"),
)
_UNDRAWABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""What Pillow can name but not decode, or only by starting another program."""


def _pillow_knows(path: Path) -> bool:
    from PIL import Image

    from mmstudio.media.image import prepare_pillow

    prepare_pillow()
    try:
        with Image.open(path) as picture:
            return picture.format not in _UNDRAWABLE
    except Exception:  # noqa: BLE001 - a hostile header may raise anything; all of it means "no"
        return False


_SPECIAL = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)


def reason(error: OSError | ValueError) -> str:
    """A sentence for an operating-system error."""
    import errno

    known = {
        errno.ENOENT: "The file is not there.", errno.EACCES: "You have no permission to read this file.",
        errno.EPERM: "You have no permission to read this file.", errno.ELOOP: "This is a symbolic link to itself.",
        errno.ENAMETOOLONG: "The file's name is too long.", errno.EIO: "The disk could not read this file.",
    }
    if isinstance(error, ValueError):
        return "No file can have this name."
    return known.get(error.errno or 0, f"The file could not be read ({error.strerror or 'no reason was given'}).")
