"""What every encoder offers, and what it tells about its inside."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import AttentionUnavailable
from mmstudio.media import Media, Modality

Vectors = NDArray[np.float32]
PositionKind = Literal["patch", "character", "time", "time-frequency"]
MARKS = ("Mn", "Mc", "Me", "Cf")
"""Categories of Unicode of what belongs to the letter before it."""


@dataclass(frozen=True)
class Positions:
    """Where each of ``k`` positions lies in the item's own coordinates.

    ``extents`` is float32 and NaN where a position is no place (CLS, padding):
    patch ``(k, 4)`` left, top, right, bottom in 0..1 of the upright picture; character ``(k, 2)`` start and end
    offsets in the text; time ``(k, 2)`` start and end in seconds; time-frequency ``(k, 4)`` start, end in seconds and
    low, high in Hz. ``labels`` name them for a person: a word piece, "CLS", or "".
    """

    kind: PositionKind
    extents: NDArray[np.float32]
    labels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.extents)

    @property
    def placed(self) -> NDArray[np.bool_]:
        """``(k,)`` True where a position is a place in the item."""
        return np.asarray(np.isfinite(self.extents).all(axis=1))

    def label(self, index: int) -> str:
        """The name of one position."""
        return self.labels[index] if index < len(self.labels) else ""

    def only(self, keep: NDArray[np.bool_]) -> Positions:
        """Those of ``keep (k,)``."""
        return Positions(self.kind, self.extents[keep], tuple(self.label(int(at)) for at in np.flatnonzero(keep)))


@dataclass(frozen=True)
class AttentionLayer:
    """One layer's self-attention of one item, dense or in windows.

    ``weights`` is ``(windows, heads, q, k)`` float32; ``index`` ``(windows, q)`` int64 says which position each row
    and column of a window is. Dense attention is one window over all positions; a position outside a query's window
    gets weight zero. Rows sum to 1 (checked by ``verified``).
    """

    weights: NDArray[np.float32]
    index: NDArray[np.int64]
    positions: Positions

    @classmethod
    def dense(cls, weights: NDArray[np.float32], positions: Positions) -> AttentionLayer:
        """From ``(heads, k, k)``."""
        return cls(weights[None], np.arange(weights.shape[-1])[None], positions).verified()

    @property
    def heads(self) -> int:
        return int(self.weights.shape[1])

    def verified(self) -> AttentionLayer:
        """Itself, or AttentionUnavailable where it is not attention: wrong rank, not square, rows not summing to 1."""
        w = self.weights
        if w.ndim != 4 or w.shape[-1] != w.shape[-2] or self.index.shape != (w.shape[0], w.shape[-1]):
            raise AttentionUnavailable("What this model calls attention has the wrong shape, so it is not drawn.")
        if not np.isfinite(w).all() or np.abs(w.sum(axis=-1) - 1).max(initial=0) > 1e-2 or w.min(initial=0) < -1e-4:
            raise AttentionUnavailable("The rows of this model's attention do not sum to 1, so it is not drawn.")
        return self

    def row(self, query: int, head: int | None = None) -> Vectors:
        """``(k,)`` what position ``query`` attends to, in one head or on the mean of heads."""
        out = np.zeros(len(self.positions), np.float32)
        window, at = np.argwhere(self.index == query)[0]
        heads = self.weights[window, :, at]
        out[self.index[window]] = heads.mean(axis=0) if head is None else heads[head]
        return out

    def received(self, head: int | None = None) -> Vectors:
        """``(k,)`` how much each position is attended to on the mean of all queries."""
        out = np.zeros(len(self.positions), np.float32)
        per_window = (self.weights.mean(axis=1) if head is None else self.weights[:, head]).mean(axis=1)
        out[self.index.ravel()] = per_window.ravel()
        return out

    def read(self, shares: Vectors) -> Vectors:
        """``(k,)`` shares of positions → ``(k,)`` what they attend to together, on the mean of heads."""
        out = np.zeros(len(self.positions), np.float32)
        for weights, index in zip(self.weights, self.index, strict=True):
            out[index] += np.einsum("q,hqk->k", shares[index], weights) / len(weights)
        return out

    def matrix(self, head: int | None = None) -> Vectors:
        """``(k, k)`` dense: for few positions."""
        out = np.zeros((len(self.positions),) * 2, np.float32)
        weights = self.weights.mean(axis=1) if head is None else self.weights[:, head]
        for block, index in zip(weights, self.index, strict=True):
            out[np.ix_(index, index)] = block
        return out


@dataclass(frozen=True)
class Explanation:
    """What one pass over one item showed.

    ``vector`` ``(dim,)`` normalised. ``tokens`` ``(t, dim)`` vectors of positions in the same space, normalised, with
    ``token_positions``; None where the family has none there, and then the positions may be told alone. ``pooling``
    ``(t,)`` weights with which tokens were pooled. ``attention`` per layer, empty where the family has none;
    ``pooling_query`` is the position that the vector is read from (CLS, end of text) or None where it is a mean over
    positions. ``rows (t,)`` int64 says to which of attention's positions each row inside the model belongs where
    several are told as one, such as the silence after a sound; None where each is one.
    """

    vector: Vectors
    tokens: Vectors | None = None
    token_positions: Positions | None = None
    pooling: Vectors | None = None
    attention: tuple[AttentionLayer, ...] = ()
    pooling_query: int | None = None
    note: str = ""
    rows: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class SeenPicture:
    """The picture that a model gets, cut and scaled to its size.

    ``values`` ``(3, h, w)`` float32 as fed: colours minus ``mean``, divided by ``std`` (per channel). ``pixels``
    ``(h, w, 3)`` uint8 show the same to a person. ``patch`` is the side in pixels of the squares that become tokens,
    ``box`` left, top, right, bottom of what is kept, in 0..1 of the upright picture (beyond where it is padded).
    """

    pixels: NDArray[np.uint8]
    values: NDArray[np.float32]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    patch: int
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @classmethod
    def unscaled(cls, values: NDArray[np.float32], mean: Sequence[float], std: Sequence[float], white: float,
                 patch: int, box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)) -> SeenPicture:
        """From what is fed; ``white`` is the brightest colour before ``mean`` was taken off."""
        colours = values.transpose(1, 2, 0) * np.asarray(std, np.float32) + np.asarray(mean, np.float32)
        pixels = np.clip(np.rint(colours * (255 / white)), 0, 255).astype(np.uint8)
        return cls(pixels, values, tuple(map(float, mean)), tuple(map(float, std)), patch, box)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches; pixels beyond them are not read."""
        return self.pixels.shape[0] // self.patch, self.pixels.shape[1] // self.patch


