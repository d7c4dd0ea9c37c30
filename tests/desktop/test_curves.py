"""Live curves: nothing of a run is lost at any zoom, and what is drawn and told is what the run told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mmstudio.desktop.plots.bands import Band, columns, painted
from mmstudio.desktop.plots.curve_plot import CurvePlot
from mmstudio.desktop.plots.curves import CurvesView, quantity_title, run_colour
from mmstudio.desktop.plots.ticks import log_ticks, ticks
from mmstudio.desktop.plots.trace import Trace
from mmstudio.desktop.theme import THEME

RNG = np.random.default_rng(0)
NEAR = 40
"""So far may a pixel's red, green and blue lie from a run's."""
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


# ---- traces ---------------------------------------------------------------------------------------------------------


def by_hand(y: np.ndarray, weight: float) -> np.ndarray:
    """The debiased moving average, one by one."""
    total = share = 0.0
    found = []
    for value in y:
        if math.isfinite(value):
            total, share = weight * total + (1 - weight) * value, weight * share + 1 - weight
        found.append(total / share if math.isfinite(value) else math.nan)
    return np.array(found)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 129, 5000])
@pytest.mark.parametrize("weight", [0.1, 0.9, 0.999])
def test_a_trace_in_pieces_is_smoothed_as_a_loop_would(count: int, weight: float) -> None:
    y = RNG.normal(size=count)
    y[7:9], y[40:60:3] = np.nan, np.inf
    trace = Trace(weight)
    for piece in np.array_split(np.arange(count), 7):
        trace.add(piece.astype(float), y[piece])
    assert np.allclose(trace.smoothed, by_hand(y, weight), rtol=1e-9, equal_nan=True)
    trace.smooth(0.5)
    assert np.allclose(trace.smoothed, by_hand(y, 0.5), rtol=1e-9, equal_nan=True)
    trace.smooth(0)
    assert np.array_equal(trace.smoothed, trace.y, equal_nan=True)


@pytest.mark.parametrize("piece", [1, 37, 20_000])
def test_every_spike_and_both_ends_are_seen_at_any_zoom(piece: int) -> None:
    count = 20_000
    y = RNG.normal(size=count)
    spikes = 13 + 490 * np.arange(40)
    y[spikes] = np.where(np.arange(40) % 2, 1, -1) * (100 + np.arange(40.0))
    y[5000:5100] = np.nan
    trace = Trace()
    for start in range(0, count, piece):
        trace.add(np.arange(start, min(count, start + piece), dtype=float), y[start : start + piece])
    for low, high in ((0, count), (123, 9877), (4000, 4400), (19_990, 30_000)):
        for pixels in (1, 10, 300):
            x, seen = trace.seen(low, high, pixels)
            assert len(x) <= 4 * pixels + 8
            inside = y[low : high + 1]
            assert np.nanmax(seen) >= np.nanmax(inside)
            assert np.nanmin(seen) <= np.nanmin(inside)
            assert (np.diff(x) >= 0).all()
            rows = np.searchsorted(trace.x, x)
            assert np.array_equal(trace.y[rows], seen, equal_nan=True)  # points that are, at their places
    whole = trace.seen(0, count, 300)[1]
    assert set(y[spikes]) <= set(whole)


def test_a_million_points_are_seen_whole_and_grow() -> None:
    y = RNG.normal(size=1_000_000)
    y[654_321] = -77
    trace = Trace(0.99)
    trace.add(np.arange(1_000_000.0), y)
    trace.add(np.array([1e6]), np.array([55.0]))
    x, seen = trace.seen(-10, 2e6, 500)
    assert len(x) <= 2008
    assert (seen.min(), seen.max()) == (-77, 55)
    assert len(trace) == 1_000_001
    assert len(trace.seen(0, 2e6, 500, smoothed=True)[0]) <= 2008


def test_what_is_no_number_is_a_gap_and_never_an_error() -> None:
    trace = Trace(0.5)
    assert [len(a) for a in trace.seen(0, 1, 10)] == [0, 0]
    assert trace.nearest(1) is None
    trace.add(np.array([]), np.array([]))
    trace.add(np.array([np.nan, 1, 2, np.inf, 1.5]), np.array([1, np.inf, 3, 4, 5]))
    assert trace.x.tolist() == [1, 1, 2, 2, 2]
    assert np.array_equal(trace.y, [np.nan, np.nan, 3, np.nan, 5], equal_nan=True)
    nothing = Trace(0.9)
    nothing.add(np.arange(1000.0), np.full(1000, np.nan))
    assert np.isnan(nothing.seen(0, 1000, 5)[1]).all()
    assert np.isnan(nothing.smoothed).all()


def test_on_a_log_scale_what_is_not_above_zero_is_passed_over() -> None:
    y = RNG.uniform(1, 2, 10_000)
    y[::3], y[1::3] = 0, -5
    y[5001] = np.nan
    trace = Trace(log=True)
    trace.add(np.arange(10_000.0), y)
    seen = trace.seen(0, 10_000, 50)[1]
    assert np.isfinite(seen).all()
    assert seen.min() == y[y > 0].min()
    assert seen.max() == np.nanmax(y)


def test_the_band_of_a_column_holds_the_whole_line_and_gaps_stay_open() -> None:
    low, high = columns(np.array([0.5, 2.5, 2.6, 3.5, 4.5]), np.array([0, 20, 90, np.nan, 7]), 6)
    assert np.array_equal(low, [0, 5, 15, np.nan, 7, np.nan], equal_nan=True)
    assert np.array_equal(high, [5, 15, 90, np.nan, 7, np.nan], equal_nan=True)


def test_later_lines_lie_above_earlier_ones() -> None:
    flat = np.full(8, 10.0)
    made = painted(8, 20, [Band(flat - 8, flat + 8, (0, 0, 255, 80))],
                   [[Band(flat - 4, flat + 4, (255, 0, 0, 255)), Band(flat, flat, (0, 255, 0, 255))]], 2.0)
    assert made[10, 4].tolist() == [0, 255, 0, 255]
    assert made[7, 4].tolist() == [0, 0, 255, 255]
    assert made[3, 4].tolist() == [80, 0, 0, 80]
    assert made[0, 4].tolist() == [0, 0, 0, 0]
    assert painted(5, 4, [], [], 1.0).shape == (4, 5, 4)


def test_ticks_are_round_and_few() -> None:
    assert [text for _, text in ticks(0, 20_000, 5)] == ["0", "5,000", "10,000", "15,000", "20,000"]
    assert [text for _, text in ticks(-0.2, 0.21, 5)] == ["-0.2", "-0.1", "0.0", "0.1", "0.2"]
    assert ticks(1, 1, 5) == []
    assert [text for _, text in log_ticks(-3, 2, 6)] == ["0.001", "0.01", "0.1", "1", "10", "100"]
    assert [value for value, _ in log_ticks(-300, 2, 5)]
    assert all(0.2 <= value <= 0.9 for value, _ in log_ticks(math.log10(0.2), math.log10(0.9), 5))


# ---- the view -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def dark() -> Iterator[None]:
    THEME.apply("dark")
    yield
    THEME.apply("dark")


@pytest.fixture
def view(qtbot: QtBot) -> CurvesView:
    made = CurvesView()
    qtbot.addWidget(made)
    made.resize(900, 320)
    made.show_runs([("a", "First"), ("b", "Second")])
    made.show()
    return made


def lines(first: int, last: int, level: float = 1.0, per_epoch: int = 100) -> list[dict[str, Any]]:
    """Steps ``first`` to ``last``, ten a second, with a validation after every epoch."""
    found: list[dict[str, Any]] = []
    for step in range(first, last + 1):
        found.append({"step": step, "epoch": 1 + (step - 1) // per_epoch, "loss": level + 100 / (100 + step),
                      "lr": 0.001, "norm": 2.0, "seconds": step / 10, "alone": {"image": 0.5, "text": 0.6},
                      "weights": {"image": 0.3, "text": 0.7}})
        if step % per_epoch == 0:
            found.append({"step": step, "epoch": step // per_epoch,
                          "validation": {"loss": level + 1, "accuracy": 0.4 + step / 10_000 + level / 10}})
    return found


def pixels(plot: CurvePlot, colour: QColor) -> int:
    """How many pixels inside the plot have a run's colour; a line that lies between two rows has a part of it."""
    image = plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    area = plot.area.toRect()
    told = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    inside = told[area.top() : area.bottom(), area.left() : area.right(), 2::-1].astype(int)
    distance = np.abs(inside - np.array(colour.getRgb()[:3])).max(axis=2)
    return int((distance < NEAR).sum())


