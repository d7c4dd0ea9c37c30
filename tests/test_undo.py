"""Undo and redo of everything that changes a project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmstudio.encoders import Encoder
from mmstudio.errors import ProjectError
from mmstudio.library import Store
from mmstudio.library.history import STEPS, Edit, History, Standing
from mmstudio.media import Description
from mmstudio.progress import finish
from mmstudio.project import Project


@pytest.fixture
def project(tmp_path: Path, mixed_folder: Path, pool: ThreadPoolExecutor) -> Iterator[Project]:
    """A project of 24 items."""
    opened = Project.open(tmp_path / "project")
    finish(opened.add([mixed_folder], pool))
    yield opened
    opened.close()


def _state(project: Project) -> Any:
    return dict(project.items().items()), {s.id: s for s in project.samples()}


def _group(project: Project) -> None:
    project.group("three", list(project.items())[:3])


CHANGES: dict[str, Callable[[Project], object]] = {
    "tag": lambda p: p.tag(list(p.items())[:5], "new"),
    "untag": lambda p: p.untag(list(p.items())[:2], "old"),
    "column": lambda p: p.set_column(list(p.items())[:4], "score", 0.5),
    "remove": lambda p: p.remove(list(p.items())[2:6]),
    "group": _group,
    "ungroup": lambda p: p.ungroup(p.samples()[0].id),
    "weights": lambda p: p.set_weights(p.samples()[0].id, {"image": 0.2}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_undone_and_done_again_exactly(project: Project, change: str, tmp_path: Path) -> None:
    project.tag(list(project.items())[:2], "old")
    project.group("first", list(project.items())[1:4])
    before = _state(project)
    CHANGES[change](project)
    after = _state(project)
    assert after != before
    for _ in range(2):
        assert project.undo() is not None
        assert _state(project) == before
        assert project.redo() is not None
        assert _state(project) == after
    project.close()
    again = Project.open(tmp_path / "project")  # what was undone and redone is on the disk
    assert _state(again) == after
    again.close()


def test_adding_is_undone_with_the_samples_it_made(
    project: Project, tmp_path: Path, make_picture: Callable[..., Path], pool: ThreadPoolExecutor,
) -> None:
    before = _state(project)
    report = finish(project.add([make_picture("late.png", "pink")], pool))
    assert project.undo() is not None
    assert _state(project) == before
    back = project.redo()
    assert back is not None
    assert back.changed.tolist() == list(report.added)


def test_items_that_come_back_have_their_vectors_without_encoding(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor,
) -> None:
    finish(project.encode(starter, pool))
    vectors = project.vectors(starter)
    gone = list(project.items())[:3]
    before = vectors.vector(gone[0])
    project.remove(gone)
    assert project.vectors(starter).vector(gone[0]) is None
    project.undo()
    assert finish(project.encode(starter, pool)).encoded == 0
    after = project.vectors(starter).vector(gone[0])
    assert before is not None
    assert after is not None
    assert (before == after).all()


def test_a_new_change_forgets_what_was_undone(project: Project) -> None:
    ids = list(project.items())
    project.tag(ids[:1], "a")
    project.undo()
    project.tag(ids[:1], "b")
    assert project.redo() is None
    assert project.item(ids[0]).tags == ("b",)


def test_a_hundred_steps_are_kept_and_no_more(project: Project) -> None:
    first = next(iter(project.items()))
    for number in range(STEPS + 5):
        project.tag([first], f"tag {number:03}")
    undone = 0
    while project.undo() is not None:
        undone += 1
    assert undone == STEPS
    assert project.item(first).tags == tuple(f"tag {n:03}" for n in range(5))


def test_what_changes_nothing_is_no_step(project: Project) -> None:
    first = next(iter(project.items()))
    project.tag([first], "a")
    project.tag([first], "a")
    project.undo()
    assert project.item(first).tags == ()


def test_undoing_a_removal_of_what_was_added_anew_meanwhile_adds_nothing_twice(
    project: Project, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    first = next(iter(project.items()))
    gone = project.item(first)
    project.remove([first])
    finish(project.add([mixed_folder], pool))
    assert project.undo() is not None  # the adding
    assert project.undo() is not None  # the removal
    assert project.item(first) == gone
    project.redo()
    project.redo()
    hashes = [item.content_hash for item in project.items().values()]
    assert len(hashes) == len(set(hashes)) == 24


def test_a_file_that_was_found_again_stays_found_when_an_earlier_tag_is_undone(
    project: Project, mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor,
) -> None:
    first = next(i for i, item in project.items().items() if item.modality == "image")
    project.tag([first], "z")
    moved = tmp_path / "moved.png"
    project.item(first).path.rename(moved)
    finish(project.add([moved], pool))
    assert project.item(first).path == moved
    project.undo()
    assert project.item(first).tags == ()
    assert project.item(first).path == moved


def test_finding_moved_files_is_one_step_also_where_it_was_cut_off(
    project: Project, mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor,
) -> None:
    before = {i: item.path for i, item in project.items().items()}
    mixed_folder.rename(tmp_path / "away")
    finish(project.find_missing(tmp_path, pool))
    after = {i: item.path for i, item in project.items().items()}
    assert after != before
    undone = project.undo()
    assert undone is not None
    assert (undone.title, undone.moved, undone.own) == ("Find missing files", True, ())
    assert {i: item.path for i, item in project.items().items()} == before
    project.redo()
    assert {i: item.path for i, item in project.items().items()} == after
    project.find_missing(tmp_path, pool).close()
    finish(project.find_missing(tmp_path, pool))  # nothing is missing: no step
    project.undo()
    assert project.history.redoable == "Find missing files"
    assert {i: item.path for i, item in project.items().items()} == before


def test_a_setting_of_the_project_is_taken_back_also_to_none(project: Project) -> None:
    project.keep("slices", {"a": "tag:a"}, "Slice")
    project.keep("slices", {"a": "tag:a", "b": "tag:b"}, "Another")
    project.keep("slices", {"a": "tag:a", "b": "tag:b"}, "The same")
    undone = project.undo()
    assert undone is not None
    assert (undone.title, undone.own) == ("Another", ("slices",))
    assert project.own.get("slices") == {"a": "tag:a"}
    project.undo()
    assert project.own.get("slices", "none") == "none"
    project.redo()
    folder = project.folder
    project.close()
    reopened = Project.open(folder)
    assert reopened.own.get("slices") == {"a": "tag:a"}
    reopened.close()


def test_undoing_while_items_are_encoded_does_not_end_the_encoding(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor,
) -> None:
    work = project.encode(starter, pool, batch=4)
    for _ in range(3):
        next(work)
    ids = list(project.items())
    project.tag(ids[:2], "a")
    project.undo()
    project.remove(ids[-2:])
    project.undo()
    assert not finish(work).failures
    finish(project.encode(starter, pool))
    assert len(project.vectors(starter)) == 24


def test_a_tag_given_while_its_items_are_being_added_is_not_brought_back_by_undoing_both(
    tmp_path: Path, mixed_folder: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmstudio.adding.COMMIT_ITEMS", 4)
    project = Project.open(tmp_path / "other")
    work = project.add([mixed_folder], pool)
    while not len(project.items()):
        next(work)
    project.tag(list(project.items())[:1], "z")
    finish(work)
    project.undo()
    assert len(project.items()) == 0
    project.undo()
    assert len(project.items()) == 0
    project.close()


MANY = 25_000

MANY_CHANGED: dict[str, Callable[[Project, list[int]], object]] = {
    "tag": lambda p, ids: p.tag(ids, "many"),
    "untag": lambda p, ids: p.untag(ids, "old"),
    "column": lambda p, ids: p.set_column(ids, "score", 0.5),
    "empty column": lambda p, ids: p.set_column(ids, "shot", None),
    "remove": lambda p, ids: p.remove(ids),
}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of very many items, some tagged "old", each with a column of its own."""
    folder = tmp_path_factory.mktemp("many")
    store = Store(folder)
    store.add([Description(Path(f"/{i}.png"), "image", f"{i:040x}", tags=("a", "old")[: i % 3], columns={"shot": i})
               for i in range(MANY)])
    store.close()
    opened = Project.open(folder)
    yield opened
    opened.close()


