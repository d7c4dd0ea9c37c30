"""The smallest deletion that flips the nearest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Vectors, encode
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.counterfactual import smallest_flip
from mmstudio.progress import finish


def test_without_its_decisive_word_a_text_is_nearest_to_another(
    starter: Encoder, words: Callable[[str], Vectors],
) -> None:
    candidates = np.stack([words("a dog"), words("a chair")])
    found = finish(smallest_flip(starter, "dog dog beside a chair", "text", candidates))
    assert found.flipped
    assert (found.before, found.after) == (0, 1)
    assert found.media == "beside a chair" or found.media == "dog beside a chair"
    assert int((candidates @ encode(starter, [found.media], "text")[0]).argmax()) == 1
    assert found.share == pytest.approx(found.gone.sum() / 5)


def test_in_a_picture_less_than_half_has_to_go(starter: Encoder, scenes: Any, words: Callable[[str], Vectors]) -> None:
    picture, boxes = scenes[3]
    candidates = np.stack([words(f"a {concept}") for concept, _ in boxes])
    work, maps, steps = smallest_flip(starter, picture, "image", candidates), [], 0
    try:
        while True:
            if (step := next(work)).fresh is not None:
                maps.append(step.fresh)
            steps += 1
    except StopIteration as stop:
        found = stop.value
    assert found.flipped
    assert found.share < 0.5
    assert steps > 5 * len(maps)  # it can be stopped after every few pictures
    assert all((later.gone >= earlier.gone).all() for earlier, later in pairwise(maps))
    assert int((candidates @ encode(starter, [found.media], "image")[0]).argmax()) == found.after


def test_what_nothing_flips_is_told(starter: Encoder, words: Callable[[str], Vectors]) -> None:
    same = words("a dog")
    found = finish(smallest_flip(starter, "a dog", "text", np.stack([same, -same])))
    assert found.before == 0 or found.flipped
    with pytest.raises(AttentionUnavailable, match="at least two"):
        finish(smallest_flip(starter, "a dog", "text", same[None]))
