"""Files through a model: their vectors, their neighbours in a project, what carries them, and the models there are."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mmstudio import project, searching
from mmstudio.cli.shared import (
    Command,
    batch_size,
    encoder_of,
    is_file,
    limits_here,
    settings_here,
    shown,
    threads,
    with_model,
)
from mmstudio.encoders.base import encode as vectors_of
from mmstudio.errors import ProjectError, StudioError
from mmstudio.media import MODALITIES, AudioClip, load
from mmstudio.media.scan import printable


def add_to(command: Command) -> None:
    """The commands of this module."""
    made = command("encode", "Turn files into vectors, one row per input.", encode)
    made.add_argument("paths", nargs="+", type=Path)
    with_model(made)
    made.add_argument("--batch", default="auto", type=batch_size, help="items per model call, or “auto”")
    made.add_argument("--out", required=True, type=Path, help="a .parquet, .npz or .jsonl file")

    made = command("search", "Find the items of a project that are nearest to a text or a file.", search)
    made.add_argument("project", type=Path)
    made.add_argument("query", help="a text, or the path of a picture, sound or text file")
    with_model(made)
    made.add_argument("-k", type=int, default=5, help="hits per modality")
    made.add_argument("--measure", default="cosine", choices=("cosine", "dot", "euclid", "pearson", "angular"))

    made = command("explain", "Show which parts of an item carry it.", explain)
    made.add_argument("--item", required=True, type=Path)
    made.add_argument("--query", default="", help="a text or a file to compare the item's parts with")
    made.add_argument("--method", default="auto", help="auto, pooling, or one of the methods that the window offers: "
                      "similarity, attention, rollout, chefer, integrated-gradients, occlusion, rise, ...")
    made.add_argument("--layer", type=int, default=0, help="layer of “attention”, from 1; 0 is the last")
    made.add_argument("--box", action="append", default=[], metavar="LEFT,TOP,RIGHT,BOTTOM[,LABEL]", help="where on a "
                      "picture the query is, in pixels: tells whether the map points into it; may be given again")
    made.add_argument("--out", required=True, type=Path, help="a .npz, .png or .svg file")
    with_model(made)

    made = command("models", "List the models the studio knows, and which are on this computer.", models)
    change = made.add_mutually_exclusive_group()
    change.add_argument("--download", metavar="NAME", help="bring this model onto this computer")
    change.add_argument("--remove", metavar="NAME", help="delete this model from this computer")


def encode(asked: argparse.Namespace) -> int:
    """Write one row per input: path, part, modality, space, dim, vector, error."""
    from mmstudio.vector_files import encode_files, writer_for

    writer = writer_for(asked.out)
    limits, encoder = limits_here(), encoder_of(asked)
    with threads() as pool:
        rows = shown(encode_files(asked.paths, encoder, limits, pool, asked.batch))
    writer(asked.out, rows)
    failed = [row for row in rows if row.error]
    for row in failed:
        print(f"{row.path}{' · ' + row.part if row.part else ''}: {row.error}", file=sys.stderr)
    print(f"{len(rows) - len(failed)} encoded, {len(failed)} unreadable → {asked.out}", file=sys.stderr)
    return 1 if failed else 0


def search(asked: argparse.Namespace) -> int:
    """Print hits as JSON lines: modality, rank, score, measure, path, part, text."""
    opened = project.Project.open(asked.project, settings_here(), create=False, read_only=True)
    try:
        encoder = encoder_of(asked)
        file = Path(asked.query)
        question: str | Path = file if is_file(file) else asked.query
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
    """Write the map of one explanation as numbers or as a figure."""
    from mmstudio.explain import boxes, figure

    figure.check_target(asked.out)
    limits, encoder = limits_here(), encoder_of(asked)
    ref = project.question_ref(asked.item, limits)
    media = load(ref, limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
    if asked.box and isinstance(media, str | AudioClip):
        raise StudioError("Boxes are for pictures.", path=asked.item, hint="Leave --box out.")
    known = () if isinstance(media, str | AudioClip) else boxes.listed(asked.box, media.width, media.height)
    query = score = None
    if asked.query:
        file = Path(asked.query)
        query = project.vector_of(encoder, project.question_ref(file if is_file(file) else asked.query, limits), limits)
        score = float(vectors_of(encoder, [media], ref.modality)[0] @ query)
    if asked.method in figure.MAPS:
        found = figure.chosen_map(encoder.explain(media, ref.modality), asked.method, asked.layer, query)
    else:
        found = shown(figure.method_map(encoder, media, ref.modality, asked.method, query))
    caption = figure.Caption.of(encoder, printable(asked.item.name), asked.query, score)
    figure.write(found, media, caption, asked.out)
    print(f"{found.title} → {asked.out}", file=sys.stderr)
    pointed = boxes.pointing(found, known, asked.query)
    if pointed is not None:
        print(pointed.text.format(*pointed.values), file=sys.stderr)
    return 0


def models(asked: argparse.Namespace) -> int:
    """Print the catalogue, or bring or delete one model."""
    from mmstudio.encoders import catalog, download

    if asked.download:
        print(shown(download.download(asked.download)))
        return 0
    if asked.remove:
        print(f"{download.remove(asked.remove) / 1e6:,.1f} MB are free again", file=sys.stderr)
        return 0
    for card in catalog():
        state = "here" if card.present else "not downloaded"
        print(f"{card.name:48} {'+'.join(card.modalities):18} {card.size_mb:>6} MB  {card.licence:14} {state}")
    return 0
