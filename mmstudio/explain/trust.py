"""Whether a relevance map is true: does the score fall when what it calls important goes, does it know the model?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Encoder
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain.inside import trainable
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.methods import named
from mmstudio.explain.parts import Parts
from mmstudio.explain.perturb import perturb
from mmstudio.explain.subject import Subject
from mmstudio.media import Modality
from mmstudio.progress import Progress, Work, retold

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
STEPS, RANDOM, AT_ONCE = 10, 12, 4
"""Shares of the item that go or come, random maps, and how many changed items are read in one step of the work."""
WEIGHTS_AT_ONCE = 500_000
"""Of a model, mixed up in one step."""
TRUSTED = 2.0
"""Standard deviations above random maps from which on a map is believed."""
SAME = 0.7
"""Rank correlation with the map of a model of random weights from which on a map does not know the model."""
FEWEST_WORDS = 4
"""Ranks of fewer words than these, less one, tell nothing."""
Way = Callable[[Subject], Work[RelevanceMap]]
"""What makes a map anew, of another item or by another model."""
GENTLE = {"image": ("noise", 0.03), "audio": ("white-noise", 0.1)}


@dataclass(frozen=True)
class Curves:
    """Scores ``(steps + 1,)`` while cells go (``deletion``) or come (``insertion``), the most relevant first."""

    deletion: Doubles
    insertion: Doubles

    @property
    def areas(self) -> tuple[float, float]:
        """The areas under both over 0..1 of the item: a true map's deletion is small, its insertion large."""
        return _area(self.deletion), _area(self.insertion)

    @property
    def gap(self) -> float:
        """Insertion's area minus deletion's."""
        deletion, insertion = self.areas
        return insertion - deletion


@dataclass(frozen=True)
class Verdict:
    """``effect`` is by how many standard deviations the map's gap lies above that of ``random (n,)`` maps of the same
    texture. ``randomised`` is the rank correlation with the map of the same model with random weights, ``noise`` that
    with the map of an item changed so little that nobody notices; None where it was not looked at.
    """

    curves: Curves
    random: tuple[float, ...]
    randomised: float | None = None
    noise: float | None = None

    @property
    def effect(self) -> float:
        spread = max(float(np.std(self.random, ddof=1)), 1e-9)
        return (self.curves.gap - float(np.mean(self.random))) / spread

    @property
    def trusted(self) -> bool:
        """Clearly better than random maps, and not the same for a model that knows nothing."""
        return self.effect >= TRUSTED and (self.randomised is None or self.randomised < SAME)

    @property
    def badge(self) -> str:
        """What a person is told, with a place for the ``effect`` in standard deviations."""
        return ("✓ better than random by {:.1f} σ" if self.trusted
                else "✗ do not trust this ({:+.1f} σ against random)")


def verdict_of(subject: Subject, found: RelevanceMap, method: str | Way) -> Work[Verdict]:
    """All that tells of a map of ``method`` whether it is true: against random ones, under a little noise, and where
    the model's weights are at hand, against other weights. The last two make the map anew; where that is not possible
    for the item with noise, its test is left out.
    """
    verdict = yield from judged(subject, found)
    try:
        noise = yield from against_noise(subject, found, method)
    except AttentionUnavailable:
        noise = None
    if not hasattr(subject.encoder, "tensors"):
        return replace(verdict, noise=noise)
    randomised = yield from against_random_weights(subject, found, method)
    return replace(verdict, noise=noise, randomised=randomised)


def judged(subject: Subject, found: RelevanceMap, random: int = RANDOM, seed: int = 0) -> Work[Verdict]:
    """Deletion and insertion (Petsiuk et al. 2018) of a map against ``random`` ones. A random map is this one moved
    and mirrored, so that it keeps its texture; of words, those in another order.
    """
    parts, rng = subject.parts, np.random.default_rng(seed)
    cells = parts.on_cells(found)
    curves = yield from _curves(subject, cells, Progress(0, random + 1))
    gaps: list[float] = []
    while len(gaps) < random:
        there = yield from _curves(subject, moved(parts, cells, rng), Progress(len(gaps) + 1, random + 1))
        gaps.append(there.gap)
    return Verdict(curves, tuple(gaps))


def _curves(subject: Subject, cells: Floats, progress: Progress) -> Work[Curves]:
    """Tells the same ``progress`` after every few items."""
    parts = subject.parts
    order = np.argsort(-cells, kind="stable")
    steps = min(STEPS, len(order))
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    taken = [rank < round(share * len(order)) for share in np.linspace(0, 1, steps + 1)]
    left, found = [*(~there for there in taken), *taken], list[Doubles]()
    for at in range(0, len(left), AT_ONCE):
        found.append(subject.scores([parts.kept(kept.astype(np.float32)) for kept in left[at : at + AT_ONCE]]))
        yield progress
    scores = np.concatenate(found)
    return Curves(scores[: steps + 1], scores[steps + 1 :])


