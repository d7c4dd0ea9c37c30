"""Projects: made, filled, written as files that other programs read, told of in a report, packed and unpacked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmstudio import project
from mmstudio.cli import adding
from mmstudio.cli.shared import (
    Command,
    Pages,
    batch_size,
    encoder_of,
    is_file,
    passing,
    settings_here,
    shown,
    threads,
    with_model,
)
from mmstudio.errors import ProjectError
from mmstudio.library import Item, Items
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work, retold

if TYPE_CHECKING:
    from mmstudio.explain.report import Report


def add_to(command: Command) -> None:
    """The commands of this module."""
    made = command("new", "Make an empty project.", new)
    made.add_argument("project", type=Path)
    made = command("add", "Add files to a project and encode them.", add)
    made.add_argument("project", type=Path)
    made.add_argument("paths", nargs="+", type=Path, help="pictures, sounds, texts, videos, folders; and tables: "
                      "Parquet, CSV, JSON lines, Excel, zip, tar, and folders saved by “datasets”")
    made.add_argument("--role", action="append", default=[], type=adding.role, metavar="COLUMN=ROLE",
                      help=f"what a column of the tables becomes: {', '.join(adding.ROLE_WORDS)}; by default guessed")
    made.add_argument("--media-folder", type=Path, help="where the files lie that the tables name; by default beside "
                      "the table")
    made.add_argument("--only", type=adding.kinds, default=frozenset(), metavar="KIND,KIND",
                      help=f"only files of these kinds: {', '.join(adding.KIND_WORDS)}")
    made.add_argument("--match", default="", metavar="PATTERN", help="only files of such names, as “*.jpg”")
    made.add_argument("--no-subfolders", action="store_true", help="read no folders inside those that are named")
    made.add_argument("--sheet", default="", help="the sheet of a workbook; by default the first")
    with_model(made)
    made.add_argument("--batch", default="auto", type=batch_size)
    made = command("export", "Write a project's items as files that other programs read.", export)
    made.add_argument("project", type=Path)
    made.add_argument("--out", required=True, type=Path, help="a .parquet, .csv, .jsonl or .npz file, or a new folder")
    made.add_argument("--kind", choices=("parquet", "csv", "jsonl", "npz", "datasets", "projector", "media"),
                      help="the format; by default what the file's ending says")
    made.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    with_model(made)
    made = command("report", "Write a page that shows items of a project with their explanations.", report)
    made.add_argument("--project", required=True, type=Path)
    which = made.add_mutually_exclusive_group()
    which.add_argument("--filter", default="", help="only items that this lets pass: “modality:image tag:dog”")
    which.add_argument("--items", nargs="+", default=[], type=Path, help="only the items of these files")
    made.add_argument("--out", required=True, type=Path, help="a .html or .pdf file")
    made.add_argument("--query", default="", help="a text or a file whose nearness is explained; by default what "
                      "carries each item's own vector is")
    made.add_argument("--method", default="similarity", help="one of the methods that the window offers, see “explain”")
    made.add_argument("--untested", action="store_true", help="do not test whether each explanation is true, which "
                      "takes longer than making it")
    with_model(made)
    _add_whole(command)


def _add_whole(command: Command) -> None:
    whole = command("project", "Save a whole project as one file, or unpack such a file.", lambda _: 2)
    ways = whole.add_subparsers(dest="way", required=True)
    made = ways.add_parser("export", help="save a project as one .mmproject file")
    made.set_defaults(run=pack_project)
    made.add_argument("project", type=Path)
    made.add_argument("file", type=Path)
    made.add_argument("--with-media", action="store_true", help="take along the files that lie outside the project, so "
                      "that it opens with them on another computer")
    made = ways.add_parser("import", help="unpack an .mmproject file into a new folder")
    made.set_defaults(run=unpack_project)
    made.add_argument("file", type=Path)
    made.add_argument("project", type=Path)


def new(asked: argparse.Namespace) -> int:
    """Make a project's folder."""
    project.Project.open(asked.project, settings_here()).close()
    print(asked.project)
    return 0


def add(asked: argparse.Namespace) -> int:
    """Add files and the rows of tables, and encode what has no vector yet."""
    opened = project.Project.open(asked.project, settings_here())
    try:
        with threads() as pool:
            added = adding.added(asked, opened, pool)
            encoded = shown(opened.encode(encoder_of(asked), pool, asked.batch))
    finally:
        opened.close()
    failures = [*added.failures, *encoded.failures]
    for path, reason in failures:
        print(f"{printable(path)}: {reason}", file=sys.stderr)
    print(f"{len(added.added)} added, {added.known} known already{_updated(added.updated)}, {encoded.encoded} encoded, "
          f"{encoded.cached} from the cache, {len(failures)} unreadable")
    return 1 if failures else 0


def _updated(number: int) -> str:
    return f" ({number} of them with new tags or columns)" if number else ""


