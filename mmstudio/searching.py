"""What a question finds in each modality: nearest items, how surprising each is, and whether anything is close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore import similarity
from mmstudio.explore.significance import discoveries, null_of
from mmstudio.library import VectorView
from mmstudio.media import MODALITIES, Modality
from mmstudio.progress import Work

if TYPE_CHECKING:
    from mmstudio.explore.index import Index

EXACT_BELOW = 300_000
"""Vectors: of fewer the exact answer takes no longer than a person notices."""
STALE = 1.2
"""An index is made anew where there are more vectors than this times those it knows."""
BACKGROUND, OTHERS = 4096, 64
LEVEL = 0.05

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """One search result: an item and its score under the measure that was asked for. ``deviations`` is how many spreads
    it lies above what its modality scores by chance, ``p`` the probability of that; None where too little is known.
    """

    item_id: int
    score: float
    deviations: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Question:
    """What is asked: the ``k`` items of each of ``modalities`` nearest to ``vector (dim,)``, only of the items
    ``within`` where that is given, but for those ``without``. ``asked_with`` is the question's own modality, "" for a
    mixture of several.
    """

    vector: NDArray[np.float32]
    measure: similarity.Measure = "cosine"
    k: int = 24
    modalities: Sequence[Modality] = MODALITIES
    within: Rows | None = None
    without: tuple[int, ...] = ()
    asked_with: str = ""
    exact: bool = False


@dataclass(frozen=True)
class Results:
    """Hits per modality, best first. ``close`` says how many of them lie above the line: of those at most a share
    ``LEVEL`` is expected to be there by chance; None where a modality has too few items to tell.

    ``recall`` is that of an approximate answer, as it was measured; None where the answer is exact.
    """

    hits: dict[Modality, list[Found]]
    close: dict[Modality, int | None] = field(default_factory=dict)
    searched: int = 0
    recall: float | None = None

    @property
    def nothing_is_close(self) -> bool:
        """Whether every modality that was looked into could tell, and none has a match."""
        told = [self.close.get(modality) for modality, hits in self.hits.items() if hits]
        return bool(told) and all(number == 0 for number in told)

    def ranked(self) -> list[Found]:
        """All hits in one list, the most surprising first, so that no modality's closeness buries another; hits of
        modalities that cannot tell come last.
        """
        hits = [hit for found in self.hits.values() for hit in found]
        return sorted(hits, key=lambda hit: (hit.deviations is None, -(hit.deviations or 0.0)))


class Scores:
    """The score of every item under a question, reckoned when it is first asked for. For one thread at a time."""

    def __init__(self, view: VectorView, query: NDArray[np.float32], measure: similarity.Measure) -> None:
        self.view = view
        self._query, self._measure = query, measure
        self._known: tuple[Rows, Any] | None = None

    def of(self, ids: Rows) -> Any:
        """``(n,)`` Arrow float64 for ``ids (n,)``, ascending; NaN for what has no vector. The same array as long as it
        is the same array of ids.
        """
        import pyarrow as pa

        if self._known is None or self._known[0] is not ids:
            out = np.full(len(ids), np.nan)
            if len(ids):
                at = np.searchsorted(ids, self.view.ids).clip(max=len(ids) - 1)
                here = ids[at] == self.view.ids
                out[at[here]] = self._scores[here]
            self._known = ids, pa.array(out)
        return self._known[1]

    @cached_property
    def _scores(self) -> NDArray[np.float32]:
        return similarity.scores(self.view.vectors, self._query, self._measure)


def search(view: VectorView, query: NDArray[np.float32], k: int = 12, measure: similarity.Measure = "cosine",
           without: int | None = None) -> dict[Modality, list[Found]]:
    """The ``k`` nearest items of each modality, best first, so that one modality's closeness buries no other."""
    left_out = () if without is None else (without,)
    return _hits(view, Question(query, measure, k, without=left_out), None, None)


def find(view: VectorView, question: Question, index: Index | None = None, seed: int = 0) -> Results:
    """The hits of a question, and what chance makes of them. Exact for fewer than ``EXACT_BELOW`` items or without an
    ``index``, else approximate unless the question wants it exact.
    """
    scope = None if question.within is None else np.isin(view.ids, question.within)
    used = index if _fits(index, view, question, scope) else None
    hits, close = _hits(view, question, scope, used), dict[Modality, int | None]()
    rng = np.random.default_rng(seed)
    for modality, found in hits.items():
        hits[modality], close[modality] = _judged(view, question, modality, found, scope, rng)
    recall = None
    if used is not None and not question.exact:
        told = [group.recall for group in used.groups.values() if group.shortlist and group.name in hits]
        recall = min(told, default=None)
    return Results(hits, close, len(view) if scope is None else int(scope.sum()), recall)


