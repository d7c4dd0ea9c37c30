"""How much of a file the studio is willing to unfold."""

from __future__ import annotations

from dataclasses import dataclass

from mmstudio.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Bounds on decoding, all of them settings of the same name."""

    max_image_megapixels: int = 180
    max_text_megabytes: int = 64
    passage_characters: int = 600
    max_passages: int = 10_000
    frame_seconds: float = 5.0
    max_frames: int = 64

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the person set."""
        return cls(**{name: settings[name] for name in cls.__dataclass_fields__})
