"""What is trained so far, put together: the student's text tower for the other trainings, and the whole model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from common import DEVICE, RUN, config
from torch import Tensor

from mmstudio.encoders.starter_towers import StarterModel

Student = Callable[[list[str]], Tensor]  # texts -> (n, 384) in the shared space


def load_student() -> Student:
    """The frozen text tower."""
    model = assemble(("text",)).to(DEVICE)

    @torch.inference_mode(False)
    @torch.no_grad()
    def vectors(texts: list[str]) -> Tensor:
        ids, mask, _ = model.tokenize(texts)
        return model.encode_text(ids.to(DEVICE), mask.to(DEVICE)).vectors

    return vectors


def assemble(towers: tuple[str, ...] = ("text", "image", "audio")) -> StarterModel:
    """The model with the averaged weights of the towers' last checkpoints."""
    from tokenizers import Tokenizer

    model = StarterModel(config(), Tokenizer.from_file(str(RUN / "tokenizer.json")))
    for tower in towers:
        state = torch.load(RUN / f"{tower}.pt", weights_only=False, map_location="cpu")
        getattr(model, tower).load_state_dict(state["average"])
    return model.eval().requires_grad_(False)
