"""An item's media as a file of its own: the original where there is one, a frame as PNG, a video's sound as WAV."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

from mmstudio.errors import MediaTooLarge, UnreadableMedia
from mmstudio.exports.rows import storable
from mmstudio.exports.target import opened
from mmstudio.library import Item
from mmstudio.media import Limits, audio, load
from mmstudio.media.sniff import reason, regular_size

MOST_BYTES = 1 << 30
"""Of one item's media in memory: an Arrow array of bytes ends at 2 GiB."""
_BLOCK = 1 << 20


def media_name(item: Item) -> str:
    """What a file of this item alone would be called; not yet safe for every system."""
    stem = item.path.stem.strip() or f"{item.modality} {item.id}"
    part = f" {item.part}" if item.part else ""
    if item.modality == "text":
        return f"{stem}{part}.txt"
    if item.part:
        return f"{stem}{part}{'.png' if item.modality == 'image' else '.wav'}"
    return item.path.name or stem


def media_bytes(item: Item, limits: Limits) -> bytes:
    """The original file's bytes, or the item's part of it as a file. Raises MediaError."""
    made = _made(item, limits)
    if made is not None:
        return made
    if regular_size(item.path) > MOST_BYTES:
        raise MediaTooLarge("The file is larger than 1 GB.", path=item.path)
    with _reading(item.path) as file:
        return _read(file, item.path)


def copy_media(item: Item, target: Path, limits: Limits) -> None:
    """Write the item's media to a new file. Raises MediaError, and OSError where it cannot be written."""
    made = _made(item, limits)
    if made is None:
        copy(item.path, target)
        return
    with opened(target) as file:
        file.write(made)


def copy(source: Path, target: Path) -> None:
    """Copy a regular file. Raises MediaError where it cannot be read, and then leaves no target."""
    regular_size(source)
    try:
        with _reading(source) as file, opened(target) as out:
            while block := _read(file, source, _BLOCK):
                out.write(block)
    except UnreadableMedia:
        target.unlink(missing_ok=True)
        raise


def _reading(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error


def _read(file: BinaryIO, path: Path, size: int = -1) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise UnreadableMedia(reason(error), path=path) from error


def _made(item: Item, limits: Limits) -> bytes | None:
    """The bytes of an item that is no file of its own; None for one that is."""
    if item.modality == "text":
        return storable(item.text).encode()
    if not item.part:
        return None
    return png(item, limits) if item.modality == "image" else _wav(item.path)


def png(item: Item, limits: Limits) -> bytes:
    """The item's picture as PNG."""
    picture: Any = load(item.ref, limits)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _wav(path: Path) -> bytes:
    """The file's sound as 16-bit WAV, mono, at its own rate."""
    import soundfile

    regular_size(path)
    out, writer = io.BytesIO(), None
    try:
        for samples, rate in audio.blocks(path):
            writer = writer or soundfile.SoundFile(out, "w", rate, 1, "PCM_16", format="WAV")
            writer.write(samples)
            if out.tell() > MOST_BYTES:
                raise MediaTooLarge("The sound is longer than 1 GB.", path=path)
    finally:
        if writer is not None:
            writer.close()
    return out.getvalue()
