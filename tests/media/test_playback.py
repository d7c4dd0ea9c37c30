"""Watching a video: its frames in order from any time, its sound in pieces, and broken files in words."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from mmstudio.errors import MediaError, MediaTooLarge, UnreadableMedia
from mmstudio.media import Limits
from mmstudio.media.playback import SCREEN_PIXELS, Reel


@pytest.fixture
def reel(make, tmp_path, limits):
    """Opens a file of a kind, and lets go of it after the test."""
    opened = []

    def open_reel(kind: str) -> Reel:
        opened.append(Reel(make.file(tmp_path, kind), limits))
        return opened[-1]

    yield open_reel
    for one in opened:
        one.close()


def times(stills):
    return [round(still.seconds, 3) for still in stills]


def test_a_video_tells_its_length_its_rate_and_its_sound(video_kind, reel):
    found = reel(video_kind)
    assert found.seconds == pytest.approx(3, abs=0.05)
    assert found.frame_seconds == pytest.approx(0.1)
    assert found.has_sound is video_kind.startswith("talk")


def test_from_any_time_the_frame_that_is_shown_then_and_those_after_it_are_given(video_kind, reel, make):
    found = reel(video_kind)
    stills = found.at(1.05, 4)
    assert times(stills) == [1.0, 1.1, 1.2, 1.3]
    assert np.abs(stills[0].pixels[30, 40].astype(int) - make.colours["green"]).max() < 30
    assert times(found.after(1.3, 4)) == [1.4, 1.5, 1.6, 1.7]
    assert times(found.after(1.0, 3)) == [1.1, 1.2, 1.3]  # also where it stood elsewhere
    assert times(found.at(0, 2)) == [0.0, 0.1]
    assert times(found.at(99, 3)) == [2.9]
    assert found.after(2.9, 3) == []


def test_every_frame_comes_once_when_a_video_is_read_through(video_kind, reel):
    found = reel(video_kind)
    seen = times(found.at(0, 3))
    while more := found.after(seen[-1], 5):
        seen += times(more)
    assert seen == [round(n / 10, 1) for n in range(30)]


def test_going_back_gives_the_frames_before_and_none_at_the_beginning(video_kind, reel):
    found = reel(video_kind)
    assert times(found.before(1.2, 4)) == [1.0, 1.1]  # from the key frame on
    assert times(found.before(1.0, 4)) == [0.6, 0.7, 0.8, 0.9]
    assert found.before(0, 4) == []
    assert times(found.after(1.2, 2)) == [1.3, 1.4]


def test_frames_can_be_gone_through_backwards_to_the_beginning(video_kind, reel):
    found = reel(video_kind)
    seen = times(found.at(99, 2))
    while more := found.before(seen[0], 6):
        seen = times(more) + seen
    assert seen == [round(n / 10, 1) for n in range(30)]


def test_frames_whose_time_is_over_are_passed_by(reel):
    found = reel("mute.mp4")
    assert times(found.at(0, 2)) == [0.0, 0.1]
    assert times(found.after(0.1, 3, now=1.05)) == [1.0, 1.1, 1.2]


@pytest.mark.parametrize("talking", ["talk.mp4", "talk.webm"])
def test_sound_is_given_from_any_time(talking, reel):
    found = reel(talking)
    whole, rate = found.sound(0, 99)
    assert len(whole) / rate == pytest.approx(3, abs=0.02)
    piece, _ = found.sound(1.0, 0.5)
    assert len(piece) == rate // 2
    assert np.abs(piece).max() == pytest.approx(0.5, abs=0.02)
    if talking == "talk.mp4":  # WebM rounds times to milliseconds, which moves a tone's phase
        assert np.corrcoef(piece, whole[rate : rate + rate // 2])[0, 1] > 0.98
    with pytest.raises(UnreadableMedia):
        found.sound(50, 1)


def test_a_frame_to_watch_is_no_larger_than_the_screen_and_stands_upright(make, tmp_path, limits):
    raw = bytearray(make.film("mp4", "libx264", colours=(make.colours["red"],), seconds=0.3, size=(1_280, 720)))
    place = raw.index(b"tkhd") + 4 + 40  # the display matrix, see test_video
    raw[place: place + 36] = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path = tmp_path / "side.mp4"
    path.write_bytes(raw)
    reel = Reel(path, limits)
    pixels = reel.at(0, 2)[0].pixels
    reel.close()
    assert pixels.shape == (SCREEN_PIXELS, SCREEN_PIXELS * 720 // 1_280, 3)
    assert pixels[10, -10].min() > 200  # the white corner came to the upper right


def test_a_video_above_the_limit_is_refused(make, tmp_path):
    path = tmp_path / "large.mp4"
    path.write_bytes(make.film("mp4", "mpeg4", colours=(make.colours["red"],), seconds=0.2, size=(1_280, 960)))
    with pytest.raises(MediaTooLarge, match="Settings"):
        Reel(path, Limits(max_image_megapixels=1))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_a_video_that_is_cut_short_ends_or_says_so(video_kind, share, make, tmp_path, limits, plain_words):
    path = tmp_path / video_kind
    raw = make.bytes_of(video_kind)
    path.write_bytes(raw[: int(len(raw) * share)])
    reel = None
    try:
        reel = Reel(path, limits)
        stills = reel.at(0, 8)
        for _ in range(20):
            if not stills:
                break
            stills = reel.after(stills[-1].seconds, 8)
        else:
            pytest.fail("it does not end")
    except MediaError as error:
        plain_words(str(error))
    finally:
        if reel is not None:
            reel.close()


def test_noise_within_a_video_ends_in_frames_or_a_reason(video_kind, make, tmp_path, limits, plain_words):
    chance = np.random.default_rng(5)
    raw = make.bytes_of(video_kind)
    for number in range(8):
        noisy = bytearray(raw)
        for at in chance.integers(200, len(raw), 60):
            noisy[at] = int(chance.integers(256))
        path = tmp_path / f"{number} {video_kind}"
        path.write_bytes(noisy)
        with contextlib.ExitStack() as last:
            try:
                reel = Reel(path, limits)
                last.callback(reel.close)
                for still in reel.at(0, 4):
                    reel.after(still.seconds, 4)
                reel.before(1.0, 4)
                if reel.has_sound:
                    assert np.isfinite(reel.sound(0.5, 1)[0]).all()
            except MediaError as error:
                plain_words(str(error))
