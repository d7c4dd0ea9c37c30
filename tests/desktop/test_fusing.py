"""Every way of fusing samples moves them on the map of the real window, and is kept with the project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.fusing import WAYS
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.explore import sample_places
from mmstudio.explore.sample_fusion import product_of_experts

MODALITIES = ("audio", "image", "text")
SLID, OTHER = {"image": 1.0, "text": 0.25, "audio": 0.5}, {"image": 0.2, "text": 1.5, "audio": 0.8}


@pytest.fixture
def page(
    window: MainWindow, mixed_folder: Path, starter: Encoder, use: Callable[[Encoder], None],
    settled: Callable[[], None], qtbot: QtBot,
) -> Any:
    """The page, with six samples of a picture, a sound and a text each on a finished map."""
    session = window.session
    session.settings.set("animations", False)
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running)
    use(starter)
    settled()
    keys = [[item.id for item in session.items.values() if item.modality == m] for m in MODALITIES]
    for number, ids in enumerate(zip(*keys, strict=False), 1):
        session.group(ids, f"sample {number}")
        qtbot.waitUntil(lambda number=number: len(session.samples) == number)
    window.actions_.by_id["structure_fusing"].trigger()
    panel: Any = window.structure.made
    made = panel.pages["fusing"].made
    qtbot.waitUntil(lambda: made.isVisible() and made.ready is not None and len(made.ready.ids) == 6)
    qtbot.waitUntil(lambda: len(_places(window)) == 6)
    return made


def _places(window: MainWindow) -> dict[int, tuple[float, float]]:
    """Where the map shows the samples, by their ids."""
    points = window.map.canvas.points
    return {-int(key): (float(x), float(y)) for key, (x, y) in zip(points.keys, points.places, strict=True) if key < 0}


def _choose(window: MainWindow, page: Any, qtbot: QtBot, how: str) -> None:
    if window.session.fusing.how != how:
        with qtbot.waitSignal(window.session.samplesPlaced):
            page.how.setCurrentIndex(page.how.findData(how))


def _slide(page: Any, weights: dict[str, float]) -> None:
    for modality, slider in page.sliders.items():
        slider.setSliderDown(True)
        slider.setValue(round(100 * weights[modality]))


def _let_go(window: MainWindow, page: Any, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.session.samplesPlaced):
        for slider in page.sliders.values():
            slider.blockSignals(slider is not page.sliders["text"])  # one is let go, as a hand has but one
            slider.setSliderDown(False)
            slider.blockSignals(False)


def _vectors(window: MainWindow) -> tuple[np.ndarray, np.ndarray]:
    """``(m, n, dim)`` vectors of the samples' items and ``(m, n, 2)`` their places on the map."""
    session: Any = window.session
    at = {key: row for row, key in enumerate(session.layout.keys.tolist())}
    members = np.array([sorted(session.samples[i].item_ids, key=lambda item: session.items[item].modality)
                        for i in sorted(session.samples)]).T
    rows = np.vectorize(session.view.rows.get)(members)
    return session.view.vectors[rows].astype(float), session.layout.places[np.vectorize(at.get)(members)].astype(float)


