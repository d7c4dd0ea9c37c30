"""Tiny real files of every kind, made on the spot."""

from __future__ import annotations

import io
import json
import os
import re
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mmstudio.media import Limits

Samples = NDArray[np.float32]
RED, GREEN, BLUE = (200, 30, 20), (30, 180, 40), (20, 40, 190)
JAPANESE = "夏の夜は静かです。海の音が聞こえる。小さな魚が泳いでいます。カタカナも書きます。" * 4
GERMAN = "Über den Bäumen ist die Höhe grün. Die Straße führt zum Fluß, wo Kühe und Vögel früh müde träumen.\n" * 4


def tone(seconds: float = 1.0, rate: int = 16_000, pitch: float = 440.0, loud: float = 0.5) -> Samples:
    """A sine, ``(seconds * rate,)`` float32."""
    return (loud * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def scene(width: int = 96, height: int = 64, mode: str = "RGB") -> Image.Image:
    """Red above, blue below left, green below right: every orientation looks different."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(GREEN, (width // 2, height // 2, width, height))
    return picture if mode == "RGB" else picture.convert(mode)


def saved(picture: Image.Image, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, name, **options)
    return out.getvalue()


def heic(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=90)
    return out.getvalue()


def sound(samples: Samples, rate: int, name: str, subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=name, subtype=subtype)
    return out.getvalue()


def film(
    name: str, video: str = "", audio: str = "", colours: tuple[tuple[int, int, int], ...] = (RED, GREEN, BLUE),
    seconds: float = 1.0, fps: int = 10, channels: int = 1, size: tuple[int, int] = (64, 48), gop: int = 0,
) -> bytes:
    """A container with ``seconds`` of each colour (upper left corner white) and a 440 Hz tone, as asked for."""
    out = io.BytesIO()
    with av.open(out, "w", format=name) as container:
        rate = 48_000 if audio == "libopus" else 16_000
        moving = container.add_stream(video, rate=fps) if video else None
        heard = container.add_stream(audio, rate=rate, layout="stereo" if channels == 2 else "mono") if audio else None
        if moving is not None:
            moving.width, moving.height, moving.pix_fmt = *size, "yuv420p"
            moving.time_base = Fraction(1, fps)
            moving.gop_size = gop or fps
            moving.thread_count = 1
            for number in range(round(seconds * fps) * len(colours)):
                pixels = np.full((size[1], size[0], 3), colours[number // round(seconds * fps)], np.uint8)
                pixels[: size[1] // 4, : size[0] // 4] = 255
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = number
                container.mux(moving.encode(frame))
            container.mux(moving.encode(None))
        if heard is not None:
            samples = tone(seconds * len(colours), rate)
            integers = heard.codec_context.format.name.startswith("s16")
            planes = np.stack([samples] * channels)
            if not heard.codec_context.format.is_planar:
                planes = np.ascontiguousarray(planes.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                (planes * 32767).astype(np.int16) if integers else planes, format=heard.codec_context.format.name,
                layout=heard.codec_context.layout.name)
            frame.sample_rate, frame.pts = rate, 0
            container.mux(heard.encode(frame))
            container.mux(heard.encode(None))
    return out.getvalue()


def with_orientation(picture: Image.Image, orientation: int) -> dict[str, object]:
    """Options that save ``picture`` with that EXIF orientation."""
    exif = picture.getexif()
    exif[0x0112] = orientation
    return {"exif": exif}


def swapped_profile() -> bytes:
    """The sRGB profile with red and green swapped: a profile whose effect is known exactly."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmpX", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmpX", b"gXYZ", 1)


def cmyk_tiff() -> bytes:
    return saved(Image.new("CMYK", (32, 24), (0, 255, 255, 0)), "TIFF", icc_profile=swapped_profile())


def wav_without_samples() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    return out.getvalue()


CSV = "name,note,count\n" + "".join(f"cat {n},likes fish and sleep,{n}\n" for n in range(6))
JSONL = "".join(json.dumps({"caption": f"A red boat number {n}", "size": n}) + "\n" for n in range(6))

IMAGES: dict[str, Callable[[], bytes]] = {
    "photo.jpg": lambda: saved(scene(), "JPEG", quality=90),
    "plain.png": lambda: saved(scene(), "PNG"),
    "alpha.png": lambda: saved(Image.new("RGBA", (32, 24), (*RED, 128)), "PNG"),
    "palette.png": lambda: saved(scene(mode="P"), "PNG", transparency=0),
    "grey16.png": lambda: saved(Image.fromarray(np.full((24, 32), 32_768, np.uint16)), "PNG"),
    "moving.gif": lambda: saved(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (96, 64), BLUE)]),
    "moving.webp": lambda: saved(scene(), "WEBP", save_all=True, append_images=[Image.new("RGB", (96, 64), BLUE)]),
    "grey16.tiff": lambda: saved(Image.fromarray(np.full((24, 32), 32_768, np.uint16)), "TIFF"),
    "print.tiff": cmyk_tiff,
    "packed.tiff": lambda: saved(scene(), "TIFF", compression="tiff_lzw"),
    "turned.jpg": lambda: saved(scene(), "JPEG", **with_orientation(scene(), 6)),
    "phone.heic": lambda: heic(scene()),
    "web.avif": lambda: saved(scene(), "AVIF"),
    "old.bmp": lambda: saved(scene(), "BMP"),
}
SOUNDS: dict[str, Callable[[], bytes]] = {
    "tone.wav": lambda: sound(tone(), 16_000, "WAV"),
    "tone.flac": lambda: sound(tone(), 16_000, "FLAC"),
    "tone.ogg": lambda: sound(tone(), 16_000, "OGG", "VORBIS"),
    "tone.opus": lambda: sound(tone(), 48_000 // 3, "OGG", "OPUS"),
    "tone.mp3": lambda: sound(tone(), 16_000, "MP3"),
    "tone.m4a": lambda: film("ipod", audio="aac", colours=(RED,)),
    "tone.aac": lambda: film("adts", audio="aac", colours=(RED,)),
}
TEXTS: dict[str, Callable[[], bytes]] = {
    "utf8.txt": lambda: GERMAN.encode(),
    "utf16.txt": lambda: GERMAN.encode("utf-16"),
    "latin1.txt": lambda: GERMAN.encode("latin-1"),
    "shiftjis.txt": lambda: JAPANESE.encode("shift-jis"),
    "notes.md": lambda: b"# A walk\n\nWe saw *two* boats.\n",
    "table.csv": lambda: CSV.encode(),
    "table.tsv": lambda: CSV.replace(",", "\t").encode(),
    "lines.jsonl": lambda: JSONL.encode(),
}
VIDEOS: dict[str, Callable[[], bytes]] = {
    "talk.mp4": lambda: film("mp4", "libx264", "aac"),
    "mute.mp4": lambda: film("mp4", "libx264"),
    "talk.webm": lambda: film("webm", "libvpx", "libopus"),
    "mute.webm": lambda: film("webm", "libvpx"),
}
MODALITY_OF = {
    **{name: {"image"} for name in IMAGES}, **{name: {"audio"} for name in SOUNDS},
    **{name: {"text"} for name in TEXTS},
    **{name: {"image", "audio"} if name.startswith("talk") else {"image"} for name in VIDEOS},
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``kind`` runs a test for every kind of file; ``image_kind`` and so on for those of one modality."""
    for name, table in (("kind", MODALITY_OF), ("image_kind", IMAGES), ("sound_kind", SOUNDS), ("text_kind", TEXTS),
                        ("video_kind", VIDEOS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, list(table))


class Makers:
    """What the tests make files with; the bytes of each kind are made once."""

    modality_of = MODALITY_OF
    colours = {"red": RED, "green": GREEN, "blue": BLUE}
    german, japanese = GERMAN, JAPANESE
    tone, scene, saved, sound, film = map(staticmethod, (tone, scene, saved, sound, film))
    with_orientation, heic, swapped_profile = map(staticmethod, (with_orientation, heic, swapped_profile))
    wav_without_samples = staticmethod(wav_without_samples)

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}

    def bytes_of(self, kind: str) -> bytes:
        if kind not in self._made:
            self._made[kind] = (IMAGES | SOUNDS | TEXTS | VIDEOS)[kind]()
        return self._made[kind]

    def file(self, folder: Path, kind: str, name: str = "") -> Path:
        path = folder / (name or kind)
        path.write_bytes(self.bytes_of(kind))
        return path


@pytest.fixture(scope="session")
def make() -> Makers:
    return Makers()


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture(autouse=True)
def no_leaked_file_handle(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """No test of this room leaves a file under its folder open."""
    yield
    if not os.path.isdir("/proc/self/fd"):
        return
    left = [target for fd in os.listdir("/proc/self/fd")
            if (target := _link(f"/proc/self/fd/{fd}")).startswith(str(tmp_path) + os.sep)]
    assert not left, left


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


INTERNALS = re.compile(r"<_|0x[0-9a-f]{4}|Errno|Error\b|object at|\bav\.|PIL|libsnd|FFmpeg|\bb'|codec can't")


@pytest.fixture
def plain_words() -> Callable[[str], None]:
    """Fails for a sentence that holds what only a programmer understands."""

    def check(sentence: str) -> None:
        assert sentence.strip(), "an error without a sentence"
        assert sentence.strip()[-1] in ".!)", sentence
        assert not INTERNALS.search(sentence), sentence

    return check