def wheel(plot: CurvePlot, at: QPointF, steps: int) -> None:
    QApplication.sendEvent(plot, QWheelEvent(at, plot.mapToGlobal(at), QPoint(), QPoint(0, 120 * steps),
                                             Qt.MouseButton.NoButton, NONE, Qt.ScrollPhase.NoScrollPhase, False))


def told(plot: CurvePlot, place: float) -> dict[str, str]:
    return {title: text for _, title, text in plot.told(place)[1]}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_each_run_is_drawn_in_its_colour_in_both_themes(view: CurvesView, theme: str) -> None:
    view.add("a", lines(1, 500))
    view.add("b", lines(1, 500, 2))
    THEME.apply(theme)
    for plot in (view.loss, view.chosen):
        for key in "ab":
            assert pixels(plot, view.colour_of(key)) > 50
    assert view.loss.grab().toImage().pixelColor(3, 3) == QColor(THEME.colours.base)


def test_before_anything_came_a_sentence_says_what_comes(view: CurvesView) -> None:
    assert view._stack.currentIndex() == 0
    view.add("unknown", lines(1, 5))
    assert view._stack.currentIndex() == 0
    view.add("a", lines(1, 5))
    assert view._stack.currentIndex() == 1
    view.clear("a")
    assert view._stack.currentIndex() == 0


