"""Gaps between event-loop turns of the GUI thread while a run trains, its curves are drawn, and runs are looked at.

``python tests/bench/bench_training_window.py [seconds]``. A project holds 30 finished runs; one more trains in its own
process while its live curves are on show beside those of three others. A 5-ms timer records how far apart it is called,
and how much the GUI thread itself worked meanwhile: on a busy machine the rest is waiting for a core. Bar: none over
50 ms.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

os.environ["MMSTUDIO_HOME"] = tempfile.mkdtemp()

RUNS, EXAMPLES, DIM = 30, 4000, 64
INTERVAL_MS, BAR_MS = 5, 50


def _make_runs(root: Path) -> None:
    """A finished run and copies of it, and one that waits and has no end."""
    from mmstudio.progress import finish
    from mmstudio.training import runs
    from mmstudio.training.examples import Examples
    from mmstudio.training.job import TrainingJob
    from mmstudio.training.loop import train

    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, EXAMPLES)
    vectors = rng.normal(0, 1, (EXAMPLES, 2, DIM)).astype(np.float32) + np.eye(10, DIM, dtype=np.float32)[classes][
        :, None]
    examples = Examples(np.arange(1, EXAMPLES + 1), vectors, np.ones((EXAMPLES, 2), bool), classes,
                        np.repeat(np.array([0, 1, 2], np.int8), [EXAMPLES - 800, 400, 400]))
    job = TrainingJob(classes=tuple(map(str, range(10))), modalities=("image", "audio"), fusion="gated", dim=DIM,
                      epochs=4, patience=0)
    first = runs.make(root, job, examples)
    finish(train(first))
    for number in range(2, RUNS + 1):
        shutil.copytree(first, root / f"{number:04}")
    runs.make(root, replace(job, name="endless", epochs=100_000), examples)


def main() -> None:
    """Print the distribution of the gaps for the loading of the runs and for the training."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    sys.setswitchinterval(0.001)
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtWidgets import QApplication

    from mmstudio import paths
    from mmstudio.desktop.panels.training import TrainingPanel
    from mmstudio.desktop.session import Session
    from mmstudio.desktop.theme import THEME
    from mmstudio.desktop.window import MainWindow
    from mmstudio.settings import Settings

    _make_runs(paths.default_project() / "runs")
    application = QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    THEME.apply("dark")
    session = Session(Settings())
    window = MainWindow(session)
    window.resize(1440, 900)
    window.show()
    learning = window.learning
    phases: dict[str, list[tuple[float, float]]] = {"opening": [], "training": []}
    phase, began = "opening", 0.0
    last = time.perf_counter(), time.thread_time()

    def tick() -> None:
        nonlocal phase, last, began
        now, worked = time.perf_counter(), time.thread_time()
        phases[phase].append(((now - last[0]) * 1000, (worked - last[1]) * 1000))
        last = now, worked
        panel = window.training.made
        active = learning.runs[0] if learning.runs else None
        if phase == "opening" and session.encoder and active and active.state.status == "running" and active.state.step:
            assert isinstance(panel, TrainingPanel)
            panel.table.choose([run.folder.name for run in learning.runs[:4]])
            phase, began = "training", now
        elif phase == "training" and now - began > seconds and active is not None:
            learning.wish(active, "stop")
            phase = "stopping"
            phases[phase] = []
        elif phase == "stopping" and active is not None and active.state.status == "stopped":
            window.close()
            application.quit()

    timer = QTimer(interval=INTERVAL_MS, timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start()
    session.start(paths.default_project())
    window._arrange("train")
    application.exec()
    for name, gaps in phases.items():
        values, worked = np.array(gaps or [(0.0, 0.0)]).T
        print(f"{name}: {len(values):,} turns, p50 {np.percentile(values, 50):.1f} ms, p99 "
              f"{np.percentile(values, 99):.1f} ms, longest {values.max():.0f} ms, over {BAR_MS} ms: "
              f"{(values > BAR_MS).sum()}; most work in a turn {worked.max():.0f} ms")
    print(f"steps trained meanwhile: {learning.runs[0].state.step:,}")


if __name__ == "__main__":
    main()
