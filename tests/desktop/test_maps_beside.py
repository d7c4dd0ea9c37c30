"""Maps beside the map: linked with it both ways, of other projections and models, exchanged in flight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from renamed import Renamed

from mmstudio.desktop import kept_map
from mmstudio.desktop.arranging import Layout
from mmstudio.desktop.panels.map_beside import AS_NOW, WITH_GAP, MapBeside, between
from mmstudio.desktop.panels.maps import MOST
from mmstudio.desktop.plots.colouring import Colouring
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.window import MainWindow
from mmstudio.library import Sample
from mmstudio.project import space_key


@pytest.fixture
def mapped(filled: MainWindow, settled: Callable[[], None]) -> MainWindow:
    settled()
    return filled


@pytest.fixture
def beside(mapped: MainWindow, qtbot: QtBot) -> MapBeside:
    """The map as it is now, beside it."""
    mapped.actions_.by_id["beside"].trigger()
    made = mapped.maps.others[0]
    qtbot.waitUntil(lambda: made.found is not None and made.canvas.drawing.flight is None)
    return made


def _choose(beside: MapBeside, name: str, qtbot: QtBot) -> Layout:
    beside.which.setCurrentIndex(beside.which.findData(name))
    before = beside.found
    beside.make()
    qtbot.waitUntil(lambda: beside.found is not before and beside.found is not None and beside.found.layout.final)
    assert beside.found is not None
    return beside.found.layout


def _pixel(beside: MapBeside, key: int) -> QPoint:
    at = beside.canvas.pixel_of(key)
    assert at is not None
    return at.toPoint()


def test_the_map_as_it_is_now_stays_while_the_map_becomes_another(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot, settled: Callable[[], None],
) -> None:
    session, found = mapped.session, beside.found
    assert found is not None
    assert session.layout is not None
    was = session.layout.places.copy()
    assert np.array_equal(found.layout.places, was)
    pca = _choose(beside, "pca", qtbot)
    assert pca.kind == "PCA"
    assert not np.array_equal(pca.places, was)
    assert np.array_equal(session.layout.places, was)


def test_what_is_picked_pointed_at_and_hidden_is_so_on_both(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot,
) -> None:
    session, main = mapped.session, mapped.map
    key = next(i for i, item in session.items.items() if item.modality == "audio")
    QTest.mouseClick(beside.canvas, Qt.MouseButton.LeftButton, pos=_pixel(beside, key))
    assert list(session.selection.keys) == [key] == [session.current]
    assert main.canvas.drawing.current == beside.canvas.drawing.current == key
    qtbot.waitUntil(lambda: bool(main.canvas.drawing.links))
    assert beside.canvas.drawing.links == main.canvas.drawing.links
    main.canvas.hovered.emit(key)
    assert beside.canvas.drawing.pointed == key
    beside.canvas.hovered.emit(None)
    assert main.canvas.drawing.pointed is None
    QTest.mouseClick(main.legend, Qt.MouseButton.LeftButton, pos=QPoint(40, 36))
    assert main.canvas.hidden.any()
    qtbot.waitUntil(lambda: np.array_equal(beside.canvas.hidden, main.canvas.hidden))


def test_it_has_the_colours_of_the_map_and_the_librarys_filter(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot,
) -> None:
    mapped.map.colour_by.give("odd", "Odd", lambda keys: Colouring(keys % 2, ("even", "odd")))
    qtbot.waitUntil(lambda: np.array_equal(beside.canvas.points.columns, beside.canvas.points.keys % 2))
    assert beside.canvas.drawing.palette[:2] == mapped.map.canvas.drawing.palette
    mapped.map.show_passing(np.array(sorted(mapped.session.items)[:3]))
    qtbot.waitUntil(lambda: beside.canvas.drawing.cloud.passing is not None)
    passing = beside.canvas.drawing.cloud.passing
    assert passing is not None
    assert sorted(beside.canvas.points.keys[passing].tolist()) == sorted(mapped.session.items)[:3]


def test_exchanged_maps_fly_to_each_others_place_and_the_new_one_is_kept(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot,
) -> None:
    session = mapped.session
    pca = _choose(beside, "pca", qtbot)
    assert session.layout is not None
    before = session.layout
    beside.swap.click()
    assert session.layout.kind == "PCA"
    assert np.array_equal(session.layout.places, pca.places)
    assert mapped.map.canvas.drawing.flight is not None
    qtbot.waitUntil(lambda: beside.found is not None and np.array_equal(beside.found.layout.places, before.places))
    project, encoder = session.project, session.encoder
    assert project is not None
    assert encoder is not None

    def kept() -> bool:
        found = kept_map.load(project.folder, space_key(encoder))
        return found is not None and np.array_equal(found.places, pca.places)

    qtbot.waitUntil(kept)


def test_new_items_find_their_place_on_every_map_and_removed_ones_leave(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot, make_picture: Callable[..., Path],
) -> None:
    session = mapped.session
    before = dict(zip(beside.canvas.points.keys.tolist(), beside.canvas.points.places.tolist(), strict=True))
    session.add([make_picture("new.png", "cyan")])
    qtbot.waitUntil(lambda: len(session.items) == 25)
    new = max(session.items)
    qtbot.waitUntil(lambda: new in beside.canvas.points.keys)
    after = dict(zip(beside.canvas.points.keys.tolist(), beside.canvas.points.places.tolist(), strict=True))
    assert all(after[key] == place for key, place in before.items())
    session.remove([new])
    qtbot.waitUntil(lambda: new not in beside.canvas.points.keys)


def test_a_map_with_the_gap_lies_otherwise_and_maps_end_where_there_is_no_room(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot,
) -> None:
    layout = _choose(beside, WITH_GAP, qtbot)
    assert layout.arrangement is not None
    assert not layout.arrangement.closes_gap
    said: list[str] = []
    mapped.session.noted.connect(said.append)
    for _ in range(MOST):
        mapped.maps.add()
    assert len(mapped.maps.others) == MOST
    assert said
    for _ in range(5):  # while something is on its way to each of them
        mapped.session.samplesChanged.emit()
    mapped.map.contours.toggle()
    closed = list(mapped.maps.others)
    for one in closed:
        one.closed.emit()
    assert mapped.maps.others == []
    qtbot.waitUntil(lambda: not any(map(shiboken6.isValid, closed)))
    mapped.previews.arrived.emit("")
    mapped.map.contours.toggle()
    mapped.session.select([min(mapped.session.items)])
    THEME.changed.emit()
    qtbot.waitUntil(lambda: not mapped.session.beside._tickets and not mapped.session.pool._asked)


def test_another_models_kept_map_can_lie_beside_but_not_become_the_map(
    mapped: MainWindow, beside: MapBeside, qtbot: QtBot, starter: object, use: Callable[[object], None],
) -> None:
    session = mapped.session
    assert session.layout is not None
    first = session.layout.places.copy()
    own = space_key(session.encoder)  # type: ignore[arg-type]
    use(Renamed(starter, "other"))  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: session.layout is not None and session.layout.final and session.view is not None
                    and session.view.key != own and not session.jobs.running)
    qtbot.waitUntil(lambda: beside.which.findData(own.digest) >= 0)
    assert np.allclose(_choose(beside, own.digest, qtbot).places, first, atol=2)
    assert not beside.swap.isEnabled()
    assert beside.which.findData(AS_NOW) == 0


def test_a_project_opened_without_a_map_has_none_beside(window: MainWindow) -> None:
    said: list[str] = []
    window.session.noted.connect(said.append)
    window.maps.add()
    assert window.maps.others == []
    assert "no map" in said[0]


def test_samples_lie_in_the_middle_of_their_items() -> None:
    layout = Layout(np.array([5, 2, 9]), np.array(["image", "text", "audio"]), np.array([[0, 0], [4, 2], [8, 0]], "f4"),
                    "PCA")
    found = between(layout, [Sample(1, "", (2, 9)), Sample(2, "", (77, 78)), Sample(3, "", (5, 77))])
    assert found.ids.tolist() == [1, 3]
    assert found.places.tolist() == [[6, 1], [0, 0]]
