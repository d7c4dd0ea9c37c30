"""Pictures on the map: never one over the other, and the same ones while it is panned."""

from __future__ import annotations

import numpy as np

from mmstudio.desktop.plots.apart import REACH, apart, ranks


def test_pictures_never_overlap_and_leave_no_large_gap() -> None:
    rng = np.random.default_rng(0)
    for side in (0.05, 0.3, 2.0):
        places = rng.uniform(-5, 5, (3000, 2)).astype(np.float32)
        chosen = places[apart(places, ranks(np.arange(3000)), side)].astype(float)
        apart_by = np.abs(chosen[:, None] - chosen[None]).max(axis=2)
        np.fill_diagonal(apart_by, np.inf)
        assert apart_by.min() >= side
        if side == 0.3:
            assert len(chosen) > 0.25 * (10 / side) ** 2


def test_panning_neither_adds_nor_removes_a_picture_that_is_seen() -> None:
    rng = np.random.default_rng(1)
    places, order, side = rng.uniform(0, 20, (4000, 2)).astype(np.float32), ranks(np.arange(4000)), 0.5

    def seen(left: float, width: float = 6.0) -> set[int]:
        margin = REACH * side
        near = np.flatnonzero((places[:, 0] > left - margin) & (places[:, 0] < left + width + margin))
        return set(near[apart(places[near], order[near], side)].tolist())

    everywhere = set(apart(places, order, side).tolist())
    for left in (3.0, 3.1, 4.7, 9.3):
        inside = {row for row in everywhere if left < places[row, 0] < left + 6}
        assert inside == {row for row in seen(left) if left < places[row, 0] < left + 6}


def test_which_is_chosen_does_not_depend_on_the_order_of_the_points() -> None:
    rng = np.random.default_rng(2)
    keys, places = rng.permutation(1000), rng.uniform(0, 5, (1000, 2)).astype(np.float32)
    turned = np.arange(1000)[::-1]
    assert set(keys[apart(places, ranks(keys), 0.4)]) == set(
        keys[turned][apart(places[turned], ranks(keys[turned]), 0.4)])


def test_no_points_have_no_pictures() -> None:
    assert len(apart(np.zeros((0, 2), np.float32), ranks(np.arange(0)), 1.0)) == 0
