"""One project, end to end without a window: add, encode, stop, go on, search, group."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmstudio.encoders import Encoder
from mmstudio.errors import ProjectError, SpaceMismatch, UnreadableMedia
from mmstudio.library import Fresh, Sample
from mmstudio.progress import finish
from mmstudio.project import Project, fused
from mmstudio.searching import search


def test_a_mixed_folder_is_added_with_one_reason_for_the_broken_file(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor,
) -> None:
    project = Project.open(tmp_path / "p")
    told: list[int] = []
    work = project.add([mixed_folder], pool)
    try:
        while True:
            step = next(work)
            if isinstance(step.fresh, Fresh):
                told += [item.id for item in step.fresh.items]
    except StopIteration as stop:
        report = stop.value
    assert len(report.added) == 24
    assert told == list(report.added)
    assert [path.name for path, _ in report.failures] == ["broken.png"]
    assert "broken" in report.failures[0][1]
    again = finish(project.add([mixed_folder], pool))
    assert again.added == ()
    assert again.known == 24
    project.close()
    reopened = Project.open(tmp_path / "p")
    assert list(reopened.items()) == list(report.added)
    assert [path.name for path, _ in reopened.failures()] == ["broken.png"]
    reopened.close()


def test_a_stopped_encoding_goes_on_where_it_stopped_and_known_contents_cost_nothing(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor, starter: Encoder,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    work = project.encode(starter, pool, batch=4)
    while len(project.vectors(starter)) < 8:
        next(work)
    work.close()
    done = len(project.vectors(starter))
    assert 8 <= done < 24
    project.close()
    reopened = Project.open(tmp_path / "p")
    report = finish(reopened.encode(starter, pool))
    assert (report.cached, report.encoded) == (done, 24 - done)
    assert finish(reopened.encode(starter, pool)).encoded == 0
    view = reopened.vectors(starter)
    assert np.allclose(np.linalg.norm(view.vectors, axis=1), 1, atol=1e-5)
    reopened.close()


def test_a_moved_copy_of_a_file_needs_no_second_encoding(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor, starter: Encoder,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    finish(project.encode(starter, pool))
    gone = list(project.items())
    project.remove(gone)
    assert len(project.vectors(starter)) == 0
    shutil.move(str(mixed_folder), str(tmp_path / "elsewhere"))
    finish(project.add([tmp_path / "elsewhere"], pool))
    report = finish(project.encode(starter, pool))
    assert (report.encoded, report.cached) == (0, 24)
    project.close()


def test_search_answers_in_every_modality_best_first(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor, starter: Encoder,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    finish(project.encode(starter, pool))
    view = project.vectors(starter)
    hits = search(view, project.query(starter, "a dog"), 3)
    assert {m: len(h) for m, h in hits.items()} == {"image": 3, "audio": 3, "text": 3}
    assert project.item(hits["text"][0].item_id).text == "a dog"
    assert hits["text"][0].score == pytest.approx(1, abs=1e-4)
    for found in hits.values():
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    own = next(iter(project.items().values()))
    near = search(view, view.vector(own.id), 5, without=own.id)  # type: ignore[arg-type]
    assert own.id not in [h.item_id for h in near["image"]]
    picture = next(i for i in project.items().values() if i.modality == "image")
    by_file = search(view, project.query(starter, picture.path), 1)
    assert by_file["image"][0].score == pytest.approx(1, abs=1e-4)
    with pytest.raises(UnreadableMedia):
        project.query(starter, "   ")
    project.close()


def test_a_sample_fuses_its_items_and_follows_the_weights(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor, starter: Encoder,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    finish(project.encode(starter, pool))
    view = project.vectors(starter)
    items = [*project.items().values()]
    picture, sound, text = (next(i for i in items if i.modality == m) for m in ("image", "audio", "text"))
    sample = project.group("red circle", [picture.id, sound.id, text.id])
    only_text = fused(view, sample, {"image": 0, "audio": 0, "text": 2})
    assert np.allclose(only_text, view.vector(text.id), atol=1e-5)
    mean = view.vectors[[view.rows[i] for i in sample.item_ids]].mean(axis=0)
    assert np.allclose(fused(view, sample), mean / np.linalg.norm(mean), atol=1e-5)
    with pytest.raises(ProjectError, match="at least two"):
        project.group("one", [picture.id])
    with pytest.raises(SpaceMismatch):
        fused(view, Sample(9, "none", (12345,)))
    project.close()


def test_the_example_knows_its_answers(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    project = Project.open(tmp_path / "p")
    report = finish(project.add_example(pool))
    assert not report.failures
    counts = {m: sum(i.modality == m for i in project.items().values()) for m in ("image", "audio", "text")}
    assert counts["image"] >= 250
    assert counts["audio"] >= 200
    assert counts["text"] >= 150
    assert len(project.samples()) >= 50
    assert any(i.tags for i in project.items().values())
    finish(project.add_example(pool))
    made = project.samples()
    project.close()
    again = Project.open(tmp_path / "p", read_only=True)
    assert again.samples() == made
    again.close()


def test_a_folder_that_is_no_project_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project"):
        Project.open(tmp_path, create=False)


def test_a_moved_file_is_found_again_when_its_new_place_is_added(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    shutil.move(str(mixed_folder), str(tmp_path / "elsewhere"))
    report = finish(project.add([tmp_path / "elsewhere"], pool))
    assert (len(report.added), report.known) == (0, 24)
    assert all(item.path.exists() for item in project.items().values())
    project.close()


def test_one_file_that_makes_a_library_stumble_does_not_end_the_job(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor, starter: Encoder, monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    real = starter.prepare

    def stumbles(media: object, modality: str) -> object:
        if media == "a cat":
            raise RuntimeError("internal")
        return real(media, modality)  # type: ignore[arg-type]

    monkeypatch.setattr(starter, "prepare", stumbles)
    report = finish(project.encode(starter, pool))
    assert report.encoded == 23
    assert "RuntimeError" in report.failures[0][1]
    project.close()


def test_damaged_vectors_are_made_again_and_never_keep_a_project_closed(
    mixed_folder: Path, tmp_path: Path, pool: ThreadPoolExecutor, starter: Encoder,
) -> None:
    project = Project.open(tmp_path / "p")
    finish(project.add([mixed_folder], pool))
    finish(project.encode(starter, pool))
    project.close()
    for file in (tmp_path / "p" / "tables").glob("vectors-*.lance/*/*"):
        file.write_bytes(b"this is no table" * 20)
    reopened = Project.open(tmp_path / "p")
    report = finish(reopened.encode(starter, pool))
    assert (report.encoded, report.cached) == (24, 0)
    assert "made again" in reopened.note
    reopened.close()


def test_a_project_that_was_moved_finds_the_media_inside_it_and_leaves_the_others(
    tmp_path: Path, make_picture: Callable[..., Path], pool: ThreadPoolExecutor,
) -> None:
    outside = make_picture("outside.png", "red")
    inside = make_picture("old place/media/inside.png", "blue")
    project = Project.open(tmp_path / "old place")
    finish(project.add([outside, inside], pool))
    project.close()
    (tmp_path / "old place").rename(tmp_path / "new place")
    for _ in range(2):
        project = Project.open(tmp_path / "new place")
        paths = {item.path.name: item.path for item in project.items().values()}
        project.close()
        assert paths == {"outside.png": outside, "inside.png": tmp_path / "new place" / "media" / "inside.png"}
    assert paths["inside.png"].is_file()
