"""The score of what is searched for, as a field of the filter bar, an order of the library and a histogram."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from scipy.spatial.distance import cdist

from mmstudio.desktop.panels.histograms import HistogramsPanel
from mmstudio.desktop.window import MainWindow


@pytest.fixture
def typed(filled: MainWindow, qtbot: QtBot) -> Callable[[str], list[int]]:
    """Type a filter and give the items that pass, as they come."""

    def type_(text: str) -> list[int]:
        filled.library.line.setText(text)
        filled.library._filter()
        qtbot.waitUntil(lambda: not filled.library.items.filter.waits)
        return filled.library.items.keys_of(0, 99).tolist()

    return type_


@pytest.fixture
def search(filled: MainWindow, qtbot: QtBot) -> Callable[[str], dict[int, float]]:
    """Search for words, and give the cosine of each item as scipy has it."""

    def search_(words: str) -> dict[int, float]:
        with qtbot.waitSignal(filled.session.answered):
            filled.session.ask(words, words)
        qtbot.waitUntil(lambda: not filled.library.items.filter.waits)
        answer, view = filled.session.answer, filled.session.view
        assert answer is not None
        assert view is not None
        return dict(zip(view.ids.tolist(), 1 - cdist(view.vectors, answer.query[None], "cosine")[:, 0], strict=True))

    return search_


def middle(scores: dict[int, float]) -> float:
    """A limit between two scores, so that rounding decides nothing."""
    ordered = sorted(scores.values())
    return (ordered[11] + ordered[12]) / 2


def test_the_score_filters_and_follows_the_search(
    filled: MainWindow, typed: Callable[[str], list[int]], search: Callable[[str], dict[int, float]], qtbot: QtBot,
) -> None:
    first = search("a red circle")
    limit = middle(first)
    assert sorted(typed(f"score>{limit}")) == sorted(key for key, score in first.items() if score > limit)
    assert len(typed(f"modality:text score<={limit}")) == sum(
        score <= limit for key, score in first.items() if filled.session.items[key].modality == "text")
    typed(f"score>{limit}")
    second = search("rain")
    assert filled.library.items.shown.tolist() == sorted(key for key, score in second.items() if score > limit)


def test_without_a_search_the_word_is_that_nothing_is_searched_for(
    filled: MainWindow, typed: Callable[[str], list[int]], search: Callable[[str], dict[int, float]], qtbot: QtBot,
) -> None:
    assert len(typed("score>-2")) == 24
    assert "Nothing is searched for" in filled.library._wrong.text()
    search("a dog")
    assert not filled.library._wrong.isVisible()
    filled.session.clear_answer()
    qtbot.waitUntil(filled.library._wrong.isVisible)


def test_a_column_of_the_persons_own_that_is_called_so_has_another_name(
    filled: MainWindow, typed: Callable[[str], list[int]], qtbot: QtBot,
) -> None:
    filled.session.set_column([3, 4], "score", 7.0)
    qtbot.waitUntil(lambda: filled.session.items[4].columns.get("score") == 7)
    assert typed("score_column=7") == [3, 4]
    typed("score>1")
    assert "score_column" in filled.library._wrong.text()


def test_the_library_is_sorted_by_score_best_first(
    filled: MainWindow, search: Callable[[str], dict[int, float]], qtbot: QtBot,
) -> None:
    order, items = filled.library.order, filled.library.items
    search("a dog")
    order._offer()
    qtbot.waitUntil(lambda: "Search score" in [action.text() for action in order.menu().actions()])
    next(action for action in order.menu().actions() if action.text() == "Search score").trigger()
    qtbot.waitUntil(lambda: not items.filter.waits)
    scores = search("a bell")
    found = [scores[key] for key in items.keys_of(0, 99).tolist()]
    assert np.allclose(found, sorted(scores.values(), reverse=True), atol=1e-6)


def test_the_score_completes_while_there_is_a_search(
    filled: MainWindow, search: Callable[[str], dict[int, float]], qtbot: QtBot,
) -> None:
    asked = filled.library.items.filter

    def offered() -> list[str]:
        with qtbot.waitSignal(asked.completed) as found:
            asked.complete("scor", 4)
        return [completion.label for completion in found.args[0]]

    assert offered() == []
    search("a dog")
    assert offered() == ["score:"]


def test_the_scores_histogram_is_brushed_and_goes_with_the_search(
    filled: MainWindow, search: Callable[[str], dict[int, float]], qtbot: QtBot,
) -> None:
    filled.actions_.by_id["histograms"].trigger()
    panel = filled.histograms.made
    assert isinstance(panel, HistogramsPanel)
    scores = search("a dog runs")
    panel._choose("score", True)
    qtbot.waitUntil(lambda: "score" in panel.cards)
    shown = panel.cards["score"].view.histogram
    assert shown is not None
    assert shown.bins is not None
    expected, _ = np.histogram(list(scores.values()), shown.bins.edges)
    assert shown.every.tolist() == expected.tolist()
    best = int(np.flatnonzero(shown.every)[-1])
    panel._brush("score", frozenset([best]), False)
    qtbot.waitUntil(lambda: filled.library.items.rowCount() == expected[best])
    assert max(scores, key=lambda key: scores[key]) in filled.library.items.shown
    filled.library.line.clear()
    filled.session.clear_answer()
    qtbot.waitUntil(lambda: "score" not in panel.cards)
