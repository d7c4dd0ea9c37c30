"""Missing media found by content, copied into the project; captions, folders as tags; the project's own settings."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from mmstudio.errors import ProjectError
from mmstudio.progress import finish
from mmstudio.project import Project
from mmstudio.settings import Settings
from mmstudio.whereabouts import missing, places

Make = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.open(tmp_path / "p")


def _film(path: Path) -> Path:
    """Three seconds of two colours."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(15):
            colour = (200, 30, 30) if number < 8 else (30, 30, 200)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), colour, np.uint8))))
        container.mux(stream.encode())
    return path


def test_moved_and_renamed_files_are_found_by_content_and_keep_what_they_had(
    project: Project, tmp_path: Path, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([mixed_folder], pool))
    before = {item.id: item for item in project.items().values()}
    project.tag([1], "kept")
    assert missing(project.items()).tolist() == []
    away = tmp_path / "elsewhere" / "deep"
    shutil.move(mixed_folder, away)
    (away / "picture 3.png").rename(away / "quite another name.bin")
    (away / "tone ü 0.wav").unlink()
    os.mkfifo(away / "pipe")
    media = [i for i, item in before.items() if item.modality != "text"]
    assert missing(project.items()).tolist() == media
    report = finish(project.find_missing(tmp_path / "elsewhere", pool))
    assert (report.found, report.missing) == (len(media) - 1, 1)
    lost = missing(project.items()).tolist()
    assert [before[i].path.name for i in lost] == ["tone ü 0.wav"]
    assert project.item(1).tags == ("kept",)
    assert all(project.item(i).path.exists() for i in media if i not in lost)
    project.close()
    assert missing(Project.open(project.folder).items()).tolist() == lost


def test_a_moved_video_is_found_with_all_its_frames_and_its_sound(
    project: Project, tmp_path: Path, pool: ThreadPoolExecutor,
) -> None:
    video = _film(tmp_path / "clip.mp4")
    finish(project.add([video], pool))
    parts = [item.part for item in project.items().values()]
    assert len(parts) > 1
    target = tmp_path / "there" / "renamed.mp4"
    target.parent.mkdir()
    video.rename(target)
    assert len(missing(project.items())) == len(parts)
    assert finish(project.find_missing(target.parent, pool)).missing == 0
    assert {item.path for item in project.items().values()} == {target}


def test_media_are_copied_once_and_the_originals_are_needed_no_more(
    project: Project, tmp_path: Path, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([mixed_folder], pool))
    gone = mixed_folder / "picture 1.png"
    gone.unlink()
    ids = project.items().ids().tolist()
    report = finish(project.copy_media(ids))
    assert (report.copied, [path for path, _ in report.failures]) == (17, [gone])
    assert finish(project.copy_media(ids)).copied == 0
    shutil.rmtree(mixed_folder)
    assert missing(project.items()).tolist() == [i for i in ids if project.item(i).path == gone]
    assert len(list(project.media.iterdir())) == 17
    assert len(places(project.items(), project.media)) == 17


def test_where_the_project_cannot_be_written_a_copy_says_so_and_what_was_copied_stays(
    project: Project, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([mixed_folder], pool))
    project.media.write_text("in the way")
    with pytest.raises(ProjectError, match="could not be copied"):
        finish(project.copy_media(project.items().ids().tolist()))
    assert missing(project.items()).tolist() == []


