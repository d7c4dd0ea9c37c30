"""The explanations: pages that follow the current item, through the real starter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from mmstudio import paths
from mmstudio.desktop.why import PAGES
from mmstudio.desktop.why.attention import LEARNED, MEAN, RELEVANCE, Choice, _shown
from mmstudio.desktop.why.other_model import MODEL
from mmstudio.desktop.why.sides import BESIDE
from mmstudio.desktop.widgets.arcs import Arcs
from mmstudio.desktop.widgets.attention_view import AT_ONCE, AttentionView
from mmstudio.desktop.widgets.head_grid import HeadGrid
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder, ModelCard, load_encoder
from mmstudio.encoders.base import AttentionLayer, Explanation, Positions
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.methods import relevance
from mmstudio.media import load
from mmstudio.progress import finish

SAMPLES = paths.resources() / "samples"
FILES = ("pictures/scene_004_dog_chair.webp", "pictures/cat.webp", "pictures/bird.webp", "pictures/bell.webp",
         "sounds/dog_1.ogg", "sounds/cat_1.ogg", "texts/dog.txt", "texts/cat.txt", "texts/bell.txt")
Open = Callable[[str, str], Any]


@pytest.fixture
def page(window: MainWindow, starter: Encoder, use: Callable[[Encoder], None], qtbot: QtBot) -> Open:
    """The window with ten samples: bring a page forward and open an item on it."""
    session = window.session
    session.add([SAMPLES / name for name in FILES])
    qtbot.waitUntil(lambda: len(session.items) == len(FILES) and not session.jobs.running)
    use(starter)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == len(FILES))

    def show(name: str, stem: str = "") -> Any:
        window.actions_.by_id[f"why_{name}"].trigger()
        qtbot.waitUntil(lambda: window.why.made is not None and window.why.made.isVisible())
        made = window.why.made.pages[name].made  # type: ignore[union-attr]
        qtbot.waitUntil(made.isVisible)
        if stem:
            window._open(key_of(window, stem))
        return made
    return show


def key_of(window: MainWindow, name: str) -> int:
    return next(key for key, item in window.session.items.items() if item.path.match(f"{name}*"))


def test_every_page_says_what_it_is_for_before_anything_is_chosen(page: Open) -> None:
    for one in PAGES:
        told = page(one.id, "").told.text()
        assert len(told) > 20
        assert "error" not in told.lower()


def test_words_show_where_in_the_picture_they_are_and_which_of_them_count(
    window: MainWindow, page: Open, qtbot: QtBot,
) -> None:
    made = page("score", "scene_004")
    made.words.setText("a dog and a chair")
    qtbot.waitUntil(lambda: not made._work.busy and bool(made.shares.rows))
    assert made.score.text().startswith("Cosine 0.")
    shares = dict(made.shares.rows)
    assert max(shares, key=shares.get) in ("dog", "chair")  # type: ignore[arg-type]
    words = made._maps[1].positions
    chair = next(at for at in range(len(words)) if words.label(at).strip() == "chair")
    made.faces[1].hovered.emit(chair)
    there = made.faces[0].face.map
    assert there.positions.extents[int(there.weights.argmax()), 1] >= 0.5
    made.faces[1].hovered.emit(None)
    assert made.faces[0].face.map is made._maps[0]


def test_the_badge_tells_whether_a_map_is_true(page: Open, qtbot: QtBot) -> None:
    made = page("score", "scene_004")
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: not made._work.busy and made.judge.isEnabled())
    made.judge.click()
    qtbot.waitUntil(lambda: all(label.text() for label in made.verdicts))
    assert made.verdicts[0].text().startswith("✓ better than random")
    assert "random weights" in made.told.text()
    assert made.verdicts[1].isVisible()
    assert "random weights" in made.verdicts[1].toolTip()


def test_two_methods_stand_side_by_side_with_their_rank_correlation(page: Open, qtbot: QtBot) -> None:
    made = page("score", "scene_004")
    made.beside.setCurrentIndex(made.beside.findData("chefer"))
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: not made._work.busy and made.badge.text().startswith("Rank correlation"))
    assert made.faces[0].shown == made.faces[1].shown
    assert made.faces[1].face.map.title == "Gradient-weighted attention"


def test_two_selected_items_are_a_pair_and_a_slow_method_can_be_stopped(
    window: MainWindow, page: Open, qtbot: QtBot,
) -> None:
    made = page("score", "dog_1")
    window.session.select([window.session.current, key_of(window, "cat.webp")])
    qtbot.waitUntil(lambda: not made._work.busy and made._maps[1] is not None)
    assert made.faces[1].shown.path.name == "cat.webp"
    made.method.setCurrentIndex(made.method.findData("rise"))
    made.method.activated.emit(0)
    qtbot.waitUntil(lambda: made._maps[0] is not None and made._maps[0].title == "RISE")
    assert made._work.busy
    made.cancel.click()
    assert not made._work.busy
    assert made._maps[0].title == "RISE"


def test_a_sample_tells_which_modality_carries_its_score(window: MainWindow, page: Open, qtbot: QtBot) -> None:
    session = window.session
    session.group([key_of(window, "scene_004"), key_of(window, "dog_1"), key_of(window, "dog.txt")])
    qtbot.waitUntil(lambda: bool(session.samples) and session.current is not None and session.current < 0)
    made = page("score", "")
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: len(made.shares.rows) == 3)
    assert float(made.score.text().split()[1]) == pytest.approx(sum(value for _, value in made.shares.rows), abs=1e-3)


def test_a_sample_shows_the_member_that_is_chosen_the_strongest_first(
    window: MainWindow, page: Open, qtbot: QtBot,
) -> None:
    session = window.session
    members = [key_of(window, name) for name in ("scene_004", "dog_1", "dog.txt")]
    session.group(members)
    qtbot.waitUntil(lambda: bool(session.samples) and session.current is not None and session.current < 0)
    made = page("score", "")
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    shares = dict(made.shares.rows)
    chips = made.members[0]
    order = [session.items[chips.tabData(at)].modality for at in range(3)]
    names = {"image": "Picture", "audio": "Sound", "text": "Text"}
    of = {name: next(value for shown, value in shares.items() if shown.startswith(names[name])) for name in names}
    assert order == sorted(order, key=lambda name: -of[name])
    assert made.faces[0].shown.id == chips.tabData(0)
    picture = order.index("image")
    chips.setCurrentIndex(picture)
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    assert made.faces[0].shown.id == members[0]
    assert made._maps[0].positions.kind == "patch"
    assert made._maps[1].positions.kind == "character"
    assert made.judge.isEnabled()
    made.words.clear()
    sample = session.current
    session.select([sample, key_of(window, "cat.webp")])
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    assert made.faces[1].shown.path.name == "cat.webp"
    assert len(made.shares.rows) == 3


def test_a_picture_that_was_searched_for_from_outside_is_a_side(
    window: MainWindow, page: Open, tmp_path: Path, qtbot: QtBot,
) -> None:
    made = page("score", "dog_1")
    Image.open(SAMPLES / FILES[0]).convert("RGB").save(tmp_path / "dropped.png")
    window.session.ask(tmp_path / "dropped.png", "dropped.png")
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    assert made.outside.isChecked()
    assert "dropped.png" in made.outside.text()
    assert made._maps[1].positions.kind == "patch"
    assert made.faces[1].face is made.faces[1].picture
    made.words.setText("a bell")
    assert not made.outside.isChecked()
    made.outside.click()
    assert not made.words.text()
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    assert made._maps[1].positions.kind == "patch"


def test_a_model_without_vectors_of_parts_gets_the_first_method_that_works_and_the_others_are_grey(
    window: MainWindow, page: Open, use: Callable[[Encoder], None], tmp_path: Path, qtbot: QtBot,
) -> None:
    from encoders.conftest import siglip

    made = page("score", "scene_004")
    use(load_encoder(str(siglip(tmp_path / "siglip")), "cpu"))
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    assert made.method.currentData() == "attention"
    similarity = made.method.model().item(made.method.findData("similarity"))
    assert not similarity.isEnabled()
    assert "no vectors for parts" in similarity.toolTip()
    assert "no vectors for parts" not in made.told.text()
    made.method.setCurrentIndex(made.method.findData("rise"))
    made.method.activated.emit(0)
    qtbot.waitUntil(lambda: made._shown.get(1) is not None)
    assert made._maps[1].title.startswith("Attention")  # the quickest that works, while the slow one is on its way
    made.cancel.click()


def test_a_sound_in_several_windows_says_what_its_map_is_of(window: MainWindow, page: Open, tmp_path: Path,
                                                            qtbot: QtBot) -> None:
    import soundfile

    made = page("score", "")
    rate = 16_000
    soundfile.write(tmp_path / "long.wav", 0.1 * np.random.default_rng(0).standard_normal(20 * rate), rate)
    window.session.add([tmp_path / "long.wav"])
    qtbot.waitUntil(lambda: len(window.session.items) == len(FILES) + 1 and not window.session.jobs.running)
    window._open(key_of(window, "long.wav"))
    made.words.setText("rain")
    qtbot.waitUntil(lambda: not made._work.busy and len(made._shown) == 2)
    assert "read in 2 windows" in made.told.text()


def test_the_attention_that_is_shown_can_be_tested(page: Open, qtbot: QtBot) -> None:
    made = page("attention", "scene_004")
    qtbot.waitUntil(lambda: made.face.face.map is not None)
    made.judge.click()
    qtbot.waitUntil(lambda: bool(made.verdict.text()))
    assert "random" in made.verdict.text()
    assert "random weights" in made.verdict.toolTip()


def test_attention_of_a_long_text_is_looked_at_in_windows_of_tokens() -> None:

    rng = np.random.default_rng(0)
    weights = rng.random((1, 100, 100)).astype(np.float32)
    weights /= weights.sum(axis=-1, keepdims=True)
    spans = np.stack([np.arange(100), np.arange(100) + 1], axis=1).astype(np.float32)
    layer = AttentionLayer.dense(weights, Positions("character", spans))
    found = _shown(Explanation(np.ones(3, np.float32), attention=(layer,)), Choice(0, -1, MEAN, 0), (90, 10))
    assert found.windows == (36, 10)
    assert np.allclose(found.arcs, weights[0, 36:100, 10:74])


def test_attention_is_browsed_by_layer_head_and_position(page: Open, qtbot: QtBot) -> None:
    made = page("attention", "scene_004")
    qtbot.waitUntil(lambda: len(made.heads._images) == 5)
    assert made.layer.count() == 4  # two layers, rollout, and weighted by gradients
    assert all(0 <= value <= 1 for value in made.heads._entropies)
    QTest.mouseClick(made.heads, Qt.MouseButton.LeftButton, pos=made.heads.box_of(2).center())
    qtbot.waitUntil(lambda: made.face.face.map.title.endswith("head 2"))
    made.pick(9)
    qtbot.waitUntil(lambda: made.face.face.map.title.startswith("Attention of position 10"))
    assert made.face.face.map.weights.sum() == pytest.approx(1, abs=1e-4)
    made.layer.setCurrentIndex(2)
    made.layer.activated.emit(2)
    qtbot.waitUntil(lambda: made.face.face.map.title == "Attention rollout")


def test_attention_of_a_text_has_lines_between_its_tokens(page: Open, qtbot: QtBot) -> None:
    made = page("attention", "dog.txt")
    qtbot.waitUntil(lambda: made.arcs.isVisible() and len(made.arcs._names) == 3)
    assert np.allclose(made.arcs._weights.sum(axis=1), 1, atol=1e-4)


def test_painting_the_dog_away_lowers_its_score_and_putting_it_back_restores_it(
    page: Open, qtbot: QtBot,
) -> None:
    made = page("change", "scene_004")
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: made.score.text().endswith("(+0.000)"))
    rows, columns = made._parts.shape
    for cell in range(rows * columns // 2):
        made.stroke([cell])
    qtbot.waitUntil(lambda: not made._work.busy and made._tried.score < made._tried.before - 0.1)
    made.back.click()
    qtbot.waitUntil(lambda: made.score.text().endswith("(+0.000)"))


def test_dragging_over_the_picture_takes_cells_away_and_does_not_move_it(page: Open, qtbot: QtBot) -> None:
    made = page("change", "scene_004")
    qtbot.waitUntil(lambda: made._tried is not None and made.face.face.map is not None)
    face = made.face.picture
    QTest.mousePress(face, Qt.MouseButton.LeftButton, pos=face.box().center().toPoint())
    QTest.mouseRelease(face, Qt.MouseButton.LeftButton, pos=face.box().center().toPoint() + QPoint(1, 1))
    assert 0 < made._gone.sum() <= 9


def test_a_brisk_stroke_has_no_gaps_and_headers_mute_a_whole_band_or_moment(page: Open, qtbot: QtBot) -> None:
    made = page("change", "dog_1")
    qtbot.waitUntil(lambda: made._tried is not None and made.face.face.map is not None)
    face, (bands, moments) = made.face.sound, made._parts.shape
    middle = face.WAVE + (face.height() - face.WAVE - face.AXIS) // 2
    wide = face.width()
    drag(face, QPoint(2, middle), QPoint(wide - 2, middle))
    gone = made._gone.reshape(bands, moments)
    assert (gone.all(axis=1)).sum() == 1
    made.put_back()
    QTest.mouseClick(face, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, QPoint(wide // 2, middle))
    gone = made._gone.reshape(bands, moments)
    assert gone.sum() == moments
    assert gone.all(axis=1).sum() == 1
    QTest.mouseClick(face, Qt.MouseButton.LeftButton, pos=QPoint(wide // 3, face.WAVE // 2))
    gone = made._gone.reshape(bands, moments)
    assert gone.all(axis=0).sum() == 1
    assert gone.sum() == moments + bands - 1


def drag(face: Any, start: QPoint, end: QPoint) -> None:
    """One press and one move far away, as a brisk hand is seen."""
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for kind, at in ((QEvent.Type.MouseButtonPress, start), (QEvent.Type.MouseMove, end)):
        QApplication.sendEvent(face, QMouseEvent(kind, QPointF(at), face.mapToGlobal(QPointF(at)), left, left, none))
    QTest.mouseRelease(face, left, pos=end)


def test_the_map_follows_what_is_left_and_the_score_may_be_against_a_second_item(
    window: MainWindow, page: Open, qtbot: QtBot,
) -> None:
    made = page("change", "dog.txt")
    picture = key_of(window, "scene_004")
    window.session.select([window.session.current, picture])
    view = window.session.view
    assert view is not None
    qtbot.waitUntil(lambda: made._tried is not None and made._tried.score is not None)
    assert made._tried.score == pytest.approx(
        float(view.vector(window.session.current) @ view.vector(picture)), abs=1e-4)
    qtbot.waitUntil(lambda: made.left.isVisible() and made.left.face.map is not None)
    before = made.left.face.map
    made.text.setPlainText("a dog and a very old chair")
    qtbot.waitUntil(lambda: made.left.face.map is not before and not made._explaining.busy)
    assert "old" in [label.strip() for label in made.left.face.map.positions.labels]


def test_a_text_written_anew_changes_its_score_as_one_types(page: Open, qtbot: QtBot) -> None:
    made = page("change", "cat.txt")
    made.words.setText("a puppy")
    qtbot.waitUntil(lambda: made.score.text().endswith("(+0.000)"))
    made.text.setPlainText("a little dog")
    qtbot.waitUntil(lambda: not made._work.busy and made._tried.score > made._tried.before + 0.1)


def test_what_flips_the_nearest_is_found(page: Open, qtbot: QtBot) -> None:
    made = page("change", "scene_004")
    qtbot.waitUntil(lambda: made._tried is not None)
    made.flip.click()
    qtbot.waitUntil(lambda: not made._search.busy and "the nearest" in made.told.text())
    qtbot.waitUntil(lambda: not made._work.busy)
    assert made._gone.any() == ("Without" in made.told.text())
    assert made.flip.isEnabled()


def test_a_concept_is_made_from_the_selection(window: MainWindow, page: Open, qtbot: QtBot) -> None:
    made = page("concepts", "")
    window.session.select([key_of(window, name) for name in ("cat.webp", "cat_1", "cat.txt")])
    made.take[0].click()
    qtbot.waitUntil(lambda: bool(made.words.rows))
    assert made.words.rows[0][0] == "A cat"
    assert "p = " in made.verdict.text()
    opened: list[int] = []
    made.opened.connect(opened.append)
    made.words.chosen.emit(0)
    assert opened == [key_of(window, "cat.txt")]


def test_without_texts_a_concept_has_cosines_with_the_words_that_the_studio_knows(
    window: MainWindow, page: Open, starter: Encoder, qtbot: QtBot,
) -> None:
    session = window.session
    made = page("concepts", "")
    session.remove([item.id for item in session.items.values() if item.modality == "text"])
    qtbot.waitUntil(lambda: len(session.items) == 6 and session.view is not None and len(session.view) == 6)
    session.ask("a dog", "a dog")
    qtbot.waitUntil(lambda: session.answer is not None)
    session.select([key_of(window, name) for name in ("scene_004", "dog_1", "cat_1")])
    made.take[0].click()
    qtbot.waitUntil(lambda: bool(made.words.rows))
    word, cosine = made.words.rows[0]
    vector = starter.forward([starter.prepare(word, "text")])[0]
    assert cosine == pytest.approx(float(vector @ made._found.concept.direction), abs=1e-4)
    assert "TCAV" in made.rising.text()
    made.words.chosen.emit(0)  # a word is no item, so nothing is opened


def test_too_small_a_concept_says_so(window: MainWindow, page: Open, qtbot: QtBot) -> None:
    made = page("concepts", "")
    window.session.select([key_of(window, "cat.webp")])
    made.take[0].click()
    qtbot.waitUntil(lambda: "at least 3" in made.told.text())


def test_neighbours_change_from_layer_to_layer(window: MainWindow, page: Open, qtbot: QtBot) -> None:
    made = page("layers", "scene_004")
    made.look.click()
    qtbot.waitUntil(lambda: made.table.rowCount() == 4)
    assert made.table.item(3, made.table.columnCount() - 1).text() == "1.00"
    opened: list[int] = []
    made.opened.connect(opened.append)
    made.table.cellClicked.emit(3, 1)
    assert window.session.items[opened[0]].modality == "image"


@pytest.fixture
def second_model(window: MainWindow, tmp_path: Path) -> str:
    """A tiny CLIP of the real architecture among the models that were made here; its name."""
    from encoders.conftest import clip

    card = ModelCard(str(clip(tmp_path / "clip")), "Tiny CLIP", ("image", "text"), 1, "", "", present=True)
    window.session.made_here = [card]
    window.session.modelsChanged.emit()
    return card.name


def test_two_models_stand_side_by_side_with_their_rank_correlation(
    page: Open, second_model: str, qtbot: QtBot,
) -> None:
    made = page("score", "scene_004")
    made.words.setText("a dog")
    made.method.setCurrentIndex(made.method.findData("grad-cam"))
    made.beside.setCurrentIndex(made.beside.findData(MODEL + second_model))
    made.beside.activated.emit(0)
    qtbot.waitUntil(lambda: not made._work.busy and BESIDE in made._shown and bool(made.told.text()))
    assert made.badge.text().startswith("Rank correlation")
    assert "other model's cosine is" in made.told.text()
    here, there = made._maps[0].positions, made._shown[BESIDE].found.positions
    assert len(there) != len(here)  # each cuts the picture in its own way
    assert made.faces[1].face.map is made._shown[BESIDE].found
    page("score", "dog_1")
    qtbot.waitUntil(lambda: "reads no audio" in made.told.text() and not made._work.busy)
    assert made._maps[0] is not None


def test_a_second_model_is_told_how_alike_it_sees_the_items(page: Open, second_model: str, qtbot: QtBot) -> None:
    made = page("layers", "")
    assert made.other.currentData() == MODEL + second_model
    made.compare.click()
    qtbot.waitUntil(lambda: "Linear CKA" in made.alike.text())
    told = dict(part.split() for part in made.alike.text().split(":")[1].split("(")[0].split(","))
    assert set(told) == {"image", "text"}
    assert all(0 <= float(value) <= 1 for value in told.values())


def test_arcs_and_heads_take_any_number_of_tokens(qtbot: QtBot) -> None:
    arcs, heads = Arcs(), HeadGrid()
    for widget in (arcs, heads):
        qtbot.addWidget(widget)
        widget.resize(400, 200)
        widget.show()
    arcs.show_weights(np.full((64, 30), 1 / 300, np.float32), ["word"] * 64, ["other"] * 30)
    heads.show_heads([np.zeros((4, 4), np.float32)] * 30, [0.5] * 29)
    heads.grab()
    arcs.grab()
    assert heads.height() > 3 * 76
    QTest.keyClick(heads, Qt.Key.Key_Right)
    assert heads.chosen == 0


def test_thousands_of_positions_are_reckoned_behind_the_inspector(qtbot: QtBot) -> None:
    asked: list[tuple[Any, ...]] = []
    view, drawn = AttentionView(lambda *question: asked.append(question)), list[Any]()
    qtbot.addWidget(view)
    view.mapChanged.connect(drawn.append)
    count = AT_ONCE + 1
    spans = np.stack([np.arange(count), np.arange(count) + 1], axis=1).astype(np.float32)
    layer = AttentionLayer.dense(np.full((2, count, count), 1 / count, np.float32), Positions("time", spans))
    view.show_explanation(Explanation(np.ones(3, np.float32), attention=(layer,)), None)
    view.show_position(7)
    assert not drawn
    for question, then, _ in asked:
        then(question())
    assert [found.title for found in drawn] == ["Attention of position 8 · layer 1 · mean of heads"]


def test_a_face_shows_media_of_any_kind(window: MainWindow, qtbot: QtBot) -> None:
    face = ItemFace(window.session)
    qtbot.addWidget(face)
    for media, kind in ((Image.new("RGB", (8, 8)), face.picture), ("words", face.passage)):
        face.show_media(media)
        assert face.face is kind


def test_known_boxes_are_outlined_and_the_pointing_game_is_told_with_the_verdict(
    window: MainWindow, page: Open, qtbot: QtBot,
) -> None:
    made = page("score", "scene_004")
    key = window.session.current
    window.session.set_column([key], "boxes", '[[10, 10, 60, 60, "bell"], [0, 0, 240, 240, "dog"]]')
    qtbot.waitUntil(lambda: "boxes" in window.session.items[key].columns)
    made.words.setText("a dog")
    qtbot.waitUntil(lambda: not made._work.busy and made.judge.isEnabled())
    assert [box.label for box in made.faces[0].picture.boxes] == ["bell", "dog"]
    made.judge.click()
    qtbot.waitUntil(lambda: "“dog”" in made.told.text())
    assert "“bell”" not in made.told.text()
    window.session.set_column([key], "boxes", "nothing")
    qtbot.waitUntil(lambda: window.session.items[key].columns["boxes"] == "nothing")
    made.words.setText("a chair")
    assert "no boxes" in made.told.text()


def test_a_drawn_box_tells_at_once_whether_the_map_points_into_it(page: Open, qtbot: QtBot) -> None:
    made = page("score", "scene_004")
    made.words.setText("a chair")
    face = made.faces[0].picture
    qtbot.waitUntil(lambda: made._asked is not None and "a chair" in made._asked and not made._work.busy
                    and made.boxes.button.isVisible() and not face.box().isEmpty())
    best = face.map.positions.extents[int(face.map.weights.argmax())]
    middle = face._within(tuple(best.tolist())).center().toPoint()

    def drag(start: QPoint, end: QPoint) -> str:
        made.boxes.button.setChecked(True)
        QTest.mousePress(face, Qt.MouseButton.LeftButton, pos=start)
        QTest.mouseMove(face, (start + end) / 2)
        QTest.mouseMove(face, end)
        QTest.mouseRelease(face, Qt.MouseButton.LeftButton, pos=end)
        assert not made.boxes.button.isChecked()
        return made.told.text()

    reach = QPoint(30, 30)
    assert drag(middle - reach, middle + reach).startswith("The most relevant place lies in the box")
    low = middle.y() > face.box().center().y()
    corner = (face.box().topLeft() if low else face.box().bottomLeft()).toPoint()
    away = QPoint(40, 40 if low else -40)
    assert "outside the box" in drag(corner + away / 40, corner + away)
    drag(middle, middle)
    assert face.boxes == ()


def choose(box: Any, value: object) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


@pytest.mark.parametrize("stem", ["scene_004", "dog_1", "dog.txt"])
def test_attention_is_weighted_by_gradients_towards_what_was_searched_for(
    stem: str, window: MainWindow, page: Open, starter: Encoder, qtbot: QtBot,
) -> None:
    window.session.ask("a chair", "a chair")
    qtbot.waitUntil(lambda: window.session.answer is not None)
    made = page("attention", stem)
    qtbot.waitUntil(lambda: made.face.face.map is not None)
    choose(made.layer, RELEVANCE)
    qtbot.waitUntil(lambda: made.face.face.map.title == "Gradient-weighted attention")
    item, session = window.session.items[window.session.current or 0], window.session
    media = load(item.ref, session.project.limits)  # type: ignore[union-attr]
    expected = finish(relevance("chefer", starter, media, item.modality, session.answer.query))  # type: ignore[union-attr]
    assert np.allclose(made.face.face.map.weights, expected.weights, atol=1e-6)
    assert made.face.save.shown.caption.query == "a chair"
    assert not made.query.isEnabled()
    choose(made.layer, 0)
    qtbot.waitUntil(lambda: made.face.face.map.title.startswith("Attention received"))
    assert made.query.isEnabled()


def test_the_learned_query_that_pools_is_shown(page: Open, starter: Encoder, qtbot: QtBot) -> None:
    made = page("attention", "cat.webp")
    qtbot.waitUntil(lambda: made.face.face.map is not None)
    choose(made.query, LEARNED)
    qtbot.waitUntil(lambda: made.face.face.map.title == "Pooling weights")
    assert np.array_equal(made.face.face.map.weights, made._explanation.pooling)


def test_marks_that_are_no_place_can_be_asked_what_they_look_at(page: Open, qtbot: QtBot) -> None:
    """As a model with CLS and registers tells them."""
    made = page("attention", "cat.webp")
    qtbot.waitUntil(lambda: made.face.face.map is not None)
    extents = np.array([[np.nan] * 4, [np.nan] * 4, [0, 0, 0.5, 1], [0.5, 0, 1, 1]], np.float32)
    weights = np.random.default_rng(0).dirichlet(np.ones(4), (2, 4)).astype(np.float32)
    layer = AttentionLayer.dense(weights, Positions("patch", extents, ("CLS", "register 1")))
    made._show_explanation(made._item, Explanation(np.ones(4, np.float32), attention=(layer,), pooling_query=0))
    assert [made.query.itemText(at) for at in range(made.query.count())] == [
        "received, on the mean", "of CLS", "of register 1", "of the place you click"]
    choose(made.query, 1)
    qtbot.waitUntil(lambda: made.face.face.map.title.startswith("Attention of register 1"))
    assert np.allclose(made.face.face.map.weights, weights.mean(axis=0)[1])


def test_a_model_that_cannot_be_looked_into_says_so_and_keeps_the_other_maps(page: Open, qtbot: QtBot) -> None:
    made = page("attention", "cat.webp")
    qtbot.waitUntil(lambda: made.face.face.map is not None)
    made._refused(AttentionUnavailable("closed"))
    assert made.told.text() == "closed"
    assert made.layer.isVisible()
    choose(made.layer, 0)
    qtbot.waitUntil(lambda: made.face.face.map is not None)


def test_pointing_at_a_word_shows_its_gradient_weighted_attention_where_that_is_chosen(
    page: Open, qtbot: QtBot,
) -> None:
    made = page("score", "scene_004")
    made.words.setText("a dog and a chair")
    qtbot.waitUntil(lambda: not made._work.busy and bool(made.shares.rows))
    assert made.hover.how.isVisible()
    made.hover.how.setCurrentIndex(1)
    words = made._maps[1].positions
    chair = next(at for at in range(len(words)) if words.label(at).strip() == "chair")
    made.faces[1].hovered.emit(chair)
    qtbot.waitUntil(lambda: made.faces[0].face.map.title == "Gradient × attention")
    there = made.faces[0].face.map
    assert there.positions.extents[int(there.weights.argmax()), 1] >= 0.5
    made.faces[1].hovered.emit(None)
    assert made.faces[0].face.map is made._maps[0]
    made.faces[1].hovered.emit(chair)
    assert made.faces[0].face.map is there  # at once: it is known
    made.hover._failed(AttentionUnavailable("closed"))
    assert made.told.text() == "closed"
    made.faces[1].hovered.emit(chair)
    assert made.faces[0].face.map.title == "Similarity to it"
