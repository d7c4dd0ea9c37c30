"""Which models are found, which are refused, and that the reason is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmstudio.encoders import catalog, load_encoder
from mmstudio.encoders.registry import FAMILIES, find_folder
from mmstudio.errors import EncoderError, ModelNotFound, ModelRefused

Folders = Callable[[str], Path]


@pytest.fixture
def folder(folders: Folders, tmp_path: Path) -> Path:
    """A copy of a sound model's folder, to be spoilt."""
    return Path(shutil.copytree(folders("bert"), tmp_path / "model"))


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_pickled_weights_are_refused_with_the_reason(folder: Path) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match="pickled"):
        load_encoder(str(folder), "cpu")


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelRefused, match="no weights in safetensors"):
        load_encoder(str(folder), "cpu")


def test_pickled_weights_beside_safetensors_are_never_opened(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    assert load_encoder(str(folder), "cpu").dim == 32


def test_program_code_in_the_folder_is_refused(folder: Path) -> None:
    change_config(folder, auto_map={"AutoModel": "modeling_x.XModel"})
    with pytest.raises(ModelRefused, match="program code"):
        load_encoder(str(folder), "cpu")


def test_an_unknown_kind_is_refused_and_the_known_ones_are_named(folder: Path) -> None:
    change_config(folder, model_type="gpt2")
    with pytest.raises(ModelRefused, match=r"“gpt2”.*siglip2"):
        load_encoder(str(folder), "cpu")


def test_every_known_kind_has_a_class_in_its_family() -> None:
    import importlib

    import transformers

    for kind, family in FAMILIES.items():
        module = importlib.import_module(f"mmstudio.encoders.{family}")
        name = "ClapModel" if family == "clap" else module.CLASSES[kind]
        assert hasattr(transformers, name)


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        load_encoder(str(tmp_path), "cpu")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_broken_config_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelRefused, match=r"config\.json"):
        load_encoder(str(folder), "cpu")


def test_a_name_that_is_nowhere_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("nobody/nothing", "no such folder", "../up", "a/b/c", ""):
        with pytest.raises(EncoderError):
            load_encoder(name, "cpu")


def test_a_hub_name_is_found_in_the_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_folder("some/model") == repository / "snapshots" / commit
    encoder = load_encoder("some/model", "cpu")
    assert encoder.revision == commit
    assert encoder.name == encoder.space == "some/model"


@pytest.mark.parametrize("tenth", range(10))
def test_truncated_weights_give_an_error_that_names_the_folder(folder: Path, tenth: int) -> None:
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:len(content) * tenth // 10])
    with pytest.raises(EncoderError) as caught:
        load_encoder(str(folder), "cpu")
    assert caught.value.path == str(folder)


def test_weights_that_lack_a_layer_are_an_error_not_random_numbers(folder: Path) -> None:
    change_config(folder, num_hidden_layers=3)
    with pytest.raises(EncoderError, match="promises"):
        load_encoder(str(folder), "cpu")


def test_weights_of_another_shape_are_an_error(folder: Path) -> None:
    change_config(folder, intermediate_size=40)
    with pytest.raises(EncoderError):
        load_encoder(str(folder), "cpu")


def test_a_model_without_its_tokenizer_is_an_error(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(EncoderError):
        load_encoder(str(folder), "cpu")


@pytest.mark.parametrize("content", [b"{}", b"\x00\xff", b"[1, 2]"])
def test_a_broken_tokenizer_is_an_error(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(EncoderError):
        load_encoder(str(folder), "cpu")


def test_an_unknown_device_is_an_error(folder: Path) -> None:
    with pytest.raises(EncoderError, match="device"):
        load_encoder(str(folder), "abacus")


def test_the_catalogue_starts_with_the_starter_and_tells_what_each_model_is() -> None:
    cards = catalog()
    assert cards[0].name == "starter"
    assert cards[0].present
    assert set(cards[0].modalities) == {"image", "audio", "text"}
    assert len({card.name for card in cards}) == len(cards) >= 14
    for card in cards:
        assert card.title
        assert card.licence
        assert card.size_mb > 0
        assert card.text.endswith(".")
        assert set(card.modalities) <= {"image", "audio", "text"}
