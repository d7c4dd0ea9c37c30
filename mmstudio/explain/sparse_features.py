"""Features of a space: the few of many directions that a vector is made of, learned by a sparse autoencoder.

The autoencoder is the top-k one of Gao et al. 2024 (https://arxiv.org/abs/2406.04093): of ``features`` latents, whose
decoder directions have length 1, only the ``k`` strongest of each vector (TopK, not BatchTopK) take part in making it
again. The encoder starts as the decoder transposed, and latents that have died learn from what the others leave over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import StudioError
from mmstudio.progress import Progress, Work

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Groups = NDArray[np.str_]
MOST_FEATURES, LARGEST_K = 4096, 64
_BLOCK = 2048
"""Rows that are read at once where all are read."""
_LARGE = 1 << 28
"""Products of a matrix that is worth more threads than one."""
_AUXILIARY = 1 / 32
"""The weight of what the dead latents are to learn, as Gao et al. have it."""
_DEAD_AFTER = 65_536
"""Items, or all there are where they are fewer, on which a latent has not fired when it counts as dead."""


@dataclass(frozen=True)
class Wish:
    """How many latents there are, how many of them make one vector, and how long they learn."""

    features: int
    k: int
    batch: int
    steps: int
    seed: int = 0

    @classmethod
    def fitting(cls, count: int, dim: int, features: int = 0, k: int = 0, seed: int = 0) -> Wish:
        """What suits ``count`` vectors ``(dim,)``; 0 stands for the rule.

        A feature needs some items to be learned from, so there is one for every four, up to four times as many as the
        space has dimensions and ``MOST_FEATURES``: a few hundred items have about a hundred, a million has all that the
        space is given. One in 32 of them makes an item, but no fewer than 4, or a mixture could not be told from its
        parts, and no more than 16, or nobody could read it. Mini-batches grow with the items; each item is seen four
        times, or there are 1,000 steps, whichever is more.
        """
        features = features or max(1, min(4 * dim, count // 4, MOST_FEATURES))
        k = min(k or max(4, min(16, features // 32)), features)
        batch = min(count, max(128, min(1024, count // 16)))
        return cls(features, k, batch, max(1000, -(-4 * count // max(1, batch))), seed)


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """``encoder`` and ``decoder (features, dim)``, the decoder's rows of length 1, and what both leave out: ``bias
    (dim,)``. A vector is taken around the mean of its group, ``means (groups, dim)``, in units of ``scale``.
    """

    encoder: Floats
    decoder: Floats
    bias: Floats
    means: Floats
    groups: tuple[str, ...]
    scale: float
    k: int

    def centred(self, vectors: Floats, groups: Groups) -> Floats:
        """``(m, dim)`` vectors of ``groups (m,)`` as the autoencoder reads them; unknown groups lie around the mean of
        all means.
        """
        means = np.concatenate([self.means, self.means.mean(axis=0, keepdims=True)])
        known = {name: at for at, name in enumerate(self.groups)}
        at = np.array([known.get(name, -1) for name in groups.tolist()], np.intp)
        return ((vectors - means[at]) / self.scale).astype(np.float32)

    def codes(self, vectors: Floats, groups: Groups) -> tuple[NDArray[np.int32], Floats]:
        """``(m, k)`` of the latents that fire on each vector, strongest first, and how strongly; 0 for those that only
        fill up.
        """
        import torch

        rows, encoder = torch.from_numpy(self.centred(vectors, groups) - self.bias), torch.from_numpy(self.encoder)
        strength, which = (rows @ encoder.T).topk(self.k, dim=1)
        return which.numpy().astype(np.int32), strength.relu().numpy()

    def decoded(self, which: NDArray[np.int32], strength: Floats) -> Floats:
        """``(m, dim)`` centred vectors as their codes make them again."""
        out = np.repeat(self.bias[None], len(which), axis=0)
        for column in range(self.k):
            out += strength[:, column, None] * self.decoder[which[:, column]]
        return out


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned, with the codes ``(n, k)`` of all vectors, the share of their variance around their groups'
    means that it explains, and the share of latents that fire on none.
    """

    autoencoder: Autoencoder
    which: NDArray[np.int32]
    strength: Floats
    explained: float
    dead: float


