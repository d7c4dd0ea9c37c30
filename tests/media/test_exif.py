"""What a camera wrote, told in words; and what a stranger wrote instead does no harm."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from mmstudio.errors import MediaTooLarge
from mmstudio.media import Limits
from mmstudio.media.exif import LONGEST_CHARACTERS, MOST_ENTRIES, exif_of
from mmstudio.media.image import open_image, open_pixels


def photograph(base: dict, shot: dict, gps: dict, name: str = "JPEG") -> bytes:
    exif = Image.Exif()
    for tag, value in base.items():
        exif[tag] = value
    exif.get_ifd(0x8769).update(shot)
    exif.get_ifd(0x8825).update(gps)
    out = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(out, name, exif=exif)
    return out.getvalue()


BASE = {0x010F: "Canon", 0x0110: "Canon EOS R6", 0x0112: 6, 0x010E: "A <b>walk</b>", 0x8298: "Ann"}
SHOT = {0x829A: IFDRational(1, 250), 0x829D: IFDRational(28, 10), 0x8827: 400, 0x920A: IFDRational(50), 0xA405: 80,
        0x9003: "2024:05:01 12:30:05", 0x9011: "+02:00", 0x9204: IFDRational(-1, 3), 0x9209: 1,
        0xA434: "RF50mm F1.8", 0x9286: b"ASCII\0\0\0a remark"}
GPS = {1: "N", 2: (48.0, 8.0, 13.5), 3: "W", 4: (11.0, 34.0, 30.0), 5: b"\x00", 6: IFDRational(5203, 10)}


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_details_are_told_as_a_photographer_reads_them(name, tmp_path, limits):
    path = tmp_path / "a.bin"
    path.write_bytes(photograph(BASE, SHOT, GPS, name))
    told = dict(exif_of(path, limits))
    wanted = {
        "Camera": "Canon EOS R6", "Lens": "RF50mm F1.8", "Taken": "2024-05-01 12:30:05 +02:00", "Exposure": "1/250 s",
        "Aperture": "f/2.8", "ISO": "400", "Focal length": "50 mm (as 80 mm on 35-mm film)",
        "Exposure bias": "-0.33 EV", "Flash": "fired", "Orientation": "turned right by 90°",
        "Position": "48.137083, -11.575000", "Altitude": "520.3 m", "Description": "A <b>walk</b>",
        "Copyright": "Ann", "Comment": "a remark",
    }
    assert {key: told.get(key) for key in wanted} == wanted


def test_a_picture_without_exif_and_a_broken_one_have_no_details(make, tmp_path, limits):
    assert exif_of(make.file(tmp_path, "plain.png"), limits) == []
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe1\x00\x20Exif\0\0MM\0*" + b"\xff" * 40)
    assert exif_of(broken, limits) == []
    assert exif_of(tmp_path / "nowhere.jpg", limits) == []


def test_hostile_details_are_few_short_and_printable(tmp_path, limits):
    base = {0x010F: "A" * 50_000, 0x0110: "x\n\x1b[31m\u202eevil", 0x0131: "<img src=http://x>"}
    shot = dict.fromkeys(range(0x9C00, 0x9F00), "word " * 20) | {0x829A: IFDRational(0, 0), 0x8827: (0,) * 40}
    path = tmp_path / "hostile.png"
    path.write_bytes(photograph(base, shot, {1: "N", 2: (IFDRational(1, 0), 2.0, 3.0), 4: (9e9, 0.0, 0.0)}, "PNG"))
    started = time.perf_counter()
    told = exif_of(path, limits)
    assert time.perf_counter() - started < 2
    assert 0 < len(told) <= MOST_ENTRIES
    for name, value in told:
        assert 0 < len(value) <= LONGEST_CHARACTERS
        assert value.isprintable()
        assert name.isprintable()
    assert "Position" not in dict(told)
    assert "Exposure" not in dict(told)


def test_noise_in_the_tags_never_raises(tmp_path, limits):
    raw = photograph(BASE, SHOT, GPS)
    chance = np.random.default_rng(3)
    start = raw.index(b"Exif")
    path = tmp_path / "noise.jpg"
    for _ in range(300):
        noisy = bytearray(raw)
        for at in chance.integers(start, start + 500, 12):
            noisy[at] = int(chance.integers(256))
        path.write_bytes(noisy)
        assert all(value.isprintable() for _, value in exif_of(path, limits))


def test_a_list_of_tags_that_points_to_itself_ends(tmp_path, limits):
    tags = struct.pack(">HHLL", 0x8769, 4, 1, 8) + struct.pack(">HHLL", 0x8825, 4, 1, 8)
    block = b"Exif\0\0MM\0*" + struct.pack(">L", 8) + struct.pack(">H", 2) + tags + struct.pack(">L", 8)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=block)
    path = tmp_path / "loop.jpg"
    path.write_bytes(out.getvalue())
    assert isinstance(exif_of(path, limits), list)


def test_original_pixels_keep_their_colours_under_transparency(make, tmp_path, limits):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[[10, 20, 30, 0], [40, 50, 60, 128]]], np.uint8)).save(path)
    assert open_pixels(path, limits).tolist() == [[[10, 20, 30, 0], [40, 50, 60, 128]]]
    for kind in ("photo.jpg", "turned.jpg", "grey16.png", "print.tiff", "phone.heic"):
        file = make.file(tmp_path, kind)
        assert np.array_equal(open_pixels(file, limits), np.asarray(open_image(file, limits)))
    assert open_pixels(make.file(tmp_path, "palette.png"), limits).shape[2] == 4
    with pytest.raises(MediaTooLarge):
        open_pixels(path, Limits(max_image_megapixels=0))
