"""Letters as a person sees them: none is cut in two, each has a font that has it, lines follow their script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from mmstudio.explain import letters

FAMILY, FLAGS, ACCENT = "👨\u200d👩\u200d👧", "🇩🇪🇫🇷", "e\u0301"
HEBREW = "שלום"
NO_LETTER = "\U000f1234"
"""For private use: no font has it."""


def ink(text: str) -> np.ndarray:
    """A picture of a text, dark where it is drawn."""
    picture = Image.new("RGB", (300, 40), "white")
    letters.draw(picture, 4, 30, text, 22, "black")
    return 255 - np.asarray(picture.convert("L"), float)


def test_a_letter_is_what_a_person_takes_for_one() -> None:
    text = ACCENT + FAMILY + FLAGS + "中x"
    assert [text[a:b] for a, b in letters.clusters(text)] == [ACCENT, FAMILY, FLAGS[:2], FLAGS[2:], "中", "x"]


def test_what_no_page_can_hold_is_replaced_character_by_character() -> None:
    text = "a\x00b\ud800\tc\x9fd\uffff\n中"
    shown = letters.visible(text)
    assert shown == "a\ufffdb\ufffd c\ufffdd\ufffd\n中"
    assert len(shown) == len(text)


def test_a_fonts_letters_are_those_it_draws() -> None:
    """Pillow draws the same box for all that a font lacks."""
    file = letters.font_files()[0]
    font = ImageFont.truetype(file, 40, layout_engine=ImageFont.Layout.BASIC)
    box = bytes(font.getmask(NO_LETTER))
    for code in [*range(0x21, 0x7F), *range(0x400, 0x420), 0x4E2D, 0x5D0, 0xE000, 0x1F600]:
        drawn = bytes(font.getmask(chr(code))) != box
        assert letters._has(file, chr(code)) == drawn, hex(code)


def test_a_font_that_is_broken_has_no_letters(tmp_path: Path) -> None:
    file = tmp_path / "broken.ttf"
    for content in (b"", b"\x00\x01\x00\x00\x00\x01", b"ttcf" + bytes(3), bytes(200)):
        file.write_bytes(content)
        letters._covered.cache_clear()
        assert not letters._has(file, "a")


def test_a_letter_without_a_font_is_told_and_nothing_else_is() -> None:
    assert letters.missing(f"a cat{NO_LETTER} é\n{NO_LETTER}") == [NO_LETTER]
    assert ink(NO_LETTER).any()


def test_marks_are_drawn_with_their_letter() -> None:
    assert letters.width(ACCENT * 3, 22) == pytest.approx(letters.width("eee", 22), abs=2)
    accents, plain = ink(ACCENT), ink("e")
    assert accents[:16].sum() > 0
    assert plain[:12].sum() == 0


def test_words_that_are_read_from_the_right_stand_from_the_right() -> None:
    text = f"{HEBREW} abc {HEBREW}{HEBREW}"
    placed = letters.lines(text, 22, 400)
    shown = [text[word.start : word.end] for word in sorted(placed, key=lambda word: word.left)]
    assert shown == [HEBREW * 2, " ", "abc", " ", HEBREW]
    assert max(word.left + word.wide for word in placed) == pytest.approx(400)
    text = f"one {HEBREW} {HEBREW}{HEBREW} two three"
    shown = [text[word.start : word.end] for word in letters.lines(text, 22, 600)]
    assert shown == ["one", " ", HEBREW * 2, " ", HEBREW, " ", "two", " ", "three"]


def test_lines_hold_every_letter_once_within_their_room_and_cut_none_in_two() -> None:
    text = f"some words {'w' * 60}{ACCENT * 30} and\n\n{FAMILY * 30} 中文字幕"
    placed = letters.lines(text, 22, 200)
    covered = [at for word in placed for at in range(word.start, word.end)]
    assert len(covered) == len(set(covered))
    assert {at for at in range(len(text)) if not text[at].isspace()} <= set(covered)
    assert all(word.left + word.wide <= 200.5 for word in placed)
    edges = {edge for span in letters.clusters(text) for edge in span}
    assert {edge for word in placed for edge in (word.start, word.end)} <= edges
    assert max(word.line for word in placed) > 5


def test_no_text_and_blanks_are_lines_of_nothing() -> None:
    assert letters.lines("", 22, 100) == []
    assert letters.lines("  \n ", 22, 100) == []
