"""Every family against transformers called by hand, on tiny random weights of the real architecture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders.conftest import ALL, AUDIO, IMAGE, TEXT, WAVES, Items

from mmstudio.encoders.base import encode, normalised
from mmstudio.errors import EncoderError, ModelRefused, WrongModality
from mmstudio.media import AudioClip

CLOSE = 1e-5
JOINT = {"clip", "metaclip_2", "siglip", "siglip2", "clap", "clap_fused"}
CROPPED = {"clip", "metaclip_2", "vit", "deit", "dinov2", "dinov2_registers"}


def by_hand(folder: Path, **more: Any) -> Any:
    from transformers import AutoConfig, AutoModel, WhisperModel

    if AutoConfig.from_pretrained(folder).model_type == "whisper":
        return WhisperModel.from_pretrained(folder, **more).encoder.eval()
    return AutoModel.from_pretrained(folder, **more).eval()


def inputs_by_hand(folder: Path, name: str, modality: str, media: list[Any]) -> dict[str, Any]:
    """What the folder's own processor makes of a batch, padded as the model's documentation says."""
    import torch
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

    if modality == "image":
        return dict(AutoImageProcessor.from_pretrained(folder)(images=media, return_tensors="pt"))
    if modality == "text":
        tokenizer = AutoTokenizer.from_pretrained(folder)
        most = 8 if name.startswith("pooled") else tokenizer.model_max_length
        return dict(tokenizer(media, padding="max_length" if "siglip" in name else True, truncation=True,
                              max_length=most, return_tensors="pt"))
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    layer = {"padding": True, "return_attention_mask": True} if name in WAVES else {}
    arrays = dict(extractor(media, sampling_rate=extractor.sampling_rate, return_tensors="pt", **layer))
    if "is_longer" in arrays:
        arrays["is_longer"] = torch.zeros_like(arrays["is_longer"])
    return arrays


def vectors_by_hand(folder: Path, name: str, modality: str, media: list[Any]) -> Any:
    """``(n, dim)`` normalised, of items that are each one input."""
    import torch

    model = by_hand(folder)
    if name in WAVES and "layer" not in name:
        rows = [pooled_by_hand(model, folder, name, modality, [one]) for one in media]
        return normalised(np.concatenate(rows))
    with torch.no_grad():
        return normalised(pooled_by_hand(model, folder, name, modality, media))


def pooled_by_hand(model: Any, folder: Path, name: str, modality: str, media: list[Any]) -> Any:
    import torch

    with torch.no_grad():
        inputs = inputs_by_hand(folder, name, modality, media)
        if name in JOINT:
            return getattr(model, f"get_{modality}_features")(**inputs).pooler_output.numpy()
        out = model(**inputs)
        hidden = out.last_hidden_state
        if name == "vit_without_pooler" or name == "pooled_cls":
            return hidden[:, 0].numpy()
        if modality == "image" or name == "ast":
            return out.pooler_output.numpy()
        if name == "whisper":
            return np.stack([h[:math.ceil(len(m) / 320)].mean(0).numpy() for h, m in zip(hidden, media, strict=True)])
        mask = inputs["attention_mask"]
        if name in WAVES:
            mask = model._get_feature_vector_attention_mask(hidden.shape[1], mask)
        if name == "pooled_max":
            return np.stack([h[m.bool()].amax(0).numpy() for h, m in zip(hidden, mask, strict=True)])
        return np.stack([h[m.bool()].mean(0).numpy() for h, m in zip(hidden, mask, strict=True)])


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize(("name", "modality"), ALL)
def test_vectors_equal_transformers_called_by_hand(
    name: str, modality: str, encoders: Any, folders: Any, items: Items,
) -> None:
    encoder = encoders(name)
    media = items(name, modality)
    raw = media
    if modality == "audio":
        media = [clip for clip in media if len(clip.windows) == 1]
        raw = [clip.windows[0] for clip in media]
    expected = vectors_by_hand(folders(name), name, modality, raw)
    found = encode(encoder, media, modality)
    assert found.dtype == np.float32
    assert found.shape == (len(media), encoder.dim)
    assert np.abs(found - expected).max() <= CLOSE
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize(("name", "modality"), ALL)
def test_padding_and_batch_composition_change_nothing(name: str, modality: str, encoders: Any, items: Items) -> None:
    encoder, media = encoders(name), items(name, modality)
    together = encode(encoder, media, modality)
    alone = np.concatenate([encode(encoder, [one], modality) for one in media])
    turned = encode(encoder, media[::-1], modality)[::-1]
    assert np.abs(together - alone).max() <= CLOSE
    assert np.abs(together - turned).max() <= CLOSE
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() <= CLOSE


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize(("name", "modality"), [pair for pair in ALL if pair[0] not in ("clap", "clap_fused")
                                                or pair[1] == "text"])
def test_attention_equals_eager_attention_by_hand(
    name: str, modality: str, encoders: Any, folders: Any, items: Items,
) -> None:
    import torch

    encoder, one = encoders(name), items(name, modality)[0]
    explanation = encoder.explain(one, modality)
    raw = one.windows[0] if modality == "audio" else one
    inputs = inputs_by_hand(folders(name), name, modality, [raw])
    model = by_hand(folders(name), attn_implementation="eager")
    tower = {"image": "vision_model", "text": "text_model"}.get(modality, "")
    with torch.no_grad():
        expected = (getattr(model, tower) if name in JOINT else model)(**inputs, output_attentions=True).attentions
    assert len(explanation.attention) == len(expected) == 2
    for layer, by_hand_layer in zip(explanation.attention, expected, strict=True):
        weights = by_hand_layer[0].numpy()
        if name == "siglip2" and modality == "image":
            count = len(layer.positions)
            weights = weights[:, :count, :count]
        if name.startswith("wavlm"):
            weights = weights[:1]
        kept = layer.weights.shape[-1]
        if kept < weights.shape[-1]:
            weights = lumped_by_hand(weights, kept - 1, name, explanation)
        assert layer.weights.shape == (1, *weights.shape)
        assert np.abs(layer.weights[0] - weights).max() <= CLOSE


def lumped_by_hand(weights: Any, kept: int, name: str, explanation: Any) -> Any:
    """Rows and columns of what lies after a sound, joined into one."""
    if name == "whisper":
        inside = np.arange(kept)
    else:  # AST: 2 tokens, then 5 x 16 patches by frequency, of which those in the first half second stay
        starts = np.tile(np.arange(16) * 6 * 0.01, 5)
        inside = np.concatenate([[0, 1], 2 + np.flatnonzero(starts < 0.5)])
    outside = np.setdiff1d(np.arange(weights.shape[-1]), inside)
    columns = np.concatenate([weights[..., inside], weights[..., outside].sum(-1, keepdims=True)], -1)
    return np.concatenate([columns[:, inside], columns[:, outside].mean(1, keepdims=True)], 1)


@pytest.mark.parametrize(("name", "modality"), ALL)
def test_explanation_is_consistent_with_the_vector(name: str, modality: str, encoders: Any, items: Items) -> None:
    encoder = encoders(name)
    for one in items(name, modality):
        explanation = encoder.explain(one, modality)
        assert np.abs(explanation.vector - encode(encoder, [one], modality)[0]).max() <= CLOSE
        assert explanation.attention
        for layer in explanation.attention:
            assert layer.index.max() < len(layer.positions)
        if explanation.tokens is None:
            continue
        assert explanation.token_positions is not None
        assert explanation.tokens.shape == (len(explanation.token_positions), encoder.dim)
        assert np.abs(np.linalg.norm(explanation.tokens, axis=1) - 1).max() <= CLOSE
        if name in ("clip", "metaclip_2", *IMAGE, "clap", "clap_fused", "pooled_cls") and modality != "audio":
            read = explanation.tokens[explanation.pooling_query]
            assert np.abs(read - explanation.vector).max() <= CLOSE


@pytest.mark.parametrize(("name", "modality"), ALL)
def test_attention_is_computed_in_full_only_while_explaining(
    name: str, modality: str, encoders: Any, items: Items,
) -> None:
    model = encoders(name).model
    before = model.config._attn_implementation
    encoders(name).explain(items(name, modality)[0], modality)
    assert model.config._attn_implementation == before


# Pictures: where patches lie


@pytest.mark.parametrize("name", IMAGE)
def test_patch_boxes_tile_what_the_model_sees(name: str, encoders: Any, pictures: Any) -> None:
    for picture in pictures:
        positions = encoders(name).explain(picture, "image").attention[0].positions
        boxes = positions.extents[positions.placed]
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        hull = (boxes[:, 2].max() - boxes[:, 0].min()) * (boxes[:, 3].max() - boxes[:, 1].min())
        assert boxes.min() >= 0
        assert boxes.max() <= 1
        assert areas.sum() == pytest.approx(hull, rel=1e-4)
        width, height = picture.size
        if name in CROPPED:
            sides = (boxes[:, 2].max() - boxes[:, 0].min()) * width, (boxes[:, 3].max() - boxes[:, 1].min()) * height
            assert sides[0] == pytest.approx(sides[1], rel=0.05)
        else:
            assert hull == pytest.approx(1)


@pytest.mark.parametrize("name", ["clip", "dinov2_registers", "siglip", "siglip2"])
def test_a_patch_box_holds_what_its_patch_saw(name: str, encoders: Any) -> None:
    """A white spot painted inside one patch's box changes the input of that patch most."""
    from PIL import Image

    encoder = encoders(name)
    dark = Image.new("RGB", (96, 60), (10, 10, 10))
    positions = encoder.explain(dark, "image").attention[0].positions
    placed = np.flatnonzero(positions.placed)
    for target in (0, 5, len(placed) - 1):
        left, top, right, bottom = positions.extents[placed[target]] * np.array([96, 60, 96, 60])
        spotted = dark.copy()
        spotted.paste((255, 255, 255), (math.ceil(left), math.ceil(top), int(right), int(bottom)))
        pixels = encoder.prepare(spotted, "image").inputs["pixel_values"]
        if pixels.ndim == 3:
            rows = pixels.shape[1] // 8
            pixels = pixels.reshape(3, rows, 8, -1, 8).transpose(1, 3, 0, 2, 4).reshape(len(placed), -1)
        assert pixels.mean(axis=1).argmax() == target


