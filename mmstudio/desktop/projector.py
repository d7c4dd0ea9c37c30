"""Plays a video: frames from the pool a few ahead of a clock, which is the sound's where that can be played."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from mmstudio.desktop import heat
from mmstudio.desktop.audio import Player
from mmstudio.desktop.text import clock, tr
from mmstudio.desktop.worker import Pool
from mmstudio.errors import AudioDeviceError, StudioError, UnreadableMedia
from mmstudio.media import Limits
from mmstudio.media.playback import Reel, Still

AHEAD, BEHIND = 10, 6
"""Frames that are kept on each side of the one that is shown; 27 MB for the largest."""
TRACK_SECONDS, TRACK_LEFT_SECONDS, SPARE_SECONDS = 120.0, 10.0, 1.0
"""How much sound is decoded at once, when the next is asked for, and by how much less is the last piece."""
TICK_MS = 15


@dataclass(frozen=True)
class Shown:
    """A decoded frame and its time."""

    seconds: float
    image: QImage


class Projector(QObject):
    """One video at a time, and one question to the pool at a time, for a reel is no work for two threads.

    ``shown`` brings a QImage, ``moved`` the place in seconds; ``changed`` where it was opened, plays, or stands.
    """

    shown = Signal(object)
    moved = Signal(float)
    changed = Signal()
    failed = Signal(object)
    noted = Signal(str)

    def __init__(self, pool: Pool, player: Player, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool, self._player = pool, player
        self._reel: Reel | None = None
        self._generation = 0
        self.playing = False
        self._elapsed = QElapsedTimer()
        self._tick = QTimer(self, interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self._tick.timeout.connect(self._turn)
        player.stopped.connect(self.pause)
        player.failed.connect(self._went_mute)
        self._forget()

    def _forget(self) -> None:
        self._frames: list[Shown] = []
        self._index, self._steps, self._base = 0, 0, 0.0
        self._target: float | None = None
        self._asking = self._fetching = self._ended = self._mute = False
        self._trouble: StudioError | None = None
        self._track: tuple[float, float] | None = None
        self._silent_from = math.inf

    # ---- what a person does -----------------------------------------------------------------------------------

    def open(self, path: Path, limits: Limits, seconds: float) -> None:
        """Show the frame of a video at ``seconds`` of the container's own clock, which need not begin with zero."""
        self.close()
        generation = self._generation

        def opened(reel: Reel) -> None:
            if generation != self._generation:
                self._let_go(reel)
                return
            self._reel = reel
            self.changed.emit()
            self.seek(seconds - reel.begin)
            self._fetch_track(self._base)

        self._pool.ask(lambda: Reel(path, limits), opened,
                       lambda error: self._broke(error) if generation == self._generation else None)

    def close(self) -> None:
        """Forget the video."""
        self.pause()
        self._generation += 1
        if self._reel is not None and not self._asking:
            self._let_go(self._reel)  # else the answer that is on its way does
        self._reel = None
        self._forget()

    def _let_go(self, reel: Reel) -> None:
        self._pool.ask(reel.close, lambda _: None)

    @property
    def opened(self) -> bool:
        return self._reel is not None

    @property
    def seconds(self) -> float:
        """How long the video is, as far as is known."""
        last = self._frames[-1].seconds if self._frames else 0.0
        return max(self._reel.seconds if self._reel else 0.0, last)

    @property
    def position(self) -> float:
        return self._now() if self.playing else self._base

    @property
    def sound_from(self) -> float:
        """When the video's sound begins."""
        return self._reel.sound_from if self._reel else 0.0

    def toggle(self) -> None:
        """Play or pause."""
        if self.playing:
            self.pause()
        else:
            self.play()

    def play(self) -> None:
        if self._reel is None or self.playing:
            return
        if self._over(self._base) and self._target is None:
            self.seek(0.0)
        self.playing = True
        self._elapsed.start()
        self._start_sound()
        self._tick.start()
        self.changed.emit()

    def pause(self) -> None:
        if self.playing:
            self._base = self._now()
            self.playing = False
            self._tick.stop()
            self._player.pause()
            self.changed.emit()

    def seek(self, seconds: float) -> None:
        """Go to a place; of many while one is looked up only the newest is shown."""
        if self._reel is None:
            return
        end = self._reel.seconds or math.inf
        self._base = self._target = min(max(0.0, seconds), end)
        self._steps = 0
        if self.playing:
            self._elapsed.restart()
            self._player.pause()
            self._start_sound()
        self.moved.emit(self._base)
        self._want()

    def step(self, frames: int) -> None:
        """Stand still, and go on or back by frames."""
        if self._reel is None:
            return
        self.pause()
        turned = self._steps * frames < 0  # who turns round does not wait for steps that the video may not have
        self._steps = frames if turned else self._steps + frames
        self._settle()
        self._want()

    # ---- frames -----------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Reel], list[Still]], then: Callable[[list[Shown]], None]) -> None:
        reel, generation = self._reel, self._generation
        assert reel is not None
        self._asking = True

        def current() -> bool:
            if generation == self._generation:
                self._asking = False
                return True
            self._let_go(reel)
            return False

        def done(found: list[Shown]) -> None:
            if current():
                then(found)
                self._settle()
                self._want()

        def failed(error: StudioError) -> None:
            if current():
                self._broke(error)

        self._pool.ask(lambda: _pictures(question(reel)), done, failed)

    def _want(self) -> None:
        """Ask for what is needed next, if anything."""
        if self._reel is None or self._asking:
            return
        if self._target is not None:
            target, self._target = self._target, None
            self._ask(lambda reel: reel.at(target, 4), self._arrived)
        elif self._steps < 0 and self._frames:
            first = self._frames[0].seconds
            self._ask(lambda reel: reel.before(first, BEHIND), self._came_before)
        elif self._frames and not self._ended and len(self._frames) - self._index - 1 < AHEAD // 2:
            last, now = self._frames[-1].seconds, self._now() if self.playing else 0.0
            self._ask(lambda reel: reel.after(last, AHEAD // 2, now), self._came_after)

    def _arrived(self, found: list[Shown]) -> None:
        if not found:
            self._broke(UnreadableMedia(tr("The video holds no frame that can be decoded.")))
        elif self._target is None:
            self._frames, self._ended, self._trouble = found, False, None
            self._show(0)

    def _came_after(self, found: list[Shown]) -> None:
        if self._target is None:
            spare = max(0, self._index - BEHIND)
            self._frames, self._index = self._frames[spare:] + found, self._index - spare
            self._ended = not found

    def _came_before(self, found: list[Shown]) -> None:
        if self._target is None:
            kept = self._frames[: self._index + AHEAD]
            self._ended = self._ended and len(kept) == len(self._frames)
            self._frames, self._index = found + kept, self._index + len(found)
            self._steps = self._steps if found else 0

    def _settle(self) -> None:
        """Take the steps for which there are frames. Where one step fails for the video is broken, say so."""
        moved = min(max(self._index + self._steps, 0), max(0, len(self._frames) - 1)) - self._index
        if self._target is not None or not self._frames:
            return
        if moved:
            self._steps -= moved
            self._base = self._frames[self._index + moved].seconds
            self._show(self._index + moved)
            self.moved.emit(self._base)
        if self._steps > 0 and self._ended:
            self._steps = 0
            self._tell_trouble()

    def _show(self, index: int) -> None:
        self._index = index
        self.shown.emit(self._frames[index].image)

    def _broke(self, error: StudioError) -> None:
        """What was decoded before the break is still played; without any frame it is told at once."""
        self._ended, self._trouble = True, error
        if not self._frames or self._index == len(self._frames) - 1:
            self.pause()
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        if self._trouble is not None:
            self.failed.emit(self._trouble)

    # ---- the clock --------------------------------------------------------------------------------------------

    def _now(self) -> float:
        if self._player.playing and self._track is not None:
            return self._track[0] + self._player.position
        return self._base + self._elapsed.elapsed() / 1000 * self._player.speed

    def _over(self, now: float) -> bool:
        """Whether the last frame has been shown for its time."""
        last = bool(self._frames) and self._index == len(self._frames) - 1
        return (self._ended and last and self._reel is not None
                and now >= self._frames[-1].seconds + self._reel.frame_seconds - 1e-3)

    def _turn(self) -> None:
        """What is due now: another frame, more of them, more sound, the end."""
        now = self._now()
        index = self._index
        while index + 1 < len(self._frames) and self._frames[index + 1].seconds <= now:
            index += 1
        if index != self._index and self._target is None:
            self._show(index)
        if self._target is None and not self._player.playing:
            now = self._held(now)
        self._base = now
        self._elapsed.restart()
        self.moved.emit(now)
        if self._over(now) and not self._player.playing:
            self._finish()
            return
        self._keep_sounding(now)
        self._want()

    def _held(self, now: float) -> float:
        """Without sound the clock waits for frames that are late."""
        if not self._frames or self._reel is None or self._index < len(self._frames) - 1 or self._ended:
            return now
        return min(now, max(self._base, self._frames[-1].seconds + self._reel.frame_seconds))

    def _finish(self) -> None:
        if self._player.loop and self._trouble is None:
            self.seek(0.0)
            return
        self.pause()
        if self._trouble is not None:
            self._tell_trouble()
        elif self._reel is not None and self._reel.seconds - self._base > 1:
            self.noted.emit(tr("The pictures end at {} of {}: the video is cut short.").format(
                clock(self._base), clock(self._reel.seconds)))

    # ---- the sound --------------------------------------------------------------------------------------------

    def _start_sound(self) -> None:
        """Play the sound from where the video stands, if it is at hand; else as soon as it is."""
        if self._reel is None or not self._reel.has_sound or self._mute or self._base >= self._silent_from:
            return
        if self._track is None or not self._track[0] <= self._base < self._track[1]:
            self._fetch_track(self._base)
            return
        self._player.seek(self._base - self._track[0])
        try:
            self._player.play()
        except AudioDeviceError as error:
            self._went_mute(error)

    def _went_mute(self, error: StudioError) -> None:
        if self._reel is not None and self._reel.has_sound:
            self._mute = True
            self._elapsed.restart()
            self.noted.emit(tr("The pictures play without sound: {}").format(error))

    def _fetch_track(self, seconds: float) -> None:
        reel, generation = self._reel, self._generation
        if reel is None or not reel.has_sound or self._fetching:
            return
        self._fetching = True

        def done(found: tuple[object, int]) -> None:
            if generation != self._generation:
                return
            self._fetching = False
            samples, rate = found
            now = self._now() if self.playing else self._base
            self._player.load(samples, rate, whole=False)  # type: ignore[arg-type]
            self._track = seconds, seconds + self._player.seconds
            if self.playing:
                self._base = now
                self._elapsed.restart()
                self._start_sound()

        def failed(_: StudioError) -> None:
            if generation == self._generation:  # the track ends before the pictures do, or is broken from here on
                self._fetching, self._silent_from = False, min(seconds, self._silent_from)

        self._pool.ask(lambda: reel.sound(seconds, TRACK_SECONDS), done, failed)

    def _keep_sounding(self, now: float) -> None:
        """Have the next piece of a long sound at hand before this one ends, and join in where one was late."""
        if self._reel is None or self._mute or self._fetching or not self._reel.has_sound or now >= self._silent_from:
            return
        if not self._player.playing:
            self._start_sound()
        elif self._track is not None:
            start, end = self._track
            if end - now < TRACK_LEFT_SECONDS and end - start >= TRACK_SECONDS - SPARE_SECONDS:
                self._fetch_track(now)


def _pictures(stills: list[Still]) -> list[Shown]:
    return [Shown(still.seconds, heat.as_image(still.pixels)) for still in stills]
