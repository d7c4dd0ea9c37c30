"""The starter as an encoder: alone and in a batch alike, and its explanations are where they say they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import encode, with_marks
from mmstudio.encoders.starter import load
from mmstudio.errors import EncoderError, WrongModality
from mmstudio.media import AudioClip


def _picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def _clip(seconds: float, seed: int = 0, windows: int = 1) -> AudioClip:
    rng = np.random.default_rng(seed)
    length = int(16_000 * seconds)
    return AudioClip(tuple(rng.normal(0, 0.1, length).astype(np.float32) for _ in range(windows)), 16_000)


def test_batch_and_padding_change_nothing(starter: Encoder) -> None:
    media = {
        "image": [_picture(60, 60), _picture(200, 80, 1), _picture(80, 200, 2), _picture(61, 60, 3)],
        "audio": [_clip(0.3), _clip(2.0, 1), _clip(1.1, 2, windows=3)],
        "text": ["dog", "a much longer caption about a red car next to a dog", "两"],
    }
    for modality, items in media.items():
        together = encode(starter, items, modality)  # type: ignore[arg-type]
        alone = np.concatenate([encode(starter, [item], modality) for item in items])  # type: ignore[arg-type]
        assert np.abs(together - alone).max() <= 1e-5
        assert np.abs(np.linalg.norm(together, axis=1) - 1).max() <= 1e-5
        assert together.dtype == np.float32


@pytest.mark.parametrize(("media", "modality", "kind"), [
    (_picture(120, 60), "image", "patch"), (_clip(1.3), "audio", "time"), ("a red car", "text", "character")])
def test_attention_and_tokens_have_a_place_in_the_item(
    starter: Encoder, media: object, modality: str, kind: str,
) -> None:
    found = starter.explain(media, modality)  # type: ignore[arg-type]
    assert np.abs(found.vector - encode(starter, [media], modality)[0]).max() <= 1e-5  # type: ignore[list-item,arg-type]
    assert found.token_positions is not None
    assert found.token_positions.kind == kind
    assert found.tokens is not None
    assert found.tokens.shape == (len(found.token_positions), starter.dim)
    assert found.attention
    for layer in found.attention:
        assert layer.weights.ndim == 4
        assert np.abs(layer.weights.sum(axis=-1) - 1).max() < 1e-4
    assert found.pooling is not None
    assert abs(found.pooling.sum() - 1) < 1e-4


def test_patches_tile_the_whole_picture(starter: Encoder) -> None:
    found = starter.explain(_picture(200, 90), "image")
    assert found.token_positions is not None
    boxes = found.token_positions.extents
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum()
    assert area == pytest.approx(1, abs=1e-4)


def test_word_pieces_point_at_their_characters(starter: Encoder) -> None:
    text = "An ambulance, at night"
    found = starter.explain(text, "text")
    assert found.token_positions is not None
    positions = found.token_positions
    for index in np.flatnonzero(positions.placed):
        start, end = positions.extents[index].astype(int)
        assert positions.label(int(index)) == text[start:end]


def test_an_hour_of_sound_is_the_mean_of_its_windows(starter: Encoder) -> None:
    clip = _clip(1.0, 5, windows=4)
    parts = np.stack([encode(starter, [AudioClip((w,), 16_000)], "audio")[0] for w in clip.windows])
    mean = parts.mean(axis=0)
    assert np.abs(encode(starter, [clip], "audio")[0] - mean / np.linalg.norm(mean)).max() <= 1e-5


def test_extreme_pictures_are_read(starter: Encoder) -> None:
    for size in ((1, 1), (3000, 2), (2, 3000)):
        assert np.isfinite(encode(starter, [_picture(*size)], "image")).all()


def test_empty_text_is_read_and_a_wrong_modality_is_refused(starter: Encoder) -> None:
    assert np.isfinite(encode(starter, [""], "text")).all()
    with pytest.raises(WrongModality):
        starter.prepare("a text", "image")


def test_damaged_files_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="damaged or missing"):
        load(tmp_path, "starter", "cpu")


@pytest.mark.parametrize(("text", "pieces"), [
    ("cafe\u0301 noir", ["caf", "e\u0301", "no", "ir"]),  # an accent as a letter of its own
    ("a\u0327\u0301 b", ["a\u0327\u0301", "b"]),
    ("中文 狗", ["中", "文", "狗"]),
    ("👍🏽 dog", ["👍🏽", "dog"]),
    ("🇩🇪🇫🇷 dog", ["🇩🇪🇫🇷", "dog"]),
    ("👨\u200d👩\u200d👧 dog ❤\ufe0f", ["👨\u200d👩\u200d👧", "dog", "❤\ufe0f"]),
    ("नमस्ते dog", ["नमस्ते", "dog"]),
])
def test_word_pieces_take_their_marks_along(text: str, pieces: list[str], starter: Encoder) -> None:
    positions = starter.explain(text, "text").token_positions
    assert positions is not None
    spans = positions.extents[positions.placed].astype(int)
    assert [text[start:end] for start, end in spans] == pieces
    assert [label for label, there in zip(positions.labels, positions.placed, strict=True) if there] == pieces


def test_a_mark_that_is_a_token_of_its_own_is_nobody_elses() -> None:
    assert with_marks("e\u0301 x\u0301", [(0, 0), (0, 1), (1, 2), (3, 4)]) == [(0, 0), (0, 1), (1, 2), (3, 5)]
