"""Videos: frames at scene changes and every few seconds, and whether there is a sound track."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.container import broken, decodable, moving_streams, open_container
from mmstudio.media.image import check_size
from mmstudio.media.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SCENE_CHANGE = 0.12
"""Mean absolute difference of 32 × 32 RGB pictures (0..1) above which two frames show different scenes."""
LONG_SECONDS = 120.0
"""From this duration on, a look at the key frames is enough."""


@dataclass(frozen=True)
class Frame:
    """One sampled frame and when it is shown."""

    seconds: float
    picture: Picture


def frames(path: Path, limits: Limits) -> Iterator[Frame]:
    """Frames at scene changes and at least every ``limits.frame_seconds``, at most ``limits.max_frames``, spread over
    the whole video.

    Only key frames are looked at where the video is long and has many, so an hour costs seconds. Raises
    UnreadableMedia.
    """
    import av

    try:
        with open_container(path) as container:
            stream = bounded(container, limits, path)
            duration = float(container.duration or 0) / av.time_base
            step = max(limits.frame_seconds, duration / (0.75 * limits.max_frames))
            stream.thread_type = "AUTO"
            if duration > LONG_SECONDS and _second_key(path) < 2 * step:
                stream.codec_context.skip_frame = "NONKEY"
            for now, frame in _sampled(container.decode(stream), step, duration, limits.max_frames):
                yield Frame(now, _upright(frame, limits, path))
    except MediaError:
        raise
    except (av.FFmpegError, OSError, ValueError, IndexError, ArithmeticError, MemoryError) as error:
        raise broken("video", error, path) from error


def bounded(container: Any, limits: Limits, path: Path) -> Any:
    """The moving pictures of a container, refused where they are, and not decoded where they become, too large."""
    stream = decodable(moving_streams(container), "video", path)
    check_size((stream.codec_context.width, stream.codec_context.height), limits, path)
    stream.codec_context.options = {"max_pixels": str(limits.max_image_megapixels * 1_000_000)}
    return stream


def _sampled(source: Iterable[Any], step: float, duration: float, most: int) -> Iterator[tuple[float, Any]]:
    """``(seconds, frame)`` of the frames to take. Scene changes are taken out of what the regular steps leave over."""
    taken, taken_at, looked_at, changed = 0, -math.inf, -math.inf, False
    last_look: NDArray[np.float32] | None = None
    for frame in source:
        now = float(frame.time or 0)
        due = now - taken_at >= step - 1e-3
        if not due and now - looked_at < min(0.2, step / 4):
            continue
        looked_at = now
        look = np.divide(frame.reformat(32, 32, "rgb24").to_ndarray(), 255, dtype=np.float32)
        changed = changed or (last_look is not None and float(np.abs(look - last_look).mean()) > SCENE_CHANGE)
        last_look = look
        spare = taken + 1 + max(0.0, duration - now) / step < most
        if due or (changed and spare and now - taken_at > step / 4):
            taken, taken_at, changed = taken + 1, now, False
            yield now, frame
        if taken >= most:
            return


def _second_key(path: Path) -> float:
    """Seconds from the first to the second key frame; infinity where there is no second."""
    with open_container(path) as container:
        stream = decodable(moving_streams(container), "video", path)
        keys = (p.pts for p in container.demux(stream) if p.is_keyframe and p.pts is not None)
        first, second = next(keys, None), next(keys, None)
        return math.inf if first is None or second is None else float((second - first) * stream.time_base)


def _upright(frame: Any, limits: Limits, path: Path) -> Picture:
    """The frame as RGB, turned as the container says. A stream may change its size on the way."""
    check_size((frame.width, frame.height), limits, path)
    picture: Picture = frame.to_image()
    turn = round(frame.rotation) % 360
    return picture.rotate(turn, expand=True) if turn else picture


def frame_at(path: Path, seconds: float, limits: Limits) -> Picture:
    """The frame shown at ``seconds``, as RGB."""
    import av

    try:
        with open_container(path) as container:
            stream = bounded(container, limits, path)
            try:
                container.seek(int(max(0.0, seconds) * av.time_base))
            except av.FFmpegError:
                pass  # a container without an index is read from its beginning
            best = None
            for frame in container.decode(stream):
                best = frame
                if float(frame.time or 0) >= seconds - 1e-3:
                    break
            if best is None:
                raise UnreadableMedia("The video has no frame at this time.", path=path)
            return _upright(best, limits, path)
    except MediaError:
        raise
    except (av.FFmpegError, OSError, ValueError, IndexError, ArithmeticError, MemoryError) as error:
        raise broken("video", error, path) from error


def facts(path: Path) -> tuple[float, bool]:
    """``(duration_s, has_sound)``."""
    import av

    try:
        with open_container(path) as container:
            return float(container.duration or 0) / av.time_base, bool(container.streams.audio)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise broken("video", error, path) from error
