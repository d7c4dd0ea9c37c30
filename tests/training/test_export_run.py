"""A finished run leaves the studio as a folder that works without it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders.conftest import MODELS
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from training.conftest import WORDS

from mmstudio import cli
from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.encoders.speech import WhisperReader
from mmstudio.encoders.starter import load as load_starter
from mmstudio.errors import TrainingError
from mmstudio.media import Limits, MediaRef, Modality, load
from mmstudio.progress import finish
from mmstudio.training import exported, interpolation, onnx_head, run_encoder, runs
from mmstudio.training.adapters import ClipAdapter, TipAdapter
from mmstudio.training.examples import Examples
from mmstudio.training.export_run import ExportReport, export_run
from mmstudio.training.fusion import build
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.predict import Predictor
from mmstudio.training.words import vocabulary

Make = Callable[..., Path]
COLOURS = ("red", "green", "blue")


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra “onnx” is not installed."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Modality, MediaRef]]:
    """24 pictures of three colours, with the word and a tone of the colour."""
    import soundfile

    folder, rng, made = tmp_path_factory.mktemp("discs"), np.random.default_rng(0), []
    for place in range(24):
        colour = COLOURS[place % 3]
        pixels = np.asarray(Image.new("RGB", (40, 40), colour), float) + rng.normal(0, 30, (40, 40, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{place}.png")
        tone = np.sin(np.arange(8000) * (0.1 + 0.1 * (place % 3))) + rng.normal(0, 0.1, 8000)
        soundfile.write(folder / f"{place}.wav", 0.3 * tone, 8000)
        made.append({"image": MediaRef(folder / f"{place}.png", "image"),
                     "audio": MediaRef(folder / f"{place}.wav", "audio"),
                     "text": MediaRef(Path(""), "text", "", f"a {colour} circle {place}")})
    return made


@pytest.fixture
def tuned(tmp_path: Path, discs: list[dict[Modality, MediaRef]]) -> Make:
    """A trained run over the media themselves."""
    def make(model: str, *modalities: Modality, **changes: Any) -> Path:
        encoder = load_encoder(model, "cpu")
        media = tuple(tuple((m, one[name]) for m, name in enumerate(modalities)) for one in discs)
        vectors = np.stack([encode(encoder, [opened(encoder, one[name]) for one in discs], name)
                            for name in modalities], 1)
        settings: dict[str, Any] = {"classes": COLOURS, "encoder_lr": 1e-2, "epochs": 1, "batch": 4, "width": 16,
                                    "patience": 0} | changes
        aligned = settings.get("task") == "alignment"
        targets = np.zeros(24, np.int64) if aligned else np.arange(24) % 3
        examples = Examples(np.arange(1, 25), vectors, np.ones((24, len(modalities)), bool), targets,
                            np.repeat(np.array([0, 1, 2], np.int8), [12, 6, 6]), media=media,
                            words=vocabulary(one["text"].text for one in discs))
        job = TrainingJob(model=model, modalities=modalities, dim=encoder.dim, **settings | (
            {"classes": ()} if aligned else {}))
        folder = runs.make(tmp_path / "runs", job, examples)
        finish(train(folder))
        return folder
    return make


def opened(encoder: Any, ref: MediaRef) -> Any:
    return load(ref, Limits(), rate_hz=encoder.sample_rate_hz, window_seconds=encoder.window_seconds)


def ran(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the names are after each block of the card's Python, of at most eight lines."""
    monkeypatch.chdir(folder)
    found = []
    for block in re.findall(r"```python\n(.*?)\n```", (folder / "README.md").read_text(encoding="utf-8"), re.S):
        names: dict[str, Any] = {}
        assert block.count("\n") < 8
        exec(block, names)
        found.append(names)
    assert found
    return found


def told(run: Path, examples: Examples) -> Any:
    """What a finished run tells of examples, as it does in the studio."""
    predictor = Predictor(run)
    predictor.see(examples.vectors, examples.present)
    return predictor.outputs()


def same(given: Any, wanted: Any, most: float = 1e-5) -> bool:
    given, wanted = np.asarray(given, float), np.asarray(wanted, float)
    return given.shape == wanted.shape and float(np.abs(given - wanted).max()) <= most


