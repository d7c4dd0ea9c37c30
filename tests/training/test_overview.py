"""Many runs at a glance: found by words, kept with what a person says of them, compared, and repeated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from mmstudio.archive import pack, unpack
from mmstudio.errors import ProjectError
from mmstudio.library.query import QueryError, parse
from mmstudio.library.query_match import matches
from mmstudio.progress import finish
from mmstudio.project import Project
from mmstudio.training import overview, provenance, runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import Split, TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.runs import Run

Make = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A closed project's folder; ``make_run`` makes runs in its ``runs``."""
    Project.open(tmp_path).close()
    return tmp_path


def _told(project: Path, read_only: bool = False) -> list[tuple[str, str, bool, str]]:
    opened = Project.open(project, create=False, read_only=read_only)
    try:
        return [(run.folder.name, run.name, run.starred, run.note) for run in opened.look_at_runs()]
    finally:
        opened.close()


def _say(project: Path, folder: str, **said: str | bool) -> None:
    opened = Project.open(project, create=False)
    try:
        opened.say_of_run(next(run for run in opened.look_at_runs() if run.folder.name == folder), **said)
    finally:
        opened.close()


# ---- the table ------------------------------------------------------------------------------------------------------

def test_what_a_person_says_of_a_run_is_there_again_after_closing(project: Path, make_run: Make) -> None:
    make_run(name="first"), make_run(name="second")
    _say(project, "0001", starred=True, note="the ögood one \ud800")
    _say(project, "0002", name="renamed")
    expected = [("0002", "renamed", False, ""), ("0001", "first", True, "the ögood one ?")]
    assert _told(project) == _told(project, read_only=True) == expected


def test_a_run_copied_in_appears_and_one_whose_folder_is_gone_goes(project: Path, make_run: Make) -> None:
    first = make_run(name="first")
    _say(project, "0001", starred=True)
    shutil.copytree(first, first.with_name("0007"))
    assert [told[:3] for told in _told(project)] == [("0007", "first", False), ("0001", "first", True)]
    shutil.rmtree(first)
    assert [told[0] for told in _told(project)] == ["0007"]


def test_a_new_run_under_the_number_of_a_deleted_one_is_not_taken_for_it(project: Path, make_run: Make) -> None:
    first = make_run(name="first")
    _say(project, "0001", starred=True, note="of the old one")
    shutil.rmtree(first)
    assert make_run(name="another") == first
    assert _told(project) == [("0001", "another", False, "")]


def test_a_missing_table_is_made_again_from_the_folders(project: Path, make_run: Make) -> None:
    make_run(name="first")
    _say(project, "0001", name="renamed")
    shutil.rmtree(project / "tables/runs.lance")
    assert _told(project) == [("0001", "first", False, "")]


def test_the_table_holds_how_a_run_came_out(project: Path, make_run: Make) -> None:
    import lancedb

    folder = make_run(epochs=2, fusion="gated")
    _told(project)
    finish(train(folder))
    _told(project)
    row, = lancedb.connect(str(project / "tables")).open_table("runs").to_arrow().to_pylist()
    results = json.loads((folder / "results.json").read_text())
    assert (row["folder"], row["status"], row["fusion"], row["metric"]) == ("0001", "done", "gated", "accuracy")
    assert row["value"] == results["parts"]["test"]["accuracy"]
    assert row["fingerprint"] == Examples.load(folder / "examples").fingerprint()


def test_looking_again_at_runs_that_stay_the_same_writes_nothing(project: Path, make_run: Make) -> None:
    make_run()
    _told(project)
    before = sorted(os.listdir(project / "tables/runs.lance/_versions"))
    _told(project)
    assert sorted(os.listdir(project / "tables/runs.lance/_versions")) == before


def test_a_packed_project_keeps_the_stars_and_notes_of_its_runs(
    project: Path, make_run: Make, tmp_path_factory: pytest.TempPathFactory,
) -> None:
    make_run(name="first")
    _say(project, "0001", starred=True, note="kept")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    again = finish(unpack(finish(pack(project, elsewhere / "p.mmproject")), elsewhere / "again"))
    assert _told(again) == [("0001", "first", True, "kept")]


def test_of_a_run_that_is_gone_nothing_can_be_said(project: Path, make_run: Make) -> None:
    folder = make_run()
    opened = Project.open(project, create=False)
    try:
        run, = opened.look_at_runs()
        shutil.rmtree(folder)
        opened.look_at_runs()
        with pytest.raises(ProjectError, match="not in the project any more"):
            opened.say_of_run(run, starred=True)
    finally:
        opened.close()


# ---- finding and comparing ------------------------------------------------------------------------------------------