def test_a_picture_of_extreme_shape_costs_bounded_memory(encoders: Any) -> None:
    from PIL import Image

    picture = Image.new("RGB", (30_000, 1), (200, 30, 30))
    prepared = encoders("clip").prepare(picture, "image")
    assert prepared.inputs["pixel_values"].shape == (3, 32, 32)
    assert prepared.origin["size"] == (30_000, 1)


# Texts: which characters tokens are


@pytest.mark.parametrize("name", TEXT)
def test_character_spans_match_the_text(name: str, encoders: Any) -> None:
    text = "a dog barks"
    positions = encoders(name).explain(text, "text").attention[0].positions
    spans = positions.extents[positions.placed].astype(int)
    assert positions.kind == "character"
    for (start, end), label in zip(spans, np.array(positions.labels)[positions.placed], strict=True):
        plain = label.replace("</w>", "").replace("Ġ", " ").replace("▁", " ").strip()
        assert text[start:end].strip() == plain
    joined = "".join(text[start:end] for start, end in spans)
    assert joined.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("name", TEXT)
def test_the_empty_text_has_a_vector_or_says_why_not(name: str, encoders: Any) -> None:
    assert np.isfinite(encode(encoders(name), [""], "text")).all()


# Sounds: when and at which pitch


@pytest.mark.parametrize("name", ["whisper", *WAVES])
def test_frames_cover_the_sound_and_nothing_after_it(name: str, encoders: Any, sounds: Any) -> None:
    clip = sounds(16_000)[0]
    positions = encoders(name).explain(clip, "audio").token_positions
    assert positions.kind == "time"
    assert positions.extents[0, 0] == 0
    assert (np.diff(positions.extents[:, 0]) > 0).all()
    assert 0.5 - 0.03 <= positions.extents[:, 1].max() <= 0.5


