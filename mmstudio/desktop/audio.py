"""Microphone and loudspeaker through PortAudio. Without a device or without PortAudio all else works."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from mmstudio.desktop.text import tr
from mmstudio.errors import AudioDeviceError

LONGEST_RECORDING_SECONDS = 60


@dataclass(frozen=True)
class Microphone:
    """A recording device: its number for PortAudio, name and rate."""

    index: int
    name: str
    rate_hz: int


def portaudio() -> Any:
    """The sounddevice module. Raises AudioDeviceError where PortAudio is missing."""
    try:
        import sounddevice
    except OSError as error:
        raise AudioDeviceError(tr("Sound needs the PortAudio library, which is not installed."),
                               hint=tr("On Debian and Ubuntu: sudo apt-get install libportaudio2")) from error
    return sounddevice


def microphones() -> list[Microphone]:
    """Recording devices, the system's first. Raises AudioDeviceError where there is none."""
    sd = portaudio()
    try:
        sd._terminate()  # PortAudio lists devices once, when it starts
        sd._initialize()
        default = sd.default.device[0]
        found = [Microphone(i, str(d["name"]), int(d["default_samplerate"]))
                 for i, d in enumerate(sd.query_devices()) if d["max_input_channels"] > 0]
    except sd.PortAudioError as error:
        raise AudioDeviceError(tr("The sound devices cannot be listed ({}).").format(error)) from error
    if not found:
        raise AudioDeviceError(tr("No microphone was found."), hint=tr("Connect one and press “Look again”."))
    return sorted(found, key=lambda m: m.index != default)


class Recorder(QObject):
    """Records mono float32; ``level`` (0..1) fifteen times a second."""

    level = Signal(float)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._blocks: list[NDArray[np.float32]] = []
        self._lock = threading.Lock()
        self._stream: Any = None
        self.rate_hz = 0
        self._meter = QTimer(self, interval=66)
        self._meter.timeout.connect(self._measure)

    @property
    def recording(self) -> bool:
        return self._stream is not None

    def seconds(self) -> float:
        """How long the recording is by now."""
        with self._lock:
            return sum(map(len, self._blocks)) / max(1, self.rate_hz)

    def start(self, microphone: Microphone) -> None:
        """Begin. Raises AudioDeviceError where the device cannot be opened."""
        sd = portaudio()
        self._blocks, self.rate_hz = [], microphone.rate_hz
        try:
            self._stream = sd.InputStream(samplerate=microphone.rate_hz, device=microphone.index, channels=1,
                                          dtype="float32", callback=self._heard)
            self._stream.start()
        except (sd.PortAudioError, ValueError) as error:
            self._stream = None
            raise AudioDeviceError(tr("The microphone “{}” cannot be opened ({}).").format(microphone.name, error),
                                   hint=tr("Is another program using it?")) from error
        self._meter.start()

    def _heard(self, block: NDArray[np.float32], frames: int, when: Any, status: Any) -> None:
        with self._lock:
            self._blocks.append(block[:, 0].copy())

    def _measure(self) -> None:
        with self._lock:
            recent = np.concatenate(self._blocks[-8:]) if self._blocks else np.zeros(1, np.float32)
        loudness = 20 * np.log10(max(float(np.sqrt((np.nan_to_num(recent) ** 2).mean())), 1e-6))
        self.level.emit(float(np.clip((loudness + 60) / 60, 0, 1)))
        if self._stream is not None and not self._stream.active:
            self.stop()
            self.failed.emit(AudioDeviceError(tr("The microphone stopped answering.")))

    def stop(self) -> NDArray[np.float32]:
        """End, and give ``(n,)`` float32 samples at ``rate_hz``."""
        self._meter.stop()
        if self._stream is not None:
            self._stream.abort()
            self._stream.close()
            self._stream = None
        with self._lock:
            return np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)


