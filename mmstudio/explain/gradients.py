"""Relevance from gradients of the score: of attention, of the states that enter the layers, and of what leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Prepared
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain import inside
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.parts import parts_of
from mmstudio.explain.subject import Subject
from mmstudio.progress import Progress, Work

Doubles = NDArray[np.float64]
STEPS, MOST_STEPS, AT_ONCE = 16, 256, 16
COMPLETE = 1e-3
NOISES, NOISE = 24, 0.15


def chefer(subject: Subject) -> Work[RelevanceMap]:
    """Relevance for self-attention (Chefer et al. 2021): R ← R + E_heads[(∇A ⊙ A)⁺] R over the layers, from the
    identity; read at the position of the vector, or on the mean of positions. Where positions are pooled with learned
    weights, that is one more attention, of a single query.
    """
    import torch

    positions = subject.positions
    vectors, seen = inside.vectors(subject.encoder, [_prepared(subject)], attention=True)
    if not seen.attention or any(a.shape[0] != 1 or a.shape[-2:] != (len(positions),) * 2 for a in seen.attention):
        raise AttentionUnavailable("The layers of this model do not attend over the same positions.", hint=inside.HINT)
    wanted = [*seen.attention, *([] if seen.pooling is None else [seen.pooling])]
    gradients = torch.autograd.grad((vectors.float() @ _target(subject, vectors)).sum(), wanted, allow_unused=True)
    if any(gradient is None for gradient in gradients):
        raise AttentionUnavailable("What this model tells of its attention is not what it reckons with.",
                                   hint=inside.HINT)
    relevance = torch.eye(len(positions), device=vectors.device)
    for attention, gradient in zip(seen.attention, gradients, strict=False):
        relevance = relevance + (gradient * attention).float().clamp(min=0).mean(dim=1)[0] @ relevance
    query = subject.explanation.pooling_query
    if seen.pooling is not None:
        row = (gradients[-1] * seen.pooling).float().clamp(min=0)[0] @ relevance
    elif query is not None:
        row = relevance[query].clone()
        row[query] -= 1  # its own relevance to itself is the start, not a finding
    else:
        row = relevance.mean(dim=0) - 1 / len(positions)
    return RelevanceMap(_array(row).astype(np.float32), positions, "Gradient-weighted attention", "relevance")
    yield


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
        found = _position_map(subject, (summed * (start - empty))[0], "Integrated gradients")
        yield Progress(steps, MOST_STEPS, fresh=found)
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
    for done in range(0, NOISES, AT_ONCE // 2):
        count = min(AT_ONCE // 2, NOISES - done)
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

    positions = subject.positions
    if not positions.placed.any() or positions.kind == "character":
        raise AttentionUnavailable("Grad-CAM needs places in a picture or a sound.")
    vectors, seen = inside.vectors(subject.encoder, [_prepared(subject)])
    state = seen.states[-2]
    gradient = torch.autograd.grad((vectors.float() @ _target(subject, vectors)).sum(), state)[0]
    _require_positions(subject, state)
    placed = torch.from_numpy(positions.placed).to(state.device)
    weights = gradient[0][placed].float().mean(dim=0)
    row = (state[0].float() @ weights).clamp(min=0)
    return RelevanceMap(_array(row).astype(np.float32), positions, "Grad-CAM", "relevance")
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
    _require_positions(subject, whole)
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


def _require_positions(subject: Subject, state: Any) -> None:
    if state.ndim != 3 or state.shape[1] != len(subject.positions):
        raise AttentionUnavailable("The layers of this model read other positions than it tells.", hint=inside.HINT)


def _position_map(subject: Subject, by_value: Any, title: str) -> RelevanceMap:
    return RelevanceMap(_array(by_value.float().sum(dim=-1)).astype(np.float32), subject.positions, title, "score")


def _array(tensor: Any) -> Doubles:
    return tensor.detach().double().cpu().numpy()
