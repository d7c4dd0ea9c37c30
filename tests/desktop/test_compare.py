"""The comparisons in the real window with the starter model: matrix, labels, retrieval, recommendations, measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.explore.question import rocchio

COLOURS = ("red", "green", "blue", "orange", "purple", "black")


def _page(window: MainWindow, qtbot: QtBot, name: str) -> Any:
    window.actions_.by_id[f"compare_{name}"].trigger()
    panel: Any = window.compare.made
    page = panel.pages[name].made
    qtbot.waitUntil(page.isVisible)
    return page


def _keys(window: MainWindow, modality: str) -> list[int]:
    return [item.id for item in window.session.items.values() if item.modality == modality]


def _vectors(window: MainWindow, keys: list[int]) -> np.ndarray:
    return np.stack([window.session.view.vector(key) for key in keys])  # type: ignore[union-attr]


def test_the_matrix_holds_the_cosines_of_what_is_selected_and_a_cell_selects_its_pair(
    filled: MainWindow, qtbot: QtBot,
) -> None:
    page = _page(filled, qtbot, "matrix")
    filled.session.select([*_keys(filled, "image")[:5], *_keys(filled, "text")])
    page.rows.setCurrentIndex(page.rows.findData("text"))
    page.columns.setCurrentIndex(page.columns.findData("image"))
    page.rows.activated.emit(0)
    qtbot.waitUntil(lambda: page._shown is not None and page._shown.values.shape == (6, 5))
    sides = page._shown
    want = _vectors(filled, sides.rows.tolist()) @ _vectors(filled, sides.columns.tolist()).T
    assert np.allclose(sides.values, want, atol=1e-5)
    assert page.matrix.span == pytest.approx((want.min(), want.max()))
    cell = page.matrix.box_of((2, 3)).center()
    QTest.mouseClick(page.matrix.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    pair = {int(sides.rows[2]), int(sides.columns[3])}
    assert set(filled.session.selection) == pair
    assert page._shown is sides  # the pair is looked at in the matrix that it was chosen in
    assert f"{want[2, 3]:.3f}" in page.matrix.told((2, 3))


def test_a_cell_brings_its_pair_forward_explained_whatever_was_compared_with(filled: MainWindow, qtbot: QtBot) -> None:
    filled._why("score")
    score: Any = filled.why.made.pages["score"].made  # type: ignore[union-attr]
    score.words.setText("a bell")
    page = _page(filled, qtbot, "matrix")
    filled.session.select([*_keys(filled, "image")[:3], *_keys(filled, "text")[:2]])
    page.rows.setCurrentIndex(page.rows.findData("text"))
    page.columns.setCurrentIndex(page.columns.findData("image"))
    page.rows.activated.emit(0)
    qtbot.waitUntil(lambda: page._shown is not None and page._shown.values.shape == (2, 3))
    QTest.mouseClick(page.matrix.viewport(), Qt.MouseButton.LeftButton, pos=page.matrix.box_of((1, 2)).center())
    text, picture = int(page._shown.rows[1]), int(page._shown.columns[2])
    assert filled.session.current == text
    qtbot.waitUntil(lambda: not score._work.busy and len(score._shown) == 2)
    assert score.isVisible()
    assert not score.words.text()
    assert score.score.text() == f"Cosine {page._shown.values[1, 2]:.3f}"
    assert [face.shown.id for face in score.faces] == [text, picture]


def test_labels_are_told_compared_with_tags_and_written_so_that_it_can_be_undone(
    filled: MainWindow, qtbot: QtBot, starter: Encoder,
) -> None:
    session, pictures = filled.session, _keys(filled, "image")
    for number, colour in enumerate(COLOURS[:2]):
        session.tag([pictures[number], pictures[number + 6]], colour)
    qtbot.waitUntil(lambda: session.items[pictures[7]].tags == ("green",))
    page = _page(filled, qtbot, "labels")
    qtbot.waitUntil(lambda: page.truth.count() == 2)
    page.truth.setCurrentIndex(1)
    page.take.click()
    assert page.classes.toPlainText() == "green\nred"
    page.sentence.setText("a {} circle")
    page.temperature.setValue(0.1)
    page.tell.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 18)
    labels = page.model.labels
    anchors = starter.forward([starter.prepare(f"a {name} circle", "text") for name in ("green", "red")])
    logits = _vectors(filled, labels.ids.tolist()) @ anchors.T / 0.1
    want = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(page.model.given.probabilities, want, atol=1e-4)
    assert {int(labels.ids[row]): int(labels.true[row]) for row in np.flatnonzero(labels.true >= 0)} == {
        pictures[0]: 1, pictures[6]: 1, pictures[1]: 0, pictures[7]: 0}
    assert page.matrix._table.sum() == 4
    assert "Temperature 0.1" in page.told.text()
    page.write_column("guess")
    names = labels.classes
    told = {key: names[at] for key, at in zip(labels.ids.tolist(), want.argmax(axis=1).tolist(), strict=True)}
    qtbot.waitUntil(lambda: all(session.items[key].columns.get("guess") == name for key, name in told.items()))
    assert 0.5 <= float(session.items[pictures[0]].columns["guess probability"]) <= 1
    session.undo()
    qtbot.waitUntil(lambda: not any("guess" in session.items[key].columns for key in told))


def test_one_class_or_a_sentence_without_a_place_is_refused_where_it_was_typed(
    filled: MainWindow, qtbot: QtBot,
) -> None:
    page = _page(filled, qtbot, "labels")
    page.classes.setPlainText("dog")
    page.tell.click()
    qtbot.waitUntil(lambda: "at least two" in page.told.text())
    page.classes.setPlainText("dog\ncat")
    page.sentence.setText("a photo")
    page.tell.click()
    qtbot.waitUntil(lambda: "no place" in page.told.text())


def test_the_retrieval_report_has_all_directions_between_what_samples_hold(filled: MainWindow, qtbot: QtBot) -> None:
    page = _page(filled, qtbot, "retrieval")
    page.reckon_button.click()
    assert "no samples" in page.told.text()
    pictures, sounds, texts = (_keys(filled, modality) for modality in ("image", "audio", "text"))
    for number in range(3):
        filled.session.group([pictures[number], sounds[number], texts[number]])
    qtbot.waitUntil(lambda: len(filled.session.samples) == 3)
    page.reckon_button.click()
    qtbot.waitUntil(lambda: page.table.rowCount() == 6)
    rows = {page.table.item(row, 0).text(): row for row in range(6)}
    row = rows["Texts → Pictures"]
    near = _vectors(filled, texts[:3]) @ _vectors(filled, pictures).T
    ranks = 1 + (near > near[np.arange(3), np.arange(3)][:, None]).sum(axis=1)
    assert page.table.item(row, 1).text() == "3 in 12"
    assert page.table.item(row, 4).text().startswith(f"{(ranks <= 10).mean():.3f} [")
    assert page.table.item(row, 5).text().startswith(f"{(1 / ranks).mean():.3f} [")
    assert page.table.item(row, 6).text().startswith(f"{np.median(ranks):g} [")


def test_recommendations_follow_rocchio_and_say_which_liked_item_is_why(filled: MainWindow, qtbot: QtBot) -> None:
    session, page = filled.session, _page(filled, qtbot, "recommend")
    pictures = _keys(filled, "image")
    session.select(pictures[:2])
    page.like.click()
    session.select(pictures[2:3])
    page.dislike.click()
    assert page.tally.text() == "2 liked, 1 disliked"
    qtbot.waitUntil(lambda: page._recommended is not None and pictures[2] not in page._recommended.why)
    found = page._recommended
    vector = rocchio(_vectors(filled, pictures[:2]), _vectors(filled, pictures[2:3]))
    others = [key for key in pictures if key not in pictures[:3]]
    want = [others[at] for at in np.argsort(-(_vectors(filled, others) @ vector))]
    assert [hit.item_id for hit in found.results.hits["image"]] == want
    liked, cosine = found.why[want[0]]
    near = _vectors(filled, [want[0]]) @ _vectors(filled, pictures[:2]).T
    assert liked == pictures[int(near.argmax())]
    assert cosine == pytest.approx(near.max(), abs=1e-5)
    assert session.items[liked].title in page.reason(want[0])
    session.select(pictures[:1])
    page.dislike.click()  # what is disliked is liked no longer
    assert page.tally.text() == "1 liked, 2 disliked"


def test_measures_show_named_counterexamples_and_a_click_selects_them(filled: MainWindow, qtbot: QtBot) -> None:
    page = _page(filled, qtbot, "measures")
    page.look_button.click()
    qtbot.waitUntil(lambda: page.table.rowCount() == 6)
    by_name = {verdict.name: (row, verdict) for row, verdict in enumerate(page._verdicts)}
    row, cosine = by_name["cosine"]
    example = cosine.broken["triangle inequality"]
    start, over, end = _vectors(filled, list(example.rows)).astype(np.float64)
    assert 1 - start @ end > (1 - start @ over) + (1 - over @ end)
    assert page.table.item(row, 4).text().startswith("fails: ")
    page.table.cellClicked.emit(row, 4)
    assert set(filled.session.selection) == set(example.rows)
    for proper in ("euclid", "angular", "chord"):
        assert not any(by_name[proper][1].broken.values())


def test_another_project_empties_the_pages(filled: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    measures, retrieval = _page(filled, qtbot, "measures"), _page(filled, qtbot, "retrieval")
    _page(filled, qtbot, "measures")
    measures.look_button.click()
    with qtbot.waitSignal(filled.session.projectOpened):
        filled.session.open_project(tmp_path / "other")
    assert measures.table.rowCount() == 0
    assert retrieval.table.rowCount() == 0