class Player(QObject):
    """Plays one sound at a time; ``moved`` tells the place in seconds, None when it ended.

    ``ended`` where the sound was over by itself, ``stopped`` where somebody ended it. ``speed`` is the rate at which it
    is played, and pitch follows; ``loop`` plays it again and again, within ``mark`` (seconds) where that is set.
    """

    moved = Signal(object)
    ended = Signal()
    stopped = Signal()
    failed = Signal(object)
    choicesChanged = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._samples = np.zeros(0, np.float32)
        self._rate = 16_000
        self._at = 0.0
        self._whole = True
        self._lock = threading.Lock()  # PortAudio's thread moves the place, and so does the person
        self._stream: Any = None
        self.speed, self.loop = 1.0, False
        self.mark: tuple[float, float] | None = None
        self._tick = QTimer(self, interval=40)
        self._tick.timeout.connect(self._tell)

    @property
    def playing(self) -> bool:
        return self._stream is not None

    @property
    def seconds(self) -> float:
        return len(self._samples) / self._rate

    @property
    def position(self) -> float:
        """The place that is heard, in seconds: what is on its way to the loudspeaker is not yet."""
        late = float(self._stream.latency) * self.speed if self._stream is not None else 0.0
        return max(0.0, self._at / self._rate - late)

    def load(self, samples: NDArray[np.float32], rate_hz: int, whole: bool = True) -> None:
        """Take ``(n,)`` float32 to play; what is not ``whole`` is not looped."""
        self.pause()
        self._samples, self._rate, self._at, self._whole, self.mark = samples, rate_hz, 0.0, whole, None
        self.moved.emit(None)

    def choose(self, speed: float | None = None, loop: bool | None = None) -> None:
        """Change how it plays, at once."""
        self.speed = self.speed if speed is None else speed
        self.loop = self.loop if loop is None else loop
        self.choicesChanged.emit()

    def play(self) -> None:
        """Play from where it stands. Raises AudioDeviceError where there is no loudspeaker."""
        if self._stream is not None or not len(self._samples):
            return
        sd = portaudio()
        if self._at >= len(self._samples):
            self._at = 0.0
        try:
            self._stream = sd.OutputStream(samplerate=self._rate, channels=1, dtype="float32", callback=self._fill)
            self._stream.start()
        except (sd.PortAudioError, ValueError) as error:
            self._stream = None
            raise AudioDeviceError(tr("The sound cannot be played ({}).").format(error),
                                   hint=tr("Is a loudspeaker connected?")) from error
        self._tick.start()

    def _fill(self, out: NDArray[np.float32], frames: int, when: Any, status: Any) -> None:
        with self._lock:
            out[:, 0], self._at = heard(self._samples, self._at, self.speed, frames, self._looped())

    def _looped(self) -> tuple[int, int] | None:
        """First and last sample of what is repeated."""
        if not self.loop or not self._whole:
            return None
        start, end = (0, len(self._samples)) if self.mark is None else (round(at * self._rate) for at in self.mark)
        return start, max(start + 1, min(end, len(self._samples)))

    def pause(self) -> None:
        self._tick.stop()
        if self._stream is not None:
            self._stream.abort()
            self._stream.close()
            self._stream = None

    def stop(self) -> None:
        self.pause()
        self._at = 0.0
        self.stopped.emit()
        self.moved.emit(None)

    def seek(self, seconds: float) -> None:
        with self._lock:
            self._at = float(np.clip(seconds * self._rate, 0, len(self._samples)))
        self.moved.emit(self._at / self._rate)

    def toggle(self) -> None:
        """Play or pause."""
        if self.playing:
            self.pause()
        else:
            self.play()

    def _tell(self) -> None:
        if self._at >= len(self._samples):
            self.pause()
            self._at = 0.0
            self.ended.emit()
            self.moved.emit(None)
        elif not self._stream.active:
            self.pause()
            self.moved.emit(self._at / self._rate)
            self.failed.emit(AudioDeviceError(tr("The loudspeaker stopped answering.")))
        else:
            self.moved.emit(self.position)


def heard(
    samples: NDArray[np.float32], at: float, speed: float, frames: int, loop: tuple[int, int] | None,
) -> tuple[NDArray[np.float32], float]:
    """``(frames,)`` float32 from sample ``at`` on at ``speed``, and where it goes on; silence after the end.

    Between two samples the straight line is taken. ``loop`` (first, last + 1) is repeated once it has been reached.
    """
    places = at + speed * np.arange(frames + 1)
    if loop is not None:
        start, end = loop
        places = np.where(places < end, places, start + (places - start) % (end - start))
    whole = places[:-1].astype(np.int64)
    out = np.zeros(frames, np.float32)
    inside = whole < len(samples)
    here = whole[inside]
    left, right = samples[here], samples[np.minimum(here + 1, len(samples) - 1)]
    out[inside] = left + (right - left) * (places[:-1][inside] - here).astype(np.float32)
    return out, float(places[-1])
