"""Changes to media: nothing at the neutral strength, the same for the same seed, as strong as said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from mmstudio.errors import StudioError
from mmstudio.explain.perturb import PERTURBATIONS, Perturbation, named, perturb
from mmstudio.explain.perturb_pictures import CELLS
from mmstudio.explain.perturb_texts import MASK, STOP_WORDS
from mmstudio.media import AudioClip, Media

RATE = 16_000
TEXT = "The dog, a big one,  is barking at\nthe red car of Mr. Smith and it does not stop"


def picture(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def tone(hertz: float, seconds: float = 2.0, rate: int = RATE, loud: float = 0.3) -> AudioClip:
    wave = loud * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return AudioClip((wave.astype(np.float32),), rate)


def noisy_clip() -> AudioClip:
    rng = np.random.default_rng(2)
    return AudioClip(tuple((0.2 * rng.standard_normal(n)).clip(-1, 1).astype(np.float32) for n in (8000, 4001)), RATE)


def usual(one: Perturbation) -> Media:
    """An item that every change of this modality shows on."""
    if one.modality == "text":
        return TEXT
    return noisy_clip() if one.modality == "audio" else picture()


def odd(one: Perturbation) -> list[Media]:
    """Items at the edge of what there is."""
    if one.modality == "text":
        return ["", " ", "\n", "dog", "the", "😀", "😀👨‍👩‍👧 ß İ", "…", "two words", "词语 没有 空格", " The  end. \n"]
    if one.modality == "image":
        return [picture(1, 1), picture(1, 40), picture(33, 2), Image.new("RGB", (20, 10), "black")]
    waves = (np.zeros(5000), np.zeros(1), np.full(1, 0.5), np.full(2, -1.0), np.ones(3000), np.zeros(0),
             np.r_[np.zeros(4000), 0.5 * np.sin(np.arange(4000)), np.zeros(4000)], np.full(900, 1e-30))
    return [AudioClip((wave.astype(np.float32),), rate) for wave in waves for rate in (100, 8000, 48_000)]


def same(a: Media, b: Media) -> bool:
    """Bit for bit."""
    if isinstance(a, AudioClip) and isinstance(b, AudioClip):
        return a.rate_hz == b.rate_hz and all(
            np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a.windows, b.windows, strict=True))
    if isinstance(a, Image.Image) and isinstance(b, Image.Image):
        return a.size == b.size and a.mode == b.mode and a.tobytes() == b.tobytes()
    return isinstance(a, str) and a == b


def strengths(one: Perturbation) -> list[float]:
    return [one.low, one.low + 0.01 * (one.high - one.low), one.default, one.high]


EVERY = pytest.mark.parametrize("one", PERTURBATIONS, ids=lambda one: one.name)


# All of them


def test_names_are_unique_and_ranges_hold_their_defaults() -> None:
    assert len({one.name for one in PERTURBATIONS}) == len(PERTURBATIONS)
    for one in PERTURBATIONS:
        assert one.low <= one.neutral <= one.high
        assert one.low <= one.default <= one.high
        assert one.default != one.neutral
        assert one.text.endswith(".")


@EVERY
def test_the_neutral_strength_changes_nothing(one: Perturbation) -> None:
    for media in (usual(one), *odd(one)):
        assert same(perturb(media, one.name, one.neutral), media)


@EVERY
def test_the_default_strength_shows(one: Perturbation) -> None:
    assert not same(perturb(usual(one), one.name, one.default), usual(one))


@EVERY
def test_the_same_seed_gives_the_same_and_the_item_itself_stays(one: Perturbation) -> None:
    media = usual(one)
    first = perturb(media, one.name, one.default, seed=7)
    assert same(perturb(usual(one), one.name, one.default, seed=7), first)
    assert same(media, usual(one))


@pytest.mark.parametrize("name", ["noise", "occlusion", "white-noise", "shuffle", "mask"])
def test_another_seed_gives_another_result(name: str) -> None:
    media, strength = usual(named(name)), named(name).default
    assert not same(perturb(media, name, strength, 1), perturb(media, name, strength, 2))


@EVERY
def test_odd_items_come_out_sound_at_every_strength(one: Perturbation) -> None:
    for media in (usual(one), *odd(one)):
        for strength in strengths(one):
            found = perturb(media, one.name, strength, seed=3)
            if isinstance(media, str):
                assert isinstance(found, str)
            elif isinstance(media, AudioClip):
                assert isinstance(found, AudioClip)
                assert_sound(found, media, keeps_length=one.name != "speed")
            else:
                assert isinstance(found, Image.Image)
                assert (found.size, found.mode) == (media.size, "RGB")


def assert_sound(found: AudioClip, media: AudioClip, keeps_length: bool) -> None:
    assert found.rate_hz == media.rate_hz
    assert len(found.windows) == len(media.windows)
    for wave, before in zip(found.windows, media.windows, strict=True):
        assert wave.dtype == np.float32
        assert wave.ndim == 1
        assert np.isfinite(wave).all()
        assert np.abs(wave).max(initial=0) <= 1
        if keeps_length:
            assert len(wave) == len(before)
        if not before.any():
            assert not wave.any()


def test_what_is_asked_wrongly_is_an_error() -> None:
    with pytest.raises(StudioError, match="no change named"):
        perturb("a", "sharpen", 1)
    with pytest.raises(StudioError, match="kind image"):
        perturb("a", "blur", 1)
    for strength in (-1, 21, float("nan")):
        with pytest.raises(StudioError, match="takes 0 to 20"):
            perturb(picture(), "blur", strength)


# Pictures


def test_greyscale_has_no_colour() -> None:
    pixels = np.asarray(perturb(picture(), "greyscale", 1)).astype(int)
    assert np.ptp(pixels, axis=2).max() == 0
    half = np.asarray(perturb(picture(), "greyscale", 0.5)).astype(int)
    assert np.abs(2 * half - pixels - np.asarray(picture())).max() <= 2


def test_edges_are_bright_where_the_picture_changes_and_dark_elsewhere() -> None:
    halves = Image.new("RGB", (40, 30), "black")
    halves.paste((255, 255, 255), (20, 0, 40, 30))
    pixels = np.asarray(perturb(halves, "edges", 1))
    assert (pixels[:, 19:21] == 255).all()
    assert not pixels[:, :19].any()
    assert not pixels[:, 21:].any()


def test_blur_takes_fine_detail_away_the_more_the_stronger() -> None:
    def detail(percent: float) -> float:
        grey = np.asarray(perturb(picture(96, 96), "blur", percent).convert("L")).astype(float)  # type: ignore[union-attr]
        power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
        radius = np.hypot(*np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(96)))
        return float(power[radius > 0.1].sum())
    energies = [detail(percent) for percent in (0, 0.5, 1, 2, 4)]
    assert all(a > b for a, b in itertools.pairwise(energies))
    assert energies[-1] < 0.01 * energies[0]


def test_crop_keeps_the_middle() -> None:
    """A slope from 0 to 255: of half of it the middle half is left."""
    slope = np.broadcast_to(np.linspace(0, 255, 200)[None, :, None], (60, 200, 3)).astype(np.uint8)
    pixels = np.asarray(perturb(Image.fromarray(slope), "crop", 0.5))[30, :, 0]
    assert pixels[0] == pytest.approx(255 * 0.25, abs=3)
    assert pixels[-1] == pytest.approx(255 * 0.75, abs=3)


def test_rotation_is_counter_clockwise_and_its_corners_are_white() -> None:
    dark = Image.new("RGB", (51, 51), "black")
    dark.paste((255, 0, 0), (40, 20, 51, 31))  # at the right
    turned = np.asarray(perturb(dark, "rotate", 90))
    assert tuple(turned[5, 25]) == (255, 0, 0)  # now at the top
    assert (np.asarray(perturb(dark, "rotate", 45))[0, 0] == 255).all()
    assert same(perturb(picture(), "rotate", 180), picture().transpose(Image.Transpose.ROTATE_180))


def test_noise_is_as_strong_as_said() -> None:
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    pixels = np.asarray(perturb(grey, "noise", 0.1)).astype(float)
    assert pixels.std() == pytest.approx(25.5, rel=0.02)
    assert pixels.mean() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("seed", [0, 5])
def test_more_occlusion_covers_all_that_less_covers(seed: int) -> None:
    bright = Image.fromarray(np.random.default_rng(0).integers(200, 256, (70, 90, 3), np.uint8))
    pixels = np.asarray(bright)
    grey = round(float(np.asarray(bright.convert("L")).mean()))
    covered_before = np.zeros(pixels.shape[:2], np.bool_)
    for share in (0.1, 0.25, 0.5, 0.9):
        found = np.asarray(perturb(bright, "occlusion", share, seed))
        covered = (found == grey).all(axis=2)
        assert covered[covered_before].all()
        assert covered.mean() == pytest.approx(share, abs=0.02)
        assert (found[~covered] == pixels[~covered]).all()
        covered_before = covered
    assert CELLS * CELLS == 100


# Sounds


def spectrum(clip: AudioClip) -> tuple[np.ndarray, np.ndarray]:
    """Hertz and power of its first window."""
    wave = clip.windows[0]
    return (np.fft.rfftfreq(len(wave), 1 / clip.rate_hz),
            np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2)


def changed(clip: AudioClip, name: str, strength: float, seed: int = 0) -> AudioClip:
    found = perturb(clip, name, strength, seed)
    assert isinstance(found, AudioClip)
    return found


@pytest.mark.parametrize(("semitones", "hertz"), [(12, 880), (-12, 220), (7, 659.26), (-5, 329.63), (0.5, 452.89)])
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_a_tone_changes_its_pitch_and_keeps_duration_and_level(semitones: float, hertz: float, rate: int) -> None:
    found = changed(tone(440, rate=rate), "pitch", semitones)
    frequencies, power = spectrum(found)
    assert frequencies[power.argmax()] == pytest.approx(hertz, abs=1)
    assert power[np.abs(frequencies - hertz) < 10].sum() > 0.999 * power.sum()
    assert len(found.windows[0]) == 2 * rate
    middle = found.windows[0][rate // 4:-rate // 4].reshape(-1, rate // 20).std(axis=1)
    assert middle == pytest.approx(0.3 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("semitones", [-7, 7])
def test_a_pitched_sound_happens_when_it_did(semitones: float) -> None:
    wave = np.zeros(3 * RATE, np.float32)
    starts = (8_000, 20_000, 40_000)
    for start in starts:
        wave[start:start + 1600] = 0.5 * np.sin(np.arange(1600) * 0.4)
    found = changed(AudioClip((wave,), RATE), "pitch", semitones).windows[0].astype(float)
    for start in starts:
        near = slice(start - 2000, start + 3600)
        centre = (np.arange(near.start, near.stop) * found[near] ** 2).sum() / (found[near] ** 2).sum()
        assert centre == pytest.approx(start + 800, abs=0.01 * RATE)


def test_a_harmonic_sound_keeps_its_harmonics() -> None:
    t = np.arange(2 * RATE) / RATE
    wave = sum(np.sin(2 * np.pi * 200 * k * t + k) / k for k in range(1, 11)) * 0.2
    frequencies, power = spectrum(changed(AudioClip((np.asarray(wave, np.float32),), RATE), "pitch", 4))
    inside = np.zeros(len(power), np.bool_)
    for k in range(1, 11):
        at = np.abs(frequencies - 200 * 2 ** (4 / 12) * k) < 12
        inside |= at
        assert 10 * np.log10(power[at].sum() / power.max()) == pytest.approx(-20 * np.log10(k), abs=4)
    assert power[inside].sum() > 0.99 * power.sum()


@pytest.mark.parametrize(("factor", "seconds", "hertz"), [(2, 1, 880), (0.5, 4, 220), (1.25, 1.6, 550)])
def test_speed_changes_duration_and_pitch(factor: float, seconds: float, hertz: float) -> None:
    found = changed(tone(440), "speed", factor)
    frequencies, power = spectrum(found)
    assert len(found.windows[0]) == round(seconds * RATE)
    assert frequencies[power.argmax()] == pytest.approx(hertz, abs=2)


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0, 3.1623])
@pytest.mark.parametrize("loud", [0.3, 1.0])
def test_noise_is_so_many_decibels_below_the_sound(level: float, loud: float) -> None:
    clean = tone(440, loud=loud).windows[0].astype(float)
    found = changed(tone(440, loud=loud), "white-noise", level).windows[0].astype(float)
    gain = (found @ clean) / (clean @ clean)  # the sum may be turned down to stay within ±1
    rest = found - gain * clean
    ratio = 20 * np.log10(gain * clean.std() / rest.std())
    assert ratio == pytest.approx(-20 * np.log10(level), abs=0.5)


def test_each_window_gets_noise_of_its_own() -> None:
    clip = AudioClip((tone(440).windows[0],) * 2, RATE)
    first, second = changed(clip, "white-noise", 0.5).windows
    assert not np.array_equal(first, second)


def level_db(before: AudioClip, after: AudioClip) -> float:
    middle = slice(RATE // 4, -RATE // 4)
    return float(20 * np.log10(after.windows[0][middle].std() / before.windows[0][middle].std()))


def test_a_low_pass_takes_high_tones_and_leaves_low_ones() -> None:
    assert level_db(tone(4000), changed(tone(4000), "low-pass", 1000)) < -30
    assert level_db(tone(300), changed(tone(300), "low-pass", 1000)) == pytest.approx(0, abs=0.05)
    assert level_db(tone(1000), changed(tone(1000), "low-pass", 1000)) == pytest.approx(-3, abs=0.1)


@pytest.mark.parametrize("cut_off", [8000, 12_000])
def test_a_low_pass_above_what_the_rate_holds_changes_nothing(cut_off: float) -> None:
    assert same(perturb(noisy_clip(), "low-pass", cut_off), noisy_clip())


def test_a_low_pass_does_not_delay() -> None:
    click = np.zeros(RATE, np.float32)
    click[5000] = 1
    assert changed(AudioClip((click,), RATE), "low-pass", 500).windows[0].argmax() == 5000


def test_clipping_cuts_off_at_a_share_of_each_windows_peak() -> None:
    clip = AudioClip((tone(440, loud=0.8).windows[0], tone(440, loud=0.1).windows[0]), RATE)
    for before, after in zip(clip.windows, changed(clip, "clipping", 0.25).windows, strict=True):
        most = 0.25 * np.abs(before).max()
        assert np.abs(after).max() == pytest.approx(most)
        quiet = np.abs(before) < most
        assert np.array_equal(after[quiet], before[quiet])


# Texts


def test_stop_words_are_left_out_with_their_spaces() -> None:
    assert perturb(TEXT, "drop-stop-words", 1) == "dog, big one,  barking red car Mr. Smith not stop"
    assert perturb("to be of", "drop-stop-words", 1) == ""
    assert perturb("dog of", "drop-stop-words", 1) == "dog"
    assert perturb("DOG\n", "drop-stop-words", 1) == "DOG\n"
    assert "not" not in STOP_WORDS


@pytest.mark.parametrize("seed", range(4))
def test_a_greater_share_of_stop_words_drops_all_that_a_smaller_one_did(seed: int) -> None:
    words = TEXT.split()
    left = [str(perturb(TEXT, "drop-stop-words", share, seed)).split() for share in (0.0, 0.3, 0.6, 1.0)]
    assert [len(words) - len(some) for some in left] == [0, 3, 5, 9]
    for more, fewer in itertools.pairwise(left):
        rest = iter(more)
        assert all(word in rest for word in fewer)  # in order


@pytest.mark.parametrize("seed", range(4))
def test_a_greater_share_masks_all_that_a_smaller_one_did(seed: int) -> None:
    words, before = TEXT.split(), set()
    for share in (0.1, 0.4, 0.8, 1.0):
        found = str(perturb(TEXT, "mask", share, seed)).split()
        masked = {at for at, word in enumerate(found) if word == MASK}
        assert before <= masked
        assert len(masked) == round(share * len(words))
        assert all(word == words[at] for at, word in enumerate(found) if at not in masked)
        before = masked
    assert perturb(TEXT, "mask", 1).split(" ")[-1] == MASK  # type: ignore[union-attr]


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_shuffling_moves_that_share_of_words_and_loses_none(share: float) -> None:
    text = " ".join(f"w{at}" for at in range(20)) + "\nend"
    found = str(perturb(text, "shuffle", share, seed=2))
    words = text.split()
    moved = sum(a != b for a, b in zip(found.split(), words, strict=True))
    assert moved == max(2, round(share * 21))
    assert sorted(found.split()) == sorted(words)
    assert found.count("\n") == 1
    assert perturb("word", "shuffle", 1) == "word"
    assert perturb("two words", "shuffle", 0.1) == "words two"


def test_lower_case_is_lower_case() -> None:
    assert perturb("A Dog IN ÖSTERREICH", "lower-case", 1) == "a dog in österreich"
    assert perturb("A Dog", "lower-case", 0.4) == "A Dog"
