"""A batch that goes through the model in parts teaches what it teaches as a whole, in less memory."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from accelerate.state import AcceleratorState
from PIL import Image

from mmstudio.errors import OutOfMemory
from mmstudio.media import MediaRef
from mmstudio.progress import finish
from mmstudio.training import gradient_cache, loop, runs
from mmstudio.training.examples import Examples
from mmstudio.training.fusion import Aligner
from mmstudio.training.job import LOSSES, TrainingJob
from mmstudio.training.loop import Training, train
from mmstudio.training.words import vocabulary

COUNT, BATCH = 27, 14
ALL = ("image", "audio", "text")
Make = Callable[..., Path]
Begin = Callable[..., Training]
Gradients = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Pictures, sounds and remarks as files, a quarter of them missing; the vectors tell nothing of them."""
    folder, rng = tmp_path_factory.mktemp("things"), np.random.default_rng(0)
    present = rng.random((COUNT, 3)) > 0.25
    present[~present.any(1), 0] = True
    media, remarks = [], [f"this is thing {n} of kind {n % 4}" for n in range(COUNT)]
    for n in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{n}.png")
        soundfile.write(folder / f"{n}.wav", rng.normal(0, 0.1, 4000 + 200 * n), 16_000)
        refs = (MediaRef(folder / f"{n}.png", "image"), MediaRef(folder / f"{n}.wav", "audio"),
                MediaRef(Path(""), "text", "", remarks[n]))
        media.append(tuple((m, ref) for m, ref in enumerate(refs) if present[n, m]))
    vectors = rng.normal(0, 1, (COUNT, 3, 384)).astype(np.float32)
    vectors *= present[..., None] / np.linalg.norm(vectors, axis=2, keepdims=True)
    parts = np.repeat(np.array([0, 1], np.int8), [COUNT - 4, 4])
    return Examples(np.arange(1, COUNT + 1), vectors, present, np.zeros(COUNT, np.int64), parts, media=tuple(media),
                    words=vocabulary(remarks))


@pytest.fixture
def make(tmp_path: Path, things: Examples) -> Make:
    """A run that aligns the modalities that are named."""
    def made(modalities: tuple[str, ...] = ALL, **changes: Any) -> Path:
        places = [ALL.index(m) for m in modalities]
        there = things.present[:, places].any(1)
        of = replace(things, vectors=things.vectors[:, places], present=things.present[:, places],
                     media=tuple(tuple((places.index(m), ref) for m, ref in one if m in places)
                                 for one in things.media), parts=np.where(there, things.parts, 2).astype(np.int8))
        settings: dict[str, Any] = {"task": "alignment", "dim": 384, "batch": 5, "accumulation": 3, "epochs": 3,
                                    "patience": 0, "width": 32, "layers": 1, "dropout": 0.3} | changes
        return runs.make(tmp_path / "runs", TrainingJob(modalities=modalities, **settings), of)
    return made


@pytest.fixture
def begin(make: Make) -> Iterator[Begin]:
    """A run that has not made a step yet."""
    begun = []

    def training(*args: Any, **changes: Any) -> Training:
        folder = make(*args, **changes)
        job = runs.look(folder).job
        begun.append(Training(job, Examples.load(folder / "examples"), folder, loop.accelerator(job)))
        begun[-1].model.train()
        return begun[-1]

    yield training
    for one in begun:
        one.close()


def gradients(training: Training) -> Gradients:
    found = {name: parameter.grad for name, parameter in training.inner.named_parameters()}
    training.optimizer.zero_grad()
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def in_parts(training: Training, micro: int, seed: int = 1) -> tuple[float, Gradients]:
    """What is learned of a batch that goes through the model ``micro`` examples at once."""
    torch.manual_seed(seed)
    rows = training.rows[:BATCH]
    loss, _ = gradient_cache.backward(training.accelerator, training.learner, training.inner, rows,
                                      training.learner.present[rows], torch.arange(BATCH, device=rows.device), micro)
    return loss, gradients(training)


def at_once(training: Training, micro: int) -> tuple[float, Gradients]:
    """The same with one graph of the whole batch, in which chance strikes ``micro`` examples after the others."""
    torch.manual_seed(1)
    rows = training.rows[:BATCH]
    present = training.learner.present[rows]
    vectors = torch.cat([training.inner(training.learner.inputs(rows[part]), present[part])
                         for part in torch.split(torch.arange(BATCH), micro)])
    loss, _ = training.learner.pair_loss(training.inner, vectors, present)
    loss.backward()
    return float(loss.detach()), gradients(training)


