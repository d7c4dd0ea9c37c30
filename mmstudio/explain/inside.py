"""A look inside an encoder while it reads: the states between its layers and its attention, with gradients.

Hooks do it, so that every family of transformers and the starter are looked into in one way: a model's layers are the
first list of modules of which each attends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from mmstudio.encoders.base import Encoder, Prepared, Trainable
from mmstudio.encoders.hf import full_attention
from mmstudio.errors import AttentionUnavailable
from mmstudio.media import Modality

CLOSED = "The inside of this model cannot be looked into."
HINT = "Take a method that leaves parts of the item out; it works with every model."


@dataclass
class Inside:
    """What one pass over n items of t positions left.

    ``states`` are tensors ``(n, t, width)``: what enters the first layer, which keeps gradients, then what each layer
    gives. ``attention`` are tensors ``(n, heads, t, t)``, one per layer; ``pooling`` ``(n, t)`` the learned weights of
    the positions in the vector, None where there are none.
    """

    states: list[Any] = field(default_factory=list)
    attention: list[Any] = field(default_factory=list)
    pooling: Any = None


def trainable(encoder: Encoder) -> Trainable:
    """The encoder, whose vectors keep gradients. Raises AttentionUnavailable."""
    if not hasattr(encoder, "tensors") or not hasattr(encoder, "model"):
        raise AttentionUnavailable(CLOSED, hint=HINT)
    return cast(Trainable, encoder)


def layers_of(encoder: Encoder, modality: Modality) -> list[Any]:
    """The layers through which a modality goes, first to last. Raises AttentionUnavailable where none are found."""
    from torch.nn import ModuleList

    opened = trainable(encoder)
    roots = [getattr(opened.model, name) for name in opened.parts(modality)] or [opened.model]
    for module in (module for root in roots for module in root.modules()):
        if isinstance(module, ModuleList) and len(module) and all(map(_attends, module)):
            return list(module)
    raise AttentionUnavailable(CLOSED, hint=HINT)


def vectors(encoder: Encoder, batch: Sequence[Prepared], start: Any = None, attention: bool = False,
            ) -> tuple[Any, Inside]:
    """``(n, dim)`` tensor of length 1 with gradients, and what was seen inside on the way.

    ``start`` ``(n, t, width)`` is put in the place of what enters the first layer. Raises AttentionUnavailable where
    it does not fit, EncoderError, OutOfMemory.
    """
    opened, layers = trainable(encoder), layers_of(encoder, batch[0].modality)
    with _looking(opened, layers, start, attention) as inside:
        return opened.tensors(batch), inside


@contextmanager
def _looking(encoder: Trainable, layers: list[Any], start: Any, attention: bool) -> Iterator[Inside]:
    import torch

    inside = Inside()

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if inside.states:
            return None  # a layer that is used again
        given = args[0] if args else kwargs["hidden_states"]
        if start is not None and start.shape != given.shape:
            raise AttentionUnavailable(CLOSED, hint=HINT)
        first = (given if start is None else start.to(given.dtype)).detach().requires_grad_(True)
        inside.states.append(first)
        return ((first, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": first})

    def leave(module: Any, args: Any, given: Any) -> None:
        inside.states.append(given[0] if isinstance(given, tuple) else given)

    with ExitStack() as stack, torch.enable_grad():
        stack.callback(layers[0].register_forward_pre_hook(enter, with_kwargs=True).remove)
        for layer in layers:
            stack.callback(layer.register_forward_hook(leave).remove)
        if attention:
            stack.enter_context(_full(encoder.model))
            _watch_attention(stack, encoder.model, layers, inside)
        yield inside


def _full(model: Any) -> Any:
    """Models of transformers have to be told to keep the weights; the starter's modules are told one by one."""
    return full_attention(model) if hasattr(model, "set_attn_implementation") else nullcontext()


def _watch_attention(stack: ExitStack, model: Any, layers: list[Any], inside: Inside) -> None:
    from inspect import signature

    from mmstudio.encoders.starter_towers import Attention, Pool

    def want(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*args[:2], True)

    def want_named(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        given = signature(module.forward).bind(*args, **kwargs)
        given.arguments["output_attentions"] = True
        return given.args, given.kwargs

    def keep(module: Any, args: Any, given: Any) -> None:
        weights = given[1] if isinstance(given, tuple) and len(given) > 1 else None
        if getattr(weights, "ndim", 0) == 4 and not any(weights is known for known in inside.attention):
            inside.attention.append(weights)

    def pooled(module: Any, args: Any, given: Any) -> None:
        inside.pooling = given[1]

    for module in (module for layer in layers for module in layer.modules() if _is_attention(module)):
        if isinstance(module, Attention):
            stack.callback(module.register_forward_pre_hook(want).remove)
        elif "output_attentions" in signature(module.forward).parameters:  # a family that tells it only when asked
            stack.callback(module.register_forward_pre_hook(want_named, with_kwargs=True).remove)
        stack.callback(module.register_forward_hook(keep).remove)
    for module in model.modules():
        if isinstance(module, Pool):
            stack.callback(module.register_forward_hook(pooled).remove)


def _is_attention(module: Any) -> bool:
    return "Attention" in type(module).__name__


def _attends(module: Any) -> bool:
    return any(map(_is_attention, module.modules()))