@pytest.mark.parametrize("name", ["ast", "clap", "clap_fused"])
def test_a_tone_falls_into_the_patches_of_its_time_and_pitch(name: str, encoders: Any) -> None:
    """Input cells that differ between a click of a tone and silence lie in the extents of their positions."""
    encoder = encoders(name)
    rate = encoder.sample_rate_hz
    wave = np.zeros(round(encoder.window_seconds * rate), np.float32)
    from_s, to_s, pitch = 0.55 * encoder.window_seconds, 0.7 * encoder.window_seconds, 1200
    t = np.arange(round(from_s * rate), round(to_s * rate))
    loud = wave.copy()
    loud[t] = 0.5 * np.sin(2 * np.pi * pitch * t / rate)
    cells = patch_means(encoder, name, loud) - patch_means(encoder, name, wave)
    extents = encoder.explain(AudioClip((loud,), rate), "audio").attention[0].positions.extents
    extents = extents[-len(cells):]
    found = extents[cells.argmax()]
    assert found[0] < to_s
    assert found[1] > from_s
    assert found[2] < pitch < found[3] or min(abs(found[2] - pitch), abs(found[3] - pitch)) < 150


def patch_means(encoder: Any, name: str, wave: Any) -> Any:
    """``(patches,)`` the mean input of each patch, in the model's order."""
    import torch

    piece = encoder.prepare(AudioClip((wave,), encoder.sample_rate_hz), "audio").inputs
    if name == "ast":
        grid = torch.from_numpy(piece["input_values"].T)[None, None]
        return torch.nn.functional.avg_pool2d(grid, 8, 6).flatten().numpy()
    tower = encoder.model.audio_model.audio_encoder
    with torch.no_grad():
        folded = tower.reshape_mel2img(torch.from_numpy(piece["input_features"][None, :1]))
    return torch.nn.functional.avg_pool2d(folded, 4, 4).flatten().numpy()


