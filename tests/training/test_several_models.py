"""A head learns from vectors of models of different widths, one for each modality."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training.conftest import WORDS
from training.test_export_run import ran, same, told

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training import exported, onnx_head, runs
from mmstudio.training.captioner import Captioner
from mmstudio.training.examples import Examples
from mmstudio.training.export_run import export_run
from mmstudio.training.fusion import build
from mmstudio.training.job import TrainingJob, UsedModel, from_values
from mmstudio.training.learner import Learner
from mmstudio.training.loop import train
from mmstudio.training.sweep import Sweep, Varied

Make = Callable[..., Path]
WIDTHS = {"image": 64, "audio": 24, "text": 40}
MODELS: dict[Any, UsedModel] = {m: UsedModel(f"of {m}", f"of {m}", "1", "plain", dim) for m, dim in WIDTHS.items()}
FUSIONS = ("concatenate", "weighted sum", "gated", "bilinear", "attention", "average", "learned average",
           "product of experts")


@pytest.fixture(scope="session")
def narrower(digits: Examples) -> Examples:
    """The digits, whose sounds and words are cut to fewer numbers."""
    vectors = np.array(digits.vectors)
    for m, width in enumerate(WIDTHS.values()):
        vectors[:, m, width:] = 0
    return replace(digits, vectors=vectors)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_reads_each_modality_as_wide_as_it_is_and_nothing_behind(
    fusion: Any, job: TrainingJob, narrower: Examples,
) -> None:
    job = replace(job, models=MODELS, fusion=fusion, layers=1, width=8).check()
    torch.manual_seed(0)
    learner = Learner(job, narrower, torch.device("cpu"))
    model = learner.model
    rows = torch.arange(200)
    learner.loss(model, rows, rows, learner.present[rows], learner.present[rows])[0].backward()
    widest = 3 * max(WIDTHS.values())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if name == "missing":
            if fusion in ("concatenate", "gated"):  # elsewhere what is missing is passed over
                assert all(parameter.grad[m, :width].any() for m, width in enumerate(WIDTHS.values()))
            assert not any(parameter.grad[m, width:].any() for m, width in enumerate(WIDTHS.values()))
        else:
            assert parameter.grad.any(), name
    together, alone = learner.outputs(model, np.arange(40))
    assert together.shape == (40, 10)
    assert alone.shape == (40, 3, 10)
    for m, width in enumerate(WIDTHS.values()):
        learner.vectors[:, m, width:] = 7.0
        with torch.no_grad():
            model.missing[m, width:] = -3.0  # type: ignore[operator,index]
    changed = learner.outputs(model, np.arange(40))
    assert np.array_equal(together, changed[0])
    assert np.array_equal(alone, changed[1])
    first = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert {layer.in_features for layer in first} >= {sum(WIDTHS.values())} if fusion == "concatenate" else (
        set(WIDTHS.values()) <= {layer.in_features for layer in first})
    assert not any(layer.in_features == widest for layer in first)
    assert parameters(model) < parameters(build(replace(job, models={}), 64))


@pytest.mark.parametrize("task", ["alignment", "captioning"])
def test_projections_and_captions_read_each_modality_as_wide_as_it_is(task: Any, job: TrainingJob) -> None:
    job = replace(job, task=task, classes=(), models=MODELS, fusion="joint mean", layers=0, width=8)
    head = Captioner(job.widths(64), 5, 8, 0, 0.0) if task == "captioning" else build(job, 64)
    first = [next(layer for layer in one.modules() if isinstance(layer, nn.Linear)) for one in head.into]  # type: ignore[union-attr]
    assert [layer.in_features for layer in first] == list(WIDTHS.values())
    vectors, present = torch.randn(4, 3, 64), torch.ones(4, 3, dtype=torch.bool)
    given = (torch.ones(4, 2, dtype=torch.long),) if task == "captioning" else ()
    made: Tensor = head(vectors, present, *given)
    for m, width in enumerate(WIDTHS.values()):
        vectors[:, m, width:] = 7.0
    assert torch.equal(made, head(vectors, present, *given))


def test_runs_of_one_model_are_what_they_were(make_run: Make, digits: Examples) -> None:
    """Jobs that were written before there were several models name none, and their heads keep all shapes."""
    folder = make_run(fusion="gated", epochs=1)
    values = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    del values["models"]
    (folder / "job.json").write_text(json.dumps(values), encoding="utf-8")
    job = runs.look(folder).job
    assert job.models == {}
    assert job.model_names == ("starter",)
    shapes = {name: tuple(value.shape) for name, value in build(job, 64).state_dict().items()}
    assert shapes["missing"] == (3, 64)
    assert shapes["gate.weight"] == (3, 192)
    finish(train(folder))
    assert told(folder, digits).shape == (600, 10)


def test_heads_on_several_models_learn_and_beat_each_modality_alone(make_run: Make, narrower: Examples) -> None:
    results = finish(train(make_run(narrower, models=MODELS, fusion="concatenate", modality_dropout=0.2)))
    alone = [found["accuracy"] for found in results["alone"].values()]
    assert list(results["modalities"]) == ["image", "audio", "text", "image + audio", "image + text", "audio + text",
                                           "image + audio + text"]
    assert results["parts"]["test"]["accuracy"] > max(alone) + 0.1


def test_a_head_leaves_with_an_input_for_each_modality_of_its_own_width(
    make_run: Make, narrower: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(narrower, models=MODELS, fusion="concatenate", epochs=2)
    finish(train(run))
    finish(export_run(run, tmp_path / "left"))
    by_onnx, by_studio = ran(tmp_path / "left", monkeypatch)
    apart = {name: narrower.vectors[:, m, :width] for m, (name, width) in enumerate(WIDTHS.items())}
    assert [(one.name, one.shape[1]) for one in by_onnx["head"].get_inputs()] == [*WIDTHS.items(), ("present", 3)]
    given, = by_onnx["head"].run(None, {**apart, "present": narrower.present})
    model = exported.load(tmp_path / "left")
    logits = model.tell(list(apart.values()), narrower.present)
    assert same(logits, model.tell(narrower.vectors, narrower.present), 0)
    assert same(model.shares(narrower.vectors, narrower.present), told(run, narrower))
    assert same(given, logits, 1e-4)
    assert same(by_onnx["shares"], by_studio["shares"], 1e-4)
    card = (tmp_path / "left" / "README.md").read_text(encoding="utf-8")
    assert "- Encoder of sounds: of audio (24 numbers), revision `1`" in card
    assert "The licence of “of text” is not known" in card
    with pytest.raises(TrainingError, match="64 and 24 and 40"):
        model.tell([apart["image"], apart["text"], apart["audio"]], narrower.present)


def test_aligned_vectors_and_a_single_modality_leave_so_too(tmp_path: Path, job: TrainingJob) -> None:
    for number, modalities in enumerate((("image", "text"), ("text",))):
        kept: dict[Any, UsedModel] = {m: MODELS[m] for m in modalities}  # type: ignore[index]
        own = replace(job, modalities=modalities, models=kept, task="alignment", classes=())
        dims = {m: (WIDTHS[m],) for m in modalities}
        head = exported.TellsApart(exported.Tells(build(own, max(WIDTHS[m] for m in modalities))))
        onnx_head.write(head, len(modalities), dims, tmp_path / f"{number}.onnx")  # raises where the numbers differ
        assert (tmp_path / f"{number}.onnx").is_file()


# ---- what is said -----------------------------------------------------------------------------------------------


def test_models_are_named_by_modality_in_toml_and_known_whole_in_json() -> None:
    values = tomllib.loads('model = "starter"\nmodels = {image = "facebook/dinov2", text = "bert"}\nfusion = "gated"\n'
                           'modalities = ["image", "text", "audio"]\nclasses = ["a", "b"]')
    job = from_values(values)
    assert job.models == {"image": UsedModel("facebook/dinov2"), "text": UsedModel("bert")}
    assert job.model_names == ("facebook/dinov2", "bert", "starter")
    known = replace(job, models=MODELS)
    again = from_values(json.loads(known.to_json()))
    assert again == known
    assert again.widths(64) == (64, 40, 24)
    assert hash(again) == hash(known)


@pytest.mark.parametrize(("changes", "words"), [
    ({"models": {"image": 3}}, "table of modalities"), ({"models": ["a"]}, "table of modalities"),
    ({"models": {"smell": "a"}}, "table of modalities"), ({"models": {"image": ""}}, "table of modalities"),
    ({"models": {"image": {"named": "a"}}}, "table of modalities"),
    ({"models": {"image": "a"}, "modalities": ["text"]}, "does not read"),
    ({"models": {"image": "a"}, "fusion": "joint mean"}, "none in common"),
    ({"models": {"image": "a"}, "fusion": "tokens"}, "Only a head on vectors"),
    ({"models": {"image": "a"}, "trains": "lora"}, "Only a head on vectors"),
    ({"models": {"image": "a"}, "trains": "tip adapter", "fusion": "joint mean"}, "Only a head on vectors"),
    ({"models": {"image": "a"}, "trains": "scratch", "width": 32}, "Only a head on vectors"),
])
def test_what_several_models_cannot_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    values = {"classes": ["a", "b"], "modalities": ["image", "text"], "fusion": "gated"} | changes
    with pytest.raises(TrainingError, match=words):
        from_values(values)


def test_no_sweep_takes_the_mean_of_different_spaces(job: TrainingJob) -> None:
    varied = (Varied("fusion", choices=("joint mean", "gated")),)
    with pytest.raises(TrainingError, match="none in common"):
        Sweep(job=replace(job, models=MODELS, fusion="gated"), varied=varied).check()
    assert from_values({"classes": WORDS, "models": {"image": "a"}}).model_names == ("a",)  # of one there is a mean


def test_a_head_is_not_built_before_its_models_are_known(job: TrainingJob) -> None:
    named = replace(job, models={m: UsedModel(m) for m in WIDTHS}, fusion="gated")  # type: ignore[misc]
    with pytest.raises(TrainingError, match="how wide"):
        build(named, 64)
