"""What a report of some items tells: each with its explanation, its score and its neighbours."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from mmstudio.encoders.base import Encoder, Vectors, encode
from mmstudio.errors import StudioError
from mmstudio.explain import overlay
from mmstudio.explain.boxes import Pointing, boxes_of, pointing
from mmstudio.explain.maps import RelevanceMap, to_unit
from mmstudio.explain.methods import Method
from mmstudio.explain.subject import Subject
from mmstudio.explain.trust import Verdict, verdict_of
from mmstudio.explore import similarity
from mmstudio.library import Item, Sample, VectorView
from mmstudio.media import MODALITIES, Limits, Media, load
from mmstudio.progress import Progress, Work, retold

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

NEIGHBOURS = 3
"""Of each modality."""
SOUND_BYTES = 200_000
"""Sounds up to this size can be played in the report."""
LETTERS = 6_000
"""Of a longer text the beginning is shown."""
SIDES = (640, 480)
"""Pixels of a picture at most."""
FACE_SIDES = (96, 96)
"""And of a neighbour's."""


@dataclass(frozen=True)
class Wish:
    """What is asked for: a report named ``title`` of ``items``, each explained by ``method`` through its nearness to
    ``target (dim,)``, which ``query`` tells in words; None for each item's own vector. ``known`` and ``view`` are where
    neighbours are looked for, ``preview`` gives an item's small JPEG, or nothing. ``tests`` whether each map is tested,
    which takes far longer than making it.
    """

    title: str
    items: Sequence[Item]
    known: Mapping[int, Item]
    samples: Sequence[Sample]
    view: VectorView
    limits: Limits
    method: Method
    query: str = ""
    target: Vectors | None = None
    tests: bool = True
    preview: Callable[[Item], bytes] = field(default=lambda _: b"", repr=False)


@dataclass(frozen=True)
class Shot:
    """A picture as JPEG, and its size in pixels."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True)
class Piece:
    """A piece of a text. A word has the relevance ``weight``, which is ``share`` in 0..1 of the item's range; what
    stands between words has none.
    """

    text: str
    weight: float | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Neighbour:
    """Another item with its cosine, and its face where it is a picture that has one."""

    item: Item
    score: float
    face: Shot | None = None


@dataclass(frozen=True)
class Entry:
    """One item. ``score`` is its cosine with the query, ``span`` the least and largest relevance on its map. ``notes``
    say what is not shown and why. What has no vector yet has no neighbours.
    """

    item: Item
    samples: tuple[str, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    score: float | None = None
    found: RelevanceMap | None = None
    span: tuple[float, float] = (0.0, 0.0)
    verdict: Verdict | None = None
    pointing: Pointing | None = None
    plain: Shot | None = None
    heat: Shot | None = None
    passage: tuple[Piece, ...] = ()
    sound: tuple[str, bytes] = field(default=("", b""), repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All of it. ``count`` is the number of items that were asked for, ``made`` when it was begun. Its entries are
    without what is seen and heard of them, which would not all fit into memory.
    """

    title: str
    query: str
    method: Method
    tests: bool
    model: str
    revision: str
    count: int
    made: datetime
    entries: tuple[Entry, ...] = ()


def reported(encoder: Encoder, wish: Wish) -> Work[Report]:
    """The report. The first step's ``fresh`` is it without entries, that of later steps each a whole Entry. An item
    that cannot be read or explained says so in its entry. Raises StudioError for no items.
    """
    total = len(wish.items)
    if not total:
        raise StudioError("A report shows at least one item.", hint="Select some.")
    report = Report(wish.title, wish.query, wish.method, wish.tests, encoder.name, encoder.revision, total,
                    datetime.now().astimezone())
    yield Progress(0, total, fresh=report)
    entries: list[Entry] = []
    for item in wish.items:
        entry = yield from retold(_entry(encoder, wish, item), _at(Progress(len(entries), total, item.title)))
        entries.append(replace(entry, neighbours=(), found=None, plain=None, heat=None, passage=(), sound=("", b"")))
        yield Progress(len(entries), total, item.title, fresh=entry)
    return replace(report, entries=tuple(entries))


def _at(item: Progress) -> Callable[[Progress], Progress]:
    """An item's own steps are told as one."""
    return lambda _: item


def _entry(encoder: Encoder, wish: Wish, item: Item) -> Work[Entry]:
    """What the project knows of an item, then what its media show, then their explanation."""
    entry = _known(wish, item)
    try:
        media = load(item.ref, wish.limits, rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)
    except StudioError as error:
        missing = item.modality != "text" and not item.path.exists()
        return replace(entry, notes=("The file is missing." if missing else str(error),))
    entry = _shown(entry, media)
    if item.modality not in encoder.modalities:
        return replace(entry, notes=(f"The model does not read {item.modality}, so nothing is explained.",))
    return (yield from _explained(entry, encoder, media, wish))


