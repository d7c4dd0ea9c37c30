"""A project's items and samples become what a training run learns from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import SpaceMismatch, TrainingError
from mmstudio.library import Item, Items, Sample, SpaceKey, VectorView
from mmstudio.media import MODALITIES, Modality
from mmstudio.progress import Progress, Work
from mmstudio.training import leaks, splits
from mmstudio.training.examples import TRAIN, Examples, Readable
from mmstudio.training.job import TrainingJob, UsedModel
from mmstudio.training.words import END, MOST_TOKENS, numbers, vocabulary

if TYPE_CHECKING:
    from mmstudio.training.predict import Predictor

MOST_CLASSES = 1000
OVERLAP, MOST_OF_ALL, MOST_SHARED = 0.05, 0.8, 0.34
TAGS = "tags"
PREDICTED = 256
"""Examples that a run tells of between two words of progress."""
Views = Mapping[Modality, VectorView]
"""Of each modality that a run reads, vectors of the model that reads it."""


@dataclass(frozen=True)
class Target:
    """Something that could be learned: ``name`` is “tags” or a column, ``values`` its classes by frequency, ``numbers``
    whether it is amounts. ``apart`` are classes of which hardly an item has two: those that can be told apart.
    """

    name: str
    values: tuple[tuple[str, int], ...]
    numbers: bool = False
    apart: tuple[str, ...] = ()


def targets(items: Iterable[Item]) -> list[Target]:
    """What could be learned of these items: tags first, then columns by name. A column of many different numbers is
    amounts.
    """
    tags: Counter[str] = Counter()
    together: Counter[frozenset[str]] = Counter()
    columns: dict[str, Counter[str]] = {}
    numbers: dict[str, bool] = {}
    for item in items:
        tags.update(item.tags)
        together[frozenset(item.tags)] += 1
        for name, value in item.columns.items():
            columns.setdefault(name, Counter())[word_of(value)] += 1
            numbers[name] = numbers.get(name, True) and isinstance(value, float | int)
    common = tuple(tags.most_common(MOST_CLASSES))
    found = [Target(TAGS, common, apart=_apart([name for name, _ in common], tags, together))] if tags else []
    return found + [Target(name, tuple(counts.most_common(MOST_CLASSES)), numbers[name], tuple(counts))
                    for name, counts in sorted(columns.items())]


def _apart(names: list[str], counts: Counter[str], together: Counter[frozenset[str]]) -> tuple[str, ...]:
    """Tags, frequent ones first, of which at most one item in twenty has another one that was taken before. What nearly
    every tagged item has tells nothing apart.
    """
    taken: list[str] = []
    tagged = sum(number for tags, number in together.items() if tags)
    for name in (name for name in names if counts[name] <= MOST_OF_ALL * tagged):
        shared = sum(number for tags, number in together.items() if name in tags and not tags.isdisjoint(taken))
        if shared <= OVERLAP * counts[name]:
            taken.append(name)
    return tuple(taken)


def completed(job: TrainingJob, items: Iterable[Item]) -> TrainingJob:
    """The job with every class that two items or more have, where it names none."""
    if job.classes or job.task not in ("classification", "multi-label"):
        return job
    found = next((target for target in targets(items) if target.name == job.target), None)
    return replace(job, classes=tuple(name for name, count in found.values if count > 1) if found else ())


def needed(job: TrainingJob, items: Items, samples: Sequence[Sample], chosen: Iterable[int] | None = None,
           ) -> frozenset[int]:
    """The items that ``examples`` would read of the ``chosen`` keys, or of all: those of the job's modalities that have
    what it learns, or lie in a sample that has.
    """
    job = completed(job, items.values())
    known = items.ids().tolist() if chosen is None else sorted(_items_of(set(chosen), samples))
    usable = {i for i in known if i in items and (items[i].modality in job.modalities or job.task == "captioning")}
    units = [[i for i in sample.item_ids if i in usable] for sample in samples] if (
        len(job.modalities) > 1 or job.task == "captioning") else []
    alone = usable.difference(*units)
    if job.task == "alignment":
        kept = [unit for unit in units if len({items[i].modality for i in unit}) > 1]
    elif job.task == "captioning":
        kept = [unit for unit in units if any(items[i].modality == "text" for i in unit)]
    else:
        kept = [unit for unit in (*units, *([i] for i in alone)) if _target(job, [items[i] for i in unit]) is not None]
    return frozenset(i for unit in kept for i in unit if items[i].modality in job.modalities)


def examples(job: TrainingJob, items: Items, samples: Sequence[Sample], views: Views,
             chosen: Iterable[int] | None = None, anchors: NDArray[np.float32] | None = None) -> Work[Examples]:
    """The examples of a job among the ``chosen`` keys (items, and samples negated), else among all; ``anchors
    (classes, dim)`` are vectors of the classes' names.

    With several modalities a sample is one example, its items of one modality by their mean; what is in no sample is an
    example alone. With one modality each item is an example. Raises TrainingError where too little can be learned.
    """
    units = _units(job, items, samples, views, None if chosen is None else set(chosen))
    captions = _captions(units, items, samples) if job.task == "captioning" else {}
    told = ([0 if key in captions else None for key, _ in units] if job.task == "captioning"
            else [_target(job, [items[i] for i in unit]) for _, unit in units])
    kept = [place for place, value in enumerate(told) if value is not None]
    left = len(units) - len(kept)
    if len(kept) < 4:
        raise TrainingError(
            f"Only {len(kept)} examples have a vector and {'a class' if job.classes else 'a value'} of “{job.target}”.",
            hint="Tag more items, or wait until they are encoded.") if job.task != "captioning" else TrainingError(
            "Hardly a sample has a caption.", hint="Group pictures or sounds with their texts as samples.")
    units = [units[place] for place in kept]
    vectors, present = _vectors(items, views, [unit for _, unit in units])
    values = np.array([told[place] for place in kept], _KINDS[job.task])
    notes = [f"{left} without a single class of this run were left out."] if left else []
    made = Examples(np.array([key for key, _ in units], np.int64), vectors, present, values,
                    np.zeros(len(units), np.int8))
    yield Progress(0, 0, "dividing")
    parts, note, groups = _divided(job, made, [[items[i] for i in unit] for _, unit in units])
    notes.append(note)
    if job.split.keep_duplicates_together:
        parts, note = yield from _without_leaks(job, parts, groups, vectors)
        notes.append(note)
    made = replace(made, parts=parts, note=" ".join(filter(None, notes)), anchors=anchors)
    if captions:
        made = _captioned(made, [captions[key] for key, _ in units])
    return _with_media(job, made, [[items[i] for i in unit] for _, unit in units]) if job.reads_media else made


_KINDS = {"classification": np.int64, "multi-label": np.float32, "regression": np.float64, "alignment": np.int64,
          "captioning": np.int64}


def _captions(units: list[tuple[int, list[int]]], items: Items, samples: Sequence[Sample]) -> dict[int, str]:
    """The first text of each sample among the units."""
    keys = {key for key, _ in units}
    texts = ((-sample.id, next((items[i].text for i in sample.item_ids if i in items and items[i].modality == "text"),
                               "")) for sample in samples if -sample.id in keys)
    return {key: text for key, text in texts if text.strip()}


def _captioned(made: Examples, captions: list[str]) -> Examples:
    """With the captions' words as targets; the vocabulary is that of the training part."""
    words = vocabulary(captions[row] for row in made.rows(TRAIN))
    places = {word: place for place, word in enumerate(words)}
    rows = [[*numbers(caption, places, MOST_TOKENS - 1), END] for caption in captions]
    targets = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for place, row in enumerate(rows):
        targets[place, : len(row)] = row
    return replace(made, targets=targets, words=words)


