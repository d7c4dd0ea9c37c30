"""Runs and sweeps: trained, gone on with, asked to tell of files, and exported."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmstudio import paths, project
from mmstudio.cli.shared import (
    Command,
    batch_size,
    encoder_of,
    limits_here,
    passing,
    settings_here,
    shown,
    threads,
    with_model,
)
from mmstudio.encoders.base import Encoder
from mmstudio.errors import TrainingError
from mmstudio.media.scan import printable
from mmstudio.progress import Work

if TYPE_CHECKING:
    from mmstudio.training.job import TrainingJob


def add_to(command: Command) -> None:
    """The commands of this module."""
    made = command("train", "Learn from a project's items, or go on with a run.", train)
    made.add_argument("job", type=Path, help="a .toml or .json file that says what to learn, or a run's folder; “-” "
                      "reads a run's folder from standard input")
    made.add_argument("--project", type=Path, help="the project to learn from, with a file")
    made.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    made.add_argument("--rehearse", action="store_true",
                      help="make a few steps only and print how long it would take, how much memory, and on what")
    made.add_argument("--again", action="store_true", help="repeat a run from its beginning, as a new run beside it")
    with_model(made)
    made = command("sweep", "Look for good settings: train a run with each of several, or go on with a sweep.", sweep)
    made.add_argument("sweep", type=Path, help="a .toml or .json file that says what to learn and which settings vary, "
                      "or a sweep's folder")
    made.add_argument("--project", type=Path, help="the project to learn from, with a file")
    made.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    with_model(made)
    made = command("predict", "Let a finished run tell of files.", predict)
    made.add_argument("folder", type=Path, help="the run's folder")
    made.add_argument("paths", nargs="+", type=Path)
    made.add_argument("--model", default="", help="by default the model that the run was trained with")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    made.add_argument("--batch", default="auto", type=batch_size)
    made.add_argument("--thresholds", choices=("half", "fitted"), help="tell a label, or the second of two classes, "
                      "from a half on, or from where F1 was highest on validation; by default as chosen for the run")
    made.add_argument("--out", required=True, type=Path, help="a .jsonl file, one line an input")
    made = command("export-run", "Write a finished run as a folder that other programs read.", export_run)
    made.add_argument("folder", type=Path, help="the run's folder")
    made.add_argument("--out", required=True, type=Path, help="a new folder")


def train(asked: argparse.Namespace) -> int:
    """Train a run to its end and print its results; stopped, it goes on the next time from its folder."""
    from mmstudio.training import runs
    from mmstudio.training.loop import get_ready, train
    from mmstudio.training.sweep import is_sweep

    if str(asked.job) == "-":
        get_ready()
        folder = _told_run()
        if folder is None:
            return 0
        if is_sweep(folder):
            return _swept(folder)
    else:
        folder = _new_run(asked) if not asked.job.is_dir() else runs.again(asked.job) if asked.again else asked.job
        if runs.is_first() and not asked.rehearse:
            runs.wish(folder, "run")  # what was wished of it before is past
    print(folder, file=sys.stderr)
    if asked.rehearse:
        from mmstudio.training.rehearsal import rehearse

        print(shown(rehearse(folder)).to_json())
        return 0
    results = shown(train(folder))
    if runs.is_first():
        print(json.dumps(results, ensure_ascii=False))
    return 0


def _told_run() -> Path | None:
    """The run's folder, from standard input, whose log is written from then on; None where there is none."""
    told = sys.stdin.buffer.readline().rstrip(b"\n").decode("utf-8", "surrogateescape")
    if not told:
        return None
    folder = Path(told)
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    return folder


def _new_run(asked: argparse.Namespace) -> Path:
    from mmstudio.training import runs
    from mmstudio.training.job import read

    job = read(asked.job, whole=False)
    job = replace(job, name=job.name or asked.job.stem)
    folder = _made_of_project(asked, job, lambda opened, job, encoder, chosen: opened.make_run(job, encoder, chosen))
    left_out = runs.look(folder).provenance.left_out
    if left_out:
        print(left_out, file=sys.stderr)
    return folder


def _made_of_project(asked: argparse.Namespace, job: TrainingJob, make: Callable[
        [project.Project, TrainingJob, Encoder, list[int] | None], Work[Path]]) -> Path:
    """What is made for the job of the project's items that pass the filter, once all are encoded."""
    if asked.project is None:
        raise TrainingError("Say with --project what to learn from.")
    opened = project.Project.open(asked.project, settings_here(), create=False)
    try:
        encoder, items = encoder_of(asked), opened.items()
        with threads() as pool:
            chosen = passing(asked.filter, items) if asked.filter else None
            job = shown(opened.encode_for(job, encoder, pool, lambda: opened.needed(job, chosen)))
            if not job.models:
                shown(opened.encode(encoder, pool))
        return Path(shown(make(opened, job, encoder, chosen)))
    finally:
        opened.close()


def sweep(asked: argparse.Namespace) -> int:
    """Make the trials of a sweep and print the best; stopped, it goes on the next time from its folder."""
    from mmstudio.training import runs
    from mmstudio.training.sweep import read

    folder = asked.sweep
    if not folder.is_dir():
        wanted = read(asked.sweep)
        folder = _made_of_project(asked, wanted.job, lambda opened, job, encoder, chosen: opened.make_sweep(
            replace(wanted, job=job), encoder, chosen))
    runs.wish(folder, "run")  # what was wished of it before is past
    print(folder, file=sys.stderr)
    return _swept(folder)


def _swept(folder: Path) -> int:
    from mmstudio.training import sweeping

    print(json.dumps(shown(sweeping.run(folder)), ensure_ascii=False))
    return 0


def predict(asked: argparse.Namespace) -> int:
    """Write what a run tells of files, one JSON line an item."""
    from mmstudio.predict_files import predict_files
    from mmstudio.training.predict import Predictor
    from mmstudio.training.run_encoder import base_of

    predictor = Predictor(asked.folder)
    if asked.thresholds is not None:
        predictor.deciding = replace(predictor.deciding, asked=asked.thresholds == "fitted")
    if predictor.deciding.asked and not predictor.deciding.thresholds:
        raise TrainingError("The run has no thresholds that were fitted.", path=asked.folder, hint="They are fitted on "
                            "the validation part of runs that tell labels, or two classes, when these are done.")

    def load(name: str) -> Encoder:
        return encoder_of(asked) if asked.model else base_of(name, asked.folder, asked.device)

    with threads() as pool:
        said = shown(predict_files(predictor, asked.paths, load, limits_here(), pool, asked.batch))
    failed = sum(bool(one.error) for one in said)
    lines = (json.dumps({"path": one.path, "part": one.part, "modality": one.modality, **one.told, "error": one.error},
                        ensure_ascii=False) for one in said)
    paths.write_atomically(asked.out.absolute(), "".join(f"{line}\n" for line in lines).encode())
    print(f"{len(said) - failed} predicted, {failed} not → {asked.out}", file=sys.stderr)
    return 1 if failed else 0


def export_run(asked: argparse.Namespace) -> int:
    """Write a run's weights, card, head and encoder, and print what was written."""
    from mmstudio.training.export_run import export_run

    report = shown(export_run(asked.folder, asked.out.absolute()))
    for sentence in report.left_out:
        print(sentence, file=sys.stderr)
    for name in report.files:
        print(printable(report.folder / name))
    return 0
