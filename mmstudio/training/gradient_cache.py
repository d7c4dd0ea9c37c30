"""Gradients of a loss over all pairs of a batch of which only a part goes through the model at once (gradient caching,
Gao, Zhang, Han, Callan 2021, “Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup”).

All parts are encoded without a graph, the loss of the whole batch gives the gradient of every vector, and each part is
encoded again, now with its graph, to pass its vectors' gradient on. The last part keeps its graph at once, so that a
batch of one part is encoded once, as ever.

The gradients are those of one pass as long as a vector depends on its own example and on chance alone; the same chance
is drawn both times. A batch norm that measures its batch would see parts, and move its statistics at both passes: there
is none, for those of pretrained encoders stay as they are and encoders from scratch have group norm (see ``Towers``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mmstudio.encoders.device import memory_errors_translated
from mmstudio.errors import OutOfMemory
from mmstudio.training.feed import Inputs
from mmstudio.training.learner import Learner

RandomState = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class _Part:
    """``places (k,)`` in a batch, what the model reads there, and what chance will bring it."""

    places: Tensor
    inputs: Tensor | Inputs
    present: Tensor
    random: RandomState


def backward(accelerator: Accelerator, learner: Learner, model: nn.Module, rows: Tensor, present: Tensor,
             mine: Tensor, micro: int) -> tuple[float, dict[str, Any]]:
    """Add the gradients of the loss over the pairs of ``rows (b,)``, of which ``present (b, m)`` may be seen; gives the
    loss and what to tell. This process encodes the places ``mine (k,)`` of them, ``micro`` at once.

    ``model`` is the learner's, without what lets processes exchange gradients: they do so here, because the loss has
    parameters that no pass of the model uses. Raises OutOfMemory in every process if in one; the gradients are not
    whole then.
    """
    parts, made = list[_Part](), list[Tensor]()
    with _agreed(accelerator):
        for places in (split := torch.split(mine, micro)):
            part = _Part(places, learner.inputs(rows[places]), present[places], _random_state(rows.device))
            parts.append(part)
            with torch.set_grad_enabled(len(parts) == len(split)):
                made.append(model(part.inputs, part.present))
    own = torch.cat([vectors.detach() for vectors in made])
    whole = accelerator.reduce(own.new_zeros(len(rows), *own.shape[1:]).index_copy(0, mine, own), "sum")
    with _agreed(accelerator):
        with accelerator.autocast():
            loss, tell = learner.pair_loss(model, whole.requires_grad_(), present)
        accelerator.backward(loss)
        # The mean over the processes comes at the end: of shares of the rows, and of what is the loss's own as a whole.
        gradient = whole.grad * accelerator.num_processes
        _pass_on(made.pop(), gradient[parts[-1].places])
        for part in parts[:-1]:
            with _drawn_again(part.random, rows.device):
                vectors = model(part.inputs, part.present)
            _pass_on(vectors, gradient[part.places])
    if accelerator.num_processes > 1:
        _average_gradients(accelerator, model)
    return float(loss.detach()), tell


def _pass_on(vectors: Tensor, gradient: Tensor) -> None:
    if vectors.requires_grad:  # not where there is nothing that the learning towers read
        torch.autograd.backward(vectors, gradient)


def _average_gradients(accelerator: Accelerator, model: nn.Module) -> None:
    """The mean of all processes' gradients; what none of them used keeps none, so that it does not decay either."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    used = torch.tensor([float(parameter.grad is not None) for parameter in learning], device=accelerator.device)
    for parameter, users in zip(learning, accelerator.reduce(used, "sum").tolist(), strict=True):
        if users:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = accelerator.reduce(own, "mean")


@contextmanager
def _agreed(accelerator: Accelerator) -> Iterator[None]:
    """Raises OutOfMemory in every process where the memory of one ran out: the others would wait for it for ever."""
    try:
        with memory_errors_translated():
            yield
    except OutOfMemory:
        _is_anywhere(accelerator, True)
        raise
    if _is_anywhere(accelerator, False):
        raise OutOfMemory("The memory of another process ran out.")


def _is_anywhere(accelerator: Accelerator, here: bool) -> bool:
    """Whether it is so in one of the processes."""
    if accelerator.num_processes == 1:
        return here
    return bool(accelerator.reduce(torch.tensor(float(here), device=accelerator.device), "sum"))


def _random_state(device: torch.device) -> RandomState:
    """Of the processor's generator and of the device's own."""
    return torch.get_rng_state(), None if device.type == "cpu" else torch.get_device_module(device).get_rng_state()


def _set_random_state(state: RandomState, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.get_device_module(device).set_rng_state(state[1])


@contextmanager
def _drawn_again(state: RandomState, device: torch.device) -> Iterator[None]:
    """Chance brings what it brought from ``state`` on, and then goes on where it was."""
    now = _random_state(device)
    _set_random_state(state, device)
    try:
        yield
    finally:
        _set_random_state(now, device)
