"""Sweeps try each setting once, learn from what they tried, end what is hopeless, and go on where they were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudio import cli
from mmstudio.errors import TrainingError
from mmstudio.library.query import parse
from mmstudio.library.query_match import matches
from mmstudio.progress import finish
from mmstudio.training import overview, runs, sweep, sweeping
from mmstudio.training.examples import TRAIN, VALIDATION, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.runs import Run
from mmstudio.training.sweep import Sweep, Varied
from mmstudio.training.trial import Trial

Make = Callable[..., Path]
RATES = Varied("lr", 1e-6, 0.1, log=True)


@pytest.fixture
def make(tmp_path: Path, digits: Examples, job: TrainingJob) -> Make:
    """A sweep of the digits over short runs, in the project's folder of that name."""

    def made(*varied: Varied, project: str = "project", examples: Examples | None = None, epochs: int = 2,
             **changes: Any) -> Path:
        wanted = Sweep("rates", replace(job, epochs=epochs, batch=100), varied, **changes)
        return sweep.make(tmp_path / project / "sweeps", wanted, examples or digits)

    return made


def _trials(folder: Path) -> list[Run]:
    """The runs of a sweep by their trial's number."""
    found = [run for run in runs.runs(folder.parents[1] / "runs") if run.trial and run.trial.sweep == folder.name]
    return sorted(found, key=lambda run: run.trial.number)  # type: ignore[union-attr]


def _told(folder: Path) -> list[tuple[int, dict[str, Any], float | None, str]]:
    return [(t.number, t.settings, t.value, t.pruned) for run in _trials(folder) if (t := run.trial)]


def test_a_grid_makes_every_combination_once_as_an_ordinary_run(make: Make) -> None:
    folder = make(Varied("width", 8, 32, log=True, points=3), Varied("fusion", choices=("gated", "average")),
                  method="grid", pruning=False)
    best = finish(sweeping.run(folder))
    found = _trials(folder)
    assert [(run.job.width, run.job.fusion) for run in found] == list(product((8, 16, 32), ("gated", "average")))
    assert [run.name for run in found] == [f"rates · {n}" for n in range(1, 7)]
    for run in found:
        lines, _ = runs.Curve(run.folder).more()
        losses = [line["validation"]["loss"] for line in lines if "validation" in line]
        assert run.trial.value == pytest.approx(min(losses))  # type: ignore[union-attr]
        assert run.results["parts"]["validation"]["loss"] == pytest.approx(min(losses))
    values = [run.trial.value for run in found]  # type: ignore[union-attr]
    assert best["trial"] == int(np.argmin(values))  # type: ignore[arg-type]
    assert best["run"] == found[best["trial"]].folder.name
    state = sweep.look(folder).state
    assert (state.status, state.step, state.steps, state.best) == ("done", 6, 6, min(values))  # type: ignore[type-var]


def test_the_examples_of_all_trials_are_one_file(make: Make, digits: Examples) -> None:
    folder = make(Varied("seed", choices=(0, 1)), method="grid")
    finish(sweeping.run(folder))
    files = [one / "examples/vectors.npy" for one in (folder, *(run.folder for run in _trials(folder)))]
    assert len({file.stat().st_ino for file in files}) == 1
    runs.remove(_trials(folder)[0].folder)
    assert Examples.load(files[-1].parent).fingerprint() == digits.fingerprint()