def features(out: Any) -> Any:
    return F.normalize(getattr(out, "pooler_output", out), dim=-1).detach().numpy()


# ---- heads ------------------------------------------------------------------------------------------------------


class Together(nn.Module):
    """What several heads tell, one after another."""

    def __init__(self, heads: list[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(exported.Tells(head) for head in heads)

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        return torch.cat([head(vectors, present).flatten(1) for head in self.heads], 1)


def test_every_kind_of_head_gives_the_same_numbers_as_onnx(tmp_path: Path) -> None:
    import onnxruntime

    job = TrainingJob(classes=tuple("abc"), modalities=("image", "text"), width=8)
    heads = [build(replace(job, fusion=fusion), 12) for fusion in (
        "joint mean", "concatenate", "weighted sum", "gated", "bilinear", "attention", "average", "learned average",
        "product of experts")]
    heads += [build(replace(job, fusion="average", task=task), 12) for task in ("multi-label", "regression")]
    heads += [build(replace(job, task="alignment"), 12), ClipAdapter(torch.randn(3, 12)),
              TipAdapter(torch.randn(3, 12), torch.randn(9, 12), torch.eye(3).repeat(3, 1))]
    head = Together(heads)
    onnx_head.write(head, 2, {"vectors": (2, 12)}, tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    for size in (1, 5, 200):
        vectors, present = F.normalize(torch.randn(size, 2, 12), dim=-1), torch.rand(size, 2) > 0.5
        present[~present.any(1), 1] = True
        given, = session.run(None, {"vectors": vectors.numpy(), "present": present.numpy()})
        assert same(given, head(vectors, present).detach(), 1e-4)


def test_a_head_that_onnx_computes_otherwise_is_not_written(tmp_path: Path) -> None:
    class Steep(nn.Module):
        def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
            return (vectors.sum(2) + 12 + present).exp()  # so large that rounding alone is more than 1e-4

    with pytest.raises(TrainingError, match="differ"):
        onnx_head.write(Steep(), 2, {"vectors": (2, 8)}, tmp_path / "head.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_head_leaves_with_its_card_and_tells_the_same_elsewhere(
    make_run: Make, digits: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(fusion="gated", epochs=2, name="Digits | *mixed*")
    results = finish(train(run))
    out = tmp_path / "left"
    assert cli.main(["export-run", str(run), "--out", str(out)]) == 0
    names = ["model.safetensors", "job.json", "head.onnx", "README.md"]
    assert capsys.readouterr().out.split("\n")[:-1] == [str(out / name) for name in names]
    assert {path.name for path in out.iterdir()} == set(names)
    by_onnx, by_studio = ran(out, monkeypatch)
    given, = by_onnx["head"].run(None, {"vectors": digits.vectors, "present": digits.present})
    temperature = runs.look(run).deciding.temperature
    powers = np.exp(given / temperature)
    assert same(powers / powers.sum(1, keepdims=True), told(run, digits))
    assert same(by_onnx["shares"], by_studio["shares"], 1e-4)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"divided by the temperature {temperature:.4g}" in card
    assert "# Digits \\| \\*mixed\\*" in card
    assert "| seven |" in card
    assert f"`{runs.look(run).provenance.fingerprint}`" in card
    assert "600 (400 train, 100 validation, 100 test)" in card
    low, high = results["intervals"]["accuracy"]
    assert f"| accuracy | {results['parts']['test']['accuracy']:.4g} | {low:.4g} – {high:.4g} |" in card
    of_two = results["modalities"]["image + audio"]
    assert f"| image + audio | {of_two['n']} | {of_two['loss']:.4g} |" in card
    assert "license: apache-2.0" in card
    with pytest.raises(TrainingError, match="there already"):
        finish(export_run(run, out))


def test_amounts_leave_in_their_own_unit(
    make_run: Make, digits: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    amounts = replace(digits, targets=(1000 + 50 * np.asarray(digits.targets)).astype(np.float32))
    run = make_run(amounts, task="regression", classes=(), target="grams", fusion="average", epochs=2)
    finish(train(run))
    finish(export_run(run, tmp_path / "left"))
    by_onnx, by_studio = ran(tmp_path / "left", monkeypatch)
    given = exported.load(tmp_path / "left").tell(digits.vectors, digits.present)
    assert same(given, told(run, digits), 1e-3)
    assert 1000 < given.mean() < 1450
    assert same(by_onnx["amounts"], by_studio["amounts"], 1e-3)


@pytest.mark.usefixtures("without_onnx")
@pytest.mark.parametrize("changes", [
    {"trains": "clip adapter"}, {"trains": "tip adapter"}, {"task": "alignment", "classes": ()},
])
def test_without_onnx_the_rest_leaves_and_the_report_says_so(
    make_run: Make, digits: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any],
) -> None:
    anchors = np.random.default_rng(1).normal(size=(len(WORDS), digits.vectors.shape[2])).astype(np.float32)
    run = make_run(replace(digits, anchors=anchors), epochs=1, **changes)
    finish(train(run))
    report = finish(export_run(run, tmp_path / "left"))
    assert report.files == ("model.safetensors", "job.json", "README.md")
    assert any("mmstudio[onnx]" in sentence for sentence in report.left_out)
    (by_studio,) = ran(tmp_path / "left", monkeypatch)
    assert ("aligned" if "task" in changes else "shares") in by_studio
    left = exported.load(tmp_path / "left")
    given = (left.tell if "task" in changes else left.shares)(digits.vectors, digits.present)
    assert same(given, told(run, digits))


def test_captions_leave_and_are_told_alike(
    make_run: Make, digits: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mmstudio.training.words import END, MARKS

    captions = np.stack([np.asarray(digits.targets) + MARKS, np.full(600, END)], 1)
    two = replace(digits, vectors=digits.vectors[:, :2], present=np.ones((600, 2), bool), targets=captions, words=WORDS)
    run = make_run(two, task="captioning", classes=(), modalities=("image", "audio"), epochs=1)
    finish(train(run))
    report = finish(export_run(run, tmp_path / "left"))
    assert "word after word" in report.left_out[0]
    (names,) = ran(tmp_path / "left", monkeypatch)
    assert len(names["captions"]) == 1
    predictor = Predictor(run)
    predictor.see(two.vectors, two.present)
    assert exported.load(tmp_path / "left").captions(two.vectors, two.present) == predictor.captions()


# ---- encoders ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_onnx")
def test_low_rank_additions_leave_merged_and_alone_and_see_the_same(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = MODELS["clip"](tmp_path / "clip")
    run = tuned(str(base), "image", "text", trains="lora", task="alignment")
    report = finish(export_run(run, tmp_path / "left"))
    assert {"encoder/", "adapter/"} < set(report.files)
    merged, by_studio, beside = ran(tmp_path / "left", monkeypatch)
    assert type(merged["model"]).__name__ == "CLIPModel"
    assert by_studio["vectors"].shape == (1, 24)
    of_run, before = run_encoder.load(run, "run", "cpu"), load_encoder(str(base), "cpu")
    for modality, ask in (("image", "get_image_features"), ("text", "get_text_features")):
        media = [opened(before, one[modality]) for one in discs[:5]]
        wanted = encode(of_run, media, modality)
        assert not same(wanted, encode(before, media, modality), 1e-3)
        assert same(encode(by_studio["encoder"], media, modality), wanted)
        if modality == "image":
            given = {"pixel_values": torch.stack([torch.from_numpy(before.prepare(one, "image").inputs["pixel_values"])
                                                  for one in media])}
        else:
            from transformers import AutoTokenizer

            given = AutoTokenizer.from_pretrained("encoder")(media, padding=True, return_tensors="pt")
        for model in (merged["model"], beside["model"]):
            assert same(features(getattr(model, ask)(**given)), wanted)


@pytest.mark.usefixtures("without_onnx")
@pytest.mark.parametrize(("name", "modality", "trains"), [
    ("whisper", "audio", "lora"), ("pooled_mean", "text", "last blocks"), ("vit_without_pooler", "image", "everything"),
])
def test_an_encoder_that_is_half_a_model_or_has_settings_beside_it_leaves_whole(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, modality: Modality, trains: str,
) -> None:
    base = MODELS[name](tmp_path / name)
    run = tuned(str(base), modality, trains=trains)
    of_run = run_encoder.load(run, "run", "cpu")
    media = [opened(of_run, one[modality]) for one in discs[:5]]
    wanted = encode(of_run, media, modality)
    finish(export_run(run, tmp_path / "left"))
    if trains != "lora":
        shutil.rmtree(base)
    _, _, by_studio, *beside = ran(tmp_path / "left", monkeypatch)
    encoder = by_studio["encoder"]
    assert same(encode(encoder, media, modality), wanted)
    assert len(beside) == (trains == "lora")
    for names in beside:
        assert type(names["model"]).__name__ == "PeftModel"
        encoder.model = names["model"].base_model.model.encoder
        assert same(encode(encoder, media, modality), wanted)


@pytest.mark.usefixtures("without_onnx")
def test_the_starter_leaves_in_its_own_format_at_the_chosen_share(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tuned("starter", "image", "text", trains="lora", task="alignment")
    (run / "share").write_text("0.3", encoding="ascii")
    report = finish(export_run(run, tmp_path / "left"))
    assert "adapter/" not in report.files
    assert any("ONNX of the encoder: install mmstudio[onnx]" in sentence for sentence in report.left_out)
    (names,) = ran(tmp_path / "left", monkeypatch)
    assert names["vectors"].shape == (1, 384)
    encoder, of_run = load_starter(tmp_path / "left" / "encoder", "tuned", "cpu"), run_encoder.load(run, "run", "cpu")
    for modality in ("image", "text"):
        media = [opened(encoder, one[modality]) for one in discs[:5]]
        assert same(encode(encoder, media, modality), encode(of_run, media, modality))
    kept, chosen = load_file(tmp_path / "left" / "model.safetensors"), interpolation.load(run)
    assert kept.keys() == chosen.keys()
    assert all(torch.equal(kept[name], chosen[name]) for name in kept)
    card = (tmp_path / "left" / "README.md").read_text(encoding="utf-8")
    assert "30% of the way" in card
    curve = runs.look(run).results["interpolation"]
    assert f"| mean reciprocal rank | {curve[3]['held out']['mean reciprocal rank']:.4g} |" in card


def test_a_tuned_starter_leaves_as_onnx_that_gives_the_vectors_of_the_run(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path,
) -> None:
    import onnxruntime

    run = tuned("starter", "image", trains="lora")
    runs.choose_share(run, 0.4)
    report = finish(export_run(run, tmp_path / "left"))
    assert "encoder-image.onnx" in report.files
    card = (tmp_path / "left/README.md").read_text(encoding="utf-8")
    assert 'InferenceSession("encoder-image.onnx")' in card
    of_run: Any = run_encoder.load(run, "run", "cpu")
    media = [opened(of_run, one["image"]) for one in discs[:3]]
    fed = np.stack([of_run.prepare(one, "image").inputs["pixels"] for one in media]).astype(np.float32) / 255
    session = onnxruntime.InferenceSession(str(tmp_path / "left/encoder-image.onnx"))
    vectors, = session.run(None, {"pixels": fed})
    assert same(vectors, encode(of_run, media, "image"), 1e-4)


def test_a_tuned_model_of_transformers_leaves_as_onnx_that_reads_what_its_preprocessing_gives(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path,
) -> None:
    import onnxruntime
    from transformers import AutoTokenizer

    run = tuned(str(MODELS["clip"](tmp_path / "clip")), "image", "text", trains="last blocks", task="alignment")
    report = finish(export_run(run, tmp_path / "left"))
    assert {"encoder-image.onnx", "encoder-text.onnx"} < set(report.files)
    of_run: Any = run_encoder.load(run, "run", "cpu")
    texts = ["a red disc", "blue", "a very small green disc on white", "red", "disc"]
    given = AutoTokenizer.from_pretrained(tmp_path / "left/encoder")(texts, padding=True, truncation=True,
                                                                             return_tensors="np")
    session = onnxruntime.InferenceSession(str(tmp_path / "left/encoder-text.onnx"))
    vectors, = session.run(None, {name: given[name] for name in ("input_ids", "attention_mask")})
    assert same(vectors, encode(of_run, texts, "text"), 1e-4)
    pictures = [opened(of_run, one["image"]) for one in discs[:4]]
    fed = np.stack([of_run.prepare(one, "image").inputs["pixel_values"] for one in pictures])
    session = onnxruntime.InferenceSession(str(tmp_path / "left/encoder-image.onnx"))
    vectors, = session.run(None, {"pixel_values": fed})
    assert same(vectors, encode(of_run, pictures, "image"), 1e-4)


def test_what_cannot_be_written_as_onnx_is_told_and_the_rest_leaves(
    tuned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = WhisperReader.vectors
    monkeypatch.setattr(WhisperReader, "vectors", lambda self, model, pieces: read(self, model, list(pieces)))
    run = tuned(str(MODELS["whisper"](tmp_path / "whisper")), "audio", trains="last blocks")
    report = finish(export_run(run, tmp_path / "left"))
    assert "encoder/" in report.files
    assert any("encoder-audio.onnx" in sentence and "more than its inputs" in sentence for sentence in report.left_out)


@pytest.mark.usefixtures("without_onnx")
@pytest.mark.parametrize("name", ["starter", "clip"])
def test_a_head_over_all_tokens_leaves_beside_the_encoder_that_makes_them(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
) -> None:
    model = name if name == "starter" else str(MODELS[name](tmp_path / name))
    run = tuned(model, "image", "text", trains="last blocks", fusion="tokens", layers=1)
    report = finish(export_run(run, tmp_path / "left"))
    assert "no head that reads vectors" in report.left_out[0]
    whole, *_, encoder = ran(tmp_path / "left", monkeypatch)
    tuned_one = tmp_path / "left" / "encoder"
    tower: Any = load_starter(tuned_one, "tuned", "cpu") if name == "starter" else load_encoder(str(tuned_one), "cpu")
    assert encoder["vectors"].shape == (1, tower.dim)
    made = [tower.tokens([tower.prepare(opened(tower, one[name]), name) for one in discs]) for name in (
        "image", "text")]
    tokens, there = zip(*made, strict=True)
    logits = whole["head"](list(tokens), list(there), torch.ones(24, 2, dtype=torch.bool)).logits
    predictor = Predictor(run)
    predictor.read([((0, one["image"]), (1, one["text"])) for one in discs])
    assert same(logits.softmax(1).detach(), predictor.outputs())


@pytest.mark.usefixtures("without_onnx")
def test_encoders_from_scratch_leave_with_their_vocabulary(
    tuned: Make, discs: list[dict[Modality, MediaRef]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tuned("starter", "image", "text", trains="scratch")
    finish(export_run(run, tmp_path / "left"))
    head, encoders = ran(tmp_path / "left", monkeypatch)
    assert head["shares"].shape == (1, 3)
    assert encoders["vectors"].shape == (1, 16)
    of_run, left = run_encoder.load(run, "run", "cpu"), exported.load(tmp_path / "left")
    for modality in ("image", "text"):
        media = [opened(of_run, one[modality]) for one in discs[:5]]
        assert same(left.encode(media, modality), encode(of_run, media, modality))
    assert "licence is yours to choose" in (tmp_path / "left" / "README.md").read_text(encoding="utf-8")


# ---- whole or not at all ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_onnx")
def test_a_disk_that_takes_no_more_leaves_nothing(make_run: Make, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    run, out = make_run(epochs=1), tmp_path / "out" / "left"
    out.parent.mkdir()
    finish(train(run))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))  # bytes of a file, fewer than the weights have
    try:
        with pytest.raises(TrainingError, match="could not be written"):
            finish(export_run(run, out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(out.parent.iterdir()) == []


@pytest.mark.usefixtures("without_onnx")
def test_an_export_that_is_closed_or_fails_leaves_nothing(make_run: Make, tmp_path: Path) -> None:
    run, out = make_run(epochs=1), tmp_path / "out" / "left"
    out.parent.mkdir()
    with pytest.raises(TrainingError, match="not finished"):
        finish(export_run(run, out))
    finish(train(run))
    work = export_run(run, out)
    while next(work).text != "README.md":
        pass
    assert len(list(out.parent.iterdir())) == 1
    work.close()
    assert list(out.parent.iterdir()) == []
    with pytest.raises(TrainingError, match="could not be written"):
        finish(export_run(run, out / "in a folder that is not there"))
    report: ExportReport = finish(export_run(run, out))
    assert [path.name for path in out.parent.iterdir()] == ["left"]
    assert report.folder == out
