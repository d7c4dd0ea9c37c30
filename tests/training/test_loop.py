"""Runs learn, obey, survive, and go on as if nothing had happened."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training import loop, precision, runs
from mmstudio.training.examples import Examples
from mmstudio.training.fusion import AllTokens, Mixer, build
from mmstudio.training.job import LOSSES, Fusion, TrainingJob
from mmstudio.training.learner import Learner
from mmstudio.training.loop import train
from mmstudio.training.meaning import LATE, SUMMED, validated_otherwise
from mmstudio.training.predict import Predictor

Make = Callable[..., Path]
FUSIONS = [fusion for fusion in get_args(Fusion) if fusion != "tokens"]  # tokens are of media, not of vectors


def curve(folder: Path) -> dict[int, float]:
    """The training loss by step."""
    lines, _ = runs.Curve(folder).more()
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def validations(folder: Path) -> list[dict[str, float]]:
    lines, _ = runs.Curve(folder).more()
    return [line["validation"] for line in lines if "validation" in line]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_learns_and_is_better_than_each_modality_alone(make_run: Make, fusion: str) -> None:
    folder = make_run(fusion=fusion, epochs=40, modality_dropout=0.1, layers=1, width=64)
    results = finish(train(folder))
    modalities = results["modalities"]
    assert set(modalities) == {"image", "audio", "text", "image + audio", "image + text", "audio + text",
                               "image + audio + text"}
    alone = [modalities[name]["accuracy"] for name in ("image", "audio", "text")]
    assert modalities["image + audio + text"]["accuracy"] > max(alone) + 0.05
    assert min(alone) > 0.15  # chance is 0.1
    assert results["alone"]["image"]["accuracy"] > 0.25
    low, high = results["intervals"]["accuracy"]
    assert low < results["parts"]["test"]["accuracy"] < high
    assert runs.look(folder).state.status == "done"


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_parameter_of_every_fusion_gets_a_gradient_that_is_its_losss_slope(
    fusion: str, digits: Examples, make_run: Make,
) -> None:
    job = runs.look(make_run(fusion=fusion, layers=1, width=8)).job
    torch.manual_seed(0)
    learner = Learner(job, digits, torch.device("cpu"))
    learner.vectors = learner.vectors.double()
    model = build(job, learner.vectors.shape[2]).double()
    rows = torch.arange(40)
    check_slopes(model, lambda: learner.loss(model, rows, rows, learner.present[rows], learner.present[rows])[0],
                 never_flat=("scores",) if fusion == "weighted sum" else ())


def test_every_parameter_of_the_transformer_over_all_tokens_gets_a_gradient_that_is_its_losss_slope() -> None:
    torch.manual_seed(0)
    model = AllTokens((6, 6, 6), 4, 8, 2, 0.0).double()
    tokens = [torch.randn(5, count, 6, dtype=torch.double) for count in (3, 7, 2)]
    there = [torch.arange(one.shape[1]) <= torch.arange(5)[:, None] for one in tokens]
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    targets = torch.tensor([0, 1, 2, 3, 0])

    def loss() -> torch.Tensor:
        told = model(tokens, there, present)
        return functional.cross_entropy(told.logits, targets) + functional.cross_entropy(
            told.alone[present], targets[:, None].expand(-1, 3)[present])

    check_slopes(model, loss)
    elsewhere = [torch.where((mask & present[:, m, None])[..., None], one, 9.0)
                 for m, (one, mask) in enumerate(zip(tokens, there, strict=True))]
    told, other = model(tokens, there, present), model(elsewhere, there, present)
    assert torch.allclose(told.logits, other.logits)  # what is not there is not looked at
    assert torch.allclose(told.weights.sum(1), torch.ones(5, dtype=torch.double))


def test_what_is_read_of_many_positions_is_what_a_transformer_that_asks_for_all_of_them_gives() -> None:
    torch.manual_seed(0)
    mixer, x = Mixer(8, 3, 0.0).double(), torch.randn(4, 9, 8, dtype=torch.double)
    hidden = torch.arange(9) > torch.tensor([8, 3, 5, 1])[:, None]
    read, attention = mixer(x, hidden)
    for layer, (attend, feed) in enumerate(zip(mixer.attends, mixer.feeds, strict=True)):
        asked = mixer.norms[2 * layer](x)
        found, weights = attend(asked, asked, asked, key_padding_mask=hidden, average_attn_weights=False)
        x = x + found
        x = x + feed(mixer.norms[2 * layer + 1](x))
    assert torch.allclose(read, mixer.norms[-1](x)[:, 0], atol=1e-12)
    assert torch.allclose(attention, weights[:, :, 0], atol=1e-12)


def check_slopes(model: torch.nn.Module, loss: Callable[[], torch.Tensor], never_flat: tuple[str, ...] = ()) -> None:
    """The steepest gradient of each parameter is what the loss does when that number is moved."""
    loss().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        place = int(parameter.grad.abs().argmax())
        slope = float(parameter.grad.flatten()[place])
        assert slope != 0 or name not in never_flat
        told = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter.flatten()[place] += step
                told.append(float(loss()))
                parameter.flatten()[place] -= step
        assert (told[0] - told[1]) / 2e-5 == pytest.approx(slope, rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize("loss", LOSSES["alignment"])
def test_aligning_brings_partners_together(make_run: Make, digits: Examples, loss: str) -> None:
    rng = np.random.default_rng(1)
    hidden = rng.normal(0, 1, (600, 16))
    vectors = np.stack([hidden @ rng.normal(0, 1, (16, 64)) + rng.normal(0, 0.2, (600, 64)) for _ in range(3)], 1)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    examples = replace(digits, vectors=vectors.astype(np.float32) * digits.present[..., None])
    folder = make_run(examples, task="alignment", classes=(), loss=loss, epochs=30, width=32, lr=1e-2)
    results = finish(train(folder))
    told = validations(folder)
    assert results["parts"]["test"]["recall at 5"] > 0.35  # chance is 0.06
    assert told[-1]["mean reciprocal rank"] > told[0]["mean reciprocal rank"]


@pytest.mark.parametrize("loss", LOSSES["multi-label"])
def test_several_labels_at_once_are_learned(make_run: Make, digits: Examples, loss: str) -> None:
    classes = np.asarray(digits.targets)
    labels = np.stack([classes % 2 == 0, classes < 5, classes % 3 == 0], 1).astype(np.float32)
    folder = make_run(replace(digits, targets=labels), task="multi-label", classes=("even", "small", "threes"),
                      loss=loss, epochs=25, fusion="concatenate", class_weights=True)
    assert finish(train(folder))["parts"]["test"]["micro F1"] > 0.75


@pytest.mark.parametrize("loss", LOSSES["regression"])
@pytest.mark.parametrize("fusion", ["concatenate", "average", "product of experts"])
def test_amounts_are_learned_in_their_own_unit(make_run: Make, digits: Examples, loss: str, fusion: str) -> None:
    amounts = (1000 + 30 * np.asarray(digits.targets)).astype(np.float32)
    folder = make_run(replace(digits, targets=amounts), task="regression", classes=(), loss=loss, epochs=40,
                      fusion=fusion, lr=1e-2)
    results = finish(train(folder))["parts"]["test"]
    assert results["R²"] > 0.5
    assert 10 < results["MAE"] < 60


def test_rare_classes_are_helped_by_weights_and_by_resampling(make_run: Make, digits: Examples) -> None:
    classes = (np.asarray(digits.targets) == 3).astype(np.int64)
    examples = replace(digits, targets=classes)
    told = {}
    for name, changes in (("plain", {}), ("weights", {"class_weights": True}), ("resampling", {"resampling": True}),
                          ("focal", {"loss": "focal"})):
        folder = make_run(examples, classes=("others", "three"), epochs=8, lr=2e-3, **changes)
        finish(train(folder))
        told[name] = validations(folder)[-1]["balanced accuracy"]
    assert told["weights"] > told["plain"] + 0.1
    assert told["resampling"] > told["plain"] + 0.1


def test_balancing_slows_the_modality_that_leads(make_run: Make) -> None:
    folder = make_run(balancing="ogm-ge", fusion="weighted sum", epochs=6)
    finish(train(folder))
    lines, _ = runs.Curve(folder).more()
    factors = [line["balance"] for line in lines if "balance" in line]
    assert min(min(f.values()) for f in factors) < 0.7
    assert all(max(f.values()) == 1.0 for f in factors)
    weights = [line["weights"] for line in lines if "weights" in line]
    assert all(sum(w.values()) == pytest.approx(1, abs=1e-5) for w in weights)


@pytest.mark.parametrize("fusion", [*SUMMED, *LATE])
def test_balancing_scales_the_gradients_of_the_leading_modality_alone(
    fusion: str, digits: Examples, make_run: Make,
) -> None:
    job = runs.look(make_run(fusion=fusion, balancing="ogm-ge")).job
    learner = Learner(job, digits, torch.device("cpu"))
    rows = torch.arange(60)
    present = learner.present[rows]
    loss, tell = learner.loss(learner.model, rows, rows, present, present)
    told = learner.model(learner.vectors[rows], present)
    if fusion in SUMMED:  # W_m x_m + b / M of every modality add up to what is told
        assert torch.allclose(told.parts.sum(1), told.logits, atol=1e-5)
    else:
        assert told.parts is told.alone
    own = functional.softmax(told.parts, -1)[torch.arange(60), :, learner.targets[rows]].detach()
    sums, counts = tell["sure"]
    assert sums == pytest.approx([float(own[present[:, m], m].sum()) for m in range(3)], abs=1e-4)
    assert counts == present.sum(0).tolist()
    loss.backward()
    before = [[gradient.clone() for gradient in some] for some in learner.model.gradients()]
    assert all(before)
    alone = learner.balance(learner.model, [[6.0, 0.0, 0.0], [10, 0, 0]], 0)
    assert alone == {"image": 1.0, "audio": 1.0, "text": 1.0}  # a batch with one modality has none that leads
    factors = learner.balance(learner.model, [[6.0, 2.0, 1.0], [10, 20, 5]], 0)
    expected = 1 - np.tanh(0.5 * 0.6 / 0.15)
    assert factors == {"image": pytest.approx(expected), "audio": 1.0, "text": 1.0}
    for m, (some, others) in enumerate(zip(learner.model.gradients(), before, strict=True)):
        for now, then in zip(some, others, strict=True):
            assert torch.equal(now, then) == (m > 0)
            if m == 0 and then.numel() > 200:  # beside the factor there is noise as wide as the gradient was
                assert float((now - expected * then).std()) == pytest.approx(float(then.std()), rel=0.2)


REFUSED = [
    ("attention", {}, "sum of what"), ("joint mean", {}, "sum of what"), ("bilinear", {}, "sum of what"),
    ("concatenate", {"layers": 2}, "0 of them"), ("average", {"task": "multi-label"}, "multi-label"),
    ("average", {"task": "regression", "classes": ()}, "regression"),
    ("average", {"modalities": ("image",)}, "two modalities"),
    ("joint mean", {"task": "alignment", "classes": ()}, "alignment")]


@pytest.mark.parametrize(("fusion", "changes", "why"), REFUSED)
def test_balancing_is_refused_where_it_is_not_defined(job: TrainingJob, fusion: str, changes: dict, why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        replace(job, fusion=fusion, balancing="ogm-ge", **changes).check()


@pytest.mark.parametrize(("setting", "task"), [
    ("resampling", "multi-label"), ("resampling", "regression"), ("class_weights", "regression"),
    ("class_weights", "alignment"), ("label_smoothing", "multi-label"), ("label_smoothing", "regression"),
    ("modality_dropout", "classification"), ("fusion", "alignment")])
def test_a_setting_that_would_do_nothing_is_refused_but_an_older_run_with_it_is_read(
    job: TrainingJob, make_run: Make, setting: str, task: str,
) -> None:
    default = getattr(TrainingJob, setting)
    value = 0.1 if isinstance(default, float) else "gated" if isinstance(default, str) else True
    changes = {"task": task, "classes": job.classes if task in ("classification", "multi-label") else (),
               "modalities": ("image",) if setting == "modality_dropout" else job.modalities}
    odd = replace(job, **changes, **{setting: value})
    with pytest.raises(TrainingError, match=r"has none|only one modality"):
        odd.check()
    folder = make_run()
    (folder / "job.json").write_text(odd.to_json())
    assert runs.look(folder).job == replace(job, **changes)


def test_a_validation_that_measures_another_loss_is_told(job: TrainingJob) -> None:
    assert validated_otherwise(job) == ""
    assert "focal, label smoothing" in validated_otherwise(replace(job, loss="focal", label_smoothing=0.1))
    assert "weights of classes" in validated_otherwise(replace(job, class_weights=True))
    assert "squared error" in validated_otherwise(replace(job, task="regression", classes=(), loss="huber"))
    assert "partners" in validated_otherwise(replace(job, task="alignment", classes=()))


def test_focal_is_a_loss_of_classes_and_labels_alone(job: TrainingJob) -> None:
    for task in ("regression", "alignment", "captioning"):
        with pytest.raises(TrainingError, match="focal"):
            replace(job, task=task, classes=(), loss="focal").check()


def test_a_precision_that_the_device_cannot_compute_in_is_refused_with_a_word(
    make_run: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    folder = make_run(precision="fp16")
    with pytest.raises(TrainingError, match="needs a CUDA graphics card"):
        finish(train(folder))
    assert "CUDA" in runs.look(folder).state.error
    assert precision.chosen("auto") == precision.chosen("fp32") == "no"
    assert precision.chosen("bf16") == "bf16"


def test_a_run_ends_early_and_keeps_its_best(make_run: Make) -> None:
    folder = make_run(epochs=400, patience=3, lr=0.02, fusion="concatenate", width=128)
    results = finish(train(folder))
    told = [v["loss"] for v in validations(folder)]
    assert len(told) < 400
    assert results["best_epoch"] == 1 + int(np.argmin(told))
    assert results["parts"]["validation"]["loss"] == pytest.approx(min(told), rel=1e-5)


def test_a_run_that_was_cut_off_after_its_early_end_trains_no_further(make_run: Make) -> None:
    folder = make_run(epochs=400, patience=3, lr=0.02, fusion="concatenate", width=128)
    finish(train(folder))
    told, results = validations(folder), (folder / "results.json").read_text()
    (folder / "results.json").unlink()
    runs.tell(folder, replace(runs.state_of(folder), status="failed"))
    finish(train(folder))
    assert validations(folder) == told
    assert (folder / "results.json").read_text() == results


def test_one_held_out_pair_is_no_measure_of_aligning(make_run: Make, digits: Examples) -> None:
    parts = np.where(digits.parts == 1, 2, digits.parts).astype(np.int8)
    parts[450] = 1
    folder = make_run(replace(digits, parts=parts), task="alignment", classes=(), epochs=4, lr=1e-2)
    assert finish(train(folder))["best_epoch"] > 1


def test_a_run_that_cannot_begin_says_so_and_is_not_started_again(make_run: Make, digits: Examples) -> None:
    folder = make_run(replace(digits, parts=np.full(600, 2, np.int8)))
    with pytest.raises(TrainingError, match="nothing to learn from"):
        finish(train(folder))
    assert runs.look(folder).state.status == "failed"
    assert "nothing to learn from" in runs.look(folder).state.error
    torn = make_run()
    (torn / "examples/vectors.npy").write_bytes(b"torn")
    with pytest.raises(TrainingError):
        finish(train(torn))
    assert runs.look(torn).state.status == "failed"


def test_odd_folders_and_files_hide_no_run(make_run: Make) -> None:
    good, odd, root = make_run(), make_run(), make_run().parent
    for name in ("²", ".0009", "notes"):
        (root / name).mkdir()
    (odd / "job.json").write_text('{"classes": ["a", "b"], "split": {"validation": "x"}}')
    for told in ("[]", '{"parts": null}', '{"parts": {"test": {"accuracy": "high"}}, "of": "test"}', "{", '{"of": 1}'):
        (good / "results.json").write_text(told)
        assert {run.folder: run.results for run in runs.runs(root)}[good] == {}
    for told in ('{"status": "asleep"}', '{"status": "done", "step": "x"}', "[]", '{"colour": 1}'):
        (good / "state.json").write_text(told)
        assert [run.number for run in runs.runs(root)] == [3]
    assert make_run().name == "0004"


def test_averaged_weights_are_what_is_validated_and_kept(make_run: Make) -> None:
    folder = make_run(ema=0.9, epochs=1, lr=0.05)
    finish(train(folder))
    _, parts = loop.checkpoint.load(folder / "checkpoint.pt", torch.device("cpu")) or pytest.fail("no checkpoint")
    kept = loop.load_file(folder / "best.safetensors")
    assert kept.keys() == parts["averaged"].keys()
    assert all(torch.equal(kept[name], parts["averaged"][name]) for name in kept)
    assert not all(torch.equal(kept[name], parts["model"][name]) for name in kept)


def _spawn(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "mmstudio", "train", str(folder)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def test_killed_at_random_moments_a_run_goes_on_as_if_nothing_had_happened(
    make_run: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"epochs": 40, "dropout": 0.3, "modality_dropout": 0.2, "ema": 0.9, "fusion": "gated",
               "balancing": "ogm-ge", "batch": 20}
    whole, killed = make_run(**changes), make_run(**changes)
    finish(train(whole))
    rng, kills = np.random.default_rng(), 0
    for _ in range(3):
        child = _spawn(killed)
        deadline = time.monotonic() + 60
        while not curve(killed) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0.0, 0.6)))
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.communicate()
        if runs.look(killed).state.status == "done":
            break
        assert runs.look(killed).state.status == "interrupted"
    assert kills
    child = _spawn(killed)
    _, told = child.communicate(timeout=120)
    assert child.returncode == 0, told.decode()
    first, second = curve(whole), curve(killed)
    assert first.keys() == second.keys()
    assert max(abs(first[step] - second[step]) for step in first) <= 1e-6
    assert [v["loss"] for v in validations(whole)] == pytest.approx([v["loss"] for v in validations(killed)], abs=1e-6)
    assert json.loads((whole / "results.json").read_text()) == json.loads((killed / "results.json").read_text())


def test_two_processes_give_the_losses_of_one(make_run: Make) -> None:
    changes = {"epochs": 3, "class_weights": True, "batch": 52, "fusion": "gated", "modality_dropout": 0.3}
    one, two = make_run(**changes), make_run(**changes)
    finish(train(one))
    child = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0",
         "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "-m", "mmstudio", "train", str(two)],
        capture_output=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})
    assert child.returncode == 0, child.stderr.decode()[-3000:]
    assert (runs.look(one).results["processes"], runs.look(two).results["processes"]) == (1, 2)
    first, second = curve(one), curve(two)
    assert first.keys() == second.keys()
    assert max(abs(first[step] - second[step]) for step in first) < 1e-5


def test_a_run_pauses_goes_on_and_stops_when_asked_and_continues_later(make_run: Make) -> None:
    folder = make_run(epochs=3000, fusion="concatenate")
    work = train(folder)
    next(work)
    runs.wish(folder, "pause")
    while next(work).text != "paused":
        pass
    assert runs.look(folder).state.status == "paused"
    with pytest.raises(TrainingError, match="already"):
        next(train(folder))
    at = runs.look(folder).state.step
    runs.wish(folder, "run")
    while next(work).done <= at:
        pass
    runs.wish(folder, "stop")
    assert finish(work) == {}
    stopped = runs.look(folder).state
    assert stopped.status == "stopped"
    assert not runs.is_alive(folder)
    runs.wish(folder, "run")
    again = train(folder)
    while next(again).done <= stopped.step:  # where it stopped at an epoch's end, it validates first
        pass
    again.close()
    assert runs.look(folder).state.status == "stopped"


def test_a_loss_that_is_no_number_stops_the_run_with_step_and_items(make_run: Make, digits: Examples) -> None:
    vectors = digits.vectors.copy()
    vectors[7, 0] = np.nan
    present = digits.present.copy()
    present[7, 0] = True
    folder = make_run(replace(digits, vectors=vectors, present=present))
    with pytest.raises(TrainingError, match=r"The loss was nan at step \d, batch \d of epoch 1"):
        finish(train(folder))
    state = runs.look(folder).state
    assert state.status == "failed"
    assert 8 in state.failed_keys
    assert len(state.failed_keys) == 50
    assert "nan" in state.error


def test_too_little_memory_halves_the_parts_and_changes_nothing_else(
    make_run: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, tight = make_run(epochs=2), make_run(epochs=2)
    finish(train(plain))
    own = Learner.loss

    def loss(self: Learner, model: object, rows: torch.Tensor, *others: object) -> object:
        if len(rows) > 13:
            raise torch.OutOfMemoryError("made for this test")
        return own(self, model, rows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Learner, "loss", loss)
    finish(train(tight))
    assert list(curve(plain).values()) == pytest.approx(list(curve(tight).values()), abs=1e-5)
    monkeypatch.setattr(Learner, "loss", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("always")))
    hopeless = make_run(epochs=1)
    with pytest.raises(torch.OutOfMemoryError):
        finish(train(hopeless))
    assert runs.look(hopeless).state.status == "failed"


def test_looking_at_what_is_held_out_goes_on_with_less_where_memory_runs_out(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, digits: Examples,
) -> None:
    plain, tight = make_run(epochs=2), make_run(epochs=2)
    finish(train(plain))
    own, sizes = Learner._told, list[int]()

    def told(self: Learner, model: torch.nn.Module, rows: torch.Tensor, present: torch.Tensor) -> object:
        if len(rows) > 13:
            raise torch.OutOfMemoryError("made for this test")
        sizes.append(len(rows))
        return own(self, model, rows, present)

    monkeypatch.setattr(Learner, "_told", told)
    finish(train(tight))
    assert max(sizes) == 12  # 100, 50, 25 and then 12
    assert [v["loss"] for v in validations(plain)] == pytest.approx([v["loss"] for v in validations(tight)], abs=1e-6)
    parts = [runs.look(folder).results["parts"]["test"] for folder in (plain, tight)]
    assert parts[0] == pytest.approx(parts[1])
    monkeypatch.setattr(Learner, "_told", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("always")))
    with pytest.raises(torch.OutOfMemoryError):
        finish(train(make_run(epochs=1)))


def test_every_line_tells_the_most_memory_so_far(make_run: Make) -> None:
    folder = make_run(epochs=3)
    finish(train(folder))
    lines, _ = runs.Curve(folder).more()
    told = [line["memory"]["process"] for line in lines if "memory" in line]
    assert told == sorted(told)
    assert 50e6 < told[0] <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024)


def test_a_torn_checkpoint_is_told_and_a_full_disk_keeps_the_one_before(
    make_run: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = make_run(epochs=2)
    finish(train(folder))
    good = (folder / "checkpoint.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.checkpoint.os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left"):
        loop.checkpoint.save(folder / "checkpoint.pt", loop.Place(), {})
    monkeypatch.undo()
    assert (folder / "checkpoint.pt").read_bytes() == good
    assert not (folder / "checkpoint.pt.tmp").exists()
    (folder / "checkpoint.pt").write_bytes(good[: len(good) // 2])
    with pytest.raises(TrainingError, match="checkpoint cannot be read"):
        finish(train(folder))


def test_a_run_without_weights_tells_nothing_and_one_with_them_tells_what_it_learned(
    make_run: Make, digits: Examples,
) -> None:
    folder = make_run(epochs=15, fusion="attention")
    with pytest.raises(TrainingError, match="no weights"):
        Predictor(folder)
    finish(train(folder))
    predictor = Predictor(folder)
    rows = digits.rows(2)
    predictor.see(digits.vectors[rows], digits.present[rows])
    shares = predictor.outputs()
    assert shares.shape == (100, 10)
    assert np.allclose(shares.sum(1), 1)
    accuracy = (shares.argmax(1) == np.asarray(digits.targets)[rows]).mean()
    assert accuracy == runs.look(folder).results["parts"]["test"]["accuracy"]
    assert predictor.named()[0]["class"] in predictor.job.classes
    with pytest.raises(TrainingError, match="64 dimensions"):
        predictor.see(np.zeros((1, 3, 65), np.float32), np.ones((1, 3), bool))


def test_a_process_that_waited_begins_at_once_and_one_that_is_not_wanted_ends(make_run: Make) -> None:
    runs.get_ready()
    waiting = runs._waiting[-1]
    runs.get_ready()
    assert runs._waiting == [waiting]
    folder = make_run(epochs=1)
    runs.start(folder)
    assert runs.is_starting(folder)
    assert waiting.wait(60) == 0
    assert runs.look(folder).state.status == "done"
    assert "done" in (folder / "log.txt").read_text()
    runs.get_ready()
    unwanted = runs._waiting[-1]
    runs.let_go()
    assert unwanted.returncode == 0
    second = make_run(epochs=1)
    runs.start(second)
    for child in list(runs._CHILDREN):
        child.wait(60)
    assert runs.look(second).state.status == "done"
