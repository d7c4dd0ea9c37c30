"""Broken and hostile files: each gives items or one plain sentence, nothing hangs or prints, and the rest goes on."""

from __future__ import annotations

import io
import os
import random
import re
import socket
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmstudio.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from mmstudio.media import Kind, MediaRef, describe, load, scan, sniff
from mmstudio.media.scan import printable

LIBTIFF = re.compile(r"tempfile\.tif: |\w*(TIFF|LZW|Strip|Predictor|MissingRequired)\w*: ")
pytestmark = pytest.mark.timeout(20)


def noise(capfd):
    """What a codec printed, apart from libtiff, which cannot be told through Pillow to be silent."""
    said = capfd.readouterr()
    return [line for line in (said.out + said.err).splitlines() if not LIBTIFF.match(line)]


@pytest.fixture
def settle(limits, plain_words, capfd):
    """``settle(path)`` gives the items of a file, or the error; anything else, and any noise of a codec, fails."""

    def settle(path):
        try:
            items = describe(path, limits).items
        except MediaError as error:
            plain_words(error.what)
            if error.path != str(path):
                pytest.fail(f"the error names {error.path}")
            return error
        finally:
            assert noise(capfd) == []
        assert items
        for item in items:
            if item.modality != "text":
                try:
                    load(MediaRef(path, item.modality, item.part), limits, rate_hz=8_000, window_seconds=1.0)
                except MediaError as error:
                    plain_words(error.what)
        assert noise(capfd) == []
        return items

    return settle


def test_a_file_cut_at_every_tenth_gives_items_or_a_reason(kind, make, tmp_path, settle):
    raw = make.bytes_of(kind)
    path = tmp_path / kind
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        settle(path)


def test_a_file_with_flipped_bytes_gives_items_or_a_reason(kind, make, tmp_path, settle):
    chance = random.Random(kind)
    raw = make.bytes_of(kind)
    path = tmp_path / kind
    for share in (1, 3, 10, 40):
        broken = bytearray(raw)
        for _ in range(share):
            broken[chance.randrange(len(raw))] = chance.randrange(256)
        path.write_bytes(broken)
        settle(path)


def test_a_header_followed_by_noise_gives_items_or_a_reason(kind, make, tmp_path, settle):
    path = tmp_path / kind
    path.write_bytes(make.bytes_of(kind)[:40] + random.Random(kind).randbytes(5_000))
    settle(path)


@pytest.mark.parametrize(
    "ending", ["jpg", "png", "wav", "mp3", "mp4", "txt", "csv", "jsonl", "raw", "zip", "heic", "m3u8", ""])
def test_what_a_file_is_does_not_hang_on_its_name(kind, ending, make, tmp_path, limits):
    path = make.file(tmp_path, kind, f"misnamed.{ending}" if ending else "misnamed")
    assert {item.modality for item in describe(path, limits).items} == make.modality_of[kind]


def test_a_file_of_zero_bytes_is_told(kind, tmp_path, limits):
    path = tmp_path / kind
    path.touch()
    with pytest.raises(UnreadableMedia, match="empty"):
        describe(path, limits)


def test_a_file_that_is_not_there_is_told(tmp_path, limits):
    with pytest.raises(UnreadableMedia, match="not there"):
        describe(tmp_path / "nothing.png", limits)
    with pytest.raises(UnreadableMedia, match="not there"):
        load(MediaRef(tmp_path / "nothing.png", "image"), limits)
    with pytest.raises(UnreadableMedia, match="name"):
        describe(tmp_path / "zero\0byte.png", limits)


def test_symlink_loops_are_walked_once_and_told(make, tmp_path, limits):
    folder = tmp_path / "folder"
    folder.mkdir()
    make.file(folder, "plain.png")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "self").symlink_to(folder / "self")
    (folder / "ping").symlink_to(folder / "pong")
    (folder / "pong").symlink_to(folder / "ping")
    (folder / "dangling").symlink_to(folder / "gone")
    found = {f.path.name: f.error for f in scan([tmp_path])}
    assert sorted(found) == ["dangling", "ping", "plain.png", "pong", "self"]
    assert found["plain.png"] is None
    assert all("link to itself" in found[name].what for name in ("self", "ping", "pong"))
    assert "not there" in found["dangling"].what
    with pytest.raises(UnreadableMedia, match="link to itself"):
        describe(folder / "self", limits)


def test_a_link_to_a_good_file_is_read(make, tmp_path, limits):
    target = make.file(tmp_path, "plain.png")
    (tmp_path / "link").symlink_to(target)
    assert describe(tmp_path / "link", limits).items[0].modality == "image"


