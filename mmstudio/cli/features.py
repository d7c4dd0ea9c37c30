"""Features of a project's vectors: the directions that they are made of, learned by a sparse autoencoder."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmstudio import project
from mmstudio.cli.shared import Command, batch_size, encoder_of, settings_here, shown, with_model
from mmstudio.encoders.base import Encoder
from mmstudio.errors import ProjectError
from mmstudio.media.scan import printable


def add_to(command: Command) -> None:
    """The command of this module."""
    made = command("features", "Find the features that a project's vectors are made of, and their strongest items.",
                   features)
    made.add_argument("project", type=Path)
    made.add_argument("--again", action="store_true", help="find them anew, though some are kept with the project")
    made.add_argument("--number", type=batch_size, default=0, help="how many; by default what suits the items")
    made.add_argument("--each", type=batch_size, default=0, help="how many make one vector; by default what suits")
    made.add_argument("--top", type=int, default=5, help="items that are listed of each")
    with_model(made)


def features(asked: argparse.Namespace) -> int:
    """Print features as JSON lines, those of most items first: number, name, items, strongest."""
    from mmstudio.explain.kept_features import Firings, read

    opened = project.Project.open(asked.project, settings_here(), create=False)
    try:
        encoder = encoder_of(asked)
        view = opened.vectors(encoder)
        if not len(view):
            raise ProjectError(f"The project has no vectors of the model {encoder.name}.", path=asked.project,
                               hint=f"Make them with “mmstudio add PROJECT FILES --model {encoder.name}”.")
        kept = None if asked.again else read(opened.folder, view.key.digest, view.key.dim)
        if kept is None:
            _learn(asked, opened, encoder)
            kept = read(opened.folder, view.key.digest, view.key.dim)  # as it will be found from now on
            assert kept is not None
        found = kept.over(np.array(view.ids), view.vectors, view.modalities)
        firings, items = Firings(found), opened.items()
        for number in np.argsort(-firings.counts, kind="stable").tolist():
            ids, strength = firings.of(number)
            if len(ids):
                top = [{"path": printable(items[key].path), "part": items[key].part, "text": items[key].text,
                        "strength": round(value, 4)}
                       for key, value in zip(ids[: asked.top].tolist(), strength[: asked.top].tolist(), strict=True)]
                print(json.dumps({"feature": number, "name": found.names[number], "items": len(ids), "strongest": top},
                                 ensure_ascii=False))
    finally:
        opened.close()
    print(f"{found.learned.explained:.0%} of what differs between the vectors is explained, {found.learned.dead:.0%} "
          "of the features never fire", file=sys.stderr)
    return 0


def _learn(asked: argparse.Namespace, opened: project.Project, encoder: Encoder) -> None:
    """Learn them, name each by its strongest item, and keep them with the project."""
    from mmstudio.explain.kept_features import Features, Firings, keep
    from mmstudio.explain.sparse_features import Wish, learn

    view, items = opened.vectors(encoder), opened.items()
    wish = Wish.fitting(len(view), view.key.dim, asked.number, asked.each)
    found = Features(shown(learn(view.vectors, view.modalities, wish)), np.array(view.ids))
    strongest = [ids[0] if len(ids) else None for ids in Firings(found).top]
    names = tuple("" if key is None else items[int(key)].title for key in strongest)
    keep(opened.folder, view.key.digest, replace(found, names=names))
