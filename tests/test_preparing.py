"""From a project's items to a run, its training without a window, and its predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudio import cli
from mmstudio.encoders import Encoder
from mmstudio.errors import SpaceMismatch, TrainingError
from mmstudio.preparing import _times, _without_leaks, targets
from mmstudio.progress import finish
from mmstudio.project import Project
from mmstudio.training import runs
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.job import Split, TrainingJob, from_values, read
from mmstudio.training.loop import train

Make = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, make_picture: Make, starter: Encoder, pool: ThreadPoolExecutor) -> Project:
    """24 discs in two colours by folder, with a number and a date, encoded."""
    for number in range(24):
        name, colour = (("cold", "blue"), ("warm", "red"))[number % 2]
        make_picture(f"in/{name}/{number}.png", colour, 40 + 2 * number)
    made = Project.open(tmp_path / "p")
    finish(made.add([tmp_path / "in"], pool))
    finish(made.encode(starter, pool))
    for item in made.items().values():
        made.set_column([item.id], "size", item.facts["width"])
        made.set_column([item.id], "when", f"2026-01-{1 + item.id:02}")
    return made


def test_what_can_be_learned_is_found(project: Project) -> None:
    found = {target.name: target for target in targets(project.items().values())}
    assert found["tags"].values == (("cold", 12), ("warm", 12))
    assert found["size"].numbers
    assert not found["when"].numbers


def test_classes_that_can_be_told_apart_are_offered_first(project: Project) -> None:
    project.tag(range(1, 25), "round")
    project.tag([1, 2], "rare")
    found = next(target for target in targets(project.items().values()) if target.name == "tags")
    assert found.apart == ("cold", "warm")


def test_a_job_without_classes_learns_all_tags_and_ends_above_chance(project: Project, starter: Encoder) -> None:
    job = TrainingJob(epochs=30, lr=0.01, batch=8, split=Split(keep_duplicates_together=False))
    folder = finish(project.make_run(job, starter))
    made = Examples.load(folder / "examples")
    assert [len(made.rows(part)) for part in (TRAIN, VALIDATION, TEST)] == [16, 4, 4]
    assert runs.look(folder).job.classes == ("cold", "warm")
    assert runs.look(folder).state.fingerprint == made.fingerprint()
    assert finish(train(folder))["parts"]["test"]["accuracy"] == 1.0
    assert len(finish(project.predict(folder, starter))) == 24
    right = [item.columns["predicted tags"] in item.tags for item in project.items().values()]
    assert sum(right) >= 22
    assert all(0.5 <= float(item.columns["predicted tags: sure"]) <= 1 for item in project.items().values())
    project.undo()
    assert all("predicted tags" not in item.columns for item in project.items().values())


def test_samples_are_examples_of_several_modalities_and_what_is_left_is_its_own(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor, tmp_path: Path,
) -> None:
    texts = []
    for number in range(4):
        texts.append(tmp_path / f"t{number}.txt")
        texts[-1].write_text(f"a disc of number {number}")
    finish(project.add(texts, pool))
    finish(project.encode(starter, pool))
    words = [item.id for item in project.items().values() if item.modality == "text"]
    sample = project.group("a pair", [1, words[0]])
    job = TrainingJob(modalities=("image", "text"), split=Split("random", 0.2, 0.2, keep_duplicates_together=False))
    made = Examples.load(finish(project.make_run(job, starter)) / "examples")
    assert len(made) == 24  # the other texts have no class
    row = made.keys.tolist().index(-sample.id)
    assert made.present[row].tolist() == [True, True]
    view = project.vectors(starter)
    assert np.allclose(made.vectors[row, 1], view.vector(words[0]), atol=1e-6)
    assert made.present[made.keys > 0].tolist() == [[True, False]] * 23
    assert "3 without a single class" in made.note


def test_only_what_is_chosen_is_learned_from(project: Project, starter: Encoder) -> None:
    made = Examples.load(finish(project.make_run(TrainingJob(), starter, range(1, 17))) / "examples")
    assert set(made.keys.tolist()) <= set(range(1, 17))
    with pytest.raises(TrainingError, match=r"two|2 different|at least 2"):
        finish(project.make_run(TrainingJob(), starter, [1, 3]))


@pytest.mark.parametrize(("split", "expected"), [
    (Split("time", 0.25, 0.25, "when", False), "the newest are the test"),
    (Split("grouped", 0.25, 0.25, "size", False), "no size in two parts"),
])
def test_parts_by_time_and_by_group(project: Project, starter: Encoder, split: Split, expected: str) -> None:
    made = Examples.load(finish(project.make_run(TrainingJob(split=split), starter)) / "examples")
    columns = {item.id: item.columns for item in project.items().values()}
    told = {part: {columns[int(k)][split.column] for k in made.keys[made.rows(part)]} for part in (0, 1, 2)}
    if split.kind == "time":
        assert max(told[0]) <= min(told[1])  # type: ignore[type-var]
        assert max(told[1]) <= min(told[2]), expected  # type: ignore[type-var]
    assert not told[0] & told[2], expected


def test_amounts_and_several_labels_are_prepared_and_predicted(project: Project, starter: Encoder) -> None:
    job = TrainingJob(task="regression", target="size", epochs=20, lr=0.01)
    folder = finish(project.make_run(job, starter))
    finish(train(folder))
    assert finish(project.predict(folder, starter, [1, 2, 3])) == [1, 2, 3]
    assert isinstance(project.item(2).columns["predicted size"], float)
    job = TrainingJob(task="multi-label", epochs=5)
    folder = finish(project.make_run(job, starter))
    finish(train(folder))
    assert len(finish(project.predict(folder, starter))) == 24


def test_a_picture_of_many_samples_and_the_frames_of_a_video_lie_in_one_part(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor, tmp_path: Path,
) -> None:
    for number in range(24):
        (tmp_path / f"t{number}.txt").write_text(f"words of number {number}")
    finish(project.add([tmp_path / f"t{number}.txt" for number in range(24)], pool))
    finish(project.encode(starter, pool))
    texts = [item.id for item in project.items().values() if item.modality == "text"]
    pictures = [1 + place // 4 for place in range(24)]
    for picture, text in zip(pictures, texts, strict=True):
        project.group(f"{picture} and {text}", [picture, text])
    job = TrainingJob(task="alignment", modalities=("image", "text"), split=Split("random", 0.2, 0.2))
    made = Examples.load(finish(project.make_run(job, starter)) / "examples")
    assert len(made) == 24
    picture_of = {-sample.id: sample.item_ids[0] for sample in project.samples()}
    parts: dict[int, set[int]] = {}
    for key, part in zip(made.keys.tolist(), made.parts.tolist(), strict=True):
        parts.setdefault(picture_of[key], set()).add(part)
    assert all(len(found) == 1 for found in parts.values())
    assert set().union(*parts.values()) == {0, 1, 2}


def test_a_sample_is_told_as_one_and_all_its_items_get_what_is_told(
    project: Project, starter: Encoder, pool: ThreadPoolExecutor, tmp_path: Path,
) -> None:
    (tmp_path / "t.txt").write_text("words")
    finish(project.add([tmp_path / "t.txt"], pool))
    finish(project.encode(starter, pool))
    text = next(item.id for item in project.items().values() if item.modality == "text")
    project.group("a pair", [1, text])
    job = TrainingJob(modalities=("image", "text"), epochs=3, fusion="concatenate")
    folder = finish(project.make_run(job, starter))
    finish(train(folder))
    finish(project.predict(folder, starter))
    assert project.item(1).columns == {**project.item(1).columns, **{
        name: value for name, value in project.item(text).columns.items() if name.startswith("predicted")}}
    assert "predicted tags" in project.item(text).columns


def test_long_numbers_are_classes_of_their_own(project: Project) -> None:
    project.set_column([1, 2], "code", 1234567.0)
    project.set_column([3, 4], "code", 1234568.0)
    found = next(target for target in targets(project.items().values()) if target.name == "code")
    assert found.values == (("1234567", 2), ("1234568", 2))


def test_near_duplicates_do_not_lie_in_two_parts(project: Project, starter: Encoder) -> None:
    job = TrainingJob(split=Split("random", 0.25, 0.25))
    made = Examples.load(finish(project.make_run(job, starter)) / "examples")
    unit = made.vectors[:, 0]
    near = unit @ unit.T >= 0.98
    apart = made.parts[:, None] != made.parts
    assert "Moved to train" in made.note or "figures flatter" in made.note or not (near & apart).any()
    if "Moved" in made.note:
        assert not (near & apart).any()


def _leaking(kind: Any, seed: int = 0) -> tuple[TrainingJob, np.ndarray, np.ndarray, np.ndarray]:
    """Twenty groups of ten examples each, of which three lie near one of another group in another part, the last only
    near one that is taken along with the second.
    """
    vectors = np.random.default_rng(seed).normal(size=(200, 1, 32)).astype(np.float32)
    groups = np.repeat(np.arange(20), 10)
    parts = np.repeat(np.array([TRAIN] * 14 + [VALIDATION] * 3 + [TEST] * 3, np.int8), 10)
    for copy, original in ((145, 3), (172, 25), (181, 179)):  # of groups 14, 17 and 18; 17 and 18 are both test's
        vectors[copy] = vectors[original]
    return TrainingJob(split=Split(kind, column="group")), parts, groups, vectors


def test_what_belongs_to_a_near_duplicate_goes_to_train_with_it(project: Project) -> None:
    job, parts, groups, vectors = _leaking("grouped")
    moved, note = finish(_without_leaks(job, parts, groups, vectors))
    part_of = {group: set(moved[groups == group].tolist()) for group in range(20)}
    assert all(len(found) == 1 for found in part_of.values())
    assert [group for group in range(14, 20) if part_of[group] == {TRAIN}] == [14, 17, 18]
    assert note == "Moved to train, as near-duplicates of others or of a group with one: 30."
    moved, note = finish(_without_leaks(job, parts, np.arange(200), vectors))
    assert int((moved != parts).sum()) == 2
    assert note == "Moved to train, as near-duplicates of others: 2."


@pytest.mark.parametrize("kind", ["time", "column"])
def test_near_duplicates_are_told_and_stay_where_time_or_a_person_puts_them(kind: str) -> None:
    job, parts, _, vectors = _leaking(kind)
    moved, note = finish(_without_leaks(job, parts, np.arange(200), vectors))
    assert np.array_equal(moved, parts)
    assert note == "2 of 60 held-out examples are near-duplicates of others: the figures flatter."


@pytest.mark.parametrize("kind", ["time", "column", "grouped"])
def test_a_column_of_no_example_cannot_say_the_parts(project: Project, starter: Encoder, kind: Any) -> None:
    job = TrainingJob(split=Split(kind, column="nonsuch"))
    with pytest.raises(TrainingError, match="has a value in the column “nonsuch”"):
        finish(project.make_run(job, starter))


def test_times_are_numbers_or_iso_dates_and_others_are_told(project: Project, starter: Encoder) -> None:
    assert _times(["2024-01-31", "2024-02-01T10:00:00Z", 2020.0, "01.02.2024", None]).astype(str).tolist() == [
        "2024-01-31T00:00:00", "2024-02-01T10:00:00", "2020-01-01T00:00:00", "NaT", "NaT"]
    assert _times([3, 1.5, None]).tolist()[:2] == [3.0, 1.5]
    project.set_column(range(1, 25), "said", "next week")
    with pytest.raises(TrainingError, match="holds no times"):
        finish(project.make_run(TrainingJob(split=Split("time", column="said")), starter))


def test_examples_of_no_group_are_told(project: Project, starter: Encoder) -> None:
    project.set_column([1, 2, 3, 4, 5, 6], "box", "one")
    project.set_column([7, 8, 9, 10], "box", "two")
    job = TrainingJob(split=Split("grouped", column="box", keep_duplicates_together=False))
    made = Examples.load(finish(project.make_run(job, starter)) / "examples")
    assert "14 examples are of no group." in made.note


def test_a_run_of_another_space_is_refused(project: Project, starter: Encoder, tmp_path: Path) -> None:
    folder = finish(project.make_run(TrainingJob(epochs=2), starter))
    finish(train(folder))
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "space": "another"}))
    with pytest.raises(SpaceMismatch, match="another"):
        finish(project.predict(folder, starter))


def test_the_command_line_trains_goes_on_and_predicts(
    project: Project, starter: Encoder, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    project.close()
    job = tmp_path / "job.toml"
    job.write_text('name = "colours"\nepochs = 20\nlr = 0.01\n[split]\nkeep_duplicates_together = false\n')
    assert cli.main(["train", str(job), "--project", str(project.folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parts"]["test"]["accuracy"] == 1.0
    folder = project.runs / "0001"
    assert runs.look(folder).job.name == "colours"
    out = tmp_path / "told.jsonl"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 20)
    picture = tmp_path / "in/warm/1.png"
    assert cli.main(["predict", str(folder), str(picture), str(broken), "--out", str(out)]) == 1
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0]["class"] == "warm"
    assert lines[0]["shares"]["warm"] + lines[0]["shares"]["cold"] == pytest.approx(1, abs=1e-5)
    assert lines[1]["error"]
    assert cli.main(["train", str(tmp_path / "no.toml"), "--project", str(project.folder)]) == 2
    assert cli.main(["train", str(folder / "nothing")]) == 2


@pytest.mark.parametrize(("values", "why"), [
    ({"task": "cooking"}, "one of"), ({"lr": "much"}, "cannot be"), ({"epochs": 0}, "between"),
    ({"colour": 1}, "no “colour”"), ({"loss": "infonce"}, "none of"), ({"modalities": ["image", "image"]}, "each once"),
    ({"classes": ["a", "a"]}, "different"),
    ({"split": {"kind": "x", "what": 1}}, "is a table"), ({"split": {"validation": 0.6, "test": 0.5}}, "leave nothing"),
    ({"split": {"kind": "foo"}}, "Parts are made by"), ({"split": {"validation": "x"}}, "are numbers"),
    ({"split": {"kind": "grouped"}}, "has to say"),
    ({"task": "alignment"}, "two modalities"), ({"epochs": True}, "cannot be"), ({"lr": float("nan")}, "cannot be"),
])
def test_a_job_that_cannot_be_says_what_is_wrong(values: dict[str, object], why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        from_values({"classes": ["a", "b"], **values})


def test_a_job_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    job = replace(TrainingJob(classes=("ü", "b"), modalities=("text", "audio")), split=Split("time", 0.1, 0.2, "when"))
    (tmp_path / "job.json").write_text(job.to_json())
    assert read(tmp_path / "job.json") == job
    for content in (b"", b"[1]", b"\xff", b"{"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(TrainingError):
            read(tmp_path / "bad.json")
