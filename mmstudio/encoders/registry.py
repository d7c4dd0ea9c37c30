"""Which encoder a name means: the starter, a folder, or a model in the local hub cache."""

from __future__ import annotations

import importlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmstudio import paths
from mmstudio.encoders.base import Encoder
from mmstudio.errors import ModelNotFound, ModelRefused

STARTER = "starter"

FAMILIES: dict[str, str] = {
    "clip": "clip", "metaclip_2": "clip", "siglip": "siglip", "siglip2": "siglip", "clap": "clap",
    "bert": "text", "roberta": "text", "xlm-roberta": "text", "mpnet": "text", "distilbert": "text",
    "albert": "text", "electra": "text", "deberta-v2": "text", "modernbert": "text", "nomic_bert": "text",
    "vit": "vision", "dinov2": "vision", "dinov2_with_registers": "vision", "deit": "vision",
    "whisper": "speech", "audio-spectrogram-transformer": "speech", "wavlm": "speech", "wav2vec2": "speech",
    "hubert": "speech",
}
"""transformers' ``model_type`` → module in this room; each has ``load(folder, name, device) -> Encoder``."""


@dataclass(frozen=True)
class ModelCard:
    """One line of the catalogue; ``first_choice_for`` is what a person drops that the starter does not know."""

    name: str
    title: str
    modalities: tuple[str, ...]
    size_mb: int
    licence: str
    text: str
    present: bool = False
    first_choice_for: str = ""


def load_encoder(name: str, device: str = "auto") -> Encoder:
    """Load an encoder by name onto a device; one that does not fit there falls back to the CPU and notes it.

    Raises ModelNotFound and ModelRefused with the reason.
    """
    if name == STARTER:
        return importlib.import_module("mmstudio.encoders.starter").load(
            paths.starter_model(), STARTER, device)
    folder = find_folder(name)
    family = _family(folder)
    return importlib.import_module(f"mmstudio.encoders.{family}").load(folder, name, device)


def find_folder(name: str) -> Path:
    """The folder of a local model or of a hub model in the cache. Never uses the network."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    snapshot = cached_snapshot(name)
    if snapshot is None:
        raise ModelNotFound(
            f"There is no model “{name}”: no folder of that name, and not in the local hub cache.",
            hint="Give “starter”, a folder with config.json and safetensors, or a downloaded hub name.")
    return snapshot


def cached_snapshot(name: str) -> Path | None:
    """The newest snapshot folder of a hub model in the cache, or None."""
    from huggingface_hub import constants

    if name.count("/") != 1 or name.startswith((".", "/")):
        return None
    repository = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return None
    snapshot = repository / "snapshots" / revision
    return snapshot if (snapshot / "config.json").is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    """The model's config.json; refuses remote code and weights that are not safetensors."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelNotFound(f"“{folder.name}” is no model: it has no config.json.", path=folder) from error
    except (OSError, ValueError) as error:
        raise ModelRefused(f"The model's config.json cannot be read ({error}).", path=folder) from error
    if not isinstance(config, dict):
        raise ModelRefused("The model's config.json is not a table.", path=folder)
    if "auto_map" in config:
        raise ModelRefused("This model brings program code of its own, which the studio does not run.", path=folder,
                           hint="Choose a model of a family that transformers has built in.")
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth"))
        reason = ("Its weights are pickled files, which can run any code when opened." if pickled
                  else "It has no weights in safetensors.")
        raise ModelRefused(f"This model is refused. {reason}", path=folder, hint="Convert it to safetensors first.")
    return config


def _family(folder: Path) -> str:
    kind = str(read_config(folder).get("model_type", ""))
    if kind not in FAMILIES:
        raise ModelRefused(f"Models of the kind “{kind or 'unnamed'}” are not known to the studio.", path=folder,
                           hint=f"Known kinds: {', '.join(sorted(FAMILIES))}.")
    return FAMILIES[kind]


def catalog() -> list[ModelCard]:
    """Models the studio knows by name, with whether each is on this computer."""
    table = tomllib.loads((paths.resources() / "catalog.toml").read_text(encoding="utf-8"))
    return [
        ModelCard(m["name"], m["title"], tuple(m["modalities"]), m["size_mb"], m["licence"], m["text"],
                  m["name"] == STARTER or cached_snapshot(m["name"]) is not None, m.get("first_choice_for", ""))
        for m in table["models"]
    ]