def _known(wish: Wish, item: Item) -> Entry:
    vector = wish.view.vector(item.id)
    entry = Entry(item, tuple(sample.name for sample in wish.samples if item.id in sample.item_ids))
    if vector is None:
        return entry
    return replace(entry, neighbours=_neighbours(wish, item, vector),
                   score=None if wish.target is None else float(vector @ wish.target))


def _explained(entry: Entry, encoder: Encoder, media: Media, wish: Wish) -> Work[Entry]:
    """The entry with its map, which stays where it cannot be tested."""
    try:
        target = encode(encoder, [media], entry.item.modality)[0] if wish.target is None else wish.target
        subject = Subject(encoder, media, entry.item.modality, target)
        if entry.score is None and wish.target is not None:
            entry = replace(entry, score=subject.score)
        found = yield from wish.method.run(subject)
        entry = _with_map(entry, subject, found)
        entry = _pointed(entry, found, wish)
        if wish.tests:
            entry = replace(entry, verdict=(yield from verdict_of(subject, found, wish.method.name)))
    except StudioError as error:
        entry = replace(entry, notes=(*entry.notes, f"{wish.method.title}: {error}"))
    except Exception as error:  # noqa: BLE001 - one item that a library stumbles over must not end the report
        note = f"{wish.method.title}: it could not be explained ({type(error).__name__}: {error})."
        entry = replace(entry, notes=(*entry.notes, note))
    return entry


def _pointed(entry: Entry, found: RelevanceMap, wish: Wish) -> Entry:
    """A column of that name may hold something else."""
    try:
        return replace(entry, pointing=pointing(found, boxes_of(entry.item), wish.query))
    except StudioError as error:
        return replace(entry, notes=(*entry.notes, str(error)))


def _with_map(entry: Entry, subject: Subject, found: RelevanceMap) -> Entry:
    if isinstance(subject.media, str):
        words = subject.parts
        on_words = replace(found, weights=words.on_cells(found), positions=words.positions)
        return replace(entry, found=found, span=to_unit(on_words)[1:], passage=_pieces(subject.media, on_words))
    return replace(entry, found=found, span=to_unit(found)[1:], heat=_shot(overlay.drawn_over(found, subject.media)))


def _pieces(text: str, on_words: RelevanceMap) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    at, shares = 0, to_unit(on_words)[0]
    for (start, end), weight, share in zip(on_words.positions.extents.astype(int).tolist(), on_words.weights.tolist(),
                                           shares.tolist(), strict=True):
        if end > LETTERS:
            return (*pieces, Piece("…"))
        if start > at:
            pieces.append(Piece(text[at:start]))
        pieces.append(Piece(text[start:end], weight, share))
        at = end
    return (*pieces, Piece(text[at : at + LETTERS])) if at < len(text) else tuple(pieces)


def _shown(entry: Entry, media: Media) -> Entry:
    """The entry with the face of its item, as it is without a map."""
    if isinstance(media, str):
        cut = media[:LETTERS] + ("…" if len(media) > LETTERS else "")
        return replace(entry, passage=(Piece(cut),))
    return replace(entry, plain=_shot(overlay.plain(media)), sound=_sound(entry.item))


def _sound(item: Item) -> tuple[str, bytes]:
    """The type and the bytes of a short sound's file, else nothing."""
    kind = mimetypes.guess_type(item.path.name)[0] or ""
    try:
        if item.part or not kind.startswith("audio/") or item.path.stat().st_size > SOUND_BYTES:
            return "", b""
        return kind, item.path.read_bytes()
    except OSError:
        return "", b""


def _shot(picture: Picture, sides: tuple[int, int] = SIDES) -> Shot:
    picture.thumbnail(sides)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return Shot(out.getvalue(), picture.width, picture.height)


def _neighbours(wish: Wish, item: Item, vector: Vectors) -> tuple[Neighbour, ...]:
    """The nearest other items of each modality, so that one modality's closeness buries no other."""
    view, others = wish.view, wish.view.ids != item.id
    values = similarity.scores(view.vectors, vector)
    hits = [hit for modality in MODALITIES
            for hit in similarity.nearest(values, NEIGHBOURS, np.logical_and(others, view.modalities == modality))]
    near = [(wish.known.get(int(view.ids[hit.index])), hit.score) for hit in hits]
    return tuple(Neighbour(known, score, _face(wish, known)) for known, score in near if known is not None)


def _face(wish: Wish, item: Item) -> Shot | None:
    from PIL import Image

    try:
        jpeg = wish.preview(item) if item.modality == "image" else b""
        return _shot(Image.open(io.BytesIO(jpeg)), FACE_SIDES) if jpeg else None
    except (StudioError, OSError):
        return None  # its name tells enough
