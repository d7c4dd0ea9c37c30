"""Writes resources/starter from the last checkpoints: weights as float16, config, tokenizer and concepts.

    python export.py

The model card README.md is written once and then kept, but for what stands between its marks: on what it was trained,
from here, and the table, by evaluate.py --write. NOTICE is written by hand.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import card
import sounds
import torch
import world
from common import REPOSITORY, RUN, config, write_json
from safetensors.torch import save_file
from shelf import assemble

FOLDER = REPOSITORY / "resources" / "starter"
TOWERS = ("text", "image", "audio")


def half(tensor: torch.Tensor) -> torch.Tensor:
    """float16 for matrices; norms, biases and running statistics stay float32, they are tiny."""
    return tensor.half().contiguous() if tensor.is_floating_point() and tensor.ndim > 1 else tensor.contiguous()


def spent() -> dict[str, object]:
    """What the training cost, from the checkpoints."""
    states = {t: torch.load(RUN / f"{t}.pt", weights_only=False, map_location="cpu") for t in TOWERS}
    seconds = {t: round(s["spent"]) for t, s in states.items()}
    seen = {"pictures": states["image"]["seen"], "clips": states["audio"]["seen"]}
    devices = ", ".join(dict.fromkeys(s["device"] for s in states.values() if "device" in s))
    return {"device": devices, "cpu_seconds": seconds, **seen}


def concept_list() -> list[dict[str, object]]:
    """The concepts in bank order, then the sounds, which are tied to concepts by name."""
    drawn = [{"name": c.name, "kind": c.kind, "glyph": c.glyph, "keywords": list(c.keywords)} for c in world.concepts()]
    by_name = {c.name: c for c in world.concepts()}
    return drawn + [
        {"name": s, "kind": "sound", "glyph": by_name[s].glyph, "keywords": list(by_name[s].keywords)}
        for s in sounds.SOUNDS
    ]


def main() -> None:
    """Writes all files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = assemble(TOWERS)
    weights = {k: half(v) for k, v in model.state_dict().items()}
    save_file(weights, FOLDER / "model.tmp")
    (FOLDER / "model.tmp").chmod(0o644)  # save_file leaves it to its owner alone
    (FOLDER / "model.tmp").replace(FOLDER / "model.safetensors")
    told = spent()
    replace(config(), trained_on=told).write(FOLDER / "config.json")
    shutil.copyfile(RUN / "tokenizer.json", FOLDER / "tokenizer.json")
    write_json(FOLDER / "concepts.json", concept_list())
    marks = f"{card.TRAINED}\n{card.TRAINED_END}\n\n{card.BEGIN}\n{card.END}\n"
    file = FOLDER / "README.md"
    before = file.read_text(encoding="utf-8") if file.exists() else f"# Starter model\n\n{marks}"
    file.write_text(card.with_training(before, told), encoding="utf-8")
    size = sum(p.stat().st_size for p in FOLDER.iterdir()) / 1e6
    print(f"{FOLDER.relative_to(REPOSITORY)}: {size:.1f} MB")


if __name__ == "__main__":
    main()
