"""The map's canvas: gestures as users of such tools know them, and exact picking."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mmstudio.desktop.plots.cloud import Points
from mmstudio.desktop.plots.flight import MOST_FLYING, Flight
from mmstudio.desktop.plots.scatter import Scatter
from mmstudio.desktop.plots.transform import Transform, inside_polygon
from mmstudio.desktop.theme import category_colours

GRID = np.array([(x, y) for x in range(5) for y in range(4)], np.float32)


@pytest.fixture
def canvas(qtbot: QtBot) -> Scatter:
    made = Scatter()
    made.animated = False
    made.resize(600, 400)
    qtbot.addWidget(made)
    made.show_points(Points(np.arange(1, 21), GRID.copy(), np.arange(20) % 4, np.arange(20) % 2),
                     [QColor("red"), QColor("blue")])
    made.show()
    made.fit()
    return made


def _at(canvas: Scatter, key: int) -> QPoint:
    found = canvas.pixel_of(key)
    assert found is not None
    return found.toPoint()


def _wheel(canvas: Scatter, at: QPointF, steps: int) -> None:
    QApplication.sendEvent(canvas, QWheelEvent(
        at, canvas.mapToGlobal(at), QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False))


def test_every_point_is_picked_where_it_is_drawn(canvas: Scatter, qtbot: QtBot) -> None:
    picked: list[int] = []
    canvas.picked.connect(lambda key, _: picked.append(key))
    for key in range(1, 21):
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=_at(canvas, key))
    assert picked == list(range(1, 21))
    image = canvas.grab().toImage()
    assert image.pixelColor(_at(canvas, 1)).red() > 200
    assert image.pixelColor(_at(canvas, 2)).blue() > 200


def test_the_wheel_zooms_at_the_pointer_and_double_click_fits_all(canvas: Scatter, qtbot: QtBot) -> None:
    before, scale = _at(canvas, 7), canvas.transform.scale
    _wheel(canvas, QPointF(before), 5)
    assert canvas.transform.scale > 2 * scale
    assert (_at(canvas, 7) - before).manhattanLength() <= 2
    empty = _at(canvas, 7) + QPoint(60, 60)
    assert canvas.key_at(QPointF(empty)) is None
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=empty)
    assert canvas.transform.scale == pytest.approx(scale)


def test_dragging_pans(canvas: Scatter, qtbot: QtBot) -> None:
    before = _at(canvas, 7)
    start = QPoint(5, 5)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 9):
        QTest.mouseMove(canvas, start + QPoint(10 * step, 5 * step))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(80, 40))
    assert (_at(canvas, 7) - before - QPoint(80, 40)).manhattanLength() <= 14


def test_shift_drag_lassoes_what_lies_inside(canvas: Scatter, qtbot: QtBot) -> None:
    got: list[list[int]] = []
    canvas.lassoed.connect(lambda keys, _: got.append(sorted(keys)))
    inside = {key for key in range(1, 21) if GRID[key - 1][0] <= 1}
    left, right = _at(canvas, 1).x() - 20, (_at(canvas, 5).x() + _at(canvas, 9).x()) // 2
    corners = [QPoint(left, 2), QPoint(right, 2), QPoint(right, 398), QPoint(left, 398)]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, corners[0])
    for corner in [*corners[1:], corners[0]]:
        QTest.mouseMove(canvas, corner)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, corners[0])
    assert got == [sorted(inside)]


def test_hidden_points_are_neither_drawn_nor_picked(canvas: Scatter, qtbot: QtBot) -> None:
    at = _at(canvas, 3)
    canvas.hide_points(np.arange(1, 21) == 3)
    assert canvas.key_at(QPointF(at)) is None
    assert canvas.grab().toImage().pixelColor(at) == canvas.grab().toImage().pixelColor(2, 200)


def test_hovering_tells_the_point_after_a_moment(canvas: Scatter, qtbot: QtBot) -> None:
    with qtbot.waitSignal(canvas.hovered, timeout=2000) as told:
        QTest.mouseMove(canvas, QPoint(3, 3))
        QTest.mouseMove(canvas, _at(canvas, 6) + QPoint(4, 4))
    assert told.args == [6]


def test_esc_gives_a_lasso_up_that_is_being_drawn(canvas: Scatter, qtbot: QtBot) -> None:
    told: list[object] = []
    canvas.lassoed.connect(lambda *what: told.append(what))
    canvas.mode = "box"
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(5, 5))
    QTest.mouseMove(canvas, QPoint(300, 200))
    QTest.mouseMove(canvas, QPoint(500, 300))
    assert canvas._lasso
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert not canvas._lasso
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(500, 300))
    assert not told


@pytest.mark.parametrize("moves", ["keys zoom", "keys pan", "fit", "others come", "points move"])
def test_a_point_that_was_hovered_is_left_when_the_map_moves_under_the_pointer(
    moves: str, canvas: Scatter, qtbot: QtBot,
) -> None:
    with qtbot.waitSignal(canvas.hovered, timeout=2000):
        QTest.mouseMove(canvas, QPoint(3, 3))
        QTest.mouseMove(canvas, _at(canvas, 6))
    told: list[int | None] = []
    canvas.hovered.connect(told.append)
    if moves.startswith("keys"):
        QTest.keyClick(canvas, Qt.Key.Key_Plus if "zoom" in moves else Qt.Key.Key_Left)
    elif moves == "fit":
        canvas.fit()
    elif moves == "others come":
        canvas.show_points(canvas.points, canvas.drawing.palette)
    else:
        canvas.move_points(GRID[::-1].copy())
    assert told == [None]


def test_points_glide_to_their_new_places(canvas: Scatter, qtbot: QtBot) -> None:
    canvas.animated = True
    start = _at(canvas, 1)
    canvas.show_points(Points(np.arange(1, 21), GRID[::-1].copy(), np.arange(20) % 4, np.arange(20) % 2),
                       [QColor("red"), QColor("blue")])
    assert (_at(canvas, 1) - start).manhattanLength() < 60
    target = canvas.transform.to_pixels(GRID[::-1][:1].copy(), 600, 400)[0]
    qtbot.waitUntil(lambda: abs(_at(canvas, 1).x() - target[0]) <= 1, timeout=3000)


def _many(count: int, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 5, count)
    places = (rng.normal(size=(5, 2))[groups] + rng.normal(0, 0.4, (count, 2))).astype(np.float32)
    return Points(np.arange(1, count + 1), places, rng.integers(0, 4, count), groups)


@pytest.mark.parametrize("count", [800, 9000, 70_000])
def test_points_in_another_order_draw_the_identical_picture(qtbot: QtBot, count: int) -> None:
    points, images = _many(count), []
    for order in (np.arange(count), np.random.default_rng(3).permutation(count)):
        made = Scatter()
        qtbot.addWidget(made)
        made.animated = False
        made.resize(500, 400)
        made.show_points(Points(points.keys[order], points.places[order], points.shapes[order], points.columns[order]),
                         category_colours(5))
        made.transform.x, made.transform.y, made.transform.scale = 0.0, 0.0, 120.0
        made.show_selection(np.arange(1, count, 3), 4)
        made.hide_points(made.points.columns == 2)
        images.append(made.grab().toImage())
    assert images[0] == images[1]
    assert len({images[0].pixel(x, 200) for x in range(500)}) > 20


def test_no_colour_hides_another_where_both_are_many(qtbot: QtBot) -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(0, 0.3, (100_000, 2)).astype(np.float32)
    made = Scatter()
    qtbot.addWidget(made)
    made.animated = False
    made.resize(300, 300)
    made.show_points(Points(np.arange(100_000), places, np.zeros(100_000, np.int64), np.arange(100_000) % 2),
                     [QColor(200, 0, 0), QColor(0, 0, 200)])
    middle = made.grab().toImage().pixelColor(150, 150)
    assert middle.red() == pytest.approx(100, abs=25)
    assert middle.blue() == pytest.approx(100, abs=25)


def test_selected_points_are_seen_among_very_many(qtbot: QtBot) -> None:
    made = Scatter()
    qtbot.addWidget(made)
    made.animated = False
    made.resize(400, 400)
    points = _many(80_000)
    made.show_points(points, [QColor(0, 220, 0)] * 5)
    made.show_selection(points.keys[:2], None)
    image = made.grab().toImage()
    for key in (1, 2):
        at = _at(made, key)
        near = [image.pixelColor(at + QPoint(x, y)) for x in (-1, 0, 1) for y in (-1, 0, 1)]
        assert sum(c.green() > 150 and c.red() < 90 for c in near) >= 6  # a shape, not a pixel
    green = sum(c.green() > 150 > c.red() + 60 for x in range(0, 400, 4) for c in [image.pixelColor(x, 200)])
    assert green < 5


def test_a_flight_of_very_many_ends_exactly_at_the_target(qtbot: QtBot) -> None:
    before, after = _many(250_000), _many(250_000, seed=1)
    flight = Flight(before.keys, before.places, after)
    assert len(flight.rows) <= MOST_FLYING
    assert np.array_equal(flight.at(0), before.places[flight.rows])
    assert np.array_equal(flight.at(1), after.places[flight.rows])
    half = flight.at(0.5)
    assert np.allclose(half, (before.places + after.places)[flight.rows] / 2, atol=1e-5)
    made = Scatter()
    qtbot.addWidget(made)
    made.resize(300, 300)
    made.show_points(before, category_colours(5))
    made.show_points(after, category_colours(5))
    assert made.drawing.flight is not None
    assert len(made.drawing.flight.rows) < 250_000
    made.grab()
    qtbot.waitUntil(lambda: made.drawing.flight is None)
    assert np.array_equal(made.points.places, after.places)
    key = int(after.keys[77_777])
    assert made.pixel_of(key) is not None
    assert np.array_equal(made.drawing.places(np.array([77_777]))[0], after.places[77_777])


def test_of_very_many_that_fly_no_selected_one_is_there_before_the_others(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, drawn = Scatter(), list[np.ndarray]()
    qtbot.addWidget(made)
    made.resize(300, 300)
    before, after = _many(250_000), _many(250_000, seed=1)
    made.show_points(before, category_colours(5))
    made.show_selection(before.keys[:12], None)
    made.show_points(after, category_colours(5))
    draw = made.drawing._draw_shapes
    monkeypatch.setattr(made.drawing, "_draw_shapes", lambda painter, rows, *rest: (drawn.append(rows),
                                                                                    draw(painter, rows, *rest)))
    assert made.drawing.flight is not None
    flying = made.drawing.flight.rows
    made.grab()
    assert 0 < len(drawn[0]) < 12
    assert np.isin(drawn[0], flying).all()
    qtbot.waitUntil(lambda: made.drawing.flight is None)
    made.grab()
    assert sorted(drawn[-1].tolist()) == list(range(12))


def test_points_fly_by_key_and_new_ones_wait_at_their_places() -> None:
    target = Points(np.array([5, 9, 2]), np.array([[0, 0], [1, 1], [2, 2]], np.float32), np.zeros(3, np.int64),
                    np.zeros(3, np.int64))
    flight = Flight(np.array([2, 5]), np.array([[7, 7], [8, 8]], np.float32), target)
    assert flight.at(0).tolist() == [[8, 8], [1, 1], [7, 7]]


def test_keys_pan_zoom_and_fit(canvas: Scatter, qtbot: QtBot) -> None:
    scale, x, y = canvas.transform.scale, canvas.transform.x, canvas.transform.y
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    QTest.keyClick(canvas, Qt.Key.Key_Up)
    assert canvas.transform.x == pytest.approx(x + 60 / scale)
    assert canvas.transform.y == pytest.approx(y + 60 / scale)
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    QTest.keyClick(canvas, Qt.Key.Key_Minus)
    assert canvas.transform.scale == pytest.approx(scale * 1.25)
    for key in (Qt.Key.Key_0, Qt.Key.Key_Home):
        QTest.keyClick(canvas, Qt.Key.Key_Left)
        QTest.keyClick(canvas, key)
        assert (canvas.transform.x, canvas.transform.y) == pytest.approx((x, y))
        assert canvas.transform.scale == pytest.approx(scale)


def test_ctrl_a_tells_the_points_that_are_seen_and_not_hidden(canvas: Scatter, qtbot: QtBot) -> None:
    got: list[list[int]] = []
    canvas.lassoed.connect(lambda keys, _: got.append(sorted(keys.tolist())))
    canvas.hide_points(np.arange(1, 21) <= 4)
    QTest.keyClick(canvas, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    canvas.transform.x += 3
    QTest.keyClick(canvas, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert got == [list(range(5, 21)), [key for key in range(5, 21)
                                        if 0 <= _at(canvas, key).x() < 600 and 0 <= _at(canvas, key).y() < 400]]
    assert len(got[1]) < 16


def test_the_lasso_and_the_pointer_find_what_lies_there_among_very_many(qtbot: QtBot) -> None:
    made = Scatter()
    qtbot.addWidget(made)
    made.animated = False
    made.resize(600, 400)
    points = _many(100_000)
    made.show_points(points, category_colours(5))
    hidden = points.columns == 1
    made.hide_points(hidden)
    pixels = made.transform.to_pixels(points.places, 600, 400).astype(np.float64)
    outline = np.array([(100, 50), (500, 90), (420, 350), (300, 120), (150, 380)], float)
    found = made.keys_inside([QPointF(x, y) for x, y in outline])
    wanted = points.keys[inside_polygon(pixels.astype(np.float32), outline) & ~hidden]
    assert len(np.setxor1d(found, wanted)) <= 3  # a point on a line may be rounded to its other side
    assert len(found) > 10_000
    for x, y in np.random.default_rng(0).uniform(0, 1, (100, 2)) * (600, 400):
        squared = ((pixels - (x, y)) ** 2).sum(axis=1)
        squared[hidden] = np.inf
        key = made.key_at(QPointF(x, y))
        if squared.min() > 14.01**2:
            assert key is None
        elif squared.min() < 13.99**2:
            assert key is not None
            assert squared[key - 1] <= squared.min() + 1e-2


def test_very_many_points_are_sorted_behind_the_window_and_drawn_meanwhile(qtbot: QtBot) -> None:
    later: list[tuple[Callable[[], object], Callable[[object], None]]] = []
    made = Scatter(behind=lambda question, then: later.append((question, then)))
    qtbot.addWidget(made)
    made.animated = False
    made.resize(300, 300)
    made.show_points(_many(120_000), category_colours(5))
    assert made.drawing.cloud.grid.side == 1
    first = made.grab().toImage()
    assert len({first.pixel(x, 150) for x in range(300)}) > 20
    moved = made.points.places + 1
    made.move_points(moved)  # while the first are being sorted
    while later:
        question, then = later.pop(0)
        then(question())
    grid = made.drawing.cloud.grid
    assert grid.side > 100
    assert np.array_equal(grid.places, moved[grid.rows])


def test_what_is_thinned_while_it_moves_is_drawn_in_full_at_rest(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmstudio.desktop.plots.density._BUDGET", 20_000)
    made, exact = Scatter(), Scatter()
    for one in (made, exact):
        qtbot.addWidget(one)
        one.animated = False
        one.resize(300, 300)
        one.show_points(_many(60_000), category_colours(5))
    quick = made.grab().toImage()
    assert made.drawing.density.is_rough
    qtbot.waitUntil(lambda: not made.drawing.density.is_rough)
    monkeypatch.setattr("mmstudio.desktop.plots.density._BUDGET", 10**9)
    assert made.grab().toImage() == exact.grab().toImage() != quick


def test_one_point_that_moves_is_drawn_and_picked_where_it_goes(canvas: Scatter, qtbot: QtBot) -> None:
    old = _at(canvas, 7)
    for x in (1.5, 2.5, 3.5):
        canvas.move_point(7, np.array([x, 1.5], np.float32))
        assert canvas.key_at(QPointF(_at(canvas, 7))) == 7
        assert canvas.key_at(QPointF(old)) is None
    assert canvas.grab().toImage().pixelColor(_at(canvas, 7)).red() > 200


def test_the_polygon_test_agrees_with_a_circle() -> None:
    angles = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (3000, 2)).astype(np.float32)
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 1) > 0.01
    assert (inside_polygon(points, circle) == (radius < 1))[clear].all()


def test_pixels_and_places_are_inverse() -> None:
    transform = Transform(1.5, -2.0, 37.0)
    place = transform.to_place(123, 45, 600, 400)
    back = transform.to_pixels(np.array([place], np.float32), 600, 400)[0]
    assert np.allclose(back, (123, 45), atol=1e-2)


def test_loops_whose_answer_was_lost_with_a_window_are_made_by_the_next_who_waits() -> None:
    from mmstudio.desktop.plots.density import Compiled

    made = Compiled()
    made.want(lambda question, then: None)
    assert not made.ready
    made.want(None)
    assert made.ready
