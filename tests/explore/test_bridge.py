"""Bridges between spaces on made spaces with a known turn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from mmstudio.errors import SpaceMismatch
from mmstudio.explore.bridge import bridge

RNG = np.random.default_rng(0)
ONE = RNG.normal(size=(120, 10)).astype(np.float32)
TURN = np.linalg.qr(RNG.normal(size=(10, 10)))[0].astype(np.float32)


def test_a_turned_space_is_turned_back_and_what_was_held_out_lands_where_it_belongs() -> None:
    other = ONE @ TURN + 3
    found = bridge(ONE, other, "procrustes")
    want, _ = orthogonal_procrustes(ONE - ONE.mean(axis=0), other - other.mean(axis=0))
    assert np.allclose(found.turn, want, atol=1e-4)
    assert np.allclose(found.turn, TURN, atol=1e-3)
    assert found.cosine > 0.999
    assert found.recall == 1
    assert found.chance == pytest.approx(5 / 120)
    unit = other / np.linalg.norm(other, axis=1, keepdims=True)
    assert np.allclose(found.over(ONE), unit, atol=1e-3)


def test_ridge_bridges_what_is_stretched_and_spaces_of_other_dimensions() -> None:
    other = np.tanh(ONE @ RNG.normal(size=(10, 17)) * 0.3).astype(np.float32)
    ridge, turned = bridge(ONE, other, "ridge"), bridge(ONE, other, "procrustes")
    assert ridge.cosine > 0.9
    assert ridge.cosine > turned.cosine
    assert ridge.over(ONE).shape == turned.over(ONE).shape == (120, 17)


def test_unrelated_spaces_have_a_bridge_that_says_it_does_not_hold() -> None:
    found = bridge(ONE, RNG.normal(size=(120, 10)).astype(np.float32), "ridge")
    assert found.cosine < 0.3
    assert found.recall < 0.2


def test_too_few_texts_are_told() -> None:
    with pytest.raises(SpaceMismatch, match="at least 10"):
        bridge(ONE[:5], ONE[:5], "ridge")
