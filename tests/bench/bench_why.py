"""How soon an explanation is there: attention after a click in the window, and methods against what they cost at least.

Bars: attention drawn 150 ms after the click; Chefer's relevance within twice one forward and backward pass; RISE with
1,000 masks within 1.1 x the 1,000 forward passes, batched; the window stalls never for more than 50 ms meanwhile.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ["MMSTUDIO_HOME"] = tempfile.mkdtemp()

from mmstudio import paths
from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.explain.gradients import chefer
from mmstudio.explain.leaving_out import random_masks, rise
from mmstudio.explain.subject import BATCH, Subject
from mmstudio.media import Limits, MediaRef, Modality, load
from mmstudio.progress import finish

SAMPLES = paths.resources() / "samples"
ITEMS: tuple[tuple[Modality, str], ...] = (
    ("image", "pictures/scene_004_dog_chair.webp"), ("audio", "sounds/dog_1.ogg"),
    ("text", "a dog lies on the chair beside a bell"),
    ("text", "an old dog lies on the red chair beside a bell while the rain falls on the roof and a small "
             "bird sings under the lamp"))
MASKS, CLICKS = 1000, 40


def milliseconds(call: Callable[[], object], turns: int) -> float:
    call()
    times = []
    for _ in range(turns):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def in_turn(one: Callable[[], object], other: Callable[[], object], turns: int) -> tuple[list[float], list[float]]:
    """Milliseconds of both, one after the other, since a shared machine is not always as fast."""
    both = [(milliseconds(one, 1), milliseconds(other, 1)) for _ in range(turns)]
    return [first for first, _ in both], [second for _, second in both]


def methods() -> None:
    """Each beside the passes that it cannot do without."""
    encoder = load_encoder("starter", "cpu")
    target = encode(encoder, ["a dog"], "text")[0]
    for modality, named in ITEMS:
        media = named if modality == "text" else load(MediaRef(SAMPLES / named, modality), Limits())
        _chefer(Subject(encoder, media, modality, target))
        _rise(Subject(encoder, media, modality, target))


def _chefer(subject: Subject) -> None:
    """The item itself was read before a method is asked."""
    import torch

    encoder: Any = subject.encoder
    prepared, target = encoder.prepare(subject.media, subject.modality), torch.from_numpy(subject.target)
    _ = subject.explanation

    def both_ways() -> None:
        (encoder.tensors([prepared]) @ target).sum().backward()
        encoder.model.zero_grad(set_to_none=True)

    relevance = milliseconds(lambda: finish(chefer(subject)), 30)
    encoder.make_trainable()
    passes = milliseconds(both_ways, 30)
    encoder.model.requires_grad_(False)
    print(f"{subject.modality}: Chefer's relevance {relevance:.1f} ms, one forward and backward pass {passes:.1f} ms: "
          f"{relevance / passes:.2f} (bar 2)")


def _rise(subject: Subject) -> None:
    encoder, parts = subject.encoder, subject.parts
    masks = random_masks(parts.shape, MASKS, np.random.default_rng(0))
    ready = [encoder.prepare(parts.kept(row), subject.modality) for row in masks]

    def forward() -> None:
        for at in range(0, MASKS, BATCH):
            encoder.forward(ready[at : at + BATCH])

    plain, ours = in_turn(forward, lambda: finish(rise(subject, MASKS)), 7)
    print(f"{subject.modality}: RISE with {MASKS:,} masks {statistics.median(ours) / 1000:.2f} s, the forward passes "
          f"alone {statistics.median(plain) / 1000:.2f} s: "
          f"{statistics.median(b / a for a, b in zip(plain, ours, strict=True)):.2f} (bar 1.1)")


def window() -> None:
    """Clicks on items with the attention in view, then a slow method."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QEventLoop, Qt, QTimer
    from PySide6.QtWidgets import QApplication

    from mmstudio.desktop.session import Session
    from mmstudio.desktop.theme import THEME
    from mmstudio.desktop.window import MainWindow
    from mmstudio.settings import Settings

    def wait(until: Callable[[], bool]) -> None:
        while not until():
            application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    application = QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    THEME.apply("dark")
    session = Session(Settings())
    studio = MainWindow(session)
    studio.resize(1440, 900)
    studio.show()
    last, gaps = [time.perf_counter()], list[float]()

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(1000 * (now - last[0]))
        last[0] = now

    timer = QTimer(interval=5, timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start()
    session.start(paths.default_project(), lambda: session.add(sorted((SAMPLES / "pictures").iterdir())[:30]))
    wait(lambda: bool(session.layout and session.layout.final) and not session.jobs.running)
    studio.actions_.by_id["why_attention"].trigger()
    wait(lambda: studio.why.made is not None and studio.why.made.pages["attention"].made is not None)
    page: Any = studio.why.made.pages["attention"].made  # type: ignore[union-attr]
    pictures = [item.id for item in session.items.values() if item.modality == "image"]
    times: list[float] = []
    for click in range(CLICKS):
        key = pictures[click % len(pictures)]
        started = time.perf_counter()
        session.focus(key)
        wait(lambda key=key: page._key is not None and page._key[0] == key and page.face.face.map is not None)
        page.face.repaint()
        times.append(1000 * (time.perf_counter() - started))
    print(f"attention drawn after a click: p50 {np.median(times[1:]):.0f} ms, worst {max(times[1:]):.0f} ms, "
          f"the first {times[0]:.0f} ms (bar 150)")
    gaps.clear()
    studio.actions_.by_id["why_score"].trigger()
    wait(lambda: studio.why.made.pages["score"].made is not None)  # type: ignore[union-attr]
    score: Any = studio.why.made.pages["score"].made  # type: ignore[union-attr]
    score.method.setCurrentIndex(score.method.findData("rise"))
    score.words.setText("a dog and a chair")
    wait(lambda: score._work.busy)
    turns = len(gaps)
    wait(lambda: len(gaps) > turns)  # what its opening takes is told by itself
    print(f"opening the page of a score: longest {max(gaps):.0f} ms")

    def stalls(of: str) -> None:
        gaps.clear()
        wait(lambda: not score._work.busy)
        print(f"while {of}: {len(gaps):,} turns, p99 {np.percentile(gaps, 99):.1f} ms, longest {max(gaps):.0f} ms, "
              f"over 50 ms: {sum(gap > 50 for gap in gaps)} (bar 0)")

    stalls("RISE refines")
    score.method.setCurrentIndex(score.method.findData("chefer"))
    score.method.activated.emit(0)
    wait(lambda: not score._work.busy and score.judge.isEnabled())
    score.judge.click()
    stalls("“Is it true?” reads both sides")
    session.close()


if __name__ == "__main__":
    sys.setswitchinterval(0.001)  # as the studio has it
    methods()
    window()
