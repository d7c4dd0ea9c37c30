"""A video to be watched: its frames from any time on, a few at a time, and its sound in pieces."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import MediaError, UnreadableMedia
from mmstudio.media.container import broken, decodable, open_container
from mmstudio.media.image import check_size
from mmstudio.media.limits import Limits
from mmstudio.media.video import bounded

SCREEN_PIXELS = 960
"""The longer side of a frame to be watched."""
SLACK_SECONDS = 1e-3
"""Times are written with milliseconds; two frames are never nearer than this."""


@dataclass(frozen=True)
class Still:
    """One upright frame, ``(h, w, 3)`` uint8 sRGB at most SCREEN_PIXELS a side, and its time since the beginning."""

    seconds: float
    pixels: NDArray[np.uint8]


class Reel:
    """An open video. For one thread at a time, though not always the same.

    ``seconds`` is how long it is (0: not known), ``frame_seconds`` how long one frame is shown, ``has_sound`` whether
    there is a sound track and ``sound_from`` when that begins. Times count from the beginning of the container, where
    its own clock shows ``begin``.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open a file. Raises MediaError."""
        self._path, self._limits = path, limits
        self._container: Any = None
        self._trouble: MediaError | None = None
        try:
            self._read_facts()
        except BaseException:
            self.close()
            raise

    def _read_facts(self) -> None:
        import av

        with self._told():
            container = self._open()
            self.begin = (container.start_time or 0) / av.time_base
            self.seconds = max(0.0, float(container.duration or 0) / av.time_base)
            rate = float(self._stream.average_rate or self._stream.guessed_rate or 25)
            self.frame_seconds = 1 / min(max(rate, 1), 1000)
            sounds = [s for s in container.streams.audio if s.codec_context is not None]
            self.has_sound = bool(sounds)
            self.sound_from = max(0.0, _starts(sounds[0]) - self.begin) if sounds else 0.0

    def _open(self) -> Any:
        self.close()
        self._container = open_container(self._path)
        self._stream = bounded(self._container, self._limits, self._path)
        self._stream.thread_type = "AUTO"
        self._decoded, self._at = iter(self._container.decode(self._stream)), -math.inf
        return self._container

    def close(self) -> None:
        """Let go of the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A decoder's errors in words."""
        import av

        try:
            yield
        except MediaError:
            raise
        except (av.FFmpegError, OSError, ValueError, IndexError, ArithmeticError, MemoryError) as error:
            raise broken("video", error, self._path) from error

    def at(self, seconds: float, most: int) -> list[Still]:
        """The frame that is shown at ``seconds``, and those after it, ``most`` (two or more) in all."""
        return self._stills(lambda: self._from(seconds), most)

    def after(self, seconds: float, most: int, now: float = 0.0) -> list[Still]:
        """The next frames after the one at ``seconds``; fewer than ``most`` where the video ends.

        Of frames whose time is over at ``now`` only the last is given, so that a slow computer keeps up. Where the
        video broke in the last batch, the error comes now.
        """
        if self._trouble is not None and self._at == seconds:
            raise self._trouble
        def following() -> Iterator[Any]:
            if self._at != seconds:
                self._seek(seconds)
            frames = (frame for time, frame in self._timed() if time > seconds + SLACK_SECONDS)
            return _without_past(frames, lambda frame: self._time(frame) <= now)

        return self._stills(following, most)

    def before(self, seconds: float, most: int) -> list[Still]:
        """Frames before ``seconds`` in order: the last ``most``, but none before the key frame that leads to them. None
        at all only at the beginning.
        """
        with self._told():
            found: deque[Any] = deque(maxlen=most)
            back = 0.0
            # An index may lead to a key frame that is no earlier: then farther back, at last to the beginning.
            while not found and seconds - back > -1:
                self._seek(seconds - SLACK_SECONDS - back)
                for time, frame in self._timed():
                    if time >= seconds - SLACK_SECONDS:
                        break
                    found.append(frame)
                back = back * 4 + 1
            self._at = math.nan
            return [self._still(frame) for frame in found]

    def _stills(self, frames: Callable[[], Iterator[Any]], most: int) -> list[Still]:
        """Where the video breaks within a batch, what came before is given, and the error kept for the next."""
        found: list[Still] = []
        try:
            with self._told():
                for frame in itertools.islice(frames(), max(2, most)):
                    found.append(self._still(frame))
        except MediaError as error:
            if not found:
                raise
            self._trouble = error
        if found:
            self._at = found[-1].seconds
        return found

    def _from(self, seconds: float) -> Iterator[Any]:
        self._seek(seconds)
        return _without_past((frame for _, frame in self._timed()),
                             lambda frame: self._time(frame) <= seconds + SLACK_SECONDS)

    def _seek(self, seconds: float) -> None:
        import av

        self._trouble = None
        try:
            self._container.seek(round((self.begin + max(0.0, seconds)) * av.time_base))
            self._decoded, self._at = iter(self._container.decode(self._stream)), -math.inf
        except av.FFmpegError:  # a container without an index is read from its beginning
            self._open()

    def _timed(self) -> Iterator[tuple[float, Any]]:
        for frame in self._decoded:
            yield self._time(frame), frame

    def _time(self, frame: Any) -> float:
        return float(frame.time or 0) - self.begin

    def _still(self, frame: Any) -> Still:
        check_size((frame.width, frame.height), self._limits, self._path)
        shrink = min(1.0, SCREEN_PIXELS / max(frame.width, frame.height))
        width, height = (max(1, round(side * shrink)) for side in (frame.width, frame.height))
        pixels = frame.reformat(width, height, "rgb24").to_ndarray()
        return Still(self._time(frame), np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4)))

    def sound(self, seconds: float, length: float) -> tuple[NDArray[np.float32], int]:
        """``(samples (n,) float32 mono, rate_hz)``: ``length`` seconds of sound from ``seconds`` on; fewer samples at
        its end. Where the track begins later, silence comes before it. Opens the file anew, so any thread may ask.
        """
        with self._told(), open_container(self._path) as container:
            return _sound(container, self.begin, seconds, length, self._path)


