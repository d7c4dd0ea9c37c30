"""The studio without a window: every long job as a command.

Progress goes to stderr, results to stdout or into the file. Exit code 0: all done; 1: some inputs could not be read
(they are listed); 2: it could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmstudio import __version__, paths, project, searching, settings
from mmstudio.encoders.base import Encoder
from mmstudio.encoders.device import keep_freed_memory
from mmstudio.encoders.hub import stay_offline
from mmstudio.errors import ProjectError, StudioError, TrainingError
from mmstudio.library import Item, Items
from mmstudio.media import MODALITIES, Limits
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work

Command = Callable[[str, str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser]
"""Adds a command of a name, what it is for, and what it does."""


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    top = argparse.ArgumentParser(
        prog="mmstudio", description="Explore images, sounds, texts and videos through multimodal models.",
        epilog="“mmstudio” alone opens the studio; “mmstudio PATH...” opens it with those files.")
    top.add_argument("--version", action="version", version=f"mmstudio {__version__}")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    _of_media(command)
    _of_projects(command)
    _of_runs(command)
    _of_whole_projects(command)
    return top


def _with_model(made: argparse.ArgumentParser) -> None:
    made.add_argument("--model", default="starter", help="“starter”, a folder, or a hub name in the local cache")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def _of_media(command: Command) -> None:
    made = command("encode", "Turn files into vectors, one row per input.", encode)
    made.add_argument("paths", nargs="+", type=Path)
    _with_model(made)
    made.add_argument("--batch", default="auto", type=_batch, help="items per model call, or “auto”")
    made.add_argument("--out", required=True, type=Path, help="a .parquet, .npz or .jsonl file")

    made = command("search", "Find the items of a project that are nearest to a text or a file.", search)
    made.add_argument("project", type=Path)
    made.add_argument("query", help="a text, or the path of a picture, sound or text file")
    _with_model(made)
    made.add_argument("-k", type=int, default=5, help="hits per modality")
    made.add_argument("--measure", default="cosine", choices=("cosine", "dot", "euclid", "pearson"))

    made = command("explain", "Show which parts of an item carry it.", explain)
    made.add_argument("--item", required=True, type=Path)
    made.add_argument("--query", default="", help="a text or a file to compare the item's parts with")
    made.add_argument("--method", default="auto", help="auto, pooling, or one of the methods that the window offers: "
                      "similarity, attention, rollout, chefer, integrated-gradients, occlusion, rise, ...")
    made.add_argument("--layer", type=int, default=0, help="layer of “attention”, from 1; 0 is the last")
    made.add_argument("--out", required=True, type=Path, help="a .npz or .png file")
    _with_model(made)

    made = command("models", "List the models the studio knows, and which are on this computer.", models)
    change = made.add_mutually_exclusive_group()
    change.add_argument("--download", metavar="NAME", help="bring this model onto this computer")
    change.add_argument("--remove", metavar="NAME", help="delete this model from this computer")


def _of_projects(command: Command) -> None:
    made = command("new", "Make an empty project.", new)
    made.add_argument("project", type=Path)
    made = command("add", "Add files to a project and encode them.", add)
    made.add_argument("project", type=Path)
    made.add_argument("paths", nargs="+", type=Path)
    _with_model(made)
    made.add_argument("--batch", default="auto", type=_batch)
    made = command("export", "Write a project's items as files that other programs read.", export)
    made.add_argument("project", type=Path)
    made.add_argument("--out", required=True, type=Path, help="a .parquet, .csv, .jsonl or .npz file, or a new folder")
    made.add_argument("--kind", choices=("parquet", "csv", "jsonl", "npz", "datasets", "projector", "media"),
                      help="the format; by default what the file's ending says")
    made.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    _with_model(made)
    made = command("report", "Write a page that shows items of a project with their explanations.", report)
    made.add_argument("--project", required=True, type=Path)
    which = made.add_mutually_exclusive_group()
    which.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    which.add_argument("--items", nargs="+", default=[], type=Path, help="only the items of these files")
    made.add_argument("--out", required=True, type=Path, help="a .html file")
    made.add_argument("--query", default="", help="a text or a file whose nearness is explained; by default what "
                      "carries each item's own vector is")
    made.add_argument("--method", default="similarity", help="one of the methods that the window offers, see “explain”")
    made.add_argument("--untested", action="store_true", help="do not test whether each explanation is true, which "
                      "takes longer than making it")
    _with_model(made)


def _of_runs(command: Command) -> None:
    made = command("train", "Learn from a project's items, or go on with a run.", train)
    made.add_argument("job", type=Path, help="a .toml or .json file that says what to learn, or a run's folder; “-” "
                      "reads a run's folder from standard input")
    made.add_argument("--project", type=Path, help="the project to learn from, with a file")
    made.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    made.add_argument("--rehearse", action="store_true",
                      help="make a few steps only and print how long it would take, how much memory, and on what")
    made.add_argument("--again", action="store_true", help="repeat a run from its beginning, as a new run beside it")
    _with_model(made)
    made = command("sweep", "Look for good settings: train a run with each of several, or go on with a sweep.", sweep)
    made.add_argument("sweep", type=Path, help="a .toml or .json file that says what to learn and which settings vary, "
                      "or a sweep's folder")
    made.add_argument("--project", type=Path, help="the project to learn from, with a file")
    made.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    _with_model(made)
    made = command("predict", "Let a finished run tell of files.", predict)
    made.add_argument("folder", type=Path, help="the run's folder")
    made.add_argument("paths", nargs="+", type=Path)
    made.add_argument("--model", default="", help="by default the model that the run was trained with")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    made.add_argument("--batch", default="auto", type=_batch)
    made.add_argument("--out", required=True, type=Path, help="a .jsonl file, one line an input")
    made = command("export-run", "Write a finished run as a folder that other programs read.", export_run)
    made.add_argument("folder", type=Path, help="the run's folder")
    made.add_argument("--out", required=True, type=Path, help="a new folder")


def _of_whole_projects(command: Command) -> None:
    whole = command("project", "Save a whole project as one file, or unpack such a file.", lambda _: 2)
    ways = whole.add_subparsers(dest="way", required=True)
    made = ways.add_parser("export", help="save a project as one .mmproject file")
    made.set_defaults(run=pack_project)
    made.add_argument("project", type=Path)
    made.add_argument("file", type=Path)
    made = ways.add_parser("import", help="unpack an .mmproject file into a new folder")
    made.set_defaults(run=unpack_project)
    made.add_argument("file", type=Path)
    made.add_argument("project", type=Path)

def main(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code."""
    asked = parser().parse_args(arguments)
    stay_offline()
    keep_freed_memory()
    try:
        return int(asked.run(asked))
    except StudioError as error:
        where = f"{printable(error.path)}: " if error.path else ""
        print(f"mmstudio: {where}{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmstudio: stopped; what was done is kept.", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 2
    except Exception as error:  # noqa: BLE001 - exit code 1 means something else than a crash
        print(f"mmstudio: something unexpected happened ({type(error).__name__}: {error}).", file=sys.stderr)
        return 2


def encode(asked: argparse.Namespace) -> int:
    """Write one row per input: path, part, modality, space, dim, vector, error."""
    from mmstudio.vector_files import encode_files, writer_for

    writer = writer_for(asked.out)
    limits, encoder = _limits(), _encoder(asked)
    with _pool() as pool:
        rows = _shown(encode_files(asked.paths, encoder, limits, pool, asked.batch))
    writer(asked.out, rows)
    failed = [row for row in rows if row.error]
    for row in failed:
        print(f"{row.path}{' · ' + row.part if row.part else ''}: {row.error}", file=sys.stderr)
    print(f"{len(rows) - len(failed)} encoded, {len(failed)} unreadable → {asked.out}", file=sys.stderr)
    return 1 if failed else 0


def search(asked: argparse.Namespace) -> int:
    """Print hits as JSON lines: modality, rank, score, measure, path, part, text."""
    opened = project.Project.open(asked.project, _settings(), create=False, read_only=True)
    try:
        encoder = _encoder(asked)
        file = Path(asked.query)
        question: str | Path = file if _exists(file) else asked.query
        view = opened.vectors(encoder)
        if not len(view):
            raise ProjectError(f"The project has no vectors of the model {encoder.name}.", path=asked.project,
                               hint=f"Make them with “mmstudio add PROJECT FILES --model {encoder.name}”.")
        hits = searching.search(view, opened.query(encoder, question), asked.k, asked.measure)
        for modality in MODALITIES:
            for rank, hit in enumerate(hits[modality], 1):
                item = opened.item(hit.item_id)
                print(json.dumps({
                    "modality": modality, "rank": rank, "score": round(hit.score, 6), "measure": asked.measure,
                    "path": printable(item.path), "part": item.part, "text": item.text}, ensure_ascii=False))
        return 0
    finally:
        opened.close()


def explain(asked: argparse.Namespace) -> int:
    """Write the map of one explanation as numbers or as a picture."""
    from mmstudio.explain import figure

    limits, encoder = _limits(), _encoder(asked)
    figure.check_target(asked.out)
    ref = project.question_ref(asked.item, limits)
    query = None
    if asked.query:
        file = Path(asked.query)
        query = project.vector_of(encoder, project.question_ref(file if _exists(file) else asked.query, limits), limits)
    if asked.method in figure.MAPS:
        found = figure.chosen_map(project.explanation_of(encoder, ref, limits), asked.method, asked.layer, query)
    else:
        found = _shown(figure.method_map(encoder, ref, limits, asked.method, query))
    figure.write(found, ref, limits, asked.out)
    print(f"{found.title} → {asked.out}", file=sys.stderr)
    return 0


def models(asked: argparse.Namespace) -> int:
    """Print the catalogue, or bring or delete one model."""
    from mmstudio.encoders import catalog, download

    if asked.download:
        print(_shown(download.download(asked.download)))
        return 0
    if asked.remove:
        print(f"{download.remove(asked.remove) / 1e6:,.1f} MB are free again", file=sys.stderr)
        return 0
    for card in catalog():
        state = "here" if card.present else "not downloaded"
        print(f"{card.name:48} {'+'.join(card.modalities):18} {card.size_mb:>6} MB  {card.licence:14} {state}")
    return 0


def new(asked: argparse.Namespace) -> int:
    """Make a project's folder."""
    project.Project.open(asked.project, _settings()).close()
    print(asked.project)
    return 0


def add(asked: argparse.Namespace) -> int:
    """Add files and encode what has no vector yet."""
    opened = project.Project.open(asked.project, _settings())
    try:
        with _pool() as pool:
            added = _shown(opened.add(asked.paths, pool))
            encoded = _shown(opened.encode(_encoder(asked), pool, asked.batch))
    finally:
        opened.close()
    failures = [*added.failures, *encoded.failures]
    for path, reason in failures:
        print(f"{printable(path)}: {reason}", file=sys.stderr)
    print(f"{len(added.added)} added, {added.known} known already, {encoded.encoded} encoded, "
          f"{encoded.cached} from the cache, {len(failures)} unreadable")
    return 1 if failures else 0


def export(asked: argparse.Namespace) -> int:
    """Write a selection with its vectors."""
    from mmstudio import exports

    kind = exports.KINDS[asked.kind] if asked.kind else exports.kind_of(asked.out)
    opened = project.Project.open(asked.project, _settings(), create=False, read_only=True)
    try:
        items, encoder = opened.items(), _encoder(asked)
        view = opened.vectors(encoder)
        rows = exports.exported((items[i] for i in _passing(asked.filter, items)), view.vector, {}, opened.samples())
        outcome = _shown(exports.export(rows, asked.out, kind, encoder.space,
                                        lambda item: opened.preview(item.content_hash), opened.limits))
    finally:
        opened.close()
    for path, reason in outcome.problems:
        print(f"{printable(path)}: {reason}", file=sys.stderr)
    print(f"{outcome.count} items → {outcome.path}", file=sys.stderr)
    return 1 if outcome.problems else 0


def report(asked: argparse.Namespace) -> int:
    """Write items with their explanations as one page."""
    from mmstudio.explain.methods import named
    from mmstudio.explain.report import Wish, reported
    from mmstudio.explain.report_html import to_html
    from mmstudio.exports.target import ExportError, checked, written

    if asked.out.suffix.lower() != ".html":
        raise ExportError("A report has to end in .html.", path=asked.out, hint="The window writes PDF too.")
    checked(asked.out, ExportError, folder=False)
    method = named(asked.method)
    opened = project.Project.open(asked.project, _settings(), create=False, read_only=True)
    try:
        encoder, items, file = _encoder(asked), opened.items(), Path(asked.query)
        query = None
        if asked.query:
            query = opened.query(encoder, file if _exists(file) else asked.query)
        page = _shown(reported(encoder, Wish(
            f"Report of “{opened.name}”", _chosen(asked, items), items, opened.samples(), opened.vectors(encoder),
            opened.limits, method, asked.query, query, not asked.untested)))
    finally:
        opened.close()
    written(asked.out, to_html(page).encode())
    left_out = [entry for entry in page.entries if entry.notes]
    for entry in left_out:
        print(f"{printable(entry.item.path)}: {' '.join(entry.notes)}", file=sys.stderr)
    print(f"{page.count} items → {asked.out}", file=sys.stderr)
    return 1 if left_out else 0


def _chosen(asked: argparse.Namespace, items: Items) -> list[Item]:
    """The items of the files that were named, else those that pass the filter."""
    if not asked.items:
        return [items[i] for i in _passing(asked.filter, items)]
    wanted = {file.resolve() for file in asked.items}
    found = [item for item in items.values() if item.path.resolve() in wanted]
    for file in wanted - {item.path.resolve() for item in found}:
        raise ProjectError("The project has no item of this file.", path=file)
    return found


def _passing(text: str, items: Items) -> list[int]:
    """The ids of the items that a filter lets pass."""
    from mmstudio.library.query import parse
    from mmstudio.library.query_match import matches

    return items.ids()[matches(parse(text), items.columns())].tolist()


def train(asked: argparse.Namespace) -> int:
    """Train a run to its end and print its results; stopped, it goes on the next time from its folder."""
    from mmstudio.training import runs
    from mmstudio.training.loop import train
    from mmstudio.training.sweep import is_sweep

    if str(asked.job) == "-":
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

        print(_shown(rehearse(folder)).to_json())
        return 0
    results = _shown(train(folder))
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
    from dataclasses import replace

    from mmstudio.training import runs
    from mmstudio.training.job import read

    job = read(asked.job, whole=False)
    job = replace(job, name=job.name or asked.job.stem)
    folder = _made_of_project(asked, lambda opened, encoder, chosen: opened.make_run(job, encoder, chosen))
    left_out = runs.look(folder).provenance.left_out
    if left_out:
        print(left_out, file=sys.stderr)
    return folder


def _made_of_project(asked: argparse.Namespace,
                     make: Callable[[project.Project, Encoder, list[int] | None], Work[Path]]) -> Path:
    """What is made of the project's items that pass the filter, once all are encoded."""
    if asked.project is None:
        raise TrainingError("Say with --project what to learn from.")
    opened = project.Project.open(asked.project, _settings(), create=False)
    try:
        encoder, items = _encoder(asked), opened.items()
        with _pool() as pool:
            _shown(opened.encode(encoder, pool))
        chosen = _passing(asked.filter, items) if asked.filter else None
        return Path(_shown(make(opened, encoder, chosen)))
    finally:
        opened.close()


def sweep(asked: argparse.Namespace) -> int:
    """Make the trials of a sweep and print the best; stopped, it goes on the next time from its folder."""
    from mmstudio.training import runs
    from mmstudio.training.sweep import read

    folder = asked.sweep
    if not folder.is_dir():
        wanted = read(asked.sweep)
        folder = _made_of_project(asked, lambda opened, encoder, chosen: opened.make_sweep(wanted, encoder, chosen))
    runs.wish(folder, "run")  # what was wished of it before is past
    print(folder, file=sys.stderr)
    return _swept(folder)


def _swept(folder: Path) -> int:
    from mmstudio.training import sweeping

    print(json.dumps(_shown(sweeping.run(folder)), ensure_ascii=False))
    return 0


def predict(asked: argparse.Namespace) -> int:
    """Write what a run tells of files, one JSON line an item."""
    from mmstudio.predict_files import predict_files
    from mmstudio.training.predict import Predictor
    from mmstudio.training.run_encoder import base_of

    predictor = Predictor(asked.folder)
    encoder: Encoder | None = None
    if not predictor.job.reads_media:
        encoder = _encoder(asked) if asked.model else base_of(predictor.job, asked.folder, asked.device)
    with _pool() as pool:
        said = _shown(predict_files(predictor, asked.paths, encoder, _limits(), pool, asked.batch))
    failed = sum(bool(one.error) for one in said)
    lines = (json.dumps({"path": one.path, "part": one.part, "modality": one.modality, **one.told, "error": one.error},
                        ensure_ascii=False) for one in said)
    paths.write_atomically(asked.out.absolute(), "".join(f"{line}\n" for line in lines).encode())
    print(f"{len(said) - failed} predicted, {failed} not → {asked.out}", file=sys.stderr)
    return 1 if failed else 0


def export_run(asked: argparse.Namespace) -> int:
    """Write a run's weights, card, head and encoder, and print what was written."""
    from mmstudio.training.export_run import export_run

    report = _shown(export_run(asked.folder, asked.out.absolute()))
    for sentence in report.left_out:
        print(sentence, file=sys.stderr)
    for name in report.files:
        print(printable(report.folder / name))
    return 0


def pack_project(asked: argparse.Namespace) -> int:
    """A project's folder as one file; it is held meanwhile, so that nobody writes into it."""
    from mmstudio.archive import pack

    opened = project.Project.open(asked.project, _settings(), create=False)
    try:
        print(_shown(pack(asked.project, asked.file)))
    finally:
        opened.close()
    return 0


def unpack_project(asked: argparse.Namespace) -> int:
    """A project's file as a folder."""
    from mmstudio.archive import unpack

    print(_shown(unpack(asked.file, asked.project)))
    return 0


def _shown(work: Work[Any]) -> Any:
    """Run work and draw its progress on stderr, at most five times a second on a terminal and once at the end."""
    last, step = 0.0, Progress(0, 0)
    steps = _steps(work)
    for step in steps:
        if sys.stderr.isatty() and time.monotonic() - last > 0.2:
            last = time.monotonic()
            text = printable(step.text)[:50]
            print(f"\r\x1b[K{step.done:,} / {step.total:,} {text}", end="", file=sys.stderr, flush=True)
    end = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{end}{step.done:,} / {step.total:,} done", file=sys.stderr)
    return steps.outcome


class _steps(Iterator[Progress]):  # noqa: N801 - reads as a function
    """A generator's steps, then its outcome."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self.outcome: Any = None

    def __next__(self) -> Progress:
        try:
            return next(self._work)
        except StopIteration as stop:
            self.outcome = stop.value
            raise StopIteration from None


def _settings() -> settings.Settings:
    loaded, complaints = settings.load()
    for complaint in complaints:
        print(f"mmstudio: {complaint}", file=sys.stderr)
    return loaded


def _limits() -> Limits:
    return Limits.of(_settings())


def _encoder(asked: argparse.Namespace) -> Encoder:
    from mmstudio.encoders import load_encoder

    encoder = load_encoder(asked.model, asked.device)
    note = getattr(encoder, "note", "")
    if note:
        print(f"mmstudio: {note}", file=sys.stderr)
    return encoder


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2)))


def _batch(text: str) -> int:
    if text == "auto":
        return 0
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("“auto” or a whole number from 1")
    return number


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


