"""Density: what is drawn is counted rightly, mixes colours by number, and does not depend on the points' order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmstudio.desktop.plots.raster import (
    Dots,
    Loops,
    NumpyLoops,
    Raster,
    Window,
    every,
    opacity_curve,
    palette_words,
)

WIDTH, HEIGHT = 120, 80
BASE = 0xFF141619
COLOURS = np.array([[255, 0, 0], [0, 0, 255], [0, 200, 0], [40, 90, 140]])
WINDOW = Window(-1.5, 1.0, 40.0)
ONE = np.ones((4, 1, 1), np.uint8)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Loops:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSTUDIO_HOME", str(tmp_path_factory.mktemp("compiled")))
        from mmstudio.desktop.plots import kernels
    return kernels


def _dots(count: int = 20_000, seed: int = 0) -> Dots:
    rng = np.random.default_rng(seed)
    return Dots(rng.normal(0, 0.6, (count, 2)).astype(np.float32), rng.integers(0, 4, count).astype(np.uint16),
                rng.integers(0, 4, count).astype(np.uint8))


def _draw(dots: Dots, loops: Loops, weights: tuple[int, ...] = (1, 1, 1, 1), layers: tuple[int, ...] = (0, 0, 0, 0),
          masks: NDArray[np.uint8] = ONE, alone: float = 0.5, step: int = 1) -> NDArray[np.uint32]:
    out = np.full((HEIGHT, WIDTH), BASE, np.uint32)
    unit = 1 if masks.shape[1] == 1 else 15
    curve = opacity_curve(unit, alone, 30)
    Raster().draw(loops, dots, (np.array([0]), np.array([len(dots.codes)])), step, WINDOW,
                  palette_words(COLOURS, np.array(weights), np.array(layers)), masks, (curve, curve), out)
    return out


def _counts(dots: Dots, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows go down the screen."""
    x, y = dots.places[chosen].astype(np.float64).T
    columns = np.linspace(WINDOW.left, WINDOW.left + WIDTH / WINDOW.scale, WIDTH + 1)
    rows = np.linspace(WINDOW.top - HEIGHT / WINDOW.scale, WINDOW.top, HEIGHT + 1)
    return np.histogram2d(y, x, (rows, columns))[0][::-1].astype(np.int64)


@pytest.mark.parametrize("kind", ["numpy", "compiled"])
def test_each_pixel_is_the_mean_of_its_points_colours_by_number(kind: str, compiled: Loops) -> None:
    dots = _dots()
    drawn = _draw(dots, compiled if kind == "compiled" else NumpyLoops())
    counts = np.stack([_counts(dots, dots.codes == code) for code in range(4)])
    total = counts.sum(axis=0)
    mean = np.einsum("khw,kc->hwc", counts, COLOURS) / np.maximum(total, 1)[..., None]
    opacity = np.where(total > 0, np.minimum(0.5 + 0.5 * np.log(np.maximum(total, 1)) / np.log(30), 1), 0)[..., None]
    wanted = mean * opacity + np.array([0x14, 0x16, 0x19]) * (1 - opacity)
    got = np.stack([(drawn >> 16) & 255, (drawn >> 8) & 255, drawn & 255], axis=2)
    off = np.abs(got - wanted).max(axis=2) > 0.51
    assert off.mean() < 0.001  # a float32 point on a pixel's very edge may be counted on its other side
    assert total.max() > 10


def test_points_in_another_order_give_the_identical_picture(compiled: Loops) -> None:
    dots = _dots()
    order = np.random.default_rng(5).permutation(len(dots.codes))
    shuffled = Dots(dots.places[order], dots.codes[order], dots.shapes[order])
    masks = np.random.default_rng(1).integers(0, 16, (4, 5, 5)).astype(np.uint8)
    for used in (ONE, masks):
        assert np.array_equal(_draw(dots, compiled, masks=used), _draw(shuffled, compiled, masks=used))


@pytest.mark.parametrize("side", [1, 3, 7])
def test_machine_code_and_numpy_draw_the_same(side: int, compiled: Loops) -> None:
    masks = ONE if side == 1 else np.random.default_rng(side).integers(0, 16, (4, side, side)).astype(np.uint8)
    dots = _dots(5000)
    for step in (1, 3):
        both = [_draw(dots, loops, (1, 2, 0, 1), (0, 1, 0, 1), masks, step=step) for loops in (NumpyLoops(), compiled)]
        assert np.array_equal(*both)
        assert (both[0] != BASE).sum() > 500


def test_what_is_in_front_is_not_mixed_with_what_lies_behind() -> None:
    place = np.zeros((101, 2), np.float32)
    codes = np.zeros(101, np.uint16)
    codes[50] = 1
    drawn = _draw(Dots(place, codes, np.zeros(101, np.uint8)), NumpyLoops(), layers=(0, 1, 0, 0), alone=1.0)
    assert {hex(colour) for colour in np.unique(drawn)} == {hex(BASE), "0xff0000ff"}


def test_a_colour_of_no_weight_is_not_drawn(compiled: Loops) -> None:
    dots = _dots()
    for loops in (NumpyLoops(), compiled):
        kept = dots.codes != 2
        only = Dots(dots.places[kept], dots.codes[kept], dots.shapes[kept])
        assert np.array_equal(_draw(dots, loops, weights=(1, 1, 0, 1)), _draw(only, loops))


def test_a_million_points_on_one_pixel_keep_their_colour(compiled: Loops) -> None:
    codes = np.arange(1_000_000, dtype=np.uint16) % 2
    drawn = _draw(Dots(np.zeros((len(codes), 2), np.float32), codes, np.zeros(len(codes), np.uint8)), compiled)
    assert hex(int(drawn.max())) == "0xff800080"


def test_steps_take_the_same_points_wherever_the_runs_begin() -> None:
    assert every(np.array([3, 20]), np.array([11, 23]), 4).tolist() == [4, 8, 20]
    assert every(np.array([0, 5]), np.array([2, 5])).tolist() == [0, 1]
