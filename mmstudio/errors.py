"""Every error a person can meet, as one tree.

A foreign library's exception is translated into one of these where it enters; the shell shows them with what
happened, to which file, and what to do. Cancelling is not an error.
"""

from __future__ import annotations

from pathlib import Path


class StudioError(Exception):
    """Base of all errors shown to a person.

    ``what`` says what happened in one sentence, ``hint`` what the person can do, ``path`` which file it concerns.
    """

    def __init__(self, what: str, *, path: Path | str | None = None, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.path = None if path is None else str(path)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


class MediaError(StudioError):
    """A file could not become media."""


class UnreadableMedia(MediaError):
    """The file is broken, empty, or may not be read."""


class UnsupportedMedia(MediaError):
    """The bytes are of no kind that the studio reads."""


class MediaTooLarge(MediaError):
    """The file is over a limit that the settings name."""


class EncoderError(StudioError):
    """A model could not be loaded or run."""


class ModelNotFound(EncoderError):
    """No folder and no cached hub model of that name."""


class ModelRefused(EncoderError):
    """The model would need pickled weights, remote code, or a family the studio does not know."""


class DownloadError(EncoderError):
    """A hub model could not be fetched or removed; what had arrived is kept unless the sentence says otherwise."""


class OutOfMemory(EncoderError):
    """One single input does not fit into the device's memory."""


class WrongModality(EncoderError):
    """The encoder does not read this modality."""


class AttentionUnavailable(EncoderError):
    """The model gives no attention, or what it calls attention is not (rows do not sum to 1, wrong rank)."""


class SpaceMismatch(StudioError):
    """Vectors of different spaces were about to be compared."""


class TrainingError(StudioError):
    """Examples, a job or a run do not allow what was asked for."""


class ProjectError(StudioError):
    """A project's folder could not be opened or written."""


class AudioDeviceError(StudioError):
    """No microphone or loudspeaker, or PortAudio is missing."""


class SettingsError(StudioError):
    """A setting has a value outside what it accepts."""
