"""Which examples are learned from, which choose the best epoch, and which are kept for the end.

Every way gives a ``Division`` with a part for each of n examples. The same arguments give the same parts on every
computer. Shares are proportions of train, validation and test. TrainingError where nothing could be learned from, or
fewer than 2 examples are there; what merely is not as one would wish is told in the division's note.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.training.examples import TEST as TEST
from mmstudio.training.examples import TRAIN as TRAIN
from mmstudio.training.examples import VALIDATION as VALIDATION

Parts = NDArray[np.int8]
Shares = tuple[float, float, float]
USUAL: Shares = (0.7, 0.15, 0.15)
NAMES = ("train", "validation", "test")
WORDS = {
    **dict.fromkeys(("train", "training", "trn", "tr", "fit", "learn"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "development", "eval", "evaluation"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "te", "holdout", "held-out", "heldout"), TEST),
}
"""What a column's words mean, in small letters."""


@dataclass(frozen=True)
class Division:
    """``parts (n,)`` int8 of TRAIN, VALIDATION and TEST; ``note`` says in sentences what a person should know."""

    parts: Parts
    note: str = ""

    def rows(self, part: int) -> NDArray[np.int64]:
        """``(k,)`` int64 examples of one part, ascending."""
        return np.flatnonzero(self.parts == part)


def random(n: int, shares: Shares = USUAL, seed: int = 0) -> Division:
    """Shuffled and cut; a part that is wanted gets at least one example as far as they go, train first."""
    wanted = _checked(n, shares)
    parts = np.empty(n, np.int8)
    parts[shuffled(n, seed)] = np.repeat(np.arange(3), sizes(n, wanted))
    return _told(parts, wanted)


def stratified(labels: Sequence[Hashable] | NDArray[np.generic], shares: Shares = USUAL, seed: int = 0) -> Division:
    """Every class in the same shares; each class has an example in train."""
    return _iterative([[place] for place in numbered(labels)], shares, seed)


def stratified_labels(truth: NDArray[np.bool_], shares: Shares = USUAL, seed: int = 0) -> Division:
    """As ``stratified`` where an example has several labels, ``truth (n, classes)``, or none."""
    if truth.ndim != 2:
        raise TrainingError("Labels are one row of yes and no for each example.")
    return _iterative([np.flatnonzero(row).tolist() for row in truth], shares, seed)


def grouped(groups: Sequence[Hashable] | NDArray[np.generic], shares: Shares = USUAL, seed: int = 0) -> Division:
    """No group in two parts: the largest first, each to the part that lacks most. An example without a group (None,
    empty text, nan) is a group of its own. A wanted part gets at least one group as far as they go, train first.
    """
    wanted = _checked(len(groups), shares)
    of = numbered(groups, alone=True)
    members = np.bincount(of)
    if len(members) < 2:
        raise TrainingError("All examples are of one group, so that nothing would be left to test on.",
                            hint="Divide at random, or choose another column.")
    alone = sum(map(_is_missing, groups))
    order = shuffled(len(members), seed)
    order = order[np.argsort(-members[order], kind="stable")]
    lacking = wanted * len(of)
    part_of = np.empty(len(members), np.int8)
    empty = [part for part in range(3) if wanted[part] > 0]
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        part = empty[0] if left <= len(empty) else int(np.where(wanted > 0, lacking, -np.inf).argmax())
        empty = [other for other in empty if other != part]
        lacking[part] -= members[group]
        part_of[group] = part
    return _told(part_of[of], wanted, [f"{_examples(alone)} of no group."] if alone else [])


def by_time(times: NDArray[np.generic], shares: Shares = USUAL) -> Division:
    """The oldest are train and the newest test: ``times (n,)`` of numbers or datetime64. Equal times keep their order;
    where a cut falls between them the note says so. Missing times (nan, NaT) go to train.
    """
    given = np.asarray(times)
    if given.ndim != 1 or given.dtype.kind not in "iufM":
        raise TrainingError("The column holds no times.", hint="Choose a column of numbers or dates.")
    missing = np.isnat(given) if given.dtype.kind == "M" else np.isnan(given.astype(np.float64))
    known = np.flatnonzero(~missing)
    if not len(known):
        raise TrainingError("The column holds no times.", hint="Choose a column of numbers, or of dates as 2026-01-31.")
    wanted = _checked(len(known), shares)
    order = known[np.argsort(given[known], kind="stable")]
    parts = np.zeros(len(given), np.int8)
    parts[order] = np.repeat(np.arange(3), sizes(len(known), wanted))
    told = [f"{_examples(int(missing.sum()))} without a time in train."] if missing.any() else []
    if ((np.diff(parts[order]) > 0) & (given[order[1:]] == given[order[:-1]])).any():
        told.append("Examples of one time lie in two parts.")
    return _told(parts, wanted, told)


def by_words(words: Sequence[object]) -> Division:
    """As a column says, see ``WORDS``; other words, or none, are train, and the note names them."""
    if len(words) < 2:
        raise TrainingError("Fewer than 2 examples cannot be divided.", hint="Add more examples.")
    said = ["" if _is_missing(word) else str(word).strip() for word in words]
    parts = np.array([WORDS.get(word.casefold(), TRAIN) for word in said], np.int8)
    if not (parts == TRAIN).any():
        raise TrainingError("The column names no example for train.", hint="Name some “train”, or divide at random.")
    unknown = [word for word in said if word.casefold() not in WORDS]
    told = []
    if unknown:
        different = [f"“{word}”" if word else "nothing" for word in dict.fromkeys(unknown)]
        more = " …" if len(different) > 3 else ""
        told.append(f"{_examples(len(unknown))} named {', '.join(different[:3])}{more} and in train.")
    return _told(parts, np.ones(3), told)


