"""A bridge between the spaces of two models, measured on its page and brought onto the map."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from mmstudio import paths
from mmstudio.desktop.session import Session
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.library import SpaceKey
from mmstudio.project import Project

SAMPLES = paths.resources() / "samples"
OTHER = SpaceKey("a model of sounds", "1", "1", 384)


@pytest.fixture
def deaf(starter: Encoder) -> Encoder:
    """The starter, but for sounds."""
    encoder: Any = copy.copy(starter)
    encoder.modalities, encoder.space = frozenset({"image", "text"}), "deaf"
    return encoder


def _page(window: MainWindow, qtbot: QtBot) -> Any:
    window.actions_.by_id["structure_bridge"].trigger()
    page: Any = window.structure.made.pages["bridge"].made  # type: ignore[union-attr]
    qtbot.waitUntil(page.isVisible)
    return page


def test_sounds_that_another_model_read_come_onto_the_map_where_they_belong(
    window: MainWindow, starter: Encoder, deaf: Encoder, use: Callable[[Encoder], None], qtbot: QtBot,
) -> None:
    session = window.session
    session.settings.set("animations", False)
    sounds, texts = sorted((SAMPLES / "sounds").iterdir())[:6], sorted((SAMPLES / "texts").iterdir())[:60]
    session.add([*sounds, *texts])
    qtbot.waitUntil(lambda: len(session.items) == 66 and not session.jobs.running, timeout=20_000)
    use(deaf)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 60 and not session.jobs.running)
    page = _page(window, qtbot)
    assert not page.start.isEnabled()
    assert "one model alone" in page.told.text()

    project = session.project
    assert project is not None
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0].astype(np.float32)
    own = {key: project.query(starter, item.ref) for key, item in session.items.items()}
    project._cache.put(OTHER, ((session.items[key].content_hash, vector @ turn) for key, vector in own.items()))
    assert OTHER in project.spaces()
    page._look()
    qtbot.waitUntil(page.start.isEnabled)
    assert page.other.currentText() == "a model of sounds"
    page.start.click()
    qtbot.waitUntil(lambda: page.found is not None, timeout=20_000)
    assert page.found.best.recall > 5 * page.found.best.chance
    assert page.table.item(0, 1).text() == "60"
    assert "Sounds 6" in page.result.text()

    page.bring.click()
    assert session.view is not None
    assert len(session.view) == 66
    heard = [key for key, item in session.items.items() if item.modality == "audio"]
    landed = np.stack([session.view.vectors[session.view.rows[key]] for key in heard])
    cosines = landed @ np.stack([own[key] for key in heard]).T
    assert np.diag(cosines).mean() > cosines.mean() + 0.1
    qtbot.waitUntil(lambda: session.layout is not None and set(heard) <= set(session.layout.keys.tolist()),
                    timeout=20_000)
    session.remove(heard[:1])
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 65)
    folder = project.folder
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(folder.with_name("another"))
    assert session.bridge is None
    with qtbot.waitSignal(session.bridged):
        session.open_project(folder)
    assert len(session.view) == 65
    assert page.bring.isChecked()
    assert page.other.currentText() == "a model of sounds"
    page.bring.click()
    assert len(session.view) == 60
    qtbot.waitUntil(lambda: session.project.own.get("bridges") == {})
    use(starter)
    assert not page.bring.isChecked()
    assert session.bridge is None


def _read_four(session: Session, deaf: Encoder, use: Callable[[Encoder], None], qtbot: QtBot) -> Project:
    """Four texts with their vectors."""
    session.add(sorted((SAMPLES / "texts").iterdir())[:4])
    qtbot.waitUntil(lambda: len(session.items) == 4 and not session.jobs.running)
    use(deaf)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 4 and not session.jobs.running)
    project = session.project
    assert project is not None
    return project


def test_the_space_that_was_chosen_stays_chosen_while_items_are_encoded(
    window: MainWindow, deaf: Encoder, use: Callable[[Encoder], None], qtbot: QtBot,
) -> None:
    session = window.session
    project = _read_four(session, deaf, use, qtbot)
    for name in ("one", "two"):
        key = SpaceKey(name, "1", "1", 384)
        project._cache.put(key, ((item.content_hash, np.ones(384, np.float32)) for item in session.items.values()))
    page = _page(window, qtbot)
    qtbot.waitUntil(lambda: page.other.count() == 2)
    chosen = 1 - page.other.currentIndex()
    page.other.setCurrentIndex(chosen)
    asked = page._looking._generation
    session.vectorsChanged.emit()
    qtbot.waitUntil(lambda: page._looking._generation > asked)
    session.pool._questions.submit(lambda: None).result()
    qtbot.wait(10)
    assert page.other.currentIndex() == chosen


def test_too_few_texts_are_told_and_nothing_is_brought(
    window: MainWindow, deaf: Encoder, use: Callable[[Encoder], None], qtbot: QtBot,
) -> None:
    session = window.session
    project = _read_four(session, deaf, use, qtbot)
    project._cache.put(OTHER, ((item.content_hash, np.ones(384, np.float32)) for item in session.items.values()))
    page = _page(window, qtbot)
    qtbot.waitUntil(page.start.isEnabled)
    page.start.click()
    qtbot.waitUntil(lambda: "at least 10 texts" in page.result.text())
    assert not page.bring.isEnabled()
