"""Whether maps are true: deletion and insertion, random weights, the pointing game on scenes with known boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Vectors
from mmstudio.explain import trust
from mmstudio.explain.boxes import points_at
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.methods import relevance
from mmstudio.explain.subject import Subject
from mmstudio.progress import Progress, finish


@pytest.fixture(scope="module")
def subject(starter: Encoder, scenes: Any, words: Callable[[str], Vectors]) -> Subject:
    """A dog above a chair, and “a dog”."""
    return Subject(starter, scenes[3][0], "image", words("a dog"))


def by(subject: Subject, method: str) -> RelevanceMap:
    return finish(relevance(method, subject.encoder, subject.media, subject.modality, subject.target))


def test_curves_go_from_the_item_to_nothing_and_back(subject: Subject) -> None:
    cells = subject.parts.on_cells(by(subject, "similarity"))
    curves = finish(trust._curves(subject, cells, Progress(0, 1)))
    assert curves.deletion[0] == pytest.approx(curves.insertion[-1], abs=1e-6)
    assert curves.deletion[-1] == pytest.approx(curves.insertion[0], abs=1e-6)
    assert curves.areas[0] == pytest.approx(np.trapezoid(curves.deletion, np.linspace(0, 1, 11)))
    assert curves.gap > 0.1


def test_a_map_of_the_model_is_trusted(subject: Subject) -> None:
    verdict = finish(trust.judged(subject, by(subject, "similarity")))
    assert verdict.trusted
    assert verdict.effect == pytest.approx(
        (verdict.curves.gap - np.mean(verdict.random)) / np.std(verdict.random, ddof=1))


def test_the_test_of_a_map_can_be_stopped_after_every_few_items(
    subject: Subject, monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    scores = Subject.scores
    monkeypatch.setattr(Subject, "scores", lambda self, changed: (read.append(len(changed)), scores(self, changed))[1])
    work, most = trust.verdict_of(subject, by(subject, "similarity"), "similarity"), 0
    for progress in work:
        most, read[:] = max(most, sum(read)), []
        assert 0 <= progress.done <= progress.total
    assert most == trust.AT_ONCE


def test_each_weight_is_somewhere_else_and_none_is_lost(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "WEIGHTS_AT_ONCE", 1000)
    before: Any = subject.encoder
    after: Any = finish(trust.randomised(before, "image"))
    for name, weights in before.model.image.named_parameters():
        mixed = after.model.image.get_parameter(name)
        assert np.array_equal(np.sort(weights.detach().numpy(), axis=None), np.sort(mixed.detach().numpy(), axis=None))
        if weights.numel() > 1000 and len(weights.unique()) > 100:
            assert (weights == mixed).float().mean() < 0.1
    kept = zip(before.model.text.parameters(), after.model.text.parameters(), strict=True)
    assert all((one == other).all() for one, other in kept)


@pytest.mark.parametrize("method", ["similarity", "chefer"])
def test_a_map_of_a_model_of_random_weights_is_not_trusted(method: str, subject: Subject) -> None:
    other = Subject(finish(trust.randomised(subject.encoder, "image")), subject.media, "image", subject.target)
    assert not finish(trust.judged(subject, by(other, method))).trusted


def test_a_map_that_would_be_the_same_for_any_weights_is_not_trusted() -> None:
    good = trust.Curves(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    worse = (0.1, -0.1, 0.0)
    assert trust.Verdict(trust.Curves(good.deletion * 0.1, good.insertion * 3), worse, randomised=0.1).trusted
    assert not trust.Verdict(trust.Curves(good.deletion * 0.1, good.insertion * 3), worse, randomised=0.95).trusted


def test_random_weights_destroy_the_map_and_leave_the_model_as_it_was(subject: Subject) -> None:
    before = subject.encoder.forward([subject.encoder.prepare(subject.media, "image")])
    found = by(subject, "similarity")
    assert abs(finish(trust.against_random_weights(subject, found, "similarity"))) < trust.SAME
    assert np.array_equal(before, subject.encoder.forward([subject.encoder.prepare(subject.media, "image")]))


def test_a_little_noise_changes_the_map_little(subject: Subject) -> None:
    noise = finish(trust.against_noise(subject, by(subject, "similarity"), "similarity"))
    assert noise is not None
    assert noise > 0.8


def test_of_a_text_the_least_relevant_word_is_left_out_to_see_whether_the_others_keep_their_worth(
    starter: Encoder, words: Callable[[str], Vectors],
) -> None:
    text = Subject(starter, "a big dog beside the red chair", "text", words("a dog"))
    found = by(text, "occlusion")
    least = int(np.abs(found.weights).argmin())
    kept = [at for at in range(7) if at != least]
    shorter = Subject(starter, " ".join(found.positions.labels[at] for at in kept), "text", text.target)
    wanted = spearmanr(found.weights[kept], by(shorter, "occlusion").weights).statistic
    assert finish(trust.against_noise(text, found, "occlusion")) == pytest.approx(wanted, abs=1e-6)
    few = Subject(starter, "a dog", "text", text.target)
    assert finish(trust.against_noise(few, by(few, "occlusion"), "occlusion")) is None


def test_a_slow_method_is_tested_as_a_quick_one_is_and_tells_how_far_it_has_come(subject: Subject) -> None:
    work = trust.verdict_of(subject, by(subject, "occlusion"), "occlusion")
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as stop:
            verdict = stop.value
            break
    assert verdict.trusted
    assert verdict.noise > 0.5
    assert verdict.randomised < trust.SAME
    assert len(steps) > trust.RANDOM + 4
    assert all(step.fresh is None for step in steps)


def test_rank_correlation_is_spearmans(subject: Subject) -> None:
    one, other = by(subject, "similarity"), by(subject, "chefer")
    assert trust.rank_correlation(subject.parts, one, other) == pytest.approx(
        spearmanr(one.weights, other.weights).statistic, abs=1e-6)
    flat = RelevanceMap(np.zeros_like(one.weights), one.positions, "", "")
    assert trust.rank_correlation(subject.parts, one, flat) == 0


def test_a_random_map_is_the_same_map_elsewhere(subject: Subject) -> None:
    cells = subject.parts.on_cells(by(subject, "similarity"))
    found = trust.moved(subject.parts, cells, np.random.default_rng(1))
    assert not np.array_equal(found, cells)
    assert np.array_equal(np.sort(found), np.sort(cells))


@pytest.mark.parametrize(("method", "least"), [("similarity", 0.7), ("chefer", 0.6)])
def test_the_most_relevant_place_lies_on_what_was_asked_for(
    method: str, least: float, starter: Encoder, scenes: Any, words: Callable[[str], Vectors],
) -> None:
    hits, chance, number = 0, 0.0, 0
    for picture, boxes in scenes[:16]:
        for concept, box in boxes:
            found = by(Subject(starter, picture, "image", words(f"a {concept}")), method)
            hits += points_at(found, box)
            chance += (box[2] - box[0]) * (box[3] - box[1])
            number += 1
    assert hits / number > max(least, 2 * chance / number), (hits / number, chance / number)
