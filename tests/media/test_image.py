"""Pictures become upright 8-bit sRGB without transparency, whatever they were."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from mmstudio.errors import MediaTooLarge, UnreadableMedia
from mmstudio.media import Limits, describe
from mmstudio.media.image import THUMBNAIL_PIXELS, open_image, thumbnail


def near(found, wanted, by=6):
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


def test_every_kind_of_picture_is_one_image_item_with_a_thumbnail(image_kind, make, tmp_path, limits):
    path = make.file(tmp_path, image_kind)
    (item,) = describe(path, limits).items
    picture = open_image(path, limits)
    assert item.modality == "image"
    assert picture.mode == "RGB"
    assert picture.size == (item.facts["width"], item.facts["height"])
    with Image.open(io.BytesIO(item.preview)) as small:
        assert small.format == "JPEG"
        assert max(small.size) <= THUMBNAIL_PIXELS


@pytest.mark.parametrize("ending", ["jpg", "tiff", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_stands_upright(orientation, ending, make, tmp_path, limits):
    upright = make.scene(96, 64)
    undo = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}.get(orientation)
    stored = upright.transpose(undo) if undo is not None else upright
    path = tmp_path / f"turned.{ending}"
    options = {"quality": 95} if ending in ("jpg", "webp") else {}
    stored.save(path, **options, **make.with_orientation(stored, orientation))
    found = open_image(path, limits)
    assert found.size == (96, 64)
    assert np.abs(np.asarray(found, int) - np.asarray(upright, int)).mean() < 4
    facts = describe(path, limits).items[0].facts
    assert (facts["width"], facts["height"]) == (96, 64)


@pytest.mark.parametrize("name", [
    "AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MSP", "PCX", "PNG", "PPM", "QOI",
    "SGI", "SPIDER", "TGA", "TIFF", "WEBP", "XBM"])
def test_every_format_that_pillow_writes_is_a_picture_without_a_telling_name(name, tmp_path, limits):
    path = tmp_path / "nameless"
    mode = {"BLP": "P", "MSP": "1", "XBM": "1", "SPIDER": "L"}.get(name, "RGB")
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {name}")
    Image.new("RGB", (64, 64), (200, 30, 20)).convert(mode).save(path, name)
    assert [item.modality for item in describe(path, limits).items] == ["image"]
    assert open_image(path, limits).mode == "RGB"


def test_broken_exif_does_not_cost_the_picture(make, tmp_path, limits):
    path = tmp_path / "a.jpg"
    make.scene().save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    assert open_image(path, limits).size == (96, 64)


def test_an_icc_profile_is_turned_into_srgb(make, tmp_path, limits):
    """The profile swaps the primaries of red and green, so a red picture must come out green."""
    path = tmp_path / "swapped.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path, icc_profile=make.swapped_profile())
    assert near(open_image(path, limits).getpixel((4, 4)), (0, 255, 0))


def test_a_profile_that_is_broken_or_of_another_colour_model_is_passed_over(make, tmp_path, limits):
    for number, profile in enumerate((b"no profile at all", make.swapped_profile()[:200], b"\0" * 128)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (200, 30, 20)).save(path, icc_profile=profile)
        assert near(open_image(path, limits).getpixel((4, 4)), (200, 30, 20))
    grey = tmp_path / "grey.png"
    Image.new("L", (8, 8), 77).save(grey, icc_profile=make.swapped_profile())
    assert near(open_image(grey, limits).getpixel((4, 4)), (77, 77, 77))


def test_transparency_lies_over_white(tmp_path, limits):
    path = tmp_path / "half.png"
    Image.new("RGBA", (8, 8), (200, 0, 0, 128)).save(path)
    assert near(open_image(path, limits).getpixel((4, 4)), (227, 127, 127), 2)
    Image.new("LA", (8, 8), (0, 0)).save(path)
    assert open_image(path, limits).getpixel((4, 4)) == (255, 255, 255)


def test_a_transparent_colour_of_an_rgb_or_grey_picture_lies_over_white(tmp_path, limits):
    path = tmp_path / "key.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(path, transparency=(1, 2, 3))
    assert open_image(path, limits).getpixel((4, 4)) == (255, 255, 255)
    Image.new("L", (8, 8), 9).save(path, transparency=9)
    assert open_image(path, limits).getpixel((4, 4)) == (255, 255, 255)
    Image.new("1", (8, 8), 0).save(path, transparency=0)
    assert open_image(path, limits).getpixel((4, 4)) == (255, 255, 255)


def test_a_palette_with_transparency_lies_over_white(tmp_path, limits):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([10, 20, 30, 200, 30, 20])
    picture.paste(1, (4, 0, 8, 8))
    path = tmp_path / "palette.png"
    picture.save(path, transparency=0)
    found = open_image(path, limits)
    assert found.getpixel((1, 1)) == (255, 255, 255)
    assert found.getpixel((6, 1)) == (200, 30, 20)
    picture.save(path, transparency=bytes([128, 255]))
    assert near(open_image(path, limits).getpixel((1, 1)), (132, 137, 142), 2)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_sixteen_bits_are_scaled_by_their_full_range(ending, tmp_path, limits):
    path = tmp_path / f"deep.{ending}"
    values = np.array([[0, 257 * 64, 257 * 128, 65_535]], np.uint16)
    Image.fromarray(values).save(path)
    assert [p[0] for p in np.asarray(open_image(path, limits))[0]] == [0, 64, 128, 255]
    Image.fromarray(values // 300).save(path)  # a dark picture stays dark
    assert np.asarray(open_image(path, limits)).max() <= 1


def test_float_pictures_are_scaled_and_nan_is_black(tmp_path, limits):
    path = tmp_path / "float.tiff"
    Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)).save(path)
    assert [p[0] for p in np.asarray(open_image(path, limits))[0]] == [0, 128, 255, 0]


def test_cmyk_becomes_rgb_with_and_without_a_profile(tmp_path, limits):
    for ending in ("tiff", "jpg"):
        path = tmp_path / f"print.{ending}"
        Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path)
        red, green, blue = open_image(path, limits).getpixel((4, 4))
        assert red > 200
        assert max(green, blue) < 60
        assert describe(path, limits).items[0].facts["width"] == 16


def test_lab_becomes_rgb(tmp_path, limits):
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (8, 8), (200, 30, 20)), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"),
        outputMode="LAB")
    path = tmp_path / "lab.tiff"
    lab.save(path)
    assert near(open_image(path, limits).getpixel((4, 4)), (200, 30, 20))


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "avif", "tiff"])
def test_an_animation_gives_its_first_frame(ending, make, tmp_path, limits):
    path = tmp_path / f"moving.{ending}"
    red, blue = (Image.new("RGB", (32, 32), make.colours[c]) for c in ("red", "blue"))
    red.save(path, save_all=True, append_images=[blue, blue])
    assert len(describe(path, limits).items) == 1
    assert near(open_image(path, limits).getpixel((4, 4)), make.colours["red"], 12)


@pytest.mark.parametrize("modern", ["phone.heic", "web.avif"])
def test_heic_and_avif_show_the_right_colours(modern, make, tmp_path, limits):
    picture = open_image(make.file(tmp_path, modern), limits)
    assert near(picture.getpixel((48, 10)), make.colours["red"], 16)
    assert near(picture.getpixel((20, 50)), make.colours["blue"], 16)
    assert near(picture.getpixel((80, 50)), make.colours["green"], 16)


def png_header(width, height, rows=b""):
    """A greyscale PNG that claims a size; its data are a few zero bytes."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1_000_000, 1_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_from_its_header_with_the_name_of_the_setting(size, tmp_path, limits):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(MediaTooLarge) as caught:
        describe(path, limits)
    assert "Settings" in caught.value.hint
    assert str(limits.max_image_megapixels) in caught.value.hint
    assert caught.value.path == str(path)


