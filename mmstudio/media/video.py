"""Videos: frames at scene changes and every few seconds, and whether there is a sound track."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.image import check_size
from mmstudio.media.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SCENE_CHANGE = 0.12
"""Mean absolute difference of 32 × 32 grey pictures (0..1) above which two frames show different scenes."""


@dataclass(frozen=True)
class Frame:
    """One sampled frame and when it is shown."""

    seconds: float
    picture: Picture


def _open(path: Path) -> Any:
    import av

    return av.open(os.fsencode(path).decode("utf-8", "surrogateescape"), metadata_errors="replace")


def frames(path: Path, limits: Limits) -> Iterator[Frame]:
    """Frames at scene changes and at least every ``limits.frame_seconds``, at most ``limits.max_frames`` of them.

    Only key frames are looked at where the video is long, so an hour costs seconds. Raises UnreadableMedia.
    """
    import av
    import numpy as np

    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            check_size((stream.codec_context.width, stream.codec_context.height), limits, path)
            duration = float(container.duration or 0) / av.time_base
            step = max(limits.frame_seconds, duration / limits.max_frames)
            stream.thread_type = "AUTO"
            if duration > 120:
                stream.codec_context.skip_frame = "NONKEY"
            last_time, last_look, taken, looked = -1e9, None, 0, -1e9
            for frame in container.decode(stream):
                now = float(frame.time or 0)
                if taken >= limits.max_frames:
                    break
                if now - looked < min(0.2, step / 4):
                    continue
                looked = now
                look = np.asarray(frame.reformat(32, 32, "gray").to_ndarray(), np.float32) / 255
                changed = last_look is not None and float(np.abs(look - last_look).mean()) > SCENE_CHANGE
                last_look = look
                if now - last_time >= step or (changed and now - last_time > step / 4):
                    last_time, taken = now, taken + 1
                    yield Frame(now, frame.to_image())
    except MediaError:
        raise
    except (av.FFmpegError, OSError, ValueError, IndexError, MemoryError) as error:
        raise UnreadableMedia(f"The video is broken or cut short ({error}).", path=path) from error


def frame_at(path: Path, seconds: float, limits: Limits) -> Picture:
    """The frame shown at ``seconds``, as RGB."""
    import av

    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            check_size((stream.codec_context.width, stream.codec_context.height), limits, path)
            container.seek(int(max(0.0, seconds) * av.time_base))
            best = None
            for frame in container.decode(stream):
                best = frame
                if float(frame.time or 0) >= seconds - 1e-3:
                    break
            if best is None:
                raise UnreadableMedia("The video has no frame at this time.", path=path)
            return best.to_image()  # type: ignore[no-any-return]
    except MediaError:
        raise
    except (av.FFmpegError, OSError, ValueError, IndexError, MemoryError) as error:
        raise UnreadableMedia(f"The video is broken or cut short ({error}).", path=path) from error


def facts(path: Path) -> tuple[float, bool]:
    """``(duration_s, has_sound)``."""
    import av

    try:
        with _open(path) as container:
            return float(container.duration or 0) / av.time_base, bool(container.streams.audio)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableMedia(f"The video is broken or cut short ({error}).", path=path) from error