@pytest.mark.parametrize("name", ["clap", "clap_fused"])
def test_repeated_sounds_are_shown_at_their_own_time(name: str, encoders: Any) -> None:
    clip = AudioClip((np.sin(np.arange(4000, dtype=np.float32)),), 8000)
    extents = encoders(name).explain(clip, "audio").attention[0].positions.extents
    times = extents[~np.isnan(extents).any(axis=1)]
    assert times[:, :2].min() >= 0
    assert times[:, 1].max() <= 0.5
    assert len(times) == len(extents)
    odd = AudioClip((np.sin(np.arange(6000, dtype=np.float32)),), 8000)
    behind = encoders(name).explain(odd, "audio").attention[0].positions.extents
    assert np.isnan(behind).all(axis=1).mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("name", AUDIO)
def test_a_window_longer_than_the_model_takes_is_cut_and_averaged(name: str, encoders: Any) -> None:
    encoder = encoders(name)
    rate, most = encoder.sample_rate_hz, round(min(2, encoder.window_seconds) * encoder.sample_rate_hz)
    wave = np.random.default_rng(1).standard_normal(2 * most).astype(np.float32) * 0.1
    halves = AudioClip((wave[:most], wave[most:]), rate)
    parts = encode(encoder, [AudioClip((w,), rate) for w in halves.windows], "audio")
    assert np.abs(encode(encoder, [halves], "audio")[0] - normalised(parts.mean(axis=0))).max() <= CLOSE
    if name not in WAVES:
        whole = encoder.prepare(AudioClip((wave,), rate), "audio")
        assert whole.parts == 2
        assert np.abs(encoder.forward([whole])[0] - normalised(parts.mean(axis=0))).max() <= CLOSE
    assert "windows" in encoder.explain(halves, "audio").note


@pytest.mark.parametrize("name", AUDIO)
def test_one_sample_of_sound_has_a_vector(name: str, encoders: Any) -> None:
    encoder = encoders(name)
    clip = AudioClip((np.full(1, 0.5, np.float32),), encoder.sample_rate_hz)
    assert np.isfinite(encode(encoder, [clip], "audio")).all()
    assert np.isfinite(encoder.explain(clip, "audio").vector).all()


# CLAP's windows