def farthest(some: Gradients, others: Gradients) -> float:
    """The largest difference of two gradients, as a share of the largest slope where that is more than 1."""
    assert some.keys() == others.keys()
    largest = max(float(gradient.abs().max()) for gradient in others.values())
    assert largest > 0
    return max(float((some[name] - others[name]).abs().max()) for name in some) / max(1.0, largest)


@pytest.mark.parametrize("loss", LOSSES["alignment"])
@pytest.mark.parametrize(("trains", "modalities"), [
    ("head", ("image", "text")), ("head", ALL), ("lora", ("image", "text")), ("last blocks", ("image", "text")),
    ("locked text", ("audio", "text")), ("scratch", ("image", "audio")), ("scratch", ALL),
])
def test_the_gradients_of_parts_are_those_of_one_graph_with_the_same_dropout(
    begin: Begin, trains: str, modalities: tuple[str, ...], loss: str,
) -> None:
    training = begin(modalities, trains=trains, loss=loss)
    assert not training.learner.present.all()
    told, found = in_parts(training, 4)
    whole, wanted = at_once(training, 4)
    assert told == pytest.approx(whole, abs=1e-6)
    assert farthest(found, wanted) <= 1e-6


@pytest.mark.parametrize("loss", LOSSES["alignment"])
@pytest.mark.parametrize(("trains", "modalities", "precision"), [
    ("head", ("image", "text"), torch.float64), ("head", ALL, torch.float64), ("scratch", ALL, torch.float32),
])
def test_without_dropout_the_gradients_of_parts_are_those_of_one_pass(
    begin: Begin, trains: str, modalities: tuple[str, ...], precision: torch.dtype, loss: str,
) -> None:
    training = begin(modalities, trains=trains, loss=loss, dropout=0.0)
    training.inner.to(precision)
    training.learner.vectors = training.learner.vectors.to(precision)
    # In products of 14 rows float32 rounds other than in those of 4, and gradients of short vectors are long.
    assert farthest(in_parts(training, 4)[1], at_once(training, BATCH)[1]) <= (
        1e-12 if precision == torch.float64 else 5e-6)


def test_each_part_meets_the_chance_it_met_before_and_a_step_draws_once(begin: Begin) -> None:
    training = begin(trains="scratch")
    told, found = in_parts(training, 4)
    drawn = torch.rand(3)
    at_once(training, 4)
    assert torch.equal(torch.rand(3), drawn)
    other, elsewhere = in_parts(training, 4, seed=2)
    assert abs(other - told) > 1e-3
    assert farthest(elsewhere, found) > 1e-3


def test_a_batch_of_one_part_is_encoded_once_and_of_more_all_but_the_last_twice(begin: Begin) -> None:
    training, passes = begin(batch=BATCH, accumulation=1), list[tuple[int, bool]]()
    training.inner.register_forward_hook(
        lambda _, inputs, made: passes.append((len(inputs[1]), made.requires_grad)))
    training.step(training.rows[:BATCH])
    assert passes == [(BATCH, True)]
    passes.clear()
    in_parts(training, 6)
    assert passes == [(6, False), (6, False), (2, True), (6, True), (6, True)]


def test_memory_is_that_of_one_part(begin: Begin) -> None:
    training = begin(trains="scratch", width=64)

    class Saved:
        """What a graph keeps, as long as it does."""

        now = most = 0

        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor
            Saved.now += tensor.nbytes
            Saved.most = max(Saved.most, Saved.now)

        def __del__(self) -> None:
            Saved.now -= self.tensor.nbytes

    most = {}
    for micro in (BATCH, 2):
        Saved.most = 0
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
            in_parts(training, micro)
        most[micro] = Saved.most
        assert Saved.now == 0
    assert most[2] < 0.3 * most[BATCH]


def test_rounded_weights_get_the_gradients_of_one_pass(begin: Begin) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        training = begin(("image", "text"), trains="scratch", precision="bf16")
        assert training.accelerator.mixed_precision == "bf16"
        with training.accelerator.autocast():
            wanted = at_once(training, 4)
        found = in_parts(training, 4)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert found[0] == pytest.approx(wanted[0], rel=1e-2)
    assert farthest(found[1], wanted[1]) <= 1e-2


