"""Steps that train a whole encoder, against Hugging Face's Trainer on the same model, pictures and batch.

``python tests/bench/bench_fine_tuning.py [steps]``. Both read PNG files and train a ViT with a linear head by AdamW in
float32; the first steps of each are not counted. The peer decodes with two workers, as its users do. It is measured
in turn with ours; the mean counts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmstudio.media import MediaRef
from mmstudio.training import loop, runs
from mmstudio.training.examples import Examples
from mmstudio.training.job import TrainingJob

PICTURES, SIDE, BATCH, CLASSES, WARM = 512, 96, 32, 4, 3
NAMES = tuple("abcd"[:CLASSES])


def main() -> None:
    """Print both rates and their ratio."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, files, classes = _model(folder / "vit"), *_pictures(folder)
        both = [(_peer(model, files, classes, steps, folder), _ours(model, files, classes, steps, folder / str(turn)))
                for turn in range(2)]
    peers, ours = zip(*both, strict=True)
    print(f"whole ViT, batch {BATCH} of {SIDE} px, {torch.get_num_threads()} threads: ours {ours[0]:.2f} and "
          f"{ours[1]:.2f} steps/s, Trainer {peers[0]:.2f} and {peers[1]:.2f}, ratio {sum(ours) / sum(peers):.2f} "
          "(bar 1.0)")


def _model(folder: Path) -> Path:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    ViTModel(ViTConfig(hidden_size=192, num_hidden_layers=6, num_attention_heads=3, intermediate_size=768,
                       image_size=SIDE, patch_size=16)).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def _pictures(folder: Path) -> tuple[list[Path], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, CLASSES, PICTURES)
    files = [folder / f"{n}.png" for n in range(PICTURES)]
    for file, place in zip(files, classes, strict=True):
        pixels = rng.integers(0, 120, (256, 256, 3)) + np.array([0, 40, 80, 120])[place]
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    return files, classes


def _ours(model: Path, files: list[Path], classes: np.ndarray[Any, Any], steps: int, folder: Path) -> float:
    media = tuple(((0, MediaRef(file, "image")),) for file in files)
    examples = Examples(np.arange(1, PICTURES + 1), np.zeros((PICTURES, 1, 192), np.float32),
                        np.ones((PICTURES, 1), bool), classes.astype(np.int64), np.zeros(PICTURES, np.int8),
                        media=media)
    job = TrainingJob(classes=NAMES, model=str(model), dim=192, trains="everything", batch=BATCH, epochs=1000,
                      patience=0)
    run = runs.make(folder / "runs", job, examples)
    training = loop.Training(job, examples, run, loop.accelerator(job))
    order = torch.cat([training.order(epoch) for epoch in range(1 + (steps + WARM) * BATCH // PICTURES)])
    started = 0.0
    for number in range(steps + WARM):
        if number == WARM:
            started = time.perf_counter()
        training.learner.ahead(order[number * BATCH : (number + 2) * BATCH])
        training.step(order[number * BATCH : (number + 1) * BATCH])
    taken = time.perf_counter() - started
    training.close()
    return steps / taken


class _Files(torch.utils.data.Dataset[Any]):
    def __init__(self, files: list[Path], classes: np.ndarray[Any, Any], processor: Any) -> None:
        self.files, self.classes, self.processor = files, classes, processor

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> dict[str, Any]:
        with Image.open(self.files[place]) as picture:
            pixels = self.processor(picture.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "labels": int(self.classes[place])}


def _peer(model: Path, files: list[Path], classes: np.ndarray[Any, Any], steps: int, folder: Path) -> float:
    from transformers import AutoImageProcessor, Trainer, TrainerCallback, TrainingArguments, ViTForImageClassification

    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    whole = ViTForImageClassification.from_pretrained(model, num_labels=CLASSES)
    asked = TrainingArguments(
        output_dir=str(folder / "trainer"), max_steps=steps + WARM, per_device_train_batch_size=BATCH,
        dataloader_num_workers=2, dataloader_persistent_workers=True, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, learning_rate=1e-4, use_cpu=True)
    Trainer(whole, asked, train_dataset=_Files(files, classes, AutoImageProcessor.from_pretrained(model)),
            callbacks=[Clock()]).train()
    return steps / (times[-1] - times[WARM - 1])


if __name__ == "__main__":
    main()
