"""Relevance from gradients of the score: of attention, of the states that enter the layers, and of what leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Positions, Prepared
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain import inside
from mmstudio.explain.maps import RelevanceMap, joins, parted, read_weights
from mmstudio.explain.parts import parts_of
from mmstudio.explain.subject import Subject
from mmstudio.progress import Progress, Work

Doubles = NDArray[np.float64]
STEPS, MOST_STEPS, AT_ONCE = 16, 256, 4
"""Points at first and at most, and how many are read in one step of the work: it can be stopped after each."""
MOST_PASSES = 2 * MOST_STEPS - STEPS
COMPLETE = 1e-3
NOISES, NOISE = 24, 0.15


def chefer(subject: Subject) -> Work[RelevanceMap]:
    """Relevance for self-attention (Chefer et al. 2021): R ← R + E_heads[(∇A ⊙ A)⁺] R over the layers, from the
    identity; read at the position of the vector, or on the mean of positions. Where positions are pooled with learned
    weights, that is one more attention, of a single query. Where a model attends in windows and joins positions
    between its layers, each layer is read by its windows, and a joined position passes its relevance on in equal
    shares.
    """
    import torch

    positions = subject.positions
    vectors, seen = inside.vectors(subject.encoder, [_prepared(subject)], attention=True)
    windows = _windows(subject, seen.attention)
    wanted = [*seen.attention, *([] if seen.pooling is None else [seen.pooling])]
    gradients = torch.autograd.grad((vectors.float() @ _target(subject, vectors)).sum(), wanted, allow_unused=True)
    if any(gradient is None for gradient in gradients):
        raise AttentionUnavailable("What this model tells of its attention is not what it reckons with.",
                                   hint=inside.HINT)
    if seen.pooling is not None:
        row = _array((gradients[-1] * seen.pooling).float().clamp(min=0)[0])
        own = np.zeros_like(row)
    else:
        row = own = _weights_of_rows(subject, windows)
    for attention, gradient, index in zip(reversed(seen.attention), reversed(gradients[: len(windows)]),
                                          reversed(windows), strict=True):
        row, own = (parted(one, index.size) for one in (row, own))
        relevant = _array((gradient * attention).float().clamp(min=0).mean(dim=1))
        came = np.zeros_like(row)
        came[index] = np.einsum("wq,wqk->wk", row[index], relevant)
        row = row + came
    # a position's own relevance to itself is the start, not a finding
    return RelevanceMap(_by_position(subject, row - own, positions), positions, "Gradient-weighted attention",
                        "relevance")
    yield


def _windows(subject: Subject, attention: list[Any]) -> list[NDArray[np.int64]]:
    """Of each layer ``(windows, q)``: the positions between which it attends. Raises AttentionUnavailable where the
    layers do not follow upon one another.
    """
    found, rows = subject.explanation, subject.explanation.rows
    count = len(subject.positions) if rows is None else len(rows)
    dense = np.arange(count)[None]
    told = [layer.index for layer in found.attention] if rows is None and found.attention else []
    windows = told if len(told) == len(attention) and joins(found) else [dense] * len(attention)
    if not attention or any(a.shape[0] != len(index) or a.shape[-2:] != (index.shape[1],) * 2
                            for a, index in zip(attention, windows, strict=True)):
        raise AttentionUnavailable("The layers of this model do not attend over the same positions.", hint=inside.HINT)
    return windows


def _weights_of_rows(subject: Subject, windows: list[NDArray[np.int64]]) -> Doubles:
    """``(t,)`` how much each row that leaves the last layer goes into the vector."""
    rows = subject.explanation.rows
    if rows is None:
        return read_weights(subject.explanation, windows[-1].size).astype(np.float64)
    return read_weights(subject.explanation, len(subject.positions))[rows].astype(np.float64)


def grad_input(subject: Subject) -> Work[RelevanceMap]:
    """Gradient times what enters the layers, minus the same of the emptied item, summed over each position's values
    (Shrikumar et al. 2016).
    """
    prepared = _prepared(subject)
    start, empty = _ends(subject, prepared)
    gradient = _gradients(subject, prepared, start)
    return _position_map(subject, (gradient * (start - empty))[0], "Gradient × input")
    yield


def integrated_gradients(subject: Subject) -> Work[RelevanceMap]:
    """Integrated Gradients (Sundararajan et al. 2017) of what enters the layers, from the emptied item - a picture in
    its mean colour, silence, a text of neutral tokens - to the item.

    Gauss-Legendre points are doubled until the map sums to the difference of both scores within ``COMPLETE``.
    """
    import torch

    prepared = _prepared(subject)
    start, empty = _ends(subject, prepared)
    with torch.no_grad():
        ends = inside.vectors(subject.encoder, [prepared] * 2, torch.cat([start, empty]))[0]
        gain = float(np.diff(_array(ends.float() @ _target(subject, ends))[::-1])[0])
    steps = STEPS
    while True:
        summed = torch.zeros_like(start)
        points, weights = np.polynomial.legendre.leggauss(steps)
        for at in range(0, steps, AT_ONCE):
            share, weight = ((torch.tensor(v[at : at + AT_ONCE], dtype=start.dtype, device=start.device)[:, None, None])
                             for v in ((points + 1) / 2, weights / 2))
            gradient = _gradients(subject, prepared, empty + share * (start - empty))
            summed = summed + (weight * gradient).sum(dim=0, keepdim=True)
            if at + AT_ONCE < steps:
                yield Progress(steps - STEPS + at + AT_ONCE, MOST_PASSES)
        found = _position_map(subject, (summed * (start - empty))[0], "Integrated gradients")
        yield Progress(2 * steps - STEPS, MOST_PASSES, fresh=found)
        if abs(float(found.weights.sum()) - gain) <= COMPLETE or steps >= MOST_STEPS:
            return found
        steps *= 2


def smooth_grad(subject: Subject, seed: int = 0) -> Work[RelevanceMap]:
    """SmoothGrad (Smilkov et al. 2017): ``grad_input`` with the gradient's mean over random noise on what enters the
    layers, of a standard deviation of ``NOISE`` times the range of its values.
    """
    import torch

    prepared = _prepared(subject)
    start, empty = _ends(subject, prepared)
    noise = torch.Generator().manual_seed(seed)
    spread = NOISE * float(start.max() - start.min())
    summed, found = torch.zeros_like(start), None
    for done in range(0, NOISES, AT_ONCE):
        count = min(AT_ONCE, NOISES - done)
        shaken = torch.randn((count, *start.shape[1:]), generator=noise).to(start) * spread
        summed = summed + _gradients(subject, prepared, start + shaken).sum(dim=0, keepdim=True)
        found = _position_map(subject, (summed / (done + count) * (start - empty))[0], "SmoothGrad")
        yield Progress(done + count, NOISES, fresh=found)
    assert found is not None
    return found


def grad_cam(subject: Subject) -> Work[RelevanceMap]:
    """Grad-CAM (Selvaraju et al. 2017): what leaves the last layer but one, weighted by the gradient's mean over
    positions, and only what speaks for the target. The last layer's own output would, where one position is read,
    have a gradient there alone.
    """
    import torch

    if subject.modality == "text":
        raise AttentionUnavailable("Grad-CAM needs places in a picture or a sound.")
    vectors, seen = inside.vectors(subject.encoder, [_prepared(subject)])
    state = seen.states[-2]
    gradient = torch.autograd.grad((vectors.float() @ _target(subject, vectors)).sum(), state)[0]
    positions = _positions_of(subject, state)
    if not positions.placed.any():
        raise AttentionUnavailable("Grad-CAM needs places in a picture or a sound.")
    rows = subject.explanation.rows
    placed = torch.from_numpy(positions.placed if rows is None else positions.placed[rows]).to(state.device)
    weights = gradient[0][placed].float().mean(dim=0)
    row = (state[0].float() @ weights).clamp(min=0)
    return RelevanceMap(_by_position(subject, _array(row), positions), positions, "Grad-CAM", "relevance")
    yield


def _prepared(subject: Subject) -> Prepared:
    return subject.encoder.prepare(subject.media, subject.modality)


def _target(subject: Subject, like: Any) -> Any:
    import torch

    return torch.from_numpy(np.asarray(subject.target, np.float32)).to(like.device)


def _ends(subject: Subject, prepared: Prepared) -> tuple[Any, Any]:
    """What enters the first layer of the item and of the emptied one, each ``(1, t, width)``."""
    import torch

    with torch.no_grad():
        whole, nothing = (inside.vectors(subject.encoder, [one])[1].states[0].detach()
                          for one in (prepared, _emptied(subject, prepared)))
    if whole.shape != nothing.shape:
        raise AttentionUnavailable("This model reads the emptied item at other positions.", hint=inside.HINT)
    _positions_of(subject, whole)
    return whole, nothing


def _emptied(subject: Subject, prepared: Prepared) -> Prepared:
    """The item without all that it says, at the same positions."""
    if subject.modality != "text":
        parts = parts_of(subject.media)
        nothing = parts.kept(np.zeros(len(parts.positions), np.float32))
        if subject.modality == "image":
            nothing = nothing.resize(subject.media.size)  # type: ignore[union-attr]
        return subject.encoder.prepare(nothing, subject.modality)
    seen = subject.encoder.seen(subject.media, "text").tokens  # type: ignore[union-attr]
    neutral = next(token.id for token in subject.encoder.seen("…", "text").tokens  # type: ignore[union-attr]
                   if not token.special)
    name = "ids" if "ids" in prepared.inputs else "input_ids"
    ids = np.array([token.id if token.special else neutral for token in seen], np.int64)
    return Prepared("text", prepared.inputs | {name: ids}, prepared.length, prepared.parts, prepared.origin)


def _gradients(subject: Subject, prepared: Prepared, start: Any) -> Any:
    """``(n, t, width)`` gradient of the score with respect to ``start`` of that shape."""
    import torch

    vectors, seen = inside.vectors(subject.encoder, [prepared] * len(start), start)
    return torch.autograd.grad((vectors.float() @ _target(subject, vectors)).sum(), seen.states[0])[0].to(start.dtype)


def _positions_of(subject: Subject, state: Any) -> Positions:
    """Those of the rows of ``state (1, t, width)``. Raises AttentionUnavailable where they are not told."""
    found, rows = subject.explanation, subject.explanation.rows
    if rows is not None and state.shape[1] == len(rows):
        return subject.positions
    told = [subject.positions, *([] if found.token_positions is None else [found.token_positions]),
            *(layer.positions for layer in found.attention)]
    for positions in told if state.ndim == 3 and rows is None else ():
        if len(positions) == state.shape[1]:
            return positions
    raise AttentionUnavailable("The layers of this model read other positions than it tells.", hint=inside.HINT)


def _by_position(subject: Subject, by_row: Doubles, positions: Positions) -> NDArray[np.float32]:
    """``(k,)`` of each row inside the model; of rows that are told as one position the sum."""
    rows = subject.explanation.rows
    return (by_row if rows is None else np.bincount(rows, by_row, len(positions))).astype(np.float32)


def _position_map(subject: Subject, by_value: Any, title: str) -> RelevanceMap:
    positions = _positions_of(subject, by_value[None])
    return RelevanceMap(_by_position(subject, _array(by_value.float().sum(dim=-1)), positions), positions, title,
                        "score")


def _array(tensor: Any) -> Doubles:
    return tensor.detach().double().cpu().numpy()