def test_quantities_can_be_chosen_as_they_come(view: CurvesView) -> None:
    def names() -> list[str]:
        return [view.quantity.itemData(row) for row in range(view.quantity.count())]

    view.add("a", lines(1, 50))
    assert names() == ["lr", "norm", "weights", "alone/image", "alone/text", "rate"]
    assert view.chosen.title == "Learning rate"
    view.add("a", lines(51, 100))
    assert names()[:2] == ["validation/accuracy", "validation/loss"]
    assert view.chosen.title == "Accuracy (validation)"
    view.quantity.setCurrentIndex(names().index("alone/text"))
    view.quantity.activated.emit(view.quantity.currentIndex())
    view.add("a", [{"step": 101, "epoch": 2, "loss": 1.0, "temperature": 0.07, "balance": {"image": 0.4}}])
    assert {"temperature", "balance/image"} <= set(names())
    assert view.chosen.title == "Loss: Texts"
    assert told(view.chosen, 60) == {"First": "0.6"}
    assert quantity_title("alone/image - text") == "Loss: Pictures - Texts"


def test_fusion_weights_and_memory_are_each_one_plot_of_several_curves(view: CurvesView) -> None:
    def show(name: str) -> None:
        view.quantity.setCurrentIndex(view.quantity.findData(name))
        view.quantity.activated.emit(view.quantity.currentIndex())

    memory = {"process": 2_500_000_000, "graphics card": 11_000_000_000}
    view.add("a", [line | ({} if "validation" in line else {"memory": memory}) for line in lines(1, 300)])
    show("weights")
    assert view.chosen.title == "Fusion weights"
    assert told(view.chosen, 60) == {"Pictures": "0.3", "Texts": "0.7"}
    colours = {one.label: one.colour for one in view.chosen.drawn}
    assert len({colour.rgb() for colour in colours.values()}) == 2
    assert all(pixels(view.chosen, colour) > 50 for colour in colours.values())
    show("memory")
    assert told(view.chosen, 60) == {"process": "2.5", "graphics card": "11"}
    view.add("b", lines(1, 300))
    show("weights")
    assert told(view.chosen, 60) == {"Pictures · First": "0.3", "Texts · First": "0.7", "Pictures · Second": "0.3",
                                     "Texts · Second": "0.7"}
    view.add("a", lines(301, 400))  # more of a group that is shown
    assert told(view.chosen, 390)["Texts · First"] == "0.7"


def test_a_run_that_is_shown_no_more_goes_and_the_others_keep_points_and_colours(view: CurvesView) -> None:
    view.add("a", lines(1, 300))
    view.add("b", lines(1, 300, 2))
    second = view.colour_of("b")
    view.show_runs([("b", "Second"), ("c", "Third")])
    assert view.colour_of("b") == second
    assert list(told(view.loss, 100)) == ["Second"]
    assert pixels(view.loss, view.colour_of("c")) == 0
    view.add("c", lines(1, 300, 3))
    assert pixels(view.loss, view.colour_of("c")) > 50
    view.add("a", lines(301, 310))
    assert list(told(view.loss, 100)) == ["Second", "Third"]
    view.show_runs([(str(number), f"run {number}") for number in range(12)])
    assert len({view.colour_of(str(number)).rgb() for number in range(10)}) == 10
    assert len(view.legend._runs) == 10


