"""Photographs and recordings are told from drawings and synthetic sounds, however they are stored."""

from __future__ import annotations

import io
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmstudio import paths
from mmstudio.media import Limits, MediaRef, load
from mmstudio.media.load import AudioClip
from mmstudio.media.recorded import by_microphone, photograph, recorded, speech

RATE = 16_000


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize(("stored", "side"), [("PNG", 640), ("WEBP", 200), ("JPEG", 96)])
def test_a_photograph_is_one_in_any_format_and_size(name: str, stored: str, side: int) -> None:
    with Image.open(str(files("sklearn.datasets.images") / name)) as picture:
        picture.thumbnail((side, side))
        file = io.BytesIO()
        picture.save(file, stored)
    with Image.open(file) as again:
        assert photograph(again)


def test_drawings_are_none() -> None:
    drawn = sorted((paths.samples() / "pictures").iterdir())[::6]
    taken = [recorded(load(MediaRef(path, "image"), Limits())) for path in drawn]
    assert taken.count("photographs") <= 1
    screen = Image.new("RGB", (1200, 800), "white")
    ImageDraw.Draw(screen).text((30, 30), "a window full of words " * 20, "black")
    assert not photograph(screen)
    assert not photograph(Image.new("RGB", (3, 3)))


def test_synthetic_speech_is_no_recording_and_its_voice_is_heard() -> None:
    spoken = sorted((paths.samples() / "speech").iterdir())[::8]
    clips = [load(MediaRef(path, "audio"), Limits()) for path in spoken]
    assert {recorded(clip, 22_050) for clip in clips} == {""}
    heard = [speech(clip.windows[0], clip.rate_hz) for clip in clips if isinstance(clip, AudioClip)]
    assert np.mean(heard) > 0.7


def test_a_voice_with_a_room_around_it_is_recorded_speech(room: np.ndarray) -> None:
    clip = load(MediaRef(sorted((paths.samples() / "speech").iterdir())[0], "audio"), Limits())
    assert isinstance(clip, AudioClip)
    voice = clip.windows[0]
    assert not by_microphone(voice, RATE)
    assert recorded(AudioClip((voice + room[: len(voice)],), RATE), RATE) == "speech"


def test_a_recorders_rate_is_enough_unless_there_is_silence(room: np.ndarray) -> None:
    assert recorded(AudioClip((np.sin(np.arange(RATE) / 5).astype(np.float32),), RATE), 48_000) == "recordings"
    assert recorded(AudioClip((np.zeros(RATE, np.float32),), RATE), 48_000) == ""
    assert recorded(AudioClip((np.zeros(10, np.float32),), RATE), RATE) == ""
    assert recorded("a text") == ""


@pytest.fixture
def room() -> np.ndarray:
    """A quiet room's noise, 55 dB under full scale."""
    return (10 ** (-55 / 20) * np.random.default_rng(0).normal(size=20 * RATE)).astype(np.float32)