@dataclass(frozen=True)
class SeenSound:
    """The sound that a model gets; of several windows the first.

    ``values`` float32 as fed: log-mel ``(bins, frames)``, low bin first, in the model's own scale, or a waveform
    ``(n,)``. They span ``seconds``, of which the first ``sound_seconds`` are the sound and the rest filling.
    ``edges_hz`` ``(bins + 1,)`` are the borders of the bins; a waveform is one bin up to half its rate. ``patch`` is
    how many bins and seconds one token reads, ``step`` how far apart tokens lie (less than ``patch`` where they
    overlap). ``parts`` is in how many windows the whole sound is read.
    """

    values: NDArray[np.float32]
    kind: Literal["log-mel", "waveform"]
    seconds: float
    sound_seconds: float
    edges_hz: NDArray[np.float64]
    patch: tuple[int, float]
    step: tuple[int, float]
    parts: int = 1
    note: str = ""


@dataclass(frozen=True)
class SeenToken:
    """One token of a text: ``text`` as the vocabulary writes it (bytes in letters where they make some), its ``id``
    there, its ``position`` in the input, its ``segment`` where the model knows segments. ``start`` and ``end`` are the
    characters it stands for (0, 0: none); ``special`` ones mark the start, the end, or padding.
    """

    text: str
    id: int
    position: int
    segment: int | None
    start: int
    end: int
    special: bool


@dataclass(frozen=True)
class SeenText:
    """The tokens that a model gets; ``truncated`` says that the text was longer than it reads."""

    tokens: tuple[SeenToken, ...]
    truncated: bool