def _area(curve: Doubles) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def moved(parts: Parts, cells: Floats, rng: np.random.Generator) -> Floats:
    """``(k,)`` the same relevance elsewhere."""
    if len(parts.shape) == 1:
        return rng.permutation(cells)
    grid = cells.reshape(parts.shape)
    for axis, side in enumerate(parts.shape):
        grid = np.roll(np.flip(grid, axis) if rng.random() < 0.5 else grid, rng.integers(side), axis)
    return grid.ravel()


def against_random_weights(subject: Subject, found: RelevanceMap, method: str | Way, seed: int = 0) -> Work[float]:
    """Spearman's rank correlation of a map with that of the same model whose weights are mixed up (Adebayo et al.
    2018). Near 1, the map shows the item and not what the model knows of it. Raises AttentionUnavailable.
    """
    encoder = yield from randomised(subject.encoder, subject.modality, seed)
    other = Subject(encoder, subject.media, subject.modality, subject.target)
    return rank_correlation(subject.parts, found, (yield from _again(method, other)))


def against_noise(subject: Subject, found: RelevanceMap, method: str | Way, seed: int = 0) -> Work[float | None]:
    """Spearman's rank correlation of a map with that of the item with a little noise (after Yeh et al. 2019). Of a text
    its least relevant word is left out, which should not change what the others are worth (Feng et al. 2018); None for
    one of fewer than ``FEWEST_WORDS``.
    """
    if subject.modality == "text":
        return (yield from _without_a_word(subject, found, method))
    name, strength = GENTLE[subject.modality]
    shaken = Subject(subject.encoder, perturb(subject.media, name, strength, seed), subject.modality, subject.target)
    return rank_correlation(subject.parts, found, (yield from _again(method, shaken)))


def _without_a_word(subject: Subject, found: RelevanceMap, method: str | Way) -> Work[float | None]:
    parts = subject.parts
    if len(parts.positions) < FEWEST_WORDS:
        return None
    before = parts.on_cells(found)
    others = np.arange(len(before)) != np.argmin(np.abs(before))
    shorter = Subject(subject.encoder, parts.kept(others.astype(np.float32)), "text", subject.target)
    after = shorter.parts.on_cells((yield from _again(method, shorter)))
    return _spearman(before[others], after) if len(after) == len(before) - 1 else None


def _again(method: str | Way, subject: Subject) -> Work[RelevanceMap]:
    """The maps on the way are nobody's."""
    work = (named(method).run if isinstance(method, str) else method)(subject)
    return (yield from retold(work, lambda step: replace(step, fresh=None)))


def randomised(encoder: Encoder, modality: Modality, seed: int = 0) -> Work[Encoder]:
    """The same encoder, each tensor of weights that reads a modality with its values in a random order; those of a
    large one change places with every n-th of its others.
    """
    import torch

    opened = trainable(encoder)
    model, order = copy.deepcopy(opened.model), torch.Generator().manual_seed(seed)
    yield Progress(0, 1)
    roots = [getattr(model, name) for name in opened.parts(modality)] or [model]
    tensors = [weights.detach() for root in roots for weights in root.parameters()]
    done, total = 0, sum(weights.numel() for weights in tensors)
    for weights in tensors:
        mixed = weights.flatten()
        parts = -(-mixed.numel() // WEIGHTS_AT_ONCE)
        for part in (mixed[at::parts] for at in range(parts)):
            part.copy_(part[torch.randperm(len(part), generator=order).to(part.device)])
            done += len(part)
            yield Progress(done, total)
        weights.copy_(mixed.reshape(weights.shape))
    other = copy.copy(opened)
    other.model = model
    return other


def rank_correlation(parts: Parts, one: RelevanceMap, other: RelevanceMap) -> float:
    """Spearman's, over the places they share, or over the cells of the item; 0 where one of them is all alike."""
    same = len(one.weights) == len(other.weights) and one.positions.kind == other.positions.kind
    inside = one.positions.placed if same else slice(None)
    return _spearman(*(found.weights[inside] if same else parts.on_cells(found) for found in (one, other)))


def _ranks(values: Floats) -> Doubles:
    """From 1 on, equal values on the mean of theirs. Importing scipy's would take a second."""
    _, which, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[which]


def _spearman(one: Floats, other: Floats) -> float:
    ranks = [_ranks(values) - (len(values) + 1) / 2 for values in (one, other)]
    length = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1]) / length if length else 0.0