def test_files_and_folders_without_permission_are_told(make, tmp_path):
    """As another user where the tests run as root, since root may read everything."""
    for place in [tmp_path, *tmp_path.parents]:
        if place.stat().st_uid == os.getuid() and place not in (Path("/"), Path("/tmp")):
            place.chmod(0o755)
    secret, closed = make.file(tmp_path, "plain.png"), tmp_path / "closed"
    closed.mkdir()
    make.file(closed, "tone.wav")
    good = [make.file(tmp_path, kind, f"good.{kind[-3:]}") for kind in ("plain.png", "tone.wav", "tone.m4a")]
    secret.chmod(0)
    closed.chmod(0)
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from mmstudio.errors import MediaError
        from mmstudio.media import Limits, MediaRef, describe, load, scan
        for good in sys.argv[2:]:  # imports what decoding needs, as long as it may be read
            load(MediaRef(Path(good), "image" if good.endswith("png") else "audio"), Limits())
            describe(Path(good), Limits())
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        folder = Path(sys.argv[1])
        print([f.error.what if f.error else f.path.name for f in scan([folder])])
        for act in (lambda: describe(folder / "plain.png", Limits()),
                    lambda: describe(folder / "closed/tone.wav", Limits()),
                    lambda: load(MediaRef(folder / "plain.png", "image"), Limits()),
                    lambda: load(MediaRef(folder / "plain.png", "audio"), Limits())):
            try:
                print(act())
            except MediaError as error:
                print(error.what)
    """)
    try:
        told = subprocess.run([sys.executable, "-c", script, str(tmp_path), *map(str, good)],
                              capture_output=True, text=True, check=True)
    finally:
        secret.chmod(0o644)
        closed.chmod(0o755)
    listed, first, second, third, fourth = told.stdout.splitlines()
    assert "no permission" in listed
    assert "plain.png" in listed
    assert "no permission" in first
    assert "no permission" in second
    assert "no permission" in third
    assert "no permission" in fourth


def test_pipes_sockets_and_devices_are_never_opened(tmp_path, limits, plain_words):
    os.mkfifo(tmp_path / "pipe.png")
    listening = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    try:
        os.chdir(tmp_path)  # the path of a socket may not be long
        listening.bind("socket.png")
    finally:
        os.chdir(here)
        listening.close()
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name, word in (("pipe.png", "pipe"), ("socket.png", "socket"), ("endless", "device")):
        for act in (describe, lambda p, lim: load(MediaRef(p, "image"), lim), lambda p, lim: sniff(p)):
            with pytest.raises(UnreadableMedia, match=word) as caught:
                act(tmp_path / name, limits)
            plain_words(caught.value.what)
    with pytest.raises(UnreadableMedia, match="folder"):
        describe(tmp_path, limits)
    with pytest.raises(UnreadableMedia):
        describe(Path("/dev/zero"), limits)


NAMES = [b"two\nlines", b"tab\tand\rreturn", b"caf\xe9 latin-1", b"\xff\xfe\xfd", "ünïcødé 夏 🐟".encode(), b"-rf",
         b"a%03d", b"http:x", b"concat:a|b", b" space ", b"quote\"'\\", b"\x1b[31mred", b"x" * 240]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize(
    "like", ["photo.jpg", "tone.wav", "tone.mp3", "tone.m4a", "utf8.txt", "talk.mp4", "phone.heic"])
def test_any_name_that_the_disk_holds_is_read(name, like, make, tmp_path, limits):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(make.bytes_of(like))
    assert [f.path for f in scan([tmp_path])] == [path]
    items = describe(path, limits).items
    assert {item.modality for item in items} == make.modality_of[like]
    for item in items:
        load(MediaRef(path, item.modality, item.part, item.text), limits)
    shown = printable(path)
    shown.encode("utf-8")
    assert shown.isprintable()


@pytest.mark.parametrize("name", ["http:x", "concat:a|b", "-version", "pipe:0"])
def test_a_relative_name_is_a_file_and_no_address(name, make, tmp_path, limits, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make.file(tmp_path, "talk.mp4", name)
    assert {item.modality for item in describe(Path(name), limits).items} == {"image", "audio"}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 12, 100, 188, 400, 5_000, 40_000])
def test_random_bytes_give_items_or_a_reason(size, tmp_path, settle):
    path = tmp_path / "random"
    for seed in range(20):
        path.write_bytes(random.Random(seed * 1_000 + size).randbytes(size))
        settle(path)


MAGIC = [
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM\0\0\0\0\0\0\0\0", b"II*\0", b"MM\0*", b"8BPS",
    b"\0\0\1\0", b"RIFF\xff\xff\xff\xffWAVE", b"RIFF\xff\xff\xff\xffWEBP", b"RIFF\xff\xff\xff\xffAVI ", b"fLaC",
    b"ID3\4\0\0", b"OggS", b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftypisom", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif",
    b"\0\0\0\x18ftypM4A ", b"FLV\1", b"\0\0\1\xba", b"\0\0\1\xb3", b"FORM\0\0\0\0AIFF", b".snd", b"caff", b"#!AMR\n",
    b"wvpk", b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"qoif", b"DDS ", b"icns", b"SIMPLE  =", b"\0\0\0\x0cjP  ",
    b"\xc5\xd0\xd3\xc6", b"\x89HDF\r\n\x1a\n", b"GRIB", b"BUFR", b"\xd7\xcd\xc6\x9a\0\0", b"P6\n", b"P1 ", b"P7\n",
    b"/* XPM */", b"MAC ", b"\x89MNG", b"\x01\xda\x01\x01", b"\x0a\x05\x01\x08", b"%!PS-Adobe",
    b"#EXTM3U\nhttp://127.0.0.1:9/x\n", b"ffconcat version 1.0\nfile /etc/hostname\n",
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><svg>&b;</svg>",
]


@pytest.mark.parametrize("magic", MAGIC, ids=ascii)
def test_the_beginning_of_any_format_followed_by_nothing_zeros_or_noise(magic, tmp_path, settle):
    path = tmp_path / "magic"
    for rest in (b"", b"\0" * 20_000, b"\xff" * 20_000, random.Random(magic).randbytes(20_000), magic * 500):
        path.write_bytes(magic + rest)
        settle(path)


def archive():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.txt", "words " * 1_000)
    return out.getvalue()


OTHERS = {
    "a zip archive": archive(), "a PDF document": b"%PDF-1.7\n" + b"1 0 obj\n" * 50,
    "a program": b"\x7fELF\2\1\1" + bytes(200), "a gzip archive": b"\x1f\x8b\x08\0" + bytes(50),
    "a database": b"SQLite format 3\0" + bytes(500), "a Parquet table": b"PAR1" + bytes(50),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("ending", ["bin", "png", "txt", "mp4"])
def test_a_file_of_another_kind_is_named(name, ending, tmp_path, limits):
    path = tmp_path / f"other.{ending}"
    path.write_bytes(OTHERS[name])
    with pytest.raises(UnsupportedMedia, match=name):
        describe(path, limits)


def test_this_interpreter_is_no_media(limits, settle):
    assert isinstance(settle(Path(os.path.realpath(sys.executable))), UnsupportedMedia)


def test_a_text_with_zero_bytes_gives_items_without_them_or_a_reason(tmp_path, settle):
    path = tmp_path / "zeros.txt"
    path.write_bytes(b"words " * 5_000 + b"\0\0\0" + b"more words")  # behind what is looked at to tell the kind
    for item in settle(path):
        assert "\0" not in item.text
    path.write_bytes(b"words\0and\0more")
    settle(path)
    path.write_bytes(b"\0" * 5_000)
    assert isinstance(settle(path), UnsupportedMedia)


@pytest.mark.parametrize("depth", [500, 5_000, 1_000_000])
def test_deeply_nested_json_gives_items_or_a_reason(depth, tmp_path, settle):
    path = tmp_path / "deep.jsonl"
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        path.write_text(opening * depth + '"word"' + closing * depth + '\n{"caption": "two boats"}\n')
        settle(path)
        path.write_text('{"caption": "two boats"}\n' + opening * depth + '"word"' + closing * depth + "\n")
        assert settle(path)[0].text == "two boats"


def test_json_with_a_number_beyond_all_bounds_gives_the_other_lines(tmp_path, settle):
    path = tmp_path / "number.jsonl"
    path.write_text('{"caption": "two boats"}\n{"n": ' + "9" * 100_000 + '}\n{"f": NaN, "t": "three boats"}\n')
    assert [item.text for item in settle(path)] == ["two boats", "three boats"]


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("megabytes", [0.5, 3, 200])
def test_a_png_with_a_huge_text_gives_the_picture_or_a_reason(megabytes, make, tmp_path, settle):
    raw = make.bytes_of("plain.png")
    packed = png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"x" * int(megabytes * 1e6), 9))
    path = tmp_path / "notes.png"
    path.write_bytes(raw[:33] + packed + raw[33:])
    settle(path)
    path.write_bytes(raw[:33] + png_chunk(b"tEXt", b"comment\0" + b"x" * int(min(megabytes, 3) * 1e6)) + raw[33:])
    settle(path)


@pytest.mark.parametrize(("like", "name"), [
    ("mute.mp4", b"avc1"), ("talk.mp4", b"mp4a"), ("mute.webm", b"V_VP8")])
def test_a_codec_that_nobody_knows_is_told(like, name, make, tmp_path, settle):
    path = tmp_path / like
    path.write_bytes(make.bytes_of(like).replace(name, b"zqxwj"[: len(name)]))
    found = settle(path)
    assert like == "talk.mp4" or isinstance(found, UnreadableMedia)


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0, 1])
def test_a_wav_whose_header_lies_about_its_length_gives_what_is_there_or_a_reason(claimed, make, tmp_path, settle):
    raw = bytearray(make.bytes_of("tone.wav"))
    place = raw.index(b"data") + 4
    path = tmp_path / "lies.wav"
    for fields in ((place,), (4,), (4, place), (16,)):
        lying = bytearray(raw)
        for field in fields:
            lying[field: field + 4] = struct.pack("<I", claimed)
        path.write_bytes(lying)
        found = settle(path)
        if claimed > 1 and fields != (16,) and isinstance(found, list):
            assert found[0].facts["duration_s"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("field", range(20, 36, 2))
@pytest.mark.parametrize("value", [0, 1, 0xFFFF, 0x8000])
def test_a_wav_with_any_field_of_its_format_wrong_gives_items_or_a_reason(field, value, make, tmp_path, settle):
    raw = bytearray(make.bytes_of("tone.wav"))
    raw[field: field + 2] = struct.pack("<H", value)
    path = tmp_path / "field.wav"
    path.write_bytes(raw)
    settle(path)


def test_a_gif_that_claims_a_huge_screen_is_refused_before_it_unfolds(make, tmp_path, limits):
    raw = bytearray(make.bytes_of("moving.gif"))
    raw[6:10] = b"\xff\xff\xff\xff"
    path = tmp_path / "huge.gif"
    path.write_bytes(raw)
    with pytest.raises(MediaTooLarge):
        describe(path, limits)


def test_a_postscript_picture_starts_no_other_program(tmp_path, limits):
    path = tmp_path / "page.eps"
    body = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    path.write_bytes(struct.pack("<IIIIIIIH", 0xC6D3D0C5, 30, len(body), 0, 0, 0, 0, 0xFFFF) + body)
    with pytest.raises(UnsupportedMedia, match="PostScript"):
        describe(path, limits)
    path.write_bytes(body)
    with pytest.raises(UnsupportedMedia, match="PostScript"):
        describe(path, limits)


def test_a_sound_that_stands_where_a_picture_was_is_told(make, tmp_path, limits, plain_words):
    """Between describing and loading a file may be replaced."""
    for wanted, there in (("image", "tone.wav"), ("audio", "plain.png"), ("image", "utf8.txt"), ("audio", "utf8.txt")):
        for part in ("", "frame 1.000 s") if wanted == "image" else ("",):
            with pytest.raises(MediaError) as caught:
                load(MediaRef(make.file(tmp_path, there), wanted, part), limits)
            plain_words(caught.value.what)


def test_a_folder_of_everything_goes_on_to_its_end(make, tmp_path, limits, plain_words, capfd):
    """Good, cut, empty, odd and hostile files together: one answer each, and no file left open."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    for kind in make.modality_of:
        make.file(good, kind)
        raw = make.bytes_of(kind)
        (bad / f"cut {kind}").write_bytes(raw[: len(raw) // 3])
        (bad / f"head {kind}").write_bytes(raw[:12] + random.Random(kind).randbytes(600))
    for number, (name, raw) in enumerate(OTHERS.items()):
        (bad / f"{number} {name}").write_bytes(raw)
    (bad / "empty.png").touch()
    (bad / "loop").symlink_to(bad / "loop")
    (bad / "round").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(bad / "pipe.wav")
    (bad / "zero").symlink_to("/dev/zero")
    (bad / "two\nlines.txt").write_text("[" * 100_000)
    Path(os.fsdecode(os.fsencode(bad) + b"/\xff\xfe.png")).write_bytes(make.bytes_of("plain.png"))
    (bad / "deep.jsonl").write_text('{"a":' * 50_000)
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(bad / "dot.png")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    described, refused = {}, {}
    for found in scan([tmp_path]):
        try:
            if found.error:
                raise found.error
            described[found.path] = describe(found.path, limits).items
        except MediaError as error:
            plain_words(error.what)
            refused[found.path] = error
    count = sum(not os.path.isdir(path) for folder in (good, bad) for path in folder.iterdir())
    assert len(described) + len(refused) == count
    assert {path.name for path in described if path.parent == good} == set(make.modality_of)
    assert len(refused) > 20
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before
    assert noise(capfd) == []


def test_every_kind_is_told_from_its_bytes(kind, make, tmp_path):
    wanted = {frozenset({"image"}): Kind.IMAGE, frozenset({"audio"}): Kind.AUDIO, frozenset({"text"}): Kind.TEXT}
    path = make.file(tmp_path, kind, "nameless")
    expected = Kind.VIDEO if kind.endswith(("mp4", "webm")) else wanted[frozenset(make.modality_of[kind])]
    assert sniff(path) is expected