Seen: TypeAlias = SeenPicture | SeenSound | SeenText


@dataclass(frozen=True)
class Prepared:
    """One item as the model wants it: ``inputs`` without batch axis. ``length`` sorts items of like cost together;
    ``parts`` > 1 where an item is several inputs whose vectors are averaged (a long sound's windows).
    """

    modality: Modality
    inputs: dict[str, Any]
    length: int = 0
    parts: int = 1
    origin: dict[str, Any] = field(default_factory=dict)


class Encoder(Protocol):
    """A model that reads one or more modalities into one space.

    ``space`` names the space (vectors compare only within one); ``revision`` and ``preprocessing`` say with which
    weights and which reading of the file a vector was made. ``prepare`` may be called from any thread; ``forward``,
    ``explain`` and ``seen`` from one thread at a time. ``note`` says when the model runs elsewhere than was wished,
    else "".
    """

    name: str
    space: str
    dim: int
    revision: str
    preprocessing: str
    modalities: frozenset[Modality]
    sample_rate_hz: int
    window_seconds: float
    device: str
    note: str

    def prepare(self, media: Media, modality: Modality) -> Prepared:
        """Preprocess one item on the CPU."""
        ...

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        """``(n, dim)`` float32, L2-normalised, of one modality. Raises OutOfMemory."""
        ...

    def explain(self, media: Media, modality: Modality) -> Explanation:
        """Vector, tokens and attention of one item; attention computed in full only here."""
        ...

    def seen(self, media: Media, modality: Modality) -> Seen:
        """What ``prepare`` makes of one item, as a person can look at it."""
        ...

    def to(self, device: str) -> None:
        """Move the model; raises OutOfMemory where it does not fit (and stays where it was)."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What the model's weights take."""
        ...


class Trainable(Encoder, Protocol):
    """An encoder whose weights can learn: after ``make_trainable`` its ``model``, a ``torch.nn.Module``, is float32 and
    ``tensors`` and ``tokens`` keep gradients.
    """

    model: Any

    def make_trainable(self) -> None:
        """Weights in float32, each with a gradient. Raises OutOfMemory."""
        ...

    def tensors(self, batch: Sequence[Prepared]) -> Any:
        """``(n, dim)`` float32 tensor of length 1 of one modality, with gradients."""
        ...

    def tokens(self, batch: Sequence[Prepared]) -> Any:
        """``(n, t, dim)`` float32 tensor of one modality's positions, each of length 1, with gradients, and ``(n, t)``
        bool which of them are there; of an item in several parts the positions of one part after another.
        """
        ...

    def parts(self, modality: Modality) -> tuple[str, ...]:
        """The names of the sub-modules that read a modality; none where that is the whole model."""
        ...


def encode(encoder: Encoder, media: Sequence[Media], modality: Modality) -> Vectors:
    """``(n, dim)`` float32, L2-normalised: prepare and forward in one call."""
    return encoder.forward([encoder.prepare(m, modality) for m in media])


def with_marks(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each token's start and end with the marks that follow it and belong to no other. Tokenizers of models that read
    no accents drop combining marks, joiners and variation selectors, and their spans end before them.
    """
    taken = {at for start, end in spans for at in range(start, end)}
    out = list[tuple[int, int]]()
    for start, end in spans:
        while start < end < len(text) and end not in taken and unicodedata.category(text[end]) in MARKS:
            end += 1
        out.append((start, end))
    return out


def side_by_side(rows: Sequence[Any]) -> tuple[Any, Any]:
    """Tensors ``(t, dim)`` of each item, ``t`` its own → ``(n, longest, dim)`` and ``(n, longest)`` bool which of them
    are there.
    """
    from torch.nn.utils.rnn import pad_sequence

    there = [row.new_ones(len(row)).bool() for row in rows]
    return pad_sequence(list(rows), batch_first=True), pad_sequence(there, batch_first=True)


def normalised(vectors: NDArray[Any]) -> Vectors:
    """Each row divided by its Euclidean length, as float32; zero rows stay zero."""
    floats = np.asarray(vectors, np.float32)
    return floats / np.maximum(np.linalg.norm(floats, axis=-1, keepdims=True), 1e-12)
