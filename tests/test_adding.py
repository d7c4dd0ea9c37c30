"""What is said of contents that a project has already: tables and sidecars that come later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mmstudio.adding import AddReport
from mmstudio.media.many_tables import open_tables
from mmstudio.media.tables import guess_roles, open_table
from mmstudio.progress import finish
from mmstudio.project import Project
from mmstudio.settings import Settings


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    opened = Project.open(tmp_path / "project")
    yield opened
    opened.close()


@pytest.fixture
def pictures(make_picture: Callable[..., Path], tmp_path: Path) -> Path:
    for colour in ("red", "green", "blue", "black"):
        make_picture(f"set/{colour}.png", colour)
    return tmp_path / "set"


@pytest.fixture
def read(project: Project, pool: ThreadPoolExecutor) -> Callable[[Path], AddReport]:
    def read(path: Path) -> AddReport:
        table = open_table(path, project.limits)
        return finish(project.add_table(table, guess_roles(table, table.preview()), pool))

    return read


def _said(project: Project) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
    return {item.path.name: (item.tags, item.columns) for item in project.items().values() if not item.text}


def _labels(folder: Path, *rows: str, header: str = "image,label,price") -> Path:
    (folder.parent / "labels.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    return (folder.parent / "labels.csv").rename(folder / "labels.csv")


def test_labels_that_come_after_their_pictures_are_taken_in_as_one_step(
    project: Project, pictures: Path, pool: ThreadPoolExecutor, read: Callable[[Path], AddReport], tmp_path: Path,
) -> None:
    finish(project.add([pictures], pool))
    before = _said(project)
    labels = _labels(pictures, "red.png,warm,1.5", "green.png,cold,2", "blue.png,cold,3", "black.png,cold,4")
    report = read(labels)
    assert (report.added, report.known, report.updated) == ((), 4, 4)
    after = _said(project)
    assert after["red.png"] == (("warm",), {"price": 1.5, "row": 1.0})
    assert after["black.png"] == (("cold",), {"price": 4.0, "row": 4.0})
    assert project.undo() is not None
    assert _said(project) == before
    assert project.redo() is not None
    assert _said(project) == after
    project.close()
    again = Project.open(tmp_path / "project")
    assert _said(again) == after
    again.close()


def test_doing_it_twice_changes_nothing_and_is_no_step(
    project: Project, pictures: Path, read: Callable[[Path], AddReport],
) -> None:
    rows = [f"{colour}.png,{label},the same words for all of them,{price}" for colour, label, price in (
        ("red", "warm", 1), ("green", "cold", 2), ("red", "bright", 3), ("blue", "cold", 4))]
    labels = _labels(pictures, *rows, header="image,label,caption,price")
    first = read(labels)
    assert (len(first.added), first.known, first.updated) == (4, 4, 0)
    after, samples = _said(project), project.samples()
    assert after["red.png"] == (("bright", "warm"), {"price": 1.0, "row": 1.0})  # the first row counts, tags add up
    assert len(samples) == 3
    second = read(labels)
    assert (second.added, second.known, second.updated) == ((), 8, 0)
    assert _said(project) == after
    assert project.samples() == samples
    project.undo()
    assert not project.items()
    assert project.history.undoable == ""


def test_a_value_that_differs_is_the_tables_and_others_and_tags_stay(
    project: Project, pictures: Path, read: Callable[[Path], AddReport],
) -> None:
    rows = ("red.png,warm,1", "green.png,cold,2", "blue.png,cold,3")
    read(_labels(pictures, *rows))
    red = next(item.id for item in project.items().values() if item.path.name == "red.png")
    project.tag([red], "mine")
    project.set_column([red], "note", "kept")
    report = read(_labels(pictures, "red.png,hot,9", *rows[1:]))
    assert (report.known, report.updated) == (3, 1)
    assert _said(project)["red.png"] == (("hot", "mine", "warm"), {"price": 9.0, "row": 1.0, "note": "kept"})
    project.undo()
    assert _said(project)["red.png"] == (("mine", "warm"), {"price": 1.0, "row": 1.0, "note": "kept"})


def test_a_row_of_known_contents_forms_its_sample_once(
    project: Project, pictures: Path, pool: ThreadPoolExecutor, read: Callable[[Path], AddReport], tmp_path: Path,
) -> None:
    (tmp_path / "words.txt").write_text("a red disc on white paper")
    finish(project.add([pictures, tmp_path / "words.txt"], pool))
    labels = _labels(pictures, "red.png,a red disc on white paper", header="image,caption")
    assert read(labels).added == ()
    red, words = (next(i.id for i in project.items().values() if i.path.name == name)
                  for name in ("red.png", "words.txt"))
    assert [set(sample.item_ids) for sample in project.samples()] == [{red, words}]
    read(labels)
    assert len(project.samples()) == 1
    while project.history.undoable.startswith("Import"):
        project.undo()
    assert project.samples() == []


def test_a_sidecar_written_beside_a_known_picture_is_taken_in_with_its_caption(
    project: Project, pictures: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([pictures], pool))
    (pictures / "red.json").write_text(json.dumps({"caption": "a red disc", "label": "warm", "price": 7}))
    for _ in range(2):
        report = finish(project.add([pictures], pool))
    assert (report.added, report.known, report.updated) == ((), 5, 0)
    assert _said(project)["red.png"] == (("warm",), {"price": 7.0})
    sample, = project.samples()
    assert {project.item(i).modality for i in sample.item_ids} == {"image", "text"}
    project.undo()
    assert _said(project)["red.png"] == ((), {})
    assert len(project.items()) == 4


def test_a_caption_dropped_alone_beside_a_known_picture_becomes_its_caption(
    project: Project, pictures: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([pictures], pool))
    caption = pictures / "red.txt"
    caption.write_text("a red disc")
    report = finish(project.add([caption], pool))
    red = next(item for item in project.items().values() if item.path.name == "red.png" and not item.text)
    text = next(item for item in project.items().values() if item.text)
    assert (len(report.added), report.known) == (1, 1)
    assert (text.part, text.path.name) == ("caption", "red.png")
    assert [sample.item_ids for sample in project.samples()] == [(red.id, text.id)]
    finish(project.add([caption], pool))
    assert (len(project.items()), len(project.samples())) == (5, 1)
    project.undo()
    assert (len(project.items()), len(project.samples())) == (4, 0)


@pytest.mark.parametrize("told", ["txt", "json"])
def test_a_caption_is_told_from_a_text_of_its_own(
    tmp_path: Path, make_picture: Callable[..., Path], pool: ThreadPoolExecutor, told: str,
) -> None:
    """Of a picture that was copied into the project, and of one that the project does not have."""
    project = Project.open(tmp_path / "p", Settings({"copy_media": True}))
    known, unknown = make_picture("in/known.png"), make_picture("in/unknown.png", "blue")
    finish(project.add([known], pool))
    for picture in (known, unknown):
        text = f"the words of {picture.stem}"
        picture.with_suffix(f".{told}").write_text(json.dumps({"caption": text}) if told == "json" else text)
    finish(project.add([known.with_suffix(f".{told}"), unknown.with_suffix(f".{told}")], pool))
    texts = {item.text.strip(): item.part for item in project.items().values() if item.modality == "text"}
    assert texts["the words of known"] == "caption"
    assert len(texts) == 2
    assert [part for text, part in texts.items() if "unknown" in text] != ["caption"]
    assert len(project.samples()) == 1
    project.close()


def test_a_text_that_was_read_alone_is_the_caption_once_its_picture_is_known(
    project: Project, make_picture: Callable[..., Path], pool: ThreadPoolExecutor,
) -> None:
    picture = make_picture("in/red.png")
    caption = picture.with_suffix(".txt")
    caption.write_text("a red disc")
    finish(project.add([caption], pool))
    finish(project.add([picture], pool))
    assert [len(sample.item_ids) for sample in project.samples()] == [2]
    assert len(project.items()) == 2


def test_an_adding_that_is_stopped_can_be_undone_as_far_as_it_came(
    project: Project, pictures: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([pictures], pool))
    labels = _labels(pictures, *(f"{c}.png,{c},1" for c in ("red", "green", "blue", "black")))
    table = open_table(labels, project.limits)
    work = project.add_table(table, guess_roles(table, table.preview()), pool)
    while not any(tags for tags, _ in _said(project).values()):
        next(work)
    work.close()
    project.undo()
    assert not any(tags for tags, _ in _said(project).values())


def test_tables_in_a_folder_are_left_aside_and_told_and_named_ones_are_read_as_texts(
    project: Project, pictures: Path, pool: ThreadPoolExecutor,
) -> None:
    labels = _labels(pictures, "red.png,a warm colour,1")
    report = finish(project.add([pictures], pool))
    assert report.tables == (labels,)
    assert {item.modality for item in project.items().values()} == {"image"}
    report = finish(project.add([labels], pool))
    assert report.tables == ()
    assert "a warm colour" in {item.text for item in project.items().values()}


def test_the_rows_of_several_files_come_into_the_project_as_one_step(
    project: Project, tmp_path: Path, pool: ThreadPoolExecutor,
) -> None:
    files = [tmp_path / f"{n}.csv" for n in range(3)]
    for n, file in enumerate(files):
        file.write_text(f"text,labels\nthe words of file {n},tag {n}\nother words of it {n},tag {n}\n")
    table = open_tables(files, project.limits)
    report = finish(project.add_table(table, guess_roles(table, table.preview()), pool))
    assert len(report.added) == 6
    assert {(item.path.name, item.tags) for item in project.items().values()} == {
        (f"{n}.csv", (f"tag {n}",)) for n in range(3)}
    project.undo()
    assert not project.items()
