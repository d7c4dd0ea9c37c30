"""Texts become passages of bounded length, in whatever encoding and shape they come."""

from __future__ import annotations

import json
import time

import pytest

from mmstudio.errors import MediaTooLarge, UnreadableMedia
from mmstudio.media import Kind, Limits, describe, sniff
from mmstudio.media.describe import text_hash
from mmstudio.media.text import decode, passages, split


def texts(path, limits):
    return [(p.part, p.text) for p in passages(path, limits)[0]]


def words(text):
    return " ".join(text.split())


def test_every_kind_of_text_gives_text_items(text_kind, make, tmp_path, limits):
    items = describe(make.file(tmp_path, text_kind), limits).items
    assert items
    for item in items:
        assert item.modality == "text"
        assert item.content_hash == text_hash(item.text)
        assert 0 < len(item.text) <= limits.passage_characters


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_german_is_read_in_every_encoding(encoding, make, tmp_path, limits):
    path = tmp_path / "text.txt"
    raw = make.german.encode(encoding)
    path.write_bytes(raw)
    assert sniff(path) is Kind.TEXT
    assert words(" ".join(t for _, t in texts(path, limits))) == words(make.german)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "shift-jis", "euc-jp"])
def test_japanese_is_read_in_every_encoding(encoding, make, tmp_path, limits):
    path = tmp_path / "text.txt"
    path.write_bytes(make.japanese.encode(encoding))
    assert sniff(path) is Kind.TEXT
    assert "".join(t for _, t in texts(path, limits)).replace(" ", "") == make.japanese


def test_every_first_letter_of_utf_16_is_told_from_an_mpeg_sound(tmp_path):
    """UTF-16's mark FF FE is a valid beginning of an MPEG audio frame."""
    path = tmp_path / "text"
    for letter in "aHzÄ夏Ω 1":
        path.write_bytes(f"{letter} walk by the sea".encode("utf-16"))
        assert sniff(path) is Kind.TEXT, letter


def test_a_few_broken_bytes_do_not_turn_utf_8_into_gibberish(make):
    raw = make.german.encode() * 20
    cut = raw[:3_000] + b"\xff\xfe\xc3" + raw[3_000:]
    assert decode(cut).count("Höhe") >= 78
    assert decode(make.japanese.encode()[:-1]) == make.japanese[:-1]


def test_a_short_text_is_one_passage_without_a_part(tmp_path, limits):
    path = tmp_path / "a.txt"
    path.write_text("Two boats.\n")
    assert texts(path, limits) == [("", "Two boats.")]


def test_a_long_text_is_split_at_paragraphs_and_sentences_and_loses_no_word(tmp_path):
    path = tmp_path / "a.txt"
    text = "\n\n".join(f"Paragraph {n} begins here. " + "It has a second sentence! " * (n % 7) for n in range(40))
    path.write_text(text)
    limits = Limits(passage_characters=200)
    found = texts(path, limits)
    assert [part for part, _ in found] == [f"passage {n}" for n in range(1, len(found) + 1)]
    assert all(len(t) <= 200 for _, t in found)
    assert words(" ".join(t for _, t in found)) == words(text)
    assert all(t[-1] in ".!" for _, t in found)


def test_a_word_longer_than_a_passage_is_cut_inside():
    assert list(split("x" * 25, 10)) == ["x" * 10, "x" * 10, "x" * 5]
    assert list(split("aaa bbb ccc ddd", 7)) == ["aaa bbb", "ccc ddd"]


def test_splitting_takes_time_in_proportion_to_the_length():
    """One line of ten million characters without any sentence end; cutting off pieces took minutes."""
    started = time.process_time()
    assert sum(len(piece) for piece in split("word " * 2_000_000, 600)) > 9_000_000
    assert time.process_time() - started < 5


def test_cells_of_tables_that_hold_words_are_passages(make, tmp_path, limits):
    for kind in ("table.csv", "table.tsv"):
        found = dict(texts(make.file(tmp_path, kind), limits))
        assert found["row 2, column 1"] == "cat 0"
        assert found["row 7, column 2"] == "likes fish and sleep"
        assert "row 2, column 3" not in found  # a number


