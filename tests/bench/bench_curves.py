"""One frame of the live curves: 10 runs of 100,000 steps in 1200 x 400 pixels, panned. Bar: 16.7 ms, 60 a second.

The peer, measured in the same run, is plain pyqtgraph: two plots of the same size with the same curves (the loss and
a noisy quantity, thin, and smoothed, thick), clipped to the view and reduced by its own “peak” downsampling, without
antialiasing, which is its default; its smoothed curves are given to it ready made. “Thin” is the peer with every line
one pixel wide, its fastest, and “same” with the widths that the studio draws.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np

RUNS, STEPS, FRAMES = 10, 100_000, 120
WIDTH, HEIGHT = 1200, 400


def _values() -> list[tuple[np.ndarray, np.ndarray]]:
    """Loss and gradient norm of each run."""
    rng, x = np.random.default_rng(0), np.arange(STEPS) / STEPS
    return [((1 + r / 10) * np.exp(-4 * x) + 0.1 + rng.gamma(2, 0.05, STEPS), rng.gamma(3, 0.3, STEPS) + r / 5)
            for r in range(RUNS)]


def _measure(title: str, frame: Callable[[int], None]) -> float:
    times = []
    for number in range(FRAMES + 5):
        started = time.perf_counter()
        frame(number)
        times.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(times[5:], [50, 95])
    print(f"{p50:7.1f} ms p50 {p95:7.1f} ms p95: {title}")
    return float(p50)


def _ours(values: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Callable[[float, float], None], Any]:
    from mmstudio.desktop.plots.curves import CurvesView

    view = CurvesView()
    view.resize(WIDTH, HEIGHT)
    view.show_runs([(str(r), f"run {r}") for r in range(RUNS)])
    view.show()
    started = time.perf_counter()
    for r, (loss, norm) in enumerate(values):
        lines = [{"step": k + 1, "epoch": 1, "loss": a, "norm": b}
                 for k, (a, b) in enumerate(zip(loss.tolist(), norm.tolist(), strict=True))]
        view._runs[str(r)].add(lines)
    view._arrange()
    print(f"{(time.perf_counter() - started) / RUNS / STEPS * 1e6:7.1f} us to take in a line")

    def frame(low: float, high: float) -> None:
        view.span.low, view.span.high = low, high
        for plot in (view.loss, view.chosen):
            plot.redraw()
            plot.repaint()

    return frame, view


def _peer(values: list[tuple[np.ndarray, np.ndarray]], wide: float) -> tuple[Callable[[float, float], None], Any]:
    import pyqtgraph

    from mmstudio.desktop.plots.curves import run_colour
    from mmstudio.desktop.plots.trace import Trace

    view = pyqtgraph.GraphicsLayoutWidget()
    view.resize(WIDTH, HEIGHT)
    plots = [view.addPlot(), view.addPlot()]
    x = np.arange(1.0, STEPS + 1)
    for r, pair in enumerate(values):
        for plot, y in zip(plots, pair, strict=True):
            trace = Trace(0.9)
            trace.add(x, y)
            faint = run_colour(r)
            faint.setAlpha(80)
            for shown, pen in ((y, pyqtgraph.mkPen(faint, width=1)),
                               (trace.smoothed, pyqtgraph.mkPen(run_colour(r), width=wide))):
                plot.plot(x, shown, pen=pen)
    for plot in plots:
        plot.setDownsampling(auto=True, mode="peak")
        plot.setClipToView(True)
    view.show()

    def frame(low: float, high: float) -> None:
        for plot in plots:
            plot.setXRange(low, high, padding=0)
        view.viewport().repaint()

    return frame, view


def main() -> None:
    from PySide6.QtWidgets import QApplication

    application = QApplication(sys.argv[:1])
    values = _values()
    for title, span in (("all steps", STEPS), ("a tenth of the steps", STEPS // 10), ("400 steps", 400)):
        found = []
        for name, (frame, view) in (("studio", _ours(values)), ("pyqtgraph, thin", _peer(values, 1)),
                                    ("pyqtgraph, same", _peer(values, 1.6))):
            application.processEvents()
            found.append(_measure(f"{name}, {title}", lambda n, frame=frame, span=span: frame(  # type: ignore[misc]
                STEPS / 4 + n * span / 300 - span / 2, STEPS / 4 + n * span / 300 + span / 2)))
            view.close()
        print(f"{found[0] / found[1]:7.2f} of pyqtgraph thin, {found[0] / found[2]:.2f} of pyqtgraph same")


if __name__ == "__main__":
    main()
