"""A project's pictures and texts are read by models of their own, of different widths, and one run learns from both."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders.conftest import bert, saved

from mmstudio import cli
from mmstudio.encoders import Encoder, load_encoder
from mmstudio.encoders.base import encode
from mmstudio.errors import ModelNotFound, OutOfMemory, SpaceMismatch, TrainingError, WrongModality
from mmstudio.library import SpaceKey
from mmstudio.media import load
from mmstudio.progress import finish
from mmstudio.project import Project
from mmstudio.training import runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import Split, TrainingJob, UsedModel
from mmstudio.training.loop import train

Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ("blue dog", "blue circle", "red dog", "red circle")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, UsedModel]:
    """A tiny ViT of 48 numbers for pictures and a tiny BERT of 32 for texts."""
    from transformers import CLIPImageProcessor, ViTConfig

    folder = tmp_path_factory.mktemp("models")
    config = ViTConfig(hidden_size=48, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=32,
                       patch_size=8)
    processor = CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    saved(folder / "vit", config, "ViTModel", processor)
    return {"image": UsedModel(str(folder / "vit")), "text": UsedModel(str(bert(folder / "bert")))}


@pytest.fixture
def project(tmp_path: Path, make_picture: Make, pool: ThreadPoolExecutor) -> Project:
    """32 pictures of two colours, each in a sample with one of two words: the kind is both."""
    for number in range(32):
        colour, word = ("blue", "red")[number // 2 % 2], ("dog", "circle")[number % 2]
        picture = make_picture(f"in/{number}.png", colour, 40 + 2 * number)
        picture.with_suffix(".txt").write_text(f"the {word}, {number}", encoding="utf-8")
    made = Project.open(tmp_path / "p")
    finish(made.add([tmp_path / "in"], pool))
    for item in made.items().values():
        made.set_column([item.id], "kind", KINDS[int(item.path.stem) % 4])
    return made


def job_of(models: dict[Any, UsedModel], **changes: Any) -> TrainingJob:
    settings: dict[str, Any] = {
        "target": "kind", "modalities": ("image", "text"), "fusion": "concatenate", "epochs": 40, "batch": 8,
        "lr": 1e-2, "patience": 0, "width": 32, "models": models,
        "split": Split("stratified", 0.25, 0.25, keep_duplicates_together=False)} | changes
    return TrainingJob(**settings)


def made(project: Project, job: TrainingJob, encoder: Encoder, pool: ThreadPoolExecutor) -> Path:
    folder = finish(project.make_run(finish(project.encode_for(job, encoder, pool)), encoder))
    finish(train(folder))
    return folder


def test_pictures_by_one_model_and_texts_by_another_are_told_better_than_by_either_alone(
    project: Project, models: dict[Any, UsedModel], starter: Encoder, pool: ThreadPoolExecutor, tmp_path: Path,
    make_picture: Make,
) -> None:
    run = made(project, job_of(models), starter, pool)
    job, results = runs.look(run).job, runs.look(run).results
    assert [(m, job.models[m].name, job.models[m].dim) for m in job.modalities] == [
        ("image", models["image"].name, 48), ("text", models["text"].name, 32)]
    assert all(model.revision and model.preprocessing for model in job.models.values())
    assert (job.model, job.dim) == (models["image"].name, 48)
    alone = [results["modalities"][m]["accuracy"] for m in ("image", "text")]
    assert results["parts"]["test"]["accuracy"] >= 0.9
    assert max(alone) < results["parts"]["test"]["accuracy"] - 0.2

    examples = Examples.load(run / "examples")
    assert examples.vectors.shape == (32, 2, 48)
    assert not examples.vectors[:, 1, 32:].any()
    encoder = load_encoder(models["text"].name, "cpu")
    some = next(sample for sample in project.samples() if -sample.id == examples.keys[0])
    item = next(item for item in project.some(some.item_ids) if item.modality == "text")
    wanted = encode(encoder, [load(item.ref, project.limits, rate_hz=16_000, window_seconds=1.0)], "text")[0]
    assert np.abs(examples.vectors[0, 1, :32] - wanted).max() < 1e-5

    late = make_picture("late/one.png", "red", 77)
    late.with_suffix(".txt").write_text("the dog the dog", encoding="utf-8")
    finish(project.add([late.parent], pool))
    known = finish(project.encode_for(job, starter, pool))
    assert known.models == job.models
    changed = finish(project.predict(run, starter))
    assert len(changed) == 66
    said = [item.columns["predicted kind"] for item in project.items().values() if item.path.parent == late.parent]
    assert said == ["red dog", "red dog"]
    right = [item.columns["predicted kind"] == item.columns.get("kind") for item in project.items().values()]
    assert sum(right) >= 60

    project.close()
    out = tmp_path / "told.jsonl"
    assert cli.main(["predict", str(run), str(late.parent), "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["class"] for row in rows] == ["red dog", "red dog"]
    assert cli.main(["predict", str(run), str(late.parent), "--model", "starter", "--out", str(out)]) == 2


def test_toml_names_models_and_what_lacks_a_modality_is_learned_from_too(
    project: Project, models: dict[Any, UsedModel], tmp_path: Path, make_picture: Make, pool: ThreadPoolExecutor,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(4):
        make_picture(f"lone/{number}.png", "blue", 120 + number)
    finish(project.add([tmp_path / "lone"], pool))
    lone = [item.id for item in project.items().values() if "lone" in item.path.parts]
    project.set_column(lone, "kind", KINDS[0])
    folder = project.folder
    project.close()
    file = tmp_path / "job.toml"
    named = ", ".join(f"{m} = {json.dumps(model.name)}" for m, model in models.items())
    file.write_text(f'target = "kind"\nmodalities = ["image", "text"]\nfusion = "gated"\nmodality_dropout = 0.2\n'
                    f"epochs = 2\nmodels = {{{named}}}\n[split]\nkeep_duplicates_together = false\n", encoding="utf-8")
    assert cli.main(["train", str(file), "--project", str(folder)]) == 0
    results = json.loads(capsys.readouterr().out)
    assert set(results["modalities"]) == {"image", "text", "image + text"}
    examples = Examples.load(folder / "runs" / "0001" / "examples")
    assert examples.present.sum(0).tolist() == [36, 32]


def test_only_what_a_job_learns_from_is_read_by_its_models(
    project: Project, models: dict[Any, UsedModel], make_picture: Make, tmp_path: Path, starter: Encoder,
    pool: ThreadPoolExecutor,
) -> None:
    for number in range(5):
        make_picture(f"untold/{number}.png", "green", 150 + number)
    finish(project.add([tmp_path / "untold"], pool))
    items = project.items()
    told = {item.id for item in items.values() if "kind" in item.columns}
    pictures = sorted(i for i in told if items[i].modality == "image")
    job = job_of(models)
    assert project.needed(job) == told
    assert project.needed(replace(job, modalities=("image",), models={"image": models["image"]})) == set(pictures)
    some = pictures[:6]
    assert project.needed(job, some) == set(some)
    sample = next(one for one in project.samples() if some[0] in one.item_ids)
    assert project.needed(job, [-sample.id]) == set(sample.item_ids)
    made = finish(project.encode_for(job, starter, pool, lambda: project.needed(job, some)))
    view = project.space(SpaceKey(made.models["image"].space, made.models["image"].revision,
                                  made.models["image"].preprocessing, made.models["image"].dim))
    assert sorted(view.ids.tolist()) == some
    finish(project.encode_for(job, starter, pool, lambda: project.needed(job)))
    view = project.space(view.key)
    assert sorted(view.ids.tolist()) == pictures


def test_the_model_in_use_makes_way_where_the_device_has_no_room_for_both(
    project: Project, models: dict[Any, UsedModel], starter: Encoder, pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places, load_encoder = list[str](), Project.load_encoder
    monkeypatch.setattr(starter, "device", "made for this test")
    monkeypatch.setattr(starter, "to", lambda device: (places.append(device), setattr(starter, "device", device)))

    def load(self: Project, name: str, device: str = "auto") -> Encoder:
        if starter.device != "cpu":
            raise OutOfMemory("There is room for one.")
        return load_encoder(self, name, "cpu")

    monkeypatch.setattr(Project, "load_encoder", load)
    finish(project.encode_for(job_of(models), starter, pool, lambda: frozenset()))
    assert places == ["cpu", "made for this test"] * 2


def test_models_that_are_brought_together_become_one_encoder(
    project: Project, models: dict[Any, UsedModel], starter: Encoder, pool: ThreadPoolExecutor,
) -> None:
    made(project, job_of(models, task="alignment", fusion="joint mean", epochs=3, width=20), starter, pool)
    encoder = project.load_encoder("run:0001", "cpu")
    assert (encoder.dim, encoder.modalities) == (20, {"image", "text"})
    assert encoder.memory_bytes == sum(load_encoder(model.name, "cpu").memory_bytes for model in models.values())
    assert finish(project.encode(encoder, pool)).encoded == 64
    view = project.vectors(encoder)
    assert np.allclose(np.linalg.norm(view.vectors, axis=1), 1, atol=1e-3)
    explained = encoder.explain("the dog", "text")
    assert np.abs(explained.vector - encode(encoder, ["the dog"], "text")[0]).max() < 1e-5


def test_models_read_one_after_another_and_what_is_cancelled_is_kept(
    project: Project, models: dict[Any, UsedModel], starter: Encoder, pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[tuple[str, weakref.ref[Any]]] = []
    alive: list[int] = []

    def load_watched(name: str, device: str = "auto") -> Encoder:
        alive.append(sum(one() is not None for _, one in loaded))
        encoder = load_encoder(name, device)
        loaded.append((name, weakref.ref(encoder.model)))  # type: ignore[attr-defined]
        return encoder

    monkeypatch.setattr(project, "load_encoder", load_watched)
    work = project.encode_for(job_of(models), starter, pool)
    for step in work:
        if step.text.startswith(models["text"].name) and step.done > 0:
            break
    work.close()
    assert [name for name, _ in loaded] == [model.name for model in models.values()]
    assert alive == [0, 0]
    image = load_encoder(models["image"].name, "cpu")
    assert finish(project.encode(image, pool)).encoded == 0
    assert set(project.vectors(image).modalities) == {"image"}
    job = finish(project.encode_for(job_of(models), starter, pool))
    assert len(project.space(project.vectors(image).key)) == 32
    assert job.widths(48) == (48, 32)


def test_what_models_are_not_here_cannot_read_or_have_not_read_is_said(
    project: Project, models: dict[Any, UsedModel], starter: Encoder, pool: ThreadPoolExecutor, tmp_path: Path,
) -> None:
    gone = job_of(models | {"image": UsedModel("no/such-model")})
    with pytest.raises(ModelNotFound, match="no/such-model"):
        finish(project.encode_for(gone, starter, pool))
    with pytest.raises(WrongModality, match="does not read image"):
        finish(project.encode_for(job_of({"image": models["text"], "text": models["text"]}), starter, pool))
    with pytest.raises(TrainingError, match="has read its modality"):
        finish(project.make_run(job_of(models), starter))
    same = {m: UsedModel(starter.name) for m in ("image", "text")}
    assert finish(project.encode_for(job_of(same), starter, pool)).models == {}  # type: ignore[arg-type]
    known = finish(project.encode_for(job_of(models), starter, pool))
    other = replace(known, models=known.models | {"text": replace(known.models["text"], revision="another")})
    with pytest.raises(SpaceMismatch, match="not the one"):
        finish(project.encode_for(other, starter, pool))
    with pytest.raises(TrainingError, match="none in common"):
        finish(project.make_run(replace(known, fusion="joint mean"), starter))
