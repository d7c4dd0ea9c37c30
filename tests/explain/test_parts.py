"""Items cut into cells: what is left when cells go, and relevance carried from one cutting to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import signal

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Positions, encode
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.leaving_out import _of_like_length, random_masks
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.parts import parts_of, superpixels, words_of
from mmstudio.explain.subject import Subject
from mmstudio.media import AudioClip

RATE = 16_000


@pytest.mark.parametrize(("text", "words"), [
    ("a red  dog", ["a", "red", "dog"]),
    ("cafe\u0301 noir", ["cafe\u0301", "noir"]),
    ("👩\u200d👩\u200d👧 sits 🏳️\u200d🌈", ["👩\u200d👩\u200d👧", "sits", "🏳️\u200d🌈"]),
    ("一只狗", ["一", "只", "狗"]),
    ("か\u3099 go狗", ["か\u3099", "go", "狗"]),
    ("", []),
])
def test_words_are_where_they_stand_in_the_text(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in words_of(text)] == words


def test_a_text_loses_words_and_never_all_letters() -> None:
    parts = parts_of("a red dog")
    assert parts.kept(np.ones(3, np.float32)) == "a red dog"
    assert parts.kept(np.array([1, 0, 1], np.float32)) == "a dog"
    assert parts.kept(np.zeros(3, np.float32)) == "…"
    with pytest.raises(AttentionUnavailable):
        parts_of("  ")


def test_a_picture_keeps_what_is_kept_and_turns_to_its_mean_colour_elsewhere() -> None:
    pixels = np.zeros((56, 112, 3), np.uint8)
    pixels[:, 56:] = (200, 100, 0)
    parts = parts_of(Image.fromarray(pixels))
    assert parts.shape == (14, 28)
    left = np.asarray(parts.kept((parts.positions.extents[:, 0] < 0.5).astype(np.float32)))
    assert (left[:, :56] == 0).all()
    assert np.abs(left[:, 56:].astype(int) - (100, 50, 0)).max() <= 1
    assert np.array_equal(np.asarray(parts.kept(np.ones(14 * 28, np.float32))), pixels)


def test_superpixels_do_not_cross_the_border_of_two_colours() -> None:
    cells = np.zeros((12, 20, 3), np.float32)
    cells[:, 7:] = 255
    regions = superpixels(cells, 12).reshape(12, 20)
    assert not set(regions[:, :7].ravel()) & set(regions[:, 7:].ravel())
    assert 4 <= regions.max() + 1 <= 20


def test_a_muted_band_is_silent_and_the_other_tone_stays() -> None:
    at = np.arange(RATE) / RATE
    clip = AudioClip((np.float32(0.3) * np.sin(2 * np.pi * 300 * at).astype(np.float32)
                      + np.float32(0.3) * np.sin(2 * np.pi * 3000 * at).astype(np.float32),), RATE)
    parts = parts_of(clip)
    high = parts.positions.extents[:, 2] > 1500
    left = parts.kept((~high).astype(np.float32))
    spectrum = np.abs(np.fft.rfft(left.windows[0]))  # type: ignore[union-attr]
    assert 20 * np.log10(spectrum[300] / spectrum[3000]) > 40
    assert parts.kept(np.ones(len(high), np.float32)) is clip
    early = parts.positions.extents[:, 1] <= 0.5
    half = parts.kept((~early).astype(np.float32)).windows[0]  # type: ignore[union-attr]
    assert np.abs(half[: RATE // 2 - 800]).max() < 0.02
    assert np.abs(half[RATE // 2 + 800 :]).max() > 0.3


def test_relevance_of_patches_becomes_that_of_the_cells_they_share_area_with() -> None:
    parts = parts_of(Image.new("RGB", (64, 64)))
    boxes = np.array([[np.nan] * 4, [0, 0, 0.5, 1], [0.5, 0, 1, 1]], np.float32)
    found = RelevanceMap(np.array([9, 1, 3], np.float32), Positions("patch", boxes), "", "")
    cells = parts.on_cells(found).reshape(parts.shape)
    assert (cells[:, :14] == 1).all()
    assert (cells[:, 14:] == 3).all()


def test_relevance_over_time_holds_for_all_frequencies() -> None:
    parts = parts_of(AudioClip((np.zeros(RATE, np.float32),), RATE))
    found = RelevanceMap(np.array([1, 3], np.float32), Positions("time", np.array([[0, 0.5], [0.5, 1]], np.float32)),
                         "", "")
    cells = parts.on_cells(found).reshape(parts.shape)
    assert np.allclose(cells[:, :5], 1)
    assert np.allclose(cells[:, 5:], 3)


@pytest.mark.parametrize("samples", [1, 5, 13, 15, 16, 17, 250, 511, 4001])
def test_a_sound_of_any_length_is_whole_where_nothing_is_taken_and_silent_where_all_is(samples: int) -> None:
    wave = np.random.default_rng(samples).normal(0, 0.3, samples).astype(np.float32)
    parts = parts_of(AudioClip((wave,), 16_000))
    almost = np.full(len(parts.positions), 0.999999, np.float32)
    whole, none = parts.kept(almost), parts.kept(np.zeros_like(almost))
    assert isinstance(whole, AudioClip)
    assert isinstance(none, AudioClip)
    assert whole.windows[0].shape == none.windows[0].shape == wave.shape
    assert np.allclose(whole.windows[0], wave, atol=1e-4)
    assert not none.windows[0].any()


def test_what_is_kept_of_a_sound_is_the_inverse_transform_of_its_spectrum_with_each_cell_as_loud_as_kept() -> None:
    rng = np.random.default_rng(0)
    wave = rng.normal(0, 0.3, 8000).astype(np.float32)
    parts = parts_of(AudioClip((wave,), RATE))
    share = rng.uniform(0, 1, len(parts.positions)).astype(np.float32)
    hertz, at, spectrum = signal.stft(wave, RATE, nperseg=512, noverlap=384)
    extents = parts.positions.extents.reshape(*parts.shape, 4)
    band = np.clip(np.searchsorted(extents[:, 0, 2], hertz, side="right") - 1, 0, None)
    column = np.clip((at / 0.5 * parts.shape[1]).astype(int), 0, parts.shape[1] - 1)
    gain = share.reshape(parts.shape)[band[:, None], column[None]]
    _, wanted = signal.istft(spectrum * gain, RATE, nperseg=512, noverlap=384)
    heard = parts.kept(share)
    assert isinstance(heard, AudioClip)
    assert np.allclose(heard.windows[0], wanted[:8000], atol=1e-5)


@pytest.mark.parametrize("size", [(600, 300), (64, 64), (40, 90), (500, 200)])
def test_parts_of_a_picture_are_taken_away_as_the_model_reads_it(starter: Encoder, size: tuple[int, int]) -> None:
    target, noise = encode(starter, ["a dog"], "text")[0], np.random.default_rng(0).integers(0, 255, (*size[::-1], 3))
    subject = Subject(starter, Image.fromarray(noise.astype(np.uint8)), "image", target)
    whole = subject.parts.kept(np.ones(len(subject.parts.positions), np.float32))
    pixels = starter.prepare(subject.media, "image").inputs["pixels"]
    assert np.array_equal(starter.prepare(whole, "image").inputs["pixels"], pixels)
    assert subject.parts.shape[0] / subject.parts.shape[1] == pytest.approx(size[1] / size[0], rel=0.15)


def test_where_a_model_reads_a_part_of_a_picture_twice_its_pixels_are_kept(
    starter: Encoder, monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, subject = starter.seen, Subject(starter, Image.new("RGB", (600, 300), "red"), "image",
                                          encode(starter, ["a dog"], "text")[0])
    monkeypatch.setattr(starter, "seen", lambda *_: replace(seen(subject.media, "image"), box=(0.25, 0, 0.75, 1)))
    read = starter.prepare(subject.media, "image").inputs["pixels"].shape
    whole = subject.parts.kept(np.ones(len(subject.parts.positions), np.float32))
    assert whole.size == (min(224, 4 * read[2]), min(112, 2 * read[2]))  # type: ignore[union-attr]
    assert parts_of(subject.media).kept(np.zeros(28 * 14, np.float32)).size == (224, 112)  # type: ignore[union-attr]


def test_masks_of_words_come_with_others_of_their_length_and_none_is_left_out() -> None:
    masks = random_masks((26,), 300, np.random.default_rng(0))
    batches = _of_like_length(masks, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    spread = [np.ptp(masks[batch].sum(axis=1)) for batch in batches]
    assert max(spread) < np.ptp(masks.sum(axis=1)) - 3
    assert np.median(spread) <= 2
