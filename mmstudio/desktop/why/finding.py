"""Finding the features of a project's vectors, naming them and keeping them: long work without a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmstudio.desktop.naming import SAID, together, vocabulary, words_of, words_to_try
from mmstudio.encoders.base import Encoder
from mmstudio.errors import ProjectError
from mmstudio.explain.kept_features import Features, Firings, keep, read
from mmstudio.explain.sparse_features import Wish, learn
from mmstudio.explore.naming import nearest_words
from mmstudio.library import Items, VectorView
from mmstudio.media import Limits
from mmstudio.progress import Work

NAMING = 4
"""The strongest items of a feature, whose texts help to name it; those after them are mixtures with others."""


@dataclass(frozen=True, eq=False)
class Found:
    """Features of a space, and where they fire among its items."""

    features: Features
    firings: Firings
    unkept: str = ""
    """Why they could not be kept with the project."""


def finding(folder: Path, encoder: Encoder, limits: Limits, view: VectorView, items: Items, wish: Wish,
            may_write: bool = True) -> Work[Found]:
    """Learn the features, name them, and keep them in the project's folder; closed before that, it leaves nothing. On
    the models' lane, for the encoder reads the words.
    """
    learned = yield from learn(view.vectors, view.modalities, wish)
    unnamed = Features(learned, np.array(view.ids))
    firings = Firings(unnamed)
    features = replace(unnamed, names=(yield from _names(unnamed, firings, encoder, limits, items)))
    unkept = ""
    try:
        if may_write:
            keep(folder, view.key.digest, features)
    except ProjectError as error:  # they took minutes to find, and hold as long as the window does
        unkept = str(error)
    return Found(features, firings, unkept)


def _names(features: Features, firings: Firings, encoder: Encoder, limits: Limits, items: Items,
           ) -> Work[tuple[str, ...]]:
    """By the words nearest to its direction and those of its strongest texts; else by its strongest item."""
    alive = np.flatnonzero(firings.counts)
    strongest = [firings.top[at][:NAMING] for at in alive]
    labels = np.repeat(alive, [len(ids) for ids in strongest])
    terms, own = words_of(items, np.concatenate(strongest), labels)
    near = dict[int, list[str]]()
    if "text" in encoder.modalities:
        words = yield from vocabulary(encoder, words_to_try(own), limits)
        near = nearest_words(features.learned.autoencoder.decoder[alive], alive, words.words, words.vectors)
    names = [""] * len(firings.counts)
    for at, ids in zip(alive.tolist(), strongest, strict=True):
        first = items.get(int(ids[0]))
        names[at] = ", ".join(together(near.get(at, []), terms.get(at, []))[:SAID]) or (first.title if first else "")
    return tuple(names)


def kept(folder: Path, view: VectorView) -> Found | None:
    """What was kept of the view's space, over its items as they are now. Raises ProjectError."""
    features = read(folder, view.key.digest, view.key.dim)
    return None if features is None else over(features, view)


def over(features: Features, view: VectorView) -> Found:
    """The same features over the view's items."""
    features = features.over(np.array(view.ids), view.vectors, view.modalities)
    return Found(features, Firings(features))
