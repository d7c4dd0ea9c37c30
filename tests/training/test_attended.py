"""The weights that are shown of a fusion are those with which it fuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training.attended import attended, has_weights, reading
from mmstudio.training.examples import TEST, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train

Make = Callable[..., Path]


@pytest.mark.parametrize("fusion", ["gated", "weighted sum", "learned average"])
def test_weights_follow_from_the_runs_own_parameters(make_run: Make, digits: Examples, fusion: str) -> None:
    folder = make_run(fusion=fusion, epochs=2)
    finish(train(folder))
    found = attended(folder)
    kept = load_file(folder / "best.safetensors")
    rows = digits.rows(TEST)
    present = digits.present[rows]
    if fusion == "gated":
        filled = np.where(present[..., None], digits.vectors[rows], kept["missing"])
        scores = filled.reshape(len(rows), -1) @ kept["gate.weight"].T + kept["gate.bias"]
    else:
        scores = np.broadcast_to(kept["scores"], present.shape)
    raised = np.exp(scores) * present
    assert np.array_equal(found.keys, digits.keys[rows])
    assert np.allclose(found.weights, raised / raised.sum(1, keepdims=True), atol=1e-5)
    by_class = {name: (n, mean) for name, n, mean in found.classes}
    assert by_class[""][0] == len(rows)
    three = digits.targets[rows] == 3
    assert by_class["three"][0] == three.sum()
    assert np.allclose(by_class["three"][1], found.weights[three].mean(0), atol=1e-6)
    assert reading(folder, int(found.keys[0])) == ()


def test_fusions_without_weights_are_known_before_anything_is_loaded(make_run: Make) -> None:
    job = TrainingJob(modalities=("image", "text"), classes=("a", "b"))
    assert has_weights(replace(job, fusion="attention"))
    assert not has_weights(replace(job, fusion="concatenate"))
    assert not has_weights(replace(job, fusion="gated", modalities=("image",)))
    folder = make_run(fusion="concatenate", epochs=1)
    finish(train(folder))
    with pytest.raises(TrainingError, match="weighs no modalities"):
        attended(folder)