def _wanted(window: MainWindow, how: str, row: int, weights: dict[str, float]) -> np.ndarray:
    """Where a sample belongs, by hand."""
    session: Any = window.session
    vectors, places = _vectors(window)
    w = np.array([weights[m] for m in MODALITIES])
    if how in ("mean", "geodesic"):
        mean = w @ vectors[:, row]
        mean /= np.linalg.norm(mean)
        for _ in range(200 if how == "geodesic" else 0):  # the Karcher mean: go to where the directions balance
            cosine = vectors[:, row] @ mean
            towards = vectors[:, row] - cosine[:, None] * mean
            step = (w * np.arccos(cosine) / np.linalg.norm(towards, axis=1)) @ towards / w.sum()
            length = np.linalg.norm(step)
            mean = np.cos(length) * mean + np.sin(length) * step / max(length, 1e-12)
        scores = session.view.vectors @ mean
        at = dict(zip(session.layout.keys.tolist(), session.layout.places, strict=True))
        lie = np.array([at[key] for key in session.view.ids.tolist()])
    else:
        lie = np.einsum("m,mnd->nd", w / w.sum(), places)
        if how == "experts":
            each = np.einsum("md,mnd->mn", vectors[:, row], vectors)
            each[:, row] = np.nan
            scores = 0.05 * product_of_experts(each, w).astype(float)
        else:
            around = vectors - vectors.mean(axis=1, keepdims=True)
            lengths = np.sqrt(np.einsum("m,mnd,mnd->n", w, around, around))
            scores = np.einsum("m,md,mnd->n", w, around[:, row], around) / (lengths * lengths[row])
        scores[row] = -np.inf
    near = np.argsort(-scores)[:8]
    counted = np.exp((scores[near] - scores[near].max()) / 0.05)
    return counted @ lie[near] / counted.sum()


def _shares(window: MainWindow, how: str, row: int) -> np.ndarray:
    vectors, _ = _vectors(window)
    w = np.array([SLID[m] for m in MODALITIES])
    if how == "concatenated":
        w = w * ((vectors - vectors.mean(axis=1, keepdims=True))[:, row] ** 2).sum(axis=1)
    return w / w.sum()


def test_each_fusion_moves_only_the_sample_that_is_weighed_and_undo_brings_it_back(
    window: MainWindow, page: Any, qtbot: QtBot,
) -> None:
    session, ids = window.session, page.ready.ids.tolist()
    page.whom.setCurrentIndex(page.whom.findData("current"))
    session.focus(-ids[2])
    qtbot.waitUntil(lambda: page.ablation.columnCount() == 4)
    for how in WAYS:
        _choose(window, page, qtbot, how)
        before = _places(window)
        assert np.allclose(before[ids[4]], _wanted(window, how, 4, dict.fromkeys(MODALITIES, 1.0)), atol=2e-3)
        _slide(page, SLID)
        live = _places(window)
        if how != "geodesic":
            assert np.allclose(live[ids[2]], _shares(window, how, 2) @ _vectors(window)[1][:, 2], atol=1e-4)
        assert not np.allclose(live[ids[2]], before[ids[2]], atol=1e-3)
        _let_go(window, page, qtbot)
        after = _places(window)
        assert np.allclose(after[ids[2]], _wanted(window, how, 2, SLID), atol=2e-3)
        assert all(live[i] == after[i] == before[i] for i in ids if i != ids[2])
        assert session.samples[ids[2]].weights == SLID
        with qtbot.waitSignal(session.samplesPlaced):
            session.undo()
        assert np.allclose(list(_places(window).values()), list(before.values()), atol=1e-5)
        qtbot.waitUntil(lambda: {one.sliders["text"].value() for one in (page, window.inspector.fusion)} == {100})


def test_a_selection_or_all_of_them_are_moved_by_every_fusion(window: MainWindow, page: Any, qtbot: QtBot) -> None:
    session, ids = window.session, page.ready.ids.tolist()
    for how in ("concatenated", "experts"):
        _choose(window, page, qtbot, how)
        for whom, concerned, weights in (("selection", ids[1:3], SLID), ("all", ids, OTHER)):
            page.whom.setCurrentIndex(page.whom.findData(whom))
            session.select([-i for i in concerned])
            before = _places(window)
            _slide(page, weights)
            moved = {i for i, place in _places(window).items() if place != before[i]}
            assert moved == set(concerned)
            _let_go(window, page, qtbot)
            for i in concerned:
                want = _wanted(window, how, ids.index(i), weights)
                assert np.allclose(_places(window)[i], want, atol=2e-3)
            assert all(np.allclose(_places(window)[i], before[i], atol=1e-5) for i in ids if i not in concerned)
            with qtbot.waitSignal(session.samplesPlaced):
                session.undo()


