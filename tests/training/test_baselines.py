"""Simple models on vectors, texts, pictures and sounds."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmstudio.errors import TrainingError
from mmstudio.media import AudioClip
from mmstudio.progress import Progress, Work, finish
from mmstudio.training import baselines, metrics, simple_features, splits
from mmstudio.training.splits import TEST, VALIDATION

PARTS = splits.random(150, (4, 1, 1)).parts
LABELS = np.random.default_rng(0).integers(0, 3, 150)


def blobs(classes: int = 3, dim: int = 8) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.normal(size=(classes, dim))[LABELS % classes] * 2 + rng.normal(size=(150, dim))).astype(np.float32)


def right(one: baselines.Baseline, labels: np.ndarray = LABELS) -> float:
    return metrics.accuracy(labels[PARTS == TEST], one.test)


def on(modality: Any, media: Any, labels: Any, parts: Any, classes: int) -> Work[list[baselines.Baseline]]:
    """Baselines on media of one modality."""
    features = yield from baselines.described(modality, media, parts)
    return (yield from baselines.on_features(features, labels, parts, classes, modality))


@pytest.mark.parametrize("classes", [2, 3])
def test_every_baseline_on_vectors_beats_the_most_frequent_class(classes: int) -> None:
    labels = LABELS % classes
    found = finish(baselines.on_vectors(blobs(classes), labels, PARTS, classes))
    assert tuple(one.name for one in found) == baselines.ON_VECTORS
    frequent = np.bincount(labels[PARTS == 0], minlength=classes) / (PARTS == 0).sum()
    assert np.allclose(found[0].test, frequent)
    for one in found[1:]:
        assert right(one, labels) > max(0.85, right(found[0], labels))
        assert one.seconds > 0
        assert metrics.log_loss(labels[PARTS == VALIDATION], one.validation) < 0.5
    for one in found:
        assert one.validation.shape == ((PARTS == VALIDATION).sum(), classes)
        assert one.test.shape == ((PARTS == TEST).sum(), classes)
        assert np.allclose(one.test.sum(axis=1), 1)
    assert found[1].note.startswith("C = ")


def test_baselines_repeat_themselves_and_tell_each_that_is_done() -> None:
    def run() -> list[Progress]:
        return list(baselines.on_vectors(blobs(), LABELS, PARTS, 3))
    first, second = run(), run()
    assert first[-1].done == first[-1].total == 12
    assert all(a.done < b.done for a, b in pairwise(first))
    ready = [step.fresh for step in first if step.fresh]
    assert [one.name for one in ready] == list(baselines.ON_VECTORS)
    for one, again in zip(ready, [step.fresh for step in second if step.fresh], strict=True):
        assert np.array_equal(one.test, again.test)
        assert np.array_equal(one.validation, again.validation)


def test_test_rows_have_no_say_in_what_is_learned() -> None:
    vectors, labels = blobs(), LABELS.copy()
    before = finish(baselines.on_vectors(vectors, labels, PARTS, 3))
    vectors[PARTS == TEST] = 0
    labels[PARTS == TEST] = 0
    after = finish(baselines.on_vectors(vectors, labels, PARTS, 3))
    assert all(np.array_equal(a.validation, b.validation) for a, b in zip(before, after, strict=True))


def test_classes_that_train_lacks_get_nothing() -> None:
    labels = np.where(PARTS == 0, LABELS % 2 * 2, LABELS)  # 1 and 3 are unknown to train
    for one in finish(baselines.on_vectors(blobs(), labels, PARTS, 4)):
        assert one.test.shape[1] == 4
        assert not one.test[:, [1, 3]].any()
        assert np.allclose(one.test.sum(axis=1), 1)


def test_one_class_or_no_validation_is_no_obstacle() -> None:
    same = finish(baselines.on_vectors(blobs(), np.ones(150, int), PARTS, 2))
    assert all(np.allclose(one.test, [0, 1]) for one in same)
    assert "one class" in same[1].note
    found = finish(baselines.on_vectors(blobs(), LABELS, np.where(PARTS == VALIDATION, 0, PARTS), 3))
    assert all(one.validation.shape == (0, 3) for one in found)
    assert right(found[2]) > 0.85
    tiny = finish(baselines.on_vectors(np.eye(2, dtype=np.float32), np.array([0, 1]), np.zeros(2, np.int8), 2))
    assert all(one.test.shape == (0, 2) for one in tiny)


def test_fitting_that_does_not_settle_is_a_note_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_ROUNDS", 2)
    found = finish(baselines.on_vectors(blobs() * 50, LABELS, PARTS, 3))
    assert "before it had settled" in found[1].note
    assert "before it had settled" in found[2].note


def test_constant_and_zero_vectors_are_fitted_without_a_warning() -> None:
    for one in finish(baselines.on_vectors(np.zeros((150, 4), np.float32), LABELS, PARTS, 3)):
        assert np.isfinite(one.test).all()


@pytest.mark.parametrize(("change", "why"), [
    (lambda v, y, p: (v * np.nan, y, p), "not numbers"),
    (lambda v, y, p: (v, y + 1, p), "0 to 2"),
    (lambda v, y, p: (v, y[1:], p), "one label"),
    (lambda v, y, p: (v, y.astype(float), p), "one label"),
    (lambda v, y, p: (v, y, p * 0 + TEST), "train"),
    (lambda v, y, p: (v[:0], y[:0], p[:0]), "train"),
])
def test_what_cannot_be_learned_from_is_an_error(change: Callable[..., Any], why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        finish(baselines.on_vectors(*change(blobs(), LABELS, PARTS), 3))


def test_without_scikit_learn_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TrainingError, match="scikit-learn"):
        finish(baselines.on_vectors(blobs(), LABELS, PARTS, 3))
    with pytest.raises(TrainingError, match="scikit-learn"):
        finish(on("text", ["a"] * 150, LABELS, PARTS, 3))


def test_texts_are_told_by_their_words_and_letters() -> None:
    rng = np.random.default_rng(2)
    words = np.array([["river", "boat", "shore"], ["engine", "wheel", "road"], ["violin", "choir", "opera"]])
    filler = ["the", "a", "of", "and", "it", "was"]
    texts = [" ".join([*rng.choice(filler, 6), *rng.choice(words[label], 2)]) for label in LABELS]
    texts[0], texts[1] = "", "🎈"
    found = finish(on("text", texts, LABELS, PARTS, 3))
    assert [one.name for one in found] == [
        "most frequent class", "TF-IDF + logistic regression", "TF-IDF + linear SVM"]
    assert all(right(one) > 0.9 for one in found[1:])
    assert not any("settled" in one.note for one in found)


def test_texts_of_train_that_are_all_empty_are_an_error_and_signs_are_words() -> None:
    with pytest.raises(TrainingError, match="empty"):
        finish(on("text", [" "] * 150, LABELS, PARTS, 3))
    found = finish(on("text", [("☀", "☔", "☃")[label] for label in LABELS], LABELS, PARTS, 3))
    assert right(found[-1]) == 1
    no_validation = np.where(PARTS == VALIDATION, 0, PARTS)
    assert finish(on("text", ["a", "b"] * 75, LABELS, no_validation, 3))[1].validation.shape == (0, 3)


def picture(label: int, rng: np.random.Generator) -> Image.Image:
    """Stripes along or across, or none, in random colours."""
    y, x = np.indices((48, 40))
    wave = [np.sin(y / 2 + rng.random() * 6), np.sin(x / 2 + rng.random() * 6), np.zeros((48, 40))][label]
    pixels = rng.random(3) * 100 + 60 + 60 * wave[..., None] + 5 * rng.normal(size=(48, 40, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def test_pictures_are_told_by_their_edges() -> None:
    rng = np.random.default_rng(3)
    found = finish(on("image", (picture(label, rng) for label in LABELS), LABELS, PARTS, 3))
    assert [one.name for one in found] == ["most frequent class", "pixels + linear SVM"]
    assert right(found[1]) > 0.85
    with pytest.raises(TrainingError, match="1 items and 150 parts"):
        finish(on("image", [picture(0, rng)], LABELS, PARTS, 3))


def test_sounds_are_told_by_their_bands() -> None:
    rng = np.random.default_rng(4)
    times = np.arange(4000) / 8000
    clips = [AudioClip(((np.sin(2 * np.pi * (300, 800, 2000)[label] * times) * rng.uniform(0.1, 1)
                         + 0.1 * rng.normal(size=4000)).astype(np.float32),), 8000) for label in LABELS]
    found = finish(on("audio", clips, LABELS, PARTS, 3))
    assert [one.name for one in found] == ["most frequent class", "mel bands + linear SVM"]
    assert right(found[1]) > 0.95


def test_a_pictures_features_are_its_colours_tones_and_edges() -> None:
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, 32:] = (255, 0, 0)
    found = simple_features.of_picture(Image.fromarray(half))
    assert found.shape == (simple_features.PICTURE_DIM,)
    assert found.dtype == np.float32
    colours = found[:768].reshape(16, 16, 3)
    assert not colours[:, :8].any()
    assert np.allclose(colours[:, 8:], [1, 0, 0])
    tones = found[768:832].reshape(4, 4, 4)
    assert tones[0, 0, 0] == tones[3, 0, 0] == 0.5
    edges = found[832:].reshape(4, 4, 8)
    assert np.linalg.norm(edges) == pytest.approx(1)
    assert np.flatnonzero(edges.sum(axis=(0, 1))).tolist() == [0]  # brightness changes along x alone
    assert np.flatnonzero(edges.sum(axis=(0, 2))).tolist() == [1, 2]
    for mode in ("L", "RGBA", "P"):
        assert np.isfinite(simple_features.of_picture(Image.new(mode, (1, 3)))).all()


def test_a_sounds_features_are_decibels_of_its_bands() -> None:
    times = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 1000 * times).astype(np.float32)
    mean, spread, loud, change = simple_features.of_sound(AudioClip((tone,), 16000)).reshape(4, 40)
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (40, 8000)), 42) / 2595) - 1)
    assert abs(mean.argmax() - np.abs(edges[1:-1] - 1000).argmin()) <= 1
    assert -10 < mean.max() < 0  # of full scale
    assert spread[mean.argmax()] < 1 > change[mean.argmax()]
    assert loud[mean.argmax()] == pytest.approx(mean.max(), abs=1)
    quiet = simple_features.of_sound(AudioClip((tone / 10,), 16000)).reshape(4, 40)
    assert quiet[0].max() == pytest.approx(mean.max() - 20, abs=0.1)


@pytest.mark.parametrize("clip", [
    AudioClip((), 16000), AudioClip((np.zeros(0, np.float32),), 16000), AudioClip((np.ones(1, np.float32),), 8000),
    AudioClip((np.full(100, np.nan, np.float32),), 44100), AudioClip((np.zeros(50_000, np.float32),) * 2, 500),
])
def test_short_silent_and_broken_sounds_have_features(clip: AudioClip) -> None:
    found = simple_features.of_sound(clip)
    assert found.shape == (simple_features.SOUND_DIM,)
    assert np.isfinite(found).all()
    assert found.min() >= -100.001


def test_modalities_side_by_side_are_told_together_with_zeros_for_what_is_missing() -> None:
    rng = np.random.default_rng(5)
    both = rng.integers(0, 2, (150, 2))
    labels = 2 * both[:, 0] + both[:, 1]  # half of it in the words, half in the numbers
    texts = [f"{('sun', 'moon')[word]} {rng.integers(9)}" for word in both[:, 0]]
    numbers = rng.normal(size=(140, 6)).astype(np.float32)
    numbers[:, 2] += 100 + 6 * both[:140, 1]
    numbers[:, 5] = 3
    words = finish(baselines.described("text", texts, PARTS))
    table = baselines.side_by_side([(np.arange(150), words), (np.arange(140), numbers)], PARTS)
    assert table.shape == (150, words.shape[1] + 6)
    assert table[140:, words.shape[1]:].nnz == 0
    dense = table[:140, words.shape[1]:].toarray()
    train = PARTS[:140] == 0
    assert np.allclose(dense[train].mean(0), 0, atol=1e-5)
    assert np.allclose((dense[train] ** 2).sum(1).mean(), 5 / 6, atol=1e-4)  # one of six says nothing
    found = finish(baselines.on_features(table, labels, PARTS, 4, "text", "image"))
    assert [one.name for one in found] == ["most frequent class", "TF-IDF + pixels + linear SVM"]
    told = found[1].test.argmax(1) == labels[PARTS == 2]
    alone = finish(baselines.on_features(words, labels, PARTS, 4, "text"))[-1].test.argmax(1) == labels[PARTS == 2]
    assert told.mean() > alone.mean() + 0.2
