"""The map of 1200 x 800 pixels at several sizes, beside pyqtgraph's ScatterPlotItem in the same run, and the time of
the map's projections.

A frame is a repaint through the real paint path after a pan or a zoom: the median, and the worst of twenty, of frames
as they are drawn while the map moves, and of those in which every point is drawn. Bars: 12 ms at a million points,
25 ms at five, 100 ms at ten; 50 ms for a lasso of a million; 1 ms to find the point under the pointer.
Without arguments all sizes; ``bench_map.py 1000000`` only that one; ``bench_map.py projection`` only the projections.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MMSTUDIO_HOME", tempfile.mkdtemp())

import numpy as np

SIZES = (10_000, 100_000, 1_000_000, 5_000_000, 10_000_000)
BESIDE = 5_000_000
"""Points up to which pyqtgraph is asked for the same."""
FRAMES, CATEGORIES = 20, 12


def times(act: Callable[[int], object], number: int = FRAMES, warm: int = 2) -> tuple[float, float]:
    """Median and worst in milliseconds."""
    found = []
    for turn in range(-warm, number):
        started = time.perf_counter()
        act(turn)
        if turn >= 0:
            found.append((time.perf_counter() - started) * 1000)
    return statistics.median(found), max(found)


def cloud(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, CATEGORIES, count)
    return (rng.normal(0, 1, (CATEGORIES, 2))[groups] + rng.normal(0, 0.35, (count, 2))).astype(np.float32), groups


def ours(count: int) -> float:
    """Prints what is measured; gives a frame's milliseconds."""
    from PySide6.QtCore import QPointF
    from PySide6.QtWidgets import QApplication

    from mmstudio.desktop.plots.cloud import Points
    from mmstudio.desktop.plots.density import REST_MS
    from mmstudio.desktop.plots.scatter import Scatter
    from mmstudio.desktop.theme import category_colours

    places, groups = cloud(count)
    canvas = Scatter()
    canvas.animated = False
    canvas.resize(1200, 800)
    canvas.show()
    QApplication.processEvents()
    points = Points(np.arange(count), places, groups % 3, groups)
    started = time.perf_counter()
    canvas.show_points(points, category_colours(CATEGORIES))
    print(f"  sorted into the grid in {(time.perf_counter() - started) * 1000:.0f} ms (behind the window)")
    started = time.perf_counter()
    canvas.repaint()
    print(f"  first frame, with what is compiled or read for it: {(time.perf_counter() - started) * 1000:.0f} ms")

    def pan(turn: int) -> None:
        canvas._pan(7 * (-1) ** (turn // 5), 3)
        canvas.repaint()

    def zoom(turn: int) -> None:
        canvas._zoom(QPointF(600, 400), 1.1 if turn % 10 < 5 else 1 / 1.1)
        canvas.repaint()

    panned, zoomed = times(pan), times(zoom)
    print(f"  pan {panned[0]:.1f} ms (worst {panned[1]:.1f}), zoom {zoomed[0]:.1f} ms (worst {zoomed[1]:.1f})")
    density = canvas.drawing.density

    def full(turn: int) -> None:
        pan(turn)
        density._refine()
        canvas.repaint()

    rough = density.is_rough
    when = f" (drawn {REST_MS} ms after the last move)" if rough else ""
    print(f"  with every point {times(full)[0]:.1f} ms{when}")
    canvas.show_selection(np.arange(0, count, 2), None)
    print(f"  half of the points selected: pan {times(pan)[0]:.1f} ms")
    selecting, _ = times(lambda turn: canvas.show_selection(np.arange(turn + 2, count, 2), None), 5)
    hiding, _ = times(lambda turn: canvas.hide_points(groups == turn % CATEGORIES), 5)
    print(f"  to select so many {selecting:.1f} ms, to hide a category {hiding:.1f} ms")
    canvas.show_selection([], None)
    canvas.hide_points(np.zeros(count, bool))
    canvas.fit()
    angles = np.linspace(0, 2 * np.pi, 200)
    outline = [QPointF(600 + 450 * np.cos(a) * (1 + 0.2 * np.sin(5 * a)), 400 + 330 * np.sin(a)) for a in angles]
    lasso, _ = times(lambda _: canvas.keys_inside(outline), 5)
    at = np.random.default_rng(1).uniform(0, 1, (200, 2)) * (1200, 800)
    hover = times(lambda turn: canvas.key_at(QPointF(*at[turn])), 200)
    print(f"  lasso around {len(canvas.keys_inside(outline)):,} points {lasso:.1f} ms, "
          f"point under the pointer {hover[0]:.2f} ms (worst {hover[1]:.2f})")
    canvas.close()
    QApplication.processEvents()
    return panned[0]


def theirs(count: int) -> float:
    """A frame of pyqtgraph's ScatterPlotItem, points of 2 pixels in as many colours."""
    import pyqtgraph
    from PySide6.QtWidgets import QApplication

    from mmstudio.desktop.theme import category_colours

    places, groups = cloud(count)
    view = pyqtgraph.PlotWidget()
    view.resize(1200, 800)
    brushes = np.array([pyqtgraph.mkBrush(colour) for colour in category_colours(CATEGORIES)], object)
    view.addItem(pyqtgraph.ScatterPlotItem(pos=places, size=2, pen=None, brush=brushes[groups], pxMode=True))
    view.show()
    QApplication.processEvents()

    def pan(turn: int) -> None:
        view.getViewBox().translateBy(0.01 * (-1) ** (turn // 5), 0.004)
        view.viewport().repaint()

    found, _ = times(pan, 20 if count < 10**6 else 3, 1)
    view.close()
    return found


def projections() -> None:
    from mmstudio.explore.projection import pacmap
    from mmstudio.explore.similarity import neighbour_graph
    from mmstudio.progress import finish

    vectors = np.random.default_rng(0).normal(size=(10_000, 384)).astype(np.float32)
    started = time.perf_counter()
    finish(neighbour_graph(vectors, 15))
    print(f"exact neighbour graph of 10,000 x 384: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    finish(pacmap(vectors))
    print(f"PaCMAP of 10,000 x 384: {time.perf_counter() - started:.1f} s")


def main() -> None:
    from PySide6.QtWidgets import QApplication

    application = QApplication(sys.argv[:1])
    chosen = sys.argv[1:]
    for count in [int(size) for size in chosen if size.isdigit()] or (SIZES if not chosen else ()):
        print(f"{count:,} points")
        frame = ours(count)
        if count <= BESIDE:
            other = theirs(count)
            print(f"  pyqtgraph's ScatterPlotItem {other:.1f} ms: {other / frame:.1f} times as long")
    if not chosen or "projection" in chosen:
        projections()
    application.quit()


if __name__ == "__main__":
    main()
