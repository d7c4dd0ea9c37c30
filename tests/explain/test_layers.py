"""Between the layers: states, neighbours, and how alike two spaces are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import encode
from mmstudio.errors import StudioError
from mmstudio.explain.layers import layer_states, linear_cka, neighbours
from mmstudio.progress import finish

TEXTS = ["a dog", "a puppy", "a cat", "the rain", "a storm", "a red car"]


def test_cka_is_that_of_centred_kernels_and_blind_to_rotation_and_scale() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 7)), rng.normal(size=(30, 12))
    y[:, :7] += x
    centre = np.eye(30) - 1 / 30
    k, m = centre @ (x @ x.T) @ centre, centre @ (y @ y.T) @ centre
    wanted = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(x, y) == pytest.approx(wanted, abs=1e-10)
    turned = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    assert linear_cka(x, 3 * x @ turned + 5) == pytest.approx(1)
    assert linear_cka(x, rng.normal(size=(30, 7))) < 0.6
    with pytest.raises(StudioError, match="same items"):
        linear_cka(x, y[:5])


def test_layers_end_in_the_space_of_the_encoder(starter: Any) -> None:
    states = finish(layer_states(starter, TEXTS, "text"))
    assert len(states) == len(starter.model.text.blocks) + 2
    assert np.allclose(states[-1], encode(starter, TEXTS, "text"), atol=1e-5)
    ids, _, _ = starter.model.tokenize(TEXTS[:1])
    start = (starter.model.text.words(ids) + starter.model.text.places.weight[: ids.shape[1]])[0].mean(dim=0).numpy()
    assert np.allclose(states[0][0], start / np.linalg.norm(start), atol=1e-5)


def test_neighbours_in_the_last_layer_are_those_of_the_vectors(starter: Encoder) -> None:
    found = neighbours(finish(layer_states(starter, TEXTS, "text")), 0, k=3)
    vectors = encode(starter, TEXTS, "text")
    order = np.argsort(-(vectors[1:] @ vectors[0]))[:3] + 1
    assert found.near[-1].tolist() == order.tolist()
    assert found.near[-1][0] == 1
    assert found.shared[-1] == 1
    assert 0 not in found.near
    assert found.shared[0] == len(set(found.near[0]) & set(order)) / 3


def test_layers_of_pictures_and_sounds_are_there_too(starter: Encoder, scenes: Any) -> None:
    states = finish(layer_states(starter, [picture for picture, _ in scenes[:3]], "image"))
    assert [len(layer) for layer in states] == [3] * 4
    assert all(np.allclose(np.linalg.norm(layer, axis=1), 1, atol=1e-5) for layer in states)
