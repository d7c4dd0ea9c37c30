"""A tuned encoder as a folder that other programs read: of transformers, of PEFT, or of the starter's own format."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmstudio import paths
from mmstudio.encoders.hf import HubEncoder, foreign_errors, from_transformers
from mmstudio.encoders.registry import find_folder
from mmstudio.training.job import TrainingJob
from mmstudio.training.towers import lora_settings

_PREPROCESSING = (".json", ".txt", ".model", ".jinja")
_STARTER = ("config.json", "tokenizer.json", "NOTICE")


def write(encoder: Any, folder: Path) -> None:
    """A tuned HubEncoder or StarterEncoder without additions beside its weights. Raises OSError, EncoderError."""
    folder.mkdir()
    if isinstance(encoder, HubEncoder):
        _write_transformers(encoder.model, find_folder(encoder.name), folder)
    else:
        _write_starter(encoder.model, folder)


def write_additions(encoder: HubEncoder, job: TrainingJob, folder: Path) -> None:
    """The low-rank additions alone, as PEFT reads them beside the model that they belong to; before ``merge``.
    Raises OSError, EncoderError.
    """
    from safetensors.torch import save_file

    whole, part = _whole(encoder.model, find_folder(encoder.name))
    added = {name: value for name, value in encoder.model.state_dict().items() if ".lora_" in name}
    names = sorted({part + name.split(".lora_")[0] for name in added})
    settings = lora_settings(names, job.rank)
    settings.base_model_name_or_path = job.model
    settings.inference_mode = True
    settings.target_modules = names
    folder.mkdir()
    settings.save_pretrained(folder, auto_mapping_dict={"base_model_class": type(whole).__name__,
                                                        "parent_library": type(whole).__module__})
    save_file({f"base_model.model.{part}{name.replace('.default.', '.')}": value.contiguous()
               for name, value in added.items()}, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def merge(model: nn.Module) -> None:
    """Put low-rank additions into the layers that they stand beside."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            owner, _, own = name.rpartition(".")
            setattr(model.get_submodule(owner), own, layer.get_base_layer())


def _whole(model: Any, base: Path) -> tuple[Any, str]:
    """The model that transformers makes of the folder, with ``model`` in it, and the prefix of its names there: of
    Whisper only one half is tuned.
    """
    if type(model) is from_transformers("MODEL_MAPPING")[type(model.config)]:
        return model, ""
    with foreign_errors("The model could not be loaded", base):
        whole = from_transformers("AutoModel").from_pretrained(base, use_safetensors=True, local_files_only=True)
    part = next(name for name, child in whole.named_children() if type(child) is type(model))
    setattr(whole, part, model)
    return whole, f"{part}."


def _write_transformers(model: Any, base: Path, folder: Path) -> None:
    whole, _ = _whole(model, base)
    with foreign_errors("The encoder could not be written", folder):
        whole.save_pretrained(folder, safe_serialization=True)
    for file in base.iterdir():
        preprocessing = file.suffix in _PREPROCESSING and not file.name.endswith(".index.json")
        if file.name != "config.json" and (preprocessing or file.name.startswith(("LICENSE", "NOTICE"))):
            shutil.copyfile(file, folder / file.name)
    if (base / "1_Pooling" / "config.json").is_file():
        (folder / "1_Pooling").mkdir()
        shutil.copyfile(base / "1_Pooling" / "config.json", folder / "1_Pooling" / "config.json")


def _write_starter(model: nn.Module, folder: Path) -> None:
    from safetensors.torch import save_file

    for name in _STARTER:
        shutil.copyfile(paths.starter_model() / name, folder / name)
    weights: dict[str, Tensor] = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