def test_the_limit_is_the_persons_own(make, tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (1_200, 1_000)).save(path)
    assert open_image(path, Limits(max_image_megapixels=2)).size == (1_200, 1_000)
    with pytest.raises(MediaTooLarge, match="1,200 × 1,000"):
        open_image(path, Limits(max_image_megapixels=1))


@pytest.mark.parametrize("height", [1, 3])
def test_a_png_a_million_pixels_wide_is_read_within_the_limit(height, tmp_path, limits):
    path = tmp_path / "wide.png"
    path.write_bytes(png_header(1_000_000, height, (b"\0" + b"\x80" * 1_000_000) * height))
    (item,) = describe(path, limits).items
    assert (item.facts["width"], item.facts["height"]) == (1_000_000, height)
    with Image.open(io.BytesIO(item.preview)) as small:
        assert small.size == (THUMBNAIL_PIXELS, 1)


@pytest.mark.parametrize("size", [(1_001, 1_002), (801, 800), (3_000, 40), (96, 64)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_decoding_small_for_a_thumbnail_does_not_change_the_facts(size, orientation, make, tmp_path, limits):
    path = tmp_path / "large.jpg"
    picture = make.scene(*size)
    picture.save(path, quality=60, **make.with_orientation(picture, orientation))
    wanted = size[::-1] if orientation in (6, 8) else size
    facts = describe(path, limits).items[0].facts
    assert (facts["width"], facts["height"]) == wanted
    assert open_image(path, limits).size == wanted


def test_a_thumbnail_is_taken_of_any_picture_with_any_comment():
    picture = Image.new("RGB", (5, 4_000))
    picture.info["comment"] = "x" * 100_000
    with Image.open(io.BytesIO(thumbnail(picture))) as small:
        assert small.size == (1, THUMBNAIL_PIXELS)


def test_a_broken_header_is_told_in_plain_words(tmp_path, limits, plain_words):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nonsense" * 20)
    with pytest.raises(UnreadableMedia) as caught:
        describe(path, limits)
    plain_words(caught.value.what)
