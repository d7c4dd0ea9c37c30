"""Contours: lines of known densities lie where they must."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.desktop.plots.contours import SHARES, contours, levels, marching_squares


def test_contours_of_a_gaussian_are_ellipses_of_the_known_sizes() -> None:
    """A share p of a Gaussian lies within sqrt(-2 ln(1 - p)) standard deviations."""
    places = (np.random.default_rng(0).normal(size=(200_000, 2)) * (2, 0.5) + (10, -3)).astype(np.float32)
    for share, lines in zip(SHARES, contours(places), strict=True):
        radii = np.hypot((lines[..., 0] - 10) / 2, (lines[..., 1] + 3) / 0.5)
        assert radii.mean() == pytest.approx(np.sqrt(-2 * np.log(1 - share)), rel=0.03)
        assert radii.std() < 0.06


def test_lines_around_a_round_hill_close_into_a_circle() -> None:
    y, x = np.mgrid[0:50, 0:60]
    lines = marching_squares(np.hypot(x - 30.0, y - 25.0), 15.3)
    assert np.hypot(lines[..., 0] - 30, lines[..., 1] - 25) == pytest.approx(15.3, abs=0.02)
    _, times = np.unique(lines.reshape(-1, 2).round(6), axis=0, return_counts=True)
    assert (times == 2).all()
    assert np.hypot(*np.diff(lines, axis=1)[:, 0].T).sum() == pytest.approx(2 * np.pi * 15.3, rel=0.01)


def test_a_saddle_has_two_lines_that_do_not_cross() -> None:
    lines = marching_squares(np.array([[1.0, 0.0], [0.0, 1.0]]), 0.5)
    assert sorted(lines.sum(axis=1).tolist()) == [[0.5, 1.5], [1.5, 0.5]]


def test_levels_enclose_their_share() -> None:
    density = np.random.default_rng(0).random((30, 30))
    for share, level in zip((0.25, 0.9), levels(density, (0.25, 0.9)), strict=True):
        assert density[density >= level].sum() / density.sum() == pytest.approx(share, abs=0.01)


def test_too_few_points_have_no_contours_and_equal_ones_do_no_harm() -> None:
    assert [len(lines) for lines in contours(np.zeros((3, 2), np.float32))] == [0] * len(SHARES)
    assert all(np.isfinite(lines).all() for lines in contours(np.ones((50, 2), np.float32)))
