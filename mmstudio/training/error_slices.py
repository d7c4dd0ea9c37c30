"""Where a run errs more than elsewhere: groups of held-out examples that lie together, and what they have in common.

The groups are found without looking at the errors, so that their error rates can be tested (after Chung et al. 2019,
Eyuboglu et al. 2022).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.library import Item
from mmstudio.training.compared import Interval
from mmstudio.training.evaluation import Evaluation
from mmstudio.training.examples import Examples

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
MOST_GROUPS = 12
LEAST = 5
"""Examples of a group that is told of."""
FALSE_DISCOVERIES = 0.05
DIRECTIONS = 24
"""Main directions in which groups are looked for: beyond them is mostly noise."""
MOST_COMPARED = 1000
"""Examples of which the silhouette is measured."""
WORDS = 3
LETTERS = 3
"""That a word of a text has at least."""
OFTEN, LIFT = 0.3, 1.5
"""Share of a group that has a word which names it, and how much more often than elsewhere."""


@dataclass(frozen=True)
class ErrorSlice:
    """``keys (n,)`` of examples, the ``rate`` of errors among them with its 95 % interval (Wilson), the rate of the
    ``rest``, and the probability ``p`` of so many errors by chance. ``words`` say what they have in common.
    """

    words: tuple[str, ...]
    keys: Labels
    rate: Interval
    rest: float
    p: float

    @property
    def lift(self) -> float:
        """How many times as many errors as elsewhere."""
        return self.rate.value / self.rest if self.rest else float("inf")


def wrong(found: Evaluation) -> NDArray[np.bool_] | None:
    """``(k,)`` which held-out examples are told wrong; of amounts those that are off by more than twice the median.
    None where nothing is told apart.
    """
    if found.task == "regression":
        off = np.abs(found.said - found.given)
        return off > 2 * np.median(off)
    if found.task not in ("classification", "multi-label"):
        return None
    differs = found.given != found.said
    return differs.any(1) if differs.ndim == 2 else differs


def words_of(items: Iterable[Item]) -> frozenset[str]:
    """What may name a group that an example of these items is in: tags, values of columns, words of texts."""
    told: set[str] = set()
    for item in items:
        told.update(item.tags)
        told.update(f"{name} = {value}" for name, value in item.columns.items()
                    if isinstance(value, str) and value and not name.startswith("predicted "))
        if item.modality == "text":
            told.update(word for word in re.findall(r"\w+", item.text.casefold()) if len(word) >= LETTERS)
    return frozenset(told)


def slices_of(found: Evaluation, examples: Examples, words: Sequence[Set[str]]) -> tuple[ErrorSlice, ...]:
    """The slices of a run's evaluation; ``words`` are of its examples in the order of ``found.keys``."""
    errs = wrong(found)
    order = np.argsort(examples.keys, kind="stable")
    rows = order[np.searchsorted(examples.keys, found.keys, sorter=order)]
    vectors = np.asarray(examples.vectors[rows]).reshape(len(rows), -1)
    return () if errs is None else slices(found.keys, errs, vectors, words)


def slices(keys: Labels, errs: NDArray[np.bool_], vectors: Floats, words: Sequence[Set[str]],
           ) -> tuple[ErrorSlice, ...]:
    """Groups of ``keys (n,)`` that err more than the rest, the worst first. ``errs (n,)``, ``vectors (n, dim)``, and of
    each example the ``words`` that may name a group.

    Each group is tested against all others (Fisher's exact test, one-sided), and of all that are told at most
    ``FALSE_DISCOVERIES`` are expected to be none (Benjamini & Hochberg 1995).
    """
    from scipy.stats import binomtest, false_discovery_control, fisher_exact

    if len(keys) < 2 * LEAST or errs.all() or not errs.any():
        return ()
    group = groups(vectors)
    inside = [mask for number in range(int(group.max()) + 1) if LEAST <= (mask := group == number).sum() < len(keys)]
    if not inside:
        return ()
    tables = [[[int(errs[mask].sum()), int((~errs[mask]).sum())], [int(errs[~mask].sum()), int((~errs[~mask]).sum())]]
              for mask in inside]
    tested = np.array([fisher_exact(table, "greater").pvalue for table in tables])
    found = []
    for place in np.flatnonzero(false_discovery_control(tested) <= FALSE_DISCOVERIES):
        (hits, others), _ = tables[place]
        mask = inside[place]
        bounds = binomtest(hits, hits + others).proportion_ci(method="wilson")
        found.append(ErrorSlice(in_common(mask, words), keys[mask], Interval(hits / (hits + others), bounds.low,
                                                                             bounds.high),
                                float(errs[~mask].mean()), float(tested[place])))
    return tuple(sorted(found, key=lambda one: -one.rate.value))


def groups(vectors: Floats) -> Labels:
    """``(n,)`` the group of each of ``vectors (n, dim)``: k-means in their main directions, with the number of groups,
    2 to ``MOST_GROUPS``, whose silhouette is best (Rousseeuw 1987). The same vectors give the same groups.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    if len(vectors) <= 2 or not (vectors != vectors[0]).any():
        return np.zeros(len(vectors), np.int64)
    flat = PCA(min(DIRECTIONS, *vectors.shape), random_state=0).fit_transform(np.asarray(vectors, np.float64))
    best, chosen = -1.0, np.zeros(len(vectors), np.int64)
    distinct = len(np.unique(flat.round(9), axis=0))
    for number in range(2, min(MOST_GROUPS, distinct - 1, len(vectors) // LEAST) + 1):
        made = KMeans(number, n_init=3, random_state=0).fit_predict(flat)
        score = silhouette_score(flat, made, sample_size=min(MOST_COMPARED, len(flat)), random_state=0)
        if score > best:
            best, chosen = score, made.astype(np.int64)
    return chosen


def in_common(mask: NDArray[np.bool_], words: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """At most ``WORDS`` words that many in a group have and few outside, the most telling first (z of two shares)."""
    inside, outside = Counter[str](), Counter[str]()
    for own, given in zip(mask.tolist(), words, strict=True):
        (inside if own else outside).update(given)
    n, others = int(mask.sum()), int((~mask).sum())
    told = []
    for word, hits in inside.items():
        share, rest = hits / n, outside[word] / max(1, others)
        if share >= OFTEN and share >= LIFT * rest:
            whole = (hits + outside[word]) / (n + others)
            error = np.sqrt(max(whole * (1 - whole), 1e-9) * (1 / n + 1 / max(1, others)))
            told.append((-(share - rest) / error, word))
    return tuple(word for _, word in sorted(told)[:WORDS])
