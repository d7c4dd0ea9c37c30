"""A file becomes decoded media: what it is, what it holds, how it looks at a glance."""

from mmstudio.media.describe import Description, describe
from mmstudio.media.limits import Limits
from mmstudio.media.load import AudioClip, Media, MediaRef, load
from mmstudio.media.scan import Found, scan
from mmstudio.media.sniff import MODALITIES, Kind, Modality, sniff

__all__ = [
    "MODALITIES", "AudioClip", "Description", "Found", "Kind", "Limits", "Media", "MediaRef", "Modality",
    "describe", "load", "scan", "sniff",
]