def test_zeros_and_negatives_do_not_disturb_the_log_scale(view: CurvesView) -> None:
    bad = [{"step": step, "epoch": 1, "loss": value, "norm": value} for step, value in enumerate(
        [0.0, -1.0, 10.0, 100.0, math.nan, 1000.0, math.inf, 0.0, 10.0, 10.0, "word", None, True], 1)]
    view.add("a", bad)
    view.smoothing.setValue(0)
    view.log.setChecked(True)
    assert pixels(view.loss, view.colour_of("a")) > 10
    assert view.loss._low < 1 < 3 < view.loss._high
    view.clear("a")
    view.add("a", [{"step": step, "epoch": 1, "loss": 0.0, "lr": 0.0} for step in range(1, 9)])
    assert pixels(view.loss, view.colour_of("a")) == 0


def test_all_stays_in_view_until_one_zooms_and_again_after_a_double_click(view: CurvesView) -> None:
    view.add("a", lines(1, 300))
    assert (view.span.low, view.span.high) == (1, 300)
    view.add("a", lines(301, 400))
    assert view.span.high == 400
    at = view.loss.area.center()
    place = view.loss.place_at(at.x())
    wheel(view.loss, at, 3)
    assert not view.following
    assert not view.follow.isChecked()
    assert view.loss.place_at(at.x()) == pytest.approx(place)
    seen = view.span.low, view.span.high
    assert 1 < seen[0] < seen[1] < 400
    view.add("a", lines(401, 500))
    assert (view.span.low, view.span.high) == seen
    QTest.mousePress(view.chosen, LEFT, NONE, QPoint(200, 100))
    for x in range(200, 260, 10):
        QTest.mouseMove(view.chosen, QPoint(x, 100))
    QTest.mouseRelease(view.chosen, LEFT, NONE, QPoint(250, 100))
    assert view.span.low < seen[0]
    assert view.span.high - view.span.low == pytest.approx(seen[1] - seen[0])
    QTest.mouseDClick(view.loss, LEFT, NONE, at.toPoint())
    assert view.following
    assert view.follow.isChecked()
    assert (view.span.low, view.span.high) == (1, 500)
    QTest.keyClick(view.loss, Qt.Key.Key_Plus)
    assert not view.following
    view.follow.click()
    assert (view.span.low, view.span.high) == (1, 500)


def test_beside_the_curves_the_wheel_zooms_one_axis(view: CurvesView) -> None:
    view.add("a", lines(1, 300))
    view.grab()
    heights = view.loss._low, view.loss._high
    wheel(view.loss, QPointF(view.loss.area.center().x(), view.loss.area.bottom() + 6), 2)
    assert view.span.high - view.span.low < 250
    assert view.loss._heights is None
    wheel(view.loss, QPointF(4, view.loss.area.center().y()), 2)
    assert view.loss._high - view.loss._low < heights[1] - heights[0]


def test_hovering_tells_the_values_of_all_runs_at_that_step(view: CurvesView) -> None:
    view.add("a", lines(1, 400))
    view.add("b", lines(1, 200, 2))
    view.smoothing.setValue(0)
    assert told(view.loss, 100) == {"First": "1.5 · validation 2", "Second": "2.5 · validation 3"}
    assert told(view.loss, 300) == {"First": "1.25 · validation 2", "Second": "–"}
    assert told(view.chosen, 200) == {"First": "0.52", "Second": "0.62"}
    view.smoothing.setValue(33)
    smooth = by_hand(np.array([1 + 100 / (100 + step) for step in range(1, 101)]), view.how.smoothing)[-1]
    assert told(view.loss, 100)["First"].startswith(f"{smooth:.4g} ")
    x = view.loss.x_pixels(np.array([200.0]))[0]
    QTest.mouseMove(view.loss, QPoint(round(x), round(view.loss.area.center().y())))
    assert view.loss.told(view.loss._hover or 0)[0] in ("step 199", "step 200", "step 201")
    assert view.chosen._hover == view.loss._hover
    before = view.loss.grab().toImage()
    view.loss.leaveEvent(None)
    assert view.chosen._hover is None
    assert view.loss.grab().toImage() != before