def test_the_fusion_and_the_weights_are_there_again_when_the_project_is_opened(
    window: MainWindow, page: Any, qtbot: QtBot, starter: Encoder, settled: Callable[[], None], tmp_path: Path,
) -> None:
    session, ids = window.session, page.ready.ids.tolist()
    folder = session.project.folder
    _choose(window, page, qtbot, "experts")
    assert window.inspector.fusion.heading.text() == "Fusion: Product of experts (of scores)"
    with qtbot.waitSignal(session.samplesPlaced):
        session.fusing.weigh_all(ids[:1], SLID)
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(tmp_path / "another")
    assert session.fusing.how == page.how.currentData() == "mean"
    with qtbot.waitSignals([session.projectOpened, session.samplesPlaced]):
        session.open_project(folder)
    settled()
    assert session.fusing.how == page.how.currentData() == "experts"
    assert session.samples[ids[0]].weights == SLID
    for row in (0, 3):
        weights = session.samples[ids[row]].weights or dict.fromkeys(MODALITIES, 1.0)
        qtbot.waitUntil(lambda row=row, weights=weights: bool(np.allclose(
            _places(window)[ids[row]], _wanted(window, "experts", row, weights), atol=2e-3)))


def test_a_search_uses_the_fused_vector_where_there_is_one_else_the_weighted_mean(
    window: MainWindow, page: Any, qtbot: QtBot,
) -> None:
    session, first = window.session, page.ready.ids.tolist()[0]
    vectors = _vectors(window)[0][:, 0]
    with qtbot.waitSignal(session.samplesPlaced):
        session.fusing.weigh_all([first], {"image": 1.0, "text": 3.0, "audio": 0.0})
    one, other = vectors[1], vectors[2]
    angle = np.arccos(one @ other)
    slerp = (np.sin(angle / 4) * one + np.sin(3 * angle / 4) * other) / np.sin(angle)
    mean = (one + 3 * other) / np.linalg.norm(one + 3 * other)
    assert not np.allclose(slerp, mean, atol=5e-4)
    for how, want in (("geodesic", slerp), ("concatenated", mean), ("experts", mean)):
        _choose(window, page, qtbot, how)
        with qtbot.waitSignal(session.answered):
            session.ask_like(-first)
        assert session.answer is not None
        assert np.allclose(session.answer.query, want, atol=1e-4)
        assert ("weighted mean" in page.note.text()) == (how != "mean")


def test_where_not_all_pairs_are_looked_at_the_page_says_so(
    window: MainWindow, page: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sample_places, "MOST_PAIRS", 30)
    monkeypatch.setattr(sample_places, "DRAWN", 4)
    assert page.told.text() == "6 samples of Sounds, Pictures, Texts"
    _choose(window, page, qtbot, "experts")
    assert page.told.text() == "6 samples, too many for all pairs: placed by the nearest of 4 drawn at random"
    monkeypatch.undo()
    _choose(window, page, qtbot, "mean")
    assert page.told.text() == "6 samples of Sounds, Pictures, Texts"


def test_what_was_held_or_stopped_is_placed_with_the_next_or_not_at_all(
    window: MainWindow, page: Any, qtbot: QtBot,
) -> None:
    session, ids = window.session, page.ready.ids.tolist()
    session.fusing.place()
    session.fusing.hold()
    with qtbot.waitSignal(session.samplesPlaced) as placed:
        session.fusing.place(ids[:1])
    assert placed.args[0].ids.tolist() == ids
    session.fusing.place()
    page.progress.stop_button.click()
    with qtbot.waitSignal(session.samplesPlaced) as placed:
        session.fusing.place(ids[:1])
    assert placed.args[0].ids.tolist() == ids[:1]
    assert page.progress.bar.isHidden()
