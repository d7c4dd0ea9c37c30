"""What stands beside a file tells of it: captions in texts and JSON, classes in the names of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmstudio.media.sidecars import caption_of, folder_labels


@pytest.fixture
def said(tmp_path):
    """``said(name=content, ...)`` writes sidecars of x.jpg and gives what they say."""

    def write(**sidecars):
        for ending, content in sidecars.items():
            (tmp_path / f"x.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
        return caption_of(tmp_path / "x.jpg")

    return write


def test_a_text_beside_a_picture_is_its_caption(said):
    assert said(txt="  A boat on the sea\n") == {"text": "A boat on the sea"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_caption_is_read_in_its_encoding(encoding, said):
    text = "Über den Bäumen ist die Höhe grün, und die Straße führt zum Fluß."
    assert said(txt=text.encode(encoding)) == {"text": text}


def test_json_beside_a_picture_gives_text_label_tags_and_columns(said):
    assert said(json='{"Caption": "A boat", "label": 3, "tags": ["wet", "big"], "size": {"w": 5}, "ok": true, '
                     '"none": null, "list": [1, 2]}') == {
        "text": "A boat", "label": "3", "tags": ["wet", "big"], "size.w": 5, "ok": True}


def test_tags_may_be_one_text_with_commas(said):
    assert said(json='{"tags": "wet, big,"}') == {"tags": ["wet", "big"]}


def test_a_caption_and_a_text_are_both_kept(said):
    assert said(json='{"text": "long", "caption": "short"}')["text"] == "short"
    assert said(json='{"caption": "short", "text": "long"}') == {"text": "short", "text 2": "long"}


def test_json_adds_to_the_text(said):
    assert said(txt="A boat", json='{"label": "sea"}') == {"text": "A boat", "label": "sea"}


@pytest.mark.parametrize("content", [
    b"{", b"[1]", b"", b"[" * 200_000, b'{"a": "' + b"x" * 1_100_000 + b'"}', b"\0\xff"])
def test_a_sidecar_that_cannot_be_read_is_none(content, said):
    assert said(json=content) is None


def test_texts_without_words_and_files_without_sidecars_say_nothing(said, tmp_path):
    assert said() is None
    assert said(txt=" \n") is None
    assert said(txt=b"\0\1\2\3" * 20) is None
    (tmp_path / "y.txt").write_text("a text is not its own caption")
    assert caption_of(tmp_path / "y.txt") is None
    (tmp_path / "z.json").mkdir()
    assert caption_of(tmp_path / "z.png") is None


def labels(*names, root="r"):
    told = folder_labels([Path(name) for name in names], Path(root))
    return {str(path): "/".join(str(cells[name]) for name in ("split", "label") if name in cells)
            for path, cells in told.items()}


def test_folders_are_classes_where_all_files_lie_in_two_or_more_of_them():
    assert labels("r/cat/1.jpg", "r/dog/2.jpg", "r/cat/3.jpg") == {
        "r/cat/1.jpg": "cat", "r/dog/2.jpg": "dog", "r/cat/3.jpg": "cat"}


def test_folders_of_splits_hold_folders_of_classes():
    assert labels("r/train/cat/1.jpg", "r/train/dog/2.jpg", "r/Test/cat/3.jpg") == {
        "r/train/cat/1.jpg": "train/cat", "r/train/dog/2.jpg": "train/dog", "r/Test/cat/3.jpg": "Test/cat"}
    assert labels("r/a/cat/1.jpg", "r/b/dog/2.jpg") == {}


def test_other_folders_are_no_classes():
    assert labels() == {}
    assert labels("r/cat/1.jpg", "r/cat/2.jpg") == {}
    assert labels("r/cat/1.jpg", "r/dog/2.jpg", "r/3.jpg") == {}
    assert labels("r/cat/1.jpg", "r/dog/deep/2.jpg") == {}
    assert labels("r/train/1.jpg", "r/test/2.jpg") == {}
    assert labels("s/cat/1.jpg", "s/dog/2.jpg") == {}