def learn(vectors: Floats, groups: Groups, wish: Wish) -> Work[Learned]:
    """Learn the features of ``vectors (n, dim)``, each group of ``groups (n,)`` around its own mean, which closes the
    gap between modalities (Liang et al. 2022). Only a mini-batch is read at a time. The same seed gives the same.

    Raises StudioError where vectors are not finite, or do not differ.
    """
    import torch

    if not len(vectors):
        raise _nothing_differs()
    start = yield from _start(vectors, groups, wish)
    model = _Model(start, wish, min(len(vectors), _DEAD_AFTER))
    order = _mini_batches(len(vectors), wish)
    for step in range(wish.steps):
        rows = next(order)
        with _few_threads(wish.batch * wish.features * vectors.shape[1]):
            loss = model.learn(torch.from_numpy(start.centred(vectors[rows], groups[rows])), step)
        yield Progress(step + 1, wish.steps, f"{max(0.0, 1 - loss):.0%} explained")
    return (yield from _measured(model.autoencoder(), vectors, groups, wish))


def _start(vectors: Floats, groups: Groups, wish: Wish) -> Work[Autoencoder]:
    """Means and scale of the vectors, and random directions."""
    names, group = np.unique(groups, return_inverse=True)
    sums, squares = np.zeros((len(names), vectors.shape[1])), 0.0
    for rows in blocks(len(vectors)):
        some = np.asarray(vectors[rows], np.float64)
        if not np.isfinite(some).all():
            raise StudioError("Some vectors hold values that are no numbers, so no features can be learned from them.",
                              hint="Encode the items again, or choose another model.")
        for at in range(len(names)):
            sums[at] += some[group[rows] == at].sum(axis=0)
        squares += float((some**2).sum())
        yield Progress(0, wish.steps, "reading")
    counts = np.bincount(group)
    means = sums / counts[:, None]
    variance = (squares - float((counts * (means**2).sum(axis=1)).sum())) / len(vectors)
    if variance <= 1e-9 * squares / len(vectors):
        raise _nothing_differs()
    drawn = np.random.default_rng(wish.seed).normal(size=(wish.features, vectors.shape[1])).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return Autoencoder(drawn, drawn, np.zeros(vectors.shape[1], np.float32), means.astype(np.float32),
                       tuple(names.tolist()), float(np.sqrt(variance)), wish.k)


