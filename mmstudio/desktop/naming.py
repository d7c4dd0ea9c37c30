"""Words that name groups of items: those of their own texts, and those that lie near them in the model's space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.desktop.plots.colouring import places_in
from mmstudio.encoders.base import Encoder
from mmstudio.explore.naming import distinctive_terms
from mmstudio.library import Items
from mmstudio.media import Limits, MediaRef
from mmstudio.progress import Progress, Work

LONGEST_NAME, MOST_WORDS, SAID = 3, 1500, 3
"""Texts of so many words may name a group; so many texts and tags of the project are tried; so many are said."""
_BATCH = 64


@dataclass(frozen=True)
class Vocabulary:
    """Words and their vectors ``(m, dim)``, as one encoder reads them."""

    encoder: Encoder
    words: tuple[str, ...]
    vectors: NDArray[np.float32]


def together(near: Sequence[str], terms: Sequence[str]) -> list[str]:
    """The nearest word, then the terms, then the other words, but for what one before has said already."""
    out = list[str]()
    for word in [*near[:1], *terms, *near[1:]]:
        said = set(" ".join(out).lower().split())
        if not set(word.lower().split()) & said:
            out.append(word)
    return out


def words_of(items: Items, keys: NDArray[np.int64], labels: NDArray[np.int64],
             ) -> tuple[dict[int, list[str]], list[str]]:
    """On a lane: distinctive terms of the texts of each group, of which ``keys (n,)`` are members with ``labels (n,)``,
    and the project's own tags and short texts.
    """
    import pyarrow.compute as pc

    rows = items.rows_of(np.unique(keys), ["id", "modality", "text"])  # no object for each of a million items
    rows = rows.filter(pc.equal(rows.column("modality"), "text"))
    read, at = rows.column("text").to_pylist(), places_in(keys, np.asarray(rows.column("id"), np.int64))
    texts = [read[row] for row in at[at >= 0].tolist()]
    terms = distinctive_terms(texts, labels[at >= 0])
    short = [text.strip() for text in texts if 0 < len(text.split()) <= LONGEST_NAME]
    return terms, [*items.tags_of(items.ids()), *dict.fromkeys(short)][:MOST_WORDS]


def words_to_try(own: Sequence[str]) -> tuple[str, ...]:
    """The project's own words, and the names that the starter model was taught."""
    told = json.loads((paths.starter_model() / "concepts.json").read_text(encoding="utf-8"))
    return tuple(dict.fromkeys([*own, *(concept["name"] for concept in told)]))


def vocabulary(encoder: Encoder, words: Sequence[str], limits: Limits) -> Work[Vocabulary]:
    """On the models' lane: words as the encoder reads them."""
    from mmstudio.encoders.base import encode
    from mmstudio.media import load

    vectors = [np.zeros((0, encoder.dim), np.float32)]
    for start in range(0, len(words), _BATCH):
        media = [load(MediaRef(paths.resources(), "text", text=word), limits)
                 for word in words[start : start + _BATCH]]
        vectors.append(encode(encoder, media, "text"))
        yield Progress(start + len(media), len(words), "reading words")
    return Vocabulary(encoder, tuple(words), np.concatenate(vectors))
