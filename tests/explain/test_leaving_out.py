"""Methods that leave parts out, against computations by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Vectors, encode
from mmstudio.errors import SpaceMismatch, StudioError
from mmstudio.explain import leaving_out, shapley
from mmstudio.explain.methods import METHODS, named, relevance
from mmstudio.explain.subject import Subject
from mmstudio.media import AudioClip
from mmstudio.progress import finish

TEXT = "a dog on a chair"


@pytest.fixture
def subject(starter: Encoder, words: Callable[[str], Vectors]) -> Subject:
    return Subject(starter, TEXT, "text", words("a puppy"))


def test_occlusion_of_a_text_is_what_each_word_takes_with_it(subject: Subject) -> None:
    found = finish(leaving_out.occlusion(subject))
    without = ["dog on a chair", "a on a chair", "a dog a chair", "a dog on chair", "a dog on a"]
    wanted = subject.score - encode(subject.encoder, without, "text") @ subject.target
    assert np.allclose(found.weights, wanted, atol=1e-5)
    assert found.positions.label(int(found.weights.argmax())) == "dog"


def test_occlusion_of_a_picture_is_the_mean_fall_of_the_windows_over_a_cell(
    starter: Encoder, scenes: Any, words: Callable[[str], Vectors],
) -> None:
    subject = Subject(starter, scenes[3][0], "image", words("a dog"))
    found, (rows, columns) = finish(leaving_out.occlusion(subject)), subject.parts.shape
    row, column = 5, 9
    fell = []
    for top in sorted({*range(0, rows - 3, 2), rows - 4}):
        for left in sorted({*range(0, columns - 3, 2), columns - 4}):
            if top <= row < top + 4 and left <= column < left + 4:
                there = np.ones((rows, columns), np.float32)
                there[top : top + 4, left : left + 4] = 0
                hidden = encode(starter, [subject.parts.kept(there.ravel())], "image")[0]
                fell.append(subject.score - float(hidden @ subject.target))
    assert len(fell) >= 4
    assert found.weights[row * columns + column] == pytest.approx(np.mean(fell), abs=1e-5)


def test_occlusion_of_a_sound_is_the_mean_fall_of_the_windows_over_a_cell(
    starter: Encoder, words: Callable[[str], Vectors],
) -> None:
    wave = (0.2 * np.random.default_rng(1).standard_normal(9600)).astype(np.float32)
    subject = Subject(starter, AudioClip((wave,), 16_000), "audio", words("a dog"))
    bands, moments = subject.parts.shape
    assert (bands, moments) == (8, 6)
    fell = []
    for low in (2, 4):  # of the windows of four by four, two apart, those over band 4 and moment 0
        there = np.ones((bands, moments), np.float32)
        there[low : low + 4, 0:4] = 0
        hidden = encode(starter, [subject.parts.kept(there.ravel())], "audio")[0]
        fell.append(subject.score - float(hidden @ subject.target))
    assert finish(leaving_out.occlusion(subject)).weights[4 * moments] == pytest.approx(np.mean(fell), abs=1e-5)


def test_kernel_shap_of_a_picture_is_the_weighted_regression_it_is_defined_by(
    starter: Encoder, scenes: Any, words: Callable[[str], Vectors],
) -> None:
    subject = Subject(starter, scenes[3][0], "image", words("a dog"))
    parts = subject.parts
    found = finish(leaving_out.kernel_shap(subject, coalitions=160, seed=2))
    regions = parts.region_count
    shares = np.array([found.weights[parts.regions == region].sum() for region in range(regions)])
    there, weights = shapley._plan(regions, 160, 2)
    scores = np.concatenate([subject.scores([parts.with_regions(row) for row in there[at : at + 32]])
                             for at in range(0, len(there), 32)])
    nobody, everybody = (subject.scores([parts.with_regions(np.full(regions, all_there))])[0]
                         for all_there in (False, True))
    # Lagrange: the normal equations, with one more row for the sum
    x = there.astype(float)
    system = np.block([[x.T @ (weights[:, None] * x), np.ones((regions, 1))],
                       [np.ones((1, regions)), np.zeros((1, 1))]])
    wanted = np.linalg.lstsq(system, np.append(x.T @ (weights * (scores - nobody)), everybody - nobody),
                             rcond=None)[0][:-1]
    assert np.allclose(shares, wanted, atol=1e-4)
    assert shares.sum() == pytest.approx(everybody - nobody, abs=1e-5)


def test_rise_is_the_mean_of_masks_weighted_by_their_scores(subject: Subject) -> None:
    found = finish(leaving_out.rise(subject, masks=40, seed=5))
    rng = np.random.default_rng(5)
    masks = np.concatenate([leaving_out.random_masks((5,), count, rng) for count in (32, 8)])
    scores = subject.scores([subject.parts.kept(mask) for mask in masks])
    assert np.allclose(found.weights, masks.T @ scores / masks.sum(axis=0) - scores.mean(), atol=1e-5)


def test_random_masks_are_smooth_half_there_and_never_alike() -> None:
    masks = leaving_out.random_masks((20, 28), 200, np.random.default_rng(0)).reshape(200, 20, 28)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert masks.mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(np.diff(masks, axis=2)).max() <= 0.26
    assert len(np.unique(masks.reshape(200, -1), axis=0)) == 200


def test_kernel_shap_of_a_text_is_exact_and_sums_to_the_score_gained(subject: Subject) -> None:
    found = finish(leaving_out.kernel_shap(subject))
    exact = shapley.exact(lambda there: subject.scores([subject.parts.with_regions(row) for row in there]), 5)
    assert np.allclose(found.weights, exact, atol=1e-6)
    assert found.weights.sum() == pytest.approx(subject.score - subject.scores(["…"])[0], abs=1e-5)


def test_rise_reads_what_many_masks_leave_alike_once(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    forward = type(subject.encoder).forward

    def counted(encoder: Encoder, batch: Any) -> Vectors:
        read.append(len(batch))
        return forward(encoder, batch)

    monkeypatch.setattr(type(subject.encoder), "forward", counted)
    told = list(leaving_out.rise(subject, masks=1000))
    assert sum(read) == 2**5
    assert (told[-1].done, told[-1].total) == (1000, 1000)


def test_a_slow_method_shows_maps_on_the_way_and_can_be_left(starter: Encoder, words: Callable[[str], Vectors]) -> None:
    long = " ".join([TEXT, "beside a red bell and under an old lamp"] * 2)
    subject = Subject(starter, long, "text", words("a puppy"))
    work = leaving_out.rise(subject, masks=1000)
    first = next(work)
    assert first.fresh.weights.shape == (28,)
    assert (first.done, first.total) == (32, 1000)
    work.close()


def test_a_burst_among_silence_is_found_in_time_and_frequency(starter: Encoder) -> None:
    rate = 16_000
    at = np.arange(2 * rate) / rate
    burst = np.where((at >= 1.2) & (at < 1.5), np.sin(2 * np.pi * 2000 * at), 0).astype(np.float32) * 0.5
    clip = AudioClip((burst,), rate)
    target = encode(starter, [clip], "audio")[0]
    found = finish(leaving_out.occlusion(Subject(starter, clip, "audio", target)))
    start, end, low, high = found.positions.extents[int(found.weights.argmax())]
    assert start >= 1.0
    assert end <= 1.7
    assert low <= 2000 * 1.5
    assert high >= 2000 / 1.5


def test_an_unknown_method_and_another_space_are_errors(starter: Encoder) -> None:
    with pytest.raises(StudioError, match="no method named"):
        named("magic")
    with pytest.raises(SpaceMismatch):
        finish(relevance("rise", starter, "a dog", "text", np.ones(3, np.float32)))
    assert len({method.name for method in METHODS}) == len(METHODS)
