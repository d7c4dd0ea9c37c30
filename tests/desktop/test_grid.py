"""What lies where: the grid finds what looking at every point finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmstudio.desktop.plots.grid import Grid
from mmstudio.desktop.plots.raster import every
from mmstudio.desktop.plots.transform import inside_polygon

COUNT = 100_000


@pytest.fixture(scope="module")
def places() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    found = (rng.normal(size=(COUNT, 2)) * (3, 1)).astype(np.float32)
    found[:20] *= 100  # strays
    return found


@pytest.fixture(scope="module")
def grid(places: NDArray[np.float32]) -> Grid:
    return Grid.of(places, np.arange(COUNT))


def test_every_point_is_in_the_grid_once(grid: Grid, places: NDArray[np.float32]) -> None:
    assert grid.side > 100
    assert np.array_equal(np.sort(grid.rows), np.arange(COUNT))
    assert np.array_equal(grid.places, places[grid.rows])


def test_a_box_holds_all_points_that_lie_in_it(grid: Grid) -> None:
    for left, bottom, right, top in ((-1, -1, 2, 0.5), (-500, -500, 500, 500), (20, 20, 200, 200), (0, 0, 0, 0)):
        found = every(*grid.runs(left, bottom, right, top))
        x, y = grid.places.T
        inside = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
        assert np.isin(inside, found).all()
        assert len(np.unique(found)) == len(found)


def test_the_nearest_point_is_the_nearest_of_all(grid: Grid, places: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(1)
    drawn = rng.random(COUNT) < 0.5
    for at in [*(rng.normal(size=(150, 2)) * (3, 1)), *places[:10].astype(float)]:
        squared = ((grid.places.astype(float) - at) ** 2).sum(axis=1)
        squared[~drawn] = np.inf
        found = grid.nearest(*at.tolist(), 0.05, drawn)
        if squared.min() > 0.05**2:
            assert found is None
        else:
            assert found is not None
            assert squared[found] == pytest.approx(squared.min(), abs=1e-9)


def _outlines() -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(2)
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    star = np.stack([2.5 * np.cos(angles) * (1 + 0.5 * np.sin(5 * angles)), np.sin(angles)], axis=1)
    some = [rng.normal(size=(rng.integers(3, 9), 2)) * (3, 1) * size + rng.normal(size=2)
            for size in (0.001, 0.02, 0.3, 1, 5) for _ in range(5)]
    thin = np.array([[-4, 0], [4, 0.001], [4, 0.002]])
    return [star, *some, thin, np.array([[-900, -900], [900, -900], [900, 900], [-900, 900.0]]),
            np.array([[0, 0], [1, 1], [0, 0], [1, 0.0]]), np.array([[50, 50], [60, 50], [55, 60.0]])]


@pytest.mark.parametrize("number", range(len(_outlines())))
def test_a_lasso_holds_what_looking_at_every_point_finds(grid: Grid, number: int) -> None:
    outline = _outlines()[number]
    assert np.array_equal(grid.inside(outline), np.flatnonzero(inside_polygon(grid.places, outline)))


def test_points_that_all_lie_together_and_none_at_all_are_no_trouble() -> None:
    same = Grid.of(np.ones((1000, 2), np.float32), np.arange(1000))
    assert same.nearest(1, 1, 0.1, np.ones(1000, bool)) is not None
    assert len(same.inside(np.array([[0, 0], [2, 0], [2, 2], [0, 2.0]]))) == 1000
    none = Grid.of(np.zeros((0, 2), np.float32), np.arange(0))
    assert none.nearest(0, 0, 1, np.zeros(0, bool)) is None
    assert len(every(*none.runs(0, 0, 1, 1))) == 0


def test_places_that_are_no_numbers_are_left_out() -> None:
    places = np.zeros((5, 2), np.float32)
    places[1, 0], places[3, 1] = np.nan, np.inf
    assert Grid.of(places, np.arange(5)).rows.tolist() == [0, 2, 4]
