"""A run that is watched: its gallery and film while it learns, its slices and its fusion after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from mmstudio.desktop.panels.training import TrainingPanel
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.widgets.example_faces import ids_of, select_examples
from mmstudio.desktop.widgets.rehearsal_view import RehearsalView
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import SeenPicture
from mmstudio.media import Limits, load
from mmstudio.progress import finish
from mmstudio.training import film, gallery, loop, runs
from mmstudio.training.attended import reading
from mmstudio.training.compared import Interval
from mmstudio.training.error_slices import ErrorSlice
from mmstudio.training.job import Split, TrainingJob
from mmstudio.training.rehearsing import Rehearsal

JOB = TrainingJob(classes=("cold", "warm"), modalities=("image", "text"), epochs=4, patience=0, fusion="gated",
                  width=16, split=Split(validation=0.3, test=0.3, keep_duplicates_together=False))


@pytest.fixture
def learned(
    window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], settled: Callable[[], None], starter: Encoder,
    make_picture: Callable[..., Path],
) -> MainWindow:
    """Twenty discs of two colours, each with a text of its own as a sample."""
    for number in range(20):
        name, colour = (("cold", "blue"), ("warm", "red"))[number % 2]
        picture = make_picture(f"in/{name}/{number}.png", colour, 40 + 2 * number)
        picture.with_suffix(".txt").write_text(f"{name} disc number {number}", encoding="utf-8")
        folder = picture.parent.parent
    use(starter)
    window.session.add([folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 40)
    settled()
    return window


def _trained(window: MainWindow, qtbot: QtBot, job: TrainingJob = JOB) -> tuple[TrainingPanel, Path]:
    """The panel with a run that was trained in this process."""
    session = window.session
    assert session.project is not None
    assert session.encoder is not None
    folder = finish(session.project.make_run(job, session.encoder))
    finish(loop.train(folder))
    window.actions_.by_id["training"].trigger()
    window.learning.look()
    panel = window.training.made
    assert isinstance(panel, TrainingPanel)
    qtbot.waitUntil(lambda: any(run.state.status == "done" for run in panel.table.chosen()))
    return panel, folder


def test_of_a_sample_all_items_are_selected(learned: MainWindow) -> None:
    session = learned.session
    sample = session.samples[max(session.samples)]
    other = next(i for i in session.items if i not in sample.item_ids)
    select_examples(session, [-sample.id, other, 99_999])
    assert len(sample.item_ids) == 2
    assert set(session.selection) == {*sample.item_ids, other}


def test_the_gallery_shows_the_worst_first_follows_the_run_and_selects_its_items(
    learned: MainWindow, qtbot: QtBot,
) -> None:
    panel, folder = _trained(learned, qtbot)
    page = panel.watching.gallery
    panel.tabs.setCurrentWidget(page)
    qtbot.waitUntil(lambda: page.found is not None)
    found = page.found
    assert found is not None
    assert page.told.text().startswith(f"Epoch 4 · {len(found.keys)} validation")
    worst = int(found.keys[found.loss.argmax()])
    assert page.tiles.keys[0] == worst
    with qtbot.waitSignal(learned.session.selectionChanged):
        QTest.mouseClick(page.list.viewport(), Qt.MouseButton.LeftButton,
                         pos=page.list.visualRect(page.tiles.index(0)).center())
    assert set(learned.session.selection) == set(ids_of(learned.session, worst))
    assert ("cold" in page.tiles.index(0).data()) or ("warm" in page.tiles.index(0).data())
    later = gallery.Validated(5, found.keys, -found.loss, found.loss, found.given, found.told, found.sure)
    gallery.write(folder, later)
    runs.tell(folder, runs.State("paused", fingerprint=runs.state_of(folder).fingerprint, epoch=5))
    with runs.held(folder):
        learned.learning.look()
        qtbot.waitUntil(lambda: page.found is not None and page.found.epoch == 5)
    assert page.tiles.keys[-1] == worst
    assert page._chosen() == [worst]
    page.which.setCurrentIndex(page.which.findData("changed"))
    assert page.tiles.keys[0] == worst
    for theme in ("light", "dark"):
        THEME.apply(theme)
        assert not page.grab().isNull()


def test_the_film_plays_names_its_points_and_a_click_selects(learned: MainWindow, qtbot: QtBot) -> None:
    panel, folder = _trained(learned, qtbot)
    page = panel.watching.film
    panel.tabs.setCurrentWidget(page)
    qtbot.waitUntil(lambda: page.film is not None)
    made = page.film
    assert made is not None
    assert page.slider.value() == page.slider.maximum() == 300
    ends = page.points.placed()
    page.slider.setValue(250)
    between = page.points.placed()
    page.slider.setValue(200)
    assert np.allclose(between, (ends + page.points.placed()) / 2)  # the tween is half-way in the middle
    page.start()
    qtbot.waitUntil(lambda: page.slider.value() == page.slider.maximum())
    qtbot.waitUntil(lambda: not page._timer.isActive())
    point = int(page.points.placed()[:, 0].argmin())
    assert learned.session.samples.get(-int(made.keys[point])) or int(made.keys[point]) in learned.session.items
    where = page.points.placed()[point]
    assert page.points.point_at(QPointF(*where)) >= 0
    QTest.mouseClick(page.points, Qt.MouseButton.LeftButton, pos=QPointF(*where).toPoint())
    assert len(learned.session.selection) > 0
    assert page.points.selected.sum() >= 1
    assert any(name in page._name_of(point) for name in ("cold", "warm"))
    film.write(folder, 5, np.random.default_rng(0).normal(0, 1, (len(made.keys), 2)))
    page._reader.look()
    qtbot.waitUntil(lambda: page.film is not None and page.film.epochs[-1] == 5)
    qtbot.waitUntil(lambda: page.slider.value() == page.slider.maximum() == 400)
    for theme in ("light", "dark"):
        THEME.apply(theme)
        assert not page.grab().isNull()


def test_slices_and_fusion_are_computed_behind_the_window(learned: MainWindow, qtbot: QtBot) -> None:
    panel, _ = _trained(learned, qtbot)
    slices, fusion = panel.watching.slices, panel.watching.fusion
    panel.tabs.setCurrentWidget(slices)
    qtbot.waitUntil(lambda: "No group" in slices.told.text())
    keys = np.asarray(sorted(learned.session.items)[:3])
    slices._show((ErrorSlice(("red", "disc"), keys, Interval(0.5, 0.2, 0.8), 0.1, 0.001),))
    slices.table.selectRow(0)
    assert set(learned.session.selection) == set(keys.tolist())
    panel.tabs.setCurrentWidget(fusion)
    qtbot.waitUntil(lambda: fusion.found is not None)
    found = fusion.found
    assert found is not None
    assert np.allclose(found.weights.sum(1), 1, atol=1e-5)
    names = [name for name, _, _ in fusion.bars.rows]
    assert names[0] == "All held out"
    assert set(names[1:]) <= {"cold", "warm"}
    learned.session.select(ids_of(learned.session, int(found.keys[0])))
    assert fusion.shown == int(found.keys[0])
    assert np.allclose(fusion.example.rows[0][2], found.weights[0])
    for theme in ("light", "dark"):
        THEME.apply(theme)
        assert not fusion.grab().isNull()


def test_a_fusion_over_all_tokens_shows_which_patch_and_which_word_was_looked_at(
    learned: MainWindow, qtbot: QtBot,
) -> None:
    from dataclasses import replace

    panel, folder = _trained(learned, qtbot, replace(JOB, fusion="tokens", epochs=1))
    page = panel.watching.fusion
    panel.tabs.setCurrentWidget(page)
    qtbot.waitUntil(lambda: page.found is not None)
    assert page.found is not None
    learned.session.select(ids_of(learned.session, int(page.found.keys[0])))
    qtbot.waitUntil(lambda: not page._places.isHidden())
    shown = [face for face in page.faces if not face.isHidden()]
    assert len(shown) == len(ids_of(learned.session, int(page.found.keys[0])))
    some = reading(folder, int(page.found.keys[0]))
    assert all(one.positions is not None and len(one.positions) == len(one.weights) for one in some)
    assert np.allclose([one.weights.sum() for one in some], page.found.weights[0][[one.modality for one in some]],
                       atol=1e-4)


def test_a_fusion_by_attention_shows_who_looks_at_what(learned: MainWindow, qtbot: QtBot) -> None:
    from dataclasses import replace

    panel, _ = _trained(learned, qtbot, replace(JOB, fusion="attention", layers=2, epochs=1))
    page = panel.watching.fusion
    panel.tabs.setCurrentWidget(page)
    qtbot.waitUntil(lambda: page.found is not None)
    found = page.found
    assert found is not None
    assert page.looks.names == ["Result", "Pictures", "Texts"]
    titles = [one.title for one in page.looks.shown]
    assert titles[:2] == ["Layer 1, mean of the heads", "Layer 1, head 1"]
    assert [len(one.shares) for one in page.looks.shown] == [3] * 5 + [1] * 5
    assert np.allclose(page.looks.shown[0].shares, np.nanmean(found.looks[0], (0, 1)), atol=1e-5)
    assert page.looks_in_example.isHidden()
    learned.session.select(ids_of(learned.session, int(found.keys[1])))
    assert np.allclose(page.looks_in_example.shown[2].shares, found.looks[0][1, 1], equal_nan=True)
    assert "Pictures" in page.looks.accessibleDescription()
    for theme in ("light", "dark"):
        THEME.apply(theme)
        assert not page.grab().isNull()


def test_the_first_batch_of_a_run_that_reads_media_is_shown_as_its_encoder_sees_it(
    learned: MainWindow, qtbot: QtBot, starter: Encoder,
) -> None:
    view = RehearsalView(learned.session, learned.previews)
    qtbot.addWidget(view)
    keys = [-sample for sample in list(learned.session.samples)[:3]]
    view.resize(300, 200)
    view.tell(Rehearsal(0.1, 4, 1.0, 1 << 20, 10, 20, {"train": 10, "validation": 5, "test": 5}, [
        {"key": key, "told": "cold", "sees": ["image", "text"]} for key in keys], "cpu", "media"))
    assert "as the model sees it" in view.told.text()
    qtbot.waitUntil(lambda: len(view.batch.seen) == 6)
    for key, found in view.batch.seen.items():
        item = learned.session.items[key]
        wanted = starter.seen(load(item.ref, Limits()), item.modality)
        if isinstance(found, SeenPicture):
            assert isinstance(wanted, SeenPicture)
            assert np.array_equal(found.pixels, wanted.pixels)
        else:
            assert found == wanted
    for theme in ("light", "dark"):
        THEME.apply(theme)
        assert not view.grab().isNull()
    view.batch.show_batch([])
    assert not view.batch.seen


def test_a_run_is_exported_and_measured_beside_baselines_on_its_media(
    learned: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel, _ = _trained(learned, qtbot)
    raw = panel._buttons["raw"]
    qtbot.waitUntil(raw.isVisible)
    raw.click()
    qtbot.waitUntil(lambda: {"baseline: TF-IDF + linear SVM", "baseline: pixels + linear SVM"} <= {
        run.name for run in learned.learning.runs}, timeout=60_000)
    qtbot.waitUntil(raw.isHidden)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel._buttons["export"].click()
    qtbot.waitUntil(lambda: (tmp_path / "Run" / "model.safetensors").is_file(), timeout=60_000)
    qtbot.waitUntil(lambda: not learned.session.jobs.running)
