"""Containers that FFmpeg opens: always a local file by its absolute path, and errors told without library internals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmstudio.errors import UnreadableMedia


def open_container(path: Path) -> Any:
    """``av.open`` on a local file.

    The ``file:`` prefix keeps a name such as ``http:x`` or ``concat:x`` from being read as an address, and the white
    list keeps a hostile playlist from reaching for the network.
    """
    import av

    name = os.fsencode(os.path.abspath(path)).decode("utf-8", "surrogateescape")
    return av.open(f"file:{name}", metadata_errors="replace", options={"protocol_whitelist": "file"})


def moving_streams(container: Any) -> list[Any]:
    """The video streams that are no cover picture."""
    import av

    cover = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def decodable(streams: list[Any], what: str, path: Path) -> Any:
    """The first of ``streams`` that FFmpeg has a decoder for; raises UnreadableMedia where there is none."""
    if not streams:
        raise UnreadableMedia(f"The file holds no {what}.", path=path)
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise UnreadableMedia(f"The {what} is coded in a way that the studio does not know.", path=path)
    return known[0]


def broken(what: str, error: BaseException, path: Path) -> UnreadableMedia:
    """The error for a decoder's exception, where ``what`` is "sound", "video" or the like."""
    return UnreadableMedia(f"The {what} is broken or cut short ({_why(error)}).", path=path)


def _why(error: BaseException) -> str:
    """The reason in a person's words: library messages hold error numbers, object names and paths."""
    if isinstance(error, MemoryError):
        return "it would not fit into memory"
    if isinstance(error, EOFError) or "end of file" in str(error).lower():
        return "it ends too early"
    return "its data make no sense"
