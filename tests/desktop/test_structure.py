"""The pages about the vectors' structure in the real window with the starter model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from sklearn.manifold import trustworthiness

from mmstudio.desktop.arranging import EYE
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.explore.fusion import centred

LONG_MS = 120_000
"""The first answer of the process beside waits until it has loaded and compiled what it needs."""


@pytest.fixture
def filled(
    window: MainWindow, mixed_folder: Path, starter: Encoder, use: Callable[[Encoder], None],
    settled: Callable[[], None], qtbot: QtBot,
) -> MainWindow:
    """The window with twelve pictures, six sounds and six texts, and their vectors."""
    window.session.settings.set("animations", False)
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 24 and not window.session.jobs.running)
    use(starter)
    settled()
    return window


def _page(window: MainWindow, qtbot: QtBot, name: str) -> Any:
    window.actions_.by_id[f"structure_{name}"].trigger()
    panel: Any = window.structure.made
    page = panel.pages[name].made
    qtbot.waitUntil(page.isVisible)
    return page


def _keys(window: MainWindow, modality: str) -> list[int]:
    return [item.id for item in window.session.items.values() if item.modality == modality]


def _group(window: MainWindow, qtbot: QtBot, members: list[list[int]]) -> None:
    for number, ids in enumerate(members, 1):
        window.session.group(ids, f"sample {number}")
        qtbot.waitUntil(lambda number=number: len(window.session.samples) == number)


def test_the_map_is_made_as_it_is_wished_beside_the_window_and_turns_in_space(
    filled: MainWindow, qtbot: QtBot,
) -> None:
    session, page = filled.session, _page(filled, qtbot, "arrange")
    page.method.setCurrentIndex(page.method.findData("umap"))
    page.axes.setCurrentIndex(page.axes.findData(3))
    page.start.click()
    qtbot.waitUntil(lambda: session.layout.final and session.layout.solid is not None, timeout=LONG_MS)
    assert session.layout.kind == "UMAP"
    assert session.layout.solid.shape == (24, 3)
    before = session.layout.places.copy()
    page.around.setValue(90)
    nearer = session.layout.solid[:, 0]
    assert np.allclose(session.layout.places[:, 0] * (EYE - nearer) / EYE, -session.layout.solid[:, 2], atol=1e-5)
    assert np.array_equal(np.argsort(session.layout.near), np.argsort(nearer))
    assert not np.allclose(session.layout.places, before)
    assert np.allclose(filled.map.canvas.points.places[:24], session.layout.places)


def test_a_deep_map_is_turned_by_dragging_and_a_flat_one_is_panned(filled: MainWindow, qtbot: QtBot) -> None:
    session, page, canvas = filled.session, _page(filled, qtbot, "arrange"), filled.map.canvas
    page.method.setCurrentIndex(page.method.findData("pca"))
    page.axes.setCurrentIndex(page.axes.findData(3))
    page.start.click()
    qtbot.waitUntil(lambda: session.layout.final and session.layout.solid is not None, timeout=LONG_MS)
    qtbot.waitUntil(lambda: canvas.drawing.flight is None)
    nearest = int(session.layout.keys[session.layout.near.argmax()])
    before, seen = canvas.pixel_of(nearest), (canvas.transform.x, canvas.transform.y)
    middle = canvas.rect().center()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    for step in (10, 20, 40):
        QTest.mouseMove(canvas, middle + QPoint(step, 0))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, 0))
    assert filled.map.turning.around < 0
    assert page.around.value() == round(filled.map.turning.around)
    assert canvas.pixel_of(nearest).x() > before.x()
    assert np.allclose((canvas.transform.x, canvas.transform.y), seen, atol=0.2)
    page.axes.setCurrentIndex(page.axes.findData(2))
    page.start.click()
    qtbot.waitUntil(lambda: session.layout.final and session.layout.solid is None, timeout=LONG_MS)
    assert canvas.mode == "pan"
    assert not page.around.isVisibleTo(page)


def test_new_items_are_placed_and_nothing_else_moves(
    filled: MainWindow, qtbot: QtBot, make_picture: Callable[..., Path], settled: Callable[[], None],
) -> None:
    session = filled.session
    before = dict(zip(session.layout.keys.tolist(), session.layout.places.tolist(), strict=True))
    session.add([make_picture("another.png", "red", 50)])
    qtbot.waitUntil(lambda: len(session.items) == 25 and session.view is not None and len(session.view) == 25)
    settled()
    after = dict(zip(session.layout.keys.tolist(), session.layout.places.tolist(), strict=True))
    assert len(after) == 25
    assert all(after[key] == before[key] for key in before)


def test_axes_are_what_was_written(filled: MainWindow, qtbot: QtBot, starter: Encoder) -> None:
    session, page = filled.session, _page(filled, qtbot, "arrange")
    page.method.setCurrentIndex(page.method.findData("words"))
    page.right.setText("a red circle")
    page.upwards.setText("rain")
    QTest.keyClick(page.upwards, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.layout.arrangement is not None and session.layout.arrangement.axes is not None)
    cosine = session.view.vectors @ session.project.query(starter, "a red circle")
    assert np.corrcoef(session.layout.places[:, 0], cosine)[0, 1] == pytest.approx(1, abs=1e-5)
    assert "a red circle" in filled.map.marks.shown["axes"].axes[0]


def test_trust_is_a_colour_has_figures_and_draws_true_neighbours(filled: MainWindow, qtbot: QtBot) -> None:
    session, page = filled.session, _page(filled, qtbot, "trusting")
    page.near.setValue(5)
    page.start.click()
    qtbot.waitUntil(lambda: "trust" in filled.map.marks.shown, timeout=LONG_MS)
    vectors = centred(session.view.vectors, session.view.modalities)
    want = trustworthiness(vectors, session.layout.places, n_neighbors=5)
    assert f"{want:.3f}" in page.told.text()
    assert filled.map.colour_by.currentData() == "trust"
    key = int(session.layout.keys[3])
    filled.map.canvas.hovered.emit(key)
    near = np.argsort(((vectors - vectors[3]) ** 2).sum(axis=1))[1:6]
    assert set(filled.map.marks._rays[1]) == set(session.layout.keys[near].tolist())
    page._row_of.clear()  # as of very many points, of which only some were looked at
    filled.map.canvas.hovered.emit(int(session.layout.keys[7]))
    near = np.argsort(((vectors - vectors[7]) ** 2).sum(axis=1))[1:6]
    qtbot.waitUntil(lambda: filled.map.marks._rays is not None)
    assert filled.map.marks._rays == (int(session.layout.keys[7]), session.layout.keys[near].tolist())
    filled.map.canvas.hovered.emit(None)
    assert filled.map.marks._rays is None
    filled.map.colour_by.choose("tag")
    assert "trust" not in filled.map.marks.shown  # figures of colours that are not seen are not told
    filled.map.colour_by.choose("trust")
    assert "trust" in filled.map.marks.shown
    filled.map.colour_by.choose("tag")
    filled.map.colour_by.choose("trust")
    session.mapping.anew()
    qtbot.waitUntil(lambda: "trust" not in filled.map.marks.shown)  # another map has other trust
    assert filled.map.colour_by.currentData() == "modality"  # as it was before there was trust


def test_clusters_are_named_and_their_names_lie_on_the_map_without_overlap(filled: MainWindow, qtbot: QtBot) -> None:
    page = _page(filled, qtbot, "groups")
    page.method.setCurrentIndex(page.method.findData("k_means"))
    page.number.setValue(4)
    page.start.click()
    qtbot.waitUntil(lambda: page.table.rowCount() == 4
                    and not any(name.startswith("Cluster") for name in page.names.values()), timeout=LONG_MS)
    assert filled.map.colour_by.currentData() == "groups"
    qtbot.waitUntil(lambda: "groups" in filled.map.marks.shown)
    filled.map.marks.repaint()
    boxes = [box for box, _ in filled.map.marks.written]
    assert boxes
    assert not any(a.intersects(b) for at, a in enumerate(boxes) for b in boxes[:at])
    page.table.cellClicked.emit(0, 0)
    assert set(filled.session.selection) == set(page.keys[page.labels == 0].tolist())


def test_the_gap_is_measured_links_are_drawn_and_searches_can_do_without_it(filled: MainWindow, qtbot: QtBot) -> None:
    session = filled.session
    images, texts = _keys(filled, "image"), _keys(filled, "text")
    _group(filled, qtbot, [[images[at], texts[at]] for at in range(4)])
    page = _page(filled, qtbot, "gaps")
    page.start.click()
    qtbot.waitUntil(lambda: page.found is not None)
    view = session.view
    means = [view.vectors[view.modalities == m].mean(axis=0) for m in ("image", "text")]
    pair = next(p for p in page.found.between if (p.one, p.other) == ("image", "text"))
    assert pair.length == pytest.approx(float(np.linalg.norm(means[1] - means[0])), abs=1e-5)
    assert pair.links == 4
    page.links.setChecked(True)
    qtbot.waitUntil(lambda: "gap" in filled.map.marks.shown)
    assert len(filled.map.marks.shown["gap"].links) == 4
    page.centres.setChecked(True)
    qtbot.waitUntil(lambda: "centres" in filled.map.marks.shown)
    drawn, layout = filled.map.marks.shown["centres"], session.layout
    middles = [layout.places[layout.modalities == m].mean(axis=0) for m in ("audio", "image", "text")]
    assert np.allclose([name.place for name in drawn.names[:3]], middles, atol=1e-5)
    assert np.allclose([(*a.start, *a.end) for a in drawn.arrows][-1], [*middles[1], *middles[2]], atol=1e-5)
    assert f"gap {pair.length:.2f}" in [name.text for name in drawn.names]
    filled.map.marks.repaint()
    assert {name.text for name in drawn.names} <= {text for _, text in filled.map.marks.written}  # none hides another
    boxes = [box for box, _ in filled.map.marks.written]
    assert not any(a.intersects(b) for at, a in enumerate(boxes) for b in boxes[:at])
    page.searched.setChecked(True)
    session.ask_like(images[0])
    qtbot.waitUntil(lambda: session.answer is not None)
    closed = centred(view.vectors, view.modalities)
    best = session.answer.hits["text"][0]
    want = closed[view.rows[best.item_id]] @ closed[view.rows[images[0]]]
    assert best.score == pytest.approx(float(want), abs=1e-4)
    page.closed.setChecked(False)
    qtbot.waitUntil(lambda: session.layout.final and session.layout.arrangement is not None
                    and not session.layout.arrangement.closes_gap)


def test_samples_follow_the_sliders_disagreements_are_listed_and_a_modality_can_be_left_out(
    filled: MainWindow, qtbot: QtBot,
) -> None:
    session = filled.session
    images, texts, sounds = (_keys(filled, m) for m in ("image", "text", "audio"))
    _group(filled, qtbot, [[images[at], texts[at], sounds[at]] for at in range(5)])
    page = _page(filled, qtbot, "fusing")
    qtbot.waitUntil(lambda: page.ready is not None and len(page.ready.ids) == 5)
    assert page.disagreeing.rowCount() == 5
    first = int(page.ready.ids[0])
    session.select([-first])
    session.focus(-first)
    qtbot.waitUntil(lambda: page.ablation.columnCount() == 4 and page.ablation.rowCount() == 4)
    page.whom.setCurrentIndex(page.whom.findData("all"))
    for modality, slider in page.sliders.items():
        slider.setSliderDown(True)
        slider.setValue(slider.maximum() if modality == "image" else 0)
    picture = session.layout.places[np.flatnonzero(session.layout.keys == images[0])[0]]
    place = filled.map.canvas.points.places[filled.map.canvas.drawing.cloud.row(-first)]
    assert np.allclose(place, picture, atol=1e-4)
    for slider in page.sliders.values():
        slider.setSliderDown(False)
    qtbot.waitUntil(lambda: session.samples[first].weights.get("text") == 0)
    qtbot.waitUntil(lambda: all(s.weights.get("text") == 0 for s in session.project.samples()))


def test_what_stands_out_is_listed_and_marked(filled: MainWindow, qtbot: QtBot) -> None:
    session, page = filled.session, _page(filled, qtbot, "unusual")
    page.near.setValue(4)
    page.most.setValue(3)
    page.start.click()
    qtbot.waitUntil(lambda: page.table.rowCount() == 3, timeout=LONG_MS)
    vectors = centred(session.view.vectors, session.view.modalities)
    far = np.sort(np.linalg.norm(vectors[:, None] - vectors, axis=2), axis=1)[:, 1:5].mean(axis=1)
    assert page.found.keys[:, 0].tolist() == session.view.ids[np.argsort(-far)[:3]].tolist()
    at = filled.map.canvas.pixel_of(int(filled.map.canvas.points.keys[0])).toPoint()
    assert filled.map.marks.isVisible()
    assert filled.map.canvas.childAt(at) is None  # the mouse goes through the marks
    assert filled.map.marks.shown["unusual"].rings.tolist() == page.found.keys.ravel().tolist()
    page.kind.setCurrentIndex(page.kind.findData("within"))
    page.most.setValue(100)
    page.threshold.setValue(0.9)
    page.start.click()
    qtbot.waitUntil(lambda: page.found is not None and page.found.keys.shape[1] == 2, timeout=LONG_MS)
    near = np.triu(session.view.vectors @ session.view.vectors.T >= 0.9, 1)
    same = session.view.modalities[:, None] == session.view.modalities
    assert len(page.found.keys) == min(100, int((near & same).sum()))
    page.table.cellClicked.emit(0, 1)
    assert session.current == int(page.found.keys[0, 1])
