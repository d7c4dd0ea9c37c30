"""An item's media, decoded for an encoder or a person's eyes and ears."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import UnreadableMedia
from mmstudio.media import audio, image, video
from mmstudio.media.limits import Limits
from mmstudio.media.sniff import Modality, read_head

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True)
class AudioClip:
    """Mono sound as windows of equal rate: a short sound is one window, a long one several spread over it."""

    windows: tuple[NDArray[np.float32], ...]
    rate_hz: int


Media: TypeAlias = Union["Picture", AudioClip, str]


@dataclass(frozen=True)
class MediaRef:
    """Where an item's media is: a file, the ``part`` of it, and for texts the text itself."""

    path: Path
    modality: Modality
    part: str = ""
    text: str = ""


def load(ref: MediaRef, limits: Limits, *, rate_hz: int = 16_000, window_seconds: float = 10.0) -> Media:
    """Decode: an RGB picture, an AudioClip at ``rate_hz``, or a text. Raises MediaError."""
    if ref.modality == "text":
        return ref.text
    read_head(ref.path, 1)
    if ref.modality == "audio":
        return AudioClip(tuple(audio.windows(ref.path, rate_hz, window_seconds)), rate_hz)
    if ref.part:
        return video.frame_at(ref.path, frame_seconds(ref.part), limits)
    return image.open_image(ref.path, limits)


def frame_part(seconds: float) -> str:
    """The part name of a video's frame."""
    return f"frame {seconds:.3f} s"


def frame_seconds(part: str) -> float:
    """When the frame of that part name is shown."""
    try:
        return float(part.split()[1])
    except (IndexError, ValueError) as error:
        raise UnreadableMedia(f"“{part}” names no frame of a video.") from error
