"""The map's panel: colours, legend and pictures, of few items and of very many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QPixmap, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mmstudio import paths
from mmstudio.desktop.arranging import FusedPlace, Layout
from mmstudio.desktop.asking import Answer
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.plots.colouring import STEPS
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.theme import THEME
from mmstudio.library import Item, Sample
from mmstudio.library.item import item_rows
from mmstudio.library.items import Items
from mmstudio.searching import Results
from mmstudio.settings import Settings

LEFT = Qt.MouseButton.LeftButton
TAGS = ("dog", "cat", "bird")


@pytest.fixture
def panel(qtbot: QtBot, home: Path) -> Iterator[MapPanel]:
    THEME.apply("dark")
    session = Session(Settings(file=paths.settings_file()))
    session.settings.set("animations", False)
    made = MapPanel(session, Previews(session))
    qtbot.addWidget(made)
    made.resize(900, 700)
    made.show()
    yield made
    made.close()
    session.close()
    QApplication.processEvents()


@pytest.fixture
def show(panel: MapPanel, tmp_path: Path) -> Callable[[int], np.ndarray]:
    """Put so many items on the map, pictures, sounds and texts in turn; gives their places."""

    def put(count: int) -> np.ndarray:
        session, kinds = panel._session, ("image", "audio", "text")
        made = [Item(i, tmp_path / f"{i}.x", "", kinds[i % 3], f"{i:040x}", f"text {i}" * (i % 3 == 2),  # type: ignore[arg-type]
                     {"width": float(i)}, (TAGS[i % 7 % 3],) if i % 7 < 5 else (), added=1.7e9 + i)
                for i in range(1, count + 1)]
        session.items = Items(item_rows(made))
        places = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
        keys = np.arange(1, count + 1)
        session.layout = Layout(keys, np.array([item.modality for item in made]), places, "PaCMAP", True, keys % 4 - 1)
        session.layoutChanged.emit(session.layout)
        return places

    return put


def _names(panel: MapPanel) -> dict[str, int]:
    return {line.name: line.number for line in panel.legend._lines}


def test_points_can_be_coloured_by_modality_cluster_tag_and_column(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(210)
    assert _names(panel) == {"Pictures": 70, "Sounds": 70, "Texts": 70}
    panel.colour_by.choose("cluster")
    assert _names(panel) == {"Cluster 1": 53, "Cluster 2": 53, "Cluster 3": 52, "none": 52}
    panel.colour_by.choose("tag")
    qtbot.waitUntil(lambda: "dog" in _names(panel))
    assert _names(panel) == {"dog": 60, "cat": 60, "bird": 30, "none": 60}
    qtbot.waitUntil(lambda: panel.colour_by.findData("width") > 0)
    panel.colour_by.choose("width")
    qtbot.waitUntil(lambda: panel.legend._scale is not None)
    assert panel.legend._scale is not None
    assert panel.legend._scale.title == "Width (pixels)"
    assert panel.canvas.points.columns[[0, 209]].tolist() == [0, STEPS - 1]
    panel.colour_by.choose("modality")
    assert panel.legend._scale is None
    assert len(_names(panel)) == 3


def test_the_score_of_a_question_colours_the_map_and_goes_with_the_question(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    class View:
        ids = np.arange(1, 51)
        vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)

        def __len__(self) -> int:
            return 50

    session = panel._session
    session.view = View()  # type: ignore[assignment]
    show(50)
    entry = panel.colour_by.model().item(panel.colour_by.findData("score"))  # type: ignore[attr-defined]
    assert not entry.isEnabled()
    session.answer = Answer("a cat", View.vectors[7], "cosine", Results({}))
    session.answered.emit(session.answer)
    assert entry.isEnabled()
    panel.colour_by.choose("score")
    qtbot.waitUntil(lambda: panel.legend._scale is not None)
    assert "a cat" in panel.legend._scale.title  # type: ignore[union-attr]
    assert panel.canvas.points.columns[7] == STEPS - 1
    session.answer = None
    session.answered.emit(None)
    assert panel.colour_by.currentData() == "modality"
    assert not entry.isEnabled()


def test_a_click_in_the_legend_hides_and_a_double_click_isolates_exactly(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(60_000)
    cloud = panel.canvas.drawing.cloud
    qtbot.waitUntil(lambda: cloud.grid.side > 1)
    modalities = np.arange(1, 60_001) % 3
    QTest.mouseClick(panel.legend, LEFT, pos=QPoint(40, 14))
    assert np.array_equal(panel.canvas.hidden, modalities == 0)
    assert cloud.total == 40_000
    QTest.mouseDClick(panel.legend, LEFT, pos=QPoint(40, 36))
    assert np.array_equal(panel.canvas.hidden, modalities != 1)
    corners = [panel.canvas.rect().topLeft(), panel.canvas.rect().topRight(), panel.canvas.rect().bottomRight(),
               panel.canvas.rect().bottomLeft()]
    panel.canvas.fit()
    panel.canvas._zoom(corners[0].toPointF(), 0.2)
    wide = [QPoint(x, y).toPointF() for x, y in ((-4000, -4000), (4000, -4000), (4000, 4000), (-4000, 4000))]
    assert np.array_equal(np.sort(panel.canvas.keys_inside(wide)), np.flatnonzero(modalities == 1) + 1)
    QTest.mouseDClick(panel.legend, LEFT, pos=QPoint(40, 36))
    assert not panel.canvas.hidden.any()


def test_isolating_one_of_many_categories_hides_those_below_the_legends_end_too(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(400)
    layout = panel._session.layout
    assert layout is not None
    panel._session.layout = Layout(layout.keys, layout.modalities, layout.places, "PaCMAP", True, layout.keys % 30)
    panel._session.layoutChanged.emit(panel._session.layout)
    panel.colour_by.choose("cluster")
    assert len(_names(panel)) == 30
    QTest.mouseDClick(panel.legend, LEFT, pos=QPoint(40, 14))
    assert np.array_equal(panel.canvas.hidden, layout.keys % 30 != 0)


@pytest.mark.parametrize("size", [(900, 700), (480, 320), (300, 220)])
def test_the_legend_leaves_most_of_the_map_free_and_every_line_is_reached_by_the_wheel(
    size: tuple[int, int], panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(400)
    layout = panel._session.layout
    assert layout is not None
    panel._session.layout = Layout(layout.keys, layout.modalities, layout.places, "PaCMAP", True, layout.keys % 30)
    panel._session.layoutChanged.emit(panel._session.layout)
    panel.colour_by.choose("cluster")
    panel.resize(*size)
    legend, canvas = panel.legend, panel.canvas
    assert legend.height() <= max(canvas.height() / 2 + 36, 102)
    assert legend.width() <= max(0.5 * canvas.width(), 200)
    assert canvas.rect().contains(legend.geometry())
    seen = set[str | None]()
    for _ in range(20):
        seen |= {legend._name_at(y) for y in range(legend.height())}
        QApplication.sendEvent(legend, QWheelEvent(
            QPointF(20, 20), legend.mapToGlobal(QPointF(20, 20)), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False))
    assert {f"Cluster {number}" for number in range(1, 31)} <= seen


def test_ctrl_a_selects_what_is_seen_and_the_lasso_adds_and_removes(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(300)
    session, canvas = panel._session, panel.canvas
    canvas.fit()
    canvas._zoom(canvas.rect().center().toPointF(), 0.3)
    QTest.mouseClick(panel.legend, LEFT, pos=QPoint(40, 14))
    QTest.keyClick(canvas, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert set(session.selection) == {key for key in range(1, 301) if key % 3}
    panel.lasso(np.array([1, 2, 4]), Qt.KeyboardModifier.AltModifier)
    assert len(session.selection) == 197
    panel.lasso(np.array([1, 3]), Qt.KeyboardModifier.ControlModifier)
    assert len(session.selection) == 199
    panel.lasso(np.array([5, 9]), Qt.KeyboardModifier.NoModifier)
    assert set(session.selection) == {5, 9}
    panel.pick(9, Qt.KeyboardModifier.ControlModifier)
    assert set(session.selection) == {5}


def test_a_sample_moves_at_once_and_is_found_where_it_went(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(30)
    session, canvas = panel._session, panel.canvas
    session.samples = {7: Sample(7, "both", (1, 2))}
    vector = np.zeros(3, np.float32)
    session.fusedMoved.emit(FusedPlace(7, np.array([0.5, 0.5], np.float32), {}, vector))
    assert len(canvas.points.keys) == 31
    for step in range(5):
        place = np.array([3.0 + step, 9.0], np.float32)
        session.fusedMoved.emit(FusedPlace(7, place, {}, vector))
        at = canvas.pixel_of(-7)
        assert at is not None
        assert canvas.transform.to_place(at.x(), at.y(), canvas.width(), canvas.height()) == pytest.approx(
            place, abs=1e-3)
        assert canvas.key_at(at, 3) == -7
    assert canvas.drawing.cloud.loose == [30]
    panel._redraw()
    assert canvas.points.places[30].tolist() == [7.0, 9.0]


def test_near_points_become_pictures_that_do_not_overlap_and_can_be_clicked(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    places = show(500)
    red = QPixmap(40, 40)
    red.fill("red")
    for item in panel._session.items.values():
        panel._previews._kept[item.content_hash] = red if item.modality == "image" else np.ones((9, 2), np.float32)
    canvas = panel.canvas
    canvas.grab()
    assert canvas.drawing.pictures == []
    canvas.transform.x, canvas.transform.y = places[2].tolist()
    canvas._zoom(canvas.rect().center().toPointF(), 12)
    image = canvas.grab().toImage()
    boxes = canvas.drawing.pictures
    assert len(boxes) > 5
    assert not any(a.intersects(b) for a, _ in boxes for b, _ in boxes if a is not b)
    for box, row in boxes:
        centre = canvas.pixel_of(int(canvas.points.keys[row]))
        assert centre is not None
        assert (box.center() - centre.toPoint()).manhattanLength() <= 3
        if canvas.rect().contains(box) and not panel.legend.geometry().intersects(box):
            assert canvas.key_at(box.topLeft().toPointF() + QPoint(6, 6).toPointF()) == canvas.points.keys[row]
            if canvas.points.shapes[row] == 0:
                assert image.pixelColor(box.center()).red() > 200
    before = {row for _, row in boxes if canvas.rect().adjusted(60, 60, -60, -60).contains(_.center())}
    canvas._pan(20, 11)
    canvas.grab()
    assert before <= {row for _, row in canvas.drawing.pictures}
    panel.pictures.setChecked(False)
    canvas.grab()
    assert canvas.drawing.pictures == []


def test_contours_are_drawn_for_each_of_few_categories_and_follow_what_is_hidden(
    panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray],
) -> None:
    show(600)
    outlines = panel.canvas.drawing.outlines
    panel.canvas.grab()
    assert outlines.lines == {}
    panel.contours.setChecked(True)
    panel.canvas.grab()
    qtbot.waitUntil(lambda: set(outlines.lines) == {0, 1, 2})
    plain = panel.canvas.grab().toImage()
    QTest.mouseClick(panel.legend, LEFT, pos=QPoint(40, 14))
    panel.canvas.grab()
    qtbot.waitUntil(lambda: set(outlines.lines) == {1, 2})
    assert panel.canvas.grab().toImage() != plain


def test_removed_items_leave_the_map(panel: MapPanel, qtbot: QtBot, show: Callable[[int], np.ndarray]) -> None:
    show(20)
    panel._session.items.pop(4)
    panel._session.itemsChanged.emit()
    assert panel.canvas.points.keys.tolist() == [key for key in range(1, 21) if key != 4]
