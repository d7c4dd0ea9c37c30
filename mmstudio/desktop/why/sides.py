"""What two sides a score is of: items, samples, words, and what was searched for from outside; long work without a
window that explains them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from mmstudio.desktop.text import tr
from mmstudio.desktop.why.other_model import MODEL
from mmstudio.encoders.base import Encoder, Vectors, encode
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.methods import METHODS, named, refusals
from mmstudio.explain.pairs import Pair, modality_shares, pair_of, word_shares
from mmstudio.explain.subject import Subject
from mmstudio.explain.trust import Verdict, verdict_of
from mmstudio.library import Item, Sample, VectorView
from mmstudio.media import AudioClip, Limits, Media, MediaRef, Modality, load
from mmstudio.progress import Progress, Work, retold
from mmstudio.project import fused, question_ref

Outside: TypeAlias = Path | MediaRef
"""A file, or a medium that is no item of the project."""
Chosen: TypeAlias = Item | str | Outside | Sample
Refused: TypeAlias = dict[Modality, dict[str, str]]
"""Of a modality the methods that cannot explain it in the model, by name, each with the reason."""
FIRST, SECOND, BESIDE = 0, 1, 2
"""Whose map: that of either side, or what stands beside the first's instead of the second's."""


@dataclass(frozen=True)
class Shown:
    """One map, of what and by which method it was made."""

    subject: Subject
    found: RelevanceMap
    method: str


@dataclass(frozen=True)
class Step:
    """What is told meanwhile; the rest is None. ``shares`` are those of words or of a sample's modalities, which sum to
    ``score``; ``members`` the items of the sample on a ``side``, the strongest first, of which ``member`` is shown.
    """

    side: int = FIRST
    shown: Shown | None = None
    pair: Pair | None = None
    shares: list[tuple[str, float]] | None = None
    score: float | None = None
    members: list[int] | None = None
    member: Item | None = None
    refused: Refused | None = None
    method: str = ""


@dataclass(frozen=True)
class Judged:
    """The verdict of the map on a side."""

    side: int
    verdict: Verdict


@dataclass(frozen=True)
class Wish:
    """What is to be explained, by ``method`` and with what ``beside``: a method, a model, or "" for the other side.
    ``members`` are the ids that were chosen of a sample on either side, None for the strongest. ``known`` is which
    methods are refused.
    """

    encoder: Encoder
    limits: Limits
    sides: tuple[Chosen, Chosen]
    view: VectorView | None
    items: dict[int, Item]
    members: tuple[int | None, int | None]
    method: str
    beside: str
    other: Callable[[], Encoder]
    known: Refused = field(default_factory=dict)

    @cached_property
    def vectors(self) -> tuple[Vectors, Vectors]:
        """Of each side as a whole ``(dim,)``; of a sample the weighted mean of its items."""
        one, other = (self._vector(side) for side in self.sides)
        return one, other

    def _vector(self, side: Chosen) -> Vectors:
        if isinstance(side, Sample):
            if self.view is None:
                raise AttentionUnavailable(tr("This sample has no vector yet."))
            return fused(self.view, side)
        known = self.view.vector(side.id) if isinstance(side, Item) and self.view is not None else None
        if known is not None:
            return known
        media, modality = self.media(side)
        return encode(self.encoder, [media], modality)[0]

    def media(self, side: Chosen) -> tuple[Media, Modality]:
        """What is read of an item, of words, or from outside."""
        if isinstance(side, str):
            return side, "text"
        assert not isinstance(side, Sample)
        ref = side.ref if isinstance(side, Item) else (
            side if isinstance(side, MediaRef) else question_ref(side, self.limits))
        rate, window = self.encoder.sample_rate_hz, self.encoder.window_seconds
        return load(ref, self.limits, rate_hz=rate, window_seconds=window), ref.modality


def explaining(wish: Wish) -> Work[list[str]]:
    """The pair and what is known at once, then both sides by the method, each with its maps so far, then what the
    method list needs to know, then words. Gives what else is to be told.
    """
    parts, notes = list[Chosen](), list[str]()
    for number in (FIRST, SECOND):
        parts.append((yield from _part(wish, number, notes)))
    read = wish.media(parts[FIRST]), wish.media(parts[SECOND])
    pair = pair_of(wish.encoder, *read)
    yield Progress(0, 1, fresh=Step(pair=pair))
    notes += [tr("A sound is read in {} windows: the cosine is of all of them, the map of the first {:.0f} s.").format(
        len(media.windows), len(media.windows[0]) / media.rate_hz)
        for media, _ in read if isinstance(media, AudioClip) and len(media.windows) > 1]
    yield from _mapped(wish, parts, pair, notes)
    if not any(isinstance(side, Sample) for side in wish.sides) and not wish.beside:
        yield from _words(pair)
    return notes


def _part(wish: Wish, number: int, notes: list[str]) -> Work[Chosen]:
    """The side itself, or of a sample the item that is shown."""
    side = wish.sides[number]
    if not isinstance(side, Sample):
        return side
    view, query = wish.view, wish.vectors[1 - number]
    assert view is not None
    rows = [view.rows[key] for key in side.item_ids if view.rows.get(key, len(view)) < len(view)]
    kinds = view.modalities[rows].tolist()
    shares = modality_shares(view.vectors[rows], kinds, side.weights, query)
    near = view.vectors[rows] @ query
    order = sorted(range(len(rows)), key=lambda at: (-shares[kinds[at]], -float(near[at])))
    members = [int(view.ids[rows[at]]) for at in order if int(view.ids[rows[at]]) in wish.items]
    if not members:
        raise AttentionUnavailable(tr("None of this sample's items has a vector yet."))
    wanted = wish.members[number]
    item = wish.items[wanted if wanted is not None and wanted in members else members[0]]
    yield Progress(0, 1, fresh=Step(number, members=members, member=item))
    if number == FIRST or not isinstance(wish.sides[FIRST], Sample):
        yield Progress(0, 1, fresh=Step(number, shares=list(shares.items()), score=sum(shares.values())))
        notes.append(tr("What each modality of “{}” adds to its score: exact Shapley values, which sum to it. The map "
                        "is of “{}”.").format(side.name, item.title))
    return item


def _mapped(wish: Wish, parts: list[Chosen], pair: Pair, notes: list[str]) -> Work[None]:
    """The maps; a method that explains neither side gives way to the first that does."""
    known: Refused = dict(wish.known)
    method = wish.method
    if all(method in known.get(side.modality, {}) for side in pair.sides):
        method = yield from _first_that_works(pair, known)
    if not named(method).quick:
        for number in (FIRST,) if wish.beside else (FIRST, SECOND):
            quick = yield from _quickest(pair, number)
            if quick is not None:
                yield Progress(0, 1, fresh=Step(number, shown=quick))
    failed = list[str]()
    worked = yield from _both(wish, parts, pair, method, failed)
    if not worked:
        method = yield from _first_that_works(pair, known)
        failed.clear()
        yield from _both(wish, parts, pair, method, failed)
    notes += dict.fromkeys(failed)
    yield from _try_methods(pair, known)
    yield Progress(1, 1, fresh=Step(refused=known, method=method))


def _both(wish: Wish, parts: list[Chosen], pair: Pair, method: str, failed: list[str]) -> Work[bool]:
    """The map of each side, or of the first and what stands beside it; whether there is one of the first or second."""
    def seen_by_another() -> Subject:
        there = replace(wish, encoder=wish.other())
        theirs = pair_of(there.encoder, there.media(parts[FIRST]), there.media(parts[SECOND]))
        failed.append(tr("The other model's cosine is {:.3f}.").format(theirs.score))
        return theirs.sides[FIRST]

    wanted: list[tuple[int, Callable[[], Subject], str]] = [(FIRST, lambda: pair.sides[FIRST], method)]
    if wish.beside.startswith(MODEL):
        wanted.append((BESIDE, seen_by_another, method))
    elif wish.beside:
        wanted.append((BESIDE, lambda: pair.sides[FIRST], wish.beside))
    else:
        wanted.append((SECOND, lambda: pair.sides[SECOND], method))
    worked = False
    for number, subject_of, name in wanted:
        try:
            subject = subject_of()
            yield from _shown(number, subject, name)
            worked |= number != BESIDE
        except StudioError as error:
            failed.append(str(error))
    return worked


def _shown(number: int, subject: Subject, name: str) -> Work[None]:
    found = yield from retold(named(name).run(subject), lambda step: Progress(
        step.done, step.total, fresh=step.fresh and Step(number, Shown(subject, step.fresh, name))))
    yield Progress(1, 1, fresh=Step(number, Shown(subject, found, name)))


def _quickest(pair: Pair, number: int) -> Work[Shown | None]:
    """What is known at once of a side: its parts' nearness to the other's, else the first quick method that works."""
    subject = pair.sides[number]
    if pair.between is not None:
        return Shown(subject, pair.best(number), "similarity")
    for method in METHODS:
        if method.quick:
            try:
                return Shown(subject, (yield from method.run(subject)), method.name)
            except AttentionUnavailable:
                continue
    return None


def _try_methods(pair: Pair, known: Refused) -> Work[None]:
    for side in pair.sides:
        if side.modality not in known:
            known[side.modality] = yield from refusals(side)


def _first_that_works(pair: Pair, known: Refused) -> Work[str]:
    """For both sides, else for the first."""
    yield from _try_methods(pair, known)
    one, other = (known[side.modality] for side in pair.sides)
    return min(METHODS, key=lambda method: (method.name in one) * 2 + (method.name in other)).name


def _words(pair: Pair) -> Work[None]:
    written = next((side for side in pair.sides if side.modality == "text"), None)
    if written is None:
        return
    found = yield from retold(word_shares(written), lambda step: replace(step, fresh=None))
    yield Progress(1, 1, fresh=Step(shares=list(zip(found.positions.labels, found.weights.tolist(), strict=True))))


def judging(shown: list[tuple[int, Shown]]) -> Work[None]:
    """Each map's verdict, one after another."""
    for number, one in shown:
        verdict = yield from verdict_of(one.subject, one.found, one.method)
        yield Progress(1, 1, fresh=Judged(number, verdict))
