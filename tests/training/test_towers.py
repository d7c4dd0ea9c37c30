"""Encoders learn with the head: in whole, in part, by small additions, or from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training.spoken import RATE_HZ, say

from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.errors import TrainingError
from mmstudio.media import Limits, MediaRef, load
from mmstudio.progress import finish
from mmstudio.training import exported, interpolation, runs, towers
from mmstudio.training.examples import Examples
from mmstudio.training.export_run import export_run
from mmstudio.training.job import TrainingJob
from mmstudio.training.learner import Learner, learned
from mmstudio.training.loop import train
from mmstudio.training.predict import Predictor
from mmstudio.training.words import vocabulary

COUNT = 120
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Handwritten digits, the same digits spoken, and a written remark that tells half of it, as files."""
    import soundfile
    from sklearn.datasets import load_digits

    folder, rng = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    found = load_digits()
    chosen = rng.permutation(len(found.data))[:COUNT]
    media = []
    for place, row in enumerate(chosen):
        digit = int(found.target[row])
        Image.fromarray((255 - found.images[row] * 15.9).astype(np.uint8)).resize((40, 40)).save(
            folder / f"{place}.png")
        soundfile.write(folder / f"{place}.wav", say(digit, rng), RATE_HZ)
        remark = f"it is {'odd' if digit % 2 else 'even'} and {'small' if digit < 5 else 'large'}"
        media.append(((0, MediaRef(folder / f"{place}.png", "image")), (1, MediaRef(folder / f"{place}.wav", "audio")),
                      (2, MediaRef(Path(""), "text", "", remark))))
    starter = load_encoder("starter")
    columns = [encode(starter, [load(one[m][1], Limits()) for one in media], one_of)
               for m, one_of in enumerate(("image", "audio", "text"))]
    parts = np.repeat(np.array([0, 1, 2], np.int8), [COUNT - 40, 20, 20])
    return Examples(np.arange(1, COUNT + 1), np.stack(columns, 1), np.ones((COUNT, 3), bool),
                    found.target[chosen].astype(np.int64), parts, media=tuple(media),
                    words=vocabulary(one[2][1].text for one in media), anchors=encode(starter, list(WORDS), "text"))


@pytest.fixture
def make(tmp_path: Path, seen: Examples) -> Make:
    """A run over the pictures, or over the modalities that are named."""
    def made(examples: Examples | None = None, modalities: tuple[str, ...] = ("image",), **changes: Any) -> Path:
        of = examples or seen
        places = [("image", "audio", "text").index(m) for m in modalities]
        of = replace(of, vectors=of.vectors[:, places], present=of.present[:, places],
                     media=tuple(tuple((places.index(m), ref) for m, ref in one if m in places) for one in of.media))
        settings: dict[str, Any] = {"classes": WORDS, "dim": 384, "batch": 20, "epochs": 3, "patience": 0,
                                    "encoder_lr": 1e-3} | changes
        return runs.make(tmp_path / "runs", TrainingJob(modalities=modalities, **settings), of)
    return made


def losses(folder: Path) -> list[float]:
    lines, _ = runs.Curve(folder).more()
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(("trains", "changes"), [
    ("lora", {}), ("last blocks", {}), ("everything", {"probe_epochs": 1}),
])
def test_a_pretrained_encoder_learns_what_it_is_told_to_and_nothing_else(
    make: Make, seen: Examples, trains: str, changes: dict[str, Any],
) -> None:
    folder = make(trains=trains, **changes)
    results = finish(train(folder))
    assert np.mean(losses(folder)[-4:]) < np.mean(losses(folder)[:4]) - 0.1
    assert results["parts"]["train"]["accuracy"] > 0.3  # chance is 0.1
    kept = load_file(folder / "best.safetensors")
    before = dict(load_encoder("starter").model.named_parameters())
    of_encoder = {name.removeprefix("towers.model.") for name in kept if name.startswith("towers.")}
    if trains == "lora":
        assert of_encoder
        assert all(".lora_A." in name or ".lora_B." in name for name in of_encoder)
        assert sum(kept[f"towers.model.{name}"].numel() for name in of_encoder) < 100_000
    elif trains == "last blocks":
        assert {name.split(".")[0] for name in of_encoder} == {"image"}
        assert "image.blocks.1.up.weight" in of_encoder
        assert not any(name.startswith(("image.blocks.0", "image.stem")) for name in of_encoder)
    else:
        assert "image.stem.0.0.weight" in of_encoder
    changed = {name for name in of_encoder & before.keys()
               if not torch.equal(kept[f"towers.model.{name}"], before[name])}
    assert {name for name in changed if "_patch" not in name} == {  # what makes tokens is not asked for a vector
        name for name in of_encoder & before.keys() if "_patch" not in name}


