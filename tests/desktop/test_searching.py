"""Questions of several parts, where they look, and the answer that nothing is close, in the real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from renamed import Renamed

from mmstudio.desktop.asking import Answer, Scope
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.explore.question import combined


def _answer(window: MainWindow, qtbot: QtBot, act: Callable[[], object]) -> Answer:
    with qtbot.waitSignal(window.session.answered) as told:
        act()
    answer: Answer = told.args[0]
    return answer


def _key(window: MainWindow, title: str) -> int:
    return next(item.id for item in window.session.items.values() if title in item.title)


def _vector(window: MainWindow, key: int) -> np.ndarray:
    found = window.session.view.vector(key)  # type: ignore[union-attr]
    assert found is not None
    return found


def test_typed_words_with_plus_and_minus_become_parts_and_their_weighted_sum_is_asked(
    filled: MainWindow, qtbot: QtBot, starter: Encoder,
) -> None:
    for typed in ("a dog", "+ rain", "-a red circle"):
        filled.search.setText(typed)
        answer = _answer(filled, qtbot, lambda: QTest.keyClick(filled.search, Qt.Key.Key_Return))
    assert [(p.asked, p.weight) for p in filled.session.asking.parts] == [
        ("a dog", 1.0), ("rain", 1.0), ("a red circle", -1.0)]
    vectors = starter.forward([starter.prepare(t, "text") for t in ("a dog", "rain", "a red circle")])
    assert np.allclose(answer.query, combined(vectors, [1, 1, -1]), atol=1e-5)
    chips = [chip for chip in filled.results.bar.parts.chips if chip.isVisible()]
    assert [chip.weight.value() for chip in chips] == [1, 1, -1]


def test_a_weight_that_is_changed_asks_again_and_a_part_that_is_dropped_is_gone(
    filled: MainWindow, qtbot: QtBot,
) -> None:
    _answer(filled, qtbot, lambda: filled.session.ask("a dog", "a dog"))
    one = _answer(filled, qtbot, lambda: filled.session.asking.add("rain", "rain"))
    chips = filled.results.bar.parts.chips
    other = _answer(filled, qtbot, lambda: chips[1].weight.setValue(-2))
    assert not np.allclose(one.query, other.query)
    last = _answer(filled, qtbot, lambda: chips[0].dropped.emit())
    assert [part.title for part in filled.session.asking.parts] == ["rain"]
    assert np.allclose(last.query, -filled.session.asking._vectors["rain"], atol=1e-5)


def test_more_like_this_leaves_the_item_itself_out_and_can_be_mixed_with_others(
    filled: MainWindow, qtbot: QtBot,
) -> None:
    picture, sound = _key(filled, "picture 0"), _key(filled, "tone ü 3")
    filled.session.focus(picture)
    answer = _answer(filled, qtbot, filled.actions_.by_id["find_like"].trigger)
    assert picture not in {hit.item_id for hits in answer.hits.values() for hit in hits}
    assert np.allclose(answer.query, _vector(filled, picture), atol=1e-6)
    filled.session.focus(sound)
    answer = _answer(filled, qtbot, filled.actions_.by_id["find_away"].trigger)
    both = np.stack([_vector(filled, picture), _vector(filled, sound)])
    assert np.allclose(answer.query, combined(both, [1, -1]), atol=1e-5)


def test_what_is_dropped_on_the_question_or_copied_becomes_a_part_of_it(
    filled: MainWindow, qtbot: QtBot, starter: Encoder, make_picture: Callable[..., Path],
    make_sound: Callable[..., Path],
) -> None:
    bar, picture, sound = filled.results.bar, make_picture("other.png", "cyan"), make_sound("away.wav", 700)
    _answer(filled, qtbot, lambda: filled.session.ask("a dog", "a dog"))

    def drop(file: Path, keys: Qt.KeyboardModifier) -> None:
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(file))])
        enter = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, keys)
        QApplication.sendEvent(bar, enter)
        assert enter.isAccepted()
        QApplication.sendEvent(bar, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime,
                                               Qt.MouseButton.LeftButton, keys))

    _answer(filled, qtbot, lambda: drop(picture, Qt.KeyboardModifier.NoModifier))
    answer = _answer(filled, qtbot, lambda: drop(sound, Qt.KeyboardModifier.ShiftModifier))
    assert [(part.title, part.weight) for part in filled.session.asking.parts] == [
        ("a dog", 1), ("other.png", 1), ("away.wav", -1)]
    vectors = [filled.session.project.query(starter, asked) for asked in ("a dog", picture, sound)]
    assert np.allclose(answer.query, combined(np.stack(vectors), [1, 1, -1]), atol=1e-5)
    QApplication.clipboard().setImage(QImage(str(picture)))
    menu = bar._add.menu()
    menu.aboutToShow.emit()
    copied = next(action for action in menu.actions() if action.text() == "Away from what was copied")
    answer = _answer(filled, qtbot, copied.trigger)
    assert filled.session.asking.parts[-1].weight == -1
    assert np.allclose(answer.query, combined(np.stack([*vectors, vectors[1]]), [1, 1, -1, -1]), atol=1e-4)


def test_how_a_space_is_searched_is_kept_with_the_project_and_for_each_model(
    filled: MainWindow, qtbot: QtBot, starter: Encoder, use: Callable[[Encoder], None], tmp_path: Path,
) -> None:
    session, measure = filled.session, filled.results.bar.measure
    first = session.project.folder
    _answer(filled, qtbot, lambda: session.ask("a dog", "a dog"))
    measure.setCurrentIndex(measure.findData("angular"))
    answer = _answer(filled, qtbot, lambda: measure.activated.emit(measure.currentIndex()))
    cosines = session.view.vectors @ answer.query / np.linalg.norm(answer.query)
    best = answer.results.hits["image"][0]
    assert best.score == pytest.approx(-np.arccos(cosines[session.view.rows[best.item_id]]) / np.pi, abs=1e-5)
    session.asking.close_gap(True)
    use(Renamed(starter, "other"))  # type: ignore[arg-type]
    session.asking.forget()
    assert (session.asking.measure, session.asking.closes_gap) == ("cosine", False)
    session.encoder = starter
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(tmp_path / "another")
    assert session.asking.measure == "cosine"
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(first)
    assert (session.asking.measure, session.asking.closes_gap) == ("angular", True)
    assert measure.currentData() == "angular"


def test_parts_that_cancel_each_other_are_said_and_not_searched(filled: MainWindow, qtbot: QtBot) -> None:
    _answer(filled, qtbot, lambda: filled.session.ask("a dog", "a dog"))
    with qtbot.waitSignal(filled.session.failed) as told:
        filled.session.asking.set_weight(0, 0)
    assert "cancel" in str(told.args[0])


def test_the_scope_is_the_selection_a_slice_or_a_modality(filled: MainWindow, qtbot: QtBot) -> None:
    asking, bar = filled.session.asking, filled.results.bar
    chosen = [_key(filled, f"picture {n}") for n in (1, 2, 3)] + [_key(filled, "tone ü 1")]
    _answer(filled, qtbot, lambda: filled.session.ask("a dog", "a dog"))
    filled.session.select(chosen)
    menu = bar.scope.menu()
    menu.aboutToShow.emit()
    entry = next(action for action in menu.actions() if "selection" in action.text())
    answer = _answer(filled, qtbot, entry.trigger)
    assert {hit.item_id for hits in answer.hits.values() for hit in hits} == set(chosen)
    assert answer.results.searched == 4
    answer = _answer(filled, qtbot, lambda: bar.look_in_slice("sounds", "modality:audio"))
    assert {m: len(hits) for m, hits in answer.hits.items()} == {"image": 0, "audio": 6, "text": 0}
    _answer(filled, qtbot, lambda: asking.look_in(Scope()))
    answer = _answer(filled, qtbot, lambda: asking.look_for("text"))
    assert list(answer.hits) == ["text"]


@pytest.mark.parametrize("measure", ["dot", "euclid", "pearson"])
def test_another_measure_is_named_and_its_scores_are_shown(filled: MainWindow, qtbot: QtBot, measure: str) -> None:
    bar = filled.results.bar
    _answer(filled, qtbot, lambda: filled.session.ask("a dog", "a dog"))
    answer = _answer(filled, qtbot, lambda: bar.measure.activated.emit(bar.measure.findData(measure)))
    vectors = np.stack([_vector(filled, hit.item_id) for hit in answer.hits["image"]])
    want = {"dot": vectors @ answer.query, "euclid": -np.linalg.norm(vectors - answer.query, axis=1),
            "pearson": [np.corrcoef(row, answer.query)[0, 1] for row in vectors]}[measure]
    assert np.allclose([hit.score for hit in answer.hits["image"]], want, atol=1e-5)


def test_few_items_say_that_matches_cannot_be_told_from_chance(filled: MainWindow, qtbot: QtBot) -> None:
    answer = _answer(filled, qtbot, lambda: filled.session.ask("a dog", "a dog"))
    assert set(answer.results.close.values()) == {None}
    assert "too few" in filled.results._legend.text()
    assert not filled.results.verdict.isVisible()


def test_only_the_newest_question_is_answered(filled: MainWindow, qtbot: QtBot) -> None:
    told: list[Answer] = []
    filled.session.answered.connect(told.append)
    for words in ("a dog", "a cat", "rain", "a bell"):
        filled.session.ask(words, words)
    qtbot.waitUntil(lambda: bool(told) and not filled.session.models._tickets and not filled.session.maths._tickets)
    assert [answer.title for answer in told if answer] == ["a bell"]


def test_many_vectors_get_an_index_behind_the_window_that_the_project_keeps(
    filled: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = filled.session
    before = _answer(filled, qtbot, lambda: session.ask("a dog", "a dog"))
    monkeypatch.setattr("mmstudio.searching.EXACT_BELOW", 20)
    session.vectorsChanged.emit()
    qtbot.waitUntil(lambda: session.asking._index is not None and not session.jobs.running)
    assert session.jobs.all[-1].outcome == "24 vectors; searches are quicker now"
    after = _answer(filled, qtbot, lambda: session.ask("a dog", "a dog"))
    assert [hit.item_id for hit in after.hits["image"]] == [hit.item_id for hit in before.hits["image"]]
    jobs = len(session.jobs.all)
    session.asking._index, session.asking._indexed = None, 0
    session.vectorsChanged.emit()  # as when the project is opened again: the index is there
    qtbot.waitUntil(lambda: session.asking._index is not None)
    assert len(session.jobs.all) == jobs
