"""One frame of the map at several sizes, and the time of its projections."""

from __future__ import annotations

import os
import statistics
import sys
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np


def main() -> None:
    from PySide6.QtGui import QColor
    from PySide6.QtWidgets import QApplication

    from mmstudio.desktop.plots.scatter import Points, Scatter
    from mmstudio.explore.projection import pacmap
    from mmstudio.explore.similarity import neighbour_graph
    from mmstudio.progress import finish

    application = QApplication(sys.argv[:1])
    rng = np.random.default_rng(0)
    for count in (1000, 10_000, 100_000):
        canvas = Scatter()
        canvas.resize(900, 700)
        canvas.show_points(Points(np.arange(count), rng.normal(size=(count, 2)).astype(np.float32),
                                  rng.integers(0, 3, count), rng.integers(0, 3, count)), [QColor("red")] * 3)
        canvas.show()
        application.processEvents()
        times = []
        for step in range(33):
            canvas.transform.x += 0.01 * step
            started = time.perf_counter()
            canvas.repaint()
            times.append((time.perf_counter() - started) * 1000)
        print(f"map of {count:,} points: {statistics.median(times[3:]):.1f} ms a frame")
        canvas.close()
    vectors = rng.normal(size=(10_000, 384)).astype(np.float32)
    started = time.perf_counter()
    finish(neighbour_graph(vectors, 15))
    print(f"exact neighbour graph of 10,000 x 384: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    finish(pacmap(vectors))
    print(f"PaCMAP of 10,000 x 384: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
