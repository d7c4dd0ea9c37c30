"""Encoders of transformers as ONNX: what reads sounds by their length, and pictures in their own shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders.conftest import MODELS
from PIL import Image
from transformers.models.siglip2.modeling_siglip2 import Siglip2VisionEmbeddings

from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.errors import TrainingError
from mmstudio.media.load import AudioClip
from mmstudio.training import onnx_hub
from mmstudio.training.onnx_traceable import resized, traceable

SOUNDS = {"whisper": ("input_features", "samples"), "wav2vec2": ("input_values",),
          "wav2vec2_layer": ("input_values", "input_values_mask"), "wavlm_layer": ("input_values",),
          "clap": ("input_features",), "clap_fused": ("input_features",)}


def _sounds(encoder: Any, *seconds: float) -> list[AudioClip]:
    rng, rate = np.random.default_rng(7), encoder.sample_rate_hz
    return [AudioClip((rng.normal(0, 0.1, round(rate * one)).astype(np.float32),), rate) for one in seconds]


def _told(encoder: Any, file: Path, modality: Any, media: list[Any]) -> Any:
    """What the file gives of media that the encoder prepared, filled up with zeros where their lengths differ."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    inputs = [encoder.prepare(one, modality).inputs for one in media]
    given = {}
    for name in [one.name for one in session.get_inputs() if not one.name.endswith("_mask")]:
        each = [np.asarray(one[name]) for one in inputs]
        longest = max(len(one) if one.ndim else 0 for one in each)
        given[name] = np.stack([np.pad(one, [(0, longest - len(one)), *[(0, 0)] * (one.ndim - 1)]) if one.ndim else one
                                for one in each])
        given[f"{name}_mask"] = np.stack([np.arange(longest) < len(one) if one.ndim else one
                                          for one in each]).astype(np.int64)
    vectors, = session.run(None, {one.name: given[one.name] for one in session.get_inputs()})
    return vectors


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_leave_for_any_length(name: str, tmp_path: Path) -> None:
    encoder: Any = load_encoder(str(MODELS[name](tmp_path / name)), "cpu")
    assert onnx_hub.write(encoder, "audio", tmp_path / "sounds.onnx") == SOUNDS[name]
    alike = SOUNDS[name] == ("input_values",)
    for seconds in ((0.2,), (0.7, 0.7) if alike else (0.3, 1.7, 0.9, 1.2)):
        sounds = _sounds(encoder, *seconds)
        assert np.allclose(_told(encoder, tmp_path / "sounds.onnx", "audio", sounds),
                           encode(encoder, sounds, "audio"), atol=1e-4)


def test_pictures_in_their_own_shape_leave(tmp_path: Path) -> None:
    encoder: Any = load_encoder(str(MODELS["siglip2"](tmp_path / "siglip2")), "cpu")
    names = onnx_hub.write(encoder, "image", tmp_path / "pictures.onnx")
    assert names == ("pixel_values", "pixel_values_mask", "spatial_shapes")
    rng = np.random.default_rng(3)
    shapes = (20, 90, 3), (64, 64, 3), (99, 30, 3)
    pictures = [Image.fromarray(rng.integers(0, 256, shape, np.uint8)) for shape in shapes]
    for some in (pictures, pictures[:1]):
        assert np.allclose(_told(encoder, tmp_path / "pictures.onnx", "image", some),
                           encode(encoder, some, "image"), atol=1e-4)


@pytest.mark.parametrize("shapes", [[(16, 16)], [(4, 60), (9, 9), (23, 11), (1, 1)], [(40, 50), (2, 7)]])
def test_places_are_interpolated_as_by_transformers(shapes: list[tuple[int, int]]) -> None:
    table = torch.randn(16, 16, 5, generator=torch.Generator().manual_seed(0))
    wanted, longest = torch.tensor(shapes), max(rows * columns for rows, columns in shapes) + 3
    theirs = Siglip2VisionEmbeddings.resize_positional_embeddings(table, wanted, longest)
    ours = resized(table, wanted, longest)
    assert ours.shape == theirs.shape
    for mine, other, (rows, columns) in zip(ours, theirs, shapes, strict=True):
        assert torch.allclose(mine[:rows * columns], other[:rows * columns], atol=1e-5)
    assert torch.isfinite(ours).all()


def test_a_single_column_of_places_is_interpolated_row_by_row() -> None:
    table = torch.randn(16, 16, 5, generator=torch.Generator().manual_seed(0))
    along = torch.nn.functional.interpolate(table.permute(2, 0, 1)[None], size=(7, 16), mode="bilinear", antialias=True)
    both = torch.nn.functional.interpolate(along.mT.contiguous(), size=(1, 7), mode="bilinear", antialias=True)
    assert torch.allclose(resized(table, torch.tensor([[7, 1]]), 7)[0], both[0, :, 0].T, atol=1e-5)


def test_a_model_is_as_before_once_it_is_written(tmp_path: Path) -> None:
    for name, modality in (("clap_fused", "audio"), ("siglip2", "image")):
        model = load_encoder(str(MODELS[name](tmp_path / name)), "cpu").model  # type: ignore[attr-defined]
        before = [(dict(vars(part)), len(part._forward_pre_hooks)) for part in model.modules()]
        with traceable(model):
            assert [(dict(vars(part)), len(part._forward_pre_hooks)) for part in model.modules()] != before, modality
        assert [(dict(vars(part)), len(part._forward_pre_hooks)) for part in model.modules()] == before


def test_what_the_file_gives_is_held_against_the_encoder_and_not_what_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder: Any = load_encoder(str(MODELS["siglip2"](tmp_path / "siglip2")), "cpu")
    monkeypatch.setattr("mmstudio.training.onnx_traceable.resized",
                        lambda table, shapes, max_length: 3 * resized(table, shapes, max_length))
    with pytest.raises(TrainingError, match="differ from its own"):
        onnx_hub.write(encoder, "image", tmp_path / "pictures.onnx")
    assert not (tmp_path / "pictures.onnx").exists()
