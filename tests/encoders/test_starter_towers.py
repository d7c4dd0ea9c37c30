"""The shipped starter model, on pictures drawn here and on the example project: does it do what its card says?"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmstudio.encoders.starter_towers import StarterConfig, StarterModel

ROOT = Path(__file__).resolve().parents[2]
STARTER, SAMPLES = ROOT / "resources" / "starter", ROOT / "resources" / "samples"

pytestmark = pytest.mark.skipif(not (STARTER / "model.safetensors").exists(), reason="no starter weights here")


@pytest.fixture(scope="module", autouse=True)
def _without_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def model() -> StarterModel:
    return StarterModel.load(STARTER)


@cache
def concepts() -> list[dict]:
    every = json.loads((STARTER / "concepts.json").read_text(encoding="utf-8"))
    return [c for c in every if c["kind"] != "sound"]


@cache
def items(modality: str, tag: str) -> list[dict]:
    listed = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))["items"]
    return [i for i in listed if i["modality"] == modality and tag in i["tags"]]


@pytest.fixture(scope="module")
def bank(model: StarterModel) -> torch.Tensor:
    """(concepts, 384): the names' vectors."""
    return texts(model, [c["name"] for c in concepts()])


def texts(model: StarterModel, words: list[str]) -> torch.Tensor:
    ids, mask, _ = model.tokenize(words)
    return model.encode_text(ids, mask).vectors


def pixels(path: str, size: int) -> torch.Tensor:
    picture = Image.open(SAMPLES / path).convert("RGB").resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(picture, np.float32).transpose(2, 0, 1) / 255)


def wave(path: str) -> np.ndarray:
    import soundfile

    samples, rate = soundfile.read(SAMPLES / path, dtype="float32")
    assert rate == 16_000
    return samples