def test_where_the_disk_knows_no_second_names_the_examples_are_copied(
    make: Make, digits: Examples, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError("no links here")

    folder = make(Varied("seed", choices=(0, 1)))
    monkeypatch.setattr(os, "link", refuse)
    run = runs.make(folder.parents[1] / "runs", sweep.look(folder).sweep.job, digits, folder / "examples")
    assert (run / "examples/vectors.npy").stat().st_nlink == 1
    assert Examples.load(run / "examples").fingerprint() == digits.fingerprint()


def test_trees_of_parzen_estimators_come_nearer_to_a_planted_optimum(make: Make) -> None:
    """Of rates over five orders of magnitude all but the largest learn nearly nothing in a few steps."""
    folder = make(RATES, trials=12, pruning=False, seed=3, epochs=4)
    best = finish(sweeping.run(folder))
    values = [run.trial.value for run in _trials(folder)]  # type: ignore[union-attr]
    assert len(values) == 12
    assert best["value"] == min(values) < 0.7 * max(values)  # type: ignore[type-var, operator]
    assert best["settings"]["lr"] > 3e-3
    assert np.median(values[6:]) < np.median(values[:6])  # type: ignore[arg-type]


def test_killed_in_the_middle_a_sweep_goes_on_and_makes_no_trial_twice(make: Make) -> None:
    changes: dict[str, Any] = {"trials": 6, "epochs": 12, "seed": 1}
    varied = RATES, Varied("width", 8, 64, log=True)
    whole, killed = make(*varied, project="whole", **changes), make(*varied, project="killed", **changes)
    finish(sweeping.run(whole))
    child = subprocess.Popen([sys.executable, "-m", "mmstudio", "sweep", str(killed)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any(run.trial.number == 1 and run.state.step for run in _trials(killed)):  # type: ignore[union-attr]
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert sweep.look(killed).state.status == "interrupted"
    with open(killed / "journal.log", "ab") as journal:
        journal.write(b'{"op_code":4,"wor')  # torn
    finish(sweeping.run(killed))
    assert [number for number, *_ in _told(killed)] == list(range(6))
    for one, other in zip(_told(whole), _told(killed), strict=True):
        assert one[1] == other[1]
        assert one[2] == pytest.approx(other[2], abs=1e-6)
        assert one[3] == other[3]
    assert sweep.look(killed).state.status == "done"


def test_pruning_ends_a_hopeless_trial_at_a_checkpoint_and_says_so(make: Make) -> None:
    """The grid's last rates are far too small."""
    rates = Varied("lr", choices=(0.01, 0.011, 0.012, 0.013, 1e-7, 1e-8))
    folder = make(rates, method="grid", epochs=10)
    best = finish(sweeping.run(folder))
    found = _trials(folder)
    assert [bool(run.trial.pruned) for run in found] == [False] * 4 + [True] * 2  # type: ignore[union-attr]
    for run in found[4:]:
        assert run.state.status == "stopped"
        assert 0 < run.state.epoch < 10
        assert (run.folder / "checkpoint.pt").is_file()
        assert "median" in run.trial.pruned  # type: ignore[union-attr]
        assert run.trial.value is not None  # type: ignore[union-attr]
    assert best["settings"]["lr"] in rates.choices[:4]
    columns = overview.RunColumns(found)
    assert matches(parse("sweep:1 is:pruned"), columns).tolist() == [False] * 4 + [True] * 2
    assert matches(parse("trial:2"), columns).tolist() == [False, True] + [False] * 4


def test_another_metric_is_looked_for_in_its_own_direction(make: Make) -> None:
    folder = make(Varied("lr", choices=(1e-6, 0.01)), method="grid", metric="accuracy", epochs=6)
    best = finish(sweeping.run(folder))
    accuracy = [run.results["parts"]["validation"]["accuracy"] for run in _trials(folder)]
    assert accuracy[1] > accuracy[0]
    assert (best["trial"], best["value"]) == (1, accuracy[1])


def test_a_sweep_pauses_and_stops_with_its_run_and_goes_on(make: Make) -> None:
    folder = make(Varied("seed", choices=(0, 1)), method="grid", epochs=200)
    work = sweeping.run(folder)
    next(work)
    runs.wish(folder, "pause")
    while sweep.look(folder).state.status != "paused":
        next(work)
    while _trials(folder)[0].state.status != "paused":
        next(work)
    runs.wish(folder, "run")
    while _trials(folder)[0].state.status != "running":
        next(work)
    runs.wish(folder, "stop")
    assert finish(work) == {}
    assert (sweep.look(folder).state.status, _trials(folder)[0].state.status) == ("stopped", "stopped")
    at = _trials(folder)[0].state.step
    runs.wish(folder, "run")
    assert next(sweeping.run(folder)).total == 2
    assert at <= _trials(folder)[0].state.step
    assert len(_trials(folder)) == 1


def test_a_trial_whose_loss_bursts_costs_only_itself(make: Make) -> None:
    """A rate of 10 with a decay of 10 makes weights a hundred times larger in every step."""
    folder = make(Varied("lr", choices=(10.0, 0.01)), Varied("weight_decay", choices=(10.0, 0.01)), method="grid",
                  epochs=12)
    best = finish(sweeping.run(folder))
    found = _trials(folder)
    assert [run.state.status for run in found] == ["failed", "done", "done", "done"]
    assert found[0].trial == Trial("0001", 0, {"lr": 10.0, "weight_decay": 10.0})
    assert best["trial"] > 0
    assert (sweep.look(folder).state.status, sweep.look(folder).state.step) == ("done", 4)


def test_importance_names_the_setting_that_matters_and_says_nothing_of_few_trials(make: Make) -> None:
    folder = make(RATES, Varied("patience", 10, 90), method="random", trials=12, pruning=False)
    work = sweeping.run(folder)
    while next(work).done < 2:
        pass
    work.close()
    assert sweeping.importance(folder) == {}
    finish(sweeping.run(folder))
    found = sweeping.importance(folder)
    assert list(found) == ["lr", "patience"]
    assert found["lr"] > 0.6
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(("changes", "complaint"), [
    ({"varied": ()}, "one setting or more"),
    ({"varied": (RATES, RATES)}, "each once"),
    ({"varied": (Varied("model", choices=("a", "b")),)}, "cannot vary"),
    ({"varied": (Varied("rate", 0, 1),)}, "cannot vary"),
    ({"varied": (Varied("fusion", 0, 1),)}, "say its choices"),
    ({"varied": (Varied("fusion", choices=("gated", "magic")),)}, "magic"),
    ({"varied": (Varied("fusion", choices=("gated", "gated")),)}, "different values"),
    ({"varied": (Varied("fusion", choices=("gated", "tokens")),)}, "something else"),
    ({"varied": (Varied("lr", 0.1, 0.01),)}, "a larger one"),
    ({"varied": (Varied("lr", 0.1, float("nan")),)}, "a larger one"),
    ({"varied": (Varied("lr", 0.1, 100),)}, "lies between"),
    ({"varied": (Varied("dropout", 0, 0.5, log=True),)}, "above 0"),
    ({"varied": (Varied("width", 8, 16.5),)}, "whole number"),
    ({"varied": (Varied("width", 8, 16, points=1),)}, "points"),
    ({"method": "genetic"}, "genetic"),
    ({"trials": 0}, "trials"),
    ({"trials": True}, "trials"),
    ({"metric": "beauty"}, "beauty"),
    ({"metric": "R²"}, "classification has no metric"),
    ({"method": "grid", "varied": tuple(Varied(name, 0, 0.5, points=30) for name in (
        "dropout", "modality_dropout", "label_smoothing"))}, "27,000 combinations"),
])
def test_what_makes_no_sense_is_refused(job: TrainingJob, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        replace(Sweep(job=job, varied=(RATES,)), **changes).check()


def test_without_a_validation_part_nothing_can_be_compared(make: Make, digits: Examples) -> None:
    with pytest.raises(TrainingError, match="compare"):
        make(RATES, examples=replace(digits, parts=np.where(digits.parts == VALIDATION, TRAIN, digits.parts)))


def test_a_sweep_is_read_as_it_was_written_and_as_a_person_writes_it(make: Make, tmp_path: Path) -> None:
    folder = make(RATES, Varied("fusion", choices=("gated", "attention")), metric="macro F1", seed=7)
    assert sweep.read(folder / "sweep.json").to_json() == (folder / "sweep.json").read_text(encoding="utf-8")
    by_hand = tmp_path / "sweep.toml"
    by_hand.write_text('name = "mine"\nmethod = "grid"\n[job]\ntarget = "kind"\n[vary.lr]\nlow = 1e-4\nhigh = 1e-2\n'
                       'log = true\n[vary.loss]\nchoices = ["focal", "cross-entropy"]\n', encoding="utf-8")
    found = sweep.read(by_hand)
    assert (found.job.target, found.count) == ("kind", 6)
    assert found.grid()[2] == {"lr": pytest.approx(1e-3), "loss": "focal"}
    by_hand.write_text('[vary]\nlr = 3\n', encoding="utf-8")
    with pytest.raises(TrainingError, match="lr"):
        sweep.read(by_hand)
    (folder / "sweep.json").write_text(json.dumps({"tries": 3}))
    assert sweep.sweeps(folder.parent) == []


def test_the_command_line_sweeps_over_a_projects_items_and_prints_the_best(
    make_picture: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(24):
        name, colour = (("cold", "blue"), ("warm", "red"))[number % 2]
        pictures = make_picture(f"in/{name}/{number}.png", colour, 40 + 2 * number).parent.parent
    project, wanted = str(tmp_path / "project"), tmp_path / "rates.toml"
    assert cli.main(["new", project]) == cli.main(["add", project, str(pictures)]) == 0
    wanted.write_text('name = "rates"\nmethod = "random"\ntrials = 2\nmetric = "accuracy"\n[job]\nepochs = 2\n'
                      'split = {keep_duplicates_together = false}\n[vary.lr]\nlow = 1e-4\nhigh = 1e-1\nlog = true\n')
    capsys.readouterr()
    assert cli.main(["sweep", str(wanted)]) == 2
    assert "--project" in capsys.readouterr().err
    assert cli.main(["sweep", str(wanted), "--project", project]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = tmp_path / "project/sweeps/0001"
    assert [run.job.classes for run in _trials(folder)] == [("cold", "warm")] * 2
    assert told["value"] == max(run.trial.value for run in _trials(folder))  # type: ignore[union-attr, type-var]
    assert cli.main(["sweep", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert len(_trials(folder)) == 2