def _places(job: TrainingJob) -> dict[Modality, int]:
    return {modality: m for m, modality in enumerate(job.modalities)}


def _readable(job: TrainingJob, members: Iterable[Sequence[Item]]) -> tuple[Readable, ...]:
    """Where the media of each example lie, with the places of their modalities."""
    place_of = _places(job)
    return tuple(tuple((place_of[item.modality], item.ref) for item in unit) for unit in members)


def _with_media(job: TrainingJob, made: Examples, members: list[list[Item]]) -> Examples:
    """With where the media of each example lie and, for text towers from scratch, the vocabulary of the training part.
    """
    media = _readable(job, members)
    words = made.words
    if job.trains == "scratch" and "text" in job.modalities:
        words = vocabulary(ref.text for row in made.rows(TRAIN) for _, ref in media[row] if ref.modality == "text")
    return replace(made, media=media, words=words)


def _units(job: TrainingJob, items: Items, samples: Sequence[Sample], views: Views,
           chosen: set[int] | None, learning: bool = True) -> list[tuple[int, list[int]]]:
    """Keys of examples with their items that have a vector and a modality of the job."""
    ids = np.concatenate([view.ids[view.modalities == modality] for modality, view in views.items()])
    if chosen is not None:
        ids = ids[np.isin(ids, list(_items_of(chosen, samples)))]
    usable = {int(i) for i in ids if int(i) in items}
    units: list[tuple[int, list[int]]] = []
    if len(job.modalities) > 1 or job.task == "captioning":
        taken: set[int] = set()
        for sample in samples:
            members = [i for i in sample.item_ids if i in usable]
            if members and (chosen is None or -sample.id in chosen or any(i in chosen for i in members)):
                units.append((-sample.id, members))
                taken.update(members)
        usable -= taken
    if job.task == "alignment":
        return [unit for unit in units if len({items[i].modality for i in unit[1]}) > 1]
    if job.task == "captioning" and learning:
        return units
    return units + [(i, [i]) for i in sorted(usable)]