@pytest.mark.parametrize("name", ["table", "table.txt", "table.jpg", "table.csv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_told_from_its_bytes(delimiter, name, make, tmp_path, limits):
    path = tmp_path / name
    path.write_text(make.bytes_of("table.csv").decode().replace(",", delimiter))
    assert dict(texts(path, limits))["row 3, column 1"] == "cat 1"


def test_prose_with_commas_is_no_table(tmp_path, limits):
    path = tmp_path / "a.txt"
    path.write_text("Dear Ann, hello, and so on\nwe saw boats, birds\nand, well, much, more\nBest, Bob\n")
    assert [part for part, _ in texts(path, limits)] == [""]


def test_quoted_cells_hold_delimiters_and_line_ends(tmp_path, limits):
    path = tmp_path / "a.csv"
    path.write_bytes(b'name,note\r\n"Ann, the first","two\r\nlines"\r\n')
    found = dict(texts(path, limits))
    assert found["row 2, column 1"] == "Ann, the first"
    assert found["row 2, column 2"].split() == ["two", "lines"]


def test_old_macintosh_line_ends_separate_rows(tmp_path, limits):
    path = tmp_path / "a.csv"
    path.write_bytes(b"name,note\rAnn,first\rBob,second\r")
    assert dict(texts(path, limits))["row 3, column 2"] == "second"


def test_a_long_cell_is_split_like_any_long_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,note\nAnn," + "She sees a boat. " * 10 + "\n")
    found = dict(texts(path, Limits(passage_characters=100)))
    assert found["row 2, column 2, passage 2"].startswith("She sees")


def test_a_table_with_endless_quoting_gives_what_came_before_and_a_note(tmp_path, limits):
    path = tmp_path / "a.csv"
    path.write_text("name,note\nAnn,first\nBob,\"" + "x" * 200_000)
    found, note = passages(path, limits)
    assert ("row 2, column 2", "first") in [(p.part, p.text) for p in found]
    assert "broken after row 2" in note


def test_hostile_quotes_do_not_hold_up_a_table(tmp_path, limits):
    path = tmp_path / "a.csv"
    started = time.process_time()
    for text in (',"' * 100_000, 'a,"b\n' * 50_000, '"a" ' * 50_000, "'a',\"b\n" * 50_000):
        path.write_text(text)
        if "a" in text:
            assert passages(path, limits)[0]
        else:
            with pytest.raises(UnreadableMedia, match="no words"):
                passages(path, limits)
    assert time.process_time() - started < 8


def test_strings_of_json_lines_are_passages_named_by_line_and_key(make, tmp_path, limits):
    for name in ("lines.jsonl", "lines.txt", "lines"):
        found = texts(make.file(tmp_path, "lines.jsonl", name), limits)
        assert found[0] == ("line 1, caption", "A red boat number 0")
        assert len(found) == 6


def test_json_lines_may_nest_and_hold_any_character_and_broken_lines(tmp_path, limits):
    path = tmp_path / "a.jsonl"
    rows = [json.dumps({"a": {"b": ["one", "two"]}}), '{"broken',
            json.dumps({"t": "line\u2028end"}, ensure_ascii=False), "[" * 100_000, json.dumps("plain"),
            '{"half": "\\ud83d of a pair", "zero": "a\\u0000b"}']
    path.write_text("\n".join(rows))
    found = dict(texts(path, limits))
    assert found["line 1, a.b.1"] == "one"
    assert found["line 1, a.b.2"] == "two"
    assert found["line 3, t"] == "line\u2028end"
    assert found["line 5"] == "plain"
    assert found["line 6, half"].encode() == "\ufffd of a pair".encode()
    assert found["line 6, zero"] == "ab"


def test_a_text_above_the_limit_is_refused_at_once_and_names_the_setting(tmp_path, limits):
    path = tmp_path / "huge.txt"
    with open(path, "wb") as file:
        file.write(b"words and words\n" * 2_000)
        file.truncate(2_000_000_000)
    started = time.process_time()
    with pytest.raises(MediaTooLarge, match="2,000 MB") as caught:
        describe(path, limits)
    assert time.process_time() - started < 1
    assert f"{limits.max_text_megabytes} MB" in caught.value.hint
    assert "Settings" in caught.value.hint


def test_the_limit_of_size_is_the_persons_own(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"word " * 300_000)
    assert describe(path, Limits(max_text_megabytes=2)).items
    with pytest.raises(MediaTooLarge):
        describe(path, Limits(max_text_megabytes=1))


def test_what_was_left_out_above_the_limit_of_passages_is_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join("A sentence that is long enough to stand alone. " * 4 for _ in range(30)))
    told = describe(path, Limits(passage_characters=200, max_passages=10))
    assert len(told.items) == 10
    assert "first 10 passages" in told.note
    path.write_text("One sentence.")
    assert describe(path, Limits(max_passages=1)).note == ""


@pytest.mark.parametrize("raw", [b" \n\t\n", b"....!!!\n---\n", "\u3000\n".encode(), b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_text_without_words_is_refused(raw, tmp_path, limits):
    path = tmp_path / "a.txt"
    path.write_bytes(raw)
    with pytest.raises(UnreadableMedia, match="no words"):
        describe(path, limits)


def test_equal_texts_have_equal_hashes_wherever_they_stand(tmp_path, limits):
    for name, text in (("a.txt", "two boats"), ("b.csv", "id,note\n1,two boats\n")):
        (tmp_path / name).write_text(text)
    one = describe(tmp_path / "a.txt", limits).items[0]
    assert one.content_hash in [item.content_hash for item in describe(tmp_path / "b.csv", limits).items]