def padded(model: StarterModel, waves: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mel and mask of clips of different lengths."""
    stack = np.zeros((len(waves), max(map(len, waves))), np.float32)
    for row, samples in enumerate(waves):
        stack[row, : len(samples)] = samples
    return model.log_mel(torch.from_numpy(stack)), model.token_mask([len(w) for w in waves])


def named_right(vectors: torch.Tensor, bank: torch.Tensor, chosen: list[dict]) -> float:
    names = [concepts()[int(i)]["name"] for i in (vectors @ bank.T).argmax(1)]
    return float(np.mean([n == c["concept"] for n, c in zip(names, chosen, strict=True)]))


def test_fifty_pictures_find_their_name_among_all_concepts(model: StarterModel, bank: torch.Tensor):
    chosen = items("image", "thing")[::4][:50]
    vectors = model.encode_image(torch.stack([pixels(i["path"], model.config.image_size) for i in chosen])).vectors
    assert named_right(vectors, bank, chosen) >= 0.9


def test_fifty_spoken_names_are_understood(model: StarterModel, bank: torch.Tensor):
    chosen = [i for i in items("audio", "speech") if "name" in i["tags"]][::2][:50]
    vectors = model.encode_audio(*padded(model, [wave(i["path"]) for i in chosen])).vectors
    assert named_right(vectors, bank, chosen) >= 0.8


def test_spoken_names_find_the_picture_by_plain_cosine(model: StarterModel):
    spoken = [i for i in items("audio", "speech") if "name" in i["tags"]][::2][:50]
    shown = items("image", "thing")
    pictures = model.encode_image(torch.stack([pixels(i["path"], model.config.image_size) for i in shown])).vectors
    heard = model.encode_audio(*padded(model, [wave(i["path"]) for i in spoken])).vectors
    found = [shown[int(i)]["concept"] for i in (heard @ pictures.T).argmax(1)]
    assert np.mean([f == s["concept"] for f, s in zip(found, spoken, strict=True)]) >= 0.8


def test_sounds_are_recognised_among_the_sounds(model: StarterModel):
    chosen = items("audio", "sound")
    names = sorted({i["concept"] for i in chosen})
    heard = model.encode_audio(*padded(model, [wave(i["path"]) for i in chosen])).vectors
    found = [names[int(i)] for i in (heard @ texts(model, names).T).argmax(1)]
    assert np.mean([f == i["concept"] for f, i in zip(found, chosen, strict=True)]) >= 0.95


def test_the_map_of_a_name_peaks_inside_its_object_in_thirty_scenes(model: StarterModel):
    size, stride = model.config.image_size, model.config.image_stride
    inside = []
    for scene in items("image", "scene")[::3][:30]:
        out = model.encode_image(pixels(scene["path"], size)[None])
        with Image.open(SAMPLES / scene["path"]) as picture:
            scale = picture.width / size
        for mark in scene["boxes"]:
            peak = int((out.tokens[0] @ texts(model, [mark["concept"]])[0]).argmax())
            x, y = (peak % (size // stride) + 0.5) * stride * scale, (peak // (size // stride) + 0.5) * stride * scale
            left, top, right, bottom = mark["box"]
            inside.append(left <= x <= right and top <= y <= bottom)
    assert np.mean(inside) >= 0.93


@pytest.mark.parametrize(("word", "concept"), [("puppy", "dog"), ("automobile", "car"), ("kitten", "cat")])
def test_a_synonym_lies_nearest_to_its_concept_among_other_things(model: StarterModel, word: str, concept: str):
    others = [concept, "banana", "bicycle", "guitar", "rain", "house", "trumpet", "castle", "fish", "key", "horse"]
    assert others[int((texts(model, others) @ texts(model, [word])[0]).argmax())] == concept


def test_puppy_finds_a_dog_among_the_pictures(model: StarterModel):
    shown = items("image", "thing")
    pictures = model.encode_image(torch.stack([pixels(i["path"], model.config.image_size) for i in shown])).vectors
    best = (pictures @ texts(model, ["puppy"])[0]).topk(3).indices.tolist()
    assert "dog" in [shown[i]["concept"] for i in best]


def test_a_text_has_the_same_vector_and_tokens_in_any_batch(model: StarterModel):
    words = ["dog", "a very long sentence about two horses beside a red bicycle and a bell", "", "snow"]
    ids, mask, _ = model.tokenize(words)
    together = model.encode_text(ids, mask)
    for row, word in enumerate(words):
        ids, mask, _ = model.tokenize([word])
        alone = model.encode_text(ids, mask)
        assert torch.allclose(alone.vectors[0], together.vectors[row], atol=1e-5)
        assert torch.allclose(alone.tokens[0], together.tokens[row, : ids.shape[1]], atol=1e-5)


def test_a_sound_has_the_same_vector_and_tokens_in_any_batch(model: StarterModel):
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, n).astype(np.float32) for n in (700, 16_000, 31_111, 48_000)]
    together = model.encode_audio(*padded(model, waves))
    for row, samples in enumerate(waves):
        alone = model.encode_audio(*padded(model, [samples]))
        assert torch.allclose(alone.vectors[0], together.vectors[row], atol=1e-5)
        assert torch.allclose(alone.tokens[0], together.tokens[row, : alone.tokens.shape[1]], atol=1e-5)


def test_a_picture_has_the_same_vector_in_any_batch(model: StarterModel):
    stack = torch.rand(5, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    together = model.encode_image(stack).vectors
    for row in range(5):
        assert torch.allclose(model.encode_image(stack[row : row + 1]).vectors[0], together[row], atol=1e-5)


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_attention_rows_sum_to_one_and_asking_for_it_changes_nothing(model: StarterModel, modality: str):
    ids, text_mask, _ = model.tokenize(["a dog next to a red car", "dog"])
    mel, sound_mask = padded(model, [np.sin(np.arange(n) / 9).astype(np.float32) for n in (16_000, 9_000)])
    encode, inputs = {
        "text": (model.encode_text, (ids, text_mask)),
        "image": (model.encode_image, (torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)),)),
        "audio": (model.encode_audio, (mel, sound_mask)),
    }[modality]
    silent, told = encode(*inputs), encode(*inputs, attention=True)
    assert silent.attentions == []
    assert told.attentions
    for layer in told.attentions:
        assert layer.shape[0] == 2
        assert layer.shape[-1] == layer.shape[-2] == told.tokens.shape[1]
        assert torch.allclose(layer.sum(-1), torch.ones(layer.shape[:-1]), atol=1e-5)
    assert torch.allclose(told.pooling.sum(-1), torch.ones(2), atol=1e-5)
    assert torch.allclose(silent.vectors, told.vectors, atol=1e-5)
    assert torch.allclose(told.vectors.norm(dim=-1), torch.ones(2), atol=1e-5)


def test_spans_point_at_the_words_they_came_from(model: StarterModel):
    text = "A red bicycle"
    ids, _, spans = model.tokenize([text])
    assert len(spans[0]) == ids.shape[1]
    assert spans[0][0] == (0, 0)
    assert "".join(text[a:b] for a, b in spans[0]) == "Aredbicycle"


def test_the_files_are_small_and_the_concepts_many(model: StarterModel):
    assert sum(p.stat().st_size for p in STARTER.iterdir()) <= 32e6
    assert sum(p.stat().st_size for p in SAMPLES.rglob("*") if p.is_file()) <= 12e6
    assert len(concepts()) >= 1_350
    assert model.config.dim == 384


def test_the_cards_table_is_what_evaluate_prints_and_its_training_what_was_spent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "packaging" / "starter_model"))
    import card

    try:
        written = card.between_marks((STARTER / "README.md").read_text(encoding="utf-8"))
        assert written == card.table(card.read_rows(STARTER / "evaluation.json"))
        assert len(written.splitlines()) > 20
        told = StarterConfig.read(STARTER / "config.json").trained_on
        assert card.trained(told) in (STARTER / "README.md").read_text(encoding="utf-8")
    finally:
        sys.modules.pop("card", None)