def _starts(stream: Any) -> float:
    return float((stream.start_time or 0) * stream.time_base)


def _without_past(frames: Iterator[Any], past: Callable[[Any], bool]) -> Iterator[Any]:
    """All frames but those that are past when another past one follows. A past one is given with the next at hand, so
    who takes it must take one more.
    """
    kept = None
    for frame in frames:
        if past(frame):
            kept = frame
            continue
        if kept is not None:
            yield kept
            kept = None
        yield frame
    if kept is not None:
        yield kept


def _sound(container: Any, begin: float, seconds: float, length: float, path: Path) -> tuple[NDArray[np.float32], int]:
    import av

    stream = decodable(list(container.streams.audio), "sound", path)
    if seconds > 0:
        try:
            container.seek(round((begin + seconds) * av.time_base))
        except av.FFmpegError:
            pass
    planar = av.AudioResampler(format="fltp")  # see media.audio
    pieces: list[NDArray[np.float32]] = []
    rate, first, heard = 0, 0.0, 0
    try:
        for frame in container.decode(stream):
            for piece in planar.resample(frame):
                if not pieces:
                    rate, first = int(piece.sample_rate), float(frame.time or 0) - begin
                pieces.append(piece.to_ndarray().mean(axis=0, dtype=np.float32))
                heard += pieces[-1].size
            if rate and first + heard / rate >= seconds + length:
                break
    except (av.FFmpegError, ValueError):
        if not pieces:  # else a track that breaks off is heard up to there
            raise
    if not pieces or first + heard / rate <= seconds:
        raise UnreadableMedia("The video holds no sound from this time on.", path=path)
    samples = np.nan_to_num(np.concatenate(pieces), posinf=0, neginf=0)
    late = round((first - seconds) * rate)
    samples = samples[-late:] if late < 0 else np.concatenate([np.zeros(min(late, round(length * rate)), np.float32),
                                                               samples])
    return samples[: round(length * rate)], rate
