"""A text in any script: its letters are whole, what is pointed at is what is drawn there, colours stand behind it."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from mmstudio.desktop.widgets.passage_face import MOST_LETTERS, PassageFace
from mmstudio.encoders.base import Positions
from mmstudio.explain.letters import clusters
from mmstudio.explain.maps import RelevanceMap

TEXTS = ["cafe\u0301 noir", "中文 字幕", "👍🏽🇩🇪 👨\u200d👩\u200d👧 dog", "नमस्ते दुनिया", "مرحبا بالعالم", "שָׁלוֹם עולם",
         "a dog שלום עולם and مرحبا 3 cats", "two\nlines\n\nand a long one " + "w" * 80]


@pytest.fixture
def face(qtbot: QtBot) -> PassageFace:
    made = PassageFace()
    qtbot.addWidget(made)
    made.resize(300, 200)
    return made


def words_map(text: str, *words: str) -> RelevanceMap:
    """The first of the words weighs least, the last most."""
    spans = np.array([(text.index(word), text.index(word) + len(word)) for word in words], np.float32)
    return RelevanceMap(np.arange(len(words), dtype=np.float32), Positions("character", spans, words), "", "weight")


@pytest.mark.parametrize("text", TEXTS)
def test_every_letter_is_found_where_it_is_drawn(text: str, face: PassageFace) -> None:
    face.show_text(text)
    for start, end in clusters(text):
        if not text[start:end].isspace():
            boxes = face.boxes_of(start, end)
            assert boxes, text[start:end]
            assert all(0 <= box.left() < box.right() <= face.width() for box in boxes)
            assert face._character_at(boxes[0].center()) == start, text[start:end]
    assert face._character_at(QPointF(299, 199)) is None


@pytest.mark.parametrize(("text", "word"), [
    ("cafe\u0301 noir", "cafe\u0301"), ("👍🏽🇩🇪 dog", "dog"), ("a dog שלום עולם", "שלום"), ("नमस्ते दुनिया", "दुनिया")])
def test_the_word_that_is_pointed_at_is_the_word_of_the_map(text: str, word: str, face: PassageFace) -> None:
    face.show_text(text)
    face.show_map(words_map(text, *sorted(text.split(), key=lambda one: one == word)))
    at = text.index(word)
    for start, end in clusters(word):
        found = face.position_at(face.boxes_of(at + start, at + end)[0].center())
        assert found is not None
        assert face.map is not None
        assert face.map.positions.label(found) == word


def test_a_letter_that_several_tokens_make_belongs_to_the_first(face: PassageFace) -> None:
    face.show_text("👨\u200d👩\u200d👧")
    spans = np.array([[0, 2], [2, 4], [4, 5]], np.float32)
    face.show_map(RelevanceMap(np.arange(3, dtype=np.float32), Positions("character", spans), "", ""))
    assert {face.position_at(box.center()) for box in face.boxes_of(0, 5)} == {0}


def test_colour_stands_behind_the_relevant_word_alone(face: PassageFace) -> None:
    text = "one שלום two"
    face.show_text(text)

    def pixels() -> np.ndarray:
        image = face.grab().toImage()
        return np.array([[image.pixelColor(x, y).name() for x in range(0, 300, 2)] for y in range(0, 40, 2)])

    before = pixels()
    face.show_map(RelevanceMap(np.ones(1, np.float32), words_map(text, "שלום").positions, "", ""))
    changed = np.argwhere(before != pixels()) * 2
    box = face.boxes_of(4, 8)
    assert min(b.left() for b in box) - 2 <= changed[:, 1].min()
    assert changed[:, 1].max() <= max(b.right() for b in box) + 2
    assert len(changed) > 20


def test_words_are_wrapped_and_a_wider_face_is_lower(face: PassageFace) -> None:
    face.show_text("some words " * 30)
    high = face.minimumHeight()
    face.resize(900, 200)
    face._lay_out()
    assert face.minimumHeight() < high


def test_a_very_long_text_is_shown_from_its_beginning_and_none_is_no_trouble(face: PassageFace) -> None:
    first = Positions("character", np.array([[0, 1]], np.float32))
    for text in ("word " * MOST_LETTERS, "", "\n", "\ud800\x00"):
        face.show_text(text)
        face.show_map(RelevanceMap(np.ones(1, np.float32), first, "", ""))
        assert face.grab().height() >= 60
        assert face.minimumHeight() <= 4000