def sizes(n: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """``(3,)`` int64 that sum to ``n``: largest remainders (Hamilton), and at least 1 where a share is wanted, as far
    as ``n`` goes.
    """
    exact = n * shares / shares.sum()
    found = np.floor(exact + 1e-9).astype(np.int64)
    for part in np.argsort(found - exact, kind="stable")[:n - int(found.sum())]:
        found[part] += 1
    for part in np.flatnonzero((found == 0) & (shares > 0)):
        if found.max() > 1:
            found[found.argmax()] -= 1
            found[part] += 1
    if found[TRAIN] == 0:
        found[2 - found[::-1].argmax()] -= 1
        found[TRAIN] = 1
    return found


def shuffled(n: int, seed: int) -> NDArray[np.int64]:
    """A permutation ``(n,)`` from SplitMix64 (Steele, Lea & Flood 2014), which no version of numpy changes."""
    with np.errstate(over="ignore"):
        state = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed % 2**32) * np.uint64(2**32))
        state *= np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(state ^ (state >> np.uint64(31)), kind="stable")


def _iterative(labels: Sequence[Sequence[int]], shares: Shares, seed: int) -> Division:
    """Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011): the rarest label left first, each of its examples
    to the part that lacks it most. A label's first example is train's.
    """
    n = len(labels)
    wanted = _checked(n, shares)
    order = shuffled(n, seed).tolist()
    holders: dict[int, list[int]] = {}
    for row in order:
        for label in labels[row]:
            holders.setdefault(label, []).append(row)
    lacking = [float(share) * n for share in wanted]
    lacking_of = {label: [float(share) * len(rows) for share in wanted] for label, rows in holders.items()}
    left = {label: len(rows) for label, rows in holders.items()}
    parts, in_train = [-1] * n, set[int]()
    open_parts = [part for part in range(3) if wanted[part] > 0]

    def give(row: int, part: int) -> None:
        parts[row] = part
        lacking[part] -= 1
        for label in labels[row]:
            lacking_of[label][part] -= 1
            left[label] -= 1
        if part == TRAIN:
            in_train.update(labels[row])

    while left:
        rarest = min(left, key=lambda label: (left[label], label))
        lacks = lacking_of[rarest]
        for row in holders[rarest]:
            if parts[row] < 0:
                give(row, TRAIN if rarest not in in_train
                     else max(open_parts, key=lambda part: (round(lacks[part], 9), round(lacking[part], 9), -part)))
        del left[rarest]
        left = {label: count for label, count in left.items() if count}
    for row in order:
        if parts[row] < 0:
            give(row, max(open_parts, key=lambda part: (round(lacking[part], 9), -part)))
    found = np.array(parts, np.int8)
    _fill(found, labels, order, open_parts)
    return _told(found, wanted)


def _fill(parts: Parts, labels: Sequence[Sequence[int]], order: list[int], wanted: list[int]) -> None:
    """A wanted part that is empty takes an example of train whose labels train has elsewhere too."""
    for part in wanted:
        if (parts == part).any():
            continue
        held: dict[int, int] = {}
        for row in np.flatnonzero(parts == TRAIN).tolist():
            for label in labels[row]:
                held[label] = held.get(label, 0) + 1
        spare = [row for row in order if parts[row] == TRAIN and all(held[label] > 1 for label in labels[row])]
        if spare and (parts == TRAIN).sum() > 1:
            parts[max(spare, key=lambda row: min((held[label] for label in labels[row]), default=len(parts)))] = part


def _checked(n: int, shares: Shares) -> NDArray[np.float64]:
    """Shares that sum to 1."""
    wanted = np.asarray(shares, np.float64)
    if wanted.shape != (3,) or not np.isfinite(wanted).all() or wanted.min() < 0 or wanted[TRAIN] <= 0:
        raise TrainingError("The shares of train, validation and test are three numbers of 0 or more, train's above 0.")
    if n < 2:
        raise TrainingError("Fewer than 2 examples cannot be divided.", hint="Add more examples.")
    return wanted / wanted.sum()


def numbered(values: Sequence[Hashable] | NDArray[np.generic], alone: bool = False) -> list[int]:
    """0, 1, … by first appearance. Missing values are one, or, where ``alone``, each its own."""
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    seen: dict[Hashable, int] = {}
    keys = [(object() if alone else None) if _is_missing(value) else value for value in listed]
    return [seen.setdefault(key, len(seen)) for key in keys]


def _is_missing(value: object) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _examples(count: int) -> str:
    return "1 example is" if count == 1 else f"{count} examples are"


def _told(parts: Parts, wanted: NDArray[np.float64], told: Sequence[str] = ()) -> Division:
    """With a sentence for each wanted part that stayed empty."""
    empty = [f"No example is left for {NAMES[part]}." for part in range(3)
             if wanted[part] > 0 and not (parts == part).any()]
    return Division(parts, " ".join([*told, *empty]))
