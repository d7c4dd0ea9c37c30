"""Pictures: any file Pillow reads, plus HEIC, as upright 8-bit sRGB without transparency."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmstudio.errors import MediaError, MediaTooLarge, UnreadableMedia
from mmstudio.media.limits import Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

Taken = TypeVar("Taken")

THUMBNAIL_PIXELS = 192
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_registered = False


def prepare_pillow() -> None:
    """Teach Pillow HEIC, leave the size limit to ``Limits`` (Pillow's own only warns up to twice its value), and keep
    it from warning about oddities of files. The filter is global on purpose: ``catch_warnings`` is not for threads.
    """
    global _registered
    warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.")
    if not _registered:
        import pillow_heif
        from PIL import Image

        pillow_heif.register_heif_opener()
        logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its log of broken files goes to stderr
        Image.MAX_IMAGE_PIXELS = None
        _registered = True


def open_image(path: Path, limits: Limits, *, draft: int = 0) -> Picture:
    """Decode the first frame as an upright RGB picture in sRGB, transparency laid over white.

    ``draft`` > 0 lets JPEG decode at a fraction of its size, never below ``draft`` pixels a side: for thumbnails.
    Raises UnreadableMedia for broken files and MediaTooLarge above ``limits.max_image_megapixels``.
    """
    def shown(upright: Picture, full_size: tuple[int, int]) -> Picture:
        picture = to_srgb(upright)
        picture.info["full_size"] = full_size
        return picture

    return _decoded(path, limits, draft, shown)


def open_pixels(path: Path, limits: Limits) -> NDArray[np.uint8]:
    """The first frame's own upright pixels in 8-bit sRGB: ``(h, w, 3)``, or ``(h, w, 4)`` where it has transparency,
    whose colours are not laid over anything. Raises as ``open_image``.
    """
    return _decoded(path, limits, 0, lambda upright, _: _with_alpha(upright))


def _decoded(path: Path, limits: Limits, draft: int, taken: Callable[[Picture, tuple[int, int]], Taken]) -> Taken:
    """What ``taken`` makes of the upright first frame and its size before any draft, while the file is open."""
    prepare_pillow()
    from PIL import Image

    try:
        with open(path, "rb") as file, Image.open(file) as opened:
            check_size(opened.size, limits, path)
            full_size = opened.size
            if draft:
                opened.draft("RGB", (draft, draft))
            opened.load()
            upright, turned = _upright(opened)
            return taken(upright, full_size[::-1] if turned else full_size)
    except MediaError:
        raise
    except Exception as error:  # a decoder over hostile bytes may raise anything
        raise UnreadableMedia(f"The picture is broken or cut short ({_why(error)}).", path=path) from error


def _with_alpha(picture: Picture) -> NDArray[np.uint8]:
    import numpy as np

    if picture.mode == "PA" or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode not in ("LA", "RGBA"):
        return np.array(to_srgb(picture))
    colours = to_srgb(picture.convert("L" if picture.mode == "LA" else "RGB"))
    return np.dstack([np.asarray(colours), np.asarray(picture.getchannel("A"))])


def _upright(picture: Picture) -> tuple[Picture, bool]:
    """The picture as its EXIF orientation says, and whether width and height changed places. Broken EXIF says nothing.
    """
    from PIL import ExifTags, ImageOps

    try:
        turned = picture.getexif().get(ExifTags.Base.Orientation) in _TURNED
        return ImageOps.exif_transpose(picture), turned
    except Exception:  # noqa: BLE001 - the pixels are sound, whatever a hostile tag raises
        return picture, False


def check_size(size: tuple[int, int], limits: Limits, path: Path) -> None:
    """Raise MediaTooLarge for a picture that would unfold beyond the limit."""
    megapixels = size[0] * size[1] / 1e6
    if megapixels > limits.max_image_megapixels:
        raise MediaTooLarge(
            f"The picture has {size[0]:,} × {size[1]:,} pixels ({megapixels:,.0f} megapixels).", path=path,
            hint=f"The limit is {limits.max_image_megapixels} megapixels (Settings ▸ Largest picture).")
    if size[0] < 1 or size[1] < 1:
        raise UnreadableMedia("The picture has no pixels.", path=path)


def to_srgb(picture: Picture) -> Picture:
    """Any Pillow mode to 8-bit RGB in sRGB over white."""
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _to_8_bit(picture)
    if picture.mode in ("P", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is not None:
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
    rgb = _apply_profile(picture)
    if alpha is not None and alpha.getextrema() != (255, 255):
        white = Image.new("RGB", rgb.size, "white")
        white.paste(rgb, mask=alpha)
        rgb = white
    return rgb


def _to_8_bit(picture: Picture) -> Picture:
    """16-bit, 32-bit and float greys to 8 bits: integers by their own full scale, floats by 1.0 or else their range."""
    import numpy as np
    from PIL import Image

    grey = np.asarray(picture).astype(np.float64)
    grey = np.nan_to_num(grey, posinf=0, neginf=0)
    top = float(grey.max(initial=0))
    if picture.mode == "F":
        low = min(0.0, float(grey.min(initial=0)))
        scale = 255 / max(top - low, 1e-12) if top > 1 or low < 0 else 255.0
        grey = (grey - low) * scale
    else:
        grey = grey * (255 / (65535 if picture.mode.startswith("I;16") or top <= 65535 else top))
        if picture.mode == "I" and top <= 255:
            grey = np.asarray(picture).astype(np.float64)
    return Image.fromarray(np.clip(grey + 0.5, 0, 255).astype(np.uint8))


def _apply_profile(picture: Picture) -> Picture:
    """Convert by the embedded ICC profile; a profile that is broken or of another colour model is ignored."""
    from PIL import ImageCms

    if picture.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(picture, lab, _srgb(), outputMode="RGB") or picture
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "L", "CMYK"):
        try:
            converted = ImageCms.profileToProfile(
                picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _srgb(), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


def thumbnail(picture: Picture) -> bytes:
    """A JPEG of at most THUMBNAIL_PIXELS a side."""
    from PIL import Image

    small = picture.copy()
    small.info = {}  # a huge comment would not fit into a JPEG
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def _why(error: Exception) -> str:
    """The reason in a person's words: Pillow's own messages hold chunk names, offsets and object names."""
    from PIL import UnidentifiedImageError

    said = str(error).lower()
    if isinstance(error, UnidentifiedImageError):
        return "its header makes no sense"
    if isinstance(error, MemoryError):
        return "it would not fit into memory"
    if "text_chunk" in said or "text memory" in said:
        return "its text notes unfold beyond all bounds"
    if "truncated" in said or "end of file" in said or isinstance(error, EOFError):
        return "it ends too early"
    return "its data make no sense"
