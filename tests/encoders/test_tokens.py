"""Patches, words and frames of every family, from which a Transformer over all tokens learns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders.conftest import ALL, AUDIO, WAVES, Items

from mmstudio.encoders import Encoder, load_encoder
from mmstudio.media import AudioClip
from mmstudio.training.towers import layers

CLOSE = 1e-5
PATCHES = {"deit": 18, "dinov2_registers": 19, "siglip": 16}
"""Of 4 x 4 patches and special tokens, of which other models have one."""


def tokens(encoder: Any, media: list[Any], modality: str) -> list[Any]:
    """Of each item ``(t, dim)``."""
    with torch.no_grad():
        found, there = encoder.tokens([encoder.prepare(one, modality) for one in media])
    assert found.dtype == torch.float32
    assert there.dtype == torch.bool
    assert found.shape == (*there.shape, encoder.dim)
    assert (found[~there] == 0).all()
    assert there.sum(1).max() == there.shape[1]
    return [row[mask].numpy() for row, mask in zip(found, there, strict=True)]


def same(some: list[Any], others: list[Any]) -> bool:
    return all(a.shape == b.shape and np.abs(a - b).max() <= CLOSE for a, b in zip(some, others, strict=True))


def count_by_hand(encoder: Any, folder: Path, name: str, modality: str, one: Any) -> int:
    """How many positions of an item are no padding."""
    if modality == "image":
        return (PATCHES.get(name, 17) if name != "siglip2" else
                int(encoder.prepare(one, modality).inputs["spatial_shapes"].prod()))
    if modality == "text":
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        most = 8 if name.startswith("pooled") else tokenizer.model_max_length
        words = len(tokenizer(one, truncation=True, max_length=most)["input_ids"])
        return min(most, words + 1) if "siglip" in name else words  # and the last, from which the vector is read
    samples = len(one.windows[0])
    if name == "whisper":
        return math.ceil(samples / 320)
    if name == "ast":
        return 2 + 5 * int((np.arange(16) * 960 < samples).sum())
    if name in WAVES:
        return int(encoder.model._get_feat_extract_output_lengths(samples))
    repeated = samples * (16_000 // samples)  # to 2 s at 8 kHz, in 4 stretches of 8 columns and 2 bins
    return 2 * int((np.arange(32) * 500 < repeated).sum())


@pytest.mark.parametrize(("name", "modality"), ALL)
def test_tokens_are_those_that_are_shown_whatever_is_beside_them(
    name: str, modality: str, encoders: Any, folders: Any, items: Items,
) -> None:
    encoder, media = encoders(name), items(name, modality)
    together = tokens(encoder, media, modality)
    assert same(together, tokens(encoder, media[::-1], modality)[::-1])
    assert same(together, [tokens(encoder, [one], modality)[0] for one in media])
    for one, found in zip(media, together, strict=True):
        assert np.abs(np.linalg.norm(found, axis=1) - 1).max() <= CLOSE
        if modality == "audio" and len(one.windows) > 1:
            continue
        assert len(found) == count_by_hand(encoder, folders(name), name, modality, one)
        shown = encoder.explain(one, modality)
        if shown.tokens is not None:
            heard = shown.token_positions.placed if name.startswith("clap") and modality == "audio" else slice(None)
            assert same([found], [shown.tokens[heard]])
        else:
            assert len(shown.token_positions) == len(found)


@pytest.mark.parametrize("name", AUDIO)
def test_a_long_sound_has_the_tokens_of_its_parts_one_after_another(name: str, encoders: Any, sounds: Any) -> None:
    encoder = encoders(name)
    short, *_, long = sounds(encoder.sample_rate_hz)
    parts = tokens(encoder, [AudioClip((window,), long.rate_hz) for window in long.windows], "audio")
    assert len(parts) == 3
    assert same(tokens(encoder, [short, long], "audio")[1:], [np.concatenate(parts)])


@pytest.mark.parametrize("name", ["siglip", "siglip2"])
def test_tokens_that_lie_in_no_joint_space_are_what_the_vector_is_made_of(
    name: str, encoders: Any, pictures: Any, texts: Any,
) -> None:
    encoder = encoders(name)
    prepared = [encoder.prepare(one, "text") for one in texts]
    with torch.no_grad():
        vectors = encoder.tensors(prepared).numpy()
        pooled = encoder.tensors([encoder.prepare(one, "image") for one in pictures])
        found, there = encoder.tokens([encoder.prepare(one, "image") for one in pictures])
        again = [found_by_head(encoder, one, row[mask]) for one, row, mask in zip(pictures, found, there, strict=True)]
    last = [rows[-1] for rows in tokens(encoder, texts, "text")]
    assert np.abs(np.stack(last) - vectors).max() <= CLOSE
    assert np.abs(np.stack(again) - pooled.numpy()).max() <= CLOSE


def found_by_head(encoder: Any, picture: Any, unit: Any) -> Any:
    """The vector that the pooling makes of patches whose lengths are those of the model."""
    inputs = {key: torch.from_numpy(value[None]) for key, value in encoder.prepare(picture, "image").inputs.items()}
    if "spatial_shapes" in inputs:
        inputs["pixel_attention_mask"] = torch.ones(inputs["pixel_values"].shape[:2], dtype=torch.int64)
    hidden = encoder.model.vision_model(**inputs).last_hidden_state
    vector = encoder.model.vision_model.head(unit[None] * hidden.norm(dim=-1, keepdim=True))[0]
    return (vector / vector.norm()).numpy()


@pytest.mark.parametrize(("name", "modality"), ALL)
def test_what_is_learned_of_tokens_reaches_the_first_layer(
    name: str, modality: str, folders: Any, items: Items,
) -> None:
    encoder: Any = load_encoder(str(folders(name)), "cpu")
    encoder.make_trainable()
    found, there = encoder.tokens([encoder.prepare(one, modality) for one in items(name, modality)[:2]])
    torch.manual_seed(0)
    (found[there] @ torch.randn(encoder.dim)).square().sum().backward()
    first = encoder.model.get_submodule(layers(encoder, modality)[0])
    weights = [weight for weight in first.parameters() if weight.ndim > 1]
    assert len(weights) >= 4
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in weights)


def test_the_starters_tokens_are_those_that_are_shown(starter: Encoder, pictures: Any, texts: Any) -> None:
    for media, modality in ((pictures, "image"), (texts, "text")):
        shown = [starter.explain(one, modality).tokens for one in media]
        assert same(tokens(starter, media, modality), shown)
