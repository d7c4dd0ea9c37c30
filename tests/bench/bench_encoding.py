"""Throughput of the studio's worker with its window open, against a plain batched transformers loop.

Same files, weights, device and batch in one run: CLIP ViT-B/32 on 640 x 480 JPEGs, a six-layer BERT of width 384 on
texts of mixed length, a Whisper-tiny encoder on sounds of 1 to 10 s. Weights are random: speed does not depend on them.
Bar: ratio >= 1.0 each. The plain loop is a process of its own, as it would be for a person; the two take turns, three
times, and medians are compared. Kinds named as arguments run alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["MMSTUDIO_HOME"] = tempfile.mkdtemp()
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import numpy as np
import soundfile
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
BATCH, ROUNDS = 16, 3
COUNTS = {"image": 96, "text": 320, "audio": 48}
LOOP = "--plain-loop"
KINDS = [argument for argument in sys.argv[1:] if argument in COUNTS] or list(COUNTS)
RNG = np.random.default_rng(0)


def _models(folder: Path) -> dict[str, Path]:
    """Full-size architectures with random weights and their processors."""
    import torch
    from encoders.conftest import WORDS, bert_tokenizer, clip_tokenizer
    from transformers import (
        BertConfig,
        BertModel,
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperModel,
    )

    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder / "image")
    CLIPImageProcessor().save_pretrained(folder / "image")
    clip_tokenizer().save_pretrained(folder / "image")
    tokenizer = bert_tokenizer()
    tokenizer.model_max_length = 256
    BertModel(BertConfig(vocab_size=len(WORDS) + 5, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                         intermediate_size=1536)).save_pretrained(folder / "text")
    tokenizer.save_pretrained(folder / "text")
    WhisperModel(WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536,
                               decoder_layers=1)).save_pretrained(folder / "audio")
    WhisperFeatureExtractor().save_pretrained(folder / "audio")
    return {kind: folder / kind for kind in COUNTS}


def _files(folder: Path) -> dict[str, list[Path]]:
    words = ["red", "circle", "dog", "barks", "loud", "blue", "photo", "of", "the"]
    made: dict[str, list[Path]] = {kind: [] for kind in COUNTS}
    for number in range(COUNTS["image"]):
        small = Image.fromarray(RNG.integers(0, 255, (60, 80, 3), np.uint8))
        made["image"].append(folder / f"{number}.jpg")
        small.resize((640, 480)).save(made["image"][-1], quality=90)
    for number in range(COUNTS["text"]):
        made["text"].append(folder / f"{number}.txt")
        made["text"][-1].write_text(" ".join(RNG.choice(words, RNG.integers(3, 120))) + f" {number}")
    for number in range(COUNTS["audio"]):
        made["audio"].append(folder / f"{number}.wav")
        soundfile.write(made["audio"][-1], RNG.normal(0, 0.1, RNG.integers(22_050, 220_500)), 22_050)
    return made


def _plain(kind: str, folder: Path) -> Callable[[list[Path]], None]:
    """A loop as a careful person would write it with transformers."""
    import soxr
    import torch
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, BertModel, CLIPModel, WhisperModel

    model: Any = {"image": CLIPModel, "text": BertModel, "audio": WhisperModel}[kind].from_pretrained(folder).eval()
    if kind == "image":
        processor: Any = AutoImageProcessor.from_pretrained(folder)
    elif kind == "text":
        processor = AutoTokenizer.from_pretrained(folder)
    else:
        processor = AutoFeatureExtractor.from_pretrained(folder)

    def vectors(files: list[Path]) -> Any:
        if kind == "image":
            inputs = processor(images=[Image.open(f).convert("RGB") for f in files], return_tensors="pt")
            return model.get_image_features(**inputs).pooler_output
        if kind == "text":
            inputs = processor([f.read_text() for f in files], padding=True, truncation=True, return_tensors="pt")
            hidden, mask = model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
            return (hidden * mask).sum(1) / mask.sum(1)
        waves = [soxr.resample(soundfile.read(f)[0], 22_050, 16_000).astype(np.float32) for f in files]
        inputs = processor(waves, sampling_rate=16_000, return_tensors="pt")
        return model.encoder(inputs.input_features).last_hidden_state.mean(1)

    def run(files: list[Path]) -> None:
        with torch.inference_mode():
            for start in range(0, len(files), BATCH):
                out = vectors(files[start : start + BATCH])
                (out / out.norm(dim=-1, keepdim=True)).numpy()

    return run


def plain_loop(kind: str, folder: str, files: list[str]) -> None:
    """The peer's process: says "ready", then for each line it is sent how many seconds one pass over the files took."""
    run, paths = _plain(kind, Path(folder)), [Path(file) for file in files]
    run(paths[:BATCH])
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        run(paths)
        print(time.perf_counter() - started, flush=True)


class Peer:
    """The plain loop in its process."""

    def __init__(self, kind: str, folder: Path, files: list[Path]) -> None:
        self._loop = subprocess.Popen([sys.executable, __file__, LOOP, kind, str(folder), *map(str, files)], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._loop.stdin
        assert self._loop.stdout
        assert self._loop.stdout.readline() == "ready\n"

    def seconds(self) -> float:
        """One pass over the files."""
        assert self._loop.stdin
        assert self._loop.stdout
        print(file=self._loop.stdin, flush=True)
        return float(self._loop.stdout.readline())

    def end(self) -> None:
        self._loop.communicate()


def main() -> None:
    from PySide6.QtCore import QEventLoop, QTimer
    from PySide6.QtWidgets import QApplication

    from mmstudio import paths
    from mmstudio.desktop.session import Session
    from mmstudio.desktop.theme import THEME
    from mmstudio.desktop.window import MainWindow
    from mmstudio.encoders import load_encoder
    from mmstudio.settings import Settings

    QApplication(sys.argv[:1])
    THEME.apply("dark")
    root = Path(tempfile.mkdtemp())
    models, files = _models(root / "models"), {}
    (root / "files").mkdir()
    files = _files(root / "files")
    session = Session(Settings({"batch": BATCH}))
    window = MainWindow(session)
    window.show()

    def wait(until: Callable[[], object]) -> None:
        loop, poll = QEventLoop(), QTimer(interval=10)
        poll.timeout.connect(lambda: loop.quit() if until() else None)
        poll.start()
        loop.exec()

    def studio(kind: str, encoder: Any, number: int) -> float:
        """Seconds that the worker takes to encode files that the library holds already."""
        session.encoder = None
        session.open_project(paths.user_state() / f"{kind}-{number}")
        wait(lambda: session.project is not None and session.project.name == f"{kind}-{number}")
        session.add(files[kind])
        wait(lambda: len(session.items) == len(files[kind]) and not session.jobs.running)
        session.encoder = encoder
        started = time.perf_counter()
        session.encode()
        wait(lambda: session.view is not None and len(session.view) == len(files[kind]))
        return time.perf_counter() - started

    for kind in KINDS:
        plain, encoder = Peer(kind, models[kind], files[kind]), load_encoder(str(models[kind]), "cpu")
        theirs, ours = [], []
        for number in range(ROUNDS):
            theirs.append(plain.seconds())
            ours.append(studio(kind, encoder, number))
        plain.end()
        count = len(files[kind])
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{kind}: studio {count / a:.1f} / s, plain loop {count / b:.1f} / s, ratio {b / a:.2f}", flush=True)
    window.close()


if __name__ == "__main__":
    if LOOP in sys.argv:
        plain_loop(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        main()