@pytest.mark.parametrize("change", MANY_CHANGED)
def test_a_change_of_very_many_items_is_undone_and_done_again_exactly(many: Project, change: str) -> None:
    before, ids = many.items().table(), list(many.items())
    MANY_CHANGED[change](many, ids[1::2] if change == "remove" else ids[:-1])
    after = many.items().table()
    assert after.num_rows < MANY * 0.6 or np.mean([new != old for name in ("tags", "columns") for new, old in zip(
        after[name].to_pylist(), before[name].to_pylist(), strict=True)]) > 0.15
    for rows, step in ((before, many.undo), (after, many.redo), (before, many.undo)):
        assert step() is not None
        assert many.items().table().equals(rows)


def test_the_oldest_steps_are_forgotten_where_all_together_hold_too_much_and_the_newest_never() -> None:
    def step(number: int) -> Edit:
        ids = np.full(1000, number)
        rows = pa.table({"id": ids})
        return Edit(str(number), Standing(rows, ids[:0], {}), Standing(rows.slice(0, 0), ids, {}))

    history = History(most_bytes=2 * step(0).size)
    for number in range(5):
        history.record(step(number))
    told = []
    while edit := history.last_done():
        told.append(edit.title)
        history.undone()
    assert told == ["4", "3", "2"]


def test_the_example_is_one_step_with_its_samples(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    project = Project.open(tmp_path / "example")
    finish(project.add_example(pool))
    before = len(project.items()), len(project.samples())
    project.undo()
    assert (len(project.items()), len(project.samples())) == (0, 0)
    project.redo()
    assert (len(project.items()), len(project.samples())) == before
    project.close()


def test_a_closed_project_writes_nothing_any_more(project: Project, tmp_path: Path) -> None:
    project.close()
    with pytest.raises(ProjectError, match="closed"):
        project.tag(list(project.items())[:1], "late")


def test_an_item_removed_while_its_folder_is_read_again_is_not_stored_without_its_facts(
    project: Project, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    work = project.add([mixed_folder], pool)
    next(work)
    next(work)
    gone = [i for i, item in project.items().items() if item.modality == "image"]
    project.remove(gone)
    finish(work)
    assert all(item.facts for item in project.items().values() if item.modality == "image")