def test_epochs_and_seconds_place_the_same_points_elsewhere(view: CurvesView) -> None:
    view.axis.setCurrentIndex(1)
    view.add("a", lines(1, 50))
    assert view.loss.extent() is None
    assert view.loss.nothing
    view.grab()
    view.add("a", lines(51, 250))
    assert (view.span.low, view.span.high) == (0.01, 2.5)
    assert view.loss.told(1.5)[0] == "epoch 1.50"
    view.axis.setCurrentIndex(2)
    assert (view.span.low, view.span.high) == (0.1, 25.0)
    rate = view._runs["a"].rows("rate")
    assert np.allclose(rate[:, 2], 10)


def test_without_a_validation_the_first_line_of_the_second_epoch_ends_the_first(view: CurvesView) -> None:
    view.add("a", [{"step": step, "epoch": 1 + (step - 1) // 20, "loss": 1.0} for step in range(5, 45, 5)])
    assert view._runs["a"].per_epoch == 20


def test_a_run_that_goes_on_from_a_checkpoint_takes_back_what_came_after_it(view: CurvesView) -> None:
    view.add("a", lines(1, 300))
    view.add("a", lines(151, 200, 5))
    assert view.loss.extent() == (1, 200)
    view.smoothing.setValue(0)
    assert told(view.loss, 190)["First"].startswith("5.3")
    assert told(view.loss, 120)["First"].startswith("1.4")


def test_many_lines_at_once_are_taken_in_piece_by_piece(view: CurvesView, qtbot: QtBot) -> None:
    view.add("a", lines(1, 9000))
    view.add("b", lines(1, 10))
    assert view.span.high < 9000
    qtbot.waitUntil(lambda: view.span.high == 9000 and not view._waiting)
    assert len(view._runs["a"].rows("loss")) == 9000
    assert len(view._runs["b"].rows("loss")) == 10


def test_strange_lines_are_passed_over(view: CurvesView) -> None:
    view.add("a", [{}, {"step": "x"}, {"step": math.nan, "loss": 1}, {"step": 1, "loss": 10**400, "alone": 3},
                   {"step": 2, "validation": {"": 1, "<b>odd</b>": 0.5}, "epoch": None}, {"step": 3, "loss": 2},
                   {"step": 4, "loss": 1e308}, {"step": 5, "loss": -1e308},
                   {"step": 6, "loss": 1e99}, {"step": 7, "loss": 1e-320}])
    assert view.chosen.title == "<b>odd</b> (validation)"
    for log in (False, True):
        view.log.setChecked(log)
        assert not view.grab().isNull()
        for turns in [-100] * 20 + [100] * 40:
            wheel(view.loss, view.loss.area.center() + QPointF(9, 9), turns)
            assert not view.loss.grab().isNull()


def test_the_legend_hides_a_run_and_shows_one_alone(view: CurvesView) -> None:
    view.add("a", lines(1, 300))
    view.add("b", lines(1, 300, 2))
    QTest.mouseClick(view.legend, LEFT, NONE, QPoint(10, 10))
    assert list(told(view.loss, 100)) == ["Second"]
    QTest.mouseClick(view.legend, LEFT, NONE, QPoint(10, 10))
    QTest.mouseDClick(view.legend, LEFT, NONE, QPoint(10, 10))
    assert list(told(view.loss, 100)) == ["First"]
    QTest.mouseDClick(view.legend, LEFT, NONE, QPoint(10, 10))
    assert list(told(view.loss, 100)) == ["First", "Second"]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(300, 120), (700, 260), (1200, 400), (2600, 900)])
def test_it_is_drawn_at_any_size(view: CurvesView, theme: str, size: tuple[int, int]) -> None:
    view.show_runs([(str(number), f"A run with a long title {number}") for number in range(10)])
    for number in range(10):
        view.add(str(number), lines(1, 250, number / 5))
    THEME.apply(theme)
    view.resize(*size)
    view.loss._pointer = view.loss.area.center()
    view._hover(120.0)
    assert not view.grab().isNull()
    assert view.loss.width() >= 90
    assert run_colour(6) != QColor(THEME.colours.base)
