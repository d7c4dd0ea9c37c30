"""The page of features in the real window with the starter model and pictures, sounds and texts of the example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from mmstudio import paths
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.widgets.feature_list import FeatureList
from mmstudio.desktop.window import MainWindow
from mmstudio.desktop.worker import State
from mmstudio.encoders import Encoder

SAMPLES = paths.resources() / "samples"
NAMES = ("dog", "cat", "bird", "bell", "banjo", "anchor")


@pytest.fixture
def filled(window: MainWindow, starter: Encoder, use: Callable[[Encoder], None], settled: Callable[[], None],
           qtbot: QtBot) -> MainWindow:
    """The window with a picture, a sound and a text of six things, and their vectors."""
    files = [SAMPLES / f"{folder}/{name}.{ending}" for name in NAMES
             for folder, ending in (("pictures", "webp"), ("sounds", "ogg"), ("texts", "txt"))]
    there = [file for file in files if file.is_file()]
    window.session.settings.set("animations", False)
    window.session.add(there)
    qtbot.waitUntil(lambda: len(window.session.items) == len(there) and not window.session.jobs.running)
    use(starter)
    settled()
    return window


def page_of(window: MainWindow, qtbot: QtBot) -> Any:
    window.actions_.by_id["why_features"].trigger()
    qtbot.waitUntil(lambda: window.why.made is not None)
    page = window.why.made.pages["features"].made  # type: ignore[union-attr]
    qtbot.waitUntil(page.isVisible)
    return page


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """The file of features by its name, once a test has found them: reading words takes the starter seconds."""
    return {}


@pytest.fixture
def page(filled: MainWindow, kept: dict[str, bytes], qtbot: QtBot) -> Any:
    """The page with six features, found, or read of the file that finding left in another test."""
    folder = filled.session.project.folder
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    made = page_of(filled, qtbot)
    if not kept:
        find(made, qtbot)
        kept.update({file.name: file.read_bytes() for file in folder.glob("features-*")})
    qtbot.waitUntil(lambda: made.found is not None)
    return made


def find(page: Any, qtbot: QtBot) -> None:
    page.number.setValue(len(NAMES))
    page.k.setValue(1)
    page.start.click()
    qtbot.waitUntil(lambda: page.found is not None and page._job is None)


def click(features: FeatureList, row: int) -> None:
    QTest.mouseClick(features.viewport(), Qt.MouseButton.LeftButton,
                     pos=features.visualRect(features.rows.index(row)).center())


def test_features_are_found_in_a_job_named_and_a_click_selects_their_items(filled: MainWindow, qtbot: QtBot) -> None:
    page = page_of(filled, qtbot)
    find(page, qtbot)
    job = next(job for job in filled.session.jobs.all if job.title == "Finding features")
    assert job.state is State.DONE
    assert job.line() == page.told.text()
    assert "explain" in page.told.text()
    named = {row.name.lower().split(",")[0].removeprefix("a ").removeprefix("an "): at
             for at, row in enumerate(page.list.rows.shown)}
    assert len(set(named) & set(NAMES)) >= 4
    name, at = next((name, at) for name, at in named.items() if name in NAMES)
    click(page.list, at)
    row = page.list.rows.shown[at]
    chosen = filled.session.selection
    assert set(chosen) == set(page.found.firings.of(row.number)[0].tolist())
    assert row.items == len(chosen)
    assert row.share == len(chosen) / len(filled.session.view)
    own = {item.id for item in filled.session.items.values() if item.path.stem == name}
    assert len(own) >= 2
    assert own <= set(chosen)
    assert set(row.strongest) == set(chosen)


def test_the_current_item_tells_which_features_fire_and_a_click_there_chooses_one(
    filled: MainWindow, page: Any,
) -> None:
    session = filled.session
    key = next(item.id for item in session.items.values() if item.path.name == "dog.webp")
    session.focus(key)
    (name, strength), = page.current.rows
    model, view = page.found.features.learned.autoencoder, session.view
    own = (view.vectors[view.rows[key]] - view.vectors[view.modalities == "image"].mean(axis=0)) / model.scale
    assert strength == pytest.approx(float((model.encoder @ (own - model.bias)).max()), abs=1e-4)
    page.resize(page.width(), 420)
    page.current.chosen.emit(0)
    assert page.list.viewport().rect().intersects(page.list.visualRect(page.list.currentIndex()))
    assert page.list.rows.shown[page.list.currentIndex().row()].name == name
    assert key in session.selection


def test_the_map_is_coloured_by_how_strongly_a_feature_fires_and_the_list_is_drawn_in_both_themes(
    filled: MainWindow, page: Any,
) -> None:
    click(page.list, 0)
    page.coloured.setChecked(True)
    assert filled.map.colour_by.currentData() == "feature"
    colouring = filled.map.colour_by._given["feature"](filled.session.layout.keys)
    dim = colouring.codes == colouring.codes.max()
    assert set(filled.session.layout.keys[~dim].tolist()) == set(filled.session.selection)
    page.coloured.setChecked(False)
    assert filled.map.colour_by.findData("feature") < 0
    for theme in ("light", "dark"):
        THEME.apply(theme)
        shown = page.list.viewport().grab().toImage()
        assert len({shown.pixel(x, y) for x in range(0, shown.width(), 7) for y in range(0, shown.height(), 7)}) > 8


def test_names_are_looked_for_without_touching_the_selection(filled: MainWindow, page: Any) -> None:
    click(page.list, 1)
    chosen, name = filled.session.selection, page.list.rows.shown[1].name
    filled.session.select([])
    page.sought.setText(name)
    assert [row.name for row in page.list.rows.shown] == [name]
    assert not filled.session.selection
    page.sought.setText("no such name")
    assert not page.list.rows.shown
    page.sought.clear()
    assert page.list.selectionModel().selectedIndexes()[0].row() == 1
    click(page.list, 1)
    assert filled.session.selection == chosen


def test_features_are_there_after_closing_and_opening_the_project(
    filled: MainWindow, page: Any, qtbot: QtBot, tmp_path_factory: pytest.TempPathFactory,
) -> None:
    session, rows = filled.session, list(page.list.rows.shown)
    folder = session.project.folder
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(tmp_path_factory.mktemp("another"))
    assert page.found is None
    assert not page.list.rows.shown
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(folder)
    qtbot.waitUntil(lambda: page.found is not None)
    assert page.list.rows.shown == rows
    click(page.list, 0)
    assert set(session.selection) == set(page.found.firings.of(rows[0].number)[0].tolist())


def test_an_item_that_comes_later_gets_its_features_too(filled: MainWindow, page: Any, qtbot: QtBot) -> None:
    session = filled.session
    click(page.list, 0)
    chosen = session.selection
    session.add([SAMPLES / "sounds" / "dog_2.ogg"])
    qtbot.waitUntil(lambda: len(page.found.features.ids) == len(session.items) == len(session.view))
    key = max(session.items.ids())
    assert sum(key in page.found.firings.of(at)[0] for at in range(len(NAMES))) == 1
    assert session.selection == chosen


def test_a_cancelled_job_leaves_nothing(filled: MainWindow, qtbot: QtBot) -> None:
    made = page_of(filled, qtbot)
    made.start.click()
    qtbot.waitUntil(lambda: made.told.text().startswith("Step"))
    job = filled.session.jobs.running[-1]
    job.pause()
    assert job.state is State.PAUSED
    made.start.click()
    qtbot.waitUntil(lambda: made._job is None)
    assert job.state is State.CANCELLED
    assert "nothing of it was kept" in job.line()
    assert made.start.text() == "Find features"
    assert not list(filled.session.project.folder.glob("*features*"))


def test_a_damaged_file_is_told_and_set_aside(filled: MainWindow, page: Any, qtbot: QtBot) -> None:
    file, = filled.session.project.folder.glob("features-*.safetensors")
    file.write_bytes(b"no features")
    filled.session.encoderChanged.emit()
    qtbot.waitUntil(lambda: "set aside" in page.told.text())
    assert page.found is None
    assert page.start.isEnabled()
    assert not file.exists()


def test_without_vectors_it_says_so(window: MainWindow, qtbot: QtBot) -> None:
    made = page_of(window, qtbot)
    made.start.click()
    assert "no vectors" in made.told.text()
    assert not window.session.jobs.running