def _items_of(keys: set[int], samples: Sequence[Sample]) -> set[int]:
    out = {key for key in keys if key > 0}
    for sample in samples:
        if -sample.id in keys:
            out.update(sample.item_ids)
    return out


def _target(job: TrainingJob, members: list[Item]) -> int | float | list[float] | None:
    """What an example's items tell of the job's target; None where that is not one thing."""
    if job.task == "alignment":
        return 0
    if job.task == "regression":
        amounts = [float(v) for item in members if isinstance(v := item.columns.get(job.target), float | int)]
        return float(np.mean(amounts)) if amounts and all(map(math.isfinite, amounts)) else None
    words = set[str]()
    for item in members:
        if job.target == TAGS:
            words.update(item.tags)
        elif job.target in item.columns:
            words.add(word_of(item.columns[job.target]))
    told = [place for place, name in enumerate(job.classes) if name in words]
    if job.task == "multi-label":
        return [float(place in told) for place in range(len(job.classes))] if words else None
    return told[0] if len(told) == 1 else None


def word_of(value: str | float) -> str:
    """A column's value as the name of a class."""
    return f"{value:.15g}" if isinstance(value, float | int) else value


def _vectors(items: Items, views: Views, units: list[list[int]]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """``(n, m, dim)`` of the modalities of ``views``, where ``dim`` is that of the widest, and which are there."""
    made = np.zeros((len(units), len(views), max(view.key.dim for view in views.values())), np.float32)
    counts = np.zeros(made.shape[:2], np.int64)
    members: dict[str, list[tuple[int, int]]] = {modality: [] for modality in views}
    for n, unit in enumerate(units):
        for i in unit:
            members[items[i].modality].append((n, i))
    for m, (modality, view) in enumerate(views.items()):
        owners = np.array([n for n, _ in members[modality]], np.int64)
        np.add.at(made[:, m, : view.key.dim], owners, view.vectors[[view.rows[i] for _, i in members[modality]]])
        np.add.at(counts[:, m], owners, 1)
    lengths = np.linalg.norm(made, axis=2, keepdims=True)
    return (made / np.where(lengths > 0, lengths, 1)).astype(np.float32), counts > 0


def predictions(run: Path, items: Items, samples: Sequence[Sample], views: Views,
                item_ids: Iterable[int] | None = None) -> Work[dict[int, dict[str, str | float | None]]]:
    """What a run tells of each item, or of the sample that it belongs to where the run reads several modalities: its
    class, labels or amount, and of a class how sure it is, as columns. Of files that are not there nothing is told.
    Raises TrainingError for a run that tells nothing of items, SpaceMismatch for vectors of another space.
    """
    from mmstudio.training.predict import Predictor

    predictor = Predictor(run)
    if predictor.job.task == "alignment":
        raise TrainingError("A run that aligns modalities tells nothing of single items.")
    made: dict[int, dict[str, str | float | None]] = {}
    for progress, members in _shown(predictor, items, samples, views, item_ids):
        yield progress
        for unit, said in zip(members, _said(predictor), strict=True):
            made |= dict.fromkeys((item.id for item in unit), said)
    return made


def class_shares(run: Path, items: Items, samples: Sequence[Sample], views: Views,
                 ) -> Work[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.intp]]]:
    """As ``predictions``, of every item that a run of classes reads: ``ids (n,)``, the classes' probabilities
    ``(n, classes)`` and which one is told ``(n,)``. Raises TrainingError for a run of another task.
    """
    from mmstudio.training.predict import Predictor

    predictor = Predictor(run)
    if predictor.job.task != "classification":
        raise TrainingError("Only a run that tells one class of several labels items.")
    ids, found = list[int](), [np.zeros((0, len(predictor.job.classes)))]
    for progress, members in _shown(predictor, items, samples, views, None):
        yield progress
        for unit, row in zip(members, predictor.outputs(), strict=True):
            ids += [item.id for item in unit]
            found.append(np.repeat(row[None], len(unit), 0))
    shares = np.concatenate(found)
    return np.array(ids, np.int64), shares, predictor.deciding.told(shares, predictor.job).argmax(1)