def test_what_keeps_half_precision_from_vanishing_scales_every_gradient_once(begin: Begin) -> None:
    training = begin(loss="siglip")
    told, found = in_parts(training, 4)
    training.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    again, scaled = in_parts(training, 4)
    assert again == told
    assert farthest({name: gradient / 1024 for name, gradient in scaled.items()}, found) <= 1e-6


def curve(folder: Path) -> list[float]:
    lines, _ = runs.Curve(folder).more()
    return [line["loss"] for line in lines if "loss" in line]


def validations(folder: Path) -> list[float]:
    lines, _ = runs.Curve(folder).more()
    return [line["validation"]["loss"] for line in lines if "validation" in line]


def test_too_little_memory_halves_the_parts_of_aligning_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, tight, hopeless = (make(dropout=0.0, batch=23, accumulation=1) for _ in range(3))
    finish(train(plain))
    own, most = Aligner.forward, 7

    def forward(self: Aligner, vectors: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and len(vectors) > most:
            raise torch.OutOfMemoryError("made for this test")
        return own(self, vectors, present)

    monkeypatch.setattr(Aligner, "forward", forward)
    finish(train(tight))
    assert curve(tight) == pytest.approx(curve(plain), abs=1e-5)
    place, _ = loop.checkpoint.load(tight / "checkpoint.pt", torch.device("cpu")) or pytest.fail("no checkpoint")
    assert place.micro == 5  # of 11 + 11 + 1 the one went, and then the first eleven did not
    most = 0
    with pytest.raises(OutOfMemory, match="memory ran out"):
        finish(train(hopeless))
    assert "memory ran out" in runs.state_of(hopeless).error


def test_a_step_that_ran_out_of_memory_leaves_none_behind(begin: Begin) -> None:
    training, graphs = begin(), list[weakref.ref[torch.Tensor]]()

    def watch(_: object, inputs: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        graphs.append(weakref.ref(made))
        if len(graphs) == 4:
            raise torch.OutOfMemoryError("made for this test")

    training.inner.register_forward_hook(watch)
    gc.disable()
    try:
        training.place.micro = 6
        training.step(training.rows[:BATCH])
        assert training.place.micro == 3
        assert [graph() for graph in graphs[:4]] == [None] * 4
    finally:
        gc.enable()


def test_a_run_of_parts_that_was_killed_goes_on_as_if_nothing_had_happened(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    monkeypatch.setattr(loop, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    whole = make(trains="lora", modalities=("image", "text"), modality_dropout=0.3, batch=3, accumulation=3, epochs=2)
    work, killed = train(whole), tmp_path / "runs" / "0002"
    while next(work).done < 5:  # of the second epoch
        pass
    shutil.copytree(whole, killed)  # what a kill leaves behind: the checkpoint is one step older
    finish(work)
    finish(train(killed))
    assert len(curve(killed)) == len(curve(whole)) == 6
    assert np.abs(np.array(curve(killed)) - curve(whole)).max() <= 1e-6


IN_TURN = """
import os, sys
from pathlib import Path
import torch
from mmstudio.progress import finish
from mmstudio.training.fusion import Aligner
from mmstudio.training.loop import train

own = Aligner.forward

def forward(self, vectors, present):
    if os.environ["RANK"] == "1" and torch.is_grad_enabled() and len(vectors) > 2:
        raise torch.OutOfMemoryError("made for this test")
    return own(self, vectors, present)

Aligner.forward = forward
for folder in sys.argv[1:]:
    finish(train(Path(folder)))
"""


def test_two_processes_share_the_encoding_and_give_the_losses_of_one(make: Make, tmp_path: Path) -> None:
    same: dict[str, Any] = {"dropout": 0.0, "batch": 11, "accumulation": 2}  # the last step is of one example
    ones, twos = ([make(loss="infonce", modality_dropout=0.3, **same),
                   make(("image", "text"), loss="siglip", trains="scratch", **same)] for _ in range(2))
    for folder in ones:
        finish(train(folder))
    (tmp_path / "in_turn.py").write_text(IN_TURN)
    child = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0",
         "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", str(tmp_path / "in_turn.py"), *map(str, twos)],
        capture_output=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})
    assert child.returncode == 0, child.stderr.decode()[-3000:]
    for one, two in zip(ones, twos, strict=True):
        assert runs.look(two).results["processes"] == 2
        assert curve(two) == pytest.approx(curve(one), abs=1e-5)
        assert validations(two) == pytest.approx(validations(one), abs=1e-5)
