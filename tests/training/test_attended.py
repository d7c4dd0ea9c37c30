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


def test_who_looks_at_what_is_the_attention_that_the_model_computes(make_run: Make, digits: Examples) -> None:
    folder = make_run(fusion="attention", layers=2, width=16, epochs=1)
    finish(train(folder))
    found = attended(folder)
    first, last = found.looks
    rows = digits.rows(TEST)
    present = np.pad(digits.present[rows], ((0, 0), (1, 0)), constant_values=True)
    assert (first.shape, last.shape) == ((len(rows), 4, 4, 4), (len(rows), 4, 1, 4))
    kept = load_file(folder / "best.safetensors")
    filled = np.where(digits.present[rows][..., None], digits.vectors[rows], kept["missing"])
    tokens = np.stack([np.zeros((len(rows), 16), np.float32)] + [
        filled[:, m] @ kept[f"into.{m}.weight"].T + kept[f"into.{m}.bias"] for m in range(3)], 1) + kept["names"]
    middle = tokens - tokens.mean(-1, keepdims=True)
    normed = middle / np.sqrt((middle**2).mean(-1, keepdims=True) + 1e-5) * kept["mixer.norms.0.weight"] + kept[
        "mixer.norms.0.bias"]
    made = normed @ kept["mixer.attends.0.in_proj_weight"].T + kept["mixer.attends.0.in_proj_bias"]
    query, key = (part.reshape(len(rows), 4, 4, 4).swapaxes(1, 2) for part in (made[..., :16], made[..., 16:32]))
    scores = query @ key.swapaxes(2, 3) / 2
    raised = np.exp(scores) * present[:, None, None]
    wanted = raised / raised.sum(-1, keepdims=True)
    wanted[~np.broadcast_to(present[:, None, :, None], wanted.shape)] = np.nan
    assert np.allclose(first, wanted, atol=1e-5, equal_nan=True)
    assert np.allclose(last.sum(-1), 1, atol=1e-5)
    read = last[:, :, 0, 1:].mean(1)
    assert np.allclose(read / read.sum(1, keepdims=True), found.weights, atol=1e-4)
    assert np.allclose(found.looked()[0], np.nanmean(wanted, 0), atol=1e-5)
    assert np.array_equal(found.looked(3)[1], last[3])
    again = attended(folder)  # what listened is gone
    assert len(again.looks) == 2
    assert np.allclose(again.weights, found.weights)


def test_other_fusions_have_nobody_who_looks(make_run: Make) -> None:
    folder = make_run(fusion="gated", epochs=1)
    finish(train(folder))
    assert attended(folder).looked() == ()
