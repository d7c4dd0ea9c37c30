"""Videos become frames at scene changes and every few seconds, and their sound."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from mmstudio.errors import MediaError, MediaTooLarge, UnreadableMedia
from mmstudio.media import Kind, Limits, MediaRef, describe, load, sniff
from mmstudio.media.load import frame_part, frame_seconds
from mmstudio.media.video import facts, frame_at, frames


def near(picture, wanted, by=24):
    found = picture.getpixel((picture.width - 4, picture.height - 4))
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


def seconds_of(path, limits):
    return [round(frame.seconds, 3) for frame in frames(path, limits)]


def test_every_kind_of_video_gives_its_frames_and_its_sound(video_kind, make, tmp_path, limits):
    path = make.file(tmp_path, video_kind)
    items = describe(path, limits).items
    pictures = [item for item in items if item.modality == "image"]
    sounds = [item for item in items if item.modality == "audio"]
    assert len(pictures) >= 2
    assert [s.part for s in sounds] == (["sound"] if video_kind.startswith("talk") else [])
    assert len({item.content_hash for item in items}) == len(items)
    assert {item.path for item in items} == {path}
    for item in pictures:
        assert (item.facts["width"], item.facts["height"]) == (64, 48)
        assert item.part == frame_part(item.facts["seconds"])
        assert item.preview.startswith(b"\xff\xd8")
    for item in sounds:
        assert item.facts["duration_s"] == pytest.approx(3.0, abs=0.15)
    assert facts(path)[0] == pytest.approx(3.0, abs=0.2)
    assert facts(path)[1] == bool(sounds)


def test_a_frame_is_taken_at_every_scene_change(make, tmp_path):
    path = tmp_path / "scenes.mp4"
    colours = [make.colours[c] for c in ("red", "blue", "green", "red", "green")]
    path.write_bytes(make.film("mp4", "libx264", colours=tuple(colours), seconds=2.0))
    found = list(frames(path, Limits(frame_seconds=7.0)))
    assert [round(f.seconds) for f in found] == [0, 2, 4, 6, 8]
    for frame, colour in zip(found, colours, strict=True):
        assert near(frame.picture, colour)


def test_a_scene_that_begins_soon_after_a_frame_is_not_forgotten(make, tmp_path):
    path = tmp_path / "soon.mp4"
    colours = (make.colours["red"],) + (make.colours["blue"],) * 3
    path.write_bytes(make.film("mp4", "libx264", colours=colours, seconds=1.0))
    found = list(frames(path, Limits(frame_seconds=8.0)))
    assert len(found) == 2
    assert near(found[1].picture, make.colours["blue"])


def test_a_still_video_gives_a_frame_every_few_seconds(make, tmp_path):
    path = tmp_path / "still.mp4"
    path.write_bytes(make.film("mp4", "libx264", colours=(make.colours["red"],), seconds=20.0))
    assert seconds_of(path, Limits(frame_seconds=5.0)) == [0, 5, 10, 15]
    assert seconds_of(path, Limits(frame_seconds=2.0)) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


@pytest.mark.parametrize("most", [1, 2, 5, 8])
def test_at_most_so_many_frames_spread_over_the_whole_video(most, make, tmp_path):
    path = tmp_path / "busy.mp4"
    busy = tuple(make.colours[c] for c in ("red", "blue") * 8) + (make.colours["red"],) * 14
    path.write_bytes(make.film("mp4", "libx264", colours=busy, seconds=1.0))
    found = seconds_of(path, Limits(frame_seconds=1.0, max_frames=most))
    assert 1 <= len(found) <= most
    if most >= 5:
        assert found[-1] > 18


@pytest.mark.parametrize(("gop", "least"), [(50, 20), (10_000, 20)])
def test_a_long_video_is_sampled_whether_it_has_many_key_frames_or_one(gop, least, make, tmp_path):
    path = tmp_path / "long.mp4"
    path.write_bytes(make.film("mp4", "mpeg4", colours=(make.colours["red"],), seconds=125.0, fps=5, gop=gop))
    found = seconds_of(path, Limits(frame_seconds=5.0))
    assert least <= len(found) <= 64
    assert found[-1] > 110


def test_a_frame_is_found_again_by_its_part(video_kind, make, tmp_path, limits):
    path = make.file(tmp_path, video_kind)
    for item in describe(path, limits).items:
        if item.modality != "image":
            continue
        picture = load(MediaRef(path, "image", item.part), limits)
        assert picture.mode == "RGB"
        colour = ("red", "blue", "green")
        wanted = [make.colours[c] for c in ("red", "green", "blue")][min(2, int(item.facts["seconds"]))]
        assert near(picture, wanted), (item.part, colour)


def test_a_frame_between_two_key_frames_is_the_one_at_that_time(make, tmp_path, limits):
    path = tmp_path / "steps.mp4"
    greys = tuple((level, level, level) for level in range(10, 250, 12))
    path.write_bytes(make.film("mp4", "libx264", colours=greys, seconds=0.1, gop=1_000))
    for place in (0, 7, 13, 19):
        assert near(frame_at(path, place / 10, limits), greys[place], 5)


def test_a_video_held_upside_down_or_on_its_side_stands_upright(make, tmp_path, limits):
    """The display matrix in tkhd (ISO 14496-12, 8.3.2) says how the camera was held; the corner is white."""
    raw = bytearray(make.film("mp4", "libx264", colours=(make.colours["red"],)))
    place = raw.index(b"tkhd") + 4 + 40
    corners = {}
    for turn, (a, b, c, d) in {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}.items():
        matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4")
        raw[place: place + 36] = matrix.tobytes()
        path = tmp_path / f"{turn}.mp4"
        path.write_bytes(raw)
        picture = next(iter(frames(path, limits))).picture
        assert picture.size == ((64, 48) if turn % 180 == 0 else (48, 64))
        assert frame_at(path, 0.0, limits).size == picture.size
        right, low = picture.width - 3, picture.height - 3
        corners[turn] = max(((2, 2), (right, 2), (right, low), (2, low)), key=lambda xy: sum(picture.getpixel(xy)))
    assert corners[0] == (2, 2)
    assert corners[90] == (45, 2)  # turned clockwise, the upper left corner comes to the upper right
    assert corners[180] == (61, 45)
    assert corners[270] == (2, 61)


def test_a_video_with_pictures_above_the_limit_is_refused(make, tmp_path):
    path = tmp_path / "large.mp4"
    path.write_bytes(make.film("mp4", "mpeg4", colours=(make.colours["red"],), seconds=0.2, size=(1_280, 960)))
    assert describe(path, Limits(max_image_megapixels=2)).items
    for act in (lambda: describe(path, Limits(max_image_megapixels=1)), lambda: frame_at(path, 0, Limits(1))):
        with pytest.raises(MediaTooLarge, match="Settings"):
            act()


def test_a_sound_with_a_cover_picture_is_a_sound(make, tmp_path, limits):
    import av

    path = tmp_path / "song.m4a"
    cover = make.saved(make.scene(), "JPEG")
    with av.open(str(path), "w", format="mp4") as container:
        heard = container.add_stream("aac", rate=16_000, layout="mono")
        seen = container.add_stream("mjpeg", rate=1)
        seen.width, seen.height, seen.pix_fmt = 96, 64, "yuvj420p"
        seen.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(make.tone()[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(heard.encode(frame))
        container.mux(heard.encode(None))
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts = seen, 0, 0
        container.mux(packet)
    assert sniff(path) is Kind.AUDIO
    assert [item.modality for item in describe(path, limits).items] == ["audio"]


def test_a_time_after_the_end_gives_the_last_frame_or_a_reason(make, tmp_path, limits):
    path = make.file(tmp_path, "mute.mp4")
    with contextlib.suppress(UnreadableMedia):
        assert near(frame_at(path, 99.0, limits), make.colours["blue"])


@pytest.mark.parametrize("part", ["sound", "frame", "frame x s", ""])
def test_a_part_that_names_no_frame_is_told(part):
    with pytest.raises(UnreadableMedia, match="names no frame"):
        frame_seconds(part)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_an_impossible_time_gives_a_frame_or_a_reason(seconds, make, tmp_path, limits):
    path = make.file(tmp_path, "mute.mp4")
    with contextlib.suppress(UnreadableMedia):
        assert frame_at(path, seconds, limits).size == (64, 48)


def test_seconds_of_a_part_are_exact_to_the_millisecond():
    for seconds in (0.0, 1 / 3, 12.3456, 3_599.9996):
        assert frame_seconds(frame_part(seconds)) == pytest.approx(seconds, abs=5.1e-4)


def test_frames_that_grow_beyond_what_the_container_claims_are_refused(make, tmp_path):
    path = tmp_path / "grows.webm"
    raw = make.film("webm", "libvpx", colours=(make.colours["red"],), seconds=0.2, size=(1_280, 960))
    claimed = raw.replace(b"\xb0\x82\x05\x00", b"\xb0\x82\x00\x40").replace(b"\xba\x82\x03\xc0", b"\xba\x82\x00\x30")
    assert claimed != raw
    path.write_bytes(claimed)
    with pytest.raises(MediaError):
        describe(path, Limits(max_image_megapixels=1))
    assert describe(path, Limits(max_image_megapixels=2)).items
