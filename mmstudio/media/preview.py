"""The preview of one item, made by itself."""

from __future__ import annotations

from mmstudio.media import audio, image, video
from mmstudio.media.limits import Limits
from mmstudio.media.load import MediaRef, frame_seconds
from mmstudio.media.sniff import read_head


def preview(ref: MediaRef, limits: Limits) -> bytes:
    """What ``describe`` tells as the preview of an item: a JPEG of a picture, peaks of a sound, nothing of a text.

    Raises MediaError.
    """
    if ref.modality == "text":
        return b""
    read_head(ref.path, 1)
    if ref.modality == "audio":
        return audio.survey(ref.path)[0].tobytes()
    if ref.part:
        return image.thumbnail(video.frame_at(ref.path, frame_seconds(ref.part), limits))
    return image.thumbnail(image.open_image(ref.path, limits, draft=2 * image.THUMBNAIL_PIXELS))
