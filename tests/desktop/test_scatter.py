"""The map's canvas: gestures as users of such tools know them, and exact picking."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mmstudio.desktop.plots.scatter import Points, Scatter
from mmstudio.desktop.plots.transform import Transform, inside_polygon

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


def test_points_glide_to_their_new_places(canvas: Scatter, qtbot: QtBot) -> None:
    canvas.animated = True
    start = _at(canvas, 1)
    canvas.show_points(Points(np.arange(1, 21), GRID[::-1].copy(), np.arange(20) % 4, np.arange(20) % 2),
                       [QColor("red"), QColor("blue")])
    assert (_at(canvas, 1) - start).manhattanLength() < 60
    target = canvas.transform.to_pixels(GRID[::-1][:1].copy(), 600, 400)[0]
    qtbot.waitUntil(lambda: abs(_at(canvas, 1).x() - target[0]) <= 1, timeout=3000)


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
