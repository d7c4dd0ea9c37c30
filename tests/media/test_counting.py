"""What a choice takes of a folder is counted as it is added then."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmstudio.media import Kind
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.counting import Count, counting
from mmstudio.progress import finish
from mmstudio.project import Project


@pytest.fixture
def folder(mixed_folder: Path, make_picture: Callable[..., Path]) -> Path:
    """Of the mixed folder, with a captioned picture in a folder inside it, a table, and what is no media."""
    inside = make_picture("media/deep/captioned.PNG", "yellow")
    inside.with_suffix(".txt").write_text("a yellow disc")
    (mixed_folder / "table.csv").write_text("text\na dog\n")
    (mixed_folder / "program").write_bytes(b"\x7fELF" + bytes(100))
    return mixed_folder


CHOICES = (EVERYTHING, Choice(frozenset({Kind.IMAGE})), Choice(frozenset({Kind.AUDIO, Kind.TEXT})),
           Choice(pattern="*.png"), Choice(subfolders=False), Choice(frozenset({Kind.IMAGE}), "PICTURE 1*", False))


@pytest.mark.parametrize("choice", CHOICES)
def test_the_count_is_what_adding_takes(folder: Path, tmp_path: Path, choice: Choice, pool: ThreadPoolExecutor) -> None:
    count = finish(counting(folder, choice))
    project = Project.open(tmp_path / "p")
    report = finish(project.add([folder], pool, choice=choice))
    added = [item for item in project.items().values() if item.part != "caption"]
    told = {kind: sum(item.modality == kind.value for item in added) for kind in Kind}
    broken = sum("broken" in path.name for path, _ in report.failures)
    told[Kind.IMAGE] += broken  # its first bytes are those of a picture
    assert {kind: number for kind, number in told.items() if number} == dict(count.kinds)
    assert count.others == len(report.failures) - broken
    assert count.tables == (len(report.tables) if not choice.kinds and choice.pattern == "" else 0)
    project.close()


def test_captions_are_counted_apart_and_steps_tell_how_far_it_is(folder: Path) -> None:
    for number in range(60):
        (folder / f"more {number}.txt").write_text(f"text {number}")
    steps = list(counting(folder, EVERYTHING))
    assert any(isinstance(step.fresh, Count) and 0 < step.done < step.total for step in steps)
    assert finish(counting(folder, EVERYTHING)).captions == 1
    assert finish(counting(folder, EVERYTHING, captions=False)).kinds[Kind.TEXT] == 67


def test_a_choice_is_told_and_understood_again() -> None:
    for choice in CHOICES:
        assert Choice.of(choice.told()) == choice
    assert Choice.of({}) == EVERYTHING
    assert Choice.of({"kinds": ["smell", "image"]}) == Choice(frozenset({Kind.IMAGE}))