def _shown(predictor: Predictor, items: Items, samples: Sequence[Sample], views: Views,
           item_ids: Iterable[int] | None) -> Iterator[tuple[Progress, list[list[Item]]]]:
    """Show the predictor some examples after others, and give the items of each that it was shown."""
    job = predictor.job
    for modality, view in () if job.reads_media else views.items():
        _check_space(job.model_of(modality), view.key)
    units = _units(job, items, samples, views, None if item_ids is None else set(item_ids), learning=False)
    for start in range(0, len(units), PREDICTED):
        some = [unit for _, unit in units[start : start + PREDICTED]]
        members = [[items[i] for i in unit] for unit in some]
        if job.reads_media:
            members = [there for unit in members if (there := [one for one in unit if _is_there(one)])]
            predictor.read(_readable(job, members))
        else:
            predictor.see(*_vectors(items, views, some))
        yield Progress(start, len(units), "predicting"), members


def _check_space(model: UsedModel, key: SpaceKey) -> None:
    if (model.space, model.dim) != (key.space, key.dim) or (
            model.revision, model.preprocessing) not in (("", ""), (key.revision, key.preprocessing)):
        raise SpaceMismatch(f"The run reads vectors of {model.space}, not of {key.space}.",
                            hint="Choose the model that it was trained with.")


def _is_there(item: Item) -> bool:
    return item.modality == "text" or item.path.is_file()


def _said(predictor: Predictor) -> Iterator[dict[str, str | float | None]]:
    """The columns that tell what a run says of each example."""
    job = predictor.job
    name = f"predicted {job.target}"
    if job.task == "captioning":
        for caption in predictor.captions():
            yield {"predicted caption": caption}
        return
    rows = predictor.outputs()
    if job.task == "regression":
        for amount in rows[:, 0]:
            yield {name: float(amount), f"{name}: sure": None}
        return
    for row, told in zip(rows, predictor.decided(rows), strict=True):
        sure = round(float(row[job.classes.index(told[0])]), 4) if job.task == "classification" else None
        yield {name: ", ".join(told) or None, f"{name}: sure": sure}


def modalities_of(view: VectorView) -> tuple[Modality, ...]:
    """The modalities that have vectors, in the studio's order."""
    return tuple(m for m in MODALITIES if (view.modalities == m).any())


def _divided(job: TrainingJob, made: Examples, members: list[list[Item]],
             ) -> tuple[NDArray[np.int8], str, NDArray[np.int64]]:
    """The part of each example, what to tell of the division, and ``(n,)`` which examples stay in one part. What shares
    a picture, a sound or a file does, except where a person says the parts.
    """
    each = np.arange(len(made))
    if job.split.kind not in ("random", "stratified"):
        parts, note = _parts(job, np.asarray(made.targets), members)
        if job.split.kind == "grouped":
            each = np.array(splits.numbered([_first(unit, job.split.column) for unit in members], alone=True))
        return parts, note, each
    firsts, place = np.unique(_sharing(members), return_inverse=True)
    if np.bincount(place).max() > MOST_SHARED * len(made):
        parts, note = _parts(job, np.asarray(made.targets), members)
        flatters = "Many examples share a picture or sound, also across parts: the figures flatter."
        return parts, f"{note} {flatters}".strip(), each
    parts, note = _parts(job, np.asarray(made.targets)[firsts], [members[first] for first in firsts])
    return parts[place], note, place