def test_a_file_that_has_changed_is_not_copied_as_what_it_was(
    project: Project, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    finish(project.add([mixed_folder], pool))
    (mixed_folder / "picture 2.png").write_bytes((mixed_folder / "picture 3.png").read_bytes())
    report = finish(project.copy_media(project.items().ids().tolist()))
    assert [(path.name, why) for path, why in report.failures] == [
        ("picture 2.png", "The file has changed since it was added.")]


def test_an_adding_that_copied_is_undone_and_done_again_with_its_copies(
    tmp_path: Path, mixed_folder: Path, pool: ThreadPoolExecutor,
) -> None:
    project = Project.open(tmp_path / "p", Settings({"copy_media": True}))
    finish(project.add([mixed_folder], pool))
    project.undo()
    project.redo()
    assert {i.path.parent for i in project.items().values() if i.modality != "text"} == {project.media}


def test_with_the_setting_what_is_added_is_copied(tmp_path: Path, mixed_folder: Path, pool: ThreadPoolExecutor) -> None:
    project = Project.open(tmp_path / "p", Settings({"copy_media": True}))
    finish(project.add([mixed_folder], pool))
    assert {item.path.parent for item in project.items().values() if item.modality != "text"} == {project.media}


def test_a_caption_beside_a_picture_forms_a_sample_with_it_and_is_no_text_of_its_own(
    project: Project, tmp_path: Path, make_picture: Make, make_sound: Make, pool: ThreadPoolExecutor,
) -> None:
    red, blue = make_picture("in/red.png", "red"), make_picture("in/blue.png", "blue")
    make_sound("in/tone.wav")
    red.with_suffix(".txt").write_text("a red disc")
    blue.with_suffix(".json").write_text(json.dumps(
        {"caption": "a blue disc", "label": "disc", "tags": ["round", "blue"], "quality": 0.5, "author": "me"}))
    (tmp_path / "in/alone.txt").write_text("a text of its own")
    finish(project.add([tmp_path / "in"], pool))
    items = {item.title: item for item in project.items().values()}
    assert set(items) == {"red.png", "blue.png", "tone.wav", "a red disc", "a blue disc", "a text of its own"}
    assert items["blue.png"].tags == items["a blue disc"].tags == ("blue", "disc", "round")
    assert items["blue.png"].columns == {"quality": 0.5, "author": "me"}
    assert {s.name: {project.item(i).title for i in s.item_ids} for s in project.samples()} == {
        "red.png": {"red.png", "a red disc"}, "blue.png": {"blue.png", "a blue disc"}}
    again = finish(project.add([tmp_path / "in"], pool))
    assert (again.added, again.known) == ((), 6)
    assert len(project.samples()) == 2


def test_odd_sidecars_cost_no_picture(project: Project, make_picture: Make, pool: ThreadPoolExecutor) -> None:
    picture = make_picture("in/red.png", "red")
    told = {"a": float("nan"), "b": float("inf"), "": "nameless", "tags": [{"name": "x"}, None, "good"], "ok": 2}
    text = json.dumps(told)[:-1] + f', "huge": {"9" * 400}, ' + ", ".join(f'"k{n}": {n}' for n in range(500)) + "}"
    picture.with_suffix(".json").write_text(text)
    report = finish(project.add([picture.parent], pool))
    assert report.failures == ()
    item = next(iter(project.items().values()))
    assert item.tags == ("good",)
    assert item.columns["ok"] == 2
    assert len(item.columns) == 64
    assert not {"", "a", "b", "huge"} & set(item.columns)


def test_a_picture_named_outright_brings_its_caption_and_a_text_named_outright_is_a_text(
    project: Project, make_picture: Make, pool: ThreadPoolExecutor,
) -> None:
    red = make_picture("in/red.png", "red")
    red.with_suffix(".txt").write_text("a red disc")
    finish(project.add([red], pool))
    assert [item.part for item in project.items().values()] == ["", "caption"]
    blue = make_picture("in/blue.png", "blue")
    blue.with_suffix(".txt").write_text("a blue disc")
    finish(project.add([blue.with_suffix(".txt")], pool))
    assert [item.title for item in project.items().values()] == ["red.png", "a red disc", "a blue disc"]


def test_captions_and_folder_tags_can_be_switched_off(
    tmp_path: Path, make_picture: Make, pool: ThreadPoolExecutor,
) -> None:
    project = Project.open(tmp_path / "p", Settings({"captions": False, "folder_labels": False}))
    for name in ("cat/1", "dog/2"):
        make_picture(f"in/{name}.png", "red" if name < "d" else "blue").with_suffix(".txt").write_text(f"about {name}")
    finish(project.add([tmp_path / "in"], pool))
    assert len(project.items()) == 4
    assert project.samples() == []
    assert all(not item.tags for item in project.items().values())


def test_folders_of_classes_become_tags_and_folders_of_splits_columns(
    project: Project, tmp_path: Path, make_picture: Make, pool: ThreadPoolExecutor,
) -> None:
    for number, where in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        make_picture(f"in/{where}/{number}.png", "red", 40 + number)
    (tmp_path / "in/README.md").write_text("how these were made")
    finish(project.add([tmp_path / "in"], pool))
    told = {item.path.name: (item.tags, item.columns) for item in project.items().values() if item.modality == "image"}
    assert told == {"0.png": (("cat",), {"split": "train"}), "1.png": (("dog",), {"split": "train"}),
                    "2.png": (("cat",), {"split": "test"}), "3.png": (("dog",), {"split": "test"})}


def test_a_project_keeps_what_it_was_told_of_itself(project: Project) -> None:
    project.own.set("watched folders", ["/a", "/ü"])
    project.own.set("watched folders", ["/ü"])
    project.own.set("other", {"x": 1})
    project.close()
    again = Project.open(project.folder)
    assert again.own.get("watched folders") == ["/ü"]
    assert again.own.get("other") == {"x": 1}
    assert again.own.get("nothing", 3) == 3
    again.close()
    torn = project.folder / "tables" / "settings.lance"
    shutil.move(torn, project.folder / "kept")
    for stamp in (project.folder / "mirror").glob("settings-*"):
        stamp.unlink()
    shutil.copytree(project.folder / "kept", torn)
    for file in (torn / "data").iterdir():
        file.write_bytes(b"torn")
    for _ in range(2):  # the second time it is not held by the first
        with pytest.raises(ProjectError, match="cannot be opened"):
            Project.open(project.folder)
    shutil.rmtree(torn)
    shutil.move(project.folder / "kept", torn)
    reading = Project.open(project.folder, read_only=True)
    with pytest.raises(ProjectError, match="reading only"):
        reading.own.set("other", 2)


def test_what_lies_outside_a_project_is_listed_once_each_without_texts_and_missing_files(tmp_path, make_picture, pool):
    from mmstudio.project import Project
    from mmstudio.whereabouts import outside

    inside, near = make_picture("project/a.png", "red"), make_picture("project beside/b.png", "blue")
    gone = make_picture("c.png", "green")
    (tmp_path / "words.txt").write_text("some words")
    opened = Project.open(tmp_path / "project")
    try:
        for _ in opened.add([inside, near, gone, tmp_path / "words.txt"], pool):
            pass
        gone.unlink()
        assert outside(opened.items(), tmp_path / "project") == [near]
    finally:
        opened.close()
