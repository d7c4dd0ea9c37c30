"""A watched folder tells each file once, when it is complete."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mmstudio.errors import UnreadableMedia
from mmstudio.media.watch import Watch


def _write(path: Path, text: str, age: float = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def _looks(folder: Path, memory: Path) -> list[list[Path]]:
    """What two looks of one watch tell; the second keeps what the first told."""
    watch = Watch(folder, (), memory)
    return [watch.poll(), watch.poll()]


def test_each_file_is_told_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    known, new = _write(tmp_path / "known.txt", "old"), _write(tmp_path / "sub/new.txt", "new")
    watch = Watch(tmp_path, [known])
    assert watch.poll() == [new]
    assert watch.poll() == []
    _write(new, "changed")
    assert watch.poll() == [new]


def test_a_file_that_is_still_written_is_told_when_it_rests(tmp_path: Path) -> None:
    file = _write(tmp_path / "growing.txt", "a", age=0)
    watch = Watch(tmp_path)
    assert watch.poll() == []
    _write(file, "ab", age=0)
    assert watch.poll() == []
    assert watch.poll() == [file]


def test_a_caption_that_comes_or_changes_after_its_picture_tells_the_picture_again(tmp_path: Path) -> None:
    known = _write(tmp_path / "known.png", "p")
    watch = Watch(tmp_path, [known])
    picture, caption = _write(tmp_path / "x.png", "p"), _write(tmp_path / "x.txt", "c")
    assert watch.poll() == [picture, caption]  # together: the adding tells them apart
    late = _write(tmp_path / "known.txt", "c")
    assert watch.poll() == [known]
    assert watch.poll() == []
    _write(late, "another")
    _write(tmp_path / "gone.txt", "a text of its own")
    assert watch.poll() == [tmp_path / "gone.txt", known]


def test_tables_are_passed_over(tmp_path: Path) -> None:
    text = _write(tmp_path / "x.txt", "words")
    _write(tmp_path / "t.csv", "a,b\n1,2")
    assert Watch(tmp_path).poll() == [text]


def test_what_was_told_is_remembered_over_a_new_start(tmp_path: Path) -> None:
    memory = tmp_path / "memory/of.json"
    first, second = _write(tmp_path / "f/a.txt", "a"), _write(tmp_path / "f/ü\udce9.txt", "b")
    assert _looks(tmp_path / "f", memory) == [[first, second], []]
    assert _looks(tmp_path / "f", memory) == [[], []]
    _write(first, "changed")
    assert _looks(tmp_path / "f", memory) == [[first], []]
    memory.write_text("[torn")
    assert len(Watch(tmp_path / "f", (), memory).poll()) == 2


def test_what_was_told_last_before_an_end_is_told_again_for_nobody_may_have_read_it(tmp_path: Path) -> None:
    memory, file = tmp_path / "memory.json", _write(tmp_path / "f/a.txt", "a")
    for _ in range(2):
        assert Watch(tmp_path / "f", (), memory).poll() == [file]
    watch = Watch(tmp_path / "f", (), memory)
    assert watch.poll() == [file]
    late = _write(tmp_path / "f/b.txt", "b")
    assert watch.poll() == [late]
    assert Watch(tmp_path / "f", (), memory).poll() == [late]


def test_what_was_told_last_and_read_is_told_again_once_it_changes(tmp_path: Path) -> None:
    memory, file = tmp_path / "memory.json", _write(tmp_path / "f/a.txt", "a")
    by_hand = _write(tmp_path / "f/by hand.txt", "b")
    assert Watch(tmp_path / "f", [by_hand], memory).poll() == [file]
    for text in ("changed", "changed once more"):
        watch = Watch(tmp_path / "f", [file, by_hand], memory)  # it was read, and then the studio ended
        assert watch.poll() == []
        _write(file, text)
        _write(by_hand, text)
        assert watch.poll() == [file]
        assert Watch(tmp_path / "f", [file, by_hand], memory).poll() == [file]  # nobody may have read the change
        assert watch.poll() == []


def test_a_folder_that_is_gone_is_an_error_and_may_come_back(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "f")
    with pytest.raises(UnreadableMedia, match="cannot be read"):
        watch.poll()
    file = _write(tmp_path / "f/x.txt", "x")
    assert watch.poll() == [file]