def test_a_tuned_encoder_predicts_from_files_as_well_as_it_was_measured(make: Make, seen: Examples) -> None:
    folder = make(trains="last blocks", modalities=("image", "audio"), fusion="gated")
    results = finish(train(folder))
    predictor = Predictor(folder)
    rows = seen.rows(2)
    predictor.read([seen.media[row][:2] for row in rows])
    told = predictor.outputs().argmax(1)
    assert (told == np.asarray(seen.targets)[rows]).mean() == results["parts"]["test"]["accuracy"]
    with pytest.raises(TrainingError, match="not their vectors"):
        predictor.see(seen.vectors[rows, :2], seen.present[rows, :2])


@pytest.mark.parametrize(("modality", "changes"), [
    ("image", {}), ("text", {"text_tower": "gru"}), ("text", {"text_tower": "lstm"}),
    ("text", {"text_tower": "transformer"}), ("audio", {"audio_tower": "cnn"}),
    ("audio", {"audio_tower": "transformer"}),
])
def test_an_encoder_from_scratch_learns_from_nothing(make: Make, modality: str, changes: dict[str, Any]) -> None:
    folder = make(modalities=(modality,), trains="scratch", epochs=16, width=48, lr=4e-3, dropout=0.0, **changes)
    results = finish(train(folder))
    # The remarks leave two or three digits open.
    assert results["parts"]["train"]["accuracy"] > {"image": 0.6, "audio": 0.6, "text": 0.3}[modality]
    assert results["parts"]["test"]["accuracy"] > 0.2


def test_towers_from_scratch_do_not_see_what_else_is_in_the_batch(make: Make, seen: Examples) -> None:
    for modality, kind in (("audio", "transformer"), ("audio", "cnn"), ("text", "transformer"), ("text", "gru")):
        job = TrainingJob(classes=WORDS, modalities=(modality,), trains="scratch", width=32,
                          text_tower=kind if modality == "text" else "gru",
                          audio_tower=kind if modality == "audio" else "cnn")
        made = towers.build(job, seen.words, torch.device("cpu"))
        assert made is not None
        made.eval()
        place = ("image", "audio", "text").index(modality)
        items = [made.prepare(one[place][1]) for one in seen.media[:6]]
        together = made.reads.tensors(items)
        alone = torch.cat([made.reads.tensors([item]) for item in items])
        assert (together - alone).abs().max() < 1e-5


def test_three_modalities_from_scratch_and_over_all_tokens_beat_each_alone(make: Make) -> None:
    folder = make(modalities=("image", "audio", "text"), trains="scratch", fusion="tokens", epochs=12, width=32,
                  layers=1, lr=4e-3, dropout=0.0)
    results = finish(train(folder))
    modalities = results["modalities"]
    assert modalities["image + audio + text"]["accuracy"] >= max(
        modalities[name]["accuracy"] for name in ("image", "audio", "text"))
    assert modalities["image + audio + text"]["accuracy"] > 0.5


def test_all_tokens_of_an_encoder_that_stays_as_it_is_can_be_fused(make: Make) -> None:
    folder = make(modalities=("image", "text"), fusion="tokens", epochs=8, width=48, lr=3e-3)
    results = finish(train(folder))
    assert results["parts"]["train"]["accuracy"] > 0.5
    assert not any(name.startswith("towers.") for name in load_file(folder / "best.safetensors"))


@pytest.mark.parametrize("trains", ["clip adapter", "tip adapter"])
def test_an_adapter_begins_as_the_zero_shot_classifier_and_gets_better(
    make: Make, seen: Examples, trains: str,
) -> None:
    folder = make(modalities=("audio",), trains=trains, epochs=20, lr=2e-3)
    job, examples = runs.look(folder).job, Examples.load(folder / "examples")
    learner = Learner(job, examples, torch.device("cpu"))
    first = learner.outputs(learner.model, examples.rows(2))[0].argmax(1)
    zero_shot = (examples.vectors[examples.rows(2), 0] @ seen.anchors.T).argmax(1)
    if trains == "clip adapter":
        assert (first == zero_shot).all()
    results = finish(train(folder))
    assert results["parts"]["test"]["accuracy"] > max(0.2, results["before"]["accuracy"] - 0.01)
    assert results["parts"]["train"]["accuracy"] > 0.5


