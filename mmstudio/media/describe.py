"""A file becomes the items it holds: what they are, their hashes, facts and previews."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media import audio, image, text, video
from mmstudio.media.limits import Limits
from mmstudio.media.load import frame_part
from mmstudio.media.sniff import Kind, Modality, reason, regular_size, sniff

HASH_BYTES = 20


@dataclass(frozen=True)
class Description:
    """One item of one modality.

    ``preview`` is a JPEG for pictures, ``(PEAK_BINS, 2)`` float32 bytes for sounds, empty for texts. ``facts`` holds
    ``width``/``height`` (pixels), ``duration_s``, ``rate_hz``, ``seconds`` (a frame's time). ``tags`` and ``columns``
    are what a table or a file beside it says of the item. ``only_hashed`` contents were known, and not decoded.
    """

    path: Path
    modality: Modality
    content_hash: str
    part: str = ""
    text: str = ""
    facts: dict[str, float] = field(default_factory=dict)
    preview: bytes = b""
    tags: tuple[str, ...] = ()
    columns: dict[str, str | float] = field(default_factory=dict)
    only_hashed: bool = False


@dataclass(frozen=True)
class Described:
    """All items of one file; ``note`` says what was left out."""

    items: list[Description]
    note: str = ""


def describe(path: Path, limits: Limits, known: Container[str] = ()) -> Described:
    """Read one file into its items. Raises MediaError with the reason when there are none.

    A picture or sound whose content hash is in ``known`` is not decoded: its description has neither facts nor preview.
    """
    kind = sniff(path)
    try:
        if kind in (Kind.IMAGE, Kind.AUDIO):
            content = file_hash(path)
            if content in known:
                modality: Modality = "image" if kind is Kind.IMAGE else "audio"
                return Described([Description(path, modality, content, only_hashed=True)])
            return _BY_KIND[kind](path, limits, content)
        return _BY_KIND[kind](path, limits, "")
    except MediaError as error:
        error.path = error.path or str(path)
        raise
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error
    except MemoryError as error:
        raise UnreadableMedia("The file would not fit into memory.", path=path) from error


def file_hash(path: Path) -> str:
    """BLAKE2b of the file's bytes, 40 hexadecimal digits, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).hexdigest()


def content_of(path: Path) -> str:
    """The same, "" for what cannot be read or is no regular file."""
    try:
        regular_size(path)  # a pipe would never end
        return file_hash(path)
    except (OSError, MediaError):
        return ""


def text_hash(passage: str) -> str:
    """The content hash of a text: equal texts are one content, wherever they stand."""
    return hashlib.blake2b(passage.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()


def part_hash(whole: str, part: str) -> str:
    """The content hash of a part of a file."""
    return text_hash(f"{whole}#{part}")


def _image(path: Path, limits: Limits, content: str) -> Described:
    picture = image.open_image(path, limits, draft=2 * image.THUMBNAIL_PIXELS)
    width, height = picture.info["full_size"]
    return Described([Description(path, "image", content, facts={"width": width, "height": height},
                                  preview=image.thumbnail(picture))])


def _audio(path: Path, limits: Limits, content: str) -> Described:
    peaks, duration, rate = audio.survey(path)
    return Described([Description(path, "audio", content, facts={"duration_s": duration, "rate_hz": rate},
                                  preview=peaks.tobytes())])


def _text(path: Path, limits: Limits, _: str) -> Described:
    found, note = text.passages(path, limits)
    return Described([Description(path, "text", text_hash(p.text), p.part, p.text) for p in found], note)


def _video(path: Path, limits: Limits, _: str) -> Described:
    whole, items = file_hash(path), []
    for frame in video.frames(path, limits):
        part = frame_part(frame.seconds)
        items.append(Description(
            path, "image", part_hash(whole, part), part,
            facts={"width": frame.picture.width, "height": frame.picture.height, "seconds": frame.seconds},
            preview=image.thumbnail(frame.picture)))
    if not items:
        raise UnreadableMedia("The video holds no frame that can be decoded.", path=path)
    note = ""
    if video.facts(path)[1]:
        try:
            peaks, duration, rate = audio.survey(path)
            items.append(Description(path, "audio", part_hash(whole, "sound"), "sound",
                                     facts={"duration_s": duration, "rate_hz": rate}, preview=peaks.tobytes()))
        except UnreadableMedia as error:
            note = f"Its sound was left out: {error.what}"
    return Described(items, note)


_BY_KIND: dict[Kind, Callable[[Path, Limits, str], Described]] = {
    Kind.IMAGE: _image, Kind.AUDIO: _audio, Kind.TEXT: _text, Kind.VIDEO: _video,
}