def _fits(index: Index | None, view: VectorView, question: Question, scope: NDArray[np.bool_] | None) -> bool:
    number = len(view) if scope is None else int(scope.sum())
    return index is not None and index.count <= len(view) and number >= EXACT_BELOW and question.measure != "pearson"


def _hits(view: VectorView, question: Question, scope: NDArray[np.bool_] | None, index: Index | None,
          ) -> dict[Modality, list[Found]]:
    out: dict[Modality, list[Found]] = {modality: [] for modality in question.modalities}
    if not len(view):
        return out
    if index is None:
        rows = np.arange(len(view)) if scope is None else np.flatnonzero(scope)
        vectors = view.vectors if scope is None else view.vectors[rows]
        values, modalities = similarity.scores(vectors, question.vector, question.measure), view.modalities[rows]
    k = question.k + len(question.without)
    for modality in question.modalities:
        if index is None:
            best = [int(rows[hit.index]) for hit in similarity.nearest(values, k, modalities == modality)]
        else:
            best = _by_index(view, question, modality, scope, index, k)
        best = [row for row in best if int(view.ids[row]) not in question.without][: question.k]
        scores = similarity.scores(view.vectors[best], question.vector, question.measure)
        out[modality] = [Found(int(view.ids[row]), float(score)) for row, score in zip(best, scores, strict=True)]
    return out


def _by_index(view: VectorView, question: Question, modality: Modality, scope: NDArray[np.bool_] | None, index: Index,
              k: int) -> list[int]:
    """Rows by the index, and exactly of those that came after it was made."""
    known = index.top(view.vectors, question.vector, k, modality, scope, question.exact)
    late = slice(index.count, len(view))
    within = (view.modalities[late] == modality) & (True if scope is None else scope[late])
    values = similarity.scores(view.vectors[late], question.vector)
    new = [(index.count + hit.index, hit.score) for hit in similarity.nearest(values, k, within)]
    best = sorted([*((hit.index, hit.score) for hit in known), *new], key=lambda found: -found[1])[:k]
    return [row for row, _ in best]


def _judged(view: VectorView, question: Question, modality: Modality, found: list[Found],
            scope: NDArray[np.bool_] | None, rng: np.random.Generator) -> tuple[list[Found], int | None]:
    """Hits with what chance makes of them, and how many are above the line.

    The background are random items of the modality, of the whole project whatever the scope; the other questions are
    random items of the question's own modality, or of any.
    """
    of_modality = view.modalities == modality
    rows = _drawn(of_modality & ~np.isin(view.ids, question.without), BACKGROUND, rng)
    asking = view.modalities == question.asked_with
    others = _drawn(asking if asking.any() else np.ones(len(view), bool), OTHERS, rng)
    background = view.vectors[rows]
    null = null_of(similarity.scores(background, question.vector, question.measure),
                   similarity.score_matrix(view.vectors[others], background, question.measure))
    if null is None or not found:
        return found, None
    scores = np.array([hit.score for hit in found], np.float32)
    p = null.p_values(scores)
    tested = int((of_modality if scope is None else of_modality & scope).sum())
    judged = [Found(hit.item_id, hit.score, float(z), float(one))
              for hit, z, one in zip(found, null.deviations(scores), p, strict=True)]
    return judged, discoveries(p, tested, LEVEL)


def _drawn(mask: NDArray[np.bool_], most: int, rng: np.random.Generator) -> Rows:
    rows = np.flatnonzero(mask)
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


# ---- the index ------------------------------------------------------------------------------------------------------


def place_of_index(folder: Path, view: VectorView) -> Path:
    """Where a project's folder keeps the index of a space, beside its vectors."""
    return folder / "mirror" / f"index-{view.key.digest}"


def known_index(folder: Path, view: VectorView) -> Index | None:
    """The project's index of these vectors, or None where there is none or it was made from others."""
    from mmstudio.explore import index

    found = index.opened(place_of_index(folder, view))
    if found is None or found.count > len(view):
        return None
    return found if found.fingerprint == index.fingerprint(view.key.digest, view.ids[: found.count]) else None


def index_wanted(view: VectorView, index: Index | None) -> bool:
    """Whether there are enough vectors for an index that is not there, or so many more that it should be made anew."""
    return len(view) >= EXACT_BELOW and (index is None or len(view) > STALE * index.count)


def make_index(folder: Path, view: VectorView) -> Work[Index]:
    """Index these vectors, and keep that with the project. Raises ProjectError where the disk is full."""
    from mmstudio.explore import index

    return (yield from index.build(view.vectors, view.modalities, place_of_index(folder, view),
                                   index.fingerprint(view.key.digest, view.ids)))