def export(asked: argparse.Namespace) -> int:
    """Write a selection with its vectors."""
    from mmstudio import exports

    kind = exports.KINDS[asked.kind] if asked.kind else exports.kind_of(asked.out)
    opened = project.Project.open(asked.project, settings_here(), create=False, read_only=True)
    try:
        items, encoder = opened.items(), encoder_of(asked)
        view = opened.vectors(encoder)
        rows = exports.exported((items[i] for i in passing(asked.filter, items)), view.vector, {}, opened.samples())
        outcome = shown(exports.export(rows, asked.out, kind, encoder.space,
                                        lambda item: opened.preview(item.content_hash), opened.limits))
    finally:
        opened.close()
    for path, reason in outcome.problems:
        print(f"{printable(path)}: {reason}", file=sys.stderr)
    print(f"{outcome.count} items → {outcome.path}", file=sys.stderr)
    return 1 if outcome.problems else 0


def report(asked: argparse.Namespace) -> int:
    """Write items with their explanations as one page, or as pages of a PDF."""
    from mmstudio.explain.methods import named
    from mmstudio.explain.report import Wish, reported
    from mmstudio.exports.report_page import written_page
    from mmstudio.exports.target import ExportError, checked

    suffix = asked.out.suffix.lower()
    if suffix not in (".html", ".pdf"):
        raise ExportError("A report has to end in .html or .pdf.", path=asked.out)
    checked(asked.out, ExportError, folder=False)
    method = named(asked.method)
    opened = project.Project.open(asked.project, settings_here(), create=False, read_only=True)
    try:
        encoder, items, file = encoder_of(asked), opened.items(), Path(asked.query)
        query = None
        if asked.query:
            query = opened.query(encoder, file if is_file(file) else asked.query)
        title = f"Report of “{opened.name}”"
        work = reported(encoder, Wish(
            title, _chosen(asked, items), items, opened.samples(), opened.vectors(encoder), opened.limits, method,
            asked.query, query, not asked.untested, lambda item: opened.preview(item.content_hash)))
        page = shown(written_page(work, asked.out) if suffix == ".html" else _in_pages(work, asked, title))
    finally:
        opened.close()
    left_out = [entry for entry in page.entries if entry.notes]
    pointed = [entry.pointing for entry in page.entries if entry.pointing is not None]
    if pointed:
        chance = sum(one.chance for one in pointed) / len(pointed)
        print(f"Pointing game: {sum(one.hit for one in pointed)} of {len(pointed)} on their boxes; at random "
              f"{100 * chance:.0f} %", file=sys.stderr)
    for entry in left_out:
        print(f"{printable(entry.item.path)}: {' '.join(entry.notes)}", file=sys.stderr)
    print(f"{page.count} items → {asked.out}", file=sys.stderr)
    return 1 if left_out else 0


def _in_pages(work: Work[Report], asked: argparse.Namespace, title: str) -> Work[Report]:
    """The steps and the outcome of a report, written as a PDF."""
    from mmstudio.explain.report_html import page_html
    from mmstudio.exports.target import ExportError, written

    try:
        pages: Pages | None = asked.pages(title) if asked.pages else None
    except ImportError:
        pages = None
    if pages is None:
        raise ExportError("What draws the pages of a PDF is not installed here.", path=asked.out,
                          hint="Write .html, which every browser prints.")

    def add(step: Progress) -> Progress:
        if html := page_html(step.fresh):
            pages.add(html)
        return step

    report = yield from retold(work, add)
    written(asked.out, pages.end())
    return report


def _chosen(asked: argparse.Namespace, items: Items) -> list[Item]:
    """The items of the files that were named, else those that pass the filter."""
    if not asked.items:
        return [items[i] for i in passing(asked.filter, items)]
    wanted = {file.resolve() for file in asked.items}
    found = [item for item in items.values() if item.path.resolve() in wanted]
    for file in wanted - {item.path.resolve() for item in found}:
        raise ProjectError("The project has no item of this file.", path=file)
    return found


def pack_project(asked: argparse.Namespace) -> int:
    """A project's folder as one file; it is held meanwhile, so that nobody writes into it."""
    from mmstudio.archive import pack
    from mmstudio.whereabouts import outside

    opened = project.Project.open(asked.project, settings_here(), create=False)
    try:
        elsewhere = outside(opened.items(), asked.project)
        print(shown(pack(asked.project, asked.file, elsewhere if asked.with_media else ())))
    finally:
        opened.close()
    if elsewhere:
        done = "were taken along" if asked.with_media else "were left out; --with-media takes them along"
        print(f"{len(elsewhere):,} files lie outside the project and {done}.", file=sys.stderr)
    return 0


def unpack_project(asked: argparse.Namespace) -> int:
    """A project's file as a folder."""
    from mmstudio.archive import unpack

    print(shown(unpack(asked.file, asked.project)))
    return 0
