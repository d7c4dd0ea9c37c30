"""Sounds become mono float32 at the rate that is asked for, however long they are."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import textwrap
import wave

import numpy as np
import pytest
import soundfile

from mmstudio.errors import UnreadableMedia
from mmstudio.media import AudioClip, MediaRef, describe, load
from mmstudio.media.audio import PEAK_BINS, blocks, read, survey, windows


def pitch(samples, rate):
    """The strongest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def loudness(samples):
    return float(np.sqrt((samples.astype(float) ** 2).mean()))


def test_every_kind_of_sound_becomes_mono_float32_at_the_asked_rate(sound_kind, make, tmp_path):
    path = make.file(tmp_path, sound_kind)
    for rate in (8_000, 16_000, 48_000):
        samples, told = read(path, rate)
        assert told == rate
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert len(samples) / rate == pytest.approx(1.0, abs=0.14)  # AAC and MP3 pad to whole frames
        middle = samples[len(samples) // 4: len(samples) * 3 // 4]
        assert pitch(middle, rate) == pytest.approx(440, abs=4)
        assert loudness(middle) == pytest.approx(0.5 / math.sqrt(2), rel=0.05)


def test_every_kind_of_sound_is_one_item_with_duration_rate_and_peaks(sound_kind, make, tmp_path, limits):
    (item,) = describe(make.file(tmp_path, sound_kind), limits).items
    peaks = np.frombuffer(item.preview, np.float32).reshape(PEAK_BINS, 2)
    assert item.modality == "audio"
    assert item.facts["duration_s"] == pytest.approx(1.0, abs=0.14)
    assert item.facts["rate_hz"] in (16_000, 48_000)
    assert peaks[PEAK_BINS // 2] == pytest.approx([-0.5, 0.5], abs=0.06)


@pytest.mark.parametrize("ending", ["wav", "m4a", "mp3", "webm"])
def test_two_channels_are_averaged_the_same_way_in_every_container(ending, make, tmp_path):
    path = tmp_path / f"stereo.{ending}"
    if ending in ("wav", "mp3"):
        path.write_bytes(make.sound(np.stack([make.tone()] * 2, axis=1), 16_000, ending.upper()))
    else:
        name, codec = {"m4a": ("ipod", "aac"), "webm": ("webm", "libopus")}[ending]
        path.write_bytes(make.film(name, audio=codec, colours=((0, 0, 0),), channels=2))
    samples, _ = read(path, 16_000)
    assert loudness(samples[4_000:12_000]) == pytest.approx(0.5 / math.sqrt(2), rel=0.05)
    opposite = np.stack([make.tone(), -make.tone()], axis=1)
    soundfile.write(tmp_path / "opposite.wav", opposite, 16_000)
    assert np.abs(read(tmp_path / "opposite.wav")[0]).max() < 1e-3


def test_the_sound_of_a_video_is_read_like_any_other(make, tmp_path, limits):
    path = make.file(tmp_path, "talk.mp4")
    clip = load(MediaRef(path, "audio", "sound"), limits, rate_hz=8_000, window_seconds=10)
    assert isinstance(clip, AudioClip)
    assert len(clip.windows) == 1
    assert len(clip.windows[0]) / 8_000 == pytest.approx(3.0, abs=0.15)
    assert pitch(clip.windows[0], 8_000) == pytest.approx(440, abs=4)


def test_resampling_keeps_no_alias_and_loses_no_end(make, tmp_path):
    path = tmp_path / "high.wav"
    soundfile.write(path, make.tone(2.0, 44_100, 15_000.0), 44_100)  # above half of 16 kHz: must vanish
    samples, _ = read(path, 16_000)
    assert len(samples) == pytest.approx(32_000, abs=2)
    assert loudness(samples[1_000:-1_000]) < 1e-3


def test_reading_the_first_seconds_stops_there(make, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, make.tone(30.0, 8_000), 8_000)
    samples, rate = read(path, 16_000, max_seconds=1.5)
    assert (len(samples), rate) == (24_000, 16_000)


def staircase(path, seconds, rate=2_000):
    """A sound whose level says where in it one is: sample value = second / seconds."""
    with soundfile.SoundFile(path, "w", rate, 1, subtype="FLOAT") as file:
        for second in range(seconds):
            file.write(np.full(rate, second / seconds, np.float32))


def test_windows_spread_evenly_over_a_long_sound(tmp_path):
    path = tmp_path / "long.wav"
    staircase(path, 1_000)
    found = windows(path, 2_000, 5.0, most=32)
    starts = np.array([w[0] * 1_000 for w in found])
    assert 16 <= len(found) <= 32
    assert {len(w) for w in found} == {10_000}
    assert starts[0] == 0
    assert starts[-1] > 900
    assert np.ptp(np.diff(starts)) < 0.1


@pytest.mark.parametrize("seconds", [5, 9, 10, 11, 17, 160, 161, 163, 320, 330])
def test_windows_are_at_most_the_asked_number_and_all_long_enough(seconds, tmp_path):
    path = tmp_path / "some.wav"
    staircase(path, seconds)
    found = windows(path, 2_000, 5.0, most=32)
    assert 1 <= len(found) <= 32
    assert all(len(w) >= 5_000 for w in found)
    assert len(found) >= min(16, seconds // 5)
    if seconds <= 160:
        assert sum(len(w) for w in found) >= (seconds - 2.5) * 2_000


def test_a_short_sound_is_its_own_window(make, tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, make.tone(0.01), 16_000)
    (only,) = windows(path, 16_000, 10.0)
    assert len(only) == 160


def test_an_hour_of_sound_costs_bounded_memory(tmp_path):
    path = tmp_path / "hour.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(4_000)
        for _ in range(60):
            file.writeframes(b"\x00\x10" * 4_000 * 60)
    script = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        import soundfile, soxr
        from mmstudio.media.audio import survey, windows
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peaks, seconds, rate = survey(Path(sys.argv[1]))
        found = windows(Path(sys.argv[1]), 16_000, 10.0)
        print(round(seconds), rate, len(found), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    told = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    seconds, rate, count, kilobytes = map(int, told.stdout.split())
    assert (seconds, rate) == (3_600, 4_000)
    assert 16 <= count <= 32
    assert kilobytes < 80_000


def test_survey_peaks_show_where_the_sound_is_loud(tmp_path):
    path = tmp_path / "click.wav"
    samples = np.zeros(480_000, np.float32)
    samples[120_000], samples[360_000] = 0.9, -0.8
    soundfile.write(path, samples, 8_000, subtype="FLOAT")
    peaks, seconds, rate = survey(path)
    assert (peaks.shape, peaks.dtype, seconds, rate) == ((PEAK_BINS, 2), np.float32, 60.0, 8_000)
    assert np.flatnonzero(peaks[:, 1]).tolist() == [PEAK_BINS // 4]
    assert np.flatnonzero(peaks[:, 0]).tolist() == [PEAK_BINS * 3 // 4]
    assert peaks.max() == pytest.approx(0.9)
    assert peaks.min() == pytest.approx(-0.8)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 245_761, 245_825, 300_001, 1_000_003])
def test_survey_loses_no_peak_at_any_length(length, tmp_path, monkeypatch):
    """Whatever the size of the decoded pieces: here the tables often have an odd length when they are folded."""
    monkeypatch.setattr("mmstudio.media.audio.BLOCK_SAMPLES", 64 * 245 + 17)
    path = tmp_path / "noise.wav"
    samples = np.random.default_rng(length).uniform(-0.5, 0.5, length).astype(np.float32)
    for place in np.random.default_rng(1).integers(0, length, 40):
        samples[place] = 0.5 + place / length / 4
    soundfile.write(path, samples, 8_000, subtype="FLOAT")
    peaks, seconds, _ = survey(path)
    assert seconds == length / 8_000
    assert peaks.max() == samples.max()
    assert peaks.min() == samples.min()
    edges = np.linspace(0, length, PEAK_BINS + 1).astype(int)
    if length > 100_000:
        exact = np.array([samples[a:b].max() for a, b in itertools.pairwise(edges)])
        around = np.maximum(np.maximum(exact, np.roll(exact, 1)), np.roll(exact, -1))
        assert (peaks[:, 1] <= around + 1e-6).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [0, 16_000, 48_000])
def test_a_sound_with_samples_that_are_not_numbers_is_refused(poison, rate, make, tmp_path, limits):
    path = tmp_path / "nan.wav"
    samples = make.tone(2.0)
    samples[20_000] = poison
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    with pytest.raises(UnreadableMedia, match="not numbers"):
        windows(path, rate, 1.0) if rate else describe(path, limits)


def test_a_sound_of_zero_samples_is_refused(make, tmp_path, limits):
    path = tmp_path / "none.wav"
    path.write_bytes(make.wav_without_samples())
    for act in (lambda: describe(path, limits), lambda: windows(path, 16_000, 1.0), lambda: read(path)):
        with pytest.raises(UnreadableMedia, match="no samples"):
            act()


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_a_header_that_claims_an_absurd_rate_is_refused(rate, make, tmp_path, limits):
    path = tmp_path / "rate.wav"
    path.write_bytes(bytearray(make.bytes_of("tone.wav"))[:24] + rate.to_bytes(4, "little")
                     + make.bytes_of("tone.wav")[28:])
    with pytest.raises(UnreadableMedia):
        describe(path, limits)
    with pytest.raises(UnreadableMedia):
        windows(path, 16_000, 10.0)


def test_many_channels_do_not_multiply_the_memory(tmp_path):
    path = tmp_path / "wide.wav"
    soundfile.write(path, np.zeros((2_000, 256), np.float32), 8_000)
    sizes = [len(samples) for samples, _ in blocks(path)]
    assert sum(sizes) == 2_000
    assert max(sizes) <= 512