def _run(number: int, **changes: object) -> Run:
    of_job = {field.name: changes.pop(field.name) for field in fields(TrainingJob) if field.name in changes}
    job = TrainingJob(classes=("cat", "dog"), **of_job)  # type: ignore[arg-type]
    made = Run(Path(f"runs/{number:04}"), job, runs.State("done", best=0.5, best_epoch=3, seconds=12.5), {},
               provenance.Provenance(1.7e9 + number, 40, "abc"), f"run {number}")
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "found"), [
    ("", [1, 2, 3]), ("is:starred", [2]), ("-is:starred", [1, 3]), ("Blurry", [3]), ("task:regression", [3]),
    ("lr<0.001", [2]), ("accuracy>0.8", [1]), ("modality:audio", [2]), ("run status:done", [1, 2]),
    ("fusion:gated OR note:blurry", [2, 3]), ("status:failed", [3]), ("duration>12 loss<1", [1, 2, 3]),
    ("created:2023", [1, 2, 3]), ("created<2023", [])])
def test_words_stars_and_numbers_find_runs(text: str, found: list[int]) -> None:
    some = [_run(1, results={"of": "test", "parts": {"test": {"accuracy": 0.9}}}),
            _run(2, starred=True, lr=1e-4, modalities=("image", "audio"), fusion="gated"),
            _run(3, task="regression", note="of blurry pictures", state=runs.State("failed", best=0.9, seconds=13))]
    mask = matches(parse(text), overview.RunColumns(some))
    assert [run.number for run, there in zip(some, mask, strict=True) if there] == found


def test_a_filter_that_cannot_be_says_why() -> None:
    with pytest.raises(QueryError, match="no field 'colour'"):
        matches(parse("colour:red"), overview.RunColumns([_run(1)]))


def test_only_what_differs_between_runs_is_told() -> None:
    first = _run(1, lr=0.01, split=Split("random"))
    second = _run(2, fusion="gated", split=Split("random", test=0.2))
    found = {one.name: one.values for one in overview.differences([first, second])}
    assert found == {"fusion": ("joint mean", "gated"), "lr": (0.01, 0.005), "split.test": (0.15, 0.2)}
    here = provenance.Environment({"torch": "2.9"}, "Linux", "cpu", "abc")
    third = replace(first, provenance=replace(first.provenance, fingerprint="other", environments=(here,)))
    found = {one.name: one.values for one in overview.differences([first, third])}
    assert found == {"fingerprint": ("abc", "other"), "versions.torch": (None, "2.9"), "platform": (None, "Linux"),
                     "device": (None, "cpu"), "commit": (None, "abc")}


# ---- repeating ------------------------------------------------------------------------------------------------------

def test_a_run_tells_all_that_it_takes_to_repeat_it(make_run: Make, digits: Examples) -> None:
    import numpy
    import transformers

    folder = make_run(replace(digits, note="Seven had no class."), epochs=1)
    finish(train(folder))
    told = runs.look(folder).provenance
    here, = told.environments
    assert (told.examples, told.left_out) == (600, "Seven had no class.")
    assert told.fingerprint == digits.fingerprint()
    assert here.versions["torch"] == torch.__version__.split("+")[0] or here.versions["torch"] == torch.__version__
    assert (here.versions["numpy"], here.versions["transformers"]) == (numpy.__version__, transformers.__version__)
    assert here.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert here.device.startswith(("cpu", "cuda", "mps"))


def test_a_run_that_goes_on_elsewhere_names_both_places_and_one_that_goes_on_here_one(make_run: Make) -> None:
    folder = make_run(epochs=1)
    provenance.trained_on(folder, torch.device("cpu"))
    provenance.trained_on(folder, torch.device("cpu"))
    here, = provenance.of(folder).environments
    before = provenance.of(folder)
    provenance.write(folder, replace(before, environments=(replace(here, device="mps"),)))
    provenance.trained_on(folder, torch.device("cpu"))
    assert [one.device for one in provenance.of(folder).environments] == ["mps", "cpu"]


def test_an_older_runs_provenance_is_read_from_its_other_files(make_run: Make, digits: Examples) -> None:
    folder = make_run(replace(digits, note="a note"))
    (folder / "provenance.json").unlink()
    told = provenance.of(folder)
    assert (told.examples, told.fingerprint, told.left_out) == (600, digits.fingerprint(), "a note")
    assert told.created == (folder / "job.json").stat().st_mtime
    for torn in ("", "[]", '{"created": "x", "environments": []}', '{"environments": [1]}'):
        (folder / "provenance.json").write_text(torn)
        assert provenance.of(folder) == told


def test_a_commit_is_told_of_a_checkout_only_and_says_when_files_differ(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words],
                              check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.commit_of(tmp_path) == ""
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file"), git("commit", "-qm", "one"), git("tag", "v1")
    assert provenance.commit_of(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("2")
    assert provenance.commit_of(tmp_path) == git("rev-parse", "HEAD") + "-dirty"
    (tmp_path / "below").mkdir()
    assert provenance.commit_of(tmp_path / "below") == ""


def test_a_run_repeated_from_its_folder_comes_out_the_same(make_run: Make) -> None:
    folder = make_run(epochs=3, dropout=0.3, fusion="gated")
    results = finish(train(folder))
    again = runs.again(folder)
    assert again == folder.with_name("0002")
    assert finish(train(again)) == results