class _Model:
    """The weights while they learn."""

    def __init__(self, start: Autoencoder, wish: Wish, dead_after: int) -> None:
        import torch

        self._start, self._wish, self._dead_after = start, wish, dead_after
        self._encoder, self._decoder, self._bias = (
            torch.from_numpy(part.copy()).requires_grad_() for part in (start.encoder, start.decoder, start.bias))
        self._rate = 2e-4 * (2**14 / wish.features) ** 0.5  # the rate that Gao et al. find for so many latents
        self._adam = [_Adam(part) for part in (self._encoder, self._decoder, self._bias)]
        self._silent = torch.zeros(wish.features, dtype=torch.int64)  # items since each latent fired

    def learn(self, rows: torch.Tensor, step: int) -> float:
        """One step on a mini-batch ``(b, dim)``; the share of its variance that was left over."""
        import torch

        latents = (rows - self._bias) @ self._encoder.T
        strength, which = latents.topk(self._wish.k, dim=1)
        strength = strength.relu()
        rest = rows - self._bias - _summed(which, strength, self._decoder)
        loss = rest.square().sum() / rows.square().sum().clamp_min(1e-12)
        total = loss + _AUXILIARY * self._auxiliary(latents, rest.detach())
        encoder, decoder, bias = torch.autograd.grad(total, (self._encoder, self._decoder, self._bias))
        decoder -= (decoder * self._decoder).sum(dim=1, keepdim=True) * self._decoder  # a longer direction is no better
        rate = self._rate * min(1.0, 5 * (1 - step / self._wish.steps))  # in the last fifth it falls to nothing
        with torch.no_grad():
            for adam, gradient in zip(self._adam, (encoder, decoder, bias), strict=True):
                adam.step(gradient, rate)
            self._decoder /= self._decoder.norm(dim=1, keepdim=True).clamp_min(1e-12)
            self._silent += len(rows)
            self._silent[which[strength > 0]] = 0
        return float(loss.detach())

    def _auxiliary(self, latents: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        """How badly the dead latents alone make what is left over, as a share of it."""
        dead = (self._silent >= self._dead_after).nonzero().ravel()
        if not len(dead):
            return latents.new_zeros(())
        most = min(len(dead), max(1, rest.shape[1] // 2))
        strength, at = latents[:, dead].topk(most, dim=1)
        left = rest - _summed(dead[at], strength.relu(), self._decoder)
        return left.square().sum() / rest.square().sum().clamp_min(1e-12)

    def autoencoder(self) -> Autoencoder:
        """As it is now."""
        start = self._start
        encoder, decoder, bias = (part.detach().numpy() for part in (self._encoder, self._decoder, self._bias))
        return Autoencoder(encoder, decoder, bias, start.means, start.groups, start.scale, start.k)


class _Adam:
    """Kingma and Ba 2015 for one tensor. torch's own brings torch's compiler with it, whose import takes seconds that
    a window would notice.
    """

    FIRST, SECOND, LEAST = 0.9, 0.999, 6.25e-10

    def __init__(self, weights: torch.Tensor) -> None:
        import torch

        self._weights, self._steps = weights, 0
        self._mean, self._square = torch.zeros_like(weights), torch.zeros_like(weights)

    def step(self, gradient: torch.Tensor, rate: float) -> None:
        self._steps += 1
        self._mean.lerp_(gradient, 1 - self.FIRST)
        self._square.mul_(self.SECOND).addcmul_(gradient, gradient, value=1 - self.SECOND)
        spread = (self._square / (1 - self.SECOND**self._steps)).sqrt_().add_(self.LEAST)
        self._weights.addcdiv_(self._mean, spread, value=-rate / (1 - self.FIRST**self._steps))


def _summed(which: torch.Tensor, strength: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
    """``(b, dim)`` sums of the decoder's rows ``which (b, k)``, each as strong as it is."""
    from torch.nn.functional import embedding_bag

    return embedding_bag(which, decoder, per_sample_weights=strength, mode="sum")


def _mini_batches(count: int, wish: Wish) -> Iterator[NDArray[np.intp]]:
    """Rows of each mini-batch, ascending, because they may lie on a disk; in an epoch every row comes at most once."""
    rng = np.random.default_rng(wish.seed + 1)
    while True:
        order = rng.permutation(count)
        for at in range(0, count - wish.batch + 1, wish.batch):
            yield np.sort(order[at : at + wish.batch])


def _measured(autoencoder: Autoencoder, vectors: Floats, groups: Groups, wish: Wish) -> Work[Learned]:
    """The codes of all vectors, and what they are worth."""
    which = np.zeros((len(vectors), wish.k), np.int32)
    strength = np.zeros((len(vectors), wish.k), np.float32)
    left = whole = 0.0
    for rows in blocks(len(vectors)):
        some = autoencoder.centred(vectors[rows], groups[rows])
        with _few_threads(some.size * wish.features):
            which[rows], strength[rows] = autoencoder.codes(vectors[rows], groups[rows])
        left += float(np.square(some - autoencoder.decoded(which[rows], strength[rows]), dtype=np.float64).sum())
        whole += float(np.square(some, dtype=np.float64).sum())
        yield Progress(wish.steps, wish.steps, "measuring")
    alive = len(np.unique(which[strength > 0]))
    return Learned(autoencoder, which, strength, 1 - left / whole, 1 - alive / wish.features)


@contextmanager
def _few_threads(products: int) -> Iterator[None]:
    """Matrices of few products are multiplied sooner by one thread than by several that wait for each other; half of
    the processor's cores multiply the others, so that what else runs here has the rest.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // 2) if products > _LARGE else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def blocks(count: int) -> Iterator[slice]:
    """Slices of ``count`` rows, as many as are read at once."""
    return (slice(at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK))


def _nothing_differs() -> StudioError:
    return StudioError("These vectors do not differ, so there are no features to find.", hint="Add more items.")
