"""From a drop to a point on the map, its neighbours and what the model attended to: the studio's main job."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow
from mmstudio.desktop.worker import State
from mmstudio.encoders import Encoder

Use, Settled = Callable[[Encoder], None], Callable[[], None]


def _drop(target: QWidget, files: list[Path]) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(f)) for f in files])
    at, action = QPoint(20, 20), Qt.DropAction.CopyAction
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(target, QDragEnterEvent(at, action, mime, left, none))
    QApplication.sendEvent(target, QDropEvent(QPointF(at), action, mime, left, none))


def _click(window: MainWindow, key: int) -> None:
    at = window.map.canvas.pixel_of(key)
    assert at is not None
    QTest.mouseClick(window.map.canvas, Qt.MouseButton.LeftButton, pos=at.toPoint())


def _key(window: MainWindow, modality: str) -> int:
    return next(i.id for i in window.session.items.values() if i.modality == modality)


def test_a_dropped_folder_becomes_a_map_and_a_click_shows_item_attention_and_neighbours(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
) -> None:
    session, inspector = window.session, window.inspector
    use(starter)
    _drop(window, [mixed_folder])
    settled()
    assert len(session.layout.keys) == 24  # type: ignore[union-attr]
    window.map.canvas.animated = False
    window.map._redraw()
    for modality, face in (("image", inspector.picture), ("audio", inspector.sound), ("text", inspector.passage)):
        key = _key(window, modality)
        with qtbot.waitSignals([session.explained, session.neighboursFound], timeout=20_000):
            session.select([key])
            session.focus(key)
        assert face.isVisible()
        assert face.map is not None
        assert inspector.attention.show_what.count() >= 4
        for row in inspector.hits.rows.values():
            assert row._hits
            assert key not in [hit.item_id for hit in row._hits]
        assert np.allclose(inspector.vector._vector, session.view.vector(key))  # type: ignore[union-attr]
    image = window.map.canvas.grab().toImage()
    for key in session.items:
        at = window.map.canvas.pixel_of(key)
        assert at is not None
        assert image.pixelColor(at.toPoint()) != image.pixelColor(1, image.height() // 2)


def test_clicking_a_point_focuses_it_and_every_layer_and_head_can_be_seen(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
) -> None:
    session, inspector = window.session, window.inspector
    use(starter)
    session.add([mixed_folder])
    settled()
    window.map.canvas.animated = False
    window.map._redraw()
    with qtbot.waitSignal(session.explained, timeout=20_000) as told:
        _click(window, _key(window, "image"))
    assert session.current in session.items
    explanation = told.args[0]
    inspector.attention.show_what.setCurrentIndex(inspector.attention.show_what.findData("received"))
    inspector.attention.draw()
    seen = []
    for layer in range(inspector.attention.layer.count()):
        inspector.attention.layer.setCurrentIndex(layer)
        inspector.attention.layer_changed()
        assert inspector.attention.head.count() == 1 + explanation.attention[layer].heads
        for head in range(inspector.attention.head.count()):
            inspector.attention.head.setCurrentIndex(head)
            inspector.attention.draw()
            seen.append(inspector._faces.currentWidget().map.weights.tobytes())  # type: ignore[union-attr]
    assert len(set(seen)) == len(seen)


def test_words_find_pictures_and_show_where_in_the_picture_they_are(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
) -> None:
    session = window.session
    use(starter)
    session.add([mixed_folder])
    settled()
    window.search.setFocus()
    window.search.setText("a red circle")
    with qtbot.waitSignal(session.answered, timeout=20_000):
        QTest.keyClick(window.search, Qt.Key.Key_Return)
    assert window.results.isVisible()
    row = window.results.hits.rows["image"]
    assert len(row._hits) == 12
    with qtbot.waitSignal(session.explained, timeout=20_000):
        row.opened.emit(row._hits[0].item_id)
    assert window.inspector.attention.show_what.currentData() == "similarity"
    with qtbot.waitSignal(session.answered, timeout=20_000):
        window.search.fileGiven.emit(mixed_folder / "tone ü 2.wav", "tone")
    sounds = window.results.hits.rows["audio"]._hits
    assert session.items[sounds[0].item_id].path.name == "tone ü 2.wav"
    window.search.clear()
    QTest.keyClick(window.search, Qt.Key.Key_Escape)
    assert session.answer is None


def test_a_sample_is_one_point_that_moves_with_its_sliders_and_keeps_its_weights(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
) -> None:
    session, fusion = window.session, window.inspector.fusion
    use(starter)
    session.add([mixed_folder])
    settled()
    keys = [_key(window, m) for m in ("image", "audio", "text")]
    session.select(keys)
    with qtbot.waitSignal(session.fusedMoved, timeout=20_000):
        window.actions_.by_id["group"].trigger()
    sample = next(iter(session.samples.values()))
    assert set(sample.item_ids) == set(keys)
    assert session.current == -sample.id
    qtbot.waitUntil(lambda: -sample.id in window.map.canvas.points.keys)
    before = window.map.canvas.pixel_of(-sample.id)
    for modality in ("image", "audio"):
        fusion.sliders[modality].setValue(0)
    def text_alone(found: object) -> bool:
        wanted = session.view.vector(keys[2])  # type: ignore[union-attr]
        return bool(np.allclose(found.vector, wanted, atol=1e-4))  # type: ignore[attr-defined]
    with qtbot.waitSignal(session.fusedMoved, timeout=20_000, check_params_cb=text_alone):
        fusion.sliders["text"].setValue(150)
    assert window.map.canvas.pixel_of(-sample.id) != before
    project = session.project
    assert project is not None
    qtbot.waitUntil(lambda: project.samples()[0].weights == {"image": 0.0, "audio": 0.0, "text": 1.5})


def test_a_cancelled_encoding_keeps_what_was_done_and_goes_on_when_asked(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, tmp_path: Path,
) -> None:
    session = window.session
    session.settings.set("batch", 1)
    for number in range(300):
        (tmp_path / f"t{number}.txt").write_text(f"text number {number}")
    session.add([tmp_path])
    qtbot.waitUntil(lambda: len(session.items) == 300 and not session.jobs.running, timeout=30_000)
    use(starter)
    job = session.jobs.all[-1]
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) > 3, timeout=20_000)
    job.pause()
    assert job.state is State.PAUSED
    assert "paused" in job.line()
    job.resume()
    job.cancel()
    assert "Cancelled" in job.line()
    project, counted = session.project, []
    session.models.ask(lambda: len(project.vectors(starter)), on_done=counted.append)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: bool(counted))
    done = counted[0]
    assert 0 < done < 300
    window.actions_.by_id["encode"].trigger()
    settled()
    assert len(session.view) == 300  # type: ignore[arg-type]
    last = session.jobs.all[-1]
    assert last.outcome == f"{300 - done} encoded"


def test_a_project_opens_again_with_its_map_and_encodes_nothing_twice(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
) -> None:
    session = window.session
    use(starter)
    session.add([mixed_folder])
    settled()
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(session.project.folder)  # type: ignore[union-attr]
    assert len(session.items) == 24
    settled()
    assert [job.outcome for job in session.jobs.all if job.title == "Encoding"] == ["24 encoded"]


def test_hovering_a_point_shows_its_card_and_the_legend_hides_a_modality(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
) -> None:
    use(starter)
    window.session.add([mixed_folder])
    settled()
    canvas = window.map.canvas
    key = _key(window, "image")
    canvas.hovered.emit(key)
    assert window.map._card.isVisible()
    canvas.hovered.emit(None)
    assert not window.map._card.isVisible()
    QTest.mouseClick(window.map.legend, Qt.MouseButton.LeftButton, pos=QPoint(40, 14))
    assert window.map.legend.hidden == {"Pictures"}
    assert canvas.hidden.sum() == 12
    QTest.mouseDClick(window.map.legend, Qt.MouseButton.LeftButton, pos=QPoint(40, 36))
    assert (~canvas.hidden).sum() == 6


def test_photographs_and_recordings_bring_one_kind_offer_and_drawings_none(
    window: MainWindow, qtbot: QtBot, make_picture: Callable[..., Path], make_sound: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """However they are stored: a small WebP too."""
    session, offers = window.session, []
    session.offered.connect(offers.append)

    def add(file: Path) -> None:
        before = len(session.items)
        session.add([file])
        qtbot.waitUntil(lambda: len(session.items) == before + 1 and not session.jobs.running, timeout=20_000)

    add(make_picture("drawing.png"))
    add(make_picture("large drawing.jpg", size=800))
    add(make_sound("tone.wav"))
    qtbot.waitUntil(lambda: not session.pool._asked)
    assert offers == []
    with Image.open(str(files("sklearn.datasets.images") / "china.jpg")) as photograph:
        photograph.resize((320, 214)).save(tmp_path / "photo.webp")
    with qtbot.waitSignal(session.offered):
        add(tmp_path / "photo.webp")
    add(make_sound("voice.wav", rate=44_100))
    assert [card.title for card in offers] == ["CLIP ViT-B/32"]
    assert "drawings and synthetic speech" in window.banner.text.text()


def test_space_plays_the_sound_under_the_pointer_one_at_a_time(
    window: MainWindow, qtbot: QtBot, use: Use, settled: Settled, starter: Encoder, mixed_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(starter)
    window.session.add([mixed_folder])
    settled()
    played: list[int] = []
    monkeypatch.setattr(window.inspector.player, "toggle", lambda: played.append(window.session.current or 0))
    key = _key(window, "audio")
    window.map.canvas.hovered.emit(key)
    QTest.keyClick(window.map.canvas, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: played == [key], timeout=20_000)
    QTest.keyClick(window.map.canvas, Qt.Key.Key_Space)
    assert played == [key, key]