@pytest.mark.parametrize("name", ["clap", "clap_fused"])
def test_clap_attention_put_together_equals_a_dense_computation(name: str, encoders: Any, sounds: Any) -> None:
    """Each block again without windows: every pair of cells, relative bias by their distance, pairs that Swin keeps
    apart masked out - from the shifted partition written down cell by cell.
    """
    import torch

    encoder, clip = encoders(name), sounds(8000)[3]
    inputs: list[tuple[Any, Any, int]] = []
    tower = encoder.model.audio_model.audio_encoder
    hooks = [block.register_forward_pre_hook(lambda module, args: inputs.append((module, args[0], args[1][0])))
             for stage in tower.layers for block in stage.blocks]
    layers = encoder.explain(clip, "audio").attention
    for hook in hooks:
        hook.remove()
    assert [block.shift_size for block, _, _ in inputs] == [0, 2, 0, 2]
    assert len(layers) == 4
    for (block, hidden, side), layer in zip(inputs, layers, strict=True):
        with torch.no_grad():
            expected = dense_block(block, hidden, side)
        for head in range(layer.heads):
            assert np.abs(layer.matrix(head) - expected[head]).max() <= CLOSE
        assert np.abs(layer.matrix().sum(axis=1) - 1).max() <= CLOSE


def dense_block(block: Any, hidden: Any, side: int) -> Any:
    """``(heads, side * side, side * side)`` attention of one Swin block over the whole grid."""
    import torch

    attention, window, shift = block.attention.self, block.window_size, block.shift_size
    normed = block.layernorm_before(hidden)[0]
    heads = attention.num_attention_heads
    query, key = (part(normed).reshape(side * side, heads, -1).transpose(0, 1)
                  for part in (attention.query, attention.key))
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
    cells = [(row, column) for row in range(side) for column in range(side)]
    for a, (row, column) in enumerate(cells):
        for b, (other_row, other_column) in enumerate(cells):
            pairs = ((row, other_row), (column, other_column))
            if any((x - shift) // window != (y - shift) // window for x, y in pairs):
                scores[:, a, b] = -torch.inf
                continue
            step = (row - other_row + window - 1) * (2 * window - 1) + column - other_column + window - 1
            scores[:, a, b] += attention.relative_position_bias_table[step]
    return scores.softmax(dim=-1).numpy()


@pytest.mark.parametrize("name", ["clap", "clap_fused"])
def test_clap_last_block_of_each_stage_is_what_transformers_returns(
    name: str, encoders: Any, folders: Any, sounds: Any,
) -> None:
    import torch

    clip = sounds(8000)[3]
    layers = encoders(name).explain(clip, "audio").attention
    inputs = inputs_by_hand(folders(name), name, "audio", [clip.windows[0]])
    with torch.no_grad():
        expected = by_hand(folders(name)).audio_model(**inputs, output_attentions=True).attentions
    for layer, weights in zip((layers[1], layers[3]), expected, strict=True):
        assert np.abs(layer.weights - weights.numpy()).max() <= CLOSE


@pytest.mark.parametrize("name", ["clap", "clap_fused"])
def test_clap_tokens_are_in_the_order_of_their_positions(name: str, encoders: Any, sounds: Any) -> None:
    """Tokens made by hand from the last stage's grid, row by row."""
    import torch

    encoder, clip = encoders(name), sounds(8000)[3]
    kept: list[Any] = []
    tower = encoder.model.audio_model.audio_encoder
    hook = tower.norm.register_forward_hook(lambda module, args, output: kept.append(output))
    explanation = encoder.explain(clip, "audio")
    hook.remove()
    with torch.no_grad():
        expected = normalised(encoder.model.audio_projection(kept[0][0].clone()).numpy())
    assert np.abs(explanation.tokens - expected).max() <= CLOSE
    assert explanation.token_positions.extents.shape == (64, 4)


# What is refused


def test_a_modality_that_the_model_does_not_read_is_refused(encoders: Any) -> None:
    with pytest.raises(WrongModality, match="reads no audio"):
        encoders("clip").prepare(AudioClip((np.ones(10, np.float32),), 16_000), "audio")
    with pytest.raises(WrongModality):
        encoders("whisper").prepare("a text", "audio")


def test_sound_at_another_rate_is_refused(encoders: Any) -> None:
    with pytest.raises(EncoderError, match="16000 Hz"):
        encoders("whisper").prepare(AudioClip((np.ones(100, np.float32),), 8000), "audio")


def test_a_sentence_model_with_unknown_parts_is_refused(folders: Any, tmp_path: Path) -> None:
    import shutil

    from mmstudio.encoders import load_encoder

    folder = shutil.copytree(folders("pooled_mean"), tmp_path / "dense")
    modules = (folder / "modules.json").read_text().replace("models.Normalize", "models.Dense")
    (folder / "modules.json").write_text(modules)
    with pytest.raises(ModelRefused, match="Dense"):
        load_encoder(str(folder), "cpu")


# Names, revisions, devices


def test_revision_follows_weights_and_settings(folders: Any, tmp_path: Path) -> None:
    import shutil

    from mmstudio.encoders.hf import revision_of

    folder = shutil.copytree(folders("bert"), tmp_path / "copy")
    first = revision_of(folder)
    assert first == revision_of(folders("bert"))
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert revision_of(folder) != first
    snapshot = tmp_path / "snapshots" / ("ab" * 20)
    snapshot.mkdir(parents=True)
    assert revision_of(snapshot) == "ab" * 20


def test_a_model_that_does_not_fit_runs_on_the_cpu_and_says_so(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from mmstudio.encoders import hf
    from mmstudio.errors import OutOfMemory

    build = hf.load_model(folders("bert"), "BertModel")

    def full(dtype: Any) -> Any:
        model = build(dtype)
        place = model.to
        monkeypatch.setattr(model, "to", lambda device: _fail() if device == "mps" else place(device))
        return model

    def _fail() -> Any:
        raise torch.OutOfMemoryError("out of memory")
    monkeypatch.setattr(hf, "pick_device", lambda wish: "mps" if wish == "auto" else wish)
    placed = hf.place(full, "auto")
    assert placed.device == "cpu"
    assert "does not fit" in placed.note
    encoder = hf.HubEncoder("x", folders("bert"), full, placed, {}, 32, "")
    with pytest.raises(OutOfMemory):
        encoder.to("mps")
    assert encoder.device == "cpu"
    assert encoder.model is placed.model
    assert encoder.memory_bytes > 60_000


def test_a_model_larger_than_the_memory_that_is_left_is_refused_before_it_is_read(
    folders: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    import shutil

    import psutil
    import torch
    from transformers import BertModel

    from mmstudio.encoders import device, load_encoder
    from mmstudio.encoders.hf import converted_bytes
    from mmstudio.errors import OutOfMemory

    whole = BertModel.from_pretrained(folders("bert"))
    needed = 4 * sum(one.numel() for one in whole.state_dict().values() if one.is_floating_point())
    for name, size in (("one", "1GB"), ("parts", "20KB")):
        shutil.copytree(folders("bert"), tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
        whole.half().save_pretrained(tmp_path / name, max_shard_size=size)
        assert converted_bytes(tmp_path / name, torch.float32) == needed
        assert converted_bytes(tmp_path / name, torch.float16) == 0
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    (tmp_path / "one/model.safetensors.index.json").write_text("[torn")  # nobody reads it beside the whole
    amounts, freed = [needed - 1, needed], list[str]()
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=amounts[0]))
    monkeypatch.setattr(device, "return_freed_memory", lambda: freed.append(str(amounts.pop(0))))
    load_encoder(str(tmp_path / "one"), "cpu")  # there is room once what the program freed is given back
    assert freed == [str(needed - 1)]
    amounts[:] = [needed - 2, needed - 1]
    with pytest.raises(OutOfMemory, match="GB are left"):
        load_encoder(str(tmp_path / "parts"), "cpu")
    amounts[:] = [0]
    load_encoder(str(folders("bert")), "cpu")  # in float32 already: it is mapped


def test_prepare_may_be_called_from_many_threads(encoders: Any, texts: Any, pictures: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    encoder = encoders("clip")
    expected = [encoder.prepare(t, "text").inputs["input_ids"] for t in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda at: encoder.prepare(texts[at % 4], "text").inputs["input_ids"], range(200)))
        list(pool.map(lambda at: encoder.prepare(pictures[at % 4], "image"), range(16)))
    assert all((ids == expected[at % 4]).all() for at, ids in enumerate(found))
