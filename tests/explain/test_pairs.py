"""Both sides of a score: symmetric, with shares that sum to it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Positions, Vectors, normalised
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.boxes import points_at
from mmstudio.explain.methods import relevance
from mmstudio.explain.pairs import COALITIONS, modality_shares, nearest_token, pair_of, word_shares
from mmstudio.explain.subject import Subject
from mmstudio.progress import finish


def test_a_pair_is_the_same_from_both_sides(starter: Encoder, scenes: Any) -> None:
    one, other = (scenes[3][0], "image"), ("a dog and a chair", "text")
    there, back = pair_of(starter, one, other), pair_of(starter, other, one)  # type: ignore[arg-type]
    assert there.score == pytest.approx(back.score, abs=1e-6)
    assert there.between is not None
    assert back.between is not None
    assert np.allclose(there.between, back.between.T, atol=1e-5)
    for side in (0, 1):
        assert np.allclose(there.best(side).weights, back.best(1 - side).weights, atol=1e-5)
        assert np.allclose(there.pointed(side, 2).weights, back.pointed(1 - side, 2).weights, atol=1e-5)
    placed = back.sides[0].explanation.token_positions.placed  # type: ignore[union-attr]
    assert np.allclose(there.best(0).weights, there.between[:, placed].max(axis=1))


def test_pointing_at_a_word_shows_where_it_is_and_back(starter: Encoder, scenes: Any) -> None:
    """“dog” lies above, “chair” below; and the patches of the chair are nearest to its word."""
    pair = pair_of(starter, (scenes[3][0], "image"), ("a dog and a chair", "text"))
    names = [label.strip() for label in pair.sides[1].explanation.token_positions.labels]  # type: ignore[union-attr]
    tops = {}
    for word in ("dog", "chair"):
        found = pair.pointed(1, names.index(word))
        tops[word] = found.positions.extents[int(found.weights.argmax()), 1]
    assert tops["dog"] < 0.5 <= tops["chair"]
    patch = int(pair.pointed(1, names.index("chair")).weights.argmax())
    assert names[int(pair.pointed(0, patch).weights.argmax())] == "chair"


@pytest.mark.parametrize("text", ["a dog sits", "one two three four five six seven eight nine ten dogs"])
def test_shares_of_words_sum_to_the_score(text: str, starter: Encoder, words: Callable[[str], Vectors]) -> None:
    subject = Subject(starter, text, "text", words("a puppy"))
    found = finish(word_shares(subject, budget=60))
    assert found.weights.sum() == pytest.approx(subject.score - subject.scores(["…"])[0], abs=1e-5)
    assert len(found.weights) == len(text.split())
    with pytest.raises(AttentionUnavailable):
        finish(word_shares(Subject(starter, object(), "image", words("x"))))  # type: ignore[arg-type]


def test_shares_of_a_long_text_take_few_readings_in_small_steps(
    starter: Encoder, words: Callable[[str], Vectors], monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    forward = type(starter).forward

    def counted(encoder: Encoder, batch: Any) -> Vectors:
        read.append(len(batch))
        return forward(encoder, batch)

    monkeypatch.setattr(type(starter), "forward", counted)
    subject = Subject(starter, " ".join(f"dog{number} lamp" for number in range(500)), "text", words("a puppy"))
    read.clear()
    steps, work = [], word_shares(subject)
    while True:
        try:
            steps.append((next(work), sum(read)))
        except StopIteration as stop:
            found = stop.value
            break
    assert len(found.weights) == 32
    assert sum(read) <= COALITIONS + 2
    assert all(after - before <= 4 for (_, before), (_, after) in pairwise(steps))
    assert found.positions.labels[0] == "dog0 … lamp"
    assert found.weights.sum() == pytest.approx(subject.score - subject.scores(["…"])[0], abs=1e-5)


def test_shares_of_modalities_are_shapleys_and_sum_to_the_score() -> None:
    rng = np.random.default_rng(0)
    vectors, query = normalised(rng.normal(size=(3, 16))), normalised(rng.normal(size=16))
    shares = modality_shares(vectors, ["image", "text", "image"], {"image": 1.0, "text": 2.0}, query)
    picture = normalised(vectors[0] + vectors[2]) @ query
    text = vectors[1] @ query
    both = normalised((vectors[0] / 2 + vectors[2] / 2) + 2 * vectors[1]) @ query
    assert shares["image"] == pytest.approx((picture + both - text) / 2, abs=1e-6)
    assert shares["text"] == pytest.approx((text + both - picture) / 2, abs=1e-6)
    assert sum(shares.values()) == pytest.approx(both, abs=1e-6)


def test_a_place_of_another_map_belongs_to_the_token_around_it(starter: Encoder) -> None:
    tokens = starter.explain("a big dog", "text").token_positions
    assert tokens is not None
    word = Positions("character", np.array([[0, 1], [2, 5], [6, 9]], np.float32))
    assert tokens.label(nearest_token(tokens, word, 2)) == "dog"
    assert nearest_token(tokens, tokens, 1) == 1


def test_a_words_gradient_weighted_attention_is_that_towards_its_own_vector(starter: Encoder, scenes: Any) -> None:
    picture = scenes[3][0]
    pair = pair_of(starter, (picture, "image"), ("a dog and a chair", "text"))
    text = pair.sides[1].explanation
    assert text.tokens is not None
    assert text.token_positions is not None
    chair = [label.strip() for label in text.token_positions.labels].index("chair")
    found = finish(pair.weighted(1, chair))
    expected = finish(relevance("chefer", starter, picture, "image", text.tokens[chair]))
    assert np.allclose(found.weights, expected.weights, atol=1e-6)
    box = next(box for name, box in scenes[3][1] if name == "chair")
    assert points_at(found, box)
    assert len(finish(pair.weighted(0, 0)).weights) == len(text.token_positions)
