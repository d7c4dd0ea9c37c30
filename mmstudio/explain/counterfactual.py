"""What would have to be gone for another answer: the smallest deletion that flips the top hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Encoder, Vectors, encode
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.parts import Parts, parts_of
from mmstudio.media import Media, Modality
from mmstudio.progress import Progress, Work

AT_ONCE = 4
"""Items that are read in one step of the work, after each of which it can be stopped."""


@dataclass(frozen=True)
class Flip:
    """``gone`` ``(regions,)`` says what was left out, ``media`` what is left; ``before`` and ``after`` are the rows of
    the candidates that are nearest then. Both are the same where nothing flips it.
    """

    parts: Parts
    gone: NDArray[np.bool_]
    media: Media
    before: int
    after: int

    @property
    def flipped(self) -> bool:
        return self.before != self.after

    @property
    def share(self) -> float:
        """The share of the item's cells that is gone."""
        return float(self.gone[self.parts.regions].mean())


def smallest_flip(encoder: Encoder, media: Media, modality: Modality, candidates: Vectors) -> Work[Flip]:
    """Leave regions out one after another, each time that which brings another of ``candidates (n, dim)`` nearest to
    the top (greedy: small, though not surely the smallest). Raises AttentionUnavailable for fewer than two candidates.
    """
    if len(candidates) < 2:
        raise AttentionUnavailable("There must be at least two things that could be the nearest.")
    parts = parts_of(media)
    gone = np.zeros(parts.region_count, bool)
    before = int((candidates @ encode(encoder, [media], modality)[0]).argmax())
    after, left = before, media
    while after == before and not gone.all():
        open_ = np.flatnonzero(~gone)
        tried = [parts.with_regions(~(gone | (np.arange(len(gone)) == region))) for region in open_]
        rows = list[Vectors]()
        for at in range(0, len(tried), AT_ONCE):
            rows.append(encode(encoder, tried[at : at + AT_ONCE], modality))
            yield Progress(int(gone.sum()), len(gone))
        scores = np.concatenate(rows) @ candidates.T
        rivals = np.delete(scores, before, axis=1).max(axis=1)
        best = int((rivals - scores[:, before]).argmax())
        gone[open_[best]], left, after = True, tried[best], int(scores[best].argmax())
        yield Progress(int(gone.sum()), len(gone), fresh=Flip(parts, gone.copy(), left, before, after))
    return Flip(parts, gone, left, before, after)