@pytest.mark.parametrize("trains", ["clip adapter", "tip adapter"])
def test_an_adapter_tells_several_labels_and_as_many_as_there_are_from_the_beginning(
    make: Make, seen: Examples, trains: str, tmp_path: Path,
) -> None:
    labels = (np.asarray(seen.targets)[:, None] == np.arange(10)).astype(np.float32)
    folder = make(replace(seen, targets=labels), modalities=("audio", "text"), task="multi-label", trains=trains,
                  epochs=20, lr=2e-3)
    examples = Examples.load(folder / "examples")
    learner = Learner(runs.look(folder).job, examples, torch.device("cpu"))
    logits, _ = learner.outputs(learner.model, examples.rows(0))
    assert ((logits > 0).sum(0) == labels[examples.rows(0)].sum(0)).all()
    results = finish(train(folder))
    assert results["parts"]["train"]["micro F1"] > 0.45  # of one label in ten by chance: 0.1 to 0.18
    assert results["parts"]["test"]["hamming loss"] < 0.18
    finish(export_run(folder, tmp_path / "left"))
    vectors, present, predictor = np.array(examples.vectors), np.array(examples.present), Predictor(folder)
    predictor.see(vectors, present)
    assert np.allclose(exported.load(tmp_path / "left").shares(vectors, present), predictor.outputs(), atol=1e-5)


def test_locked_text_moves_the_pictures_and_leaves_the_texts(make: Make, seen: Examples) -> None:
    folder = make(modalities=("audio", "text"), task="alignment", classes=(), trains="locked text", epochs=6)
    results = finish(train(folder))
    names = load_file(folder / "best.safetensors")
    assert any(name.startswith("towers.model.audio.") for name in names)
    assert not any(name.startswith("towers.model.text.") for name in names)
    assert results["parts"]["train"]["mean reciprocal rank"] > results["before"]["mean reciprocal rank"] + 0.02


def test_between_start_and_end_lie_both_ends_and_a_chosen_share_is_what_predicts(make: Make, seen: Examples) -> None:
    folder = make(trains="everything", probe_epochs=2, epochs=5)
    results = finish(train(folder))
    curve = results["interpolation"]
    assert [one["share"] for one in curve] == [n / 10 for n in range(11)]
    assert curve[-1]["held out"]["loss"] == pytest.approx(results["parts"]["test"]["loss"], rel=1e-5)
    assert curve[0]["held out"] == results["before"]
    (folder / "share").write_text("0.3", encoding="ascii")
    predictor = Predictor(folder)
    rows = seen.rows(2)
    predictor.read([seen.media[row][:1] for row in rows])
    told = predictor.outputs()
    loss = -np.log(told[np.arange(len(rows)), np.asarray(seen.targets)[rows]]).mean()
    assert loss == pytest.approx(curve[3]["held out"]["loss"], rel=1e-4)


@pytest.mark.parametrize("trains", ["lora", "last blocks"])
def test_without_epochs_of_the_head_alone_the_encoder_goes_back_and_the_head_stays(
    make: Make, seen: Examples, trains: str,
) -> None:
    folder = make(trains=trains, epochs=2, encoder_lr=3e-3)
    results = finish(train(folder))
    assert "before" not in results  # a head that knew nothing is no measure
    curve = results["interpolation"]
    assert curve[-1]["held out"]["loss"] == pytest.approx(results["parts"]["test"]["loss"], rel=1e-4)
    runs.choose_share(folder, 0.0)
    kept = interpolation.load(folder)
    best = load_file(folder / "best.safetensors")
    heads = [name for name in best if name.startswith("head.")]
    assert heads
    assert all(torch.equal(kept[name], best[name]) for name in heads)
    learner = interpolation.restored(folder, Examples.load(folder / "examples"), "cpu")
    with torch.no_grad():
        vectors = learner.model.towers(learner.inputs(torch.arange(6)))[:, 0]  # type: ignore[operator, union-attr]
    learner.feed.close()  # type: ignore[union-attr]
    assert np.allclose(vectors, seen.vectors[:6, 0], atol=1e-4)  # those of the encoder as it was


def test_a_low_rank_addition_taken_in_part_is_that_part_of_the_addition() -> None:
    best = {"x.lora_A.default.weight": torch.randn(2, 5), "x.lora_B.default.weight": torch.randn(4, 2)}
    start = {"x.lora_A.default.weight": torch.randn(2, 5), "x.lora_B.default.weight": torch.zeros(4, 2)}
    a, b = interpolation.between(start, best, 0.25).values()
    assert torch.allclose(b @ a, 0.25 * best["x.lora_B.default.weight"] @ best["x.lora_A.default.weight"])