def _sharing(members: list[list[Item]]) -> NDArray[np.int64]:
    """``(n,)`` the first example that each one hangs together with: through a picture or sound that both have, frames
    of one video, passages of one text. A caption that many have is no such thing.
    """
    first: dict[object, int] = {}
    pairs: list[tuple[int, int]] = []
    for place, unit in enumerate(members):
        for item in unit:
            shared: list[object] = [item.id] if item.modality != "text" else []
            if item.part and (item.modality != "text" or item.part.startswith("passage ")):
                shared.append(item.path)
            pairs += ((first.setdefault(key, place), place) for key in shared)
    root = np.arange(len(members))
    leaks.join(root, *np.array(pairs, np.int64).reshape(-1, 2).T)
    return root


def _parts(job: TrainingJob, values: NDArray[np.generic], members: list[list[Item]]) -> tuple[NDArray[np.int8], str]:
    split = job.split
    shares = (1 - split.validation - split.test, split.validation, split.test)
    told = [_first(unit, split.column) for unit in members]
    if split.kind in ("column", "grouped", "time") and split.column and all(value is None for value in told):
        raise TrainingError(f"No example has a value in the column “{split.column}”, which is to say the parts.",
                            hint="Choose another column, or divide by chance.")
    if split.kind == "column":
        division = splits.by_words(told)
    elif split.kind == "grouped":
        division = splits.grouped(told, shares, job.seed)
    elif split.kind == "time":
        times = [min(item.added for item in unit) for unit in members] if not split.column else told
        division = splits.by_time(_times(times), shares)
    elif split.kind == "stratified" and job.task == "classification":
        division = splits.stratified(values, shares, job.seed)
    elif split.kind == "stratified" and job.task == "multi-label":
        division = splits.stratified_labels(np.asarray(values, np.float64) > 0.5, shares, job.seed)
    else:
        division = splits.random(len(members), shares, job.seed)
    return division.parts, division.note


def _without_leaks(job: TrainingJob, parts: NDArray[np.int8], groups: NDArray[np.int64],
                   vectors: NDArray[np.float32]) -> Work[tuple[NDArray[np.int8], str]]:
    """Near-duplicates in two parts are learned from, so that no test is a thing that was learned, and what is of their
    ``groups (n,)`` with them. That is only told where the time or a column says the parts, and where hardly anything
    would be left to test with. Texts beside other modalities may be the same words.
    """
    compared = [m for m, name in enumerate(job.modalities) if name != "text" or len(job.modalities) == 1]
    moved, again, along = parts, True, False
    while again:
        again = False
        for m in compared:
            found = yield from leaks.find(moved, vectors[:, m])
            with_groups = leaks.moved_to_train(moved, found, groups)
            again |= bool(((with_groups != moved) & (found.group < 0)).any())  # these may have left others behind
            along |= again
            moved = with_groups
    if np.array_equal(moved, parts):
        return parts, ""
    held, left = int((parts != TRAIN).sum()), int((moved != TRAIN).sum())
    stays = job.split.kind in ("time", "column")
    if stays or left < held / 2 or not all((moved == part).any() for part in np.unique(parts)):
        return parts, f"{held - left} of {held} held-out examples are near-duplicates of others: the figures flatter."
    return moved, f"Moved to train, as near-duplicates of others{' or of a group with one' * along}: {held - left}."


def _first(unit: list[Item], column: str) -> str | float | None:
    return next((item.columns[column] for item in unit if column in item.columns), None)


def _times(values: Sequence[str | float | None]) -> NDArray[np.generic]:
    """Numbers as they are, else ISO dates, of which a whole number is a year; what is neither is missing."""
    if all(value is None or isinstance(value, float | int) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    found = np.full(len(values), "NaT", "datetime64[s]")
    for place, value in enumerate(values):
        with suppress(ValueError):
            told = f"{value:.0f}" if isinstance(value, float) else str(value).strip().removesuffix("Z")
            found[place] = np.datetime64(told, "s")
    return found
