"""The tokens of transformers' models are learned from, whatever of the models learns with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from encoders.conftest import MODELS
from PIL import Image
from safetensors.numpy import load_file

from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.media import Limits, MediaRef, Modality, load
from mmstudio.progress import finish
from mmstudio.training import runs
from mmstudio.training.attended import attended, reading
from mmstudio.training.examples import TEST, Examples
from mmstudio.training.job import TrainingJob
from mmstudio.training.loop import train
from mmstudio.training.predict import Predictor

COUNT = 40
CLASSES = ("yellow dog", "yellow circle", "blue dog", "blue circle")
Make = Callable[..., Path]
Media = list[dict[Modality, MediaRef]]


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """A yellow or blue square in a picture, a low or high tone, a text of a dog or circle; unlike in length."""
    folder, rng, made = tmp_path_factory.mktemp("things"), np.random.default_rng(0), list[dict[Modality, MediaRef]]()
    for place in range(COUNT):
        blue, word = place // 2 % 2, ("dog", "circle")[place % 2]
        pixels = rng.integers(0, 60, (32, 32, 3), np.uint8)
        top, left = rng.integers(0, 20, 2)
        pixels[top:top + 12, left:left + 12] = (40, 60, 230) if blue else (230, 200, 40)
        Image.fromarray(pixels).save(folder / f"{place}.png")
        tone = np.sin(2 * np.pi * (300 + 900 * blue) * np.arange(int(8000 * rng.uniform(0.1, 0.3))) / 8000)
        soundfile.write(folder / f"{place}.wav", 0.3 * tone, 8000)
        text = f"the {word}" if place % 3 else f"a red {word} under the loud photo"
        made.append({"image": MediaRef(folder / f"{place}.png", "image"),
                     "audio": MediaRef(folder / f"{place}.wav", "audio"),
                     "text": MediaRef(Path(""), "text", "", text)})
    return made


@pytest.fixture
def trained(tmp_path: Path, things: Media) -> Make:
    """A finished run over all tokens of a tiny model with random weights."""
    def make(name: str, *modalities: Modality, **changes: Any) -> Path:
        model = MODELS[name](tmp_path / "model")
        encoder = load_encoder(str(model), "cpu")
        vectors = np.stack([encode(encoder, [load(one[m], Limits(), rate_hz=encoder.sample_rate_hz) for one in things],
                                   m) for m in modalities], 1)
        classes = np.arange(COUNT) % 4 if len(modalities) > 1 else np.arange(COUNT) // (
            1 if modalities[0] == "text" else 2) % 2
        media = tuple(tuple((m, one[name]) for m, name in enumerate(modalities)) for one in things)
        examples = Examples(np.arange(1, COUNT + 1), vectors, np.ones((COUNT, len(modalities)), bool), classes,
                            np.repeat(np.array([0, 1, 2], np.int8), [24, 4, 12]), media=media)
        settings: dict[str, Any] = {"epochs": 5, "batch": 8, "width": 16, "layers": 1, "dropout": 0.0, "patience": 0,
                                    "lr": 1e-2, "encoder_lr": 3e-3} | changes
        job = TrainingJob(model=str(model), dim=encoder.dim, modalities=modalities, fusion="tokens",
                          classes=CLASSES[:int(classes.max()) + 1], **settings)
        folder = runs.make(tmp_path / "runs", job.check(), examples)
        finish(train(folder))
        return folder
    return make


def losses(folder: Path) -> list[float]:
    lines, _ = runs.Curve(folder).more()
    return [line["loss"] for line in lines if "loss" in line]


def test_low_rank_additions_learn_from_every_patch_and_word_and_predict_again(trained: Make, things: Media) -> None:
    folder = trained("clip", "image", "text", trains="lora", epochs=12)
    results = runs.look(folder).results
    assert np.mean(losses(folder)[-3:]) < 0.5 * np.mean(losses(folder)[:3])
    assert results["parts"]["train"]["accuracy"] > 0.9  # chance is 0.25
    together, *alone = (results["modalities"][name]["accuracy"] for name in ("image + text", "image", "text"))
    assert together > max(alone)
    kept = {name: value for name, value in load_file(folder / "best.safetensors").items() if name.startswith("towers.")}
    assert all(".lora_" in name for name in kept)
    for tower in ("vision_model", "text_model"):  # B begins at nothing
        first = [value for name, value in kept.items() if f"{tower}.encoder.layers.0." in name and ".lora_B." in name]
        assert first
        assert all(np.abs(value).max() > 0 for value in first)
    rows = Examples.load(folder / "examples").rows(TEST)
    predictor = Predictor(folder)
    predictor.read([((0, things[row]["image"]), (1, things[row]["text"])) for row in rows])
    told = predictor.outputs().argmax(1)
    assert (told == rows % 4).mean() == results["parts"]["test"]["accuracy"]
    image, text = reading(folder, int(rows[0]) + 1)
    assert image.positions is not None
    assert text.positions is not None
    assert (len(image.weights), len(image.positions)) == (17, 17)
    assert len(text.weights) == len(text.positions)
    assert image.weights.sum() + text.weights.sum() == pytest.approx(1, abs=1e-5)
    assert attended(folder).weights.shape == (12, 2)


@pytest.mark.parametrize(("name", "modalities", "trains"), [
    ("siglip", ("image", "text"), "everything"), ("siglip2", ("image", "text"), "last blocks"),
    ("clap", ("audio", "text"), "lora"), ("bert", ("text",), "last blocks"), ("dinov2_registers", ("image",), "lora"),
    ("whisper", ("audio",), "everything"), ("ast", ("audio",), "head"), ("wav2vec2", ("audio",), "last blocks"),
    ("hubert_layer", ("audio",), "lora"),
])
def test_every_family_learns_and_tells_where_it_looked(
    name: str, modalities: tuple[Modality, ...], trains: str, trained: Make,
) -> None:
    folder = trained(name, *modalities, trains=trains)
    assert np.mean(losses(folder)[-3:]) < np.mean(losses(folder)[:3]) - 0.1
    kept = load_file(folder / "best.safetensors")
    assert any(key.startswith("towers.") for key in kept) == (trains != "head")
    for one in reading(folder, COUNT):
        assert one.positions is not None
        assert len(one.positions) == len(one.weights)
        assert one.positions.placed.any()