def test_a_run_that_trains_its_encoder_goes_on_as_if_nothing_had_happened(make: Make) -> None:
    whole, cut = (make(trains="last blocks", modalities=("image", "text"), modality_dropout=0.3, epochs=3)
                  for _ in range(2))
    finish(train(whole))
    work = train(cut)
    while runs.state_of(cut).step < 1:
        if next(work).done >= 5:
            break
    work.close()
    finish(train(cut))
    assert len(losses(cut)) == len(losses(whole))
    assert np.abs(np.array(losses(cut)) - losses(whole)).max() <= 1e-6


def test_captions_are_told_word_after_word(make: Make, seen: Examples) -> None:
    from mmstudio.training.words import END, MARKS

    place = {word: n for n, word in enumerate(seen.words)}
    rows = [[*(place[word] + MARKS for word in one[2][1].text.split()), END] for one in seen.media]
    captioned = replace(seen, targets=np.array(rows, np.int64))
    folder = make(captioned, modalities=("image", "audio"), task="captioning", classes=(), epochs=30, lr=3e-3, width=48)
    results = finish(train(folder))
    assert results["parts"]["test"]["word accuracy"] > 0.75  # "it is … and …" alone is four of seven
    told = results["captions"]
    assert len(told) == 20
    assert all(one["told"].startswith("it is ") for one in told)
    assert sum(one["told"] == one["wanted"] for one in told) >= 8  # by chance a quarter
    predictor = Predictor(folder)
    held = seen.rows(2)
    predictor.see(seen.vectors[held][:, :2], seen.present[held][:, :2])
    assert predictor.captions() == [one["told"] for one in told]


def test_what_cannot_be_read_names_its_file(make: Make, seen: Examples, tmp_path: Path) -> None:
    lost = replace(seen, media=(((0, MediaRef(tmp_path / "gone.png", "image")),), *seen.media[1:]))
    folder = make(lost, trains="last blocks")
    with pytest.raises(TrainingError, match="cannot be read") as told:
        finish(train(folder))
    assert told.value.path is not None
    assert told.value.path.endswith("gone.png")
    assert runs.look(folder).state.status == "failed"


@pytest.mark.parametrize("changes", [
    {"trains": "clip adapter", "task": "regression", "classes": ()}, {"trains": "tip adapter", "prompt": "no place"},
    {"trains": "locked text"}, {"probe_epochs": 2}, {"trains": "everything", "probe_epochs": 60},
    {"task": "captioning", "modalities": ("text",), "classes": ()}, {"fusion": "tokens", "task": "alignment",
                                                                     "modalities": ("image", "text")},
    {"trains": "nothing"}, {"text_tower": "cnn"}, {"trains": "scratch", "width": 50},
    {"trains": "lora", "fusion": "tokens", "probe_epochs": 2},
])
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError):
        TrainingJob(**{"classes": WORDS, "epochs": 60, **changes}).check()


def test_what_a_run_keeps_is_all_that_differs_from_the_encoder(make: Make, seen: Examples) -> None:
    folder = make(trains="lora")
    job, examples = runs.look(folder).job, Examples.load(folder / "examples")
    learner = Learner(job, examples, torch.device("cpu"))
    names = {name for name, parameter in learner.model.named_parameters() if parameter.requires_grad}
    assert names == learned(learner.model).keys()


def test_the_epochs_of_the_head_alone_do_not_use_up_the_patience(make: Make) -> None:
    folder = make(trains="last blocks", probe_epochs=4, epochs=6, patience=1, lr=1e-9, encoder_lr=1e-9)
    finish(train(folder))
    lines, _ = runs.Curve(folder).more()
    assert max(line["epoch"] for line in lines) >= 5
    assert (folder / "start.safetensors").is_file()


def test_a_tower_that_does_not_learn_stays_as_it_encodes_and_one_that_does_learns_from_the_start(make: Make) -> None:
    for trains, fusion, learns in (("head", "tokens", False), ("last blocks", "joint mean", True)):
        folder = make(modalities=("image", "text"), trains=trains, fusion=fusion, epochs=2)
        job, examples = runs.look(folder).job, Examples.load(folder / "examples")
        model = Learner(job, examples, torch.device("cpu")).model.train()
        assert model.towers.model.training is learns  # type: ignore[union-attr]
